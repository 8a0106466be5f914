//! A place for an object of Python's that is looked at with each request.
//!
//! PyO3's borrows count with locked instructions, as builds without a GIL need them. The module is
//! marked as needing the GIL (`gil_used = true`: an interpreter without one takes it again), and this
//! place is touched under it only.
use pyo3::prelude::*;
use std::cell::UnsafeCell;

/// An object, or none yet.
pub struct Held<T>(UnsafeCell<Option<Py<T>>>);

// SAFETY: `get` and `set` ask for the GIL, so no two threads are inside at once; `Py` may be sent.
unsafe impl<T> Sync for Held<T> {}

impl<T> Held<T> {
    /// None yet.
    pub fn empty() -> Held<T> {
        Held(UnsafeCell::new(None))
    }

    /// What is there now; what replaces it meanwhile does not end it.
    pub fn get<'py>(&self, py: Python<'py>) -> Option<Bound<'py, T>> {
        // SAFETY: under the GIL, and counting a reference runs nobody's code: nothing replaces it
        // before this returns.
        let object = unsafe { &*self.0.get() };
        object.as_ref().map(|object| object.bind(py).clone())
    }

    /// This from now on.
    pub fn set(&self, _py: Python<'_>, object: Option<Py<T>>) {
        // SAFETY: under the GIL, and no reference into the place outlives `get`. What was there is
        // dropped after: that may run anybody's code, even this.
        let before = unsafe { std::mem::replace(&mut *self.0.get(), object) };
        drop(before);
    }
}
