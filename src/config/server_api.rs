//! `[phone]`: what is offered of WeChat's server API.

use super::reader::Reader;
use super::value::boolean;

/// `[phone]`.
#[derive(Debug, Clone)]
pub struct PhoneNumbers {
    /// Whether `POST /_gateway/phone` is there. Default false: WeChat charges for each number.
    pub enabled: bool,
}

impl PhoneNumbers {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let enabled = table.key("enabled", "false", boolean);
        table.finish();
        Some(Self { enabled: enabled? })
    }
}
