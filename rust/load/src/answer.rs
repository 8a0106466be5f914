//! Responses: bytes in, where one ends and what its status was; nothing of them is kept.
use wire::Skipped;
use wire::response::{Limits, Reader as Whole, Step};

/// A head longer than this is no answer (nginx and Go's client: 1 MiB and 10 MiB); Apache's limit
/// on request fields, and no sensible server answers with more.
const LIMITS: Limits = Limits { head: u16::MAX as usize, fields: 100 };

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

/// Reads the responses of one connection, one after the other.
pub(crate) struct Reader(Whole);

impl Reader {
    pub(crate) fn new() -> Self {
        Self(Whole::of_statuses())
    }

    /// Forgets everything: a new request, on this connection or the next.
    pub(crate) fn expect(&mut self, bodiless: bool) {
        self.0.expect(bodiless);
    }

    /// Takes bytes in; gives the answer once it is complete, and how many bytes it took.
    pub(crate) fn feed(&mut self, data: &[u8]) -> Result<(usize, Option<Answer>), NotHttp> {
        let mut used = 0;
        loop {
            let fed = self.0.feed(&data[used..], &mut Skipped, &LIMITS);
            let (taken, step) = fed.map_err(|_| NotHttp)?;
            used += taken;
            match step {
                Step::More => return Ok((used, None)),
                Step::Head => {}
                Step::Done => return Ok((used, Some(self.answer()))),
            }
        }
    }

    /// The peer closed: an answer without a length is complete, any other is cut short.
    pub(crate) fn close(&mut self) -> Option<Answer> {
        self.0.end().is_ok().then(|| self.answer())
    }

    fn answer(&self) -> Answer {
        Answer { status: self.0.status(), keep: self.0.keeps() }
    }
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
