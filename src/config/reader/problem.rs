//! What is wrong with a file, said to the operator: all of it at once, in file order, each with its
//! place, the line and the cure. Secrets are never in a message, and are masked in the line.

use std::error::Error;
use std::fmt;
use std::io;

/// How much a problem matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is not used.
    Error,
    /// The file is used; the operator should look.
    Warning,
}

/// One thing that is wrong, or looks wrong, in gateway.toml. Display is several lines, without a
/// line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used in spite of it.
    pub severity: Severity,
    /// The file's name, as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// One line: which table or route, which key, what about it.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The line and carets below it; `None` where no line is to blame, as for a missing table.
    pub excerpt: Option<Excerpt>,
}

/// The source line of a problem, secrets masked, and where the carets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line as it is shown.
    pub text: String,
    /// Characters before the first caret.
    pub indent: usize,
    /// Carets, at least 1.
    pub carets: usize,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(
            f,
            "{}:{}:{}: {severity}: ",
            self.file, self.line, self.column
        )?;
        f.write_str(&self.message)?;
        if let Some(excerpt) = &self.excerpt {
            let number = self.line.to_string();
            let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(excerpt.indent));
            write!(f, "\n  {number} | {}", excerpt.text)?;
            write!(f, "\n  {gutter} | {indent}{}", "^".repeat(excerpt.carets))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

/// Why there is no configuration. Display is the whole report for the operator, several lines long.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Its name, as it was given.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than 1 MiB, so it is another file.
    TooLarge {
        /// Its name, as it was given.
        file: String,
    },
    /// The file is not UTF-8.
    NotText {
        /// Its name, as it was given.
        file: String,
        /// Of the first byte that is not, from 1.
        line: usize,
    },
    /// The file was read and has these problems, all of them errors, in file order.
    Invalid {
        /// Its name, as it was given.
        file: String,
        /// At least one.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// The problems in the file; empty when it was not read at all.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Invalid { problems, .. } => problems,
            Self::Unreadable { .. } | Self::TooLarge { .. } | Self::NotText { .. } => &[],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, source } => {
                write!(f, "reading {file}: {source}")?;
                if source.kind() == io::ErrorKind::NotFound {
                    f.write_str("\nhelp: `skeygate init` writes a commented gateway.toml; --config names another file")?;
                }
                Ok(())
            }
            Self::TooLarge { file } => {
                write!(
                    f,
                    "reading {file}: larger than 1 MiB; is it a gateway.toml?"
                )
            }
            Self::NotText { file, line } => {
                write!(
                    f,
                    "reading {file}: line {line} is not UTF-8; save the file as UTF-8"
                )
            }
            Self::Invalid { file, problems } => {
                for problem in problems {
                    write!(f, "{problem}\n\n")?;
                }
                let plural = if problems.len() == 1 { "" } else { "s" };
                write!(f, "{file}: {} error{plural}", problems.len())
            }
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::TooLarge { .. } | Self::NotText { .. } | Self::Invalid { .. } => None,
        }
    }
}
