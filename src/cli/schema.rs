//! `skeygate schema`.

use std::process::ExitCode;

use super::{fail, say};
use crate::config;

pub(super) fn schema() -> ExitCode {
    match serde_json::to_string_pretty(&config::schema()) {
        Ok(text) => {
            say(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("writing the schema: {error}"), 1),
    }
}
