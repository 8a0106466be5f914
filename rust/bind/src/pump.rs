//! The engine's turn of the loop: everything that is ready, and whom each thing is for.
use crate::batch;
use crate::calls::{self, Object};
use crate::engine::{Engine, Wait};
use crate::exchange::{Exchange, Reason};
use crate::socket::key;
use crate::task::RequestTask;
use plane::Outcome;
use poll::{Event, Token};
use pyo3::intern;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wire::Refusal;

impl Engine {
    /// Acts on everything that is ready. Nothing is borrowed while Python runs.
    pub fn pump(slf: &Bound<'_, Self>) -> PyResult<()> {
        if std::mem::replace(&mut slf.borrow_mut().polling, true) {
            return Ok(());
        }
        batch::enter();
        slf.borrow_mut().turn_begins();
        // A bug of ours costs the peer a 500, not the worker its life. No state is half changed by
        // it: borrows are short, and end before Python runs.
        loop {
            match catch_unwind(AssertUnwindSafe(|| Self::act(slf))) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => slf.borrow_mut().panicked(slf.py()),
            }
        }
        let (runtime, fatal) = {
            let mut engine = slf.borrow_mut();
            engine.polling = false;
            (engine.runtime.clone_ref(slf.py()), engine.fatal.take())
        };
        runtime.get().end_batch(slf.py());
        batch::leave(slf.py());
        Self::ask_lag(slf)?;
        fatal.map_or(Ok(()), Err)
    }

    /// Has the loop tell how long this turn of it is, where somebody sheds by that.
    fn ask_lag(slf: &Bound<'_, Self>) -> PyResult<()> {
        let lp = {
            let mut engine = slf.borrow_mut();
            if !engine.lag.asks() {
                return Ok(());
            }
            engine.runtime.get().lp.clone_ref(slf.py())
        };
        let later = slf.getattr(intern!(slf.py(), "_lagged"))?;
        lp.call_method1(slf.py(), intern!(slf.py(), "call_soon"), (later,)).map(drop)
    }

    /// Pumps from the loop's next turn: for answers that end outside a batch.
    pub fn pump_later(slf: &Bound<'_, Self>) -> PyResult<()> {
        let lp = {
            let mut engine = slf.borrow_mut();
            if engine.polling || std::mem::replace(&mut engine.pump_due, true) {
                return Ok(());
            }
            engine.runtime.get().lp.clone_ref(slf.py())
        };
        let later = slf.getattr(intern!(slf.py(), "_pump"))?;
        lp.call_method1(slf.py(), intern!(slf.py(), "call_soon"), (later,)).map(drop)
    }

    /// Acts on the next thing; false where there is none.
    fn act(slf: &Bound<'_, Self>) -> bool {
        let py = slf.py();
        let mut engine = slf.borrow_mut();
        engine.serving = None;
        let Some(event) = engine.reactor.next_event() else { return false };
        if let Event::Request(incoming) | Event::Head(incoming) = event {
            engine.serving = Some(incoming.token);
            let start = engine.take_up(py, incoming);
            drop(engine);
            if let Some(start) = start {
                Self::request(slf, start);
            }
            return true;
        }
        drop(engine);
        Self::act_on(slf, event);
        true
    }

    fn panicked(&mut self, py: Python<'_>) {
        self.panics += 1;
        if let Some(token) = self.serving.take() {
            self.reactor.decline(token, Refusal::Broken, "");
        }
        if let Some((route, admission)) = self.entering.take() {
            self.leave(py, route, &admission, Outcome::Status(500), None);
        }
    }

    fn act_on(slf: &Bound<'_, Self>, event: Event) {
        let py = slf.py();
        let result = match event {
            Event::Request(_) | Event::Head(_) => Ok(()),
            Event::Gone(token) => Self::interrupt(slf, token, Reason::Gone),
            Event::Expired(token) => Self::interrupt(slf, token, Reason::Deadline),
            Event::Message(token, message) => Self::message(slf, token, message),
            Event::Ended(token, close) => Self::socket_ended(slf, token, close),
            Event::Drained(token) => Self::progressed(slf, token, Wait::Drain),
            Event::Body(token) => Self::progressed(slf, token, Wait::Body),
            Event::Closed(token) => Self::untie(slf, token),
            Event::Idle => {
                let idle = slf.borrow().hooks.idle.clone_ref(py);
                idle.call0(py).map(drop)
            }
        };
        if let Err(error) = result {
            error.write_unraisable(py, Some(slf.as_any()));
        }
    }

    /// Cancels the handler that a connection waits for.
    fn interrupt(slf: &Bound<'_, Self>, token: Token, reason: Reason) -> PyResult<()> {
        let py = slf.py();
        let found = {
            let engine = slf.borrow();
            let serial = engine.slots.get(token.index as usize).copied().unwrap_or(0);
            let running = engine.running.get(&serial);
            let found =
                running.map(|(task, exchange)| (task.clone_ref(py), exchange.clone_ref(py)));
            found.filter(|(_, exchange)| exchange.get().token == token)
        };
        let Some((task, exchange)) = found else { return Ok(()) };
        if reason == Reason::Gone {
            exchange.get().set_ended();
        }
        if reason == Reason::Gone && exchange.get().survives() {
            exchange.get().set_reason(reason);
            return Self::tell_gone(slf, exchange.get().serial);
        }
        // First the task, so that its own waiter ends with the reason; then what others wait for.
        let serial = exchange.get().serial;
        Self::cancel(&task.into_bound(py), exchange.get(), reason)?;
        if reason == Reason::Gone {
            Self::release(slf, serial, Wait::Drain, "cancel")?;
            Self::release(slf, serial, Wait::Body, "cancel")?;
        }
        Ok(())
    }

    /// To who goes on without its peer: what it waits for does not come.
    fn tell_gone(slf: &Bound<'_, Self>, serial: u64) -> PyResult<()> {
        [Wait::Gone, Wait::Drain, Wait::Body]
            .into_iter()
            .try_for_each(|wait| Self::release(slf, serial, wait, "set_result"))
    }

    pub fn cancel(
        task: &Bound<'_, RequestTask>,
        exchange: &Exchange,
        reason: Reason,
    ) -> PyResult<()> {
        let py = task.py();
        exchange.set_reason(reason);
        let message = match reason {
            Reason::Gone => intern!(py, "client disconnected"),
            Reason::Deadline => intern!(py, "deadline exceeded"),
            Reason::Closing | Reason::None => intern!(py, "server closed"),
        };
        RequestTask::cancel(task, Some(message.clone().into_any().unbind())).map(drop)
    }

    fn progressed(slf: &Bound<'_, Self>, token: Token, wait: Wait) -> PyResult<()> {
        let serial = {
            let engine = slf.borrow();
            let serial = engine.slots.get(token.index as usize).copied().unwrap_or(0);
            if engine.reactor.is_socket(token) { key(token) } else { serial }
        };
        Self::release(slf, serial, wait, "set_result")
    }

    /// A future that [`Engine::release`] ends.
    pub fn waiter(slf: &Bound<'_, Self>, serial: u64, wait: Wait) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let lp = slf.borrow().runtime.get().lp.clone_ref(py);
        let future = lp.call_method0(py, intern!(py, "create_future"))?;
        let mut engine = slf.borrow_mut();
        engine.waiters.entry((serial, wait)).or_default().push(future.clone_ref(py));
        Ok(future)
    }

    /// The same, done already where there is nothing to wait for.
    pub fn waiter_or_done(
        slf: &Bound<'_, Self>,
        serial: u64,
        wait: Wait,
        done: bool,
    ) -> PyResult<Py<PyAny>> {
        if !done {
            return Self::waiter(slf, serial, wait);
        }
        let py = slf.py();
        let lp = slf.borrow().runtime.get().lp.clone_ref(py);
        let future = lp.call_method0(py, intern!(py, "create_future"))?;
        future.call_method1(py, intern!(py, "set_result"), (py.None(),))?;
        Ok(future)
    }

    pub fn release(slf: &Bound<'_, Self>, serial: u64, wait: Wait, how: &str) -> PyResult<()> {
        let py = slf.py();
        let waiters = slf.borrow_mut().waiters.remove(&(serial, wait)).unwrap_or_default();
        for future in waiters {
            let future = future.bind(py);
            if how == "cancel" {
                future.call_method0("cancel")?;
            } else {
                Self::set(future)?;
            }
        }
        Ok(())
    }

    /// Ends a future, unless it has been cancelled.
    pub fn set(future: &Object<'_>) -> PyResult<()> {
        let py = future.py();
        if !calls::method(intern!(py, "done"), [future], None)?.is_truthy()? {
            calls::method(intern!(py, "set_result"), [future, py.None().bind(py)], None)?;
        }
        Ok(())
    }
}
