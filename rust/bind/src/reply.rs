//! What an outgoing call is waited for by: a future of asyncio's kind, cheaper where our own tasks
//! wait.
//!
//! It answers to what asyncio asks of a future (`_asyncio_future_blocking`, `add_done_callback`,
//! `gather`, `shield`, `wait_for`), and to what `create_task` asks of a coroutine, since redis-py's
//! commands are coroutines. A request's task that waits for it is stepped in place.
use crate::callbacks::{self, Callbacks, Ends};
use crate::calls::{self, Object};
use crate::client::ClientPool;
use crate::runtime::Runtime;
use crate::task::RequestTask;
use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyString;

enum State {
    Pending,
    Done(Py<PyAny>),
    Failed(PyErr),
    Cancelled(Option<Py<PyAny>>),
}

/// Who is told when it ends.
#[derive(Default)]
struct Told {
    task: Option<Py<RequestTask>>,
    callbacks: Callbacks,
}

#[pyclass(weakref, module = "megahertz._core")]
pub struct Reply {
    runtime: Py<Runtime>,
    state: State,
    convert: Option<Py<PyAny>>,
    told: Told,
    /// Who is to know that nobody waits any more, and under which number.
    tie: Option<(Py<ClientPool>, u64)>,
    #[pyo3(get, set, name = "_asyncio_future_blocking")]
    blocking: bool,
}

impl Reply {
    pub fn new(runtime: Py<Runtime>, convert: Option<Py<PyAny>>) -> Reply {
        let (state, told) = (State::Pending, Told::default());
        Reply { runtime, state, convert, told, tie: None, blocking: false }
    }

    /// One that a pool is told of when it is cancelled.
    pub fn tied(runtime: Py<Runtime>, pool: Py<ClientPool>, ticket: u64) -> Reply {
        Reply { tie: Some((pool, ticket)), ..Reply::new(runtime, None) }
    }

    pub fn is_pending(&self) -> bool {
        matches!(self.state, State::Pending)
    }

    /// Has a task stepped when it ends; false where that is not possible, and the task has to
    /// ask as any other.
    pub fn wake(&mut self, task: &Bound<'_, RequestTask>, lp: &Object<'_>) -> bool {
        let possible = self.blocking
            && self.is_pending()
            && self.told.task.is_none()
            && self.runtime.get().lp.is(lp);
        if possible {
            self.blocking = false;
            self.told.task = Some(task.clone().unbind());
        }
        possible
    }

    /// Ends it, unless its waiter has; `in_place`: no task is current.
    pub fn complete(
        slf: &Bound<'_, Self>,
        result: PyResult<Py<PyAny>>,
        in_place: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        if !slf.borrow().is_pending() {
            return Ok(());
        }
        let convert = slf.borrow_mut().convert.take();
        let result = match (result, convert) {
            (Ok(value), Some(convert)) => {
                calls::call(convert.bind(py), [value.bind(py)]).map(Bound::unbind)
            }
            (result, _) => result,
        };
        let (told, tie) = {
            let mut reply = slf.borrow_mut();
            if !reply.is_pending() {
                return Ok(());
            }
            reply.state = match result {
                Ok(value) => State::Done(value),
                Err(error) => State::Failed(error),
            };
            (std::mem::take(&mut reply.told), reply.tie.take())
        };
        drop(tie);
        Self::tell(slf, told, in_place)
    }

    fn tell(slf: &Bound<'_, Self>, told: Told, in_place: bool) -> PyResult<()> {
        let py = slf.py();
        let runtime = slf.borrow().runtime.clone_ref(py);
        told.callbacks.tell(runtime.get(), slf.as_any())?;
        let Some(task) = told.task else { return Ok(()) };
        let task = task.bind(py);
        if in_place {
            let error = slf.borrow().error(py);
            return RequestTask::wake(task, error);
        }
        match RequestTask::context(task) {
            Some(context) => runtime.get().soon(task.as_any(), Some(slf.as_any()), &context),
            None => Ok(()),
        }
    }

