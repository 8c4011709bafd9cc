//! The text of gateway.toml with what a report needs from it: line and column of a place, and the
//! line to show.

use std::collections::BTreeSet;
use std::ops::Range;

use super::mask;
use super::problem::{Excerpt, Problem, Severity};

/// Something wrong at a place in the text, before line and column are known.
#[derive(Debug, Clone)]
pub(in crate::config) struct Finding {
    pub(in crate::config) severity: Severity,
    /// Bytes of the text; empty at 0 where no place is to blame.
    pub(in crate::config) span: Range<usize>,
    pub(in crate::config) message: String,
    pub(in crate::config) help: Option<String>,
}

/// The line of a byte of a text, from 1.
pub(in crate::config) fn line(text: &str, at: usize) -> usize {
    let head = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    1 + head.iter().filter(|byte| **byte == b'\n').count()
}

/// What to write, for the mistakes that are made most.
fn syntax_help(message: &str) -> Option<&'static str> {
    let known = [
        ("string values must be quoted", "put the value in quotes"),
        ("invalid float", "a text needs quotes"),
        (
            "invalid boolean",
            "write true or false; a text needs quotes",
        ),
        ("key with no value", "write key = value"),
        (
            "duplicate key",
            "each key and table is written once; a list of entries has [[two]] brackets",
        ),
    ];
    known
        .into_iter()
        .find(|(start, _)| message.starts_with(start))
        .map(|(_, help)| help)
}

/// Keys and names are quoted in messages, and quoted keys may hold line ends and terminal escapes.
fn on_one_line(text: String) -> String {
    if text.chars().any(char::is_control) {
        let plain = |c: char| if c.is_control() { '…' } else { c };
        return text.chars().map(plain).collect();
    }
    text
}

/// The text and the ranges of it that must not be shown.
pub(in crate::config) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    masked: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    pub(in crate::config) fn new(name: &'a str, text: &'a str) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            name,
            text,
            lines: [0].into_iter().chain(ends).collect(),
            masked: mask::secret_ranges(text),
        }
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }

    /// Hides more of the text.
    pub(in crate::config) fn hide(&mut self, ranges: Vec<Range<usize>>) {
        self.masked.extend(ranges);
    }

    /// What the parser found, the first of each line: the others mostly follow from it.
    pub(in crate::config) fn syntax(&mut self, errors: &[toml::de::Error]) -> Vec<Finding> {
        self.masked.extend(mask::likely_ranges(self.text));
        let mut findings: Vec<Finding> = Vec::new();
        let mut lines = BTreeSet::new();
        for error in errors {
            let at = error.span().unwrap_or(self.text.len()..self.text.len());
            if !lines.insert(self.line(at.start)) {
                continue;
            }
            let message = error.message();
            let help = syntax_help(message).map(str::to_owned);
            findings.push(Finding {
                severity: Severity::Error,
                // An error at the very start still has a line to show.
                span: at.start..at.end.max(at.start + 1),
                message: format!(
                    "not TOML: {}",
                    message.trim_end_matches(", expected literal string")
                ),
                help,
            });
        }
        findings
    }

    /// The findings in file order, as they are shown.
    pub(in crate::config) fn problems(&self, mut findings: Vec<Finding>) -> Vec<Problem> {
        findings.sort_by_key(|found| found.span.start);
        findings
            .into_iter()
            .map(|found| self.problem(found))
            .collect()
    }

    fn problem(&self, finding: Finding) -> Problem {
        let Finding {
            severity,
            span,
            message,
            help,
        } = finding;
        let line_start = self
            .text
            .get(..span.start)
            .and_then(|head| head.rfind('\n'))
            .map_or(0, |at| at + 1);
        // A column inside a secret would tell its length.
        let hidden = self
            .masked
            .iter()
            .find(|range| range.start < span.start && span.start <= range.end);
        let start = hidden
            .map_or(span.start, |range| range.start.max(line_start))
            .min(self.text.len());
        let before = self.text.get(line_start..start).unwrap_or_default();
        Problem {
            severity,
            file: self.name.to_owned(),
            line: self.line(start),
            column: before.chars().count() + 1,
            message: on_one_line(message),
            help: help.map(on_one_line),
            excerpt: (span != (0..0)).then(|| self.excerpt(line_start, &span)),
        }
    }

    /// The line from `line_start` on, masked, with carets below the part of `span` that lies in it.
    fn excerpt(&self, line_start: usize, span: &Range<usize>) -> Excerpt {
        let rest = self.text.get(line_start..).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let mut text = String::with_capacity(line.len());
        let (mut width, mut indent, mut end) = (0, None, 0);
        let mut was_hidden = false;
        let here = line_start..line_start + line.len();
        let overlaps = |range: &&Range<usize>| range.start < here.end && here.start < range.end;
        let masked: Vec<_> = self.masked.iter().filter(overlaps).collect();
        for (offset, character) in line.char_indices() {
            let at = line_start + offset;
            let hidden = masked.iter().any(|range| range.contains(&at));
            if !hidden || !was_hidden {
                // A tab would move the carets away from what they mark.
                text.push(match character {
                    _ if hidden => '…',
                    character if character.is_control() => ' ',
                    character => character,
                });
                width += 1;
            }
            was_hidden = hidden;
            if at >= span.start && indent.is_none() {
                indent = Some(width.max(1) - 1);
            }
            if at < span.end {
                end = width;
            }
        }
        let indent = indent.unwrap_or(width);
        Excerpt {
            text,
            indent,
            carets: end.saturating_sub(indent).max(1),
        }
    }
}
