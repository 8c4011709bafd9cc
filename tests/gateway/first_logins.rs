//! Many first logins of one user at once over two replicas: one user in Redis. For databases see
//! `sql_users`.

use std::collections::BTreeSet;

use crate::support::redis::Reply;
use crate::support::setup::{APP, OTHER_APP, Setup, login_request};
use crate::support::stack::Stack;

async fn get(stack: &mut Stack, key: &str) -> Option<String> {
    match stack.redis().command(&[b"GET", key.as_bytes()]).await {
        Reply::Text(value) => Some(String::from_utf8(value).expect("UTF-8")),
        Reply::Nothing => None,
        other => panic!("{key}: {other:?}"),
    }
}

async fn count(stack: &mut Stack, pattern: &str) -> usize {
    let names = stack.redis().command(&[b"KEYS", pattern.as_bytes()]).await;
    let Reply::List(names) = names else {
        panic!("KEYS {pattern}: {names:?}");
    };
    names.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_first_logins_at_once_over_two_replicas_make_one_user_in_redis() {
    let mut stack = Stack::start(Setup::new().two_apps()).await;
    let replicas = [stack.address(), stack.one_more().await];
    // In two apps of one account: one openid in each, one unionid.
    let apps = [APP.0, OTHER_APP.0];
    let logins: Vec<_> = (0..100)
        .map(|number| {
            let app = apps[number / 2 % 2];
            let code = stack.wechat.new_code(app, "ann");
            let request = login_request(&code).header("X-Wx-App", app);
            let at = replicas[number % 2];
            tokio::spawn(async move { request.send(at).await })
        })
        .collect();
    let (mut ids, mut new) = (BTreeSet::new(), 0);
    for login in logins {
        let answer = login.await.expect("a login");
        assert_eq!(answer.status, 200, "{}", answer.text());
        ids.insert(answer.field("user_id"));
        new += u32::from(answer.json()["is_new"] == true);
    }

    assert_eq!((ids.len(), new), (1, 1), "{ids:?}");
    let id = ids.pop_first();
    assert_eq!(count(&mut stack, "skeygate:o:*").await, 2);
    assert_eq!(count(&mut stack, "skeygate:n:*").await, 1);
    assert_eq!(count(&mut stack, "skeygate:a:*").await, 0);
    for app in apps {
        let openid = stack.wechat.openid(app, "ann");
        let key = format!("skeygate:o:{app}:{openid}");
        assert_eq!(get(&mut stack, &key).await, id);
    }
}
