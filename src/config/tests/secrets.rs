//! Secrets from files, values from the environment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{GOOD, environment, good_with, line, parse, reports};
use crate::config::{Config, ConfigError, Loaded};

/// Parses a good file whose secret is in the file `secret` beside it.
fn with_secret_file(folder: &Path, content: &[u8], mode: u32) -> Result<Loaded, ConfigError> {
    let file = folder.join("secret");
    fs::write(&file, content).expect("the folder can be written");
    fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("the file is ours");
    let name = folder.join("gateway.toml").display().to_string();
    let text = GOOD.replace("secret = \"0123456789abcdef\"", "secret_file = \"secret\"");
    Config::parse(&name, &text, &environment)
}

fn refusal(content: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let error = with_secret_file(folder.path(), content, 0o600).expect_err("the file is bad");
    line(&error.problems()[0])
}

#[test]
fn a_secret_file_is_found_beside_the_configuration_and_loses_one_line_end() {
    let folder = tempfile::tempdir().expect("a folder");
    for (content, secret) in [
        ("abc\n", "abc"),
        ("abc\r\n", "abc"),
        ("abc", "abc"),
        ("abc\n\n", "abc\n"),
    ] {
        let loaded =
            with_secret_file(folder.path(), content.as_bytes(), 0o600).expect("the file is good");
        assert_eq!(loaded.config.apps[0].secret.expose(), secret);
        assert_eq!(loaded.warnings, []);
    }
}

#[test]
fn a_world_readable_secret_file_draws_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let loaded = with_secret_file(folder.path(), b"abc\n", 0o644).expect("the file is good");
    let expected = "3:15 warning app `wx1234567890abcdef`: secret_file: every user of this machine can read `secret` | \
        chmod 640 or less, or defaultMode: 0440 for a Kubernetes secret";
    assert_eq!(
        loaded.warnings.iter().map(line).collect::<Vec<_>>(),
        [expected]
    );
}

#[test]
fn a_secret_file_that_cannot_hold_a_secret_is_refused() {
    let start = "3:15 app `wx1234567890abcdef`: secret_file: `secret` ";
    assert_eq!(refusal(b""), format!("{start}is an empty file"));
    assert_eq!(refusal(b"\n"), format!("{start}is an empty file"));
    assert_eq!(
        refusal(&[0xff; 4]),
        format!("{start}is not a text file in UTF-8")
    );
    let large = vec![b'a'; 64 * 1024 + 1];
    assert_eq!(
        refusal(&large),
        format!("{start}is larger than 64 KiB, so it is not a secret's file")
    );
    let folder = tempfile::tempdir().expect("a folder");
    let loaded = with_secret_file(folder.path(), &large[1..], 0o600).expect("64 KiB are taken");
    assert_eq!(loaded.config.apps[0].secret.expose().len(), 64 * 1024);
}

#[test]
fn a_file_of_seal_keys_has_one_a_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = ("a".repeat(32), "b".repeat(32));
    let file = folder.path().join("keys");
    fs::write(&file, format!("{first}\n{second}\n")).expect("the folder can be written");
    let config = good_with(&format!(
        "[session]\nseal_keys_file = {:?}",
        file.display().to_string()
    ));
    let keys: Vec<&str> = config
        .session
        .seal_keys
        .iter()
        .map(|key| key.expose())
        .collect();
    assert_eq!(keys, [first, second]);
}

#[test]
fn load_reads_the_file_and_says_why_it_cannot() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("gateway.toml");
    let load = || Config::load(&path);
    let shown = path.display();
    let missing = load().expect_err("there is none").to_string();
    assert!(
        missing.starts_with(&format!("reading {shown}: No such file")),
        "{missing}"
    );
    assert!(missing.ends_with(
        "\nhelp: `skeygate init` writes a commented gateway.toml; --config names another file"
    ));
    fs::write(&path, b"# fine\n# \xff\n").expect("the folder can be written");
    let not_text = load().expect_err("it is not UTF-8").to_string();
    assert_eq!(
        not_text,
        format!("reading {shown}: line 2 is not UTF-8; save the file as UTF-8")
    );
    fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("the folder can be written");
    let large = load().expect_err("it is too large").to_string();
    assert_eq!(
        large,
        format!("reading {shown}: larger than 1 MiB; is it a gateway.toml?")
    );
    fs::write(&path, GOOD).expect("the folder can be written");
    assert_eq!(load().expect("it is good").config.apps.len(), 1);
}

