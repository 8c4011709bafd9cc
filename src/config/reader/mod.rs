//! The reader kit: reads TOML tables key by key, with a place, a message and a cure for all that is
//! wrong. Knows nothing of the tables of gateway.toml.

mod cx;
mod entries;
mod environment;
mod fault;
mod key;
mod mask;
mod nearest;
mod problem;
mod secret;
mod source;
mod table;
pub(super) mod units;
mod value;
mod watch;

pub(super) use self::cx::Cx;
pub(super) use self::environment::process_variable;
pub(super) use self::fault::Fault;
pub use self::key::{Key, KeyInfo, Kind, Reload};
pub(super) use self::nearest::{did_you_mean, nearest};
pub use self::problem::{ConfigError, Excerpt, Problem, Severity};
pub(super) use self::source::{Finding, Source};
pub(super) use self::table::Reader;
pub(super) use self::units::show_duration;
pub(super) use self::value::{
    Value, body_limit, boolean, choice, choose, duration, filled_list, integer, list, map, share,
    size, text, text_or_none,
};
pub use self::watch::WatchedFiles;
pub(super) use self::watch::read;
