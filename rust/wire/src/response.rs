//! Responses: octets in; a head, its body and where it ends out.
//!
//! # Theory
//! httparse finds the lines of a head; RFC 9112 section 6.3 decides where its body ends. The
//! reader owns what it keeps of a head, so that the caller's buffer may be used again at once.
//!
//! # Rules
//! - What two readers could frame differently is refused: lengths that disagree, a signed one,
//!   a coding that nobody asked for, a folded line, one that ends by a bare LF.
//! - Chunked beside a length is read as chunked, and nothing follows on that connection (section
//!   6.3, rule 3); as is anything chunked from a peer of HTTP/1.0 (section 6.1).
//! - Interim answers (RFC 9110 section 15.2) are passed over; all heads of one answer together
//!   have to fit the limit of a head, as in Go's client since 1.23.
//! - 101 is refused: nothing of ours asks for another protocol.
use crate::chunked::{Chunked, Sink};
use crate::head::{Field, MOST_FIELDS, Span, ends_lines, options};
use crate::refusal::Refusal;
use std::fmt;
use std::mem::MaybeUninit;

/// The limits of an answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Octets of its heads, at most [`u16::MAX`].
    pub head: usize,
    /// Fields in its head.
    pub fields: usize,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No head of HTTP/1.1.
    NotHttp,
    /// More head than the limit.
    HeadTooLarge,
    /// The body's length is contradictory or in a coding that was not asked for.
    Framing,
    /// 101, which nobody asked for.
    Switched,
    /// No chunk.
    Chunk,
    /// More body than the limit.
    BodyTooLarge,
    /// The connection ended within it.
    Cut,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::NotHttp => "the answer has no head of HTTP/1.1",
            Fault::HeadTooLarge => "the answer's head is larger than the pool's limit",
            Fault::Framing => "two readers could take the answer's length differently",
            Fault::Switched => "the answer changes the protocol, which was not asked for",
            Fault::Chunk => "the answer's chunks are broken",
            Fault::BodyTooLarge => "the answer's body is larger than the pool's limit",
            Fault::Cut => "the connection ended within the answer",
        })
    }
}

/// A head, with its octets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// What the spans lie in.
    pub octets: Vec<u8>,
    /// 100 to 999.
    pub status: u16,
    /// What the status line says behind it.
    pub reason: Span,
    /// The minor version of HTTP/1: 0 or 1.
    pub minor: u8,
    /// The fields, in order.
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
enum State {
    Head,
    Length(u64),
    Chunked(Chunked),
    UntilClose,
    Done,
}

/// How far an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All that came is read.
    More,
    /// Its head is there, told once; what follows may be fed.
    Head,
    /// It is whole; what follows is not its.
    Done,
}

/// Reads the answers of one connection, one after the other.
#[derive(Clone, Debug)]
pub struct Reader {
    state: State,
    bodiless: bool,
    keep: bool,
    /// Heads are not for anybody to read.
    unread: bool,
    /// Octets of interim heads.
    interim: usize,
    /// An unfinished head.
    partial: Vec<u8>,
    head: Head,
    trailers: Vec<u8>,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader {
            state: State::Head,
            bodiless: false,
            keep: true,
            unread: false,
            interim: 0,
            partial: vec![],
            head: Head::default(),
            trailers: vec![],
        }
    }
}

impl Reader {
    /// For who wants to know no more of a head than its status.
    pub fn of_statuses() -> Reader {
        Reader { unread: true, ..Reader::default() }
    }

    /// Of the answer whose head was told last.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// Begins with the next answer; `bodiless`: it has no body whatever it says (HEAD).
    pub fn expect(&mut self, bodiless: bool) {
        self.state = State::Head;
        (self.bodiless, self.keep, self.interim) = (bodiless, true, 0);
        self.partial.clear();
        self.trailers.clear();
    }

    /// Whether another request may follow, once the answer is whole.
    pub fn keeps(&self) -> bool {
        self.keep
    }

    /// Whether no octet of the answer has come.
    pub fn is_untouched(&self) -> bool {
        matches!(self.state, State::Head) && self.partial.is_empty() && self.interim == 0
    }

