//! Connections of HTTP/2: any number of requests on one, up to what its peer takes.
use super::ClientPool;
use super::connection::{Connection, Flight, Stage};
use super::exchange::Told;
use super::request::Request;
use super::stream::Stream;
use crate::links::now;
use poll::link::{Http2, LinkKey, Trouble, What};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::collections::HashMap;

pub struct Many {
    pub http2: Http2,
    pub flights: HashMap<u64, Flight>,
    out: Vec<u8>,
    sent: usize,
}

/// A request that could not begin: what kind of failure, and why.
pub type Unbegun = (Box<Request>, &'static str, String);

impl ClientPool {
    /// What a connection that has just been opened speaks.
    pub(super) fn spoken(&mut self, py: Python<'_>, key: LinkKey, place: usize) -> Stage {
        let agreed = self.links.borrow(py).poll.protocol(key) == Some(b"h2");
        let its = &mut self.places[place];
        let two = agreed || self.settings.prior && its.peer.is_none();
        its.multiplexed = Some(two);
        let made = two.then(|| Http2::new(self.settings.limits.head)).and_then(Result::ok);
        let Some(http2) = made else { return Stage::Idle };
        its.shared.push(key);
        Stage::Many(Box::new(Many { http2, flights: HashMap::new(), out: vec![], sent: 0 }))
    }

    fn many(&mut self, key: LinkKey) -> Option<&mut Many> {
        match &mut self.connection(key)?.stage {
            Stage::Many(many) => Some(many),
            _ => None,
        }
    }

    /// Those of them, at a place or at all, that have nothing to do.
    pub(super) fn resting(&self, place: Option<usize>) -> u64 {
        let all = self.connections.iter().flatten();
        let here = all.filter(|its| place.is_none_or(|place| place == its.place));
        let rests = |stage: &Stage| matches!(stage, Stage::Many(many) if many.flights.is_empty());
        here.filter(|its| rests(&its.stage)).count() as u64
    }

    /// Whether one has still to say how many requests it takes: until then nobody knows whether
    /// another is wanted.
    pub(super) fn is_settling(&self, place: usize) -> bool {
        let shared = &self.places[place].shared;
        shared.iter().any(|key| match self.connections[key.index as usize].as_deref() {
            Some(Connection { stage: Stage::Many(many), .. }) => !many.http2.is_settled(),
            _ => false,
        })
    }

    /// One with room for another request.
    pub(super) fn shared(&mut self, place: usize, at: u64) -> Option<LinkKey> {
        let life = self.settings.life;
        for number in 0..self.places[place].shared.len() {
            let key = self.places[place].shared[number];
            let Some(connection) = self.connection(key) else { continue };
            let young = connection.born.saturating_add(life) > at;
            if young && self.many(key).is_some_and(|many| many.http2.room() > 0) {
                return Some(key);
            }
        }
        None
    }

    /// Puts a request on its way beside others; `touch` sends it.
    pub(super) fn join(&mut self, key: LinkKey, mut request: Box<Request>) -> Result<(), Unbegun> {
        let secure = self.places[request.place].peer.is_some();
        let scheme = if secure { "https" } else { "http" };
        let Some(connection) = self.connection(key) else {
            return Err((request, "connect", "the connection has gone".into()));
        };
        connection.used += 1;
        let again = connection.used > 1;
        let Stage::Many(many) = &mut connection.stage else {
            return Err((request, "connect", "the connection is none of HTTP/2".into()));
        };
        let (head, body) = request.octets.split_at(request.head);
        let body = request.is_whole().then_some(body);
        match many.http2.begin(request.ticket, head, scheme, body) {
            Ok(()) => {}
            Err((Trouble::Unfit, why)) => return Err((request, "local", why)),
            Err((_, why)) => return Err((request, "connect", why)),
        }
        if let Some(upload) = request.upload.as_mut() {
            let early = upload.early.take().unwrap_or_default();
            many.http2.send(request.ticket, &early, upload.ended);
        }
        request.begun = true;
        let flight = Flight { head: None, body: vec![], told: false, request };
        many.flights.insert(flight.request.ticket, flight);
        self.counters.reused += u64::from(again);
        Ok(())
    }

    /// Nobody waits for one of its requests any more; what it was.
    pub(super) fn leave(&mut self, key: LinkKey, ticket: u64) -> Option<Flight> {
        let many = self.many(key)?;
        many.http2.reset(ticket);
        let flight = many.flights.remove(&ticket);
        self.touched.push(key);
        flight
    }

    /// A reader has taken so much of a stream; whether the peer is to be told.
    pub(super) fn read_on(&mut self, key: LinkKey, ticket: u64, count: usize) -> bool {
        let Some(many) = self.many(key) else { return false };
        many.http2.release(ticket, count);
        true
    }

    /// Adds a piece to a body; how much of it waits, and on which connection.
    pub(super) fn feed_one(
        &mut self,
        ticket: u64,
        piece: Option<&[u8]>,
    ) -> Option<(Result<usize, &'static str>, Option<LinkKey>)> {
        let (_, key) = self.request(ticket)?;
        let Some(Many { http2, flights, .. }) = key.and_then(|key| self.many(key)) else {
            let (request, _) = self.request(ticket)?;
            return Some((request.feed(piece).map(|()| request.unsent()), key));
        };
        let flight = flights.get_mut(&ticket)?;
        Some((flight.request.feed_stream(piece, http2), key))
    }

    /// Takes in what came.
    pub(super) fn hear(&mut self, key: LinkKey, input: &[u8], ended: bool) -> Told {
        if let Some(many) = self.many(key) {
            many.http2.feed(input);
            if ended {
                many.http2.end();
            }
        }
        Told::Many
    }

    /// Acts on what came, begins what waits, and has the rest sent.
    pub(super) fn pump(slf: &Bound<'_, Self>, key: LinkKey, in_place: bool) -> PyResult<()> {
        let (told, place, rests) = {
            let pool = &mut *slf.borrow_mut();
            let Some(place) = pool.connection(key).map(|its| its.place) else { return Ok(()) };
            let mut told = vec![];
            let alive = pool.work(slf.py(), key, &mut told);
            pool.fill(slf.py(), key, place, &mut told);
            let rests = alive && pool.rests(slf.py(), key);
            (told, place, rests)
        };
        Self::touch(slf, key)?;
        if rests {
            let idle = slf.borrow().settings.idle_time;
            Self::remind(slf, now().saturating_add(idle))?;
        }
        for one in told {
            Self::tell(slf, one, in_place)?;
        }
        Self::want(slf, place)
    }

    /// Lets HTTP/2 work; whether the connection goes on.
    fn work(&mut self, py: Python<'_>, key: LinkKey, told: &mut Vec<Told>) -> bool {
        let Some(many) = self.many(key) else { return false };
        let mut events = vec![];
        let alive = many.http2.drive(&mut events);
        for (ticket, what) in events {
            told.push(self.happened(py, key, ticket, what));
        }
        if !alive {
            let ended = self.end(py, key);
            self.counters.stale += u64::from(ended.is_empty());
            for flight in ended {
                let why = "the server closed the connection".into();
                told.push(self.failed(*flight.request, "read", why));
            }
        }
        alive
    }

    /// A connection whose peer takes no more ends with its last request; whether one rests.
    fn rests(&mut self, py: Python<'_>, key: LinkKey) -> bool {
        let Some(many) = self.many(key) else { return false };
        let (leaving, empty) = (many.http2.is_leaving(), many.flights.is_empty());
        if leaving && empty {
            drop(self.shut(py, key));
            return false;
        }
        let Some(connection) = self.connection(key) else { return false };
        connection.rested = now();
        empty
    }

    /// Begins requests that wait, as far as there is room.
    fn fill(&mut self, py: Python<'_>, key: LinkKey, place: usize, told: &mut Vec<Told>) {
        while self.many(key).is_some_and(|many| many.http2.room() > 0) {
            let Some(request) = self.places[place].next(py, true) else { return };
            if let Err((request, kind, why)) = self.join(key, request) {
                told.push(Told::Failed(request.reply, kind, why));
            }
        }
    }

    fn happened(&mut self, py: Python<'_>, key: LinkKey, ticket: u64, what: What) -> Told {
        let most = self.settings.body;
        let Some(Many { http2, flights, .. }) = self.many(key) else { return Told::Nothing };
        let Some(flight) = flights.get_mut(&ticket) else { return Told::Nothing };
        match what {
            What::Head(head) if flight.request.streams => {
                (flight.told, flight.request.due) = (true, flight.request.deadline);
                let reply = flight.request.reply.take();
                self.streams.insert(ticket, Stream::new(key));
                reply.map_or(Told::Nothing, |reply| Told::Head(reply, head, ticket))
            }
            What::Head(head) => {
                flight.head = Some(*head);
                Told::Nothing
            }
            What::Data(data) if flight.told => {
                if let Some(stream) = self.streams.get_mut(&ticket) {
                    stream.add(py, &data);
                    let outlet = stream.outlet.as_mut();
                    if outlet.is_some_and(|outlet| outlet.gives_back(data.len())) {
                        self.read_on(key, ticket, data.len());
                    }
                }
                Told::Stream(ticket)
            }
            What::Data(data) if flight.body.len() + data.len() > most => {
                http2.reset(ticket);
                let why = wire::response::Fault::BodyTooLarge.to_string();
                flights
                    .remove(&ticket)
                    .map_or(Told::Nothing, |flight| Told::Failed(flight.request.reply, "size", why))
            }
            What::Data(data) => {
                flight.body.extend_from_slice(&data);
                http2.release(ticket, data.len());
                Told::Nothing
            }
            What::Room => flight
                .request
                .upload
                .as_mut()
                .and_then(|upload| upload.room.take())
                .map_or(Told::Nothing, Told::Room),
            What::End(trailers) => {
                let Some(flight) = flights.remove(&ticket) else { return Told::Nothing };
                if let Some(stream) = self.streams.get_mut(&ticket) {
                    stream.end(trailers);
                    return Told::Stream(ticket);
                }
                let octets = PyBytes::new(py, &flight.body).unbind();
                let head = Box::new(flight.head.unwrap_or_default());
                let reply = flight.request.reply;
                reply.map_or(Told::Nothing, |reply| Told::Whole(reply, head, octets, trailers))
            }
            What::Failed(trouble, why) => {
                let Some(flight) = flights.remove(&ticket) else { return Told::Nothing };
                self.troubled(flight, trouble, why)
            }
        }
    }

    /// A stream has ended without an answer: again where that does no harm, or an error.
    fn troubled(&mut self, flight: Flight, trouble: Trouble, why: String) -> Told {
        let Flight { mut request, head, told, .. } = flight;
        let unheard = head.is_none() && !told && request.is_whole() && !request.repeated;
        let harmless = match trouble {
            Trouble::Unprocessed => unheard,
            Trouble::Lost => unheard && request.may_repeat(),
            Trouble::Broken | Trouble::Unfit => false,
        };
        if harmless && !self.closed {
            self.counters.repeated += 1;
            request.repeated = true;
            return Told::Again(request);
        }
        self.counters.lost += 1;
        let kind = match trouble {
            Trouble::Broken => "protocol",
            Trouble::Unfit => "local",
            Trouble::Unprocessed | Trouble::Lost => "read",
        };
        self.failed(*request, kind, why)
    }

    /// Sends what the kernel takes of its frames.
    pub(super) fn flush_many(slf: &Bound<'_, Self>, key: LinkKey) -> PyResult<()> {
        let (told, broken, gone) = {
            let pool = &mut *slf.borrow_mut();
            let place = pool.connection(key).map(|its| its.place);
            let mut told = vec![];
            let broken = loop {
                if !pool.work(slf.py(), key, &mut told) {
                    break false;
                }
                match pool.send_frames(slf.py(), key) {
                    Ok(true) => {}
                    Ok(false) => break false,
                    Err(()) => break true,
                }
            };
            (told, broken, place.filter(|_| pool.connection(key).is_none()))
        };
        for one in told {
            Self::tell(slf, one, false)?;
        }
        if let Some(place) = gone {
            Self::want(slf, place)?;
        }
        if broken { Self::read(slf, key, Some(poll::link::Loss::Ended), false) } else { Ok(()) }
    }

    /// Whether all there was has left, and there may be more.
    fn send_frames(&mut self, py: Python<'_>, key: LinkKey) -> Result<bool, ()> {
        let links = self.links.clone_ref(py);
        let Some(many) = self.many(key) else { return Ok(false) };
        let Many { http2, out, sent, .. } = many;
        if *sent == out.len() {
            (*out, *sent) = (std::mem::take(out), 0);
            out.clear();
            http2.output(out);
        }
        if out.is_empty() {
            return Ok(false);
        }
        let count = links.borrow_mut(py).poll.send(key, &out[*sent..]).map_err(drop)?;
        *sent += count;
        let all = *sent == out.len();
        self.counters.bytes_out += count as u64;
        Ok(all)
    }
}
