//! What happens when time is up: the one place where a timeout becomes an act.
use crate::conn::{Layer, Stage};
use crate::reactor::{Event, Reactor};
use crate::statistics::{Count, Why};
use crate::token::Token;
use wire::Refusal;

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
        for index in due {
            self.timeout(Token { index, epoch: self.conns[index as usize].epoch });
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
