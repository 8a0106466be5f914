//! Whose part is whose: each worker writes its own, and a dead one's is taken over.
use crate::directory::Kind;
use crate::row::Taken;
use crate::segment::{Broken, LINE, Segment};
use crate::{Block, now};
use rustix::process::{Pid, getpid, test_kill_process};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

const STRIDE: usize = LINE / 8;
const AT_OWNER: usize = 0;
const AT_GENERATION: usize = 1;
const AT_SINCE: usize = 2;

/// A worker's part of a segment, from when it is claimed until it is dropped.
pub struct Parts {
    block: Block,
    part: usize,
    generation: u64,
    pub(crate) taken: Taken,
}

impl Parts {
    /// Takes a part that nobody alive has.
    ///
    /// # Errors
    /// All are taken.
    pub fn claim(segment: &Arc<Segment>) -> Result<Parts, Broken> {
        let block = table(segment)?;
        let me = u64::from(getpid().as_raw_nonzero().get().unsigned_abs());
        for part in 0..segment.parts() {
            let row = row(&block, part);
            let owner = row[AT_OWNER].load(Acquire);
            if is_alive(owner)
                || row[AT_OWNER].compare_exchange(owner, me, AcqRel, Relaxed).is_err()
            {
                continue;
            }
            let generation = row[AT_GENERATION].fetch_add(1, AcqRel) + 1;
            row[AT_SINCE].store(now(), Relaxed);
            return Ok(Parts { block, part, generation, taken: Taken::default() });
        }
        Err(Broken::Full)
    }

    /// Ours.
    pub fn part(&self) -> usize {
        self.part
    }

    /// How often it was claimed: gauges of an earlier owner do not count.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Where it lies.
    pub fn segment(&self) -> &Arc<Segment> {
        self.block.segment()
    }

    /// The owners alive: part, process, and since when (nanoseconds).
    pub fn owners(segment: &Arc<Segment>) -> Result<Vec<(usize, u32, u64)>, Broken> {
        let block = table(segment)?;
        let all = (0..segment.parts()).map(|part| (part, row(&block, part)));
        let alive = all.filter_map(|(part, row)| {
            let owner = row[AT_OWNER].load(Acquire);
            is_alive(owner).then(|| (part, owner as u32, row[AT_SINCE].load(Relaxed)))
        });
        Ok(alive.collect())
    }

    /// A process has ended: its gauges count no more.
    pub fn bury(segment: &Arc<Segment>, pid: u32) -> Result<(), Broken> {
        let block = table(segment)?;
        for part in 0..segment.parts() {
            let row = row(&block, part);
            if row[AT_OWNER].load(Acquire) == u64::from(pid) {
                row[AT_GENERATION].fetch_add(1, AcqRel);
                // Who has claimed it meanwhile has found it dead by itself.
                let _ = row[AT_OWNER].compare_exchange(u64::from(pid), 0, AcqRel, Relaxed);
            }
        }
        Ok(())
    }

    /// The generations that gauges must bear to count, by part.
    pub fn generations(segment: &Arc<Segment>) -> Result<Vec<u64>, Broken> {
        let block = table(segment)?;
        let all = (0..segment.parts()).map(|part| row(&block, part)[AT_GENERATION].load(Relaxed));
        Ok(all.collect())
    }

    /// That of one part.
    pub(crate) fn generation_of(&self, part: usize) -> u64 {
        row(&self.block, part)[AT_GENERATION].load(Relaxed)
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let row = row(&self.block, self.part);
        // Bury may have been quicker: then it is nobody's, or a successor's.
        if row[AT_GENERATION]
            .compare_exchange(self.generation, self.generation + 1, AcqRel, Relaxed)
            .is_ok()
        {
            row[AT_OWNER].store(0, Relaxed);
        }
    }
}

fn table(segment: &Arc<Segment>) -> Result<Block, Broken> {
    segment.block(Kind::Parts, "parts", segment.parts() * STRIDE)
}

fn row(block: &Block, part: usize) -> &[AtomicU64] {
    &block.words()[part * STRIDE..(part + 1) * STRIDE]
}

fn is_alive(pid: u64) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    // EPERM is somebody else's process, alive.
    pid.is_some_and(|pid| test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_owners_until_it_is_given_back() {
        let segment = Arc::new(Segment::shared(8 << 20, 2).unwrap());
        let one = Parts::claim(&segment).unwrap();
        let two = Parts::claim(&segment).unwrap();
        assert_eq!((one.part(), two.part()), (0, 1));
        assert!(matches!(Parts::claim(&segment), Err(Broken::Full)));
        let before = one.generation();
        drop(one);
        let again = Parts::claim(&segment).unwrap();
        assert_eq!(again.part(), 0);
        assert!(again.generation() > before);
        assert_eq!(Parts::owners(&segment).unwrap().len(), 2);
    }

    #[test]
    fn the_part_of_a_dead_process_is_taken_over() {
        let segment = Arc::new(Segment::shared(8 << 20, 1).unwrap());
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        row(&table(&segment).unwrap(), 0)[AT_OWNER].store(u64::from(pid), Relaxed);
        assert!(Parts::owners(&segment).unwrap().is_empty());
        assert_eq!(Parts::claim(&segment).unwrap().part(), 0);
    }

    #[test]
    fn a_buried_owner_gives_nothing_back() {
        let segment = Arc::new(Segment::shared(8 << 20, 1).unwrap());
        let buried = Parts::claim(&segment).unwrap();
        Parts::bury(&segment, std::process::id()).unwrap();
        let successor = Parts::claim(&segment).unwrap();
        drop(buried);
        assert_eq!(Parts::owners(&segment).unwrap().len(), 1);
        assert!(successor.generation_of(0) == successor.generation());
    }
}