    /// The head, once it has been told; leaves none.
    pub fn take_head(&mut self) -> Head {
        std::mem::take(&mut self.head)
    }

    /// The lines of the fields behind a chunked body.
    pub fn take_trailers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.trailers)
    }

    /// Takes octets in, the body's into `body`; how many were taken, and what they came to.
    ///
    /// # Errors
    /// What is wrong; the connection is good for nothing any more.
    pub fn feed(
        &mut self,
        data: &[u8],
        body: &mut impl Sink,
        limits: &Limits,
    ) -> Result<(usize, Step), Fault> {
        let mut used = 0;
        loop {
            let rest = &data[used..];
            match &mut self.state {
                State::Done => return Ok((used, Step::Done)),
                State::Head if rest.is_empty() => return Ok((used, Step::More)),
                State::Head => {
                    let Some(taken) = self.head(rest, body.room(), limits)? else {
                        return Ok((data.len(), Step::More));
                    };
                    used += taken;
                    if !matches!(self.state, State::Head) {
                        return Ok((used, Step::Head));
                    }
                }
                State::Length(left) => {
                    let taken = (*left).min(rest.len() as u64);
                    body.put(&rest[..taken as usize]);
                    (*left, used) = (*left - taken, used + taken as usize);
                    if *left > 0 {
                        return Ok((used, Step::More));
                    }
                    self.state = State::Done;
                }
                State::UntilClose => {
                    if rest.len() as u64 > body.room() {
                        return Err(Fault::BodyTooLarge);
                    }
                    body.put(rest);
                    return Ok((data.len(), Step::More));
                }
                State::Chunked(chunked) => {
                    used += chunked.read(rest, body).map_err(broken)?;
                    if !chunked.is_done() {
                        return Ok((used, Step::More));
                    }
                    self.trailers = chunked.trailers().to_vec();
                    each_field(&self.trailers, |_, _| {})?;
                    self.state = State::Done;
                }
            }
        }
    }

    /// Octets of a body of known length that are to come; of any other, 0.
    pub fn left(&self) -> u64 {
        if let State::Length(left) = self.state { left } else { 0 }
    }

    /// Passes over so many octets, as far as they are the body's and lie in it as they are; how
    /// many that was. Who asks has them already.
    pub fn pass(&mut self, count: usize) -> usize {
        match &mut self.state {
            State::Length(left) => {
                let passed = (*left).min(count as u64);
                *left -= passed;
                passed as usize
            }
            State::UntilClose => count,
            _ => 0,
        }
    }

    /// The peer has ended.
    ///
    /// # Errors
    /// Within the answer.
    pub fn end(&mut self) -> Result<(), Fault> {
        if !matches!(self.state, State::UntilClose) {
            return Err(Fault::Cut);
        }
        self.state = State::Done;
        Ok(())
    }

    /// Reads a head; how many octets of `data` it took, None: it is unfinished.
    fn head(&mut self, data: &[u8], room: u64, limits: &Limits) -> Result<Option<usize>, Fault> {
        let before = self.partial.len();
        if before == 0 {
            if let Some(taken) = self.parse(data, room, limits)? {
                return Ok(Some(taken));
            }
            self.partial.extend_from_slice(data);
        } else {
            self.partial.extend_from_slice(data);
            // Asked again only where a line has ended: a head in many pieces costs no square.
            if data.contains(&b'\n') {
                let partial = std::mem::take(&mut self.partial);
                if let Some(taken) = self.parse(&partial, room, limits)? {
                    return Ok(Some(taken - before));
                }
                self.partial = partial;
            }
        }
        if self.interim + self.partial.len() > limits.head {
            return Err(Fault::HeadTooLarge);
        }
        Ok(None)
    }

    fn parse(&mut self, data: &[u8], room: u64, limits: &Limits) -> Result<Option<usize>, Fault> {
        let mut space = [const { MaybeUninit::<httparse::Header>::uninit() }; MOST_FIELDS];
        let fields = &mut space[..limits.fields.min(MOST_FIELDS)];
        let mut found = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut found, data, fields);
        let len = match parsed {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(Fault::HeadTooLarge),
            Err(_) => return Err(Fault::NotHttp),
        };
        if self.interim + len > limits.head.min(u16::MAX as usize) {
            return Err(Fault::HeadTooLarge);
        }
        let octets = &data[..len];
        if !octets.starts_with(b"HTTP/") || !ends_lines(octets, found.headers) {
            return Err(Fault::NotHttp);
        }
        let status = found.code.filter(|&status| status >= 100).ok_or(Fault::NotHttp)?;
        match status {
            101 => return Err(Fault::Switched),
            100..200 => self.interim += len,
            _ => {
                let minor = found.version.unwrap_or(0);
                self.frame(status, minor, found.headers, room)?;
                let reason = found.reason.unwrap_or_default().as_bytes();
                self.keep_head(octets, (status, minor), reason, found.headers);
            }
        }
        Ok(Some(len))
    }

    fn keep_head(
        &mut self,
        octets: &[u8],
        (status, minor): (u16, u8),
        reason: &[u8],
        fields: &[httparse::Header<'_>],
    ) {
        let head = &mut self.head;
        (head.status, head.minor) = (status, minor);
        if self.unread {
            return;
        }
        head.reason =
            if reason.is_empty() { Span::default() } else { Span::within(octets, reason) };
        head.octets.clear();
        head.octets.extend_from_slice(octets);
        head.fields.clear();
        head.fields.extend(fields.iter().map(|field| Field {
            name: Span::within(octets, field.name.as_bytes()),
            value: Span::within(octets, field.value),
        }));
    }

    fn frame(
        &mut self,
        status: u16,
        minor: u8,
        fields: &[httparse::Header<'_>],
        room: u64,
    ) -> Result<(), Fault> {
        let (mut length, mut chunked) = (None, None);
        let (mut keep, mut close) = (minor == 1, false);
        for field in fields {
            let (name, value) = (field.name.as_bytes(), field.value);
            match name.len() {
                10 if name.eq_ignore_ascii_case(b"connection") => {
                    for option in options(value) {
                        close |= option.eq_ignore_ascii_case(b"close");
                        keep |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case(b"content-length") => {
                    for element in options(value) {
                        let value = decimal(element).ok_or(Fault::Framing)?;
                        if length.replace(value).is_some_and(|before| before != value) {
                            return Err(Fault::Framing);
                        }
                    }
                }
                17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                    for coding in options(value).filter(|coding| !coding.is_empty()) {
                        // Once, and nothing before it: no other was asked for by TE.
                        if chunked.is_some() || !coding.eq_ignore_ascii_case(b"chunked") {
                            return Err(Fault::Framing);
                        }
                        chunked = Some(());
                    }
                }
                _ => {}
            }
        }
        self.keep = keep && !close;
        self.state = if self.bodiless || matches!(status, 204 | 304) {
            State::Done
        } else if chunked.is_some() {
            self.keep &= length.is_none() && minor == 1;
            State::Chunked(Chunked::default())
        } else if let Some(length) = length {
            if length > room {
                return Err(Fault::BodyTooLarge);
            }
            State::Length(length)
        } else {
            self.keep = false;
            State::UntilClose
        };
        Ok(())
    }
}

/// Calls `each` with the name and the value of every field of `lines`.
///
/// # Errors
/// They are none.
pub fn each_field<'a>(
    lines: &'a [u8],
    mut each: impl FnMut(&'a str, &'a [u8]),
) -> Result<(), Fault> {
    for line in lines.split_inclusive(|&octet| octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::Chunk)?;
        let colon = memchr::memchr(b':', line).ok_or(Fault::Chunk)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !crate::reply::is_field(name, value) {
            return Err(Fault::Chunk);
        }
        // A token is ASCII.
        each(std::str::from_utf8(name).map_err(|_| Fault::Chunk)?, value);
    }
    Ok(())
}

