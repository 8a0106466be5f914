//! Reading records back, one at a time.
use std::collections::VecDeque;
use std::path::PathBuf;

use crate::error::Error;
use crate::frame::Frame;
use crate::recover::Frames;

/// Every record that the directory held when it was opened, oldest first.
///
/// Records up to the persisted position may come first: they are what is left of a window that
/// the consumer asked to keep.
pub struct Replay {
    directory: PathBuf,
    segments: VecDeque<u64>,
    /// The last number to give.
    last: u64,
    frames: Option<Frames>,
}

impl Replay {
    pub(crate) fn new(directory: PathBuf, segments: VecDeque<u64>, last: u64) -> Self {
        Self { directory, segments, last, frames: None }
    }

    fn advance(&mut self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        loop {
            if self.frames.is_none() {
                let Some(index) = self.segments.pop_front() else {
                    return Ok(None);
                };
                self.frames = Some(Frames::open(&self.directory, index)?);
            }
            let frames = self.frames.as_mut().expect("opened above");
            match frames.next()? {
                Some(Frame::Record { sequence, payload }) if sequence <= self.last => {
                    return Ok(Some((sequence, payload.to_vec())));
                }
                Some(Frame::Mark { .. }) => {}
                _ => self.frames = None,
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<(u64, Vec<u8>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
