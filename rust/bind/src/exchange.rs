//! One request as Python sees it, and the way to its answer.
//!
//! It owns a copy of its bytes: nothing that a user can keep points into a reused buffer.
use crate::address::{Address, pair};
use crate::answer::{self, Answer};
use crate::client::{ClientAnswer, ClientPool};
use crate::engine::{Engine, Route, Wait};
use crate::gate::Admission;
use crate::proxies::Proxies;
use crate::quiet::{Drawn, Quiet};
use crate::reply::Reply;
use crate::socket::{self, Socket, SocketSettings};
use poll::{Incoming, Piece, Token};
use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyString, PyTuple};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering::Relaxed};
use wire::forwarded::Origin;
use wire::{Span, percent, query, reply};

pub mod asgi;
mod lazy;
mod relay;

pub use lazy::Lazy;

/// Unsent bytes of a streamed answer above which writing raises: a writer that ignores `drain`
/// would otherwise fill the memory (asyncio's transports have no such bound, and users met it).
const MOST_UNSENT: usize = 64 * 1024 * 1024;

/// Why a handler was cancelled by the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// It was not.
    None,
    /// The peer left.
    Gone,
    /// Its time is up.
    Deadline,
    /// The server closes.
    Closing,
}

const STARTED: u8 = 1;
const ENDED: u8 = 2;
const TAKEN: u8 = 4;
const UPGRADED: u8 = 8;
const ENDLESS: u8 = 16;
const SURVIVES: u8 = 32;
const LEFT: u8 = 64;

/// Server-sent events: answers that no handler means to complete.
const EVENTS: &[u8] = b"text/event-stream";

/// The parameters of a path, where they lie in it, and how many.
pub type Params = ([Span; wire::route::MOST_PARAMS], usize);

/// A request that has found its route and passed its gate.
pub struct Begun {
    pub incoming: Box<Incoming>,
    pub serial: u64,
    pub route: u32,
    pub params: Params,
    pub admission: Option<Admission>,
    pub drawn: Option<Drawn>,
}

#[pyclass(frozen, module = "megahertz._core")]
pub struct Exchange {
    engine: Py<Engine>,
    pub token: Token,
    /// Which request of the engine: a connection serves many.
    pub serial: u64,
    /// The route's number; the engine's table has the rest.
    pub route: u32,
    /// Which is given back when it ends, where the route has a gate.
    pub admission: Option<Admission>,
    /// The ids of its trace, where they were drawn for who observes its route.
    pub drawn: Option<Drawn>,
    incoming: Box<Incoming>,
    params: Params,
    state: AtomicU8,
    reason: AtomicU8,
    /// Of the answer, once the handler has begun it itself; 0 before.
    status: AtomicU16,
    body: PyOnceLock<Py<PyBytes>>,
}

impl Exchange {
    pub fn new(engine: Py<Engine>, begun: Begun) -> Self {
        let Begun { incoming, serial, route, params, admission, drawn } = begun;
        Exchange {
            engine,
            token: incoming.token,
            serial,
            route,
            admission,
            drawn,
            incoming,
            params,
            state: AtomicU8::new(0),
            reason: AtomicU8::new(Reason::None as u8),
            status: AtomicU16::new(0),
            body: PyOnceLock::new(),
        }
    }

    pub fn is_started(&self) -> bool {
        self.state.load(Relaxed) & STARTED != 0
    }

    pub fn is_ended(&self) -> bool {
        self.state.load(Relaxed) & ENDED != 0
    }

    pub fn is_upgraded(&self) -> bool {
        self.state.load(Relaxed) & UPGRADED != 0
    }

    /// An answer that goes on until somebody ends it.
    pub fn is_endless(&self) -> bool {
        self.state.load(Relaxed) & (ENDLESS | ENDED) == ENDLESS
    }

    /// Whether its handler goes on when the peer has gone.
    pub fn survives(&self) -> bool {
        self.state.load(Relaxed) & SURVIVES != 0
    }

