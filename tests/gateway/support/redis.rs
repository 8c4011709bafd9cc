//! A real redis-server of a test's own, which can be killed, frozen and brought back on the same
//! port.

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::program::Program;
use super::wire::Wire;
use super::{free_port, within};

/// The server. Keeps nothing on disk unless told.
pub(crate) struct RedisServer {
    address: SocketAddr,
    directory: TempDir,
    options: Vec<String>,
    program: Program,
}

/// A reply of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+` and `$`; the bytes.
    Text(Vec<u8>),
    /// `-`: the error.
    Error(String),
    /// `:`.
    Number(i64),
    /// `*`.
    List(Vec<Self>),
    /// No such thing.
    Nothing,
}

impl RedisServer {
    /// Starts it with further `redis-server` options, e.g. `["--appendonly", "yes"]`.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let directory = tempfile::tempdir().expect("a directory");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        let program = launch(address, &directory, &options);
        let mut server = Self {
            address,
            directory,
            options,
            program,
        };
        server.ready().await;
        server
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.program.kill().await;
    }

    /// Starts it again on the same port; without `--appendonly` it has forgotten everything.
    pub(crate) async fn restart(&mut self) {
        if !self.program.has_ended() {
            self.kill().await;
        }
        self.program = launch(self.address, &self.directory, &self.options);
        self.ready().await;
    }

    /// As `restart`, with other options.
    pub(crate) async fn restart_with(&mut self, options: &[&str]) {
        self.options = options.iter().map(|&option| option.to_owned()).collect();
        self.restart().await;
    }

    /// Freezes it: connections stay, nothing is answered.
    pub(crate) fn pause(&self) {
        self.program.signal("STOP");
    }

    /// Resumes it.
    pub(crate) fn resume(&self) {
        self.program.signal("CONT");
    }

    /// Runs one command over a connection of its own.
    pub(crate) async fn command(&self, words: &[&[u8]]) -> Reply {
        self.link().await.command(words).await
    }

    /// Every key and every value in it, one after the other: what a thief of the database would
    /// read.
    ///
    /// # Panics: when a key has a type that this does not know.
    pub(crate) async fn dump(&self) -> Vec<u8> {
        let mut link = self.link().await;
        let Reply::List(keys) = link.command(&[b"KEYS", b"*"]).await else {
            panic!("KEYS without a list");
        };
        let mut dump = Vec::new();
        for key in keys {
            let Reply::Text(key) = key else {
                panic!("a key without a name: {key:?}");
            };
            dump.extend(&key);
            let Reply::Text(kind) = link.command(&[b"TYPE", &key]).await else {
                panic!("TYPE without a text");
            };
            let value = match kind.as_slice() {
                b"string" => link.command(&[b"GET", &key]).await,
                b"hash" => link.command(&[b"HGETALL", &key]).await,
                b"list" => link.command(&[b"LRANGE", &key, b"0", b"-1"]).await,
                b"set" => link.command(&[b"SMEMBERS", &key]).await,
                b"zset" => {
                    let range: [&[u8]; 5] = [b"ZRANGE", &key, b"0", b"-1", b"WITHSCORES"];
                    link.command(&range).await
                }
                // Gone since KEYS named it.
                b"none" => Reply::Nothing,
                other => panic!("a key of type {}", String::from_utf8_lossy(other)),
            };
            value.append_to(&mut dump);
        }
        dump
    }

    /// A connection, logged in where a password is asked for.
    async fn link(&self) -> Link {
        let mut link = Link::connect(self.address).await;
        let mut options = self.options.iter();
        if options.any(|option| option == "--requirepass") {
            let password = options.next().expect("a password");
            link.command(&[b"AUTH", password.as_bytes()]).await;
        }
        link
    }

    async fn ready(&mut self) {
        self.program.line("Ready to accept connections").await;
    }
}

impl Reply {
    /// Its bytes, nested lists flat.
    fn append_to(&self, dump: &mut Vec<u8>) {
        dump.push(b'\n');
        match self {
            Self::Text(text) => dump.extend(text),
            Self::Error(text) => dump.extend(text.as_bytes()),
            Self::Number(number) => dump.extend(number.to_string().as_bytes()),
            Self::List(list) => list.iter().for_each(|item| item.append_to(dump)),
            Self::Nothing => {}
        }
    }
}

fn launch(address: SocketAddr, directory: &TempDir, options: &[String]) -> Program {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args([
            "--save",
            "",
            "--appendonly",
            "no",
            "--appendfsync",
            "always",
        ])
        .arg("--dir")
        .arg(directory.path())
        .args(options);
    Program::start(command)
}

/// A listener on Redis's port that replies LOADING to every command. Ends when dropped.
pub(crate) struct LoadingRedis {
    _running: DropGuard,
}

impl LoadingRedis {
    /// Takes the place of a Redis that was killed.
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("binding");
        let token = CancellationToken::new();
        let stop = token.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            let mut links = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                links.spawn(say_loading(Wire::new(stream)));
            }
        }));
        Self {
            _running: token.drop_guard(),
        }
    }
}

async fn say_loading(mut wire: Wire<TcpStream>) {
    while let Ok(line) = wire.line().await {
        // Each command is an array, and no other part of it starts with `*`.
        if line.starts_with(b"*") {
            let answer = b"-LOADING Redis is loading the dataset in memory\r\n";
            let _ = wire.write(answer).await;
        }
    }
}

/// One connection that speaks RESP2.
struct Link {
    wire: Wire<TcpStream>,
}

impl Link {
    async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("connecting to redis");
        Self {
            wire: Wire::new(stream),
        }
    }

    async fn command(&mut self, words: &[&[u8]]) -> Reply {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).as_bytes());
            request.extend(*word);
            request.extend(b"\r\n");
        }
        self.wire.write(&request).await.expect("writing to redis");
        within("redis", self.reply()).await
    }

    async fn reply(&mut self) -> Reply {
        let line = self.wire.line().await.expect("a reply");
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (kind, rest) = line.split_at(1);
        let number = || rest.parse::<i64>().expect("a number");
        match kind {
            "+" => Reply::Text(rest.as_bytes().to_vec()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Number(number()),
            "$" | "*" if number() < 0 => Reply::Nothing,
            "$" => {
                let length = usize::try_from(number()).expect("a length");
                let mut text = self.wire.exactly(length + 2).await.expect("a text");
                text.truncate(length);
                Reply::Text(text)
            }
            "*" => {
                let mut list = Vec::new();
                for _ in 0..number() {
                    list.push(Box::pin(self.reply()).await);
                }
                Reply::List(list)
            }
            other => panic!("redis answered {other:?}"),
        }
    }
}
