//! New connections, within what the settings and the process allow.
use crate::outbox::Outbox;
use crate::reactor::{LISTENER, Listener, Reactor};
use crate::statistics::{Count, Gauge};
use crate::tls::Session;
use crate::token::Token;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with, sockopt};
use wire::Refusal;

/// Connections a listener and turn: others get their turn before the rest.
const BURST: usize = 256;
/// How long accepting rests when file descriptors have run out (nginx: 500 ms).
const REST: u64 = 100_000_000;

impl Reactor {
    /// Accepts from a listening, non-blocking socket; where it is `secure`, by TLS only, with what
    /// [`Reactor::set_tls`] was given.
    ///
    /// # Errors
    /// The kernel would not watch it.
    pub fn listen(&mut self, socket: OwnedFd, secure: bool) -> Result<(), Errno> {
        // Accepted sockets inherit it; a Unix socket knows no such option.
        let _ = sockopt::set_tcp_nodelay(&socket, true);
        let data = EventData::new_u64(LISTENER | self.listeners.len() as u64);
        epoll::add(&self.set, &socket, data, EventFlags::IN)?;
        self.listeners.push(Listener { fd: socket, secure });
        Ok(())
    }

    /// Serves a connection that somebody else has accepted, or made; `secure` where TLS has ended
    /// before it. None where there is no more room.
    pub fn adopt(&mut self, fd: OwnedFd, secure: bool) -> Option<Token> {
        if self.connections() >= self.settings.connections {
            self.statistics.one(Count::Full);
            return None;
        }
        let token = self.admit(fd, None, self.settings.idle_timeout)?;
        self.conns[token.index as usize].vouched = secure;
        Some(token)
    }

    pub(crate) fn accept(&mut self, listener: usize) {
        for _ in 0..BURST {
            // Level-triggered: what is left comes with the next turn.
            let Some(socket) = self.listeners.get(listener) else { return };
            let secure = socket.secure;
            match accept_with(&socket.fd, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(fd) if self.connections() >= self.settings.connections => {
                    self.turn_away(&fd, secure);
                }
                Ok(fd) if secure => self.admit_secure(fd),
                Ok(fd) => drop(self.admit(fd, None, self.settings.idle_timeout)),
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    return self.rest();
                }
                // A peer that left the queue again says nothing of the next one (man 2 accept).
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    /// No certificate, no connection.
    fn admit_secure(&mut self, fd: OwnedFd) {
        if let Some(session) = self.tls.as_ref().and_then(Session::new) {
            self.admit(fd, Some(Box::new(session)), self.settings.head_timeout);
        }
    }

    fn admit(&mut self, fd: OwnedFd, tls: Option<Box<Session>>, patience: u64) -> Option<Token> {
        let index = self.slot();
        let epoch = self.conns[index as usize].epoch;
        let token = Token { index, epoch };
        let data = EventData::new_u64(u64::from(epoch) << 32 | u64::from(index));
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        if epoll::add(&self.set, &fd, data, flags).is_err() {
            self.free.push(index);
            self.rest();
            return None;
        }
        self.statistics.one(Count::Accepted);
        self.statistics.set(Gauge::Connections, self.connections() as u64);
        let conn = &mut self.conns[index as usize];
        conn.fd = Some(fd);
        conn.tls = tls;
        conn.timeout_at = self.now + patience;
        self.wheel.insert(token.index, conn.timeout_at);
        Some(token)
    }

    /// 503 to a connection too many: one try, since nothing of it is kept.
    fn turn_away(&mut self, fd: &OwnedFd, secure: bool) {
        self.statistics.one(Count::Full);
        if secure {
            return; // A handshake would cost more than the answer is worth.
        }
        let mut outbox = Outbox::default();
        let tail = outbox.tail(&mut self.spares);
        self.refusals[Refusal::Full as usize].write_last(tail, &self.date);
        let _ = outbox.send(fd, &mut self.spares);
    }

    /// Out of descriptors: a level-triggered listener would spin, so it is taken out for a while.
    fn rest(&mut self) {
        self.statistics.one(Count::Exhausted);
        for listener in &self.listeners {
            let _ = epoll::delete(&self.set, &listener.fd);
        }
        self.accept_again = Some(self.now + REST);
    }

    /// Takes the listeners in again, once the rest is over.
    pub(crate) fn accept_after_rest(&mut self) {
        if self.accept_again.is_none_or(|at| at > self.now) {
            return;
        }
        self.accept_again = None;
        for (index, listener) in self.listeners.iter().enumerate() {
            let data = EventData::new_u64(LISTENER | index as u64);
            let _ = epoll::add(&self.set, &listener.fd, data, EventFlags::IN);
        }
    }
}
