//! One connection: a socket, what is still to be written, and the answer that is being read.
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::answer::{Answer, Reader};
use crate::tally::Failure;

/// The request that a connection is busy with.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) kind: u8,
    /// Intended start.
    pub(crate) start: u64,
    /// When it was handed to this connection; the timeout counts from here.
    pub(crate) given: u64,
}

pub(crate) enum Phase {
    /// Not to be opened before that time.
    Closed {
        until: u64,
    },
    Connecting {
        since: u64,
    },
    Idle,
    Busy(Request),
}

/// What `receive` found.
pub(crate) enum Received {
    Nothing,
    Answered(Answer),
    Failed(Failure),
}

pub(crate) struct Connection {
    pub(crate) phase: Phase,
    socket: Option<OwnedFd>,
    /// Tells an event of this socket from a stale one of the slot's previous socket.
    generation: u32,
    reader: Reader,
    pub(crate) unsent: Vec<u8>,
    written: usize,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Closed { until: 0 },
            socket: None,
            generation: 0,
            reader: Reader::new(),
            unsent: Vec::new(),
            written: 0,
        }
    }

    /// Begins to connect; edge-triggered, one `epoll_ctl` in a connection's life.
    pub(crate) fn open(
        &mut self,
        address: &SocketAddr,
        epoll: &OwnedFd,
        slot: u32,
        now: u64,
    ) -> Result<(), Errno> {
        self.generation = self.generation.wrapping_add(1);
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let token = EventData::new_u64(u64::from(self.generation) << 32 | u64::from(slot));
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &socket, token, interest)?;
        self.socket = Some(socket);
        self.phase = Phase::Connecting { since: now };
        Ok(())
    }

    pub(crate) fn is_current(&self, token: u64) -> bool {
        self.socket.is_some() && (token >> 32) as u32 == self.generation
    }

    /// Whether a connection that was being made now stands.
    pub(crate) fn connected(&self) -> Result<(), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::NOTCONN)?;
        rustix::net::sockopt::socket_error(socket)?
    }

    pub(crate) fn close(&mut self, until: u64) {
        self.socket = None;
        self.phase = Phase::Closed { until };
    }

    /// Ready for the next request, whose text the caller appends to `unsent`.
    pub(crate) fn begin(&mut self, request: Request, bodiless: bool) {
        self.phase = Phase::Busy(request);
        self.reader.expect(bodiless);
        self.unsent.clear();
        self.written = 0;
    }

    /// Writes what the socket takes; gives how much that was.
    pub(crate) fn flush(&mut self) -> Result<usize, Failure> {
        let Some(socket) = self.socket.as_ref() else {
            return Ok(0);
        };
        let before = self.written;
        while self.written < self.unsent.len() {
            match rustix::net::send(socket, &self.unsent[self.written..], SendFlags::NOSIGNAL) {
                Ok(count) => self.written += count,
                Err(Errno::INTR) => {}
                // EPIPE: the peer may have answered before it closed (413), which is still to read.
                Err(Errno::AGAIN | Errno::PIPE) => break,
                Err(_) => return Err(Failure::Reset),
            }
        }
        Ok(self.written - before)
    }

    /// Reads until the socket is empty, the answer complete or the connection over.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], received: &mut u64) -> Received {
        let Some(socket) = self.socket.as_ref() else {
            return Received::Nothing;
        };
        loop {
            let count = match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((0, _)) => {
                    let answer = self.reader.close();
                    return answer.map_or(Received::Failed(Failure::Closed), Received::Answered);
                }
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => return Received::Nothing,
                Err(Errno::INTR) => continue,
                Err(_) => return Received::Failed(Failure::Reset),
            };
            *received += count as u64;
            match self.reader.feed(&buffer[..count]) {
                Ok((used, Some(_))) if used < count => return Received::Failed(Failure::Protocol),
                Ok((_, Some(answer))) => return Received::Answered(answer),
                Ok((_, None)) => {}
                Err(_) => return Received::Failed(Failure::Protocol),
            }
        }
    }
}
