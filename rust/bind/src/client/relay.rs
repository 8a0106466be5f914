//! An answer that is passed on: its body goes to another request's peer without a step of Python's.
//!
//! # Theory
//! A stream with an [`Outlet`] keeps no pieces: what comes is written behind what the peer has yet
//! to take. More than the high-water mark there, and the server is not read (over HTTP/2: gets no
//! room back) until the engine says that the peer has caught up, which it says to a [`Tap`] as it
//! would to a future of [`Exchange::drain`].
//!
//! # Rules
//! - Who awaits the reply owns the relay: its cancellation, whatever it is for, ends the request to
//!   the server (`ClientPool::abandon`).
//! - An end that was cut is an error of the reply, and the answer behind it is cut as well: nobody
//!   takes half for whole.
//! - Nothing is written once the exchange has ended: its connection may serve another request.
use super::ClientPool;
use super::answer::ClientAnswer;
use super::connection::Flight;
use super::stream::Stream;
use crate::exchange::Exchange;
use crate::links::now;
use crate::reply::Reply;
use poll::Spliced;
use poll::link::LinkKey;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::fd::BorrowedFd;

/// Where a body is passed on to.
pub struct Outlet {
    /// Whose end would be the stream's.
    answer: Py<ClientAnswer>,
    exchange: Py<Exchange>,
    reply: Py<Reply>,
    /// Nanoseconds that the server may say nothing.
    silence: u64,
    /// The peer is behind, and the server waits.
    held: bool,
    /// What is to be done about that once nothing is borrowed.
    news: Option<News>,
    /// Octets whose room a server of HTTP/2 gets back when the peer has caught up.
    owed: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    /// The peer fell behind: the engine is to tell when it has caught up.
    Behind,
    /// The engine has something to tell already.
    Engine,
}

impl Outlet {
    /// Passes octets on.
    pub fn write(&mut self, py: Python<'_>, octets: &[u8]) {
        match self.exchange.get().pass_on(py, octets) {
            Some(true) if !self.held => (self.held, self.news) = (true, Some(News::Behind)),
            // It may have caught up by this, or has gone.
            Some(false) if !self.held => {}
            Some(_) | None => self.news = self.news.or(Some(News::Engine)),
        }
    }

    /// Moves octets on that lie in a socket; how many, and why no more.
    pub fn splice(
        &mut self,
        py: Python<'_>,
        from: BorrowedFd<'_>,
        most: usize,
    ) -> (usize, Spliced) {
        let (moved, why) = self.exchange.get().splice(py, from, most);
        match why {
            Spliced::Behind => (self.held, self.news) = (true, Some(News::Behind)),
            Spliced::Gone => self.news = self.news.or(Some(News::Engine)),
            Spliced::Enough | Spliced::Dry | Spliced::Read => {}
        }
        (moved, why)
    }

    /// Whether the server is to wait.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// So much of it came over HTTP/2; whether the server gets the room back at once.
    pub fn gives_back(&mut self, count: usize) -> bool {
        self.owed += if self.held { count } else { 0 };
        !self.held
    }

    /// When the server has been silent for too long.
    fn due(&self) -> u64 {
        if self.held { u64::MAX } else { now().saturating_add(self.silence) }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.answer)?;
        visit.call(&self.exchange)?;
        visit.call(&self.reply)
    }
}

/// What the engine takes for a future that waits for the peer.
#[pyclass(module = "megahertz._core", frozen)]
struct Tap {
    pool: Py<ClientPool>,
    ticket: u64,
}

#[pymethods]
impl Tap {
    #[expect(clippy::unused_self, reason = "asked of an object")]
    fn done(&self) -> bool {
        false
    }

    fn set_result(&self, py: Python<'_>, value: Py<PyAny>) -> PyResult<()> {
        drop(value);
        ClientPool::resume(self.pool.bind(py), self.ticket)
    }

    /// The handler is cancelled as well, which ends the relay.
    #[expect(clippy::unused_self, reason = "asked of an object")]
    fn cancel(&self) {}

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.pool)
    }
}

