//! From a whole request to its handler, and from what the handler gave to the answer.
use crate::answer::Answer;
use crate::calls::{self, Object};
use crate::engine::{Engine, FALLBACK, Route, Wait};
use crate::exchange::{Exchange, Lazy, Reason};
use crate::gate::Admission;
use crate::task::{Duty, Outcome, Owner, RequestTask, is_fatal};
use plane::Outcome as Ended;
use poll::{Body, Incoming};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};
use wire::route::WEBSOCKET;
use wire::{Found, Framing, Refusal};

/// Request bodies above this are left to a handler that can read them piece by piece.
const STREAM_BYTES: u64 = 64 * 1024;
/// Bodies from here on are sent from the bytes object instead of being copied (spike.md, 6).
const SHARE_BYTES: usize = 16 * 1024;

/// A small body costs less whole: its handler runs in one go, and a slow peer holds no handler.
/// Who waits for 100 Continue may be refused by the handler before it sends anything.
fn is_worth_streaming(incoming: &Incoming) -> bool {
    match incoming.head.framing {
        Framing::Length(size) => size > STREAM_BYTES || incoming.head.expects,
        Framing::Chunked => true,
    }
}

/// What 426 says (RFC 9110 section 15.5.22, RFC 6455 section 4.4).
const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n";

/// No handler sees an opening handshake that cannot be completed.
fn check_upgrade(incoming: &Incoming) -> Result<(), Refusal> {
    if !incoming.head.websocket {
        return Ok(());
    }
    incoming.handshake().map(drop)
}

impl Engine {
    /// Routes a request, and runs the first step of its handler in place.
    pub fn request(slf: &Bound<'_, Self>, incoming: Incoming) {
        let py = slf.py();
        let token = incoming.token;
        let (serial, index, params, route, admission) = {
            let mut engine = slf.borrow_mut();
            let engine = &mut *engine;
            assert!(!std::mem::take(&mut engine.panic_next), "asked for by a test");
            let head = &incoming.head;
            let path = head.path_of(&incoming.bytes);
            let method = head.method.of(&incoming.bytes);
            let method = if head.websocket { WEBSOCKET.as_bytes() } else { method };
            let found = engine.router.find(method, path);
            let (index, params, route) = match (found, &engine.fallback) {
                (Found::Route(index, params, count), _) => {
                    (index as u32, (params, count), engine.routes[index].bind(py).clone())
                }
                (_, Some(fallback)) => (FALLBACK, Default::default(), fallback.bind(py).clone()),
                (Found::OtherMethods, None) => {
                    let allow = format!("allow: {}\r\n", engine.router.allow(path));
                    return engine.reactor.decline(token, Refusal::NotAllowed, &allow);
                }
                (Found::OnlyWebSocket, None) => {
                    return engine.reactor.decline(token, Refusal::UpgradeRequired, UPGRADE);
                }
                (Found::Nothing, None) => {
                    return engine.reactor.decline(token, Refusal::NotFound, "");
                }
            };
            if let Err(refusal) = check_upgrade(&incoming) {
                let fields = if refusal == Refusal::UpgradeRequired { UPGRADE } else { "" };
                return engine.reactor.decline(token, refusal, fields);
            }
            let size = incoming.body().len() as u64;
            let fits = match incoming.is_awaited() {
                true if route.get().streams && is_worth_streaming(&incoming) => {
                    engine.reactor.hand_over(token, route.get().body)
                }
                true => return engine.collect(incoming, route.get().body),
                false if size > route.get().body => Err(Refusal::BodyTooLarge),
                false => Ok(()),
            };
            if let Err(refusal) = fits {
                return engine.reactor.decline(token, refusal, "");
            }
            let admission = match engine.admit(py, index, &incoming, &params.0[..params.1]) {
                Err(None) => return,
                admission => admission,
            };
            engine.serial += 1;
            (engine.serial, index, params, route, admission)
        };
        let route = route.get();
        let admission = match admission {
            Ok(admission) => admission,
            Err(error) => {
                let this = slf.clone().unbind();
                let exchange = Exchange::new(this, incoming, serial, index, params, None);
                return Self::tell(slf, exchange, route, error);
            }
        };
        let exchange =
            Exchange::new(slf.clone().unbind(), incoming, serial, index, params, admission);
        let mut exchange = Lazy::new(exchange);
        let mut outcome =
            Self::begin(slf, &mut exchange, route, index).unwrap_or_else(Outcome::Failed);
        if let (Some(unseen), Outcome::Done(value)) = (exchange.unseen(), &outcome) {
            match Self::write_value(slf, unseen, route, value) {
                Ok(status) => return Self::passed(slf, index, admission, status),
                Err(error) => outcome = Outcome::Failed(error),
            }
        }
        match (exchange.object(py), outcome) {
            (Ok(_), Outcome::Suspended) => Self::went_on(slf, index, admission),
            (Ok(exchange), outcome) => Self::answer(slf, exchange, route, outcome),
            (Err(_), _) => slf.borrow_mut().reactor.decline(token, Refusal::Broken, ""),
        }
    }

