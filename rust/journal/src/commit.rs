//! The committing thread: the only one that touches the files of an open journal.
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::frame::{self, MARK};
use crate::queue::{Queue, Verdict};
use crate::segment::{self, Active};

/// What the thread shares with the journal's face.
#[derive(Debug)]
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    pub signal: Condvar,
    /// Readable while there is news.
    pub event: OwnedFd,
}

impl Shared {
    pub fn new(queue: Queue, event: OwnedFd) -> Self {
        Self { queue: Mutex::new(queue), signal: Condvar::new(), event }
    }

    /// The queue; a panic elsewhere left it consistent, since nothing in it can panic half-way.
    pub fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Everything a turn has to do.
struct Turn {
    batch: Vec<u8>,
    first: u64,
    last: u64,
    persisted: u64,
    released: u64,
    closing: bool,
}

/// The files, owned by the thread.
pub(crate) struct Committer {
    pub shared: Arc<Shared>,
    pub directory: PathBuf,
    pub handle: File,
    pub active: Active,
    /// Index and last sequence number of complete segments, oldest first.
    pub sealed: VecDeque<(u64, u64)>,
    pub segment_bytes: u64,
    /// The number that the next batch begins with: behind the last durable or refused record.
    pub next: u64,
    /// A mark is owed: the last could not be written, or numbers were skipped since.
    pub owed: bool,
    /// The persisted position of the last mark.
    pub marked: u64,
    /// The last batch had company: others are likely on their way.
    pub crowd: bool,
    /// When the next sync may start, in a crowd.
    pub due: Instant,
    pub spacing: Duration,
}

/// Records of a batch from which on it is a crowd (`PostgreSQL`'s `commit_siblings`: 5).
const CROWD: u64 = 5;

/// Why a batch is not durable.
enum Fault {
    Refused(io::Error),
    Failed(&'static str, io::Error),
}

fn sorted(action: &'static str) -> impl FnOnce(io::Error) -> Fault {
    move |error| {
        if segment::refusal(&error) { Fault::Refused(error) } else { Fault::Failed(action, error) }
    }
}

impl Committer {
    /// Works until the journal is closed or the disk fails.
    pub fn run(mut self) {
        let mut spare = Vec::new();
        loop {
            let mut turn = self.wait(spare);
            if let Err(why) = self.serve(&mut turn) {
                return self.stop(&why);
            }
            if turn.closing {
                return;
            }
            turn.batch.clear();
            spare = turn.batch;
        }
    }

    /// Sleeps until there is something to do, and takes all of it.
    fn wait(&self, spare: Vec<u8>) -> Turn {
        let mut queue = self.shared.queue();
        while queue.batch.is_empty()
            && queue.statistics.persisted == self.marked
            && (self.owed || !self.removable(queue.released))
            && !queue.closing
        {
            queue.asleep = true;
            queue = self.shared.signal.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.asleep = false;
        let queue = self.gather(queue);
        taken(queue, spare)
    }

    /// Lets a batch grow until the spacing from the last one has passed, where that was a crowd.
    fn gather<'q>(&self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        while self.crowd && !queue.closing {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.signal.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        queue
    }

    fn serve(&mut self, turn: &mut Turn) -> Result<(), String> {
        if !turn.batch.is_empty() {
            self.crowd = turn.last + 1 - turn.first >= CROWD;
            self.due = Instant::now() + self.spacing;
            match self.commit(turn) {
                Ok(()) => self.report(turn, Verdict::Durable),
                Err(Fault::Refused(error)) => {
                    self.next = turn.last + 1;
                    self.owed = true;
                    self.report(turn, Verdict::Refused(error.to_string()));
                }
                Err(Fault::Failed(action, error)) => return Err(format!("{action}: {error}")),
            }
        } else if turn.persisted > self.marked || turn.closing {
            self.mark(turn.persisted).map_err(|error| format!("write: {error}"))?;
        }
        if self.removable(turn.released) {
            self.remove(turn.released)?;
        }
        if turn.closing {
            self.sync().map_err(|error| format!("fdatasync: {error}"))?;
            self.active.finish();
        }
        Ok(())
    }

    /// Writes a batch and syncs it; on return it is durable and marked, or it is not there.
    fn commit(&mut self, turn: &mut Turn) -> Result<(), Fault> {
        if self.active.end + turn.batch.len() as u64 > self.segment_bytes
            && self.next > self.active.header.base
        {
            self.rotate(turn)?;
        }
        let seed = self.active.header.seed();
        if self.owed {
            let mark = frame::mark(turn.first, turn.persisted, seed);
            turn.batch.splice(..0, mark);
        }
        frame::seal(&mut turn.batch, seed);
        self.active.reserve(turn.batch.len()).map_err(sorted("write"))?;
        self.active.write(&turn.batch).map_err(sorted("write"))?;
        self.sync().map_err(|error| Fault::Failed("fdatasync", error))?;
        self.next = turn.last + 1;
        self.mark(turn.persisted).map_err(|error| Fault::Failed("write", error))
    }

