//! An accepted connection of which no byte has been read.

use tokio::net::{TcpStream, UnixStream};

use crate::http::address::Peer;

/// A connection that a listener accepted.
pub(super) enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

impl Accepted {
    /// The other end of the connection.
    pub(super) fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, peer) => peer.clone(),
            Self::Unix(_) => Peer::unix(),
        }
    }
}
