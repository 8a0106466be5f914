//! The journal's face: open, append, learn what is durable, say what is persisted, close.
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FlockOperation, flock};

use crate::commit::{Committer, Shared};
use crate::error::{Error, Refusal};
use crate::frame::{FRAME, LONGEST};
use crate::queue::{Outcome, Queue, Statistics};
use crate::recover::{Recovered, recover};
use crate::replay::Replay;
use crate::segment::{self, Active};

/// The bounds of a journal.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// A segment is complete at this size (etcd: 64 MB, `PostgreSQL`: 16 MiB).
    pub segment_bytes: u64,
    /// Records that may wait for their consumer.
    pub records: usize,
    /// Bytes that may wait for their consumer.
    pub bytes: u64,
    /// From the start of one sync to the start of the next while many append (`PostgreSQL`'s
    /// `commit_delay`); a lone record never waits for it.
    pub spacing: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, records: 1 << 20, bytes: 1 << 30, spacing: Duration::ZERO }
    }
}

/// An open journal; one at a time for each directory.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    options: Options,
}

impl Journal {
    /// Opens `directory`, made where it is missing: checks it, cuts a torn tail, starts the thread.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Replay), Error> {
        let handle = hold(directory)?;
        let mut found = recover(directory)?;
        let active = match found.active.take() {
            Some(active) => active,
            None => begin(directory, &handle, &mut found)?,
        };
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::io("make an eventfd for", directory)(error.into()))?;
        let last = found.next - 1;
        let replay = Replay::new(
            directory.to_owned(),
            found.segments.iter().map(|(index, _)| *index).collect(),
            last,
        );
        let committer = Committer {
            directory: directory.to_owned(),
            handle,
            active,
            sealed: found.segments.windows(2).map(|pair| (pair[0].0, pair[1].1 - 1)).collect(),
            segment_bytes: options.segment_bytes,
            next: found.next,
            owed: true,
            marked: found.persisted,
            crowd: false,
            due: Instant::now(),
            spacing: options.spacing,
            shared: Arc::new(Shared::new(queue(found), event)),
        };
        let shared = Arc::clone(&committer.shared);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || committer.run())
            .map_err(Error::io("start the thread of", directory))?;
        Ok((Self { shared, thread: Mutex::new(Some(thread)), options }, replay))
    }

    /// Takes a record in and gives its sequence number; it is durable once an outcome says so.
    pub fn append(&self, payload: &[u8]) -> Result<u64, Refusal> {
        if payload.is_empty() || payload.len() + FRAME > LONGEST {
            return Err(Refusal::Size(payload.len()));
        }
        let mut queue = self.shared.queue();
        let sequence = queue.push(payload, self.options.records, self.options.bytes)?;
        let asleep = std::mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.shared.signal.notify_one();
        }
        Ok(sequence)
    }

    /// Readable while `outcomes` has news.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }

    /// What became of the records since the last call, in order.
    pub fn outcomes(&self) -> Vec<Outcome> {
        // Cleared before the news is taken: what comes between makes it readable again.
        let _ = rustix::io::read(&self.shared.event, &mut [0_u8; 8]);
        std::mem::take(&mut self.shared.queue().outcomes)
    }

    /// Says that the consumer has every record up to `upto`; segments that hold nothing above
    /// `released` (at most `upto`) are deleted.
    pub fn persisted(&self, upto: u64, released: u64) {
        let mut queue = self.shared.queue();
        let upto = upto.min(queue.next - 1);
        let asleep = queue.persist(upto, released) && std::mem::take(&mut queue.asleep);
        drop(queue);
        if asleep {
            self.shared.signal.notify_one();
        }
    }

    /// Counters since it was opened, gauges of now.
    pub fn statistics(&self) -> Statistics {
        let queue = self.shared.queue();
        Statistics { records: queue.waiting.len() as u64, ..queue.statistics }
    }

    /// Makes durable what was appended and lets go of the directory; waits for the disk.
    pub fn close(&self) {
        let mut queue = self.shared.queue();
        queue.closing = true;
        queue.stopped.get_or_insert_with(|| "closed".to_owned());
        drop(queue);
        self.shared.signal.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic in it was told as an outcome.
            let _ = thread.join();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

/// Makes the directory where it is missing, and holds it against everybody else.
fn hold(directory: &Path) -> Result<File, Error> {
    if !directory.is_dir() {
        fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
        let parent = directory.canonicalize().map_err(Error::io("resolve", directory))?;
        let parent = parent.parent().unwrap_or(Path::new("/"));
        File::open(parent).and_then(|it| it.sync_all()).map_err(Error::io("sync", parent))?;
    }
    let handle = File::open(directory).map_err(Error::io("open", directory))?;
    match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::Held(directory.to_owned())),
        Err(error) => Err(Error::io("lock", directory)(error.into())),
    }
}

/// The first segment of an empty directory.
fn begin(directory: &Path, handle: &File, found: &mut Recovered) -> Result<Active, Error> {
    found.segments.push((1, 1));
    let header = segment::header(1, 1, 0);
    Active::create(directory, handle, header).map_err(Error::io("make a segment in", directory))
}

fn queue(found: Recovered) -> Queue {
    let sizes = found.waiting.iter().map(|(_, bytes)| u64::from(*bytes));
    let statistics = Statistics {
        bytes: sizes.sum(),
        durable: found.next - 1,
        persisted: found.persisted,
        segments: found.segments.len() as u64,
        cut: found.cut,
        ..Statistics::default()
    };
    Queue { next: found.next, waiting: found.waiting.into(), statistics, ..Queue::default() }
}
