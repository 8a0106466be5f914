//! A task for a request: asyncio's contract, stepped in place by the engine.
//!
//! # Theory
//! `loop.create_task` costs a Handle, a turn of the loop and a wake-up before the first line of a
//! handler runs (15.4 us a request against 10.8, spike.md). This class answers to what asyncio asks
//! of a task (`current_task`, `timeout`, `TaskGroup`, `shield`, anyio's scopes) and lets the engine
//! run the first step where the request was parsed. After a suspension it is an ordinary waiter:
//! the future it waits for calls it back through the loop.
//!
//! # Rules
//! - An object serves another request only when nobody refers to it, not even weakly, at the end
//!   of its first: a task that is seen is one request's, as asyncio's users expect.
//! - No borrow of the cell is held while Python runs: a handler may call any method of its task.
//! - Who cancels is told by `cancel(msg)`; the engine says "client disconnected" and the like.
//!
//! # Not equal to asyncio.Task
//! `isinstance(task, asyncio.Task)` is False; `uncancel()` revokes a cancellation not yet delivered
//! on every version (as 3.13 does); `all_tasks()` has it from its first suspension on.
use crate::callbacks::{self, Callbacks, Ends};
use crate::calls::{self, Object};
use crate::engine::Engine;
use crate::exchange::Exchange;
use crate::runtime::Runtime;
use crate::socket::Socket;
use pyo3::exceptions::PyStopIteration;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

mod step;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Pending,
    Finished,
    Cancelled,
}

/// What a step, or a whole handler, came to.
pub enum Outcome<'py> {
    Suspended,
    Done(Object<'py>),
    Failed(PyErr),
    Cancelled(PyErr),
}

/// What is complete when the task ends.
pub enum Duty {
    Exchange(Py<Exchange>),
    Socket(Py<Socket>),
}

/// Whose task it is: the engine completes its duty when it ends.
pub struct Owner {
    pub engine: Py<Engine>,
    pub duty: Duty,
}

impl Owner {
    fn clone_ref(&self, py: Python<'_>) -> Owner {
        let duty = match &self.duty {
            Duty::Exchange(exchange) => Duty::Exchange(exchange.clone_ref(py)),
            Duty::Socket(socket) => Duty::Socket(socket.clone_ref(py)),
        };
        Owner { engine: self.engine.clone_ref(py), duty }
    }

    fn complete(&self, py: Python<'_>, outcome: Outcome<'_>) -> PyResult<()> {
        let engine = self.engine.bind(py);
        match &self.duty {
            Duty::Exchange(exchange) => Engine::complete(engine, exchange.bind(py), outcome),
            Duty::Socket(socket) => Engine::attended_to(engine, socket.bind(py), outcome),
        }
    }
}

/// What a task has once it waits, or once somebody asks something of it: most never do.
#[derive(Default)]
struct Later {
    owner: Option<Owner>,
    waiter: Option<Py<PyAny>>,
    callbacks: Callbacks,
    result: Option<Py<PyAny>>,
    error: Option<PyErr>,
    message: Option<Py<PyAny>>,
    name: Option<Py<PyAny>>,
}

#[pyclass(weakref, module = "megahertz._core")]
pub struct RequestTask {
    runtime: Py<Runtime>,
    coroutine: Option<Py<PyAny>>,
    context: Option<Py<PyAny>>,
    later: Option<Box<Later>>,
    state: State,
    must_cancel: bool,
    cancels: u32,
    #[pyo3(get, set, name = "_asyncio_future_blocking")]
    blocking: bool,
    /// asyncio's `run_until_complete` sets it; nothing here reads it.
    #[pyo3(get, set, name = "_log_destroy_pending")]
    log_destroy_pending: bool,
}

impl RequestTask {
    /// One that has nothing to run yet.
    fn blank(runtime: Py<Runtime>) -> Self {
        RequestTask {
            runtime,
            coroutine: None,
            context: None,
            later: None,
            state: State::Pending,
            must_cancel: false,
            cancels: 0,
            blocking: false,
            log_destroy_pending: true,
        }
    }

    fn fill(&mut self, coroutine: Py<PyAny>, context: Py<PyAny>) {
        (self.coroutine, self.context) = (Some(coroutine), Some(context));
    }

