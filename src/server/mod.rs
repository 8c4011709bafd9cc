//! Sockets: bind, accept, serve, drain. Listeners open and close while the others go on.

mod accept_queue;
mod accepted;
mod admin;
mod admission;
mod connection;
mod connection_state;
mod deadline;
mod detect;
mod http1;
mod http2;
mod listener;
mod min_rate;
mod refusal;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admission::Admission;
use self::listener::{Acceptor, Listener};
use self::refusal::Refusals;
use crate::admin::Admin;
use crate::config::{ListenAddress, Server as ServerConfig};
use crate::gateway::Gateway;

/// A port or socket that cannot be had.
#[derive(Debug)]
pub struct BindError {
    /// The address, as it is written in the configuration.
    pub address: String,
    /// The cause.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "listening on {}: {}", self.address, self.source)
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// How a server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Everything in flight was finished.
    Drained,
    /// This many connections, tunnels and logins were still open at `shutdown.drain` and were cut.
    CutOff(usize),
}

/// All listeners of the process, for requests and for the operator.
pub struct Server {
    gateway: Arc<Gateway>,
    admin: Arc<Admin>,
    acceptor: Arc<Acceptor>,
    connections: TaskTracker,
    /// Cancelled when the process shall end: listeners stop, connections drain.
    shutdown: CancellationToken,
    /// Cancelled after the drain: the admin listener serves to the end, so that the drain can be
    /// observed.
    stopped: CancellationToken,
    open: Mutex<Vec<OpenListener>>,
}

/// A listener that accepts.
struct OpenListener {
    role: Role,
    /// As configured: port 0 stands for the port that was given.
    configured: ListenAddress,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

/// The purpose of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Requests,
    Admin,
}

/// The listeners of a configuration: new ones are bound, and accept nothing yet.
pub struct BoundListeners(Vec<(Role, ListenAddress, Option<Listener>)>);

impl BoundListeners {
    /// The addresses for requests that were bound, with the ports that were given for port 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.new_of(Role::Requests).cloned().collect()
    }

    /// The address of the admin listener, if it was bound.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        match self.new_of(Role::Admin).next()? {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        }
    }

    fn new_of(&self, wanted: Role) -> impl Iterator<Item = &ListenAddress> {
        self.0.iter().filter_map(move |(role, _, listener)| {
            let listener = listener.as_ref().filter(|_| *role == wanted)?;
            Some(listener.address())
        })
    }
}

impl Server {
    /// A server without listeners. It drains when `shutdown` is cancelled.
    #[must_use]
    pub fn new(gateway: Arc<Gateway>, admin: Arc<Admin>, shutdown: CancellationToken) -> Self {
        let connections = TaskTracker::new();
        let acceptor = Acceptor {
            admission: Admission::new(&gateway.server()),
            refusals: Refusals::new(),
            connections: connections.clone(),
        };
        Self {
            gateway,
            admin,
            acceptor: Arc::new(acceptor),
            connections,
            shutdown,
            stopped: CancellationToken::new(),
            open: Mutex::default(),
        }
    }

    /// Binds the addresses that are not open yet. Changes nothing: without `open` they are closed
    /// again.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub async fn bind(
        &self,
        listen: &[ListenAddress],
        admin: Option<SocketAddr>,
    ) -> Result<BoundListeners, BindError> {
        let requests = listen
            .iter()
            .map(|address| (Role::Requests, address.clone()));
        let admin = admin.map(|address| (Role::Admin, ListenAddress::Tcp(address)));
        let open = self.open.lock().await;
        let mut bound = Vec::new();
        for (role, address) in requests.chain(admin) {
            let is_open = open.iter().any(|open| open.is(role, &address));
            let listener = match is_open {
                true => None,
                false => Some(Listener::bind(&address).await?),
            };
            bound.push((role, address, listener));
        }
        Ok(BoundListeners(bound))
    }

    /// Accepts on what was bound, and stops accepting on every other address: its connections
    /// finish their requests in flight, within `drain`.
    pub async fn open(&self, bound: BoundListeners) {
        let mut open = self.open.lock().await;
        let wanted = |open: &OpenListener| {
            let mut addresses = bound.0.iter();
            addresses.any(|(role, address, _)| open.is(*role, address))
        };
        let (keep, drop): (Vec<_>, Vec<_>) = open.drain(..).partition(wanted);
        *open = keep;
        for OpenListener {
            configured,
            stop,
            accepting,
            ..
        } in drop
        {
            stop.cancel();
            // The socket is closed once the task has ended, so that the address is free again.
            let _ = accepting.await;
            tracing::info!(listen = %configured, "no longer listening");
        }
        for (role, configured, listener) in bound.0 {
            if let Some(listener) = listener {
                open.push(self.accept(role, configured, listener));
            }
        }
    }

    /// Follows the connection limits of another configuration.
    pub fn reconfigure(&self, config: &ServerConfig) {
        self.acceptor.admission.reconfigure(config);
    }

    fn accept(&self, role: Role, configured: ListenAddress, listener: Listener) -> OpenListener {
        let (stop, accepting) = match role {
            Role::Requests => {
                let stop = self.shutdown.child_token();
                let (gateway, acceptor) = (Arc::clone(&self.gateway), Arc::clone(&self.acceptor));
                let accepting = listener.accept(gateway, acceptor, stop.clone());
                (stop, tokio::spawn(accepting))
            }
            Role::Admin => {
                let stop = self.stopped.child_token();
                let (admin, draining) = (Arc::clone(&self.admin), self.shutdown.clone());
                let accepting = admin::serve(listener, admin, draining, stop.clone());
                (stop, tokio::spawn(accepting))
            }
        };
        OpenListener {
            role,
            configured,
            stop,
            accepting,
        }
    }

    /// Waits for `shutdown`, then lets requests finish within `shutdown.drain` of the configuration
    /// of that moment.
    pub async fn run(&self) -> Ended {
        self.shutdown.cancelled().await;
        for listener in self.open.lock().await.iter_mut() {
            if listener.role == Role::Requests {
                let _ = (&mut listener.accepting).await;
            }
        }
        let tasks = self.gateway.tasks();
        self.connections.close();
        tasks.close();
        let finished = async {
            self.connections.wait().await;
            tasks.wait().await;
        };
        let drain = self.gateway.server().shutdown.drain;
        let ended = match tokio::time::timeout(drain, finished).await {
            Ok(()) => Ended::Drained,
            Err(_) => Ended::CutOff(self.connections.len().saturating_add(tasks.len())),
        };
        self.stopped.cancel();
        ended
    }
}

impl OpenListener {
    fn is(&self, role: Role, address: &ListenAddress) -> bool {
        self.role == role && self.configured == *address
    }
}
