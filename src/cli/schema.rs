//! `skeygate schema`.

use std::process::ExitCode;

use super::{fail, print_line};
use crate::config;

pub(super) fn schema() -> ExitCode {
    match serde_json::to_string_pretty(&config::schema()) {
        Ok(text) => {
            print_line(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("writing the schema: {error}"), 1),
    }
}
