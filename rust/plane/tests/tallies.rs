//! Counters and gauges of workers that come and go.
use plane::{Outcome, Parts, Segment, Tally, bound_of, bucket_of};
use proptest::prelude::*;
use std::sync::Arc;

proptest! {
    #[test]
    fn a_latency_lies_in_its_bucket(nanoseconds in prop_oneof![0..1_000_000_u64, 0..500_000_000_000_u64]) {
        let bucket = bucket_of(nanoseconds);
        prop_assert!(nanoseconds < bound_of(bucket));
        prop_assert!(bucket == 0 || nanoseconds >= bound_of(bucket - 1));
        // 6.25 % and a unit.
        let width = bound_of(bucket) - if bucket == 0 { 0 } else { bound_of(bucket - 1) };
        prop_assert!(width <= nanoseconds / 16 + 1024);
    }
}

#[test]
fn what_is_too_long_is_in_the_last_bucket() {
    assert_eq!(bucket_of(u64::MAX), plane::BUCKETS - 1);
}

#[test]
fn a_dead_workers_counts_stay_and_its_gauge_goes() {
    let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
    let (one, two) = (Parts::claim(&segment).unwrap(), Parts::claim(&segment).unwrap());
    let (first, second) = (Tally::new(&one, "GET /").unwrap(), Tally::new(&two, "GET /").unwrap());
    first.enter();
    first.leave(Outcome::Status(200), 2_000_000);
    first.enter();
    second.enter();
    assert_eq!(second.running(&two), 2);
    drop(one); // As if killed: one request of its runs for ever.
    assert_eq!(second.running(&two), 1);
    let successor = Parts::claim(&segment).unwrap();
    let third = Tally::new(&successor, "GET /").unwrap();
    assert_eq!(third.enter(), 1);
    assert_eq!(second.running(&two), 2);
    third.leave(Outcome::Status(503), 1_000);
    third.refused(2, false);
    third.refused(2, true);
    let read = second.read(&Parts::generations(&segment).unwrap());
    assert_eq!(read.classes, [0, 0, 1, 0, 0, 1]);
    assert_eq!(read.nanoseconds, 2_001_000);
    assert_eq!(read.rules[2], (1, 1));
    assert_eq!(read.buckets.iter().sum::<u64>(), 2);
    assert_eq!(read.running, 1);
}
