//! Responses: bytes in, where one ends and what its status was.
//!
//! RFC 9112 section 6.3 decides the length of a body: no body for HEAD, 1xx, 204 and 304; chunked;
//! content-length; else everything until the connection closes.

/// A head longer than this is no answer (nginx and Go's client: 1 MiB and 10 MiB; ours is leaner
/// because nothing of it is kept).
const HEAD_BYTES: usize = 64 * 1024;
/// Apache's limit on request fields; no sensible server answers with more.
const HEADERS: usize = 100;

/// A complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether another request may follow on the connection.
    pub(crate) keep: bool,
}

/// The peer does not speak HTTP/1.1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotHttp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    UntilClose,
    Chunk(Chunk),
}

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    Size { size: u64, digits: u8 },
    Extension(u64),
    SizeEnd(u64),
    Data(u64),
    DataReturn,
    DataEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
}

/// Reads the responses of one connection, one after the other.
pub(crate) struct Reader {
    state: State,
    answer: Answer,
    /// An incomplete head; empty on the fast path, where a head arrives whole.
    partial: Vec<u8>,
    bodiless: bool,
}

impl Reader {
    pub(crate) fn new() -> Self {
        let answer = Answer { status: 0, keep: true };
        Self { state: State::Head, answer, partial: Vec::new(), bodiless: false }
    }

    /// Forgets everything: a new request, on this connection or the next.
    pub(crate) fn expect(&mut self, bodiless: bool) {
        self.state = State::Head;
        self.partial.clear();
        self.bodiless = bodiless;
    }

    /// Takes bytes in; gives the answer once it is complete, and how many bytes it took.
    pub(crate) fn feed(&mut self, data: &[u8]) -> Result<(usize, Option<Answer>), NotHttp> {
        let mut used = 0;
        loop {
            let rest = &data[used..];
            match self.state {
                State::Head => {
                    let Some(head) = self.head(rest)? else {
                        return Ok((data.len(), None));
                    };
                    used += head;
                }
                State::Length(0) => return Ok((used, Some(self.complete()))),
                State::Length(_) | State::UntilClose | State::Chunk(_) if rest.is_empty() => {
                    return Ok((used, None));
                }
                State::Length(left) => {
                    let taken = left.min(rest.len() as u64);
                    self.state = State::Length(left - taken);
                    used += taken as usize;
                }
                State::UntilClose => return Ok((data.len(), None)),
                State::Chunk(chunk) => {
                    let (taken, next) = chunk.advance(rest)?;
                    used += taken;
                    self.state = next.map_or(State::Length(0), State::Chunk);
                }
            }
        }
    }

    /// The peer closed: an answer without a length is complete, any other is cut short.
    pub(crate) fn close(&mut self) -> Option<Answer> {
        (self.state == State::UntilClose).then(|| self.complete())
    }

    fn complete(&mut self) -> Answer {
        self.state = State::Head;
        self.answer
    }

    /// Reads a head; gives how many bytes of `data` it took, None: it is incomplete.
    fn head(&mut self, data: &[u8]) -> Result<Option<usize>, NotHttp> {
        let before = self.partial.len();
        if before == 0 {
            if let Some(end) = self.parse(data)? {
                return Ok(Some(end));
            }
            self.partial.extend_from_slice(data);
        } else {
            self.partial.extend_from_slice(data);
            let partial = std::mem::take(&mut self.partial);
            if let Some(end) = self.parse(&partial)? {
                return Ok(Some(end - before));
            }
            self.partial = partial;
        }
        if self.partial.len() > HEAD_BYTES {
            return Err(NotHttp);
        }
        Ok(None)
    }

    fn parse(&mut self, data: &[u8]) -> Result<Option<usize>, NotHttp> {
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; HEADERS];
        let mut head = httparse::Response::new(&mut []);
        let parsed = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut head, data, &mut fields)
            .map_err(|_| NotHttp)?;
        let httparse::Status::Complete(end) = parsed else {
            return Ok(None);
        };
        let status = head.code.ok_or(NotHttp)?;
        if (100..200).contains(&status) && status != 101 {
            return Ok(Some(end)); // interim (100, 102, 103): the answer is still to come
        }
        // 101: what follows is another protocol
        self.answer = Answer { status, keep: head.version == Some(1) && status != 101 };
        self.state = self.framing(status, head.headers)?;
        Ok(Some(end))
    }

    fn framing(&mut self, status: u16, headers: &[httparse::Header]) -> Result<State, NotHttp> {
        let mut length = None;
        let mut coded = None;
        for field in headers {
            if field.name.eq_ignore_ascii_case("content-length") {
                let value = decimal(field.value).ok_or(NotHttp)?;
                if length.is_some_and(|known| known != value) {
                    return Err(NotHttp);
                }
                length = Some(value);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                coded = Some(field.value);
            } else if field.name.eq_ignore_ascii_case("connection") {
                self.connection(field.value);
            }
        }
        if self.bodiless || matches!(status, 101 | 204 | 304) {
            return Ok(State::Length(0));
        }
        Ok(match (coded, length) {
            (Some(coding), _) if has_token(coding, "chunked") => {
                State::Chunk(Chunk::Size { size: 0, digits: 0 })
            }
            (None, Some(length)) => State::Length(length),
            _ => {
                self.answer.keep = false;
                State::UntilClose
            }
        })
    }

    fn connection(&mut self, value: &[u8]) {
        if has_token(value, "close") {
            self.answer.keep = false;
        } else if has_token(value, "keep-alive") {
            self.answer.keep = true; // HTTP/1.0 closes unless it says so
        }
    }
}

