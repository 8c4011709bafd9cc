//! Databases of a test's own: a MariaDB server, a PostgreSQL server, a file of SQLite. Their
//! content is read by their own command-line clients, as an operator would.

use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::certificates::Certificate;
use super::program::Program;
use super::{free_port, within};

/// One database, empty.
pub(crate) struct Database {
    kind: Kind,
    address: SocketAddr,
    directory: TempDir,
    /// None for SQLite, which has no server.
    program: Option<Program>,
    /// Certificate and key, where the server offers TLS.
    tls: Option<(PathBuf, PathBuf)>,
}

/// Which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// MySQL's language.
    MariaDb,
    /// A server again.
    Postgres,
    /// A file.
    Sqlite,
}

impl Database {
    /// A new one with a database `app` that belongs to the user `app`.
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_with(kind, None).await
    }

    /// The same, offering TLS with this certificate.
    pub(crate) async fn start_with(kind: Kind, certificate: Option<&Certificate>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let tls = certificate.map(|certificate| certificate.copy_to(directory.path()));
        let mut database = Self {
            kind,
            address: SocketAddr::from(([127, 0, 0, 1], free_port())),
            directory,
            program: None,
            tls,
        };
        match kind {
            Kind::MariaDb => {
                database.launch().await;
                database
                    .sql_in("", "CREATE DATABASE app CHARACTER SET utf8mb4")
                    .await;
            }
            Kind::Postgres => {
                let path = database.directory.path();
                if let Some(id) = servant() {
                    let key = database.tls.as_ref().map(|(_, key)| key.as_path());
                    for path in [path].into_iter().chain(key) {
                        chown(path, Some(id), Some(id)).expect("giving a file away");
                    }
                }
                let mut command = unprivileged(&postgres_program("initdb"));
                command
                    .args([
                        "--username=app",
                        "--auth=trust",
                        "--no-sync",
                        "--encoding=UTF8",
                    ])
                    .args(["--locale=C", "--pgdata"])
                    .arg(path.join("data"));
                run(command).await;
                database.launch().await;
                database.sql_in("postgres", "CREATE DATABASE app").await;
            }
            Kind::Sqlite => {}
        }
        database
    }

    /// The tables of gateway.toml that name it: `[users]` and `[users.sql]`, as `Setup::table`
    /// takes them.
    pub(crate) fn tables(&self) -> [(&'static str, String); 2] {
        let url = match self.kind {
            Kind::MariaDb => format!("mysql://app@{}/app", self.address),
            Kind::Postgres => format!("postgres://app@{}/app", self.address),
            Kind::Sqlite => format!("sqlite:{}", self.file().display()),
        };
        [
            ("users", "store = \"sql\"".to_owned()),
            ("users.sql", format!("url = \"{url}\"")),
        ]
    }

    /// Runs SQL by the database's own client; gives what it prints, columns parted by tabs.
    ///
    /// # Panics: when the client reports an error.
    pub(crate) async fn sql(&self, sql: &str) -> String {
        self.sql_in("app", sql).await
    }

    /// Kills the server with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.server().kill().await;
    }

    /// Starts the server again on the same port.
    pub(crate) async fn restart(&mut self) {
        self.launch().await;
    }

    /// Freezes the server: connections stay, nothing is answered.
    pub(crate) fn pause(&mut self) {
        // PostgreSQL is a process for each connection.
        self.server().signal_all("STOP");
    }

    /// Resumes it.
    pub(crate) fn resume(&mut self) {
        self.server().signal_all("CONT");
    }

    /// Locks a file of SQLite against writers as long as the program runs.
    pub(crate) async fn hold(&self) -> Program {
        let mut command = Command::new("sqlite3");
        command
            .args(["-batch", "-cmd", ".timeout 20000"])
            .arg(self.file())
            .args(["BEGIN EXCLUSIVE", ".shell echo held; sleep 30"]);
        let mut program = Program::start(command);
        program.line("held").await;
        program
    }

    /// The kind of the database.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    fn server(&mut self) -> &mut Program {
        self.program.as_mut().expect("a database with a server")
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("users.db")
    }

    async fn launch(&mut self) {
        let path = self.directory.path();
        let port = self.address.port();
        let (command, ready) = match self.kind {
            Kind::MariaDb => {
                let mut command = Command::new("mariadbd");
                command
                    .arg("--no-defaults")
                    .arg(format!("--datadir={}", path.display()))
                    .arg(format!("--socket={}", path.join("socket").display()))
                    .arg(format!("--port={port}"))
                    // Logins need no password, so that there need be no tables of users.
                    .args([
                        "--bind-address=127.0.0.1",
                        "--skip-grant-tables",
                        "--skip-name-resolve",
                    ])
                    .args(["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M"])
                    .args([
                        "--innodb-flush-log-at-trx-commit=0",
                        "--max-connections=300",
                    ])
                    // The default of old servers, so that the gateway depends on no newer one.
                    .args(["--character-set-server=latin1"]);
                if let Some((certificate, key)) = &self.tls {
                    command
                        .arg(format!("--ssl-cert={}", certificate.display()))
                        .arg(format!("--ssl-key={}", key.display()));
                }
                if servant().is_some() {
                    command.arg("--user=root");
                }
                (command, "ready for connections")
            }
            Kind::Postgres => {
                let mut command = unprivileged(&postgres_program("postgres"));
                command
                    .arg("-D")
                    .arg(path.join("data"))
                    .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
                    .arg("-k")
                    .arg(path)
                    .args(["-c", "fsync=off"]);
                if let Some((certificate, key)) = &self.tls {
                    command
                        .args(["-c", "ssl=on"])
                        .args(["-c", &format!("ssl_cert_file={}", certificate.display())])
                        .args(["-c", &format!("ssl_key_file={}", key.display())]);
                }
                (command, "ready to accept connections")
            }
            Kind::Sqlite => return,
        };
        let mut program = Program::start(command);
        program.line(ready).await;
        self.program = Some(program);
    }

    async fn sql_in(&self, database: &str, sql: &str) -> String {
        let (host, port) = ("127.0.0.1", self.address.port().to_string());
        let mut command;
        match self.kind {
            Kind::MariaDb => {
                command = Command::new("mariadb");
                command
                    .args([
                        "--no-defaults",
                        "--host",
                        host,
                        "--port",
                        &port,
                        "--user=app",
                    ])
                    .args([
                        "--default-character-set=utf8mb4",
                        "--batch",
                        "--raw",
                        "--skip-column-names",
                    ])
                    .args(["--execute", sql, database]);
            }
            Kind::Postgres => {
                command = Command::new("psql");
                command
                    .args(["-X", "-q", "-t", "-A", "-F", "\t", "-v", "ON_ERROR_STOP=1"])
                    .args([
                        "-h", host, "-p", &port, "-U", "app", "-d", database, "-c", sql,
                    ]);
            }
            Kind::Sqlite => {
                command = Command::new("sqlite3");
                command
                    .args(["-batch", "-separator", "\t", "-cmd", ".timeout 20000"])
                    .arg(self.file())
                    .arg(sql);
            }
        }
        run(command).await
    }
}

/// Runs a program to its end; gives what it printed.
async fn run(mut command: Command) -> String {
    let output = within("a database's client", command.output()).await;
    let output = output.unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        text(output.stderr)
    );
    text(output.stdout).trim_end().to_owned()
}

/// PostgreSQL does not run as root: the system user it runs as.
fn servant() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let effective = line.and_then(|line| line.split_whitespace().nth(1));
    (effective == Some("0")).then_some(65_534)
}

/// A command that does not run as root.
fn unprivileged(program: &Path) -> Command {
    let Some(id) = servant() else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={id}"))
        .arg(format!("--regid={id}"))
        .arg("--clear-groups")
        .arg(program);
    command
}

/// A program of PostgreSQL, which Debian keeps beside the PATH, one folder for each version.
fn postgres_program(name: &str) -> PathBuf {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("a folder").path().join("bin").join(name))
        .filter(|path| path.exists())
        .collect();
    versions.sort();
    versions.pop().unwrap_or_else(|| PathBuf::from(name))
}
