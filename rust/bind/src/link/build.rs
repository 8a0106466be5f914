//! Replies as Python objects, made where they lie.
use crate::calls::Object;
use crate::reply::failure;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};
use wire::resp::{Bounds, Item, item};

/// How strings become `str`.
#[derive(Clone)]
pub struct Text {
    utf8: bool,
    encoding: std::ffi::CString,
    errors: std::ffi::CString,
}

impl Text {
    pub fn new(encoding: &str, errors: &str) -> PyResult<Text> {
        let utf8 = matches!(encoding.to_ascii_lowercase().as_str(), "utf-8" | "utf8");
        let text = |text: &str| Ok::<_, PyErr>(std::ffi::CString::new(text)?);
        Ok(Text { utf8, encoding: text(encoding)?, errors: text(errors)? })
    }

    fn decode<'py>(&self, py: Python<'py>, octets: &[u8]) -> PyResult<Object<'py>> {
        if let (true, Ok(text)) = (self.utf8, std::str::from_utf8(octets)) {
            return Ok(PyString::new(py, text).into_any());
        }
        let octets = PyBytes::new(py, octets);
        PyString::from_encoded_object(&octets, Some(&self.encoding), Some(&self.errors))
            .map(Bound::into_any)
    }
}

/// A whole reply; an error reply is an error.
pub fn whole(
    py: Python<'_>,
    data: &[u8],
    text: Option<&Text>,
    error: &Object<'_>,
) -> PyResult<Py<PyAny>> {
    let mut builder = Builder { py, data, at: 0, text, error, bounds: Bounds::default() };
    builder.next()?.map(Bound::unbind)
}

struct Builder<'a, 'py> {
    py: Python<'py>,
    data: &'a [u8],
    at: usize,
    text: Option<&'a Text>,
    error: &'a Object<'py>,
    bounds: Bounds,
}

impl<'py> Builder<'_, 'py> {
    /// The next item: what it is, or the error that it tells; outside, what cannot be built.
    fn next(&mut self) -> PyResult<PyResult<Object<'py>>> {
        let py = self.py;
        let Ok(Some((item, next))) = item(self.data, self.at, &self.bounds) else {
            // The scanner has been over it.
            return Err(PyRuntimeError::new_err("half a reply"));
        };
        self.at = next;
        Ok(Ok(match item {
            Item::Error(octets) => {
                return Ok(Err(failure(self.error, "reply", &String::from_utf8_lossy(octets))));
            }
            Item::Simple(octets) | Item::Bulk(octets) | Item::Verbatim(octets) => match self.text {
                Some(text) => text.decode(py, octets)?,
                None => PyBytes::new(py, octets).into_any(),
            },
            Item::Integer(value) => value.into_pyobject(py)?.into_any(),
            Item::Null => py.None().into_bound(py),
            Item::Boolean(value) => PyBool::new(py, value).to_owned().into_any(),
            Item::Double(value) => PyFloat::new(py, value).into_any(),
            Item::Big(digits) => {
                let digits = String::from_utf8_lossy(digits);
                py.get_type::<PyInt>().call1((digits,))?
            }
            // As redis-py has it: what a set holds may have no hash.
            Item::Array(count) | Item::Set(count) | Item::Push(count) => self.list(count)?,
            Item::Map(pairs) => self.map(pairs)?,
            Item::Attribute(pairs) => {
                self.map(pairs)?;
                return self.next();
            }
        }))
    }

    /// An item inside of others: there an error is a value.
    fn inner(&mut self) -> PyResult<Object<'py>> {
        let py = self.py;
        Ok(self.next()?.unwrap_or_else(|error| error.into_value(py).into_bound(py).into_any()))
    }

    fn list(&mut self, count: usize) -> PyResult<Object<'py>> {
        let list = PyList::empty(self.py);
        for _ in 0..count {
            list.append(self.inner()?)?;
        }
        Ok(list.into_any())
    }

    fn map(&mut self, pairs: usize) -> PyResult<Object<'py>> {
        let map = PyDict::new(self.py);
        for _ in 0..pairs {
            let key = self.inner()?;
            let key = match key.cast_into::<PyList>() {
                // What has no hash cannot be a key.
                Ok(list) => PyTuple::new(self.py, list.iter())?.into_any(),
                Err(other) => other.into_inner(),
            };
            let value = self.inner()?;
            map.set_item(key, value)?;
        }
        Ok(map.into_any())
    }
}
