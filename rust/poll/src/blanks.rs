//! Requests that are done with, whose room the next ones use: no allocation a request.
use crate::intake::{Content, Incoming};

/// Blanks kept: more requests than a batch has are rarely open at once.
const MOST: usize = 64;
/// The largest worth keeping: heads of browsers are below 2 KiB.
const MOST_BYTES: usize = 4096;
const MOST_FIELDS: usize = 64;

/// The room of requests that are done with.
#[derive(Default)]
// Boxes: handing one over moves a pointer instead of two hundred bytes, five times a request.
#[expect(clippy::vec_box, reason = "what is kept is the allocation")]
pub struct Blanks(Vec<Box<Incoming>>);

impl Blanks {
    /// Room for a request; whatever it says is old.
    #[expect(clippy::unnecessary_box_returns, reason = "the allocation is what is asked for")]
    pub fn take(&mut self) -> Box<Incoming> {
        self.0.pop().unwrap_or_default()
    }

    /// Keeps the room of one that is done with.
    pub fn give(&mut self, mut incoming: Box<Incoming>) {
        let fits = incoming.bytes.capacity() <= MOST_BYTES
            && incoming.head.fields.capacity() <= MOST_FIELDS;
        if self.0.len() < MOST && fits {
            incoming.content = Content::Behind;
            self.0.push(incoming);
        }
    }
}
