//! An exchange that becomes an object of Python's only once somebody may see it: a bare handler
//! that answers at once never does.
use super::{Begun, Exchange};
use crate::engine::Engine;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

pub struct Lazy<'a, 'py> {
    engine: &'a Bound<'py, Engine>,
    begun: Option<Begun>,
    object: Option<Bound<'py, Exchange>>,
}

impl<'a, 'py> Lazy<'a, 'py> {
    pub fn new(engine: &'a Bound<'py, Engine>, begun: Begun) -> Self {
        Lazy { engine, begun: Some(begun), object: None }
    }

    /// The request, if nobody has seen it; nobody will.
    pub fn unseen(&mut self) -> Option<Begun> {
        self.begun.take()
    }

    /// Whether nobody has seen it.
    pub fn is_unseen(&self) -> bool {
        self.begun.is_some()
    }

    /// The body, where it is whole and nobody has seen the request.
    pub fn body(&self) -> Option<&[u8]> {
        let incoming = &self.begun.as_ref()?.incoming;
        (!incoming.is_awaited()).then(|| incoming.body())
    }

    pub fn object(&mut self) -> PyResult<&Bound<'py, Exchange>> {
        if let Some(begun) = self.begun.take() {
            let exchange = Exchange::new(self.engine.clone().unbind(), begun);
            self.object = Some(Bound::new(self.engine.py(), exchange)?);
        }
        self.object.as_ref().ok_or_else(|| PyMemoryError::new_err("no room for the request"))
    }
}
