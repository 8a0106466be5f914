//! Sockets and timers round the protocol: one epoll set, served a batch at a time; no Python.
//!
//! # Theory
//! The caller watches [`Reactor::fd`] with whatever loop it has. When it turns readable the caller
//! takes one [`Reactor::turn`] and then every [`Reactor::next_event`] event, answering requests as they
//! come. Nothing here calls back: the caller may run foreign code between two events, and that
//! code may call any method of the reactor.
//!
//! # Rules
//! - Edge-triggered, each connection registered once for IN | OUT | RDHUP and never modified.
//!   Not reading (a request is being answered, or too much is unsent) then needs no system call,
//!   and unread bytes do not keep the outer loop awake, as level-triggered ones would.
//! - A read shorter than the buffer has emptied the socket: the next edge will tell of more. A
//!   full one goes to the back of the queue, so that no peer can starve the others.
//! - Reads go to one shared buffer; only an unfinished rest is copied to its connection, which is
//!   why an idle connection holds no buffer at all.
//! - A token names a connection and its epoch: an answer to one that has gone hits nothing.
//! - The timer is armed for the next entry only; a constant tick cost 100 wake-ups a second.
//!
//! # Rejected
//! A thread for the poller (a hand-over each request costs more than the request); io_uring (0 to
//! 1.5 us better on loopback, often forbidden in containers); mio (hides edge triggering and RDHUP).
#![forbid(unsafe_code)]

mod accept;
mod answer;
mod blanks;
mod body;
mod conn;
mod drain;
mod expire;
mod intake;
pub mod link;
mod mux;
mod outbox;
mod pipe;
mod reactor;
mod rooms;
mod serve;
mod settings;
mod socket;
mod splice;
mod statistics;
mod tls;
mod token;
mod wheel;

pub use answer::{Body, Part, Prepared};
pub use intake::{Content, Incoming, Piece};
pub use outbox::Slice;
pub use reactor::{Event, Reactor};
pub use settings::Settings;
pub use socket::{Message, Overflow, Sent, SocketOptions};
pub use splice::Spliced;
pub use statistics::{Count, Gauge, Statistics, Why};
pub use tls::{BadTls, ClientAuth, Identity, SECRET_BYTES, Secret, Tls};
pub use token::Token;
