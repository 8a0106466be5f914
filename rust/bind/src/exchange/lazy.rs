//! An exchange that becomes an object of Python's only once somebody may see it: a bare handler
//! that answers at once never does.
use super::Exchange;
use crate::gate::Admission;
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;

pub struct Lazy<'py> {
    plain: Option<Exchange>,
    object: Option<Bound<'py, Exchange>>,
}

impl<'py> Lazy<'py> {
    pub fn new(exchange: Exchange) -> Self {
        Lazy { plain: Some(exchange), object: None }
    }

    /// The exchange, if nobody has seen it.
    pub fn unseen(&self) -> Option<&Exchange> {
        self.plain.as_ref()
    }

    /// Of either.
    pub fn admission(&self) -> Option<Admission> {
        let seen = self.object.as_ref().map(Bound::get);
        self.plain.as_ref().or(seen).and_then(|exchange| exchange.admission)
    }

    pub fn object(&mut self, py: Python<'py>) -> PyResult<&Bound<'py, Exchange>> {
        if let Some(plain) = self.plain.take() {
            self.object = Some(Bound::new(py, plain)?);
        }
        self.object.as_ref().ok_or_else(|| PyMemoryError::new_err("no room for the request"))
    }
}
