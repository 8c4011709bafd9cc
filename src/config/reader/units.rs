//! Durations and sizes as they are written: a whole number and a unit.

use std::time::Duration;

use super::fault::Fault;

const DURATIONS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
const SIZES: [(&str, u64); 4] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads `"300ms"`, `"30s"`, `"10m"`, `"2h"`, `"7d"`.
pub(in crate::config) fn parse_duration(text: &str) -> Result<Duration, Fault> {
    parse(text, &DURATIONS)
        .map(Duration::from_millis)
        .ok_or_else(|| {
            let fault = Fault::new("is not a duration");
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
                return fault.respelled(format!("write the unit too: \"{text}s\" for seconds"));
            }
            fault.help("write a whole number and one of ms, s, m, h, d, as in \"30s\"")
        })
}

/// As gateway.toml writes a duration; `None` for what is none.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    parse_duration(text).ok()
}

/// Reads `"512B"`, `"32KiB"`, `"20MiB"`, `"1GiB"` as bytes.
pub(in crate::config) fn parse_size(text: &str) -> Result<u64, Fault> {
    parse(text, &SIZES).ok_or_else(|| {
        let fault = Fault::new("is not a size");
        let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let unit = match text
            .get(number.len()..)
            .map(str::to_ascii_uppercase)
            .as_deref()
        {
            Some("K" | "KB" | "KIB") => "KiB",
            Some("" | "M" | "MB" | "MIB") => "MiB",
            Some("G" | "GB" | "GIB") => "GiB",
            _ => {
                return fault
                    .help("write a whole number and one of B, KiB, MiB, GiB, as in \"20MiB\"");
            }
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return fault.help("write a whole number and one of B, KiB, MiB, GiB, as in \"20MiB\"");
        }
        fault.respelled(format!("write \"{number}{unit}\""))
    })
}

/// A duration as it would be written, in its largest whole unit; parts of a millisecond are
/// dropped.
pub(in crate::config) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    show(millis, &DURATIONS)
}

/// A size as it would be written, in its largest whole unit.
pub(in crate::config) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = units
        .iter()
        .find(|(_, factor)| amount.is_multiple_of(*factor) && amount >= *factor);
    let (unit, factor) = fits.copied().unwrap_or(("", 1));
    format!("{}{unit}", amount / factor)
}
