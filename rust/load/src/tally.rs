//! What came back: counts, latencies, outcomes.
use std::fmt;

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
    /// No handshake: the certificate is not trusted, or the server speaks no TLS.
    Tls,
    /// No complete answer within the timeout.
    Timeout,
    /// The peer closed before the answer was complete.
    Closed,
    /// The peer reset the connection.
    Reset,
    /// The answer was not HTTP, or not of the version asked for.
    Protocol,
    /// Open loop: no connection came free within the timeout; nothing was sent.
    Dropped,
}

impl Failure {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 9] = [
        Self::Refused,
        Self::ConnectTimeout,
        Self::Connect,
        Self::Tls,
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
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
            Self::Dropped => "dropped",
        }
    }

    pub(crate) fn because(self, why: impl fmt::Display) -> Trouble {
        Trouble { failure: self, why: why.to_string() }
    }
}

/// A failure with what was seen of it, for whoever has to repair it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) failure: Failure,
    /// Empty where the failure's name says all.
    pub(crate) why: String,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { failure, why: String::new() }
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

    /// Leaves what was counted after an earlier look at the same histogram; tells whether it is one.
    pub fn subtract(&mut self, earlier: &Self) -> bool {
        self.0.subtract(&earlier.0).is_ok()
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

/// What one thread has seen of one kind of requests in the measured window.
#[derive(Clone)]
struct Kind {
    latencies: Latencies,
    /// Of answers below 400 alone: a refusal is quick, and says nothing of the others.
    successes: Latencies,
    statuses: Vec<u64>,
    failures: [u64; Failure::ALL.len()],
}

impl Kind {
    fn new() -> Self {
        let statuses = vec![0; STATUSES];
        let (latencies, successes) = (Latencies::default(), Latencies::default());
        Self { latencies, successes, statuses, failures: [0; Failure::ALL.len()] }
    }

    fn add(&mut self, other: &Self) {
        self.latencies.add(&other.latencies);
        self.successes.add(&other.successes);
        sum(&mut self.statuses, &other.statuses);
        sum(&mut self.failures, &other.failures);
    }
}

fn sum(into: &mut [u64], from: &[u64]) {
    into.iter_mut().zip(from).for_each(|(sum, n)| *sum += n);
}

/// What one thread has seen.
#[derive(Clone)]
pub(crate) struct Tally {
    kinds: Vec<Kind>,
    /// Connections that were not made, of the measured window; no request was lost with them.
    unconnected: [u64; Failure::ALL.len()],
    /// The first that was seen of each failure.
    pub(crate) why: [String; Failure::ALL.len()],
    /// Answers of the whole run, warm-up and drain included.
    pub(crate) answered: u64,
    pub(crate) connects: u64,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) open: u64,
    pub(crate) busy: u64,
    pub(crate) backlog: u64,
    /// Nanoseconds of CPU that the thread has used.
    pub(crate) cpu: u64,
}

impl Tally {
    pub(crate) fn new(kinds: usize) -> Self {
        Self {
            kinds: vec![Kind::new(); kinds],
            unconnected: [0; Failure::ALL.len()],
            why: Default::default(),
            answered: 0,
            connects: 0,
            received: 0,
            sent: 0,
            open: 0,
            busy: 0,
            backlog: 0,
            cpu: 0,
        }
    }

    pub(crate) fn status(&mut self, kind: u8, status: u16, nanoseconds: u64) {
        let kind = &mut self.kinds[usize::from(kind)];
        kind.statuses[usize::from(status).min(STATUSES - 1)] += 1;
        kind.latencies.record(nanoseconds);
        if status < 400 {
            kind.successes.record(nanoseconds);
        }
    }

    /// `waited`: what a user has waited for nothing, where that is known.
    pub(crate) fn fail(&mut self, kind: u8, failure: Failure, waited: Option<u64>) {
        let kind = &mut self.kinds[usize::from(kind)];
        kind.failures[failure as usize] += 1;
        if let Some(waited) = waited {
            kind.latencies.record(waited);
        }
    }

