//! A WebSocket as Python holds it: a handle to a connection, and what waits to be received.
use crate::address::{Address, pair};
use crate::calls::Object;
use crate::engine::{Engine, Wait};
use crate::task::RequestTask;
use poll::{Message, Overflow, Sent, SocketOptions, Token};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use wire::websocket::{Close, frame};

/// Messages from this size on are compressed (ws for Node: threshold 1,024).
const COMPRESS_FROM: usize = 1024;

/// A message as a handler gets it.
pub fn object(py: Python<'_>, message: Message) -> Object<'_> {
    match message {
        Message::Text(text) => PyString::new(py, &text).into_any(),
        Message::Binary(data) => PyBytes::new(py, &data).into_any(),
    }
}

/// What a route says about its sockets; the rest is of the engine's limits.
#[pyclass(frozen, module = "megahertz._core")]
pub struct SocketSettings {
    overflow: Overflow,
    unsent: Option<usize>,
    compress: bool,
    /// Shared by the sockets of an engine, so that each holds a pointer.
    resolved: Mutex<Option<(usize, Arc<SocketOptions>)>>,
}

impl SocketSettings {
    /// The options for an engine; `which` tells engines apart.
    pub fn resolve(&self, which: usize, defaults: &SocketOptions) -> Arc<SocketOptions> {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, options)) = resolved.as_ref().filter(|(known, _)| *known == which) {
            return options.clone();
        }
        let options = Arc::new(SocketOptions {
            overflow: self.overflow,
            unsent: self.unsent.unwrap_or(defaults.unsent),
            compress: self.compress.then_some(COMPRESS_FROM),
            ..*defaults
        });
        *resolved = Some((which, options.clone()));
        options
    }
}

#[pymethods]
impl SocketSettings {
    #[new]
    #[pyo3(signature = (*, backpressure="wait", unsent_bytes=None, compress=true))]
    fn new(backpressure: &str, unsent_bytes: Option<usize>, compress: bool) -> PyResult<Self> {
        let overflow = match backpressure {
            "wait" => Overflow::Wait,
            "drop" => Overflow::Drop,
            "close" => Overflow::Close,
            other => {
                let text = format!("backpressure={other:?}: \"wait\", \"drop\" or \"close\"");
                return Err(PyValueError::new_err(text));
            }
        };
        if unsent_bytes == Some(0) {
            return Err(PyValueError::new_err("unsent_bytes=0: at least 1"));
        }
        Ok(SocketSettings { overflow, unsent: unsent_bytes, compress, resolved: Mutex::new(None) })
    }
}

/// What a route of callbacks does with the events of its sockets.
#[pyclass(frozen, module = "megahertz._core")]
pub struct Callbacks {
    /// Makes what the others get of a `Socket`.
    #[pyo3(get)]
    pub make: Py<PyAny>,
    #[pyo3(get)]
    pub received: Py<PyAny>,
    #[pyo3(get)]
    pub closed: Py<PyAny>,
    #[pyo3(get)]
    pub failed: Py<PyAny>,
}

#[pymethods]
impl Callbacks {
    #[new]
    fn new(make: Py<PyAny>, received: Py<PyAny>, closed: Py<PyAny>, failed: Py<PyAny>) -> Self {
        Callbacks { make, received, closed, failed }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for function in [&self.make, &self.received, &self.closed, &self.failed] {
            visit.call(function)?;
        }
        Ok(())
    }
}

/// What has come and is not received yet, and how it ended.
#[pyclass(module = "megahertz._core")]
pub struct Socket {
    pub engine: Py<Engine>,
    pub token: Token,
    pub inbox: VecDeque<Message>,
    pub bytes: usize,
    pub close: Option<Close>,
    /// The receiver has been told that it ended.
    pub told: bool,
    /// The callback under way, and whose.
    pub task: Option<Py<RequestTask>>,
    pub callbacks: Option<Py<Callbacks>>,
    /// What the callbacks get, where it has to be the same each time.
    pub kept: Option<Py<PyAny>>,
}

impl Socket {
    pub fn new(engine: Py<Engine>, token: Token) -> Socket {
        Socket {
            engine,
            token,
            inbox: VecDeque::new(),
            bytes: 0,
            close: None,
            told: false,
            task: None,
            callbacks: None,
            kept: None,
        }
    }

    /// A message to be received later; true while that is enough for now.
    pub fn push(&mut self, message: Message, most: usize) -> bool {
        self.bytes += message.len();
        self.inbox.push_back(message);
        self.is_full(most)
    }

    /// Empty messages take room too.
    fn is_full(&self, most: usize) -> bool {
        self.bytes + self.inbox.len() * size_of::<Message>() > most
    }

    pub fn pop(&mut self) -> Option<Message> {
        let message = self.inbox.pop_front()?;
        self.bytes -= message.len();
        Some(message)
    }
}

/// The key of a socket among those who wait: no request's serial has the highest bit.
pub fn key(token: Token) -> u64 {
    1 << 63 | u64::from(token.epoch) << 32 | u64::from(token.index)
}

#[pymethods]
impl Socket {
    /// Tells sockets apart, also those that ended.
    #[getter]
    fn key(&self) -> u64 {
        key(self.token)
    }

    #[getter]
    fn open(&self, py: Python<'_>) -> bool {
        self.engine.borrow(py).reactor.is_socket(self.token)
    }

