//! The engine as Python sees it: routes and hooks in, the poller's callback out.
use crate::address::Addresses;
use crate::answer::Answer;
use crate::attend::Sockets;
use crate::calls::Object;
use crate::contexts::Contexts;
use crate::exchange::{Exchange, Reason};
use crate::figures::row_of;
use crate::gate::{Admission, Gate};
use crate::json::{Encode, Patience};
use crate::lag::Lag;
use crate::limits::{settings, socket_options};
use crate::plane::Plane;
use crate::proxies::Proxies;
use crate::quiet::Quiet;
use crate::runtime::Runtime;
use crate::socket::{Socket, key, payload};
use crate::task::RequestTask;
use crate::tls::TlsConfig;
use crate::typed::Typed;
use crate::waiting::{self, Waiting};
use poll::{Count, Prepared, Reactor, SocketOptions, Token};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustix::fd::{AsRawFd, BorrowedFd};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use wire::{Refusal, Router, reply};

/// What a route's answers look like, rendered once; an object to be shared, as `Runtime` is.
#[pyclass(frozen)]
pub struct Route {
    pub endpoint: Py<PyAny>,
    /// Answers in its place while the breaker is open.
    pub instead: Option<Py<PyAny>>,
    pub bare: bool,
    /// The endpoint needs no request where the body is what it should be.
    pub typed: Option<Typed>,
    /// Without its observers, for requests of which they say nothing.
    pub quiet: Option<Py<Quiet>>,
    /// Calling the endpoint runs nothing of the user's.
    pub inert: bool,
    pub status: u16,
    pub deadline: Option<f64>,
    /// The handler reads the body itself, piece by piece.
    pub streams: bool,
    /// The most octets of a body.
    pub body: u64,
    pub json: Vec<u8>,
    pub text: Vec<u8>,
    pub octets: Vec<u8>,
    pub empty: Vec<u8>,
    /// With what it gives, that it is plain JSON.
    pub patience: Patience,
    /// The engine's, so that a request needs no borrow of it for them.
    pub runtime: Py<Runtime>,
    pub hooks: Arc<Hooks>,
}

impl Route {
    fn new(
        engine: &Engine,
        endpoint: Object<'_>,
        bare: bool,
        status: u16,
        body: u64,
    ) -> PyResult<Route> {
        let head =
            |kind: &[u8]| reply::render(status, &[(b"content-type".to_vec(), kind.to_vec())]);
        let py = endpoint.py();
        Ok(Route {
            inert: Runtime::makes_coroutines(&endpoint),
            typed: Typed::of(&endpoint)?,
            endpoint: endpoint.unbind(),
            instead: None,
            quiet: None,
            bare,
            status,
            deadline: None,
            streams: false,
            body,
            json: head(b"application/json"),
            text: head(b"text/plain; charset=utf-8"),
            octets: head(b"application/octet-stream"),
            empty: reply::render(204, &[]),
            patience: Patience::default(),
            runtime: engine.runtime.clone_ref(py),
            hooks: Arc::clone(&engine.hooks),
        })
    }
}

/// What the application does for the engine.
pub struct Hooks {
    pub encode: Encode,
    pub failed: Py<PyAny>,
    pub expired: Py<PyAny>,
    /// Makes the error that a handler meets when its body is refused half way.
    pub broken: Py<PyAny>,
    pub idle: Py<PyAny>,
    /// The context variable that says when a request's time is up.
    pub deadline: Option<Py<PyAny>>,
}

/// What a suspended handler may wait for, besides what it awaits by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// The peer to take more of the answer.
    Drain,
    /// The next piece of the body.
    Body,
    /// The next message of a socket.
    Message,
    /// The peer to leave.
    Gone,
}

/// A batch of so many is followed by another look at the kernel, which costs a tenth of the loop's
/// turn, while the loop has been kept for less than `STAY`.
const BUSY: usize = 2;
/// Nanoseconds: some 50 requests, so that what else the loop has to do is late by no more.
const STAY: u64 = 250_000;

/// The fallback's number in the route table.
pub const FALLBACK: u32 = u32::MAX;

