//! A pool of HTTP connections: what any number of tasks ask of any number of servers.
//!
//! # Theory
//! A request is laid out whole when it is asked, given to the connection that came to rest last,
//! or to wait for one, and leaves with all others at the end of the engine's batch, or in the
//! loop's next turn. Its answer is read where it comes, and steps the request that waits for it in
//! place; other tasks are waked as any future wakes them. Nothing of this runs Python, but for the
//! names of new connections (`need`) and the making of errors.
//!
//! # Rules
//! - No borrow of a cell is held while Python runs, nor while anything of Python's is dropped.
//! - A connection that said anything or ended while it rested is never used again.
//! - A request that lost its connection before a word of an answer came is asked again, once, on a
//!   new one, where that does no harm (RFC 9110 section 9.2.2).
//! - Who stops waiting frees its connection: of HTTP/1.1 that means to close it.
mod answer;
mod connection;
mod dial;
mod exchange;
mod expire;
mod many;
mod place;
mod relay;
mod request;
mod splice;
mod stream;

pub use answer::ClientAnswer;

use crate::links::{Links, Owner, now};
use crate::reply::{self, Reply};
use crate::runtime::Runtime;
use crate::tls::ClientTlsConfig;
use connection::{Connection, Stage};
use dial::Dial;
use place::{Counters, Place, Settings};
use poll::link::{LinkKey, Notice, Peer};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use request::{Asked, Fields, MOST_UNSENT, Request, Wrong};
use std::collections::HashMap;
use std::sync::Arc;
use stream::Stream;

/// What Python does for a pool.
struct Hooks {
    /// Makes the error of a failure: kind, why.
    error: Py<PyAny>,
    /// Finds the addresses of a place, and calls `dial` or `refuse`.
    need: Py<PyAny>,
}

#[pyclass(module = "megahertz._core")]
pub struct ClientPool {
    links: Py<Links>,
    runtime: Py<Runtime>,
    hooks: Hooks,
    settings: Settings,
    places: Vec<Place>,
    /// Numbers of those that are none any more.
    free: Vec<usize>,
    /// By the index of their keys.
    connections: Vec<Option<Box<Connection>>>,
    dials: HashMap<u64, Dial>,
    streams: HashMap<u64, Stream>,
    /// Those with something to send.
    touched: Vec<LinkKey>,
    dirty: bool,
    /// What was read last, and an answer's body: their room is used again.
    input: Vec<u8>,
    scratch: Vec<u8>,
    serial: u64,
    idle: usize,
    /// The first moment that the links know to remind of.
    armed: u64,
    closed: bool,
    counters: Counters,
}

fn nanoseconds(seconds: f64) -> u64 {
    // Saturates: infinity is never.
    (seconds * 1e9) as u64
}

#[pymethods]
impl ClientPool {
    #[new]
    #[pyo3(signature = (links, *, error, need, idle, idle_per_host, idle_time, life, connections, waiting, connect, acquire, head, fields, body, http2, prior))]
    #[expect(clippy::too_many_arguments, reason = "named in Python, one a hook or a limit")]
    fn new(
        links: &Bound<'_, Links>,
        error: Py<PyAny>,
        need: Py<PyAny>,
        idle: usize,
        idle_per_host: usize,
        idle_time: f64,
        life: f64,
        connections: usize,
        waiting: usize,
        connect: f64,
        acquire: f64,
        head: usize,
        fields: usize,
        body: usize,
        http2: bool,
        prior: bool,
    ) -> ClientPool {
        ClientPool {
            runtime: links.borrow().runtime.clone_ref(links.py()),
            links: links.clone().unbind(),
            hooks: Hooks { error, need },
            settings: Settings {
                idle,
                idle_here: idle_per_host,
                idle_time: nanoseconds(idle_time),
                life: nanoseconds(life),
                connections,
                waiting,
                connect: nanoseconds(connect),
                acquire: nanoseconds(acquire),
                limits: wire::response::Limits { head, fields },
                body,
                http2,
                prior,
            },
            places: vec![],
            free: vec![],
            connections: vec![],
            dials: HashMap::new(),
            streams: HashMap::new(),
            touched: vec![],
            dirty: false,
            input: vec![],
            scratch: vec![],
            serial: 0,
            idle: 0,
            armed: u64::MAX,
            closed: false,
            counters: Counters::default(),
        }
    }

