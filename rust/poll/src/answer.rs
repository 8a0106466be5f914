//! Answers on their way out: whole ones, refusals, and streams with back-pressure.
use crate::conn::{Conn, Current, Layer, Stage, Stream};
use crate::outbox::{Outbox, Progress, Shared, Slice, Spares};
use crate::reactor::{Event, Reactor};
use crate::statistics::Count;
use crate::token::Token;
use std::sync::Arc;
use wire::Refusal;
use wire::reply::{self, Length, Persistence};

/// Pieces below this are copied behind what waits: it costs less than a list of buffers (spike.md,
/// 6).
const COPIED: usize = 16 * 1024;

/// A status line, fields and body made ready ahead.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Status line and fields, as [`wire::reply::render`] makes them.
    pub rendered: Vec<u8>,
    /// The body.
    pub body: Vec<u8>,
}

impl Prepared {
    /// A status without fields or body.
    pub(crate) fn bare(status: u16) -> Prepared {
        Prepared { rendered: reply::render(status, &[]), body: vec![] }
    }

    /// Appends it as the last answer of a connection.
    pub(crate) fn write_last(&self, out: &mut Vec<u8>, date: &[u8]) {
        let length = Length::Known(self.body.len() as u64);
        reply::write(out, &self.rendered, length, Persistence::Close, date);
        out.extend_from_slice(&self.body);
    }
}

/// A body to send.
pub enum Body<'a> {
    /// Copied behind the head: one buffer, one system call.
    Copied(&'a [u8]),
    /// Sent from where it lies: worth it from some 16 KiB on.
    Shared(Shared),
    /// Memory and ranges of files, in order.
    Parts(Vec<Part>),
}

/// A piece of a body.
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes: what stands between the ranges of a multipart answer.
    Bytes(Vec<u8>),
    /// A range of a file, sent by the kernel where it can.
    File(Slice),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Bytes(bytes) => bytes.len(),
            Part::File(slice) => slice.len,
        }
    }
}

impl Body<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Body::Copied(bytes) => bytes.len(),
            Body::Shared(bytes) => (**bytes).as_ref().len(),
            Body::Parts(parts) => parts.iter().map(Part::len).sum(),
        }
    }

    /// Appends it to what waits.
    pub(crate) fn write(self, outbox: &mut Outbox, spares: &mut Spares) {
        match self {
            Body::Copied(bytes) => outbox.tail(spares).extend_from_slice(bytes),
            Body::Shared(bytes) => outbox.share(bytes),
            Body::Parts(parts) => {
                for part in parts {
                    match part {
                        Part::Bytes(bytes) => outbox.tail(spares).extend_from_slice(&bytes),
                        Part::File(slice) => outbox.attach(slice),
                    }
                }
            }
        }
    }
}

impl Reactor {
    /// Answers a request whole; hits nothing when its connection has gone.
    pub fn reply(&mut self, token: Token, status: u16, rendered: &[u8], body: Body<'_>) {
        let keep = self.keeps(token);
        let Some(conn) = busy(&mut self.conns, token) else { return };
        if conn.current.stream != Stream::None {
            // Half of another answer is out: only closing tells the peer that it is not whole.
            return self.abort(token);
        }
        if matches!(conn.layer, Layer::Stream(_)) {
            return self.reply_stream(token, status, rendered, body);
        }
        let bodiless = reply::is_bodiless(status);
        let length = if bodiless { Length::Absent } else { Length::Known(body.len() as u64) };
        let persistence = persistence(keep, conn.current.minor);
        let tail = conn.outbox.tail(&mut self.spares);
        reply::write(tail, rendered, length, persistence, &self.date);
        if !bodiless && !conn.current.head_only {
            body.write(&mut conn.outbox, &mut self.spares);
        }
        self.answered(token, keep);
    }

    /// Answers a whole request with a refusal: the connection may go on.
    pub fn decline(&mut self, token: Token, refusal: Refusal, fields: &str) {
        // Of a body that is too large the rest may be anything.
        if let (Refusal::BodyTooLarge, Some(conn)) = (refusal, self.conn(token)) {
            conn.current.keep = false;
            self.statistics.unrequest();
        }
        let answer = Arc::clone(&self.refusals[refusal as usize]);
        self.statistics.refused(refusal);
        let body = Body::Copied(&answer.body);
        if fields.is_empty() {
            return self.reply(token, refusal.status(), &answer.rendered, body);
        }
        let rendered = [&answer.rendered, fields.as_bytes()].concat();
        self.reply(token, refusal.status(), &rendered, body);
    }

    /// Answers a request that no handler has seen, with what a rule of the caller's says.
    pub fn refuse_with(&mut self, token: Token, status: u16, rendered: &[u8], body: &[u8]) {
        self.statistics.one(Count::Refused);
        self.reply(token, status, rendered, Body::Copied(body));
    }

