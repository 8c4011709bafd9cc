//! How a record becomes one line: JSON for machines, text for a terminal. No control character of a client's reaches the log.

use std::fmt::{self, Write as _};
use std::time::Duration;

use hyper::Version;
use tracing::Level;

use super::Record;
use crate::clock;
use crate::logging::{Layout, LogSink, is_deceptive, push_escaped};

/// The longest path, and the longest cause, that is written whole, in bytes.
const TEXT_SHOWN: usize = 1024;
/// The longest host.
const HOST_SHOWN: usize = 255;
/// The longest method.
const METHOD_SHOWN: usize = 32;

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

    fn json(&self, line: &mut String, level: Level) -> fmt::Result {
        line.push_str("{\"timestamp\":\"");
        clock::write_timestamp(line)?;
        write!(
            line,
            "\",\"level\":\"{level}\",\"message\":\"request\",\"request.id\":"
        )?;
        json_text(line, self.id.as_str())?;
        if let Some(client) = self.client {
            write!(line, ",\"client.address\":\"{client}\"")?;
        }
        line.push_str(",\"http.request.method\":");
        json_text(line, shown(self.method.as_str(), METHOD_SHOWN))?;
        line.push_str(",\"url.path\":");
        json_text(line, shown(&self.path, TEXT_SHOWN))?;
        if let Some(host) = &self.host {
            line.push_str(",\"server.address\":");
            json_text(line, shown(host, HOST_SHOWN))?;
        }
        write!(
            line,
            ",\"network.protocol.version\":\"{}\"",
            protocol(self.version)
        )?;
        if let Some(route) = &self.route {
            // Checked with the configuration: nothing in it needs escaping.
            write!(line, ",\"route\":\"{}\"", route.path)?;
        }
        if let Some(endpoint) = self.endpoint {
            write!(line, ",\"endpoint\":\"{endpoint}\"")?;
        }
        write!(line, ",\"auth\":\"{}\"", self.auth.text())?;
        if let Some(source) = self.token_source {
            write!(line, ",\"skey.source\":\"{source}\"")?;
        }
        if let Some(user_id) = &self.user_id {
            line.push_str(",\"user.id\":");
            json_text(line, user_id)?;
        }
        if let Some(appid) = &self.appid {
            line.push_str(",\"appid\":");
            json_text(line, appid)?;
        }
        if let Some((name, address)) = &self.upstream {
            line.push_str(",\"upstream\":");
            json_text(line, name)?;
            line.push_str(",\"upstream.address\":");
            json_text(line, address)?;
        }
        if let Some(status) = self.status {
            write!(line, ",\"http.response.status_code\":{status}")?;
        }
        if let Some((name, cause)) = &self.error {
            write!(line, ",\"error\":\"{name}\",\"cause\":")?;
            json_text(line, shown(cause, TEXT_SHOWN))?;
        }
        write!(
            line,
            ",\"bytes.in\":{},\"bytes.out\":{}",
            self.bytes_in, self.bytes_out
        )?;
        write!(line, ",\"elapsed_ms\":{}", Millis(self.started.elapsed()))?;
        if let Some(time) = self.store_time {
            write!(line, ",\"store_ms\":{}", Millis(time))?;
        }
        if let Some(time) = self.wechat_time {
            write!(line, ",\"wechat_ms\":{}", Millis(time))?;
        }
        if let Some(time) = self.upstream_time {
            write!(line, ",\"upstream_ms\":{}", Millis(time))?;
        }
        line.push('}');
        Ok(())
    }

    fn text(&self, line: &mut String, level: Level) -> fmt::Result {
        clock::write_timestamp(line)?;
        let method = shown(self.method.as_str(), METHOD_SHOWN);
        write!(line, " {level:>5} request {method} ")?;
        plain_text(line, shown(&self.path, TEXT_SHOWN));
        match self.status {
            Some(status) => write!(line, " {status}")?,
            None => line.push_str(" -"),
        }
        write!(
            line,
            " {}ms auth={}",
            Millis(self.started.elapsed()),
            self.auth.text()
        )?;
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
        if let (Some((name, _)), Some(time)) = (&self.upstream, self.upstream_time) {
            write!(line, " upstream={name} {}ms", Millis(time))?;
        }
        if let Some((name, cause)) = &self.error {
            write!(line, " error={name} cause=\"")?;
            plain_text(line, shown(cause, TEXT_SHOWN));
            line.push('"');
        }
        write!(line, " id={}", self.id.as_str())
    }
}

/// The first so many bytes, or a character fewer.
fn shown(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most))
        .unwrap_or_default()
}

/// A duration in milliseconds with microseconds behind the point.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        write!(f, "{}.{:03}", micros / 1000, micros % 1000)
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// Writes a JSON string. Deceptive characters are escaped, so that nobody can write lines of his own into the log.
fn json_text(line: &mut String, text: &str) -> fmt::Result {
    line.push('"');
    let plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f;
    if text.is_ascii() && text.bytes().all(plain) {
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
    Ok(())
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
    use crate::request_log::tests::record;

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_sends() {
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
    fn what_a_client_chooses_is_written_up_to_a_bound() {
        let mut record = record();
        record.path = format!("/{}", "\u{540d}".repeat(5000));
        record.host = Some("h".repeat(5000));
        record.method = hyper::Method::from_bytes("M".repeat(5000).as_bytes()).unwrap();
        record.error = Some(("upstream_protocol", "c".repeat(5000)));
        for (write, bound) in [
            (Record::json as fn(&_, &mut _, _) -> _, 2900),
            (Record::text, 2600),
        ] {
            let mut line = String::new();
            write(&record, &mut line, Level::INFO).unwrap();
            assert!(line.len() < bound, "{}", line.len());
        }
    }
}
