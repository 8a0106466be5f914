//! Of each bucket that is shown, one request that a trace tells more of.
//!
//! A part writes cells of its own, one for each doubling; a cell's first word is odd while it is
//! written, and a reader leaves such a one out. The newest of all parts is told. Of a worker that
//! is killed while it writes, the cell stays unread until its successor writes there.
use crate::directory::Kind;
use crate::parts::Parts;
use crate::segment::{Block, Broken};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};

/// Bits of nanoseconds that the first bucket holds: below 65.5 us.
const SHORTEST: u32 = 16;
/// 20 doublings, and what is longer.
const CELLS: usize = 21;
const WORDS: usize = 8;
const AT_TURN: usize = 0;
const AT_TRACE: usize = 1;
const AT_SPAN: usize = 3;
const AT_NANOSECONDS: usize = 4;
const AT_TIME: usize = 5;
const STRIDE: usize = CELLS * WORDS;

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// Of the trace.
    pub trace: u128,
    /// Of the request's span.
    pub span: u64,
    /// That it took.
    pub nanoseconds: u64,
    /// When it ended; nanoseconds since 1970.
    pub time: u64,
}

/// A route's.
pub struct Exemplars {
    block: Block,
    parts: Arc<Parts>,
}

impl Exemplars {
    /// The route's of that name.
    ///
    /// # Errors
    /// The directory or the segment is full.
    pub fn new(parts: &Arc<Parts>, name: &str) -> Result<Exemplars, Broken> {
        let segment = parts.segment();
        let block = segment.block(Kind::Exemplars, name, STRIDE * segment.parts())?;
        Ok(Exemplars { block, parts: Arc::clone(parts) })
    }

    /// The newest of its bucket; of two writers in one process, one.
    pub fn put(&self, exemplar: &Exemplar) {
        let at = self.parts.part() * STRIDE + cell_of(exemplar.nanoseconds) * WORDS;
        let cell = &self.block.words()[at..at + WORDS];
        let turn = cell[AT_TURN].load(Relaxed) | 1;
        cell[AT_TURN].store(turn, Relaxed);
        fence(Release);
        cell[AT_TRACE].store((exemplar.trace >> 64) as u64, Relaxed);
        cell[AT_TRACE + 1].store(exemplar.trace as u64, Relaxed);
        cell[AT_SPAN].store(exemplar.span, Relaxed);
        cell[AT_NANOSECONDS].store(exemplar.nanoseconds, Relaxed);
        cell[AT_TIME].store(exemplar.time, Relaxed);
        cell[AT_TURN].store(turn.wrapping_add(1), Release);
    }

    /// By bucket the newest of a block's parts; none where it has another length.
    pub fn over(block: &Block, parts: usize) -> Option<Vec<Option<Exemplar>>> {
        let words = block.words();
        let newest = |cell: usize| {
            let all = (0..parts).filter_map(|part| {
                let at = part * STRIDE + cell * WORDS;
                read(&words[at..at + WORDS])
            });
            all.max_by_key(|exemplar| exemplar.time)
        };
        (words.len() == STRIDE * parts).then(|| (0..CELLS).map(newest).collect())
    }
}

fn read(cell: &[AtomicU64]) -> Option<Exemplar> {
    let turn = cell[AT_TURN].load(Acquire);
    if turn == 0 || turn & 1 == 1 {
        return None;
    }
    let at = |index: usize| cell[index].load(Relaxed);
    let exemplar = Exemplar {
        trace: u128::from(at(AT_TRACE)) << 64 | u128::from(at(AT_TRACE + 1)),
        span: at(AT_SPAN),
        nanoseconds: at(AT_NANOSECONDS),
        time: at(AT_TIME),
    };
    fence(Acquire);
    (at(AT_TURN) == turn).then_some(exemplar)
}

/// The bucket whose bound is the first above it.
fn cell_of(nanoseconds: u64) -> usize {
    let bits = u64::BITS - nanoseconds.leading_zeros();
    (bits.saturating_sub(SHORTEST) as usize).min(CELLS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;

    fn all(segment: &Arc<Segment>) -> Vec<Option<Exemplar>> {
        let entries = segment.entries();
        let entry = entries.iter().find(|entry| entry.kind == Kind::Exemplars).unwrap();
        Exemplars::over(&entry.block, segment.parts()).unwrap()
    }

    #[test]
    fn the_newest_of_a_bucket_is_told() {
        let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
        let one = Arc::new(Parts::claim(&segment).unwrap());
        let two = Arc::new(Parts::claim(&segment).unwrap());
        let exemplar = |trace, nanoseconds, time| Exemplar { trace, span: 9, nanoseconds, time };
        let (old, new) = (exemplar(1 << 100, 70_000, 5), exemplar(7, 131_071, 6));
        Exemplars::new(&one, "GET /").unwrap().put(&old);
        assert_eq!(all(&segment)[1], Some(old));
        Exemplars::new(&two, "GET /").unwrap().put(&new);
        Exemplars::new(&one, "GET /").unwrap().put(&exemplar(2, u64::MAX, 1));
        assert_eq!(all(&segment)[1], Some(new));
        assert_eq!(all(&segment)[20].unwrap().trace, 2);
        assert_eq!(all(&segment).iter().flatten().count(), 2);
    }

    #[test]
    fn half_a_one_is_left_out_until_somebody_writes_there_again() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let exemplars = Exemplars::new(&parts, "GET /").unwrap();
        let exemplar = Exemplar { trace: 1, span: 2, nanoseconds: 3, time: 4 };
        exemplars.put(&exemplar);
        exemplars.block.words()[AT_TURN].fetch_add(1, Relaxed);
        assert_eq!(all(&segment)[0], None);
        exemplars.put(&exemplar);
        assert_eq!(all(&segment)[0], Some(exemplar));
    }

    #[test]
    fn a_bucket_is_the_first_whose_bound_is_above() {
        assert_eq!([0, 65_535, 65_536, 131_071, 131_072].map(cell_of), [0, 0, 1, 1, 2]);
        assert_eq!([(1 << 35) - 1, 1 << 35, u64::MAX].map(cell_of), [19, 20, 20]);
    }
}
