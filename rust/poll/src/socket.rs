//! A connection that has become a WebSocket: messages in, messages out.
//!
//! # Theory
//! An open socket is a [`Socket`] in its connection's slot: the reader's state, its options and
//! its rooms. What it sends lies in the outbox as far as it is under way, and in a queue of whole
//! frames behind that; so a frame can still be dropped while none of it is sent, and a broadcast
//! is one piece of memory however many sockets wait to send it. Both are empty, and hold nothing,
//! while the peer keeps up.
//!
//! # Rules
//! - A socket ends once, by [`Event::Ended`], whatever ended it: `Reactor::close` sees to that.
//! - Pings are answered here. While a peer does not read, only its last ping is (RFC 6455, 5.5.3).
//! - A held socket is not read (the application has messages enough), and is not pinged either:
//!   that its pong was not read says nothing of the peer.
//! - A socket that has sent its close frame is read for the peer's, and what else comes is dropped.
use crate::conn::{Conn, Layer, Stage};
use crate::reactor::{Event, Reactor};
use crate::serve::Cursor;
use crate::statistics::{Count, Why};
use crate::token::Token;
use std::collections::VecDeque;
use std::sync::Arc;
use wire::websocket::{Close, Fault, Handshake, Item, Opcode, Reader, Step, frame};

/// Bytes under way to the kernel before the rest stays in the queue: one send of a busy socket
/// (the size from which bodies are shared, spike.md).
const UNDER_WAY: usize = 16 * 1024;
/// When to look again at a socket that is not pinged.
const LATER: u64 = 3_600_000_000_000;

/// The close code of a server that stops (IANA's registry: Service Restart).
pub(crate) const RESTART: u16 = 1012;

/// What to do when a peer does not read as fast as the application sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The sender waits for [`Event::Drained`].
    Wait,
    /// The oldest messages of which nothing is sent are dropped, and counted.
    Drop,
    /// The socket is closed with 1013.
    Close,
}

/// What a route says about its sockets.
#[derive(Clone, Copy, Debug)]
pub struct SocketOptions {
    /// Bytes of a message, inflated.
    pub message: usize,
    /// Unsent bytes above which `overflow` says what happens.
    pub unsent: usize,
    /// See [`Overflow`].
    pub overflow: Overflow,
    /// Messages from this size on are compressed, where the peer can inflate; `None`: never.
    pub compress: Option<usize>,
    /// Silence before a ping; 0: never.
    pub ping_interval: u64,
    /// Silence after it before the connection is given up.
    pub ping_timeout: u64,
    /// From our close frame to the peer's.
    pub close_timeout: u64,
}

/// A message from a peer.
#[derive(Debug)]
pub enum Message {
    /// UTF-8.
    Text(String),
    /// Octets.
    Binary(Vec<u8>),
}

impl Message {
    /// Its size.
    pub fn len(&self) -> usize {
        match self {
            Message::Text(text) => text.len(),
            Message::Binary(data) => data.len(),
        }
    }

    /// Whether it has no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What became of a message to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Taken,
    /// Too much is unsent: try again after [`Event::Drained`].
    Full,
    /// The socket is closed or closing.
    Gone,
}

/// Frames that wait behind what is under way.
#[derive(Default)]
struct Waiting {
    frames: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// The last ping that found no room for its answer.
    pong: Option<Vec<u8>>,
    wants_drain: bool,
}

impl Waiting {
    fn is_done(&self) -> bool {
        self.frames.is_empty() && self.pong.is_none() && !self.wants_drain
    }
}

/// The state of an open socket.
#[allow(clippy::struct_excessive_bools)] // facts that do not depend on each other
pub struct Socket {
    reader: Reader,
    options: Arc<SocketOptions>,
    waiting: Option<Box<Waiting>>,
    /// Each with its place among the room's members.
    pub(crate) rooms: Vec<(u32, u32)>,
    /// The window to compress with; 0: the extension was not agreed on.
    bits: u8,
    /// Our close frame is sent, or stands behind everything that is.
    closing: bool,
    held: bool,
    /// What was read before it was held has not all been looked at.
    pub(crate) behind: bool,
    pinged: bool,
    /// The peer has not taken all that we sent.
    stalled: bool,
    unflushed: bool,
}

