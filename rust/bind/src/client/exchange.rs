//! From a request to its answer: a connection, what leaves, what comes.
use super::ClientPool;
use super::answer::ClientAnswer;
use super::connection::{Came, Connection, Flight, Stage};
use super::request::Request;
use super::stream::Stream;
use crate::links::{Links, now};
use crate::reply::Reply;
use poll::link::{LinkKey, Loss};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use wire::Skipped;
use wire::response::Head;

/// Capacity of buffers that are kept for the next answers: as one turn of a connection reads.
const KEPT: usize = 256 * 1024;
/// A connection that has rested so long is looked at before it is asked what cannot be asked twice;
/// what ended before was told by the poller (Apache HttpClient looks after 2 s).
const RESTED: u64 = 1_000_000;
/// How long more connections than may rest do so all the same.
const CROWDED: u64 = 1_000_000_000;

/// What is to be told once nothing is borrowed.
pub(super) enum Told {
    Nothing,
    Whole(Py<Reply>, Box<Head>, Py<PyBytes>, Vec<u8>),
    /// The head of an answer whose body is the stream of that number.
    Head(Py<Reply>, Box<Head>, u64),
    /// A stream has more, or has ended.
    Stream(u64),
    Failed(Option<Py<Reply>>, &'static str, String),
    Again(Box<Request>),
    Room(Py<Reply>),
    /// Much, of a connection of HTTP/2.
    Many,
}

/// What is to be done about the connection.
pub(super) enum Next {
    Nothing,
    /// It has another request to send.
    Send(LinkKey),
    /// It rests until then, if nobody asks.
    Rests(u64),
    /// It is none any more; the place may want another.
    Gone(usize),
    Tunnel(Result<(), String>),
}

impl ClientPool {
    /// Gives a request a connection, or a place in the queue.
    pub(super) fn admit(slf: &Bound<'_, Self>, mut request: Box<Request>, at: u64) -> PyResult<()> {
        let py = slf.py();
        let (due, place) = (request.due, request.place);
        let refused = {
            let pool = &mut *slf.borrow_mut();
            pool.counters.requests += 1;
            if pool.closed {
                Err((request, "connect", "the pool was closed".into()))
            } else if due <= at {
                Err((request, "late", "no time was left to ask".into()))
            } else if let Some(key) = pool.shared(place, at) {
                pool.join(key, request).map(|()| Some(key))
            } else if let Some(key) = pool.rested(py, place, request.idempotent, at) {
                pool.start(key, request);
                Ok(Some(key))
            } else {
                pool.places[place].tidy(py, pool.settings.waiting);
                if pool.places[place].waiting.len() >= pool.settings.waiting {
                    let why = "as many requests as may wait for a connection do";
                    Err((request, "full", why.to_owned()))
                } else {
                    request.patience = at.saturating_add(pool.settings.acquire);
                    pool.places[place].waiting.push_back(request);
                    Ok(None)
                }
            }
        };
        match refused {
            Ok(Some(key)) => {
                Self::remind(slf, due)?;
                Self::touch(slf, key)
            }
            Ok(None) => {
                let patience = at.saturating_add(slf.borrow().settings.acquire);
                Self::remind(slf, due.min(patience))?;
                Self::want(slf, place)
            }
            Err((request, kind, why)) => {
                Self::fail(slf, request.reply.as_ref(), (kind, &why), false)
            }
        }
    }

    /// The connection that came to rest last and is still good.
    fn rested(&mut self, py: Python<'_>, place: usize, harmless: bool, at: u64) -> Option<LinkKey> {
        while let Some(key) = self.places[place].idle.pop_back() {
            self.idle -= 1;
            let life = self.settings.life;
            let Some(connection) = self.connection(key) else { continue };
            let old = connection.born + life <= at;
            let unsure = !harmless && connection.rested + RESTED <= at;
            if !old && (!unsure || self.links.borrow_mut(py).poll.is_alive(key)) {
                return Some(key);
            }
            self.counters.stale += u64::from(!old);
            drop(self.shut(py, key));
        }
        None
    }

