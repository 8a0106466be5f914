//! What workers say of themselves in a plane: the engine's row, and figures by their names.
use crate::plane::{Plane, unusable};
use plane::{Entry, Figures, Kind, Row, Segment};
use poll::{Gauge, Statistics};
use pyo3::prelude::*;
use std::sync::Arc;

/// Of the row that the engine writes.
const ENGINE: &str = "engine";

/// Name, whether it counts, and by part what it came to.
pub type Told = (String, bool, Vec<(Option<usize>, f64)>);

/// The engine's row of this process's part; without a plane, or where another engine of this
/// process has it, one that nobody else sees.
pub fn row_of(plane: Option<&Bound<'_, Plane>>) -> PyResult<Row> {
    if let Some(plane) = plane {
        if let Some(row) = Row::claim(plane.get().parts()?, ENGINE).map_err(unusable)? {
            return Ok(row);
        }
    }
    Row::own().map_err(unusable)
}

/// Everything of it.
pub fn told(segment: &Arc<Segment>, generations: &[u64]) -> Vec<Told> {
    let mut all = vec![];
    for entry in segment.entries() {
        if entry.kind == Kind::Row {
            all.extend(of_engine(&entry, generations));
        } else if let Some(total) = plane::total(&entry) {
            all.push((entry.name, true, vec![(None, total as f64)]));
        } else if let Some(values) = plane::Figure::read(&entry, generations) {
            let values = values.into_iter().map(|(part, value)| (Some(part), value)).collect();
            all.push((entry.name, entry.kind == Kind::Counter, values));
        }
    }
    all
}

fn of_engine(entry: &Entry, generations: &[u64]) -> Vec<Told> {
    let Some(parts) = Figures::over(&entry.block, generations) else { return vec![] };
    // Of parts that nobody has had yet nothing is told.
    let had: Vec<_> = parts.iter().enumerate().filter(|&(part, _)| generations[part] > 0).collect();
    let counters = Statistics::names().enumerate().map(|(index, (name, reason))| {
        let label = if reason.is_empty() { String::new() } else { format!("{{{reason}}}") };
        let values = had.iter().map(|&(part, it)| (Some(part), it.counters[index] as f64));
        (format!("{}.{name}{label}", entry.name), true, values.collect())
    });
    let gauges = Gauge::ALL.iter().enumerate().map(|(index, &(_, name))| {
        let alive = had.iter().filter_map(|&(part, it)| it.gauges.map(|all| (part, all)));
        let values = alive.map(|(part, all)| (Some(part), all[index] as f64));
        (format!("{}.{name}", entry.name), false, values.collect())
    });
    counters.chain(gauges).collect()
}

/// A figure of this process's part.
#[pyclass(frozen, module = "megahertz._core", name = "Figure")]
pub struct Figure(plane::Figure);

#[pymethods]
impl Figure {
    #[new]
    #[pyo3(signature = (plane, name, *, counter=false))]
    fn new(plane: &Bound<'_, Plane>, name: &str, counter: bool) -> PyResult<Figure> {
        let figure = plane::Figure::new(plane.get().parts()?, name, counter);
        Ok(Figure(figure.map_err(unusable)?))
    }

    /// A gauge is this now; a counter has come to this since the figure was made.
    fn set(&self, value: f64) {
        self.0.set(value);
    }

    /// It is not told until it is set again.
    fn clear(&self) {
        self.0.clear();
    }
}
