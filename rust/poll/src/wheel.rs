//! A hashed timing wheel (Varghese and Lauck, 1987, scheme 6): insert, move and remove in O(1).
//!
//! Keys are small integers that the caller chooses; each is in the wheel at most once. An entry
//! fires at its time or up to one tick later, never before. What is due after more than a revolution
//! waits in one of every 128 slots until it is nearer: ten thousand that have an hour are looked at
//! together, and wake nobody each on its own.

/// About 8.4 ms, a shift instead of a division, for timeouts of 0.1 s and more: 4,096 slots are
/// 34 s, and the common ones (5 s, 30 s) pass in one revolution.
pub const COARSE: u32 = 23;
/// About 1 ms, for what somebody waits for: deadlines of seconds, in one revolution of 4.3 s.
pub const FINE: u32 = 20;
const SLOTS: usize = 4096;
/// Of the far ones' ticks, those that they are looked at again.
const FAR: u64 = 128;
const NIL: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Node {
    before: u32,
    after: u32,
    slot: u32,
    at: u64,
}

const FREE: Node = Node { before: NIL, after: NIL, slot: NIL, at: u64::MAX };

/// The wheel.
pub struct Wheel {
    heads: Box<[u32]>,
    occupied: Box<[u64]>,
    nodes: Vec<Node>,
    tick: u64,
    /// Of nanoseconds that a tick does not tell apart.
    bits: u32,
    count: usize,
}

impl Wheel {
    /// An empty wheel at `now` (nanoseconds), with ticks of 2^`bits` nanoseconds.
    pub fn new(now: u64, bits: u32) -> Wheel {
        Wheel {
            heads: vec![NIL; SLOTS].into(),
            occupied: vec![0; SLOTS / 64].into(),
            nodes: vec![],
            tick: now >> bits,
            bits,
            count: 0,
        }
    }

    /// When `key` fires; `u64::MAX` if it is not there.
    pub fn at(&self, key: u32) -> u64 {
        self.nodes.get(key as usize).map_or(u64::MAX, |node| node.at)
    }

    /// Puts `key` in, or moves it, to fire at `at`.
    pub fn insert(&mut self, key: u32, at: u64) {
        self.remove(key);
        if self.nodes.len() <= key as usize {
            self.nodes.resize(key as usize + 1, FREE);
        }
        // Rounded up, and never into a slot that was passed already.
        let mut tick = (at >> self.bits).saturating_add(1).max(self.tick + 1);
        let horizon = self.tick + SLOTS as u64;
        if tick >= horizon {
            tick = (horizon - 1) / FAR * FAR;
        }
        let slot = tick as usize % SLOTS;
        let head = self.heads[slot];
        self.nodes[key as usize] = Node { before: NIL, after: head, slot: slot as u32, at };
        if head != NIL {
            self.nodes[head as usize].before = key;
        }
        self.heads[slot] = key;
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.count += 1;
    }

    /// Takes `key` out, if it is in.
    pub fn remove(&mut self, key: u32) {
        let Some(&node) = self.nodes.get(key as usize) else { return };
        if node.slot == NIL {
            return;
        }
        match node.before {
            NIL => self.heads[node.slot as usize] = node.after,
            before => self.nodes[before as usize].after = node.after,
        }
        if node.after != NIL {
            self.nodes[node.after as usize].before = node.before;
        }
        let slot = node.slot as usize;
        if self.heads[slot] == NIL {
            self.occupied[slot / 64] &= !(1 << (slot % 64));
        }
        self.nodes[key as usize] = FREE;
        self.count -= 1;
    }

    /// Takes out everything that is due at `now`, appending the keys to `out`.
    pub fn due(&mut self, now: u64, out: &mut Vec<u32>) {
        let tick = now >> self.bits;
        let first = self.tick.max(tick.saturating_sub(SLOTS as u64 - 1));
        let mut far = vec![];
        for passed in first..=tick {
            let slot = passed as usize % SLOTS;
            let mut key = self.heads[slot];
            while key != NIL {
                let node = self.nodes[key as usize];
                if node.at <= now {
                    self.remove(key);
                    out.push(key);
                } else {
                    far.push((key, node.at));
                }
                key = node.after;
            }
        }
        self.tick = self.tick.max(tick);
        for (key, at) in far {
            self.insert(key, at);
        }
    }

