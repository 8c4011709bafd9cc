//! The gateway.toml of a test and the parts that it names: Redis, the fake WeChat, an upstream.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use skeygate::fake_wechat::{Endpoint, FakeApp, FakeWechat};

use super::client::{Request, Response};
use super::fault::FaultProxy;
use super::redis::RedisServer;
use super::upstream::RecordingUpstream;

/// The appid and AppSecret of the app that every setup has.
pub(crate) const APP: (&str, &str) = ("wx00000000000000a1", "the-appsecret-of-app-one-4Zq8");

/// A second app under the same open-platform account: `Setup::two_apps`.
pub(crate) const OTHER_APP: (&str, &str) = ("wx00000000000000b2", "the-appsecret-of-app-two-9Lr3");

/// The open-platform account of both: their users have unionids.
pub(crate) const ACCOUNT: &str = "account-one";

/// Builder of a test's installation; `Setup::new()` is one app, Redis, a recording upstream, and
/// one route with `auth = "required"`.
pub(crate) struct Setup {
    tables: BTreeMap<&'static str, String>,
    apps: Vec<(&'static str, &'static str)>,
    upstream: Option<String>,
    routes: String,
    memory: bool,
    latency: Option<Duration>,
    redis_options: Vec<&'static str>,
    default_deadlines: bool,
    default_login: bool,
    socket: Option<PathBuf>,
    admin: bool,
}

/// The parts around the gateways of one test.
pub(crate) struct Parts {
    /// Records what is forwarded.
    pub(crate) upstream: RecordingUpstream,
    /// None with `Setup::memory`.
    pub(crate) redis: Option<RedisServer>,
    /// Between the gateways and Redis, with `Setup::far_redis`.
    pub(crate) network: Option<FaultProxy>,
    /// Where login codes come from.
    pub(crate) wechat: FakeWechat,
    /// gateway.toml, listening on port 0.
    pub(crate) toml: String,
}

impl Setup {
    /// The ordinary case.
    pub(crate) fn new() -> Self {
        Self {
            tables: BTreeMap::new(),
            apps: vec![APP],
            upstream: None,
            routes: "[[routes]]\npath = \"/*\"\nupstream = \"api\"\n".to_owned(),
            memory: false,
            latency: None,
            redis_options: vec!["--appendonly", "yes"],
            default_deadlines: false,
            default_login: false,
            socket: None,
            admin: false,
        }
    }

    /// `redis.timeout` as it is by default. Otherwise it is longer: a busy machine is no outage.
    pub(crate) fn default_deadlines(mut self) -> Self {
        self.default_deadlines = true;
        self
    }

    /// The login is limited as it is by default. Otherwise it is not: all users of a test have one
    /// address.
    pub(crate) fn default_login(mut self) -> Self {
        self.default_login = true;
        self
    }

    /// Has an admin listener.
    pub(crate) fn admin(mut self) -> Self {
        self.admin = true;
        self
    }

    /// Listens on this Unix socket too.
    pub(crate) fn socket(mut self, path: &Path) -> Self {
        self.socket = Some(path.to_owned());
        self
    }

    /// Sessions in the process: no Redis.
    pub(crate) fn memory(mut self) -> Self {
        self.memory = true;
        self
    }

    /// Keys of a table, e.g. `("server", "max_body = \"1KiB\"")`.
    pub(crate) fn table(mut self, table: &'static str, keys: &str) -> Self {
        let text = self.tables.entry(table).or_default();
        *text += keys;
        *text += "\n";
        self
    }

    /// Tables in place of the default route: `[[routes]]`, `[[login]]`.
    pub(crate) fn routes(mut self, toml: &str) -> Self {
        toml.clone_into(&mut self.routes);
        self
    }

    /// Two apps, one account; the first is the default.
    pub(crate) fn two_apps(mut self) -> Self {
        self.apps.push(OTHER_APP);
        self
    }

    /// Another upstream than the recording one.
    pub(crate) fn upstream(mut self, url: &str) -> Self {
        self.upstream = Some(url.to_owned());
        self
    }

