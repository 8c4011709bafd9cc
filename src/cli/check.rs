//! `skeygate check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{BAD_CONFIG, File, UNAVAILABLE, fail, print_error, print_line, run};
use crate::app::Stores;
use crate::config::{self, Config, Loaded, SessionStoreKind, UserStore};
use crate::redis::{Persistence, RedisLink};
use crate::users::UserDirectory;
use crate::webhook::Webhook;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: File,
    /// Also connect to Redis, the user database and the service of `[users.webhook]`, and check
    /// access and tables. Leaves them unchanged: a user row is added and removed again; the service
    /// gets a signed {"event":"check"}.
    #[arg(long)]
    connect: bool,
    /// An earlier version of the file, as a running gateway has it: lists the changed keys that
    /// need a restart.
    #[arg(long, value_name = "FILE")]
    since: Option<PathBuf>,
}

pub(super) fn check(arguments: &Arguments) -> ExitCode {
    let file = &arguments.file;
    let loaded = match file.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    for warning in &loaded.warnings {
        print_error(&format!("{warning}\n"));
    }
    print_line(&format!(
        "{}: good{}",
        file.config.display(),
        summary(&loaded.config)
    ));
    match follow(&loaded, arguments.since.as_deref()) {
        Ok(line) => print_line(&line),
        Err(status) => return status,
    }
    if !arguments.connect {
        return ExitCode::SUCCESS;
    }
    match run::single_threaded() {
        Ok(runtime) => runtime.block_on(connect(&loaded.config)),
        Err(error) => fail(&format!("starting: {error}"), 1),
    }
}

/// How a running gateway, with this file or with `since`, takes up changes.
fn follow(loaded: &Loaded, since: Option<&Path>) -> Result<String, ExitCode> {
    let Some(since) = since else {
        let how = match loaded.config.server.reload {
            Some(_) => "by itself (server.reload)",
            None => "at SIGHUP and POST /reload",
        };
        return Ok(format!(
            "A running gateway picks up changes {how}; --since OLD names those that need a restart."
        ));
    };
    let earlier = Config::load(since).map_err(|error| fail(&error.to_string(), BAD_CONFIG))?;
    let keys = earlier.restart_keys(loaded);
    Ok(match keys.as_slice() {
        [] => format!("No change since {} needs a restart.", since.display()),
        keys => format!(
            "Changed since {}, and used only after a restart: {}",
            since.display(),
            keys.join(", ")
        ),
    })
}

/// Contacts every dependency and reports all failures, not only the first.
async fn connect(config: &Config) -> ExitCode {
    let (mut away, mut unfit) = (false, false);
    let stores = match Stores::open(config) {
        Ok(stores) => stores,
        Err(error) => return fail(&format!("error: {error}"), BAD_CONFIG),
    };
    if let Some(link) = &stores.redis {
        away |= !redis(link).await;
    }
    if let UserDirectory::Sql(users) = &stores.users {
        match users.diagnose().await {
            Ok(found) => {
                found.facts.iter().for_each(|fact| print_line(fact));
                for advice in &found.advice {
                    print_error(&format!("warning: {advice}"));
                }
                for problem in &found.problems {
                    print_error(&format!("error: {problem}"));
                }
                unfit |= !found.problems.is_empty();
            }
            Err(error) => {
                print_error(&format!("error: {error}"));
                away = true;
            }
        }
    }
    if let UserStore::Webhook(service) = &config.users.store {
        match ask_service("users.webhook", service).await {
            Service::Good => {}
            Service::Away => away = true,
            Service::Refuses => unfit = true,
        }
    }
    match (away, unfit) {
        (true, _) => ExitCode::from(UNAVAILABLE),
        (_, true) => ExitCode::from(BAD_CONFIG),
        _ => ExitCode::SUCCESS,
    }
}

/// The result of the check event.
enum Service {
    Good,
    Away,
    Refuses,
}

async fn ask_service(table: &str, service: &config::Webhook) -> Service {
    let webhook = match Webhook::new(service) {
        Ok(webhook) => webhook,
        Err(error) => {
            print_error(&format!("error: {table}: {error}"));
            return Service::Refuses;
        }
    };
    let address = webhook.address();
    match webhook.check().await {
        Ok(response) if response.is_success() => {
            print_line(&format!("{table} at {address}: answers"));
            Service::Good
        }
        Ok(response) => {
            print_error(&format!(
                "error: {table} at {address}: answered {} to {{\"event\":\"check\"}}, wanted is 200 to 299; check its path, \
                 and that it knows the same secret and the time",
                response.status
            ));
            Service::Refuses
        }
        Err(error) => {
            print_error(&format!("error: {table} at {address}: {error}"));
            Service::Away
        }
    }
}

/// Prints the state of Redis; false if it does not respond.
async fn redis(link: &RedisLink) -> bool {
    match link.info().await {
        Ok(facts) => {
            let version = facts.version.unwrap_or_else(|| "unknown".to_owned());
            let (address, kept) = (link.address(), facts.persistence);
            print_line(&format!("redis at {address}: answers, version {version}"));
            if kept == Persistence::Off {
                print_error(&format!(
                    "warning: redis at {address}: does not survive a restart; set appendonly yes in redis.conf"
                ));
            }
            true
        }
        Err(error) => {
            print_error(&format!("error: {error}"));
            false
        }
    }
}

fn summary(config: &Config) -> String {
    let count = |number: usize, word: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {word}{plural}")
    };
    let store = match config.session.store {
        SessionStoreKind::Redis => "Redis",
        SessionStoreKind::Memory => "memory",
    };
    format!(
        " ({}, {}, {}, {}, sessions in {store})",
        count(config.apps.len(), "app"),
        count(config.login.len(), "login"),
        count(config.upstreams.len(), "upstream"),
        count(config.routes.len(), "route"),
    )
}