    /// When to look again: not after the next entry is due; `None` while the wheel is empty.
    pub fn next(&self) -> Option<u64> {
        if self.count == 0 {
            return None;
        }
        let start = (self.tick as usize + 1) % SLOTS;
        let words = SLOTS / 64;
        for step in 0..=words {
            let word = (start / 64 + step) % words;
            let mut bits = self.occupied[word];
            if step == 0 {
                bits &= !0 << (start % 64);
            } else if step == words {
                bits &= !(!0 << (start % 64));
            }
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + SLOTS - start) % SLOTS;
                return Some((self.tick + 1 + ahead as u64) << self.bits);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    const MS: u64 = 1_000_000;

    fn due(wheel: &mut Wheel, now: u64) -> Vec<u32> {
        let mut out = vec![];
        wheel.due(now, &mut out);
        out.sort_unstable();
        out
    }

    #[test]
    fn fires_not_before_its_time_and_at_most_two_ticks_after() {
        for at in [0, 1, 5 * MS, 100 * MS, 5_000 * MS, 40_000 * MS] {
            let mut wheel = Wheel::new(0, COARSE);
            wheel.insert(3, at);
            let mut now = 0;
            loop {
                now = wheel.next().expect("not empty").max(now + 1);
                let fired = due(&mut wheel, now);
                if !fired.is_empty() {
                    break;
                }
                assert!(now < at + 20 * MS, "{at} is late at {now}");
            }
            assert!(now >= at && now <= at + 20 * MS, "{at} fired at {now}");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn a_fine_wheel_is_at_most_two_milliseconds_late() {
        for at in [MS, 20 * MS, 999 * MS, 9_000 * MS] {
            let mut wheel = Wheel::new(0, FINE);
            wheel.insert(0, at);
            let mut now = 0;
            while due(&mut wheel, now).is_empty() {
                now = wheel.next().expect("not empty").max(now + 1);
            }
            assert!(now >= at && now <= at + 2_200_000, "{at} fired at {now}");
            assert_eq!(wheel.next(), None);
        }
    }

    #[test]
    fn moved_and_removed_entries_fire_once_or_never() {
        let mut wheel = Wheel::new(0, COARSE);
        wheel.insert(1, 50 * MS);
        wheel.insert(2, 50 * MS);
        wheel.insert(3, 50 * MS);
        wheel.insert(1, 500 * MS);
        wheel.remove(2);
        wheel.remove(2);
        assert_eq!(due(&mut wheel, 100 * MS), [3]);
        assert_eq!(due(&mut wheel, 499 * MS), []);
        assert_eq!(due(&mut wheel, 520 * MS), [1]);
        assert_eq!(wheel.at(1), u64::MAX);
    }

    #[test]
    fn a_long_sleep_fires_everything_once() {
        let mut wheel = Wheel::new(0, COARSE);
        for key in 0..100 {
            wheel.insert(key, u64::from(key) * 1000 * MS);
        }
        assert_eq!(due(&mut wheel, 1_000_000 * MS).len(), 100);
        assert_eq!(wheel.next(), None);
    }

    #[test]
    fn thousands_that_have_an_hour_wake_once_a_second() {
        let mut wheel = Wheel::new(0, COARSE);
        for key in 0..4_000 {
            let opened = u64::from(key) * 5 * MS;
            due(&mut wheel, opened);
            wheel.insert(key, opened + 3_600_000 * MS);
        }
        let (mut now, mut wakes) = (20_000 * MS, 0);
        while let Some(next) = wheel.next().filter(|&next| next < 120_000 * MS) {
            now = next.max(now + 1);
            assert_eq!(due(&mut wheel, now), []);
            wakes += 1;
        }
        assert!((50..=110).contains(&wakes), "{wakes} in 100 s");
        assert_eq!(due(&mut wheel, 3_700_000 * MS).len(), 4_000);
    }

    #[test]
    fn a_revolution_ahead_is_not_taken_for_now() {
        let mut wheel = Wheel::new(0, COARSE);
        let revolution = (SLOTS as u64) << COARSE;
        wheel.insert(7, revolution + 10 * MS);
        assert_eq!(due(&mut wheel, 20 * MS), []);
        assert_eq!(due(&mut wheel, revolution), []);
        assert_eq!(due(&mut wheel, revolution + 30 * MS), [7]);
    }
}
