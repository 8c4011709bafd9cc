//! What a value takes from outside the file: environment variables and the files of secrets.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::fault::Fault;
use super::watch::{self, WatchedFiles};
use crate::secret::Secret;

/// A secret is a line, not a disk image.
const SECRET_FILE_LIMIT: u64 = 64 * 1024;

/// The variable of the process, if it is set and UTF-8.
#[expect(
    clippy::disallowed_methods,
    reason = "config is the one place that reads the environment"
)]
pub(in crate::config) fn process_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Replaces `${NAME}` and `${NAME:-default}`; `$${` stands for `${`. A variable that is empty takes
/// the default too, as in a shell.
pub(in crate::config) fn fill(
    text: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<String, Fault> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (head, tail) = (
            rest.get(..at).unwrap_or_default(),
            rest.get(at + 2..).unwrap_or_default(),
        );
        if let Some(head) = head.strip_suffix('$') {
            filled.push_str(head);
            filled.push_str("${");
            rest = tail;
            continue;
        }
        filled.push_str(head);
        let Some((inside, tail)) = tail.split_once('}') else {
            return Err(Fault::about("`${` has no `}`").help("write `$${` for a plain `${`"));
        };
        filled.push_str(&variable(inside, environment)?);
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn variable(inside: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<String, Fault> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let well_formed = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
    if !well_formed {
        return Err(Fault::about(
            "the name between `${` and `}` is not one of an environment variable",
        )
        .help("write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`"));
    }
    match (environment(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(
            Fault::about(format!("the environment variable `{name}` is not set"))
                .help(format!("set it, or give a default: `${{{name}:-…}}`")),
        ),
    }
}

/// What was read from a secret's file.
pub(in crate::config) struct SecretFile {
    /// Without the one line end that editors and `echo` add.
    pub(in crate::config) secret: Secret,
    /// Whether every user of the machine may read it.
    pub(in crate::config) world_readable: bool,
}

/// Reads the file of a secret, and notes what it held.
pub(in crate::config) fn read_secret(
    file: &Path,
    files: &mut WatchedFiles,
) -> Result<SecretFile, Fault> {
    let read = watch::read(file);
    files.note(file, &read);
    let read = read.map_err(|error| Fault::new(format!("cannot be read: {error}")))?;
    if u64::try_from(read.bytes.len()).unwrap_or(u64::MAX) > SECRET_FILE_LIMIT {
        return Err(Fault::new(
            "is larger than 64 KiB, so it is not a secret's file",
        ));
    }
    let metadata = read.metadata;
    let text =
        String::from_utf8(read.bytes).map_err(|_| Fault::new("is not a text file in UTF-8"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |line| {
        line.strip_suffix('\r').unwrap_or(line)
    });
    if text.is_empty() {
        return Err(Fault::new("is an empty file"));
    }
    Ok(SecretFile {
        secret: Secret::new(text),
        world_readable: metadata.mode() & 0o004 != 0,
    })
}
