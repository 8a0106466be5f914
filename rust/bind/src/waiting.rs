//! Requests that wait, for who looks at a service from outside.
use crate::engine::{Engine, FALLBACK};
use crate::exchange::Exchange;
use crate::task::RequestTask;
use pyo3::prelude::*;

/// Route (None: the fallback), since when (None where it has no gate), exchange, task.
pub type Waiting = (Option<u32>, Option<u64>, Py<Exchange>, Py<RequestTask>);

/// The oldest first: serials are given in order.
pub fn oldest(engine: &Engine, py: Python<'_>, most: usize) -> Vec<Waiting> {
    let mut serials: Vec<u64> = engine.running.keys().copied().collect();
    if most < serials.len() {
        serials.select_nth_unstable(most);
        serials.truncate(most);
    }
    serials.sort_unstable();
    let told = |serial: &u64| {
        let (task, exchange) = &engine.running[serial];
        let its = exchange.get();
        let route = Some(its.route).filter(|&route| route != FALLBACK);
        let began = its.admission.map(|admission| admission.began);
        (route, began, exchange.clone_ref(py), task.clone_ref(py))
    };
    serials.iter().map(told).collect()
}
