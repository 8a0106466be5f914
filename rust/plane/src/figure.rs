//! Named numbers that are told now and then: counters that outlive who counts, gauges that do not.
//!
//! A figure has two words for each part, its generation and its value as the bits of an f64. They
//! share cache lines: who counts with every request has a [`Row`](crate::Row).
use crate::directory::{Entry, Kind};
use crate::parts::Parts;
use crate::segment::{Block, Broken, Segment};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

const STRIDE: usize = 2;
const AT_GENERATION: usize = 0;
const AT_VALUE: usize = 1;

/// One part's.
pub struct Figure {
    block: Block,
    parts: Arc<Parts>,
    /// What predecessors have counted; of a gauge nothing.
    base: f64,
}

impl Figure {
    /// This part's of that name.
    ///
    /// # Errors
    /// The directory or the segment is full.
    pub fn new(parts: &Arc<Parts>, name: &str, counter: bool) -> Result<Figure, Broken> {
        let segment = parts.segment();
        let kind = if counter { Kind::Counter } else { Kind::Gauge };
        let block = segment.block(kind, name, STRIDE * segment.parts())?;
        let mut figure = Figure { block, parts: Arc::clone(parts), base: 0.0 };
        if counter {
            figure.base = f64::from_bits(figure.words()[AT_VALUE].load(Relaxed));
        }
        Ok(figure)
    }

    fn words(&self) -> &[AtomicU64] {
        page(&self.block, self.parts.part())
    }

    /// A gauge is this now; a counter has come to this since the figure was made.
    pub fn set(&self, value: f64) {
        let words = self.words();
        words[AT_VALUE].store((self.base + value).to_bits(), Relaxed);
        words[AT_GENERATION].store(self.parts.generation(), Release);
    }

    /// There is no such thing any more: a gauge is not told until it is set again.
    pub fn clear(&self) {
        self.words()[AT_GENERATION].store(0, Release);
    }

    /// What a directory's entry says of each part, where it is a figure: the part and its value.
    /// Counters of the dead are told, gauges are not.
    pub fn read(entry: &Entry, generations: &[u64]) -> Option<Vec<(usize, f64)>> {
        let counter = match entry.kind {
            Kind::Counter => true,
            Kind::Gauge => false,
            _ => return None,
        };
        let fits = entry.block.words().len() == STRIDE * generations.len();
        let told = |(part, &generation): (usize, &u64)| {
            let words = page(&entry.block, part);
            let by = words[AT_GENERATION].load(Acquire);
            let value = f64::from_bits(words[AT_VALUE].load(Relaxed));
            let tells = if counter { by > 0 || value > 0.0 } else { by == generation && by > 0 };
            tells.then_some((part, value))
        };
        fits.then(|| generations.iter().enumerate().filter_map(told).collect())
    }
}

/// Adds to a counter that nobody owns: for who has no part, as a supervisor.
///
/// # Errors
/// The directory or the segment is full.
pub fn count(segment: &Arc<Segment>, name: &str, more: u64) -> Result<(), Broken> {
    segment.block(Kind::Total, name, 1)?.words()[0].fetch_add(more, Relaxed);
    Ok(())
}

/// What a directory's entry says, where it is such a counter.
pub fn total(entry: &Entry) -> Option<u64> {
    let word = entry.block.words().first().filter(|_| entry.kind == Kind::Total)?;
    Some(word.load(Relaxed))
}

fn page(block: &Block, part: usize) -> &[AtomicU64] {
    &block.words()[part * STRIDE..(part + 1) * STRIDE]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(segment: &Arc<Segment>, name: &str) -> Vec<(usize, f64)> {
        let generations = Parts::generations(segment).unwrap();
        let entries = segment.entries();
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        Figure::read(entry, &generations).unwrap()
    }

    #[test]
    fn counters_are_kept_and_gauges_go_with_their_owner() {
        let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let counter = Figure::new(&parts, "seconds", true).unwrap();
        let gauge = Figure::new(&parts, "tasks", false).unwrap();
        counter.set(1.5);
        gauge.set(3.0);
        assert_eq!(told(&segment, "seconds"), [(0, 1.5)]);
        assert_eq!(told(&segment, "tasks"), [(0, 3.0)]);
        gauge.clear();
        assert_eq!(told(&segment, "tasks"), []);
        gauge.set(4.0);
        drop((counter, gauge, parts));
        assert_eq!(told(&segment, "tasks"), []);
        assert_eq!(told(&segment, "seconds"), [(0, 1.5)]);

        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let counter = Figure::new(&parts, "seconds", true).unwrap();
        assert_eq!(told(&segment, "tasks"), []);
        counter.set(0.25);
        assert_eq!(told(&segment, "seconds"), [(0, 1.75)]);
    }

    #[test]
    fn a_total_needs_no_part() {
        let segment = Arc::new(Segment::shared(8 << 20, 1).unwrap());
        count(&segment, "starts", 2).unwrap();
        count(&segment, "starts", 1).unwrap();
        assert_eq!(segment.entries().iter().filter_map(total).collect::<Vec<_>>(), [3]);
    }
}
