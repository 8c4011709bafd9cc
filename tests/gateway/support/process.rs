//! The built binary with a file of its own: for its log, its signals and its exit status.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::free_port;
use super::program::Program;

/// `skeygate run`. Killed when dropped.
pub(crate) struct GatewayProcess {
    /// The process, its output and its signals.
    pub(crate) program: Program,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its gateway.toml.
    pub(crate) file: PathBuf,
    _directory: TempDir,
}

impl GatewayProcess {
    /// Starts it with this file on a port of its own, and waits for the log line `listening`: its
    /// log is at `info`, or lower.
    pub(crate) async fn start(toml: &str) -> Self {
        Self::start_with(toml, &[]).await
    }

    /// As `start`, by way of another program, e.g. `["prlimit", "--nofile=64"]`, which must become
    /// the gateway (exec).
    pub(crate) async fn start_with(toml: &str, launcher: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (directory, file) = write(&on_port(toml, address));
        Self::start_file(file, address, directory, launcher).await
    }

    /// Starts it with a file that is there already and listens on `address`.
    pub(crate) async fn start_file(
        file: PathBuf,
        address: SocketAddr,
        directory: TempDir,
        launcher: &[&str],
    ) -> Self {
        let mut command = skeygate(launcher);
        command.arg("run").arg("--config").arg(&file);
        let mut program = Program::start(command);
        program.wait_for("listening").await;
        Self {
            program,
            address,
            file,
            _directory: directory,
        }
    }

    /// Replaces its file as a whole, as `mv` does; port 0 stands for its own port.
    pub(crate) fn rewrite(&self, toml: &str) {
        let new = self.file.with_extension("new");
        std::fs::write(&new, on_port(toml, self.address)).expect("writing the new file");
        std::fs::rename(&new, &self.file).expect("replacing gateway.toml");
    }
}

/// Runs `skeygate COMMAND --config FILE` (the command with flags of its own) on this text to its
/// end; gives the exit code and its output.
pub(crate) async fn run_to_end(subcommand: &str, toml: &str) -> (Option<i32>, String) {
    let (_directory, file) = write(toml);
    let mut command = skeygate(&[]);
    command
        .args(subcommand.split(' '))
        .arg("--config")
        .arg(file);
    let mut program = Program::start(command);
    let status = program.exit().await;
    (status.code(), program.output().await)
}

/// The built binary, without variables of the environment that could configure it.
fn skeygate(launcher: &[&str]) -> Command {
    let binary = env!("CARGO_BIN_EXE_skeygate");
    let mut command = match launcher.split_first() {
        None => Command::new(binary),
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(binary);
            command
        }
    };
    command.env_remove("SKEYGATE_CONFIG").env_remove("RUST_LOG");
    command
}

fn on_port(toml: &str, address: SocketAddr) -> String {
    toml.replace("127.0.0.1:0\"", &format!("{address}\""))
}

fn write(toml: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = Path::new(directory.path()).join("gateway.toml");
    std::fs::write(&file, toml).expect("writing gateway.toml");
    (directory, file)
}