    /// Why it has no result.
    fn error(&self, py: Python<'_>) -> Option<PyErr> {
        match &self.state {
            State::Pending | State::Done(_) => None,
            State::Failed(error) => Some(error.clone_ref(py)),
            State::Cancelled(message) => {
                let message = message.as_ref().map(|message| message.clone_ref(py));
                Some(self.runtime.get().cancelled_error(py, message))
            }
        }
    }
}

impl Ends for Reply {
    fn has_ended(&self) -> bool {
        !self.is_pending()
    }

    fn callbacks(&mut self) -> &mut Callbacks {
        &mut self.told.callbacks
    }

    fn runtime(&self) -> &Py<Runtime> {
        &self.runtime
    }
}

#[pymethods]
impl Reply {
    fn done(&self) -> bool {
        !self.is_pending()
    }

    fn cancelled(&self) -> bool {
        matches!(self.state, State::Cancelled(_))
    }

    fn result(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.state {
            State::Done(value) => Ok(value.clone_ref(py)),
            State::Pending => {
                let unset = self.runtime.get().invalid_state.bind(py);
                Err(unset.call1(("Result is not set.",)).map_or_else(|e| e, PyErr::from_value))
            }
            _ => Err(self.error(py).expect("it has none")),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match &self.state {
            State::Failed(error) => Ok(Some(error.clone_ref(py).into_value(py).into_any())),
            State::Done(_) => Ok(None),
            _ => self.result(py).map(Some),
        }
    }

    /// Nobody waits for it any more; a reply of Redis is read, in order, and dropped.
    #[pyo3(signature = (msg=None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let (told, tie) = {
            let mut reply = slf.borrow_mut();
            if !reply.is_pending() {
                return Ok(false);
            }
            reply.state = State::Cancelled(msg);
            (std::mem::take(&mut reply.told), reply.tie.take())
        };
        if let Some((pool, ticket)) = tie {
            ClientPool::abandon(pool.bind(slf.py()), ticket);
        }
        Self::tell(slf, told, false).map(|()| true)
    }

    /// Asked by asyncio's `gather`.
    fn _make_cancelled_error(&self, py: Python<'_>) -> PyErr {
        self.error(py).unwrap_or_else(|| self.runtime.get().cancelled_error(py, None))
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.runtime.get().lp.clone_ref(py)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.get_loop(py)
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

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let mut reply = slf.borrow_mut();
        if reply.is_pending() {
            reply.blocking = true;
            drop(reply);
            return Ok(slf.clone());
        }
        drop(reply);
        let value = slf.borrow().result(slf.py())?;
        // In a tuple: what is one itself would be taken for the exception's arguments.
        Err(PyStopIteration::new_err((value,)))
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: Object<'py>) -> PyResult<Bound<'py, Self>> {
        if !value.is_none() {
            return Err(PyTypeError::new_err("can't send non-None value to a reply"));
        }
        Self::__next__(slf)
    }

    /// As a coroutine that does not catch it.
    #[staticmethod]
    #[pyo3(signature = (typ, val=None, tb=None))]
    fn throw(
        typ: Object<'_>,
        val: Option<Object<'_>>,
        tb: Option<Object<'_>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = tb;
        let error = match val {
            Some(val) if val.is_instance_of::<pyo3::exceptions::PyBaseException>() => val,
            Some(val) => typ.call1((val,))?,
            None if typ.is_instance_of::<pyo3::exceptions::PyBaseException>() => typ,
            None => typ.call0()?,
        };
        Err(PyErr::from_value(error))
    }

    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        Self::cancel(slf, None).map(drop)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.state {
            State::Done(value) => visit.call(value)?,
            State::Cancelled(message) => visit.call(message)?,
            State::Pending | State::Failed(_) => {}
        }
        visit.call(&self.convert)?;
        if let Some((pool, _)) = &self.tie {
            visit.call(pool)?;
        }
        visit.call(&self.told.task)?;
        self.told.callbacks.traverse(&visit)
    }

    fn __clear__(&mut self) {
        self.convert = None;
        self.tie = None;
        self.told = Told::default();
    }
}

/// The error that Python makes of a failure of that kind.
pub fn failure(hook: &Object<'_>, kind: &str, why: &str) -> PyErr {
    let py = hook.py();
    let (kind, why) = (PyString::intern(py, kind), PyString::new(py, why));
    match calls::call(hook, [kind.as_any(), why.as_any()]) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
