//! The segment that workers share, and what lies in it, as Python sees them.
use crate::figures;
use plane::{
    Breaker, BreakerRule, Broken, Exemplar, Exemplars, Law, Parts, Pass, Reading, Refusals,
    Segment, Tally,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::import_exception;
use pyo3::prelude::*;
use rustix::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

import_exception!(megahertz.errors, PlaneUnusable);

/// Room for some thousand routes of eight workers; only what is written takes memory.
const BYTES: usize = 1 << 30;
/// Of one process: enough for a thousand routes and a million keys.
const PRIVATE_BYTES: usize = 128 << 20;

pub fn unusable(broken: Broken) -> PyErr {
    match broken {
        Broken::System(error) => PyOSError::new_err((error.raw_os_error(), error.to_string())),
        Broken::Foreign(_) | Broken::Full => PlaneUnusable::new_err(broken.to_string()),
    }
}

/// A segment, and this process's part of it.
#[pyclass(frozen, module = "megahertz._core", name = "Plane")]
pub struct Plane {
    segment: Arc<Segment>,
    /// None where it is only looked at, or handed on.
    parts: Option<Arc<Parts>>,
    is_looked_at: bool,
}

impl Plane {
    pub fn parts(&self) -> PyResult<&Arc<Parts>> {
        let none = || PlaneUnusable::new_err("this plane is only looked at");
        self.parts.as_ref().ok_or_else(none)
    }
}

#[pymethods]
impl Plane {
    #[new]
    #[pyo3(signature = (fd=None, *, look=false))]
    fn new(fd: Option<i32>, look: bool) -> PyResult<Plane> {
        let Some(fd) = fd else {
            return Plane::over(Segment::private(PRIVATE_BYTES).map_err(unusable)?, true);
        };
        if fd < 0 {
            return Err(PyValueError::new_err("a closed descriptor"));
        }
        // SAFETY: the caller keeps its descriptor open during this call; it is duplicated at once.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        let plane = Plane::over(Segment::open(fd, !look).map_err(unusable)?, !look)?;
        Ok(Plane { is_looked_at: look, ..plane })
    }

    /// One that others can map; `parts` processes at once. This one takes none of them.
    #[staticmethod]
    fn shared(parts: usize) -> PyResult<Plane> {
        if !(1..=1024).contains(&parts) {
            return Err(PyValueError::new_err("parts: 1 to 1024"));
        }
        Plane::over(Segment::shared(BYTES, parts).map_err(unusable)?, false)
    }

    /// To hand on; none for memory of this process alone.
    fn fileno(&self) -> Option<i32> {
        self.segment.fd().map(|fd| fd.as_raw_fd())
    }

    /// Part, process, and since when, of each owner alive.
    fn owners(&self) -> PyResult<Vec<(usize, u32, u64)>> {
        self.made(Parts::owners(&self.segment))
    }

    fn bury(&self, pid: u32) -> PyResult<()> {
        Parts::bury(&self.segment, pid).map_err(unusable)
    }

    /// What the routes' requests came to, of all workers: name, running, nanoseconds, classes,
    /// rules, histogram.
    #[expect(clippy::type_complexity, reason = "one line of a table")]
    fn tallies(&self) -> PyResult<Vec<(String, u64, u64, [u64; 6], [(u64, u64); 8], Vec<u64>)>> {
        let generations = self.made(Parts::generations(&self.segment))?;
        let all = self.segment.entries().into_iter();
        let all = all.filter(|entry| entry.kind == plane::Kind::Tally).filter_map(|entry| {
            let tally = Tally::over(entry.block, generations.len())?;
            let Reading { running, nanoseconds, classes, rules, buckets } =
                tally.read(&generations);
            Some((entry.name, running, nanoseconds, classes, rules, buckets))
        });
        Ok(all.collect())
    }

    /// Nanoseconds within which requests shall be answered, of each route that says so.
    fn objectives(&self) -> Vec<(String, u64)> {
        let parts = self.segment.parts();
        let all = self.segment.entries().into_iter();
        let all = all.filter(|entry| entry.kind == plane::Kind::Tally).filter_map(|entry| {
            let objective = Tally::over(entry.block, parts)?.objective();
            (objective > 0).then_some((entry.name, objective))
        });
        all.collect()
    }

    /// Every figure: its name, whether it counts, and by part what it came to; without a part,
    /// what all have counted together.
    fn figures(&self) -> PyResult<Vec<figures::Told>> {
        let generations = self.made(Parts::generations(&self.segment))?;
        Ok(figures::told(&self.segment, &generations))
    }

    /// Adds to a counter of all together.
    #[pyo3(signature = (name, more=1))]
    fn count(&self, name: &str, more: u64) -> PyResult<()> {
        if self.is_looked_at {
            return Err(PlaneUnusable::new_err("this plane is only looked at"));
        }
        plane::count(&self.segment, name, more).map_err(unusable)
    }

    /// Seconds since 1970 when it was made.
    fn began(&self) -> f64 {
        self.segment.began() as f64 / 1e9
    }

    /// Of each route that has some, by bucket: trace, span, nanoseconds, and when.
    #[expect(clippy::type_complexity, reason = "one line of a table")]
    fn exemplars(&self) -> Vec<(String, Vec<Option<(u128, u64, u64, u64)>>)> {
        let all = self.segment.entries().into_iter();
        let all = all.filter(|entry| entry.kind == plane::Kind::Exemplars).filter_map(|entry| {
            let cells = Exemplars::over(&entry.block, self.segment.parts())?;
            let told = |it: Exemplar| (it.trace, it.span, it.nanoseconds, it.time);
            Some((entry.name, cells.into_iter().map(|cell| cell.map(told)).collect()))
        });
        all.collect()
    }

    /// Of each limiter: name, law and its two numbers, admitted, refused, forgotten, and how many
    /// calls would pass now.
    #[expect(clippy::type_complexity, reason = "one line of a table")]
    fn limiters(&self) -> Vec<(String, [u64; 3], u64, u64, u64, Option<u64>)> {
        let parts = self.segment.parts();
        let all = self.segment.entries().into_iter();
        all.filter(|entry| entry.kind == plane::Kind::Limiter)
            .filter_map(|entry| {
                let (law, counts, left) =
                    plane::limiter_standing(entry.block.words(), parts, plane::now())?;
                let plane::Counts { admitted, refused, forgotten } = counts;
                Some((entry.name, law.words(), admitted, refused, forgotten, left))
            })
            .collect()
    }

    /// Of each breaker: name, and what `BreakerCell.state` tells.
    fn breakers(&self) -> Vec<(String, plane::Standing)> {
        let parts = self.segment.parts();
        let all = self.segment.entries().into_iter();
        all.filter(|entry| entry.kind == plane::Kind::Breaker)
            .filter_map(|entry| {
                let standing = plane::breaker_standing(entry.block.words(), parts, plane::now());
                Some((entry.name, standing?))
            })
            .collect()
    }

    /// The last refusals, the newest first: time, rule, whether only observed, id, route, figures.
    fn refusals(&self) -> Vec<(u64, u8, bool, String, String, [f64; plane::FIGURES])> {
        let Ok(refusals) = Refusals::of(&self.segment) else { return vec![] };
        let line = |record: plane::Record| {
            let plane::Record { time, rule, observed, id, route, figures } = record;
            (time, rule, observed, id, route, figures)
        };
        refusals.read().into_iter().map(line).collect()
    }

    /// The nanoseconds below which the latencies of each bucket are.
    #[staticmethod]
    fn bounds() -> Vec<u64> {
        (0..plane::BUCKETS).map(plane::bound_of).collect()
    }

    fn __repr__(&self) -> String {
        let part = self.parts.as_ref().map_or("none".to_owned(), |parts| parts.part().to_string());
        format!("<Plane part {part} of {}>", self.segment.parts())
    }
}

impl Plane {
    /// What is looked at may not have been made yet: then there is nothing of it.
    fn made<T>(&self, all: Result<Vec<T>, Broken>) -> PyResult<Vec<T>> {
        match all {
            Err(Broken::Foreign(_)) if self.parts.is_none() => Ok(vec![]),
            all => all.map_err(unusable),
        }
    }

    fn over(segment: Segment, claims: bool) -> PyResult<Plane> {
        let segment = Arc::new(segment);
        let parts = claims.then(|| Parts::claim(&segment)).transpose().map_err(unusable)?;
        Ok(Plane { segment, parts: parts.map(Arc::new), is_looked_at: false })
    }
}

/// A rate limit.
#[pyclass(frozen, module = "megahertz._core", name = "Limiter")]
pub struct Limiter(pub Arc<plane::Limiter>);

#[pymethods]
impl Limiter {
    #[new]
    #[pyo3(signature = (plane, name, law, *, rate, per=1.0, burst=1, keys=0))]
    fn new(
        plane: &Bound<'_, Plane>,
        name: &str,
        law: &str,
        rate: f64,
        per: f64,
        burst: u64,
        keys: usize,
    ) -> PyResult<Limiter> {
        if !(rate > 0.0 && per > 0.0 && rate.is_finite() && per.is_finite()) {
            return Err(PyValueError::new_err("rate and per: above 0"));
        }
        if keys > 1 << 24 {
            return Err(PyValueError::new_err("keys: at most 16,777,216"));
        }
        let law = match law {
            "gcra" => Law::meter(rate, per, burst.max(1)),
            "leaky" => Law::queue(rate, per, burst),
            "window" if (1.0..4_194_304.0).contains(&rate) => Law::window(rate as u64, per),
            "window" => return Err(PyValueError::new_err("rate of a window: 1 to 4,194,303")),
            _ => return Err(PyValueError::new_err("law: gcra, leaky or window")),
        };
        let limiter = plane::Limiter::new(plane.get().parts()?, name, law, keys);
        Ok(Limiter(Arc::new(limiter.map_err(unusable)?)))
    }

    /// 0.0: admitted; above: seconds until it would be; below: admitted after so many seconds.
    #[pyo3(signature = (key=None, cost=1, now=None))]
    fn acquire(&self, key: Option<&str>, cost: u64, now: Option<u64>) -> f64 {
        let now = now.unwrap_or_else(plane::now);
        let decision = match key {
            Some(key) => self.0.acquire_for(key.as_bytes(), cost, now),
            None => self.0.acquire(cost, now),
        };
        let seconds = decision.wait as f64 / 1e9;
        if decision.admitted { 0.0 - seconds } else { seconds }
    }

    /// Admitted, refused, keys, forgotten.
    #[pyo3(signature = (now=None))]
    fn statistics(&self, now: Option<u64>) -> (u64, u64, usize, u64) {
        let counts = self.0.counts();
        let keys = self.0.keys(now.unwrap_or_else(plane::now));
        (counts.admitted, counts.refused, keys, counts.forgotten)
    }
}

/// A circuit breaker.
#[pyclass(frozen, module = "megahertz._core", name = "BreakerCell")]
pub struct BreakerCell(pub Arc<Breaker>);

#[pymethods]
impl BreakerCell {
    /// `failures` up to 1 is a share of at least `calls`, above a number; with `k`, adaptive.
    #[new]
    #[pyo3(signature = (plane, name, *, failures=0.6, calls=100, open=2.0, window=10.0, k=None))]
    fn new(
        plane: &Bound<'_, Plane>,
        name: &str,
        failures: f64,
        calls: u64,
        open: f64,
        window: f64,
        k: Option<f64>,
    ) -> PyResult<BreakerCell> {
        let rule = match k {
            Some(k) if k >= 1.0 => BreakerRule::Adaptive(k, calls),
            Some(_) => return Err(PyValueError::new_err("k: at least 1")),
            None if failures > 0.0 && failures <= 1.0 => BreakerRule::Ratio(failures, calls),
            None if failures > 1.0 => BreakerRule::Count(failures as u64),
            None => return Err(PyValueError::new_err("failures: above 0")),
        };
        if !(open > 0.0 && window > 0.0) {
            return Err(PyValueError::new_err("open and window: above 0"));
        }
        let [open, window] = [open, window].map(|seconds| (seconds * 1e9) as u64);
        let breaker = Breaker::new(plane.get().parts()?, name, rule, open, window);
        Ok(BreakerCell(Arc::new(breaker.map_err(unusable)?)))
    }

    /// 0: go; 1: go, as the probe; 2: refused.
    #[pyo3(signature = (now=None))]
    fn enter(&self, now: Option<u64>) -> u8 {
        match self.0.enter(now.unwrap_or_else(plane::now)) {
            Pass::Closed => 0,
            Pass::Probe => 1,
            Pass::Refused => 2,
        }
    }

    /// How a call that went came out; `began` is when it entered.
    #[pyo3(signature = (how, ok, *, began=None, now=None))]
    fn leave(&self, how: u8, ok: bool, began: Option<u64>, now: Option<u64>) {
        let now = now.unwrap_or_else(plane::now);
        self.0.leave(pass_of(how), ok, began.unwrap_or(now), now);
    }

    /// It ended without telling anything of the backend.
    #[pyo3(signature = (how, *, now=None))]
    fn abandon(&self, how: u8, now: Option<u64>) {
        self.0.abandon(pass_of(how), now.unwrap_or_else(plane::now));
    }

    /// Seconds until it may close (0.0: closed), share refused, calls and failures in the window,
    /// times opened, calls refused.
    #[pyo3(signature = (now=None))]
    fn state(&self, now: Option<u64>) -> (f64, f64, u64, u64, u64, u64) {
        self.0.state(now.unwrap_or_else(plane::now))
    }
}

fn pass_of(how: u8) -> Pass {
    match how {
        0 => Pass::Closed,
        1 => Pass::Probe,
        _ => Pass::Refused,
    }
}

/// Adds the classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Plane>()?;
    module.add_class::<figures::Figure>()?;
    module.add_class::<Limiter>()?;
    module.add_class::<BreakerCell>()
}
