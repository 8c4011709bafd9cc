//! `skeygate dev`: the whole gateway on one machine, with a fake WeChat and, without `--to`, an
//! echoing service as upstream.

mod echo;

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

use super::{BAD_CONFIG, UNAVAILABLE, fail, print_line, run};
use crate::app::App;
use crate::config::{Config, ListenAddress, Loaded, Problem, SessionStoreKind};
use crate::fake_wechat::{FakeApp, FakeWechat, Settings};
use crate::logging;

const APPID: &str = "wx0123456789abcdef";
const SECRET: &str = "not-a-real-appsecret";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The upstream service, as http://host:port. Default: a service that echoes its requests.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The port on 127.0.0.1 to listen on; 0 for any free one.
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    port: u16,
}

pub(super) fn dev(arguments: &Arguments) -> ExitCode {
    match run::single_threaded() {
        Ok(runtime) => runtime.block_on(serve(arguments)),
        Err(error) => fail(&format!("starting: {error}"), 1),
    }
}

async fn serve(arguments: &Arguments) -> ExitCode {
    let parts = async {
        let wechat = FakeWechat::start(loopback(0), vec![FakeApp::new(APPID, SECRET)]).await?;
        wechat.set(Settings {
            accept_any_code: true,
            ..Settings::default()
        });
        let upstream = match &arguments.to {
            Some(url) => url.clone(),
            None => format!("http://{}", echo::start(loopback(0)).await?),
        };
        io::Result::Ok((wechat, upstream))
    };
    let (wechat, upstream) = match parts.await {
        Ok(parts) => parts,
        Err(error) => return fail(&format!("starting: {error}"), UNAVAILABLE),
    };
    let Loaded { config, .. } = match configuration(arguments.port, &wechat.url(), &upstream) {
        Ok(loaded) => loaded,
        Err(text) => return fail(&text, BAD_CONFIG),
    };
    debug_assert_eq!(config.session.store, SessionStoreKind::Memory);
    let shutdown = CancellationToken::new();
    let (app, bound) = match App::start(config.clone(), shutdown.clone()).await {
        Ok(started) => started,
        Err(error) => {
            let help = "help: --port 8081 takes another port, --port 0 any free one";
            return fail(&format!("{error}\n{help}"), UNAVAILABLE);
        }
    };
    // Before the first output, whose reader may press Ctrl-C.
    if let Err(error) = run::watch_signals(shutdown, None) {
        return fail(&format!("watching signals: {error}"), 1);
    }
    let address = bound.addresses().iter().find_map(|address| match address {
        ListenAddress::Tcp(address) => Some(*address),
        ListenAddress::Unix(_) => None,
    });
    print_line(&welcome(
        address.unwrap_or_else(|| loopback(arguments.port)),
        arguments.to.as_deref(),
    ));
    let log = match logging::init(&config.log, true) {
        Ok(log) => log,
        Err(error) => return fail(&format!("starting the log: {error}"), 1),
    };
    app.run(bound).await;
    log.flush();
    ExitCode::SUCCESS
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// An ordinary gateway.toml, with sessions in memory and the fake WeChat.
fn configuration(port: u16, wechat: &str, upstream: &str) -> Result<Loaded, String> {
    let text = format!(
        r#"
        [server]
        listen = ["127.0.0.1:{port}"]
        shutdown = {{ drain = "1s" }}
        [admin]
        listen = ""
        [session]
        store = "memory"
        [[apps]]
        appid = "{APPID}"
        secret = "{SECRET}"
        [wechat]
        api_base = "{wechat}"
        [upstreams.dev]
        servers = [{}]
        [[routes]]
        path = "/*"
        upstream = "dev"
        [[routes]]
        path = "/public/*"
        upstream = "dev"
        auth = "optional"
        [log]
        format = "text"
        "#,
        serde_json::Value::from(upstream),
    );
    // The upstream's address is the only input, so every fault is in it. The text above is
    // internal, so messages do not refer to it.
    Config::parse("skeygate dev", &text, &|_| None).map_err(|error| match error.problems() {
        [Problem { message, help, .. }] => {
            let what = message
                .rsplit_once("servers: ")
                .map_or(message.as_str(), |(_, what)| what);
            let help = help
                .as_deref()
                .unwrap_or("write http://host:port or unix:/path");
            format!("--to: {what}\nhelp: {help}")
        }
        _ => error.to_string(),
    })
}

fn welcome(address: SocketAddr, to: Option<&str>) -> String {
    let mut text = String::new();
    let service = to.unwrap_or("a service that echoes its requests");
    let login = format!(
        "curl -s http://{address}/login -H 'Content-Type: application/json' -d '{{\"code\":\"dev-alice\"}}'"
    );
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r#"
skeygate dev: http://{address} in front of {service}

  NOT FOR PRODUCTION: WeChat is a fake, and the code dev-NAME logs NAME in without any proof.
  Sessions are in memory and end with this process. Only this machine can connect.

Log in:
  {login}

Send a request as alice (the service gets X-Openid and X-User-Id):
  curl -s http://{address}/hello -H "skey: $({login} | sed 's/.*"skey":"\([^"]*\).*/\1/')"

Send one without a login (401; on /public/ it is allowed, without an identity):
  curl -si http://{address}/hello

Ctrl-C stops it. Each request is one log line below.
"#
    );
    text
}
