//! A socket's events on their way to whoever attends it.
//!
//! # Theory
//! A socket is attended by the handler that accepted it, which receives when it wants to, or by
//! callbacks, which are called when something comes. With callbacks nothing of Python's belongs to
//! an idle socket but the route's one `Callbacks`: the handle and what `make` makes of it are made
//! for each event, unless `keep` asked for the same one.
//!
//! # Rules
//! - Callbacks of one socket run one after the other; what comes meanwhile waits, and from the
//!   limit on the peer does.
//! - `closed` is called once, after everything that came before.
//! - Of a handler that neither receives nor sends nobody knows when it will see that its peer has
//!   gone: it is cancelled after the close timeout (users of other servers leak such handlers).
use crate::answer::Fields;
use crate::calls::{self, Object};
use crate::engine::{Engine, Wait};
use crate::exchange::{Exchange, Reason};
use crate::socket::{Callbacks, Socket, SocketSettings, key, object};
use crate::task::{Duty, Outcome, Owner, RequestTask, is_fatal};
use poll::{Message, Token};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::collections::HashMap;
use wire::reply;
use wire::websocket::{Close, Handshake};

/// Callbacks, and the handle that is held, of an open socket.
type Attendants<'py> = (Option<Bound<'py, Callbacks>>, Option<Bound<'py, Socket>>);

/// Who attends the socket of a slot.
struct Attended {
    /// `NOBODY` where there is none.
    epoch: u32,
    callbacks: Option<Py<Callbacks>>,
    /// Held for a handler that accepted it, a callback under way, or an object to keep.
    socket: Option<Py<Socket>>,
}

/// Epochs of connections have 31 bits.
const NOBODY: u32 = u32::MAX;

impl Default for Attended {
    fn default() -> Attended {
        Attended { epoch: NOBODY, callbacks: None, socket: None }
    }
}

/// Every open socket, by its connection's slot.
#[derive(Default)]
pub struct Sockets {
    slots: Vec<Attended>,
    /// Callbacks under way; asyncio itself only keeps weak references to tasks.
    pub busy: HashMap<u64, Py<Socket>>,
}

impl Sockets {
    fn slot(&mut self, token: Token) -> Option<&mut Attended> {
        self.slots.get_mut(token.index as usize).filter(|slot| slot.epoch == token.epoch)
    }

    pub fn remember(&mut self, token: Token, socket: Py<Socket>) {
        if let Some(slot) = self.slot(token) {
            slot.socket = Some(socket);
        }
    }

    fn open(&mut self, token: Token, socket: Py<Socket>) {
        let index = token.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, Attended::default);
        }
        self.slots[index] = Attended { epoch: token.epoch, callbacks: None, socket: Some(socket) };
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for slot in &self.slots {
            visit.call(&slot.callbacks)?;
            visit.call(&slot.socket)?;
        }
        for socket in self.busy.values() {
            visit.call(socket)?;
        }
        Ok(())
    }

    pub fn clear(&mut self) {
        self.slots.clear();
        self.busy.clear();
    }
}

impl Engine {
    /// Answers a request by becoming a socket; false when its connection has gone.
    pub fn upgrade(
        &mut self,
        token: Token,
        handshake: &Handshake,
        fields: &Fields,
        settings: &SocketSettings,
    ) -> bool {
        let options = settings.resolve(self.number, &self.socket_options);
        self.reactor.upgrade(token, handshake, &reply::render(101, fields), options)
    }

