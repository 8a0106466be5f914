//! The chunked transfer coding (RFC 9112 section 7.1), fed in pieces of any size.
//!
//! Extensions are skipped and trailers kept as they came, both within bounds; every line ends with CR LF,
//! because a lone LF inside an extension is where nginx and haproxy were smuggled past.
use crate::refusal::Refusal;

/// The longest chunk-size line, extensions included (hyper bounds extensions at 16 KiB a body).
const LINE: usize = 1024;
/// The most octets of trailers (hyper: 16 KiB).
const TRAILERS: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    /// White space before an extension or the line's end (BWS, RFC 9112 section 7.1.1).
    Blank,
    /// Behind a semicolon: a name must follow.
    Name,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    Done,
}

/// Where a body's octets go.
pub trait Sink {
    /// How many more it takes.
    fn room(&self) -> u64;
    /// Takes them; no more than there is room for.
    fn put(&mut self, octets: &[u8]);
}

/// Onto a vector, which may grow to so many octets.
#[derive(Debug)]
pub struct Kept<'a> {
    /// The vector.
    pub out: &'a mut Vec<u8>,
    /// Its greatest length.
    pub most: usize,
}

impl Sink for Kept<'_> {
    fn room(&self) -> u64 {
        self.most.saturating_sub(self.out.len()) as u64
    }

    fn put(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }
}

/// Nowhere: only its end counts.
#[derive(Clone, Copy, Debug)]
pub struct Skipped;

impl Sink for Skipped {
    fn room(&self) -> u64 {
        u64::MAX
    }

    fn put(&mut self, _: &[u8]) {}
}

/// Where in a chunked body the reader is.
#[derive(Clone, Debug)]
pub struct Chunked {
    state: State,
    left: u64,
    digits: u8,
    line: usize,
    trailers: Vec<u8>,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked { state: State::Size, left: 0, digits: 0, line: 0, trailers: vec![] }
    }
}

impl Chunked {
    /// Whether the last chunk and the trailers are behind us.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The lines behind the last chunk, without the empty one; whether they are fields nobody has
    /// looked at.
    pub fn trailers(&self) -> &[u8] {
        &self.trailers
    }

    /// Octets that the chunk begun last has still to bring.
    pub fn owed(&self) -> u64 {
        if self.state == State::Data { self.left } else { 0 }
    }

