//! One connection: what it is doing, and the next whole request out of its bytes.
//!
//! ```text
//!             bytes              whole head        collected            whole body
//!   Idle ─────────────▶ Head ─────────────────▶ Busy ─────────▶ Body ─────────────▶ Busy
//!    ▲                   │                        │ │
//!    │    answered       │ refused, or closing    │ │ answered before its body was read
//!    └──────── Busy      └────────────────────────┼─┴──▶ Linger ─────▶ closed
//!                                        upgraded │         ▲
//!                                                 └▶ Socket ┘ either side has said why
//! ```
use crate::blanks::Blanks;
use crate::intake::{Content, Incoming, Intake};
use crate::mux::{self, Mux, PREFACE};
use crate::outbox::{Outbox, Progress, Spares};
use crate::settings::Settings;
use crate::socket::Socket;
use crate::tls::Session;
use crate::token::Token;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::Shutdown;
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
    /// A body is being collected for a request that will be handed over whole.
    Body,
    /// A request has been handed over and is not answered yet.
    Busy,
    /// A WebSocket.
    Socket,
    /// It carries streams, each of which has a slot of its own.
    Mux,
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

/// What lies between the socket and requests, where that is not HTTP/1.1.
#[derive(Default)]
pub enum Layer {
    /// Nothing.
    #[default]
    None,
    /// HTTP/2.
    Mux(Box<Mux>),
    /// This is a stream of an HTTP/2 connection.
    Stream(Box<mux::Stream>),
}

/// One connection, or a stream of one.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools)] // facts that do not depend on each other
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
    /// Our side has ended.
    pub parted: bool,
    pub served: u32,
    pub timeout_at: u64,
    pub current: Current,
    pub inbound: Vec<u8>,
    pub intake: Option<Box<Intake>>,
    pub outbox: Outbox,
    pub tls: Option<Box<Session>>,
    /// Its end is told ([`crate::Event::Closed`]).
    pub watched: bool,
    /// Who handed it over says that it is as good as TLS.
    pub vouched: bool,
    pub socket: Option<Box<Socket>>,
    pub layer: Layer,
}

/// What the bytes at hand come to.
pub enum Step {
    /// A whole request, and how many of the bytes it took.
    Request(Box<Incoming>, usize),
    /// A request whose body is still on its way.
    Head(Box<Incoming>, usize),
    /// More is needed; so many bytes are done with.
    More(usize),
    /// Nothing that can be served.
    Refuse(Refusal),
    /// HTTP/2 begins here, by prior knowledge.
    Multiplex,
}

impl Conn {
    /// Whether bytes kept from before can be gone on with, without a read.
    pub fn has_rest(&self) -> bool {
        match &self.socket {
            Some(socket) => socket.behind && !socket.is_held(),
            None => self.stage == Stage::Idle && !self.inbound.is_empty(),
        }
    }

    /// Whether the slot is in use.
    pub fn is_live(&self) -> bool {
        self.fd.is_some() || matches!(self.layer, Layer::Stream(_))
    }

    /// Whether nobody has listened in.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.vouched
    }

    /// Whether the socket has everything.
    pub fn is_sent(&self) -> bool {
        self.outbox.is_empty() && self.tls.as_ref().is_none_or(|tls| tls.is_sent())
    }

    /// Ends our side, once: the peer reads what was sent, and then the end.
    pub fn part(&mut self, spares: &mut Spares) {
        // Each shutdown(2) is an edge to epoll, even where nothing changes: answered by another
        // one, it would go on until the peer has closed.
        if std::mem::replace(&mut self.parted, true) {
            return;
        }
        if let Some(tls) = &mut self.tls {
            tls.close();
            let _ = self.send(spares);
        }
        if let Some(fd) = &self.fd {
            let _ = rustix::net::shutdown(fd, Shutdown::Write);
        }
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, spares: &mut Spares) -> Result<Progress, Errno> {
        let Some(fd) = &self.fd else { return Ok(Progress::default()) };
        match &mut self.tls {
            None => self.outbox.send(fd, spares),
            Some(tls) => tls.send(&mut self.outbox, fd, spares),
        }
    }

    /// Looks for the next request at the front of `data`.
    pub fn advance(
        &mut self,
        token: Token,
        data: &[u8],
        settings: &Settings,
        now: u64,
        blanks: &mut Blanks,
    ) -> Step {
        if let Some(intake) = &mut self.intake {
            return match intake.feed(data) {
                Err(refusal) => Step::Refuse(refusal),
                Ok(used) if intake.is_done() => self.whole(used),
                Ok(used) => Step::More(used),
            };
        }
        let mut incoming = blanks.take();
        match incoming.head.read(data, &settings.bounds) {
            Ok(true) => {}
            other => {
                blanks.give(incoming);
                return self.without_head(data, other);
            }
        }
        incoming.token = token;
        incoming.secure = self.is_secure();
        incoming.multiplexed = false;
        incoming.bytes.clear();
        let start = incoming.head.len;
        if let Framing::Length(size) = incoming.head.framing {
            let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
            if let Some(bytes) = end.and_then(|end| data.get(..end)) {
                incoming.bytes.extend_from_slice(bytes);
                return Step::Request(incoming, bytes.len());
            }
        }
        let (intake, used) = match Intake::new(&incoming.head, &data[start..], now) {
            Ok(begun) => begun,
            Err(refusal) => return Step::Refuse(refusal),
        };
        incoming.bytes.extend_from_slice(&data[..start]);
        let used = start + used;
        if intake.is_done() {
            incoming.content = Content::Apart(intake.into_body());
            return Step::Request(incoming, used);
        }
        self.intake = Some(Box::new(intake));
        incoming.content = Content::Awaited;
        Step::Head(incoming, used)
    }

    /// What bytes come to that are no whole head.
    fn without_head(&self, data: &[u8], read: Result<bool, Refusal>) -> Step {
        match read {
            // Empty lines before a request are skipped (RFC 9112 section 2.2), and must not be
            // read again and again.
            Ok(_) => Step::More(2 * data.chunks(2).take_while(|c| c == b"\r\n").count()),
            Err(Refusal::Version) if self.served == 0 && data.starts_with(PREFACE) => {
                Step::Multiplex
            }
            Err(Refusal::Version) if self.served == 0 && PREFACE.starts_with(data) => Step::More(0),
            Err(refusal) => Step::Refuse(refusal),
        }
    }

    /// The body has ended: of a collected request, which is whole now, or of one being answered.
    fn whole(&mut self, used: usize) -> Step {
        let Some(intake) = self.intake.take_if(|intake| !intake.is_streamed()) else {
            return Step::More(used);
        };
        match intake.finish() {
            Some(incoming) => Step::Request(incoming, used),
            None => Step::More(used),
        }
    }

    /// Whether its bytes are left where they are for now.
    pub fn waits(&self, unsent: usize) -> bool {
        if let Some(socket) = &self.socket {
            return socket.is_held();
        }
        let busy = self.stage == Stage::Busy
            && !self.intake.as_ref().is_some_and(|intake| intake.has_room());
        busy || self.outbox.len() > unsent
    }
}
