//! What a connection has yet to send.
use crate::splice::{Conduit, Conduits};
use rustix::fd::OwnedFd;
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Buffers kept for the next answer, and the largest worth keeping.
const SPARE_BUFFERS: usize = 64;
const SPARE_BYTES: usize = 64 * 1024;
/// Pieces a system call; IOV_MAX is 1,024, and a pipelined batch rarely has more than a few.
const GATHER: usize = 64;

/// Bytes of files that one connection sends before it is the others' turn (nginx:
/// sendfile_max_chunk 2 MiB). Memory needs no such bound: it is filled no faster than it is sent.
pub const TURN: usize = 1024 * 1024;
/// Bytes of a file that are read at once where the kernel cannot send it by itself.
const LOAD: usize = 64 * 1024;

/// Bytes that belong to somebody else, sent from where they lie.
pub type Shared = Box<dyn AsRef<[u8]> + Send + Sync>;

/// A range of an open file, sent by the kernel.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The file.
    pub file: Arc<OwnedFd>,
    /// Where the range begins.
    pub at: u64,
    /// Bytes of it.
    pub len: usize,
}

enum Piece {
    Own(Vec<u8>),
    Shared(Shared),
    File(Slice),
    Pipe(Conduit),
}

impl Piece {
    /// Those in memory.
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Own(bytes) => bytes,
            Piece::Shared(bytes) => (**bytes).as_ref(),
            Piece::File(_) | Piece::Pipe(_) => &[],
        }
    }

    fn len(&self) -> usize {
        match self {
            Piece::File(slice) => slice.len,
            Piece::Pipe(conduit) => conduit.len(),
            other => other.bytes().len(),
        }
    }

    /// Whether the kernel has its bytes, and sends them one piece a call.
    fn is_kernels(&self) -> bool {
        matches!(self, Piece::File(_) | Piece::Pipe(_))
    }
}

/// What came of a try to send.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes that the socket took.
    pub sent: usize,
    /// It would take more, but it is the others' turn.
    pub rests: bool,
}

/// Buffers and pipes that wait for the next answer.
#[derive(Default)]
pub struct Spares {
    buffers: Vec<Vec<u8>>,
    pub pipes: Conduits,
}

