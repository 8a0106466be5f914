//! One connection: what it is doing, and the next whole request out of its bytes.
//!
//! ```text
//!             bytes              whole head                 whole body
//!   Idle ─────────────▶ Head ─────────────────▶ Body ─────────────────▶ Busy
//!    ▲                   │       (no body, or body already here: Head ─▶ Busy)
//!    │    answered       │ refused, or closing with bytes unread
//!    └──────── Busy      └────────────────────▶ Linger ─────▶ closed
//! ```
use crate::intake::{Content, Incoming, Intake};
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::token::Token;
use rustix::fd::OwnedFd;
use wire::{Framing, Refusal};

/// How long a connection lingers for its peer to read our last words (nginx: lingering_timeout
/// 5 s; the total is what counts here).
pub const LINGER: u64 = 2_000_000_000;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Waiting for a request.
    #[default]
    Idle,
    /// Part of a head is here.
    Head,
    /// Part of a body is here.
    Body,
    /// A request has been handed over and is not answered yet.
    Busy,
    /// Said goodbye; unread bytes are thrown away so that the kernel does not reset the
    /// connection before the peer has read our answer (RFC 9112 section 9.6).
    Linger,
}

/// How the answer in progress is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stream {
    /// None has begun.
    #[default]
    None,
    /// So many bytes are still owed.
    Exact(u64),
    /// Chunks.
    Chunks,
    /// Raw bytes until the connection closes.
    UntilClose,
    /// The answer has no body (HEAD, 204): pieces are dropped.
    Drop,
}

/// The request being answered, as far as its answer depends on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Current {
    /// The peer wants to keep the connection.
    pub keep: bool,
    /// Its minor version.
    pub minor: u8,
    /// It was HEAD: no body.
    pub head_only: bool,
    /// The streamed answer.
    pub stream: Stream,
    /// Told [`crate::Event::Drained`] when the outbox is low again.
    pub wants_drain: bool,
}

/// One connection.
#[derive(Default)]
pub struct Conn {
    pub fd: Option<OwnedFd>,
    pub epoch: u32,
    pub stage: Stage,
    /// An edge came while we were not reading.
    pub readable: bool,
    /// The peer has sent all it will.
    pub eof: bool,
    /// Closes once the outbox is empty.
    pub closing: bool,
    pub served: u32,
    pub timeout_at: u64,
    pub current: Current,
    pub inbound: Vec<u8>,
    pub intake: Option<Box<Intake>>,
    pub outbox: Outbox,
}

/// What the bytes at hand come to.
pub enum Step {
    /// A whole request, and how many of the bytes it took.
    Request(Incoming, usize),
    /// More is needed; so many bytes are done with.
    More(usize),
    /// Nothing that can be served.
    Refuse(Refusal),
}

impl Conn {
    /// Looks for the next whole request at the front of `data`.
    pub fn advance(
        &mut self,
        token: Token,
        data: &[u8],
        settings: &Settings,
        now: u64,
        interim: &mut Vec<u8>,
    ) -> Step {
        if self.intake.is_some() {
            return self.advance_body(token, data, settings);
        }
        let head = match wire::parse(data, &settings.bounds) {
            Ok(Some(head)) => head,
            // Empty lines before a request are skipped (RFC 9112 section 2.2), and must not be
            // read again and again.
            Ok(None) => return Step::More(2 * data.chunks(2).take_while(|c| c == b"\r\n").count()),
            Err(refusal) => return Step::Refuse(refusal),
        };
        let start = head.len;
        if let Framing::Length(size) = head.framing {
            if size > settings.body as u64 {
                return Step::Refuse(Refusal::BodyTooLarge);
            }
            if let Some(bytes) = data.get(..start + size as usize) {
                let used = bytes.len();
                let content = Content::Behind;
                return Step::Request(Incoming { token, head, bytes: bytes.into(), content }, used);
            }
        }
        let intake = Intake::new(head, &data[..start], now);
        if intake.expects() {
            interim.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.intake = Some(Box::new(intake));
        self.stage = Stage::Body;
        match self.advance_body(token, &data[start..], settings) {
            Step::Request(incoming, used) => Step::Request(incoming, start + used),
            Step::More(used) => Step::More(start + used),
            refuse @ Step::Refuse(_) => refuse,
        }
    }

    fn advance_body(&mut self, token: Token, data: &[u8], settings: &Settings) -> Step {
        let Some(mut intake) = self.intake.take() else { return Step::More(0) };
        match intake.feed(data, settings.body) {
            Err(refusal) => Step::Refuse(refusal),
            Ok(used) if intake.is_done() => Step::Request(intake.finish(token), used),
            Ok(used) => {
                self.intake = Some(intake);
                Step::More(used)
            }
        }
    }
}
