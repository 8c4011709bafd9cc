//! Formats a record as one line: JSON for machines, text for terminals. No control character of a
//! client reaches the log.

use std::fmt::{self, Write as _};
use std::net::IpAddr;
use std::time::Duration;

use hyper::Version;
use tracing::Level;

use super::Record;
use crate::clock;
use crate::logging::{Layout, LogSink, is_deceptive, push_escaped};

/// Maximum length of path and cause, in bytes.
const MAX_TEXT_BYTES: usize = 1024;
/// Maximum length of the host, in bytes.
const MAX_HOST_BYTES: usize = 255;
/// Maximum length of the method, in bytes.
const MAX_METHOD_BYTES: usize = 32;

impl Record {
    pub(super) fn write(&self, sink: &LogSink, level: Level) {
        let mut line = String::with_capacity(640);
        // Writing to a String cannot fail.
        let _ = match sink.layout() {
            Layout::Json => self.json(&mut line, level),
            Layout::Text => self.text(&mut line, level),
        };
        line.push('\n');
        sink.line(line.as_bytes());
    }

    /// Pushed piece by piece: for this line `write!` would take a twentieth of the time of a whole
    /// request.
    fn json(&self, line: &mut String, level: Level) -> fmt::Result {
        line.push_str("{\"timestamp\":\"");
        clock::write_timestamp(line)?;
        plain(line, "\",\"level\":\"", level.as_str());
        line.push_str(",\"message\":\"request\",\"request.id\":");
        json_text(line, self.id.as_str());
        if let Some(client) = self.client {
            line.push_str(",\"client.address\":\"");
            address(line, client)?;
            line.push('"');
        }
        line.push_str(",\"http.request.method\":");
        json_text(line, shown(self.method.as_str(), MAX_METHOD_BYTES));
        line.push_str(",\"url.path\":");
        json_text(line, shown(&self.path, MAX_TEXT_BYTES));
        if let Some(host) = &self.host {
            line.push_str(",\"server.address\":");
            json_text(line, shown(host, MAX_HOST_BYTES));
        }
        let protocol = protocol(self.version);
        plain(line, ",\"network.protocol.version\":\"", protocol);
        if let Some(route) = &self.route {
            // Validated with the configuration, so it needs no escaping.
            write!(line, ",\"route\":\"{}\"", route.path)?;
        }
        if let Some(endpoint) = self.endpoint {
            plain(line, ",\"endpoint\":\"", endpoint);
        }
        plain(line, ",\"auth\":\"", self.auth.text());
        if let Some(source) = self.token_source {
            plain(line, ",\"skey.source\":\"", source);
        }
        if let Some(user_id) = &self.user_id {
            line.push_str(",\"user.id\":");
            json_text(line, user_id);
        }
        if let Some(appid) = &self.appid {
            line.push_str(",\"appid\":");
            json_text(line, appid);
        }
        if let Some(upstream) = &self.upstream {
            line.push_str(",\"upstream\":");
            json_text(line, &upstream.name);
            line.push_str(",\"upstream.address\":");
            json_text(line, &upstream.address);
            number(line, ",\"upstream.tries\":", upstream.tries.into());
        }
        if let Some(status) = self.status {
            number(line, ",\"http.response.status_code\":", status.into());
        }
        if let Some((name, cause)) = &self.error {
            plain(line, ",\"error\":\"", name);
            line.push_str(",\"cause\":");
            json_text(line, shown(cause, MAX_TEXT_BYTES));
        }
        number(line, ",\"bytes.in\":", self.bytes_in);
        number(line, ",\"bytes.out\":", self.bytes_out);
        millis(line, ",\"elapsed_ms\":", self.started.elapsed());
        if let Some(time) = self.store_time {
            millis(line, ",\"store_ms\":", time);
        }
        if let Some(time) = self.wechat_time {
            millis(line, ",\"wechat_ms\":", time);
        }
        if let Some(time) = self.upstream_time {
            millis(line, ",\"upstream_ms\":", time);
        }
        line.push('}');
        Ok(())
    }

    fn text(&self, line: &mut String, level: Level) -> fmt::Result {
        clock::write_timestamp(line)?;
        let method = shown(self.method.as_str(), MAX_METHOD_BYTES);
        write!(line, " {level:>5} request {method} ")?;
        plain_text(line, shown(&self.path, MAX_TEXT_BYTES));
        match self.status {
            Some(status) => write!(line, " {status}")?,
            None => line.push_str(" -"),
        }
        millis(line, " ", self.started.elapsed());
        write!(line, "ms auth={}", self.auth.text())?;
        if let Some(route) = &self.route {
            write!(line, " route={}", route.path)?;
        }
        if let Some(user_id) = &self.user_id {
            line.push_str(" user=");
            plain_text(line, user_id);
        }
        if let Some(client) = self.client {
            write!(line, " client={client}")?;
        }
        if let (Some(upstream), Some(time)) = (&self.upstream, self.upstream_time) {
            write!(line, " upstream={}", upstream.name)?;
            millis(line, " ", time);
            line.push_str("ms");
        }
        if let Some((name, cause)) = &self.error {
            write!(line, " error={name} cause=\"")?;
            plain_text(line, shown(cause, MAX_TEXT_BYTES));
            line.push('"');
        }
        write!(line, " id={}", self.id.as_str())
    }
}