#[pyclass(module = "megahertz._core")]
pub struct Engine {
    pub reactor: Reactor,
    pub runtime: Py<Runtime>,
    pub hooks: Arc<Hooks>,
    pub router: Router,
    pub routes: Vec<Py<Route>>,
    pub fallback: Option<Py<Route>>,
    /// What stands in front of each route, and of the fallback.
    pub gates: Vec<Option<Py<Gate>>>,
    pub fallback_gate: Option<Py<Gate>>,
    pub contexts: Contexts,
    /// How late the loop is.
    pub lag: Lag,
    /// Who has passed a gate and has no exchange of Python's yet: a panic must not keep the place.
    pub entering: Option<(u32, Admission)>,
    /// Whose request ended last, and when: a pipelined one behind it begins then, which saves a
    /// look at the clock.
    pub left: Option<(Token, u64)>,
    /// Whose request is being begun: a panic is answered.
    pub serving: Option<Token>,
    /// Suspended requests by serial; asyncio itself only keeps weak references to tasks.
    pub running: HashMap<u64, (Py<RequestTask>, Py<Exchange>)>,
    /// A task that nobody knows, for the next request.
    pub spare: Option<Py<RequestTask>>,
    /// The serial of the request that a connection waits for.
    pub slots: Vec<u64>,
    pub addresses: Addresses,
    pub proxies: Proxies,
    pub waiters: HashMap<(u64, Wait), Vec<Py<PyAny>>>,
    pub serial: u64,
    pub high_water: usize,
    pub sockets: Sockets,
    /// What lives as long as its connection, by the connection's number.
    pub tied: HashMap<u64, Py<PyAny>>,
    pub socket_options: SocketOptions,
    /// Bytes of messages that nobody has received, above which a socket is not read.
    pub unread: usize,
    /// Tells engines apart.
    pub number: usize,
    body_limit: u64,
    pub polling: bool,
    pub pump_due: bool,
    pub panics: u64,
    /// Set by a test: the next request panics below its handler.
    pub panic_next: bool,
    /// KeyboardInterrupt or SystemExit of a handler: let out of the loop after the batch.
    pub fatal: Option<PyErr>,
}

fn refused(error: rustix::io::Errno) -> PyErr {
    PyOSError::new_err((error.raw_os_error(), error.to_string()))
}

#[pymethods]
impl Engine {
    #[new]
    #[pyo3(signature = (lp, limits, *, encode, failed, expired, broken, idle, deadline=None, cores=1.0, plane=None))]
    #[expect(clippy::too_many_arguments, reason = "named in Python, one a hook")]
    fn new(
        py: Python<'_>,
        lp: Py<PyAny>,
        limits: &Bound<'_, PyDict>,
        encode: Object<'_>,
        failed: Py<PyAny>,
        expired: Py<PyAny>,
        broken: Py<PyAny>,
        idle: Py<PyAny>,
        deadline: Option<Py<PyAny>>,
        cores: f64,
        plane: Option<&Bound<'_, Plane>>,
    ) -> PyResult<Self> {
        static ENGINES: AtomicUsize = AtomicUsize::new(0);
        let (settings, encode) = (settings(limits)?, Encode::of(&encode));
        let (socket_options, unread) = socket_options(limits)?;
        Ok(Engine {
            reactor: Reactor::new(settings, row_of(plane)?).map_err(refused)?,
            runtime: Py::new(py, Runtime::new(py, lp)?)?,
            hooks: Arc::new(Hooks { encode, failed, expired, broken, idle, deadline }),
            router: Router::default(),
            routes: vec![],
            fallback: None,
            gates: vec![],
            fallback_gate: None,
            contexts: Contexts::default(),
            lag: Lag::new(cores),
            entering: None,
            left: None,
            serving: None,
            running: HashMap::new(),
            spare: None,
            slots: vec![],
            addresses: Addresses::default(),
            waiters: HashMap::new(),
            serial: 0,
            high_water: settings.unsent,
            proxies: Proxies::default(),
            sockets: Sockets::default(),
            tied: HashMap::new(),
            socket_options,
            unread,
            number: ENGINES.fetch_add(1, Relaxed),
            body_limit: settings.body as u64,
            polling: false,
            pump_due: false,
            panics: 0,
            panic_next: false,
            fatal: None,
        })
    }

    fn fileno(&self) -> i32 {
        self.reactor.fd().as_raw_fd()
    }

    #[pyo3(signature = (methods, pattern, endpoint, *, bare=false, status=200, deadline=None, streams=false, body_bytes=None, fallback=None, gate=None, quiet=None))]
    #[expect(clippy::too_many_arguments, reason = "named in Python: what a route may say")]
    fn add_route(
        &mut self,
        methods: Vec<String>,
        pattern: &str,
        endpoint: Object<'_>,
        bare: bool,
        status: u16,
        deadline: Option<f64>,
        streams: bool,
        body_bytes: Option<u64>,
        fallback: Option<Py<PyAny>>,
        gate: Option<Py<Gate>>,
        quiet: Option<Py<Quiet>>,
    ) -> PyResult<()> {
        let index = self.routes.len();
        for method in &methods {
            self.router.add(method, pattern, index).map_err(PyValueError::new_err)?;
        }
        let limit = body_bytes.unwrap_or(self.body_limit);
        let py = endpoint.py();
        let route = Route::new(self, endpoint, bare, status, limit)?;
        let inert = match &quiet {
            Some(quiet) => Runtime::makes_coroutines(quiet.get().endpoint.bind(py)),
            None => route.inert,
        };
        let route = Route { deadline, streams, instead: fallback, quiet, inert, ..route };
        self.routes.push(Py::new(py, route)?);
        self.gates.push(gate);
        Ok(())
    }