    /// Puts a request on its way; `touch` sends it.
    fn start(&mut self, key: LinkKey, mut request: Box<Request>) {
        let Some(connection) = self.connection(key) else { return };
        request.frame();
        connection.reader.expect(request.bodiless);
        connection.used += 1;
        let again = connection.used > 1;
        let flight = Flight { request, head: None, body: vec![], told: false };
        connection.stage = Stage::Busy(Box::new(flight));
        self.counters.reused += u64::from(again);
    }

    /// Closes a connection, and forgets it; who waits on it is the caller's to tell.
    #[must_use]
    pub(super) fn shut(&mut self, py: Python<'_>, key: LinkKey) -> Option<Box<Connection>> {
        self.connection(key)?;
        let connection = self.connections[key.index as usize].take()?;
        // Of this pool: dropping it frees nothing.
        drop(self.links.borrow_mut(py).forget(key));
        match connection.stage {
            Stage::Idle => {
                let idle = &mut self.places[connection.place].idle;
                if let Some(at) = idle.iter().position(|&known| known == key) {
                    idle.remove(at);
                    self.idle -= 1;
                }
                self.places[connection.place].open -= 1;
            }
            Stage::Busy(_) => self.places[connection.place].open -= 1,
            Stage::Many(_) => {
                self.places[connection.place].open -= 1;
                self.places[connection.place].shared.retain(|&known| known != key);
            }
            Stage::Dialling(_) | Stage::Tunnelling(..) => {}
        }
        Some(connection)
    }

    /// Has a connection's request sent at the end of the batch.
    pub(super) fn touch(slf: &Bound<'_, Self>, key: LinkKey) -> PyResult<()> {
        {
            let mut pool = slf.borrow_mut();
            pool.touched.push(key);
            if std::mem::replace(&mut pool.dirty, true) {
                return Ok(());
            }
        }
        Links::touch(&Self::links(slf), Self::owner(slf))
    }

    /// Sends what the kernel takes.
    pub fn flush(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let (mut broken, mut rooms, mut many) = (vec![], vec![], vec![]);
        {
            let pool = &mut *slf.borrow_mut();
            pool.dirty = false;
            let mut touched = std::mem::take(&mut pool.touched);
            for key in touched.drain(..) {
                let links = pool.links.clone_ref(py);
                let Some(connection) = pool.connection(key) else { continue };
                if let Stage::Many(_) = connection.stage {
                    many.push(key);
                }
                let Some(flight) = connection.flight() else { continue };
                let request = &mut *flight.request;
                if request.sent == request.octets.len() {
                    continue;
                }
                match links.borrow_mut(py).poll.send(key, &request.octets[request.sent..]) {
                    Ok(count) => {
                        request.sent += count;
                        request.begun |= count > 0;
                        rooms.extend(request.room());
                        pool.counters.bytes_out += count as u64;
                    }
                    Err(loss) => broken.push((key, loss)),
                }
            }
            pool.touched = touched;
        }
        for (key, loss) in broken {
            // The answer may have come before the end: who refuses a body need not read it.
            Self::unraisable(slf, Self::read(slf, key, Some(loss), false));
        }
        for key in many {
            Self::unraisable(slf, Self::flush_many(slf, key));
        }
        for room in rooms {
            Self::unraisable(slf, Reply::complete(room.bind(py), Ok(py.None()), false));
        }
    }

    /// Reads what has come; `broke`: it can be sent nothing any more.
    pub(super) fn read(
        slf: &Bound<'_, Self>,
        key: LinkKey,
        broke: Option<Loss>,
        in_place: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let (told, next) = {
            let pool = &mut *slf.borrow_mut();
            let Some(connection) = pool.connection(key) else { return Ok(()) };
            let is_many = matches!(connection.stage, Stage::Many(_));
            let mut input = std::mem::take(&mut pool.input);
            input.clear();
            let moved = broke.is_none() && pool.splice(py, key);
            let received = if moved {
                Ok(())
            } else {
                pool.links.borrow_mut(py).poll.receive(key, &mut input)
            };
            pool.counters.bytes_in += input.len() as u64;
            let loss = received.err().or(broke);
            let acted = if is_many {
                (pool.hear(key, &input, loss.is_some()), Next::Nothing)
            } else {
                pool.take_in(py, key, &input, loss.as_ref())
            };
            if input.capacity() <= KEPT {
                pool.input = input;
            }
            acted
        };
        if let Told::Many = told {
            return Self::pump(slf, key, in_place);
        }
        let followed = Self::follow(slf, key, next);
        Self::tell(slf, told, in_place).and(followed)
    }

