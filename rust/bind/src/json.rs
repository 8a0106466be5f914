//! JSON of plain values, and of msgspec's Structs of them, without another library's calls: what
//! handlers give is [`encode`]d into the answer, what they take [`decode`]d out of the request.
use crate::calls::{self, Object};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

mod decode;
mod encode;

pub use decode::JsonDecoder;
pub use encode::{Encode, JsonEncoder};

/// Where instances keep the attribute, as the first class of its bases says that has it.
fn slot_of(kind: &Bound<'_, PyType>, name: &Object<'_>) -> PyResult<Option<usize>> {
    let py = kind.py();
    for base in kind.mro() {
        let own = base.getattr(intern!(py, "__dict__"))?;
        if own.contains(name)? {
            return Ok(calls::slot_offset(&own.get_item(name)?, kind));
        }
    }
    Ok(None)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<JsonEncoder>()?;
    module.add_class::<JsonDecoder>()
}
