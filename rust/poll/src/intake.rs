//! A request as it is handed over, and a body on its way in.
use crate::token::Token;
use wire::{Chunked, Framing, Head, Refusal};

/// Reserved for a body before any of it has come: a claimed length is only a claim.
const FIRST_BYTES: usize = 64 * 1024;

/// Where a request's body lies.
#[derive(Debug)]
pub enum Content {
    /// Behind the head, in the same bytes.
    Behind,
    /// By itself.
    Apart(Vec<u8>),
}

/// A whole request.
#[derive(Debug)]
pub struct Incoming {
    /// Whose it is.
    pub token: Token,
    /// What its head says.
    pub head: Head,
    /// The head's bytes, and the body's where it lies behind.
    pub bytes: Box<[u8]>,
    /// Where the body lies.
    pub content: Content,
}

impl Incoming {
    /// The body.
    pub fn body(&self) -> &[u8] {
        match &self.content {
            Content::Behind => &self.bytes[self.head.len..],
            Content::Apart(bytes) => bytes,
        }
    }
}

enum Rest {
    Bytes(usize),
    Chunks(Chunked),
}

/// A request whose body has not all come.
pub struct Intake {
    head: Head,
    bytes: Box<[u8]>,
    body: Vec<u8>,
    rest: Rest,
    started: u64,
    received: u64,
}

impl Intake {
    /// Begins with a head whose body needs more reads.
    pub fn new(head: Head, bytes: &[u8], now: u64) -> Intake {
        let (rest, reserve) = match head.framing {
            Framing::Length(size) => (Rest::Bytes(size as usize), size as usize),
            Framing::Chunked => (Rest::Chunks(Chunked::default()), 0),
        };
        Intake {
            head,
            bytes: bytes.into(),
            body: Vec::with_capacity(reserve.min(FIRST_BYTES)),
            rest,
            started: now,
            received: 0,
        }
    }

    /// Whether the peer waits for 100 Continue.
    pub fn expects(&self) -> bool {
        self.head.expects
    }

    /// Takes what of `data` belongs to the body; gives how much that was.
    pub fn feed(&mut self, data: &[u8], most: usize) -> Result<usize, Refusal> {
        let used = match &mut self.rest {
            Rest::Bytes(left) => {
                let take = data.len().min(*left);
                self.body.extend_from_slice(&data[..take]);
                *left -= take;
                take
            }
            Rest::Chunks(decoder) => decoder.feed(data, &mut self.body, most)?,
        };
        self.received += used as u64;
        Ok(used)
    }

    /// Whether the body is whole.
    pub fn is_done(&self) -> bool {
        match &self.rest {
            Rest::Bytes(left) => *left == 0,
            Rest::Chunks(decoder) => decoder.is_done(),
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

    /// The request.
    pub fn finish(self, token: Token) -> Incoming {
        let content = Content::Apart(self.body);
        Incoming { token, head: self.head, bytes: self.bytes, content }
    }
}
