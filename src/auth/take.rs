//! Finds the skey in the places a route names, and takes it out of them: no upstream ever sees it.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderValue};

use crate::config::TokenSource;
use crate::error::Error;
use crate::http::body::BodyKind;
use crate::http::field::{self, JsonProblem};
use crate::session::Skey;

/// The longest body that is searched for an skey, in bytes. A longer one is refused: passing it unread could hand the skey on.
pub const BODY_TOKEN_LIMIT: u64 = 64 * 1024;

/// The parts of a request that are searched before its body.
#[derive(Debug)]
pub struct Head<'a> {
    /// All headers.
    pub headers: &'a mut HeaderMap,
    /// The query, without `?`; emptied or shortened when it held the skey.
    pub query: &'a mut Option<String>,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Taken {
    /// The only skey, if any.
    pub skey: Option<Skey>,
    /// Where it was.
    pub source: Option<&'static str>,
    /// Different skeys were found.
    pub conflicting: bool,
    /// Something was found that cannot be an skey. It was taken out as well.
    pub malformed: bool,
}

/// A body that is searched.
#[derive(Debug)]
pub struct BodyText {
    /// What the `Content-Type` says.
    pub kind: BodyKind,
    /// The body; changed when it held the skey.
    pub text: String,
}

impl Taken {
    fn add(&mut self, value: &str, source: &'static str) {
        // Clients without a session send the field empty.
        if value.is_empty() {
            return;
        }
        match (Skey::parse(value), &self.skey) {
            (None, _) => self.malformed = true,
            (Some(skey), None) => {
                self.skey = Some(skey);
                self.source = Some(source);
            }
            (Some(skey), Some(known)) => self.conflicting |= skey != *known,
        }
    }
}

/// Searches headers, cookies and query.
pub fn take_from_head(head: &mut Head<'_>, sources: &[TokenSource]) -> Taken {
    let mut taken = Taken::default();
    for source in sources {
        match source {
            TokenSource::Header(name) => {
                if !head.headers.contains_key(name) {
                    continue;
                }
                for value in head.headers.get_all(name) {
                    match value.to_str() {
                        Ok(text) => taken.add(text.trim(), "header"),
                        Err(_) => taken.malformed = true,
                    }
                }
                head.headers.remove(name);
            }
            TokenSource::Bearer => take_bearer(head.headers, &mut taken),
            TokenSource::Cookie(name) => take_cookies(head.headers, name, &mut taken),
            TokenSource::Query(name) => {
                let found = head
                    .query
                    .as_deref()
                    .and_then(|text| field::take_pair(text, name));
                if let Some(found) = found {
                    found
                        .values
                        .iter()
                        .for_each(|value| taken.add(value, "query"));
                    *head.query = (!found.rest.is_empty()).then_some(found.rest);
                }
            }
            TokenSource::Form(_) | TokenSource::Json(_) => {}
        }
    }
    taken
}

/// Searches a body.
///
/// # Errors
/// The body is not what its `Content-Type` says.
pub fn take_from_body(
    body: &mut BodyText,
    sources: &[TokenSource],
    taken: &mut Taken,
) -> Result<(), Error> {
    for source in sources {
        let (found, place) = match (source, body.kind) {
            (TokenSource::Form(name), BodyKind::Form) => {
                (field::take_pair(&body.text, name), "form")
            }
            (TokenSource::Json(name), BodyKind::Json) => {
                let found =
                    field::take_json(&body.text, name).map_err(|problem| match problem {
                        JsonProblem::NotAnObject => {
                            Error::BadRequest("the body is not a JSON object")
                        }
                        JsonProblem::Duplicate => Error::BadRequest("the body holds a field twice"),
                    })?;
                (found, "json")
            }
            _ => continue,
        };
        if let Some(found) = found {
            found
                .values
                .iter()
                .for_each(|value| taken.add(value, place));
            body.text = found.rest;
        }
    }
    Ok(())
}

/// Takes `Authorization: Bearer` when it holds what could be an skey. Anything else there is the upstream's own affair.
fn take_bearer(headers: &mut HeaderMap, taken: &mut Taken) {
    let skeys: Vec<String> = headers
        .get_all(AUTHORIZATION)
        .iter()
        .filter_map(bearer)
        .collect();
    if !skeys.is_empty() {
        skeys.iter().for_each(|value| taken.add(value, "bearer"));
        headers.remove(AUTHORIZATION);
    }
}

