//! Finding the skey in a head: afterwards none is left in any place that some route names, and
//! everything else stands as it came. Input: letters of the route's sources (`h`, `x`, `b`, `c`,
//! `q`), the query, then headers, one a line.

use std::collections::BTreeSet;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use skeygate::auth::{ExtractedToken, SearchedHead, strip_from_head, take_from_head};
use skeygate::config::TokenSource;

use super::fields::{cookie_pairs, other_pairs, pair_values, unquoted};
use super::text::{self, is_own_skey, is_skey};

/// See the module.
pub fn check(data: &[u8]) {
    let (letters, rest) = text::first_line(data);
    let (query, rest) = text::first_line(rest);
    let (came, _) = text::headers(rest);
    let came_query = std::str::from_utf8(query)
        .ok()
        .filter(|text| !text.is_empty());
    let route: Vec<TokenSource> = b"hxbcq"
        .iter()
        .filter(|letter| letters.contains(letter))
        .map(|letter| source(*letter))
        .collect();
    let every: Vec<TokenSource> = b"hxbcq".iter().map(|letter| source(*letter)).collect();

    let mut headers = came.clone();
    let mut query = came_query.map(str::to_owned);
    let mut head = SearchedHead {
        headers: &mut headers,
        query: &mut query,
    };
    let taken = take_from_head(&mut head, &route);
    reports_the_found_values(&taken, &found(&came, came_query, &route));
    for source in &route {
        let left = values(&headers, query.as_deref(), source);
        assert!(left.is_empty(), "{source:?} is not empty");
    }

    let mut head = SearchedHead {
        headers: &mut headers,
        query: &mut query,
    };
    strip_from_head(&mut head, &every);
    for source in &every {
        let left = values(&headers, query.as_deref(), source);
        assert!(
            !left.iter().any(|value| is_own_skey(value)),
            "an skey is left in {source:?}"
        );
    }
    rest_stays(&came, &headers);
    query_stays(came_query, query.as_deref());

    // Nothing more to find: a second run would forward the same.
    let (once, once_query) = (headers.clone(), query.clone());
    let mut head = SearchedHead {
        headers: &mut headers,
        query: &mut query,
    };
    strip_from_head(&mut head, &every);
    assert_eq!((once, once_query), (headers, query));
}

pub(crate) fn source(letter: u8) -> TokenSource {
    match letter {
        b'h' => TokenSource::Header(HeaderName::from_static("skey")),
        b'x' => TokenSource::Header(HeaderName::from_static("x-wx-skey")),
        b'b' => TokenSource::Bearer,
        b'c' => TokenSource::Cookie("sid".to_owned()),
        _ => TokenSource::Query("skey".to_owned()),
    }
}

/// The value of a place. Of `Authorization` only a bearer with the form of an skey.
pub(crate) fn values(
    headers: &HeaderMap,
    query: Option<&str>,
    source: &TokenSource,
) -> Vec<Vec<u8>> {
    let lines = |name: &str| -> Vec<Vec<u8>> {
        let lines = headers.get_all(name).iter();
        lines
            .map(|line| line.as_bytes().trim_ascii().to_vec())
            .collect()
    };
    match source {
        TokenSource::Header(name) => lines(name.as_str()),
        TokenSource::Bearer => lines("authorization")
            .iter()
            .filter_map(|line| {
                let (scheme, token) = line.split_at_checked(7)?;
                let token = token.trim_ascii();
                let ours = scheme.eq_ignore_ascii_case(b"bearer ") && is_own_skey(token);
                ours.then(|| token.to_vec())
            })
            .collect(),
        TokenSource::Cookie(name) => cookie_pairs(headers)
            .iter()
            .filter(|(key, _)| key == name.as_bytes())
            .map(|(_, value)| unquoted(value).to_vec())
            .collect(),
        TokenSource::Query(name) => query
            .map(|text| pair_values(text, name))
            .unwrap_or_default()
            .into_iter()
            .map(String::into_bytes)
            .collect(),
        TokenSource::Form(_) | TokenSource::Json(_) => Vec::new(),
    }
}

fn found(headers: &HeaderMap, query: Option<&str>, sources: &[TokenSource]) -> Vec<Vec<u8>> {
    let all = sources
        .iter()
        .flat_map(|source| values(headers, query, source));
    all.filter(|value| !value.is_empty()).collect()
}

/// The only skey, a conflict, something malformed: by the values that were there.
pub(crate) fn reports_the_found_values(taken: &ExtractedToken, found: &[Vec<u8>]) {
    let skeys: BTreeSet<&Vec<u8>> = found.iter().filter(|value| is_skey(value)).collect();
    match &taken.skey {
        Some(skey) => {
            assert!(skeys.contains(&skey.expose().as_bytes().to_vec()));
            assert!(taken.source.is_some());
            assert!(
                !format!("{taken:?} {skey}").contains(skey.expose()),
                "it is printed"
            );
        }
        None => assert!(skeys.is_empty() && taken.source.is_none()),
    }
    assert_eq!(taken.conflicting, skeys.len() > 1);
    let malformed = found.iter().any(|value| !is_skey(value));
    // A value that is no ASCII counts as malformed from a header and as empty from a cookie, where
    // others share the line.
    if found.iter().all(|value| value.is_ascii()) {
        assert_eq!(taken.malformed, malformed);
    }
}

/// Headers that no source names stay as they came, and so do the other cookies, in their order.
fn rest_stays(came: &HeaderMap, goes: &HeaderMap) {
    let named = ["skey", "x-wx-skey", "authorization", "cookie"];
    text::assert_only_removed(&without(came, &named), &without(goes, &named), |_| true);
    let others = |headers: &HeaderMap| -> Vec<(Vec<u8>, Vec<u8>)> {
        let pairs = cookie_pairs(headers).into_iter();
        pairs.filter(|(name, _)| name != b"sid").collect()
    };
    assert_eq!(others(came), others(goes), "another cookie was changed");
    let own = |line: &&HeaderValue| {
        let text = line.as_bytes();
        !text
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "))
    };
    // Only a bearer with the form of an skey removes the header, and then all of it: a request has
    // at most one credential.
    if values(came, None, &TokenSource::Bearer).is_empty() {
        let lines = |headers: &HeaderMap| -> Vec<Vec<u8>> {
            let lines = headers.get_all("authorization").iter();
            lines.map(|line| line.as_bytes().to_vec()).collect()
        };
        assert_eq!(lines(came), lines(goes));
    } else {
        assert_eq!(goes.get_all("authorization").iter().filter(own).count(), 0);
    }
}

fn without(headers: &HeaderMap, names: &[&str]) -> HeaderMap {
    let mut rest = headers.clone();
    for name in names {
        rest.remove(*name);
    }
    rest
}

/// The other fields of the query stay byte for byte, empty ones included.
fn query_stays(came: Option<&str>, goes: Option<&str>) {
    let (came, goes) = (came.unwrap_or_default(), goes.unwrap_or_default());
    if came == goes {
        return;
    }
    assert_eq!(
        other_pairs(came, "skey").join("&"),
        goes,
        "another field was changed"
    );
}
