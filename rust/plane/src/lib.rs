//! What the workers of one machine share: one mapped segment of 64-bit atomics.
//!
//! # Theory
//! Everything that has to be counted once for a server, whatever the number of its workers, lies in
//! a segment that they all map: limiter cells, breakers, counters, histograms, the last refusals.
//! A segment has a directory from names to blocks; a block is a row of atomics that starts as
//! zeros, and zeros are the first state of everything here. Without other workers a segment is
//! plain memory, and nothing else is different.
//!
//! # Rules
//! 1. No locks. A worker may be killed between any two instructions; what it leaves is a state that
//!    another one could have made. A limiter is one word, and a decision one compare-and-swap.
//! 2. What only one worker writes (counters, histograms, a breaker's window) has a part for each
//!    worker, on cache lines of its own; readers add the parts. A dead worker's part stays in the
//!    sum, its successor counts on in it; gauges of a part without a living owner are not read.
//! 3. Time is `CLOCK_MONOTONIC` in nanoseconds: the same for all processes of a machine, and
//!    nobody sets it.
//! 4. The layout has a number; who finds another one leaves the segment alone.
//!
//! # Rejected
//! * A file in `/dev/shm`: outlives a crash, has to be named and cleaned. A memfd goes with its last
//!   descriptor, and `/proc/PID/fd` lets others of the same user look in.
//! * Robust mutexes: every decision would cost two more atomic operations, and the owner's death a
//!   recovery that nothing exercises until it is needed.

mod breaker;
mod directory;
mod exemplar;
mod figure;
mod law;
mod limiter;
mod parts;
mod refusals;
mod row;
mod segment;
mod shed;
mod tally;

pub use breaker::{Breaker, Pass, Rule as BreakerRule, Standing, standing as breaker_standing};
pub use directory::{Entry, Kind};
pub use exemplar::{Exemplar, Exemplars};
pub use figure::{Figure, count, total};
pub use law::{Decision, Law};
pub use limiter::{Counts, Limiter, standing as limiter_standing};
pub use parts::Parts;
pub use refusals::{FIGURES, Record, Refusals};
pub use row::{COUNTERS, Figures, GAUGES, Row};
pub use segment::{Block, Broken, Segment, VERSION};
pub use shed::{Class, Overload, Settings as ShedSettings, Shed, Signals};
pub use tally::{BUCKETS, Outcome, Reading, Tally, bound_of, bucket_of};

/// Nanoseconds of the clock that nobody sets.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
