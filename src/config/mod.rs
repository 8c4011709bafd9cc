//! gateway.toml: its tables, read and checked once. A `Config` that exists is valid: nothing after
//! this module checks a key again, and only this module reads files and the environment.

mod address;
mod apps;
mod check;
mod decrypt;
mod example;
mod headers;
mod identity;
mod key_list;
mod keys;
mod paths;
mod rate_limit;
mod read;
mod reader;
mod redis;
mod removed;
mod route;
mod schema;
mod server;
mod server_api;
mod session;
mod style;
mod tables;
#[cfg(test)]
mod tests;
mod upstream;
mod users;
mod values;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::de::DeTable;

use self::reader::{Cx, Finding, Source, process_variable};
use crate::secret::Secret;

pub use self::apps::{App, CodeSource, Login, Wechat};
pub use self::decrypt::Decrypt;
pub use self::example::example;
pub use self::identity::{Identity, Template, TemplatePart, is_claim_name};
pub use self::key_list::keys;
pub use self::paths::PathPattern;
pub use self::rate_limit::{Quota, Rate, RateLimit, RateLimits};
pub use self::reader::WatchedFiles;
pub use self::reader::units::duration;
pub use self::reader::{ConfigError, Excerpt, Key, KeyInfo, Kind, Problem, Reload, Severity};
pub use self::redis::Redis;
pub use self::route::{Action, Auth, HeaderRules, OnBadToken, Respond, Route};
pub use self::schema::schema;
pub use self::server::{AccessLog, Admin, Log, LogFormat, Server, Shutdown, Workers};
pub use self::server::{PathPolicy, PerAddress, UnderscoreHeaders};
pub use self::server_api::{PhoneNumbers, Relay};
pub use self::session::{Session, SessionStoreKind, TokenSource};
pub use self::style::{CustomStyle, Style};
pub use self::upstream::{HostHeader, Upstream};
pub use self::users::{ExistingTable, ProfileField, Sql, SqlKind, SqlPlace, SqlTls};
pub use self::users::{Merged, UserStore, Users, Webhook};
pub use self::values::{ListenAddress, ServerAddress};

/// The whole of gateway.toml, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[server]`: listeners, limits and deadlines.
    pub server: Server,
    /// `[admin]`: the operator's own listener.
    pub admin: Admin,
    /// `[redis]`: where sessions and users are kept.
    pub redis: Redis,
    /// `[rate_limit]`: whether replicas count together.
    pub rate_limit: RateLimits,
    /// `[session]`: how long sessions last, and where the skey is read from.
    pub session: Session,
    /// `[users]`: where user ids come from.
    pub users: Users,
    /// `[[apps]]`: at least one.
    pub apps: Vec<App>,
    /// `[wechat]`: how WeChat's API is reached.
    pub wechat: Wechat,
    /// `[phone]`: whether phone numbers are asked for.
    pub phone: PhoneNumbers,
    /// `[relay]`: which of WeChat's server calls backends may make.
    pub relay: Relay,
    /// `[[login]]`: at least one; `POST /login` in style `plain` when none is written.
    pub login: Vec<Login>,
    /// `[decrypt]`: the receiver of data that WeChat encrypted.
    pub decrypt: Decrypt,
    /// `[identity]`: the headers that carry the identity.
    pub identity: Identity,
    /// `[upstreams.NAME]`: at least one, unless every route responds directly.
    pub upstreams: BTreeMap<String, Upstream>,
    /// `[[routes]]`: at least one.
    pub routes: Vec<Route>,
    /// `[log]`: the log and the one line per request.
    pub log: Log,
}

/// gateway.toml may be this large, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// A configuration that can be used, with its warnings.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The whole file.
    pub config: Config,
    /// In file order; empty for a good file.
    pub warnings: Vec<Problem>,
    /// Values of keys that a reload cannot change, defaults and the texts of secret files included.
    fixed: BTreeMap<String, Secret>,
}

impl Loaded {
    /// The keys of `next`, a later state of the file, whose new values need a restart, such as
    /// `redis.url`, in alphabetical order. A secret counts as changed by
    /// its text, wherever it stands.
    #[must_use]
    pub fn restart_keys<'l>(&'l self, next: &'l Self) -> Vec<&'l str> {
        let names: BTreeSet<&String> = self.fixed.keys().chain(next.fixed.keys()).collect();
        let changed = |name: &&String| self.fixed.get(*name) != next.fixed.get(*name);
        names
            .into_iter()
            .filter(changed)
            .map(String::as_str)
            .collect()
    }
}

impl Config {
    /// Reads the file, with the environment of this process. Files that it names are looked for
    /// from its own folder.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8 or larger than 1 MiB, or holds problems: all of them
    /// are in the error.
    pub fn load(path: &Path) -> Result<Loaded, ConfigError> {
        Self::load_watched(path).0
    }

    /// As `load`, with what every file held that was read, also of those that a bad configuration
    /// names.
    pub fn load_watched(path: &Path) -> (Result<Loaded, ConfigError>, WatchedFiles) {
        let mut files = WatchedFiles::default();
        let loaded = Self::load_noting(path, &mut files);
        (loaded, files)
    }

    fn load_noting(path: &Path, files: &mut WatchedFiles) -> Result<Loaded, ConfigError> {
        let file = path.display().to_string();
        let read = reader::read(path);
        files.note(path, &read);
        let bytes = match read {
            Ok(read) => read.bytes,
            Err(source) => return Err(ConfigError::Unreadable { file, source }),
        };
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_LIMIT {
            return Err(ConfigError::TooLarge { file });
        }
        match str::from_utf8(&bytes) {
            Ok(text) => Self::parse_noting(&file, text, &process_variable, files),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
                Err(ConfigError::NotText { file, line })
            }
        }
    }

    /// Reads the text of a file called `name`, which stands in messages and whose folder is where
    /// relative paths of secret files start. `environment` answers for `${NAME}`.
    ///
    /// # Errors
    /// The text holds problems: all of them are in the error.
    pub fn parse(
        name: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Loaded, ConfigError> {
        Self::parse_noting(name, text, environment, &mut WatchedFiles::default())
    }

    fn parse_noting(
        name: &str,
        text: &str,
        environment: &dyn Fn(&str) -> Option<String>,
        files: &mut WatchedFiles,
    ) -> Result<Loaded, ConfigError> {
        // A byte order mark is nothing that an editor shows.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut source = Source::new(name, text);
        let (document, syntax) = DeTable::parse_recoverable(text);
        if !syntax.is_empty() {
            // What follows from a forgotten quote would only hide it.
            let findings = source.syntax(&syntax);
            return Err(report(&source, name, findings));
        }
        let folder = Path::new(name).parent().unwrap_or(Path::new("")).to_owned();
        let cx = Cx::new(text, environment, folder, removed::cure);
        let config = read::tables(&cx, document.get_ref());
        source.hide(cx.hidden.take());
        files.extend(cx.files.take());
        let (errors, warnings): (Vec<Finding>, Vec<Finding>) = cx
            .found
            .take()
            .into_iter()
            .partition(|found| found.severity == Severity::Error);
        match config {
            Some(config) if errors.is_empty() => Ok(Loaded {
                config,
                warnings: source.problems(warnings),
                fixed: cx.fixed.take(),
            }),
            _ => Err(report(&source, name, errors)),
        }
    }
}

fn report(source: &Source<'_>, name: &str, errors: Vec<Finding>) -> ConfigError {
    ConfigError::Invalid {
        file: name.to_owned(),
        problems: source.problems(errors),
    }
}
