//! Done callbacks: who is told when a task or a reply has ended, each in its context.
use crate::calls::{self, Object};
use crate::runtime::Runtime;
use pyo3::PyClass;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::pyclass::boolean_struct::False;

/// In the order in which they were added, with their contexts.
#[derive(Default)]
pub struct Callbacks(Vec<(Py<PyAny>, Py<PyAny>)>);

/// What ends once, and tells of it.
pub trait Ends: PyClass<Frozen = False> {
    fn has_ended(&self) -> bool;
    fn callbacks(&mut self) -> &mut Callbacks;
    fn runtime(&self) -> &Py<Runtime>;
}

/// `Future.add_done_callback`: of what has ended already, it is told from the loop's next turn.
pub fn add<T: Ends>(
    slf: &Bound<'_, T>,
    callback: Py<PyAny>,
    context: Option<Py<PyAny>>,
) -> PyResult<()> {
    let py = slf.py();
    let context = match context {
        Some(context) => context,
        None => calls::copy_context(py)?.unbind(),
    };
    let runtime = {
        let mut this = slf.borrow_mut();
        if !this.has_ended() {
            this.callbacks().0.push((callback, context));
            return Ok(());
        }
        this.runtime().clone_ref(py)
    };
    runtime.get().soon(callback.bind(py), Some(slf.as_any()), context.bind(py))
}

/// `Future.remove_done_callback`: all that are equal to it; how many they were. One whose `__eq__`
/// raises leaves all of them where they are.
pub fn remove<T: Ends>(slf: &Bound<'_, T>, callback: &Object<'_>) -> PyResult<usize> {
    let py = slf.py();
    let known = slf.borrow_mut().callbacks().pairs(py);
    let mut equal = vec![];
    for (known, _) in known {
        // Runs Python: nothing is borrowed.
        if known.bind(py).eq(callback)? {
            equal.push(known);
        }
    }
    let gone = {
        let mut this = slf.borrow_mut();
        let Callbacks(all) = this.callbacks();
        let (gone, kept) = std::mem::take(all)
            .into_iter()
            .partition::<Vec<_>, _>(|(known, _)| equal.iter().any(|it| it.is(known)));
        *all = kept;
        gone
    };
    Ok(gone.len())
}

impl Callbacks {
    /// Has the loop tell all of them that `ended` has ended.
    pub fn tell(self, runtime: &Runtime, ended: &Object<'_>) -> PyResult<()> {
        let py = ended.py();
        self.0.into_iter().try_for_each(|(callback, context)| {
            runtime.soon(callback.bind(py), Some(ended), context.bind(py))
        })
    }

    pub fn pairs(&self, py: Python<'_>) -> Vec<(Py<PyAny>, Py<PyAny>)> {
        let pair = |(callback, context): &(Py<PyAny>, Py<PyAny>)| {
            (callback.clone_ref(py), context.clone_ref(py))
        };
        self.0.iter().map(pair).collect()
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        for (callback, context) in &self.0 {
            visit.call(callback)?;
            visit.call(context)?;
        }
        Ok(())
    }
}
