//! Octets that go from one socket to another without coming to us: by splice(2), through a pipe.
//!
//! # Theory
//! A pipe holds references to the pages that the network brought, and the other socket sends from
//! those: neither copy of a relay is made. What the peer does not take at once stays in its pipe,
//! which waits in the peer's outbox as a range of a file does.
//!
//! # Rules
//! - A pipe is filled once and emptied before it is filled again: that a socket has nothing to give
//!   is then never taken for a pipe that is full.
//! - One that dies with octets in it is closed; another that is empty is kept for the next.
//! - No SPLICE_F_MORE: a server that pauses would leave the peer waiting for a part of a segment.
use crate::conn::{Layer, Stream};
use crate::outbox::TURN;
use crate::reactor::Reactor;
use crate::token::Token;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::sync::Arc;

/// What a pipe is asked to hold: the most that anybody may ask for (/proc/sys/fs/pipe-max-size).
const SIZE: usize = 1024 * 1024;
/// Pipes at once, in a worker: a quarter of the pages that a user's pipes may have, 16,384
/// (/proc/sys/fs/pipe-user-pages-soft), behind which the kernel makes them small. Who gets none
/// copies.
const MOST: usize = 16;
/// Pipes kept for who comes next (two descriptors each).
const KEPT: usize = 8;

/// A pipe that waits to be sent, or filled.
pub struct Conduit {
    read: OwnedFd,
    write: OwnedFd,
    held: usize,
    /// Counts those that there are.
    _one: Arc<()>,
}

impl Conduit {
    /// Octets in it.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Takes what a socket has.
    fn fill(&mut self, from: impl AsFd, most: usize) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        self.held = splice(from, None, &self.write, None, most, flags)?;
        Ok(self.held)
    }

    /// Gives a socket what it takes; [`Conduit::forget`] counts it.
    pub fn send(&self, to: &OwnedFd) -> Result<usize, Errno> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match splice(&self.read, None, to, None, self.held, flags) {
            // There is something in it, and it was not taken.
            Ok(0) => Err(Errno::PIPE),
            other => other,
        }
    }

    /// So much has left.
    pub fn forget(&mut self, count: usize) {
        self.held -= count;
    }
}

/// The pipes of a reactor.
#[derive(Default)]
pub struct Conduits {
    empty: Vec<Conduit>,
    all: Arc<()>,
}

impl Conduits {
    fn take(&mut self) -> Option<Conduit> {
        if let Some(conduit) = self.empty.pop() {
            return Some(conduit);
        }
        if Arc::strong_count(&self.all) > MOST {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // Refused where the user has as many pages as may be: then it holds less.
        let _ = fcntl_setpipe_size(&write, SIZE);
        Some(Conduit { read, write, held: 0, _one: Arc::clone(&self.all) })
    }

    /// Keeps one that is empty.
    pub fn give(&mut self, conduit: Conduit) {
        if conduit.held == 0 && self.empty.len() < KEPT {
            self.empty.push(conduit);
        }
    }
}

/// Why no more octets were moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spliced {
    /// All that may be, or that is the others' turn.
    Enough,
    /// The socket has no more for now.
    Dry,
    /// The peer is behind.
    Behind,
    /// The peer takes nothing any more.
    Gone,
    /// They have to be read and written: the socket has ended, or there is no pipe to be had.
    Read,
}

impl Reactor {
    /// Moves at most so many octets of a body of known length from a socket to the peer; how many,
    /// and why no more.
    pub fn splice(&mut self, token: Token, from: impl AsFd, most: usize) -> (usize, Spliced) {
        let (mut moved, low, most) = (0, self.settings.unsent / 2, most.min(TURN));
        while moved < most {
            let Some(conn) = self.conn(token) else { return (moved, Spliced::Gone) };
            let plain = conn.tls.is_none() && matches!(conn.layer, Layer::None);
            let Stream::Exact(owed) = conn.current.stream else { return (moved, Spliced::Read) };
            if !plain || owed == 0 {
                return (moved, Spliced::Read);
            }
            if conn.outbox.len() > low {
                return (moved, Spliced::Behind);
            }
            let Some(mut conduit) = self.spares.pipes.take() else { return (moved, Spliced::Read) };
            let room = (most - moved).min(usize::try_from(owed).unwrap_or(usize::MAX));
            match conduit.fill(&from, room) {
                Ok(count) if count > 0 => {
                    self.pass_pipe(token, conduit);
                    moved += count;
                }
                Err(Errno::INTR) => self.spares.pipes.give(conduit),
                Err(Errno::AGAIN) => {
                    self.spares.pipes.give(conduit);
                    return (moved, Spliced::Dry);
                }
                Ok(_) | Err(_) => {
                    self.spares.pipes.give(conduit);
                    return (moved, Spliced::Read);
                }
            }
        }
        (moved, Spliced::Enough)
    }

