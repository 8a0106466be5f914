//! The exchange's end of a relay: a body that the client's pool passes on.
use super::Exchange;
use crate::answer;
use crate::engine::{Engine, Wait};
use poll::Spliced;
use pyo3::prelude::*;
use rustix::fd::BorrowedFd;
use wire::reply;
use wire::response::each_field;

impl Exchange {
    /// Writes octets of the answer; whether its peer is behind, and [`Exchange::await_drain`] will
    /// be told of the end of that. None: it takes nothing any more.
    pub fn pass_on(&self, py: Python<'_>, octets: &[u8]) -> Option<bool> {
        if self.is_ended() {
            return None;
        }
        let mut engine = self.engine.borrow_mut(py);
        // Perhaps the engine has had nothing to do for long: the peer's patience begins now.
        engine.reactor.touch();
        let unsent = engine.reactor.write(self.token, octets)?;
        Some(unsent > engine.high_water && engine.reactor.want_drain(self.token))
    }

    /// The same of octets that lie in a socket, where they need not be read; how many it were, and
    /// why no more.
    pub fn splice(&self, py: Python<'_>, from: BorrowedFd<'_>, most: usize) -> (usize, Spliced) {
        if self.is_ended() {
            return (0, Spliced::Gone);
        }
        let mut engine = self.engine.borrow_mut(py);
        engine.reactor.touch();
        let (moved, why) = engine.reactor.splice(self.token, from, most);
        if why == Spliced::Behind && !engine.reactor.want_drain(self.token) {
            return (moved, Spliced::Enough);
        }
        (moved, why)
    }

    /// Whether what is written is not sent: a HEAD, a status without a body.
    pub fn drops_body(&self, py: Python<'_>) -> bool {
        self.engine.borrow(py).reactor.drops_body(self.token)
    }

    /// Has `waiter` told when the peer has caught up.
    pub fn await_drain(&self, py: Python<'_>, waiter: Py<PyAny>) {
        let mut engine = self.engine.borrow_mut(py);
        engine.waiters.entry((self.serial, Wait::Drain)).or_default().push(waiter);
    }

    /// Has the engine act on what it knows: nothing of it came from its own turn.
    pub fn pump_later(&self, py: Python<'_>) -> PyResult<()> {
        Engine::pump_later(self.engine.bind(py))
    }

    /// The body has ended, with these lines behind it.
    pub fn complete(slf: &Bound<'_, Self>, trailers: &[u8]) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_ended() {
            return Ok(());
        }
        let mut lines = vec![];
        if this.wants_trailers() {
            // The reader has been over them.
            let _ = each_field(trailers, |name, value| {
                if !answer::is_ours(name.as_bytes()) {
                    reply::add(&mut lines, name.as_bytes(), value);
                }
            });
        }
        this.set_ended();
        this.engine.borrow_mut(py).reactor.end(this.token, &lines);
        this.pump_later(py)
    }
}
