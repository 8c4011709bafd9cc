//! A whole installation in this process: gateways, and the parts of `setup`. Drop ends all of it.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use skeygate::app::App;
use skeygate::config::{Config, ListenAddress};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::client::{Request, Response};
use super::setup::{Parts, Setup};
use super::within;

/// The installation; the parts are its fields.
pub(crate) struct Stack {
    gateways: Vec<Gateway>,
    parts: Parts,
}

struct Gateway {
    address: SocketAddr,
    admin: Option<SocketAddr>,
    shutdown: DropGuard,
    running: JoinHandle<()>,
}

impl Stack {
    /// One gateway.
    pub(crate) async fn start(setup: Setup) -> Self {
        let parts = setup.start().await;
        let gateways = vec![Gateway::start(&parts.toml).await];
        Self { gateways, parts }
    }

    /// One more gateway with the same file, so on the same Redis; gives its address.
    pub(crate) async fn one_more(&mut self) -> SocketAddr {
        let gateway = Gateway::start(&self.parts.toml).await;
        let address = gateway.address;
        self.gateways.push(gateway);
        address
    }

    /// Where the first gateway listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.gateways.first().expect("a gateway").address
    }

    /// Where the first gateway answers its operator.
    ///
    /// # Panics: without `Setup::admin`.
    pub(crate) fn admin(&self) -> SocketAddr {
        let gateway = self.gateways.first().expect("a gateway");
        gateway.admin.expect("an admin listener")
    }

    /// Logs a user in at the first gateway; gives the skey.
    pub(crate) async fn login(&self, user: &str) -> String {
        self.parts.skey(self.address(), user).await
    }

    /// A GET with the skey in the header `skey`.
    pub(crate) async fn get(&self, target: &str, skey: &str) -> Response {
        let request = Request::get(target).header("skey", skey);
        request.send(self.address()).await
    }

    /// Sends a request to the first gateway.
    pub(crate) async fn send(&self, request: Request) -> Response {
        request.send(self.address()).await
    }

    /// Ends the gateways as SIGTERM would and waits for their end.
    pub(crate) async fn drain(&mut self) {
        for gateway in self.gateways.drain(..) {
            drop(gateway.shutdown);
            within("the gateway to drain", gateway.running)
                .await
                .expect("a gateway that did not panic");
        }
    }
}

impl Deref for Stack {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl DerefMut for Stack {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }
}

impl Gateway {
    async fn start(toml: &str) -> Self {
        let loaded = Config::parse("gateway.toml", toml, &|_| None)
            .unwrap_or_else(|error| panic!("{error}\n{toml}"));
        let shutdown = CancellationToken::new();
        let (app, bound) = App::start(loaded.config, shutdown.clone())
            .await
            .unwrap_or_else(|error| panic!("starting the gateway: {error}"));
        let address = bound.addresses().iter().find_map(|address| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        });
        let admin = bound.admin_address();
        let running = tokio::spawn(async move {
            let _ = app.run(bound).await;
        });
        Self {
            address: address.expect("a TCP listener"),
            admin,
            shutdown: shutdown.drop_guard(),
            running,
        }
    }
}