fn bearer(value: &HeaderValue) -> Option<String> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && Skey::parse(token).is_some())
        .then(|| token.to_owned())
}

fn take_cookies(headers: &mut HeaderMap, name: &str, taken: &mut Taken) {
    let mut changed = false;
    let mut lines = Vec::new();
    for line in headers.get_all(COOKIE) {
        let found = line
            .to_str()
            .ok()
            .and_then(|text| field::take_cookie(text, name));
        let Some(found) = found else {
            lines.push(line.clone());
            continue;
        };
        changed = true;
        found
            .values
            .iter()
            .for_each(|value| taken.add(value, "cookie"));
        if let (false, Ok(rest)) = (found.rest.is_empty(), HeaderValue::try_from(found.rest)) {
            lines.push(rest);
        }
    }
    if changed {
        headers.remove(COOKIE);
        for line in lines {
            headers.append(COOKIE, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const OTHER: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

    fn sources() -> Vec<TokenSource> {
        vec![
            TokenSource::Header("skey".parse().unwrap()),
            TokenSource::Bearer,
            TokenSource::Cookie("sid".to_owned()),
            TokenSource::Query("skey".to_owned()),
        ]
    }

    fn take(lines: &[(&'static str, &str)], query: &str) -> (Taken, HeaderMap, Option<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let mut query = Some(query.to_owned());
        let mut head = Head {
            headers: &mut headers,
            query: &mut query,
        };
        (take_from_head(&mut head, &sources()), headers, query)
    }

    #[test]
    fn an_skey_is_found_and_taken_out_of_every_place() {
        let bearer = format!("Bearer {KEY}");
        let cookie = format!("a=1; sid={KEY}; b=2");
        let (taken, headers, query) = take(
            &[
                ("skey", KEY),
                ("authorization", &bearer),
                ("cookie", &cookie),
            ],
            &format!("x=1&skey={KEY}"),
        );
        assert_eq!(taken.skey.unwrap().expose(), KEY);
        assert!(!taken.conflicting && !taken.malformed);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get("cookie").unwrap(), "a=1; b=2");
        assert_eq!(query.as_deref(), Some("x=1"));
    }

    #[test]
    fn two_different_skeys_conflict_and_two_equal_ones_do_not() {
        assert!(take(&[("skey", KEY), ("skey", OTHER)], "").0.conflicting);
        assert!(
            take(&[("skey", KEY)], &format!("skey={OTHER}"))
                .0
                .conflicting
        );
        assert!(!take(&[("skey", KEY), ("skey", KEY)], "").0.conflicting);
    }

    #[test]
    fn what_cannot_be_an_skey_is_malformed_and_nothing_is_missing() {
        assert!(take(&[("skey", "short")], "").0.malformed);
        assert!(take(&[("skey", &"a*".repeat(20))], "").0.malformed);
        assert!(!take(&[("skey", "")], "skey=").0.malformed);
    }

    #[test]
    fn an_authorization_of_the_upstreams_own_stays() {
        for value in [
            "Basic dXNlcjpwYXNzd29yZGlzbG9uZ2Vub3VnaA==",
            "Bearer eyJh.eyJz.c2ln",
        ] {
            let (taken, headers, _) = take(&[("authorization", value)], "");
            assert!(taken.skey.is_none() && !taken.malformed);
            assert_eq!(headers.get("authorization").unwrap(), value);
        }
    }

    #[test]
    fn a_body_gives_its_skey_by_its_kind() {
        let sources = [
            TokenSource::Form("token".to_owned()),
            TokenSource::Json("token".to_owned()),
        ];
        let mut taken = Taken::default();
        let mut body = BodyText {
            kind: BodyKind::Form,
            text: format!("a=1&token={KEY}&b=%20"),
        };
        take_from_body(&mut body, &sources, &mut taken).unwrap();
        assert_eq!(body.text, "a=1&b=%20");
        assert_eq!(taken.skey.take().unwrap().expose(), KEY);
        let mut body = BodyText {
            kind: BodyKind::Json,
            text: format!("{{\"token\":\"{KEY}\"}}"),
        };
        take_from_body(&mut body, &sources, &mut taken).unwrap();
        assert_eq!(body.text, "{}");
        assert_eq!(taken.skey.unwrap().expose(), KEY);
        let mut body = BodyText {
            kind: BodyKind::Json,
            text: "[".to_owned(),
        };
        assert!(take_from_body(&mut body, &sources, &mut Taken::default()).is_err());
    }
}
