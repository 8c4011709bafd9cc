//! The commands. Only here is anything printed, and only here does the process end.

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
/// EX_UNAVAILABLE: a port or Redis cannot be had.
const UNAVAILABLE: u8 = 69;
#[cfg(not(feature = "dev"))]
const NO_DEV: &str = "this build of skeygate has no `dev`: release builds leave it out\n\
                      help: in the source tree, `cargo run --release -- dev` builds it and runs it";

/// Auth gateway for WeChat mini-program backends.
///
/// Stands in front of any HTTP service, answers the login endpoint itself, checks the skey of every request against Redis, and
/// tells the service who is calling, in X-Openid and X-User-Id.
///
#[cfg_attr(feature = "dev", doc = "Try it: `skeygate dev`.")]
/// Put it to work: `skeygate init`, fill in the three marked values, `skeygate check`, `skeygate run`.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, as gateway.toml says.
    ///
    /// Ends with 0 after SIGTERM or SIGINT, once requests under way are finished (server.shutdown.drain at most; a second signal
    /// ends it at once); with 78 when gateway.toml is bad; with 69 when a port, Redis or the database of users is
    /// not to be had at start.
    Run(File),
    /// Say whether gateway.toml is good, and all that is wrong with it.
    ///
    /// Reads secret files and environment variables as `run` would, connects to nothing. Ends with 0 or 78. With --connect it also
    /// asks Redis, the database of users and the services of [users], and ends with 69 when one of them is not to be had, with 78 when
    /// a table or an answer is not what it has to be.
    Check(check::Arguments),
    #[cfg(feature = "dev")]
    /// Try it out: no Redis, no appid, no internet. Not for production.
    ///
    /// Serves on 127.0.0.1 with a fake WeChat and sessions in memory, and prints three curl commands to
    /// paste: a login, a request of that user, and one without a login. Ends with 0 at Ctrl-C, with 69
    /// when the port is in use, with 78 when --to is not the address of a service.
    Dev(dev::Arguments),
    /// Not in this build: `skeygate dev` needs the cargo feature `dev`.
    ///
    /// Release builds leave it out, with its fake WeChat. A build with the default features has it:
    /// cargo run --release -- dev
    #[cfg(not(feature = "dev"))]
    #[command(hide = true)]
    Dev(Absent),
    /// Show what would happen to a request, without sending it.
    ///
    /// Prints route, auth, where the skey was found, which headers are removed and added, and the upstream. Asks neither Redis
    /// nor the upstream: an skey is taken to be good. Values of headers that may be credentials are not shown. Ends with 0, for a
    /// refusal too; with 64 when there is no such request, and with 78 when gateway.toml is bad.
    Explain(explain::Arguments),
    /// Write a commented gateway.toml with every key.
    ///
    /// Three values in it have to be set; they are marked. Ends with 0, or with 1 when the file could not be written or is there
    /// already.
    Init(init::Arguments),
    /// Ask a running gateway whether it is ready; for images without a shell.
    ///
    /// Asks /readyz on admin.listen, which also asks Redis. Ends with 0 when it is ready, with 1 when it is not or does not run,
    /// and with 78 when gateway.toml is bad or admin.listen is empty.
    Healthcheck(healthcheck::Arguments),
    /// Print the JSON Schema of gateway.toml, for completion in editors.
    ///
    /// With taplo or Even Better TOML: `skeygate schema > gateway.schema.json`, and `#:schema ./gateway.schema.json` as the first
    /// line of gateway.toml.
    Schema,
    /// List and end sessions.
    ///
    /// Talks to the Redis of gateway.toml, not to a running gateway; all replicas see what was done on the next request. Each
    /// change is one line of audit on standard error. Ends with 0, with 1 when nobody has that openid or there is no such session,
    /// with 69 when Redis or the database of users is not to be had, and with 78 when gateway.toml is bad or keeps sessions in memory.
    Sessions(sessions::Arguments),
    /// Show users, ban them and let them in again.
    ///
    /// Talks to the Redis of gateway.toml, not to a running gateway; all replicas see what was done at once. Each change is one
    /// line of audit on standard error. Ends with 0, with 1 when nobody has that openid or there is no such ban, with 69
    /// when Redis or the database of users is not to be had, and with 78 when gateway.toml is bad or keeps sessions in memory.
    Users(users::Arguments),
}

/// Any arguments of a command that this build does not have.
#[cfg(not(feature = "dev"))]
#[derive(Debug, clap::Args)]
struct Absent {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<std::ffi::OsString>,
}

/// Where the configuration is.
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
    /// The configuration, or the exit status after all that is wrong with it has been said.
    fn load(&self) -> Result<Loaded, ExitCode> {
        Ok(self.load_watched()?.0)
    }

    /// The same, with the state of the files it was read from.
    fn load_watched(&self) -> Result<(Loaded, WatchedFiles), ExitCode> {
        match Config::load_watched(&self.config) {
            (Ok(loaded), files) => Ok((loaded, files)),
            (Err(error), _) => Err(fail(&error.to_string(), BAD_CONFIG)),
        }
    }
}

/// How gateway.toml writes it.
fn word(auth: Auth) -> &'static str {
    match auth {
        Auth::Required => "required",
        Auth::Optional => "optional",
        Auth::Off => "off",
    }
}

/// Prints a line for the reader. A reader who is gone needs none.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Prints what went wrong.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn fail(text: &str, status: u8) -> ExitCode {
    complain(text);
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
