//! HTTP/1.1 as bytes in, events out: no socket, no Python, no clock.
//!
//! One idea a file: [`head`] reads a request's head, [`chunked`] a body's framing, [`reply`]
//! writes a response's head, [`ask`] writes a request and [`response`] reads what is answered,
//! [`route`] finds who answers, [`query`] what is asked of them,
//! [`refusal`] says why not, [`trace`] which trace they belong to, and [`websocket`] is what a
//! connection may turn into. [`resp`] is what Redis speaks, [`json`] what most answers are made of.
#![forbid(unsafe_code)]

pub mod ask;
pub mod chunked;
pub mod date;
pub mod forwarded;
pub mod head;
pub mod json;
pub mod percent;
pub mod query;
pub mod refusal;
pub mod reply;
pub mod resp;
pub mod response;
pub mod route;
pub mod trace;
pub mod websocket;

pub use chunked::{Chunked, Kept, Sink, Skipped};
pub use head::{Bounds, Field, Framing, Head, Span, is_authority, parse};
pub use refusal::Refusal;
pub use route::{Found, Router};
