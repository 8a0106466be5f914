//! A circuit breaker that all workers see (Nygard, Release It!, 2007; Hystrix's numbers).
//!
//! # Theory
//! One word says it all: 0 is closed, anything else the moment until which it is open. From then on
//! whoever first moves that moment on is the probe; its success closes the breaker, its failure
//! opens it again, and if it never comes back the next probe goes when its time is over.
//!
//! Outcomes are counted in ten buckets a worker, each one word of number, calls and failures, on the
//! worker's own lines; only a failure adds up everybody's. What the breaker itself refused is never
//! counted: go-zero's counted it as requests without success, and stayed open long after the
//! backend was well (issue 4101).
//!
//! The adaptive rule refuses a share of the calls instead of all: (requests - k * accepts) /
//! (requests + 1) (Beyer et al., Site Reliability Engineering, 2016, chapter 21), here of the calls
//! that were let through; and it lets one through each `open`, whatever the share.
use crate::directory::Kind;
use crate::parts::Parts;
use crate::segment::{Block, Broken, LINE};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const STRIDE: usize = LINE / 8;
const BUCKETS: usize = 10;
const AT_REFUSED: usize = BUCKETS;

const AT_UNTIL: usize = 0;
const AT_CHANGED: usize = 1;
const AT_OPENED: usize = 2;
const AT_SHARE: usize = 3;
const AT_LOOKED: usize = 4;
const AT_PASSED: usize = 5;
/// The length of a bucket, for who only looks.
const AT_LENGTH: usize = 6;

/// A bucket: number, calls, failures.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const NUMBER: u64 = (1 << 24) - 1;

/// How stale the adaptive share may be: a tenth of what a person calls at once.
const LOOK_EVERY: u64 = 10_000_000;

/// When to refuse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// This share of at least so many calls failed.
    Ratio(f64, u64),
    /// So many calls failed.
    Count(u64),
    /// The share of the calls that the formula gives for this k, once so many calls were made.
    Adaptive(f64, u64),
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Go.
    Closed,
    /// Go, and decide for the others.
    Probe,
    /// Not now.
    Refused,
}

/// A breaker.
pub struct Breaker {
    rule: Rule,
    /// Nanoseconds that it stays open.
    open: u64,
    /// Nanoseconds of a bucket.
    bucket: u64,
    block: Block,
    parts: usize,
    /// Ours, for as long as we write.
    own: Arc<Parts>,
}

impl Breaker {
    /// The breaker of that name: looks at the last `window` nanoseconds, stays open for `open`.
    pub fn new(
        parts: &Arc<Parts>,
        name: &str,
        rule: Rule,
        open: u64,
        window: u64,
    ) -> Result<Breaker, Broken> {
        let segment = parts.segment();
        let all = segment.parts();
        let block = segment.block(Kind::Breaker, name, STRIDE * (1 + all))?;
        let bucket = (window / BUCKETS as u64).max(1);
        block.words()[AT_LENGTH].store(bucket, Relaxed);
        Ok(Breaker { rule, open: open.max(1), bucket, block, parts: all, own: Arc::clone(parts) })
    }

    /// Asks whether a call may go.
    pub fn enter(&self, now: u64) -> Pass {
        let words = self.block.words();
        let pass = match self.rule {
            Rule::Adaptive(k, calls) => self.enter_adaptive(words, k, calls, now),
            Rule::Ratio(..) | Rule::Count(_) => self.enter_open(words, now),
        };
        if pass == Pass::Refused {
            row(words, self.own.part())[AT_REFUSED].fetch_add(1, Relaxed);
        }
        pass
    }

    fn enter_open(&self, words: &[AtomicU64], now: u64) -> Pass {
        let until = words[AT_UNTIL].load(Acquire);
        if until == 0 {
            return Pass::Closed;
        }
        if now < until {
            return Pass::Refused;
        }
        let next = now.saturating_add(self.open);
        match words[AT_UNTIL].compare_exchange(until, next, AcqRel, Relaxed) {
            Ok(_) => Pass::Probe,
            Err(0) => Pass::Closed,
            Err(_) => Pass::Refused,
        }
    }

    fn enter_adaptive(&self, words: &[AtomicU64], k: f64, calls: u64, now: u64) -> Pass {
        let looked = words[AT_LOOKED].load(Relaxed);
        if now.saturating_sub(looked) >= LOOK_EVERY
            && words[AT_LOOKED].compare_exchange(looked, now, Relaxed, Relaxed).is_ok()
        {
            let (requests, failed) = self.sums(words, now);
            let accepts = (requests - failed) as f64;
            let share = (requests as f64 - k * accepts) / (requests as f64 + 1.0);
            let share = if requests < calls { 0.0 } else { share.max(0.0) };
            words[AT_SHARE].store(share.to_bits(), Relaxed);
        }
        let share = f64::from_bits(words[AT_SHARE].load(Relaxed));
        if share > 0.0 && self.draw(words, now) < share {
            let passed = words[AT_PASSED].load(Relaxed);
            let due = now.saturating_sub(passed) >= self.open;
            let mine =
                due && words[AT_PASSED].compare_exchange(passed, now, Relaxed, Relaxed).is_ok();
            return if mine { Pass::Probe } else { Pass::Refused };
        }
        if share > 0.0 {
            words[AT_PASSED].store(now, Relaxed);
        }
        Pass::Closed
    }

