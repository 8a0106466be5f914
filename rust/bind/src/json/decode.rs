//! Objects of the JSON that a request brings, where its shape is known: made of the octets as they
//! came, without a bytes object. Whatever is not as expected is another decoder's, whole, and so
//! are its errors.
//!
//! Expected are the members of a Struct in any order, each once, of those that have no default all.
//! In the order of the class, as most write them, they cost a comparison of constant size each.
use super::{Patience, slot_of};
use crate::calls::{self, Blank, Object};
use pyo3::exceptions::PyTypeError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString, PyTuple, PyType};
use wire::json::{Cursor, Key, Text};

/// Items that are held without asking for more memory.
const ITEMS: usize = 32;

/// `decoder(octets) -> value`, and for the engine without a bytes object.
#[pyclass(module = "megahertz._core", frozen)]
pub struct JsonDecoder {
    other: Py<PyAny>,
    shape: Shape,
    patience: Patience,
}

/// What a value has to be.
enum Shape {
    Int(Bounds<i64>),
    Float(Bounds<f64>),
    /// Of so many characters.
    Str(Bounds<usize>),
    Bool,
    /// That, or null.
    Maybe(Box<Shape>),
    List(Box<Shape>, Bounds<usize>),
    /// Any names, and that of each.
    Dict(Box<Shape>),
    Struct(Struct),
}

/// From the one to the other, both included.
struct Bounds<T> {
    low: T,
    high: T,
}

impl<T: PartialOrd + for<'a, 'py> FromPyObject<'a, 'py, Error = PyErr>> Bounds<T> {
    /// Of two items, from that one on.
    fn of(given: &Bound<'_, PyTuple>, index: usize) -> PyResult<Bounds<T>> {
        let (low, high) = (given.get_item(index)?, given.get_item(index + 1)?);
        Ok(Bounds { low: low.extract()?, high: high.extract()? })
    }

    fn hold(&self, value: &T) -> bool {
        *value >= self.low && *value <= self.high
    }
}

struct Struct {
    blank: Blank,
    members: Vec<Member>,
    /// Instances refer to text and numbers alone.
    flat: bool,
}

struct Member {
    name: Box<[u8]>,
    key: Key,
    offset: usize,
    shape: Shape,
    default: Option<Py<PyAny>>,
}

#[pymethods]
impl JsonDecoder {
    #[new]
    fn new(other: Py<PyAny>, shape: &Object<'_>) -> PyResult<JsonDecoder> {
        Ok(JsonDecoder { other, shape: Shape::of(shape)?, patience: Patience::default() })
    }

    fn __call__<'py>(&self, octets: &Object<'py>) -> PyResult<Object<'py>> {
        let bytes = octets.cast::<PyBytes>().ok();
        match bytes.and_then(|bytes| self.tried(octets.py(), bytes.as_bytes())) {
            Some(value) => Ok(value),
            None => calls::call(self.other.bind(octets.py()), [octets]),
        }
    }

    /// As the engine makes it, in a tuple; None where that is left to the other one.
    fn plain<'py>(&self, py: Python<'py>, octets: &[u8]) -> Option<(Object<'py>,)> {
        self.shape.whole(py, octets).map(|value| (value,))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.other)?;
        self.shape.traverse(&visit)
    }
}

impl JsonDecoder {
    /// The value of a text.
    pub fn decode<'py>(&self, py: Python<'py>, octets: &[u8]) -> PyResult<Object<'py>> {
        match self.tried(py, octets) {
            Some(value) => Ok(value),
            None => calls::call(self.other.bind(py), [PyBytes::new(py, octets).as_any()]),
        }
    }

    fn tried<'py>(&self, py: Python<'py>, octets: &[u8]) -> Option<Object<'py>> {
        self.patience.look(|| self.shape.whole(py, octets))
    }
}

