//! From a readable socket to whole requests.
use crate::conn::{Current, LINGER, Layer, Stage, Step};
use crate::intake::Incoming;
use crate::reactor::{Event, READ_BYTES, Reactor};
use crate::statistics::{Count, Why};
use crate::tls::Received;
use crate::token::Token;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// A buffer being consumed: the shared one, or what a connection had kept.
pub(crate) struct Cursor {
    pub(crate) token: Token,
    pub(crate) buffer: Vec<u8>,
    pub(crate) at: usize,
    pub(crate) end: usize,
    shared: bool,
    /// The read filled the buffer: the socket may hold more.
    full: bool,
}

impl Cursor {
    /// Over bytes of a connection's own.
    pub(crate) fn kept(token: Token, buffer: Vec<u8>, full: bool) -> Cursor {
        Cursor { token, at: 0, end: buffer.len(), buffer, shared: false, full }
    }
}

impl Reactor {
    pub(crate) fn dispatch(&mut self, token: Token, flags: EventFlags) {
        match self.conn(token).map(|conn| &conn.layer) {
            Some(Layer::None) => {}
            Some(Layer::Mux(_)) => return self.dispatch_mux(token, flags),
            Some(Layer::Stream(_)) => return self.dispatch_stream(token),
            None => return,
        }
        // Without a flag: an answer that ended outside a batch.
        if flags.is_empty() || flags.contains(EventFlags::OUT) {
            self.flush(token);
        }
        let unsent = self.settings.unsent;
        let Some(conn) = self.conn(token) else { return };
        let broken = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        let finished = broken || flags.contains(EventFlags::RDHUP);
        if conn.stage == Stage::Busy {
            let sends = conn.intake.as_ref().is_some_and(|intake| !intake.is_done());
            if broken || (finished && !sends) {
                return self.lose(token);
            }
            conn.eof |= finished;
            conn.readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP);
            if sends && !conn.waits(unsent) {
                if conn.inbound.is_empty() { self.read(token) } else { self.resume(token) }
            }
            return;
        }
        // With its request a peer may send its FIN (nc -N): it still reads what we answer.
        conn.eof |= finished;
        if broken {
            return self.close(token);
        }
        if conn.waits(unsent) {
            conn.readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP);
            return;
        }
        let conn = &mut self.conns[token.index as usize];
        conn.readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP);
        if conn.has_rest() {
            self.resume(token);
        } else if conn.readable {
            self.read(token);
        } else {
            self.flush(token);
        }
    }

    /// The peer left before its answer.
    pub(crate) fn lose(&mut self, token: Token) {
        self.statistics.one(Count::Gone);
        self.why = Why::Gone;
        self.events.push_back(Event::Gone(token));
        self.close(token);
    }

    /// Goes on with bytes kept from before; the socket's come after them.
    fn resume(&mut self, token: Token) {
        let conn = &mut self.conns[token.index as usize];
        let full = std::mem::take(&mut conn.readable);
        let buffer = std::mem::take(&mut conn.inbound);
        self.cursor = Some(Cursor::kept(token, buffer, full));
    }

    pub(crate) fn read(&mut self, token: Token) {
        if self.shared.len() < READ_BYTES {
            // What TLS made of the last read; to fill it up with zeros is work.
            std::mem::swap(&mut self.shared, &mut self.plain);
        }
        let mut shared = std::mem::take(&mut self.shared);
        shared.resize(READ_BYTES, 0);
        let conn = &mut self.conns[token.index as usize];
        conn.readable = false;
        let Some(fd) = &conn.fd else { return };
        let result = loop {
            match recv(fd, &mut shared[..], RecvFlags::empty()) {
                Err(Errno::INTR) => {}
                other => break other.map(|(count, _)| count),
            }
        };
        match result {
            Ok(count) if count > 0 => {
                self.statistics.add(Count::BytesIn, count as u64);
                let full = count == READ_BYTES;
                if conn.tls.is_some() {
                    self.open_records(token, shared, count, full);
                } else {
                    self.take(token, shared, count, full);
                }
            }
            Err(Errno::AGAIN) => {
                self.shared = shared;
                self.without_bytes(token);
            }
            Ok(_) => {
                self.shared = shared;
                self.ended(token);
            }
            Err(_) => {
                self.shared = shared;
                self.close(token);
            }
        }
    }

    /// TLS comes first; what it gives is read as if it had come by itself.
    fn open_records(&mut self, token: Token, sealed: Vec<u8>, count: usize, full: bool) {
        let mut plain = std::mem::take(&mut self.plain);
        plain.clear();
        let idle_at = self.now + self.settings.idle_timeout;
        let conn = &mut self.conns[token.index as usize];
        let Some(tls) = &mut conn.tls else { return };
        let shaking = tls.is_shaking();
        let received = tls.receive(&sealed[..count], &mut plain);
        if shaking && !tls.is_shaking() {
            conn.timeout_at = idle_at;
            self.statistics.one(Count::Handshakes);
            if tls.is_resumed() {
                self.statistics.one(Count::Resumed);
            }
            if tls.protocol() == Some(b"h2") {
                self.multiplex(token);
            }
        }
        let conn = &mut self.conns[token.index as usize];
        if plain.is_empty() || received == Received::Broken {
            (self.shared, self.plain) = (sealed, plain);
            return self.without_plain(token, received, full);
        }
        conn.eof |= received == Received::Ended;
        self.plain = sealed;
        let count = plain.len();
        self.take(token, plain, count, full);
    }

    /// A part of a handshake, an alert, half a record: nothing for the protocol.
    fn without_plain(&mut self, token: Token, received: Received, full: bool) {
        match received {
            Received::Open => {
                if full {
                    self.again.push(token);
                }
                self.flush(token);
            }
            Received::Ended => self.ended(token),
            Received::Broken => {
                self.statistics.one(Count::Refused);
                self.statistics.one(Count::BadTls);
                self.why = Why::Broken;
                self.flush(token);
                if self.conn(token).is_some_and(|conn| conn.stage == Stage::Busy) {
                    self.lose(token);
                } else {
                    self.close(token);
                }
            }
        }
    }

    fn take(&mut self, token: Token, shared: Vec<u8>, count: usize, full: bool) {
        let conn = &mut self.conns[token.index as usize];
        if conn.stage == Stage::Linger {
            self.shared = shared;
            if full {
                self.again.push(token);
            }
            return;
        }
        if conn.stage == Stage::Mux {
            self.feed_mux(token, &shared[..count], full);
            self.shared = shared;
            return;
        }
        if conn.inbound.is_empty() {
            let cursor = Cursor { token, buffer: shared, at: 0, end: count, shared: true, full };
            self.cursor = Some(cursor);
            return;
        }
        let mut buffer = std::mem::take(&mut conn.inbound);
        buffer.extend_from_slice(&shared[..count]);
        self.shared = shared;
        self.cursor = Some(Cursor::kept(token, buffer, full));
    }

    /// The edge was old news; bytes kept from before may still make a request.
    fn without_bytes(&mut self, token: Token) {
        let conn = &mut self.conns[token.index as usize];
        if conn.stage == Stage::Mux {
            self.flush(token);
        } else if conn.stage == Stage::Busy {
            // Nothing more of a streamed body for now.
        } else if conn.has_rest() {
            self.resume(token);
        } else if (conn.eof && conn.stage != Stage::Linger)
            || (self.stopping && conn.stage == Stage::Idle && conn.served > 0)
        {
            self.ended(token);
        } else {
            self.flush(token);
        }
    }

    /// The peer will send nothing more.
    fn ended(&mut self, token: Token) {
        let conn = &mut self.conns[token.index as usize];
        conn.eof = true;
        if conn.stage == Stage::Busy {
            return self.lose(token);
        }
        if conn.socket.is_some() {
            return self.close(token);
        }
        if let Layer::Mux(mux) = &mut conn.layer {
            mux.end();
            return self.drive(token);
        }
        if conn.stage == Stage::Idle && !conn.inbound.is_empty() {
            return self.resume(token);
        }
        conn.closing = true;
        conn.stage = Stage::Idle;
        if conn.is_sent() { self.close(token) } else { self.flush(token) }
    }

    /// The next request of a buffer; puts the cursor back where there may be another behind it.
    pub(crate) fn consume(&mut self, mut cursor: Cursor) -> Option<Event> {
        let (token, now) = (cursor.token, self.now);
        let settings = self.settings;
        let conn = self.conns.get_mut(token.index as usize)?;
        if conn.epoch != token.epoch || !conn.is_live() {
            self.recycle(cursor);
            return None;
        }
        if conn.stage == Stage::Socket {
            return self.consume_frames(cursor);
        }
        if conn.waits(settings.unsent) || conn.closing || cursor.at == cursor.end {
            self.pause(cursor);
            return None;
        }
        match conn.advance(
            token,
            &cursor.buffer[cursor.at..cursor.end],
            &settings,
            now,
            &mut self.blanks,
        ) {
            Step::Request(incoming, used) => {
                cursor.at += used;
                self.occupy(token, &incoming);
                self.statistics.request();
                self.cursor = Some(cursor);
                Some(Event::Request(incoming))
            }
            Step::Head(incoming, used) => {
                cursor.at += used;
                self.occupy(token, &incoming);
                self.statistics.request();
                self.cursor = Some(cursor);
                Some(Event::Head(incoming))
            }
            Step::More(used) if conn.stage == Stage::Busy => {
                cursor.at += used;
                self.tell_body(token);
                self.cursor = Some(cursor);
                None
            }
            Step::More(used) if conn.stage == Stage::Body && conn.intake.is_none() => {
                // A body that nobody wanted has been read.
                cursor.at += used;
                conn.stage = Stage::Idle;
                self.cursor = Some(cursor);
                None
            }
            Step::More(used) => {
                cursor.at += used;
                self.wait_for_more(cursor);
                None
            }
            Step::Multiplex => {
                self.multiplex(token);
                self.feed_mux(token, &cursor.buffer[cursor.at..cursor.end], cursor.full);
                self.recycle(cursor);
                None
            }
            Step::Refuse(refusal) => {
                cursor.at = cursor.end;
                if conn.stage == Stage::Busy {
                    self.fail_body(token, refusal);
                } else if conn.intake.as_ref().is_some_and(|intake| intake.is_void()) {
                    self.part(token);
                } else {
                    self.refuse(token, refusal);
                }
                self.pause(cursor);
                None
            }
        }
    }

    /// The connection belongs to this request until it is answered.
    fn occupy(&mut self, token: Token, incoming: &Incoming) {
        let limit = self.settings.requests;
        let conn = &mut self.conns[token.index as usize];
        conn.stage = Stage::Busy;
        conn.served = conn.served.wrapping_add(1);
        conn.current = Current {
            keep: incoming.head.keep && !(limit > 0 && conn.served >= limit),
            minor: incoming.head.minor,
            head_only: incoming.head.method.of(&incoming.bytes) == b"HEAD",
            ..Default::default()
        };
    }

    /// Keeps the unfinished rest with its connection, and its clock running.
    fn wait_for_more(&mut self, cursor: Cursor) {
        let (token, now, settings) = (cursor.token, self.now, self.settings);
        let conn = &mut self.conns[token.index as usize];
        if let Some(intake) = &conn.intake {
            let patience = intake.patience(settings.body_grace, settings.body_rate);
            self.set_timeout(token, patience);
        } else if conn.stage != Stage::Head {
            conn.stage = Stage::Head;
            self.set_timeout(token, now + settings.head_timeout);
        }
        self.pause(cursor);
    }

    /// Ends a cursor: the rest is kept, what was answered is sent, a full socket comes again.
    pub(crate) fn pause(&mut self, cursor: Cursor) {
        let (token, full) = (cursor.token, cursor.full);
        let conn = &mut self.conns[token.index as usize];
        let rest = cursor.at < cursor.end;
        if rest && conn.closing && conn.stage == Stage::Idle {
            conn.stage = Stage::Linger;
            let until = self.now + LINGER;
            self.set_timeout(token, until);
        }
        let conn = &mut self.conns[token.index as usize];
        if rest && !conn.closing {
            if cursor.shared {
                conn.inbound.extend_from_slice(&cursor.buffer[cursor.at..cursor.end]);
                self.shared = cursor.buffer;
            } else {
                let mut kept = cursor.buffer;
                kept.drain(..cursor.at);
                conn.inbound = kept;
            }
        } else {
            self.recycle(cursor);
        }
        let conn = &mut self.conns[token.index as usize];
        if full || conn.eof {
            if conn.waits(self.settings.unsent) {
                conn.readable = true;
            } else if !conn.closing || conn.stage == Stage::Linger {
                self.again.push(token);
            }
        }
        self.flush(token);
        self.resume_if_drained(token);
    }

    /// Too much was unsent, but the socket took it at once: no edge will tell of that.
    fn resume_if_drained(&mut self, token: Token) {
        let unsent = self.settings.unsent;
        let Some(conn) = self.conn(token) else { return };
        if conn.stage == Stage::Idle && conn.has_rest() && conn.outbox.len() <= unsent {
            self.ready.push_back((token, EventFlags::empty()));
        }
    }

    fn recycle(&mut self, cursor: Cursor) {
        if cursor.shared {
            self.shared = cursor.buffer;
        }
    }
}