    fn later(&mut self) -> &mut Later {
        self.later.get_or_insert_default()
    }

    /// A reference to something that it may have by now.
    fn its(
        &self,
        py: Python<'_>,
        what: impl FnOnce(&Later) -> &Option<Py<PyAny>>,
    ) -> Option<Py<PyAny>> {
        self.later
            .as_deref()
            .and_then(|later| what(later).as_ref())
            .map(|object| object.clone_ref(py))
    }

    fn take_message(&mut self) -> Option<Py<PyAny>> {
        self.later.as_mut().and_then(|later| later.message.take())
    }

    fn pending(&self) -> PyErr {
        Python::attach(|py| {
            match self.runtime.get().invalid_state.bind(py).call1(("Result is not set.",)) {
                Ok(error) => PyErr::from_value(error),
                Err(error) => error,
            }
        })
    }
}

impl Ends for RequestTask {
    fn has_ended(&self) -> bool {
        self.done()
    }

    fn callbacks(&mut self) -> &mut Callbacks {
        &mut self.later().callbacks
    }

    fn runtime(&self) -> &Py<Runtime> {
        &self.runtime
    }
}

#[pymethods]
impl RequestTask {
    /// A task by itself, started by the loop: for `loop.set_task_factory`, and for running
    /// CPython's own asyncio tests over this class.
    #[staticmethod]
    #[pyo3(signature = (lp, coro, *, context=None, name=None))]
    fn alone<'py>(
        py: Python<'py>,
        lp: Py<PyAny>,
        coro: Py<PyAny>,
        context: Option<Object<'py>>,
        name: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, Self>> {
        let context = context.map_or_else(|| calls::copy_context(py), Ok)?;
        let runtime = Bound::new(py, Runtime::new(py, lp)?)?;
        let mut task = RequestTask::blank(runtime.clone().unbind());
        task.fill(coro, context.clone().unbind());
        task.later().name = name;
        let task = Bound::new(py, task)?;
        runtime.get().soon(task.as_any(), None, &context)?;
        runtime.get().register(&task)?;
        Ok(task)
    }

    /// The wake-up: called by the loop, in this task's context, with the future or with nothing.
    #[pyo3(signature = (future=None))]
    fn __call__(slf: &Bound<'_, Self>, future: Option<Object<'_>>) -> PyResult<()> {
        let py = slf.py();
        let error = future.and_then(|f| calls::method(intern!(py, "result"), [&f], None).err());
        Self::go_on(slf, error, false)
    }

