//! The list of keys, made by the same code that reads them.

use toml::de::DeTable;

use super::reader::{Cx, KeyInfo};
use super::{read, removed};

/// Every key that gateway.toml may have, also those of later versions, in the order in which they
/// are read.
#[must_use]
pub fn keys() -> Vec<KeyInfo> {
    let nothing = DeTable::new();
    let cx = Cx::new("", &|_| None, std::path::PathBuf::new(), removed::cure);
    // Tables that are not written are read too, for their defaults: that names every key.
    let _ = read::tables(&cx, &nothing);
    cx.keys.take()
}