impl Socket {
    pub(crate) fn new(options: Arc<SocketOptions>, bits: u8, behind: bool) -> Socket {
        Socket {
            reader: Reader::default(),
            options,
            waiting: None,
            rooms: vec![],
            bits,
            closing: false,
            held: false,
            behind,
            pinged: false,
            stalled: false,
            unflushed: false,
        }
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    #[cfg(test)]
    pub(crate) fn last(&self) -> Option<Arc<[u8]>> {
        self.waiting.as_ref().and_then(|waiting| waiting.frames.back().cloned())
    }

    fn waiting(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }

    /// How long nothing may come from the peer.
    fn patience(&self) -> u64 {
        if self.pinged { self.options.ping_timeout } else { quiet(&self.options) }
    }

    fn unsent(&self, conn_unsent: usize) -> usize {
        conn_unsent + self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }
}

/// A message to send, encoded at most once for each way that a receiver may want it.
pub(crate) struct Frame<'a> {
    opcode: Opcode,
    data: &'a [u8],
    plain: Option<Arc<[u8]>>,
    packed: Vec<(u8, Arc<[u8]>)>,
}

impl<'a> Frame<'a> {
    pub(crate) fn new(text: bool, data: &'a [u8]) -> Frame<'a> {
        let opcode = if text { Opcode::Text } else { Opcode::Binary };
        Frame { opcode, data, plain: None, packed: vec![] }
    }
}

impl Reactor {
    /// Answers a request by becoming a WebSocket; false when its connection has gone.
    ///
    /// `rendered` is the status line with fields to add, as [`wire::reply::render`] makes it.
    pub fn upgrade(
        &mut self,
        token: Token,
        handshake: &Handshake,
        rendered: &[u8],
        options: Arc<SocketOptions>,
    ) -> bool {
        if self.conn(token).is_none_or(|conn| conn.stage != Stage::Busy) {
            return false;
        }
        let bits = handshake.bits.filter(|_| options.compress.is_some());
        if !self.agree(token, handshake, rendered, bits.is_some()) {
            return false;
        }
        let conn = &mut self.conns[token.index as usize];
        conn.stage = Stage::Socket;
        conn.current = crate::conn::Current::default();
        let quiet = quiet(&options);
        let behind = !conn.inbound.is_empty();
        conn.socket = Some(Box::new(Socket::new(options, bits.unwrap_or(0), behind)));
        self.statistics.one(Count::Answers);
        self.statistics.socket_opened();
        self.deadlines.remove(token.index);
        self.set_timeout(token, self.now + quiet);
        self.revisit(token);
        if self.stopping {
            self.tell_restart(token);
        }
        true
    }

    /// The head that ends the handshake; false where there is nobody to send it to.
    fn agree(&mut self, token: Token, handshake: &Handshake, rendered: &[u8], packs: bool) -> bool {
        let conn = &mut self.conns[token.index as usize];
        if matches!(conn.layer, Layer::Stream(_)) {
            return self.open_tunnel(token, handshake, rendered, packs);
        }
        let tail = conn.outbox.tail(&mut self.spares);
        tail.extend_from_slice(rendered);
        handshake.write(tail, packs);
        tail.extend_from_slice(&self.date);
        tail.extend_from_slice(b"\r\n");
        true
    }

    /// Whether it is an open socket.
    pub fn is_socket(&self, token: Token) -> bool {
        self.open(token).is_some_and(|conn| conn.socket.is_some())
    }

    /// Whether a sender was told to wait, and has to.
    pub fn is_full(&self, token: Token) -> bool {
        let socket = self.open(token).and_then(|conn| conn.socket.as_ref());
        let waiting = socket.and_then(|socket| socket.waiting.as_ref());
        waiting.is_some_and(|waiting| waiting.wants_drain)
    }

    /// Sends a message, as far as the socket's options allow.
    pub fn send_message(&mut self, token: Token, text: bool, data: &[u8]) -> Sent {
        self.send_frame(token, &mut Frame::new(text, data), false)
    }

