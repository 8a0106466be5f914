//! The engine as Python sees it.
use pyo3::prelude::*;

/// Adds this module's classes to `megahertz._core`.
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