/// How the body ended: the lines behind it, or the kind of failure and why.
type End = Result<Vec<u8>, (&'static str, String)>;

impl ClientPool {
    /// Passes what is left of a stream on as the body of an answer that has begun; what to wait for
    /// until it has ended.
    pub fn relay<'py>(
        slf: &Bound<'py, Self>,
        (ticket, answer): (u64, &Bound<'py, ClientAnswer>),
        exchange: &Bound<'py, Exchange>,
        silence: Option<f64>,
    ) -> PyResult<Bound<'py, Reply>> {
        let py = slf.py();
        let reply = Reply::tied(Self::runtime(slf), slf.clone().unbind(), ticket);
        let reply = Bound::new(py, reply)?;
        if exchange.get().drops_body(py) {
            // A HEAD, a 304: the head was all of it.
            Exchange::complete(exchange, &[])?;
            Reply::complete(&reply, Ok(py.None()), false)?;
            return Ok(reply);
        }
        let outlet = Outlet {
            answer: answer.clone().unbind(),
            exchange: exchange.clone().unbind(),
            reply: reply.clone().unbind(),
            silence: silence.map_or(u64::MAX, super::nanoseconds),
            held: false,
            news: None,
            owed: 0,
        };
        let (pieces, touched) = slf.borrow_mut().connect(py, ticket, outlet)?;
        drop(pieces);
        if let Some(key) = touched {
            Self::touch(slf, key)?;
        }
        Self::relayed(slf, ticket, false)?;
        Ok(reply)
    }

    /// Gives a stream its outlet; what was read before, which has been written, and whose server
    /// is to be told that it has room.
    fn connect(
        &mut self,
        py: Python<'_>,
        ticket: u64,
        mut outlet: Outlet,
    ) -> PyResult<(Vec<Py<PyBytes>>, Option<LinkKey>)> {
        let Some(stream) = self.streams.get_mut(&ticket) else {
            return Err(PyRuntimeError::new_err("the answer was closed"));
        };
        if stream.outlet.is_some() || stream.is_awaited(py) {
            return Err(PyRuntimeError::new_err("somebody else reads this answer"));
        }
        let ((early, pieces), key, ended) = (stream.take_unread(), stream.key, stream.ended);
        let mut count = early.len();
        if count > 0 {
            outlet.write(py, &early);
        }
        for piece in &pieces {
            let octets = piece.bind(py).as_bytes();
            count += octets.len();
            outlet.write(py, octets);
        }
        let (held, gives_back) = (outlet.held, outlet.gives_back(count));
        stream.outlet = Some(outlet);
        if ended {
            return Ok((pieces, None));
        }
        self.pause(py, key, held);
        let told = count > 0 && gives_back && self.read_on(key, ticket, count);
        Ok((pieces, told.then_some(key)))
    }

    /// A relay has more, or its end.
    pub(super) fn relayed(slf: &Bound<'_, Self>, ticket: u64, in_place: bool) -> PyResult<()> {
        let (ended, news) = {
            let pool = &mut *slf.borrow_mut();
            let Some(stream) = pool.streams.get_mut(&ticket) else { return Ok(()) };
            let ended = stream.outcome().and_then(|end| Some((stream.outlet.take()?, end)));
            let news = stream.outlet.as_mut().and_then(|outlet| outlet.news.take());
            (ended, news)
        };
        if let Some((outlet, end)) = ended {
            return Self::relay_ended(slf, &outlet, end, in_place);
        }
        if let Some(news) = news {
            Self::tell_engine(slf, ticket, news)?;
        }
        Self::await_more(slf, ticket)
    }

    fn relay_ended(
        slf: &Bound<'_, Self>,
        outlet: &Outlet,
        end: End,
        in_place: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        match end {
            Ok(trailers) => {
                Exchange::complete(outlet.exchange.bind(py), &trailers)?;
                Reply::complete(outlet.reply.bind(py), Ok(py.None()), in_place)
            }
            Err((kind, why)) => Self::fail(slf, Some(&outlet.reply), (kind, &why), in_place),
        }
    }

    /// Somebody closed the answer: who waits is told, unless it was them.
    pub(super) fn relay_abandoned(slf: &Bound<'_, Self>, outlet: &Outlet) -> PyResult<()> {
        let why = ("read", "the answer was closed while it was passed on");
        Self::fail(slf, Some(&outlet.reply), why, false)
    }

    fn tell_engine(slf: &Bound<'_, Self>, ticket: u64, news: News) -> PyResult<()> {
        let py = slf.py();
        let exchange = {
            let pool = slf.borrow();
            let outlet = pool.streams.get(&ticket).and_then(|stream| stream.outlet.as_ref());
            let Some(outlet) = outlet else { return Ok(()) };
            outlet.exchange.clone_ref(py)
        };
        match news {
            News::Engine => exchange.get().pump_later(py),
            News::Behind => {
                let tap = Bound::new(py, Tap { pool: slf.clone().unbind(), ticket })?;
                exchange.get().await_drain(py, tap.into_any().unbind());
                Ok(())
            }
        }
    }

    /// The peer has caught up.
    fn resume(slf: &Bound<'_, Self>, ticket: u64) -> PyResult<()> {
        let touched = {
            let pool = &mut *slf.borrow_mut();
            let Some(stream) = pool.streams.get_mut(&ticket) else { return Ok(()) };
            let (key, ended) = (stream.key, stream.ended);
            let Some(outlet) = stream.outlet.as_mut().filter(|_| !ended) else { return Ok(()) };
            outlet.held = false;
            let owed = std::mem::take(&mut outlet.owed);
            pool.pause(slf.py(), key, false);
            (owed > 0 && pool.read_on(key, ticket, owed)).then_some(key)
        };
        if let Some(key) = touched {
            Self::touch(slf, key)?;
        }
        Self::await_more(slf, ticket)
    }

    /// From now on the server may be silent for so long.
    fn await_more(slf: &Bound<'_, Self>, ticket: u64) -> PyResult<()> {
        let due = {
            let pool = &mut *slf.borrow_mut();
            let Some(stream) = pool.streams.get(&ticket) else { return Ok(()) };
            let Some(due) = stream.outlet.as_ref().map(Outlet::due) else { return Ok(()) };
            let key = stream.key;
            let Some(flight) = pool.flight(key, ticket) else { return Ok(()) };
            flight.request.due = flight.request.deadline.min(due);
            flight.request.due
        };
        Self::remind(slf, due)
    }

    /// Passes on what of a connection's input is a relayed body as it is, from where it lies; how
    /// much that was.
    pub(super) fn pass_through(&mut self, py: Python<'_>, key: LinkKey, input: &[u8]) -> usize {
        let Some(ticket) = self.relay_on(key).filter(|_| !input.is_empty()) else { return 0 };
        let passed = self.connection(key).map_or(0, |its| its.reader.pass(input.len()));
        if let Some(outlet) = self.outlet(ticket).filter(|_| passed > 0) {
            outlet.write(py, &input[..passed]);
        }
        passed
    }

    /// The number of the relay that a connection of HTTP/1.1 is busy with.
    pub(super) fn relay_on(&mut self, key: LinkKey) -> Option<u64> {
        let flight = self.connection(key)?.flight().filter(|flight| flight.told)?;
        let ticket = flight.request.ticket;
        self.outlet(ticket).map(|_| ticket)
    }

    pub(super) fn outlet(&mut self, ticket: u64) -> Option<&mut Outlet> {
        self.streams.get_mut(&ticket)?.outlet.as_mut()
    }

    /// What is under way there under that number.
    fn flight(&mut self, key: LinkKey, ticket: u64) -> Option<&mut Flight> {
        self.connection(key)?.stage.flight(ticket)
    }
}

impl Stream {
    /// How it ended; None: it goes on.
    fn outcome(&self) -> Option<End> {
        if let Some((kind, why)) = &self.failed {
            return Some(Err((kind, why.clone())));
        }
        self.ended.then(|| Ok(self.trailers.clone()))
    }
}