    pub fn set_ended(&self) {
        self.mark(ENDED);
    }

    /// Under the GIL; a locked instruction would cost more than the rest of it.
    fn mark(&self, bits: u8) {
        self.state.store(self.state.load(Relaxed) | bits, Relaxed);
    }

    /// The answer begins.
    fn begin(&self, bits: u8, status: u16) {
        self.mark(STARTED | bits);
        self.status.store(status, Relaxed);
    }

    /// Who would have observed it, and its trace, where it went without.
    pub fn quiet<'a>(&'a self, route: &'a Route) -> Option<(&'a Quiet, &'a Drawn)> {
        let drawn = self.drawn.as_ref().filter(|drawn| drawn.quiet)?;
        route.quiet.as_ref().map(|quiet| (quiet.get(), drawn))
    }

    /// What is to be given back to its gate, the first time.
    pub fn take_admission(&self) -> Option<Admission> {
        if self.state.load(Relaxed) & LEFT != 0 {
            return None;
        }
        self.mark(LEFT);
        self.admission
    }

    /// The seconds that its deadline gave it.
    pub fn time_given(&self, route: Option<f64>) -> f64 {
        let given = self.admission.and_then(|it| Some((it.deadline? - it.began) as f64 / 1e9));
        given.or(route).unwrap_or(0.0)
    }

    /// Of the answer that its handler has begun.
    pub fn began(&self) -> Option<u16> {
        Some(self.status.load(Relaxed)).filter(|&status| status != 0)
    }

    /// The first reason counts.
    pub fn set_reason(&self, reason: Reason) {
        let none = Reason::None as u8;
        let _ = self.reason.compare_exchange(none, reason as u8, Relaxed, Relaxed);
    }

    pub fn reason(&self) -> Reason {
        match self.reason.load(Relaxed) {
            1 => Reason::Gone,
            2 => Reason::Deadline,
            3 => Reason::Closing,
            _ => Reason::None,
        }
    }

    fn text<'py>(&self, py: Python<'py>, span: Span) -> Bound<'py, PyString> {
        PyString::new(py, &percent::decode(span.of(&self.incoming.bytes)))
    }

    pub fn each(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let of = |span: Span| span.of(&self.incoming.bytes);
        self.incoming.head.fields.iter().map(move |field| (of(field.name), of(field.value)))
    }

    /// The peer's and ours; none once the connection may serve somebody else.
    fn addresses(&self, py: Python<'_>) -> PyResult<Option<(Address, Address)>> {
        if self.is_ended() {
            return Ok(None);
        }
        let mut engine = self.engine.borrow_mut(py);
        let Engine { addresses, reactor, proxies, .. } = &mut *engine;
        let (peer, local) = addresses.of(py, reactor, self.token)?;
        if proxies.is_empty() {
            return Ok(Some((peer, local)));
        }
        let origin = self.origin(py, &peer, proxies)?;
        let peer = if origin.client.is_some() { pair(py, origin.client)? } else { peer };
        Ok(Some((peer, local)))
    }

    /// What the peer says of who asked it, where it is believed.
    fn origin(&self, py: Python<'_>, peer: &Address, proxies: &Proxies) -> PyResult<Origin> {
        let known: Option<(String, u16)> = peer.extract(py)?;
        Ok(proxies.origin(known.as_ref().map(|(host, _)| host.as_str()), self.each()))
    }

    /// Whether it came by TLS, to us or to a proxy that is believed.
    fn is_secure(&self, py: Python<'_>) -> PyResult<bool> {
        let mut engine = self.engine.borrow_mut(py);
        let Engine { addresses, reactor, proxies, .. } = &mut *engine;
        if proxies.is_empty() || self.is_ended() {
            return Ok(self.incoming.secure);
        }
        let (peer, _) = addresses.of(py, reactor, self.token)?;
        Ok(self.origin(py, &peer, proxies)?.secure.unwrap_or(self.incoming.secure))
    }

    /// Whether the peer says that it looks at trailers (RFC 9110 section 10.1.4).
    fn wants_trailers(&self) -> bool {
        let te = self.each().filter(|(name, _)| name.eq_ignore_ascii_case(b"te"));
        te.flat_map(|(_, value)| value.split(|&byte| byte == b','))
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    }

    fn streaming(&self) -> PyResult<()> {
        if self.is_ended() {
            return Err(PyRuntimeError::new_err("the answer is complete, or its peer has gone"));
        }
        if !self.is_started() {
            return Err(PyRuntimeError::new_err("the answer has not begun: call start() first"));
        }
        Ok(())
    }
}

