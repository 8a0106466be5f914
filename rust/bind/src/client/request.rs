//! One request: laid out from Python's arguments, and what becomes of its answer.
use crate::reply::Reply;
use poll::link::Http2;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};
use std::borrow::Cow;
use wire::ask::{self, Body, Given, Unfit};

/// Octets that wait to leave before who has more of them waits (asyncio's streams: 64 KiB).
pub const MOST_UNSENT: usize = 64 * 1024;

/// A body that comes in pieces.
pub struct Upload {
    pub chunked: bool,
    /// What came before there was a connection, unframed; None once there is one.
    pub early: Option<Vec<u8>>,
    /// Octets of it that are still to come, where they are known.
    pub left: Option<u64>,
    pub ended: bool,
    /// Who waits until there is room.
    pub room: Option<Py<Reply>>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a property of its own")]
pub struct Request {
    pub ticket: u64,
    pub place: usize,
    /// None once its answer's head has been given away, which would keep itself alive.
    pub reply: Option<Py<Reply>>,
    /// What leaves: the head, and as much of the body as there is.
    pub octets: Vec<u8>,
    /// Octets of the head in it.
    pub head: usize,
    pub sent: usize,
    /// Octets of an upload that have left are gone.
    pub begun: bool,
    pub idempotent: bool,
    /// No answer to it has a body.
    pub bodiless: bool,
    /// The connection may be used again.
    pub keep: bool,
    /// Its answer is given as it comes.
    pub streams: bool,
    pub repeated: bool,
    /// When it is to be answered, and its stream to be over.
    pub due: u64,
    pub deadline: u64,
    /// When it is to have a connection; only while it waits for one.
    pub patience: u64,
    pub upload: Option<Upload>,
}

impl Request {
    /// Whether there is nothing left to be sent, nor will be.
    pub fn is_sent(&self) -> bool {
        self.sent == self.octets.len() && self.upload.as_ref().is_none_or(|upload| upload.ended)
    }

    /// Whether it may be asked again after its connection was lost without a word (RFC 9110
    /// section 9.2.2): once, and where that does no harm.
    pub fn may_repeat(&self) -> bool {
        (self.idempotent || !self.begun) && self.is_whole() && !self.repeated
    }

    /// Whether it can be asked again at all: nothing of it came from a program piece by piece.
    pub fn is_whole(&self) -> bool {
        self.upload.is_none()
    }

    /// Adds a piece of the body; None ends it.
    pub fn feed(&mut self, piece: Option<&[u8]>) -> Result<(), &'static str> {
        match piece {
            Some(piece) => self.add(piece),
            None => self.end(),
        }
    }

    /// [`Request::feed`] for a stream of HTTP/2; octets that wait.
    pub fn feed_stream(
        &mut self,
        piece: Option<&[u8]>,
        http2: &mut Http2,
    ) -> Result<usize, &'static str> {
        // Kept unframed for a moment: the same rules about its length.
        if let Some(upload) = self.upload.as_mut() {
            upload.early = Some(vec![]);
        }
        self.feed(piece)?;
        let early = self.upload.as_mut().and_then(|upload| upload.early.take());
        Ok(http2.send(self.ticket, &early.unwrap_or_default(), piece.is_none()))
    }

    /// Whether somebody waits for it.
    pub fn is_awaited(&self, py: Python<'_>) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.borrow(py).is_pending())
    }

    /// Who waited for what has now left; octets of an upload are not kept.
    pub fn room(&mut self) -> Option<Py<Reply>> {
        let upload = self.upload.as_mut()?;
        if self.sent < self.octets.len() || upload.early.is_some() {
            return None;
        }
        (self.octets, self.sent) = (vec![], 0);
        upload.room.take()
    }

    fn add(&mut self, piece: &[u8]) -> Result<(), &'static str> {
        let Some(upload) = self.upload.as_mut().filter(|upload| !upload.ended) else {
            return Err("the body has ended");
        };
        if let Some(left) = upload.left.as_mut() {
            let rest = left.checked_sub(piece.len() as u64);
            *left = rest.ok_or("the body is longer than its content-length")?;
        }
        if let Some(early) = upload.early.as_mut() {
            early.extend_from_slice(piece);
        } else if upload.chunked {
            wire::reply::chunk(&mut self.octets, piece);
        } else {
            self.octets.extend_from_slice(piece);
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), &'static str> {
        let Some(upload) = self.upload.as_mut() else { return Ok(()) };
        if upload.left.is_some_and(|left| left > 0) {
            return Err("the body is shorter than its content-length");
        }
        let begun = upload.early.is_none();
        if !std::mem::replace(&mut upload.ended, true) && upload.chunked && begun {
            self.octets.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(())
    }

    /// It has a connection of HTTP/1.1: what came of its body before is framed as that has it.
    pub fn frame(&mut self) {
        let Some(upload) = self.upload.as_mut() else { return };
        let Some(early) = upload.early.take() else { return };
        if !upload.chunked {
            return self.octets.extend_from_slice(&early);
        }
        wire::reply::chunk(&mut self.octets, &early);
        if upload.ended {
            self.octets.extend_from_slice(b"0\r\n\r\n");
        }
    }

    /// Octets that wait to leave, or for a connection.
    pub fn unsent(&self) -> usize {
        let early = self.upload.as_ref().and_then(|upload| upload.early.as_ref());
        self.octets.len() - self.sent + early.map_or(0, Vec::len)
    }
}

