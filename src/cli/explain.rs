//! `skeygate explain`.

use std::process::ExitCode;

use hyper::Request;
use hyper::header::{HOST, HeaderName, HeaderValue};
use hyper::http::request::Parts;

use super::{BAD_CONFIG, File, fail, print_line, run, word};
use crate::app::{StartError, offline};
use crate::config::Auth;
use crate::gateway::{Explanation, Forwarding};

/// EX_USAGE of sysexits(3).
pub(super) const USAGE: u8 = 64;

/// Headers whose values are printed. Any other may be a credential, of the client or of the gateway
/// towards the service.
const SHOWN_HEADERS: [&str; 7] = [
    "host",
    "traceparent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
    "x-wx-source",
];
/// Placeholder values of the user's identity.
const PLACEHOLDERS: [&str; 4] = ["(appid)", "(openid)", "(unionid)", "(user_id)"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: File,
    /// The method: GET, POST, …
    #[arg(value_name = "METHOD")]
    method: String,
    /// Path and query, e.g. /api/x?y=1; or a whole URL.
    #[arg(value_name = "TARGET")]
    target: String,
    /// A request header, as "Name: value"; repeatable. `Host: localhost` is added if missing.
    #[arg(long, short = 'H', value_name = "HEADER")]
    header: Vec<String>,
}

pub(super) fn explain(arguments: &Arguments) -> ExitCode {
    let config = match arguments.file.load() {
        Ok(loaded) => loaded.config,
        Err(status) => return status,
    };
    let parts = match parts(arguments) {
        Ok(parts) => parts,
        Err(text) => return fail(&text, USAGE),
    };
    let runtime = match run::single_threaded() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("starting: {error}"), 1),
    };
    let explained: Result<Explanation, StartError> =
        runtime.block_on(async { Ok(offline::gateway(config)?.explain(parts)) });
    match explained {
        Ok(explanation) => {
            lines(&explanation).iter().for_each(|line| print_line(line));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string(), BAD_CONFIG),
    }
}

fn parts(arguments: &Arguments) -> Result<Parts, String> {
    let mut request = Request::builder()
        .method(arguments.method.as_str())
        .uri(&arguments.target);
    let mut has_host = false;
    for (number, header) in (1..).zip(&arguments.header) {
        // The value is not printed: a header without a colon may be an skey.
        let malformed = || format!("--header number {number}: write \"Name: value\"");
        let (name, value) = header.split_once(':').ok_or_else(malformed)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| malformed())?;
        let value = HeaderValue::try_from(value.trim()).map_err(|_| malformed())?;
        has_host |= name == HOST;
        request = request.header(name, value);
    }
    if !has_host && arguments.target.starts_with('/') {
        request = request.header(HOST, "localhost");
    }
    let request = request
        .body(())
        .map_err(|error| format!("the request: {error}"))?;
    Ok(request.into_parts().0)
}

fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = |name: &str, text: &str| lines.push(format!("{name:<10}{text}"));
    if let Some(path) = &explanation.path {
        line("path", path);
    }
    if let Some(endpoint) = explanation.endpoint {
        line("endpoint", &format!("{endpoint}, served by the gateway"));
    }
    if let Some((route, auth)) = &explanation.route {
        line("route", &format!("{route} (auth {})", word(*auth)));
        let asked = if *auth == Auth::Off {
            "not checked on this route"
        } else {
            "assumed valid"
        };
        let skey = explanation.skey.map_or("none found".to_owned(), |place| {
            format!("found in {place}; {asked}")
        });
        line("skey", &skey);
    }
    for (caller, quota) in &explanation.limits {
        line("limit", &format!("{quota}, for each {caller}"));
    }
    if let Some(status) = explanation.responds {
        line("responds", &status.to_string());
    }
    if let Some(Forwarding {
        upstream: (name, address),
        target,
        removed,
        set,
        ..
    }) = &explanation.forwarding
    {
        line("upstream", &format!("{name} at {address}"));
        line("target", target);
        for name in removed {
            line("removed", name.as_str());
        }
        for (name, value) in set {
            line("set", &format!("{name}: {}", shown(name, value)));
        }
    }
    if let Some((response, cause)) = &explanation.refusal {
        line(
            "refused",
            &format!("{} {}: {cause}", response.status.as_u16(), response.name),
        );
    }
    lines
}

fn shown<'a>(name: &HeaderName, value: &'a HeaderValue) -> &'a str {
    match value.to_str() {
        Ok(value) if SHOWN_HEADERS.contains(&name.as_str()) || PLACEHOLDERS.contains(&value) => {
            value
        }
        _ => "(value not shown)",
    }
}
