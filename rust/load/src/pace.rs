//! When requests are due in an open loop.
use std::sync::Arc;

use crate::profile::Profile;

/// A schedule drawn ahead: request `k` is due when the area under the rate reaches `k`.
///
/// What is due and not taken is the backlog. It is bounded by time: a request that nobody could
/// send within the response timeout is dropped and counted, as its user would have given up.
pub(crate) struct Pace {
    rate: Arc<Profile>,
    /// Threads take turns: this one has `index`, `index + threads`, ...
    index: u64,
    threads: u64,
    taken: u64,
    /// When the next one is due; known ahead, since it is asked for several times a turn.
    upcoming: Option<u64>,
    end: u64,
}

impl Pace {
    /// The share that thread `index` of `threads` has of a rate, until `end`.
    pub(crate) fn new(rate: Arc<Profile>, index: usize, threads: usize, end: u64) -> Self {
        let (index, threads) = (index as u64, threads as u64);
        let upcoming = rate.due(index);
        Self { rate, index, threads, taken: 0, upcoming, end }
    }

    /// When the next request is due, in nanoseconds of the run; None: there is none left.
    pub(crate) fn next(&self) -> Option<u64> {
        self.upcoming.filter(|&due| due < self.end)
    }

    /// Takes the next request if it is due; gives its intended start.
    pub(crate) fn take(&mut self, now: u64) -> Option<u64> {
        let due = self.next().filter(|&due| due <= now)?;
        self.taken += 1;
        self.upcoming = self.rate.due(self.index + self.taken * self.threads);
        Some(due)
    }

    /// Takes the next request if it has waited longer than `patience`.
    pub(crate) fn give_up(&mut self, now: u64, patience: u64) -> Option<u64> {
        self.next().filter(|&due| due + patience < now)?;
        self.take(now)
    }

    /// How many requests are due and not taken.
    pub(crate) fn backlog(&self, now: u64) -> u64 {
        let due = self.rate.count(now.min(self.end));
        let mine = due.saturating_sub(self.index).div_ceil(self.threads);
        mine.saturating_sub(self.taken)
    }

    /// No request is due at `now` or later.
    pub(crate) fn stop(&mut self, now: u64) {
        self.end = self.end.min(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Stretch;

    const SECOND: u64 = 1_000_000_000;

    fn pace(rate: f64, index: usize, threads: usize) -> Pace {
        let profile = Profile::new(&[Stretch { seconds: 1.0, from: rate, to: rate }]);
        Pace::new(Arc::new(profile), index, threads, SECOND)
    }

    fn taken(pace: &mut Pace, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| pace.take(now)).collect()
    }

    #[test]
    fn requests_are_due_at_the_rate_whenever_they_are_taken() {
        let mut pace = pace(4.0, 0, 1);
        assert_eq!(taken(&mut pace, 0), [0]);
        assert_eq!(taken(&mut pace, 249_999_999), []);
        assert_eq!(pace.backlog(SECOND), 3);
        assert_eq!(taken(&mut pace, 9 * SECOND), [250_000_000, 500_000_000, 750_000_000]);
        assert_eq!(pace.next(), None);
    }

    #[test]
    fn threads_share_the_rate() {
        let mut all: Vec<u64> = (0..3).flat_map(|i| taken(&mut pace(6.0, i, 3), SECOND)).collect();
        all.sort_unstable();
        assert_eq!(all, taken(&mut pace(6.0, 0, 1), SECOND));
        assert_eq!((0..3).map(|i| pace(7.0, i, 3).backlog(SECOND)).sum::<u64>(), 7);
    }

    #[test]
    fn what_waited_too_long_is_given_up_oldest_first() {
        let mut pace = pace(10.0, 0, 1);
        assert_eq!(pace.give_up(SECOND / 2, SECOND / 2), None);
        assert_eq!(pace.give_up(SECOND / 2 + 1, SECOND / 2), Some(0));
        assert_eq!(pace.give_up(SECOND / 2 + 1, SECOND / 2), None);
        assert_eq!(pace.backlog(SECOND / 10 * 6 - 1), 5);
    }

    #[test]
    fn after_a_stop_nothing_more_is_due() {
        let mut pace = pace(10.0, 0, 1);
        pace.stop(150_000_000);
        assert_eq!(taken(&mut pace, SECOND), [0, 100_000_000]);
        assert_eq!(pace.backlog(SECOND), 0);
    }
}
