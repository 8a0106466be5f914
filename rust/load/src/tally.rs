//! What came back: counts, latencies, outcomes.
use hdrhistogram::Histogram;

/// Why a request has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens there.
    Refused,
    /// No connection within the timeout.
    ConnectTimeout,
    /// No connection for another reason (no route, no files or ports left).
    Connect,
    /// No complete answer within the timeout.
    Timeout,
    /// The peer closed before the answer was complete.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// The answer was not HTTP/1.1.
    Protocol,
    /// Open loop: no connection came free within the timeout; nothing was sent.
    Dropped,
}

impl Failure {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 8] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Connect,
        Self::Timeout,
        Self::Closed,
        Self::Reset,
        Self::Protocol,
        Self::Dropped,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Dropped => "dropped",
        }
    }
}

/// Nanoseconds, 3 significant digits (one part in 1,024), up to a minute; longer counts as a minute.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

const LONGEST: u64 = 60_000_000_000;

impl Default for Latencies {
    fn default() -> Self {
        // 1 us is what loopback can tell apart; below 128 ns everything shares a bucket.
        let histogram = Histogram::new_with_bounds(128, LONGEST, 3);
        Self(histogram.expect("the bounds are constants that fit"))
    }
}

impl Latencies {
    /// Counts one latency.
    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// The least latency that at least a share `q` of all did not exceed; 0 when there are none.
    pub fn quantile(&self, q: f64) -> u64 {
        self.0.value_at_quantile(q)
    }

    /// The greatest.
    pub fn max(&self) -> u64 {
        self.0.max()
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.0.mean()
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

/// HTTP statuses have three digits (RFC 9110 section 15).
const STATUSES: usize = 1000;

/// What one thread has seen.
#[derive(Clone)]
pub(crate) struct Tally {
    /// Of requests of the measured window.
    pub(crate) latencies: Latencies,
    /// Of the measured window, by kind and status.
    statuses: Vec<u64>,
    /// Of the measured window.
    failures: [u64; Failure::ALL.len()],
    /// Answers of the whole run, warm-up and drain included.
    pub(crate) answered: u64,
    pub(crate) connects: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) open: u64,
    pub(crate) busy: u64,
    pub(crate) backlog: u64,
}

impl Tally {
    pub(crate) fn new(kinds: usize) -> Self {
        Self {
            latencies: Latencies::default(),
            statuses: vec![0; kinds * STATUSES],
            failures: [0; Failure::ALL.len()],
            answered: 0,
            connects: 0,
            received: 0,
            sent: 0,
            open: 0,
            busy: 0,
            backlog: 0,
        }
    }

    pub(crate) fn status(&mut self, kind: u8, status: u16) {
        let column = usize::from(status).min(STATUSES - 1);
        self.statuses[usize::from(kind) * STATUSES + column] += 1;
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failures[failure as usize] += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        for (sum, n) in self.statuses.iter_mut().zip(&other.statuses) {
            *sum += n;
        }
        for (sum, n) in self.failures.iter_mut().zip(&other.failures) {
            *sum += n;
        }
        self.answered += other.answered;
        self.connects += other.connects;
        self.received += other.received;
        self.sent += other.sent;
        self.open += other.open;
        self.busy += other.busy;
        self.backlog += other.backlog;
    }

    /// `(kind, status, count)` of all that occurred.
    pub(crate) fn statuses(&self) -> Vec<(u8, u16, u64)> {
        let counted = self.statuses.iter().enumerate().filter(|&(_, &count)| count > 0);
        counted.map(|(at, &count)| ((at / STATUSES) as u8, (at % STATUSES) as u16, count)).collect()
    }

    /// `(failure, count)` of all that occurred.
    pub(crate) fn failures(&self) -> Vec<(Failure, u64)> {
        let counted = Failure::ALL.into_iter().zip(self.failures);
        counted.filter(|&(_, count)| count > 0).collect()
    }
}

/// One request and how it ended, in eight bytes: number (40 bits), kind (8), status (16).
///
/// Status 0 is unknown: it was sent, or partly sent, and no answer came.
pub(crate) fn outcome(number: u64, kind: u8, status: u16) -> u64 {
    number << 24 | u64::from(kind) << 16 | u64::from(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact_to_three_digits() {
        let mut latencies = Latencies::default();
        for n in 1..=1000 {
            latencies.record(n * 1_000_000);
        }
        for (q, expected) in [(0.5, 500e6), (0.99, 990e6), (0.999, 999e6), (1.0, 1000e6)] {
            let value = latencies.quantile(q) as f64;
            assert!((value / expected - 1.0).abs() < 0.001, "{q}: {value} not {expected}");
        }
    }

    #[test]
    fn more_than_a_minute_counts_as_a_minute() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX);
        assert!((latencies.max() as f64 / LONGEST as f64 - 1.0).abs() < 0.2);
        assert_eq!(latencies.count(), 1);
    }

    #[test]
    fn sums_keep_kinds_and_failures_apart() {
        let mut one = Tally::new(2);
        one.status(0, 200);
        one.fail(Failure::Timeout);
        let mut two = Tally::new(2);
        two.status(1, 200);
        two.status(1, 404);
        two.fail(Failure::Timeout);
        one.add(&two);
        assert_eq!(one.statuses(), [(0, 200, 1), (1, 200, 1), (1, 404, 1)]);
        assert_eq!(one.failures(), [(Failure::Timeout, 2)]);
    }
}
