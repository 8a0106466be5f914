//! One outgoing socket, with TLS where that is asked for.
use super::tls::Peer;
use super::{Address, Loss};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::EventFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv,
    send, socket_with, sockopt,
};
use rustls::ClientConnection;
use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// What one turn of a connection reads at most, and at once: as the server's shared buffer.
const PIECE: usize = 64 * 1024;
const TURN: usize = 4 * PIECE;
/// Sealed octets that wait in the record layer: enough to fill a socket's buffer in one call.
const SEALED: usize = 64 * 1024;
/// Before the first probe of a silent connection; hiredis' redisEnableKeepAlive has 15 s.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Connecting,
    Shaking,
    Open,
}

pub(super) struct Connection {
    pub(super) fd: OwnedFd,
    pub(super) stage: Stage,
    /// What the kernel looks for.
    pub(super) interest: EventFlags,
    /// The kernel took less than it was given.
    pub(super) blocked: bool,
    pub(super) paused: bool,
    tls: Option<Box<ClientConnection>>,
}

impl Connection {
    pub(super) fn dial(address: &Address, peer: Option<&Peer>) -> Result<Connection, Loss> {
        let tls = peer.map(|peer| peer.session(SEALED)).transpose()?;
        let fd = begin(address).map_err(Loss::Errno)?;
        Ok(Connection {
            fd,
            stage: Stage::Connecting,
            interest: EventFlags::OUT,
            blocked: false,
            paused: false,
            tls: tls.map(Box::new),
        })
    }

    /// From here on through TLS.
    pub(super) fn secure(&mut self, peer: &Peer) -> Result<(), Loss> {
        self.tls = Some(Box::new(peer.session(SEALED)?));
        self.stage = Stage::Shaking;
        Ok(())
    }

    /// Its descriptor, where there is no TLS.
    pub(super) fn plain(&self) -> Option<BorrowedFd<'_>> {
        (self.tls.is_none() && self.stage == Stage::Open).then(|| self.fd.as_fd())
    }

    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.tls.as_ref()?.alpn_protocol()
    }

    /// Whether nothing has come that an idle peer would not say; TLS may renew its tickets.
    pub(super) fn is_alive(&self) -> bool {
        let mut octet = [0_u8];
        match recv(&self.fd, &mut octet, RecvFlags::PEEK) {
            Ok((_, count)) => count > 0 && self.tls.is_some(),
            Err(errno) => errno == Errno::AGAIN,
        }
    }

    pub(super) fn wanted(&self) -> EventFlags {
        let sealed = self.tls.as_ref().is_some_and(|tls| tls.wants_write());
        match self.stage {
            Stage::Connecting => EventFlags::OUT,
            Stage::Shaking if sealed => EventFlags::IN | EventFlags::OUT,
            Stage::Shaking => EventFlags::IN,
            Stage::Open => {
                let reads = if self.paused { EventFlags::empty() } else { EventFlags::IN };
                let writes = self.blocked || sealed;
                reads | if writes { EventFlags::OUT } else { EventFlags::empty() }
            }
        }
    }

    /// A step towards being open; whether it is.
    pub(super) fn advance(&mut self) -> Result<bool, Loss> {
        if self.stage == Stage::Connecting {
            sockopt::socket_error(&self.fd).and_then(|error| error).map_err(Loss::Errno)?;
            self.stage = if self.tls.is_some() { Stage::Shaking } else { Stage::Open };
        }
        if let Some(tls) = self.tls.as_mut() {
            shake(tls, &self.fd)?;
            if tls.is_handshaking() || tls.wants_write() {
                return Ok(false);
            }
            self.stage = Stage::Open;
        }
        Ok(true)
    }

    pub(super) fn send(&mut self, octets: &[u8]) -> Result<usize, Loss> {
        if self.stage != Stage::Open {
            return Ok(0);
        }
        let sent = match self.tls.as_mut() {
            None => write(&self.fd, octets).map_err(Loss::Errno)?,
            Some(tls) => seal(tls, &self.fd, octets)?,
        };
        self.blocked = sent < octets.len();
        Ok(sent)
    }

    pub(super) fn receive(&mut self, into: &mut Vec<u8>) -> Result<(), Loss> {
        if let Some(tls) = self.tls.as_mut() {
            return unseal(tls, &self.fd, into);
        }
        let before = into.len();
        while into.len() - before < TURN {
            into.reserve(PIECE);
            let room = into.capacity() - into.len();
            match recv(&self.fd, spare_capacity(into), RecvFlags::empty()) {
                Ok((_, 0)) => return Err(Loss::Ended),
                Ok((_, count)) if count < room => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => return Err(Loss::Errno(errno)),
            }
        }
        Ok(())
    }
}