impl Chunk {
    /// Takes some of `data` (not empty); None: that was the end of the body.
    fn advance(self, data: &[u8]) -> Result<(usize, Option<Self>), NotHttp> {
        let byte = data[0];
        let next = match (self, byte) {
            (Self::Data(left), _) => {
                let taken = left.min(data.len() as u64);
                let rest = left - taken;
                let next = if rest == 0 { Self::DataReturn } else { Self::Data(rest) };
                return Ok((taken as usize, Some(next)));
            }
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                let digit = (byte as char).to_digit(16).map_or(0, u64::from);
                Self::Size { size: size << 4 | digit, digits: digits + 1 }
            }
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension(size),
            (Self::Size { size, digits: 1.. } | Self::Extension(size), b'\r') => {
                Self::SizeEnd(size)
            }
            (Self::Extension(size), _) if byte != b'\n' => Self::Extension(size),
            (Self::SizeEnd(0) | Self::TrailerEnd, b'\n') => Self::TrailerStart,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataReturn, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::TrailerStart, b'\r') => Self::LastEnd,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::TrailerStart | Self::Trailer, _) if byte != b'\n' => Self::Trailer,
            (Self::LastEnd, b'\n') => return Ok((1, None)),
            _ => return Err(NotHttp),
        };
        Ok((1, Some(next)))
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    if !value.first()?.is_ascii_digit() {
        return None; // parse() would take a sign
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|&byte| byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Answer = Answer { status: 200, keep: true };
    const LAST: Answer = Answer { status: 200, keep: false };

    /// Feeds the text whole and byte by byte; both must end in the same answer and place.
    fn read(text: &str) -> Result<(usize, Option<Answer>), NotHttp> {
        let whole = Reader::new().feed(text.as_bytes());
        let mut reader = Reader::new();
        let mut drip = Ok((text.len(), None));
        for (at, byte) in text.bytes().enumerate() {
            match reader.feed(&[byte]) {
                Ok((_, None)) => {}
                Ok((1, Some(answer))) => {
                    drip = Ok((at + 1, Some(answer)));
                    break;
                }
                other => {
                    drip = other.map(|(_, answer)| (0, answer));
                    break;
                }
            }
        }
        assert_eq!(whole, drip, "whole and dripped differ: {text:?}");
        whole
    }

    #[test]
    fn answers_end_where_their_length_says() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(read(sized), Ok((sized.len(), Some(OK))));
        assert_eq!(read(&format!("{sized}HTTP")), Ok((sized.len(), Some(OK))));
        let empty = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(empty), Ok((empty.len(), Some(Answer { status: 404, keep: true }))));
    }

    #[test]
    fn chunks_trailers_and_extensions_are_passed_over() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                    3;a=\"b\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n";
        assert_eq!(read(text), Ok((text.len(), Some(OK))));
    }

    #[test]
    fn broken_chunks_are_no_http() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        for body in ["\r\n", "g\r\n", "3\nabc", "3\r\nabcd\r\n", "11111111111111111\r\n", "0\r\n\n"]
        {
            assert_eq!(read(&format!("{head}{body}")), Err(NotHttp), "{body:?}");
        }
    }

    #[test]
    fn some_statuses_have_no_body() {
        for status in [204, 304] {
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\n");
            assert_eq!(read(&text), Ok((text.len(), Some(Answer { status, keep: true }))));
        }
        let mut reader = Reader::new();
        reader.expect(true);
        let text = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n";
        assert_eq!(reader.feed(text), Ok((text.len(), Some(OK))));
    }

    #[test]
    fn interim_answers_are_skipped() {
        let text = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(text), Ok((text.len(), Some(OK))));
    }

    #[test]
    fn closing_is_said_or_follows_from_the_version() {
        let close = "HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(close), Ok((close.len(), Some(LAST))));
        let old = "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(old), Ok((old.len(), Some(LAST))));
        let kept = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(read(kept), Ok((kept.len(), Some(OK))));
    }

    #[test]
    fn without_a_length_the_close_is_the_end() {
        let mut reader = Reader::new();
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\n\r\nabc"), Ok((22, None)));
        assert_eq!(reader.close(), Some(LAST));
    }

    #[test]
    fn a_close_within_a_length_is_no_answer() {
        let mut reader = Reader::new();
        assert_eq!(reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab").unwrap().1, None);
        assert_eq!(reader.close(), None);
    }

    #[test]
    fn lengths_that_disagree_or_lie_are_no_http() {
        for lines in
            ["content-length: 1\r\ncontent-length: 2", "content-length: +1", "content-length:"]
        {
            assert_eq!(
                read(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")),
                Err(NotHttp),
                "{lines}"
            );
        }
    }
}
