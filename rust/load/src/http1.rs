//! HTTP/1.1 on one connection: requests in the order sent, answers in the same order.
use std::collections::VecDeque;

use crate::answer::Reader;
use crate::connection::{Ended, Flow, Request};
use crate::tally::{Failure, Trouble};

/// How much of an answer that is none is shown.
const SHOWN: usize = 40;

pub(crate) struct Http1 {
    reader: Reader,
    /// More than one only with pipelining.
    pending: VecDeque<Request>,
}

impl Http1 {
    pub(crate) fn new() -> Self {
        Self { reader: Reader::new(), pending: VecDeque::new() }
    }

    pub(crate) fn pending(&self) -> &VecDeque<Request> {
        &self.pending
    }

    pub(crate) fn begin(&mut self, request: Request) {
        if self.pending.is_empty() {
            self.reader.expect(request.bodiless);
        }
        self.pending.push_back(request);
    }

    /// Takes bytes in; appends what they ended.
    pub(crate) fn feed(&mut self, data: &[u8], ended: &mut Vec<Ended>) -> Result<Flow, Trouble> {
        let mut used = 0;
        while used < data.len() {
            let rest = &data[used..];
            if self.pending.is_empty() {
                return Err(garbage("an answer that nobody asked for", rest));
            }
            let (taken, answer) = self.reader.feed(rest).map_err(|_| garbage("answer", rest))?;
            used += taken;
            let Some(answer) = answer else {
                break;
            };
            if self.pending.len() == 1 && used < data.len() {
                return Err(garbage("more than the answer", &data[used..]));
            }
            if let Some(request) = self.pending.pop_front() {
                ended.push(Ended { request, outcome: Ok(answer.status) });
            }
            if !answer.keep {
                return Ok(Flow::Over);
            }
            if let Some(next) = self.pending.front() {
                self.reader.expect(next.bodiless);
            }
        }
        Ok(Flow::On)
    }

    /// The peer closed: that may be the end of an answer without a length (RFC 9112 section 6.3).
    pub(crate) fn close(&mut self, ended: &mut Vec<Ended>) {
        let answer = self.reader.close();
        if let (Some(answer), Some(_)) = (answer, self.pending.front()) {
            let request = self.pending.pop_front();
            ended.extend(request.map(|request| Ended { request, outcome: Ok(answer.status) }));
        }
    }

    /// Everything that waits, for a connection that ends.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Request> + '_ {
        self.pending.drain(..)
    }
}

fn garbage(what: &str, data: &[u8]) -> Trouble {
    let shown = data[..data.len().min(SHOWN)].escape_ascii();
    Failure::Protocol.because(format!("{what}: b\"{shown}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(count: u64) -> Http1 {
        let mut http = Http1::new();
        for number in 0..count {
            http.begin(Request { number, kind: 0, bodiless: number == 1, start: 0, given: 0 });
        }
        http
    }

    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n";

    #[test]
    fn pipelined_answers_belong_to_the_requests_in_order() {
        let text = format!("{OK}hi{OK}{OK}hi"); // the second asked with HEAD
        for size in 1..text.len() {
            let (mut http, mut ended) = (asked(3), Vec::new());
            for part in text.as_bytes().chunks(size) {
                assert!(matches!(http.feed(part, &mut ended), Ok(Flow::On)), "{size}");
            }
            assert_eq!(ended.iter().map(|end| end.request.number).collect::<Vec<_>>(), [0, 1, 2]);
            assert!(http.pending().is_empty());
        }
    }

    #[test]
    fn what_nobody_asked_for_is_shown() {
        let mut ended = Vec::new();
        let text = format!("{OK}hi\x01more");
        let trouble = asked(1).feed(text.as_bytes(), &mut ended).err().unwrap();
        assert_eq!(trouble.why, "more than the answer: b\"\\x01more\"");
        let trouble = asked(0).feed(b"HTTP/1.1 408 X\r\n", &mut ended).err().unwrap();
        assert!(trouble.why.starts_with("an answer that nobody asked for"), "{}", trouble.why);
        assert!(ended.is_empty());
    }

    #[test]
    fn a_close_is_the_end_of_what_has_no_length_only() {
        let mut ended = Vec::new();
        let (mut cut, mut whole) = (asked(1), asked(1));
        cut.feed(OK.as_bytes(), &mut ended).ok().unwrap();
        cut.close(&mut ended);
        assert!(ended.is_empty());
        assert_eq!(cut.abandon().count(), 1);
        whole.feed(b"HTTP/1.1 200 OK\r\n\r\nabc", &mut ended).ok().unwrap();
        whole.close(&mut ended);
        assert_eq!(ended.len(), 1);
    }
}