impl Shape {
    /// Of what `JsonDecoder` takes.
    fn of(given: &Object<'_>) -> PyResult<Shape> {
        let given = given.cast::<PyTuple>()?;
        let item = |index| given.get_item(index);
        let inner = || Ok::<_, PyErr>(Box::new(Shape::of(&item(1)?)?));
        let kind = item(0)?;
        if let Ok(kind) = kind.cast::<PyType>() {
            return Ok(Shape::Struct(Struct::of(kind, &item(1)?)?));
        }
        Ok(match &*kind.extract::<String>()? {
            "int" => Shape::Int(Bounds::of(given, 1)?),
            "float" => Shape::Float(Bounds::of(given, 1)?),
            "str" => Shape::Str(Bounds::of(given, 1)?),
            "bool" => Shape::Bool,
            "maybe" => Shape::Maybe(inner()?),
            "list" => Shape::List(inner()?, Bounds::of(given, 2)?),
            "dict" => Shape::Dict(inner()?),
            other => return Err(PyTypeError::new_err(format!("no shape is called {other:?}"))),
        })
    }

    /// The value of a whole text.
    fn whole<'py>(&self, py: Python<'py>, octets: &[u8]) -> Option<Object<'py>> {
        let mut reader = Reader { py, text: Cursor::new(octets), items: vec![] };
        let value = reader.value(self)?;
        reader.text.space();
        reader.text.left().is_empty().then_some(value)
    }

    /// Whether values are text and numbers.
    fn is_flat(&self) -> bool {
        match self {
            Shape::Int(_) | Shape::Float(_) | Shape::Str(_) | Shape::Bool => true,
            Shape::Maybe(inner) => inner.is_flat(),
            Shape::List(..) | Shape::Dict(_) | Shape::Struct(_) => false,
        }
    }

    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Shape::Int(_) | Shape::Float(_) | Shape::Str(_) | Shape::Bool => Ok(()),
            Shape::Maybe(inner) | Shape::List(inner, _) | Shape::Dict(inner) => {
                inner.traverse(visit)
            }
            Shape::Struct(shape) => {
                visit.call(shape.blank.kind())?;
                shape.members.iter().try_for_each(|member| {
                    visit.call(&member.default)?;
                    member.shape.traverse(visit)
                })
            }
        }
    }
}

