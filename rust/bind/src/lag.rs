//! How late the loop is: the engine's part of what shedding goes by.
use plane::Signals;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds between two questions to the loop: each costs about a microsecond.
const ASK_EVERY: u64 = 5_000_000;
/// And between two looks at the processor's clock: a system call.
const LOOK_EVERY: u64 = 100_000_000;

/// What is known, and what has been asked.
#[derive(Default)]
pub struct Lag {
    pub signals: Signals,
    /// Some gate goes by it.
    pub wanted: bool,
    /// The share of a processor that this worker may have.
    cores: f64,
    asked: Option<u64>,
    looked: (u64, u64),
}

impl Lag {
    /// For a worker that may use this share of a processor.
    pub fn new(cores: f64) -> Lag {
        Lag { cores: cores.clamp(0.01, 1.0), ..Lag::default() }
    }

    /// A turn's events have become known.
    pub fn turn(&mut self, now: u64) {
        self.signals.turn = now;
        if !self.wanted || now.saturating_sub(self.looked.0) < LOOK_EVERY {
            return;
        }
        let used = clock_gettime(ClockId::ThreadCPUTime);
        let used = used.tv_sec as u64 * 1_000_000_000 + used.tv_nsec as u64;
        let (since, before) = std::mem::replace(&mut self.looked, (now, used));
        if since > 0 {
            let share = used.saturating_sub(before) as f64 / now.saturating_sub(since) as f64;
            self.signals.cpu = share / self.cores;
        }
    }

    /// Whether the loop is to be asked now.
    pub fn asks(&mut self) -> bool {
        let due = self.signals.turn.saturating_sub(self.signals.lag_at) >= ASK_EVERY;
        if !self.wanted || self.asked.is_some() || !due {
            return false;
        }
        self.asked = Some(self.signals.turn);
        true
    }

    /// It has come to the question: a turn of it is over.
    pub fn answered(&mut self) {
        if let Some(asked) = self.asked.take() {
            let now = plane::now();
            self.signals.lag = now.saturating_sub(asked);
            self.signals.lag_at = now;
        }
    }

    /// The last turn's length, in seconds.
    pub fn seconds(&self) -> f64 {
        self.signals.lag as f64 / 1e9
    }
}
