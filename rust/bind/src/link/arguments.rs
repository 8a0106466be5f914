//! Python's arguments as the words of a command.
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};
use wire::resp::{bulk, command, number};

/// The same words, each of a type that is written without running Python.
pub fn plain<'py>(words: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyTuple>> {
    if words.iter_borrowed().all(|word| is_plain(&word)) {
        return Ok(words.clone());
    }
    let octets: PyResult<Vec<_>> = words.iter_borrowed().map(|word| flat(&word)).collect();
    PyTuple::new(words.py(), octets?)
}

fn is_plain(word: &Bound<'_, PyAny>) -> bool {
    word.is_exact_instance_of::<PyString>()
        || word.is_exact_instance_of::<PyBytes>()
        || word.is_exact_instance_of::<PyInt>()
}

/// Octets of anything that redis-py takes too: a subclass counts as what it is made of.
fn flat<'py>(word: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = word.py();
    if is_plain(word) || word.is_instance_of::<PyBytes>() || word.is_instance_of::<PyString>() {
        return Ok(word.clone());
    }
    if word.is_instance_of::<PyBool>() {
        return Err(refused(word));
    }
    if word.is_instance_of::<PyFloat>() {
        // The shortest that reads back the same.
        let value: f64 = word.extract()?;
        return Ok(PyFloat::new(py, value).repr()?.into_any());
    }
    if word.is_instance_of::<PyInt>() {
        return py.get_type::<PyInt>().call1((word,));
    }
    match PyBuffer::<u8>::get(word) {
        Ok(buffer) => Ok(PyBytes::new(py, &buffer.to_vec(py)?).into_any()),
        Err(_) => Err(refused(word)),
    }
}

fn refused(word: &Bound<'_, PyAny>) -> PyErr {
    let name = word.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
    PyTypeError::new_err(format!(
        "Invalid input of type: '{name}'. Convert to a bytes, string, int or float first."
    ))
}

/// Writes a command of plain words.
pub fn write(words: &Bound<'_, PyTuple>, out: &mut Vec<u8>) -> PyResult<()> {
    command(out, words.len());
    for word in words.iter_borrowed() {
        if let Ok(octets) = word.cast::<PyBytes>() {
            bulk(out, octets.as_bytes());
        } else if let Ok(text) = word.cast::<PyString>() {
            bulk(out, text.to_str()?.as_bytes());
        } else if let Ok(value) = word.extract::<i64>() {
            number(out, value);
        } else {
            bulk(out, word.str()?.to_str()?.as_bytes());
        }
    }
    Ok(())
}
