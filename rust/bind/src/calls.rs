//! Calls into the C API that PyO3 has no safe form of, and nearly all the `unsafe` of the crate.
//!
//! The seven symbols below are exported by every CPython from 3.9 on with an unchanged signature;
//! they are declared here because the limited API of 3.11 does not list them (feature `abi3`).
use pyo3::ffi::{self, PyObject};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};
use std::os::raw::c_int;

unsafe extern "C" {
    fn PyContext_CopyCurrent() -> *mut PyObject;
    fn PyContext_Copy(context: *mut PyObject) -> *mut PyObject;
    fn PyContext_Enter(context: *mut PyObject) -> c_int;
    fn PyContext_Exit(context: *mut PyObject) -> c_int;
    fn PyContextVar_Set(variable: *mut PyObject, value: *mut PyObject) -> *mut PyObject;
    fn PyObject_Vectorcall(
        callable: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        names: *mut PyObject,
    ) -> *mut PyObject;
    fn PyObject_VectorcallMethod(
        name: *mut PyObject,
        arguments: *const *mut PyObject,
        count: usize,
        names: *mut PyObject,
    ) -> *mut PyObject;
}

pub type Object<'py> = Bound<'py, PyAny>;

/// `contextvars.copy_context()`.
pub fn copy_context(py: Python<'_>) -> PyResult<Object<'_>> {
    // SAFETY: we are attached; it gives a new reference, or NULL with an error set.
    unsafe { Bound::from_owned_ptr_or_err(py, PyContext_CopyCurrent()) }
}

/// `context.copy()`: its variables are shared until one of both sets one.
pub fn copy_of<'py>(context: &Object<'py>) -> PyResult<Object<'py>> {
    // SAFETY: we are attached; it gives a new reference, or NULL with an error set (no context).
    unsafe { Bound::from_owned_ptr_or_err(context.py(), PyContext_Copy(context.as_ptr())) }
}

/// Runs `f` inside `context`, and leaves it again even when `f` panics.
pub fn in_context<R>(context: &Object<'_>, f: impl FnOnce() -> R) -> PyResult<R> {
    struct Guard<'a, 'py>(&'a Object<'py>);
    impl Drop for Guard<'_, '_> {
        fn drop(&mut self) {
            // SAFETY: entered below by this thread, and guards nest as the calls do.
            unsafe { PyContext_Exit(self.0.as_ptr()) };
        }
    }
    // SAFETY: `context` is a contextvars.Context (only `copy_context` makes what comes here).
    if unsafe { PyContext_Enter(context.as_ptr()) } < 0 {
        return Err(PyErr::fetch(context.py()));
    }
    let _guard = Guard(context);
    Ok(f())
}

/// `variable.set(value)`, for the context that is entered.
pub fn set_variable(variable: &Object<'_>, value: &Object<'_>) -> PyResult<()> {
    // SAFETY: we are attached, both are alive; it gives a new reference to a token, or NULL with an
    // error set (no context variable), and keeps a reference to the value of its own.
    let token = unsafe {
        let token = PyContextVar_Set(variable.as_ptr(), value.as_ptr());
        Bound::from_owned_ptr_or_err(variable.py(), token)
    };
    token.map(drop)
}

/// `callable(*arguments)` without building a tuple.
pub fn call<'py, const N: usize>(
    callable: &Object<'py>,
    arguments: [&Object<'py>; N],
) -> PyResult<Object<'py>> {
    let pointers = arguments.map(Bound::as_ptr);
    // SAFETY: N borrowed references that outlive the call; the result is new, or NULL and an error.
    unsafe {
        let result =
            PyObject_Vectorcall(callable.as_ptr(), pointers.as_ptr(), N, std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(callable.py(), result)
    }
}