fn begin(address: &Address) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, begun) = match address {
        Address::Unix(path) => {
            let fd = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            let begun = connect(&fd, &SocketAddrUnix::new(path)?);
            (fd, begun)
        }
        Address::Tcp(address) => {
            let family = match address {
                SocketAddr::V4(_) => AddressFamily::INET,
                SocketAddr::V6(_) => AddressFamily::INET6,
            };
            let fd = socket_with(family, SocketType::STREAM, flags, None)?;
            sockopt::set_tcp_nodelay(&fd, true)?;
            sockopt::set_socket_keepalive(&fd, true)?;
            sockopt::set_tcp_keepidle(&fd, KEEP_ALIVE)?;
            let begun = connect(&fd, address);
            (fd, begun)
        }
    };
    match begun {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

fn write(fd: &OwnedFd, octets: &[u8]) -> Result<usize, Errno> {
    let mut sent = 0;
    while sent < octets.len() {
        match send(fd, &octets[sent..], SendFlags::NOSIGNAL) {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(sent)
}

fn shake(tls: &mut ClientConnection, fd: &OwnedFd) -> Result<(), Loss> {
    while tls.is_handshaking() && tls.wants_read() && !tls.wants_write() {
        match tls.read_tls(&mut Socket(fd)) {
            Ok(0) => return Err(Loss::Ended),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(lost(&error)),
        }
        process(tls, fd)?;
        flush(tls, fd)?;
    }
    flush(tls, fd)
}

/// What the records came to; an alert about a broken one is sent before it is given up.
fn process(tls: &mut ClientConnection, fd: &OwnedFd) -> Result<(), Loss> {
    if let Err(error) = tls.process_new_packets() {
        let _ = flush(tls, fd);
        return Err(Loss::Tls(error.to_string()));
    }
    Ok(())
}

fn flush(tls: &mut ClientConnection, fd: &OwnedFd) -> Result<(), Loss> {
    while tls.wants_write() {
        match tls.write_tls(&mut Socket(fd)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(lost(&error)),
        }
    }
    Ok(())
}

fn seal(tls: &mut ClientConnection, fd: &OwnedFd, octets: &[u8]) -> Result<usize, Loss> {
    let mut taken = 0;
    loop {
        flush(tls, fd)?;
        if taken == octets.len() || tls.wants_write() {
            return Ok(taken);
        }
        match tls.writer().write(&octets[taken..]) {
            Ok(0) => return Ok(taken),
            Ok(count) => taken += count,
            Err(error) => return Err(lost(&error)),
        }
    }
}

fn unseal(tls: &mut ClientConnection, fd: &OwnedFd, into: &mut Vec<u8>) -> Result<(), Loss> {
    let before = into.len();
    // The handshake's last flight may have brought the first records.
    let mut ended = drain(tls, into);
    while into.len() - before < TURN && !ended {
        match tls.read_tls(&mut Socket(fd)) {
            Ok(0) => ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(lost(&error)),
        }
        process(tls, fd)?;
        ended |= drain(tls, into);
    }
    if ended { Err(Loss::Ended) } else { flush(tls, fd) }
}

/// Takes what is plain by now; whether that was the last.
fn drain(tls: &mut ClientConnection, into: &mut Vec<u8>) -> bool {
    let mut reader = tls.reader();
    while let Ok(octets) = reader.fill_buf() {
        if octets.is_empty() {
            return true;
        }
        let count = octets.len();
        into.extend_from_slice(octets);
        reader.consume(count);
    }
    false
}

fn lost(error: &io::Error) -> Loss {
    Loss::Errno(Errno::from_io_error(error).unwrap_or(Errno::IO))
}

struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.0, &mut *into, RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                other => return Ok(other?.1),
            }
        }
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        loop {
            match send(self.0, octets, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
