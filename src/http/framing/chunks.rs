//! Finds the end of a chunked body as its bytes arrive (RFC 9112, 7.1). Nothing is decoded here: a
//! later reader decodes the same bytes.

use super::lines::{field, framing_name, is_text};
use super::{Damage, MAX_FIELDS};
use crate::http::hex;

/// The most bytes of one chunk's extensions. Attacks are their only common use.
const MAX_EXTENSION: u32 = 256;
/// The most digits of a size: 2^60 bytes.
const MAX_DIGITS: u8 = 15;
/// The most bytes of all trailers.
const MAX_TRAILERS: u32 = 8 * 1024;

/// Follows the chunks of one body.
#[derive(Debug, Default)]
pub struct Chunks {
    state: State,
    /// The rules for a response: old servers pad a size with blanks, and forbidden trailers are
    /// removed later.
    lenient: bool,
    /// Bytes of trailers so far.
    trailers: u32,
    /// Trailer lines so far.
    fields: usize,
}

#[derive(Debug, Default)]
enum State {
    /// Before a chunk.
    #[default]
    Start,
    /// In its size, after this many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// In the blanks behind its size, after this many.
    Padding {
        size: u64,
        length: u32,
    },
    /// In its extensions, after this many bytes.
    Extension {
        size: u64,
        length: u32,
    },
    /// Behind the carriage return of its first line.
    SizeEnd {
        size: u64,
    },
    /// In its data, this many bytes before the end.
    Data(u64),
    /// Behind its data.
    DataCr,
    DataLf,
    /// In the trailers, with the partial line.
    Trailer(Vec<u8>),
    End,
}

const SIZE: Damage = "a chunk size is malformed";

impl Chunks {
    /// Follows the chunks of a response, where harmless deviations are allowed.
    #[must_use]
    pub fn of_answer() -> Self {
        Self {
            lenient: true,
            ..Self::default()
        }
    }

    /// Reads the next bytes. Returns how many of them belong to the body, and whether the body ends
    /// with them.
    ///
    /// # Errors
    /// The number of good bytes, and the fault behind them.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), (usize, Damage)> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let State::Data(left) = &mut self.state {
                let available = bytes.len() - at;
                let taken = usize::try_from(*left).map_or(available, |left| left.min(available));
                at += taken;
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.step(byte).map_err(|damage| (at, damage))?;
            at += 1;
            if matches!(self.state, State::End) {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    fn step(&mut self, byte: u8) -> Result<(), Damage> {
        match &mut self.state {
            State::Start => {
                let size = hex::digit(byte).map(u64::from).ok_or(SIZE)?;
                self.state = State::Size { size, digits: 1 };
            }
            State::Size { size, digits } => match (byte, hex::digit(byte).map(u64::from)) {
                (_, Some(digit)) if *digits < MAX_DIGITS => {
                    *size = *size << 4 | digit;
                    *digits += 1;
                }
                (b'\r', _) => self.state = State::SizeEnd { size: *size },
                (b';', _) => self.state = State::extension(*size),
                (b' ' | b'\t', _) if self.lenient => {
                    let (size, length) = (*size, 1);
                    self.state = State::Padding { size, length };
                }
                _ => return Err(SIZE),
            },
            // A reader that skips blanks would take a second number for more digits.
            State::Padding { size, length } => match byte {
                b'\r' => self.state = State::SizeEnd { size: *size },
                b';' => self.state = State::extension(*size),
                b' ' | b'\t' if *length < MAX_EXTENSION => *length += 1,
                _ => return Err(SIZE),
            },
            State::Extension { size, length } => {
                *length += 1;
                if byte == b'\r' {
                    self.state = State::SizeEnd { size: *size };
                } else if *length > MAX_EXTENSION || !is_text(byte) {
                    return Err("a chunk extension is malformed");
                }
            }
            State::SizeEnd { size } => {
                self.state = match (byte, *size) {
                    (b'\n', 0) => State::Trailer(Vec::new()),
                    (b'\n', size) => State::Data(size),
                    _ => return Err(SIZE),
                };
            }
            State::DataCr if byte == b'\r' => self.state = State::DataLf,
            State::DataLf if byte == b'\n' => self.state = State::Start,
            State::Trailer(line) => {
                self.trailers += 1;
                if self.trailers > MAX_TRAILERS {
                    return Err("the trailers are too large");
                }
                if byte != b'\n' {
                    line.push(byte);
                    return Ok(());
                }
                let line = std::mem::take(line);
                return self.trailer(&line);
            }
            State::DataCr | State::DataLf | State::Data(_) | State::End => {
                return Err("a chunk does not end where its size says");
            }
        }
        Ok(())
    }

    /// A complete line of the trailers; the empty one ends the body.
    fn trailer(&mut self, line: &[u8]) -> Result<(), Damage> {
        let line = line
            .strip_suffix(b"\r")
            .ok_or("a trailer ends in a bare line feed")?;
        if line.is_empty() {
            self.state = State::End;
            return Ok(());
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err("the trailers are too large");
        }
        let (name, _) = field(line)?;
        if !self.lenient && framing_name(name)?.is_some() {
            return Err("a trailer says what only a head may");
        }
        Ok(())
    }
}

impl State {
    fn extension(size: u64) -> Self {
        Self::Extension { size, length: 0 }
    }
}
