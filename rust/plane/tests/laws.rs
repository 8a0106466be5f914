//! What every limiter obeys, against models that remember everything.
use plane::{Kind, Law, Limiter, Parts, Segment};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

const SECOND: u64 = 1_000_000_000;

fn claim(segment: &Arc<Segment>) -> Arc<Parts> {
    Arc::new(Parts::claim(segment).unwrap())
}

fn alone() -> Arc<Parts> {
    Arc::new(Parts::claim(&Arc::new(Segment::private(16 << 20).unwrap())).unwrap())
}

/// Moments, never going back.
fn moments() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![0..3_u64, 0..SECOND / 2, 0..3 * SECOND], 1..200).prop_map(
        |gaps| {
            gaps.into_iter()
                .scan(SECOND, |now, gap| {
                    *now += gap;
                    Some(*now)
                })
                .collect()
        },
    )
}

proptest! {
    /// In any window of t seconds at most burst + rate * t pass, and who is refused would have
    /// broken that; the wait that it is told is just long enough.
    #[test]
    fn a_meter_is_the_token_bucket(at in moments(), rate in 1..50_u64, burst in 1..20_u64) {
        let law = Law::meter(rate as f64, 1.0, burst);
        let Law::Meter { step, .. } = law else { unreachable!() };
        // The bucket, in units of a token / step: exact in integers.
        let (mut tokens, mut last, mut word) = (burst * step, at[0], 0);
        for now in at {
            tokens = (tokens + (now - last)).min(burst * step);
            last = now;
            let decision = law.decide(word, 1, now);
            prop_assert_eq!(decision.admitted, tokens >= step);
            if decision.admitted {
                tokens -= step;
                prop_assert_eq!(decision.remaining, tokens / step);
            } else {
                prop_assert!(!law.decide(decision.next, 1, now + decision.wait - 1).admitted);
                prop_assert!(law.decide(decision.next, 1, now + decision.wait).admitted);
            }
            word = decision.next;
        }
    }

    /// Turns are a step apart, and no more than `burst` calls wait for theirs.
    #[test]
    fn a_queue_gives_turns(at in moments(), rate in 1..50_u64, burst in 0..20_u64) {
        let law = Law::queue(rate as f64, 1.0, burst);
        let Law::Queue { step, .. } = law else { unreachable!() };
        let (mut turns, mut word): (Vec<u64>, u64) = (vec![], 0);
        for now in at {
            let waiting = turns.iter().filter(|&&turn| turn > now).count() as u64;
            let decision = law.decide(word, 1, now);
            if decision.admitted {
                let turn = now + decision.wait;
                prop_assert!(turns.last().is_none_or(|&last| turn >= last + step));
                prop_assert!(waiting < burst || decision.wait == 0 || waiting == burst && decision.wait <= step * burst);
                turns.push(turn);
            } else {
                prop_assert!(waiting >= burst);
                prop_assert!(law.decide(decision.next, 1, now + decision.wait).admitted);
            }
            word = decision.next;
        }
    }

    /// A window that begins with the clock's never has more than the limit; one anywhere no more
    /// than the weighted count says.
    #[test]
    fn a_window_keeps_its_limit(at in moments(), limit in 1..30_u64) {
        let law = Law::window(limit, 1.0);
        let (mut word, mut admitted): (u64, Vec<u64>) = (0, vec![]);
        for now in at {
            let decision = law.decide(word, 1, now);
            if decision.admitted {
                admitted.push(now);
                let own = admitted.iter().filter(|&&t| t / SECOND == now / SECOND).count() as u64;
                prop_assert!(own <= limit);
                // Any window: twice the limit is what two counters can hide at worst.
                let recent = admitted.iter().filter(|&&t| t + SECOND > now).count() as u64;
                prop_assert!(recent < 2 * limit + 1);
            } else {
                prop_assert!(decision.wait > 0);
                prop_assert!(law.decide(word, 1, now + decision.wait).admitted);
            }
            word = decision.next;
        }
    }

    /// Whatever word lies there, nobody is locked out for longer than the whole burst drains.
    #[test]
    fn any_word_lets_go(word: u64, now in SECOND..1 << 60, burst in 1..1000_u64) {
        let law = Law::meter(10.0, 1.0, burst);
        let decision = law.decide(word, 1, now);
        prop_assert!(decision.wait <= SECOND / 10 * burst + SECOND);
    }
}

