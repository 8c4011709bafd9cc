//! TLS to WeChat: the system's authorities are trusted, and no other server gets the AppSecret.

use std::path::Path;

use tokio::process::Command;

use crate::support::certificates::{Authority, Certificate};
use crate::support::process::GatewayProcess;
use crate::support::program::Program;
use crate::support::setup::{APP, Parts, Setup};

/// The fake behind TLS with this certificate, by node with these flags; and gateway.toml with its
/// URL.
async fn behind_tls(certificate: &Certificate, node: &[&str]) -> (Parts, Program, String) {
    let log = "level = \"trace\"\nformat = \"json\"";
    let parts = Setup::new().memory().table("log", log).start().await;
    let url = parts.wechat.url();
    let (_, port) = url.rsplit_once(':').expect("a port");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/backends/tls.js");
    let mut command = Command::new("node");
    command
        .args(node)
        .arg(script)
        .args([&certificate.file, &certificate.key])
        .arg(port);
    let mut tls = Program::start(command);
    let line = tls.line("listening on ").await;
    let (_, port) = line.split_at("listening on ".len());
    let toml = parts
        .toml
        .replace(&url, &format!("https://localhost:{port}"));
    (parts, tls, toml)
}

/// A gateway on a system that trusts this authority, or those it has.
async fn start(toml: &str, system: Option<&Authority>) -> GatewayProcess {
    let file = system.map(|authority| format!("SSL_CERT_FILE={}", authority.file().display()));
    match &file {
        Some(variable) => GatewayProcess::start_with(toml, &["env", variable]).await,
        None => GatewayProcess::start(toml).await,
    }
}

#[tokio::test]
async fn a_wechat_with_a_certificate_of_the_systems_authorities_is_believed() {
    let authority = Authority::new();
    let certificate = authority.certificate("DNS:localhost");
    for version in ["--tls-max-v1.3", "--tls-max-v1.2"] {
        let (parts, _tls, toml) = behind_tls(&certificate, &[version]).await;
        let gateway = start(&toml, Some(&authority)).await;

        let answer = parts.log_in(gateway.address, "ann").await;

        assert_eq!(answer.status, 200, "{version}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_impostor_of_wechat_gets_no_appsecret_and_the_log_names_the_reason() {
    let authority = Authority::new();
    let here = authority.certificate("DNS:localhost");
    let (parts, mut tls, toml) = behind_tls(&here, &[]).await;
    let mut gateway = start(&toml, None).await;
    refused(&parts, &mut tls, &mut gateway, "UnknownIssuer").await;

    let other = Authority::new();
    let elsewhere = other.certificate("DNS:api.weixin.qq.com.example.com,IP:127.0.0.1");
    let (parts, mut tls, toml) = behind_tls(&elsewhere, &[]).await;
    let mut gateway = start(&toml, Some(&other)).await;
    refused(&parts, &mut tls, &mut gateway, "not valid for name").await;
}

async fn refused(parts: &Parts, tls: &mut Program, gateway: &mut GatewayProcess, why: &str) {
    let answer = parts.log_in(gateway.address, "ann").await;

    assert_eq!(
        (answer.status, answer.error()),
        (502, Some("wechat_unreachable")),
        "{why}"
    );
    assert!(!answer.text().contains("localhost"), "{}", answer.text());
    // Seen by the impostor, as well.
    tls.line("refused: ").await;
    assert_eq!(parts.exchanges(), 0, "{why}");
    gateway.program.signal("TERM");
    let log = gateway.program.output().await;
    let line = log.lines().find(|line| line.contains("wechat_unreachable"));
    assert!(line.expect("a line").contains(why), "{log}");
    assert!(!log.contains(APP.1), "{log}");
}
