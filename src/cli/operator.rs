//! What the commands on users and sessions share: the way to Redis, choosing a user, output that streams, and progress.

use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::Instant;

use super::{BAD_CONFIG, File, UNAVAILABLE, complain, fail, run};
use crate::app::Stores;
use crate::config::{App, Config, Log, SessionStoreKind, UserStore};
use crate::identity::Holder;
use crate::logging;
use crate::operations::Operations;
use crate::store_error::StoreError;
use crate::users::{Profiles, UserDirectory};

/// Why a command ends before it is done.
pub(super) enum Failure {
    /// Redis cannot be used.
    Store(StoreError),
    /// There is no such user, session or ban.
    Nobody(String),
    /// What was asked for cannot be.
    Config(String),
}

/// Which user.
#[derive(Debug, clap::Args)]
pub(super) struct Whom {
    /// A user, by the id that X-User-Id tells.
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

/// Whom a command is about.
pub(super) struct Meant {
    /// Who that is now.
    pub(super) current: Holder,
    /// Who was named: an id that was merged into another, or the same.
    pub(super) named: Holder,
}

/// The way to Redis, and what gateway.toml says.
pub(super) struct Operator {
    pub(super) operations: Operations,
    /// Where user ids come from.
    pub(super) users: UserStore,
    apps: Vec<App>,
}

/// Standard output, line by line. Ends early when nobody reads on.
pub(super) struct Lines {
    out: BufWriter<io::StdoutLock<'static>>,
}

/// Tells a person at a terminal how far a long search has come.
pub(super) struct Progress {
    total: Option<u64>,
    looked_at: u64,
    told: Option<Instant>,
    terminal: bool,
}

/// Reads gateway.toml, asks Redis whether it is there, and does the work.
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
            "session.store = \"memory\": the sessions are in the running gateway, where no command reaches them; \
             restarting it ends them all",
            BAD_CONFIG,
        );
    }
    // On standard error, for standard output belongs to what was asked for; the audit alone, and whatever log.level says.
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
        Err(Failure::Nobody(text)) => fail(&text, 1),
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

    /// The user that is meant, whatever his name was; `None` when none was named.
    pub(super) async fn meant(&self, whom: &Whom) -> Result<Option<Meant>, Failure> {
        let Some(named) = self.holder(whom).await? else {
            return Ok(None);
        };
        let current = self.operations.current(&named).await?;
        Ok(Some(Meant { current, named }))
    }

    /// The user that is named; `None` when none was.
    pub(super) async fn holder(&self, whom: &Whom) -> Result<Option<Holder>, Failure> {
        if let Some(user_id) = &whom.user {
            return Ok(Some(Holder::User(user_id.clone())));
        }
        let Some(openid) = &whom.openid else {
            return Ok(None);
        };
        if matches!(self.users, UserStore::Webhook(_)) {
            let text = "users.store = \"webhook\": only the service behind it knows who has that openid; name the user by \
                        his id, as in X-User-Id";
            return Err(Failure::Config(text.to_owned()));
        }
        let appid = match &whom.app {
            Some(name) => self
                .apps
                .iter()
                .find(|app| app.name == *name || app.appid == *name)
                .map(|app| app.appid.clone())
                .ok_or_else(|| Failure::Nobody(format!("there is no app `{name}`")))?,
            None => match self.apps.as_slice() {
                [only] => only.appid.clone(),
                apps => apps
                    .iter()
                    .find(|app| app.default)
                    .map(|app| app.appid.clone())
                    .ok_or_else(|| Failure::Nobody("which app? write --app".to_owned()))?,
            },
        };
        let holder = self.operations.holder(&appid, openid).await?;
        let nobody = || Failure::Nobody("nobody with that openid ever logged in".to_owned());
        holder.map(Some).ok_or_else(nobody)
    }
}

impl Meant {
    /// Every name that sessions may have: until everybody knows of a merge, some have the one that is gone.
    pub(super) fn names(&self) -> Vec<&Holder> {
        let mut names = vec![&self.current, &self.named];
        names.dedup();
        names
    }

    /// The id that was named and the one that it stands for, where that is another.
    pub(super) fn merged(&self) -> Option<(&str, &str)> {
        match (&self.named, &self.current) {
            (Holder::User(named), Holder::User(current)) if named != current => {
                Some((named, current))
            }
            _ => None,
        }
    }

    /// Tells the person at the terminal whom the answer is about, where he did not name him.
    pub(super) fn tell(&self) {
        if let Some((named, current)) = self.merged() {
            let (named, current) = (cell(named), cell(current));
            complain(&format!(
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

    /// Whether somebody may still be reading.
    pub(super) fn line(&mut self, text: &str) -> bool {
        writeln!(self.out, "{text}").is_ok()
    }

    /// Part of a line.
    pub(super) fn text(&mut self, text: &str) {
        // Whether somebody reads on shows at the next flush.
        let _ = self.out.write_all(text.as_bytes());
    }

    /// Passes on what was gathered; at the end of each page.
    pub(super) fn flush(&mut self) -> bool {
        self.out.flush().is_ok()
    }
}

impl Progress {
    const EVERY: Duration = Duration::from_millis(500);

    /// Of a search through `total` entries, about; `None` where nobody counted them.
    pub(super) fn new(total: Option<u64>) -> Self {
        Self {
            total,
            looked_at: 0,
            told: None,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// Another page was looked through.
    pub(super) fn add(&mut self, looked_at: u64) {
        self.looked_at += looked_at;
        let now = Instant::now();
        if self.terminal && now - *self.told.get_or_insert(now) >= Self::EVERY {
            self.told = Some(now);
            complain(&match self.total {
                Some(total) => format!("{} of about {total} keys", self.looked_at.min(total)),
                None => format!("{} rows so far", self.looked_at),
            });
        }
    }
}

/// Text for one cell of a terminal: what others wrote cannot end the line or colour it; empty is `-`.
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
