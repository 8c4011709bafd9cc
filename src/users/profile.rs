//! Profiles: data of users besides their ids (`users.profile`). Nicknames and avatars are typed by
//! users, so their rules are here; phone numbers come from WeChat alone.

use std::fmt;

use super::UserDirectory;
use crate::config::ProfileField;
use crate::identity::Attributes;
use crate::store_error::StoreError;

/// The profile of a user. A field that is not kept, or that the user does not have, is `None`.
/// Debug shows nothing, because the data is personal.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// As typed, without surrounding blanks; 1 to 64 characters.
    pub nickname: Option<String>,
    /// An https URL or an absolute path; at most 512 bytes.
    pub avatar: Option<String>,
    /// As from WeChat, with the country code unless it is China's; at most 40 bytes.
    pub phone: Option<String>,
}

/// A new value of a field; `None` deletes it.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    pub(super) field: ProfileField,
    pub(super) value: Option<String>,
}

/// The cause of a failed change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileError {
    /// The directory cannot answer.
    Store(StoreError),
    /// The user's row is gone, or another directory issued the user id.
    NoUser,
    /// The existing table cannot hold a value unchanged: unsupported characters, too many of them,
    /// or a constraint of the table.
    DoesNotFit,
}

/// The profiles of a directory. A clone shares it.
#[derive(Clone)]
pub struct Profiles {
    users: UserDirectory,
    kept: Vec<ProfileField>,
}

/// Merges that are followed during one write before the directory counts as damaged.
const MAX_MERGES: usize = 64;

impl Profile {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: ProfileField) -> Option<&str> {
        match field {
            ProfileField::Nickname => self.nickname.as_deref(),
            ProfileField::Avatar => self.avatar.as_deref(),
            ProfileField::Phone => self.phone.as_deref(),
        }
    }

    /// Sets a field. An empty text is `None`, and so is one that is longer than the field's limit:
    /// an existing table may hold whole pictures, and the value goes into a header of every
    /// request.
    pub(super) fn set(&mut self, field: ProfileField, value: Option<String>) {
        let place = match field {
            ProfileField::Nickname => &mut self.nickname,
            ProfileField::Avatar => &mut self.avatar,
            ProfileField::Phone => &mut self.phone,
        };
        let fits = |value: &String| !value.is_empty() && !is_longer(field, length(field, value));
        *place = value.filter(fits);
    }

    /// The copy of the profile that a session holds.
    #[must_use]
    pub fn of(attributes: &Attributes) -> Self {
        Self {
            nickname: attributes.nickname.clone(),
            avatar: attributes.avatar.clone(),
            phone: attributes.phone.clone(),
        }
    }

    /// Replaces the copy in a session.
    pub fn put(&self, attributes: &mut Attributes) {
        attributes.nickname.clone_from(&self.nickname);
        attributes.avatar.clone_from(&self.avatar);
        attributes.phone.clone_from(&self.phone);
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({:?}, ..)", self.field)
    }
}