#[test]
fn variables_are_filled_in_inside_of_texts() {
    let level = |text: &str| good_with(&format!("[log]\nlevel = \"{text}\"")).log.level;
    assert_eq!(level("${EMPTY:-debug}"), "debug");
    assert_eq!(level("${MISSING:-debug}"), "debug");
    let name = |text: &str| {
        let file = GOOD.replace(
            "upstream = \"api\"",
            &format!("respond = {{ body = \"{text}\" }}"),
        );
        let file = file.replace(
            "[upstreams.api]\nservers = [\"http://127.0.0.1:8000\"]\n",
            "",
        );
        match parse(&file).expect("it is good").config.routes[0]
            .action
            .clone()
        {
            crate::config::Action::Respond(respond) => respond.body,
            crate::config::Action::Forward(_) => panic!("it answers"),
        }
    };
    assert_eq!(name("a${SET}b${EMPTY}c"), "avaluebc");
    assert_eq!(name("$${SET} $5 ${SET:-x}"), "${SET} $5 value");
    assert_eq!(name("${MISSING:-}"), "");
}

#[test]
fn a_variable_cannot_add_keys() {
    let text = GOOD.replace("0123456789abcdef\"\n[", "${INJECT}\"\n[");
    let inject = |_: &str| Some("x\"\nname = \"y".to_owned());
    let loaded = Config::parse("gateway.toml", &text, &inject).expect("it is good");
    assert_eq!(loaded.config.apps[0].name, "wx1234567890abcdef");
}

#[test]
fn a_variable_that_cannot_be_filled_in_is_named() {
    let level = |text: &str| reports(&format!("{GOOD}[log]\nlevel = \"{text}\"\n"));
    assert_eq!(
        level("${NOPE}"),
        [
            "10:9 log.level: the environment variable `NOPE` is not set | set it, or give a default: `${NOPE:-…}`"
        ]
    );
    assert_eq!(
        level("${SET"),
        ["10:9 log.level: `${` has no `}` | write `$${` for a plain `${`"]
    );
    let odd = "10:9 log.level: the name between `${` and `}` is not one of an environment variable | \
        write `${NAME}` or `${NAME:-default}`, and `$${` for a plain `${`";
    assert_eq!(level("${1X}"), [odd]);
}

#[test]
fn no_piece_of_a_variable_is_in_a_message_about_the_text_it_was_filled_into() {
    for (more, expected) in [
        (
            "[[login]]\npath = \"/a/${SET}%2Eb\"",
            "10:8 login `/a/${SET}%2Eb`: path: `/a/${SET}%2Eb` is not in its canonical spelling",
        ),
        (
            "[server]\nlisten = [\":${SET}\"]",
            "10:11 server.listen: `:${SET}` is not an address and port",
        ),
        (
            "[log]\nlevel = \"${SET}=debug\"",
            "10:9 log.level: `${SET}=debug` is wrong once its variables are filled in",
        ),
        (
            "[identity]\nheaders = { \"X-A\" = \"{claim.S${SET}}\" }",
            "10:21 identity.headers: `{claim.S${SET}}` is wrong once its variables are filled in",
        ),
        (
            "[identity]\nheaders = { \"X-A\" = \"{${SET}}\" }",
            "10:21 identity.headers: `{${SET}}` is wrong once its variables are filled in",
        ),
    ] {
        assert_eq!(reports(&format!("{GOOD}{more}\n")), [expected]);
    }
}

#[test]
fn debug_of_a_configuration_shows_no_secret() {
    let config = good_with("[redis]\npassword = \"hunter2\"\nurl = \"redis://h\"");
    let debug = format!("{config:?}");
    assert!(debug.contains("wx1234567890abcdef"), "{debug}");
    assert!(
        !debug.contains("hunter2") && !debug.contains("0123456789abcdef"),
        "{debug}"
    );
}
