//! `skeygate check`.

use std::process::ExitCode;

use super::{File, complain, say};
use crate::config::{Config, SessionStoreKind};

pub(super) fn check(file: &File) -> ExitCode {
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
    ExitCode::SUCCESS
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