impl Change {
    /// A nickname of 1 to 64 characters after trimming; an empty one deletes the field.
    ///
    /// # Errors
    /// A constant text for the client.
    pub fn nickname(text: &str) -> Result<Self, &'static str> {
        // Each of these could disguise the text beside the name. Joiners stay: emoji of families
        // need them.
        let deceives = |c: char| {
            c.is_control()
                || matches!(
                    c,
                    '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fff9}'..='\u{fffb}'
                )
        };
        let text = text.trim();
        if text.chars().any(deceives) {
            return Err(
                "the nickname has control characters, line separators or marks that turn text around",
            );
        }
        if !text.is_empty() && text.chars().all(shows_nothing) {
            return Err("the nickname has no character that can be seen");
        }
        // Counted in code points: a family or a flag is one symbol and several of these. Refused
        // rather than cut, because a cut could split an emoji.
        if is_longer(ProfileField::Nickname, text.chars().count()) {
            return Err("the nickname is longer than 64 characters");
        }
        Ok(Self::new(ProfileField::Nickname, text))
    }

    /// An https URL or an absolute path; an empty text deletes the field.
    ///
    /// # Errors
    /// A constant text for the client.
    pub fn avatar(text: &str) -> Result<Self, &'static str> {
        if is_longer(ProfileField::Avatar, text.len()) {
            return Err("the avatar is longer than 512 bytes");
        }
        // The value ends up in the src attribute of a page. Other characters must be
        // percent-encoded in a URL anyway.
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&byte);
        let is_url = text.strip_prefix("https://").is_some_and(|rest| {
            let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"-._:[]".contains(&byte);
            !host.is_empty() && !host.bytes().any(odd) && reqwest::Url::parse(text).is_ok()
        });
        // `//host/x` is a URL too, of another host.
        let is_path = text.starts_with('/') && !text.starts_with("//");
        if text.is_empty() || text.bytes().all(plain) && (is_url || is_path) {
            return Ok(Self::new(ProfileField::Avatar, text));
        }
        Err("the avatar is no https URL and no absolute path, percent-encoded")
    }

    /// A phone number verified by WeChat.
    #[must_use]
    pub fn phone(number: &str) -> Self {
        Self::new(ProfileField::Phone, number)
    }

    /// Deletes the field.
    #[must_use]
    pub fn delete(field: ProfileField) -> Self {
        Self::new(field, "")
    }

    fn new(field: ProfileField, text: &str) -> Self {
        Self {
            field,
            value: Some(text.to_owned()).filter(|text| !text.is_empty()),
        }
    }
}

impl Profiles {
    /// Profiles of a directory that keeps `kept`; `None` if that is empty.
    #[must_use]
    pub fn new(users: UserDirectory, kept: &[ProfileField]) -> Option<Self> {
        let kept = kept.to_vec();
        (!kept.is_empty()).then_some(Self { users, kept })
    }

    /// The fields that are kept.
    #[must_use]
    pub fn kept(&self) -> &[ProfileField] {
        &self.kept
    }

    /// The profile of a current user id; empty for an unknown user.
    ///
    /// # Errors
    /// The directory cannot answer.
    pub async fn read(&self, user_id: &str) -> Result<Profile, StoreError> {
        match &self.users {
            UserDirectory::Redis(users) => users.profile(user_id, &self.kept).await,
            UserDirectory::Sql(users) => users.profile(user_id, &self.kept).await,
            UserDirectory::Memory(users) => Ok(users.profile(user_id, &self.kept)),
            UserDirectory::Webhook(_) | UserDirectory::Off => Ok(Profile::default()),
        }
    }

    /// Changes a user's profile, all fields or none; returns the current user id. Changes of fields
    /// that are not kept are ignored.
    ///
    /// # Errors
    /// As `ProfileError` says. After `Store` the change may have been made.
    pub async fn change(&self, user_id: &str, changes: &[Change]) -> Result<String, ProfileError> {
        let kept = |change: &&Change| self.kept.contains(&change.field);
        let changes: Vec<Change> = changes.iter().filter(kept).cloned().collect();
        let mut current = self.users.current_id(user_id).await?;
        for _ in 0..MAX_MERGES {
            if !changes.is_empty() {
                self.write(&current, &changes).await?;
            }
            // A merge in between may have moved the older data without this change.
            let now = self.users.current_id(&current).await?;
            if now == current {
                return Ok(current);
            }
            current = now;
        }
        Err(ProfileError::NoUser)
    }

    async fn write(&self, user_id: &str, changes: &[Change]) -> Result<(), ProfileError> {
        match &self.users {
            UserDirectory::Redis(users) => Ok(users.change_profile(user_id, changes).await?),
            UserDirectory::Sql(users) => users.change_profile(user_id, changes).await,
            UserDirectory::Memory(users) => {
                users.change_profile(user_id, changes);
                Ok(())
            }
            UserDirectory::Webhook(_) | UserDirectory::Off => Err(ProfileError::NoUser),
        }
    }
}

/// The length in the unit of `longest`.
fn length(field: ProfileField, value: &str) -> usize {
    match field {
        ProfileField::Nickname => value.chars().count(),
        ProfileField::Avatar | ProfileField::Phone => value.len(),
    }
}

/// Characters that join, select or fill, and are invisible by themselves.
fn shows_nothing(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{e0000}'..='\u{e0fff}'
        )
}

