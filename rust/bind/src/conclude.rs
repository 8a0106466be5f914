//! From what a handler gave, or what became of it, to the answer.
use crate::answer::Answer;
use crate::calls::{self, Object};
use crate::engine::{Engine, Route};
use crate::exchange::{Exchange, Lazy, Reason};
use crate::json::{Encode, JsonEncoder};
use crate::task::{Outcome, RequestTask, is_fatal};
use plane::Outcome as Ended;
use poll::{Body, Token};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};
use wire::Refusal;

/// What most handlers give, and the head that goes before it.
enum Plain<'a, 'py> {
    Octets(&'a [u8], Bound<'py, PyBytes>),
    Json(&'a [u8], &'a JsonEncoder, Vec<u8>),
}

/// Bodies from here on are sent from the bytes object instead of being copied (spike.md, 6).
const SHARE_BYTES: usize = 16 * 1024;

impl Engine {
    /// Writes what a handler came to, and closes the exchange.
    pub fn answer(
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
        if let (Ended::Status(status @ 400..), Some((quiet, drawn))) = (ended, this.quiet(route)) {
            if let Err(error) = quiet.tell(exchange.as_any(), drawn, status) {
                error.write_unraisable(slf.py(), Some(exchange.as_any()));
            }
        }
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
        Self::write(slf, exchange.token, route, value)
    }

    /// Answers a request that nobody has seen, and is done with it.
    pub fn pass(
        slf: &Bound<'_, Self>,
        exchange: &mut Lazy<'_, '_>,
        token: Token,
        route: &Route,
        value: &Object<'_>,
        spare: &mut Option<Py<RequestTask>>,
    ) -> PyResult<()> {
        let plain = Self::plain(route, value)?;
        let status = match &plain {
            Some(_) => route.status,
            None => Self::write(slf, token, route, value)?,
        };
        let Some(begun) = exchange.unseen() else { return Ok(()) };
        let mut engine = slf.borrow_mut();
        if let Some(plain) = plain {
            engine.send_plain(token, status, plain);
        }
        if let Some(admission) = begun.admission {
            let ended = Ended::Status(status);
            let at = engine.leave(slf.py(), begun.route, &admission, ended, Some(admission.began));
            engine.left = Some((token, at));
        }
        engine.reactor.forget(begun.incoming);
        engine.spare = spare.take();
        Ok(())
    }

    /// Bytes, or what is written as JSON; None where it is anything else.
    fn plain<'a, 'py>(route: &'a Route, value: &Object<'py>) -> PyResult<Option<Plain<'a, 'py>>> {
        if let Ok(bytes) = value.cast_exact::<PyBytes>() {
            return Ok(Some(Plain::Octets(&route.octets, bytes.clone())));
        }
        let other = value.is_none()
            || value.is_exact_instance_of::<PyString>()
            || value.is_instance_of::<Answer>();
        if other {
            return Ok(None);
        }
        let encode = match &route.hooks.encode {
            Encode::Other(encode) => encode,
            Encode::Json(ours) => {
                let ours = ours.get();
                if let Some(written) = route.patience.look(|| ours.written(value)) {
                    return Ok(Some(Plain::Json(&route.json, ours, written)));
                }
                ours.other()
            }
        };
        match calls::call(encode.bind(value.py()), [value])?.cast_into::<PyBytes>() {
            Ok(bytes) => Ok(Some(Plain::Octets(&route.json, bytes))),
            Err(_) => Err(PyTypeError::new_err("encode() gives bytes")),
        }
    }

    fn write(
        slf: &Bound<'_, Self>,
        token: Token,
        route: &Route,
        value: &Object<'_>,
    ) -> PyResult<u16> {
        if let Some(plain) = Self::plain(route, value)? {
            slf.borrow_mut().send_plain(token, route.status, plain);
            return Ok(route.status);
        }
        if let Ok(answer) = value.cast::<Answer>() {
            let answer = answer.borrow();
            Self::write_answer(slf, token, &answer);
            return Ok(answer.status());
        }
        let (status, rendered, text) = match value.cast_exact::<PyString>() {
            Ok(text) => (route.status, &route.text, text.to_str()?),
            Err(_) => (204, &route.empty, ""),
        };
        let body = Body::Copied(text.as_bytes());
        slf.borrow_mut().reactor.reply(token, status, rendered, body);
        Ok(status)
    }

    /// Answers whole, from memory or from a file.
    pub fn write_answer(slf: &Bound<'_, Self>, token: Token, answer: &Answer) {
        if let Some(parts) = answer.parts() {
            let (status, body) = (answer.status(), Body::Parts(parts.clone()));
            return slf.borrow_mut().reactor.reply(token, status, answer.rendered(), body);
        }
        let body = answer.body_bytes(slf.py());
        slf.borrow_mut().send(token, answer.status(), answer.rendered(), &body);
    }

    fn send_plain(&mut self, token: Token, status: u16, plain: Plain<'_, '_>) {
        match plain {
            Plain::Octets(rendered, bytes) => self.send(token, status, rendered, &bytes),
            Plain::Json(rendered, _, written) if written.len() >= SHARE_BYTES => {
                self.reactor.reply(token, status, rendered, Body::Shared(Box::new(written)));
            }
            Plain::Json(rendered, encoder, written) => {
                self.reactor.reply(token, status, rendered, Body::Copied(&written));
                encoder.give_back(written);
            }
        }
    }

    /// Answers whole, with a body that may be large.
    pub fn send(&mut self, token: Token, status: u16, rendered: &[u8], bytes: &Bound<'_, PyBytes>) {
        let data = bytes.as_bytes();
        let body = if data.len() < SHARE_BYTES {
            Body::Copied(data)
        } else {
            Body::Shared(Box::new(PyBackedBytes::from(bytes.clone())))
        };
        self.reactor.reply(token, status, rendered, body);
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
            let call = || calls::call(hooks.failed.bind(py), [exchange.as_any(), told.bind(py)]);
            match this.quiet(route) {
                // What is logged of the error is still the request's.
                Some((quiet, drawn)) => quiet.within(exchange.as_any(), drawn, call),
                None => call(),
            }
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