    pub(super) fn follow(slf: &Bound<'_, Self>, key: LinkKey, next: Next) -> PyResult<()> {
        match next {
            Next::Nothing => Ok(()),
            Next::Send(key) => Self::touch(slf, key),
            Next::Rests(until) => Self::remind(slf, until),
            Next::Gone(place) => Self::want(slf, place),
            Next::Tunnel(answer) => Self::tunnelled(slf, key, answer),
        }
    }

    pub(super) fn tell(slf: &Bound<'_, Self>, told: Told, in_place: bool) -> PyResult<()> {
        let py = slf.py();
        match told {
            Told::Nothing | Told::Many => Ok(()),
            Told::Room(room) => Reply::complete(room.bind(py), Ok(py.None()), false),
            Told::Whole(reply, head, body, trailers) => {
                let answer = ClientAnswer::whole(Self::runtime(slf), *head, body, trailers);
                let answer = Py::new(py, answer)?.into_any();
                Reply::complete(reply.bind(py), Ok(answer), in_place)
            }
            Told::Head(reply, head, ticket) => {
                let stream = (slf.clone().unbind(), ticket);
                let answer = ClientAnswer::streamed(Self::runtime(slf), *head, stream);
                let answer = Py::new(py, answer)?.into_any();
                Reply::complete(reply.bind(py), Ok(answer), in_place)
            }
            Told::Stream(ticket) => Self::stir(slf, ticket, in_place),
            Told::Failed(reply, kind, why) => {
                Self::fail(slf, reply.as_ref(), (kind, &why), in_place)
            }
            Told::Again(request) => Self::again(slf, request),
        }
    }

    /// A connection is open and has nothing to do: for who waits, or to rest.
    pub(super) fn settle(slf: &Bound<'_, Self>, key: LinkKey) -> PyResult<()> {
        let next = {
            let pool = &mut *slf.borrow_mut();
            let Some(connection) = pool.connection(key) else { return Ok(()) };
            if let Stage::Many(_) = connection.stage {
                None
            } else {
                Some(pool.hand_on(slf.py(), key, now()))
            }
        };
        let Some(next) = next else { return Self::pump(slf, key, false) };
        Self::follow(slf, key, next)
    }

    fn hand_on(&mut self, py: Python<'_>, key: LinkKey, at: u64) -> Next {
        let Some(connection) = self.connection(key) else { return Next::Nothing };
        let place = connection.place;
        connection.rested = at;
        let fresh = connection.used == 0;
        if let Some(request) = self.places[place].next(py, fresh) {
            self.start(key, request);
            return Next::Send(key);
        }
        self.places[place].idle.push_back(key);
        self.idle += 1;
        let its = &self.places[place];
        // A burst's connections are kept a moment: who comes back at once finds them.
        let many = self.idle > self.settings.idle || its.idle.len() > self.settings.idle_here;
        Next::Rests(at.saturating_add(if many { CROWDED } else { self.settings.idle_time }))
    }

    /// Asks once more, before all others, on a connection that is made for it.
    fn again(slf: &Bound<'_, Self>, mut request: Box<Request>) -> PyResult<()> {
        let (place, at) = (request.place, now());
        {
            let pool = &mut *slf.borrow_mut();
            request.patience = at.saturating_add(pool.settings.acquire);
            pool.places[place].waiting.push_front(request);
        }
        Self::want(slf, place)
    }

