//! Reading a directory as a crash may have left it: what is valid, what is torn, what is damaged.
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::frame::{self, FRAME, Frame, HEADER, Header};
use crate::segment;

/// How much is read at a time.
const CHUNK: usize = 256 << 10;

/// The frames of one segment, in order, through a buffer of one chunk or one record.
pub(crate) struct Frames {
    file: File,
    pub path: PathBuf,
    pub header: Header,
    buffer: Vec<u8>,
    start: usize,
    /// The file offset of `buffer[start]`.
    pub offset: u64,
    eof: bool,
}

impl Frames {
    /// Opens a segment and checks its head.
    pub fn open(directory: &Path, index: u64) -> Result<Self, Error> {
        let path = segment::path(directory, index);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let mut bytes = [0; HEADER];
        let read = file.read_exact(&mut bytes).map(|()| Header::decode(&bytes));
        let header = match read {
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(Error::io("read", &path)(error));
            }
            Ok(Some(header)) if header.index == index => header,
            _ => {
                let reason = "the head of the segment is damaged".to_owned();
                return Err(Error::Corrupt { file: path, offset: 0, reason });
            }
        };
        if header.version > frame::VERSION || header.version == 0 {
            return Err(Error::Version { file: path, found: header.version });
        }
        let (buffer, offset) = (Vec::new(), HEADER as u64);
        Ok(Self { file, path, header, buffer, start: 0, offset, eof: false })
    }

    /// Makes `wanted` bytes available from the current offset; false at the end of the file.
    fn fill(&mut self, wanted: usize) -> Result<bool, Error> {
        while self.buffer.len() - self.start < wanted && !self.eof {
            self.buffer.drain(..self.start);
            self.start = 0;
            let held = self.buffer.len();
            let at = self.offset + held as u64;
            self.buffer.resize(held + CHUNK.max(wanted - held), 0);
            let read = self.file.read_at(&mut self.buffer[held..], at);
            let read = read.map_err(Error::io("read", &self.path))?;
            self.buffer.truncate(held + read);
            self.eof = read == 0;
        }
        Ok(self.buffer.len() - self.start >= wanted)
    }

    /// The next frame; None where there is none, be it the end or damage.
    pub fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        if !self.fill(FRAME)? {
            return Ok(None);
        }
        let Some(whole) = frame::length(&self.buffer[self.start..]) else {
            return Ok(None);
        };
        if !self.fill(whole)? {
            return Ok(None);
        }
        let at = self.start;
        let Some(found) = frame::decode(&self.buffer[at..at + whole], self.header.seed()) else {
            return Ok(None);
        };
        self.start += whole;
        self.offset += whole as u64;
        Ok(Some(found))
    }

    /// Whether a frame behind the current offset proves that number `sequence` was durable.
    fn proof_behind(&mut self, sequence: u64) -> Result<bool, Error> {
        let mut rest = Vec::new();
        let length = self.file.metadata().map_err(Error::io("read", &self.path))?.len();
        rest.resize(length.saturating_sub(self.offset) as usize, 0);
        let read = self.file.read_exact_at(&mut rest, self.offset);
        read.map_err(Error::io("read", &self.path))?;
        let seed = self.header.seed();
        Ok((0..rest.len().saturating_sub(FRAME)).any(|at| proves(&rest[at..], seed, sequence)))
    }

    fn corrupt(&self, reason: String) -> Error {
        Error::Corrupt { file: self.path.clone(), offset: self.offset, reason }
    }
}

/// Whether `bytes` begin with a mark that counts `sequence` as synced.
fn proves(bytes: &[u8], seed: u32, sequence: u64) -> bool {
    frame::length(bytes).is_some_and(|whole| {
        whole == frame::MARK
            && whole <= bytes.len()
            && matches!(
                frame::decode(&bytes[..whole], seed),
                Some(Frame::Mark { next, .. }) if next > sequence
            )
    })
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// Index and first sequence number of each segment.
    pub segments: Vec<(u64, u64)>,
    /// The number that the next record gets.
    pub next: u64,
    pub persisted: u64,
    /// Records behind `persisted`, as number and bytes on disk.
    pub waiting: Vec<(u64, u32)>,
    /// Bytes cut from the end of the last segment.
    pub cut: u64,
    pub active: Option<segment::Active>,
    /// The file and the offset behind the last frame that was read.
    stopped: (PathBuf, u64),
}

