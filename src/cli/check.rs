//! `skeygate check`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{BAD_CONFIG, File, UNAVAILABLE, complain, fail, run, say};
use crate::app::Stores;
use crate::config::{self, Config, Loaded, SessionStoreKind, UserStore};
use crate::redis::{Persistence, RedisLink};
use crate::users::UserDirectory;
use crate::webhook::Webhook;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: File,
    /// Ask Redis, the database of users and the service of `[users.webhook]` too: are they there, may we use them, will the tables
    /// do. Changes nothing in them: a user is added to the database on trial, and taken back; the service gets {"event":"check"},
    /// signed.
    #[arg(long)]
    connect: bool,
    /// An earlier state of the file, as a running gateway has it: names the changed keys that need a restart.
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
        complain(&format!("{warning}\n"));
    }
    say(&format!(
        "{}: good{}",
        file.config.display(),
        summary(&loaded.config)
    ));
    match follow(&loaded, arguments.since.as_deref()) {
        Ok(line) => say(&line),
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

/// What a gateway that runs with the file, or with an earlier state of it, does about a change.
fn follow(loaded: &Loaded, since: Option<&Path>) -> Result<String, ExitCode> {
    let Some(since) = since else {
        return Ok(match loaded.config.server.reload {
            Some(every) => format!(
                "A running gateway looks for changes every {} ms; --since OLD names those that need a restart.",
                every.as_millis()
            ),
            None => "A running gateway reads changes at SIGHUP and POST /reload; --since OLD names those that need a \
                     restart."
                .to_owned(),
        });
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

/// Asks everything that the gateway would use, however many of them fail.
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
                found.facts.iter().for_each(|fact| say(fact));
                for advice in &found.advice {
                    complain(&format!("warning: {advice}"));
                }
                for problem in &found.problems {
                    complain(&format!("error: {problem}"));
                }
                unfit |= !found.problems.is_empty();
            }
            Err(error) => {
                complain(&format!("error: {error}"));
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

/// What a service of the operator's says to our question.
enum Service {
    Good,
    Away,
    Refuses,
}

async fn ask_service(table: &str, service: &config::Webhook) -> Service {
    let webhook = match Webhook::new(service) {
        Ok(webhook) => webhook,
        Err(error) => {
            complain(&format!("error: {table}: {error}"));
            return Service::Refuses;
        }
    };
    let address = webhook.address();
    match webhook.check().await {
        Ok(answer) if answer.is_success() => {
            say(&format!("{table} at {address}: answers"));
            Service::Good
        }
        Ok(answer) => {
            complain(&format!(
                "error: {table} at {address}: answered {} to {{\"event\":\"check\"}}, wanted is 200 to 299; check its path, \
                 and that it knows the same secret and the time",
                answer.status
            ));
            Service::Refuses
        }
        Err(error) => {
            complain(&format!("error: {table} at {address}: {error}"));
            Service::Away
        }
    }
}

/// Whether Redis answers; prints what it is.
async fn redis(link: &RedisLink) -> bool {
    match link.info().await {
        Ok(facts) => {
            let version = facts.version.unwrap_or_else(|| "unknown".to_owned());
            let (address, kept) = (link.address(), facts.persistence);
            say(&format!("redis at {address}: answers, version {version}"));
            if kept == Persistence::Off {
                complain(&format!(
                    "warning: redis at {address}: keeps nothing over a restart; set appendonly yes in redis.conf"
                ));
            }
            true
        }
        Err(error) => {
            complain(&format!("error: {error}"));
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
