//! Bytes to and from a peer: a socket, with TLS on it or without.
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustls::ClientConnection;

use crate::tally::{Failure, Trouble};
use crate::tls::Secure;

/// What a read found.
pub(crate) enum Read {
    /// So many bytes at the front of the buffer.
    Data(usize),
    /// Nothing until the next event.
    Nothing,
    /// The peer will send no more.
    End,
}

pub(crate) struct Transport {
    socket: OwnedFd,
    tls: Option<Box<ClientConnection>>,
}

impl Transport {
    /// Begins to connect; edge-triggered, one `epoll_ctl` in a connection's life.
    pub(crate) fn open(
        address: &SocketAddr,
        epoll: &OwnedFd,
        token: EventData,
        secure: Option<&Secure>,
    ) -> Result<Self, Errno> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        match rustix::net::connect(&socket, address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let interest = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &socket, token, interest)?;
        // Only a name that is no name can fail, and `Secure` has parsed it.
        let tls = secure.map(Secure::connect).transpose().map_err(|_| Errno::INVAL)?;
        Ok(Self { socket, tls })
    }

    /// Whether a connection that was being made now stands.
    pub(crate) fn connected(&self) -> Result<(), Errno> {
        rustix::net::sockopt::socket_error(&self.socket)?
    }

    /// Whether bytes may be sent: TCP stands, and TLS on it where there is some.
    pub(crate) fn is_ready(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// What the handshake agreed on (ALPN, RFC 7301); None without TLS or without a word.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.tls.as_ref().and_then(|tls| tls.alpn_protocol())
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads once; after a short read of a plain socket there is no more (epoll(7), question 9).
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<Read, Trouble> {
        let Some(tls) = self.tls.as_mut() else {
            return receive(&self.socket, buffer);
        };
        loop {
            match io::Read::read(&mut tls.reader(), buffer) {
                Ok(0) => return Ok(Read::End),
                Ok(count) => return Ok(Read::Data(count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok(Read::End), // without TLS's word of farewell; the framing judges
            }
            match tls.read_tls(&mut Plain(&self.socket)) {
                Ok(0) if tls.is_handshaking() => {
                    return Err(Failure::Tls.because("closed within the handshake"));
                }
                Ok(0) => return Ok(Read::End),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Read::Nothing);
                }
                Err(error) => return Err(Failure::Reset.because(error)),
            }
            let done = tls.process_new_packets();
            // Answers of the handshake, or the alert that tells the peer what was wrong.
            let sent = flush(tls, &self.socket);
            done.map_err(|error| Failure::Tls.because(error))?;
            sent?;
        }
    }

    /// Takes what the socket, or TLS, takes; gives how much that was.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<usize, Trouble> {
        let Some(tls) = self.tls.as_mut() else {
            return send(&self.socket, data);
        };
        let taken = io::Write::write(&mut tls.writer(), data);
        flush(tls, &self.socket)?;
        taken.map_err(|error| Failure::Tls.because(error))
    }
}

fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Result<Read, Trouble> {
    loop {
        return match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => Ok(Read::End),
            Ok((count, _)) => Ok(Read::Data(count)),
            Err(Errno::AGAIN) => Ok(Read::Nothing),
            Err(Errno::INTR) => continue,
            Err(error) => Err(Failure::Reset.because(io::Error::from(error))),
        };
    }
}

fn send(socket: &OwnedFd, data: &[u8]) -> Result<usize, Trouble> {
    let mut written = 0;
    while written < data.len() {
        match rustix::net::send(socket, &data[written..], SendFlags::NOSIGNAL) {
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            // EPIPE: the peer may have answered before it closed (413), which is still to read.
            Err(Errno::AGAIN | Errno::PIPE) => break,
            Err(error) => return Err(Failure::Reset.because(io::Error::from(error))),
        }
    }
    Ok(written)
}

fn flush(tls: &mut ClientConnection, socket: &OwnedFd) -> Result<(), Trouble> {
    while tls.wants_write() {
        match tls.write_tls(&mut Plain(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => return Err(Failure::Reset.because(error)),
        }
    }
    Ok(())
}

/// The socket as rustls wants it.
struct Plain<'a, Fd: AsFd>(&'a Fd);

impl<Fd: AsFd> io::Read for Plain<'_, Fd> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| {
            rustix::net::recv(self.0, &mut *buffer, RecvFlags::empty())
        })?
        .0)
    }
}

impl<Fd: AsFd> io::Write for Plain<'_, Fd> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::net::send(self.0, data, SendFlags::NOSIGNAL))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
