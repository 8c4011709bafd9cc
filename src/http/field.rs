//! Removes a named field from a query, form, cookie or JSON text and returns its values. The other
//! bytes are unchanged, except for JSON, whose members are written again in order.

use std::fmt;

use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The values of a field, and the text without it.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    /// The decoded values of the field, in order.
    pub values: Vec<String>,
    /// The text without the field.
    pub rest: String,
}

/// Why a body is not usable JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonProblem {
    /// Not a JSON object.
    NotAnObject,
    /// The field appears twice; two readers may take different ones.
    Duplicate,
}

impl fmt::Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAnObject => "the body is not a JSON object",
            Self::Duplicate => "the body holds a field twice",
        })
    }
}

/// Takes `name` from a query or form text. `None` when it is not there.
#[must_use]
pub fn take_pair(text: &str, name: &str) -> Option<Taken> {
    // Fast path: most texts do not contain the name, not even encoded.
    if !text.contains(name) && !text.contains('%') && !text.contains('+') {
        return None;
    }
    let mut values = Vec::new();
    let mut others = Vec::new();
    for pair in text.split('&') {
        match form_urlencoded::parse(pair.as_bytes()).next() {
            Some((key, value)) if key == name => values.push(value.into_owned()),
            _ => others.push(pair),
        }
    }
    (!values.is_empty()).then(|| Taken {
        values,
        rest: others.join("&"),
    })
}

/// The values of the cookie `name` in all `Cookie` lines. Lines may contain any bytes; a value that
/// is not ASCII reads as empty.
#[must_use]
pub fn cookies(headers: &HeaderMap, name: &str) -> Vec<String> {
    let pairs = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|line| pairs(line.as_bytes()));
    pairs.filter_map(|pair| value_of(pair, name)).collect()
}

/// Takes the cookie `name` from all `Cookie` lines and returns its values. Other cookies are
/// unchanged.
pub fn take_cookie(headers: &mut HeaderMap, name: &str) -> Vec<String> {
    let values = cookies(headers, name);
    if values.is_empty() {
        return values;
    }
    let mut lines = Vec::new();
    for line in headers.get_all(COOKIE) {
        let rest: Vec<&[u8]> = pairs(line.as_bytes())
            .filter(|pair| value_of(pair, name).is_none())
            .collect();
        if let (false, Ok(rest)) = (
            rest.is_empty(),
            HeaderValue::from_bytes(&rest.join(&b"; "[..])),
        ) {
            lines.push(rest);
        }
    }
    headers.remove(COOKIE);
    for line in lines {
        headers.append(COOKIE, line);
    }
    values
}

fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty())
}

fn value_of(pair: &[u8], name: &str) -> Option<String> {
    let at = pair.iter().position(|byte| *byte == b'=')?;
    let (key, value) = pair.split_at_checked(at)?;
    if key.trim_ascii_end() != name.as_bytes() {
        return None;
    }
    let value = std::str::from_utf8(value.get(1..)?.trim_ascii()).unwrap_or_default();
    Some(value.trim_matches('"').to_owned())
}

/// Takes the top-level key `name` from a JSON object. `Ok(None)` when it is not there. A value that
/// is not a string is taken as well, as raw JSON, which no skey or login code can equal.
///
/// # Errors
/// Not a JSON object, or the key appears twice.
pub fn take_json(text: &str, name: &str) -> Result<Option<Taken>, JsonProblem> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let members = deserializer
        .deserialize_map(Members)
        .map_err(|_| JsonProblem::NotAnObject)?;
    deserializer.end().map_err(|_| JsonProblem::NotAnObject)?;
    let mut values = Vec::new();
    let mut rest = String::with_capacity(text.len());
    for (key, value) in &members {
        if key == name {
            let text = value.get();
            values.push(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned()));
            continue;
        }
        rest.push(if rest.is_empty() { '{' } else { ',' });
        rest.push_str(&serde_json::Value::from(key.as_str()).to_string());
        rest.push(':');
        rest.push_str(value.get());
    }
    if rest.is_empty() {
        rest.push('{');
    }
    rest.push('}');
    match values.len() {
        0 => Ok(None),
        1 => Ok(Some(Taken { values, rest })),
        _ => Err(JsonProblem::Duplicate),
    }
}

/// Reads an object as its members in order, with the raw text of the values.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(values: &[&str], rest: &str) -> Taken {
        Taken {
            values: values.iter().map(|&value| value.to_owned()).collect(),
            rest: rest.to_owned(),
        }
    }

    #[test]
    fn a_pair_is_cut_out_and_the_rest_stays_byte_for_byte() {
        assert_eq!(
            take_pair("a=1&skey=K&b=%7e+x", "skey"),
            Some(taken(&["K"], "a=1&b=%7e+x"))
        );
        assert_eq!(take_pair("%73key=K%41", "skey"), Some(taken(&["KA"], "")));
        assert_eq!(
            take_pair("skey=1&skey=2", "skey"),
            Some(taken(&["1", "2"], ""))
        );
        // Regression: fuzzing found that leading empty pairs were lost.
        assert_eq!(
            take_pair("&&a=1&skey=K&", "skey"),
            Some(taken(&["K"], "&&a=1&"))
        );
        assert_eq!(take_pair("xskey=1&skey2=2&a=skey", "skey"), None);
        assert_eq!(take_pair("", "skey"), None);
    }

    #[test]
    fn a_cookie_is_cut_out_of_all_lines() {
        let take = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            let values = take_cookie(&mut headers, "sid");
            let rest = headers.get_all(COOKIE).iter();
            (
                values,
                rest.map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned())
                    .collect::<Vec<_>>(),
            )
        };
        let (values, rest) = take(&["a=1; sid=\"K\"; b=\u{540d}", "sid=L", "c=3"]);
        assert_eq!(values, ["K", "L"]);
        assert_eq!(rest, ["a=1; b=\u{540d}", "c=3"]);
        let (values, rest) = take(&["xsid=K; sid2=L; d"]);
        assert!(values.is_empty());
        assert_eq!(rest, ["xsid=K; sid2=L; d"]);
    }

    #[test]
    fn a_json_key_is_cut_out_and_the_other_values_stay_as_written() {
        let text = "{\"a\": 1.50, \"t\\u006fken\": \"K\", \"b\" : {\"token\":1}, \"\u{540d}\":\"\\u540d\"}";
        let rest = "{\"a\":1.50,\"b\":{\"token\":1},\"\u{540d}\":\"\\u540d\"}";
        assert_eq!(take_json(text, "token"), Ok(Some(taken(&["K"], rest))));
        assert_eq!(
            take_json("{\"token\":\"K\"}", "token"),
            Ok(Some(taken(&["K"], "{}")))
        );
        assert_eq!(
            take_json("{\"token\":17}", "token"),
            Ok(Some(taken(&["17"], "{}")))
        );
        assert_eq!(take_json("{}", "token"), Ok(None));
    }

    #[test]
    fn doubled_keys_and_other_json_are_refused() {
        let doubled = take_json("{\"token\":1,\"token\":2}", "token");
        assert_eq!(doubled, Err(JsonProblem::Duplicate));
        for text in ["[]", "1", "{\"a\":1} x", "", "{"] {
            assert_eq!(
                take_json(text, "token"),
                Err(JsonProblem::NotAnObject),
                "{text}"
            );
        }
    }
}
