//! Where a request's context comes from.
//!
//! Every one is a copy of the context in which the loop polls, whatever runs when the request
//! begins: the one before it on its connection may just be ending, in a context of its own.
//!
//! The deadline is a variable in it, and to set one costs as much as a tenth of a request. Those of
//! a millisecond share it, by a copy in which it is set already: copying is free of that. So what
//! is left is understated by at most a millisecond.
use crate::calls::{self, Object};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyFloat;

const SHARED: u64 = 1_000_000;

/// The loop's context, and by route the last one with a deadline.
#[derive(Default)]
pub struct Contexts {
    base: Option<Py<PyAny>>,
    timed: Vec<Option<(u64, Py<PyAny>)>>,
}

impl Contexts {
    /// The loop polls: this is its context.
    pub fn begin(&mut self, py: Python<'_>) -> PyResult<()> {
        if self.base.is_none() {
            self.base = Some(calls::copy_context(py)?.unbind());
        }
        Ok(())
    }

    fn base<'py>(&self, py: Python<'py>) -> PyResult<Object<'py>> {
        match &self.base {
            Some(base) => calls::copy_of(base.bind(py)),
            None => calls::copy_context(py),
        }
    }

    /// A new one for a request of that route, with this deadline.
    pub fn of<'py>(
        &mut self,
        py: Python<'py>,
        route: u32,
        deadline: Option<(u64, &Py<PyAny>)>,
    ) -> PyResult<Object<'py>> {
        let Some((at, variable)) = deadline else { return self.base(py) };
        let at = at - at % SHARED;
        // The fallback's number is the last there is: it comes first.
        let route = route.wrapping_add(1) as usize;
        if self.timed.len() <= route {
            self.timed.resize_with(route + 1, || None);
        }
        if let Some((_, context)) = self.timed[route].as_ref().filter(|(known, _)| *known == at) {
            return calls::copy_of(context.bind(py));
        }
        let context = self.base(py)?;
        let seconds = PyFloat::new(py, at as f64 / 1e9);
        calls::in_context(&context, || calls::set_variable(variable.bind(py), &seconds))??;
        self.timed[route] = Some((at, context.clone().unbind()));
        calls::copy_of(&context)
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.base)?;
        self.timed.iter().flatten().try_for_each(|(_, context)| visit.call(context))
    }

    pub fn clear(&mut self) {
        self.base = None;
        self.timed.clear();
    }
}
