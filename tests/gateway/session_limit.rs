//! `session.max_per_user` over two replicas: sessions over the limit end after 30 s, for requests
//! in flight.

use crate::support::client::Request;
use crate::support::redis::Reply;
use crate::support::setup::Setup;
use crate::support::stack::Stack;

#[tokio::test]
async fn the_oldest_sessions_over_the_limit_end_in_30_s_on_any_replica() {
    let setup = Setup::new().table("session", "max_per_user = 2");
    let mut stack = Stack::start(setup).await;
    let replicas = [stack.address(), stack.one_more().await];
    let mut skeys = Vec::new();
    for login in 0..4 {
        skeys.push(stack.skey(replicas[login % 2], "ann").await);
    }
    let another = stack.login("bob").await;

    // Twelve requests of one page log in twelve times: the first of them must not fail for the
    // last.
    for (at, skey) in skeys.iter().chain([&another]).enumerate() {
        let request = Request::get("/x").header("skey", skey);
        assert_eq!(request.send(replicas[at % 2]).await.status, 200);
    }

    let names = stack.redis().command(&[b"KEYS", b"skeygate:s:*"]).await;
    let Reply::List(names) = names else {
        panic!("no list of keys: {names:?}");
    };
    let mut soon = 0;
    for name in names {
        let Reply::Text(name) = name else {
            panic!("{name:?}");
        };
        let Reply::Number(left) = stack.redis().command(&[b"TTL", &name]).await else {
            panic!("no time");
        };
        if left <= 30 {
            soon += 1;
            stack.redis().command(&[b"PEXPIRE", &name, b"1"]).await;
            while stack.redis().command(&[b"EXISTS", &name]).await != Reply::Number(0) {}
        }
    }
    assert_eq!(soon, 2);
    let mut statuses = Vec::new();
    for skey in skeys.iter().chain([&another]) {
        statuses.push(stack.get("/x", skey).await.status);
    }
    assert_eq!(statuses, [401, 401, 200, 200, 200]);
}
