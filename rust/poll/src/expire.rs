//! What happens when time is up: the one place where a timeout becomes an act.
use crate::conn::{Layer, Stage};
use crate::reactor::{Event, Reactor};
use crate::statistics::{Count, Why};
use crate::token::Token;
use wire::Refusal;

/// Connections a turn whose time is up: ten thousand that came together and did nothing leave
/// together, and others get their turn before the rest.
const BURST: usize = 128;

impl Reactor {
    /// The timer fired: accepting resumes, timeouts and deadlines are acted on.
    pub(crate) fn expire(&mut self) {
        self.timer_fired();
        self.accept_after_rest();
        let mut due = vec![];
        self.deadlines.due(self.now, &mut due);
        for index in due.drain(..) {
            let token = Token { index, epoch: self.conns[index as usize].epoch };
            if self.is_socket(token) {
                self.tell_restart(token);
            } else {
                self.statistics.one(Count::Expired);
                self.events.push_back(Event::Expired(token));
            }
        }
        self.wheel.due(self.now, &mut due);
        let tokens = due.iter().map(|&i| Token { index: i, epoch: self.conns[i as usize].epoch });
        self.overdue.extend(tokens);
        for _ in 0..BURST {
            let Some(token) = self.overdue.pop_front() else { break };
            self.timeout(token);
        }
    }

    fn timeout(&mut self, token: Token) {
        let (now, settings, stopping) = (self.now, self.settings, self.stopping);
        let key = token.index;
        let Some(conn) = self.conn(token) else { return };
        match conn.layer {
            Layer::None => {}
            Layer::Stream(_) => return self.expire_stream(token, key),
            Layer::Mux(_) => return self.expire_mux(token, key),
        }
        if conn.stage == Stage::Busy && conn.outbox.is_empty() {
            let wanted = conn.intake.as_ref().filter(|intake| intake.wanted);
            let patience = wanted.map(|i| i.patience(settings.body_grace, settings.body_rate));
            if patience.is_some_and(|at| at <= now) {
                self.fail_body(token, Refusal::TooSlow);
            }
            let soonest = patience.filter(|&at| at > now).unwrap_or(u64::MAX);
            return self.wheel.insert(key, soonest.min(now + settings.idle_timeout));
        }
        if let (Stage::Body, Some(intake)) = (conn.stage, &conn.intake) {
            conn.timeout_at = intake.patience(settings.body_grace, settings.body_rate);
        }
        if conn.timeout_at > now {
            let at = conn.timeout_at;
            return self.wheel.insert(key, at);
        }
        match conn.stage {
            Stage::Busy => self.lose(token),
            _ if !conn.is_sent() => {
                self.statistics.one(Count::Stalled);
                self.why = Why::Stalled;
                self.close(token);
            }
            Stage::Idle if stopping && conn.served > 0 => self.last_look(token),
            Stage::Idle => {
                self.statistics.one(Count::Idled);
                self.why = Why::Idle;
                self.close(token);
            }
            Stage::Body if conn.intake.as_ref().is_some_and(|intake| intake.is_void()) => {
                self.close(token);
            }
            Stage::Head | Stage::Body => {
                self.refuse(token, Refusal::TooSlow);
                self.flush(token);
            }
            Stage::Socket => self.socket_timeout(token),
            Stage::Mux | Stage::Linger => self.close(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn those_whose_time_is_up_together_are_closed_a_burst_a_turn() {
        let count = 2 * BURST + 1;
        let row = plane::Row::own().expect("memory");
        let mut reactor = Reactor::new(Settings::least(count), row).expect("a descriptor");
        let flags = SocketFlags::NONBLOCK;
        let pair = || socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
        let far: Vec<_> = (0..count)
            .map(|_| {
                let (near, far) = pair().expect("two descriptors");
                reactor.adopt(near, false).expect("there is room");
                far
            })
            .collect();
        reactor.now += 1_000_000_000;
        for left in [BURST + 1, 1, 0] {
            reactor.expire();
            assert_eq!(reactor.connections(), left);
            while reactor.next_event().is_some() {}
            // The descriptor is readable again at once where some are left.
            assert_eq!(reactor.armed == 0, left > 0);
        }
        drop(far);
    }
    #[test]
    fn who_is_refused_and_stays_costs_nothing() {
        let row = plane::Row::own().expect("memory");
        let mut reactor = Reactor::new(Settings::least(1), row).expect("a descriptor");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut peer = TcpStream::connect(listener.local_addr().expect("its own")).expect("to it");
        peer.write_all(b"GET / HT").expect("there is room");
        let (near, _) = listener.accept().expect("it has come");
        near.set_nonblocking(true).expect("a socket");
        reactor.adopt(near.into(), false).expect("there is room");
        while reactor.statistics.get(Count::BytesIn) == 0 {
            reactor.turn();
            assert!(reactor.next_event().is_none());
        }
        reactor.now += 1_000_000_000;
        reactor.expire();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).expect("an answer and its end");
        assert!(answer.starts_with("HTTP/1.1 408 "));
        let turns = (0..100).take_while(|_| {
            let found = reactor.turn();
            while reactor.next_event().is_some() {}
            found > 0
        });
        assert!(turns.count() < 3);
        assert_eq!(reactor.connections(), 1);
    }
}
