//! A request as it is handed over, and a body on its way in.
//!
//! A body that came with its head needs none of this. Any other begins as a claim: the caller sees
//! the head first, and either collects the body (the request is handed over again, whole), or
//! takes it piece by piece, or answers without having read it.
use crate::token::Token;
use wire::websocket::Handshake;
use wire::{Chunked, Framing, Head, Refusal};

/// Reserved for a body before any of it has come: a claimed length is only a claim.
const FIRST_BYTES: usize = 64 * 1024;
/// Bytes of a streamed body that wait for their handler; more stay in the socket (one read).
pub const AHEAD: usize = 64 * 1024;

/// Bytes of an unread body that are worth reading to keep a connection (Go: 256 KiB).
const WORTH_READING: u64 = 256 * 1024;

/// Where a request's body lies.
#[derive(Debug, Default)]
pub enum Content {
    /// Behind the head, in the same bytes.
    #[default]
    Behind,
    /// By itself.
    Apart(Vec<u8>),
    /// Still on its way.
    Awaited,
}

/// A request.
#[derive(Debug, Default)]
pub struct Incoming {
    /// Whose it is.
    pub token: Token,
    /// What its head says.
    pub head: Head,
    /// The head's bytes, and the body's where it lies behind.
    pub bytes: Vec<u8>,
    /// Where the body lies.
    pub content: Content,
    /// It came by TLS.
    pub secure: bool,
    /// It is a stream of an HTTP/2 connection.
    pub multiplexed: bool,
}

impl Incoming {
    /// The body; empty while it is awaited.
    pub fn body(&self) -> &[u8] {
        match &self.content {
            Content::Behind => &self.bytes[self.head.len..],
            Content::Apart(bytes) => bytes,
            Content::Awaited => &[],
        }
    }

    /// What it says as the opening handshake of a WebSocket.
    ///
    /// # Errors
    /// It cannot be completed: see [`Handshake::read`].
    pub fn handshake(&self) -> Result<Handshake, Refusal> {
        Handshake::read(&self.head, &self.bytes, self.multiplexed)
    }
}

/// What there is of a streamed body.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes; never none of them.
    Bytes(Vec<u8>),
    /// Nothing now: [`crate::Event::Body`] will tell.
    Later,
    /// It is whole, and all of it was taken.
    End,
    /// It will not become whole.
    Failed(Refusal),
}

enum Rest {
    Bytes(u64),
    Chunks(Chunked),
    /// HTTP/2 says by itself where it ends; so much was claimed.
    Frames {
        claimed: u64,
        ended: bool,
    },
}

/// Who reads the body.
enum Reader {
    /// Not decided yet.
    Nobody,
    /// We do, for a request that is handed over whole.
    Whole(Box<Incoming>),
    /// The handler, piece by piece.
    Handler,
    /// Nobody any more: the request is answered, and the next one stands behind this body.
    Void,
}

/// A body that has not all come.
pub struct Intake {
    body: Vec<u8>,
    rest: Rest,
    reader: Reader,
    /// The most octets, over all pieces.
    limit: u64,
    decoded: u64,
    received: u64,
    /// The peer waits for 100 Continue.
    expects: bool,
    /// When the peer was first waited for, moved by the time that we did not want more.
    started: u64,
    rested: u64,
    /// The handler waits for the next piece.
    pub wanted: bool,
    failed: Option<Refusal>,
}

impl Intake {
    /// Begins behind a head, with what of its body is there.
    ///
    /// # Errors
    /// What is there is no such body.
    pub fn new(head: &Head, data: &[u8], now: u64) -> Result<(Intake, usize), Refusal> {
        let rest = match head.framing {
            Framing::Length(size) => Rest::Bytes(size),
            Framing::Chunked => Rest::Chunks(Chunked::default()),
        };
        let mut intake = Intake::of(rest, head, now);
        let used = intake.feed(data)?;
        // Who has begun to send does not wait.
        intake.expects &= used == 0;
        Ok((intake, used))
    }

    /// Begins behind a head whose body comes in frames.
    pub fn of_frames(head: &Head, now: u64) -> Intake {
        let claimed = match head.framing {
            Framing::Length(size) => size,
            Framing::Chunked => 0,
        };
        Intake::of(Rest::Frames { claimed, ended: false }, head, now)
    }

    fn of(rest: Rest, head: &Head, now: u64) -> Intake {
        Intake {
            body: vec![],
            rest,
            reader: Reader::Nobody,
            limit: u64::MAX,
            decoded: 0,
            received: 0,
            expects: head.expects,
            started: now,
            rested: now,
            wanted: false,
            failed: None,
        }
    }

    /// Takes a frame's octets, all of them.
    pub fn take_frame(&mut self, data: &[u8]) {
        self.received += data.len() as u64;
        self.decoded += data.len() as u64;
        if let Rest::Frames { claimed, .. } = &mut self.rest {
            *claimed = claimed.saturating_sub(data.len() as u64);
        }
        if self.decoded > self.limit {
            self.fail(Refusal::BodyTooLarge);
        } else {
            self.body.extend_from_slice(data);
        }
    }

    /// The last frame has come.
    pub fn end(&mut self) {
        if let Rest::Frames { ended, .. } = &mut self.rest {
            *ended = true;
        }
    }

