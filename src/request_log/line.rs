//! How a record becomes one line: JSON for machines, text for a terminal. No control character of a client's reaches the log.

use std::fmt::{self, Write as _};
use std::time::Duration;

use hyper::Version;
use tracing::Level;

use super::Record;
use crate::clock;
use crate::logging::{Layout, LogSink};

/// The longest path that is written whole, in bytes.
const PATH_SHOWN: usize = 1024;

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
        timestamp(line)?;
        write!(
            line,
            "\",\"level\":\"{level}\",\"message\":\"request\",\"request.id\":"
        )?;
        json_text(line, &self.id)?;
        if let Some(client) = self.client {
            write!(line, ",\"client.address\":\"{client}\"")?;
        }
        line.push_str(",\"http.request.method\":");
        json_text(line, self.method.as_str())?;
        line.push_str(",\"url.path\":");
        json_text(line, self.shown_path())?;
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
            json_text(line, cause)?;
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
        if let Some(time) = self.upstream_time {
            write!(line, ",\"upstream_ms\":{}", Millis(time))?;
        }
        line.push('}');
        Ok(())
    }

    fn text(&self, line: &mut String, level: Level) -> fmt::Result {
        timestamp(line)?;
        write!(line, " {level:>5} request {} ", self.method)?;
        plain_text(line, self.shown_path());
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
        if let Some((name, cause)) = &self.error {
            write!(line, " error={name} cause=\"")?;
            plain_text(line, cause);
            line.push('"');
        }
        write!(line, " id={}", self.id)
    }

    fn shown_path(&self) -> &str {
        if self.path.len() <= PATH_SHOWN {
            return &self.path;
        }
        let mut end = PATH_SHOWN;
        while !self.path.is_char_boundary(end) {
            end -= 1;
        }
        self.path.get(..end).unwrap_or_default()
    }
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

/// RFC 3339 in UTC with milliseconds.
fn timestamp(line: &mut String) -> fmt::Result {
    let millis = clock::unix_millis();
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (rest / 1000, rest % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    write!(
        line,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
    )
}

/// Year, month and day of a count of days since 1970-01-01. Years are taken to begin in March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year_of_era + era * 400 + carry, month, day)
}

/// Writes a JSON string. Control characters are escaped, so that nobody can write lines of his own into the log.
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
                // C0, DEL, C1 and the line separators that some readers break lines at.
                '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                    write!(line, "\\u{:04x}", u32::from(character))?;
                }
                _ => line.push(character),
            }
        }
    }
    line.push('"');
    Ok(())
}

fn plain_text(line: &mut String, text: &str) {
    for character in text.chars() {
        if character.is_control() || character == '"' {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request_log::tests::record;

    #[test]
    fn days_become_dates() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_778), (2026, 11, 21));
        assert_eq!(civil(47_540), (2100, 2, 28));
        assert_eq!(civil(47_541), (2100, 3, 1));
    }

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_sends() {
        let mut record = record();
        record.path = "/a\"\n\\\u{1b}[31m\u{2028}\u{540d}".to_owned();
        record.user_id = Some("4\r2".to_owned());
        let mut line = String::new();
        record.json(&mut line, Level::INFO).unwrap();
        assert!(!line.chars().any(char::is_control));
        let parsed: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(parsed["url.path"], record.path);
        assert_eq!(parsed["user.id"], "4\r2");
        let mut line = String::new();
        record.text(&mut line, Level::INFO).unwrap();
        assert!(!line.chars().any(char::is_control));
    }
}
