//! How a worker's connections are made, greeted, lost and made again.
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use crate::connection::Phase;
use crate::tally::{Failure, Tally, Trouble};
use crate::worker::Worker;

/// After a failed connect; a client that tries again at once counts errors by the million.
const PAUSE: u64 = 100_000_000;

impl Worker {
    /// A connect has ended, well or not.
    pub(crate) fn connected(
        &mut self,
        slot: u32,
        since: u64,
        flags: EventFlags,
        tally: &mut Tally,
    ) {
        let connection = &mut self.connections[slot as usize];
        match connection.connected() {
            Ok(()) if flags.contains(EventFlags::OUT) => {
                connection.phase = Phase::Greeting { since };
                self.greet(slot, since, tally);
            }
            Ok(()) => {}
            Err(error) => self.unconnected(slot, unreachable(error), tally),
        }
    }

    /// TCP stands: goes on with the handshakes, and begins what waits for their end.
    pub(crate) fn greet(&mut self, slot: u32, since: u64, tally: &mut Tally) {
        let connection = &mut self.connections[slot as usize];
        match connection.greet() {
            Ok(false) => {}
            Err(trouble) => self.unconnected(slot, trouble, tally),
            Ok(true) => {
                connection.phase = Phase::Open;
                tally.connects += 1;
                tally.open += 1;
                self.opened(slot, since, tally);
            }
        }
    }

    fn opened(&mut self, slot: u32, since: u64, tally: &mut Tally) {
        let now = self.now();
        if let Some(due) = self.connections[slot as usize].due.take() {
            self.busy -= 1; // it was counted when it was handed to this connection
            let _ = self.begin(slot, due, now, tally);
        } else if self.pace.is_some() {
            self.list(slot);
        } else if now < self.end && self.is_active(slot) {
            self.begin_all(slot, since, now, tally);
        }
        self.flush(slot, tally);
    }

    /// Opens a connection for one request that is due (open loop, a connection for each).
    pub(crate) fn open_for(&mut self, slot: u32, due: u64, tally: &mut Tally) {
        self.busy += 1;
        self.connections[slot as usize].due = Some(due);
        self.open(slot, tally);
    }

    fn open(&mut self, slot: u32, tally: &mut Tally) {
        let now = self.now();
        let connection = &mut self.connections[slot as usize];
        let secure = self.shared.secure.as_ref();
        let opened = connection.open(&self.shared.address, secure, &self.epoll, slot, now);
        if let Err(error) = opened {
            self.unconnected(slot, unreachable(error), tally);
        }
    }

    /// A connection could not be made; so the request that it was for fails, where there is one.
    pub(crate) fn unconnected(&mut self, slot: u32, trouble: Trouble, tally: &mut Tally) {
        let now = self.now();
        let connection = &mut self.connections[slot as usize];
        let due = connection.due.take();
        connection.close(now + PAUSE);
        if self.is_measured(due.unwrap_or(now)) {
            tally.explain(trouble.failure, &trouble.why);
            if due.is_some() {
                tally.fail(self.shared.mix.draw(&mut self.random), trouble.failure, None);
            } else {
                tally.unconnected(trouble.failure);
            }
        }
        if due.is_some() {
            self.busy -= 1;
            self.list(slot);
        }
    }

    /// A connection ends, and with it what waits on it; no trouble: as it should.
    pub(crate) fn lose(&mut self, slot: u32, trouble: Option<Trouble>, tally: &mut Tally) {
        if !matches!(self.connections[slot as usize].phase, Phase::Open) {
            let early = || Failure::Closed.because("before a request was sent");
            self.unconnected(slot, trouble.unwrap_or_else(early), tally);
            return;
        }
        let now = self.now();
        let trouble = trouble.unwrap_or_else(|| Failure::Closed.into());
        let mut waiting = Vec::new();
        let connection = &mut self.connections[slot as usize];
        connection.abandon(&mut waiting);
        connection.close(now);
        tally.open -= 1;
        for request in waiting {
            self.failed(request, trouble.failure, &trouble.why, now, tally);
        }
        self.reopen(slot, tally);
    }

    /// Requests of a connection have waited too long.
    pub(crate) fn expire(&mut self, slot: u32, now: u64, tally: &mut Tally) {
        let mut ended = std::mem::take(&mut self.ended);
        let before = now.saturating_sub(self.shared.timeout);
        let goes_on = self.connections[slot as usize].expire(before, &mut ended);
        self.settle(slot, &mut ended, now, tally);
        self.ended = ended;
        if goes_on {
            self.go_on(slot, now, tally);
        } else {
            self.lose(slot, Some(Failure::Timeout.into()), tally);
        }
    }

    /// Makes a closed connection again, where there will be something to send on it.
    pub(crate) fn reopen(&mut self, slot: u32, tally: &mut Tally) {
        let thinking = self.connections[slot as usize].thinking;
        if self.pace.is_some() && self.shared.fresh {
            self.list(slot);
            return;
        }
        let wanted = match &self.pace {
            Some(_) => self.is_due_more(),
            None => self.now() < self.end && self.is_active(slot),
        };
        // A user who thinks needs no connection yet when each request has one of its own.
        if wanted && !(self.shared.fresh && thinking >= self.shared.lanes) {
            self.open(slot, tally);
        }
    }
}

fn unreachable(error: Errno) -> Trouble {
    let failure = match error {
        Errno::CONNREFUSED => Failure::Refused,
        Errno::TIMEDOUT => Failure::ConnectTimeout,
        Errno::CONNRESET => Failure::Reset,
        _ => Failure::Connect,
    };
    failure.because(std::io::Error::from(error))
}