    /// The handle of a request that has just become a socket.
    pub fn opened<'py>(slf: &Bound<'py, Self>, token: Token) -> PyResult<Bound<'py, Socket>> {
        let socket = Bound::new(slf.py(), Socket::new(slf.clone().unbind(), token))?;
        slf.borrow_mut().sockets.open(token, socket.clone().unbind());
        Ok(socket)
    }

    /// Hands a socket over to callbacks; what has come already is theirs too.
    pub fn attend(socket: &Bound<'_, Socket>, callbacks: &Bound<'_, Callbacks>) -> PyResult<()> {
        let (engine, token) = {
            let this = socket.borrow();
            (this.engine.bind(socket.py()).clone(), this.token)
        };
        if let Some(slot) = engine.borrow_mut().sockets.slot(token) {
            slot.callbacks = Some(callbacks.clone().unbind());
        }
        Self::go_on(&engine, socket, callbacks)
    }

    fn attended<'py>(slf: &Bound<'py, Self>, token: Token) -> Option<Attendants<'py>> {
        let py = slf.py();
        let mut engine = slf.borrow_mut();
        let slot = engine.sockets.slot(token)?;
        let callbacks = slot.callbacks.as_ref().map(|held| held.bind(py).clone());
        Some((callbacks, slot.socket.as_ref().map(|held| held.bind(py).clone())))
    }

    /// A message has come.
    pub fn message(slf: &Bound<'_, Self>, token: Token, message: Message) -> PyResult<()> {
        let Some((callbacks, socket)) = Self::attended(slf, token) else { return Ok(()) };
        if let Some(callbacks) = &callbacks {
            let idle = socket.as_ref().is_none_or(|socket| socket.borrow().task.is_none());
            if idle {
                let socket = Self::handle(slf, token, socket)?;
                Self::receive(slf, &socket, callbacks, message)?;
                return Ok(());
            }
        }
        let Some(socket) = socket else { return Ok(()) };
        let most = slf.borrow().unread;
        if socket.borrow_mut().push(message, most) {
            slf.borrow_mut().reactor.hold(token, true);
        }
        Self::wake(slf, token)
    }

    /// Whoever waits for a message goes on: the handler itself in place, as with its first step.
    /// So its answer is written before what the peer sent next is looked at, as callbacks' are.
    fn wake(slf: &Bound<'_, Self>, token: Token) -> PyResult<()> {
        let py = slf.py();
        let (waiters, handler) = {
            let mut engine = slf.borrow_mut();
            let waiters = engine.waiters.remove(&(key(token), Wait::Message)).unwrap_or_default();
            let serial = engine.slots.get(token.index as usize).copied().unwrap_or(0);
            let running = engine.running.get(&serial);
            let held = running.filter(|(_, exchange)| exchange.get().token == token);
            (waiters, held.map(|(task, _)| task.bind(py).clone()))
        };
        for future in waiters {
            let future = future.bind(py);
            if calls::method(intern!(py, "done"), [future], None)?.is_truthy()? {
                continue; // cancelled
            }
            match &handler {
                Some(task) if task.borrow().waits_for(future) => {
                    if let Err(error) = RequestTask::resume(task, future) {
                        slf.borrow_mut().fatal = Some(error);
                    }
                }
                _ => Self::set(future)?,
            }
        }
        Ok(())
    }

    fn handle<'py>(
        slf: &Bound<'py, Self>,
        token: Token,
        socket: Option<Bound<'py, Socket>>,
    ) -> PyResult<Bound<'py, Socket>> {
        let make = || Bound::new(slf.py(), Socket::new(slf.clone().unbind(), token));
        socket.map_or_else(make, Ok)
    }

    /// It has ended: whoever attends it is told.
    pub fn socket_ended(slf: &Bound<'_, Self>, token: Token, close: Close) -> PyResult<()> {
        let Some((callbacks, socket)) = Self::attended(slf, token) else { return Ok(()) };
        let slot = slf.borrow_mut().sockets.slot(token).map(std::mem::take);
        if let Some(callbacks) = callbacks {
            let socket = Self::handle(slf, token, socket)?;
            socket.borrow_mut().close = Some(close);
            let idle = socket.borrow().task.is_none();
            if idle {
                Self::go_on(slf, &socket, &callbacks)?;
            }
        } else if let Some(socket) = socket {
            socket.borrow_mut().close = Some(close);
            Self::watch(slf, &socket)?;
        }
        drop(slot);
        Self::wake(slf, token)?;
        Self::release(slf, key(token), Wait::Drain, "set_result")
    }

    /// Looks later whether the handler has seen the end; it may wait for something else for ever.
    fn watch(slf: &Bound<'_, Self>, socket: &Bound<'_, Socket>) -> PyResult<()> {
        let py = slf.py();
        let token = socket.borrow().token;
        let (serial, patience, lp) = {
            let engine = slf.borrow();
            let serial = engine.slots.get(token.index as usize).copied().unwrap_or(0);
            let held = engine.running.get(&serial);
            if held.is_none_or(|(_, exchange)| exchange.get().token != token)
                || engine.waiters.contains_key(&(key(token), Wait::Message))
            {
                return Ok(());
            }
            let patience = engine.socket_options.close_timeout as f64 / 1e9;
            (serial, patience, engine.runtime.get().lp.clone_ref(py))
        };
        let give_up = slf.getattr(intern!(py, "_give_up"))?;
        lp.call_method1(py, intern!(py, "call_later"), (patience, give_up, serial, socket))
            .map(drop)
    }

    /// Cancels a handler that has not looked at its socket since it ended.
    pub fn give_up(slf: &Bound<'_, Self>, serial: u64, socket: &Bound<'_, Socket>) -> PyResult<()> {
        let py = slf.py();
        let held = {
            let engine = slf.borrow();
            let held = engine.running.get(&serial);
            held.map(|(task, exchange)| (task.clone_ref(py), exchange.clone_ref(py)))
        };
        let waits = |exchange: &Py<Exchange>| !socket.borrow().told && !exchange.get().survives();
        match held.filter(|(_, exchange)| waits(exchange)) {
            Some((task, exchange)) => {
                Self::cancel(&task.into_bound(py), exchange.get(), Reason::Gone)
            }
            None => Ok(()),
        }
    }

    /// The handler that accepted a socket has ended, and so does the socket, unless it was handed
    /// over to callbacks.
    pub fn dismiss(slf: &Bound<'_, Self>, exchange: &Bound<'_, Exchange>, outcome: Outcome<'_>) {
        let token = exchange.get().token;
        let handed = Self::attended(slf, token).is_some_and(|(callbacks, _)| callbacks.is_some());
        let close = match outcome {
            Outcome::Suspended => return,
            Outcome::Done(_) if handed => return,
            Outcome::Done(_) => Close::new(1000, ""),
            Outcome::Failed(error) => {
                Self::report(slf, exchange, error);
                Close::new(1011, "internal error")
            }
            Outcome::Cancelled(_) => Close::new(1011, "cancelled"),
        };
        slf.borrow_mut().reactor.close_socket(token, close);
    }

    /// A callback under way has ended; called by its task, from the loop.
    pub fn attended_to(
        slf: &Bound<'_, Self>,
        socket: &Bound<'_, Socket>,
        outcome: Outcome<'_>,
    ) -> PyResult<()> {
        let token = socket.borrow().token;
        let held = {
            let mut engine = slf.borrow_mut();
            engine.reactor.touch();
            engine.sockets.busy.remove(&key(token))
        };
        let (task, callbacks) = {
            let mut this = socket.borrow_mut();
            (this.task.take(), this.callbacks.take())
        };
        // Dropped with nothing borrowed: that may run finalizers, which may call us.
        drop((task, held));
        if let Some(callbacks) = callbacks {
            let callbacks = callbacks.bind(slf.py());
            Self::judge(slf, socket, callbacks, outcome)?;
            Self::go_on(slf, socket, callbacks)?;
        }
        Self::pump(slf)
    }

    /// Calls back for everything that waits, and then for the end, if that has come.
    fn go_on(
        slf: &Bound<'_, Self>,
        socket: &Bound<'_, Socket>,
        callbacks: &Bound<'_, Callbacks>,
    ) -> PyResult<()> {
        loop {
            let message = socket.borrow_mut().pop();
            let Some(message) = message else { break };
            if Self::receive(slf, socket, callbacks, message)? {
                return Ok(());
            }
        }
        let (token, close) = {
            let mut this = socket.borrow_mut();
            let (told, over) = (this.told, this.close.is_some());
            this.told |= over;
            (this.token, this.close.clone().filter(|_| !told))
        };
        if let Some(close) = close {
            Self::finish(slf, socket, callbacks, &close)?;
        } else {
            Self::let_go(slf, token);
            let resumed = slf.borrow_mut().reactor.hold(token, false);
            if resumed {
                Self::pump_later(slf)?;
            }
        }
        Ok(())
    }

    /// The server closes: what callbacks still do is cancelled.
    pub fn cancel_callbacks(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let busy: Vec<_> = {
            let engine = slf.borrow();
            engine.sockets.busy.values().map(|socket| socket.clone_ref(py)).collect()
        };
        for socket in busy {
            let task = socket.borrow(py).task.as_ref().map(|task| task.clone_ref(py));
            let message = intern!(py, "server closed").clone().into_any().unbind();
            task.map_or(Ok(false), |task| RequestTask::cancel(task.bind(py), Some(message)))?;
        }
        Ok(())
    }

    /// Nothing is under way: the handle is made anew when something comes.
    fn let_go(slf: &Bound<'_, Self>, token: Token) {
        let py = slf.py();
        let held = {
            let mut engine = slf.borrow_mut();
            let slot = engine.sockets.slot(token).filter(|slot| slot.callbacks.is_some());
            let needed = |held: &Py<Socket>| {
                let held = held.borrow(py);
                held.task.is_some() || held.kept.is_some()
            };
            slot.and_then(|slot| slot.socket.take_if(|held| !needed(held)))
        };
        drop(held);
    }

    /// True: it suspended.
    fn receive<'py>(
        slf: &Bound<'py, Self>,
        socket: &Bound<'py, Socket>,
        callbacks: &Bound<'py, Callbacks>,
        message: Message,
    ) -> PyResult<bool> {
        let py = slf.py();
        let data = object(py, message);
        let received = callbacks.get().received.bind(py);
        Self::call_back(slf, socket, callbacks, |target| calls::call(received, [target, &data]))
    }

    fn finish<'py>(
        slf: &Bound<'py, Self>,
        socket: &Bound<'py, Socket>,
        callbacks: &Bound<'py, Callbacks>,
        close: &Close,
    ) -> PyResult<bool> {
        let py = slf.py();
        let code = close.code.into_pyobject(py)?.into_any();
        let reason = PyString::new(py, &close.reason).into_any();
        let closed = callbacks.get().closed.bind(py);
        Self::call_back(slf, socket, callbacks, |target| {
            calls::call(closed, [target, &code, &reason])
        })
    }

    /// Calls in a context of its own, and steps a coroutine in place; true where it suspended.
    fn call_back<'py>(
        slf: &Bound<'py, Self>,
        socket: &Bound<'py, Socket>,
        callbacks: &Bound<'py, Callbacks>,
        call: impl FnOnce(&Object<'py>) -> PyResult<Object<'py>>,
    ) -> PyResult<bool> {
        let outcome = Self::step(slf, socket, callbacks, call).unwrap_or_else(Outcome::Failed);
        if matches!(outcome, Outcome::Suspended) {
            return Ok(true);
        }
        Self::judge(slf, socket, callbacks, outcome).map(|()| false)
    }

    fn step<'py>(
        slf: &Bound<'py, Self>,
        socket: &Bound<'py, Socket>,
        callbacks: &Bound<'py, Callbacks>,
        call: impl FnOnce(&Object<'py>) -> PyResult<Object<'py>>,
    ) -> PyResult<Outcome<'py>> {
        let py = slf.py();
        let context = slf.borrow_mut().contexts.of(py, 0, None)?;
        calls::in_context(&context, || {
            let kept = socket.borrow().kept.as_ref().map(|kept| kept.bind(py).clone());
            let make = || calls::call(callbacks.get().make.bind(py), [socket.as_any()]);
            let value = call(&kept.map_or_else(make, Ok)?)?;
            let runtime = slf.borrow().runtime.bind(py).clone();
            if !runtime.get().is_coroutine(&value) {
                return Ok(Outcome::Done(value));
            }
            RequestTask::begin(&runtime, value, &context, None, |task| {
                let token = {
                    let mut this = socket.borrow_mut();
                    this.task = Some(task.clone().unbind());
                    this.callbacks = Some(callbacks.clone().unbind());
                    this.token
                };
                let mut engine = slf.borrow_mut();
                engine.sockets.busy.insert(key(token), socket.clone().unbind());
                engine.sockets.remember(token, socket.clone().unbind());
                let duty = Duty::Socket(socket.clone().unbind());
                Ok(Owner { engine: slf.clone().unbind(), duty })
            })
        })?
    }

    /// A callback that raised ends its socket; nothing more is received.
    fn judge(
        slf: &Bound<'_, Self>,
        socket: &Bound<'_, Socket>,
        callbacks: &Bound<'_, Callbacks>,
        outcome: Outcome<'_>,
    ) -> PyResult<()> {
        let py = slf.py();
        let error = match outcome {
            Outcome::Suspended | Outcome::Done(_) => return Ok(()),
            Outcome::Failed(error) | Outcome::Cancelled(error) => error,
        };
        if is_fatal(py, &error) {
            slf.borrow_mut().fatal = Some(error.clone_ref(py));
        }
        let token = {
            let mut this = socket.borrow_mut();
            while this.pop().is_some() {}
            this.token
        };
        slf.borrow_mut().reactor.close_socket(token, Close::new(1011, "internal error"));
        let value = error.into_value(py).into_any();
        let failed = callbacks.get().failed.bind(py);
        calls::call(failed, [socket.as_any(), value.bind(py)]).map(drop)
    }
}
