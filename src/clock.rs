//! The one place that reads the wall clock. Deadlines use tokio's clock instead, which tests can pause.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970. A clock set before that reads as 0.
#[expect(clippy::disallowed_methods, reason = "this is the one clock function")]
#[must_use]
pub fn unix_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// For warnings that others can bring about as often as they like.
#[derive(Debug, Default)]
pub struct OnceAMinute(AtomicU64);

impl OnceAMinute {
    /// Whether a minute has passed since it last was.
    pub fn is_due(&self) -> bool {
        let now = unix_seconds();
        let last = self.0.load(Ordering::Relaxed);
        let won = || {
            let exchanged =
                (self.0).compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
            exchanged.is_ok()
        };
        now.abs_diff(last) >= 60 && won()
    }
}

/// Writes the time now: RFC 3339 in UTC with milliseconds.
///
/// # Errors: those of `out`.
pub fn write_timestamp(out: &mut impl fmt::Write) -> fmt::Result {
    let shown = shown(unix_millis());
    out.write_str(str::from_utf8(&shown).unwrap_or_default())?;
    out.write_char('Z')
}

/// A moment in seconds since 1970 as `2026-11-21T15:56:38Z`.
#[must_use]
pub fn timestamp(unix_seconds: u64) -> String {
    let shown = shown(unix_seconds.saturating_mul(1000));
    let mut text = str::from_utf8(&shown).unwrap_or_default().to_owned();
    text.truncate("2026-11-21T15:56:38".len());
    text.push('Z');
    text
}

/// Digit by digit, since each line of the log begins with it and the formatting of numbers costs ten times that.
fn shown(unix_millis: u64) -> [u8; 23] {
    let (days, millis) = (unix_millis / 86_400_000, unix_millis % 86_400_000);
    let (year, month, day) = civil(days);
    let seconds = millis / 1000;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (century, year) = (year / 100 % 100, year % 100);
    let mut text = *b"0000-00-00T00:00:00.000";
    for (at, number) in [
        (0, century),
        (2, year),
        (5, month),
        (8, day),
        (11, hour),
        (14, minute),
        (17, second),
        (21, millis % 100),
    ] {
        if let Some([tens, ones]) = text.get_mut(at..at + 2) {
            (*tens, *ones) = (digit(number / 10), digit(number));
        }
    }
    text[20] = digit(millis / 100);
    text
}

/// The last one of a number.
fn digit(number: u64) -> u8 {
    b'0' + (number % 10).to_le_bytes()[0]
}

/// Year, month and day of a count of days since 1970-01-01. Years are taken to begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year_of_era + era * 400 + carry, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_once_per_interval() {
        let warning = OnceAMinute::default();
        assert!(warning.is_due());
        assert!(!warning.is_due());

        warning.0.fetch_sub(60, Ordering::Relaxed);
        assert!(warning.is_due());
    }

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
        assert_eq!(timestamp(1_795_276_598), "2026-11-21T15:56:38Z");
        assert_eq!(&shown(1_795_276_598_042), b"2026-11-21T15:56:38.042");
    }
}
