//! From names to blocks: whoever asks first makes a block, everybody else finds it.
//!
//! An entry is claimed by writing its hash, described, and published by writing where its block is.
//! Whoever is killed in between leaves an entry without a place: the next one that asks for it
//! describes and publishes it again, with the same words.
use crate::segment::{Block, Broken, HEADER, Segment};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// Names at once: an application of 1,000 routes with three rules each has 4,000.
const ENTRIES: usize = 8192;
const WORDS: usize = 16;
const AT_HASH: usize = 0;
const AT_PLACE: usize = 1;
const AT_COUNT: usize = 2;
const AT_KIND: usize = 3;
const AT_LENGTH: usize = 4;
const AT_NAME: usize = 5;
/// Of a name; what is longer is told apart by its hash and shown cut.
const NAME_BYTES: usize = (WORDS - AT_NAME) * 8;

/// The first byte behind the directory.
pub(crate) const END: usize = HEADER + ENTRIES * WORDS * 8;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Kind {
    /// Whose part is whose.
    Parts = 1,
    /// A limiter's cells.
    Limiter = 2,
    /// A breaker.
    Breaker = 3,
    /// A route's counters and histogram.
    Tally = 4,
    /// The last refusals.
    Refusals = 5,
    /// Many figures of each part, side by side.
    Row = 6,
    /// One counter of each part.
    Counter = 7,
    /// One gauge of each part.
    Gauge = 8,
    /// One counter of all together.
    Total = 9,
    /// Requests of a route that a trace tells more of.
    Exemplars = 10,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Parts,
        Kind::Limiter,
        Kind::Breaker,
        Kind::Tally,
        Kind::Refusals,
        Kind::Row,
        Kind::Counter,
        Kind::Gauge,
        Kind::Total,
        Kind::Exemplars,
    ];
}

/// One line of the directory.
#[derive(Clone)]
pub struct Entry {
    /// What the block holds.
    pub kind: Kind,
    /// At most 88 octets of its name.
    pub name: String,
    /// Where.
    pub block: Block,
}

impl Segment {
    /// The block of that name and kind, made of zeros if there is none.
    ///
    /// # Errors
    /// The directory or the segment is full; or it is not there, and may only be looked at.
    pub fn block(
        self: &Arc<Segment>,
        kind: Kind,
        name: &str,
        count: usize,
    ) -> Result<Block, Broken> {
        let hash = hash_of(kind, name, count);
        let first = hash as usize % ENTRIES;
        for probe in 0..ENTRIES {
            let entry = self.entry((first + probe) % ENTRIES);
            let mut seen = entry[AT_HASH].load(Acquire);
            if seen == 0 {
                if !self.is_writable() {
                    return Err(Broken::Foreign("nobody has made that yet"));
                }
                let claimed = entry[AT_HASH].compare_exchange(0, hash, AcqRel, Acquire);
                seen = claimed.map_or_else(|other| other, |_| hash);
            }
            if seen == hash {
                let at = self.publish(entry, kind, name, count)?;
                return Ok(Block::new(Arc::clone(self), at, count));
            }
        }
        Err(Broken::Full)
    }

    fn publish(
        &self,
        entry: &[AtomicU64],
        kind: Kind,
        name: &str,
        count: usize,
    ) -> Result<usize, Broken> {
        let place = entry[AT_PLACE].load(Acquire);
        if place != 0 {
            return Ok(place as usize);
        }
        if !self.is_writable() {
            return Err(Broken::Foreign("somebody is making that"));
        }
        let fresh = self.allocate(count * 8)?;
        entry[AT_COUNT].store(count as u64, Relaxed);
        entry[AT_KIND].store(kind as u64, Relaxed);
        let bytes = &name.as_bytes()[..name.len().min(NAME_BYTES)];
        for (word, piece) in entry[AT_NAME..].iter().zip(bytes.chunks(8)) {
            let mut octets = [0; 8];
            octets[..piece.len()].copy_from_slice(piece);
            word.store(u64::from_le_bytes(octets), Relaxed);
        }
        entry[AT_LENGTH].store(bytes.len() as u64, Relaxed);
        // Who loses has allocated in vain: a few lines, once.
        match entry[AT_PLACE].compare_exchange(0, fresh as u64, Release, Acquire) {
            Ok(_) => Ok(fresh),
            Err(place) => Ok(place as usize),
        }
    }

