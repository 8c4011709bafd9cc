//! Finds the skey in the places that a route names and removes it: upstreams never receive it.

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderValue};

use crate::config::TokenSource;
use crate::error::Error;
use crate::http::body::BodyKind;
use crate::http::field::{self, JsonProblem};
use crate::session::Skey;

/// Maximum body size searched for an skey, in bytes. A larger body is refused, because forwarding
/// it unsearched could pass the skey on.
pub const BODY_TOKEN_LIMIT: u64 = 64 * 1024;

/// The parts of a request that are searched before its body.
#[derive(Debug)]
pub struct SearchedHead<'a> {
    /// All headers.
    pub headers: &'a mut HeaderMap,
    /// The query without `?`; shortened or `None` after the skey is removed.
    pub query: &'a mut Option<String>,
}

/// The result of a search.
#[derive(Debug, Default)]
pub struct ExtractedToken {
    /// The skey, if exactly one was found.
    pub skey: Option<Skey>,
    /// The place of the skey.
    pub source: Option<&'static str>,
    /// Whether different skeys were found.
    pub conflicting: bool,
    /// Whether a value was found that cannot be an skey. It was removed as well.
    pub malformed: bool,
}

/// A body to search.
#[derive(Debug)]
pub struct BodyText {
    /// The kind by `Content-Type`.
    pub kind: BodyKind,
    /// The body; changed when an skey is removed.
    pub text: String,
}

impl ExtractedToken {
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
pub fn take_from_head(head: &mut SearchedHead<'_>, sources: &[TokenSource]) -> ExtractedToken {
    let mut taken = ExtractedToken::default();
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
            TokenSource::Cookie(name) => {
                let found = field::take_cookie(head.headers, name);
                found.iter().for_each(|value| taken.add(value, "cookie"));
            }
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

/// Removes values that look like a generated skey from the places that only other routes name: a
/// client that sends its skey everywhere must not pass it to an upstream. Other values stay.
/// hand it to an upstream. Any other value stays.
pub fn strip_from_head(head: &mut SearchedHead<'_>, sources: &[TokenSource]) {
    let is_skey = |value: &str| Skey::parse(value).is_some_and(|skey| skey.has_own_length());
    for source in sources {
        match source {
            TokenSource::Header(name) => {
                let mut values = head.headers.get_all(name).iter();
                if values.any(|value| value.to_str().is_ok_and(|text| is_skey(text.trim()))) {
                    head.headers.remove(name);
                }
            }
            TokenSource::Cookie(name) => {
                if field::cookies(head.headers, name)
                    .iter()
                    .any(|value| is_skey(value))
                {
                    field::take_cookie(head.headers, name);
                }
            }
            TokenSource::Query(name) => {
                let found = head
                    .query
                    .as_deref()
                    .and_then(|text| field::take_pair(text, name));
                if let Some(found) =
                    found.filter(|found| found.values.iter().any(|value| is_skey(value)))
                {
                    *head.query = (!found.rest.is_empty()).then_some(found.rest);
                }
            }
            TokenSource::Bearer => take_bearer(head.headers, &mut ExtractedToken::default()),
            TokenSource::Form(_) | TokenSource::Json(_) => {}
        }
    }
}

/// Searches a body.
///
/// # Errors
/// The body is not what its `Content-Type` says.
pub fn take_from_body(
    body: &mut BodyText,
    sources: &[TokenSource],
    taken: &mut ExtractedToken,
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

/// Takes `Authorization: Bearer` if it looks like a generated skey. Any other value is meant for
/// the upstream.
fn take_bearer(headers: &mut HeaderMap, taken: &mut ExtractedToken) {
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
    let is_ours = Skey::parse(token).is_some_and(|skey| skey.has_own_length());
    (scheme.eq_ignore_ascii_case("bearer") && is_ours).then(|| token.to_owned())
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

    fn take(
        lines: &[(&'static str, &str)],
        query: &str,
    ) -> (ExtractedToken, HeaderMap, Option<String>) {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let mut query = Some(query.to_owned());
        let mut head = SearchedHead {
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
    fn an_invalid_skey_is_malformed_and_an_empty_one_is_not() {
        assert!(take(&[("skey", "short")], "").0.malformed);
        assert!(take(&[("skey", &"a*".repeat(20))], "").0.malformed);
        assert!(!take(&[("skey", "")], "skey=").0.malformed);
    }

    #[test]
    fn an_skey_in_another_routes_place_is_stripped_and_other_values_stay() {
        let mut headers = HeaderMap::new();
        headers.append("skey", KEY.parse().unwrap());
        headers.append("cookie", format!("sid={KEY}; a=1").parse().unwrap());
        let mut query = Some(format!("skey={KEY}&b=2"));
        let mut head = SearchedHead {
            headers: &mut headers,
            query: &mut query,
        };
        strip_from_head(&mut head, &sources());
        assert_eq!(headers.get("skey"), None);
        assert_eq!(headers.get("cookie").unwrap(), "a=1");
        assert_eq!(query.as_deref(), Some("b=2"));
        let mut query = Some("skey=7".to_owned());
        headers.insert("cookie", "sid=short".parse().unwrap());
        let mut head = SearchedHead {
            headers: &mut headers,
            query: &mut query,
        };
        strip_from_head(&mut head, &sources());
        assert_eq!(headers.get("cookie").unwrap(), "sid=short");
        assert_eq!(query.as_deref(), Some("skey=7"));
    }

    #[test]
    fn a_cookie_beside_others_that_are_not_ascii_is_found() {
        let cookie = format!("n=\u{e9}; sid={KEY}");
        let (taken, headers, _) = take(&[("cookie", &cookie)], "");
        assert_eq!(taken.skey.unwrap().expose(), KEY);
        assert_eq!(
            headers.get("cookie").unwrap().as_bytes(),
            "n=\u{e9}".as_bytes()
        );
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
        let mut taken = ExtractedToken::default();
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
        let refused = take_from_body(&mut body, &sources, &mut ExtractedToken::default());
        assert!(
            matches!(
                refused,
                Err(Error::BadRequest("the body is not a JSON object"))
            ),
            "{refused:?}"
        );
    }
}