    /// A gate's refusal in the application's own words.
    fn tell(slf: &Bound<'_, Self>, exchange: Exchange, route: &Route, error: Option<PyErr>) {
        let (py, token) = (slf.py(), exchange.token);
        match (Bound::new(py, exchange), error) {
            (Ok(exchange), Some(error)) => {
                Self::answer(slf, &exchange, route, Outcome::Failed(error));
            }
            _ => slf.borrow_mut().reactor.decline(token, Refusal::Broken, ""),
        }
    }

    /// Answered in place, by nobody who has seen it.
    fn passed(slf: &Bound<'_, Self>, route: u32, admission: Option<Admission>, status: u16) {
        if let Some(admission) = admission {
            let mut engine = slf.borrow_mut();
            let ended = Ended::Status(status);
            engine.leave(slf.py(), route, &admission, ended, Some(admission.began));
        }
    }

    /// Its first step is over, and it waits.
    fn went_on(slf: &Bound<'_, Self>, route: u32, admission: Option<Admission>) {
        if let Some(admission) = admission {
            let mut engine = slf.borrow_mut();
            engine.entering = None;
            let now = plane::now();
            if let Some(gate) = engine.rules(slf.py(), route) {
                gate.stepped(&admission, now.saturating_sub(admission.began));
            }
        }
    }

    /// Reads the body first; the request comes again when it is whole.
    fn collect(&mut self, incoming: Incoming, limit: u64) {
        let token = incoming.token;
        if let Err(refusal) = self.reactor.collect(incoming, limit) {
            self.reactor.decline(token, refusal, "");
        }
    }

