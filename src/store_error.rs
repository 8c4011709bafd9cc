//! What can go wrong between us and the store. Two outcomes only, because callers can act on no
//! more than that: the store cannot serve now, or it holds something that is not ours.

use std::fmt;

/// Why a store gave no answer. "Not found" is never an error: it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// Not reached, no answer in time, or an answer that it cannot serve now (loading, read-only,
    /// out of memory, wrong password). The caller must not take this for "not logged in".
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
