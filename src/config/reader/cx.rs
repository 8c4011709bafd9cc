//! Shared by all readers of one file: its text, the problems found, the keys that were read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use super::key::KeyInfo;
use super::nearest::nearest;
use super::problem::Severity;
use super::source::Finding;
use crate::secret::Secret;

/// State shared by all readers of one file.
pub(in crate::config) struct Cx<'a> {
    pub(super) text: &'a str,
    pub(in crate::config) environment: &'a dyn Fn(&str) -> Option<String>,
    /// Of gateway.toml: where relative paths of secret files start.
    pub(in crate::config) folder: PathBuf,
    /// The cure for a key of an earlier version, by table and name.
    removed: fn(&str, &str) -> Option<&'static str>,
    /// Files that the configuration names and that were read, or could not be.
    pub(in crate::config) files: RefCell<Vec<PathBuf>>,
    pub(in crate::config) found: RefCell<Vec<Finding>>,
    pub(in crate::config) keys: RefCell<Vec<KeyInfo>>,
    /// Values of keys that a reload cannot change, by the full name of the key.
    pub(in crate::config) fixed: RefCell<BTreeMap<String, Secret>>,
    /// Values that no report shows, beside those of secrets.
    pub(in crate::config) hidden: RefCell<Vec<Range<usize>>>,
    pub(super) unknown: RefCell<Vec<Unknown>>,
}

/// A key that its table does not have.
pub(super) struct Unknown {
    pub(super) span: Range<usize>,
    /// Its table, as in the list of keys.
    pub(super) table: String,
    pub(super) label: String,
    pub(super) name: String,
    pub(super) known: Vec<&'static str>,
}

impl<'a> Cx<'a> {
    pub(in crate::config) fn new(
        text: &'a str,
        environment: &'a dyn Fn(&str) -> Option<String>,
        folder: PathBuf,
        removed: fn(&str, &str) -> Option<&'static str>,
    ) -> Self {
        Self {
            text,
            environment,
            folder,
            removed,
            files: RefCell::default(),
            found: RefCell::default(),
            keys: RefCell::default(),
            fixed: RefCell::default(),
            hidden: RefCell::default(),
            unknown: RefCell::default(),
        }
    }

    /// Reports the unknown keys; after all tables were read, since a key may belong to another
    /// table.
    pub(in crate::config) fn report_unknown(&self) {
        for Unknown {
            span,
            table,
            label,
            name,
            known,
        } in self.unknown.take()
        {
            if let Some(cure) = (self.removed)(&table, &name) {
                let what = format!("{label}{name}: is no longer a key");
                self.error(span, what, Some(cure.to_owned()));
                continue;
            }
            let keys = self.keys.borrow();
            let elsewhere = keys
                .iter()
                .filter(|key| key.key == name && !key.table.is_empty())
                .min_by_key(|key| (!key.is_available(), key.table.len()));
            let help = match (nearest(&name, known.iter().copied()), elsewhere) {
                (Some(word), _) => format!("did you mean `{word}`?"),
                (None, Some(key)) => format!("`{name}` is a key of {}", key.header()),
                (None, None) => format!("known here: {}", known.join(", ")),
            };
            drop(keys);
            self.error(
                span,
                format!("{}there is no key `{name}`", alone(&label)),
                Some(help),
            );
        }
    }

    /// Reports an error at a place.
    pub(in crate::config) fn error(
        &self,
        span: Range<usize>,
        message: String,
        help: Option<String>,
    ) {
        self.found.borrow_mut().push(Finding {
            severity: Severity::Error,
            span,
            message,
            help,
        });
    }

    /// Reports a warning at a place.
    pub(in crate::config) fn warning(&self, span: Range<usize>, message: String, help: &str) {
        self.found.borrow_mut().push(Finding {
            severity: Severity::Warning,
            span,
            message,
            help: Some(help.to_owned()),
        });
    }
}

/// A label that no key follows: a table's ends with a dot, an entry's with a colon.
pub(super) fn alone(label: &str) -> String {
    label
        .strip_suffix('.')
        .map_or_else(|| label.to_owned(), |table| format!("{table}: "))
}
