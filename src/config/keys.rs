//! The list of keys, made by the same code that reads them.

use toml::de::DeTable;

use super::read;
use super::reader::Cx;

/// One key of gateway.toml.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// `server.shutdown`, `routes`, `upstreams.NAME`; empty for a key at the top.
    pub table: String,
    /// Its name in that table.
    pub key: &'static str,
    /// As written in the file; for a key that follows others, what it usually comes to. `None` for one that must be
    /// written, or that has no default.
    pub default: Option<&'static str>,
    /// False for a key of a later version: only its default is accepted.
    pub available: bool,
}

impl KeyInfo {
    /// The table as it is written: `[server]`, `[[routes]]`.
    pub(super) fn header(&self) -> String {
        match self.table.as_str() {
            "apps" | "login" | "routes" => format!("[[{}]]", self.table),
            table => format!("[{table}]"),
        }
    }
}

/// Every key that gateway.toml may have, also those of later versions, in the order in which they are read.
#[must_use]
pub fn keys() -> Vec<KeyInfo> {
    let nothing = DeTable::new();
    let cx = Cx::new("", &|_| None, std::path::PathBuf::new());
    // Tables that are not written are read too, for their defaults: that names every key.
    let _ = read::tables(&cx, &nothing);
    cx.keys.take()
}