/// `arguments[0].name(*arguments[1:])`, the last `names.len()` of them by keyword.
pub fn method<'py, const N: usize>(
    name: &Bound<'py, PyString>,
    arguments: [&Object<'py>; N],
    names: Option<&Bound<'py, PyTuple>>,
) -> PyResult<Object<'py>> {
    let pointers = arguments.map(Bound::as_ptr);
    let (count, names) =
        names.map_or((0, std::ptr::null_mut()), |names| (names.len(), names.as_ptr()));
    // SAFETY: as in `call`; `names` is a tuple of strings for the last `count` arguments.
    unsafe {
        let result = PyObject_VectorcallMethod(name.as_ptr(), pointers.as_ptr(), N - count, names);
        Bound::from_owned_ptr_or_err(name.py(), result)
    }
}

/// What one step of a coroutine came to.
pub enum Step<'py> {
    Yielded(Object<'py>),
    Returned(Object<'py>),
    Raised(PyErr),
}

/// `coroutine.send(None)`, without a StopIteration.
pub fn send<'py>(coroutine: &Object<'py>) -> Step<'py> {
    let py = coroutine.py();
    let mut out = std::ptr::null_mut();
    // SAFETY: takes any object; `out` is a new reference unless it failed, when an error is set.
    unsafe {
        match ffi::PyIter_Send(coroutine.as_ptr(), ffi::Py_None(), &raw mut out) {
            ffi::PySendResult::PYGEN_RETURN => Step::Returned(Bound::from_owned_ptr(py, out)),
            ffi::PySendResult::PYGEN_NEXT => Step::Yielded(Bound::from_owned_ptr(py, out)),
            ffi::PySendResult::PYGEN_ERROR => Step::Raised(PyErr::fetch(py)),
        }
    }
}

/// `coroutine.throw(error)`, in the same shape.
pub fn throw<'py>(coroutine: &Object<'py>, error: &PyErr) -> Step<'py> {
    let py = coroutine.py();
    match method(pyo3::intern!(py, "throw"), [coroutine, error.value(py).as_any()], None) {
        Ok(value) => Step::Yielded(value),
        Err(error) if error.is_instance_of::<pyo3::exceptions::PyStopIteration>(py) => {
            match error.value(py).getattr("value") {
                Ok(value) => Step::Returned(value),
                Err(error) => Step::Raised(error),
            }
        }
        Err(error) => Step::Raised(error),
    }
}

/// Whether somebody refers to it weakly; `offset` is its type's `__weakrefoffset__`, above 0.
pub fn is_weakly_known<T>(object: &Bound<'_, T>, offset: usize) -> bool {
    // SAFETY: a live object of the type whose offset it is: there lies the head of its list of weak
    // references, NULL while it is empty (PyTypeObject.tp_weaklistoffset).
    unsafe { !object.as_ptr().byte_add(offset).cast::<*mut PyObject>().read().is_null() }
}

/// Where instances of `kind` keep what a descriptor of `__slots__` names; None of any other one.
#[cfg(not(feature = "abi3"))]
pub fn slot_offset(descriptor: &Object<'_>, kind: &Bound<'_, PyType>) -> Option<usize> {
    let pointer = descriptor.as_ptr();
    // SAFETY: a live object, which is a PyMemberDescrObject where its type says so, and then refers
    // to its class and to a definition that lives as long. Instances of `kind` have the class's
    // slots where the class has them, if it is one of its bases.
    unsafe {
        if ffi::Py_TYPE(pointer) != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        let descriptor = pointer.cast::<ffi::PyMemberDescrObject>();
        let member = &*(*descriptor).d_member;
        let owner = (*descriptor).d_common.d_type;
        let ours = ffi::PyType_IsSubtype(kind.as_type_ptr(), owner) != 0;
        let slot = ours && member.type_code == ffi::Py_T_OBJECT_EX;
        slot.then(|| usize::try_from(member.offset).ok()).flatten()
    }
}

/// The limited API does not say.
#[cfg(feature = "abi3")]
pub fn slot_offset(_: &Object<'_>, _: &Bound<'_, PyType>) -> Option<usize> {
    None
}

/// What an object has in a slot, whose offset `slot_offset` told of its type; None while it is unset.
pub fn slot<'py>(object: &Object<'py>, offset: usize) -> Option<Object<'py>> {
    // SAFETY: a live object of that type: there lies a reference of its own, or NULL.
    unsafe {
        let held = object.as_ptr().byte_add(offset).cast::<*mut PyObject>().read();
        Bound::from_borrowed_ptr_or_opt(object.py(), held)
    }
}

