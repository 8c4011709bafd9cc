//! The built commands beside a running installation.

use serde_json::Value;
use tokio::process::Command;

use super::stack::Stack;

/// Output and exit status of a command.
#[derive(Debug)]
pub(crate) struct CommandOutput {
    /// Exit status.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl CommandOutput {
    /// Standard output: one JSON object a line.
    pub(crate) fn json(&self) -> Vec<Value> {
        lines(&self.stdout)
    }

    /// The audit events that it logged.
    pub(crate) fn audit(&self) -> Vec<Value> {
        lines(&self.stderr)
    }
}

fn lines(text: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {text}"));
    text.lines().map(parse).collect()
}

/// Runs `skeygate` with the gateway.toml of the stack.
pub(crate) async fn skeygate(stack: &Stack, arguments: &[&str]) -> CommandOutput {
    skeygate_with(&stack.toml, arguments).await
}

/// Runs `skeygate` with this gateway.toml.
pub(crate) async fn skeygate_with(toml: &str, arguments: &[&str]) -> CommandOutput {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gateway.toml"), toml).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_skeygate"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("SKEYGATE_CONFIG")
        .output()
        .await
        .expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    CommandOutput {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}
