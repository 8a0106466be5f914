//! One step of a request's coroutine, and what it waits for after it.
use super::{Outcome, Owner, RequestTask, State, is_fatal};
use crate::calls::{self, Object, Step};
use crate::reply::Reply;
use crate::runtime::Runtime;
use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;

impl RequestTask {
    /// Makes a task of a coroutine, or takes the one of `spare`, and runs its first step in place, in the
    /// context that is entered; `suspended` keeps a task that is to go on, before asyncio knows of
    /// it, and says whose it is. One that nobody knows any more becomes `spare`.
    pub fn begin<'py>(
        shared: &Bound<'py, Runtime>,
        coroutine: Object<'py>,
        context: &Object<'py>,
        mut spare: Option<&mut Option<Py<RequestTask>>>,
        suspended: impl FnOnce(&Bound<'py, Self>) -> PyResult<Owner>,
    ) -> PyResult<Outcome<'py>> {
        let py = coroutine.py();
        let runtime = shared.get();
        let kept = spare.as_mut().and_then(|spare| spare.take()).map(|task| task.into_bound(py));
        let unknown =
            |task: &Bound<'_, _>| runtime.is_unknown(task, isize::from(runtime.is_resting(task)));
        let task = match kept.filter(unknown) {
            Some(task) => task,
            None => Bound::new(py, RequestTask::blank(shared.clone().unbind()))?,
        };
        task.borrow_mut().fill(coroutine.clone().unbind(), context.clone().unbind());
        let mut rests = false;
        let outcome = runtime.within_batch(
            &task,
            || Self::advance(&task, runtime, &coroutine, None),
            |outcome| {
                // The other one is asyncio's, which has it as the current task.
                rests = spare.is_some()
                    && !matches!(outcome, Outcome::Suspended)
                    && runtime.is_unknown(&task, 1);
                rests
            },
        )?;
        if matches!(outcome, Outcome::Suspended) {
            let owner = suspended(&task)?;
            task.borrow_mut().later().owner = Some(owner);
            runtime.register(&task)?;
        } else if rests {
            // Dropped with nothing borrowed: that may run finalizers.
            let blank = RequestTask::blank(shared.clone().unbind());
            let used = std::mem::replace(&mut *task.borrow_mut(), blank);
            drop(used);
            if let Some(spare) = spare {
                *spare = Some(task.unbind());
            }
        } else if !runtime.is_unknown(&task, 0) {
            // Somebody kept it: they see it end.
            Self::settle(&task, runtime, &outcome)?;
        }
        Ok(outcome)
    }

    /// Whether the coroutine itself waits for `future`.
    pub fn waits_for(&self, future: &Object<'_>) -> bool {
        let waiter = self.later.as_ref().and_then(|later| later.waiter.as_ref());
        waiter.is_some_and(|waiter| waiter.is(future))
    }

    /// Ends the future that the coroutine waits for, and steps it now instead of by the loop; no
    /// task may be current.
    pub fn resume(slf: &Bound<'_, Self>, future: &Object<'_>) -> PyResult<()> {
        let py = slf.py();
        let Some(context) = Self::context(slf) else { return Ok(()) };
        calls::method(intern!(py, "remove_done_callback"), [future, slf.as_any()], None)?;
        calls::method(intern!(py, "set_result"), [future, py.None().bind(py)], None)?;
        calls::in_context(&context, || Self::go_on(slf, None, false))?
    }

    /// Steps it now, since what it waits for has ended, perhaps with an error; no task may be
    /// current.
    pub fn wake(slf: &Bound<'_, Self>, error: Option<PyErr>) -> PyResult<()> {
        let Some(context) = Self::context(slf) else { return Ok(()) };
        calls::in_context(&context, || Self::go_on(slf, error, true))?
    }

    /// The context of its steps, while it is not done.
    pub fn context<'py>(slf: &Bound<'py, Self>) -> Option<Object<'py>> {
        slf.borrow().context.as_ref().map(|context| context.bind(slf.py()).clone())
    }

    /// One step after a suspension, in the context that is entered, and what follows from its end.
    pub(super) fn go_on(slf: &Bound<'_, Self>, error: Option<PyErr>, batch: bool) -> PyResult<()> {
        let py = slf.py();
        let (runtime, owner) = {
            let task = slf.borrow();
            if task.state != State::Pending {
                return Ok(());
            }
            let owner = task.later.as_ref().and_then(|later| later.owner.as_ref());
            (task.runtime.clone_ref(py), owner.map(|owner| owner.clone_ref(py)))
        };
        let runtime = runtime.get();
        let outcome = if batch {
            let outcome = runtime.within_batch(slf, || Self::step(slf, runtime, error), |_| false);
            runtime.end_batch(py);
            outcome?
        } else {
            runtime.within(slf, || Self::step(slf, runtime, error))?
        };
        Self::settle(slf, runtime, &outcome)?;
        let fatal = match &outcome {
            Outcome::Failed(error) if is_fatal(py, error) => Some(error.clone_ref(py)),
            _ => None,
        };
        let ended = !matches!(outcome, Outcome::Suspended);
        if let Some(owner) = owner.filter(|_| ended) {
            owner.complete(py, outcome)?;
        }
        fatal.map_or(Ok(()), Err)
    }

    /// One step of the coroutine; the caller has entered the context and the task.
    pub fn step<'py>(
        slf: &Bound<'py, Self>,
        runtime: &Runtime,
        error: Option<PyErr>,
    ) -> Outcome<'py> {
        let py = slf.py();
        let (error, coroutine, waited) = {
            let mut task = slf.borrow_mut();
            let waited = task.later.as_mut().and_then(|later| later.waiter.take());
            let cancel = std::mem::take(&mut task.must_cancel).then(|| task.take_message());
            let error = match cancel {
                Some(message) => error
                    .filter(|error| runtime.is_cancelled(py, error))
                    .or_else(|| Some(runtime.cancelled_error(py, message))),
                None => error,
            };
            (error, task.coroutine.as_ref().map(|coroutine| coroutine.bind(py).clone()), waited)
        };
        // Its end may run Python: nothing is borrowed.
        drop(waited);
        match coroutine {
            Some(coroutine) => Self::advance(slf, runtime, &coroutine, error),
            None => Outcome::Failed(PyRuntimeError::new_err("the task is done")),
        }
    }

    /// Runs the coroutine until it waits or ends.
    fn advance<'py>(
        slf: &Bound<'py, Self>,
        runtime: &Runtime,
        coroutine: &Object<'py>,
        mut error: Option<PyErr>,
    ) -> Outcome<'py> {
        let py = slf.py();
        loop {
            let step = match &error {
                None => calls::send(coroutine),
                Some(error) => calls::throw(coroutine, error),
            };
            match step {
                Step::Returned(value) => return Self::returned(slf, runtime, value),
                Step::Raised(error) if runtime.is_cancelled(py, &error) => {
                    return Outcome::Cancelled(error);
                }
                Step::Raised(error) => return Outcome::Failed(error),
                Step::Yielded(future) => match Self::park(slf, runtime, &future) {
                    Ok(()) => return Outcome::Suspended,
                    Err(refused) => error = Some(refused),
                },
            }
        }
    }

    /// It returned; a cancellation that came too late to be delivered still counts (as in asyncio).
    fn returned<'py>(
        slf: &Bound<'py, Self>,
        runtime: &Runtime,
        value: Object<'py>,
    ) -> Outcome<'py> {
        let message = {
            let mut task = slf.borrow_mut();
            std::mem::take(&mut task.must_cancel).then(|| task.take_message())
        };
        match message {
            Some(message) => Outcome::Cancelled(runtime.cancelled_error(slf.py(), message)),
            None => Outcome::Done(value),
        }
    }

    /// The coroutine yielded: a future to wait for, or None (`asyncio.sleep(0)`).
    fn park<'py>(slf: &Bound<'py, Self>, runtime: &Runtime, future: &Object<'py>) -> PyResult<()> {
        let py = slf.py();
        let context = Self::context(slf);
        let context = context.ok_or_else(|| PyRuntimeError::new_err("the task is done"))?;
        if future.is_none() {
            return runtime.soon(slf.as_any(), None, &context);
        }
        if Self::park_on_reply(slf, runtime, future) {
            return Self::parked(slf, future);
        }
        let blocking = intern!(py, "_asyncio_future_blocking");
        match future.getattr_opt(blocking)? {
            Some(value) if value.is_truthy()? => {}
            _ => return Err(PyRuntimeError::new_err(format!("Task got bad yield: {future:?}"))),
        }
        if future.is(slf) {
            return Err(PyRuntimeError::new_err(format!("Task cannot await on itself: {slf:?}")));
        }
        let lp = calls::method(intern!(py, "get_loop"), [future], None)?;
        if !lp.is(runtime.lp.bind(py)) {
            let text = format!("Task {slf:?} got Future {future:?} attached to a different loop");
            return Err(PyRuntimeError::new_err(text));
        }
        future.setattr(blocking, false)?;
        // The task itself is the callback: no bound method, no closure.
        let name = intern!(py, "add_done_callback");
        let keyword = Some(runtime.context_name.bind(py));
        calls::method(name, [future, slf.as_any(), &context], keyword)?;
        Self::parked(slf, future)
    }

    /// Waits for a link's reply without a callback in Python, where that is possible.
    fn park_on_reply(slf: &Bound<'_, Self>, runtime: &Runtime, future: &Object<'_>) -> bool {
        let Ok(reply) = future.cast_exact::<Reply>() else { return false };
        reply.borrow_mut().wake(slf, runtime.lp.bind(slf.py()))
    }

    /// It waits; a cancellation that was asked for meanwhile goes to what it waits for.
    fn parked(slf: &Bound<'_, Self>, future: &Object<'_>) -> PyResult<()> {
        let py = slf.py();
        let message = {
            let mut task = slf.borrow_mut();
            task.later().waiter = Some(future.clone().unbind());
            let message = |task: &Self| task.its(py, |later| &later.message);
            task.must_cancel.then(|| message(&task).unwrap_or_else(|| py.None()))
        };
        let Some(message) = message else { return Ok(()) };
        if Self::cancel_future(future, message.bind(py))? {
            slf.borrow_mut().must_cancel = false;
        }
        Ok(())
    }

    pub(super) fn cancel_future(future: &Object<'_>, message: &Object<'_>) -> PyResult<bool> {
        let py = future.py();
        if message.is_none() {
            return calls::method(intern!(py, "cancel"), [future], None)?.is_truthy();
        }
        let keyword = pyo3::types::PyTuple::new(py, [intern!(py, "msg")])?;
        calls::method(intern!(py, "cancel"), [future, message], Some(&keyword))?.is_truthy()
    }

    /// Records the end for whoever holds the task, and schedules the done callbacks.
    pub fn settle(slf: &Bound<'_, Self>, runtime: &Runtime, outcome: &Outcome<'_>) -> PyResult<()> {
        let py = slf.py();
        let (callbacks, ended) = {
            let mut task = slf.borrow_mut();
            match outcome {
                Outcome::Suspended => return Ok(()),
                Outcome::Done(value) => task.later().result = Some(value.clone().unbind()),
                Outcome::Failed(error) | Outcome::Cancelled(error) => {
                    task.later().error = Some(error.clone_ref(py));
                }
            }
            let cancelled = matches!(outcome, Outcome::Cancelled(_));
            task.state = if cancelled { State::Cancelled } else { State::Finished };
            // Dropped below: that may run Python, which may look at this task.
            let coroutine = task.coroutine.take();
            let later = task.later();
            let ended = (coroutine, later.waiter.take());
            (std::mem::take(&mut later.callbacks), ended)
        };
        drop(ended);
        callbacks.tell(runtime, slf.as_any())
    }
}
