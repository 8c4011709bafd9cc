//! What can go wrong between us and the store. Two outcomes only, because callers can act on no more than that: the store
//! cannot serve now, or it holds something that is not ours.

use std::fmt;

use deadpool_redis::redis::{ErrorKind, RedisError, ServerError};

/// Why a store gave no answer. "Not found" is never an error: it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Not reached, no answer in time, or an answer that it cannot serve now (loading, read-only, out of memory, wrong
    /// password). The caller must not take this for "not logged in".
    Unavailable {
        /// For the log: host, port and reason; never a password, key or value.
        cause: String,
    },
    /// An answer of the wrong kind: another program writes under our key prefix.
    Corrupt {
        /// For the log, as above.
        what: String,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { cause } => f.write_str(cause),
            Self::Corrupt { what } => {
                write!(f, "{what}; give this gateway a redis.key_prefix of its own")
            }
        }
    }
}

impl std::error::Error for StoreError {}

/// One failed command, sorted by what has to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// No answer within the deadline; the connection may still be good.
    Silent,
    /// The connection is gone.
    Lost(String),
    /// Answered, and this connection will never serve us: a new one may (a demoted primary, a lost log-in).
    Useless(String),
    /// Answered: cannot serve now.
    Refused(String),
    /// Answered with something else than was asked for.
    Garbled(String),
}

impl Failure {
    pub(super) fn of(error: &RedisError) -> Self {
        // One command's refusal, or the first of a pipeline's.
        if let Some([(_, refusal), ..]) = error.clone().into_server_errors().as_deref() {
            return Self::of_refusal(refusal);
        }
        match error.kind() {
            ErrorKind::Io if error.is_timeout() => Self::Silent,
            ErrorKind::Io => Self::Lost(io_text(error)),
            ErrorKind::AuthenticationFailed => Self::Useless(
                "user name or password refused; check redis.username and redis.password".to_owned(),
            ),
            ErrorKind::UnexpectedReturnType => Self::Garbled("a reply of another type".to_owned()),
            // Whatever follows on this connection cannot be told apart any more.
            ErrorKind::Parse => Self::Lost("the reply was not Redis's protocol".to_owned()),
            _ => Self::Refused(error.category().to_owned()),
        }
    }

    fn of_refusal(refusal: &ServerError) -> Self {
        let text = refusal_text(refusal);
        match refusal.code() {
            "READONLY" | "NOAUTH" => Self::Useless(text),
            "WRONGTYPE" => Self::Garbled(text),
            _ => Self::Refused(text),
        }
    }
}

/// The words of an I/O error without Rust's decoration.
fn io_text(error: &RedisError) -> String {
    if error.is_connection_refusal() {
        return "connection refused".to_owned();
    }
    let text = error.to_string();
    match text.split_once(" - Io") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// The server's code and words. Cut before the arguments, which an unknown command's error repeats.
fn refusal_text(refusal: &ServerError) -> String {
    let words = refusal.details().unwrap_or("");
    let words = words
        .split_once(", with args")
        .map_or(words, |(start, _)| start);
    let text = format!("{} {words}", refusal.code());
    if refusal.code() == "NOPERM" {
        return format!("{text}; allow the ACL user of redis.username this command and our keys");
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use deadpool_redis::redis::make_extension_error;

    #[test]
    fn an_unknown_command_is_reported_without_its_arguments() {
        let error = make_extension_error(
            "ERR".to_owned(),
            Some("unknown command 'GET', with args beginning with: 'skeygate:s:abc'".to_owned()),
        );
        assert_eq!(
            Failure::of(&error),
            Failure::Refused("ERR unknown command 'GET'".to_owned())
        );
    }

    #[test]
    fn a_key_of_another_type_is_corrupt_and_names_the_cure() {
        let error = StoreError::Corrupt {
            what: "redis at 127.0.0.1:6379: WRONGTYPE".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "redis at 127.0.0.1:6379: WRONGTYPE; give this gateway a redis.key_prefix of its own"
        );
    }
}
