//! The parser by itself, for differential tests against h11 and httptools.
use crate::limits::settings;
use poll::Settings;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use wire::{Chunked, Framing, Refusal};

/// The first request in `data`: its parts, the status of its refusal, or None while unfinished.
#[pyfunction]
pub fn read_request<'py>(
    py: Python<'py>,
    data: &[u8],
    limits: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let settings = settings(limits)?;
    match read(data, &settings) {
        Ok(None) => Ok(None),
        Err(refusal) => Ok(Some(refusal.status().into_pyobject(py)?.into_any())),
        Ok(Some((head, body, end))) => {
            let parts = PyDict::new(py);
            parts.set_item("method", PyBytes::new(py, head.method.of(data)))?;
            parts.set_item("path", PyBytes::new(py, head.path.of(data)))?;
            parts.set_item("query", PyBytes::new(py, head.query.of(data)))?;
            parts.set_item("minor", head.minor)?;
            parts.set_item("keep", head.keep)?;
            let pair = |field: &wire::Field| {
                let name = field.name.of(data).to_ascii_lowercase();
                (PyBytes::new(py, &name), PyBytes::new(py, field.value.of(data)))
            };
            parts.set_item("headers", head.fields.iter().map(pair).collect::<Vec<_>>())?;
            parts.set_item("body", PyBytes::new(py, &body))?;
            parts.set_item("rest", PyBytes::new(py, &data[end..]))?;
            Ok(Some(parts.into_any()))
        }
    }
}

type Whole = (wire::Head, Vec<u8>, usize);

fn read(data: &[u8], settings: &Settings) -> Result<Option<Whole>, Refusal> {
    let Some(head) = wire::parse(data, &settings.bounds)? else { return Ok(None) };
    let rest = &data[head.len..];
    match head.framing {
        Framing::Length(size) if size > settings.body as u64 => Err(Refusal::BodyTooLarge),
        Framing::Length(size) => Ok(rest.get(..size as usize).map(|body| {
            let end = head.len + size as usize;
            (head, body.to_vec(), end)
        })),
        Framing::Chunked => {
            let (mut decoder, mut body) = (Chunked::default(), vec![]);
            let used = decoder.feed(rest, &mut body, settings.body)?;
            let end = head.len + used;
            Ok(decoder.is_done().then_some((head, body, end)))
        }
    }
}

/// Adds this idea's function to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(read_request, module)?)
}
