//! Real services of an operator's, in PHP and Node, which verify the gateway's requests with the
//! code of the reference.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use super::free_port;
use super::program::Program;

/// The secret shared with the gateway.
pub(crate) const SECRET: &str = "the-webhook-secret-of-this-test-8Hq2";

/// The lines of the reference in this language.
pub(crate) fn lines_of_the_reference(language: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(file).expect("the reference");
    let (_, rest) = text
        .split_once(&format!("\n```{language}\n"))
        .expect("a block of code");
    let (code, _) = rest.split_once("```\n").expect("its end");
    assert_eq!(code.lines().count(), 6, "{code}");
    code.to_owned()
}

/// A real service that verifies its requests with the code of the reference.
pub(crate) struct Service {
    pub(crate) url: String,
    _program: Program,
    _folder: TempDir,
}

impl Service {
    /// `php -S`; `then` is run with `$asked` once the signature was found good, and echoes the
    /// answer.
    pub(crate) async fn php(secret: &str, then: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("who.php");
        let check = lines_of_the_reference("php");
        let code = format!(
            "<?php\n$secret = '{secret}';\n{check}$asked = json_decode($body, true);\n{then}\n"
        );
        std::fs::write(&file, code).expect("a script");
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Command::new("php");
        command.args(["-S", &address.to_string()]).arg(file);
        let mut program = Program::start(command);
        program.line("started").await;
        Self {
            url: format!("http://{address}"),
            _program: program,
            _folder: folder,
        }
    }

    /// `node`; `then` is run with `asked` once the signature was found good, and ends the response.
    pub(crate) async fn node(secret: &str, port: u16, then: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("who.js");
        let check = lines_of_the_reference("js");
        let code = format!(
            "{check}
require('node:http').createServer((request, response) => {{
  const pieces = [];
  request.on('data', (piece) => pieces.push(piece));
  request.on('end', () => {{
    const body = Buffer.concat(pieces);
    if (!isSigned(request, body, '{secret}')) {{
      response.statusCode = 401;
      console.log('refused');
      return response.end();
    }}
    const asked = JSON.parse(body);
    {then}
  }});
}}).listen({port}, '127.0.0.1', function () {{
  console.log(`listening on http://127.0.0.1:${{this.address().port}}`);
}});
"
        );
        std::fs::write(&file, code).expect("a script");
        let mut command = Command::new("node");
        command.arg(file);
        let mut program = Program::start(command);
        let line = program.line("listening on ").await;
        let (_, url) = line.split_at("listening on ".len());
        Self {
            url: url.to_owned(),
            _program: program,
            _folder: folder,
        }
    }
}
