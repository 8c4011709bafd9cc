//! Failed commands, sorted by what the connection is worth after them.

use deadpool_redis::redis::{ErrorKind, RedisError, ServerError};

/// One failed command, sorted by what has to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CommandFailure {
    /// No reply within the deadline; the connection may still be good.
    Silent,
    /// The connection is gone.
    Lost(String),
    /// A reply after which this connection stays useless, but a new one may work (demoted primary,
    /// lost authentication).
    Useless(String),
    /// A reply that Redis cannot serve the command now.
    Refused(String),
    /// A reply of an unexpected type.
    Garbled(String),
}

impl CommandFailure {
    pub(super) fn of(error: &RedisError) -> Self {
        // The refusal of one command, or the first one of a pipeline.
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
            // Further replies on this connection cannot be matched to commands any more.
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

/// The text of an I/O error without Rust's decoration.
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

/// The server's error code and text. Cut before the arguments, which the error of an unknown
/// command repeats.
fn refusal_text(refusal: &ServerError) -> String {
    let words = refusal.details().unwrap_or("");
    let words = words
        .split_once(", with args")
        .map_or(words, |(start, _)| start);
    let text = format!("{} {words}", refusal.code());
    if refusal.code() == "NOPERM" {
        return format!(
            "{text}; allow the ACL user of redis.username this command and the keys under redis.key_prefix"
        );
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
            CommandFailure::of(&error),
            CommandFailure::Refused("ERR unknown command 'GET'".to_owned())
        );
    }
}