    /// Sends to one of possibly many; who sends to many cannot wait, so the oldest message goes.
    pub(crate) fn send_frame(&mut self, token: Token, frame: &mut Frame<'_>, many: bool) -> Sent {
        let Some(conn) = self.conn(token) else { return Sent::Gone };
        let unsent = conn.outbox.len();
        let Some(socket) = conn.socket.as_mut().filter(|socket| !socket.closing) else {
            return Sent::Gone;
        };
        let limit = socket.options.unsent;
        let unsent = socket.unsent(unsent);
        if unsent > 0 && unsent + frame.data.len() > limit {
            match socket.options.overflow {
                Overflow::Wait if !many => {
                    socket.waiting().wants_drain = true;
                    return Sent::Full;
                }
                Overflow::Wait | Overflow::Drop => self.drop_oldest(token, frame.data.len()),
                Overflow::Close => {
                    self.statistics.one(Count::Dropped);
                    self.overflowed(token);
                    return Sent::Gone;
                }
            }
        }
        self.enqueue(token, frame);
        Sent::Taken
    }

    /// Drops whole frames, the oldest first, until `size` more bytes fit.
    fn drop_oldest(&mut self, token: Token, size: usize) {
        let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
        let under_way = conn.outbox.len();
        let Some(socket) = &mut conn.socket else { return };
        let limit = socket.options.unsent;
        let Some(waiting) = &mut socket.waiting else { return };
        while under_way + waiting.bytes + size > limit {
            let Some(oldest) = waiting.frames.pop_front() else { return };
            waiting.bytes -= oldest.len();
            self.statistics.one(Count::Dropped);
        }
    }

    /// The peer does not read: it is told why, behind what is under way, and nothing else is.
    fn overflowed(&mut self, token: Token) {
        if let Some(socket) = self.conn(token).and_then(|conn| conn.socket.as_mut()) {
            socket.waiting = None;
        }
        self.close_socket(token, Close::new(1013, "too slow"));
    }

    fn enqueue(&mut self, token: Token, frame: &mut Frame<'_>) {
        let conn = &mut self.conns[token.index as usize];
        let Some(socket) = &mut conn.socket else { return };
        let packs = socket.options.compress.is_some_and(|least| frame.data.len() >= least);
        let bits = if packs { socket.bits } else { 0 };
        let direct = socket.waiting.is_none() && conn.outbox.len() < UNDER_WAY;
        if direct && bits == 0 && frame.data.len() < UNDER_WAY {
            frame::write(conn.outbox.tail(&mut self.spares), frame.opcode, frame.data, false);
        } else {
            let encoded = self.encoded(frame, bits);
            self.queue(token, encoded);
        }
        self.flush_later(token);
    }

    /// The frame for receivers with that window, made once.
    fn encoded(&mut self, frame: &mut Frame<'_>, bits: u8) -> Arc<[u8]> {
        if let Some((_, packed)) = frame.packed.iter().find(|(known, _)| *known == bits) {
            return packed.clone();
        }
        if bits > 0 {
            let packed = self.deflater.deflate(frame.data, bits);
            // What does not shrink goes as it is (RFC 7692 section 6 leaves each message open).
            if packed.len() < frame.data.len() {
                let mut out = vec![];
                frame::write(&mut out, frame.opcode, &packed, true);
                let out: Arc<[u8]> = out.into();
                frame.packed.push((bits, out.clone()));
                return out;
            }
        }
        let plain = frame.plain.get_or_insert_with(|| {
            let mut out = vec![];
            frame::write(&mut out, frame.opcode, frame.data, false);
            out.into()
        });
        let plain = plain.clone();
        if bits > 0 {
            frame.packed.push((bits, plain.clone()));
        }
        plain
    }

    fn queue(&mut self, token: Token, bytes: Arc<[u8]>) {
        let Some(socket) = self.conn(token).and_then(|conn| conn.socket.as_mut()) else { return };
        let waiting = socket.waiting();
        waiting.bytes += bytes.len();
        waiting.frames.push_back(bytes);
    }

    /// Sends at the end of the batch: several messages to a peer take one system call.
    fn flush_later(&mut self, token: Token) {
        let Some(socket) = self.conn(token).and_then(|conn| conn.socket.as_mut()) else { return };
        if !std::mem::replace(&mut socket.unflushed, true) {
            self.unflushed.push_back(token);
        }
    }

    /// Sends what was written since, to `most` sockets; the others' turn comes with the next.
    pub(crate) fn flush_sockets(&mut self, most: usize) {
        for _ in 0..most {
            let Some(token) = self.unflushed.pop_front() else { return };
            if let Some(socket) = self.conn(token).and_then(|conn| conn.socket.as_mut()) {
                socket.unflushed = false;
                self.flush(token);
            }
        }
    }