fn broken(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::BodyTooLarge => Fault::BodyTooLarge,
        Refusal::HeadTooLarge => Fault::HeadTooLarge,
        _ => Fault::Chunk,
    }
}

/// Digits only, of what a u64 holds without care.
fn decimal(value: &[u8]) -> Option<u64> {
    let fits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
    fits.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunked::{Kept, Skipped};

    const LIMITS: Limits = Limits { head: 1024, fields: 16 };
    const MOST: usize = 64;

    type Whole = (u16, Vec<u8>, usize, bool);

    fn read_in(text: &str, piece: usize, bodiless: bool) -> Result<Option<Whole>, Fault> {
        let (mut reader, mut body, mut used) = (Reader::default(), vec![], 0);
        reader.expect(bodiless);
        let mut status = None;
        for octets in text.as_bytes().chunks(piece) {
            let mut at = 0;
            loop {
                let mut sink = Kept { out: &mut body, most: MOST };
                let (taken, step) = reader.feed(&octets[at..], &mut sink, &LIMITS)?;
                at += taken;
                match step {
                    Step::Head => {
                        assert!(status.is_none());
                        status = Some(reader.take_head().status);
                    }
                    Step::More => break,
                    Step::Done => {
                        return Ok(Some((status.unwrap(), body, used + at, reader.keeps())));
                    }
                }
            }
            used += at;
        }
        let status = status.filter(|_| reader.end().is_ok());
        Ok(status.map(|status| (status, body, used, reader.keeps())))
    }

    /// Whole, octet by octet and in threes: all end in the same.
    fn read(text: &str) -> Result<Option<Whole>, Fault> {
        let whole = read_in(text, text.len(), false);
        for piece in [1, 3] {
            assert_eq!(read_in(text, piece, false), whole, "{text:?} in pieces of {piece}");
        }
        whole
    }

    #[expect(clippy::unnecessary_wraps, reason = "what `read` gives")]
    fn ok(body: &str, text: &str, keep: bool) -> Result<Option<Whole>, Fault> {
        Ok(Some((200, body.into(), text.len(), keep)))
    }

    #[test]
    fn a_length_ends_it() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(read(text), ok("abc", text, true));
        assert_eq!(read(&format!("{text}HTTP")), ok("abc", text, true));
        assert_eq!(read(&text[..text.len() - 1]), Ok(None));
        for same in ["Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3, 3"] {
            let text = text.replace("Content-Length: 3", same);
            assert_eq!(read(&text), ok("abc", &text, true));
        }
    }

    #[test]
    fn what_is_passed_over_is_counted() {
        let (mut reader, mut body) = (Reader::default(), vec![]);
        let mut feed = |reader: &mut Reader, text: &str| {
            let mut sink = Kept { out: &mut body, most: MOST };
            reader.feed(text.as_bytes(), &mut sink, &LIMITS).unwrap()
        };
        assert_eq!(reader.pass(5), 0);
        feed(&mut reader, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        assert_eq!((reader.pass(5), feed(&mut reader, "")), (5, (0, Step::More)));
        assert_eq!((reader.pass(5), feed(&mut reader, "next")), (4, (0, Step::Done)));
        reader.expect(false);
        feed(&mut reader, "HTTP/1.1 200 OK\r\n\r\n");
        assert_eq!((reader.pass(5), reader.end()), (5, Ok(())));
        reader.expect(false);
        feed(&mut reader, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        assert_eq!(reader.pass(5), 0);
    }

    #[test]
    fn chunks_end_it_and_their_trailers_are_kept() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                    3;a=\"b\"\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
        assert_eq!(read(text), ok("abc", text, true));
        let mut reader = Reader::default();
        let head = reader.feed(text.as_bytes(), &mut Skipped, &LIMITS).unwrap();
        reader.feed(&text.as_bytes()[head.0..], &mut Skipped, &LIMITS).unwrap();
        assert_eq!(reader.take_trailers(), b"X-Sum: 1\r\n");
    }

    #[test]
    fn chunked_beside_a_length_is_chunked_and_the_last() {
        for lines in [
            "content-length: 3\r\ntransfer-encoding: chunked",
            "transfer-encoding: Chunked\r\ncontent-length: 3",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n1\r\na\r\n0\r\n\r\n");
            assert_eq!(read(&text), ok("a", &text, false));
        }
        let text = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(read(text), ok("", text, false));
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for lines in [
            "content-length: 1\r\ncontent-length: 2",
            "content-length: 1, 2",
            "content-length: +1",
            "content-length:",
            "content-length: 1,",
            "content-length: 0x1",
            "content-length: 9999999999999999999",
            "transfer-encoding: gzip, chunked",
            "transfer-encoding: chunked, gzip",
            "transfer-encoding: chunked, chunked",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            "transfer-encoding: identity",
            "transfer-encoding: xchunked",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
            assert_eq!(read(&text), Err(Fault::Framing), "{lines}");
        }
    }

    #[test]
    fn what_is_no_head_is_refused() {
        for text in [
            "HTTP/1.1 200 OK\nx: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\n\r\n",
            "HTTP/1.1 200 OK\r\nx: y\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx : y\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 99 X\r\n\r\n",
            "HTTP/1.1 099 X\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(read_in(text, text.len(), false), Err(Fault::NotHttp), "{text:?}");
        }
        assert_eq!(read("HTTP/1.1 101 Up\r\n\r\n"), Err(Fault::Switched));
    }

    #[test]
    fn broken_chunks_are_refused() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for body in ["\r\n", "g\r\n", "3\nabc", "3\r\nabcd\r\n", "0\r\n\n", "0\r\nno field\r\n\r\n"]
        {
            assert_eq!(read(&format!("{head}{body}")), Err(Fault::Chunk), "{body:?}");
        }
    }

    #[test]
    fn some_answers_have_no_body() {
        for status in [204, 304] {
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n");
            assert_eq!(read(&text), Ok(Some((status, vec![], text.len(), true))));
        }
        for lines in ["content-length: 9", "transfer-encoding: chunked"] {
            let text = format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n");
            assert_eq!(read_in(&text, 1, true), ok("", &text, true));
        }
    }

    #[test]
    fn interim_answers_are_passed_over_within_the_limit_of_a_head() {
        let early = "HTTP/1.1 103 Early Hints\r\nlink: x\r\ncontent-length: 4\r\n\r\n";
        let text = format!(
            "{early}HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(read(&text), ok("", &text, true));
        assert_eq!(read(&early.repeat(100)), Err(Fault::HeadTooLarge));
    }

    #[test]
    fn closing_is_said_or_follows_from_the_version() {
        for (version, line, keep) in [
            (1, "connection: x, Close", false),
            (1, "x: y", true),
            (0, "x: y", false),
            (0, "connection: keep-alive", true),
            (0, "connection: keep-alive, close", false),
        ] {
            let text = format!("HTTP/1.{version} 200 OK\r\n{line}\r\ncontent-length: 0\r\n\r\n");
            assert_eq!(read(&text), ok("", &text, keep));
        }
    }

    #[test]
    fn without_a_length_the_end_is_the_end() {
        let text = "HTTP/1.1 200 OK\r\n\r\nabc";
        assert_eq!(read(text), ok("abc", text, false));
        assert_eq!(Reader::default().end(), Err(Fault::Cut));
    }

    #[test]
    fn sizes_are_bounded() {
        let start = "HTTP/1.1 200 OK\r\n";
        for text in [
            format!("{start}content-length: 65\r\n\r\n"),
            format!("{start}\r\n{}", "a".repeat(65)),
            format!("{start}transfer-encoding: chunked\r\n\r\n41\r\n"),
        ] {
            assert_eq!(read_in(&text, text.len(), false), Err(Fault::BodyTooLarge));
            assert_eq!(read_in(&text, 1, false), Err(Fault::BodyTooLarge));
        }
        for text in [
            format!("{start}a: {}", "b".repeat(2000)),
            format!("{start}a: {}\r\n\r\n", "b".repeat(2000)),
            format!("{start}{}\r\n", "a: b\r\n".repeat(17)),
        ] {
            assert_eq!(read(&text), Err(Fault::HeadTooLarge));
        }
    }
}