    /// A network between the gateways and Redis, with this latency each way.
    pub(crate) fn far_redis(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Further options of `redis-server`, e.g. `["--requirepass", "x"]`.
    pub(crate) fn redis_options(mut self, options: &[&'static str]) -> Self {
        self.redis_options.extend(options);
        self
    }

    /// Starts the parts and writes the file.
    pub(crate) async fn start(mut self) -> Parts {
        let upstream = RecordingUpstream::start().await;
        let redis = match self.memory {
            true => None,
            false => Some(RedisServer::start(&self.redis_options).await),
        };
        let network = match (&redis, self.latency) {
            (Some(redis), Some(latency)) => Some(FaultProxy::start(redis.address(), latency).await),
            _ => None,
        };
        let fakes = self.apps.iter().map(|&(appid, secret)| FakeApp {
            appid: appid.to_owned(),
            secret: secret.to_owned(),
            account: Some(ACCOUNT.to_owned()),
        });
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let wechat = FakeWechat::start(any_port, fakes.collect())
            .await
            .expect("the fake WeChat");

        let servers = self.upstream.take().unwrap_or_else(|| upstream.url());
        let listen = match &self.socket {
            Some(path) => format!("listen = [\"127.0.0.1:0\", \"unix:{}\"]", path.display()),
            None => "listen = [\"127.0.0.1:0\"]".to_owned(),
        };
        let admin = if self.admin { "127.0.0.1:0" } else { "" };
        self = self
            .table("server", &listen)
            .table("admin", &format!("listen = \"{admin}\""))
            .table("wechat", &format!("api_base = \"{}\"", wechat.url()))
            .table("upstreams.api", &format!("servers = [\"{servers}\"]"));
        let redis_address = network
            .as_ref()
            .map(FaultProxy::address)
            .or_else(|| redis.as_ref().map(RedisServer::address));
        let chosen = self
            .tables
            .get("redis")
            .is_some_and(|keys| keys.contains("timeout"));
        if !self.default_deadlines && !chosen {
            self = self.table("redis", "timeout = \"5s\"");
        }
        self = match redis_address {
            Some(address) => self.table("redis", &format!("url = \"redis://{address}/0\"")),
            None => self.table("session", "store = \"memory\""),
        };
        Parts {
            toml: self.toml(),
            upstream,
            redis,
            network,
            wechat,
        }
    }

    fn toml(&self) -> String {
        let mut toml = String::new();
        for (table, keys) in &self.tables {
            toml += &format!("[{table}]\n{keys}\n");
        }
        for (number, (appid, secret)) in self.apps.iter().enumerate() {
            let default = number == 0;
            toml += &format!(
                "[[apps]]\nappid = \"{appid}\"\nsecret = \"{secret}\"\ndefault = {default}\n\n"
            );
        }
        toml += &self.routes;
        if !self.default_login && !self.routes.contains("[[login]]") {
            toml += "\n[[login]]\nrate_limit = \"none\"\n";
        }
        toml
    }
}

impl Parts {
    /// The Redis of this test.
    ///
    /// # Panics: with `Setup::memory`.
    pub(crate) fn redis(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("a setup with Redis")
    }

    /// The network to Redis.
    ///
    /// # Panics: without `Setup::far_redis`.
    pub(crate) fn network(&self) -> &FaultProxy {
        self.network.as_ref().expect("a setup with a far Redis")
    }

    /// A login code for a user of the first app, as wx.login() gives it.
    pub(crate) fn code(&self, user: &str) -> String {
        self.wechat.new_code(APP.0, user)
    }

    /// How often WeChat was asked to exchange a code.
    pub(crate) fn exchanges(&self) -> u64 {
        self.wechat.calls(Endpoint::Jscode2session)
    }

    /// Sends a new code of the user to `POST /login`, as JSON.
    pub(crate) async fn log_in(&self, at: SocketAddr, user: &str) -> Response {
        login_request(&self.code(user)).send(at).await
    }

    /// Logs a user in at `POST /login` and gives the skey.
    ///
    /// # Panics: when the login is refused.
    pub(crate) async fn skey(&self, at: SocketAddr, user: &str) -> String {
        let answer = self.log_in(at, user).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.field("skey")
    }
}

/// `POST /login` with a code in JSON.
pub(crate) fn login_request(code: &str) -> Request {
    Request::post_json("/login", &json!({ "code": code }))
}
