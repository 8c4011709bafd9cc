//! One value of the file, and how it becomes what the tables hold. Each reader reports what is
//! wrong at the value's own place and returns `None`; nothing stops at the first problem.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::cx::Cx;
use super::environment;
use super::fault::Fault;
use super::mask;
use super::nearest::did_you_mean;
use super::units::{parse_duration, parse_size, show_duration, show_size};

/// A value with its place and what its messages start with.
pub(in crate::config) struct Value<'a> {
    pub(in crate::config) cx: &'a Cx<'a>,
    pub(in crate::config) item: &'a DeValue<'a>,
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) label: String,
}

impl<'a> Value<'a> {
    /// Reports; always `None`, so that a reader can end with it.
    pub(in crate::config) fn problem<T>(
        &self,
        what: impl Display,
        help: Option<String>,
    ) -> Option<T> {
        self.cx
            .error(self.span.clone(), format!("{}: {what}", self.label), help);
        None
    }

    /// A value inside this one, under the same label.
    pub(in crate::config) fn inside(&self, item: &'a Spanned<DeValue<'a>>) -> Self {
        Self {
            cx: self.cx,
            item: item.get_ref(),
            span: item.span(),
            label: self.label.clone(),
        }
    }

    /// The string, environment variables filled in.
    pub(in crate::config) fn text(&self) -> Option<String> {
        let DeValue::String(text) = self.item else {
            return self.wrong("a text in quotes");
        };
        match environment::fill(text, self.cx.environment) {
            Ok(filled) => Some(filled),
            Err(fault) => self.problem(fault.what, fault.help),
        }
    }

    /// The value as one text, variables filled in: equal where two files say the same.
    pub(super) fn comparable(&self) -> String {
        comparable(self.item, self.cx.environment)
    }

    /// Reports the fault of this value. The text is quoted as written in the file, with `${NAME}`
    /// unresolved: a variable's value may be a secret in the wrong place.
    pub(in crate::config) fn fault<T>(&self, text: &str, fault: Fault) -> Option<T> {
        let raw = self.item.as_str().unwrap_or(text);
        let Fault {
            what, help, quote, ..
        } = if raw == text {
            fault
        } else {
            fault.without_pieces()
        };
        if !quote {
            return self.problem(what, help);
        }
        if text.is_empty() {
            return self.problem(format!("the empty text {what}"), help);
        }
        let line_ends = |c: char| if c.is_control() { '…' } else { c };
        let shown: String = mask::without_user_info(raw)
            .chars()
            .map(line_ends)
            .collect();
        self.problem(format!("`{shown}` {what}"), help)
    }

    /// Reports that the value is of another kind.
    pub(in crate::config) fn wrong<T>(&self, wanted: &str) -> Option<T> {
        let (is, help) = match self.item {
            DeValue::String(_) => ("a text in quotes", None),
            DeValue::Integer(_) => ("a bare number", None),
            DeValue::Float(_) => ("a number with a fraction", None),
            DeValue::Boolean(_) => ("true or false", None),
            DeValue::Datetime(_) => ("a date", Some("put it in quotes".to_owned())),
            DeValue::Array(_) => ("a list", None),
            DeValue::Table(_) => ("a table", None),
        };
        self.problem(format!("is {is}, where {wanted} is needed"), help)
    }
}

pub(super) fn comparable(
    item: &DeValue<'_>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> String {
    match item {
        DeValue::String(text) => {
            let filled = environment::fill(text, environment);
            format!("{:?}", filled.as_deref().unwrap_or(text))
        }
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items = items.iter();
            let items: Vec<String> = items
                .map(|item| comparable(item.get_ref(), environment))
                .collect();
            format!("[{}]", items.join(","))
        }
        DeValue::Table(table) => {
            let pairs = table.iter();
            let pairs: Vec<String> = pairs
                .map(|(name, item)| {
                    format!(
                        "{:?}={}",
                        name.get_ref(),
                        comparable(item.get_ref(), environment)
                    )
                })
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
    }
}

/// A text that `parse` understands.
pub(in crate::config) fn text<T>(
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> impl Fn(&Value<'_>) -> Option<T> {
    move |value: &Value<'_>| {
        let text = value.text()?;
        parse(&text).map_or_else(|fault| value.fault(&text, fault), Some)
    }
}

