//! The laws of rate limiters, each a function of one word and the time.
//!
//! # Theory
//! * **Meter**: the generic cell rate algorithm (ATM Forum TM 4.0, section 4.4). The word is the
//!   moment up to which the line is booked; a call books `step` = per / rate and is admitted while
//!   the line is booked at most `burst - 1` steps ahead. In any t seconds at most `burst + t * rate`
//!   pass. A token bucket admits the same calls: its tokens are the steps not booked.
//! * **Queue**: the leaky bucket as a queue (Turner, 1986). The word is the moment at which the next
//!   call may go; a call is told to wait for its turn, and refused when `burst` wait already.
//! * **Window**: a sliding window of two counters, the last window's weighted by how much of it the
//!   window that ends now still covers. The word holds the window's number and both counts.
//!
//! A word of zero is that of somebody never seen, and a word that is old enough says nothing any
//! more: so cells need no clean-up, only an eye for which of them are spent.
//!
//! # Rejected
//! * A log of timestamps a key: exact, and memory by the rate.
//! * Floats: with them the last call of a burst came and went with the rounding. The step is
//!   rounded up, so a rate is never exceeded.

/// A window's number, the count of the one before and its own: 20, 22 and 22 bits.
const COUNT_BITS: u32 = 22;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
const NUMBER: u64 = (1 << 20) - 1;

/// Moments of several workers are read before their turn to write comes, so they may go back a
/// little. A word further ahead than that, and than ever booked, is of another clock.
const SKEW: u64 = 1_000_000_000;

/// Windows of that which are believed: numbers go around, and most of them have to mean the past.
const AHEAD: u64 = 1 << 10;

/// What a word and a moment come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The word from now on; of a refused call the same.
    pub next: u64,
    /// Whether the call may go.
    pub admitted: bool,
    /// Nanoseconds: until a refused call would be admitted, or until an admitted one's turn.
    pub wait: u64,
    /// Calls that would still be admitted at once.
    pub remaining: u64,
}

/// A rule, with its numbers worked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Admits at once or refuses.
    Meter {
        /// Nanoseconds of the line that a call books.
        step: u64,
        /// How far ahead the line may be booked.
        most: u64,
    },
    /// Admits in turn, or refuses.
    Queue {
        /// Nanoseconds between turns.
        step: u64,
        /// How far ahead turns are given.
        most: u64,
    },
    /// Counts in windows.
    Window {
        /// Calls in any one of them.
        limit: u64,
        /// Nanoseconds.
        length: u64,
    },
}

impl Law {
    /// The generic cell rate algorithm: `rate` calls in `per` seconds, `burst` at once.
    pub fn meter(rate: f64, per: f64, burst: u64) -> Law {
        let step = step_of(rate, per);
        Law::Meter { step, most: step.saturating_mul(burst.saturating_sub(1)) }
    }

    /// The same rate, one after the other; `burst` of them may wait.
    pub fn queue(rate: f64, per: f64, burst: u64) -> Law {
        let step = step_of(rate, per);
        Law::Queue { step, most: step.saturating_mul(burst) }
    }

    /// At most `rate` calls in a window of `per` seconds, wherever it begins; at most 4,194,303.
    pub fn window(rate: u64, per: f64) -> Law {
        Law::Window { limit: rate.min(COUNT), length: ((per * 1e9) as u64).max(1) }
    }

    /// As three words, for who only looks.
    pub fn words(&self) -> [u64; 3] {
        match *self {
            Law::Meter { step, most } => [1, step, most],
            Law::Queue { step, most } => [2, step, most],
            Law::Window { limit, length } => [3, limit, length],
        }
    }

    /// The law of these words; none where nobody has written them.
    pub fn of_words([kind, first, second]: [u64; 3]) -> Option<Law> {
        match (kind, first, second) {
            (1, step @ 1.., most) => Some(Law::Meter { step, most }),
            (2, step @ 1.., most) => Some(Law::Queue { step, most }),
            (3, limit, length @ 1..) => Some(Law::Window { limit, length }),
            _ => None,
        }
    }

    /// What becomes of `cost` calls at `now`.
    pub fn decide(&self, word: u64, cost: u64, now: u64) -> Decision {
        match *self {
            Law::Meter { step, most } => meter(word, step, most, cost, now),
            Law::Queue { step, most } => queue(word, step, most, cost, now),
            Law::Window { limit, length } => window(word, limit, length, cost, now),
        }
    }