    /// Decodes the front of `input` onto `out`, which may grow to `most` octets; gives how much
    /// of the input was of this body.
    ///
    /// # Errors
    /// The refusal to answer with before the connection is closed.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>, most: usize) -> Result<usize, Refusal> {
        self.read(input, &mut Kept { out, most })
    }

    /// [`Chunked::feed`] into whatever takes it.
    ///
    /// # Errors
    /// As there.
    pub fn read(&mut self, input: &[u8], sink: &mut impl Sink) -> Result<usize, Refusal> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let take = (self.left as usize).min(input.len() - at);
                sink.put(&input[at..at + take]);
                at += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.octet(input[at])?;
            at += 1;
            if self.state == State::Data && self.left > sink.room() {
                return Err(Refusal::BodyTooLarge);
            }
        }
        Ok(at)
    }

    /// One octet of what is not data.
    fn octet(&mut self, byte: u8) -> Result<(), Refusal> {
        self.state = match (self.state, byte) {
            (State::Size, _) if byte.is_ascii_hexdigit() => self.digit(byte)?,
            (State::Size, b' ' | b'\t') if self.digits > 0 => State::Blank,
            (State::Size, b';') if self.digits > 0 => State::Name,
            (State::Size, b'\r') if self.digits > 0 => State::SizeEnd,
            (State::Blank, b' ' | b'\t') => self.line(State::Blank)?,
            (State::Blank, b';') => State::Name,
            (State::Name, b' ' | b'\t') => self.line(State::Name)?,
            (State::Name, b'!'..=b'~') if byte != b';' => State::Extension,
            (State::Blank | State::Extension, b'\r') => State::SizeEnd,
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => self.line(State::Extension)?,
            (State::SizeEnd, b'\n') => self.size_read(),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::LastLf,
            (State::TrailerStart | State::Trailer, _) => self.trailer(byte)?,
            (State::TrailerLf, b'\n') => {
                self.trailers.push(byte);
                State::TrailerStart
            }
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(Refusal::Malformed),
        };
        Ok(())
    }

    fn line(&mut self, state: State) -> Result<State, Refusal> {
        self.line += 1;
        if self.line > LINE { Err(Refusal::Malformed) } else { Ok(state) }
    }

    fn digit(&mut self, byte: u8) -> Result<State, Refusal> {
        // 15 digits stay below 2^60: no overflow, and far above any limit of ours.
        self.digits += 1;
        if self.digits > 15 {
            return Err(Refusal::Malformed);
        }
        let value = (byte as char).to_digit(16).unwrap_or(0);
        self.left = self.left << 4 | u64::from(value);
        Ok(State::Size)
    }

    fn size_read(&mut self) -> State {
        (self.digits, self.line) = (0, 0);
        if self.left == 0 { State::TrailerStart } else { State::Data }
    }

    fn trailer(&mut self, byte: u8) -> Result<State, Refusal> {
        if self.trailers.len() >= TRAILERS {
            return Err(Refusal::HeadTooLarge);
        }
        self.trailers.push(byte);
        match byte {
            b'\r' => Ok(State::TrailerLf),
            b'\t' | b' '..=b'~' | 0x80.. => Ok(State::Trailer),
            _ => Err(Refusal::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> Result<(Vec<u8>, usize, bool), Refusal> {
        let (mut decoder, mut out) = (Chunked::default(), vec![]);
        let used = decoder.feed(text.as_bytes(), &mut out, 64)?;
        Ok((out, used, decoder.is_done()))
    }

    #[test]
    fn chunks_are_joined_and_the_rest_is_left() {
        let text = "3;a=b\r\nabc\r\n0A \r\n0123456789\r\n0\r\nX: y\r\n\r\nGET /";
        let (out, used, done) = whole(text).unwrap();
        assert_eq!((out.as_slice(), done), (&b"abc0123456789"[..], true));
        assert_eq!(&text[used..], "GET /");
    }

    #[test]
    fn trailers_are_there_as_they_came() {
        let (mut decoder, mut out) = (Chunked::default(), vec![]);
        decoder.feed(b"0\r\nX: y\r\nZ:\r\n\r\nrest", &mut out, 64).unwrap();
        assert_eq!(decoder.trailers(), b"X: y\r\nZ:\r\n");
    }

    #[test]
    fn octet_by_octet_is_the_same() {
        let text = b"3\r\nabc\r\n0\r\n\r\n";
        let (mut decoder, mut out) = (Chunked::default(), vec![]);
        for byte in text {
            assert!(!decoder.is_done());
            assert_eq!(decoder.feed(&[*byte], &mut out, 64), Ok(1));
        }
        assert_eq!((out.as_slice(), decoder.is_done()), (&b"abc"[..], true));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for text in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "0x3\r\n",
            "3;\r\nabc",
            "3\nabc",
            "3;a\nabc",
            "3\r\nabcd\r\n",
            "3\rabc",
            "3\r\nabc\n",
            "0\r\n\n",
            "0\r\nX: y\n\r\n",
            ";\r\n",
            "3 x\r\n",
            " 3\r\n",
        ] {
            assert_eq!(whole(text).unwrap_err(), Refusal::Malformed, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(whole("41\r\n").unwrap_err(), Refusal::BodyTooLarge);
        assert_eq!(whole(&"f".repeat(16)).unwrap_err(), Refusal::Malformed);
        assert_eq!(whole(&format!("3;{}", "a".repeat(2000))).unwrap_err(), Refusal::Malformed);
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(4000));
        assert_eq!(whole(&trailers).unwrap_err(), Refusal::HeadTooLarge);
    }
}
