//! The load generator as Python sees it.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::load::{Data, Latencies, Malformed, Plan, Run, Snapshot, Spec, Stage, Stretch, Think, Tls};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

/// Weight, method, target, headers, body.
type Kind = (f64, String, String, Vec<(String, String)>, Option<Vec<u8>>);

/// Seconds, level at the begin, level at the end.
type Stretches = Vec<(f64, f64, f64)>;

/// Columns, rows of cells, whether rows are drawn.
type Table = (Vec<String>, Vec<Vec<Vec<u8>>>, bool);

/// Server's name, certificates to trust, whether anyone is trusted.
type Security = (String, Option<Vec<u8>>, bool);

/// A histogram of seconds.
#[pyclass(name = "Latencies", module = "megahertz._core")]
#[derive(Default)]
struct PyLatencies(Latencies);

#[pymethods]
impl PyLatencies {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn record(&mut self, seconds: f64) {
        self.0.record((seconds * 1e9) as u64);
    }

    fn add(&mut self, other: &Bound<'_, Self>) -> PyResult<()> {
        self.0.add(&other.try_borrow()?.0);
        Ok(())
    }

    fn since(&self, earlier: &Bound<'_, Self>) -> PyResult<Self> {
        let mut rest = self.0.clone();
        let is_earlier = rest.subtract(&earlier.try_borrow()?.0);
        is_earlier.then_some(Self(rest)).ok_or_else(|| refused("not an earlier look at it"))
    }

    fn quantile(&self, q: f64) -> f64 {
        seconds(self.0.quantile(q))
    }

    #[getter]
    fn mean(&self) -> f64 {
        self.0.mean() / 1e9
    }

    #[getter]
    fn max(&self) -> f64 {
        seconds(self.0.max())
    }

    fn __len__(&self) -> usize {
        self.0.count() as usize
    }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}

/// Native threads that send requests.
#[pyclass(frozen, module = "megahertz._core")]
struct LoadRun(Run);

#[pymethods]
impl LoadRun {
    #[new]
    #[pyo3(signature = (
        host, port, mix, *, connections, threads=1, rates=None, levels=None, think=None, lanes=1,
        fresh=false, http2=false, tls=None, data=None, warmup, duration, timeout, record=false,
        first_id=0, seed=0,
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword-only in Python")]
    #[allow(clippy::fn_params_excessive_bools, reason = "keyword-only in Python")]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        mix: Vec<Kind>,
        connections: usize,
        threads: usize,
        rates: Option<Stretches>,
        levels: Option<Stretches>,
        think: Option<(String, f64, f64)>,
        lanes: usize,
        fresh: bool,
        http2: bool,
        tls: Option<Security>,
        data: Option<Table>,
        warmup: f64,
        duration: f64,
        timeout: f64,
        record: bool,
        first_id: u64,
        seed: u64,
    ) -> PyResult<Self> {
        let ip: IpAddr = host.parse().map_err(|_| refused(&format!("{host:?}: not an address")))?;
        let plan = Plan {
            address: SocketAddr::new(ip, port),
            mix: mix.into_iter().map(spec).collect(),
            data: table(data),
            tls: tls.map(|(name, trusted, insecure)| Tls { name, trusted, insecure }),
            http2,
            lanes,
            fresh,
            connections,
            levels: levels.map(stretches),
            think: think.map(|(name, low, high)| thought(&name, low, high)).transpose()?,
            threads,
            rates: rates.map(stretches),
            warmup: span(warmup)?,
            duration: span(duration)?,
            timeout: span(timeout)?,
            record,
            first_id,
            seed,
        };
        py.detach(|| Run::start(&plan)).map(Self).map_err(|Malformed(why)| refused(&why))
    }

    #[staticmethod]
    #[pyo3(signature = (mix, *, data=None, http2=false))]
    fn check(mix: Vec<Kind>, data: Option<Table>, http2: bool) -> PyResult<()> {
        let specs: Vec<Spec> = mix.into_iter().map(spec).collect();
        ::load::check(&specs, &table(data), http2).map_err(|Malformed(why)| refused(&why))
    }

    #[pyo3(signature = (seconds=None))]
    fn wait(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<bool> {
        let limit = seconds.map(span).transpose()?;
        Ok(py.detach(|| self.0.wait(limit)))
    }

    fn stop(&self) {
        self.0.stop();
    }

    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let seen = py.detach(|| self.0.snapshot());
        render(py, seen)
    }

    fn outcomes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes: Vec<u8> = self.0.outcomes().into_iter().flat_map(u64::to_ne_bytes).collect();
        PyBytes::new(py, &bytes)
    }
}

fn render(py: Python<'_>, seen: Snapshot) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("stage", name(seen.stage))?;
    dict.set_item("elapsed", seen.elapsed)?;
    dict.set_item("measured", seen.measured)?;
    dict.set_item("statuses", seen.statuses)?;
    let failures = seen.failures.iter().map(|&(kind, failure, n)| (kind, failure.name(), n));
    dict.set_item("failures", failures.collect::<Vec<(Option<u8>, &str, u64)>>())?;
    let troubles = seen.troubles.iter().map(|(failure, why)| (failure.name(), why.as_str()));
    dict.set_item("troubles", troubles.collect::<Vec<(&str, &str)>>())?;
    let latencies = seen.latencies.into_iter().map(PyLatencies);
    dict.set_item("latencies", latencies.collect::<Vec<_>>())?;
    let successes = seen.successes.into_iter().map(PyLatencies);
    dict.set_item("successes", successes.collect::<Vec<_>>())?;
    dict.set_item("answered", seen.answered)?;
    dict.set_item("connects", seen.connects)?;
    dict.set_item("received", seen.received)?;
    dict.set_item("sent", seen.sent)?;
    dict.set_item("open", seen.open)?;
    dict.set_item("busy", seen.busy)?;
    dict.set_item("backlog", seen.backlog)?;
    dict.set_item("cpu", seen.cpu)?;
    Ok(dict)
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Warmup => "warmup",
        Stage::Measuring => "measuring",
        Stage::Draining => "draining",
        Stage::Done => "done",
    }
}

fn spec((weight, method, target, headers, body): Kind) -> Spec {
    Spec { weight, method, target, headers, body }
}

fn table(given: Option<Table>) -> Data {
    let (columns, rows, random) = given.unwrap_or_default();
    Data { columns, rows, random }
}

fn stretches(given: Stretches) -> Vec<Stretch> {
    given.into_iter().map(|(seconds, from, to)| Stretch { seconds, from, to }).collect()
}

fn thought(name: &str, low: f64, high: f64) -> PyResult<Think> {
    match name {
        "constant" => Ok(Think::Constant(low)),
        "uniform" => Ok(Think::Uniform(low, high)),
        "exponential" => Ok(Think::Exponential(low)),
        _ => Err(refused(&format!("think {name:?}: constant, uniform or exponential"))),
    }
}

fn span(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| refused(&format!("{seconds} seconds: 0 or more")))
}

fn refused(why: &str) -> PyErr {
    PyValueError::new_err(why.to_owned())
}

/// Adds this module's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyLatencies>()?;
    module.add_class::<LoadRun>()
}
