//! What a connection has yet to send.
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Buffers kept for the next answer, and the largest worth keeping.
const SPARE_BUFFERS: usize = 64;
const SPARE_BYTES: usize = 64 * 1024;
/// Pieces a system call; IOV_MAX is 1,024, and a pipelined batch rarely has more than a few.
const GATHER: usize = 64;

/// Bytes that belong to somebody else, sent from where they lie.
pub type Shared = Box<dyn AsRef<[u8]> + Send + Sync>;

enum Piece {
    Own(Vec<u8>),
    Shared(Shared),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => (**bytes).as_ref(),
        }
    }
}

/// Buffers that wait for the next answer.
#[derive(Default)]
pub struct Spares(Vec<Vec<u8>>);

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.0.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            self.0.push(buffer);
        }
    }
}

/// Unsent bytes in order: whole pieces first, then the tail that is still written to.
#[derive(Default)]
pub struct Outbox {
    pieces: VecDeque<Piece>,
    tail: Vec<u8>,
    /// Sent of the first piece, or of the tail where there is none.
    sent: usize,
    /// Bytes in `pieces`.
    whole: usize,
}

impl Outbox {
    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.whole + self.tail.len() - self.sent
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer to append to.
    pub fn tail(&mut self, spares: &mut Spares) -> &mut Vec<u8> {
        if self.tail.capacity() == 0 {
            self.tail = spares.take();
        }
        &mut self.tail
    }

    /// Appends bytes without copying them.
    pub fn share(&mut self, bytes: Shared) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.whole += tail.len();
            self.pieces.push_back(Piece::Own(tail));
        }
        self.whole += (*bytes).as_ref().len();
        self.pieces.push_back(Piece::Shared(bytes));
    }

    /// The bytes at the front, as far as they lie together.
    pub fn front(&self) -> &[u8] {
        &self.pieces.front().map_or(&self.tail[..], Piece::bytes)[self.sent..]
    }

    /// Sends what the socket takes; gives how much that was.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, fd: &OwnedFd, spares: &mut Spares) -> Result<usize, Errno> {
        let before = self.len();
        while !self.is_empty() {
            let result = if self.pieces.is_empty() {
                send(fd, &self.tail[self.sent..], SendFlags::NOSIGNAL)
            } else {
                self.gather(fd)
            };
            match result {
                Ok(taken) => self.forget(taken, spares),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(before - self.len())
    }

    fn gather(&self, fd: &OwnedFd) -> Result<usize, Errno> {
        let pieces = self.pieces.iter().map(Piece::bytes).chain([&self.tail[..]]);
        let mut slices: Vec<IoSlice<'_>> = pieces.take(GATHER).map(IoSlice::new).collect();
        IoSlice::advance_slices(&mut &mut slices[..], 0);
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, self.sent);
        sendmsg(fd, rest, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)
    }

    /// So many bytes at the front are done with.
    pub fn forget(&mut self, taken: usize, spares: &mut Spares) {
        self.sent += taken;
        while let Some(piece) = self.pieces.front() {
            let size = piece.bytes().len();
            if self.sent < size {
                return;
            }
            self.sent -= size;
            self.whole -= size;
            if let Some(Piece::Own(buffer)) = self.pieces.pop_front() {
                spares.give(buffer);
            }
        }
        if self.sent == self.tail.len() {
            self.sent = 0;
            spares.give(std::mem::take(&mut self.tail));
        }
    }
}
