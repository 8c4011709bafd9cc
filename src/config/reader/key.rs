//! One key of gateway.toml, declared once: from the declaration come its reading, the commented
//! example, the reference, the JSON Schema, and whether a change of it needs a restart.

use std::fmt;

/// The declaration of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Its name in its table.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: Kind,
    /// As written in the file; for a default derived from other keys, its usual value. `None` for a
    /// key that is required, or has no default.
    pub default: Option<&'static str>,
    /// A description, in Markdown. The first sentence stands alone, in the commented example.
    pub about: &'static str,
    /// Whether a reload applies a change.
    pub reload: Reload,
}

/// The kind of a value, as people and editors are told it. Ranges and grammars are the reader's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A number from 0.0 to 1.0.
    Share,
    /// A text such as `"30s"`.
    Duration,
    /// A text such as `"20MiB"`.
    Size,
    /// A text such as `"50/s"`.
    Rate,
    /// A text that is never shown.
    Secret,
    /// A text; the noun says of what.
    Text(&'static str),
    /// One of a few texts.
    Word(&'static [&'static str]),
    /// A list of one kind.
    List(&'static Self),
    /// A table of free names and texts; the noun says of what.
    Names(&'static str),
    /// A table with keys of its own, which are declared under its name.
    Table,
    /// One of several kinds.
    Or(&'static [Self]),
}

/// Whether a change of a key needs a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// A reload applies it.
    Live,
    /// It is used at start alone.
    Restart,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer => f.write_str("number"),
            Self::Share => f.write_str("number from 0.0 to 1.0"),
            Self::Duration => f.write_str("duration"),
            Self::Size => f.write_str("size"),
            Self::Rate => f.write_str("rate"),
            Self::Secret => f.write_str("secret"),
            Self::Text(noun) => f.write_str(noun),
            Self::Word(words) => {
                for (index, word) in words.iter().enumerate() {
                    let joint = if index == 0 { "" } else { ", " };
                    write!(f, "{joint}`\"{word}\"`")?;
                }
                Ok(())
            }
            Self::List(Self::Text("path")) => f.write_str("list of paths"),
            Self::List(Self::Text("address")) => f.write_str("list of addresses"),
            Self::List(kind @ Self::Word(_)) => write!(f, "list of {kind}"),
            Self::List(kind) => write!(f, "list of {kind}s"),
            Self::Names(noun) => write!(f, "table of {noun}"),
            Self::Table => f.write_str("table"),
            Self::Or(kinds) => {
                for (index, kind) in kinds.iter().enumerate() {
                    write!(f, "{}{kind}", if index == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
        }
    }
}

/// A key where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// `server.shutdown`, `routes`, `upstreams.NAME`; empty for a key at the top.
    pub table: String,
    /// Its name in that table.
    pub key: &'static str,
    /// As written in the file; for a default derived from other keys, its usual value. `None` for a
    /// key that is required, or has no default.
    pub default: Option<&'static str>,
    /// The declaration; `None` for a key of a later version, of which only the default is accepted.
    pub declared: Option<&'static Key>,
    /// Whether its table must have it.
    pub required: bool,
}

impl KeyInfo {
    /// Whether this version knows what to do with it.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.declared.is_some()
    }

    /// The table as it is written: `[server]`, `[[routes]]`.
    pub(super) fn header(&self) -> String {
        match self.table.as_str() {
            "apps" | "login" | "routes" => format!("[[{}]]", self.table),
            table => format!("[{table}]"),
        }
    }
}