    /// Whether it will not become whole.
    pub fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Keeps the request until its body is whole.
    ///
    /// # Errors
    /// It is larger than `limit` already, or says that it will be.
    pub fn collect(&mut self, incoming: Box<Incoming>, limit: u64) -> Result<(), Refusal> {
        self.bound(limit)?;
        let owed = usize::try_from(self.owed()).unwrap_or(usize::MAX);
        self.body.reserve(owed.min(FIRST_BYTES));
        self.reader = Reader::Whole(incoming);
        Ok(())
    }

    /// Leaves the reading to the handler.
    ///
    /// # Errors
    /// As [`Intake::collect`].
    pub fn hand_over(&mut self, limit: u64) -> Result<(), Refusal> {
        self.bound(limit)?;
        self.reader = Reader::Handler;
        Ok(())
    }

    fn bound(&mut self, limit: u64) -> Result<(), Refusal> {
        self.limit = limit;
        if self.decoded.saturating_add(self.owed()) > limit {
            return Err(Refusal::BodyTooLarge);
        }
        Ok(())
    }

    /// Whether 100 Continue is due now; says so once.
    pub fn invites(&mut self) -> bool {
        std::mem::take(&mut self.expects)
    }

    /// Whether bytes of the peer are wanted now.
    pub fn has_room(&self) -> bool {
        let room = match self.reader {
            Reader::Nobody => false,
            Reader::Whole(..) | Reader::Void => true,
            Reader::Handler => self.body.len() < AHEAD,
        };
        room && self.failed.is_none() && !self.is_done()
    }

    /// Whether a handler reads it.
    pub fn is_streamed(&self) -> bool {
        matches!(self.reader, Reader::Handler)
    }

    /// Whether its request was answered without it.
    pub fn is_void(&self) -> bool {
        matches!(self.reader, Reader::Void)
    }

    /// Whether the rest is so little that reading it costs less than another connection. A peer
    /// that waits for 100 Continue may leave the body out, or not: then nobody knows where the
    /// next request begins.
    pub fn can_be_skipped(&self) -> bool {
        self.failed.is_none() && !self.expects && self.owed() <= WORTH_READING
    }

    /// Reads the rest for nobody.
    pub fn skip(&mut self) {
        (self.reader, self.body) = (Reader::Void, vec![]);
        self.limit = self.decoded + WORTH_READING;
    }

    fn owed(&self) -> u64 {
        match &self.rest {
            Rest::Bytes(left) => *left,
            Rest::Chunks(decoder) => decoder.owed(),
            Rest::Frames { claimed, .. } => *claimed,
        }
    }

    /// Takes what of `data` belongs to the body; gives how much that was.
    pub fn feed(&mut self, data: &[u8]) -> Result<usize, Refusal> {
        let before = self.body.len();
        let used = match &mut self.rest {
            Rest::Bytes(left) => {
                let take = (data.len() as u64).min(*left);
                self.body.extend_from_slice(&data[..take as usize]);
                *left -= take;
                take as usize
            }
            Rest::Chunks(decoder) => {
                let left = usize::try_from(self.limit - self.decoded).unwrap_or(usize::MAX);
                decoder.feed(data, &mut self.body, before.saturating_add(left))?
            }
            Rest::Frames { .. } => 0,
        };
        self.decoded += (self.body.len() - before) as u64;
        self.received += used as u64;
        if self.is_void() {
            self.body.clear();
        }
        Ok(used)
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        match &self.rest {
            Rest::Bytes(left) => *left == 0,
            Rest::Chunks(decoder) => decoder.is_done(),
            Rest::Frames { ended, .. } => *ended,
        }
    }

    /// When a body that keeps the lowest rate would have come this far (Kestrel's
    /// MinRequestBodyDataRate: a grace, then so many bytes a second on the average).
    pub fn patience(&self, grace: u64, rate: u64) -> u64 {
        let earned = match rate {
            0 => return u64::MAX,
            rate => u128::from(self.received) * 1_000_000_000 / u128::from(rate),
        };
        self.started.saturating_add(grace).saturating_add(earned.min(u128::from(u64::MAX)) as u64)
    }

    /// The next piece for the handler. The time until it asks again does not count as the peer's.
    pub fn take(&mut self, now: u64) -> Piece {
        if !self.body.is_empty() {
            self.rested = now;
            return Piece::Bytes(std::mem::take(&mut self.body));
        }
        if let Some(refusal) = self.failed {
            return Piece::Failed(refusal);
        }
        if self.is_done() {
            return Piece::End;
        }
        if !std::mem::replace(&mut self.wanted, true) {
            self.started += now - self.rested;
        }
        Piece::Later
    }

    /// Whether the handler waits for what has come now; it is told once.
    pub fn tells(&mut self, now: u64) -> bool {
        let news = !self.body.is_empty() || self.failed.is_some() || self.is_done();
        if !(self.wanted && news) {
            return false;
        }
        (self.wanted, self.rested) = (false, now);
        true
    }

    /// Gives the rest up; the handler learns why.
    pub fn fail(&mut self, refusal: Refusal) {
        self.failed = Some(refusal);
    }

    /// The request with its body; `None` where it was not collected.
    pub fn finish(self) -> Option<Box<Incoming>> {
        let Reader::Whole(mut incoming) = self.reader else { return None };
        incoming.content = Content::Apart(self.body);
        Some(incoming)
    }

    /// The body that was whole before anybody had to decide.
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}
