//! The reports for a wrong gateway.toml, and the tables of a right one.

mod apps;
mod grammar;
mod profile;
mod rate_limit;
mod reload;
mod removed;
mod report;
mod routes;
mod secrets;
mod server;
mod users;
mod values;

use super::{Config, ConfigError, Loaded, Problem, Severity};

/// A good file of eight lines.
const GOOD: &str = r#"[[apps]]
appid = "wx1234567890abcdef"
secret = "0123456789abcdef"
[upstreams.api]
servers = ["http://127.0.0.1:8000"]
[[routes]]
path = "/*"
upstream = "api"
"#;

fn environment(name: &str) -> Option<String> {
    match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Loaded, ConfigError> {
    Config::parse("gateway.toml", text, &environment)
}

/// The configuration of a good file with more lines at its end.
fn good_with(more: &str) -> Config {
    match parse(&format!("{GOOD}{more}\n")) {
        Ok(loaded) => loaded.config,
        Err(error) => panic!("{more} is refused:\n{error}"),
    }
}

/// The problems of a file, or its warnings when it is good, as `line:column message | help`.
fn reports(text: &str) -> Vec<String> {
    let problems = match parse(text) {
        Ok(loaded) => loaded.warnings,
        Err(error) => error.problems().to_vec(),
    };
    problems.iter().map(line).collect()
}

fn line(problem: &Problem) -> String {
    let severity = if problem.severity == Severity::Warning {
        "warning "
    } else {
        ""
    };
    let help = problem
        .help
        .as_ref()
        .map(|help| format!(" | {help}"))
        .unwrap_or_default();
    format!(
        "{}:{} {severity}{}{help}",
        problem.line, problem.column, problem.message
    )
}

/// Each text, added to a good file, gives these problems.
fn assert_reports(cases: &[(&str, &[&str])]) {
    assert!(!cases.is_empty());
    for (more, expected) in cases {
        assert_eq!(
            reports(&format!("{GOOD}{more}\n")),
            *expected,
            "after adding\n{more}"
        );
    }
}
