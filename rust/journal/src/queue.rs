//! What appenders and the committing thread share: the records not yet written, and the news.
use std::collections::VecDeque;

use crate::error::Refusal;
use crate::frame::{self, FRAME};

/// What became of every record up to `upto` that no earlier outcome covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The last sequence number it speaks of.
    pub upto: u64,
    /// What became of them.
    pub verdict: Verdict,
}

/// The fate of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Synced: it survives a power cut.
    Durable,
    /// The disk was full or read-only: nothing of it was kept, and later ones may fare better.
    Refused(String),
    /// The disk failed: whether it was kept is unknown, and nothing will be acknowledged again.
    Failed(String),
}

/// A journal's counters since it was opened, and gauges of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Records appended and not known to be persisted.
    pub records: u64,
    /// Their bytes on disk.
    pub bytes: u64,
    /// The highest durable sequence number.
    pub durable: u64,
    /// The highest persisted sequence number.
    pub persisted: u64,
    /// Calls of `fdatasync`.
    pub syncs: u64,
    /// Batches made durable.
    pub batches: u64,
    /// Records refused because the disk was full or read-only.
    pub refused: u64,
    /// Segments on disk.
    pub segments: u64,
    /// Bytes cut from a torn tail when it was opened.
    pub cut: u64,
}

/// The state behind the mutex; nobody does IO while holding it.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Frames that wait for the committing thread, their checksums still to be filled in.
    pub batch: Vec<u8>,
    /// The number that the next record gets.
    pub next: u64,
    /// The number and the bytes of each record that is not persisted.
    pub waiting: VecDeque<(u64, u32)>,
    /// Records below this may be deleted.
    pub released: u64,
    pub outcomes: Vec<Outcome>,
    pub stopped: Option<String>,
    pub closing: bool,
    /// The committing thread waits for a signal.
    pub asleep: bool,
    pub statistics: Statistics,
}

impl Queue {
    /// Takes one record in.
    pub fn push(&mut self, payload: &[u8], records: usize, bytes: u64) -> Result<u64, Refusal> {
        if let Some(why) = &self.stopped {
            return Err(Refusal::Stopped(why.clone()));
        }
        let size = (payload.len() + FRAME) as u64;
        if self.waiting.len() >= records || self.statistics.bytes + size > bytes {
            return Err(Refusal::Full);
        }
        let sequence = self.next;
        self.next += 1;
        frame::push_record(&mut self.batch, sequence, payload);
        self.waiting.push_back((sequence, size as u32));
        self.statistics.bytes += size;
        Ok(sequence)
    }

    /// Forgets records that are persisted; true where that is news.
    pub fn persist(&mut self, upto: u64, released: u64) -> bool {
        let news = upto > self.statistics.persisted || released > self.released;
        while self.waiting.front().is_some_and(|(sequence, _)| *sequence <= upto) {
            let (_, bytes) = self.waiting.pop_front().expect("seen above");
            self.statistics.bytes -= u64::from(bytes);
        }
        self.statistics.persisted = self.statistics.persisted.max(upto);
        self.released = self.released.max(released.min(upto));
        news
    }

    /// Forgets the records `first..=last`, which the disk did not take.
    pub fn refuse(&mut self, first: u64, last: u64) {
        let from = self.waiting.partition_point(|(sequence, _)| *sequence < first);
        let to = self.waiting.partition_point(|(sequence, _)| *sequence <= last);
        let bytes: u64 = self.waiting.drain(from..to).map(|(_, bytes)| u64::from(bytes)).sum();
        self.statistics.bytes -= bytes;
        self.statistics.refused += (to - from) as u64;
    }

    /// Adds to the news, joined with the last where they agree.
    pub fn tell(&mut self, upto: u64, verdict: Verdict) {
        match self.outcomes.last_mut() {
            Some(last) if last.verdict == verdict => last.upto = upto,
            _ => self.outcomes.push(Outcome { upto, verdict }),
        }
    }
}