    /// A place to connect to; its number.
    #[pyo3(signature = (authority, tls=None, name="", prefix=vec![], lines=vec![], tunnel=None))]
    fn place(
        &mut self,
        authority: &[u8],
        tls: Option<&Bound<'_, ClientTlsConfig>>,
        name: &str,
        prefix: Vec<u8>,
        lines: Vec<u8>,
        tunnel: Option<Vec<u8>>,
    ) -> PyResult<usize> {
        if matches!(authority, [] | [b':', ..]) || !wire::is_authority(authority) {
            return Err(PyValueError::new_err("no host that a request could name"));
        }
        let peer = tls.map(|tls| Peer { config: Arc::clone(&tls.get().0), name: name.to_owned() });
        let offers = self.settings.http2;
        let offering = |peer: Peer| peer.offering(&[b"h2", b"http/1.1"]);
        let peer = peer.map(|peer| if offers { offering(peer) } else { peer });
        let mut place = Place::new(authority.to_vec(), peer);
        place.multiplexed = match place.peer {
            Some(_) if offers => None,
            None if self.settings.prior => Some(true),
            _ => Some(false),
        };
        (place.prefix, place.lines, place.tunnel) = (prefix, lines, tunnel);
        if let Some(number) = self.free.pop() {
            self.places[number] = place;
            return Ok(number);
        }
        self.places.push(place);
        Ok(self.places.len() - 1)
    }

    /// Forgets a place, unless there is something to do with it; its number may be another's then.
    fn release(&mut self, place: usize) -> bool {
        let vacant = self.places[place].is_vacant();
        if vacant {
            self.free.push(place);
        }
        vacant
    }

