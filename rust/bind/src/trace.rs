//! The trace of one request: who asked for it, and whether it is recorded.
use crate::calls::{self, Object};
use crate::exchange::Exchange;
use crate::quiet::{Drawn, share};
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use std::hash::{BuildHasher, RandomState};
use wire::trace::{Carried, Ids, Ratio, read};

/// Reads the trace that a request carries, or begins one; decides on it before Python does more.
#[pyclass(module = "megahertz._core")]
pub struct TraceSource {
    ratio: Ratio,
    /// What the caller has decided does not count.
    never: bool,
    ids: Ids,
}

#[pymethods]
impl TraceSource {
    #[new]
    #[pyo3(signature = (ratio, *, never=false))]
    fn new(ratio: f64, never: bool) -> PyResult<Self> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(PyValueError::new_err("the ratio is from 0 to 1"));
        }
        // The standard library's keys are the operating system's random numbers.
        let random = RandomState::new();
        let seed = [0, 1, 2, 3].map(|word: u64| random.hash_one(word));
        Ok(TraceSource { ratio: Ratio::new(ratio), never, ids: Ids::new(seed) })
    }

    #[pyo3(signature = (exchange, route=None, /))]
    fn of(
        slf: &Bound<'_, Self>,
        exchange: &Object<'_>,
        route: Option<Py<PyAny>>,
    ) -> PyResult<TraceContext> {
        // First what may run Python, then the borrow.
        let carried = if let Ok(native) = exchange.cast_exact::<Exchange>() {
            if let Some(drawn) = native.get().drawn {
                let sampled = slf.borrow().takes(drawn.trace);
                let exchange = Some(exchange.clone().unbind());
                return Ok(TraceContext {
                    sampled,
                    ..TraceContext::of_drawn(&drawn, route, exchange)
                });
            }
            read(native.get().each())
        } else {
            carried(&exchange.getattr("headers")?)?
        };
        Ok(slf.borrow_mut().context(carried, Some(exchange.clone().unbind()), route))
    }

    /// The same, made the value of a context variable.
    #[pyo3(signature = (variable, exchange, route, /))]
    fn begin<'py>(
        slf: &Bound<'py, Self>,
        variable: &Object<'py>,
        exchange: &Object<'py>,
        route: &Object<'py>,
    ) -> PyResult<Bound<'py, TraceContext>> {
        let found = Self::of(slf, exchange, Some(route.clone().unbind()))?;
        let found = Bound::new(slf.py(), found)?;
        calls::method(intern!(slf.py(), "set"), [variable, found.as_any()], None)?;
        Ok(found)
    }

    #[pyo3(signature = (fields, /))]
    fn read(slf: &Bound<'_, Self>, fields: &Object<'_>) -> PyResult<Option<TraceContext>> {
        let carried = carried(fields)?;
        let is_there = carried.parent.is_some();
        Ok(is_there.then(|| slf.borrow_mut().context(carried, None, None)))
    }

    fn span_id(&mut self) -> String {
        format!("{:016x}", self.ids.span())
    }
}

fn carried(fields: &Object<'_>) -> PyResult<Carried> {
    let fields: Vec<(Vec<u8>, Vec<u8>)> = fields.extract()?;
    Ok(read(fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))))
}

impl TraceSource {
    /// The ids of a trace that begins here, and whether it is recorded.
    pub fn draw(&mut self) -> (u128, u64, bool) {
        let trace = self.ids.trace();
        (trace, self.ids.span(), self.takes(trace))
    }

    fn takes(&self, trace: u128) -> bool {
        !self.never && self.ratio.takes(trace)
    }

    fn context(
        &mut self,
        carried: Carried,
        exchange: Option<Py<PyAny>>,
        route: Option<Py<PyAny>>,
    ) -> TraceContext {
        let Carried { parent, sampled, state, baggage } = carried;
        let (trace, above, random) = match parent {
            Some(parent) => (parent.trace, Some(parent.span), parent.random),
            None => (self.ids.trace(), None, true),
        };
        let decided = parent.map_or(sampled, |parent| parent.sampled);
        let sampled = !self.never && decided.unwrap_or_else(|| self.ratio.takes(trace));
        let span = self.ids.span();
        TraceContext { trace, span, above, sampled, random, state, baggage, exchange, route }
    }
}

#[pyclass(frozen, module = "megahertz._core")]
pub struct TraceContext {
    trace: u128,
    span: u64,
    above: Option<u64>,
    sampled: bool,
    random: bool,
    state: String,
    baggage: String,
    exchange: Option<Py<PyAny>>,
    route: Option<Py<PyAny>>,
}

impl TraceContext {
    /// Of a trace that begins here and is not recorded.
    pub fn of_drawn(drawn: &Drawn, route: Option<Py<PyAny>>, exchange: Option<Py<PyAny>>) -> Self {
        TraceContext {
            trace: drawn.trace,
            span: drawn.span,
            above: None,
            sampled: false,
            random: true,
            state: String::new(),
            baggage: String::new(),
            exchange,
            route,
        }
    }
}

#[pymethods]
impl TraceContext {
    #[getter]
    fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    #[getter]
    fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    #[getter]
    fn parent_id(&self) -> Option<String> {
        self.above.map(|span| format!("{span:016x}"))
    }

    #[getter]
    fn numbers(&self) -> (u128, u64, u64) {
        (self.trace, self.span, self.above.unwrap_or(0))
    }

    #[getter]
    fn sampled(&self) -> bool {
        self.sampled
    }

    /// The right half of the trace id, as a part of 1.
    #[getter]
    fn share(&self) -> f64 {
        share(self.trace)
    }

    /// Of a traceparent that we write.
    #[getter]
    fn flags(&self) -> u8 {
        u8::from(self.sampled) | u8::from(self.random) << 1
    }

    #[getter]
    fn state(&self) -> &str {
        &self.state
    }

    #[getter]
    fn baggage(&self) -> &str {
        &self.baggage
    }

    #[getter]
    fn exchange(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.exchange.as_ref().map(|exchange| exchange.clone_ref(py))
    }

    #[getter]
    fn route(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.route.as_ref().map(|route| route.clone_ref(py))
    }

    fn __repr__(&self) -> String {
        let sampled = if self.sampled { "" } else { " not" };
        format!("<TraceContext {:032x} {:016x}{sampled} sampled>", self.trace, self.span)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        for object in self.exchange.iter().chain(&self.route) {
            visit.call(object)?;
        }
        Ok(())
    }
}

/// Adds both classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<TraceSource>()?;
    module.add_class::<TraceContext>()
}