/// As `text`, but the empty text is `None`.
pub(in crate::config) fn text_or_none<T>(
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> impl Fn(&Value<'_>) -> Option<Option<T>> {
    text(move |text: &str| {
        if text.is_empty() {
            Ok(None)
        } else {
            parse(text).map(Some)
        }
    })
}

/// One of a few words.
pub(in crate::config) fn choice<T: Clone>(
    words: &[(&'static str, T)],
) -> impl Fn(&Value<'_>) -> Option<T> {
    let words = words.to_vec();
    text(move |text: &str| choose(text, &words))
}

/// The meaning of a word.
pub(in crate::config) fn choose<T: Clone>(
    text: &str,
    words: &[(&'static str, T)],
) -> Result<T, Fault> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(meaning.clone());
    }
    let known: Vec<String> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    let help = did_you_mean(text, words.iter().map(|(word, _)| *word))
        .unwrap_or_else(|| format!("write one of {}", known.join(", ")));
    Err(Fault::new("is not known here").help(help))
}

/// A list; each element is read, so that each bad one is reported.
pub(in crate::config) fn list<T>(
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>) -> Option<Vec<T>> {
    move |value: &Value<'_>| {
        let DeValue::Array(items) = value.item else {
            return value.wrong("a list in [ ]");
        };
        let read: Vec<Option<T>> = items.iter().map(|item| read(&value.inside(item))).collect();
        read.into_iter().collect()
    }
}

/// A list with at least one element.
pub(in crate::config) fn filled_list<T>(
    read: impl Fn(&Value<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>) -> Option<Vec<T>> {
    let read = list(read);
    move |value: &Value<'_>| {
        let items = read(value)?;
        if items.is_empty() {
            value.problem("is an empty list; at least one is needed", None)
        } else {
            Some(items)
        }
    }
}

/// A table of free names, in their alphabetical order. `read` gets the name and its value.
pub(in crate::config) fn map<T>(
    read: impl Fn(&Value<'_>, &Value<'_>) -> Option<T>,
) -> impl Fn(&Value<'_>) -> Option<Vec<T>> {
    move |value: &Value<'_>| {
        let DeValue::Table(table) = value.item else {
            return value.wrong("a table { name = \"value\" }");
        };
        let read = |(name, item): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
            let text = DeValue::String(std::borrow::Cow::Borrowed(AsRef::<str>::as_ref(
                name.get_ref(),
            )));
            let name = Value {
                cx: value.cx,
                item: &text,
                span: name.span(),
                label: value.label.clone(),
            };
            read(
                &name,
                &Value {
                    cx: value.cx,
                    item: item.get_ref(),
                    span: item.span(),
                    label: value.label.clone(),
                },
            )
        };
        let read: Vec<Option<T>> = table.iter().map(read).collect();
        read.into_iter().collect()
    }
}

/// A whole number in a range.
pub(in crate::config) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&Value<'_>) -> Option<T>
where
    T: Copy + PartialOrd + Display + TryFrom<i64>,
{
    move |value: &Value<'_>| {
        let DeValue::Integer(written) = value.item else {
            return value.wrong("a whole number without quotes");
        };
        let number = i64::from_str_radix(written.as_str(), written.radix()).ok();
        let number = number
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| range.contains(number));
        if number.is_none() {
            let (least, most) = (range.start(), range.end());
            return value.problem(
                format!("`{written}` is out of range"),
                Some(format!("write {least} to {most}")),
            );
        }
        number
    }
}

/// A number from 0 to 1.
pub(in crate::config) fn share(value: &Value<'_>) -> Option<f64> {
    let number: Option<f64> = match value.item {
        DeValue::Float(written) => written.as_str().parse().ok(),
        DeValue::Integer(written) => written.as_str().parse().ok(),
        _ => return value.wrong("a number from 0.0 to 1.0"),
    };
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.or_else(|| value.problem("is out of range", Some("write 0.0 to 1.0".to_owned())))
}

/// `true` or `false`.
pub(in crate::config) fn boolean(value: &Value<'_>) -> Option<bool> {
    match value.item {
        DeValue::Boolean(yes) => Some(*yes),
        _ => value.wrong("true or false, without quotes,"),
    }
}

/// A duration in a range.
pub(in crate::config) fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&Value<'_>) -> Option<Duration> {
    move |value: &Value<'_>| {
        if let DeValue::Integer(number) = value.item {
            return value.problem(
                format!("the duration `{number}` has no unit"),
                Some(format!(
                    "write \"{number}s\" for seconds; other units are ms, m, h, d"
                )),
            );
        }
        let range = range.clone();
        text(move |text: &str| {
            let duration = parse_duration(text)?;
            if range.contains(&duration) {
                return Ok(duration);
            }
            let (least, most) = (show_duration(*range.start()), show_duration(*range.end()));
            Err(Fault::new("is out of range").help(format!("write \"{least}\" to \"{most}\"")))
        })(value)
    }
}

/// A size in bytes, in a range.
pub(in crate::config) fn size(range: RangeInclusive<u64>) -> impl Fn(&Value<'_>) -> Option<u64> {
    move |value: &Value<'_>| {
        if let DeValue::Integer(number) = value.item {
            return value.problem(
                format!("the size `{number}` has no unit"),
                Some(format!(
                    "write \"{number}B\" for bytes; other units are KiB, MiB, GiB"
                )),
            );
        }
        let range = range.clone();
        text(move |text: &str| {
            let size = parse_size(text)?;
            if range.contains(&size) {
                return Ok(size);
            }
            let (least, most) = (show_size(*range.start()), show_size(*range.end()));
            Err(Fault::new("is out of range").help(format!("write \"{least}\" to \"{most}\"")))
        })(value)
    }
}

/// A limit on bodies: a size, or `"none"`.
pub(in crate::config) fn body_limit(value: &Value<'_>) -> Option<Option<u64>> {
    if value.item.as_str() == Some("none") {
        return Some(None);
    }
    size(0..=1 << 50)(value).map(Some)
}