    /// Asks, and gives what to wait for.
    #[pyo3(signature = (place, method, target, headers, body, timeout, deadline, stream, /))]
    #[expect(clippy::too_many_arguments, reason = "one call a request")]
    fn ask<'py>(
        slf: &Bound<'py, Self>,
        place: usize,
        method: &str,
        target: &str,
        headers: Bound<'py, PyAny>,
        body: Option<&[u8]>,
        timeout: Option<f64>,
        deadline: f64,
        stream: bool,
    ) -> PyResult<Bound<'py, Reply>> {
        let fields = Fields::read(headers)?;
        let asked = Asked { method, target, fields, body, pieces: false };
        Self::begin(slf, place, &asked, (timeout, deadline), stream).map(|(reply, _)| reply)
    }

    /// Asks with a body that `feed` brings; also the number to feed it by.
    #[pyo3(signature = (place, method, target, headers, timeout, deadline, stream, /))]
    #[expect(clippy::too_many_arguments, reason = "as `ask`")]
    fn ask_in_pieces<'py>(
        slf: &Bound<'py, Self>,
        place: usize,
        method: &str,
        target: &str,
        headers: Bound<'py, PyAny>,
        timeout: Option<f64>,
        deadline: f64,
        stream: bool,
    ) -> PyResult<(Bound<'py, Reply>, u64)> {
        let fields = Fields::read(headers)?;
        let asked = Asked { method, target, fields, body: None, pieces: true };
        Self::begin(slf, place, &asked, (timeout, deadline), stream)
    }

    /// Adds a piece to a body; None ends it. What to wait for before the next; None: nothing.
    /// False where nobody takes the body any more.
    fn feed<'py>(
        slf: &Bound<'py, Self>,
        ticket: u64,
        piece: Option<&[u8]>,
    ) -> PyResult<(bool, Option<Bound<'py, Reply>>)> {
        let py = slf.py();
        let reply = Bound::new(py, Reply::new(Self::runtime(slf), None))?;
        let fed = slf.borrow_mut().feed_one(ticket, piece);
        let Some((unsent, key)) = fed else { return Ok((false, None)) };
        let unsent = unsent.map_err(|why| Self::error(slf, "local", why))?;
        let room = (unsent > MOST_UNSENT && piece.is_some()).then_some(reply);
        if let Some((request, _)) = slf.borrow_mut().request(ticket) {
            if let (Some(room), Some(upload)) = (&room, request.upload.as_mut()) {
                upload.room = Some(room.clone().unbind());
            }
        }
        if let Some(key) = key {
            Self::touch(slf, key)?;
        }
        Ok((true, room))
    }

    /// A body that `feed` was to bring will not come: its connection is given up.
    fn break_off(slf: &Bound<'_, Self>, ticket: u64) -> PyResult<()> {
        let (ended, place) = {
            let pool = &mut *slf.borrow_mut();
            let Some((place, key)) = pool.request(ticket).map(|(its, key)| (its.place, key)) else {
                return Ok(());
            };
            if let Some(stream) = pool.streams.get_mut(&ticket) {
                stream.failed = Some(("read", "the request's body came to no end".into()));
            }
            let Some(key) = key else { return Ok(()) };
            let left = pool.leave(key, ticket);
            let ended = if left.is_some() { vec![] } else { pool.end(slf.py(), key) };
            ((left, ended), place)
        };
        drop(ended);
        Self::stir(slf, ticket, false)?;
        Self::want(slf, place)
    }

    /// The addresses of a place that was needed, in the order in which to try them.
    fn dial(slf: &Bound<'_, Self>, place: usize, addresses: Vec<(String, u16)>) -> PyResult<()> {
        Self::begin_dial(slf, place, &addresses)
    }

    /// There is no address of a place that was needed.
    fn refuse(slf: &Bound<'_, Self>, place: usize, why: &str) -> PyResult<()> {
        Self::dial_failed(slf, place, why)
    }

    /// Has so many connections open, as far as may be, and gives what to wait for until they are.
    fn warm<'py>(
        slf: &Bound<'py, Self>,
        place: usize,
        connections: usize,
    ) -> PyResult<Bound<'py, Reply>> {
        let py = slf.py();
        let reply = Bound::new(py, Reply::new(Self::runtime(slf), None))?;
        {
            let pool = &mut *slf.borrow_mut();
            let most = pool.settings.connections.min(connections);
            let its = &mut pool.places[place];
            its.warming = its.warming.max(most.saturating_sub(its.open));
            its.warmers.push(reply.clone().unbind());
        }
        Self::warmed(slf, place, Ok(()))?;
        Self::want(slf, place)?;
        Ok(reply)
    }

    /// Ends all of it; who waits is told.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::close_all(slf)
    }

    /// What it has seen, and of a place what there is now.
    #[pyo3(signature = (place=None))]
    fn statistics<'py>(
        &self,
        py: Python<'py>,
        place: Option<usize>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        let places = || {
            self.places.iter().enumerate().filter(|(at, _)| place.is_none_or(|place| place == *at))
        };
        let sum = |count: fn(&Place) -> usize| places().map(|(_, its)| count(its) as u64).sum();
        let Counters { requests, reused, dialled, repeated, stale, lost, .. } = self.counters;
        for (name, value) in [
            ("open", sum(|its| its.open)),
            ("idle", sum(|its| its.idle.len()) + self.resting(place)),
            ("dialling", sum(|its| its.dialling)),
            ("waiting", sum(Place::awaiting)),
            ("requests", requests),
            ("reused", reused),
            ("dialled", dialled),
            ("repeated", repeated),
            ("stale", stale),
            ("lost", lost),
            ("expired", self.counters.expired),
            ("bytes_in", self.counters.bytes_in),
            ("bytes_out", self.counters.bytes_out),
        ] {
            all.set_item(name, value)?;
        }
        Ok(all)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.hooks.error)?;
        visit.call(&self.hooks.need)?;
        for request in self.places.iter().flat_map(|place| &place.waiting) {
            visit.call(&request.reply)?;
        }
        for reply in self.places.iter().flat_map(|place| &place.warmers) {
            visit.call(reply)?;
        }
        for connection in self.connections.iter().flatten() {
            match &connection.stage {
                Stage::Busy(flight) => visit.call(&flight.request.reply)?,
                Stage::Many(many) => {
                    for flight in many.flights.values() {
                        visit.call(&flight.request.reply)?;
                    }
                }
                _ => {}
            }
        }
        for stream in self.streams.values() {
            stream.visit(&visit)?;
        }
        visit.call(&self.links)
    }

    fn __clear__(&mut self) {
        self.places.clear();
        self.connections.clear();
        self.streams.clear();
    }
}

