//! Which request goes to which connection, and what became of it.
use std::sync::Arc;

use crate::connection::{Ended, Phase, Request};
use crate::pace::Pace;
use crate::placeholder::Values;
use crate::tally::{Failure, Tally, outcome};
use crate::worker::Worker;

impl Worker {
    /// Books what ended on a connection.
    pub(crate) fn settle(
        &mut self,
        slot: u32,
        ended: &mut Vec<Ended>,
        now: u64,
        tally: &mut Tally,
    ) {
        for Ended { request, outcome } in ended.drain(..) {
            match outcome {
                Ok(status) => self.answered(request, status, now, tally),
                Err(trouble) => self.failed(request, trouble.failure, &trouble.why, now, tally),
            }
            self.pause(slot, now);
        }
    }

    /// The user of a lane that came free thinks before the next request (closed loop).
    fn pause(&mut self, slot: u32, now: u64) {
        if let (Some(think), None) = (self.shared.think, &self.pace) {
            self.connections[slot as usize].thinking += 1;
            self.thoughts.push(now + think.draw(&mut self.random), slot);
        }
    }

    fn answered(&mut self, request: Request, status: u16, now: u64, tally: &mut Tally) {
        self.busy -= 1;
        tally.busy -= 1;
        tally.answered += 1;
        if self.is_measured(request.start) {
            tally.status(request.kind, status, now - request.start);
        }
        self.record(request, status);
    }

    /// A request ends without an answer.
    pub(crate) fn failed(
        &mut self,
        request: Request,
        failure: Failure,
        why: &str,
        now: u64,
        tally: &mut Tally,
    ) {
        self.busy -= 1;
        tally.busy -= 1;
        if self.is_measured(request.start) {
            let waited = (failure == Failure::Timeout).then(|| now - request.start);
            tally.fail(request.kind, failure, waited);
            tally.explain(failure, why);
        }
        self.record(request, 0);
    }

    fn record(&mut self, request: Request, status: u16) {
        if self.shared.record {
            self.outcomes.push(outcome(request.number, request.kind, status));
        }
    }

    /// A connection has room: the closed loop fills it, the open loop keeps it in mind.
    pub(crate) fn go_on(&mut self, slot: u32, now: u64, tally: &mut Tally) {
        let connection = &self.connections[slot as usize];
        match connection.phase {
            Phase::Closed { until } if until <= now => self.reopen(slot, tally),
            Phase::Open if self.pace.is_some() => {
                if self.shared.fresh && connection.pending() == 0 {
                    self.lose(slot, None, tally);
                } else {
                    self.list(slot);
                    // HTTP/2 answers to what was read: windows, settings, pings.
                    self.flush(slot, tally);
                }
            }
            Phase::Open => self.fill(slot, now, tally),
            _ => {}
        }
    }

    fn fill(&mut self, slot: u32, now: u64, tally: &mut Tally) {
        if (self.shared.fresh || slot as usize >= self.active)
            && self.connections[slot as usize].pending() == 0
        {
            self.lose(slot, None, tally);
            return;
        }
        if now < self.end && !self.shared.fresh && (slot as usize) < self.active {
            self.begin_all(slot, now, now, tally);
        }
        self.flush(slot, tally);
    }

    /// Begins a request for each user of a connection who neither waits nor thinks.
    pub(crate) fn begin_all(&mut self, slot: u32, start: u64, now: u64, tally: &mut Tally) {
        loop {
            let connection = &mut self.connections[slot as usize];
            let users = connection.pending() + connection.thinking;
            let full = users >= self.shared.lanes || !connection.has_room();
            if full || !self.begin(slot, start, now, tally) {
                return;
            }
        }
    }

    /// Hands due requests to free connections, drops those that waited too long.
    pub(crate) fn dispatch(&mut self, now: u64, tally: &mut Tally) {
        let shared = Arc::clone(&self.shared);
        let Some(pace) = self.pace.as_mut() else {
            return;
        };
        while let Some(due) = pace.give_up(now, shared.timeout) {
            if due >= shared.window.0 {
                let kind = shared.mix.draw(&mut self.random);
                tally.fail(kind, Failure::Dropped, Some(now - due));
            }
        }
        while self.pace.as_ref().and_then(Pace::next).is_some_and(|due| due <= now) {
            let Some(slot) = self.idle.pop_front() else {
                return;
            };
            let connection = &mut self.connections[slot as usize];
            connection.listed = false;
            let open = matches!(connection.phase, Phase::Open) && connection.has_room();
            let closed = matches!(connection.phase, Phase::Closed { .. }) && shared.fresh;
            if !open && !closed {
                continue;
            }
            let Some(due) = self.pace.as_mut().and_then(|pace| pace.take(now)) else {
                return;
            };
            if closed {
                self.open_for(slot, due, tally);
                continue;
            }
            if self.begin(slot, due, now, tally) {
                if self.connections[slot as usize].has_room() {
                    self.list(slot);
                }
                self.flush(slot, tally);
            }
        }
    }

    /// A connection that may be free: once in the list.
    pub(crate) fn list(&mut self, slot: u32) {
        let connection = &mut self.connections[slot as usize];
        if !connection.listed {
            connection.listed = true;
            self.idle.push_back(slot);
        }
    }

    /// Renders the next request behind what a connection has not sent yet; tells whether the
    /// connection took it. One that did not is over.
    pub(crate) fn begin(&mut self, slot: u32, start: u64, now: u64, tally: &mut Tally) -> bool {
        let kind = self.shared.mix.draw(&mut self.random);
        let template = self.shared.mix.template(kind);
        let number = self.number;
        let request = Request { number, kind, bodiless: template.bodiless, start, given: now };
        self.number += self.threads as u64;
        self.busy += 1;
        tally.busy += 1;
        let row = self.shared.data.row(number, &mut self.random);
        let row = self.shared.data.rows.get(row).map_or(&[][..], Vec::as_slice);
        let id = self.shared.first_id + number;
        let mut values = Values { id, number, random: &mut self.random, row };
        let connection = &mut self.connections[slot as usize];
        let begun = connection.begin(request, template, &mut values, &mut self.scratch);
        let Err(trouble) = begun else {
            return true;
        };
        self.failed(request, trouble.failure, &trouble.why, now, tally);
        self.lose(slot, Some(trouble), tally);
        false
    }

    pub(crate) fn flush(&mut self, slot: u32, tally: &mut Tally) {
        let mut ended = std::mem::take(&mut self.ended);
        let flushed = self.connections[slot as usize].flush(&mut ended);
        if !ended.is_empty() {
            let now = self.now();
            self.settle(slot, &mut ended, now, tally);
        }
        self.ended = ended;
        match flushed {
            Ok(count) => tally.sent += count as u64,
            Err(trouble) => self.lose(slot, Some(trouble), tally),
        }
    }
}
