//! `skeygate sessions` without sessions: its arguments and exit statuses. Its effect on sessions is
//! tested in `tests/gateway/session_control.rs`.

use crate::support::{APP, Folder, free_port, redis, redis_with};

const ROUTE: &str = "[upstreams.api]\nservers = [\"http://127.0.0.1:8000\"]\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\n";
const HANDLE: &str = "abcdefghijkl";

fn folder(port: u16) -> Folder {
    Folder::with(&format!(
        "[redis]\nurl = \"redis://127.0.0.1:{port}/0\"\ntimeout = \"5s\"\n{APP}{ROUTE}"
    ))
}

#[test]
fn without_sessions_the_list_is_empty_and_nothing_is_ended() {
    let port = free_port();
    let _redis = redis(port);
    let folder = folder(port);

    let text = folder.skeygate(&["sessions", "list"]);
    let json = folder.skeygate(&["sessions", "list", "--json", "--user", "17"]);
    let one = folder.skeygate(&["sessions", "revoke", HANDLE]);
    let all = folder.skeygate(&["sessions", "revoke", "--user", "17", "--all"]);
    let stranger = folder.skeygate(&["sessions", "list", "--openid", "oNobody"]);

    assert_eq!((text.code, text.stderr.as_str()), (Some(0), ""));
    assert_eq!(text.stdout.lines().count(), 1, "{}", text.stdout);
    assert!(text.stdout.starts_with("HANDLE"), "{}", text.stdout);
    assert_eq!((json.code, json.stdout.as_str()), (Some(0), ""));
    let said = (one.code, one.stdout.as_str(), one.stderr.as_str());
    let expected = format!("no live session is named {HANDLE}\n");
    assert_eq!(said, (Some(1), "", expected.as_str()));
    assert_eq!(
        (all.code, all.stdout.as_str()),
        (Some(0), "0 sessions ended\n")
    );
    let said = (stranger.code, stranger.stderr.as_str());
    let expected = "no user with that openid has logged in\n";
    assert_eq!(said, (Some(1), expected));
}

#[test]
fn sessions_in_memory_are_reported_as_out_of_reach() {
    let folder = Folder::with(&format!("[session]\nstore = \"memory\"\n{APP}{ROUTE}"));

    for arguments in [
        vec!["sessions", "list"],
        vec!["sessions", "revoke", "--user", "17", "--all"],
    ] {
        let said = folder.skeygate(&arguments);

        assert_eq!((said.code, said.stdout.as_str()), (Some(78), ""));
        let start = "session.store = \"memory\": ";
        assert!(said.stderr.starts_with(start), "{}", said.stderr);
    }
}

#[test]
fn a_redis_that_is_away_or_asks_for_a_password_is_69_with_its_reason() {
    let away = folder(free_port()).skeygate(&["sessions", "list"]);
    let port = free_port();
    let _redis = redis_with(port, &["--requirepass", "the-password-of-redis"]);
    let locked = folder(port).skeygate(&["sessions", "list"]);

    assert_eq!((away.code, away.stdout.as_str()), (Some(69), ""));
    assert!(
        away.stderr.contains("connection refused"),
        "{}",
        away.stderr
    );
    assert_eq!((locked.code, locked.stdout.as_str()), (Some(69), ""));
    assert!(
        locked.stderr.contains("redis.password"),
        "{}",
        locked.stderr
    );
}

#[test]
fn ambiguous_commands_are_refused_before_redis_is_asked() {
    let folder = folder(free_port());

    for (arguments, part) in [
        (vec!["revoke"], "HANDLE"),
        (vec!["revoke", "short"], "not a handle"),
        (vec!["revoke", HANDLE, "--all"], "cannot be used with"),
        (
            vec!["list", "--user", "1", "--openid", "o"],
            "cannot be used with",
        ),
        (vec!["list", "--app", "x"], "--openid"),
    ] {
        let said = folder.skeygate(&[vec!["sessions"], arguments.clone()].concat());

        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
        assert!(said.stderr.contains(part), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn a_missing_option_never_logs_all_users_out() {
    let port = free_port();
    let _redis = redis(port);

    let said = folder(port).skeygate(&["sessions", "revoke", "--all"]);

    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(
        said.stderr.contains("write --user or --openid"),
        "{}",
        said.stderr
    );
}
