//! One request of a connection that serves many: its frames in and out.
use crate::intake::Intake;
use crate::outbox::{Outbox, Spares};
use crate::token::Token;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use std::task::{Context, Poll, Waker};

/// The peer, or h2 for it, has ended the stream.
pub struct Reset;

/// A stream's ends.
pub struct Stream {
    /// The connection that carries it.
    pub parent: Token,
    waker: Waker,
    body: Option<RecvStream>,
    respond: SendResponse<Bytes>,
    send: Option<SendStream<Bytes>>,
    /// What ends the stream, in place of the last octets of its body.
    trailers: Option<HeaderMap>,
    /// Octets handed over whose room the peer has not got back.
    held: usize,
    ended: bool,
    /// What to tell the peer when it breaks off halfway.
    broken: Reason,
}

impl Stream {
    pub fn new(
        parent: Token,
        waker: Waker,
        body: Option<RecvStream>,
        respond: SendResponse<Bytes>,
    ) -> Stream {
        let (send, trailers, broken) = (None, None, Reason::INTERNAL_ERROR);
        Stream { parent, waker, body, respond, send, trailers, held: 0, ended: false, broken }
    }

    /// A status before the answer: 100, 103.
    pub fn inform(&mut self, status: u16, rendered: &[u8]) {
        if let (None, Some(head)) = (&self.send, head(status, &[rendered])) {
            let _ = self.respond.send_informational(head);
        }
    }

    /// The answer's head; `whole` where no body follows.
    pub fn start(&mut self, status: u16, parts: &[&[u8]], whole: bool) -> Result<(), Reset> {
        let head = head(status, parts).ok_or(Reset)?;
        self.send = Some(self.respond.send_response(head, whole).map_err(|_| Reset)?);
        self.ended = whole;
        Ok(())
    }

    /// Agrees to become a tunnel; its end by force is a reset like TCP's (RFC 8441 section 5).
    pub fn open_tunnel(&mut self, parts: &[&[u8]]) -> Result<(), Reset> {
        self.broken = Reason::CANCEL;
        self.start(200, parts, false)
    }

    /// What comes behind the body, as whole lines.
    pub fn set_trailers(&mut self, lines: &[u8]) {
        let fields = head(200, &[lines]).map(|head| head.into_parts().0.headers);
        self.trailers = fields.filter(|fields| !fields.is_empty());
    }

    /// Sends what the peer's window takes; the last of it ends the stream where `last`.
    /// Gives whether everything was sent.
    pub fn pump(
        &mut self,
        outbox: &mut Outbox,
        spares: &mut Spares,
        last: bool,
    ) -> Result<bool, Reset> {
        let Some(send) = &mut self.send else { return Ok(false) };
        while !outbox.is_empty() {
            send.reserve_capacity(outbox.len());
            if send.capacity() == 0 {
                match send.poll_capacity(&mut Context::from_waker(&self.waker)) {
                    Poll::Pending => return Ok(false),
                    Poll::Ready(Some(Ok(_))) => continue,
                    Poll::Ready(_) => return Err(Reset),
                }
            }
            outbox.load().map_err(|_| Reset)?;
            let front = outbox.front();
            let count = front.len().min(send.capacity());
            let end = last && count == outbox.len() && self.trailers.is_none();
            send.send_data(Bytes::copy_from_slice(&front[..count]), end).map_err(|_| Reset)?;
            self.ended |= end;
            outbox.forget(count, spares);
        }
        if last && !self.ended {
            match self.trailers.take() {
                Some(trailers) => send.send_trailers(trailers),
                None => send.send_data(Bytes::new(), true),
            }
            .map_err(|_| Reset)?;
            self.ended = true;
        }
        Ok(true)
    }

    /// Takes what has come of the body, as far as it is wanted.
    pub fn receive(&mut self, intake: &mut Intake) -> Result<(), Reset> {
        let mut context = Context::from_waker(&self.waker);
        while intake.has_room() {
            let Some(body) = &mut self.body else { return Ok(()) };
            match body.poll_data(&mut context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(data))) => {
                    self.held += data.len();
                    intake.take_frame(&data);
                }
                Poll::Ready(Some(Err(_))) => return Err(Reset),
                Poll::Ready(None) => intake.end(),
            }
        }
        if !intake.is_streamed() {
            self.release();
        }
        Ok(())
    }

    /// Appends octets of a tunnel until there are `most`; gives whether the peer has ended it.
    pub fn receive_octets(&mut self, into: &mut Vec<u8>, most: usize) -> Result<bool, Reset> {
        let mut context = Context::from_waker(&self.waker);
        let mut ended = false;
        while into.len() < most && !ended {
            let Some(body) = &mut self.body else { return Ok(true) };
            match body.poll_data(&mut context) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(data))) => {
                    self.held += data.len();
                    into.extend_from_slice(&data);
                }
                Poll::Ready(Some(Err(_))) => return Err(Reset),
                Poll::Ready(None) => ended = true,
            }
        }
        self.release();
        Ok(ended)
    }

    /// What was handed over is done with: the peer may send as much again.
    pub fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        if let Some(body) = self.body.as_mut().filter(|_| held > 0) {
            let _ = body.flow_control().release_capacity(held);
        }
    }

    /// Whether the peer has given up; else it will be told.
    pub fn is_reset(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        let reset = match &mut self.send {
            Some(_) if self.ended => Poll::Pending,
            Some(send) => send.poll_reset(&mut context),
            None => self.respond.poll_reset(&mut context),
        };
        reset.is_ready()
    }

    /// Breaks off, unless the answer was whole.
    pub fn abandon(&mut self) {
        if self.ended {
            return;
        }
        match &mut self.send {
            Some(send) => send.send_reset(self.broken),
            None => self.respond.send_reset(Reason::CANCEL),
        }
    }
}

/// A head for h2 from `name: value` lines; a status line among them is passed over.
fn head(status: u16, parts: &[&[u8]]) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::from_u16(status).ok()?;
    let lines = parts.iter().flat_map(|part| part.split(|&byte| byte == b'\n'));
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(colon) = memchr::memchr(b':', line).filter(|_| !line.starts_with(b"HTTP/")) else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if is_hop_by_hop(name) {
            continue;
        }
        let name = HeaderName::from_bytes(name).ok()?;
        response.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(response)
}

/// Fields of a connection, not of a message (RFC 9113 section 8.2.2).
fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade"
    )
}