impl ClientPool {
    /// Lays a request out and sees to it.
    fn begin<'py>(
        slf: &Bound<'py, Self>,
        place: usize,
        asked: &Asked<'_, 'py>,
        (timeout, deadline): (Option<f64>, f64),
        streams: bool,
    ) -> PyResult<(Bound<'py, Reply>, u64)> {
        let py = slf.py();
        let (laid, ticket) = {
            let pool = &mut *slf.borrow_mut();
            let its = &pool.places[place];
            pool.serial += 1;
            (asked.lay(&its.authority, &its.prefix, &its.lines), pool.serial)
        };
        let laid = match laid {
            Ok(laid) => laid,
            Err(Wrong::Python(error)) => return Err(error),
            Err(Wrong::Unfit(why)) => return Err(Self::error(slf, "local", &why)),
        };
        let reply = Bound::new(py, Reply::tied(Self::runtime(slf), slf.clone().unbind(), ticket))?;
        let (at, deadline) = (now(), nanoseconds(deadline));
        let due = timeout.map_or(u64::MAX, |seconds| at.saturating_add(nanoseconds(seconds)));
        let method = asked.method.as_bytes();
        let request = Box::new(Request {
            ticket,
            place,
            reply: Some(reply.clone().unbind()),
            octets: laid.octets,
            head: laid.head,
            sent: 0,
            begun: false,
            idempotent: wire::ask::is_idempotent(method),
            bodiless: method == b"HEAD",
            keep: !laid.close,
            streams,
            repeated: false,
            due: due.min(deadline),
            deadline,
            patience: u64::MAX,
            upload: laid.upload,
        });
        Self::admit(slf, request, at)?;
        Ok((reply, ticket))
    }

    /// What Python makes of a failure of that kind.
    fn error(slf: &Bound<'_, Self>, kind: &str, why: &str) -> PyErr {
        let hook = slf.borrow().hooks.error.clone_ref(slf.py());
        reply::failure(hook.bind(slf.py()), kind, why)
    }

    /// Ends what somebody waits for with an error.
    fn fail(
        slf: &Bound<'_, Self>,
        waiter: Option<&Py<Reply>>,
        (kind, why): (&str, &str),
        in_place: bool,
    ) -> PyResult<()> {
        let Some(waiter) = waiter.map(|waiter| waiter.bind(slf.py())) else { return Ok(()) };
        if !waiter.borrow().is_pending() {
            return Ok(());
        }
        Reply::complete(waiter, Err(Self::error(slf, kind, why)), in_place)
    }

    fn runtime(slf: &Bound<'_, Self>) -> Py<Runtime> {
        slf.borrow().runtime.clone_ref(slf.py())
    }

    fn owner(slf: &Bound<'_, Self>) -> Owner {
        Owner::Pool(slf.clone().unbind())
    }

    fn links<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Links> {
        slf.borrow().links.bind(slf.py()).clone()
    }

    /// Sees to it that `due` is not missed.
    fn remind(slf: &Bound<'_, Self>, due: u64) -> PyResult<()> {
        {
            let mut pool = slf.borrow_mut();
            if due >= pool.armed {
                return Ok(());
            }
            pool.armed = due;
        }
        Links::remind(&Self::links(slf), Self::owner(slf), due)
    }

    fn connection(&mut self, key: LinkKey) -> Option<&mut Connection> {
        let connection = self.connections.get_mut(key.index as usize)?.as_mut()?;
        (connection.key == key).then_some(connection)
    }

    /// A request that waits or is under way, and on which connection.
    fn request(&mut self, ticket: u64) -> Option<(&mut Request, Option<LinkKey>)> {
        let has = |its: &Option<Box<Connection>>| {
            its.as_ref().is_some_and(|connection| connection.stage.has(ticket))
        };
        if let Some(at) = self.connections.iter().position(has) {
            let connection = self.connections[at].as_mut()?;
            let flight = match &mut connection.stage {
                Stage::Busy(flight) => &mut **flight,
                Stage::Many(many) => many.flights.get_mut(&ticket)?,
                _ => return None,
            };
            return Some((&mut flight.request, Some(connection.key)));
        }
        let waiting = self.places.iter_mut().flat_map(|place| &mut place.waiting);
        waiting.into_iter().find(|request| request.ticket == ticket).map(|its| (&mut **its, None))
    }

    /// What happened to a connection.
    pub fn act(slf: &Bound<'_, Self>, notice: Notice) {
        let acted = match notice {
            Notice::Open(key) => Self::opened(slf, key),
            Notice::Input(key) => Self::read(slf, key, None, true),
            Notice::Room(key) => {
                slf.borrow_mut().touched.push(key);
                Self::flush(slf);
                Ok(())
            }
            Notice::Lost(key, loss) => Self::lose(slf, key, &loss.to_string()),
        };
        Self::unraisable(slf, acted);
    }

    pub fn unraisable(slf: &Bound<'_, Self>, result: PyResult<()>) {
        if let Err(error) = result {
            if crate::task::is_fatal(slf.py(), &error) {
                Self::links(slf).borrow_mut().fatal = Some(error);
            } else {
                error.write_unraisable(slf.py(), Some(slf.as_any()));
            }
        }
    }
}

/// Adds this idea's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<ClientPool>()?;
    module.add_class::<ClientAnswer>()
}