#[test]
fn a_clock_that_went_back_admits_no_more_than_the_law() {
    let law = Law::meter(1.0, 1.0, 2);
    let first = law.decide(0, 1, 100 * SECOND);
    let second = law.decide(first.next, 1, 100 * SECOND);
    let earlier = law.decide(second.next, 1, SECOND);
    assert!(second.admitted && !earlier.admitted);
    assert_eq!(earlier.wait, SECOND);
}

/// A worker that is held up between the clock and the word comes with an old moment; what others
/// have counted since stays counted.
#[test]
fn who_comes_with_an_old_moment_gives_nothing_away() {
    let laws = [
        (Law::meter(100.0, 1.0, 10), 110),
        (Law::queue(100.0, 1.0, 10), 111),
        (Law::window(100, 1.0), 200),
    ];
    for (law, most) in laws {
        let (mut word, mut admitted) = (0, 0);
        for millisecond in 0..1_000 {
            // Around the end of a window; every third is 20 ms late.
            let now = 100 * SECOND + SECOND / 2 + millisecond * 1_000_000;
            for late in [0, 0, 20_000_000] {
                let decision = law.decide(word, 1, now - late);
                admitted += u64::from(decision.admitted);
                word = decision.next;
            }
        }
        assert!(admitted <= most, "{law:?} admitted {admitted}");
    }
}

#[test]
fn a_window_that_is_long_over_is_no_ones_future() {
    let law = Law::window(1, 0.001);
    let first = law.decide(0, 1, 7 * SECOND);
    for later in 2..2_000_000_u64 {
        let now = 7 * SECOND + later * 997_003;
        assert!(first.admitted && law.decide(first.next, 1, now).wait <= 2 * SECOND);
    }
}

#[test]
fn keys_count_by_themselves_and_all_together_without_one() {
    let parts = alone();
    let limiter = Limiter::new(&parts, "keyed", Law::meter(1.0, 1.0, 2), 64).unwrap();
    for key in 1..=8_u64 {
        assert!(limiter.acquire_for(&key.to_le_bytes(), 1, SECOND).admitted);
        assert!(limiter.acquire_for(&key.to_le_bytes(), 1, SECOND).admitted);
        assert!(!limiter.acquire_for(&key.to_le_bytes(), 1, SECOND).admitted);
    }
    assert_eq!(limiter.keys(SECOND), 8);
    assert_eq!(limiter.keys(10 * SECOND), 0);
    let counts = limiter.counts();
    assert_eq!((counts.admitted, counts.refused, counts.forgotten), (16, 8, 0));
}

#[test]
fn more_keys_than_room_forget_those_that_booked_least() {
    let parts = alone();
    let limiter = Limiter::new(&parts, "full", Law::meter(1.0, 1.0, 5), 4).unwrap();
    for key in 1..=8_u64 {
        for _ in 0..key {
            limiter.acquire_for(&key.to_le_bytes(), 1, SECOND);
        }
    }
    assert!(limiter.counts().forgotten > 0);
    // The last and busiest is still known: its burst is used up.
    assert!(!limiter.acquire_for(&8_u64.to_le_bytes(), 1, SECOND).admitted);
    assert!(limiter.keys(SECOND) <= 4);
}