    pub(crate) fn unconnected(&mut self, failure: Failure) {
        self.unconnected[failure as usize] += 1;
    }

    pub(crate) fn explain(&mut self, failure: Failure, why: &str) {
        let known = &mut self.why[failure as usize];
        if known.is_empty() {
            why.clone_into(known);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.kinds.iter_mut().zip(&other.kinds).for_each(|(sum, kind)| sum.add(kind));
        sum(&mut self.unconnected, &other.unconnected);
        for (failure, why) in Failure::ALL.into_iter().zip(&other.why) {
            self.explain(failure, why);
        }
        self.answered += other.answered;
        self.connects += other.connects;
        self.received += other.received;
        self.sent += other.sent;
        self.open += other.open;
        self.busy += other.busy;
        self.backlog += other.backlog;
        self.cpu += other.cpu;
    }

    /// `(kind, status, count)` of all that occurred.
    pub(crate) fn statuses(&self) -> Vec<(u8, u16, u64)> {
        let kinds = (0u8..).zip(&self.kinds);
        let all = kinds.flat_map(|(kind, counts)| {
            (0u16..).zip(&counts.statuses).map(move |(status, &count)| (kind, status, count))
        });
        all.filter(|&(_, _, count)| count > 0).collect()
    }

    /// `(kind, failure, count)` of all that occurred; kind None: a connection was not made.
    pub(crate) fn failures(&self) -> Vec<(Option<u8>, Failure, u64)> {
        let kinds = (0u8..).zip(&self.kinds).map(|(kind, counts)| (Some(kind), &counts.failures));
        let all = kinds.chain([(None, &self.unconnected)]).flat_map(|(kind, counts)| {
            Failure::ALL
                .into_iter()
                .zip(counts)
                .map(move |(failure, &count)| (kind, failure, count))
        });
        all.filter(|&(_, _, count)| count > 0).collect()
    }

    /// By kind.
    pub(crate) fn latencies(&self) -> Vec<Latencies> {
        self.kinds.iter().map(|kind| kind.latencies.clone()).collect()
    }

    /// By kind, of answers below 400.
    pub(crate) fn successes(&self) -> Vec<Latencies> {
        self.kinds.iter().map(|kind| kind.successes.clone()).collect()
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
    fn what_came_after_a_look_is_the_difference() {
        let mut earlier = Latencies::default();
        earlier.record(1_000_000);
        let mut later = earlier.clone();
        later.record(9_000_000);
        assert!(!earlier.clone().subtract(&later));
        assert!(later.subtract(&earlier));
        assert_eq!(later.count(), 1);
        assert!((later.quantile(0.5) as f64 / 9e6 - 1.0).abs() < 0.001);
    }

    #[test]
    fn sums_keep_kinds_and_failures_apart() {
        let mut one = Tally::new(2);
        one.status(0, 200, 1);
        one.fail(1, Failure::Timeout, Some(5));
        one.unconnected(Failure::Refused);
        let mut two = Tally::new(2);
        two.status(1, 200, 1);
        two.status(1, 404, 1);
        two.fail(1, Failure::Timeout, Some(5));
        two.fail(0, Failure::Reset, None);
        two.explain(Failure::Reset, "by peer");
        one.add(&two);
        one.explain(Failure::Reset, "later");
        assert_eq!(one.statuses(), [(0, 200, 1), (1, 200, 1), (1, 404, 1)]);
        let lost = (Some(0), Failure::Reset, 1);
        assert_eq!(
            one.failures(),
            [lost, (Some(1), Failure::Timeout, 2), (None, Failure::Refused, 1)]
        );
        assert_eq!(one.latencies().iter().map(Latencies::count).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(one.why[Failure::Reset as usize], "by peer");
    }
}
