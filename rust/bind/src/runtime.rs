//! What the engine borrows from asyncio, looked up once a loop.
//!
//! `_enter_task`, `_leave_task` and `_register_task` are the hooks that asyncio offers to other
//! task implementations (Lib/asyncio/tasks.py exports them for that).
use crate::calls::{self, Object};
use crate::task::RequestTask;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

pub struct Runtime {
    pub lp: Py<PyAny>,
    enter: Py<PyAny>,
    leave: Py<PyAny>,
    register: Py<PyAny>,
    pub cancelled: Py<PyAny>,
    pub invalid_state: Py<PyAny>,
    pub coroutine: Py<PyAny>,
    /// `("context",)`: the keyword of `call_soon` and `add_done_callback`.
    pub context_name: Py<PyTuple>,
}

impl Runtime {
    pub fn new(py: Python<'_>, lp: Py<PyAny>) -> PyResult<Runtime> {
        let tasks = py.import("asyncio.tasks")?;
        let exceptions = py.import("asyncio.exceptions")?;
        Ok(Runtime {
            lp,
            enter: tasks.getattr("_enter_task")?.unbind(),
            leave: tasks.getattr("_leave_task")?.unbind(),
            register: tasks.getattr("_register_task")?.unbind(),
            cancelled: exceptions.getattr("CancelledError")?.unbind(),
            invalid_state: exceptions.getattr("InvalidStateError")?.unbind(),
            coroutine: py.import("types")?.getattr("CoroutineType")?.unbind(),
            context_name: PyTuple::new(py, [PyString::intern(py, "context")])?.unbind(),
        })
    }

    /// Runs `f` with `task` as the loop's current one, and leaves it even when `f` panics.
    pub fn within<R>(&self, task: &Bound<'_, RequestTask>, f: impl FnOnce() -> R) -> PyResult<R> {
        struct Guard<'a, 'py>(&'a Runtime, &'a Bound<'py, RequestTask>);
        impl Drop for Guard<'_, '_> {
            fn drop(&mut self) {
                let py = self.1.py();
                let left =
                    calls::call(self.0.leave.bind(py), [self.0.lp.bind(py), self.1.as_any()]);
                if let Err(error) = left {
                    error.write_unraisable(py, Some(self.1.as_any()));
                }
            }
        }
        let py = task.py();
        calls::call(self.enter.bind(py), [self.lp.bind(py), task.as_any()])?;
        let _guard = Guard(self, task);
        Ok(f())
    }

    /// Makes `asyncio.all_tasks()` know a task; done once it outlives its first step.
    pub fn register(&self, task: &Bound<'_, RequestTask>) -> PyResult<()> {
        calls::call(self.register.bind(task.py()), [task.as_any()]).map(drop)
    }

    pub fn is_coroutine(&self, object: &Object<'_>) -> bool {
        object.get_type().as_any().is(self.coroutine.bind(object.py()))
    }

    pub fn is_cancelled(&self, py: Python<'_>, error: &PyErr) -> bool {
        error.matches(py, self.cancelled.bind(py)).unwrap_or(false)
    }

    pub fn cancelled_error(&self, py: Python<'_>, message: Option<Py<PyAny>>) -> PyErr {
        let class = self.cancelled.bind(py);
        let error = match message.filter(|message| !message.is_none(py)) {
            Some(message) => class.call1((message,)),
            None => class.call0(),
        };
        error.map_or_else(|error| error, PyErr::from_value)
    }

    /// `loop.call_soon(callback, *argument, context=context)`.
    pub fn soon(
        &self,
        callback: &Object<'_>,
        argument: Option<&Object<'_>>,
        context: &Object<'_>,
    ) -> PyResult<()> {
        let py = callback.py();
        let name = pyo3::intern!(py, "call_soon");
        let keyword = Some(self.context_name.bind(py));
        match argument {
            Some(argument) => {
                calls::method(name, [self.lp.bind(py), callback, argument, context], keyword)
            }
            None => calls::method(name, [self.lp.bind(py), callback, context], keyword),
        }
        .map(drop)
    }
}
