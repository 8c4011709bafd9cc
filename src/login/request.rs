//! Reads a login request: its code, and the mini program that it is for.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{REFERER, USER_AGENT};

use crate::config::{App, CodeSource, Login};
use crate::error::{Error, LoginRefusal};
use crate::http::body::BodyKind;
use crate::http::field;
use crate::session::Origin;
use crate::wechat::LoginCode;

/// Maximum body size of a login, in bytes.
pub const LOGIN_BODY_LIMIT: u64 = 8 * 1024;

/// Request header with an app's name or appid, for clients that Host and Referer do not identify.
const APP_HEADER: &str = "x-wx-app";

/// Whether a login's code may be in the body.
#[must_use]
pub fn reads_body(login: &Login) -> bool {
    login
        .code_from
        .iter()
        .any(|source| matches!(source, CodeSource::Json(_) | CodeSource::Form(_)))
}

/// Returns the code from the first of the entry's sources that has one.
///
/// # Errors
/// `LoginCodeMissing`; `LoginCodeInvalid` for text that cannot be a code; `BadRequest` for a body
/// that does not match its content type.
pub fn find_code(
    login: &Login,
    headers: &HeaderMap,
    query: Option<&str>,
    body: Option<(BodyKind, &str)>,
) -> Result<LoginCode, Error> {
    for source in &login.code_from {
        let found = match (source, body) {
            (CodeSource::Header(name), _) => headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned),
            (CodeSource::Query(name), _) => query.and_then(|text| first_pair(text, name)),
            (CodeSource::Form(name), Some((BodyKind::Form, text))) => first_pair(text, name),
            (CodeSource::Json(name), Some((BodyKind::Json, text))) => field::take_json(text, name)
                .map_err(|_| Error::BadRequest("the body is not a JSON object"))?
                .and_then(|taken| taken.values.into_iter().next()),
            (CodeSource::Form(_) | CodeSource::Json(_), _) => None,
        };
        if let Some(text) = found.filter(|text| !text.is_empty()) {
            let malformed = || Error::LoginCodeInvalid(LoginRefusal::NotAsked("malformed code"));
            return LoginCode::parse(&text).ok_or_else(malformed);
        }
    }
    Err(Error::LoginCodeMissing {
        body: match body {
            Some((BodyKind::Json, _)) => "a JSON body",
            Some((BodyKind::Form, _)) => "a form body, by its content type",
            None => "no body that is JSON or a form",
        },
    })
}

fn first_pair(text: &str, name: &str) -> Option<String> {
    field::take_pair(text, name)?.values.into_iter().next()
}

/// The app that a login is for: the entry's own, else by header, Host, or the appid in WeChat's
/// `Referer`, else the default.
///
/// A forged choice gains nothing: a code is valid for its own app only.
///
/// # Errors
/// `BadRequest` when no app is chosen.
pub fn choose_app(
    apps: &[Arc<App>],
    login: &Login,
    headers: &HeaderMap,
    host: Option<&str>,
) -> Result<Arc<App>, Error> {
    let called = |name: &str| {
        apps.iter()
            .find(|app| app.name == name || app.appid == name)
    };
    if let Some(name) = &login.app {
        return called(name)
            .map(Arc::clone)
            .ok_or(Error::BadRequest("unknown app"));
    }
    if let Some(value) = headers.get(APP_HEADER) {
        let named = value.to_str().ok().and_then(called);
        return named
            .map(Arc::clone)
            .ok_or(Error::BadRequest("unknown app"));
    }
    let by_host = || {
        apps.iter()
            .find(|app| app.hosts.iter().any(|known| Some(known.as_str()) == host))
    };
    let by_referer =
        || referer_appid(headers).and_then(|appid| apps.iter().find(|app| app.appid == appid));
    let by_default = || apps.iter().find(|app| app.default);
    let chosen = by_host().or_else(by_referer).or_else(by_default);
    chosen.map(Arc::clone).ok_or(Error::BadRequest(
        "the request does not say which app the login is for",
    ))
}

/// The client of a login. The session keeps only the beginning of each text.
#[must_use]
pub fn origin(headers: &HeaderMap, address: Option<IpAddr>) -> Origin {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // No store keeps more than 256 characters, and a header may have 32 KiB.
    let short = |text: &str| text.chars().take(256).collect();
    Origin {
        device: text(USER_AGENT).map(short).unwrap_or_default(),
        version: referer(headers)
            .and_then(|mut parts| parts.nth(1))
            .map(short)
            .unwrap_or_default(),
        address,
    }
}

