//! An accepted connection, before anything of it is read.

use tokio::net::{TcpStream, UnixStream};

use crate::http::address::Peer;

/// A connection that a listener accepted.
pub(super) enum Accepted {
    Tcp(TcpStream, Peer),
    Unix(UnixStream),
}

impl Accepted {
    pub(super) fn peer(&self) -> Peer {
        match self {
            Self::Tcp(_, peer) => peer.clone(),
            Self::Unix(_) => Peer::unix(),
        }
    }
}
