//! JSON of what handlers give. What is made of plain types alone is written here, at once where the
//! answer is put together; the rest is another encoder's, whole, and so are its errors.
//!
//! Plain are None, bool, int of 64 bits, float, str, list, tuple, dict of str, and msgspec's Structs
//! without tag, `array_like` and `omit_defaults`; no subclasses.
use super::slot_of;
use crate::calls::{self, Object};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, TryLockError};
use wire::json::{self, Lead};

/// Nested deeper, it is the other encoder's, who says what it thinks of circles.
const DEPTH: u32 = 64;
/// Types that are remembered; more than that are made by somebody all the time.
const TYPES: usize = 256;
/// Room that is kept for the next answer.
const ROOM: usize = 64 * 1024;

/// `encoder(value) -> bytes`, and for the engine octets without a bytes object.
#[pyclass(module = "megahertz._core", frozen)]
pub struct JsonEncoder {
    other: Py<PyAny>,
    pen: Mutex<Pen>,
}

/// What an encoder has learnt, and the room it writes in.
#[derive(Default)]
struct Pen {
    shapes: HashMap<usize, Shape, BuildHasherDefault<Address>>,
    room: Vec<u8>,
}

/// How a Struct is written: before each value so many octets, and the value from its slot.
struct Shape {
    /// Alive as long as it is known by its address.
    _kind: Py<PyType>,
    /// None: it is not plain.
    fields: Option<Vec<(Lead, usize)>>,
}

/// Why a value was not written.
enum Stop {
    /// It is not plain.
    Foreign,
    /// A type that nothing is known of yet.
    Unknown(Py<PyType>),
}

/// Makes bytes of what handlers give.
pub enum Encode {
    Json(Py<JsonEncoder>),
    /// Anything that is called with it.
    Other(Py<PyAny>),
}

impl Encode {
    pub fn of(encode: &Object<'_>) -> Encode {
        match encode.cast_exact::<JsonEncoder>() {
            Ok(ours) => Encode::Json(ours.clone().unbind()),
            Err(_) => Encode::Other(encode.clone().unbind()),
        }
    }

    pub fn object(&self) -> &Py<PyAny> {
        match self {
            Encode::Json(ours) => ours.as_any(),
            Encode::Other(object) => object,
        }
    }
}

#[pymethods]
impl JsonEncoder {
    #[new]
    fn new(other: Py<PyAny>) -> JsonEncoder {
        JsonEncoder { other, pen: Mutex::default() }
    }

    /// By the other one, whatever it is.
    fn __call__<'py>(&self, value: &Object<'py>) -> PyResult<Object<'py>> {
        calls::call(self.other.bind(value.py()), [value])
    }

    /// As the engine writes it; None where that is left to the other one.
    fn plain<'py>(&self, value: &Object<'py>) -> Option<Bound<'py, PyBytes>> {
        let written = self.written(value)?;
        let bytes = PyBytes::new(value.py(), &written);
        self.give_back(written);
        Some(bytes)
    }

    fn __traverse__(&self, visit: pyo3::gc::PyVisit<'_>) -> Result<(), pyo3::gc::PyTraverseError> {
        visit.call(&self.other)
    }
}

impl JsonEncoder {
    /// Who writes what is not plain.
    pub fn other(&self) -> &Py<PyAny> {
        &self.other
    }

    /// The value's JSON; None where it is not plain. The room is to be given back.
    pub fn written(&self, value: &Object<'_>) -> Option<Vec<u8>> {
        let mut pen = match self.pen.try_lock() {
            Ok(pen) => pen,
            Err(TryLockError::Poisoned(broken)) => broken.into_inner(),
            // A metaclass that encodes while it is asked about its class.
            Err(TryLockError::WouldBlock) => return None,
        };
        let mut out = std::mem::take(&mut pen.room);
        loop {
            out.clear();
            match pen.write(value, &mut out, DEPTH) {
                Ok(()) => return Some(out),
                Err(Stop::Foreign) => {
                    pen.room = out;
                    return None;
                }
                Err(Stop::Unknown(kind)) => pen.learn(kind.into_bound(value.py())),
            }
        }
    }

    /// The next one is written in the room of this one.
    pub fn give_back(&self, room: Vec<u8>) {
        if let (true, Ok(mut pen)) = (room.capacity() <= ROOM, self.pen.try_lock()) {
            pen.room = room;
        }
    }
}