fn is_longer(field: ProfileField, length: usize) -> bool {
    u64::try_from(length).is_ok_and(|length| length > field.longest())
}

impl From<StoreError> for ProfileError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nickname(text: &str) -> Result<Option<String>, &'static str> {
        Change::nickname(text).map(|change| change.value)
    }

    #[test]
    fn a_name_of_any_script_and_any_emoji_passes_whole() {
        for name in [
            "小明",
            "Zo\u{eb}",
            "\u{1f600}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
            "\u{1f1e8}\u{1f1f3}",
            "\u{1f44d}\u{1f3fd}",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
            "\u{2764}\u{fe0f}",
            "\u{634}\u{200f} a",
        ] {
            assert_eq!(nickname(name), Ok(Some(name.to_owned())));
            assert_eq!(
                nickname(&format!(" \u{3000}{name}\n")),
                Ok(Some(name.to_owned()))
            );
        }
        let longest = "\u{1f600}".repeat(64);
        assert_eq!(nickname(&longest), Ok(Some(longest.clone())));
        assert_eq!(nickname(" \t"), Ok(None));
        assert_eq!(nickname(""), Ok(None));
    }

    #[test]
    fn a_name_that_would_deceive_or_is_too_long_is_refused() {
        for deceiving in [
            "a\u{0}b",
            "a\nb",
            "a\u{7f}b",
            "a\u{85}b",
            "a\u{2028}b",
            "a\u{2029}b",
            "a\u{202e}b",
            "\u{202a}b",
            "a\u{2066}b",
            "b\u{2069}",
            "a\u{61c}b",
            "a\u{fffa}b",
        ] {
            assert!(
                nickname(deceiving).unwrap_err().contains("control"),
                "{deceiving:?}"
            );
        }
        assert!(nickname(&"a".repeat(65)).unwrap_err().contains("64"));
        for unseen in [
            "\u{200b}",
            "\u{3164}\u{feff}",
            "\u{e0041}\u{fe0f}",
            "\u{2800}",
        ] {
            assert!(nickname(unseen).unwrap_err().contains("seen"), "{unseen:?}");
        }
        // For any content of a table.
        let mut profile = Profile::default();
        profile.set(ProfileField::Avatar, Some("data:".repeat(1000)));
        assert!(profile == Profile::default());
    }

    #[test]
    fn an_avatar_is_an_https_url_or_a_path_and_nothing_that_a_page_could_trip_over() {
        let longest = format!("https://cdn.example.com/{}", "a".repeat(488));
        for good in [
            "/a.png",
            "/",
            "https://thirdwx.qlogo.cn/mmopen/a?b=%20#c",
            "https://[::1]/a",
            &longest,
        ] {
            assert_eq!(Change::avatar(good).unwrap().value.as_deref(), Some(good));
        }
        assert_eq!(Change::avatar("").unwrap().value, None);
        for bad in [
            "//evil.example/a",
            "http://cdn.example.com/a",
            "javascript:alert(1)",
            "wxfile://tmp_a.png",
            "a.png",
            "https://",
            "https:///a",
            "https://[evil",
            "https://[::1]:99999/",
            "https://a:b:c:0/",
            "https://a%40b/",
            "https://a;b/",
            "https://u:p@cdn.example.com/a",
            "/a b",
            "/a\"b",
            "/\\evil.example",
            "/头.png",
            "/a'b",
            "/<a>",
            "https://cdn.example.com/a\r\nX: y",
        ] {
            let refused = Change::avatar(bad).unwrap_err();
            assert!(refused.contains("no https URL"), "{bad}: {refused}");
        }
        let refused = Change::avatar(&format!("{longest}a")).unwrap_err();
        assert!(refused.contains("longer than 512"), "{refused}");
    }

    #[test]
    fn debug_shows_no_profile() {
        let mut profile = Profile::default();
        profile.set(ProfileField::Phone, Some("13800000000".to_owned()));
        let shown = format!("{profile:?} {:?}", Change::phone("13800000000"));
        assert!(shown.contains("Profile") && shown.contains("Change"));
        assert!(!shown.contains("138"), "{shown}");
    }
}
