//! When requests are due in an open loop.

/// A constant rate, drawn ahead: request `k` is due at `first + k * interval`.
///
/// What is due and not taken is the backlog. It is bounded by time: a request that nobody could
/// send within the response timeout is dropped and counted, as its user would have given up.
pub(crate) struct Pace {
    first: f64,
    interval: f64,
    end: u64,
    taken: u64,
}

impl Pace {
    /// `rate` a second over all threads; thread `index` of `threads` takes every `threads`-th.
    pub(crate) fn new(rate: f64, index: usize, threads: usize, end: u64) -> Self {
        let gap = 1e9 / rate;
        Self { first: gap * index as f64, interval: gap * threads as f64, end, taken: 0 }
    }

    /// When the next request is due, in nanoseconds of the run; None: there is none left.
    pub(crate) fn next(&self) -> Option<u64> {
        let due = (self.first + self.interval * self.taken as f64) as u64;
        (due < self.end).then_some(due)
    }

    /// Takes the next request if it is due; gives its intended start.
    pub(crate) fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.next().filter(|&due| due <= now)?;
        self.taken += 1;
        Some(due)
    }

    /// Takes the next request if it has waited longer than `patience`.
    pub(crate) fn give_up(&mut self, now: u64, patience: u64) -> Option<u64> {
        self.next().filter(|&due| due + patience < now)?;
        self.take(now)
    }

    /// How many requests are due and not taken.
    pub(crate) fn backlog(&self, now: u64) -> u64 {
        let until = now.min(self.end) as f64;
        let due = ((until - self.first) / self.interval).ceil().max(0.0) as u64;
        due.saturating_sub(self.taken)
    }

    /// No request is due at `now` or later.
    pub(crate) fn stop(&mut self, now: u64) {
        self.end = self.end.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn taken(pace: &mut Pace, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| pace.take(now)).collect()
    }

    #[test]
    fn requests_are_due_at_the_rate_whenever_they_are_taken() {
        let mut pace = Pace::new(4.0, 0, 1, SECOND);
        assert_eq!(taken(&mut pace, 0), [0]);
        assert_eq!(taken(&mut pace, 249_999_999), []);
        assert_eq!(pace.backlog(SECOND), 3);
        assert_eq!(taken(&mut pace, 9 * SECOND), [250_000_000, 500_000_000, 750_000_000]);
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn threads_share_the_rate() {
        let mut all: Vec<u64> =
            (0..3).flat_map(|i| taken(&mut Pace::new(6.0, i, 3, SECOND), SECOND)).collect();
        all.sort_unstable();
        assert_eq!(all, taken(&mut Pace::new(6.0, 0, 1, SECOND), SECOND));
    }

    #[test]
    fn what_waited_too_long_is_given_up_oldest_first() {
        let mut pace = Pace::new(10.0, 0, 1, SECOND);
        assert_eq!(pace.give_up(SECOND / 2, SECOND / 2), None);
        assert_eq!(pace.give_up(SECOND / 2 + 1, SECOND / 2), Some(0));
        assert_eq!(pace.give_up(SECOND / 2 + 1, SECOND / 2), None);
        assert_eq!(pace.backlog(SECOND / 2 + 1), 5);
    }

    #[test]
    fn after_a_stop_nothing_more_is_due() {
        let mut pace = Pace::new(10.0, 0, 1, SECOND);
        pace.stop(150_000_000);
        assert_eq!(taken(&mut pace, SECOND), [0, 100_000_000]);
        assert_eq!(pace.backlog(SECOND), 0);
    }
}