    /// After a send: more of the queue goes under way, and whoever waits for room is told.
    pub(crate) fn socket_flushed(&mut self, token: Token, moved: bool) {
        let (now, patience) = (self.now, self.settings.write_timeout);
        let conn = &mut self.conns[token.index as usize];
        let emptied = conn.is_sent();
        if emptied || !conn.outbox.is_empty() {
            refill(conn, &mut self.spares);
        }
        let Some(socket) = &mut conn.socket else { return };
        let unsent = socket.unsent(conn.outbox.len());
        if let Some(waiting) = &mut socket.waiting {
            if waiting.wants_drain && unsent <= socket.options.unsent / 2 {
                waiting.wants_drain = false;
                self.events.push_back(Event::Drained(token));
            }
            if waiting.is_done() {
                socket.waiting = None;
            }
        }
        if emptied && !conn.outbox.is_empty() {
            return self.flush(token);
        }
        let Some(socket) = &mut conn.socket else { return };
        let stalled = std::mem::replace(&mut socket.stalled, !emptied);
        if socket.closing {
            // `close_timeout` bounds all that is left.
        } else if !emptied {
            if moved || !stalled {
                self.set_timeout(token, now + patience);
            }
        } else if stalled {
            // What is sent at once leaves the clock alone: it says nothing of the peer.
            let wait = socket.patience();
            self.set_timeout(token, now + wait);
        }
    }

    /// Begins the closing handshake behind what is unsent; what comes until the peer's close
    /// frame is dropped.
    pub fn close_socket(&mut self, token: Token, close: Close) {
        let Some(socket) = self.conn(token).and_then(|conn| conn.socket.as_mut()) else { return };
        if std::mem::replace(&mut socket.closing, true) {
            return;
        }
        let patience = socket.options.close_timeout;
        let mut out = vec![];
        close.write(&mut out);
        self.queue(token, out.into());
        self.flush_later(token);
        self.set_timeout(token, self.now + patience);
        self.hold(token, false);
    }

    /// Stops or resumes reading: how an application with messages enough holds up its peer. True
    /// where it resumes: the next turn reads.
    pub fn hold(&mut self, token: Token, held: bool) -> bool {
        let socket = self.conn(token).and_then(|conn| conn.socket.as_mut());
        let Some(socket) = socket else { return false };
        let held = held && !socket.closing;
        let resumes = std::mem::replace(&mut socket.held, held) && !held;
        if resumes {
            self.revisit(token);
        }
        resumes
    }

    /// Looks at a connection again in this batch, unless it is being looked at.
    fn revisit(&mut self, token: Token) {
        if self.cursor.as_ref().is_none_or(|cursor| cursor.token != token) {
            self.ready.push_back((token, rustix::event::epoll::EventFlags::empty()));
        }
    }

    /// The next message of a buffer; control frames are dealt with here.
    pub(crate) fn consume_frames(&mut self, mut cursor: Cursor) -> Option<Event> {
        let (token, now) = (cursor.token, self.now);
        loop {
            let conn = &mut self.conns[token.index as usize];
            let sent = conn.is_sent();
            let Some(socket) = &mut conn.socket else {
                cursor.at = cursor.end;
                self.pause(cursor);
                return None;
            };
            socket.behind = socket.held;
            if socket.held {
                self.pause(cursor);
                return None;
            }
            socket.pinged = false;
            if !socket.closing && sent {
                conn.timeout_at = now + quiet(&socket.options);
            }
            let inflater = (socket.bits > 0).then_some(&mut self.inflater);
            let most = socket.options.message;
            match socket.reader.step(&cursor.buffer[cursor.at..cursor.end], most, inflater) {
                Step::More(used) => {
                    cursor.at += used;
                    self.pause(cursor);
                    return None;
                }
                Step::Fail(fault) => {
                    self.fail_socket(token, fault);
                    cursor.at = cursor.end;
                }
                Step::Item(item, used) => {
                    cursor.at += used;
                    let message = match item {
                        Item::Text(text) => Message::Text(text),
                        Item::Binary(data) => Message::Binary(data),
                        Item::Ping(payload) => {
                            self.pong(token, payload);
                            continue;
                        }
                        Item::Pong => continue,
                        Item::Close(close) => {
                            self.answer_close(token, close);
                            continue;
                        }
                    };
                    if self.conns[token.index as usize].socket.as_ref().is_some_and(|s| s.closing) {
                        continue;
                    }
                    self.statistics.one(Count::Messages);
                    self.cursor = Some(cursor);
                    return Some(Event::Message(token, message));
                }
            }
        }
    }

