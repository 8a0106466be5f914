//! What a part counts of itself in a row of plain words: many figures, one writer, no lock.
//!
//! The first words of a row are gauges, behind the generation that they belong to; the rest are
//! counters, which a successor goes on with. A worker's row is written by its loop alone, so that
//! counting is a load, an addition and a store, as it is in memory of its own.
use crate::directory::{END, Kind};
use crate::parts::Parts;
use crate::segment::{Block, Broken, Held, Segment};
use std::collections::HashSet;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, PoisonError};

/// Words of a row: four pairs of cache lines.
const STRIDE: usize = 64;
const AT_GENERATION: usize = 0;
const AT_GAUGE: usize = 1;
/// Gauges of a row.
pub const GAUGES: usize = 7;
const AT_COUNTER: usize = AT_GAUGE + GAUGES;
/// Counters of a row.
pub const COUNTERS: usize = STRIDE - AT_COUNTER;

/// Names of rows that somebody in this process writes.
#[derive(Default)]
pub(crate) struct Taken(Mutex<HashSet<String>>);

/// One part's row.
pub struct Row {
    words: Held<STRIDE>,
    /// Whose it is, where others see it.
    claimed: Option<(Arc<Parts>, String)>,
    /// What its counters were when it was taken over.
    base: [u64; COUNTERS],
}

/// A row as a reader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Of the part.
    pub counters: [u64; COUNTERS],
    /// None where whoever wrote them has ended.
    pub gauges: Option<[u64; GAUGES]>,
}

impl Row {
    /// This part's of that name; none where another one of this process writes it.
    ///
    /// # Errors
    /// The directory or the segment is full.
    pub fn claim(parts: &Arc<Parts>, name: &str) -> Result<Option<Row>, Broken> {
        let segment = parts.segment();
        let block = segment.block(Kind::Row, name, STRIDE * segment.parts())?;
        let mut taken = parts.taken.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(name.to_owned()) {
            return Ok(None);
        }
        drop(taken);
        let words = block.hold(parts.part() * STRIDE);
        let base = std::array::from_fn(|index| words.all()[AT_COUNTER + index].load(Relaxed));
        words.all()[AT_GENERATION].store(0, Release);
        for gauge in &words.all()[AT_GAUGE..AT_COUNTER] {
            gauge.store(0, Relaxed);
        }
        words.all()[AT_GENERATION].store(parts.generation(), Release);
        Ok(Some(Row { words, claimed: Some((Arc::clone(parts), name.to_owned())), base }))
    }

    /// One that nobody else sees.
    ///
    /// # Errors
    /// The kernel gives no memory.
    pub fn own() -> Result<Row, Broken> {
        let segment = Arc::new(Segment::private(END + STRIDE * 8)?);
        let words = segment.block(Kind::Row, "own", STRIDE)?.hold(0);
        Ok(Row { words, claimed: None, base: [0; COUNTERS] })
    }

    /// More of a counter.
    pub fn add(&self, counter: usize, more: u64) {
        let word = &self.words.all()[AT_COUNTER + counter];
        word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
    }

    /// A gauge is this now.
    pub fn set(&self, gauge: usize, value: u64) {
        self.words.all()[AT_GAUGE + gauge].store(value, Relaxed);
    }

    /// What was added to a counter since the row was claimed.
    pub fn since(&self, counter: usize) -> u64 {
        self.words.all()[AT_COUNTER + counter].load(Relaxed).wrapping_sub(self.base[counter])
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if let Some((parts, name)) = &self.claimed {
            self.words.all()[AT_GENERATION].store(0, Release);
            parts.taken.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
    }
}

impl Figures {
    /// Those of every part, in their order; none where the block has another length.
    pub fn over(block: &Block, generations: &[u64]) -> Option<Vec<Figures>> {
        let fits = block.words().len() == STRIDE * generations.len();
        let read = |(part, &generation): (usize, &u64)| {
            let words = page(block, part);
            let alive = words[AT_GENERATION].load(Acquire) == generation && generation > 0;
            let at = |index: usize| words[index].load(Relaxed);
            Figures {
                counters: std::array::from_fn(|index| at(AT_COUNTER + index)),
                gauges: alive.then(|| std::array::from_fn(|index| at(AT_GAUGE + index))),
            }
        };
        fits.then(|| generations.iter().enumerate().map(read).collect())
    }
}

fn page(block: &Block, part: usize) -> &[AtomicU64] {
    &block.words()[part * STRIDE..(part + 1) * STRIDE]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(segment: &Arc<Segment>) -> Vec<Figures> {
        let entries = segment.entries();
        let entry = entries.iter().find(|entry| entry.kind == Kind::Row).unwrap();
        Figures::over(&entry.block, &Parts::generations(segment).unwrap()).unwrap()
    }

    #[test]
    fn a_successor_counts_on_and_a_dead_ones_gauges_are_nobodys() {
        let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let row = Row::claim(&parts, "engine").unwrap().unwrap();
        row.add(3, 5);
        row.set(0, 7);
        assert_eq!(seen(&segment)[0].counters[3], 5);
        assert_eq!(seen(&segment)[0].gauges.unwrap()[0], 7);
        assert_eq!(seen(&segment)[1].gauges, None);
        Parts::bury(&segment, std::process::id()).unwrap();
        assert_eq!(seen(&segment)[0].gauges, None);
        drop((row, parts));

        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let row = Row::claim(&parts, "engine").unwrap().unwrap();
        row.add(3, 1);
        assert_eq!((row.since(3), seen(&segment)[0].counters[3]), (1, 6));
        assert_eq!(seen(&segment)[0].gauges.unwrap()[0], 0);
    }

    #[test]
    fn a_row_has_one_writer_in_a_process() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let row = Row::claim(&parts, "engine").unwrap();
        assert!(row.is_some());
        assert!(Row::claim(&parts, "engine").unwrap().is_none());
        assert!(Row::claim(&parts, "other").unwrap().is_some());
        drop(row);
        assert!(Row::claim(&parts, "engine").unwrap().is_some());
    }

    #[test]
    fn one_of_ones_own_counts_as_well() {
        let row = Row::own().unwrap();
        row.add(COUNTERS - 1, 2);
        row.set(GAUGES - 1, 1);
        assert_eq!((row.since(COUNTERS - 1), row.since(0)), (2, 0));
    }
}
