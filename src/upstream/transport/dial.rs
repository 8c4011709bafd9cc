//! Opens a socket to an endpoint and a connection over it. A name is resolved for every connection,
//! so a service that moved is followed.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::http1::{self, Connection};
use crate::config::ServerAddress;

/// Silence after which the kernel probes a TCP peer.
const KEEPALIVE_TIME: Duration = Duration::from_secs(60);
/// Time between two such probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Opens a connection. Sets no deadline of its own.
///
/// # Errors
/// The name is not resolved, no address accepts, or the socket cannot be set up.
pub(in crate::upstream) async fn open(server: &ServerAddress) -> io::Result<Connection> {
    match server {
        ServerAddress::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            let probe = Socket::from(stream.as_fd().try_clone_to_owned()?);
            http1::handshake(stream, probe).await
        }
        ServerAddress::Http { host, port } => {
            let stream = connect_any(host, *port).await?;
            stream.set_nodelay(true)?;
            // Ends tunnels whose peer is gone without a FIN.
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE_TIME)
                .with_interval(KEEPALIVE_INTERVAL);
            SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            let probe = Socket::from(stream.as_fd().try_clone_to_owned()?);
            http1::handshake(stream, probe).await
        }
    }
}

/// Connects to the first address that accepts; the error of the last one when none does.
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
