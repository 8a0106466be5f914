//! The load generator as Python sees it.
use pyo3::prelude::*;

/// Adds this module's classes to `megahertz._core`.
#[allow(clippy::unnecessary_wraps)]
pub fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
