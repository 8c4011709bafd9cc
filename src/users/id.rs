//! User ids: 53 bits, which JavaScript represents exactly; ordered by time, so that the older of
//! two is the smaller; with random low bits, so that they cannot be enumerated.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

use crate::store_error::StoreError;

/// 2024-01-01T00:00:00Z in milliseconds since 1970. 41 bits of milliseconds from there last until
/// 2093.
const START_MILLIS: u64 = 1_704_067_200_000;
const RANDOM_BITS: u32 = 12;
const TIME_MASK: u64 = (1 << 41) - 1;

/// A number above 0 and below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UserId(u64);

impl UserId {
    /// Draws one of the 4096 ids of this millisecond. The caller must claim it before it is
    /// returned to a user.
    pub(super) fn draw(unix_millis: u64) -> Result<Self, StoreError> {
        let mut random = [0; 2];
        SystemRandom::new()
            .fill(&mut random)
            .map_err(|_| StoreError::Unavailable {
                cause: "drawing a user id: the operating system gave no random numbers".to_owned(),
            })?;
        let time = unix_millis.saturating_sub(START_MILLIS).max(1) & TIME_MASK;
        let low = u64::from(u16::from_be_bytes(random)) & ((1 << RANDOM_BITS) - 1);
        Ok(Self((time << RANDOM_BITS) | low))
    }

    /// Itself, or the successor of `last` if it is not above that.
    pub(super) fn after(self, last: Self) -> Self {
        Self(self.0.max(last.0 + 1))
    }

    /// The form for databases.
    pub(super) fn as_i64(self) -> i64 {
        // Below 2^53, so the conversion never fails.
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The ids that openid and unionid led to or passed and that were merged into `stays`; each
    /// once, in order.
    pub(super) fn merged(stays: Self, passed: impl IntoIterator<Item = Self>) -> Vec<String> {
        let mut merged: Vec<String> = Vec::new();
        for id in passed {
            let text = id.to_string();
            if id != stays && !merged.contains(&text) {
                merged.push(text);
            }
        }
        merged
    }

    /// Parses a stored id; `None` for a form that skeygate never writes.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let id: u64 = text.parse().ok()?;
        let ours = (1..1 << 53).contains(&id) && text == id.to_string();
        ours.then_some(Self(id))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_in_order_of_time_and_fit_a_javascript_number() {
        let early = UserId::draw(1_800_000_000_000).unwrap();
        let late = UserId::draw(1_800_000_000_001).unwrap();
        assert!(early < late);
        let last = UserId::draw(START_MILLIS + TIME_MASK).unwrap();
        assert!(last.0 < 1 << 53);
        assert!(UserId::draw(0).unwrap().0 > 0);
    }

    #[test]
    fn only_the_written_form_of_an_id_is_parsed() {
        let id = UserId::draw(1_800_000_000_000).unwrap();
        assert_eq!(UserId::parse(&id.to_string()), Some(id));
        for text in [
            "",
            "0",
            "+5",
            "05",
            " 5",
            "5 ",
            "-5",
            "9007199254740992",
            "x",
        ] {
            assert_eq!(UserId::parse(text), None, "{text:?}");
        }
    }
}
