//! Errors of stores. There are only two, because callers cannot act on more: the store cannot serve
//! now, or it contains a value of another program.

use std::fmt;

/// Why a store did not serve. "Not found" is not an error: it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Not reachable, no reply in time, or a refusal (loading, read-only, out of memory, wrong
    /// password). Callers must not treat this as "not logged in".
    Unavailable {
        /// For the log: host, port and reason; never a password, key or value.
        cause: String,
    },
    /// A value of the wrong type: another program writes under the key prefix.
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

#[cfg(test)]
mod tests {
    use super::*;

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
