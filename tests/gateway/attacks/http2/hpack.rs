//! Header blocks (RFC 7541): written plainly, so that any bytes can be sent; read as far as answers
//! need it, without a dynamic table, which the client has forbidden.

use std::collections::BTreeMap;

/// Letters by the length of their Huffman code; the code is canonical, so that this is all of it
/// that answers use.
const LENGTHS: [(u32, &str); 9] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
];

/// The entries of the static table that answers use.
const NAMES: [(usize, &str); 8] = [
    (8, ":status"),
    (22, "allow"),
    (24, "cache-control"),
    (28, "content-length"),
    (31, "content-type"),
    (33, "date"),
    (53, "retry-after"),
    (54, "server"),
];

const STATUSES: [(usize, &str); 7] = [
    (8, "200"),
    (9, "204"),
    (10, "206"),
    (11, "304"),
    (12, "400"),
    (13, "404"),
    (14, "500"),
];

/// The block of these fields: literals that go into no table.
pub(super) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            number(&mut block, 0x7f, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer behind a prefix of these bits (RFC 7541, 5.1).
fn number(block: &mut Vec<u8>, prefix: u8, value: usize) {
    let byte = |value: usize| u8::try_from(value).expect("less than 256");
    let most = usize::from(prefix);
    if value < most {
        return block.push(byte(value));
    }
    block.push(prefix);
    let mut rest = value - most;
    while rest >= 128 {
        block.push(byte(rest % 128 + 128));
        rest /= 128;
    }
    block.push(byte(rest));
}

/// The fields of an answer.
///
/// # Errors
/// The place that cannot be decoded.
pub(super) fn fields(block: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut reader = Reader { rest: block };
    let mut fields = Vec::new();
    while let Some(&first) = reader.rest.first() {
        if first & 0x80 != 0 {
            let index = reader.number(0x7f)?;
            let status = STATUSES.iter().find(|entry| entry.0 == index);
            let status = status.ok_or_else(|| format!("the table's entry {index}"))?;
            fields.push((":status".to_owned(), status.1.to_owned()));
        } else if first & 0xe0 == 0x20 {
            // A change of the dynamic table's size.
            reader.number(0x1f)?;
        } else {
            let prefix = if first & 0x40 != 0 { 0x3f } else { 0x0f };
            let name = match reader.number(prefix)? {
                0 => reader.text()?,
                index => NAMES
                    .iter()
                    .find(|entry| entry.0 == index)
                    .map_or_else(|| format!("#{index}"), |entry| entry.1.to_owned()),
            };
            fields.push((name, reader.text()?));
        }
    }
    Ok(fields)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.rest.split_first().ok_or("a block that breaks off")?;
        self.rest = rest;
        Ok(*first)
    }

    fn number(&mut self, prefix: u8) -> Result<usize, String> {
        let first = self.byte()? & prefix;
        let mut value = usize::from(first);
        if first < prefix {
            return Ok(value);
        }
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a large number".to_owned())
    }

    fn text(&mut self) -> Result<String, String> {
        let packed = self.rest.first().is_some_and(|byte| byte & 0x80 != 0);
        let length = self.number(0x7f)?;
        if length > self.rest.len() {
            return Err("a text that breaks off".to_owned());
        }
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        match packed {
            true => unpacked(text),
            false => Ok(String::from_utf8_lossy(text).into_owned()),
        }
    }
}

fn unpacked(text: &[u8]) -> Result<String, String> {
    let codes = codes();
    let mut out = String::new();
    let (mut code, mut length) = (0_u32, 0_u32);
    for byte in text {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if let Some(letter) = codes.get(&(length, code)) {
                out.push(*letter);
                (code, length) = (0, 0);
            }
        }
    }
    // Filled up with ones.
    match length < 8 && code == (1 << length) - 1 {
        true => Ok(out),
        false => Err(format!("a letter that answers do not use, behind {out:?}")),
    }
}

/// Length and code → letter. Canonical: codes of one length follow each other, and the next length
/// goes on where it ended.
fn codes() -> BTreeMap<(u32, u32), char> {
    let mut codes = BTreeMap::new();
    let (mut code, mut last) = (0_u32, 5);
    for (length, letters) in LENGTHS {
        code <<= length - last;
        last = length;
        for letter in letters.chars() {
            codes.insert((length, code), letter);
            code += 1;
        }
    }
    codes
}
