//! The link against real servers that are killed, frozen, locked and demoted.

use std::time::Duration;

use deadpool_redis::redis::{cmd, pipe};
use tokio::time::Instant;

use super::{Persistence, RedisLink};
use crate::secret::Secret;
use crate::store_error::StoreError;
use crate::testing::{RedisServer, answering, eventually, redis_config};

async fn get(link: &RedisLink, key: &str) -> Result<Option<String>, StoreError> {
    link.read(cmd("GET").arg(key)).await
}

async fn set(link: &RedisLink, key: &str, value: &str) -> Result<(), StoreError> {
    link.query(cmd("SET").arg(key).arg(value)).await
}

async fn cause(link: &RedisLink) -> String {
    get(link, "k").await.unwrap_err().to_string()
}

#[tokio::test]
async fn the_first_command_waits_for_the_first_connection() {
    let server = RedisServer::start().await;
    let link = server.link();
    set(&link, "k", "v").await.unwrap();
    assert_eq!(get(&link, "k").await.unwrap().as_deref(), Some("v"));
    assert!(link.ping().await.unwrap() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("redis.sock");
    let path = path.to_str().unwrap();
    let _server = RedisServer::start_with(&["--unixsocket", path]).await;
    for scheme in ["unix:", "unix://"] {
        let link = RedisLink::connect(&redis_config(&format!("{scheme}{path}"))).unwrap();
        set(&link, "k", scheme).await.unwrap();
        assert_eq!(link.address(), path);
    }
}

#[tokio::test]
async fn a_pipeline_answers_in_order_and_one_refused_command_fails_it() {
    let server = RedisServer::start().await;
    let link = server.link();
    let mut commands = pipe();
    commands.cmd("SET").arg("k").arg("v").cmd("GET").arg("k");
    let answers: (String, String) = link.pipeline(&commands).await.unwrap();
    assert_eq!(answers, ("OK".to_owned(), "v".to_owned()));
    commands.cmd("LPUSH").arg("k").arg("x");
    let error = link.pipeline::<()>(&commands).await.unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
}

#[tokio::test]
async fn a_frozen_redis_costs_five_deadlines_and_then_nothing_until_it_thaws() {
    let server = RedisServer::start().await;
    let mut config = redis_config(&server.url());
    config.connections = 8;
    let link = RedisLink::connect(&config).unwrap();
    link.ping().await.unwrap();
    server.freeze();
    let start = Instant::now();
    let mut texts = Vec::new();
    for _ in 0..200 {
        texts.push(cause(&link).await);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert!(texts[0].contains("no reply within 300ms"), "{}", texts[0]);
    assert!(
        texts[199].ends_with("no reply to 5 commands"),
        "{}",
        texts[199]
    );
    server.thaw();
    let back = Instant::now();
    eventually("the thawed redis is used again", async || {
        get(&link, "k").await.is_ok()
    })
    .await;
    assert!(
        back.elapsed() < Duration::from_secs(3),
        "{:?}",
        back.elapsed()
    );
}

#[tokio::test]
async fn a_killed_redis_is_refused_at_once_and_used_again_when_it_is_back() {
    let mut server = RedisServer::start().await;
    let link = server.link();
    link.ping().await.unwrap();
    server.kill().await;
    eventually("the cause is known", async || {
        let text = cause(&link).await;
        text.ends_with("connection refused") || text.ends_with("no reply to 5 commands")
    })
    .await;
    let start = Instant::now();
    for _ in 0..100 {
        get(&link, "k").await.unwrap_err();
    }
    assert!(start.elapsed() < Duration::from_millis(500));
    server.restart().await;
    let back = Instant::now();
    eventually("the restarted redis is used", async || {
        get(&link, "k").await.is_ok()
    })
    .await;
    assert!(
        back.elapsed() < Duration::from_secs(3),
        "{:?}",
        back.elapsed()
    );
}

#[tokio::test]
async fn killed_connections_are_replaced_without_a_failed_look_up() {
    let server = RedisServer::start().await;
    let link = server.link();
    let mut config = redis_config(&server.url());
    config.connections = 1;
    let killer = RedisLink::connect(&config).unwrap();
    set(&link, "k", "v").await.unwrap();
    for _ in 0..20 {
        // Does not kill the connection that it is sent on.
        let killed: i64 = killer
            .query(cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal"))
            .await
            .unwrap();
        assert!(killed >= 1);
        for _ in 0..4 {
            assert_eq!(get(&link, "k").await.unwrap().as_deref(), Some("v"));
        }
    }
}

#[tokio::test]
async fn a_start_without_redis_connects_when_it_appears() {
    let mut server = RedisServer::start().await;
    server.kill().await;
    let link = server.link();
    let error = link.ping().await.unwrap_err();
    assert!(error.to_string().ends_with("connection refused"), "{error}");
    server.restart().await;
    eventually("redis is found", async || link.ping().await.is_ok()).await;
}

#[tokio::test]
async fn a_wrong_password_names_the_keys_to_check_and_not_the_password() {
    let server = RedisServer::start_with(&["--requirepass", "right"]).await;
    let mut config = redis_config(&server.url());
    config.password = Some(Secret::new("hunter2"));
    let link = RedisLink::connect(&config).unwrap();
    let text = link.ping().await.unwrap_err().to_string();
    assert!(
        text.contains("check redis.username and redis.password"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    config.password = None;
    let link = RedisLink::connect(&config).unwrap();
    let text = link.ping().await.unwrap_err().to_string();
    assert!(text.contains("NOAUTH"), "{text}");
    config.password = Some(Secret::new("right"));
    RedisLink::connect(&config).unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn a_loading_redis_is_unavailable_and_does_not_open_the_breaker() {
    let url = answering("-LOADING Redis is loading the dataset in memory\r\n").await;
    let link = RedisLink::connect(&redis_config(&url)).unwrap();
    for _ in 0..10 {
        let error = get(&link, "k").await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }));
        assert!(
            error.to_string().contains("LOADING Redis is loading"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_full_redis_is_unavailable_with_its_cause() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]).await;
    let link = server.link();
    let error = set(&link, "k", "v").await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }));
    assert!(
        error.to_string().contains("OOM command not allowed"),
        "{error}"
    );
}

#[tokio::test]
async fn a_demoted_redis_is_unavailable_until_it_is_promoted() {
    let server = RedisServer::start().await;
    let link = server.link();
    let replicate = |host: &'static str, port: &'static str| {
        let link = link.clone();
        async move {
            link.query::<()>(cmd("REPLICAOF").arg(host).arg(port))
                .await
                .unwrap();
        }
    };
    replicate("127.0.0.1", "1").await;
    let error = set(&link, "k", "v").await.unwrap_err();
    assert!(error.to_string().contains("READONLY"), "{error}");
    replicate("NO", "ONE").await;
    eventually("writing works", async || set(&link, "k", "v").await.is_ok()).await;
}

#[tokio::test]
async fn a_key_of_another_type_is_corrupt() {
    let server = RedisServer::start().await;
    let link = server.link();
    link.query::<()>(cmd("LPUSH").arg("k").arg("v"))
        .await
        .unwrap();
    let error = get(&link, "k").await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn replies_are_never_mixed_up_by_cancelled_commands() {
    let server = RedisServer::start().await;
    let link = server.link();
    for user in 0..50 {
        set(&link, &format!("k{user}"), &format!("v{user}"))
            .await
            .unwrap();
    }
    let mut tasks = Vec::new();
    for user in 0..50 {
        let link = link.clone();
        tasks.push(tokio::spawn(async move {
            let (key, value) = (format!("k{user}"), format!("v{user}"));
            for round in 0..200 {
                let patience = Duration::from_micros(round % 7 * 20);
                let hurried = tokio::time::timeout(patience, get(&link, &key)).await;
                if let Ok(answer) = hurried {
                    assert_eq!(answer.unwrap().as_ref(), Some(&value));
                }
                assert_eq!(get(&link, &key).await.unwrap().as_ref(), Some(&value));
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn connections_end_with_the_last_clone() {
    let server = RedisServer::start().await;
    let (link, observer) = (server.link(), server.link());
    link.clone().ping().await.unwrap();
    let connections = async || {
        let list: String = observer.read(cmd("CLIENT").arg("LIST")).await.unwrap();
        list.lines().count()
    };
    eventually("both links are whole", async || connections().await == 4).await;
    drop(link);
    eventually("one link is left", async || connections().await == 2).await;
}

#[tokio::test]
async fn facts_name_version_and_persistence_and_survive_a_strict_acl() {
    let server = RedisServer::start().await;
    let link = server.link();
    let facts = link.info().await.unwrap();
    assert!(facts.version.is_some_and(|version| version.contains('.')));
    assert_eq!(facts.persistence, Persistence::Off);
    link.query::<()>(cmd("ACL").arg(&[
        "SETUSER",
        "gate",
        "on",
        ">pw",
        "~skeygate:*",
        "+get",
        "+ping",
    ]))
    .await
    .unwrap();
    let mut config = redis_config(&server.url());
    config.username = Some("gate".to_owned());
    config.password = Some(Secret::new("pw"));
    let facts = RedisLink::connect(&config).unwrap().info().await.unwrap();
    assert_eq!(facts.version, None);
    assert_eq!(facts.persistence, Persistence::Unknown);
}
