//! `skeygate users` for users without sessions. The effect of a ban on sessions and logins is
//! tested in `tests/gateway/session_control.rs`.

use serde_json::{Value, json};

use crate::support::{APP, CommandOutput, Folder, free_port, json as parsed, redis};

const ROUTE: &str = "[upstreams.api]\nservers = [\"http://127.0.0.1:8000\"]\n[[routes]]\npath = \"/*\"\nupstream = \"api\"\n";

fn folder(port: u16) -> Folder {
    Folder::with(&format!(
        "[redis]\nurl = \"redis://127.0.0.1:{port}/0\"\ntimeout = \"5s\"\n[log]\nlevel = \"error\"\n{APP}{ROUTE}"
    ))
}

fn printed(said: &CommandOutput) -> Value {
    assert_eq!(said.code, Some(0), "{said:?}");
    parsed(&said.stdout)
}

#[test]
fn a_ban_is_made_shown_and_lifted_with_a_line_of_audit_for_each_change() {
    let port = free_port();
    let _redis = redis(port);
    let folder = folder(port);
    let show = ["users", "show", "17", "--json"];
    let nobody = printed(&folder.skeygate(&show));

    let ban = ["users", "ban", "17", "--reason", "sells \u{1b}[31mfakes"];
    let banned = folder.skeygate(&ban);
    let shown = printed(&folder.skeygate(&show));
    let text = folder.skeygate(&["users", "show", "17"]);
    let lifted = folder.skeygate(&["users", "unban", "17"]);
    let again = folder.skeygate(&["users", "unban", "17"]);

    let expected = json!({ "user_id": "17", "merged_from": null, "ban": null, "sessions": [] });
    assert_eq!(nobody, expected);
    let expected = "17 is banned until it is lifted; sessions ended: 0\n";
    assert_eq!((banned.code, banned.stdout.as_str()), (Some(0), expected));
    let audit = banned.stderr.lines().next().map(parsed);
    let audit = audit.expect("a line, whatever log.level says");
    assert_eq!(audit["event"], "user.banned");
    assert_eq!(audit["user.id"], "17");
    assert_eq!(audit["reason"], "sells \u{1b}[31mfakes");
    assert_eq!(audit["until"], Value::Null);
    assert_eq!(audit["by"], "command");
    assert_eq!(shown["ban"]["reason"], "sells \u{1b}[31mfakes");
    assert!(shown["ban"]["since"].is_u64());
    // Escapes cannot colour the operator's terminal.
    assert!(text.stdout.contains("sells \\u001b[31mfakes"), "{text:?}");
    assert!(lifted.stdout.starts_with("17 may log in again; "));
    let audit = parsed(&lifted.stderr);
    assert_eq!(
        (&audit["event"], &audit["user.id"]),
        (&json!("user.unbanned"), &json!("17"))
    );
    let said = (again.code, again.stdout.as_str(), again.stderr.as_str());
    assert_eq!(said, (Some(1), "", "17 is not banned\n"));
}

#[test]
fn a_temporary_ban_reports_its_end() {
    let port = free_port();
    let _redis = redis(port);
    let folder = folder(port);

    let ban = [
        "users", "ban", "17", "--reason", "x", "--for", "30d", "--json",
    ];
    let done = printed(&folder.skeygate(&ban));

    let number = |key: &str| done["ban"][key].as_u64().expect("a number");
    assert_eq!(number("until") - number("since"), 30 * 86_400);
    assert_eq!(
        (&done["user_id"], &done["revoked"]),
        (&json!("17"), &json!(0))
    );
}

#[test]
fn a_ban_needs_a_user_a_reason_and_a_time_that_is_one() {
    let folder = folder(free_port());
    let long = "x".repeat(257);

    for (arguments, part) in [
        (vec!["ban", "17"], "--reason"),
        (vec!["ban", "--reason", "x"], "ID"),
        (vec!["ban", "17", "--reason", " "], "say why"),
        (vec!["ban", "17", "--reason", &long], "256"),
        (vec!["ban", "17", "--reason", "x", "--for", "30"], "30d"),
        (vec!["ban", "17", "--reason", "x", "--for", "0s"], "30d"),
        (vec!["show"], "ID"),
        (vec!["show", "17", "--openid", "o"], "cannot be used with"),
    ] {
        let said = folder.skeygate(&[vec!["users"], arguments.clone()].concat());

        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""));
        assert!(said.stderr.contains(part), "{arguments:?}: {}", said.stderr);
    }
}

#[test]
fn an_export_is_of_a_directory_that_a_command_can_reach() {
    let port = free_port();
    let _redis = redis(port);
    for (store, part) in [
        ("memory", "in the memory of the running gateway"),
        ("off", "no directory"),
    ] {
        let folder = Folder::with(&format!(
            "[redis]\nurl = \"redis://127.0.0.1:{port}/0\"\ntimeout = \"5s\"\n[users]\nstore = \"{store}\"\n{APP}{ROUTE}"
        ));

        let said = folder.skeygate(&["users", "export"]);

        assert_eq!((said.code, said.stdout.as_str()), (Some(78), ""));
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}

#[test]
fn without_redis_nothing_is_done_and_the_reason_is_reported() {
    let away = folder(free_port());
    let memory = Folder::with(&format!("[session]\nstore = \"memory\"\n{APP}{ROUTE}"));

    for arguments in [
        vec!["users", "ban", "17", "--reason", "x"],
        vec!["users", "unban", "17"],
        vec!["users", "show", "17"],
    ] {
        let said = away.skeygate(&arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(69), ""));
        assert!(said.stderr.contains("redis.password"), "{}", said.stderr);
        let said = memory.skeygate(&arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(78), ""));
    }
}