#[test]
fn threads_racing_never_admit_more_than_the_law() {
    let parts = alone();
    let limiter = Limiter::new(&parts, "raced", Law::meter(1_000.0, 1.0, 10), 0).unwrap();
    let admitted = AtomicU64::new(0);
    // Virtual time: each thread pushes it on.
    let now = AtomicU64::new(SECOND);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let at = now.fetch_add(10_000, Relaxed);
                    admitted.fetch_add(u64::from(limiter.acquire(1, at).admitted), Relaxed);
                }
            });
        }
    });
    // 80,000 calls over 0.8 s: 800 and the burst; threads that are late see older moments.
    let admitted = admitted.into_inner();
    assert!((780..=811).contains(&admitted), "{admitted}");
    assert_eq!(limiter.counts().admitted, admitted);
}

#[test]
fn threads_racing_for_keys_never_admit_more_than_each_may() {
    let parts = alone();
    let limiter = Limiter::new(&parts, "keys", Law::meter(1e-9, 1.0, 3), 256).unwrap();
    let admitted: Vec<AtomicU64> = (0..64).map(|_| AtomicU64::new(0)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (limiter, admitted) = (&limiter, &admitted);
            scope.spawn(move || {
                for round in 0..2_000_u64 {
                    let key = (round * 7 + thread * 13) % 64;
                    let decision = limiter.acquire_for(&key.to_le_bytes(), 1, SECOND);
                    admitted[key as usize].fetch_add(u64::from(decision.admitted), Relaxed);
                }
            });
        }
    });
    if limiter.counts().forgotten == 0 {
        for count in &admitted {
            assert_eq!(count.load(Relaxed), 3);
        }
    }
}

#[test]
fn a_segment_is_the_same_for_who_opens_it() {
    let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
    let fd = segment.fd().unwrap().try_clone_to_owned().unwrap();
    let other = Arc::new(Segment::open(fd, true).unwrap());
    let (here, there) = (claim(&segment), claim(&other));
    assert_ne!(here.part(), there.part());
    let law = Law::meter(1.0, 1.0, 1);
    assert!(Limiter::new(&here, "x", law, 0).unwrap().acquire(1, SECOND).admitted);
    assert!(!Limiter::new(&there, "x", law, 0).unwrap().acquire(1, SECOND).admitted);
    assert!(segment.entries().iter().any(|entry| entry.kind == Kind::Limiter && entry.name == "x"));
}

#[test]
fn who_only_looks_writes_nothing() {
    let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
    let open =
        |writable| Segment::open(segment.fd().unwrap().try_clone_to_owned().unwrap(), writable);
    let looked = Arc::new(open(false).unwrap());
    assert!(Parts::owners(&looked).is_err());
    assert!(looked.block(Kind::Tally, "x", 1).is_err());
    let own = claim(&segment);
    assert_eq!(Parts::owners(&looked).unwrap().len(), 1);
    Limiter::new(&own, "x", Law::meter(1.0, 1.0, 1), 0).unwrap();
    assert_eq!(looked.entries().len(), 2);
}

#[test]
fn what_is_no_segment_is_left_alone() {
    let pipe = rustix::pipe::pipe().unwrap().0;
    assert!(Segment::open(pipe, true).is_err());
    let fd = rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&fd, 8192).unwrap();
    let copy = fd.try_clone().unwrap();
    assert!(Segment::open(copy, true).err().unwrap().to_string().contains("shrink"));
    rustix::fs::fcntl_add_seals(&fd, rustix::fs::SealFlags::SHRINK).unwrap();
    assert!(Segment::open(fd, true).err().unwrap().to_string().contains("not a segment"));
}

#[test]
fn a_worker_killed_in_a_race_leaves_no_broken_cell() {
    // Threads stand in for processes: the words are the same. One stops anywhere, another goes on.
    let parts = alone();
    let limiter = Limiter::new(&parts, "killed", Law::meter(1.0, 1.0, 1), 8).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                limiter.acquire_for(b"1", 1, SECOND);
            }
        });
        for key in 2..2_000_u64 {
            limiter.acquire_for(&key.to_le_bytes(), 1, SECOND);
        }
        stop.store(true, Relaxed);
    });
    assert!(limiter.acquire_for(b"1", 1, 1_000 * SECOND).admitted);
}
