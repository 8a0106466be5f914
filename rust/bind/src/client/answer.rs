//! An answer as Python sees it; its fields are made when they are asked for.
use super::ClientPool;
use crate::reply::Reply;
use crate::runtime::Runtime;
use pyo3::exceptions::PyRuntimeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use wire::response::{Head, each_field};

/// Status, fields and body; or a body that is read as it comes.
#[pyclass(weakref, module = "megahertz._core")]
pub struct ClientAnswer {
    runtime: Py<Runtime>,
    head: Head,
    headers: Option<Py<PyList>>,
    body: Option<Py<PyBytes>>,
    trailers: Vec<u8>,
    stream: Option<(Py<ClientPool>, u64)>,
}

impl ClientAnswer {
    pub fn whole(
        runtime: Py<Runtime>,
        head: Head,
        body: Py<PyBytes>,
        trailers: Vec<u8>,
    ) -> ClientAnswer {
        ClientAnswer { runtime, head, headers: None, body: Some(body), trailers, stream: None }
    }

    pub fn streamed(
        runtime: Py<Runtime>,
        head: Head,
        stream: (Py<ClientPool>, u64),
    ) -> ClientAnswer {
        ClientAnswer {
            runtime,
            head,
            headers: None,
            body: None,
            trailers: vec![],
            stream: Some(stream),
        }
    }
}

impl ClientAnswer {
    /// Where its body comes from.
    pub fn source(&self, py: Python<'_>) -> PyResult<(Py<ClientPool>, u64)> {
        let (pool, ticket) = self.stream.as_ref().ok_or_else(|| {
            PyRuntimeError::new_err("the body of this answer is not read as it comes")
        })?;
        Ok((pool.clone_ref(py), *ticket))
    }
}

/// Octets of a head as text: latin-1, which is what fields are made of.
fn text<'py>(py: Python<'py>, octets: &[u8]) -> Bound<'py, PyString> {
    match std::str::from_utf8(octets) {
        Ok(text) if text.is_ascii() => PyString::new(py, text),
        _ => PyString::new(py, &octets.iter().map(|&octet| octet as char).collect::<String>()),
    }
}

fn pair<'py>(py: Python<'py>, name: &[u8], value: &[u8]) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, [text(py, &name.to_ascii_lowercase()), text(py, value)])
}

fn pairs<'py>(py: Python<'py>, lines: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let all = PyList::empty(py);
    let mut added = Ok(());
    // The reader has been over them.
    let _ = each_field(lines, |name, value| {
        let pair = pair(py, name.as_bytes(), value);
        if let Err(error) = pair.and_then(|pair| all.append(pair)) {
            added = Err(error);
        }
    });
    added.map(|()| all)
}

#[pymethods]
impl ClientAnswer {
    #[getter]
    fn status(&self) -> u16 {
        self.head.status
    }

    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> Bound<'py, PyString> {
        text(py, self.head.reason.of(&self.head.octets))
    }

    /// Names in lower case, values as they came, in order.
    #[getter]
    fn headers<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        if let Some(known) = &slf.borrow().headers {
            return Ok(known.bind(py).clone());
        }
        let all = {
            let head = &slf.borrow().head;
            let pairs = head
                .fields
                .iter()
                .map(|field| pair(py, field.name.of(&head.octets), field.value.of(&head.octets)));
            PyList::new(py, pairs.collect::<PyResult<Vec<_>>>()?)?
        };
        slf.borrow_mut().headers = Some(all.clone().unbind());
        Ok(all)
    }

    #[getter]
    fn http_version(&self) -> &'static str {
        match self.head.minor {
            0 => "HTTP/1.0",
            1 => "HTTP/1.1",
            _ => "HTTP/2",
        }
    }

    /// The value of the first field of that name, which is in lower case; None: there is none.
    fn header<'py>(&self, py: Python<'py>, name: &str) -> Option<Bound<'py, PyString>> {
        let its = |part: wire::Span| part.of(&self.head.octets);
        let found = self.head.fields.iter();
        let mut found = found.filter(|field| its(field.name).eq_ignore_ascii_case(name.as_bytes()));
        found.next().map(|field| text(py, its(field.value)))
    }

    #[getter]
    fn body(&self, py: Python<'_>) -> PyResult<Py<PyBytes>> {
        let streamed = || PyRuntimeError::new_err("the body of this answer is read as it comes");
        self.body.as_ref().map(|body| body.clone_ref(py)).ok_or_else(streamed)
    }

    /// Fields behind the body, once it has been read.
    #[getter]
    fn trailers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        match &self.stream {
            Some((pool, ticket)) => {
                let lines = pool.borrow(py).trailers(*ticket).to_vec();
                pairs(py, &lines)
            }
            None => pairs(py, &self.trailers),
        }
    }

    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Reply>> {
        let py = slf.py();
        let (pool, ticket) = slf.borrow().source(py)?;
        ClientPool::next_piece(pool.bind(py), ticket)
    }

    /// Nothing more of it is read: a connection that has brought all of it is used again.
    fn aclose<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Reply>> {
        let py = slf.py();
        let stream = slf.borrow_mut().stream.take();
        if let Some((pool, ticket)) = stream {
            ClientPool::abandon(pool.bind(py), ticket);
        }
        let done = Bound::new(py, Reply::new(slf.borrow().runtime.clone_ref(py), None))?;
        Reply::complete(&done, Ok(py.None()), false)?;
        Ok(done)
    }

    fn __repr__(&self) -> String {
        format!("<ClientAnswer {}>", self.head.status)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.headers)?;
        match &self.stream {
            Some((pool, _)) => visit.call(pool),
            None => Ok(()),
        }
    }
}

impl Drop for ClientAnswer {
    fn drop(&mut self) {
        if let Some((pool, ticket)) = self.stream.take() {
            // None: the interpreter is ending, and the connection with it.
            Python::try_attach(|py| ClientPool::abandon(pool.bind(py), ticket));
        }
    }
}
