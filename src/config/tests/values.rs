//! The tables of a good file.

use std::net::SocketAddr;
use std::path::PathBuf;

use http::{HeaderName, Method, StatusCode};

use super::{GOOD, good_with, parse};
use crate::config::{
    Action, Auth, CodeSource, HostHeader, ListenAddress, PathPattern, ServerAddress,
    SessionStoreKind, Style, TemplatePart, TokenSource, UserStore, Workers, keys,
};

#[test]
fn the_smallest_file_gets_every_default() {
    let loaded = parse(GOOD).expect("it is good");
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(
        config.server.listen,
        [ListenAddress::Tcp(SocketAddr::from(([0, 0, 0, 0], 8080)))]
    );
    assert_eq!(config.server.max_header_bytes, 32 * 1024);
    assert_eq!(config.server.max_body, Some(20 << 20));
    assert_eq!(config.server.workers, Workers::Auto);
    assert_eq!(
        config.admin.listen,
        Some(SocketAddr::from(([127, 0, 0, 1], 9091)))
    );
    assert_eq!(config.redis.url.expose(), "redis://127.0.0.1:6379/0");
    assert_eq!((config.redis.username, config.redis.password), (None, None));
    assert!(matches!(config.users.store, UserStore::Redis));
    assert_eq!(
        (config.apps[0].name.as_str(), config.apps[0].default),
        ("wx1234567890abcdef", true)
    );
    assert_eq!(config.login.len(), 1);
    assert_eq!(
        (config.login[0].path.as_str(), &config.login[0].methods),
        ("/login", &vec![Method::POST])
    );
    assert_eq!(
        config.login[0].code_from[0],
        CodeSource::Json("code".to_owned())
    );
    assert_eq!(config.identity.headers.len(), 4);
    let api = &config.upstreams["api"];
    assert_eq!(
        api.servers,
        [ServerAddress::Http {
            host: "127.0.0.1".to_owned(),
            port: 8000
        }]
    );
    let route = &config.routes[0];
    assert_eq!(
        (&route.path, route.auth),
        (&PathPattern::Prefix(String::new()), Auth::Required)
    );
    assert_eq!((route.max_body, route.timeout), (Some(20 << 20), None));
    let places = [
        TokenSource::Header(HeaderName::from_static("skey")),
        TokenSource::Header(HeaderName::from_static("x-wx-skey")),
        TokenSource::Bearer,
    ];
    assert_eq!(route.token_from, places);
}

#[test]
fn every_default_in_the_list_of_keys_is_toml() {
    let keys = keys();
    assert!(keys.len() > 100, "only {} keys", keys.len());
    for key in keys {
        let Some(default) = key.default else { continue };
        assert!(
            toml::de::DeValue::parse(default).is_ok(),
            "{}.{}: {default}",
            key.table,
            key.key
        );
    }
}

#[test]
fn every_key_is_listed_once() {
    let mut names: Vec<String> = keys()
        .iter()
        .map(|key| format!("{}.{}", key.table, key.key))
        .collect();
    let all = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn a_route_follows_server_and_session_where_it_says_nothing() {
    let config =
        good_with("[server]\nmax_body = \"1MiB\"\n[session]\ntoken_from = [\"cookie:sid\"]");
    assert_eq!(config.routes[0].max_body, Some(1 << 20));
    assert_eq!(
        config.routes[0].token_from,
        [TokenSource::Cookie("sid".to_owned())]
    );
    let config =
        good_with("max_body = \"none\"\ntoken_from = [\"query:t\", \"json:t\", \"form:t\"]");
    assert_eq!(config.routes[0].max_body, None);
    assert_eq!(
        config.routes[0].token_from[0],
        TokenSource::Query("t".to_owned())
    );
}

#[test]
fn users_are_kept_where_sessions_are() {
    let config = good_with("[session]\nstore = \"memory\"");
    assert_eq!(config.session.store, SessionStoreKind::Memory);
    assert!(matches!(config.users.store, UserStore::Memory));
}

#[test]
fn hosts_are_lower_case_and_headers_are_read() {
    let more = "hosts = [\"API.Example.com\", \"*.Example.com\"]\n\
        request_headers = { set = { X-A = \"1\" }, remove = [\"X-B\"] }";
    let route = &good_with(more).routes[0];
    assert_eq!(route.hosts, ["api.example.com", "*.example.com"]);
    assert_eq!(route.request_headers.set[0].0, "x-a");
    assert_eq!(route.request_headers.remove, ["x-b"]);
}

#[test]
fn upstream_addresses_are_read() {
    let server = |text: &str| {
        good_with(&format!(
            "[upstreams.b]\nservers = [\"{text}\"]\nhost = \"upstream\""
        ))
        .upstreams["b"]
            .clone()
    };
    let http = |host: &str, port| ServerAddress::Http {
        host: host.to_owned(),
        port,
    };
    assert_eq!(server("http://web").servers, [http("web", 80)]);
    assert_eq!(server("http://[::1]:81").servers, [http("::1", 81)]);
    assert_eq!(
        server("unix:/run/app.sock").servers,
        [ServerAddress::Unix(PathBuf::from("/run/app.sock"))]
    );
    assert_eq!(server("http://web").host, HostHeader::Upstream);
}

#[test]
fn the_preset_adds_its_headers_once() {
    let identity = good_with("[identity]\npreset = \"wxcloudrun\"").identity;
    let names: Vec<&str> = identity
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "x-openid",
        "x-unionid",
        "x-user-id",
        "x-wx-appid",
        "x-wx-openid",
        "x-wx-unionid",
        "x-wx-source",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        identity.headers[6].1.0,
        [TemplatePart::Text("wx_client".to_owned())]
    );
}

#[test]
fn templates_keep_the_text_around_placeholders() {
    let identity = good_with("[identity]\nheaders = { X-A = \"u-{user_id}@{appid}\" }").identity;
    let text = |text: &str| TemplatePart::Text(text.to_owned());
    assert_eq!(
        identity.headers[0].1.0,
        [
            text("u-"),
            TemplatePart::UserId,
            text("@"),
            TemplatePart::Appid
        ]
    );
}

#[test]
fn custom_styles_are_parsed() {
    let style = &good_with(
        r#"style = { login = '{"t":"{skey}","n":{expires_in}}', refusal_status = 200 }"#,
    )
    .routes[0]
        .style;
    let Style::Custom(custom) = style else {
        panic!("{style:?}")
    };
    assert_eq!(
        (custom.refusal_status, &custom.refusal),
        (Some(StatusCode::OK), &None)
    );
}

#[test]
fn a_route_may_respond_by_itself() {
    let config =
        good_with("[[routes]]\npath = \"/ping\"\nauth = \"off\"\nrespond = { body = \"pong\" }");
    let Action::Respond(respond) = &config.routes[1].action else {
        panic!("it answers")
    };
    assert_eq!(
        (respond.status, respond.body.as_str()),
        (StatusCode::OK, "pong")
    );
}

#[test]
fn keys_of_later_versions_are_accepted_with_their_present_effect() {
    good_with(
        "[server]\ntls = { cert_file = \"\" }\nshutdown = { not_ready_for = \"0s\" }\n\
        [redis]\nmode = \"standalone\"\non_outage = \"reject\"\n[session]\ncache = { size = 0 }\n[cors]\norigins = []",
    );
}
