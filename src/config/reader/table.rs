//! Reading tables. A table's reader function names each declared key (`config/keys/`) once, with
//! how it is read; from that one line come the value, the report of unknown keys, and "did you
//! mean". Reading goes on after a problem, with the key's default in the place of what was
//! wrong.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::cx::{Cx, Unknown, alone};
use super::key::{Key, KeyInfo, Reload};
use super::source::line;
use super::value::{Value, comparable};
use crate::secret::Secret;

/// One table of the file, or one that was not written and has only defaults.
pub(in crate::config) struct Reader<'a> {
    pub(in crate::config) cx: &'a Cx<'a>,
    pub(super) table: Option<&'a DeTable<'a>>,
    pub(super) span: Range<usize>,
    /// As in the list of keys: `server.shutdown`, `upstreams.NAME`.
    pub(super) path: String,
    /// What messages start with: `server.`, or "route `/api`: ".
    pub(super) label: String,
    /// Whether this is the table that goes into the list of keys: of several entries the first.
    pub(super) listed: bool,
    pub(super) declared: RefCell<Vec<&'static str>>,
}

impl<'a> Reader<'a> {
    /// The file itself.
    pub(in crate::config) fn top(cx: &'a Cx<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(cx, Some(table), 0..0, String::new(), String::new())
    }

    pub(super) fn new(
        cx: &'a Cx<'a>,
        table: Option<&'a DeTable<'a>>,
        span: Range<usize>,
        path: String,
        label: String,
    ) -> Self {
        Self {
            cx,
            table,
            span,
            path,
            label,
            listed: true,
            declared: RefCell::default(),
        }
    }

    /// Whether the table stands in the file.
    pub(in crate::config) fn written(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the key stands in the file.
    pub(in crate::config) fn has(&self, name: &str) -> bool {
        self.item(name).is_some()
    }

    /// Where a key's value is, else where its table is.
    pub(in crate::config) fn at(&self, name: &str) -> Range<usize> {
        self.item(name)
            .map_or_else(|| self.span.clone(), Spanned::span)
    }

    /// The line of a key, from 1; else of its table.
    pub(in crate::config) fn line(&self, name: &str) -> usize {
        line(self.cx.text, self.at(name).start)
    }

    /// Reports an error at a key, the message starting with this table and the key.
    pub(in crate::config) fn error(&self, name: &str, what: &str, help: Option<String>) {
        self.cx
            .error(self.at(name), format!("{}{name}: {what}", self.label), help);
    }

    /// Reports a warning at a key, the message starting with this table and the key.
    pub(in crate::config) fn warning(&self, name: &str, what: &str, help: &str) {
        self.cx
            .warning(self.at(name), format!("{}{name}: {what}", self.label), help);
    }

    /// Reports a warning at the table itself.
    pub(in crate::config) fn table_warning(&self, what: &str, help: &str) {
        self.cx.warning(
            self.span.clone(),
            format!("{}{what}", alone(&self.label)),
            help,
        );
    }

    /// A key with a default, which is written as in the file.
    pub(in crate::config) fn key<T>(
        &self,
        key: &'static Key,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        self.declare(key, false);
        self.note(key, key.default);
        let written = self.value(key.name).and_then(|value| read(&value));
        written.or_else(|| self.read_default(key.name, key.default?, read))
    }

    /// A key whose default depends on other keys: `None` when it is not written, or wrong.
    pub(in crate::config) fn optional<T>(
        &self,
        key: &'static Key,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        self.declare(key, false);
        self.note(key, None);
        self.value(key.name).and_then(|value| read(&value))
    }

    /// A key that must be written.
    pub(in crate::config) fn required<T>(
        &self,
        key: &'static Key,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        self.declare(key, true);
        self.note(key, None);
        match self.value(key.name) {
            Some(value) => read(&value),
            None => self.missing(key.name),
        }
    }

    /// Reports a missing key, if the table is written at all.
    pub(in crate::config) fn missing<T>(&self, name: &str) -> Option<T> {
        if self.written() {
            self.cx.error(
                self.span.clone(),
                format!("{}`{name}` is missing", alone(&self.label)),
                None,
            );
        }
        None
    }

    /// A key of a later version: known, and refused with anything but the value that means what is
    /// done without it.
    pub(in crate::config) fn later(&self, name: &'static str, off: &'static str) {
        self.list(KeyInfo {
            table: self.path.clone(),
            key: name,
            default: Some(off),
            declared: None,
            required: false,
        });
        let Some(value) = self.value(name) else {
            return;
        };
        let is_off = DeValue::parse(off).is_ok_and(|off| same(value.item, off.get_ref()));
        if !is_off {
            let help = format!(
                "leave it out, or write {}",
                if off == "{}" { "nothing in it" } else { off }
            );
            value.problem::<()>("not available in this version", Some(help));
        }
    }

    /// A table inside this one, `[server.shutdown]` or `{ … }`; when it is not written, one with
    /// defaults only.
    pub(in crate::config) fn table(&self, name: &'static str) -> Self {
        self.declared.borrow_mut().push(name);
        let (table, span) = match self.item(name) {
            None => (None, self.span.clone()),
            Some(item) => match item.get_ref() {
                DeValue::Table(table) => (Some(table), item.span()),
                _ => {
                    let help = Some(format!("write [{}]", self.inner_path(name)));
                    self.cx.error(
                        item.span(),
                        format!("{}{name}: is not a table", self.label),
                        help,
                    );
                    (None, item.span())
                }
            },
        };
        self.inner(name, table, span)
    }

    /// Reader of a table that is the value of a key which may be something else too; not written:
    /// defaults only.
    pub(in crate::config) fn table_value(&self, name: &'static str) -> Self {
        let item = self.item(name);
        let table = item.and_then(|item| item.get_ref().as_table());
        self.inner(
            name,
            table,
            item.map_or_else(|| self.span.clone(), Spanned::span),
        )
    }

    fn inner(&self, name: &str, table: Option<&'a DeTable<'a>>, span: Range<usize>) -> Self {
        let mut inner = Self::new(
            self.cx,
            table,
            span,
            self.inner_path(name),
            format!("{}{name}.", self.label),
        );
        inner.listed = self.listed;
        inner
    }

    /// Notes every key that was not asked for. Call it when all were.
    pub(in crate::config) fn finish(&self) {
        let Some(table) = self.table else { return };
        let known = self.declared.borrow();
        for (key, value) in table.iter() {
            let name = key.get_ref().as_ref();
            if !known.contains(&name) {
                // It may be a secret's name, misspelt beyond recognition.
                if matches!(value.get_ref(), DeValue::String(_)) {
                    self.cx.hidden.borrow_mut().push(value.span());
                }
                self.cx.unknown.borrow_mut().push(Unknown {
                    span: key.span(),
                    table: self.path.clone(),
                    label: self.label.clone(),
                    name: name.to_owned(),
                    known: known.clone(),
                });
            }
        }
    }

    /// The value of a key, for a second look.
    pub(in crate::config) fn value(&self, name: &str) -> Option<Value<'a>> {
        let item = self.item(name)?;
        let label = format!("{}{name}", self.label);
        Some(Value {
            cx: self.cx,
            item: item.get_ref(),
            span: item.span(),
            label,
        })
    }

