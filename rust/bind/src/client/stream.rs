//! An answer's body as it comes: pieces that wait to be read, or who waits for one.
use super::ClientPool;
use super::relay::Outlet;
use crate::reply::Reply;
use poll::link::LinkKey;
use pyo3::exceptions::{PyRuntimeError, PyStopAsyncIteration};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::VecDeque;

/// Octets that wait to be read before the server is made to wait (asyncio's streams: 64 KiB).
const MOST_UNREAD: usize = 64 * 1024;

pub struct Stream {
    /// Where it comes from.
    pub(super) key: LinkKey,
    /// What came with the head, until somebody reads.
    early: Vec<u8>,
    pieces: VecDeque<Py<PyBytes>>,
    held: usize,
    waiter: Option<Py<Reply>>,
    pub(super) ended: bool,
    pub failed: Option<(&'static str, String)>,
    pub(super) trailers: Vec<u8>,
    /// Where it is passed on to, in place of being read.
    pub(super) outlet: Option<Outlet>,
}

impl Stream {
    pub fn new(key: LinkKey) -> Stream {
        Stream {
            key,
            early: vec![],
            pieces: VecDeque::new(),
            held: 0,
            waiter: None,
            ended: false,
            failed: None,
            trailers: vec![],
            outlet: None,
        }
    }

    /// Adds what has come.
    pub fn add(&mut self, py: Python<'_>, octets: &[u8]) {
        if octets.is_empty() {
            return;
        }
        if let Some(outlet) = self.outlet.as_mut() {
            return outlet.write(py, octets);
        }
        self.held += octets.len();
        self.pieces.push_back(PyBytes::new(py, octets).unbind());
    }

    /// The same; the first of it is taken away, and is no object before somebody reads.
    pub fn take(&mut self, py: Python<'_>, octets: &mut Vec<u8>) {
        let begun = self.held > 0 || self.waiter.is_some() || self.outlet.is_some();
        if begun || octets.is_empty() {
            return self.add(py, octets);
        }
        self.held = octets.len();
        std::mem::swap(&mut self.early, octets);
    }

    pub fn end(&mut self, trailers: Vec<u8>) {
        (self.ended, self.trailers) = (true, trailers);
    }

    pub fn is_full(&self) -> bool {
        self.held >= MOST_UNREAD || self.outlet.as_ref().is_some_and(Outlet::is_held)
    }

    /// Whether somebody waits for the next piece.
    pub(super) fn is_awaited(&self, py: Python<'_>) -> bool {
        self.waiter.as_ref().is_some_and(|waiter| waiter.borrow(py).is_pending())
    }

    /// What nobody has read: what came with the head, and pieces behind it.
    pub(super) fn take_unread(&mut self) -> (Vec<u8>, Vec<Py<PyBytes>>) {
        self.held = 0;
        (std::mem::take(&mut self.early), std::mem::take(&mut self.pieces).into())
    }

    /// The next piece or the end; None: neither is there yet.
    fn next(&mut self, py: Python<'_>) -> Option<Result<Py<PyAny>, End>> {
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            self.held -= early.len();
            return Some(Ok(PyBytes::new(py, &early).unbind().into_any()));
        }
        if let Some(piece) = self.pieces.pop_front() {
            self.held -= piece.bind(py).as_bytes().len();
            return Some(Ok(piece.into_any()));
        }
        if let Some((kind, why)) = &self.failed {
            return Some(Err(End::Failed(kind, why.clone())));
        }
        self.ended.then_some(Err(End::Over))
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.waiter)?;
        self.outlet.as_ref().map_or(Ok(()), |outlet| outlet.visit(visit))
    }
}

/// How a stream ends.
enum End {
    Over,
    Failed(&'static str, String),
}

impl ClientPool {
    /// What to wait for before the next piece of a stream.
    pub fn next_piece<'py>(slf: &Bound<'py, Self>, ticket: u64) -> PyResult<Bound<'py, Reply>> {
        let py = slf.py();
        let reply = Bound::new(py, Reply::new(Self::runtime(slf), None))?;
        {
            let pool = &mut *slf.borrow_mut();
            let Some(stream) = pool.streams.get_mut(&ticket) else {
                return Err(PyRuntimeError::new_err("the answer was closed"));
            };
            if stream.outlet.is_some() || stream.is_awaited(py) {
                return Err(PyRuntimeError::new_err("somebody else reads this answer"));
            }
            stream.waiter = Some(reply.clone().unbind());
        }
        Self::stir(slf, ticket, false)?;
        Ok(reply)
    }

    /// Gives who waits for a piece of a stream what there is.
    pub(super) fn stir(slf: &Bound<'_, Self>, ticket: u64, in_place: bool) -> PyResult<()> {
        let py = slf.py();
        if slf.borrow().streams.get(&ticket).is_some_and(|stream| stream.outlet.is_some()) {
            return Self::relayed(slf, ticket, in_place);
        }
        let mut touched = None;
        let (waiter, next) = {
            let pool = &mut *slf.borrow_mut();
            let Some(stream) = pool.streams.get_mut(&ticket) else { return Ok(()) };
            let Some(waiter) = stream.waiter.take() else { return Ok(()) };
            if !waiter.borrow(py).is_pending() {
                return Ok(());
            }
            let Some(next) = stream.next(py) else {
                stream.waiter = Some(waiter);
                return Ok(());
            };
            // One that has ended has left its connection to others.
            let (key, empty) = (stream.key, stream.held == 0 && !stream.ended);
            if let Ok(piece) = &next {
                let count = piece.bind(py).cast::<PyBytes>().map_or(0, |its| its.as_bytes().len());
                if pool.read_on(key, ticket, count) {
                    touched = Some(key);
                }
            }
            if empty {
                pool.pause(py, key, false);
            }
            (waiter, next)
        };
        if let Some(key) = touched {
            Self::touch(slf, key)?;
        }
        match next {
            Ok(piece) => Reply::complete(waiter.bind(py), Ok(piece), in_place),
            Err(End::Failed(kind, why)) => Self::fail(slf, Some(&waiter), (kind, &why), in_place),
            Err(End::Over) => {
                let over = PyStopAsyncIteration::new_err(());
                Reply::complete(waiter.bind(py), Err(over), in_place)
            }
        }
    }

    /// Lets the server wait, or go on.
    pub(super) fn pause(&mut self, py: Python<'_>, key: LinkKey, paused: bool) {
        let Some(connection) = self.connection(key) else { return };
        if connection.flight().is_some()
            && std::mem::replace(&mut connection.paused, paused) != paused
        {
            self.links.borrow_mut(py).poll.pause(key, paused);
        }
    }

    /// What came behind a stream.
    pub fn trailers(&self, ticket: u64) -> &[u8] {
        self.streams.get(&ticket).map_or(&[], |stream| &stream.trailers)
    }
}
