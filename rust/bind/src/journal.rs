//! The journal as Python sees it: no call does IO while it holds the interpreter.
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use journal::{Error, Options, Refusal, Verdict};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::import_exception;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

import_exception!(megahertz.errors, AlreadyHeld);
import_exception!(megahertz.errors, JournalCorrupt);
import_exception!(megahertz.errors, JournalFailed);
import_exception!(megahertz.errors, Overloaded);

/// Adds this module's classes to `megahertz._core`.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Journal>()?;
    module.add_class::<Replay>()
}

fn opening(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Held(_) => AlreadyHeld::new_err(text),
        Error::Corrupt { file, offset, .. } => {
            JournalCorrupt::new_err((text, file.display().to_string(), offset))
        }
        Error::Version { .. } => JournalFailed::new_err(text),
        Error::Io { path, source, .. } => match source.raw_os_error() {
            Some(code) => PyOSError::new_err((code, text, path.display().to_string())),
            None => PyOSError::new_err(text),
        },
    }
}

fn refused(refusal: Refusal) -> PyErr {
    let text = refusal.to_string();
    match refusal {
        Refusal::Full => Overloaded::new_err(text),
        Refusal::Size(_) => PyValueError::new_err(text),
        Refusal::Stopped(_) => JournalFailed::new_err(text),
    }
}

/// Records on disk, a batch made durable by one sync.
#[pyclass(frozen, module = "megahertz._core")]
pub struct Journal {
    journal: journal::Journal,
    replay: Mutex<Option<journal::Replay>>,
}

#[pymethods]
impl Journal {
    #[new]
    #[pyo3(signature = (directory, *, records, bytes, segment_bytes, spacing = 0.0))]
    fn new(
        py: Python<'_>,
        directory: PathBuf,
        records: usize,
        bytes: u64,
        segment_bytes: u64,
        spacing: f64,
    ) -> PyResult<Self> {
        let spacing = Duration::try_from_secs_f64(spacing)
            .map_err(|error| PyValueError::new_err(format!("spacing={spacing}: {error}")))?;
        let options = Options { segment_bytes, records, bytes, spacing };
        let (journal, replay) =
            py.detach(|| journal::Journal::open(&directory, options)).map_err(opening)?;
        Ok(Self { journal, replay: Mutex::new(Some(replay)) })
    }

    fn append(&self, record: &[u8]) -> PyResult<u64> {
        self.journal.append(record).map_err(refused)
    }

    fn fileno(&self) -> i32 {
        self.journal.event().as_raw_fd()
    }

    fn outcomes(&self) -> Vec<(u64, &'static str, String)> {
        let told = self.journal.outcomes().into_iter();
        told.map(|outcome| match outcome.verdict {
            Verdict::Durable => (outcome.upto, "durable", String::new()),
            Verdict::Refused(why) => (outcome.upto, "refused", why),
            Verdict::Failed(why) => (outcome.upto, "failed", why),
        })
        .collect()
    }

    fn replay(&self) -> PyResult<Replay> {
        let taken = self.replay.lock().unwrap_or_else(PoisonError::into_inner).take();
        let replay = taken.ok_or_else(|| PyRuntimeError::new_err("replayed already"))?;
        Ok(Replay(Mutex::new(replay)))
    }

    fn persisted(&self, upto: u64, released: u64) {
        self.journal.persisted(upto, released);
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.journal.close());
    }

    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counted = self.journal.statistics();
        let result = PyDict::new(py);
        for (name, value) in [
            ("records", counted.records),
            ("bytes", counted.bytes),
            ("durable", counted.durable),
            ("persisted", counted.persisted),
            ("syncs", counted.syncs),
            ("batches", counted.batches),
            ("refused", counted.refused),
            ("segments", counted.segments),
            ("cut", counted.cut),
        ] {
            result.set_item(name, value)?;
        }
        Ok(result)
    }
}

/// What the directory held when it was opened, one record at a time.
#[pyclass(frozen, module = "megahertz._core")]
pub struct Replay(Mutex<journal::Replay>);

#[pymethods]
impl Replay {
    fn __iter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(u64, Bound<'py, PyBytes>)>> {
        let next =
            py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).next().transpose());
        let read = next.map_err(opening)?;
        Ok(read.map(|(sequence, bytes)| (sequence, PyBytes::new(py, &bytes))))
    }
}
