//! The reactor's side of HTTP/2: streams as slots, and the turns of their connection.
use crate::answer::Body;
use crate::conn::{Conn, Current, Layer, Stage, Stream as Framing};
use crate::intake::{Content, Incoming, Intake};
use crate::mux::{Mux, Stream, request};
use crate::reactor::{Event, READ_BYTES, Reactor};
use crate::statistics::{Count, Why};
use crate::token::Token;
use h2::RecvStream;
use h2::server::SendResponse;
use rustix::event::epoll::EventFlags;
use std::task::Poll;
use wire::{Head, Refusal, reply};

impl Reactor {
    /// From here on the connection speaks HTTP/2.
    pub(crate) fn multiplex(&mut self, token: Token) {
        let mux = Mux::new(&self.settings);
        let Some(conn) = self.conn(token) else { return };
        conn.layer = Layer::Mux(Box::new(mux));
        conn.stage = Stage::Mux;
    }

    /// An edge of a connection that carries streams, or its own turn.
    pub(crate) fn dispatch_mux(&mut self, token: Token, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.flush(token);
        }
        let Some(conn) = self.conn(token) else { return };
        let Layer::Mux(mux) = &mut conn.layer else { return };
        mux.dirty = false;
        let crowded = mux.backlog() > READ_BYTES;
        conn.readable |= flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP);
        if flags.contains(EventFlags::ERR) {
            return self.close(token);
        }
        if conn.readable && !crowded {
            self.read(token);
        }
        self.drive(token);
    }

    /// Bytes for the streams; more of them may wait in the socket.
    pub(crate) fn feed_mux(&mut self, token: Token, bytes: &[u8], full: bool) {
        let Some(conn) = self.conn(token) else { return };
        if let Layer::Mux(mux) = &mut conn.layer {
            mux.feed(bytes);
        }
        if full || conn.eof {
            self.again.push(token);
        }
        self.drive(token);
    }

    /// New requests, waked streams, frames to send; until nothing more comes of it.
    pub(crate) fn drive(&mut self, token: Token) {
        loop {
            let Some(conn) = self.conn(token) else { return };
            // It is out of the table meanwhile: streams are opened beside it.
            let Layer::Mux(mut mux) = std::mem::take(&mut conn.layer) else { return };
            let over = self.accept_streams(token, &mut mux);
            let waked = mux.take_waked();
            let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
            let sends = mux.take(conn.outbox.tail(&mut self.spares));
            let resumes = conn.readable && mux.backlog() <= READ_BYTES;
            conn.layer = Layer::Mux(mux);
            for &slot in &waked {
                self.wake_stream(slot);
            }
            if over {
                return self.end_mux(token);
            }
            if sends {
                self.flush(token);
            }
            let Some(conn) = self.conn(token) else { return };
            let stuck = !conn.is_sent();
            if resumes && !stuck && self.again.last() != Some(&token) {
                self.again.push(token);
            }
            if (waked.is_empty() && !sends) || stuck {
                return;
            }
        }
    }

    fn accept_streams(&mut self, token: Token, mux: &mut Mux) -> bool {
        loop {
            match mux.poll() {
                Poll::Pending => return false,
                Poll::Ready(None) => return true,
                Poll::Ready(Some((request, respond))) => {
                    self.open_stream(token, mux, request, respond);
                }
            }
        }
    }

    fn open_stream(
        &mut self,
        parent: Token,
        mux: &mut Mux,
        request: http::Request<RecvStream>,
        respond: SendResponse<bytes::Bytes>,
    ) {
        let (parts, body) = request.into_parts();
        let laid = request::lay_out(&parts, body.is_end_stream(), &self.settings.bounds);
        let index = self.slot();
        let secure = self.is_secure(parent);
        let conn = &mut self.conns[index as usize];
        let token = Token { index, epoch: conn.epoch };
        let body = Some(body).filter(|body| !body.is_end_stream());
        let awaited = body.is_some();
        let stream = Stream::new(parent, mux.waker(token), body, respond);
        conn.stage = Stage::Busy;
        conn.layer = Layer::Stream(Box::new(stream));
        conn.timeout_at = u64::MAX;
        conn.current = Current {
            keep: true,
            minor: 1,
            head_only: parts.method == http::Method::HEAD,
            ..Default::default()
        };
        self.streams += 1;
        match laid {
            Ok((head, bytes)) => self.announce(token, head, bytes, awaited, secure),
            Err(refusal) => self.decline(token, refusal, ""),
        }
        // It may have ended already, and found no connection to take its leave of.
        if self.open(token).is_some() {
            mux.streams.push(token);
        }
    }

    fn announce(&mut self, token: Token, head: Head, bytes: Vec<u8>, awaited: bool, secure: bool) {
        self.statistics.request();
        let now = self.now;
        let conn = &mut self.conns[token.index as usize];
        let awaited = awaited && !head.websocket;
        let content = if awaited {
            conn.intake = Some(Box::new(Intake::of_frames(&head, now)));
            Content::Awaited
        } else {
            Content::Behind
        };
        let incoming =
            Box::new(Incoming { token, head, bytes, content, secure, multiplexed: true });
        self.events.push_back(if awaited {
            Event::Head(incoming)
        } else {
            Event::Request(incoming)
        });
        self.progress(token);
    }

    /// A stream was waked, or somebody wants more of it.
    pub(crate) fn progress(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        let Layer::Stream(stream) = &mut conn.layer else { return };
        let received = match &mut conn.intake {
            Some(intake) => stream.receive(intake),
            None => Ok(()),
        };
        if received.is_err() || stream.is_reset() {
            return self.drop_stream(token);
        }
        let done = conn.intake.as_ref().is_some_and(|intake| intake.is_done());
        if conn.stage == Stage::Body && done {
            conn.stage = Stage::Busy;
            let intake = conn.intake.take();
            let incoming = intake.and_then(|intake| intake.finish());
            if let Some(incoming) = incoming {
                self.statistics.request();
                self.events.push_back(Event::Request(incoming));
            }
        } else if conn.stage == Stage::Body && conn.intake.as_ref().is_some_and(|i| i.is_failed()) {
            conn.stage = Stage::Busy;
            conn.intake = None;
            self.statistics.request();
            self.decline(token, Refusal::BodyTooLarge, "");
        } else {
            self.tell_body(token);
        }
        self.pump(token);
    }

    /// Sends what the peer's windows take, to the frames of the connection.
    pub(crate) fn pump(&mut self, token: Token) {
        let settings = self.settings;
        let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
        let Layer::Stream(stream) = &mut conn.layer else { return };
        let before = conn.outbox.len();
        let Ok(sent) = stream.pump(&mut conn.outbox, &mut self.spares, conn.closing) else {
            return self.drop_stream(token);
        };
        if conn.socket.is_some() {
            let moved = conn.outbox.len() < before;
            return self.socket_flushed(token, moved);
        }
        if conn.current.wants_drain && conn.outbox.len() <= settings.unsent / 2 {
            conn.current.wants_drain = false;
            self.events.push_back(Event::Drained(token));
        }
        let conn = &mut self.conns[token.index as usize];
        if sent && conn.closing {
            return self.close(token);
        }
        let moved = conn.outbox.len() < before;
        if !conn.outbox.is_empty() && (moved || conn.timeout_at == u64::MAX) {
            let until = self.now + settings.write_timeout;
            self.set_timeout(token, until);
        }
    }

    /// Sends what waits, now: the caller may be outside a batch, where nobody else would.
    pub(crate) fn flush_stream(&mut self, token: Token) {
        let parent = self.parent(token);
        self.pump(token);
        if let Some(parent) = parent {
            self.drive(parent);
        }
        if self.armed != 0 && !(self.events.is_empty() && self.ready.is_empty()) {
            self.wake();
        }
    }

    /// The connection behind a stream has frames to send.
    pub(crate) fn touch_parent(&mut self, token: Token) {
        let Some(parent) = self.parent(token) else { return };
        let Some(conn) = self.conn(parent) else { return };
        if let Layer::Mux(mux) = &mut conn.layer {
            if !std::mem::replace(&mut mux.dirty, true) {
                self.ready.push_back((parent, EventFlags::empty()));
            }
        }
    }

    pub(crate) fn parent(&self, token: Token) -> Option<Token> {
        match &self.open(token)?.layer {
            Layer::Stream(stream) => Some(stream.parent),
            _ => None,
        }
    }

    /// An answer's head, and its body behind it where that is whole.
    pub(crate) fn reply_stream(
        &mut self,
        token: Token,
        status: u16,
        rendered: &[u8],
        body: Body<'_>,
    ) {
        let date = std::mem::take(&mut self.date);
        let length = format!("content-length: {}", body.len());
        let bodiless = reply::is_bodiless(status);
        let conn = &mut self.conns[token.index as usize];
        let whole = bodiless || conn.current.head_only || body.len() == 0;
        let fields = if bodiless { &b""[..] } else { length.as_bytes() };
        let Layer::Stream(stream) = &mut conn.layer else { return };
        let started = stream.start(status, &[rendered, fields, &date], whole);
        self.date = date;
        if started.is_err() {
            return self.drop_stream(token);
        }
        if !whole {
            body.write(&mut conn.outbox, &mut self.spares);
        }
        self.answered(token, true);
    }

    /// Begins a streamed answer.
    pub(crate) fn start_stream(
        &mut self,
        token: Token,
        status: u16,
        rendered: &[u8],
        length: Option<u64>,
    ) {
        let date = std::mem::take(&mut self.date);
        let fields = length.map_or(String::new(), |length| format!("content-length: {length}"));
        let conn = &mut self.conns[token.index as usize];
        let bodiless = reply::is_bodiless(status);
        let whole = bodiless || conn.current.head_only;
        let fields = if bodiless { &b""[..] } else { fields.as_bytes() };
        conn.current.stream = match length {
            _ if whole => Framing::Drop,
            Some(length) => Framing::Exact(length),
            None => Framing::UntilClose,
        };
        let Layer::Stream(stream) = &mut conn.layer else { return };
        let started = stream.start(status, &[rendered, fields, &date], whole);
        self.date = date;
        match started {
            Ok(()) => self.touch_parent(token),
            Err(_) => self.drop_stream(token),
        }
    }

    /// The stream's request is answered; what of it is unsent may take its time.
    pub(crate) fn finish_stream(&mut self, token: Token) {
        self.touch_parent(token);
        let Some(conn) = self.conn(token) else { return };
        conn.closing = true;
        conn.intake = None;
        self.pump(token);
    }

    /// The peer has given a stream up.
    pub(crate) fn drop_stream(&mut self, token: Token) {
        self.touch_parent(token);
        match self.conn(token).map(|conn| conn.stage) {
            Some(Stage::Busy) => self.lose(token),
            Some(_) => self.close(token),
            None => {}
        }
    }

    /// What a stream leaves behind when its slot is freed.
    pub(crate) fn leave_parent(&mut self, token: Token, stream: &mut Stream) {
        stream.abandon();
        self.streams -= 1;
        let idle_at = self.now + self.settings.idle_timeout;
        let parent = stream.parent;
        let Some(conn) = self.conn(parent) else { return };
        let Layer::Mux(mux) = &mut conn.layer else { return };
        mux.streams.retain(|&slot| slot != token);
        conn.timeout_at = idle_at;
        if !std::mem::replace(&mut mux.dirty, true) {
            self.ready.push_back((parent, EventFlags::empty()));
        }
    }

    /// No more requests, but those that run may end: the server stops, or it was idle for long.
    pub(crate) fn shut_down_mux(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        if let Layer::Mux(mux) = &mut conn.layer {
            mux.shut_down();
        }
        self.drive(token);
    }

    /// The connection is over: its streams are gone, its last frames are sent.
    fn end_mux(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        if let Layer::Mux(mux) = std::mem::take(&mut conn.layer) {
            self.lose_streams(&mux);
        }
        self.part(token);
        self.flush(token);
    }

    pub(crate) fn lose_streams(&mut self, mux: &Mux) {
        for &slot in &mux.streams {
            self.drop_stream(slot);
        }
    }

    /// Time is up for a connection without streams, or for one whose peer does not read.
    pub(crate) fn expire_mux(&mut self, token: Token, key: u32) {
        let (now, settings) = (self.now, self.settings);
        let Some(conn) = self.conn(token) else { return };
        if conn.timeout_at > now {
            let at = conn.timeout_at;
            return self.wheel.insert(key, at);
        }
        if !conn.is_sent() {
            self.statistics.one(Count::Stalled);
            self.why = Why::Stalled;
            return self.close(token);
        }
        let Layer::Mux(mux) = &mut conn.layer else { return };
        if !mux.streams.is_empty() {
            return self.wheel.insert(key, now + settings.idle_timeout);
        }
        mux.leave();
        self.statistics.one(Count::Idled);
        self.why = Why::Idle;
        self.drive(token);
    }

    /// Time is up for a stream: its body was too slow, or its answer is not taken.
    pub(crate) fn expire_stream(&mut self, token: Token, key: u32) {
        let (now, settings) = (self.now, self.settings);
        let Some(conn) = self.conn(token) else { return };
        let socket = conn.socket.is_some();
        if socket || !conn.outbox.is_empty() {
            if conn.timeout_at > now {
                let at = conn.timeout_at;
                return self.wheel.insert(key, at);
            }
            if socket && conn.outbox.is_empty() {
                return self.socket_timeout(token);
            }
            self.statistics.one(Count::Stalled);
            return self.drop_stream(token);
        }
        let waits = conn.intake.as_ref().filter(|i| i.wanted || conn.stage == Stage::Body);
        let Some(intake) = waits else { return };
        let patience = intake.patience(settings.body_grace, settings.body_rate);
        if patience > now {
            return self.wheel.insert(key, patience);
        }
        if conn.stage == Stage::Busy {
            return self.fail_body(token, Refusal::TooSlow);
        }
        conn.stage = Stage::Busy;
        conn.intake = None;
        self.decline(token, Refusal::TooSlow, "");
    }

    /// A free place in the table.
    pub(crate) fn slot(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.conns.push(Conn::default());
            self.conns.len() as u32 - 1
        })
    }
}