    fn pong(&mut self, token: Token, payload: Vec<u8>) {
        let conn = &mut self.conns[token.index as usize];
        let Some(socket) = conn.socket.as_mut().filter(|socket| !socket.closing) else { return };
        if socket.waiting.is_none() && conn.outbox.len() < UNDER_WAY {
            let tail = conn.outbox.tail(&mut self.spares);
            frame::write(tail, Opcode::Pong, &payload, false);
        } else {
            socket.waiting().pong = Some(payload);
        }
    }

    /// The peer's close frame: answered unless it answers ours (RFC 6455 section 5.5.1).
    fn answer_close(&mut self, token: Token, close: Close) {
        let conn = &mut self.conns[token.index as usize];
        if conn.socket.as_ref().is_some_and(|socket| !socket.closing) {
            close.write(conn.outbox.tail(&mut self.spares));
        }
        self.end_socket(token, close);
    }

    /// The peer broke the rules: it is told, and nothing more is read.
    fn fail_socket(&mut self, token: Token, fault: Fault) {
        self.statistics.one(Count::Faults);
        let close = Close::new(fault.code(), fault.reason());
        let conn = &mut self.conns[token.index as usize];
        if conn.socket.as_ref().is_some_and(|socket| !socket.closing) {
            close.write(conn.outbox.tail(&mut self.spares));
        }
        self.end_socket(token, close);
    }

    /// It has ended; the connection lingers for the peer to read our last frames.
    fn end_socket(&mut self, token: Token, close: Close) {
        self.forget_socket(token, close);
        self.part(token);
    }

    /// Tells of a socket's end, once, and takes it out of its rooms.
    pub(crate) fn forget_socket(&mut self, token: Token, close: Close) {
        let Some(socket) = self.conn(token).and_then(|conn| conn.socket.take()) else { return };
        self.statistics.socket_ended();
        self.leave_all(token, &socket.rooms);
        self.events.push_back(Event::Ended(token, close));
    }

    /// Nothing has come for a while: is the peer still there?
    pub(crate) fn socket_timeout(&mut self, token: Token) {
        let now = self.now;
        let conn = &mut self.conns[token.index as usize];
        let Some(socket) = &mut conn.socket else { return };
        let options = &socket.options;
        let wait = if socket.closing || socket.pinged {
            self.statistics.one(Count::Silent);
            self.why = Why::Silent;
            return self.close(token);
        } else if socket.held || options.ping_interval == 0 {
            quiet(options)
        } else {
            socket.pinged = true;
            frame::write(conn.outbox.tail(&mut self.spares), Opcode::Ping, b"", false);
            options.ping_timeout
        };
        conn.timeout_at = now + wait;
        self.wheel.insert(token.index, now + wait);
        // With the others': ten thousand that came together are pinged together.
        self.flush_later(token);
    }
}

/// How long a socket may be silent before it is pinged.
fn quiet(options: &SocketOptions) -> u64 {
    if options.ping_interval == 0 { LATER } else { options.ping_interval }
}

/// Moves frames from the queue under way, as far as there is room.
fn refill(conn: &mut Conn, spares: &mut crate::outbox::Spares) {
    let Some(waiting) = conn.socket.as_mut().and_then(|socket| socket.waiting.as_mut()) else {
        return;
    };
    while conn.outbox.len() < UNDER_WAY {
        if let Some(payload) = waiting.pong.take() {
            frame::write(conn.outbox.tail(spares), Opcode::Pong, &payload, false);
            continue;
        }
        let Some(bytes) = waiting.frames.pop_front() else { return };
        waiting.bytes -= bytes.len();
        if bytes.len() < UNDER_WAY {
            conn.outbox.tail(spares).extend_from_slice(&bytes);
        } else {
            conn.outbox.share(Box::new(bytes));
        }
    }
}