    /// Uniform in [0, 1): splitmix64 (Steele et al., 2014) over the time and the refusals.
    fn draw(&self, words: &[AtomicU64], now: u64) -> f64 {
        let refused = row(words, self.own.part())[AT_REFUSED].load(Relaxed);
        let mut x = now.wrapping_add(refused.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Tells how a call that went came out; `began` is when it entered.
    pub fn leave(&self, pass: Pass, ok: bool, began: u64, now: u64) {
        let words = self.block.words();
        match (pass, self.rule) {
            (Pass::Refused, _) => {}
            (Pass::Probe, Rule::Ratio(..) | Rule::Count(_)) => self.decide(words, ok, now),
            _ if began < words[AT_CHANGED].load(Relaxed) => {}
            _ => {
                self.record(words, ok, now);
                if !ok {
                    self.judge(words, now);
                }
            }
        }
    }

    /// A call ended without saying anything of the backend (its own caller left): a probe's place
    /// is free again.
    pub fn abandon(&self, pass: Pass, now: u64) {
        let words = self.block.words();
        if pass == Pass::Probe && !matches!(self.rule, Rule::Adaptive(..)) {
            let until = words[AT_UNTIL].load(Acquire);
            if until > now {
                let _ = words[AT_UNTIL].compare_exchange(until, now.max(1), AcqRel, Relaxed);
            }
        }
    }

    fn decide(&self, words: &[AtomicU64], ok: bool, now: u64) {
        words[AT_CHANGED].store(now, Relaxed);
        if !ok {
            words[AT_UNTIL].store(now.saturating_add(self.open), Relaxed);
            return;
        }
        for part in 0..self.parts {
            for bucket in &row(words, part)[..BUCKETS] {
                bucket.store(0, Relaxed);
            }
        }
        words[AT_UNTIL].store(0, Relaxed);
    }

    fn record(&self, words: &[AtomicU64], ok: bool, now: u64) {
        let number = now / self.bucket;
        let cell = &row(words, self.own.part())[number as usize % BUCKETS];
        let number = number & NUMBER;
        let update = |word: u64| {
            let (calls, failed) =
                if word >> (2 * COUNT_BITS) == number { parts_of(word) } else { (0, 0) };
            let (calls, failed) = ((calls + 1).min(COUNT), (failed + u64::from(!ok)).min(COUNT));
            Some(number << (2 * COUNT_BITS) | calls << COUNT_BITS | failed)
        };
        let _ = cell.fetch_update(Relaxed, Relaxed, update);
    }

    fn judge(&self, words: &[AtomicU64], now: u64) {
        let (calls, failed) = self.sums(words, now);
        let trips = match self.rule {
            Rule::Ratio(share, least) => calls >= least && failed as f64 >= share * calls as f64,
            Rule::Count(most) => failed >= most,
            Rule::Adaptive(..) => false,
        };
        let until = now.saturating_add(self.open);
        if trips && words[AT_UNTIL].compare_exchange(0, until, AcqRel, Relaxed).is_ok() {
            words[AT_CHANGED].store(now, Relaxed);
            words[AT_OPENED].fetch_add(1, Relaxed);
        }
    }

    fn sums(&self, words: &[AtomicU64], now: u64) -> (u64, u64) {
        sums(words, self.parts, now / self.bucket)
    }

    /// How things stand.
    pub fn state(&self, now: u64) -> Standing {
        let words = self.block.words();
        stands(words, self.parts, now, self.sums(words, now))
    }
}

/// Seconds until it may close (0: closed), the share refused, calls and failures in the window,
/// times opened, calls refused.
pub type Standing = (f64, f64, u64, u64, u64, u64);

/// Of a breaker that is only looked at; nothing where the block is none.
pub fn standing(words: &[AtomicU64], parts: usize, now: u64) -> Option<Standing> {
    if words.len() != STRIDE * (1 + parts) {
        return None;
    }
    let bucket = words[AT_LENGTH].load(Relaxed).max(1);
    Some(stands(words, parts, now, sums(words, parts, now / bucket)))
}

fn stands(words: &[AtomicU64], parts: usize, now: u64, (calls, failed): (u64, u64)) -> Standing {
    let until = words[AT_UNTIL].load(Relaxed);
    let open = if until == 0 { 0.0 } else { (until.saturating_sub(now).max(1)) as f64 / 1e9 };
    // Only the adaptive rule has a share, and that one is never open.
    let adaptive = f64::from_bits(words[AT_SHARE].load(Relaxed));
    let share = if until > now { 1.0 } else { adaptive };
    let refused = (0..parts).map(|part| row(words, part)[AT_REFUSED].load(Relaxed));
    (open, share, calls, failed, words[AT_OPENED].load(Relaxed), refused.sum())
}

/// Calls and failures within the window that ends in the bucket of this number, of all workers.
fn sums(words: &[AtomicU64], parts: usize, number: u64) -> (u64, u64) {
    let rows = (0..parts).map(|part| row(words, part));
    let cells = rows.flat_map(|row| &row[..BUCKETS]).map(|cell| cell.load(Relaxed));
    let recent = cells
        .filter(|word| number.wrapping_sub(word >> (2 * COUNT_BITS)) & NUMBER < BUCKETS as u64);
    recent.map(parts_of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn row(words: &[AtomicU64], part: usize) -> &[AtomicU64] {
    &words[(1 + part) * STRIDE..(2 + part) * STRIDE]
}

fn parts_of(word: u64) -> (u64, u64) {
    ((word >> COUNT_BITS) & COUNT, word & COUNT)
}