    fn take_in(
        &mut self,
        py: Python<'_>,
        key: LinkKey,
        input: &[u8],
        loss: Option<&Loss>,
    ) -> (Told, Next) {
        let input = &input[self.pass_through(py, key, input)..];
        let mut scratch = std::mem::take(&mut self.scratch);
        let (limits, most) = (self.settings.limits, self.settings.body);
        let Some(connection) = self.connection(key) else { return (Told::Nothing, Next::Nothing) };
        let place = connection.place;
        match &mut connection.stage {
            Stage::Dialling(_) => return (Told::Nothing, Next::Nothing),
            Stage::Tunnelling(_, reader) => {
                let answer = match (reader.feed(input, &mut Skipped, &limits), loss) {
                    (Ok((taken, wire::response::Step::Head)), None) => {
                        let status = reader.take_head().status;
                        let opened = (200..300).contains(&status) && taken == input.len();
                        if opened { Ok(()) } else { Err(format!("the proxy answered {status}")) }
                    }
                    (Ok(_), Some(loss)) => Err(format!("the proxy: {loss}")),
                    (Ok(_), None) => return (Told::Nothing, Next::Nothing),
                    (Err(fault), _) => Err(format!("the proxy: {fault}")),
                };
                return (Told::Nothing, Next::Tunnel(answer));
            }
            Stage::Idle => {
                if loss.is_some() || !input.is_empty() {
                    self.counters.stale += 1;
                    drop(self.shut(py, key));
                    return (Told::Nothing, Next::Gone(place));
                }
                return (Told::Nothing, Next::Nothing);
            }
            Stage::Busy(_) | Stage::Many(_) => {}
        }
        let (used, came) = connection.take_in(input, loss, (&limits, most), &mut scratch);
        if scratch.capacity() > 0 {
            self.scratch = scratch;
        }
        match came {
            Came::More => (self.progress(py, key), Next::Nothing),
            Came::Whole => self.whole(py, key, used == input.len() && loss.is_none()),
            Came::Unheard(why) => {
                self.counters.lost += 1;
                let Some(flight) = self.end(py, key).pop() else {
                    return (Told::Nothing, Next::Nothing);
                };
                let mut request = flight.request;
                if !request.may_repeat() || self.closed {
                    return (self.failed(*request, "read", why), Next::Gone(place));
                }
                self.counters.repeated += 1;
                (request.repeated, request.sent) = (true, 0);
                (Told::Again(request), Next::Nothing)
            }
            Came::Failed(kind, why) => {
                self.counters.lost += 1;
                let Some(flight) = self.end(py, key).pop() else {
                    return (Told::Nothing, Next::Nothing);
                };
                (self.failed(*flight.request, kind, why), Next::Gone(place))
            }
        }
    }

    /// An answer is whole; `clean`: nothing came behind it.
    fn whole(&mut self, py: Python<'_>, key: LinkKey, clean: bool) -> (Told, Next) {
        let (at, life) = (now(), self.settings.life);
        let Some(connection) = self.connection(key) else { return (Told::Nothing, Next::Nothing) };
        let place = connection.place;
        let stage = std::mem::replace(&mut connection.stage, Stage::Idle);
        let Stage::Busy(flight) = stage else { return (Told::Nothing, Next::Nothing) };
        let Flight { request, head, mut body, told } = *flight;
        let trailers = connection.reader.take_trailers();
        let keeps = clean && connection.reader.keeps() && request.keep && request.is_sent();
        let next = if keeps && connection.born.saturating_add(life) > at {
            self.hand_on(py, key, at)
        } else {
            drop(self.shut(py, key));
            Next::Gone(place)
        };
        let head = Box::new(head.unwrap_or_default());
        let told = if request.streams {
            let stream = self.streams.entry(request.ticket).or_insert_with(|| Stream::new(key));
            stream.take(py, &mut body);
            stream.end(trailers);
            let ticket = request.ticket;
            match request.reply.filter(|_| !told) {
                Some(reply) => Told::Head(reply, head, ticket),
                None => Told::Stream(ticket),
            }
        } else {
            let octets = PyBytes::new(py, &body).unbind();
            request.reply.map_or(Told::Nothing, |reply| Told::Whole(reply, head, octets, trailers))
        };
        body.clear();
        if body.capacity() <= KEPT {
            self.scratch = body;
        }
        (told, next)
    }