    /// Says something before the answer (103, RFC 8297); nothing to a peer of HTTP/1.0, which knows
    /// no such thing.
    pub fn inform(&mut self, token: Token, status: u16, rendered: &[u8]) {
        let Some(conn) = busy(&mut self.conns, token) else { return };
        if conn.current.stream != Stream::None || conn.current.minor == 0 {
            return;
        }
        if let Layer::Stream(stream) = &mut conn.layer {
            stream.inform(status, rendered);
        } else {
            let tail = conn.outbox.tail(&mut self.spares);
            tail.extend_from_slice(rendered);
            tail.extend_from_slice(b"\r\n");
        }
        self.flush(token);
    }

    /// Begins a streamed answer; without a length it is chunked, or ends with the connection.
    pub fn start(&mut self, token: Token, status: u16, rendered: &[u8], length: Option<u64>) {
        let mut keep = self.keeps(token);
        let Some(conn) = busy(&mut self.conns, token) else { return };
        if matches!(conn.layer, Layer::Stream(_)) {
            return self.start_stream(token, status, rendered, length);
        }
        let (length, stream) = match length {
            _ if reply::is_bodiless(status) => (Length::Absent, Stream::Drop),
            Some(bytes) => (Length::Known(bytes), Stream::Exact(bytes)),
            None if conn.current.minor == 0 => (Length::UntilClose, Stream::UntilClose),
            None => (Length::Chunked, Stream::Chunks),
        };
        keep &= length != Length::UntilClose;
        let tail = conn.outbox.tail(&mut self.spares);
        let persistence = persistence(keep, conn.current.minor);
        reply::write(tail, rendered, length, persistence, &self.date);
        conn.current.keep = keep;
        conn.current.stream = if conn.current.head_only { Stream::Drop } else { stream };
    }

    /// Sends a piece of a streamed answer; gives what is unsent now, `None` when the connection
    /// has gone. A piece beyond the promised length closes the connection.
    pub fn write(&mut self, token: Token, data: &[u8]) -> Option<usize> {
        let conn = busy(&mut self.conns, token)?;
        let tail = conn.outbox.tail(&mut self.spares);
        let behind = match &mut conn.current.stream {
            Stream::None | Stream::Drop => None,
            Stream::Chunks if data.is_empty() => None,
            Stream::Chunks => {
                reply::begin_chunk(tail, data.len());
                Some(&b"\r\n"[..])
            }
            Stream::UntilClose => Some(&b""[..]),
            Stream::Exact(left) if data.len() as u64 <= *left => {
                *left -= data.len() as u64;
                Some(&b""[..])
            }
            Stream::Exact(_) => {
                self.abort(token);
                return None;
            }
        };
        if let Some(behind) = behind {
            self.append(token, data, behind);
        }
        self.flush(token);
        self.open(token).map(|conn| conn.outbox.len())
    }

    /// Puts octets and their frame's end behind what waits; what the socket takes of much goes from
    /// where it lies.
    fn append(&mut self, token: Token, data: &[u8], behind: &[u8]) {
        let until = self.now + self.settings.write_timeout;
        let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
        let plain = conn.tls.is_none() && matches!(conn.layer, Layer::None);
        let Some(fd) = conn.fd.as_ref().filter(|_| plain && data.len() >= COPIED) else {
            let tail = conn.outbox.tail(&mut self.spares);
            tail.extend_from_slice(data);
            return tail.extend_from_slice(behind);
        };
        let sent = conn.outbox.send_with(fd, [data, behind], &mut self.spares);
        let waits = !conn.outbox.is_empty();
        self.statistics.add(Count::BytesOut, sent as u64);
        if sent > 0 && waits {
            self.set_timeout(token, until);
        }
    }

    /// Whether pieces of the answer that has begun are dropped: a HEAD, a status without a body.
    pub fn drops_body(&self, token: Token) -> bool {
        self.open(token).is_some_and(|conn| conn.current.stream == Stream::Drop)
    }

    /// Asks for [`Event::Drained`]; false when nothing waits.
    pub fn want_drain(&mut self, token: Token) -> bool {
        let low = self.settings.unsent / 2;
        let Some(conn) = self.conn(token) else { return false };
        conn.current.wants_drain = conn.outbox.len() > low;
        conn.current.wants_drain
    }