    /// Calls the endpoint in a context of its own; a coroutine becomes a task and is stepped.
    fn begin<'py>(
        slf: &Bound<'py, Self>,
        exchange: &mut Lazy<'py>,
        route: &Route,
        index: u32,
    ) -> PyResult<Outcome<'py>> {
        let py = slf.py();
        let admission = exchange.admission();
        let deadline = admission.and_then(|it| it.deadline).zip(route.hooks.deadline.as_ref());
        let context = slf.borrow_mut().contexts.of(py, index, deadline)?;
        calls::in_context(&context, || {
            let fell_back = admission.is_some_and(|admission| admission.fell_back);
            let instead = route.instead.as_ref().filter(|_| fell_back);
            let endpoint = instead.unwrap_or(&route.endpoint).bind(py);
            let value = if route.bare && instead.is_none() {
                calls::call(endpoint, [])?
            } else {
                calls::call(endpoint, [exchange.object(py)?.as_any()])?
            };
            let runtime = route.runtime.bind(py);
            if !runtime.get().is_coroutine(&value) {
                return Ok(Outcome::Done(value));
            }
            RequestTask::begin(runtime, value, &context, |task| {
                let exchange = exchange.object(py)?;
                Self::suspend(slf, exchange, route, task);
                let duty = Duty::Exchange(exchange.clone().unbind());
                Ok(Owner { engine: slf.clone().unbind(), duty })
            })
        })?
    }

    fn suspend(
        slf: &Bound<'_, Self>,
        exchange: &Bound<'_, Exchange>,
        route: &Route,
        task: &Bound<'_, RequestTask>,
    ) {
        let this = exchange.get();
        let mut engine = slf.borrow_mut();
        let index = this.token.index as usize;
        if engine.slots.len() <= index {
            engine.slots.resize(index + 1, 0);
        }
        engine.slots[index] = this.serial;
        let held = (task.clone().unbind(), exchange.clone().unbind());
        engine.running.insert(this.serial, held);
        // Of a socket, the deadline bounded the handshake.
        let now = engine.reactor.now();
        let own = route.deadline.map(|deadline| now + (deadline * 1e9) as u64);
        let at = this.admission.and_then(|admission| admission.deadline).or(own);
        if let Some(at) = at.filter(|_| !this.is_upgraded()) {
            engine.reactor.set_deadline(this.token, at);
        }
    }

    /// A suspended handler has ended; called by its task, from the loop.
    pub fn complete(
        slf: &Bound<'_, Self>,
        exchange: &Bound<'_, Exchange>,
        outcome: Outcome<'_>,
    ) -> PyResult<()> {
        let this = exchange.get();
        let (held, route, waiters) = {
            let mut engine = slf.borrow_mut();
            engine.reactor.touch();
            let held = engine.running.remove(&this.serial);
            let waiters = [Wait::Drain, Wait::Body, Wait::Gone]
                .map(|wait| engine.waiters.remove(&(this.serial, wait)));
            (held, engine.route(slf.py(), this.route), waiters)
        };
        if let Some(route) = route {
            Self::answer(slf, exchange, route.get(), outcome);
        }
        // Dropped with nothing borrowed: that may run finalizers, which may call us.
        drop((held, waiters));
        Self::pump(slf)
    }

    fn route<'py>(&self, py: Python<'py>, index: u32) -> Option<Bound<'py, Route>> {
        let route = match index {
            FALLBACK => self.fallback.as_ref(),
            index => self.routes.get(index as usize),
        };
        route.map(|route| route.bind(py).clone())
    }

    /// Writes what a handler came to, and closes the exchange.
    fn answer(
        slf: &Bound<'_, Self>,
        exchange: &Bound<'_, Exchange>,
        route: &Route,
        outcome: Outcome<'_>,
    ) {
        let this = exchange.get();
        if this.is_upgraded() {
            Self::dismiss(slf, exchange, outcome);
            return this.set_ended();
        }
        let written = match outcome {
            Outcome::Suspended => return,
            Outcome::Done(value) if this.is_started() => {
                drop(value);
                Self::finish_stream(slf, this);
                Ok(this.began().unwrap_or(200))
            }
            Outcome::Done(value) => Self::write_value(slf, this, route, &value),
            Outcome::Failed(error) | Outcome::Cancelled(error) => Err(error),
        };
        let ended = match written {
            Ok(status) => Ended::Status(status),
            Err(error) => Self::fail(slf, exchange, route, error),
        };
        this.set_ended();
        Self::leave_exchange(slf, this, ended);
    }

    /// The handler returned before it ended its stream: that ends it.
    fn finish_stream(slf: &Bound<'_, Self>, exchange: &Exchange) {
        if !exchange.is_ended() {
            slf.borrow_mut().reactor.end(exchange.token, b"");
        }
    }

    fn write_value(
        slf: &Bound<'_, Self>,
        exchange: &Exchange,
        route: &Route,
        value: &Object<'_>,
    ) -> PyResult<u16> {
        if exchange.is_ended() {
            return Ok(exchange.began().unwrap_or(route.status)); // The peer has gone.
        }
        let py = slf.py();
        let (token, status) = (exchange.token, route.status);
        if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            Self::send(slf, token, status, &route.octets, bytes);
            return Ok(status);
        }
        if let Ok(answer) = value.cast::<Answer>() {
            let answer = answer.borrow();
            Self::write_answer(slf, token, &answer);
            return Ok(answer.status());
        }
        if let Ok(text) = value.cast_exact::<PyString>() {
            let body = Body::Copied(text.to_str()?.as_bytes());
            slf.borrow_mut().reactor.reply(token, status, &route.text, body);
            return Ok(status);
        }
        if value.is_none() {
            slf.borrow_mut().reactor.reply(token, 204, &route.empty, Body::Copied(b""));
            return Ok(204);
        }
        let encoded = calls::call(route.hooks.encode.bind(py), [value])?;
        let Ok(bytes) = encoded.cast::<PyBytes>() else {
            return Err(PyTypeError::new_err("encode() gives bytes"));
        };
        Self::send(slf, token, status, &route.json, bytes);
        Ok(status)
    }

    /// Answers whole, from memory or from a file.
    pub fn write_answer(slf: &Bound<'_, Self>, token: poll::Token, answer: &Answer) {
        if let Some(parts) = answer.parts() {
            let (status, body) = (answer.status(), Body::Parts(parts.clone()));
            return slf.borrow_mut().reactor.reply(token, status, answer.rendered(), body);
        }
        let body = answer.body_bytes(slf.py());
        Self::send(slf, token, answer.status(), answer.rendered(), &body);
    }

    /// Answers whole, with a body that may be large.
    pub fn send(
        slf: &Bound<'_, Self>,
        token: poll::Token,
        status: u16,
        rendered: &[u8],
        bytes: &Bound<'_, PyBytes>,
    ) {
        let data = bytes.as_bytes();
        let body = if data.len() < SHARE_BYTES {
            Body::Copied(data)
        } else {
            Body::Shared(Box::new(PyBackedBytes::from(bytes.clone())))
        };
        slf.borrow_mut().reactor.reply(token, status, rendered, body);
    }

    /// Tells the application of an error that no answer can tell the peer of.
    pub fn report(slf: &Bound<'_, Self>, exchange: &Bound<'_, Exchange>, error: PyErr) {
        let py = slf.py();
        if is_fatal(py, &error) {
            slf.borrow_mut().fatal = Some(error.clone_ref(py));
        }
        let hooks = slf.borrow().hooks.clone();
        let error = error.into_value(py).into_any();
        let told = calls::call(hooks.failed.bind(py), [exchange.as_any(), error.bind(py)]);
        if let Err(error) = told {
            error.write_unraisable(py, Some(exchange.as_any()));
        }
    }

    /// The handler raised, was cancelled, or gave what cannot be written.
    fn fail(
        slf: &Bound<'_, Self>,
        exchange: &Bound<'_, Exchange>,
        route: &Route,
        error: PyErr,
    ) -> Ended {
        let (py, this) = (slf.py(), exchange.get());
        if is_fatal(py, &error) {
            slf.borrow_mut().fatal = Some(error.clone_ref(py));
        }
        let cancelled = route.runtime.get().is_cancelled(py, &error);
        if cancelled && matches!(this.reason(), Reason::Gone | Reason::Closing) {
            if this.is_endless() {
                Self::finish_stream(slf, this);
            }
            return Ended::Gone;
        }
        let hooks = &route.hooks;
        let told = if cancelled && this.reason() == Reason::Deadline {
            hooks.expired.call1(py, (this.time_given(route.deadline),))
        } else {
            Ok(error.into_value(py).into_any())
        };
        let answer = told.and_then(|told| {
            calls::call(hooks.failed.bind(py), [exchange.as_any(), told.bind(py)])
        });
        if this.is_started() && !this.is_ended() {
            // Half an answer is out: only closing tells the peer that it is not whole.
            slf.borrow_mut().reactor.abort(this.token);
        } else if !this.is_ended() {
            let written = answer.and_then(|answer| match answer.cast::<Answer>() {
                Ok(_) => Self::write_value(slf, this, route, &answer),
                Err(_) => Err(PyTypeError::new_err("failed() gives an Answer")),
            });
            match written {
                Ok(status) => return Ended::Status(status),
                Err(error) => {
                    error.write_unraisable(py, Some(exchange.as_any()));
                    slf.borrow_mut().reactor.decline(this.token, Refusal::Broken, "");
                }
            }
        }
        Ended::Status(500)
    }
}
