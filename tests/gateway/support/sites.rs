//! Real services that serve one small site, each in its own way: a public page and a secret one
//! below `/admin`. The tests compare which page a service serves for a path.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::process::Command;

use super::free_port;
use super::program::Program;

/// Text of `/admin/secret` and `/admin/secret.php` only.
pub(crate) const SECRET: &str = "the secret of admin";
/// Text of `/public/hello` only.
pub(crate) const PUBLIC: &str = "hello, everybody";

/// A running service and its files. Stops when dropped.
pub(crate) struct Site {
    address: SocketAddr,
    _programs: Vec<Program>,
    _directory: TempDir,
}

impl Site {
    /// `php -S` without a router script: files, and scripts by their paths.
    pub(crate) async fn php_files() -> Self {
        let directory = files();
        let address = any_address();
        let mut command = Command::new("php");
        command.args(["-S", &address.to_string(), "-t"]);
        command.arg(directory.path().join("site"));
        Self::start(command, "started", address, directory).await
    }

    /// `php -S` with a front controller for every path.
    pub(crate) async fn php_front() -> Self {
        let directory = files();
        let address = any_address();
        let mut command = Command::new("php");
        command.args(["-S", &address.to_string()]);
        command.arg(script("front.php"));
        Self::start(command, "started", address, directory).await
    }

    /// nginx, files alone.
    pub(crate) async fn nginx_files() -> Self {
        let (directory, files, _) = Self::nginx_configuration();
        let nginx = start_nginx(directory.path()).await;
        Self {
            address: files,
            _programs: vec![nginx],
            _directory: directory,
        }
    }

    /// nginx with php-fpm: files, scripts, and a front controller for the rest.
    pub(crate) async fn nginx_php() -> Self {
        let (directory, _, php) = Self::nginx_configuration();
        let fpm = start_fpm(directory.path()).await;
        let nginx = start_nginx(directory.path()).await;
        Self {
            address: php,
            _programs: vec![nginx, fpm],
            _directory: directory,
        }
    }

    /// Express, with method-override.
    pub(crate) async fn express() -> Self {
        let directory = files();
        let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node/node_modules");
        assert!(
            modules.join("express").exists(),
            "{} lacks express; tests/run installs it",
            modules.display()
        );
        let mut command = Command::new("node");
        command
            .arg(script("express/site.js"))
            .arg(directory.path().join("site"))
            .env("NODE_PATH", modules);
        let mut program = Program::start(command);
        let line = program.line("listening on ").await;
        let (_, address) = line.split_at("listening on ".len());
        Self {
            address: address.parse().expect("the address that node printed"),
            _programs: vec![program],
            _directory: directory,
        }
    }

    /// `python3 -m http.server`, files alone.
    pub(crate) async fn python_files() -> Self {
        let directory = files();
        let address = any_address();
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", &address.port().to_string()]);
        command.args(["--bind", "127.0.0.1", "--directory"]);
        command.arg(directory.path().join("site"));
        Self::start(command, "Serving HTTP", address, directory).await
    }

    async fn start(command: Command, ready: &str, address: SocketAddr, directory: TempDir) -> Self {
        let mut program = Program::start(command);
        program.line(ready).await;
        Self {
            address,
            _programs: vec![program],
            _directory: directory,
        }
    }

    /// Writes nginx.conf; gives the addresses of files and PHP.
    fn nginx_configuration() -> (TempDir, SocketAddr, SocketAddr) {
        let directory = files();
        let (files, php) = (any_address(), any_address());
        let text = std::fs::read_to_string(script("site.conf")).expect("the template");
        let text = text
            .replace("FILES_ADDRESS", &files.to_string())
            .replace("PHP_ADDRESS", &php.to_string())
            .replace("SOCKET", &path_in(&directory, "fpm.sock"))
            .replace(
                "root ROOT",
                &format!("root {}", path_in(&directory, "site")),
            );
        std::fs::write(directory.path().join("nginx.conf"), text).expect("writing nginx.conf");
        (directory, files, php)
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

/// The site: `site/public/hello`, `site/admin/secret` as a file and as a script, `site/index.php`.
fn files() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let site = directory.path().join("site");
    for (file, text) in [
        ("public/hello", PUBLIC.to_owned()),
        ("admin/secret", SECRET.to_owned()),
        ("admin/secret.php", format!("<?php echo '{SECRET}';")),
    ] {
        let file = site.join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("writing a file of the site");
    }
    std::fs::copy(script("front.php"), site.join("index.php"))
        .expect("copying the front controller");
    directory
}

async fn start_nginx(directory: &Path) -> Program {
    let mut command = Command::new("nginx");
    command.args(["-e", "stderr", "-p"]).arg(directory);
    command.arg("-c").arg(directory.join("nginx.conf"));
    let mut program = Program::start(command);
    // The first log line of nginx once its sockets are open.
    program.line("getrlimit").await;
    program
}

async fn start_fpm(directory: &Path) -> Program {
    let owner = |flag: &str| {
        let output = std::process::Command::new("id").args([flag, "-n"]).output();
        let name = output.expect("running id").stdout;
        String::from_utf8_lossy(&name).trim().to_owned()
    };
    let text = std::fs::read_to_string(script("fpm.conf")).expect("the template");
    let socket = directory.join("fpm.sock");
    let text = text
        .replace("USER", &owner("-u"))
        .replace("GROUP", &owner("-g"))
        .replace("SOCKET", &socket.display().to_string());
    let file = directory.join("fpm.conf");
    std::fs::write(&file, text).expect("writing fpm.conf");
    let mut command = Command::new(fpm());
    command.args(["-F", "-R", "-y"]).arg(file);
    let mut program = Program::start(command);
    program.line("ready to handle connections").await;
    program
}

/// php-fpm, which Debian calls after its version and keeps where only root looks by itself.
fn fpm() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("php-fpm")
        })
        .expect("php-fpm; tests/run installs it")
}

fn any_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

fn path_in(directory: &TempDir, name: &str) -> String {
    directory.path().join(name).display().to_string()
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/gateway/backends")
        .join(name)
}
