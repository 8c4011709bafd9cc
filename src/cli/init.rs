//! `skeygate init`.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::{fail, print_line};
use crate::config;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The file to write. An existing file is left unchanged.
    #[arg(value_name = "FILE", default_value = "gateway.toml")]
    file: PathBuf,
}

pub(super) fn init(arguments: &Arguments) -> ExitCode {
    let name = arguments.file.display();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&arguments.file)
        .and_then(|mut file| file.write_all(config::example().as_bytes()));
    match written {
        Ok(()) => {
            print_line(&format!(
                "Wrote {name}. Set the three values marked SET THIS, then:"
            ));
            print_line(&format!("  skeygate check --config {name}"));
            print_line(&format!("  skeygate run --config {name}"));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => fail(
            &format!("writing {name}: it exists already; name another file"),
            1,
        ),
        Err(error) => fail(&format!("writing {name}: {error}"), 1),
    }
}
