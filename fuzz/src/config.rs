//! gateway.toml: any text gives a configuration or a report, each line of the report is about a
//! place in the text, no secret is in it, and an accepted file satisfies the invariants of the rest
//! of the gateway. Input: the file.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::Method;
use skeygate::config::{
    Action, Auth, Config, ConfigError, PathPattern, PathPolicy, Problem, Route, Severity,
    TokenSource,
};
use skeygate::http::path::CanonicalPath;
use skeygate::route::{RouteMatch, RouteTable};

const NAME: &str = "gateway.toml";
/// The environment; a report that shows a value has shown a secret.
const VALUE: &str = "value-of-the-environment-0123456789";

/// See the module.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A secret's file may be a terminal or a pipe, and then reading waits.
    if text.contains("file") && ["/dev", "/proc", "/sys"].iter().any(|at| text.contains(at)) {
        return;
    }
    let environment = |name: &str| match name {
        "SET" | "WX_SECRET" => Some(VALUE.to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    match Config::parse(NAME, text, &environment) {
        Ok(loaded) => {
            report(text, &loaded.warnings, Severity::Warning);
            accepted(&loaded.config);
        }
        Err(error) => {
            assert!(matches!(error, ConfigError::Invalid { .. }));
            assert!(!error.problems().is_empty(), "refused without a reason");
            report(text, error.problems(), Severity::Error);
            assert!(!error.to_string().contains(VALUE), "the environment shows");
        }
    }
}

/// Each problem is about a place in the file and readable in a terminal.
fn report(text: &str, problems: &[Problem], severity: Severity) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // A file that ends with a line end has a last, empty line: a missing part is reported there.
    let lines: Vec<&str> = text.split('\n').collect();
    let mut before = 0;
    for problem in problems {
        assert_eq!(problem.severity, severity);
        assert_eq!(problem.file, NAME);
        assert!((1..=lines.len()).contains(&problem.line), "{problem}");
        assert!(problem.line >= before, "not in file order: {problem}");
        before = problem.line;
        let width = lines[problem.line - 1].chars().count();
        assert!((1..=width + 1).contains(&problem.column), "{problem}");
        let help = problem.help.as_deref().unwrap_or_default();
        for said in [problem.message.as_str(), help] {
            assert!(!said.chars().any(char::is_control), "{said:?}");
            assert!(!said.contains(VALUE), "the environment shows: {said}");
        }
        assert!(!problem.message.is_empty());
        if let Some(excerpt) = &problem.excerpt {
            let shown = excerpt.text.chars().count();
            assert!(!excerpt.text.chars().any(char::is_control), "{excerpt:?}");
            assert!(excerpt.carets >= 1 && excerpt.indent <= shown);
            assert!(excerpt.indent + excerpt.carets <= shown.max(excerpt.indent + 1));
        }
    }
}

fn accepted(config: &Config) {
    assert!(!config.apps.is_empty() && !config.routes.is_empty() && !config.login.is_empty());
    let debug = format!("{config:?}");
    for app in &config.apps {
        let secret = app.secret.expose();
        assert!(!secret.is_empty());
        // A short one may stand there for another reason.
        let telling = secret.len() >= 16 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let elsewhere = debug.matches(secret).count();
        assert!(!telling || elsewhere == 0 || appears_elsewhere(config, secret));
    }
    let session = &config.session;
    assert!(session.ttl <= session.max_age);
    let names: BTreeSet<&str> = config.apps.iter().map(|app| app.name.as_str()).collect();
    assert_eq!(names.len(), config.apps.len(), "two apps of one name");
    assert!(config.apps.iter().filter(|app| app.default).count() <= 1);
    for login in &config.login {
        is_canonical(&login.path);
        assert!(login.app.as_deref().is_none_or(|app| names.contains(app)));
    }
    let query = |source: &TokenSource| matches!(source, TokenSource::Query(_));
    assert!(
        !session.token_from.iter().any(query),
        "every query may hold an skey"
    );
    for (name, _) in &config.identity.headers {
        let taken = [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "cookie",
        ];
        assert!(!taken.contains(&name.as_str()));
    }
    routes(config);
}

/// Each route is found by its own path and host.
fn routes(config: &Config) {
    let all: Vec<Arc<Route>> = config.routes.iter().cloned().map(Arc::new).collect();
    let table = RouteTable::new(&all);
    let auths: BTreeSet<&str> = all.iter().map(|route| auth(route)).collect();
    assert!(config.server.path_policy == PathPolicy::Strict || auths.len() == 1);
    for route in &all {
        if let Action::Forward(name) = &route.action {
            assert!(config.upstreams.contains_key(name), "no upstream {name}");
        }
        let path = match &route.path {
            PathPattern::Exact(path) => path.clone(),
            PathPattern::Prefix(prefix) if prefix.is_empty() => "/".to_owned(),
            PathPattern::Prefix(prefix) => prefix.clone(),
        };
        is_canonical(&path);
        for prefix in [&route.strip_prefix, &route.add_prefix]
            .into_iter()
            .flatten()
        {
            is_canonical(prefix);
            assert!(prefix.len() > 1 && !prefix.ends_with('/'));
        }
        let host = route.hosts.first().map(|host| host.replace('*', "x"));
        let method = route.methods.first().unwrap_or(&Method::GET);
        match table.find(host.as_deref(), &path, method) {
            RouteMatch::Route(found) if Arc::ptr_eq(found, route) => {}
            // Another host's route, or an exact path, may be the closer one.
            RouteMatch::Route(_) | RouteMatch::Resembles(_) | RouteMatch::OtherMethods(_) => {
                assert!(all.len() > 1);
            }
            RouteMatch::Nothing => panic!("{path} of {host:?} finds nothing"),
        }
    }
}

fn auth(route: &Route) -> &'static str {
    match route.auth {
        Auth::Required => "required",
        Auth::Optional => "optional",
        Auth::Off => "off",
    }
}

/// In the canonical spelling of requests; else the route would never match.
fn is_canonical(path: &str) {
    let canonical = CanonicalPath::parse(path);
    let same = canonical
        .as_ref()
        .is_ok_and(|canonical| canonical.as_str() == path && canonical.check_encoded(&[]).is_ok());
    assert!(same, "{path:?} is {canonical:?}");
}

/// Whether an operator wrote the text of a secret where it is no secret.
fn appears_elsewhere(config: &Config, secret: &str) -> bool {
    let mut public = config.clone();
    for app in &mut public.apps {
        app.secret = skeygate::secret::Secret::new("");
    }
    format!("{public:?}").contains(secret)
}
