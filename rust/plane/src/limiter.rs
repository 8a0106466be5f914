//! A law applied to cells that all workers see: one for everybody, or one a key.
//!
//! # Keys
//! A table of sets of four, each set a cache line: the key's hash and its word. Nothing is ever
//! locked or removed. A cell whose word is spent says no more than an empty one, so it is simply
//! taken over; when none of a set is, the one that has booked least is, and counted as forgotten.
//!
//! Two words, so a reader may see a new key beside the old word. A spent word changes nothing for
//! the new key, one that was taken from somebody makes it stricter, never looser. Who has booked on
//! a cell looks at its key again: if it was taken over meanwhile, the booking is the new key's loss
//! (one call), and is made again elsewhere.
//!
//! # Rejected
//! A list for least recently used: an order that all workers agree on is a lock, or a fourth of the
//! requests' time (memcached's long way from its LRU lock to segments). What has booked least is
//! what has been idle longest, or was slowest: the same for a limiter.
use crate::directory::Kind;
use crate::law::{Decision, Law};
use crate::parts::Parts;
use crate::segment::{Block, Broken, LINE};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const STRIDE: usize = LINE / 8;
const WAYS: usize = 4;
const SET: usize = WAYS * 2;

const ADMITTED: usize = 0;
const REFUSED: usize = 1;
const FORGOTTEN: usize = 2;

/// In the first line, behind the word that all calls share: the law, for who only looks.
const AT_LAW: usize = 1;

/// Calls by outcome, and keys that were forgotten for want of room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Went through.
    pub admitted: u64,
    /// Did not.
    pub refused: u64,
    /// Evicted while they still meant something.
    pub forgotten: u64,
}

/// A rate limit.
pub struct Limiter {
    law: Law,
    block: Block,
    /// Sets of the table.
    sets: usize,
    parts: usize,
    /// Ours, for as long as we write.
    own: Arc<Parts>,
}

impl Limiter {
    /// The limiter of that name; `keys` of it at once, none where all calls count together.
    pub fn new(parts: &Arc<Parts>, name: &str, law: Law, keys: usize) -> Result<Limiter, Broken> {
        let (segment, sets) = (parts.segment(), keys.div_ceil(WAYS).next_power_of_two());
        let sets = if keys == 0 { 0 } else { sets };
        let all = segment.parts();
        let count = STRIDE + all * STRIDE + sets * SET;
        let block = segment.block(Kind::Limiter, name, count)?;
        for (word, value) in block.words()[AT_LAW..].iter().zip(law.words()) {
            word.store(value, Relaxed);
        }
        Ok(Limiter { law, block, sets, parts: all, own: Arc::clone(parts) })
    }

    /// The law.
    pub fn law(&self) -> Law {
        self.law
    }

    /// Decides on a call that counts together with all others.
    pub fn acquire(&self, cost: u64, now: u64) -> Decision {
        let words = self.block.words();
        let (decision, _) = book(self.law, &words[0], cost, now);
        self.count(words, decision)
    }

    /// Decides on a call of one key's.
    pub fn acquire_for(&self, key: &[u8], cost: u64, now: u64) -> Decision {
        if self.sets == 0 {
            return self.acquire(cost, now);
        }
        let words = self.block.words();
        let key = self.block.segment().hash(key).max(1);
        loop {
            let cell = self.cell_of(words, key, now);
            let (decision, _) = book(self.law, &cell[1], cost, now);
            if !decision.admitted || cell[0].load(Acquire) == key {
                return self.count(words, decision);
            }
        }
    }

