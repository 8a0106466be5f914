//! The end of a server: who is still served, who is told to go, and when.
//!
//! # Rules
//! - Who was told that the connection stays open may be sending its next request right now. Such a
//!   connection is closed only once it has been quiet for [`QUIET`], and what comes until then is
//!   answered with `Connection: close`: a client that keeps connections busy loses no request.
//! - WebSockets are told one after the other over `spread`, so that their clients do not all come
//!   back at once.
use crate::conn::{Layer, Stage};
use crate::reactor::Reactor;
use crate::socket::RESTART;
use crate::token::Token;
use rustix::event::epoll::{self, EventFlags};
use wire::websocket::Close;

/// A connection without a request so far has this long to send one (Go's Shutdown: 5 s).
const NEWCOMER: u64 = 1_000_000_000;
/// How long after its last answer an idle connection stays open for another request (nginx has
/// `keepalive_min_timeout` for the same reason, 0 by default; clients on one machine or in one
/// region send within a second or not for long).
const QUIET: u64 = 1_000_000_000;

impl Reactor {
    /// Stops accepting, and leaves what queues to others who accept from the same sockets.
    pub fn unlisten(&mut self) {
        for listener in self.listeners.drain(..) {
            // Closing would not do: a copy of the descriptor elsewhere keeps it in the set.
            let _ = epoll::delete(&self.set, &listener.fd);
        }
        self.accept_again = None;
    }

    /// Stops accepting, closes what is idle and lets what runs finish; ends in [`Event::Idle`].
    /// WebSockets are told to go one after the other, the last after `spread`.
    ///
    /// [`Event::Idle`]: crate::Event::Idle
    pub fn stop(&mut self, spread: u64) {
        // Who stands in the accept queue was promised an answer: closing would reset them.
        for listener in 0..self.listeners.len() {
            self.accept(listener);
        }
        self.stopping = true;
        self.unlisten();
        let (mut told, sockets) = (0, self.conns.iter().filter(|c| c.socket.is_some()).count());
        for index in 0..self.conns.len() {
            let token = Token { index: index as u32, epoch: self.conns[index].epoch };
            if self.conns[index].socket.is_some() {
                let at = self.now + spread / sockets as u64 * told;
                told += 1;
                self.tell_later(token, at);
            } else {
                self.drain(token);
            }
        }
        self.wake();
    }

    /// What becomes of one connection that is no WebSocket.
    fn drain(&mut self, token: Token) {
        let (now, idle_timeout) = (self.now, self.settings.idle_timeout);
        let Some(conn) = self.conn(token) else { return };
        match (&conn.layer, conn.stage) {
            (Layer::Mux(_), _) => {
                self.set_timeout(token, now + NEWCOMER);
                self.shut_down_mux(token);
            }
            (Layer::None, Stage::Idle) if conn.served == 0 => {
                self.set_timeout(token, now + NEWCOMER);
            }
            (Layer::None, Stage::Idle) => {
                let quiet_at = conn.timeout_at.saturating_sub(idle_timeout) + QUIET;
                if quiet_at > now && conn.is_sent() {
                    self.set_timeout(token, quiet_at);
                } else {
                    self.last_look(token);
                }
            }
            _ => {}
        }
    }

    /// Closed once a read has shown that no request is on its way in; looked at again where it
    /// showed half a one (a TLS record, say).
    pub(crate) fn last_look(&mut self, token: Token) {
        self.wheel.insert(token.index, self.now + QUIET);
        self.ready.push_back((token, EventFlags::IN));
    }

    fn tell_later(&mut self, token: Token, at: u64) {
        if at > self.now {
            // A socket's request has been answered: its deadline's place in the wheel is free.
            self.deadlines.insert(token.index, at);
        } else {
            self.tell_restart(token);
        }
    }

    /// 1012: come back, here or elsewhere.
    pub(crate) fn tell_restart(&mut self, token: Token) {
        self.close_socket(token, Close::new(RESTART, "service restart"));
    }

    /// Closes everything; WebSockets are told, if they take it at once. Gives the connections
    /// whose requests were being answered.
    pub fn close_all(&mut self) -> Vec<Token> {
        self.stop(0);
        let mut busy = vec![];
        for index in 0..self.conns.len() {
            let token = Token { index: index as u32, epoch: self.conns[index].epoch };
            let conn = &self.conns[index];
            if conn.stage == Stage::Busy {
                busy.push(token);
            }
            if conn.socket.is_some() {
                self.tell_restart(token);
                self.flush(token);
            }
            self.close(token);
        }
        busy
    }

    /// How long a connection may wait for its next request from now on.
    pub(crate) fn idle_patience(&self) -> u64 {
        if self.stopping { QUIET } else { self.settings.idle_timeout }
    }
}
