//! What stands between a request and its handler, decided before Python has seen either.
use crate::answer::Answer;
use crate::held::Held;
use crate::plane::{BreakerCell, Limiter, Plane, unusable};
use plane::{Class, Exemplar, Exemplars, Refusals, Shed, ShedSettings, Tally};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

mod guest;
mod rules;

pub use rules::{Admission, Asked, Rules};
use rules::{Key, Limit, SECOND, Said, Shedding};

/// What a worker sheds by; one object counts together wherever it is used.
#[pyclass(frozen, module = "megahertz._core", name = "ShedState")]
pub struct ShedState(Arc<Mutex<Shed>>);

#[pymethods]
impl ShedState {
    #[new]
    #[pyo3(signature = (*, lag, interval, cpu, shares))]
    fn new(lag: f64, interval: f64, cpu: f64, shares: [f64; 3]) -> PyResult<ShedState> {
        if !(lag > 0.0
            && interval > 0.0
            && cpu > 0.0
            && shares.iter().all(|share| (0.0..=1.0).contains(share)))
        {
            return Err(PyValueError::new_err("lag, interval and cpu above 0, shares from 0 to 1"));
        }
        let [lag, interval] = [lag, interval].map(|seconds| (seconds * SECOND) as u64);
        let settings = ShedSettings { lag, interval, cpu, shares };
        Ok(ShedState(Arc::new(Mutex::new(Shed::new(settings)))))
    }

    /// Whether a queue stands, requests in flight, and how many may be (None: any number).
    fn state(&self) -> (bool, u64, Option<u64>) {
        let shed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = Some(shed.limit()).filter(|&limit| limit != u64::MAX);
        (shed.is_queued(), shed.running(), limit)
    }
}

/// Where a route's rules stand; others may take their place while requests run.
#[pyclass(frozen, module = "megahertz._core")]
pub struct Gate {
    rules: Held<Rules>,
}

impl Gate {
    /// None where everything passes.
    pub fn rules<'py>(&self, py: Python<'py>) -> Option<Bound<'py, Rules>> {
        self.rules.get(py)
    }
}

#[pymethods]
impl Gate {
    #[new]
    fn new() -> Gate {
        Gate { rules: Held::empty() }
    }

    /// These rules from the next request on.
    #[pyo3(signature = (plane, name, *, deadline=None, budget=None, shed=None, limit=None, key=None, said="", breaker=None, fallback=false, concurrency=None, priority="live", observe=vec![], answers=vec![], error))]
    #[expect(clippy::too_many_arguments, reason = "named in Python, one a rule")]
    fn set(
        &self,
        plane: &Bound<'_, Plane>,
        name: &str,
        deadline: Option<f64>,
        budget: Option<String>,
        shed: Option<&Bound<'_, ShedState>>,
        limit: Option<&Bound<'_, Limiter>>,
        key: Option<&str>,
        said: &str,
        breaker: Option<&Bound<'_, BreakerCell>>,
        fallback: bool,
        concurrency: Option<u64>,
        priority: &str,
        observe: Vec<String>,
        answers: Vec<Bound<'_, Answer>>,
        error: Py<PyAny>,
    ) -> PyResult<()> {
        let observes = |rule: &str| observe.iter().any(|name| name == rule);
        let parts = plane.get().parts()?;
        let key = key_of(key)?;
        let limit = limit.map(|limiter| Limit {
            limiter: Arc::clone(&limiter.get().0),
            key,
            said: said.to_owned(),
            observed: observes("limit"),
        });
        let shed = shed
            .map(|shed| Shedding { state: Arc::clone(&shed.get().0), observed: observes("shed") });
        let rules = Rules {
            name: name.to_owned(),
            parts: Arc::clone(parts),
            tally: Tally::new(parts, name).map_err(unusable)?,
            refusals: Refusals::of(parts.segment()).map_err(unusable)?,
            deadline: deadline.map(|seconds| (seconds * SECOND) as u64),
            budget: budget.map(|name| name.to_ascii_lowercase()),
            shed,
            limit,
            breaker: breaker.map(|cell| (Arc::clone(&cell.get().0), observes("breaker"))),
            concurrency: concurrency.map(|most| (most, observes("concurrency"))),
            fallback,
            answers: answers.iter().map(said_of).collect(),
            error,
            class: class_of(priority)?,
            fastest: AtomicU64::new(0),
            serial: AtomicU64::new(0),
        };
        self.rules.set(plane.py(), Some(Py::new(plane.py(), rules)?));
        Ok(())
    }

    /// The rules of another from the next request on.
    fn adopt(&self, other: &Bound<'_, Gate>) {
        let py = other.py();
        self.rules.set(py, other.get().rules(py).map(Bound::unbind));
    }

    /// Everything passes from the next request on.
    fn clear(&self, py: Python<'_>) {
        self.rules.set(py, None);
    }

    /// Requests shall be answered within so many seconds; of a route that is not counted, nothing.
    fn aim(&self, py: Python<'_>, seconds: f64) {
        if let Some(rules) = self.rules(py) {
            rules.get().tally.aim((seconds * SECOND) as u64);
        }
    }

    /// A request that was traced has ended; others are told of it with its bucket.
    fn exemplify(&self, py: Python<'_>, trace: u128, span: u64, nanoseconds: u64) -> PyResult<()> {
        let Some(rules) = self.rules(py) else { return Ok(()) };
        let rules = rules.get();
        let exemplars = Exemplars::new(&rules.parts, &rules.name).map_err(unusable)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        exemplars.put(&Exemplar { trace, span, nanoseconds, time: since.as_nanos() as u64 });
        Ok(())
    }

    fn enter(&self, exchange: &Bound<'_, PyAny>) -> PyResult<Option<guest::Pass>> {
        let rules = self.rules(exchange.py());
        rules.map(|rules| guest::Pass::enter(&rules, exchange)).transpose()
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let rules = self.rules(py);
        let name = rules.as_ref().map_or("open", |rules| &*rules.get().name);
        format!("<Gate {name}>")
    }
}

fn said_of(answer: &Bound<'_, Answer>) -> Said {
    let it = answer.borrow();
    let body = it.body_bytes(answer.py()).as_bytes().to_vec();
    Said { status: it.status(), rendered: it.rendered().to_vec(), body }
}

fn class_of(priority: &str) -> PyResult<Class> {
    match priority {
        "live" => Ok(Class::Live),
        "batch" => Ok(Class::Batch),
        "test" => Ok(Class::Test),
        _ => Err(PyValueError::new_err("priority: live, batch or test")),
    }
}

fn key_of(key: Option<&str>) -> PyResult<Key> {
    let Some(key) = key else { return Ok(Key::All) };
    match key.split_once(':') {
        None if key == "client" => Ok(Key::Client),
        Some(("header", name)) => Ok(Key::Header(name.to_ascii_lowercase())),
        Some(("path", index)) => match index.parse() {
            Ok(index) => Ok(Key::Path(index)),
            Err(_) => Err(PyValueError::new_err("path: the number of a parameter")),
        },
        _ => Err(PyValueError::new_err("key: client, header:<name> or path:<number>")),
    }
}

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Gate>()?;
    module.add_class::<guest::Pass>()?;
    module.add_class::<ShedState>()
}
