//! What has lasted too long: requests, their wait for a connection, dials, and connections.
use super::ClientPool;
use super::connection::{Connection, Stage};
use super::request::Request;
use poll::link::LinkKey;
use pyo3::prelude::*;

/// What is overdue, and when the next will be.
#[derive(Default)]
struct Overdue {
    at: u64,
    next: u64,
    flights: Vec<LinkKey>,
    streams: Vec<(LinkKey, u64)>,
    idle: Vec<LinkKey>,
    dials: Vec<u64>,
    turns: Vec<u64>,
    waiting: Vec<(Box<Request>, &'static str)>,
}

impl Overdue {
    /// Whether it is, of something that is due then.
    fn is(&mut self, due: u64) -> bool {
        if due <= self.at {
            return true;
        }
        self.next = self.next.min(due);
        false
    }
}

impl ClientPool {
    /// Ends what is overdue; gives when the next will be.
    pub fn expire(slf: &Bound<'_, Self>, at: u64) -> PyResult<u64> {
        let py = slf.py();
        let (overdue, failed) = {
            let pool = &mut *slf.borrow_mut();
            let mut overdue = pool.overdue(py, at);
            pool.armed = overdue.next;
            pool.crowded(&mut overdue.idle);
            for &key in &overdue.idle {
                drop(pool.shut(py, key));
            }
            let mut failed: Vec<_> =
                overdue.flights.iter().flat_map(|&key| pool.end(py, key)).collect();
            let late = overdue.streams.iter();
            failed.extend(late.filter_map(|&(key, ticket)| pool.leave(key, ticket)));
            pool.counters.expired += (failed.len() + overdue.waiting.len()) as u64;
            for flight in &failed {
                if let Some(stream) = pool.streams.get_mut(&flight.request.ticket) {
                    let silent = flight.request.due < flight.request.deadline;
                    let what =
                        if silent { "the server fell silent" } else { "the deadline passed" };
                    stream.failed = Some(("late", format!("{what} within the answer")));
                }
            }
            (overdue, failed)
        };
        for flight in failed {
            let (request, why) = (flight.request, "no answer in time");
            Self::fail(slf, request.reply.as_ref(), ("late", why), false)?;
            Self::stir(slf, request.ticket, false)?;
            Self::want(slf, request.place)?;
        }
        for (request, kind) in overdue.waiting {
            Self::fail(
                slf,
                request.reply.as_ref(),
                (kind, "no connection came free in time"),
                false,
            )?;
        }
        for (key, _) in overdue.streams {
            Self::touch(slf, key)?;
        }
        for number in overdue.dials {
            Self::dial_late(slf, number)?;
        }
        for number in overdue.turns {
            Self::attempt(slf, number)?;
        }
        // What was begun meanwhile counts as well.
        Ok(slf.borrow().armed)
    }

    fn overdue(&mut self, py: Python<'_>, at: u64) -> Overdue {
        let mut over = Overdue { at, next: u64::MAX, ..Overdue::default() };
        let (rest, life) = (self.settings.idle_time, self.settings.life);
        for connection in self.connections.iter().flatten() {
            let Connection { key, born, rested, .. } = **connection;
            match &connection.stage {
                Stage::Busy(flight) if over.is(flight.request.due) => over.flights.push(key),
                Stage::Idle
                    if over.is(rested.saturating_add(rest).min(born.saturating_add(life))) =>
                {
                    over.idle.push(key);
                }
                Stage::Many(many)
                    if many.flights.is_empty()
                        && over.is(rested.saturating_add(rest).min(born.saturating_add(life))) =>
                {
                    over.idle.push(key);
                }
                Stage::Many(many) => {
                    for (&ticket, flight) in &many.flights {
                        if over.is(flight.request.due) {
                            over.streams.push((key, ticket));
                        }
                    }
                }
                _ => {}
            }
        }
        for (&number, dial) in &self.dials {
            if over.is(dial.due) {
                over.dials.push(number);
            } else if over.is(dial.next) {
                over.turns.push(number);
            }
        }
        for place in &mut self.places {
            let mut kept = std::collections::VecDeque::with_capacity(place.waiting.len());
            for request in place.waiting.drain(..) {
                if !request.is_awaited(py) {
                    continue;
                }
                if over.is(request.due) {
                    over.waiting.push((request, "late"));
                } else if over.is(request.patience) {
                    over.waiting.push((request, "pool"));
                } else {
                    kept.push_back(request);
                }
            }
            (place.waiting, place.gone) = (kept, 0);
        }
        over
    }

    /// Those that rested longest, of more than may.
    fn crowded(&mut self, idle: &mut Vec<LinkKey>) {
        for place in &self.places {
            let many = place.idle.len().saturating_sub(self.settings.idle_here);
            idle.extend(place.idle.iter().take(many));
        }
        let mut left = (self.idle - self.idle.min(idle.len())).saturating_sub(self.settings.idle);
        for place in &self.places {
            let rest = place.idle.iter().filter(|key| !idle.contains(key)).take(left);
            let more: Vec<LinkKey> = rest.copied().collect();
            left -= more.len();
            idle.extend(more);
        }
    }

    /// Ends everything.
    pub(super) fn close_all(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        // The hook knows Python's half, which nobody else may know.
        let need = std::mem::replace(&mut slf.borrow_mut().hooks.need, py.None());
        drop(need);
        let (requests, tickets) = {
            let pool = &mut *slf.borrow_mut();
            pool.closed = true;
            pool.dials.clear();
            let keys: Vec<_> = pool.connections.iter().flatten().map(|its| its.key).collect();
            let mut requests: Vec<_> = keys
                .into_iter()
                .flat_map(|key| pool.end(py, key))
                .map(|flight| (flight.request, "read"))
                .collect();
            for place in &mut pool.places {
                (place.dialling, place.gone, place.warming) = (0, 0, 0);
                requests.extend(place.waiting.drain(..).map(|request| (request, "connect")));
            }
            for (request, kind) in &requests {
                if let Some(stream) = pool.streams.get_mut(&request.ticket) {
                    stream.failed = Some((kind, "the pool was closed".into()));
                }
            }
            (requests, pool.streams.keys().copied().collect::<Vec<_>>())
        };
        for (request, kind) in requests {
            Self::fail(slf, request.reply.as_ref(), (kind, "the pool was closed"), false)?;
        }
        tickets.into_iter().try_for_each(|ticket| Self::stir(slf, ticket, false))
    }
}