    pub(super) fn item(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table.and_then(|table| table.get(name))
    }

    fn read_default<T>(
        &self,
        name: &str,
        default: &str,
        read: impl Fn(&Value<'_>) -> Option<T>,
    ) -> Option<T> {
        let item = DeValue::parse(default).ok()?;
        let label = format!("{}{name} (its default)", self.label);
        read(&Value {
            cx: self.cx,
            item: item.get_ref(),
            span: self.span.clone(),
            label,
        })
    }

    pub(super) fn declare(&self, key: &'static Key, required: bool) {
        self.list(KeyInfo {
            table: self.path.clone(),
            key: key.name,
            default: key.default,
            declared: Some(key),
            required,
        });
    }

    fn list(&self, key: KeyInfo) {
        self.declared.borrow_mut().push(key.key);
        if self.listed {
            self.cx.keys.borrow_mut().push(key);
        }
    }

    /// Notes the value of a key that a reload cannot change, to be compared with the next file's.
    fn note(&self, key: &'static Key, default: Option<&str>) {
        let written = self.value(key.name).map(|value| value.comparable());
        if key.reload == Reload::Restart
            && let Some(text) = written.or_else(|| default.map(|text| self.comparable(text)))
        {
            self.note_text(key.name, &text);
        }
    }

    /// As `note`, of a text that another key may hold or lead to, as the path of a secret's file
    /// does.
    pub(super) fn note_text(&self, name: &str, text: &str) {
        let mut fixed = self.cx.fixed.borrow_mut();
        fixed.insert(self.inner_path(name), Secret::new(text));
    }

    fn comparable(&self, default: &str) -> String {
        let item = DeValue::parse(default);
        item.map_or_else(
            |_| String::new(),
            |item| comparable(item.get_ref(), self.cx.environment),
        )
    }

    fn inner_path(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }
}

/// Whether two values say the same.
fn same(left: &DeValue<'_>, right: &DeValue<'_>) -> bool {
    match (left, right) {
        (DeValue::String(left), DeValue::String(right)) => left == right,
        (DeValue::Integer(left), DeValue::Integer(right)) => left.as_str() == right.as_str(),
        (DeValue::Boolean(left), DeValue::Boolean(right)) => left == right,
        (DeValue::Array(left), DeValue::Array(right)) => left.is_empty() && right.is_empty(),
        (DeValue::Table(left), DeValue::Table(right)) => left.is_empty() && right.is_empty(),
        _ => false,
    }
}