    /// Closes a connection; what was under way on it.
    pub(super) fn end(&mut self, py: Python<'_>, key: LinkKey) -> Vec<Flight> {
        match self.shut(py, key).map(|connection| connection.stage) {
            Some(Stage::Busy(flight)) => vec![*flight],
            Some(Stage::Many(many)) => many.flights.into_values().collect(),
            _ => vec![],
        }
    }

    pub(super) fn failed(&mut self, request: Request, kind: &'static str, why: String) -> Told {
        if let Some(stream) = self.streams.get_mut(&request.ticket) {
            stream.failed = Some((kind, why));
            return Told::Stream(request.ticket);
        }
        Told::Failed(request.reply, kind, why)
    }

    /// Part of an answer: a stream's head, or a piece of it.
    fn progress(&mut self, py: Python<'_>, key: LinkKey) -> Told {
        let Some(flight) = self.connection(key).and_then(Connection::flight) else {
            return Told::Nothing;
        };
        if !flight.request.streams || flight.head.is_none() && !flight.told {
            return Told::Nothing;
        }
        let (ticket, deadline) = (flight.request.ticket, flight.request.deadline);
        let head = flight.head.take().map(Box::new);
        (flight.told, flight.request.due) = (true, deadline);
        let reply = head.as_ref().and_then(|_| flight.request.reply.take());
        let mut body = std::mem::take(&mut flight.body);
        let stream = self.streams.entry(ticket).or_insert_with(|| Stream::new(key));
        stream.take(py, &mut body);
        let full = stream.is_full();
        body.clear();
        if let Some(flight) = self.connection(key).and_then(Connection::flight) {
            flight.body = body;
        }
        if full {
            self.pause(py, key, true);
        }
        match (head, reply) {
            (Some(head), Some(reply)) => Told::Head(reply, head, ticket),
            _ => Told::Stream(ticket),
        }
    }

    /// Nobody waits for a request, or reads a stream, any more.
    pub fn abandon(slf: &Bound<'_, Self>, ticket: u64) {
        let py = slf.py();
        // Dropped with the borrow over; borrowed already: something of ours is being dropped.
        let (dropped, place) = {
            let Ok(mut pool) = slf.try_borrow_mut() else { return };
            let pool = &mut *pool;
            let stream = pool.streams.remove(&ticket);
            match pool.request(ticket).map(|(request, key)| (request.place, key)) {
                Some((place, Some(key))) => {
                    let flight = pool.leave(key, ticket);
                    let connection = flight.is_none().then(|| pool.shut(py, key)).flatten();
                    ((stream, connection, flight), Some((place, key)))
                }
                Some((place, None)) => {
                    pool.places[place].gone += 1;
                    ((stream, None, None), None)
                }
                None => ((stream, None, None), None),
            }
        };
        let outlet = dropped.0.as_ref().and_then(|stream| stream.outlet.as_ref());
        if let Some(outlet) = outlet {
            Self::unraisable(slf, Self::relay_abandoned(slf, outlet));
        }
        drop(dropped);
        if let Some((place, key)) = place {
            Self::unraisable(slf, Self::want(slf, place).and_then(|()| Self::touch(slf, key)));
        }
    }

    /// A connection broke before anything could be read of that.
    pub fn lose(slf: &Bound<'_, Self>, key: LinkKey, why: &str) -> PyResult<()> {
        let flight = {
            let pool = &mut *slf.borrow_mut();
            let Some(connection) = pool.connection(key) else { return Ok(()) };
            if let Stage::Dialling(_) | Stage::Tunnelling(..) = connection.stage {
                None
            } else {
                let place = connection.place;
                pool.counters.lost += 1;
                let ended = pool.end(slf.py(), key).into_iter();
                let told = ended.map(|flight| pool.failed(*flight.request, "read", why.into()));
                Some((told.collect::<Vec<_>>(), place))
            }
        };
        let Some((told, place)) = flight else { return Self::attempt_failed(slf, key, why) };
        Self::want(slf, place)?;
        told.into_iter().try_for_each(|told| Self::tell(slf, told, false))
    }
}