    /// How much a word still says: who is forgotten with the least loses least, and zero is what a
    /// word says of somebody never seen.
    pub fn weight(&self, word: u64, now: u64) -> u64 {
        match *self {
            Law::Meter { .. } | Law::Queue { .. } => word.saturating_sub(now),
            Law::Window { length, .. } => match age(word, now / length) {
                0 => (word & COUNT) + ((word >> COUNT_BITS) & COUNT),
                1 => word & COUNT,
                _ => 0,
            },
        }
    }
}

fn step_of(rate: f64, per: f64) -> u64 {
    // Saturates: a rate of 1e-300 is one call, ever.
    ((per / rate * 1e9).ceil() as u64).clamp(1, u64::MAX / 4)
}

fn meter(word: u64, step: u64, most: u64, cost: u64, now: u64) -> Decision {
    let booking = step.saturating_mul(cost);
    let word = believed(word, most.saturating_add(step), now);
    let booked = word.max(now);
    let ahead = booked - now;
    let after = ahead.saturating_add(booking).saturating_sub(step);
    if after <= most {
        let next = booked.saturating_add(booking);
        let remaining = (most + step).saturating_sub(next - now) / step;
        return Decision { next, admitted: true, wait: 0, remaining };
    }
    let remaining = (most + step).saturating_sub(ahead) / step;
    Decision { next: word, admitted: false, wait: after - most, remaining }
}

/// The word; of another clock, one that counts the line as full.
fn believed(word: u64, most: u64, now: u64) -> u64 {
    let furthest = now.saturating_add(most);
    if word > furthest.saturating_add(SKEW) { furthest } else { word }
}

fn queue(word: u64, step: u64, most: u64, cost: u64, now: u64) -> Decision {
    let word = believed(word, most.saturating_add(step), now);
    let turn = word.max(now);
    let wait = turn - now;
    if wait > most {
        return Decision { next: word, admitted: false, wait: wait - most, remaining: 0 };
    }
    let next = turn.saturating_add(step.saturating_mul(cost));
    let remaining = (most + step).saturating_sub(next - now).div_ceil(step);
    Decision { next, admitted: true, wait, remaining }
}

/// How many windows ago the word was written; numbers go around.
fn age(word: u64, number: u64) -> u64 {
    number.wrapping_sub(word >> (2 * COUNT_BITS)) & NUMBER
}

/// When the word's window began, where somebody counted in it whose look at the clock is newer: it
/// is at least as late as that.
fn began(word: u64, length: u64, now: u64) -> u64 {
    let number = now / length;
    let ahead = (word >> (2 * COUNT_BITS)).wrapping_sub(number) & NUMBER;
    let is_newer = (1..=SKEW.div_ceil(length).min(AHEAD)).contains(&ahead);
    if is_newer { (number + ahead).saturating_mul(length) } else { 0 }
}

fn window(word: u64, limit: u64, length: u64, cost: u64, now: u64) -> Decision {
    let (seen, now) = (now, now.max(began(word, length, now)));
    let number = now / length;
    let (before, own) = match age(word, number) {
        0 => ((word >> COUNT_BITS) & COUNT, word & COUNT),
        1 => (word & COUNT, 0),
        _ => (0, 0),
    };
    let passed = now % length;
    // Of the window that ends now, this much lies in the one before.
    let weighted = scaled(before, length - passed, length);
    let used = weighted + own;
    if used + cost <= limit {
        let next = (number & NUMBER) << (2 * COUNT_BITS) | before << COUNT_BITS | (own + cost);
        return Decision { next, admitted: true, wait: 0, remaining: limit - used - cost };
    }
    let wait = if own + cost <= limit {
        until(before, limit - own - cost, length).saturating_sub(passed)
    } else {
        (length - passed) + until(own, limit.saturating_sub(cost), length)
    };
    Decision {
        next: word,
        admitted: false,
        wait: wait.max(1) + (now - seen),
        remaining: limit.saturating_sub(used),
    }
}

/// `count * part / whole`, rounded up: a limit is not exceeded by rounding.
fn scaled(count: u64, part: u64, whole: u64) -> u64 {
    (u128::from(count) * u128::from(part)).div_ceil(u128::from(whole)) as u64
}

/// How far into a window the one before it, with `count`, weighs no more than `room`.
fn until(count: u64, room: u64, length: u64) -> u64 {
    if count <= room {
        return 0;
    }
    length - (u128::from(room) * u128::from(length) / u128::from(count)) as u64
}