    fn cell_of<'a>(&self, words: &'a [AtomicU64], key: u64, now: u64) -> &'a [AtomicU64] {
        loop {
            // Two sets to choose from (Azar et al., 1994): keys are forgotten only when nearly all
            // of the table is in use.
            let sets = [key >> 32, key].map(|hash| self.set(words, hash));
            let mut victim: Option<(&[AtomicU64], u64, u64, u64)> = None;
            for cell in sets.iter().flat_map(|set| set.chunks_exact(2)) {
                let owner = cell[0].load(Acquire);
                if owner == key {
                    return cell;
                }
                let word = cell[1].load(Relaxed);
                let weight = self.law.weight(word, now);
                if victim.is_none_or(|(.., least)| weight < least) {
                    victim = Some((cell, owner, word, weight));
                }
            }
            let Some((cell, owner, word, weight)) = victim else { continue };
            if cell[0].compare_exchange(owner, key, AcqRel, Relaxed).is_ok() {
                if weight > 0 {
                    self.part(words)[FORGOTTEN].fetch_add(1, Relaxed);
                    // Fails where somebody has booked on it: then the debt is inherited.
                    let _ = cell[1].compare_exchange(word, 0, AcqRel, Relaxed);
                }
                return cell;
            }
        }
    }

    fn set<'a>(&self, words: &'a [AtomicU64], hash: u64) -> &'a [AtomicU64] {
        // The table begins on a line, and a set is half of one.
        let at = STRIDE + self.parts * STRIDE + hash as usize % self.sets * SET;
        &words[at..at + SET]
    }

    fn part<'a>(&self, words: &'a [AtomicU64]) -> &'a [AtomicU64] {
        let at = STRIDE + self.own.part() * STRIDE;
        &words[at..at + STRIDE]
    }

    fn count(&self, words: &[AtomicU64], decision: Decision) -> Decision {
        let which = if decision.admitted { ADMITTED } else { REFUSED };
        self.part(words)[which].fetch_add(1, Relaxed);
        decision
    }

    /// Of all workers.
    pub fn counts(&self) -> Counts {
        counts_of(self.block.words(), self.parts)
    }

    /// Keys that mean something at `now`.
    pub fn keys(&self, now: u64) -> usize {
        let table = &self.block.words()[STRIDE + self.parts * STRIDE..];
        let known = |cell: &&[AtomicU64]| {
            cell[0].load(Relaxed) != 0 && self.law.weight(cell[1].load(Relaxed), now) > 0
        };
        table.chunks_exact(2).filter(known).count()
    }
}

/// The law of a limiter that is only looked at, its counts, and how many calls of everybody's would
/// pass now (None where each key has its own); nothing where the block is too short to be one.
pub fn standing(words: &[AtomicU64], parts: usize, now: u64) -> Option<(Law, Counts, Option<u64>)> {
    let fixed = STRIDE * (1 + parts);
    if words.len() < fixed {
        return None;
    }
    let law = [0, 1, 2].map(|at| words[AT_LAW + at].load(Relaxed));
    let law = Law::of_words(law)?;
    let shared = words.len() == fixed;
    let left = shared.then(|| law.decide(words[0].load(Relaxed), 1, now));
    let left = left.map(|decision| decision.remaining + u64::from(decision.admitted));
    Some((law, counts_of(words, parts), left))
}

fn counts_of(words: &[AtomicU64], parts: usize) -> Counts {
    let sum = |which: usize| {
        (0..parts).map(|part| words[STRIDE + part * STRIDE + which].load(Relaxed)).sum()
    };
    Counts { admitted: sum(ADMITTED), refused: sum(REFUSED), forgotten: sum(FORGOTTEN) }
}

fn book(law: Law, cell: &AtomicU64, cost: u64, now: u64) -> (Decision, u64) {
    let mut word = cell.load(Relaxed);
    loop {
        let decision = law.decide(word, cost, now);
        if decision.next == word {
            return (decision, word);
        }
        match cell.compare_exchange_weak(word, decision.next, AcqRel, Relaxed) {
            Ok(_) => return (decision, word),
            Err(seen) => word = seen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;

    #[test]
    fn who_only_looks_sees_the_law_and_the_counts() {
        let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
        let parts = Arc::new(Parts::claim(&segment).unwrap());
        let (gcra, window) = (Law::meter(10.0, 1.0, 3), Law::window(100, 60.0));
        let shared = Limiter::new(&parts, "shared", gcra, 0).unwrap();
        let keyed = Limiter::new(&parts, "keyed", window, 64).unwrap();
        let now = 1_000_000_000_000;
        for _ in 0..4 {
            shared.acquire(1, now);
            keyed.acquire_for(b"a", 1, now);
        }
        let seen = |limiter: &Limiter| standing(limiter.block.words(), 2, now).unwrap();
        let counts = |admitted, refused| Counts { admitted, refused, forgotten: 0 };
        assert_eq!(seen(&shared), (gcra, counts(3, 1), Some(0)));
        assert_eq!(seen(&keyed), (window, counts(4, 0), None));
        assert!(standing(&keyed.block.words()[..STRIDE], 2, now).is_none());
        keyed.block.words()[AT_LAW].store(9, Relaxed);
        assert!(standing(keyed.block.words(), 2, now).is_none());
    }
}