impl Struct {
    fn of(kind: &Bound<'_, PyType>, given: &Object<'_>) -> PyResult<Struct> {
        let mut members = vec![];
        for member in given.try_iter()? {
            let (name, attribute, shape, default): (String, Object<'_>, Object<'_>, Object<'_>) =
                member?.extract()?;
            let missing = || PyTypeError::new_err(format!("{kind} has no slot {attribute}"));
            members.push(Member {
                key: Key::member(&name, members.is_empty()),
                name: name.into_bytes().into(),
                offset: slot_of(kind, &attribute)?.ok_or_else(missing)?,
                shape: Shape::of(&shape)?,
                default: (!default.is(kind.py().Ellipsis())).then(|| default.unbind()),
            });
        }
        let flat = members.iter().all(|member| member.shape.is_flat());
        let blank = Blank::of(kind);
        let blank =
            blank.ok_or_else(|| PyTypeError::new_err(format!("{kind} has no instances")))?;
        Ok(Struct { blank, members, flat })
    }
}

/// What reads one text.
struct Reader<'a, 'py> {
    py: Python<'py>,
    text: Cursor<'a>,
    /// Of all lists that are being read, the outer ones' first.
    items: Vec<Object<'py>>,
}

impl<'py> Reader<'_, 'py> {
    #[expect(clippy::inline_always, reason = "a call a number is a fifth of what it costs")]
    #[inline(always)]
    fn value(&mut self, shape: &Shape) -> Option<Object<'py>> {
        self.text.space();
        match shape {
            Shape::Int(bounds) => {
                let value = self.text.integer().filter(|value| bounds.hold(value))?;
                let Ok(value) = value.into_pyobject(self.py);
                Some(value.into_any())
            }
            Shape::Float(bounds) => {
                let value = self.text.float().filter(|value| bounds.hold(value))?;
                Some(PyFloat::new(self.py, value).into_any())
            }
            Shape::Str(bounds) => {
                let text = self.text.string()?;
                bounds.hold(&text.characters()).then(|| self.string(&text)).flatten()
            }
            _ => self.other(shape),
        }
    }

    fn string(&self, text: &Text<'_>) -> Option<Object<'py>> {
        match text {
            Text::Ascii(octets) => calls::ascii(self.py, octets),
            Text::Any(text) => Some(PyString::new(self.py, text).into_any()),
        }
    }

    #[inline(never)]
    fn other(&mut self, shape: &Shape) -> Option<Object<'py>> {
        match shape {
            Shape::Bool => {
                let truth = PyBool::new(self.py, self.text.boolean()?);
                Some(truth.to_owned().into_any())
            }
            Shape::Maybe(_) if self.text.null().is_some() => {
                Some(self.py.None().into_bound(self.py))
            }
            Shape::Maybe(inner) => self.value(inner),
            Shape::List(item, bounds) => self.list(item, bounds),
            Shape::Dict(value) => self.dict(value),
            Shape::Struct(shape) => self.structure(shape),
            Shape::Int(_) | Shape::Float(_) | Shape::Str(_) => self.value(shape),
        }
    }

    fn list(&mut self, shape: &Shape, bounds: &Bounds<usize>) -> Option<Object<'py>> {
        let begin = self.items.len();
        if self.items.capacity() == 0 {
            self.items.reserve(ITEMS);
        }
        let mut before = b'[';
        while self.text.goes_on(before, b']')? {
            before = b',';
            let item = self.value(shape)?;
            self.items.push(item);
        }
        let items = self.items.drain(begin..);
        bounds.hold(&items.len()).then(|| PyList::new(self.py, items).ok())?.map(Bound::into_any)
    }

    fn dict(&mut self, shape: &Shape) -> Option<Object<'py>> {
        let dict = PyDict::new(self.py);
        let mut before = b'{';
        while self.text.goes_on(before, b'}')? {
            before = b',';
            let name = self.text.name()?;
            let name = self.string(&name)?;
            dict.set_item(name, self.value(shape)?).ok()?;
        }
        Some(dict.into_any())
    }

    fn structure(&mut self, shape: &Struct) -> Option<Object<'py>> {
        let made = shape.blank.make(self.py)?;
        let mut count = 0;
        for member in &shape.members {
            if !self.text.take_key(&member.key) {
                break;
            }
            calls::fill(&made, member.offset, self.value(&member.shape)?);
            count += 1;
        }
        let ended = count == shape.members.len() && count > 0 && self.text.take(b'}');
        if !ended {
            self.members(shape, &made, count)?;
        }
        if shape.flat {
            shape.blank.untrack(&made);
        }
        Some(made)
    }

    /// What follows the first members, in any order and form.
    #[inline(never)]
    fn members(&mut self, shape: &Struct, made: &Object<'py>, mut next: usize) -> Option<()> {
        let mut before = if next == 0 { b'{' } else { b',' };
        while self.text.goes_on(before, b'}')? {
            before = b',';
            let name = self.text.name()?;
            let count = shape.members.len();
            let mut likely = shape.members.iter().enumerate().cycle().skip(next).take(count);
            let (index, member) = likely.find(|(_, member)| *member.name == *name.octets())?;
            let value = self.value(&member.shape)?;
            if calls::slot(made, member.offset).is_some() {
                return None;
            }
            calls::fill(made, member.offset, value);
            next = index + 1;
        }
        for member in &shape.members {
            if calls::slot(made, member.offset).is_none() {
                let default = member.default.as_ref()?;
                calls::fill(made, member.offset, default.bind(self.py).clone());
            }
        }
        Some(())
    }
}
