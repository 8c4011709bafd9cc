//! The commands. Only this module prints and ends the process.

mod check;
#[cfg(feature = "dev")]
mod dev;
mod explain;
mod healthcheck;
mod init;
mod operator;
mod run;
mod schema;
mod sessions;
mod users;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Auth, Config, Loaded, WatchedFiles};

/// EX_CONFIG of sysexits(3): the configuration is bad.
const BAD_CONFIG: u8 = 78;
/// EX_UNAVAILABLE: an address cannot be bound, or a store is unavailable.
const UNAVAILABLE: u8 = 69;
#[cfg(not(feature = "dev"))]
const NO_DEV: &str = "this build of skeygate has no `dev`: release builds leave it out\n\
                      help: in the source tree, `cargo run --release -- dev` builds it and runs it";

/// Auth gateway for WeChat mini-program backends.
///
/// Runs in front of any HTTP service, serves the login endpoint, checks the skey of every request
/// against Redis, and passes the user on in X-Openid and X-User-Id.
///
#[cfg_attr(feature = "dev", doc = "Try it: `skeygate dev`.")]
/// To deploy: `skeygate init`, fill in the three marked values, `skeygate check`, `skeygate run`.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway.
    ///
    /// Exits with 0 after SIGTERM or SIGINT, once requests in flight have finished (at most
    /// server.shutdown.drain; a second signal exits at once); with 78 when gateway.toml is bad;
    /// with 69 when an address, Redis or the user database is unavailable at start.
    Run(File),
    /// Check gateway.toml and report all problems.
    ///
    /// Reads secret files and environment variables as `run` does, without connecting to anything.
    /// Exits with 0 or 78. With --connect it also contacts Redis, the user database and the
    /// services of [users], and exits with 69 when one is unavailable, with 78 when a table or a
    /// response does not fit.
    Check(check::Arguments),
    #[cfg(feature = "dev")]
    /// Try skeygate without Redis, appid or internet. Not for production.
    ///
    /// Listens on 127.0.0.1 with a fake WeChat and sessions in memory, and prints three curl
    /// commands to paste: a login, a request of that user, and a request without a login. Exits
    /// with 0 on Ctrl-C, with 69 when the port is in use, with 78 when --to is not a service
    /// address.
    Dev(dev::Arguments),
    /// Not in this build: `skeygate dev` needs the cargo feature `dev`.
    ///
    /// Release builds leave it out, with its fake WeChat. A build with the default features has it:
    /// cargo run --release -- dev
    #[cfg(not(feature = "dev"))]
    #[command(hide = true)]
    Dev(Absent),
    /// Show how a request would be handled, without sending it.
    ///
    /// Prints the route, auth, the place of the skey, removed and added headers, and the upstream.
    /// Contacts neither Redis nor the upstream: any skey counts as valid. Values of headers that
    /// may be credentials are hidden. Exits with 0, also for a refusal; with 64 when the request is
    /// malformed, and with 78 when gateway.toml is bad.
    Explain(explain::Arguments),
    /// Write a commented gateway.toml with every key.
    ///
    /// Three marked values have to be set. Exits with 0, or with 1 when the file exists or cannot
    /// be written.
    Init(init::Arguments),
    /// Probe a running gateway; for images without a shell.
    ///
    /// Requests /readyz on admin.listen, which also pings Redis. Exits with 0 when the gateway is
    /// ready, with 1 when it is not or does not run, and with 78 when gateway.toml is bad or
    /// admin.listen is empty.
    Healthcheck(healthcheck::Arguments),
    /// Print the JSON Schema of gateway.toml, for completion in editors.
    ///
    /// For taplo or Even Better TOML: `skeygate schema > gateway.schema.json`, and `#:schema
    /// ./gateway.schema.json` as the first line of gateway.toml.
    Schema,
    /// List and end sessions.
    ///
    /// Uses the Redis of gateway.toml, not a running gateway; changes apply on all replicas from
    /// the next request on. Each change writes an audit line to standard error. Exits with 0, with
    /// 1 when the user or session does not exist, with 69 when Redis or the user database is
    /// unavailable, and with 78 when gateway.toml is bad or keeps sessions in memory.
    Sessions(sessions::Arguments),
    /// Show, ban and unban users.
    ///
    /// Uses the Redis of gateway.toml, not a running gateway; changes apply on all replicas at
    /// once. Each change writes an audit line to standard error. Exits with 0, with 1 when the user
    /// or ban does not exist, with 69 when Redis or the user database is unavailable, and with 78
    /// when gateway.toml is bad or keeps sessions in memory.
    Users(users::Arguments),
}

/// Ignored arguments of a command that this build does not have.
#[cfg(not(feature = "dev"))]
#[derive(Debug, clap::Args)]
struct Absent {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<std::ffi::OsString>,
}

/// The path of the configuration.
#[derive(Debug, Clone, clap::Args)]
struct File {
    /// The configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "SKEYGATE_CONFIG",
        default_value = "gateway.toml"
    )]
    config: PathBuf,
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(file) => run::run(&file),
        Command::Check(arguments) => check::check(&arguments),
        #[cfg(feature = "dev")]
        Command::Dev(arguments) => dev::dev(&arguments),
        #[cfg(not(feature = "dev"))]
        Command::Dev(_) => fail(NO_DEV, explain::USAGE),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Healthcheck(arguments) => healthcheck::healthcheck(&arguments),
        Command::Schema => schema::schema(),
        Command::Sessions(arguments) => sessions::sessions(&arguments),
        Command::Users(arguments) => users::users(&arguments),
    }
}

impl File {
    /// Loads the configuration; prints all problems and returns the exit status if it is bad.
    fn load(&self) -> Result<Loaded, ExitCode> {
        Ok(self.load_watched()?.0)
    }

    /// As `load`, with the state of the files that were read.
    fn load_watched(&self) -> Result<(Loaded, WatchedFiles), ExitCode> {
        match Config::load_watched(&self.config) {
            (Ok(loaded), files) => Ok((loaded, files)),
            (Err(error), _) => Err(fail(&error.to_string(), BAD_CONFIG)),
        }
    }
}

/// The spelling in gateway.toml.
fn word(auth: Auth) -> &'static str {
    match auth {
        Auth::Required => "required",
        Auth::Optional => "optional",
        Auth::Off => "off",
    }
}

/// Prints a line to standard output. A closed pipe is ignored.
fn print_line(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints to standard error.
fn print_error(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn fail(text: &str, status: u8) -> ExitCode {
    print_error(text);
    ExitCode::from(status)
}

#[cfg(not(feature = "dev"))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_feature_dev_the_command_takes_any_arguments_and_is_not_in_the_help() {
        for arguments in [vec![], vec!["--to", "http://127.0.0.1:3000", "--port", "0"]] {
            let line = ["skeygate", "dev"].into_iter().chain(arguments);
            let parsed = Arguments::try_parse_from(line);
            assert!(matches!(parsed.unwrap().command, Command::Dev(_)));
        }
        let help = Arguments::try_parse_from(["skeygate", "--help"]).unwrap_err();
        assert!(!help.to_string().contains("dev"), "{help}");
    }
}