    /// Writes a mark; a disk without room for it owes it to the next batch.
    fn mark(&mut self, persisted: u64) -> io::Result<()> {
        let mark = frame::mark(self.next, persisted, self.active.header.seed());
        self.marked = persisted;
        self.owed = match self.active.write(&mark) {
            Ok(()) => false,
            Err(error) if segment::refusal(&error) => true,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.shared.queue().statistics.syncs += 1;
        self.active.sync()
    }

    /// Completes the active segment and begins the next at the batch in hand.
    fn rotate(&mut self, turn: &Turn) -> Result<(), Fault> {
        if self.owed {
            // The next segment's first number has to be where this one ends.
            self.active
                .write(&frame::mark(turn.first, turn.persisted, self.active.header.seed()))
                .map_err(sorted("write"))?;
            self.sync().map_err(|error| Fault::Failed("fdatasync", error))?;
        }
        let index = self.active.header.index + 1;
        let header = segment::header(index, turn.first, turn.persisted);
        let fresh = Active::create(&self.directory, &self.handle, header)
            .map_err(sorted("create a segment"))?;
        let old = std::mem::replace(&mut self.active, fresh);
        old.finish();
        self.sealed.push_back((index - 1, turn.first - 1));
        self.owed = false;
        self.marked = turn.persisted;
        self.shared.queue().statistics.segments += 1;
        Ok(())
    }

    fn removable(&self, released: u64) -> bool {
        self.sealed.front().is_some_and(|(_, last)| *last <= released)
    }

    /// Deletes segments that nobody needs, once the position that says so is durable.
    fn remove(&mut self, released: u64) -> Result<(), String> {
        let persisted = self.shared.queue().statistics.persisted;
        self.mark(persisted).map_err(|error| format!("write: {error}"))?;
        if self.owed {
            return Ok(());
        }
        self.sync().map_err(|error| format!("fdatasync: {error}"))?;
        let removable = |sealed: &&(u64, u64)| sealed.1 <= released;
        while let Some(&(index, _)) = self.sealed.front().filter(removable) {
            let path = segment::path(&self.directory, index);
            fs::remove_file(&path)
                .map_err(|error| format!("unlink {}: {error}", path.display()))?;
            self.handle.sync_all().map_err(|error| format!("fsync: {error}"))?;
            self.sealed.pop_front();
            self.shared.queue().statistics.segments -= 1;
        }
        Ok(())
    }

    fn report(&self, turn: &Turn, verdict: Verdict) {
        let mut queue = self.shared.queue();
        if verdict == Verdict::Durable {
            queue.statistics.durable = turn.last;
            queue.statistics.batches += 1;
        } else {
            queue.refuse(turn.first, turn.last);
        }
        queue.tell(turn.last, verdict);
        drop(queue);
        self.wake();
    }

    /// Rule 2: from here on nothing is acknowledged.
    fn stop(&self, why: &str) {
        let mut queue = self.shared.queue();
        let last = queue.next - 1;
        queue.stopped = Some(why.to_owned());
        queue.tell(last, Verdict::Failed(why.to_owned()));
        drop(queue);
        self.wake();
    }

    fn wake(&self) {
        // EAGAIN would mean 2^64 - 1 unread wake-ups; the descriptor is readable then anyway.
        let _ = rustix::io::write(&self.shared.event, &1_u64.to_ne_bytes());
    }
}

/// Everything that waits, in exchange for an empty buffer.
fn taken(mut queue: MutexGuard<'_, Queue>, spare: Vec<u8>) -> Turn {
    let batch = std::mem::replace(&mut queue.batch, spare);
    let first = if batch.is_empty() { queue.next } else { frame::first_sequence(&batch) };
    Turn {
        first,
        batch,
        last: queue.next - 1,
        persisted: queue.statistics.persisted,
        released: queue.released,
        closing: queue.closing,
    }
}

impl Drop for Committer {
    /// However the thread ends, whoever appends next is told.
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        if queue.stopped.is_none() && !queue.closing {
            queue.stopped = Some("its thread panicked".to_owned());
            let last = queue.next - 1;
            queue.tell(last, Verdict::Failed("its thread panicked".to_owned()));
            drop(queue);
            self.wake();
        }
    }
}

const _: () = assert!(MARK == 24, "the documented size of a mark");