/// Checks every segment in `directory`, cuts a torn tail, and says where to go on.
pub(crate) fn recover(directory: &Path) -> Result<Recovered, Error> {
    let indices = segment::list(directory).map_err(Error::io("list", directory))?;
    let mut found = Recovered { next: 1, ..Recovered::default() };
    for (position, index) in indices.iter().enumerate() {
        let mut frames = Frames::open(directory, *index)?;
        check_order(&found, &frames)?;
        let last = position + 1 == indices.len();
        let synced = read_segment(&mut found, &mut frames)?;
        found.segments.push((*index, frames.header.base));
        found.stopped = (frames.path.clone(), frames.offset);
        if last {
            found.active = Some(resume(&mut found, frames, synced)?);
        }
    }
    let base = found.segments.first().map_or(1, |(_, base)| *base);
    if found.persisted + 1 < base {
        return Err(Error::Corrupt {
            file: segment::path(directory, indices[0]),
            offset: 0,
            reason: format!("records {} to {} are missing", found.persisted + 1, base - 1),
        });
    }
    let persisted = found.persisted;
    found.waiting.retain(|(sequence, _)| *sequence > persisted);
    Ok(found)
}

/// A segment begins where the one before it ended; otherwise something between them is gone.
fn check_order(found: &Recovered, frames: &Frames) -> Result<(), Error> {
    let Some((before, _)) = found.segments.last() else {
        return Ok(());
    };
    let header = frames.header;
    if header.index == before + 1 && header.base == found.next {
        return Ok(());
    }
    let (file, offset) = found.stopped.clone();
    let reason = format!("records {} to {} are damaged or missing", found.next, header.base - 1);
    Err(Error::Corrupt { file, offset, reason })
}

/// Takes every valid frame; gives the offset behind the last mark.
fn read_segment(found: &mut Recovered, frames: &mut Frames) -> Result<u64, Error> {
    found.persisted = found.persisted.max(frames.header.persisted);
    found.next = frames.header.base;
    let mut synced = frames.offset;
    loop {
        let before = frames.offset;
        match frames.next()? {
            Some(Frame::Record { sequence, payload }) if sequence == found.next => {
                found.waiting.push((sequence, (payload.len() + FRAME) as u32));
                found.next += 1;
            }
            Some(Frame::Mark { next, persisted }) if next >= found.next => {
                found.next = next;
                found.persisted = found.persisted.max(persisted);
                synced = frames.offset;
            }
            None => return Ok(synced),
            Some(_) => {
                frames.offset = before;
                return Err(frames.corrupt(format!("record {} is not the one here", found.next)));
            }
        }
    }
}

/// Decides between a torn tail and damage, and makes the last segment fit to go on.
fn resume(
    found: &mut Recovered,
    mut frames: Frames,
    synced: u64,
) -> Result<segment::Active, Error> {
    if frames.proof_behind(found.next)? {
        let reason = format!("record {} is damaged, and was acknowledged", found.next);
        return Err(frames.corrupt(reason));
    }
    let (path, end) = (frames.path.clone(), frames.offset);
    found.cut = torn(&frames.file, end).map_err(Error::io("read", &path))?;
    let active = segment::Active::adopt(frames.file, frames.header, end)
        .and_then(|active| active.rewrite(synced).and_then(|()| active.sync()).map(|()| active));
    active.map_err(Error::io("mend", &path))
}

/// Bytes behind `end` up to the last that is not zero.
fn torn(file: &File, end: u64) -> io::Result<u64> {
    let mut rest = vec![0; file.metadata()?.len().saturating_sub(end) as usize];
    file.read_exact_at(&mut rest, end)?;
    Ok(rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1))
}
