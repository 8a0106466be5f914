//! Handlers that take a decoded body and nothing else: they are called without a request of
//! Python's.
use crate::calls::{self, Object};
use crate::json::JsonDecoder;
use pyo3::exceptions::PyException;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The two calls that an endpoint is made of.
pub struct Typed {
    decode: Decode,
    handler: Py<PyAny>,
}

/// Makes what the handler takes of a body.
enum Decode {
    Json(Py<JsonDecoder>),
    /// Anything that is called with it.
    Other(Py<PyAny>),
}

impl Typed {
    /// What `Endpoint` says of its attribute `decoded`; none where it has none.
    pub fn of(endpoint: &Object<'_>) -> PyResult<Option<Typed>> {
        let found = endpoint.getattr_opt(intern!(endpoint.py(), "decoded"))?;
        let Some(found) = found else { return Ok(None) };
        let (decode, handler): (Object<'_>, Py<PyAny>) = found.extract()?;
        let decode = match decode.cast_exact::<JsonDecoder>() {
            Ok(ours) => Decode::Json(ours.clone().unbind()),
            Err(_) => Decode::Other(decode.unbind()),
        };
        Ok(Some(Typed { decode, handler }))
    }

    /// What the handler gives for a body; none where that cannot be decoded, which the endpoint
    /// then says in its own words.
    pub fn call<'py>(&self, py: Python<'py>, body: &[u8]) -> PyResult<Option<Object<'py>>> {
        let value = match &self.decode {
            Decode::Json(ours) => ours.get().decode(py, body),
            Decode::Other(other) => calls::call(other.bind(py), [PyBytes::new(py, body).as_any()]),
        };
        match value {
            Ok(value) => calls::call(self.handler.bind(py), [&value]).map(Some),
            Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match &self.decode {
            Decode::Json(ours) => visit.call(ours)?,
            Decode::Other(other) => visit.call(other)?,
        }
        visit.call(&self.handler)
    }
}