impl Spares {
    fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < SPARE_BUFFERS && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            self.buffers.push(buffer);
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
        self.push(Piece::Shared(bytes));
    }

    /// Appends a range of a file; nothing of it is read yet.
    pub fn attach(&mut self, slice: Slice) {
        self.push(Piece::File(slice));
    }

    /// Appends what is in a pipe.
    pub fn conduct(&mut self, conduit: Conduit) {
        self.push(Piece::Pipe(conduit));
    }

    fn push(&mut self, piece: Piece) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.whole += tail.len();
            self.pieces.push_back(Piece::Own(tail));
        }
        if piece.len() > 0 {
            self.whole += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Reads what is next to send, where it lies in a file: for who cannot leave that to the
    /// kernel.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter.
    pub fn load(&mut self) -> Result<(), Errno> {
        let Some(Piece::File(slice)) = self.pieces.front_mut() else { return Ok(()) };
        let mut buffer = vec![0; slice.len.min(LOAD)];
        let count = rustix::io::pread(&slice.file, &mut buffer[..], slice.at)?;
        if count == 0 {
            return Err(Errno::IO);
        }
        buffer.truncate(count);
        slice.at += count as u64;
        slice.len -= count;
        if slice.len == 0 {
            self.pieces.pop_front();
        }
        self.pieces.push_front(Piece::Own(buffer));
        Ok(())
    }

    /// The bytes at the front, as far as they lie together.
    pub fn front(&self) -> &[u8] {
        &self.pieces.front().map_or(&self.tail[..], Piece::bytes)[self.sent..]
    }

    /// Sends what the socket takes; gives how much that was.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(&mut self, fd: &OwnedFd, spares: &mut Spares) -> Result<Progress, Errno> {
        let (before, mut files) = (self.len(), 0);
        while !self.is_empty() {
            let result = match self.pieces.front() {
                None => send(fd, &self.tail[self.sent..], SendFlags::NOSIGNAL),
                Some(Piece::File(_)) if files >= TURN => {
                    return Ok(Progress { sent: before - self.len(), rests: true });
                }
                Some(Piece::File(slice)) => {
                    let taken = send_file(fd, slice);
                    files += taken.unwrap_or(0);
                    taken
                }
                Some(Piece::Pipe(conduit)) => conduit.send(fd),
                Some(_) => self.gather(fd),
            };
            match result {
                Ok(taken) => self.forget(taken, spares),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Progress { sent: before - self.len(), rests: false })
    }

    /// Sends what waits and `more` behind it, from where that lies, as far as the socket takes it at
    /// once, and keeps the rest; octets sent. What is wrong with the socket, the next try tells.
    pub fn send_with(&mut self, fd: &OwnedFd, more: [&[u8]; 2], spares: &mut Spares) -> usize {
        let mut taken = 0;
        if self.pieces.is_empty() {
            let parts = [&self.tail[self.sent..], more[0], more[1]];
            let slices = parts.map(IoSlice::new);
            let none = &mut SendAncillaryBuffer::default();
            taken = sendmsg(fd, &slices, none, SendFlags::NOSIGNAL).unwrap_or(0);
        }
        let own = taken.min(self.len());
        if own > 0 {
            self.forget(own, spares);
        }
        let mut gone = taken - own;
        for part in more {
            let sent = gone.min(part.len());
            gone -= sent;
            if sent < part.len() {
                self.tail(spares).extend_from_slice(&part[sent..]);
            }
        }
        taken
    }

    /// Everything up to the next file in one call; the kernel waits with a segment that a file
    /// would fill.
    fn gather(&self, fd: &OwnedFd) -> Result<usize, Errno> {
        let whole = self.pieces.iter().take_while(|piece| !piece.is_kernels());
        let count = whole.clone().count();
        let file = count < self.pieces.len();
        let tail = (!file).then_some(&self.tail[..]);
        let pieces = whole.map(Piece::bytes).chain(tail);
        let mut slices: Vec<IoSlice<'_>> = pieces.take(GATHER).map(IoSlice::new).collect();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, self.sent);
        let more = if file { SendFlags::MORE } else { SendFlags::empty() };
        let flags = SendFlags::NOSIGNAL | more;
        sendmsg(fd, rest, &mut SendAncillaryBuffer::default(), flags)
    }

    /// So many bytes at the front are done with.
    pub fn forget(&mut self, taken: usize, spares: &mut Spares) {
        self.sent += taken;
        while let Some(piece) = self.pieces.front_mut() {
            let size = piece.len();
            if self.sent < size {
                match piece {
                    Piece::File(slice) => {
                        slice.at += self.sent as u64;
                        slice.len -= self.sent;
                    }
                    Piece::Pipe(conduit) => conduit.forget(self.sent),
                    _ => return,
                }
                self.whole -= self.sent;
                self.sent = 0;
                return;
            }
            self.sent -= size;
            self.whole -= size;
            match self.pieces.pop_front() {
                Some(Piece::Own(buffer)) => spares.give(buffer),
                Some(Piece::Pipe(mut conduit)) => {
                    conduit.forget(size);
                    spares.pipes.give(conduit);
                }
                _ => {}
            }
        }
        if self.sent == self.tail.len() {
            self.sent = 0;
            spares.give(std::mem::take(&mut self.tail));
        }
    }
}

