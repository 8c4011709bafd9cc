//! `skeygate check`, and how every command finds its file.

use crate::support::{APP, Folder};

const ROUTE: &str = "[upstreams.api]\nservers = [\"http://127.0.0.1:8000\"]\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\n";

#[test]
fn a_good_file_is_summed_up() {
    let folder = Folder::with(&format!("{APP}{ROUTE}"));

    let said = folder.skeygate(&["check"]);

    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let first = said.stdout.lines().next();
    assert_eq!(
        first,
        Some("gateway.toml: good (1 app, 1 login, 1 upstream, 1 route, sessions in Redis)")
    );
}

#[test]
fn several_problems_are_reported_at_once_with_place_and_cure() {
    let toml = "[server]\nheader_timeout = 10\nmax_boddy = \"20MiB\"\n\n[[apps]]\nappid = \"wx00000000000000a1\"\nsecret = \"${WX_SECRET_OF_NOBODY}\"\n\n[upstreams.api]\nservers = [\"10.0.0.7:8000\"]\n\n[[routes]]\npath = \"/*\"\nupstream = \"apu\"\n";
    let folder = Folder::with(toml);

    for command in [
        vec!["check"],
        vec!["run"],
        vec!["healthcheck"],
        vec!["explain", "GET", "/"],
    ] {
        let said = folder.skeygate(&command);

        assert_eq!(
            (said.code, said.stdout.as_str()),
            (Some(78), ""),
            "{command:?}"
        );
        for part in [
            "gateway.toml:2:18: error: ",
            "help: write \"10s\"",
            "gateway.toml:3:1: error: ",
            "help: did you mean `max_body`?",
            "gateway.toml:7:10: error: ",
            "`WX_SECRET_OF_NOBODY` is not set",
            "gateway.toml:10:12: error: ",
            "help: write `http://10.0.0.7:8000`",
            "gateway.toml:14:12: error: ",
            "help: did you mean `api`?",
        ] {
            assert!(
                said.stderr.contains(part),
                "no {part:?} in:\n{}",
                said.stderr
            );
        }
        assert!(
            said.stderr.ends_with("gateway.toml: 5 errors\n"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn warnings_are_printed_and_the_file_is_valid() {
    let folder = Folder::with(&format!("{APP}{ROUTE}auth = \"off\"\n"));

    let said = folder.skeygate(&["check"]);

    assert_eq!(said.code, Some(0));
    let start = "gateway.toml:9:8: warning: route `/*`: auth: off for every path";
    assert!(said.stderr.starts_with(start), "{}", said.stderr);
    assert!(
        said.stdout.starts_with("gateway.toml: good"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_missing_file_is_reported_with_the_command_to_create_one() {
    for command in ["check", "run", "healthcheck"] {
        let said = Folder::new().skeygate(&[command]);

        assert_eq!(said.code, Some(78), "{command}");
        let start = "reading gateway.toml: No such file";
        assert!(said.stderr.starts_with(start), "{}", said.stderr);
        assert!(said.stderr.contains("skeygate init"), "{}", said.stderr);
    }
}

#[test]
fn the_environment_names_the_file_and_the_flag_beats_it() {
    let folder = Folder::new();
    folder.write("of-environment.toml", &format!("{APP}{ROUTE}"));
    folder.write("of-flag.toml", "[sever]\n");

    let mut command = folder.command(&["check"]);
    let named = crate::support::output_of(command.env("SKEYGATE_CONFIG", "of-environment.toml"));
    let mut command = folder.command(&["check", "--config", "of-flag.toml"]);
    let beaten = crate::support::output_of(command.env("SKEYGATE_CONFIG", "of-environment.toml"));

    assert!(
        named.stdout.starts_with("of-environment.toml: good"),
        "{named:?}"
    );
    assert_eq!(beaten.code, Some(78));
    assert!(beaten.stderr.starts_with("of-flag.toml:1:"), "{beaten:?}");
}

#[test]
fn secrets_come_from_environment_and_files_and_are_never_shown() {
    let toml = "[[apps]]\nappid = \"wx00000000000000a1\"\nsecret = \"${WX_SECRET}\"\n[redis]\npassword_file = \"redis-password\"\n";
    let folder = Folder::with(&format!("{toml}{ROUTE}[sever]\n"));
    folder.write("redis-password", "the-password-of-redis\n");

    let mut command = folder.command(&["check"]);
    let said = crate::support::output_of(command.env("WX_SECRET", "the-appsecret-4Zq8"));

    assert_eq!(said.code, Some(78));
    // Only the misspelt table is wrong.
    assert!(
        said.stderr.ends_with("gateway.toml: 1 error\n"),
        "{}",
        said.stderr
    );
    for secret in ["the-appsecret-4Zq8", "the-password-of-redis"] {
        assert!(!said.stderr.contains(secret), "{}", said.stderr);
    }
}
