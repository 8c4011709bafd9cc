//! Shared by the commands on users and sessions: the connection to the stores, selection of a user,
//! streamed output, progress.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use super::{BAD_CONFIG, File, UNAVAILABLE, fail, print_error, run};
use crate::app::Stores;
use crate::config::{App, Config, Log, SessionStoreKind, UserStore};
use crate::identity::Holder;
use crate::logging;
use crate::operations::Operations;
use crate::store_error::StoreError;
use crate::users::{Profiles, UserDirectory};

/// The cause of a command that fails.
pub(super) enum Failure {
    /// Redis cannot be used.
    Store(StoreError),
    /// The user, session or ban does not exist.
    NotFound(String),
    /// The request does not fit gateway.toml.
    Config(String),
}

/// Selects a user.
#[derive(Debug, clap::Args)]
pub(super) struct UserSelector {
    /// A user, by the id in X-User-Id.
    #[arg(long, value_name = "ID")]
    pub(super) user: Option<String>,
    /// A user, by openid.
    #[arg(
        long,
        value_name = "OPENID",
        conflicts_with = "user",
        allow_hyphen_values = true
    )]
    pub(super) openid: Option<String>,
    /// The app of --openid, by name or appid; the default app unless given.
    #[arg(long, value_name = "APP", requires = "openid")]
    pub(super) app: Option<String>,
}

/// The user that a command is about.
pub(super) struct ResolvedUser {
    /// The user as known now.
    pub(super) current: Holder,
    /// The id as given; differs from `current` after a merge.
    pub(super) named: Holder,
}

/// The operations on the stores, with what the commands need of gateway.toml.
pub(super) struct Operator {
    pub(super) operations: Operations,
    /// The user directory.
    pub(super) users: UserStore,
    apps: Vec<App>,
}

/// Standard output, line by line. A closed pipe ends the command early.
pub(super) struct Lines {
    out: BufWriter<io::StdoutLock<'static>>,
}

/// Prints the progress of a long search, if standard error is a terminal.
pub(super) struct Progress {
    total: Option<u64>,
    looked_at: u64,
    told: Option<Instant>,
    terminal: bool,
}

/// Reads gateway.toml, pings Redis and runs `work`.
pub(super) fn operate(
    file: &File,
    work: impl AsyncFnOnce(Operator) -> Result<(), Failure>,
) -> ExitCode {
    let config = match file.load() {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    if config.session.store == SessionStoreKind::Memory {
        return fail(
            "session.store = \"memory\": the sessions are in the memory of the running gateway, which commands cannot reach; \
             restarting it ends all of them",
            BAD_CONFIG,
        );
    }
    // On standard error, since standard output holds the result. Only the audit, independent of
    // log.level.
    let log = Log {
        level: "off,skeygate::operations=info".to_owned(),
        ..config.log.clone()
    };
    let stderr = io::stderr();
    let terminal = stderr.is_terminal();
    let log = match logging::init_on(&log, terminal, Box::new(stderr)) {
        Ok(log) => log,
        Err(error) => return fail(&format!("starting the log: {error}"), BAD_CONFIG),
    };
    let runtime = match run::single_threaded() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("starting: {error}"), 1),
    };
    let in_sql = matches!(config.users.store, UserStore::Sql(_));
    let done = runtime.block_on(async { work(Operator::connect(config).await?).await });
    log.flush();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Store(error)) => {
            let help = match in_sql {
                true => "check that redis and the database run, and [redis] and [users.sql]",
                false => "check that redis runs, and redis.url, redis.username and redis.password",
            };
            fail(&format!("{error}\nhelp: {help}"), UNAVAILABLE)
        }
        Err(Failure::NotFound(text)) => fail(&text, 1),
        Err(Failure::Config(text)) => fail(&text, BAD_CONFIG),
    }
}

impl Operator {
    async fn connect(config: Config) -> Result<Self, Failure> {
        let stores = Stores::open(&config).map_err(|error| Failure::Config(error.to_string()))?;
        if let Some(link) = &stores.redis {
            link.ping().await?;
        }
        let users = match stores.users {
            // The service is asked at logins only.
            UserDirectory::Webhook(_) => UserDirectory::Off,
            users => users,
        };
        let profiles = Profiles::new(users.clone(), &config.users.profile);
        Ok(Self {
            operations: Operations::new(stores.sessions, users, stores.bans, "command")
                .with_profiles(profiles),
            users: config.users.store,
            apps: config.apps,
        })
    }