impl Pen {
    /// What values are mostly, without a call; members of an object are this.
    #[expect(clippy::inline_always, reason = "a call a number is a fifth of what it costs")]
    #[inline(always)]
    fn write(&self, value: &Object<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Stop> {
        if let Ok(text) = value.cast_exact::<PyString>() {
            // A lone surrogate has no UTF-8.
            json::text(out, text.to_str().map_err(|_| Stop::Foreign)?);
        } else if value.is_exact_instance_of::<PyInt>() {
            json::integer(out, value.extract().map_err(|_| Stop::Foreign)?);
        } else if let Ok(number) = value.cast_exact::<PyFloat>() {
            json::float(out, number.value());
        } else {
            return self.write_other(value, out, depth);
        }
        Ok(())
    }

    #[inline(never)]
    fn write_other(&self, value: &Object<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Stop> {
        if value.is_none() {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        if let Ok(truth) = value.cast_exact::<PyBool>() {
            out.extend_from_slice(if truth.is_true() { b"true" } else { b"false" });
            return Ok(());
        }
        let depth = depth.checked_sub(1).ok_or(Stop::Foreign)?;
        if let Ok(dict) = value.cast_exact::<PyDict>() {
            self.write_dict(dict, out, depth)
        } else if let Ok(list) = value.cast_exact::<PyList>() {
            self.write_items(list.iter(), out, depth)
        } else if let Ok(tuple) = value.cast_exact::<PyTuple>() {
            self.write_items(tuple.iter(), out, depth)
        } else {
            self.write_struct(value, out, depth)
        }
    }

    fn write_items<'py>(
        &self,
        items: impl Iterator<Item = Object<'py>>,
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Stop> {
        let mut before = b'[';
        for item in items {
            out.push(before);
            self.write(&item, out, depth)?;
            before = b',';
        }
        out.extend_from_slice(if before == b'[' { b"[]" } else { b"]" });
        Ok(())
    }

    fn write_dict(
        &self,
        dict: &Bound<'_, PyDict>,
        out: &mut Vec<u8>,
        depth: u32,
    ) -> Result<(), Stop> {
        let mut before = b'{';
        for (key, value) in dict.iter() {
            let key = key.cast_exact::<PyString>().map_err(|_| Stop::Foreign)?;
            out.push(before);
            json::text(out, key.to_str().map_err(|_| Stop::Foreign)?);
            out.push(b':');
            self.write(&value, out, depth)?;
            before = b',';
        }
        out.extend_from_slice(if before == b'{' { b"{}" } else { b"}" });
        Ok(())
    }

    fn write_struct(&self, value: &Object<'_>, out: &mut Vec<u8>, depth: u32) -> Result<(), Stop> {
        let kind = value.get_type();
        let Some(shape) = self.shapes.get(&address(&kind)) else {
            // Structs have a metaclass: what has none need not be looked at again.
            let plain = kind.get_type().is(value.py().get_type::<PyType>());
            return Err(if plain { Stop::Foreign } else { Stop::Unknown(kind.unbind()) });
        };
        let fields = shape.fields.as_ref().ok_or(Stop::Foreign)?;
        for (before, offset) in fields {
            before.write(out);
            let field = calls::slot(value, *offset).ok_or(Stop::Foreign)?;
            self.write(&field, out, depth)?;
        }
        out.extend_from_slice(if fields.is_empty() { b"{}" } else { b"}" });
        Ok(())
    }

    fn learn(&mut self, kind: Bound<'_, PyType>) {
        if self.shapes.len() >= TYPES {
            self.shapes.clear();
        }
        let fields = fields(&kind).unwrap_or_default();
        let address = address(&kind);
        self.shapes.insert(address, Shape { _kind: kind.unbind(), fields });
    }
}

/// What is written before each field, and the field's slot; None where it is no plain Struct.
fn fields(kind: &Bound<'_, PyType>) -> PyResult<Option<Vec<(Lead, usize)>>> {
    let py = kind.py();
    let Some(config) = kind.getattr_opt(intern!(py, "__struct_config__"))? else {
        return Ok(None);
    };
    let is_plain = config.getattr(intern!(py, "tag"))?.is_none()
        && !config.getattr(intern!(py, "array_like"))?.is_truthy()?
        && !config.getattr(intern!(py, "omit_defaults"))?.is_truthy()?;
    if !is_plain {
        return Ok(None);
    }
    let names = kind.getattr(intern!(py, "__struct_fields__"))?.cast_into::<PyTuple>()?;
    let keys = kind.getattr(intern!(py, "__struct_encode_fields__"))?.cast_into::<PyTuple>()?;
    let mut fields = vec![];
    for (name, key) in names.iter().zip(keys.iter()) {
        let Some(offset) = slot_of(kind, &name)? else { return Ok(None) };
        let before = Lead::member(key.cast::<PyString>()?.to_str()?, fields.is_empty());
        fields.push((before, offset));
    }
    Ok(Some(fields))
}

fn address(kind: &Bound<'_, PyType>) -> usize {
    kind.as_ptr() as usize
}

/// Types lie 16 octets apart: their addresses are all the hash they need.
#[derive(Default)]
struct Address(u64);

impl Hasher for Address {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only addresses are hashed");
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 4).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