/// A type whose instances are made without a call of their `__init__`, and filled slot by slot.
pub struct Blank {
    kind: Py<PyType>,
    allocate: ffi::allocfunc,
    collected: bool,
}

impl Blank {
    /// None of a type that cannot be instantiated.
    pub fn of(kind: &Bound<'_, PyType>) -> Option<Blank> {
        let pointer = kind.as_type_ptr();
        // SAFETY: a live type; what its slot `tp_alloc` has is NULL or a function of that type.
        let (allocate, flags) = unsafe {
            let slot = ffi::PyType_GetSlot(pointer, ffi::Py_tp_alloc);
            let allocate: Option<ffi::allocfunc> = std::mem::transmute(slot);
            (allocate, ffi::PyType_GetFlags(pointer))
        };
        let collected = flags & ffi::Py_TPFLAGS_HAVE_GC != 0;
        Some(Blank { kind: kind.clone().unbind(), allocate: allocate?, collected })
    }

    pub fn kind(&self) -> &Py<PyType> {
        &self.kind
    }

    /// An instance all of whose slots are unset; None without memory.
    pub fn make<'py>(&self, py: Python<'py>) -> Option<Object<'py>> {
        // SAFETY: its own type's, of items of no size; a new reference, or NULL with an error set,
        // which is taken.
        unsafe {
            let made = (self.allocate)(self.kind.bind(py).as_type_ptr(), 0);
            Bound::from_owned_ptr_or_err(py, made).ok()
        }
    }

    /// The collector need not look at an instance that refers to nothing but text and numbers.
    pub fn untrack(&self, made: &Object<'_>) {
        if self.collected {
            // SAFETY: a live object of a type that the collector knows, as was asked.
            unsafe { ffi::PyObject_GC_UnTrack(made.as_ptr().cast()) };
        }
    }
}

/// Sets a slot that is unset, whose offset `slot_offset` told of its type.
pub fn fill(object: &Object<'_>, offset: usize, value: Object<'_>) {
    // SAFETY: a live object of that type: there lies NULL, and from now on a reference of its own.
    unsafe {
        let slot = object.as_ptr().byte_add(offset).cast::<*mut PyObject>();
        debug_assert!(slot.read().is_null());
        slot.write(value.into_ptr());
    }
}

/// A string of octets below 0x80; None without memory.
#[cfg(not(feature = "abi3"))]
pub fn ascii<'py>(py: Python<'py>, octets: &[u8]) -> Option<Object<'py>> {
    debug_assert!(octets.is_ascii());
    // SAFETY: we are attached; a new string of so many octets below 0x80, which nobody else knows
    // before they are written, or NULL with an error set, which is taken. The empty one is
    // everybody's, and nothing is written to it.
    unsafe {
        if let [octet] = octets {
            // Those are there already.
            return Bound::from_owned_ptr_or_err(py, ffi::PyUnicode_FromOrdinal((*octet).into()))
                .ok();
        }
        let made = ffi::PyUnicode_New(octets.len() as ffi::Py_ssize_t, 0x7F);
        let made = Bound::from_owned_ptr_or_err(py, made).ok()?;
        let data = ffi::PyUnicode_DATA(made.as_ptr()).cast::<u8>();
        std::ptr::copy_nonoverlapping(octets.as_ptr(), data, octets.len());
        Some(made)
    }
}

/// The limited API has no strings to write to.
#[cfg(feature = "abi3")]
pub fn ascii<'py>(py: Python<'py>, octets: &[u8]) -> Option<Object<'py>> {
    Some(PyString::from_bytes(py, octets).ok()?.into_any())
}

/// The reference count (under the GIL).
pub fn references<T>(object: &Bound<'_, T>) -> isize {
    // SAFETY: a live object.
    unsafe { ffi::Py_REFCNT(object.as_ptr()) }
}