/// Sends the front of a range of a file.
fn send_file(fd: &OwnedFd, slice: &Slice) -> Result<usize, Errno> {
    let mut at = slice.at;
    match sendfile(fd, &slice.file, Some(&mut at), slice.len.min(TURN)) {
        // It has become shorter than what was promised.
        Ok(0) => Err(Errno::IO),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};
    use std::io::Write as _;

    fn file(bytes: &[u8]) -> Arc<OwnedFd> {
        let path = std::env::temp_dir().join(format!("megahertz-{:p}", &raw const *bytes));
        std::fs::File::create(&path).unwrap().write_all(bytes).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        Arc::new(file.into())
    }

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::NONBLOCK;
        socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
    }

    fn drain(fd: &OwnedFd, into: &mut Vec<u8>) {
        let mut buffer = vec![0; 65536];
        while let Ok((count, _)) = recv(fd, &mut buffer[..], RecvFlags::empty()) {
            into.extend_from_slice(&buffer[..count]);
        }
    }

    #[test]
    fn memory_and_files_come_in_order_through_a_slow_socket() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
        let (file, (ours, theirs)) = (file(&content), pair());
        let (mut outbox, mut spares, mut got) = (Outbox::default(), Spares::default(), vec![]);
        outbox.tail(&mut spares).extend_from_slice(b"head");
        outbox.attach(Slice { file: file.clone(), at: 10, len: 2_000_000 });
        outbox.tail(&mut spares).extend_from_slice(b"between");
        outbox.attach(Slice { file, at: 0, len: 5 });
        outbox.share(Box::new(b"end".to_vec()));
        let size = outbox.len();
        while !outbox.is_empty() {
            assert!(outbox.send(&ours, &mut spares).unwrap().sent <= 2 * TURN);
            drain(&theirs, &mut got);
            assert_eq!(outbox.len() + got.len(), size);
        }
        let expected =
            [&b"head"[..], &content[10..2_000_010], b"between", &content[..5], b"end"].concat();
        assert!(got == expected);
    }

    #[test]
    fn more_is_sent_from_where_it_lies_and_the_rest_is_kept() {
        let (ours, theirs) = pair();
        let (mut outbox, mut spares, mut got) = (Outbox::default(), Spares::default(), vec![]);
        let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
        outbox.tail(&mut spares).extend_from_slice(b"head");
        let sent = outbox.send_with(&ours, [&content, b"end"], &mut spares);
        assert!(sent > 0 && outbox.len() == content.len() + 7 - sent);
        // What waits goes first.
        assert_eq!(outbox.send_with(&ours, [b"more", b""], &mut spares), 0);
        while !outbox.is_empty() {
            drain(&theirs, &mut got);
            outbox.send(&ours, &mut spares).unwrap();
        }
        drain(&theirs, &mut got);
        assert!(got == [&b"head"[..], &content, b"end", b"more"].concat());
        assert_eq!(outbox.send_with(&ours, [b"all", b"of it"], &mut spares), 8);
        outbox.attach(Slice { file: file(b"file"), at: 0, len: 4 });
        assert_eq!(outbox.send_with(&ours, [b"behind", b""], &mut spares), 0);
        outbox.send(&ours, &mut spares).unwrap();
        got.clear();
        drain(&theirs, &mut got);
        assert_eq!(got, b"allof itfilebehind");
    }

    #[test]
    fn loading_gives_the_same_bytes() {
        let content = vec![7; 200_000];
        let (mut outbox, mut spares, mut got) = (Outbox::default(), Spares::default(), vec![]);
        outbox.attach(Slice { file: file(&content), at: 1, len: 199_999 });
        outbox.tail(&mut spares).extend_from_slice(b"end");
        while !outbox.is_empty() {
            outbox.load().unwrap();
            let count = outbox.front().len().min(50_000);
            got.extend_from_slice(&outbox.front()[..count]);
            outbox.forget(count, &mut spares);
        }
        assert!(got == [&content[1..], b"end"].concat());
    }

    #[test]
    fn a_file_that_shrank_is_an_error() {
        let (ours, _theirs) = pair();
        let slice = Slice { file: file(b"short"), at: 0, len: 10 };
        let (mut outbox, mut spares) = (Outbox::default(), Spares::default());
        outbox.attach(slice.clone());
        assert_eq!(outbox.send(&ours, &mut spares).unwrap_err(), Errno::IO);
        let mut outbox = Outbox::default();
        outbox.attach(Slice { at: 5, ..slice });
        assert_eq!(outbox.load().unwrap_err(), Errno::IO);
    }
}
