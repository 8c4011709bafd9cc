//! Opens connections to one upstream server. Its name is resolved for every connection, so that a moved service is followed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::checked::Checked;
use super::pool::Connection;
use crate::config::ServerAddress;
use crate::error::{Error, UpstreamWait};

/// What hyper reads ahead of an answer at most, in bytes.
const READ_AHEAD: usize = 256 * 1024;

/// Connects to one server.
#[derive(Debug)]
pub(super) struct Dialer {
    server: ServerAddress,
    timeout: Duration,
    label: String,
    host: String,
}

impl Dialer {
    pub(super) fn new(server: ServerAddress, timeout: Duration) -> Self {
        let label = match &server {
            ServerAddress::Http { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            ServerAddress::Http { host, port } => format!("{host}:{port}"),
            ServerAddress::Unix(path) => format!("unix:{}", path.display()),
        };
        let host = match &server {
            ServerAddress::Http { port: 80, .. } => label.trim_end_matches(":80").to_owned(),
            ServerAddress::Http { .. } => label.clone(),
            ServerAddress::Unix(_) => "localhost".to_owned(),
        };
        Self {
            server,
            timeout,
            label,
            host,
        }
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// The server's own name, for `Host`.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Opens a connection, name look-up and handshake within `connect_timeout`.
    pub(super) async fn connect(&self) -> Result<Connection, Error> {
        let opened = tokio::time::timeout(self.timeout, self.open()).await;
        match opened {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Error::UpstreamRefused(format!(
                "connecting to {}: {error}",
                self.label
            ))),
            Err(_) => Err(Error::UpstreamTimeout(UpstreamWait::Connect(self.timeout))),
        }
    }

    async fn open(&self) -> io::Result<Connection> {
        match &self.server {
            ServerAddress::Unix(path) => {
                let stream = UnixStream::connect(path).await?;
                let probe = Socket::from(stream.as_fd().try_clone_to_owned()?);
                handshake(stream, probe).await
            }
            ServerAddress::Http { host, port } => {
                let stream = connect_any(host, *port).await?;
                stream.set_nodelay(true)?;
                // Ends tunnels whose far side is gone without a word.
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(60))
                    .with_interval(Duration::from_secs(15));
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
                let probe = Socket::from(stream.as_fd().try_clone_to_owned()?);
                handshake(stream, probe).await
            }
        }
    }
}

/// The first address that takes the connection; the last one's error when none does.
async fn connect_any(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn handshake<S>(stream: S, probe: Socket) -> io::Result<Connection>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = Checked::new(stream);
    let answers = stream.answers();
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(READ_AHEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        // How it ends is told to whoever waits for an answer on it.
        let _ = connection.with_upgrades().await;
    });
    Ok(Connection {
        sender,
        probe,
        answers,
    })
}