    /// All that has been published.
    pub fn entries(self: &Arc<Segment>) -> Vec<Entry> {
        (0..ENTRIES).filter_map(|index| self.read(self.entry(index))).collect()
    }

    fn read(self: &Arc<Segment>, entry: &[AtomicU64]) -> Option<Entry> {
        let place = entry[AT_PLACE].load(Acquire) as usize;
        let kind = entry[AT_KIND].load(Relaxed);
        let kind =
            Kind::ALL.into_iter().find(|known| *known as u64 == kind).filter(|_| place != 0)?;
        let octets = entry[AT_NAME..].iter().flat_map(|word| word.load(Relaxed).to_le_bytes());
        let length = (entry[AT_LENGTH].load(Relaxed) as usize).min(NAME_BYTES);
        let name: Vec<u8> = octets.take(length).collect();
        let count = entry[AT_COUNT].load(Relaxed) as usize;
        let name = String::from_utf8_lossy(&name).into_owned();
        Some(Entry { kind, name, block: Block::checked(self, place, count)? })
    }

    fn entry(&self, index: usize) -> &[AtomicU64] {
        self.words(HEADER + index * WORDS * 8, WORDS)
    }
}

/// FNV-1a of 64 bits; never 0. Names come from programs, not from peers.
fn hash_of(kind: Kind, name: &str, count: usize) -> u64 {
    let fixed = [kind as u64, count as u64].map(u64::to_le_bytes);
    let bytes = fixed.iter().flatten().chain(name.as_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_block_and_another_kind_another() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let one = segment.block(Kind::Limiter, "GET /", 16).unwrap();
        one.words()[3].store(7, Relaxed);
        assert_eq!(segment.block(Kind::Limiter, "GET /", 16).unwrap().words()[3].load(Relaxed), 7);
        let other = segment.block(Kind::Breaker, "GET /", 16).unwrap();
        assert_eq!(other.words()[3].load(Relaxed), 0);
        let names: Vec<_> =
            segment.entries().into_iter().map(|entry| (entry.kind, entry.name)).collect();
        assert!(names.contains(&(Kind::Limiter, "GET /".to_owned())));
        assert_eq!(names.len(), 2);
    }

    #[test]
    fn who_is_killed_while_it_describes_leaves_nothing_broken() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let hash = hash_of(Kind::Tally, "x", 4);
        segment.entry(hash as usize % ENTRIES)[AT_HASH].store(hash, Relaxed);
        assert!(segment.entries().is_empty());
        segment.block(Kind::Tally, "x", 4).unwrap().words()[0].store(1, Relaxed);
        assert_eq!(segment.entries()[0].block.words()[0].load(Relaxed), 1);
    }

    #[test]
    fn a_full_segment_says_so() {
        let segment = Arc::new(Segment::private(END + 4096).unwrap());
        assert!(segment.block(Kind::Tally, "fits", 256).is_ok());
        assert!(matches!(segment.block(Kind::Tally, "does not", 512), Err(Broken::Full)));
        assert!(matches!(segment.block(Kind::Tally, "does not", 512), Err(Broken::Full)));
        assert!(segment.block(Kind::Tally, "fits", 256).is_ok());
    }

    #[test]
    fn names_of_any_length_are_told_apart() {
        let segment = Arc::new(Segment::private(8 << 20).unwrap());
        let long = "é".repeat(300);
        segment.block(Kind::Tally, &long, 1).unwrap().words()[0].store(1, Relaxed);
        let other = segment.block(Kind::Tally, &format!("{long}x"), 1).unwrap();
        assert_eq!(other.words()[0].load(Relaxed), 0);
        assert_eq!(segment.entries()[0].name.chars().next(), Some('é'));
    }
}