fn referer_appid(headers: &HeaderMap) -> Option<&str> {
    referer(headers)?.next()
}

/// Appid and version from `https://servicewechat.com/{appid}/{version}/page-frame.html`, which the
/// mini program cannot change.
fn referer(headers: &HeaderMap) -> Option<impl Iterator<Item = &str>> {
    let text = headers.get(REFERER)?.to_str().ok()?;
    let parts = text.strip_prefix("https://servicewechat.com/")?;
    Some(parts.split('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Style;
    use crate::secret::Secret;

    fn login(code_from: Vec<CodeSource>) -> Login {
        Login {
            number: 0,
            path: "/login".to_owned(),
            methods: Vec::new(),
            style: Style::Plain,
            app: None,
            code_from,
            create_users: true,
            rate_limit: None,
        }
    }

    fn app(name: &str, default: bool, host: &str) -> Arc<App> {
        Arc::new(App {
            name: name.to_owned(),
            appid: format!("wx-{name}"),
            secret: Secret::new("s"),
            secret_next: None,
            secret_previous: None,
            default,
            hosts: vec![host.to_owned()],
        })
    }

    #[test]
    fn the_first_source_with_a_code_wins_and_an_empty_one_has_none() {
        let entry = login(vec![
            CodeSource::Json("code".to_owned()),
            CodeSource::Form("code".to_owned()),
            CodeSource::Header("x-wx-code".parse().unwrap()),
            CodeSource::Query("code".to_owned()),
        ]);
        let mut headers = HeaderMap::new();
        let json = Some((BodyKind::Json, "{\"code\":\"J\"}"));
        let query = Some("code=Q%20x");
        let find = |headers: &HeaderMap, body, query| {
            find_code(&entry, headers, query, body).map(|code| code.expose().to_owned())
        };
        assert_eq!(find(&headers, json, query).unwrap(), "J");
        assert_eq!(
            find(&headers, Some((BodyKind::Form, "code=F")), query).unwrap(),
            "F"
        );
        assert_eq!(
            find(&headers, Some((BodyKind::Json, "{\"code\":\"\"}")), query).unwrap(),
            "Q x"
        );
        headers.insert("x-wx-code", "H".parse().unwrap());
        assert_eq!(find(&headers, None, query).unwrap(), "H");
        headers.clear();
        assert!(matches!(
            find(&headers, None, None),
            Err(Error::LoginCodeMissing { .. })
        ));
        assert!(matches!(
            find(&headers, None, Some("code=%0a")),
            Err(Error::LoginCodeInvalid(_))
        ));
        let broken = Some((BodyKind::Json, "["));
        assert!(matches!(
            find(&headers, broken, query),
            Err(Error::BadRequest(_))
        ));
    }

    #[test]
    fn a_login_records_device_version_and_address() {
        let mut headers = HeaderMap::new();
        assert_eq!(origin(&headers, None), Origin::default());
        let page = "https://servicewechat.com/wx-b/12/page-frame.html";
        headers.insert(REFERER, page.parse().unwrap());
        headers.insert(USER_AGENT, "MicroMessenger/8.0.50".parse().unwrap());
        let address = Some(IpAddr::from([192, 0, 2, 7]));
        let expected = Origin {
            device: "MicroMessenger/8.0.50".to_owned(),
            version: "12".to_owned(),
            address,
        };
        assert_eq!(origin(&headers, address), expected);
        headers.insert(REFERER, "https://example.com/wx-b/12/".parse().unwrap());
        assert_eq!(origin(&headers, None).version, "");
    }

    #[test]
    fn an_app_is_chosen_by_header_then_host_then_referer_then_default() {
        let apps = [app("a", true, "a.example"), app("b", false, "b.example")];
        let choose = |lines: &[(&'static str, &str)], host| {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.insert(*name, value.parse().unwrap());
            }
            choose_app(&apps, &login(Vec::new()), &headers, host).map(|app| app.name.clone())
        };
        let referer = (
            "referer",
            "https://servicewechat.com/wx-b/12/page-frame.html",
        );
        assert_eq!(choose(&[], None).unwrap(), "a");
        assert_eq!(choose(&[referer], None).unwrap(), "b");
        assert_eq!(choose(&[referer], Some("a.example")).unwrap(), "a");
        assert_eq!(
            choose(&[("x-wx-app", "wx-b")], Some("a.example")).unwrap(),
            "b"
        );
        let unknown = choose(&[("x-wx-app", "none")], None);
        assert!(
            matches!(unknown, Err(Error::BadRequest("unknown app"))),
            "{unknown:?}"
        );
    }
}
