//! What the engine borrows from asyncio, looked up once a loop.
//!
//! `_enter_task`, `_leave_task` and `_register_task` are the hooks that asyncio offers to other
//! task implementations (Lib/asyncio/tasks.py exports them for that). What they keep, up to
//! CPython 3.13, is one dict from loop to current task. In a batch its entry stays: a request's
//! task is stored there for its step, then None, and the batch's end takes the entry out. Two
//! stores are a third of what two look-ups, an insertion and a deletion cost. A task that nobody
//! knows at its end is the next request's too, and stays there until then: that is no store at all.
//! Where the dict is not what `current_task` reads, the hooks are called.
use crate::calls::{self, Object};
use crate::task::RequestTask;
use pyo3::ffi::PyObject;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFunction, PyString, PyTuple};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed};

/// `inspect.CO_COROUTINE`.
const CO_COROUTINE: u32 = 0x80;

/// An object only to be shared: under the GIL its count costs less than an `Arc`'s.
#[pyclass(frozen)]
pub struct Runtime {
    pub lp: Py<PyAny>,
    /// Each loop's current task.
    current: Option<Py<PyDict>>,
    /// The entry is there, for the batch.
    stands: AtomicBool,
    /// It is this task, between its last request and its next one.
    rests: AtomicPtr<PyObject>,
    enter: Py<PyAny>,
    leave: Py<PyAny>,
    register: Py<PyAny>,
    pub cancelled: Py<PyAny>,
    pub invalid_state: Py<PyAny>,
    pub coroutine: Py<PyAny>,
    /// Where a task's list of weak references lies; 0 where that is not known.
    weak_offset: usize,
    /// `("context",)`: the keyword of `call_soon` and `add_done_callback`.
    pub context_name: Py<PyTuple>,
}

impl Runtime {
    pub fn new(py: Python<'_>, lp: Py<PyAny>) -> PyResult<Runtime> {
        let tasks = py.import("asyncio.tasks")?;
        let exceptions = py.import("asyncio.exceptions")?;
        let weak_offset = py.get_type::<RequestTask>().getattr("__weakrefoffset__")?;
        Ok(Runtime {
            current: current_tasks(&tasks, lp.bind(py)).map(Bound::unbind),
            stands: AtomicBool::new(false),
            rests: AtomicPtr::new(ptr::null_mut()),
            lp,
            enter: tasks.getattr("_enter_task")?.unbind(),
            leave: tasks.getattr("_leave_task")?.unbind(),
            register: tasks.getattr("_register_task")?.unbind(),
            cancelled: exceptions.getattr("CancelledError")?.unbind(),
            invalid_state: exceptions.getattr("InvalidStateError")?.unbind(),
            coroutine: py.import("types")?.getattr("CoroutineType")?.unbind(),
            weak_offset: weak_offset.extract().unwrap_or(0),
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
        self.end_batch(py);
        calls::call(self.enter.bind(py), [self.lp.bind(py), task.as_any()])?;
        let _guard = Guard(self, task);
        Ok(f())
    }

    /// `within`, for a step in a batch; [`Runtime::end_batch`] comes after the last. Where `stays`
    /// says so of what `f` gave, the task stays the current one until the next.
    pub fn within_batch<R>(
        &self,
        task: &Bound<'_, RequestTask>,
        f: impl FnOnce() -> R,
        stays: impl FnOnce(&R) -> bool,
    ) -> PyResult<R> {
        let (py, lp) = (task.py(), self.lp.bind(task.py()));
        let Some(current) = self.current.as_ref().map(|current| current.bind(py)) else {
            return self.within(task, f);
        };
        if !self.stands.load(Relaxed) && current.contains(lp)? {
            // Somebody runs the loop inside a task: asyncio says what it thinks of that.
            return self.within(task, f);
        }
        self.stands.store(true, Relaxed);
        if !self.is_resting(task) {
            current.set_item(lp, task)?;
        }
        self.rests.store(ptr::null_mut(), Relaxed);
        let result = f();
        if stays(&result) {
            self.rests.store(task.as_ptr(), Relaxed);
        } else {
            // To `current_task` that is none; where `f` panics, the batch's end sees to it.
            current.set_item(lp, py.None())?;
        }
        Ok(result)
    }

    /// No task is current, for who is not one.
    pub fn rest_no_more(&self, py: Python<'_>) -> PyResult<()> {
        if self.rests.swap(ptr::null_mut(), Relaxed).is_null() {
            return Ok(());
        }
        let current = self.current.as_ref().map(|current| current.bind(py));
        current.map_or(Ok(()), |current| current.set_item(self.lp.bind(py), py.None()))
    }

    /// Whether a task stands as the current one until the next request.
    pub fn is_resting(&self, task: &Bound<'_, RequestTask>) -> bool {
        self.rests.load(Relaxed) == task.as_ptr()
    }

    /// The entry goes: from here on others enter their tasks.
    pub fn end_batch(&self, py: Python<'_>) {
        if !self.stands.load(Relaxed) {
            return;
        }
        self.stands.store(false, Relaxed);
        self.rests.store(ptr::null_mut(), Relaxed);
        let Some(current) = &self.current else { return };
        if let Err(error) = current.bind(py).del_item(self.lp.bind(py)) {
            error.write_unraisable(py, None);
        }
    }

    /// Makes `asyncio.all_tasks()` know a task; done once it outlives its first step.
    pub fn register(&self, task: &Bound<'_, RequestTask>) -> PyResult<()> {
        calls::call(self.register.bind(task.py()), [task.as_any()]).map(drop)
    }

    /// Whether calling it only makes a coroutine: an `async def`, and nothing round it.
    pub fn makes_coroutines(endpoint: &Object<'_>) -> bool {
        let flags = endpoint.getattr("__code__").and_then(|code| code.getattr("co_flags"));
        let flags = flags.and_then(|flags| flags.extract::<u32>()).unwrap_or(0);
        flags & CO_COROUTINE != 0 && endpoint.is_exact_instance_of::<PyFunction>()
    }

    /// Whether nobody refers to a task but its one holder and `others`, not even weakly.
    pub fn is_unknown(&self, task: &Bound<'_, RequestTask>, others: isize) -> bool {
        calls::references(task) == 1 + others
            && self.weak_offset != 0
            && !calls::is_weakly_known(task, self.weak_offset)
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

/// The dict behind `current_task`, if there is one: a mark put into it has to come out there.
fn current_tasks<'py>(
    tasks: &Bound<'py, PyModule>,
    lp: &Object<'py>,
) -> Option<Bound<'py, PyDict>> {
    let current = tasks.getattr("_current_tasks").ok()?.cast_into_exact::<PyDict>().ok()?;
    let before = current.get_item(lp).ok()?;
    let mark = PyTuple::empty(lp.py());
    current.set_item(lp, &mark).ok()?;
    let read = tasks.call_method1("current_task", (lp,));
    match before {
        Some(task) => current.set_item(lp, task).ok()?,
        None => current.del_item(lp).ok()?,
    }
    read.is_ok_and(|read| read.is(&mark)).then_some(current)
}