/// The longest prefix of at most `max` bytes that ends at a character boundary.
fn shown(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max))
        .unwrap_or_default()
}

/// Writes a JSON string that needs no escaping; `before` ends with its opening quote.
fn plain(line: &mut String, before: &str, text: &str) {
    line.push_str(before);
    line.push_str(text);
    line.push('"');
}

fn number(line: &mut String, before: &str, number: u64) {
    line.push_str(before);
    line.push_str(itoa::Buffer::new().format(number));
}

/// A duration in milliseconds with three decimals.
fn millis(line: &mut String, before: &str, time: Duration) {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    number(line, before, micros / 1000);
    // Adding 1000 keeps leading zeros; it is cut off again.
    let (mut buffer, rest) = (itoa::Buffer::new(), micros % 1000 + 1000);
    line.push('.');
    line.push_str(buffer.format(rest).get(1..).unwrap_or_default());
}

fn address(line: &mut String, address: IpAddr) -> fmt::Result {
    let IpAddr::V4(address) = address else {
        return write!(line, "{address}");
    };
    let [first, rest @ ..] = address.octets();
    number(line, "", first.into());
    for octet in rest {
        number(line, ".", octet.into());
    }
    Ok(())
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// Writes a JSON string. Deceptive characters are escaped, so that clients cannot forge log lines.
fn json_text(line: &mut String, text: &str) {
    line.push('"');
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    // Without an early exit the compiler vectorizes the loop.
    if text.bytes().fold(true, |all, byte| all & plain(byte)) {
        line.push_str(text);
    } else {
        for character in text.chars() {
            match character {
                '"' => line.push_str("\\\""),
                '\\' => line.push_str("\\\\"),
                _ if is_deceptive(character) => push_escaped(line, character),
                _ => line.push(character),
            }
        }
    }
    line.push('"');
}

fn plain_text(line: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            _ if is_deceptive(character) => push_escaped(line, character),
            _ => line.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_log::UpstreamEntry;
    use crate::request_log::tests::record;

    #[test]
    fn a_line_is_one_json_object_for_any_client_input() {
        let mut record = record();
        record.path = "/a\"\n\\\u{1b}[31m\u{2028}\u{202e}\u{feff}\u{540d}".to_owned();
        record.user_id = Some("4\r2".to_owned());
        record.error = Some(("upstream_protocol", "a\nb\u{85}\u{1b}c\"".to_owned()));
        let mut line = String::new();
        record.json(&mut line, Level::INFO).unwrap();
        assert!(!line.chars().any(is_deceptive));
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["url.path"], record.path);
        assert_eq!(parsed["user.id"], "4\r2");
        let mut line = String::new();
        record.text(&mut line, Level::INFO).unwrap();
        assert!(!line.chars().any(is_deceptive));
    }

    #[test]
    fn the_upstream_is_named_with_its_endpoint_and_the_number_of_tries() {
        let mut record = record();
        record.upstream = Some(UpstreamEntry {
            name: "api".into(),
            address: "127.0.0.1:8000".into(),
            tries: 2,
        });
        let mut line = String::new();
        record.json(&mut line, Level::INFO).unwrap();
        let expected =
            r#","upstream":"api","upstream.address":"127.0.0.1:8000","upstream.tries":2,"#;
        assert!(line.contains(expected), "{line}");
    }

    #[test]
    fn texts_from_a_client_are_truncated() {
        let mut record = record();
        record.path = format!("/{}", "\u{540d}".repeat(5000));
        record.host = Some("h".repeat(5000));
        record.method = hyper::Method::from_bytes("M".repeat(5000).as_bytes()).unwrap();
        record.error = Some(("upstream_protocol", "c".repeat(5000)));
        let written = ["\u{540d}\u{540d}", "MMMM", "cccc", "hhhh"];
        for (write, bound, starts) in [
            (
                Record::json as fn(&_, &mut _, _) -> _,
                2900,
                written.as_slice(),
            ),
            // Text has no host.
            (Record::text, 2600, &written[..3]),
        ] {
            let mut line = String::new();
            write(&record, &mut line, Level::INFO).unwrap();
            assert!(line.len() < bound, "{}", line.len());
            // Cut, and not left out.
            for start in starts {
                assert!(line.contains(start), "no {start} in {line}");
            }
        }
    }
}