/// Header fields as a sequence that can be read without running Python.
pub enum Fields<'py> {
    List(Bound<'py, PyList>),
    Tuple(Bound<'py, PyTuple>),
}

impl<'py> Fields<'py> {
    pub fn read(headers: Bound<'py, PyAny>) -> PyResult<Fields<'py>> {
        let headers = match headers.cast_into::<PyTuple>() {
            Ok(tuple) => return Ok(Fields::Tuple(tuple)),
            Err(other) => other.into_inner(),
        };
        let headers = match headers.cast_into::<PyList>() {
            Ok(list) => return Ok(Fields::List(list)),
            Err(other) => other.into_inner(),
        };
        let all = PyList::empty(headers.py());
        for item in headers.try_iter()? {
            all.append(item?)?;
        }
        Ok(Fields::List(all))
    }

    fn each(&self, mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Wrong>) -> Result<(), Wrong> {
        let mut pair = |item: Bound<'py, PyAny>| {
            let (name, value) = match item.cast::<PyTuple>() {
                Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, pair.get_item(1)?),
                _ => return Err(Wrong::Python(PyTypeError::new_err("headers: pairs of str"))),
            };
            each(&octets(&name)?, &octets(&value)?)
        };
        match self {
            Fields::List(list) => list.iter().try_for_each(&mut pair),
            Fields::Tuple(tuple) => tuple.iter().try_for_each(&mut pair),
        }
    }
}

/// Why there is no request.
pub enum Wrong {
    Python(PyErr),
    Unfit(String),
}

impl From<PyErr> for Wrong {
    fn from(error: PyErr) -> Wrong {
        Wrong::Python(error)
    }
}

impl From<Unfit> for Wrong {
    fn from(unfit: Unfit) -> Wrong {
        Wrong::Unfit(match unfit {
            Unfit::Method => "the method is no token of HTTP".into(),
            Unfit::Target => "the target has an octet that no URI has".into(),
            Unfit::Field(name) => {
                format!("{name:?} is no header field, or has a value that is none")
            }
            Unfit::Framing => "the fields frame the body twice, or as nobody could read it".into(),
        })
    }
}

/// Text of a field, as latin-1.
fn octets<'a>(text: &'a Bound<'_, PyAny>) -> Result<Cow<'a, [u8]>, Wrong> {
    if let Ok(octets) = text.cast::<PyBytes>() {
        return Ok(Cow::Borrowed(octets.as_bytes()));
    }
    let text = text.cast::<PyString>().map_err(PyErr::from)?.to_str()?;
    if text.is_ascii() {
        return Ok(Cow::Borrowed(text.as_bytes()));
    }
    let latin: Option<Vec<u8>> = text.chars().map(|char| u8::try_from(char).ok()).collect();
    latin.map(Cow::Owned).ok_or_else(|| Wrong::Unfit(format!("{text:?} is not latin-1")))
}

/// What Python says of a request.
pub struct Asked<'a, 'py> {
    pub method: &'a str,
    pub target: &'a str,
    pub fields: Fields<'py>,
    pub body: Option<&'a [u8]>,
    /// The body comes in pieces.
    pub pieces: bool,
}

/// A request's octets, and what its fields say.
pub struct Laid {
    pub octets: Vec<u8>,
    pub head: usize,
    pub close: bool,
    pub upload: Option<Upload>,
}

impl Asked<'_, '_> {
    /// As HTTP/1.1 has it.
    pub fn lay(&self, authority: &[u8], prefix: &[u8], lines: &[u8]) -> Result<Laid, Wrong> {
        let body = self.body.unwrap_or_default();
        let mut out = Vec::with_capacity(256 + body.len());
        let mut given = Given::default();
        ask::begin(&mut out, self.method.as_bytes(), prefix, self.target.as_bytes())?;
        self.fields.each(|name, value| Ok(given.field(&mut out, name, value)?))?;
        out.extend_from_slice(lines);
        let size = match self.body {
            _ if self.pieces => Body::Pieces,
            Some(body) => Body::Known(body.len() as u64),
            None => Body::empty(self.method.as_bytes()),
        };
        if !self.pieces && given.length.is_some_and(|length| length != body.len() as u64) {
            return Err(Wrong::Unfit("the content-length is not that of the body".into()));
        }
        given.finish(&mut out, authority, size);
        let head = out.len();
        if self.pieces || given.chunked {
            let (chunked, left, early) = (given.chunked, given.length, Some(body.to_vec()));
            let upload = Upload { chunked, early, left, ended: !self.pieces, room: None };
            return Ok(Laid { octets: out, head, close: given.close, upload: Some(upload) });
        }
        out.extend_from_slice(body);
        Ok(Laid { octets: out, head, close: given.close, upload: None })
    }
}
