//! `skeygate check`.

use std::process::ExitCode;

use super::{BAD_CONFIG, File, UNAVAILABLE, complain, fail, run, say};
use crate::config::{self, Config, SessionStoreKind, UserStoreKind};
use crate::redis::{Persistence, RedisLink};
use crate::users::{Bans, UserDirectory};
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
    say("Every change needs a restart in this version.");
    if !arguments.connect {
        return ExitCode::SUCCESS;
    }
    match run::single_threaded() {
        Ok(runtime) => runtime.block_on(connect(&loaded.config)),
        Err(error) => fail(&format!("starting: {error}"), 1),
    }
}

/// Asks everything that the gateway would use, however many of them fail.
async fn connect(config: &Config) -> ExitCode {
    let (mut away, mut unfit) = (false, false);
    if needs_redis(config) {
        away |= !redis(config).await;
    }
    if let (UserStoreKind::Sql, Some(sql)) = (config.users.store, &config.users.sql)
        && let UserDirectory::Sql(users) = UserDirectory::sql(sql, Bans::memory())
    {
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
    let users = &config.users;
    let directory = users.webhook.as_ref();
    let directory = directory.filter(|_| users.store == UserStoreKind::Webhook);
    if let Some(service) = directory {
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

fn needs_redis(config: &Config) -> bool {
    config.session.store == SessionStoreKind::Redis
        || config.users.store == UserStoreKind::Redis
        || config.rate_limit.shared
}

/// Whether Redis answers, after telling what it is.
async fn redis(config: &Config) -> bool {
    let link = match RedisLink::connect(&config.redis) {
        Ok(link) => link,
        Err(error) => {
            complain(&format!("error: {error}"));
            return false;
        }
    };
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