    #[pyo3(signature = (endpoint, *, gate=None))]
    fn set_fallback(&mut self, endpoint: Object<'_>, gate: Option<Py<Gate>>) -> PyResult<()> {
        let py = endpoint.py();
        self.fallback_gate = gate;
        let route = Route::new(self, endpoint, false, 200, self.body_limit)?;
        self.fallback = Some(Py::new(py, Route { streams: true, ..route })?);
        Ok(())
    }

    fn set_refusal(
        &mut self,
        py: Python<'_>,
        status: u16,
        answer: &Bound<'_, Answer>,
    ) -> PyResult<()> {
        let refusal = Refusal::ALL.into_iter().find(|refusal| refusal.status() == status);
        let refusal = refusal.ok_or_else(|| {
            PyValueError::new_err(format!("the engine never refuses with {status}"))
        })?;
        let answer = answer.borrow();
        let body = answer.body_bytes(py).as_bytes().to_vec();
        let prepared = Prepared { rendered: answer.rendered().to_vec(), body };
        self.reactor.set_refusal(refusal, prepared);
        Ok(())
    }

    #[pyo3(signature = (proxies, header="x-forwarded"))]
    fn trust(&mut self, proxies: Vec<String>, header: &str) -> PyResult<()> {
        self.proxies = Proxies::parse(&proxies, header)?;
        Ok(())
    }

    #[pyo3(signature = (fd, *, secure=false))]
    fn listen(&mut self, fd: i32, secure: bool) -> PyResult<()> {
        if fd < 0 {
            return Err(PyValueError::new_err("a closed socket"));
        }
        // SAFETY: the caller keeps its socket open during this call; it is duplicated at once.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(refused)?;
        self.reactor.listen(socket, secure).map_err(refused)
    }

    #[pyo3(signature = (fd, *, peer=None, local=None, secure=false))]
    fn adopt(
        slf: &Bound<'_, Self>,
        fd: i32,
        peer: Option<(String, u16)>,
        local: Option<(String, u16)>,
        secure: bool,
    ) -> PyResult<Option<u64>> {
        if fd < 0 {
            return Err(PyValueError::new_err("a closed socket"));
        }
        let py = slf.py();
        // SAFETY: the caller keeps its socket open during this call; it is duplicated at once.
        let socket = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(refused)?;
        let mut engine = slf.borrow_mut();
        let Some(token) = engine.reactor.adopt(socket, secure) else { return Ok(None) };
        engine.addresses.tell(py, token, peer, local)?;
        drop(engine);
        Self::pump_later(slf)?;
        Ok(Some(key(token)))
    }

    /// The handler that runs for a connection, once it has waited.
    fn task(&self, py: Python<'_>, connection: u64) -> Option<Py<RequestTask>> {
        let serial = self.slots.get(connection as u32 as usize)?;
        let (task, exchange) = self.running.get(serial)?;
        (key(exchange.get().token) == connection).then(|| task.clone_ref(py))
    }

    /// Requests that wait, the oldest first.
    fn oldest(&self, py: Python<'_>, most: usize) -> Vec<Waiting> {
        waiting::oldest(self, py, most)
    }

    fn set_tls(&mut self, config: &Bound<'_, TlsConfig>) {
        self.reactor.set_tls(Arc::clone(&config.get().0));
    }

