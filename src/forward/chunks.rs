//! The chunks of an answer, byte by byte: where they end, and whether every reader would say so. Sizes that overflow, line ends
//! without both of their characters and control characters are refused; blanks behind a size, which old servers pad with, pass.

/// Bytes of one chunk's extension at most, blanks included.
const EXTENSION: u32 = 256;
/// Bytes of all trailers at most.
const TRAILERS: u32 = 16 * 1024;

/// A place within a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunks {
    /// In the digits of a size.
    Size { digits: u32, size: u64 },
    /// Behind the digits, up to the end of the line.
    Extension { size: u64, length: u32 },
    /// Before the line feed of a size.
    SizeLf { size: u64 },
    /// In the data.
    Data { left: u64 },
    /// Before the line end of the data.
    DataCr,
    /// In the middle of it.
    DataLf,
    /// In the trailers; `column` is 0 at the start of a line.
    Trailer { column: u32, total: u32 },
    /// Before the line feed of a trailer, or of the empty line that ends all.
    TrailerLf { last: bool, total: u32 },
    /// Behind the last byte.
    End,
}

/// A transfer that two readers could end at different places.
pub(super) type Damage = &'static str;

impl Chunks {
    /// Before the first byte.
    pub(super) fn start() -> Self {
        Self::Size { digits: 0, size: 0 }
    }

    /// Goes through `bytes` up to the end of the body or of the bytes; gives how many belong to the body.
    ///
    /// # Errors
    /// The first damage, with the count of bytes before it.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<usize, (usize, Damage)> {
        let mut at = 0;
        while let (Some(&byte), false) = (bytes.get(at), *self == Self::End) {
            if let Self::Data { left } = *self {
                let here = bytes.len() - at;
                let step = usize::try_from(left).map_or(here, |left| left.min(here));
                let left = left.saturating_sub(u64::try_from(step).unwrap_or(u64::MAX));
                *self = match left {
                    0 => Self::DataCr,
                    left => Self::Data { left },
                };
                at += step;
                continue;
            }
            *self = self.step(byte).map_err(|damage| (at, damage))?;
            at += 1;
        }
        Ok(at)
    }

    fn step(self, byte: u8) -> Result<Self, Damage> {
        match (self, byte) {
            (Self::Size { digits, size }, byte) if byte.is_ascii_hexdigit() => {
                // 16 digits fill 64 bits: nothing can overflow.
                if digits == 16 {
                    return Err("a chunk size is too long");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Ok(Self::Size {
                    digits: digits + 1,
                    size: (size << 4) | u64::from(digit),
                })
            }
            (Self::Size { digits: 0, .. }, _) => Err("a chunk has no size"),
            (Self::Size { size, .. } | Self::Extension { size, .. }, b'\r') => {
                Ok(Self::SizeLf { size })
            }
            (Self::Size { size, .. }, b' ' | b'\t' | b';') => {
                Ok(Self::Extension { size, length: 1 })
            }
            (Self::Size { .. }, _) => Err("a chunk size is no hexadecimal number"),
            (Self::Extension { size, length }, byte) if is_text(byte) => {
                if length == EXTENSION {
                    return Err("a chunk extension is too long");
                }
                Ok(Self::Extension {
                    size,
                    length: length + 1,
                })
            }
            (Self::SizeLf { size: 0 }, b'\n') => Ok(Self::Trailer {
                column: 0,
                total: 0,
            }),
            (Self::SizeLf { size }, b'\n') => Ok(Self::Data { left: size }),
            (Self::DataCr, b'\r') => Ok(Self::DataLf),
            (Self::DataLf, b'\n') => Ok(Self::start()),
            (Self::DataCr | Self::DataLf, _) => Err("a chunk is longer than its size"),
            (
                Self::Trailer {
                    total: TRAILERS, ..
                },
                _,
            ) => Err("the trailers are too long"),
            (Self::Trailer { column, total }, b'\r') => Ok(Self::TrailerLf {
                last: column == 0,
                total: total + 1,
            }),
            (Self::Trailer { column, total }, byte) if is_text(byte) => Ok(Self::Trailer {
                column: column + 1,
                total: total + 1,
            }),
            (Self::TrailerLf { last: true, .. }, b'\n') => Ok(Self::End),
            (Self::TrailerLf { last: false, total }, b'\n') => {
                Ok(Self::Trailer { column: 0, total })
            }
            (
                Self::Extension { .. }
                | Self::SizeLf { .. }
                | Self::Trailer { .. }
                | Self::TrailerLf { .. },
                _,
            ) => Err("a line among the chunks holds a stray control character"),
            (Self::Data { .. } | Self::End, _) => Ok(self),
        }
    }
}

/// What may stand in a line: all but control characters, a tab excepted.
pub(super) fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(body: &str) -> Result<usize, (usize, Damage)> {
        let whole = Chunks::start().advance(body.as_bytes());
        // In one piece or byte by byte: the same.
        let mut chunks = Chunks::start();
        let mut count = 0;
        for byte in body.bytes() {
            match chunks.advance(&[byte]) {
                Ok(taken) => count += taken,
                Err((_, damage)) => {
                    assert_eq!(whole, Err((count, damage)), "{body:?}");
                    return whole;
                }
            }
        }
        assert_eq!(whole, Ok(count), "{body:?}");
        whole
    }

    #[test]
    fn a_body_ends_behind_its_last_line() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "3;a=\"b\"\r\nabc\r\n000\r\n\r\n",
            "3  \r\nabc\r\n0\r\nA: b\r\nC: d\r\n\r\n",
            "00000000000000A\r\n0123456789\r\n0\r\n\r\n",
        ] {
            assert_eq!(ends(body), Ok(body.len()));
            assert_eq!(ends(&format!("{body}HTTP")), Ok(body.len()));
        }
    }

    #[test]
    fn what_two_readers_could_end_at_two_places_is_damage() {
        let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(300));
        let trailers = format!("0\r\nA: {}\r\n\r\n", "x".repeat(20_000));
        for body in [
            "\r\n",
            ";a\r\n",
            "-1\r\n",
            "0x3\r\nabc\r\n",
            "+3\r\nabc\r\n",
            "g\r\n",
            "3\nabc\n0\n\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc\r0\r\n\r\n",
            "3;a\nbc\r\n",
            "3;a\rb\r\n",
            "3;\0\r\nabc\r\n",
            "11111111111111111\r\n",
            "0\r\nA: b\n\r\n",
            "0\r\nA: \u{1}\r\n\r\n",
            "0\r\n\n",
            &long,
            &trailers,
        ] {
            assert!(ends(body).is_err(), "{body:?}");
        }
    }
}
