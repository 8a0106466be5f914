//! The same rules for a request that another server has read.
use super::{Admission, Asked, Rules};
use crate::calls::Object;
use plane::{Outcome, Signals};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use std::borrow::Cow;

/// What a guest's exchange tells by the names of ours.
struct Guest<'a, 'py>(&'a Object<'py>);

impl Asked for Guest<'_, '_> {
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let value: Option<String> = self.0.call_method1("header", (name,)).ok()?.extract().ok()?;
        Some(Cow::Owned(value?.into_bytes()))
    }

    fn client(&self) -> Option<String> {
        let peer: Option<(String, u16)> = self.0.getattr("peer").ok()?.extract().ok()?;
        peer.map(|(host, _)| host)
    }

    fn param(&self, index: usize) -> Option<Cow<'_, [u8]>> {
        let params = self.0.getattr("params").ok()?;
        let value: String = params.cast::<PyTuple>().ok()?.get_item(index).ok()?.extract().ok()?;
        Some(Cow::Owned(value.into_bytes()))
    }
}

/// What was let through, until it is left.
#[pyclass(frozen, module = "megahertz._core", name = "GatePass")]
pub struct Pass {
    admission: Admission,
    rules: Py<Rules>,
}

#[pymethods]
impl Pass {
    /// The breaker is open: the fallback answers.
    #[getter]
    fn fell_back(&self) -> bool {
        self.admission.fell_back
    }

    /// Seconds of the monotonic clock at which its time is up.
    #[getter]
    fn deadline(&self) -> Option<f64> {
        self.admission.deadline.map(|at| at as f64 / super::SECOND)
    }

    /// It has ended with this status; None: its client left.
    fn leave(&self, status: Option<u16>) {
        let outcome = status.map_or(Outcome::Gone, Outcome::Status);
        self.rules.get().leave(&self.admission, outcome, None, plane::now());
    }
}

impl Pass {
    /// Lets a request pass; raises the refusal of the rule that does not.
    pub fn enter(rules: &Bound<'_, Rules>, exchange: &Object<'_>) -> PyResult<Pass> {
        let now = plane::now();
        let signals = Signals { turn: now, ..Signals::default() };
        let (asked, it) = (Guest(exchange), rules.get());
        match it.admit(&asked, &signals, now) {
            Ok(admission) => Ok(Pass { admission, rules: rules.clone().unbind() }),
            Err(refused) => Err(it.error(exchange.py(), &refused)),
        }
    }
}