    /// The selected user, merges resolved; `None` when none was selected.
    pub(super) async fn resolve(
        &self,
        selector: &UserSelector,
    ) -> Result<Option<ResolvedUser>, Failure> {
        let Some(named) = self.holder(selector).await? else {
            return Ok(None);
        };
        let current = self.operations.current(&named).await?;
        Ok(Some(ResolvedUser { current, named }))
    }

    /// The selected user as named; `None` when none was selected.
    pub(super) async fn holder(&self, selector: &UserSelector) -> Result<Option<Holder>, Failure> {
        if let Some(user_id) = &selector.user {
            return Ok(Some(Holder::User(user_id.clone())));
        }
        let Some(openid) = &selector.openid else {
            return Ok(None);
        };
        if matches!(self.users, UserStore::Webhook(_)) {
            let text = "users.store = \"webhook\": only its service maps openids to users; name the user by id, as in \
                        X-User-Id";
            return Err(Failure::Config(text.to_owned()));
        }
        let appid = match &selector.app {
            Some(name) => self
                .apps
                .iter()
                .find(|app| app.name == *name || app.appid == *name)
                .map(|app| app.appid.clone())
                .ok_or_else(|| Failure::NotFound(format!("there is no app `{name}`")))?,
            None => match self.apps.as_slice() {
                [only] => only.appid.clone(),
                apps => apps
                    .iter()
                    .find(|app| app.default)
                    .map(|app| app.appid.clone())
                    .ok_or_else(|| Failure::NotFound("which app? write --app".to_owned()))?,
            },
        };
        let holder = self.operations.holder(&appid, openid).await?;
        let not_found = || Failure::NotFound("no user with that openid has logged in".to_owned());
        holder.map(Some).ok_or_else(not_found)
    }
}

impl ResolvedUser {
    /// All ids that sessions of the user may have: until all replicas know of a merge, some keep
    /// the old id.
    pub(super) fn names(&self) -> Vec<&Holder> {
        let mut names = vec![&self.current, &self.named];
        names.dedup();
        names
    }

    /// The given id and the id that it was merged into, if it was.
    pub(super) fn merged(&self) -> Option<(&str, &str)> {
        match (&self.named, &self.current) {
            (Holder::User(named), Holder::User(current)) if named != current => {
                Some((named, current))
            }
            _ => None,
        }
    }

    /// Tells the reader about a merge, since the output then names another user.
    pub(super) fn print_merge(&self) {
        if let Some((named, current)) = self.merged() {
            let (named, current) = (cell(named), cell(current));
            print_error(&format!(
                "{named} was merged into {current}; these are the sessions of both"
            ));
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            out: BufWriter::new(io::stdout().lock()),
        }
    }

    /// False once the reader has closed the pipe.
    pub(super) fn line(&mut self, text: &str) -> bool {
        writeln!(self.out, "{text}").is_ok()
    }

    /// Part of a line.
    pub(super) fn text(&mut self, text: &str) {
        // A closed pipe shows at the next flush.
        let _ = self.out.write_all(text.as_bytes());
    }

    /// Writes buffered output; at the end of each page.
    pub(super) fn flush(&mut self) -> bool {
        self.out.flush().is_ok()
    }
}

impl Progress {
    const INTERVAL: Duration = Duration::from_millis(500);

    /// For a search through about `total` entries; `None` where the number is unknown.
    pub(super) fn new(total: Option<u64>) -> Self {
        Self {
            total,
            looked_at: 0,
            told: None,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Adds a page of `looked_at` entries.
    pub(super) fn add(&mut self, looked_at: u64) {
        self.looked_at += looked_at;
        let now = Instant::now();
        if self.terminal && now - *self.told.get_or_insert(now) >= Self::INTERVAL {
            self.told = Some(now);
            print_error(&match self.total {
                Some(total) => format!("{} of about {total} keys", self.looked_at.min(total)),
                None => format!("{} rows so far", self.looked_at),
            });
        }
    }
}

/// Text for one cell of a terminal. Characters that could end or colour the line are escaped; empty
/// text is `-`.
pub(super) fn cell(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if logging::is_deceptive(character) {
            logging::push_escaped(&mut shown, character);
        } else {
            shown.push(character);
        }
    }
    shown
}
