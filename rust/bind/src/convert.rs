//! Text of a request into a number.
use crate::calls::{self, Object};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// Digits that every u64 holds.
const MOST_DIGITS: usize = 19;

/// Adds the function to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(plain_int, module)?)
}

/// A few digits here, anything else by `otherwise`: CPython's `int(text)` alone takes 1,500
/// instructions, most of them to find the digits of other alphabets.
#[pyfunction]
#[pyo3(signature = (otherwise, text, /))]
fn plain_int<'py>(otherwise: &Object<'py>, text: &Bound<'py, PyString>) -> PyResult<Object<'py>> {
    match digits(text.to_str()?.as_bytes()) {
        Some(value) => Ok(value.into_pyobject(text.py())?.into_any()),
        None => calls::call(otherwise, [text.as_any()]),
    }
}

fn digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > MOST_DIGITS {
        return None;
    }
    text.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0'))
    })
}
