//! HTTP/2 (RFC 9113): one connection, many requests, by the `h2` crate over bytes in memory.
//!
//! # Theory
//! Each stream gets a slot of its own in the table of connections, without a descriptor: its token,
//! timeouts, body and outbox are those of any other request, and nobody above can tell the two
//! apart. The connection behind them is driven here: bytes in, frames out, then every stream that
//! was waked.
//!
//! # Rules
//! - Windows are the back-pressure: of a body that its handler has not asked for, and of an answer
//!   that the peer does not take.
//! - Rapid resets, continuation and settings floods end in GOAWAY, by h2's own bounds.
//!
//! # Rejected
//! nghttp2 (C, a callback for each frame); hyper (a runtime of its own).
mod drive;

mod request;
mod stream;
mod tunnel;

pub use stream::Stream;

use crate::pipe::Pipe;
use crate::settings::Settings;
use crate::token::Token;
use bytes::Bytes;
use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// What a client with prior knowledge sends first (RFC 9113 section 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Streams at once (nginx: 128).
const STREAMS: u32 = 128;
/// A stream's window: bodies that nobody has asked for yet (Envoy: 256 KiB).
const WINDOW: u32 = 256 * 1024;
/// The connection's window (Go: 1 MiB).
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Unsent bytes of one stream that h2 may hold; the rest stays in its outbox.
const SEND_BUFFER: usize = 64 * 1024;

/// One connection.
pub struct Mux {
    state: State,
    pipe: Pipe,
    /// The slots of its streams.
    pub streams: Vec<Token>,
    waked: Waked,
    /// A turn of its own is due.
    pub dirty: bool,
}

enum State {
    Shaking(Pin<Box<Handshake<Pipe, Bytes>>>),
    Ready(Box<Connection<Pipe, Bytes>>),
    Over,
}

type Waked = Arc<Mutex<Vec<Token>>>;
type Accepted = (Request<RecvStream>, SendResponse<Bytes>);

struct Alarm {
    slot: Token,
    waked: Waked,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.waked.lock().unwrap_or_else(PoisonError::into_inner).push(self.slot);
    }
}

impl Mux {
    /// Waits for the preface.
    pub fn new(settings: &Settings) -> Mux {
        let pipe = Pipe::default();
        let handshake = Builder::new()
            .max_concurrent_streams(STREAMS)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(settings.bounds.head as u32)
            .max_send_buffer_size(SEND_BUFFER)
            .enable_connect_protocol()
            .handshake(pipe.clone());
        let state = State::Shaking(Box::pin(handshake));
        Mux { state, pipe, streams: vec![], waked: Waked::default(), dirty: false }
    }

    /// Bytes of the peer.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pipe.feed(bytes);
    }

    /// The peer sends nothing more.
    pub fn end(&mut self) {
        self.pipe.end();
    }

    /// Bytes that were fed and could not be looked at: answers to them would not fit.
    pub fn backlog(&self) -> usize {
        self.pipe.backlog()
    }

    /// Appends what is to be sent; whether there was any.
    pub fn take(&mut self, out: &mut Vec<u8>) -> bool {
        self.pipe.take(out)
    }

    /// Lets running streams end and takes no new ones.
    pub fn shut_down(&mut self) {
        match &mut self.state {
            State::Ready(connection) => connection.graceful_shutdown(),
            State::Shaking(_) => self.state = State::Over,
            State::Over => {}
        }
    }

    /// Ends a connection without streams.
    pub fn leave(&mut self) {
        if let State::Ready(connection) = &mut self.state {
            connection.abrupt_shutdown(Reason::NO_ERROR);
        } else {
            self.state = State::Over;
        }
    }

    /// The next request; `Ready(None)` once there will be none.
    fn poll(&mut self) -> Poll<Option<Accepted>> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            match &mut self.state {
                State::Over => return Poll::Ready(None),
                State::Shaking(handshake) => match handshake.as_mut().poll(&mut context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(connection)) => self.state = State::Ready(Box::new(connection)),
                    Poll::Ready(Err(_)) => self.state = State::Over,
                },
                State::Ready(connection) => match connection.poll_accept(&mut context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Some(Ok(accepted))) => return Poll::Ready(Some(accepted)),
                    Poll::Ready(_) => self.state = State::Over,
                },
            }
        }
    }

    fn waker(&self, slot: Token) -> Waker {
        Waker::from(Arc::new(Alarm { slot, waked: Arc::clone(&self.waked) }))
    }

    fn take_waked(&self) -> Vec<Token> {
        std::mem::take(&mut self.waked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
