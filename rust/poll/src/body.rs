//! Bodies on their way in: who reads them, how fast, and what becomes of the rest.
use crate::conn::{LINGER, Layer, Stage};
use crate::intake::{Content, Incoming, Piece};
use crate::reactor::{Event, Reactor};
use crate::token::Token;
use rustix::event::epoll::EventFlags;
use wire::Refusal;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Reactor {
    /// Answers an [`Event::Head`]: reads the body, then tells [`Event::Request`] with all of it.
    ///
    /// # Errors
    /// It is larger than `limit`; the caller answers that.
    pub fn collect(&mut self, incoming: Box<Incoming>, limit: u64) -> Result<(), Refusal> {
        let token = incoming.token;
        let settings = self.settings;
        let Some(conn) = self.conn(token) else { return Ok(()) };
        let Some(intake) = &mut conn.intake else { return Ok(()) };
        intake.collect(incoming, limit)?;
        let patience = intake.patience(settings.body_grace, settings.body_rate);
        conn.stage = Stage::Body;
        // It is counted when it is whole.
        conn.served = conn.served.wrapping_sub(1);
        self.statistics.unrequest();
        self.invite(token);
        self.set_timeout(token, patience);
        self.look_again(token);
        Ok(())
    }

    /// Answers an [`Event::Head`]: the handler runs now, and reads by [`Reactor::take_body`].
    ///
    /// # Errors
    /// It says that it is larger than `limit`; the caller answers that.
    pub fn hand_over(&mut self, token: Token, limit: u64) -> Result<(), Refusal> {
        let Some(conn) = self.conn(token) else { return Ok(()) };
        if let Some(intake) = &mut conn.intake {
            intake.hand_over(limit)?;
        }
        self.look_again(token);
        Ok(())
    }

    /// The next piece of a streamed body; `None` when the connection has gone.
    pub fn take_body(&mut self, token: Token) -> Option<Piece> {
        let (now, settings) = (self.now, self.settings);
        let conn = self.conn(token)?;
        let intake = conn.intake.as_mut()?;
        let paused = !intake.has_room();
        let piece = intake.take(now);
        let patience = intake.patience(settings.body_grace, settings.body_rate);
        if let (Layer::Stream(stream), Piece::Bytes(_)) = (&mut conn.layer, &piece) {
            stream.release();
            self.touch_parent(token);
        }
        if piece == Piece::Later {
            self.invite(token);
            self.set_timeout(token, patience);
        } else if paused {
            self.look_again(token);
        }
        Some(piece)
    }

    /// Tells the handler that waits for its body, if there is news.
    pub(crate) fn tell_body(&mut self, token: Token) {
        let now = self.now;
        let Some(conn) = self.conn(token) else { return };
        if conn.intake.as_mut().is_some_and(|intake| intake.tells(now)) {
            self.events.push_back(Event::Body(token));
        }
    }

    /// The body will not become whole: the handler learns it, and its answer is the last one.
    pub(crate) fn fail_body(&mut self, token: Token, refusal: Refusal) {
        self.statistics.refused(refusal);
        let Some(conn) = self.conn(token) else { return };
        if let Some(intake) = &mut conn.intake {
            intake.fail(refusal);
        }
        conn.current.keep = false;
        conn.inbound = vec![];
        self.tell_body(token);
    }

    /// The handler is done with its request: what is left of the body is read for nobody, or too
    /// much for that. False where the connection has to close.
    pub(crate) fn leave_body(&mut self, token: Token) -> bool {
        let settings = self.settings;
        let Some(conn) = self.conn(token) else { return false };
        let Some(intake) = &mut conn.intake else { return true };
        if intake.is_done() {
            conn.intake = None;
        } else if conn.closing || !intake.can_be_skipped() {
            conn.intake = None;
            return false;
        } else {
            intake.skip();
            let patience = intake.patience(settings.body_grace, settings.body_rate);
            conn.stage = Stage::Body;
            self.set_timeout(token, patience);
        }
        true
    }

    /// Closes, once the last words are sent and the peer has had time to read them.
    pub(crate) fn part(&mut self, token: Token) {
        let until = self.now + LINGER;
        let Some(conn) = self.conn(token) else { return };
        conn.closing = true;
        conn.stage = Stage::Linger;
        conn.intake = None;
        conn.inbound = vec![];
        if matches!(conn.layer, Layer::Stream(_)) {
            return self.finish_stream(token);
        }
        self.set_timeout(token, until);
    }

    /// 100 Continue, once, to a peer that waits for it (RFC 9110 section 10.1.1).
    fn invite(&mut self, token: Token) {
        let Some(conn) = self.conns.get_mut(token.index as usize) else { return };
        if let Layer::Stream(stream) = &mut conn.layer {
            if conn.intake.as_mut().is_some_and(|intake| intake.invites()) {
                stream.inform(100, b"");
                self.touch_parent(token);
            }
            return;
        }
        if conn.current.minor > 0 && conn.intake.as_mut().is_some_and(|intake| intake.invites()) {
            conn.outbox.tail(&mut self.spares).extend_from_slice(CONTINUE);
            self.flush(token);
        }
    }

    /// Reads go on, unless the cursor that brought the head does that by itself.
    fn look_again(&mut self, token: Token) {
        if self.cursor.as_ref().is_none_or(|cursor| cursor.token != token) {
            self.ready.push_back((token, EventFlags::IN));
        }
    }
}

impl Incoming {
    /// Whether the body is still on its way.
    pub fn is_awaited(&self) -> bool {
        matches!(self.content, Content::Awaited)
    }
}
