//! The mini program's library, `clients/miniprogram/`, by its own tests: Node runs them with a
//! stand-in for `wx` against this gateway, a real Redis and the fake WeChat.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::support::program::Program;
use crate::support::setup::{APP, Setup};
use crate::support::stack::Stack;

const ROUTES: &str = r#"
    [[login]]
    path = "/login"
    rate_limit = "none"
    [[login]]
    path = "/login.php"
    style = "token"
    rate_limit = "none"

    [[routes]]
    path = "/*"
    upstream = "api"
    [[routes]]
    path = "/public/*"
    upstream = "api"
    auth = "optional"
    [[routes]]
    path = "/news"
    upstream = "api"
    auth = "optional"
    [[routes]]
    path = "/lounge/*"
    upstream = "api"
    auth = "optional"
    on_bad_token = "reject"
    [[routes]]
    path = "/deaf/*"
    upstream = "api"
    token_from = ["header:x-other"]
    [[routes]]
    path = "/bearer/*"
    upstream = "api"
    token_from = ["bearer"]
"#;

#[tokio::test]
async fn the_mini_program_logs_in_once_when_needed() {
    run("session.test.js").await;
}

#[tokio::test]
async fn the_mini_program_sends_the_skey_with_files_and_sockets_and_nowhere_else() {
    run("transfers.test.js").await;
}

#[tokio::test]
async fn an_outage_ends_no_session_of_a_mini_program() {
    run("outages.test.js").await;
}

#[tokio::test]
async fn the_documentation_of_the_library_is_true() {
    run("readme.test.js").await;
}

/// By WeChat's own typings: options typed for `wx.request` fit the library.
#[tokio::test]
async fn the_librarys_declarations_fit_those_of_wx() {
    let fits = node_tool("typescript/bin/tsc", |tsc, modules| {
        tsc.args(["--noEmit", "--strict", "--module", "commonjs"])
            .args(["--target", "es2017", "--lib", "es2017"])
            .args(["--types", "miniprogram-api-typings", "--typeRoots"])
            .arg(modules)
            .arg(library().join("test/types.ts"));
    });

    assert_eq!(fits.await, Ok(()));
}

#[tokio::test]
async fn the_library_is_written_for_old_phones() {
    let parses = node_tool("acorn/bin/acorn", |acorn, _| {
        acorn.args(["--ecma2017", "--silent"]);
        acorn.arg(library().join("index.js"));
    });

    assert_eq!(parses.await, Ok(()));
}

/// Runs a tool that tests/run installs; gives its output when it failed.
async fn node_tool(
    script: &str,
    arguments: impl FnOnce(&mut Command, &Path),
) -> Result<(), String> {
    let modules = Path::new(env!("CARGO_TARGET_TMPDIR")).join("node/node_modules");
    let script = modules.join(script);
    assert!(
        script.exists(),
        "there is no {}; tests/run installs it",
        script.display()
    );
    let mut command = Command::new("node");
    command.arg(script);
    arguments(&mut command, &modules);
    let output = command.output().await.expect("node runs");
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said).into_owned()),
    }
}

/// Runs one file of the library's tests to its end.
async fn run(file: &str) {
    let tests = library().join("test");
    let mut command = Command::new("node");
    command.arg(tests.join("service.js"));
    let mut service = Program::start(command);
    let line = service.line("listening on ").await;
    let (_, address) = line.split_at("listening on ".len());
    let setup = Setup::new()
        // The wait in an outage; a busy machine is no outage.
        .table("redis", "timeout = \"2s\"")
        .table("phone", "enabled = true")
        .table("decrypt", "checksession = true")
        .table("users", "profile = [\"nickname\", \"avatar\"]")
        .table(
            "identity",
            "headers = { \"X-Openid\" = \"{openid}\", \"X-Nickname\" = \"{nickname}\" }",
        )
        .upstream(&format!("http://{address}"))
        .routes(&[ROUTES, &styles()].concat());
    let mut stack = Stack::start(setup).await;

    let mut command = Command::new("node");
    command
        .args(["--test", "--test-reporter", "tap"])
        .arg(tests.join(file))
        .env("SKEYGATE_URL", format!("http://{}", stack.address()))
        .env("WECHAT_URL", stack.wechat.url())
        .env("APPID", APP.0)
        .env("REDIS_ADDRESS", stack.redis().address().to_string());
    let mut node = Program::start(command);
    // Each line has its own time limit: on a busy machine all of them may take longer.
    while !node.line("").await.starts_with("# duration_ms") {}
    let status = node.exit().await;

    let output = node.output().await;
    assert!(status.success(), "{output}");
    // A file without a test would pass, too.
    let passed = output.lines().find_map(|line| line.strip_prefix("# pass "));
    let passed = passed.and_then(|number| number.parse::<u32>().ok());
    assert!(passed.is_some_and(|passed| passed > 3), "{output}");
}

/// A login and a route of each style: `/login/STYLE`, `/in/STYLE`.
fn styles() -> String {
    let styles = [
        "plain",
        "token",
        "sessionid",
        "errcode200",
        "wafer1",
        "wafer2",
    ];
    let tables = styles.map(|style| {
        format!(
            r#"
            [[login]]
            path = "/login/{style}"
            style = "{style}"
            rate_limit = "none"
            [[routes]]
            path = "/in/{style}"
            upstream = "api"
            style = "{style}"
            "#
        )
    });
    tables.concat()
}

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/miniprogram")
}
