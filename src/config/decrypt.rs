//! `[decrypt]`.

use super::keys;
use super::reader::{Reader, boolean};

/// `[decrypt]`: opening the data that WeChat encrypts for a user.
#[derive(Debug, Clone)]
pub struct Decrypt {
    /// Whether WeChat is asked about the session_key when data does not open. Default false.
    pub checksession: bool,
}

impl Decrypt {
    pub(super) fn read(table: &Reader<'_>) -> Option<Self> {
        let checksession = table.key(&keys::decrypt::CHECKSESSION, boolean);
        table.finish();
        Some(Self {
            checksession: checksession?,
        })
    }
}
