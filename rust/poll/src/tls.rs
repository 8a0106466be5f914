//! TLS between a socket and its protocol: bytes in, bytes out, by rustls.
//!
//! # Rules
//! - A record that does not verify, a plain request, a version below 1.2: the alert is sent and the
//!   connection closes. Nothing of it reaches the protocol.
//! - The handshake has the time of a request's head, all together: a half-open or slow one is
//!   closed like a slow request.
//! - What the protocol wants sent stays in its outbox until the record layer has room: one record's
//!   worth of it is sealed at a time, so a slow reader costs no more memory than without TLS.
mod certificates;
mod settings;
mod tickets;

pub use settings::{BadTls, ClientAuth, Identity, Tls};
pub use tickets::{SECRET_BYTES, Secret};

use crate::outbox::{Outbox, Progress, Spares, TURN};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustls::{HandshakeKind, ServerConfig, ServerConnection};
use std::io::{self, BufRead, Write};
use std::sync::Arc;

/// Bytes that wait in the record layer: enough to fill a socket's buffer in one call.
const SEALED: usize = 64 * 1024;

/// What the bytes of one read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Plain bytes, or none yet.
    Open,
    /// The peer has said that it will send nothing more.
    Ended,
    /// No TLS, or broken TLS; an alert is ready to be sent.
    Broken,
}

/// One connection's record layer.
pub struct Session {
    tls: ServerConnection,
    farewell: bool,
}

impl Session {
    /// Waits for a ClientHello.
    pub fn new(config: &Arc<ServerConfig>) -> Option<Session> {
        let mut tls = ServerConnection::new(Arc::clone(config)).ok()?;
        tls.set_buffer_limit(Some(SEALED));
        Some(Session { tls, farewell: false })
    }

    /// Whether the handshake is under way.
    pub fn is_shaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the handshake took up an earlier session.
    pub fn is_resumed(&self) -> bool {
        self.tls.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The protocol agreed on, where the peer named any.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.tls.alpn_protocol()
    }

    /// The peer's certificates, its own first; DER.
    pub fn peer_certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.tls.peer_certificates().into_iter().flatten().map(AsRef::as_ref)
    }

    /// Takes bytes of the socket; appends what they said to `plain`.
    pub fn receive(&mut self, mut sealed: &[u8], plain: &mut Vec<u8>) -> Received {
        while !sealed.is_empty() {
            match self.tls.read_tls(&mut sealed) {
                Ok(0) => return Received::Ended,
                Ok(_) => {}
                Err(_) => return Received::Broken,
            }
            if self.tls.process_new_packets().is_err() {
                return Received::Broken;
            }
            let mut reader = self.tls.reader();
            while let Ok(bytes) = reader.fill_buf() {
                if bytes.is_empty() {
                    return Received::Ended;
                }
                let count = bytes.len();
                plain.extend_from_slice(bytes);
                reader.consume(count);
            }
        }
        Received::Open
    }

    /// Whether sealed bytes wait for the socket.
    pub fn is_sent(&self) -> bool {
        !self.tls.wants_write()
    }

    /// Says goodbye, once: behind it the peer may trust that nothing was cut off.
    pub fn close(&mut self) {
        if !std::mem::replace(&mut self.farewell, true) {
            self.tls.send_close_notify();
        }
    }

    /// Seals and sends what the socket takes; the count is of sealed bytes.
    ///
    /// # Errors
    /// The connection is broken.
    pub fn send(
        &mut self,
        outbox: &mut Outbox,
        fd: &OwnedFd,
        spares: &mut Spares,
    ) -> Result<Progress, Errno> {
        let mut progress = Progress::default();
        loop {
            while self.tls.wants_write() {
                match self.tls.write_tls(&mut Socket(fd)) {
                    Ok(count) => progress.sent += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(progress),
                    Err(error) => return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
                }
            }
            if outbox.is_empty() || self.tls.is_handshaking() {
                return Ok(progress);
            }
            if progress.sent >= TURN {
                return Ok(Progress { rests: true, ..progress });
            }
            outbox.load()?;
            let taken = self.tls.writer().write(outbox.front()).unwrap_or(0);
            if taken == 0 {
                return Err(Errno::PIPE);
            }
            outbox.forget(taken, spares);
        }
    }
}

struct Socket<'a>(&'a OwnedFd);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match send(self.0, bytes, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
