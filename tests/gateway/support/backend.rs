//! Real services behind the gateway: PHP, Node and nginx, each of which returns the received
//! request as JSON.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::free_port;
use super::program::Program;

/// A running service. Stops when dropped.
pub(crate) struct Backend {
    address: SocketAddr,
    _program: Program,
    _directory: Option<TempDir>,
}

impl Backend {
    /// `php -S` with `backends/router.php`, which tells `$_SERVER`.
    pub(crate) async fn php() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new("php");
        command
            .args(["-S", &address.to_string()])
            .arg(script("router.php"));
        let mut program = Program::start(command);
        program.line("started").await;
        Self {
            address,
            _program: program,
            _directory: None,
        }
    }

    /// `node backends/server.js`, which tells `rawHeaders`.
    pub(crate) async fn node() -> Self {
        let mut command = Command::new("node");
        command.arg(script("server.js"));
        let mut program = Program::start(command);
        let line = program.line("listening on ").await;
        let (_, address) = line.split_at("listening on ".len());
        Self {
            address: address.parse().expect("the address that node printed"),
            _program: program,
            _directory: None,
        }
    }

    /// nginx with `backends/nginx.conf`, which tells the headers it knows by name.
    pub(crate) async fn nginx() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let directory = tempfile::tempdir().expect("a directory");
        let template = std::fs::read_to_string(script("nginx.conf")).expect("the template");
        let file = directory.path().join("nginx.conf");
        let text = template.replace("ADDRESS", &address.to_string());
        std::fs::write(&file, text).expect("writing nginx.conf");
        let mut command = Command::new("nginx");
        command.args(["-e", "stderr", "-p"]).arg(directory.path());
        command.arg("-c").arg(file);
        let mut program = Program::start(command);
        // The first log line of nginx once its sockets are open.
        program.line("getrlimit").await;
        Self {
            address,
            _program: program,
            _directory: Some(directory),
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for `servers` of a gateway.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/gateway/backends")
        .join(name)
}
