//! One key of gateway.toml.

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