    fn pass_pipe(&mut self, token: Token, conduit: Conduit) {
        let Some(conn) = self.conn(token) else { return };
        if let Stream::Exact(owed) = &mut conn.current.stream {
            *owed -= conduit.len() as u64;
        }
        conn.outbox.conduct(conduit);
        self.flush(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::{Outbox, Spares};
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
    };

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SocketFlags::NONBLOCK;
        socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
    }

    fn drain(fd: &OwnedFd, into: &mut Vec<u8>) {
        let mut buffer = [0; 4096];
        while let Ok((count, _)) = recv(fd, &mut buffer[..], RecvFlags::empty()) {
            into.extend_from_slice(&buffer[..count]);
        }
    }

    #[test]
    fn what_is_in_a_pipe_is_sent_in_its_place() {
        let ((server, from), (to, peer)) = (pair(), pair());
        let (mut outbox, mut spares, mut got) = (Outbox::default(), Spares::default(), vec![]);
        send(&server, &vec![7; 100_000], SendFlags::empty()).unwrap();
        outbox.tail(&mut spares).extend_from_slice(b"head");
        let mut conduit = spares.pipes.take().unwrap();
        let count = conduit.fill(&from, 60_000).unwrap();
        outbox.conduct(conduit);
        outbox.tail(&mut spares).extend_from_slice(b"end");
        assert_eq!(outbox.len(), count + 7);
        while !outbox.is_empty() {
            outbox.send(&to, &mut spares).unwrap();
            drain(&peer, &mut got);
            assert_eq!(outbox.len() + got.len(), count + 7);
        }
        assert!(got == [&b"head"[..], &vec![7; count], b"end"].concat());
        assert_eq!(spares.pipes.empty.len(), 1);
    }

    #[test]
    fn a_socket_that_takes_nothing_leaves_it_there() {
        let ((server, from), (to, peer)) = (pair(), pair());
        let (mut outbox, mut spares, mut got) = (Outbox::default(), Spares::default(), vec![]);
        while send(&to, &[1; 4096], SendFlags::empty()).is_ok() {}
        send(&server, b"octets", SendFlags::empty()).unwrap();
        let mut conduit = spares.pipes.take().unwrap();
        assert_eq!(conduit.fill(&from, 100), Ok(6));
        outbox.conduct(conduit);
        assert_eq!(outbox.send(&to, &mut spares).unwrap().sent, 0);
        drain(&peer, &mut got);
        got.clear();
        assert_eq!(outbox.send(&to, &mut spares).unwrap().sent, 6);
        drain(&peer, &mut got);
        assert_eq!(got, b"octets");
    }

    #[test]
    fn there_are_so_many_and_one_that_dies_with_octets_is_none_of_them() {
        let (server, from) = pair();
        let mut pipes = Conduits::default();
        let mut all: Vec<_> = std::iter::from_fn(|| pipes.take()).collect();
        assert_eq!(all.len(), MOST);
        send(&server, b"octets", SendFlags::empty()).unwrap();
        let mut full = all.pop().unwrap();
        assert_eq!(full.fill(&from, 100), Ok(6));
        assert_eq!(full.fill(&from, 100), Err(Errno::AGAIN));
        drop(server);
        let mut ended = all.pop().unwrap();
        assert_eq!(ended.fill(&from, 100), Ok(0));
        all.push(ended);
        for conduit in all {
            pipes.give(conduit);
        }
        assert_eq!(pipes.empty.len(), KEPT);
        pipes.give(full);
        assert_eq!(pipes.empty.len(), KEPT);
    }
}