    /// Code and reason, once it has ended.
    #[getter]
    fn ended(&self) -> Option<(u16, &str)> {
        self.close.as_ref().map(|close| (close.code, close.reason.as_str()))
    }

    #[getter]
    fn peer(&self, py: Python<'_>) -> PyResult<Address> {
        pair(py, self.engine.borrow(py).reactor.peer(self.token))
    }

    fn take<'py>(slf: &Bound<'py, Self>) -> Option<Object<'py>> {
        let py = slf.py();
        let (message, token, engine) = {
            let mut this = slf.borrow_mut();
            let message = this.pop();
            this.told |= message.is_none() && this.close.is_some();
            (message?, this.token, this.engine.bind(py).clone())
        };
        let low = engine.borrow().unread / 2;
        if !slf.borrow().is_full(low) {
            let resumed = engine.borrow_mut().reactor.hold(token, false);
            // Fails only where the loop is closed: then nothing more is read anyway.
            let _ = resumed.then(|| Engine::pump_later(&engine));
        }
        Some(object(py, message))
    }

    /// Done once there is a message, or none will come.
    fn wait(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let (engine, token, now) = {
            let this = slf.borrow();
            let now = !this.inbox.is_empty() || this.close.is_some();
            (this.engine.bind(slf.py()).clone(), this.token, now)
        };
        Engine::waiter_or_done(&engine, key(token), Wait::Message, now)
    }

    /// True: taken; False: too much is unsent; None: closed.
    fn send(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<Option<bool>> {
        let engine = slf.borrow().engine.bind(slf.py()).clone();
        let token = slf.borrow().token;
        let (text, bytes) = payload(data)?;
        let sent = engine.borrow_mut().reactor.send_message(token, text, bytes);
        slf.borrow_mut().told |= sent == Sent::Gone;
        if sent == Sent::Taken {
            Engine::pump_later(&engine)?;
        }
        Ok(match sent {
            Sent::Taken => Some(true),
            Sent::Full => Some(false),
            Sent::Gone => None,
        })
    }

    /// Done once there is room for more, or none will be needed.
    fn drain(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let (engine, token) = {
            let this = slf.borrow();
            (this.engine.bind(slf.py()).clone(), this.token)
        };
        let now = !engine.borrow().reactor.is_full(token);
        Engine::waiter_or_done(&engine, key(token), Wait::Drain, now)
    }

    #[pyo3(signature = (code=1000, reason=""))]
    fn close(&self, py: Python<'_>, code: u16, reason: &str) -> PyResult<()> {
        if !frame::is_code(code) {
            let text = format!("close code {code}: 1000, 1001, 1003, 1007 to 1014, 3000 to 4999");
            return Err(PyValueError::new_err(text));
        }
        let engine = self.engine.bind(py);
        engine.borrow_mut().reactor.close_socket(self.token, Close::new(code, reason));
        Engine::pump_later(engine)
    }

    /// False: it is there already, or has ended.
    fn join(&self, py: Python<'_>, room: &str) -> bool {
        self.engine.borrow_mut(py).reactor.join(self.token, room)
    }

    fn leave(&self, py: Python<'_>, room: &str) -> bool {
        self.engine.borrow_mut(py).reactor.leave(self.token, room)
    }

    /// From now on its events go to callbacks.
    fn attend(slf: &Bound<'_, Self>, callbacks: &Bound<'_, Callbacks>) -> PyResult<()> {
        Engine::attend(slf, callbacks)
    }

    /// What the callbacks get from now on, instead of a new one each time.
    fn keep(slf: &Bound<'_, Self>, object: Py<PyAny>) {
        let (engine, token) = {
            let mut this = slf.borrow_mut();
            this.kept = Some(object);
            (this.engine.clone_ref(slf.py()), this.token)
        };
        engine.borrow_mut(slf.py()).sockets.remember(token, slf.clone().unbind());
    }

    #[getter]
    fn engine(&self, py: Python<'_>) -> Py<Engine> {
        self.engine.clone_ref(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.engine)?;
        visit.call(&self.task)?;
        visit.call(&self.callbacks)?;
        visit.call(&self.kept)
    }

    fn __clear__(&mut self) {
        self.task = None;
        self.callbacks = None;
        self.kept = None;
    }
}

/// Fields of a handshake that the engine writes itself.
pub fn is_ours(name: &[u8]) -> bool {
    matches!(name, b"upgrade" | b"sec-websocket-accept" | b"sec-websocket-extensions")
}

/// Text or octets to send.
pub fn payload<'a>(data: &'a Bound<'_, PyAny>) -> PyResult<(bool, &'a [u8])> {
    if let Ok(text) = data.cast::<PyString>() {
        return Ok((true, text.to_str()?.as_bytes()));
    }
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok((false, bytes.as_bytes()));
    }
    let name = data.get_type().name()?;
    Err(PyTypeError::new_err(format!("a message is str or bytes, not {name}")))
}

/// The error of a request that cannot become a WebSocket any more.
pub fn too_late() -> PyErr {
    PyRuntimeError::new_err("the answer has begun already, or its peer has gone")
}

/// Adds this idea's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<SocketSettings>()?;
    module.add_class::<Callbacks>()?;
    module.add_class::<Socket>()
}
