//! The last refusals, each with the figures of its moment: what `mhz explain` reads.
use crate::directory::Kind;
use crate::segment::{Block, Broken, Segment};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Remembered at once; at 10,000 refusals a second that is 0.4 s, and enough for "why was I".
const RECORDS: usize = 4096;
/// Numbers that a rule leaves with a refusal.
pub const FIGURES: usize = 6;
const WORDS: usize = 32;
const NEXT: usize = 16;
const AT_TURN: usize = 0;
const AT_TIME: usize = 1;
const AT_RULE: usize = 2;
const AT_ID: usize = 3;
const ID_WORDS: usize = 5;
const AT_ROUTE: usize = AT_ID + ID_WORDS;
const ROUTE_WORDS: usize = 12;
const AT_FIGURE: usize = AT_ROUTE + ROUTE_WORDS;

/// One refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Which rule.
    pub rule: u8,
    /// Whether it was only observed.
    pub observed: bool,
    /// The request's, at most 40 octets.
    pub id: String,
    /// The route's name, at most 96 octets.
    pub route: String,
    /// What the rule decided by.
    pub figures: [f64; FIGURES],
}

/// A ring that all workers write.
#[derive(Clone)]
pub struct Refusals {
    block: Block,
}

impl Refusals {
    /// The segment's.
    pub fn of(segment: &Arc<Segment>) -> Result<Refusals, Broken> {
        let count = NEXT + RECORDS * WORDS;
        Ok(Refusals { block: segment.block(Kind::Refusals, "refusals", count)? })
    }

    fn record(&self, turn: u64) -> &[AtomicU64] {
        let at = NEXT + turn as usize % RECORDS * WORDS;
        &self.block.words()[at..at + WORDS]
    }

    /// Adds one; the oldest goes.
    pub fn push(&self, record: &Record) {
        let turn = self.block.words()[0].fetch_add(1, Relaxed);
        let row = self.record(turn);
        row[AT_TURN].store(0, Release);
        row[AT_TIME].store(record.time, Relaxed);
        row[AT_RULE].store(u64::from(record.rule) << 1 | u64::from(record.observed), Relaxed);
        write(&row[AT_ID..AT_ROUTE], &record.id);
        write(&row[AT_ROUTE..AT_FIGURE], &record.route);
        for (word, figure) in row[AT_FIGURE..].iter().zip(record.figures) {
            word.store(figure.to_bits(), Relaxed);
        }
        row[AT_TURN].store(turn + 1, Release);
    }

    /// All that is whole, the newest first.
    pub fn read(&self) -> Vec<Record> {
        let next = self.block.words()[0].load(Acquire);
        let turns = (next.saturating_sub(RECORDS as u64)..next).rev();
        turns.filter_map(|turn| self.read_one(turn)).collect()
    }

    fn read_one(&self, turn: u64) -> Option<Record> {
        let row = self.record(turn);
        let whole = || row[AT_TURN].load(Acquire) == turn + 1;
        if !whole() {
            return None;
        }
        let rule = row[AT_RULE].load(Relaxed);
        let record = Record {
            time: row[AT_TIME].load(Relaxed),
            rule: (rule >> 1) as u8,
            observed: rule & 1 == 1,
            id: text(&row[AT_ID..AT_ROUTE]),
            route: text(&row[AT_ROUTE..AT_FIGURE]),
            figures: std::array::from_fn(|n| f64::from_bits(row[AT_FIGURE + n].load(Relaxed))),
        };
        std::sync::atomic::fence(Acquire);
        whole().then_some(record)
    }
}

fn write(words: &[AtomicU64], text: &str) {
    let mut pieces = text.as_bytes().chunks(8);
    for word in words {
        let mut octets = [0; 8];
        let piece = pieces.next().unwrap_or_default();
        octets[..piece.len()].copy_from_slice(piece);
        word.store(u64::from_le_bytes(octets), Relaxed);
    }
}

fn text(words: &[AtomicU64]) -> String {
    let octets = words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes());
    let bytes: Vec<u8> = octets.take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record {
            time: number,
            rule: 3,
            observed: number % 2 == 0,
            id: format!("w1-{number}"),
            route: "GET /items/{sku}".to_owned(),
            figures: [1.0, 2.5, 0.0, 0.0, 0.0, number as f64],
        }
    }

    #[test]
    fn the_newest_come_first_and_the_oldest_go() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let refusals = Refusals::of(&segment).unwrap();
        assert!(refusals.read().is_empty());
        for number in 0..RECORDS as u64 + 10 {
            refusals.push(&record(number));
        }
        let all = refusals.read();
        assert_eq!(all.len(), RECORDS);
        assert_eq!(all[0], record(RECORDS as u64 + 9));
        assert_eq!(all[RECORDS - 1], record(10));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let refusals = Refusals::of(&segment).unwrap();
        refusals.push(&Record { id: "x".repeat(100), route: String::new(), ..record(1) });
        let all = refusals.read();
        assert_eq!((all[0].id.len(), all[0].route.as_str()), (40, ""));
    }
}