    /// Completes a streamed answer; a length that was not met closes the connection, so that the
    /// peer does not take the next answer for the rest of this one. `trailers` are whole lines, and
    /// go to peers of HTTP/2 and behind chunks only (RFC 9110 section 6.5).
    pub fn end(&mut self, token: Token, trailers: &[u8]) {
        let Some(conn) = busy(&mut self.conns, token) else { return };
        // Its head said so: a server that stops since then keeps its word for a while.
        let keep = conn.current.keep;
        match conn.current.stream {
            Stream::Exact(left) if left > 0 => return self.abort(token),
            Stream::Chunks => {
                let tail = conn.outbox.tail(&mut self.spares);
                for piece in [reply::LAST_CHUNK, trailers, b"\r\n"] {
                    tail.extend_from_slice(piece);
                }
            }
            _ => {}
        }
        if let Layer::Stream(stream) = &mut conn.layer {
            stream.set_trailers(trailers);
        }
        self.answered(token, keep);
    }

    /// Ends a connection whose answer cannot be completed.
    pub fn abort(&mut self, token: Token) {
        self.close(token);
    }

    /// Answers bytes that make no request, and closes: what follows them means nothing.
    pub(crate) fn refuse(&mut self, token: Token, refusal: Refusal) {
        self.statistics.refused(refusal);
        let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
        let tail = conn.outbox.tail(&mut self.spares);
        self.refusals[refusal as usize].write_last(tail, &self.date);
        self.part(token);
    }

    fn keeps(&self, token: Token) -> bool {
        let keeps = |conn: &Conn| {
            let unread = conn.intake.as_ref();
            conn.current.keep
                && unread.is_none_or(|intake| intake.is_done() || intake.can_be_skipped())
        };
        !self.stopping && self.open(token).is_some_and(keeps)
    }

    /// The connection is free for its next request.
    pub(crate) fn answered(&mut self, token: Token, keep: bool) {
        self.statistics.one(Count::Answers);
        self.deadlines.remove(token.index);
        let timeout_at = self.now + self.idle_patience();
        let Some(conn) = self.conn(token) else { return };
        conn.stage = Stage::Idle;
        conn.closing |= !keep;
        conn.current = Current::default();
        if matches!(conn.layer, Layer::Stream(_)) {
            return self.finish_stream(token);
        }
        conn.timeout_at = timeout_at;
        let unread = conn.intake.is_some();
        if self.stopping {
            self.set_timeout(token, timeout_at);
        }
        if unread && !self.leave_body(token) {
            self.part(token);
        }
        // The cursor that brought the request goes on by itself, and sends what it gathered.
        if self.cursor.as_ref().is_none_or(|cursor| cursor.token != token) {
            self.ready.push_back((token, rustix::event::epoll::EventFlags::empty()));
        }
    }

    /// Sends what waits, as far as the peer takes it.
    pub(crate) fn flush(&mut self, token: Token) {
        let (now, settings, patience) = (self.now, self.settings, self.idle_patience());
        let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
        if conn.epoch != token.epoch {
            return;
        }
        if matches!(conn.layer, Layer::Stream(_)) {
            return self.flush_stream(token);
        }
        let Ok(Progress { sent, rests }) = conn.send(&mut self.spares) else {
            let busy = conn.stage == Stage::Busy;
            return if busy { self.lose(token) } else { self.close(token) };
        };
        self.statistics.add(Count::BytesOut, sent as u64);
        if rests {
            self.rested.push(token);
        }
        if conn.socket.is_some() {
            return self.socket_flushed(token, sent > 0);
        }
        if conn.current.wants_drain && conn.outbox.len() <= settings.unsent / 2 {
            conn.current.wants_drain = false;
            self.events.push_back(Event::Drained(token));
        }
        if !conn.is_sent() {
            if sent > 0 || conn.timeout_at > now + settings.write_timeout {
                self.set_timeout(token, now + settings.write_timeout);
            }
        } else if conn.closing {
            match conn.stage {
                Stage::Busy => {}
                Stage::Linger if !conn.eof => conn.part(&mut self.spares),
                _ => {
                    conn.part(&mut self.spares);
                    self.close(token);
                }
            }
        } else if sent > 0 && conn.stage == Stage::Idle {
            conn.timeout_at = now + patience;
        }
    }

    /// Moves a connection's timeout; a later one costs a store, since the wheel looks again.
    pub(crate) fn set_timeout(&mut self, token: Token, at: u64) {
        let Some(conn) = self.conn(token) else { return };
        conn.timeout_at = at;
        if at < self.wheel.at(token.index) {
            self.wheel.insert(token.index, at);
        }
    }
}

/// The connection, while its request waits for an answer.
fn busy(conns: &mut [Conn], token: Token) -> Option<&mut Conn> {
    let conn = conns.get_mut(token.index as usize)?;
    (conn.epoch == token.epoch && conn.stage == Stage::Busy).then_some(conn)
}

fn persistence(keep: bool, minor: u8) -> Persistence {
    match (keep, minor) {
        (false, _) => Persistence::Close,
        (true, 0) => Persistence::KeepSaid,
        (true, _) => Persistence::Keep,
    }
}