    /// The loop's reader callback; stays while there is much to do.
    fn poll(slf: &Bound<'_, Self>) -> PyResult<()> {
        let mut until = None;
        loop {
            let more = {
                let mut engine = slf.borrow_mut();
                if engine.polling {
                    // A handler that runs the loop inside itself: the outer batch goes on after it.
                    return Ok(());
                }
                engine.contexts.begin(slf.py())?;
                let found = engine.reactor.turn();
                let now = engine.reactor.now();
                found >= BUSY && now < *until.get_or_insert(now + STAY)
            };
            Self::pump(slf)?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Goes on with what `pump_later` left for the loop's next turn.
    fn _pump(slf: &Bound<'_, Self>) -> PyResult<()> {
        {
            let mut engine = slf.borrow_mut();
            engine.pump_due = false;
            engine.reactor.touch();
        }
        Self::pump(slf)
    }

    /// The loop comes to what `ask_lag` left for its next turn.
    fn _lagged(&mut self) {
        self.lag.answered();
    }

    /// Makes the next request panic below its handler: how the tests see what that costs.
    fn _panic_next(&mut self) {
        self.panic_next = true;
    }

    fn unlisten(&mut self) {
        self.reactor.unlisten();
    }

    #[pyo3(signature = (spread=0.0))]
    fn stop(slf: &Bound<'_, Self>, spread: f64) -> PyResult<()> {
        slf.borrow_mut().reactor.stop((spread * 1e9) as u64);
        Self::pump_later(slf)
    }

    fn end_streams(slf: &Bound<'_, Self>, most: usize) -> PyResult<usize> {
        let py = slf.py();
        let endless: Vec<_> = {
            let engine = slf.borrow();
            let all = engine.running.values().filter(|(_, exchange)| {
                exchange.get().is_endless() && exchange.get().reason() == Reason::None
            });
            all.map(|(task, exchange)| (task.clone_ref(py), exchange.clone_ref(py))).collect()
        };
        let left = endless.len().saturating_sub(most);
        for (task, exchange) in endless.into_iter().take(most) {
            Self::cancel(&task.into_bound(py), exchange.get(), Reason::Closing)?;
        }
        Ok(left)
    }

    /// Sends to every socket of a room, but for one; gives how many took it.
    #[pyo3(signature = (room, data, skip=None))]
    fn broadcast(
        slf: &Bound<'_, Self>,
        room: &str,
        data: &Bound<'_, PyAny>,
        skip: Option<&Bound<'_, Socket>>,
    ) -> PyResult<usize> {
        let (text, bytes) = payload(data)?;
        let skip = skip.map(|socket| socket.borrow().token);
        let taken = slf.borrow_mut().reactor.broadcast(room, text, bytes, skip);
        Self::pump_later(slf)?;
        Ok(taken)
    }

    /// Sockets in a room.
    fn members(&self, room: &str) -> usize {
        self.reactor.members(room)
    }

    /// Cancels a handler that has not looked at its socket since it ended.
    fn _give_up(slf: &Bound<'_, Self>, serial: u64, socket: &Bound<'_, Socket>) -> PyResult<()> {
        Self::give_up(slf, serial, socket)
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let running: Vec<_> = {
            let mut engine = slf.borrow_mut();
            engine.reactor.close_all();
            let pair = |(task, exchange): &(Py<RequestTask>, Py<Exchange>)| {
                (task.clone_ref(py), exchange.clone_ref(py))
            };
            engine.running.values().map(pair).collect()
        };
        for (task, exchange) in running {
            exchange.get().set_ended();
            Self::cancel(&task.into_bound(py), exchange.get(), Reason::Closing)?;
        }
        // Sockets have ended with their connections: their callbacks learn of it, from the loop,
        // since they are tasks and so is who calls this.
        Self::cancel_callbacks(slf)?;
        Self::pump_later(slf)
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        for &(count, name) in Count::ALL {
            all.set_item(name, self.reactor.statistics().get(count))?;
        }
        all.set_item("panics", self.panics)?;
        all.set_item("connections", self.reactor.connections())?;
        all.set_item("running", self.running.len() + self.sockets.busy.len())?;
        all.set_item("lag", self.lag.seconds())?;
        Ok(all)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for route in self.routes.iter().chain(&self.fallback) {
            visit.call(&route.get().endpoint)?;
            visit.call(&route.get().instead)?;
            visit.call(&route.get().quiet)?;
            route.get().typed.as_ref().map_or(Ok(()), |typed| typed.traverse(&visit))?;
        }
        let Hooks { encode, failed, expired, broken, idle, deadline: _ } = &*self.hooks;
        for hook in [encode.object(), failed, expired, broken, idle] {
            visit.call(hook)?;
        }
        for (task, exchange) in self.running.values() {
            visit.call(task)?;
            visit.call(exchange)?;
        }
        for object in self.tied.values() {
            visit.call(object)?;
        }
        for future in self.waiters.values().flatten() {
            visit.call(future)?;
        }
        self.contexts.traverse(&visit)?;
        self.sockets.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.routes.clear();
        self.fallback = None;
        self.contexts.clear();
        self.running.clear();
        self.spare = None;
        self.waiters.clear();
        self.sockets.clear();
    }
}

/// Adds this idea's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Answer>()?;
    module.add_class::<Exchange>()?;
    module.add_class::<RequestTask>()?;
    module.add_class::<Engine>()
}
