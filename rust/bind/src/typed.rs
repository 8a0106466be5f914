//! Handlers that take a decoded body and nothing else: they are called without a request of
//! Python's.
use crate::calls::{self, Object};
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The two calls that an endpoint is made of.
pub struct Typed {
    decode: Py<PyAny>,
    handler: Py<PyAny>,
}

impl Typed {
    /// What `Endpoint` says of its attribute `decoded`; none where it has none.
    pub fn of(endpoint: &Object<'_>) -> PyResult<Option<Typed>> {
        let found = endpoint.getattr_opt(intern!(endpoint.py(), "decoded"))?;
        let Some((decode, handler)) = found.map(|it| it.extract()).transpose()? else {
            return Ok(None);
        };
        Ok(Some(Typed { decode, handler }))
    }

    /// What the handler gives for a body; none where that cannot be decoded, which the endpoint
    /// then says in its own words.
    pub fn call<'py>(&self, py: Python<'py>, body: &[u8]) -> PyResult<Option<Object<'py>>> {
        let body = PyBytes::new(py, body);
        match calls::call(self.decode.bind(py), [body.as_any()]) {
            Ok(value) => calls::call(self.handler.bind(py), [&value]).map(Some),
            Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.decode)?;
        visit.call(&self.handler)
    }
}
