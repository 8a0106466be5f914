//! What a route's requests came to: counters, a latency histogram, and how many run now.
//!
//! Each worker has a page of its own, and readers add the pages. Buckets are log-linear (16 to each
//! doubling, as in HdrHistogram): a quantile is off by at most 6.25 %, from 1 us to 9 minutes.
use crate::directory::Kind;
use crate::parts::Parts;
use crate::segment::{Block, Broken};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// A page.
const STRIDE: usize = 512;
const AT_RUNNING: usize = 0;
const AT_NANOSECONDS: usize = 1;
/// By the first digit of the status, 1 to 5; 0 is for those whose peer left.
const AT_CLASS: usize = 2;
/// By rule and by whether it was only observed.
const AT_RULE: usize = 8;
const RULES: usize = 8;
/// Nanoseconds within which its requests shall be answered; 0: nobody has said.
const AT_OBJECTIVE: usize = AT_RULE + 2 * RULES;
const AT_BUCKET: usize = 96;

/// Of the histogram.
pub const BUCKETS: usize = STRIDE - AT_BUCKET;
/// Latencies are counted in units of 1,024 ns.
const UNIT_BITS: u32 = 10;
const SUB_BITS: u32 = 4;
const SUB: u64 = 1 << SUB_BITS;

const RUNNING_BITS: u32 = 32;
const RUNNING: u64 = (1 << RUNNING_BITS) - 1;

/// The bucket of a latency in nanoseconds.
pub fn bucket_of(nanoseconds: u64) -> usize {
    let units = nanoseconds >> UNIT_BITS;
    if units < SUB {
        return units as usize;
    }
    let top = units.ilog2();
    let index = u64::from(top - SUB_BITS + 1) * SUB + ((units >> (top - SUB_BITS)) & (SUB - 1));
    (index as usize).min(BUCKETS - 1)
}

/// The nanoseconds below which a bucket's latencies are.
pub fn bound_of(bucket: usize) -> u64 {
    let next = bucket as u64 + 1;
    if next <= SUB {
        return next << UNIT_BITS;
    }
    let (doubling, sub) = (next / SUB, next % SUB);
    ((SUB + sub) << (doubling - 1)) << UNIT_BITS
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With this status.
    Status(u16),
    /// Its peer left first.
    Gone,
}

/// A route's.
#[derive(Clone)]
pub struct Tally {
    block: Block,
    parts: usize,
    part: usize,
    generation: u64,
}

/// All workers' together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Requests that run now.
    pub running: u64,
    /// All latencies together.
    pub nanoseconds: u64,
    /// Requests whose peer left, then by the status's first digit.
    pub classes: [u64; 6],
    /// By rule: refused, and would have been.
    pub rules: [(u64, u64); RULES],
    /// Of the histogram.
    pub buckets: Vec<u64>,
}

impl Tally {
    /// The route's of that name.
    pub fn new(parts: &Parts, name: &str) -> Result<Tally, Broken> {
        let segment = parts.segment();
        let all = segment.parts();
        let block = segment.block(Kind::Tally, name, STRIDE * all)?;
        Ok(Tally { block, parts: all, part: parts.part(), generation: parts.generation() })
    }

    /// One to read, over the block of a directory's entry; none where it has another length.
    pub fn over(block: Block, parts: usize) -> Option<Tally> {
        let fits = block.words().len() == STRIDE * parts;
        fits.then_some(Tally { block, parts, part: 0, generation: 0 })
    }

    fn page(&self, part: usize) -> &[AtomicU64] {
        &self.block.words()[part * STRIDE..(part + 1) * STRIDE]
    }

    /// A request begins; gives how many run now in this worker.
    pub fn enter(&self) -> u64 {
        let running = &self.page(self.part)[AT_RUNNING];
        let generation = self.generation << RUNNING_BITS;
        let word = running.load(Relaxed);
        // A gauge of a dead owner's is nobody's.
        let next = if word >> RUNNING_BITS == self.generation & RUNNING {
            word + 1
        } else {
            generation | 1
        };
        running.store(next, Release);
        next & RUNNING
    }

    /// It has ended after so many nanoseconds.
    pub fn leave(&self, outcome: Outcome, nanoseconds: u64) {
        let page = self.page(self.part);
        self.withdraw();
        let class = match outcome {
            Outcome::Status(status) => usize::from(status / 100).min(5),
            Outcome::Gone => 0,
        };
        add(&page[AT_CLASS + class], 1);
        add(&page[AT_NANOSECONDS], nanoseconds);
        add(&page[AT_BUCKET + bucket_of(nanoseconds)], 1);
    }

    /// It does not begin after all.
    pub fn withdraw(&self) {
        let running = &self.page(self.part)[AT_RUNNING];
        let word = running.load(Relaxed);
        if word & RUNNING > 0 {
            running.store(word - 1, Release);
        }
    }

    /// A rule has refused a request, or would have.
    pub fn refused(&self, rule: usize, observed: bool) {
        add(&self.page(self.part)[AT_RULE + rule * 2 + usize::from(observed)], 1);
    }

    /// Its requests shall be answered within so many nanoseconds.
    pub fn aim(&self, nanoseconds: u64) {
        self.page(self.part)[AT_OBJECTIVE].store(nanoseconds, Relaxed);
    }

    /// What was said of that; of workers that say different things, the longest.
    pub fn objective(&self) -> u64 {
        let all = (0..self.parts).map(|part| self.page(part)[AT_OBJECTIVE].load(Relaxed));
        all.max().unwrap_or(0)
    }

    /// How many run now in all living workers.
    pub fn running(&self, parts: &Parts) -> u64 {
        (0..self.parts).map(|part| self.running_of(part, parts.generation_of(part))).sum()
    }

    fn running_of(&self, part: usize, generation: u64) -> u64 {
        let word = self.page(part)[AT_RUNNING].load(Acquire);
        let (owner, running) = (word >> RUNNING_BITS, word & RUNNING);
        if owner == generation & RUNNING { running } else { 0 }
    }

    /// All of it.
    pub fn read(&self, generations: &[u64]) -> Reading {
        let sum = |at: usize| (0..self.parts).map(|part| self.page(part)[at].load(Relaxed)).sum();
        let rule = |rule: usize| (sum(AT_RULE + rule * 2), sum(AT_RULE + rule * 2 + 1));
        Reading {
            running: (0..self.parts).map(|part| self.running_of(part, generations[part])).sum(),
            nanoseconds: sum(AT_NANOSECONDS),
            classes: std::array::from_fn(|class| sum(AT_CLASS + class)),
            rules: std::array::from_fn(rule),
            buckets: (0..BUCKETS).map(|bucket| sum(AT_BUCKET + bucket)).collect(),
        }
    }
}

/// A page has one writer, the worker's loop, so that adding needs no locked instruction; a reader
/// sees the old number or the new.
fn add(word: &AtomicU64, more: u64) {
    word.store(word.load(Relaxed).wrapping_add(more), Relaxed);
}
