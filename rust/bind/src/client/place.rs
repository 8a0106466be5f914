//! Where a pool connects to: who waits for a connection there, and which ones rest.
use super::request::Request;
use crate::reply::Reply;
use poll::link::{LinkKey, Peer};
use pyo3::{Py, Python};
use std::collections::VecDeque;

/// What connections of a pool may be and last; times in nanoseconds.
pub struct Settings {
    pub idle: usize,
    pub idle_here: usize,
    pub idle_time: u64,
    pub life: u64,
    pub connections: usize,
    pub waiting: usize,
    pub connect: u64,
    pub acquire: u64,
    /// HTTP/2 is offered beside TLS, and spoken at once without it.
    pub http2: bool,
    pub prior: bool,
    pub limits: wire::response::Limits,
    /// Octets of an answer that is not streamed.
    pub body: usize,
}

/// What a pool has seen since it was made.
#[derive(Default)]
pub struct Counters {
    pub requests: u64,
    pub reused: u64,
    pub dialled: u64,
    pub repeated: u64,
    pub stale: u64,
    pub lost: u64,
    pub expired: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

/// One origin, by one way.
pub struct Place {
    /// The value of Host, and the name in what is said of it.
    pub authority: Vec<u8>,
    /// What stands before a target for a proxy (absolute-form, RFC 9112 section 3.2.2).
    pub prefix: Vec<u8>,
    /// Lines of fields for a proxy.
    pub lines: Vec<u8>,
    pub peer: Option<Peer>,
    /// What opens a proxy's tunnel (RFC 9110 section 9.3.6).
    pub tunnel: Option<Vec<u8>>,
    /// What its connections speak: HTTP/2 or not; None while nobody knows.
    pub multiplexed: Option<bool>,
    /// Those of HTTP/2.
    pub shared: Vec<LinkKey>,
    /// The last one that came to rest is at the back, and used first.
    pub idle: VecDeque<LinkKey>,
    pub waiting: VecDeque<Box<Request>>,
    /// Of those, whom nobody waits for any more.
    pub gone: usize,
    /// Asked for and not open yet.
    pub dialling: usize,
    pub open: usize,
    /// Connections that are wanted though nobody waits.
    pub warming: usize,
    /// Who waits for those.
    pub warmers: Vec<Py<Reply>>,
}

impl Place {
    pub fn new(authority: Vec<u8>, peer: Option<Peer>) -> Place {
        Place {
            authority,
            prefix: vec![],
            lines: vec![],
            peer,
            tunnel: None,
            multiplexed: Some(false),
            shared: vec![],
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            gone: 0,
            dialling: 0,
            open: 0,
            warming: 0,
            warmers: vec![],
        }
    }

    /// Connections that are to be dialled now; counted as being dialled from here on.
    pub fn want(&mut self, most: usize) -> usize {
        let waiting = self.awaiting().max(self.warming);
        // One connection of HTTP/2 has room for many; whether it is one is learned from the first.
        let lacking = if self.multiplexed == Some(false) { waiting } else { waiting.min(1) };
        let room = most.saturating_sub(self.open + self.dialling);
        let wanted = lacking.saturating_sub(self.dialling).min(room);
        self.dialling += wanted;
        wanted
    }

    /// Whether nothing is open, under way or waited for.
    pub fn is_vacant(&self) -> bool {
        self.open + self.dialling + self.waiting.len() + self.warmers.len() == 0
    }

    /// Requests that wait, and are waited for.
    pub fn awaiting(&self) -> usize {
        self.waiting.len().saturating_sub(self.gone)
    }

    /// The next one that is waited for. One that is asked again takes a `fresh` connection alone:
    /// what ended the one that it had may have ended the others that are known.
    pub fn next(&mut self, py: Python<'_>, fresh: bool) -> Option<Box<Request>> {
        let mut at = 0;
        while let Some(request) = self.waiting.get(at) {
            if !request.is_awaited(py) {
                drop(self.waiting.remove(at));
                self.gone = self.gone.saturating_sub(1);
            } else if request.repeated && !fresh {
                at += 1;
            } else {
                return self.waiting.remove(at);
            }
        }
        None
    }

    /// Makes room in a full queue by those whom nobody waits for any more.
    pub fn tidy(&mut self, py: Python<'_>, most: usize) {
        if self.waiting.len() >= most && self.gone > 0 {
            self.waiting.retain(|request| request.is_awaited(py));
            self.gone = 0;
        }
    }

    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.authority).into_owned()
    }
}
