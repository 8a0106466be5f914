//! Requests that an observer has nothing to say of, told from the others before Python is asked.
//!
//! # Theory
//! Of a hundred requests of a service that is traced and logged by share, one is recorded. The
//! other ninety-nine need a trace of their own, for what they log and whom they call, and no more.
//! So the ids are drawn here; where they say that neither a span nor a good answer's record will be
//! kept, the handler is called as if nobody observed it, with its trace in the context variable.
//! What ends badly after all is told then.
//!
//! # Rules
//! - What comes with a trace, baggage or B3 of its own goes the long way: its caller has decided.
//!   So does what is tagged, since its records tell the tag.
//! - The ids that were drawn are those of the long way too: no request is asked twice.
use crate::calls::{self, Object};
use crate::trace::{TraceContext, TraceSource};
use crate::typed::Typed;
use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// By which load tests and canaries mark their requests; logs show it.
const TAG: &[u8] = b"x-traffic-tag";

/// The ids of a request that has come without any.
#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub trace: u128,
    pub span: u64,
    /// Nothing is kept of it, if it ends well.
    pub quiet: bool,
    /// When it was read.
    pub began: u64,
}

/// The share of requests of which a log keeps good answers; one for all routes.
#[pyclass(frozen, module = "megahertz._core")]
pub struct Loudness(AtomicU64);

#[pymethods]
impl Loudness {
    #[new]
    fn new(share: f64) -> PyResult<Self> {
        let loudness = Loudness(AtomicU64::new(0));
        loudness.set(share)?;
        Ok(loudness)
    }

    /// Another share from the next request on.
    fn set(&self, share: f64) -> PyResult<()> {
        if !(0.0..=1.0).contains(&share) {
            return Err(PyValueError::new_err("a share is from 0 to 1"));
        }
        self.0.store(share.to_bits(), Relaxed);
        Ok(())
    }
}

impl Loudness {
    fn takes(&self, share: f64) -> bool {
        share < f64::from_bits(self.0.load(Relaxed))
    }
}

/// A route without its observers, for requests that they have nothing to say of.
#[pyclass(frozen, module = "megahertz._core")]
pub struct Quiet {
    source: Py<TraceSource>,
    variable: Py<PyAny>,
    route: Py<PyAny>,
    pub endpoint: Py<PyAny>,
    pub bare: bool,
    pub typed: Option<Typed>,
    loudness: Option<Py<Loudness>>,
    /// Is told of what has ended badly.
    ended: Option<Py<PyAny>>,
}

#[pymethods]
impl Quiet {
    #[new]
    #[pyo3(signature = (source, variable, route, endpoint, *, bare, loudness=None, ended=None))]
    fn new(
        source: Py<TraceSource>,
        variable: Py<PyAny>,
        route: Py<PyAny>,
        endpoint: Object<'_>,
        bare: bool,
        loudness: Option<Py<Loudness>>,
        ended: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let typed = Typed::of(&endpoint)?;
        let endpoint = endpoint.unbind();
        Ok(Quiet { source, variable, route, endpoint, bare, typed, loudness, ended })
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.route)?;
        visit.call(&self.endpoint)?;
        self.typed.as_ref().map_or(Ok(()), |typed| typed.traverse(&visit))?;
        visit.call(&self.ended)
    }
}

impl Quiet {
    /// The ids of a request with these fields; none where it comes with its own.
    pub fn draw<'a>(
        &self,
        py: Python<'_>,
        mut names: impl Iterator<Item = &'a [u8]>,
        began: u64,
    ) -> Option<Drawn> {
        if names.any(|name| wire::trace::is_ours(name) || name.eq_ignore_ascii_case(TAG)) {
            return None;
        }
        let (trace, span, sampled) = self.source.borrow_mut(py).draw();
        let loud = self.loudness.as_ref().is_some_and(|it| it.get().takes(share(trace)));
        Some(Drawn { trace, span, quiet: !sampled && !loud, began })
    }

    /// Makes its trace the current one, for whoever asks in the context that is entered.
    pub fn enter(&self, py: Python<'_>, drawn: &Drawn) -> PyResult<()> {
        let route = Some(self.route.clone_ref(py));
        let found = TraceContext::of_drawn(drawn, route, None);
        calls::set_variable(self.variable.bind(py), Bound::new(py, found)?.as_any())
    }

    /// The same with the request itself, for what is said of its end.
    pub fn found<'py>(
        &self,
        exchange: &Object<'py>,
        drawn: &Drawn,
    ) -> PyResult<Bound<'py, TraceContext>> {
        let py = exchange.py();
        let route = Some(self.route.clone_ref(py));
        let found = TraceContext::of_drawn(drawn, route, Some(exchange.clone().unbind()));
        Bound::new(py, found)
    }

    /// `f` with that as the current trace, in a context of its own.
    pub fn within<R>(
        &self,
        exchange: &Object<'_>,
        drawn: &Drawn,
        f: impl FnOnce() -> PyResult<R>,
    ) -> PyResult<R> {
        let found = self.found(exchange, drawn)?;
        let context = calls::copy_context(exchange.py())?;
        calls::in_context(&context, || {
            calls::set_variable(self.variable.bind(exchange.py()), found.as_any())?;
            f()
        })?
    }

    /// Tells of a request that has ended badly: `ended(exchange, found, status, seconds)`.
    pub fn tell(&self, exchange: &Object<'_>, drawn: &Drawn, status: u16) -> PyResult<()> {
        let Some(ended) = &self.ended else { return Ok(()) };
        let seconds = plane::now().saturating_sub(drawn.began) as f64 / 1e9;
        let found = self.found(exchange, drawn)?;
        ended.call1(exchange.py(), (exchange, found, status, seconds)).map(drop)
    }
}

/// The right half of a trace id, as a part of 1; rounded down to what a double holds, so that it
/// stays below.
pub fn share(trace: u128) -> f64 {
    (trace as u64 >> 11) as f64 / (1_u64 << 53) as f64
}

/// Adds both classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Loudness>()?;
    module.add_class::<Quiet>()
}
