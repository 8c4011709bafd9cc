//! Checks the responses that the client gets.

use std::io::ErrorKind;

use super::case::Want;
use super::judge::same;
use crate::support::EVENT_TIMEOUT;
use crate::support::client::{Client, Request, Response};
use crate::support::fields::Head;

/// The headers that a refusal may have.
const ALLOWED: [&str; 9] = [
    "allow",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "x-content-type-options",
    "x-gateway-error",
    "x-request-id",
];

/// Reads one response and compares it with the expected one.
pub(super) async fn answer(client: &mut Client, want: &Want) -> Result<(), String> {
    let method = match want {
        Want::Passed(method, _) | Want::Continued(method, _) => method,
        _ => "any",
    };
    let answer = in_time("an answer", client.try_response(method)).await?;
    let answer = match (answer, want) {
        (Err(error), Want::RefusalOrEnd(..)) if error.kind() == ErrorKind::UnexpectedEof => {
            return Ok(());
        }
        (Err(error), _) => return Err(format!("no answer: {error}")),
        (Ok(answer), _) => answer,
    };
    let interim = answer.interim.iter().map(Head::status).collect::<Vec<_>>();
    match want {
        Want::Refusal(status, error) | Want::RefusalOrEnd(status, error) => {
            same("the status", &answer.status, status)?;
            same("the error", &answer.error(), &Some(error))?;
            same("interim answers", &interim, &vec![])?;
            is_ours(&answer)
        }
        Want::Passed(method, target) | Want::Continued(method, target) => {
            same("the status", &answer.status, &200)?;
            let body = if *method == "HEAD" { "" } else { target };
            same("the answer", &answer.text().as_str(), &body)?;
            match want {
                Want::Continued(..) if interim == [100] => Ok(()),
                _ => same("interim answers", &interim, &vec![]),
            }
        }
        Want::Status(status, body) => {
            same("the status", &answer.status, status)?;
            same("the answer", &answer.text().as_str(), body)
        }
        Want::Tunnel(echo) => {
            same("the status", &answer.status, &101)?;
            in_time("the echo", client.until(echo)).await?;
            client.finish().await;
            Ok(())
        }
    }
}

/// A refusal is constant but for its id, and tells nothing about us.
fn is_ours(answer: &Response) -> Result<(), String> {
    let json = answer.json();
    let keys = json
        .as_object()
        .map(|map| map.keys().map(String::as_str).collect());
    let constant = vec!["errcode", "errmsg", "error", "request_id"];
    same("the body's keys", &keys, &Some(constant))?;
    let id = answer.headers.get("x-request-id");
    same("the id", &json["request_id"].as_str(), &id)?;
    same("the name", &json["error"].as_str(), &answer.error())?;
    let names = answer.headers.names();
    let other = names.iter().find(|name| !ALLOWED.contains(&name.as_str()));
    same("other headers", &other, &None)
}

/// Asks, and gives the body of the answer, which must be 200.
pub(super) async fn exchange(client: &mut Client, request: &Request) -> Result<String, String> {
    let answer = in_time("the next answer", client.try_exchange(request)).await?;
    let answer = answer.map_err(|error| format!("no next answer: {error}"))?;
    same("the next status", &answer.status, &200)?;
    Ok(answer.text())
}

/// Waits for an event that is going to happen.
pub(super) async fn in_time<F: Future>(what: &str, future: F) -> Result<F::Output, String> {
    let waited = tokio::time::timeout(EVENT_TIMEOUT, future).await;
    waited.map_err(|_| format!("waited in vain for {what}"))
}
