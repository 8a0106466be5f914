//! Segment files: their names, their creation, and writing at the end of the last one.
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::frame::{HEADER, Header, VERSION};

/// Zeros written ahead of the end, so that most syncs carry data and no metadata.
pub(crate) const AHEAD: u64 = 1 << 20;

/// Room for 170 marks behind a batch, so that a full disk can still be told what to delete.
const SLACK: u64 = 4096;

static ZEROS: [u8; AHEAD as usize] = [0; AHEAD as usize];

/// `00000000000000000007.segment`.
pub(crate) fn path(directory: &Path, index: u64) -> PathBuf {
    directory.join(format!("{index:020}.segment"))
}

/// The indices of the segments in `directory`, in order; half-made files are removed.
pub(crate) fn list(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("segment") => found.extend(stem.parse::<u64>().ok()),
            Some("making") => fs::remove_file(&path)?,
            _ => {}
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether `error` is the disk's refusal, which may pass, and not its failure.
pub(crate) fn refusal(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error().unwrap_or(0);
    [Errno::NOSPC, Errno::DQUOT, Errno::ROFS, Errno::FBIG].iter().any(|e| e.raw_os_error() == code)
}

/// The segment that records are appended to.
#[derive(Debug)]
pub(crate) struct Active {
    file: File,
    pub header: Header,
    /// Where the next frame goes.
    pub end: u64,
    /// The file's length: zeros from `end` to here, unless `torn`.
    allocated: u64,
    /// Part of a refused write may lie behind `end`.
    torn: bool,
}

impl Active {
    /// Takes over an existing segment whose valid frames stop at `end`; cuts the rest.
    pub fn adopt(file: File, header: Header, end: u64) -> io::Result<Self> {
        if file.metadata()?.len() > end {
            file.set_len(end)?;
        }
        Ok(Self { file, header, end, allocated: end, torn: false })
    }

    /// Makes a new segment, complete and durable under its name, or not at all.
    pub fn create(directory: &Path, handle: &File, header: Header) -> io::Result<Self> {
        let path = path(directory, header.index);
        let making = path.with_extension("making");
        let made = Self::make(&making, header).and_then(|file| {
            fs::rename(&making, &path)?;
            Ok(file)
        });
        let file = made.inspect_err(|_| drop(fs::remove_file(&making)))?;
        handle.sync_all()?;
        let end = HEADER as u64;
        Ok(Self { file, header, end, allocated: end, torn: false })
    }

    fn make(making: &Path, header: Header) -> io::Result<File> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(making)?;
        file.write_all_at(&header.encode(), 0)?;
        file.sync_all()?;
        Ok(file)
    }

    /// Writes `bytes` at the end; after an error nothing of them counts.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.mend()?;
        if let Err(error) = self.file.write_all_at(bytes, self.end) {
            self.torn = true;
            // Best effort: where it fails too, the next write tries again before anything else.
            let _ = self.mend();
            return Err(error);
        }
        self.end += bytes.len() as u64;
        self.allocated = self.allocated.max(self.end);
        Ok(())
    }

    /// Makes room for `bytes` and the marks behind them, with zeros for many more where they fit.
    pub fn reserve(&mut self, bytes: usize) -> io::Result<()> {
        self.mend()?;
        let least = self.end + bytes as u64 + SLACK;
        if least <= self.allocated {
            return Ok(());
        }
        self.zero(least.next_multiple_of(AHEAD)).or_else(|_| {
            self.mend()?;
            self.zero(least)
        })
    }

    /// Removes what a refused write left behind the end.
    fn mend(&mut self) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.end)?;
            self.allocated = self.end;
            self.torn = false;
        }
        Ok(())
    }

    fn zero(&mut self, wanted: u64) -> io::Result<()> {
        let mut at = self.allocated;
        self.torn = at < wanted;
        while at < wanted {
            let piece = (wanted - at).min(AHEAD) as usize;
            self.file.write_all_at(&ZEROS[..piece], at)?;
            at += piece as u64;
        }
        self.torn = false;
        self.allocated = wanted;
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Gives back the zeros; the segment is complete.
    pub fn finish(&self) {
        // Only space: a reader stops at the zeros just as well.
        let _ = self.file.set_len(self.end);
    }

    /// Writes the bytes from `start` to the end once more (rule 5).
    pub fn rewrite(&self, mut start: u64) -> io::Result<()> {
        let mut piece = vec![0; AHEAD as usize];
        while start < self.end {
            let length = (self.end - start).min(AHEAD) as usize;
            self.file.read_exact_at(&mut piece[..length], start)?;
            self.file.write_all_at(&piece[..length], start)?;
            start += length as u64;
        }
        Ok(())
    }
}

/// The head of a new segment.
pub(crate) fn header(index: u64, base: u64, persisted: u64) -> Header {
    let salt = RandomState::new().hash_one((index, base));
    Header { version: VERSION, index, base, persisted, salt }
}
