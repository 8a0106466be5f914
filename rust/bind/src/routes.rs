//! The engine's router for whoever serves a request that the engine did not read.
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use wire::{Found, Router, percent};

/// Patterns and methods to route numbers.
#[pyclass(module = "megahertz._core")]
#[derive(Default)]
pub struct Routes {
    router: Router,
}

#[pymethods]
impl Routes {
    #[new]
    fn new() -> Self {
        Routes::default()
    }

    fn add(&mut self, method: &str, pattern: &str, route: usize) -> PyResult<()> {
        self.router.add(method, pattern, route).map_err(PyValueError::new_err)
    }

    fn find<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        path: &[u8],
    ) -> PyResult<Option<(usize, Bound<'py, PyTuple>)>> {
        if path.len() > usize::from(u16::MAX) {
            return Ok(None); // Spans are 16 bits wide.
        }
        let Found::Route(route, spans, count) = self.router.find(method.as_bytes(), path) else {
            return Ok(None);
        };
        let text = |span: &wire::Span| PyString::new(py, &percent::decode(span.of(path)));
        Ok(Some((route, PyTuple::new(py, spans[..count].iter().map(text))?)))
    }

    fn allow(&self, path: &[u8]) -> String {
        self.router.allow(path)
    }

    fn speaks_websocket(&self, path: &[u8]) -> bool {
        self.router.find(b"", path) == Found::OnlyWebSocket
    }
}

/// Adds the class to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Routes>()
}
