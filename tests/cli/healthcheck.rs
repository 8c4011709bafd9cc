//! `skeygate healthcheck`.

use crate::support::{APP, Folder, free_port, redis};

fn toml(admin: &str, redis_port: u16) -> String {
    format!(
        "{APP}[server]\nlisten = [\"127.0.0.1:0\"]\n[admin]\nlisten = \"{admin}\"\n[redis]\nurl = \"redis://127.0.0.1:{redis_port}/0\"\n[[routes]]\npath = \"/*\"\nrespond = {{}}\n"
    )
}

#[test]
fn it_distinguishes_ready_from_redis_away_from_not_running() {
    let redis_port = free_port();
    let store = redis(redis_port);
    let folder = Folder::with(&toml(&format!("127.0.0.1:{}", free_port()), redis_port));
    let not_yet = folder.skeygate(&["healthcheck"]);
    assert_eq!(not_yet.code, Some(1), "{not_yet:?}");
    assert!(not_yet.stderr.contains("Connection refused"), "{not_yet:?}");

    let (gateway, _) = folder.run();
    let ready = folder.skeygate(&["healthcheck"]);
    assert_eq!((ready.code, ready.stdout.as_str()), (Some(0), "ready\n"));

    drop(store);
    let away = folder.skeygate(&["healthcheck"]);
    assert_eq!(
        (away.code, away.stderr.as_str()),
        (Some(1), "redis does not respond\n")
    );
    let live = folder.skeygate(&["healthcheck", "--live"]);
    assert_eq!((live.code, live.stdout.as_str()), (Some(0), "live\n"));

    drop(gateway);
    let gone = folder.skeygate(&["healthcheck", "--live"]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    assert!(gone.stderr.contains("Connection refused"), "{gone:?}");
}

#[test]
fn without_an_admin_listener_healthcheck_fails() {
    let said = Folder::with(&toml("", 6379)).skeygate(&["healthcheck"]);

    assert_eq!(said.code, Some(78));
    assert!(said.stderr.contains("admin.listen"), "{}", said.stderr);
}
