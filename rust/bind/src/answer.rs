//! An answer as Python makes it: rendered once, returned any number of times.
use poll::{Part, Slice};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};
use rustix::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use wire::reply;

pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Status, header fields and body.
#[pyclass(subclass, module = "megahertz._core")]
pub struct Answer {
    status: u16,
    fields: Fields,
    rendered: Vec<u8>,
    body: Py<PyBytes>,
    /// In place of the body: ranges of a file.
    parts: Option<Vec<Part>>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Status line and fields, ready to send.
    pub fn rendered(&self) -> &[u8] {
        &self.rendered
    }

    pub fn parts(&self) -> Option<&Vec<Part>> {
        self.parts.as_ref()
    }

    pub fn body_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.body.bind(py).clone()
    }

    fn render(&mut self) {
        self.rendered = reply::render(self.status, &self.fields);
    }
}

/// A field in lower case, refused where it could split the head or is the engine's to write.
pub fn field(name: &[u8], value: &[u8]) -> PyResult<(Vec<u8>, Vec<u8>)> {
    if !reply::is_field(name, value) {
        let (name, value) = (String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        return Err(PyValueError::new_err(format!("{name:?}: {value:?} is no header field")));
    }
    Ok((name.to_ascii_lowercase(), value.trim_ascii().to_vec()))
}

/// Fields that the engine writes itself, so that framing is always its own; in whatever case.
pub fn is_ours(name: &[u8]) -> bool {
    let ours = [&b"content-length"[..], b"transfer-encoding", b"date", b"connection"];
    ours.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

pub fn pairs(headers: &Bound<'_, PyAny>) -> PyResult<Fields> {
    let items = match headers.cast::<PyDict>() {
        Ok(dict) => dict.items().into_any(),
        Err(_) if headers.hasattr("items")? => headers.call_method0("items")?,
        Err(_) => headers.clone(),
    };
    let mut fields = vec![];
    for item in items.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item?.extract()?;
        let (name, value) = field(&octets(&name)?, &octets(&value)?)?;
        if !is_ours(&name) {
            fields.push((name, value));
        }
    }
    Ok(fields)
}

/// bytes as they are; str as latin-1, which is what header fields are made of.
fn octets(text: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = text.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    let text: String = text.extract()?;
    text.chars()
        .map(|c| u8::try_from(c as u32))
        .collect::<Result<_, _>>()
        .map_err(|_| PyValueError::new_err(format!("{text:?} is not latin-1")))
}

fn body<'py>(content: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = content.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    if let Ok(text) = content.cast::<PyString>() {
        return Ok(PyBytes::new(content.py(), text.to_str()?.as_bytes()));
    }
    let name = content.get_type().name()?;
    Err(PyTypeError::new_err(format!("content is bytes, str or None, not {name}")))
}

pub fn checked(status: u16) -> PyResult<u16> {
    match status {
        200..=599 => Ok(status),
        _ => Err(PyValueError::new_err(format!("status_code {status}: an answer has 200 to 599"))),
    }
}

#[pymethods]
impl Answer {
    #[new]
    #[pyo3(signature = (content=None, status_code=200, headers=None, media_type=None))]
    fn new(
        py: Python<'_>,
        content: Option<&Bound<'_, PyAny>>,
        status_code: u16,
        headers: Option<&Bound<'_, PyAny>>,
        media_type: Option<&str>,
    ) -> PyResult<Self> {
        let body = match content {
            None => PyBytes::new(py, b""),
            Some(content) => body(content)?,
        };
        let mut fields = headers.map_or(Ok(vec![]), pairs)?;
        let named = fields.iter().any(|(name, _)| name == b"content-type");
        if let Some(media_type) = media_type.filter(|_| !named) {
            let text = media_type.starts_with("text/") && !media_type.contains("charset=");
            let charset = if text { "; charset=utf-8" } else { "" };
            let value = format!("{media_type}{charset}");
            fields.insert(0, field(b"content-type", value.as_bytes())?);
        }
        let status = checked(status_code)?;
        let mut answer =
            Answer { status, fields, rendered: vec![], body: body.unbind(), parts: None };
        answer.render();
        Ok(answer)
    }

    #[getter]
    fn status_code(&self) -> u16 {
        self.status
    }

    #[setter]
    fn set_status_code(&mut self, value: u16) -> PyResult<()> {
        self.status = checked(value)?;
        self.render();
        Ok(())
    }

    #[getter]
    fn body(&self, py: Python<'_>) -> Py<PyBytes> {
        self.body.clone_ref(py)
    }

    #[setter]
    fn set_body(&mut self, value: Py<PyBytes>) {
        self.body = value;
    }

    /// The descriptor is duplicated, once for any number of answers.
    fn attach(&mut self, fd: i32, parts: &Bound<'_, PyAny>) -> PyResult<()> {
        if fd < 0 {
            return Err(PyValueError::new_err("a closed file"));
        }
        // SAFETY: the caller keeps its file open during this call; it is duplicated at once.
        let file = Arc::new(unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?);
        let mut all = vec![];
        for part in parts.try_iter()? {
            let part = part?;
            all.push(if let Ok(bytes) = part.cast::<PyBytes>() {
                Part::Bytes(bytes.as_bytes().to_vec())
            } else {
                let (at, len) = part.extract()?;
                Part::File(Slice { file: Arc::clone(&file), at, len })
            });
        }
        self.parts = Some(all);
        Ok(())
    }

    /// The descriptors are ours, and open as long as this answer is there.
    #[getter]
    fn pieces<'py>(&self, py: Python<'py>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
        let piece = |part: &Part| match part {
            Part::Bytes(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
            Part::File(Slice { file, at, len }) => {
                Ok((file.as_raw_fd(), *at, *len).into_pyobject(py)?.into_any())
            }
        };
        self.parts.as_ref().map(|parts| parts.iter().map(piece).collect()).transpose()
    }

    #[getter]
    fn raw_headers<'py>(&self, py: Python<'py>) -> Vec<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let pair =
            |(name, value): &(Vec<u8>, Vec<u8>)| (PyBytes::new(py, name), PyBytes::new(py, value));
        self.fields.iter().map(pair).collect()
    }

    #[setter]
    fn set_raw_headers(&mut self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        self.fields = pairs(value)?;
        self.render();
        Ok(())
    }
}