    /// Asks the task to end: CancelledError is thrown into it at its next step.
    #[pyo3(signature = (msg=None))]
    pub fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let py = slf.py();
        let waiter = {
            let mut task = slf.borrow_mut();
            if task.state != State::Pending {
                return Ok(false);
            }
            task.cancels += 1;
            task.its(py, |later| &later.waiter)
        };
        let message = msg.as_ref().map_or_else(|| py.None(), |msg| msg.clone_ref(py));
        let forwarded = waiter.map(|waiter| Self::cancel_future(waiter.bind(py), message.bind(py)));
        if forwarded.transpose()? == Some(true) {
            return Ok(true);
        }
        let mut task = slf.borrow_mut();
        task.must_cancel = true;
        task.later().message = msg;
        Ok(true)
    }

    fn cancelling(&self) -> u32 {
        self.cancels
    }

    fn uncancel(&mut self) -> u32 {
        self.cancels = self.cancels.saturating_sub(1);
        if self.cancels == 0 {
            self.must_cancel = false;
        }
        self.cancels
    }

    fn done(&self) -> bool {
        self.state != State::Pending
    }

    fn cancelled(&self) -> bool {
        self.state == State::Cancelled
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let error = self.later.as_ref().and_then(|later| later.error.as_ref());
        match (self.state, error) {
            (State::Pending, _) => Err(self.pending()),
            (_, Some(error)) => Err(error.clone_ref(py)),
            _ => Ok(self.its(py, |later| &later.result).unwrap_or_else(|| py.None())),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let error = self.later.as_ref().and_then(|later| later.error.as_ref());
        match (self.state, error) {
            (State::Pending, _) => Err(self.pending()),
            (State::Cancelled, Some(error)) => Err(error.clone_ref(py)),
            (_, Some(error)) => Ok(error.clone_ref(py).into_value(py).into_any()),
            _ => Ok(py.None()),
        }
    }

    #[pyo3(signature = (callback, *, context=None))]
    fn add_done_callback(
        slf: &Bound<'_, Self>,
        callback: Py<PyAny>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        callbacks::add(slf, callback, context)
    }

    fn remove_done_callback(slf: &Bound<'_, Self>, callback: Object<'_>) -> PyResult<usize> {
        callbacks::remove(slf, &callback)
    }

    fn get_coro(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.coroutine.as_ref().map(|coroutine| coroutine.clone_ref(py))
    }

    fn get_context(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.context.as_ref().map(|context| context.clone_ref(py))
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.runtime.get().lp.clone_ref(py)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.get_loop(py)
    }

    /// Read by anyio, to see what a cancelled task waits for.
    #[getter]
    fn _fut_waiter(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.its(py, |later| &later.waiter)
    }

    /// Read by asyncio's own futures when they are cancelled with a message.
    #[getter]
    fn _cancel_message(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.its(py, |later| &later.message)
    }

    /// Read by anyio and by asyncio's `TaskGroup` of 3.13.
    #[getter]
    fn _must_cancel(&self) -> bool {
        self.must_cancel
    }

    /// Read by anyio, to find the task that `run_until_complete` waits for.
    #[getter]
    fn _callbacks(&self, py: Python<'_>) -> Vec<(Py<PyAny>, Py<PyAny>)> {
        self.later.as_ref().map_or(vec![], |later| later.callbacks.pairs(py))
    }

    fn get_name(&self, py: Python<'_>) -> Py<PyAny> {
        let named = self.its(py, |later| &later.name);
        named.unwrap_or_else(|| PyString::new(py, "request").into_any().unbind())
    }

    fn set_name(&mut self, name: Py<PyAny>) {
        self.later().name = Some(name);
    }

    /// The frame it is suspended in, as a list of one or none.
    #[pyo3(signature = (*, limit=None))]
    fn get_stack<'py>(
        &self,
        py: Python<'py>,
        limit: Option<usize>,
    ) -> PyResult<Bound<'py, PyList>> {
        let frame = match &self.coroutine {
            Some(coroutine) if limit != Some(0) => coroutine.bind(py).getattr_opt("cr_frame")?,
            _ => None,
        };
        PyList::new(py, frame.filter(|frame| !frame.is_none()))
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let state = match self.state {
            State::Pending => "pending",
            State::Finished => "finished",
            State::Cancelled => "cancelled",
        };
        let coroutine = match &self.coroutine {
            Some(coroutine) => coroutine.bind(py).repr()?.to_string(),
            None => "-".to_owned(),
        };
        Ok(format!("<RequestTask {state} coro={coroutine}>"))
    }

    fn __await__(slf: Bound<'_, Self>) -> Awaiter {
        Awaiter(slf.unbind())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.coroutine)?;
        visit.call(&self.context)?;
        let Some(later) = &self.later else { return Ok(()) };
        for object in [&later.waiter, &later.result, &later.message, &later.name] {
            visit.call(object)?;
        }
        later.callbacks.traverse(&visit)?;
        if let Some(owner) = &later.owner {
            visit.call(&owner.engine)?;
            match &owner.duty {
                Duty::Exchange(exchange) => visit.call(exchange)?,
                Duty::Socket(socket) => visit.call(socket)?,
            }
        }
        Ok(())
    }

    fn __clear__(&mut self) {
        self.coroutine = None;
        self.context = None;
        self.later = None;
    }
}

/// What asyncio lets out of the loop instead of into a task's result.
pub fn is_fatal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<pyo3::exceptions::PyKeyboardInterrupt>(py)
        || error.is_instance_of::<pyo3::exceptions::PySystemExit>(py)
}

/// `await task`: yields the task once, as a future does, then gives its result.
#[pyclass]
struct Awaiter(Py<RequestTask>);

#[pymethods]
impl Awaiter {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<RequestTask>> {
        let mut task = self.0.borrow_mut(py);
        if !task.done() {
            task.blocking = true;
            drop(task);
            return Ok(self.0.clone_ref(py));
        }
        Err(PyStopIteration::new_err((task.result(py)?,)))
    }
}
