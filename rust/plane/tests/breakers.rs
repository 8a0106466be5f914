//! A breaker against time: it opens, it probes, it closes, and never for its own refusals.
use plane::{Breaker, BreakerRule as Rule, Parts, Pass, Segment};
use std::sync::Arc;

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

fn claim(segment: &Arc<Segment>) -> Arc<Parts> {
    Arc::new(Parts::claim(segment).unwrap())
}

fn breaker(rule: Rule, window: u64) -> Breaker {
    let segment = Arc::new(Segment::private(8 << 20).unwrap());
    Breaker::new(&claim(&segment), "x", rule, 2 * SECOND, window).unwrap()
}

/// Calls each millisecond from `from` to `to`; gives how many got through.
fn calls(breaker: &Breaker, from: u64, to: u64, ok: bool) -> u64 {
    let mut through = 0;
    for now in (from..to).step_by(MS as usize) {
        let pass = breaker.enter(now);
        if pass != Pass::Refused {
            through += 1;
            breaker.leave(pass, ok, now, now + 1);
        }
    }
    through
}

#[test]
fn a_ratio_opens_it_and_a_probe_closes_it() {
    let breaker = breaker(Rule::Ratio(0.6, 100), 10 * SECOND);
    assert_eq!(calls(&breaker, SECOND, SECOND + 99 * MS, false), 99);
    assert_eq!(breaker.enter(SECOND + 99 * MS), Pass::Closed);
    breaker.leave(Pass::Closed, false, SECOND + 99 * MS, SECOND + 100 * MS);
    let opened = SECOND + 100 * MS;
    // A minute without the backend: a probe every two seconds, and nothing else.
    assert!((29..=31).contains(&calls(&breaker, opened, opened + 60 * SECOND, false)));
    // It is well again: the first probe closes, within the two seconds.
    let well = opened + 60 * SECOND;
    assert_eq!(calls(&breaker, well + 2 * SECOND, well + 3 * SECOND, true), 1000);
    assert!(breaker.state(well + 3 * SECOND).0 <= 0.0);
}

#[test]
fn fewer_failures_than_the_share_leave_it_closed() {
    let breaker = breaker(Rule::Ratio(0.6, 100), 10 * SECOND);
    for n in 0..1000 {
        let now = SECOND + n * MS;
        assert_eq!(breaker.enter(now), Pass::Closed);
        breaker.leave(Pass::Closed, n % 2 == 0, now, now);
    }
}

#[test]
fn one_probe_at_a_time_and_another_when_it_is_lost() {
    let breaker = breaker(Rule::Count(1), 10 * SECOND);
    breaker.leave(breaker.enter(SECOND), false, SECOND, SECOND);
    assert_eq!(breaker.enter(2 * SECOND), Pass::Refused);
    assert_eq!(breaker.enter(3 * SECOND), Pass::Probe);
    assert_eq!(breaker.enter(3 * SECOND), Pass::Refused);
    // Its worker was killed: after its time the next one goes.
    assert_eq!(breaker.enter(5 * SECOND), Pass::Probe);
    // Its caller left: at once.
    breaker.abandon(Pass::Probe, 5 * SECOND + MS);
    assert_eq!(breaker.enter(5 * SECOND + 2 * MS), Pass::Probe);
    breaker.leave(Pass::Probe, true, 5 * SECOND, 5 * SECOND + 3 * MS);
    assert_eq!(breaker.enter(5 * SECOND + 4 * MS), Pass::Closed);
}

#[test]
fn calls_from_before_a_change_say_nothing_after_it() {
    let breaker = breaker(Rule::Count(1), 10 * SECOND);
    breaker.leave(Pass::Closed, false, SECOND, SECOND);
    assert_eq!(breaker.enter(3 * SECOND), Pass::Probe);
    breaker.leave(Pass::Probe, true, 3 * SECOND, 3 * SECOND + MS);
    breaker.leave(Pass::Closed, false, SECOND, 3 * SECOND + 2 * MS);
    assert_eq!(breaker.enter(3 * SECOND + 3 * MS), Pass::Closed);
}

#[test]
fn old_failures_are_forgotten_with_their_window() {
    let breaker = breaker(Rule::Count(3), 10 * SECOND);
    for second in [1, 2, 30] {
        breaker.leave(Pass::Closed, false, second * SECOND, second * SECOND);
    }
    assert_eq!(breaker.enter(30 * SECOND), Pass::Closed);
}

#[test]
fn the_adaptive_rule_recovers_although_it_has_refused_nearly_all() {
    let breaker = breaker(Rule::Adaptive(1.5, 10), 3 * SECOND);
    assert_eq!(calls(&breaker, SECOND, 2 * SECOND, true), 1000);
    let through = calls(&breaker, 2 * SECOND, 62 * SECOND, false);
    assert!(through < 6_000, "{through} of 60,000");
    // Well again: within five seconds everything passes.
    calls(&breaker, 62 * SECOND, 67 * SECOND, true);
    assert_eq!(calls(&breaker, 67 * SECOND, 68 * SECOND, true), 1000);
    assert!(breaker.state(68 * SECOND).1 <= 0.0);
}

#[test]
fn workers_open_it_together() {
    let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
    let (one, two) = (claim(&segment), claim(&segment));
    let make = |parts| Breaker::new(parts, "x", Rule::Ratio(0.5, 10), SECOND, 10 * SECOND).unwrap();
    let (one, two) = (make(&one), make(&two));
    for n in 0..5 {
        one.leave(Pass::Closed, false, SECOND + n, SECOND + n);
        two.leave(Pass::Closed, false, SECOND + n, SECOND + n);
    }
    assert_eq!(one.enter(SECOND + 10), Pass::Refused);
    assert_eq!(two.enter(SECOND + 10), Pass::Refused);
    assert_eq!(two.state(SECOND + 10).5, 2);
}
