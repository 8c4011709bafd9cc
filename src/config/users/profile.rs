//! `users.profile`: the profile fields that the directory stores.

use super::{UserStore, Users};
use crate::config::identity::{Identity, TemplatePart};
use crate::config::keys;
use crate::config::reader::{Reader, choice, list};

/// A stored profile field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileField {
    /// `"nickname"`: the name that the user chose.
    Nickname,
    /// `"avatar"`: the URL of the picture.
    Avatar,
    /// `"phone"`: the phone number, verified by WeChat.
    Phone,
}

impl ProfileField {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nickname, Self::Avatar, Self::Phone];

    /// The name in gateway.toml, in JSON, and of the column in managed tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nickname => "nickname",
            Self::Avatar => "avatar",
            Self::Phone => "phone",
        }
    }

    /// Longest value in characters; for avatar and phone each is one byte.
    #[must_use]
    pub fn longest(self) -> u64 {
        match self {
            Self::Nickname => 64,
            Self::Avatar => 512,
            Self::Phone => 40,
        }
    }

    /// The placeholder in `identity.headers`.
    fn part(self) -> TemplatePart {
        match self {
            Self::Nickname => TemplatePart::Nickname,
            Self::Avatar => TemplatePart::Avatar,
            Self::Phone => TemplatePart::Phone,
        }
    }
}

/// Each field once.
pub(super) fn read(table: &Reader<'_>) -> Option<Vec<ProfileField>> {
    let words = ProfileField::ALL.map(|field| (field.name(), field));
    let written = table.key(&keys::users::PROFILE, list(choice(&words)))?;
    let is_kept = |field: &ProfileField| written.contains(field);
    Some(ProfileField::ALL.into_iter().filter(is_kept).collect())
}

/// Refuses fields that the store cannot hold.
pub(super) fn check(table: &Reader<'_>, users: &Users) {
    if users.profile.is_empty() {
        return;
    }
    if matches!(users.store, UserStore::Webhook(_) | UserStore::Off) {
        let help = "write users.store = \"redis\" or \"sql\", or leave the profile out";
        let what = "there is no directory of the gateway's that could keep it";
        table.error("profile", what, Some(help.to_owned()));
    }
    if matches!(&users.store, UserStore::Sql(sql) if sql.existing.is_some()) {
        let help = "leave the profile out, or users.sql.table: tables of the gateway's own keep it";
        let what = "users.sql.table keeps no profiles";
        table.error("profile", what, Some(help.to_owned()));
    }
}

/// Warns of fields that are used but not stored, or stored but never set.
pub(in crate::config) fn warn(
    table: &Reader<'_>,
    users: &Users,
    identity: &Identity,
    phones: bool,
) {
    for field in ProfileField::ALL {
        let (name, kept) = (field.name(), users.profile.contains(&field));
        let told = |(_, template): &&(_, crate::config::identity::Template)| {
            template.0.contains(&field.part())
        };
        if let Some((header, _)) = identity.headers.iter().find(told)
            && !kept
        {
            let what = format!(
                "the header `{header}` of identity.headers tells the {name}, which is not kept"
            );
            table.warning("profile", &what, &format!("add \"{name}\" here"));
        }
    }
    if users.profile.contains(&ProfileField::Phone) && !phones {
        let help = "write phone.enabled = true: numbers come from WeChat alone";
        table.warning("profile", "no phone number is ever set", help);
    }
}