#[pymethods]
impl Exchange {
    #[getter]
    fn method<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.incoming.head.method.of(&self.incoming.bytes) {
            b"GET" => pyo3::intern!(py, "GET").clone(),
            b"POST" => pyo3::intern!(py, "POST").clone(),
            // httparse lets only token characters through.
            other => PyString::new(py, &String::from_utf8_lossy(other)),
        }
    }

    #[getter]
    fn path<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        PyString::new(py, &percent::decode(self.incoming.head.path_of(&self.incoming.bytes)))
    }

    #[getter]
    fn raw_path<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.incoming.head.path_of(&self.incoming.bytes))
    }

    #[getter]
    fn query<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.incoming.head.query.of(&self.incoming.bytes))
    }

    fn query_values<'py>(
        &self,
        py: Python<'py>,
        names: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let query = self.incoming.head.query.of(&self.incoming.bytes);
        let value = |name: Bound<'py, PyAny>| {
            let found = query::last(query, name.cast::<PyString>()?.to_str()?);
            PyResult::Ok(found.map(|found| PyString::new(py, &found)))
        };
        PyTuple::new(py, names.iter().map(value).collect::<PyResult<Vec<_>>>()?)
    }

    #[getter]
    fn params<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let base = self.incoming.head.path.at;
        let shifted = |span: &Span| Span { at: base + span.at, len: span.len };
        PyTuple::new(py, self.params.0[..self.params.1].iter().map(|s| self.text(py, shifted(s))))
    }

    #[getter]
    fn version<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        match self.incoming.head.minor {
            _ if self.incoming.multiplexed => pyo3::intern!(py, "2").clone(),
            0 => pyo3::intern!(py, "1.0").clone(),
            _ => pyo3::intern!(py, "1.1").clone(),
        }
    }

    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let lower = |name: &[u8]| PyBytes::new(py, &name.to_ascii_lowercase());
        self.each().map(|(name, value)| (lower(name), PyBytes::new(py, value))).collect()
    }

    fn header(&self, name: &str) -> Option<String> {
        let (_, value) =
            self.each().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()))?;
        Some(value.iter().map(|&byte| byte as char).collect())
    }

    #[getter]
    fn body(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        if self.incoming.is_awaited() {
            return Err(PyRuntimeError::new_err("the body is on its way: read() it"));
        }
        let make = || PyBytes::new(py, self.incoming.body()).unbind();
        Ok(self.body.get_or_init(py, make).clone_ref(py))
    }

    #[getter]
    fn streamed(&self) -> bool {
        self.incoming.is_awaited()
    }

    /// Only the first call finds a body that came whole.
    fn read(&self, py: Python<'_>) -> PyResult<Option<Py<PyBytes>>> {
        if !self.incoming.is_awaited() {
            if self.state.fetch_or(TAKEN, Relaxed) & TAKEN != 0 {
                return Ok(Some(PyBytes::new(py, b"").unbind()));
            }
            return self.body(py).map(Some);
        }
        // The connection may serve the next request by now, whose body is none of ours.
        let piece = if self.is_ended() {
            None
        } else {
            self.engine.borrow_mut(py).reactor.take_body(self.token)
        };
        match piece {
            Some(Piece::Bytes(bytes)) => {
                Engine::pump_later(self.engine.bind(py))?;
                Ok(Some(PyBytes::new(py, &bytes).unbind()))
            }
            Some(Piece::End) => Ok(Some(PyBytes::new(py, b"").unbind())),
            Some(Piece::Later) => Ok(None),
            Some(Piece::Failed(refusal)) => {
                let broken = self.engine.borrow(py).hooks.broken.clone_ref(py);
                Err(PyErr::from_value(broken.call1(py, (refusal.status(),))?.into_bound(py)))
            }
            None => Err(PyRuntimeError::new_err("the answer is complete, or its peer has gone")),
        }
    }

    fn readable(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Engine::waiter(self.engine.bind(py), self.serial, Wait::Body)
    }

    #[getter]
    fn peer(&self, py: Python<'_>) -> PyResult<Option<Address>> {
        Ok(self.addresses(py)?.map(|(peer, _)| peer))
    }

    #[getter]
    fn local(&self, py: Python<'_>) -> PyResult<Option<Address>> {
        Ok(self.addresses(py)?.map(|(_, local)| local))
    }

    #[getter]
    fn secure(&self, py: Python<'_>) -> PyResult<bool> {
        self.is_secure(py)
    }

    #[getter]
    fn peer_certificates<'py>(&self, py: Python<'py>) -> Vec<Bound<'py, PyBytes>> {
        if self.is_ended() {
            return vec![];
        }
        let all = self.engine.borrow(py).reactor.peer_certificates(self.token);
        all.iter().map(|der| PyBytes::new(py, der)).collect()
    }

    #[getter]
    fn started(&self) -> bool {
        self.is_started()
    }

    #[getter]
    fn status(&self) -> Option<u16> {
        self.began()
    }

    #[getter]
    fn closed(&self) -> bool {
        self.is_ended()
    }

    /// A connection's own number; its streams have numbers of their own.
    #[getter]
    fn connection(&self) -> u64 {
        socket::key(self.token)
    }

    fn tied(&self, make: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        Engine::tie(self.engine.bind(make.py()), self.token, make)
    }

    fn gone(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let engine = self.engine.bind(py);
        Engine::waiter_or_done(engine, self.serial, Wait::Gone, self.reason() == Reason::Gone)
    }

    fn hint(&self, py: Python<'_>, links: Vec<Vec<u8>>) -> PyResult<()> {
        if self.is_started() || self.is_ended() {
            return Err(PyRuntimeError::new_err("the answer has begun already"));
        }
        let mut fields = vec![];
        for link in links {
            fields.push(answer::field(b"link", &link)?);
        }
        let rendered = reply::render(103, &fields);
        self.engine.borrow_mut(py).reactor.inform(self.token, 103, &rendered);
        Ok(())
    }

    fn start(&self, py: Python<'_>, status: u16, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.is_started() || self.is_ended() {
            return Err(PyRuntimeError::new_err("the answer has begun already"));
        }
        answer::checked(status)?;
        let (mut fields, mut length) = (vec![], None);
        for item in headers.try_iter()? {
            let (name, value): (Vec<u8>, Vec<u8>) = item?.extract()?;
            let (name, value) = answer::field(&name, &value)?;
            if name == b"content-type" && value.starts_with(EVENTS) {
                self.mark(ENDLESS);
            }
            if name == b"content-length" {
                let text = String::from_utf8_lossy(&value);
                let parsed = text.parse::<u64>();
                length =
                    Some(parsed.map_err(|_| PyValueError::new_err("content-length: no number"))?);
            } else if !answer::is_ours(&name) {
                fields.push((name, value));
            }
        }
        self.begin(0, status);
        let rendered = reply::render(status, &fields);
        self.engine.borrow_mut(py).reactor.start(self.token, status, &rendered, length);
        Ok(())
    }

    fn answer(slf: &Bound<'_, Self>, answer: &Bound<'_, Answer>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        if this.is_started() {
            return Err(PyRuntimeError::new_err("the answer has begun already"));
        }
        if this.is_ended() {
            return Ok(()); // The peer has gone.
        }
        let answer = answer.borrow();
        this.begin(ENDED, answer.status());
        let engine = this.engine.bind(py);
        Engine::write_answer(engine, this.token, &answer);
        Engine::pump_later(engine)
    }

    /// Whether the peer asks to become a WebSocket.
    #[getter]
    fn websocket(&self) -> bool {
        self.incoming.head.websocket
    }

    fn upgrade<'py>(
        slf: &Bound<'py, Self>,
        settings: &Bound<'py, SocketSettings>,
        headers: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Socket>> {
        let (py, this) = (slf.py(), slf.get());
        let handshake = this.incoming.handshake();
        if this.is_started() || this.is_ended() || !this.incoming.head.websocket {
            return Err(socket::too_late());
        }
        let handshake = handshake.map_err(|_| socket::too_late())?;
        let mut fields = answer::pairs(headers)?;
        fields.retain(|(name, _)| !socket::is_ours(name));
        let engine = this.engine.bind(py);
        if !engine.borrow_mut().upgrade(this.token, &handshake, &fields, settings.get()) {
            this.set_ended();
            return Err(socket::too_late());
        }
        this.begin(UPGRADED, 101);
        // A socket lives for hours: it is no request that runs.
        Engine::leave_exchange(engine, this, plane::Outcome::Status(101));
        Engine::pump_later(engine)?;
        Engine::opened(engine, this.token)
    }

    fn write(&self, py: Python<'_>, data: &[u8]) -> PyResult<bool> {
        self.streaming()?;
        let mut engine = self.engine.borrow_mut(py);
        // Perhaps the engine has had nothing to do for long: the peer's patience begins now.
        engine.reactor.touch();
        match engine.reactor.write(self.token, data) {
            Some(unsent) if unsent > MOST_UNSENT => {
                engine.reactor.abort(self.token);
                self.set_ended();
                Err(PyBufferError::new_err("64 MiB unsent: await drain() when write() gives False"))
            }
            Some(unsent) => Ok(unsent <= engine.high_water),
            None => {
                self.set_ended();
                Ok(true)
            }
        }
    }

    fn drain(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let engine = self.engine.bind(py);
        let now = self.is_ended() || !engine.borrow_mut().reactor.want_drain(self.token);
        Engine::waiter_or_done(engine, self.serial, Wait::Drain, now)
    }

    #[pyo3(signature = (trailers=None))]
    fn end(&self, py: Python<'_>, trailers: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
        self.streaming()?;
        let mut lines = vec![];
        for (name, value) in trailers.map_or(Ok(vec![]), answer::pairs)? {
            reply::add(&mut lines, &name, &value);
        }
        if !self.wants_trailers() {
            lines.clear();
        }
        self.set_ended();
        let engine = self.engine.bind(py);
        engine.borrow_mut().reactor.end(self.token, &lines);
        Engine::pump_later(engine)
    }

    /// The rest of a client's answer as the body of this one.
    fn relay<'py>(
        slf: &Bound<'py, Self>,
        answer: &Bound<'py, ClientAnswer>,
        silence: Option<f64>,
    ) -> PyResult<Bound<'py, Reply>> {
        slf.get().streaming()?;
        let (pool, ticket) = answer.borrow().source(slf.py())?;
        ClientPool::relay(pool.bind(slf.py()), (ticket, answer), slf, silence)
    }

    fn __repr__(&self) -> String {
        let of = |span: Span| String::from_utf8_lossy(span.of(&self.incoming.bytes)).into_owned();
        format!("<Exchange {} {}>", of(self.incoming.head.method), of(self.incoming.head.path))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)
    }
}
