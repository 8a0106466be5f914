//! JSON of plain values, and of msgspec's Structs of them, without another library's calls: what
//! handlers give is [`encode`]d into the answer, what they take [`decode`]d out of the request.
use crate::calls::{self, Object};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

mod decode;
mod encode;

pub use decode::JsonDecoder;
pub use encode::{Encode, JsonEncoder};

/// Whether a look at the next value is worth it: after one in vain the next one is not looked at,
/// then three, seven, and at last 63. So what is never plain costs a look in 64.
#[derive(Default)]
pub struct Patience {
    /// Values that are yet to pass.
    passing: AtomicU32,
    /// How many pass after a look in vain.
    most: AtomicU32,
}

impl Patience {
    const MOST: u32 = 63;

    /// What a look gives; None where it is in vain, or not worth it.
    pub fn look<T>(&self, look: impl FnOnce() -> Option<T>) -> Option<T> {
        let passing = self.passing.load(Relaxed);
        if passing > 0 {
            self.passing.store(passing - 1, Relaxed);
            return None;
        }
        let found = look();
        let most = match found {
            Some(_) => 0,
            None => (self.most.load(Relaxed) * 2 + 1).min(Self::MOST),
        };
        self.most.store(most, Relaxed);
        self.passing.store(most, Relaxed);
        found
    }
}

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
