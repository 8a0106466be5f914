//! HTTP/2 on an outgoing connection: the `h2` crate between two buffers, without a runtime.
//!
//! # Theory
//! `h2` is written for tasks that are woken; here nobody sleeps. After octets have come in, or
//! requests have been begun, [`Http2::drive`] polls the connection, and then those streams whose
//! waker was called meanwhile: a waker only writes its stream's number into a list.
//!
//! # Rules
//! - What a reader has not taken is not given back to the peer's windows ([`Http2::release`]).
//! - A stream that the peer says it has not looked at (REFUSED_STREAM, or behind its GOAWAY) is
//!   [`Trouble::Unprocessed`]: it may be asked elsewhere, whatever it asks (RFC 9113 section 8.7).
mod fields;

use crate::pipe::Pipe;
use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use wire::response::Head;

/// A stream's window: what may come that nobody has asked for yet (hyper's client: 2 MiB).
const WINDOW: u32 = 2 * 1024 * 1024;
/// The connection's (hyper's client: 5 MiB).
const CONNECTION_WINDOW: u32 = 5 * 1024 * 1024;
/// Streams where the peer sets no limit (RFC 9113 section 6.5.2: no less than 100).
const STREAMS: usize = 100;

/// Octets of a frame's head (RFC 9113 section 4.1).
const FRAME: usize = 9;

/// Why a stream has no (whole) answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The peer has not looked at it.
    Unprocessed,
    /// The connection broke.
    Lost,
    /// The peer ended it, or broke the protocol.
    Broken,
    /// It cannot be asked.
    Unfit,
}

/// What has come of a stream.
#[derive(Debug)]
pub enum What {
    /// Its head.
    Head(Box<Head>),
    /// A piece of its body.
    Data(Bytes),
    /// Its end, with the lines of its trailers.
    End(Vec<u8>),
    /// It has no (whole) answer.
    Failed(Trouble, String),
    /// All of the body that was given to it is on its way.
    Room,
}

struct Stream {
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    send: SendStream<Bytes>,
    unsent: Vec<u8>,
    /// Its own body is whole; `closed`: the peer has been told.
    ends: bool,
    closed: bool,
    waker: Waker,
}

/// One connection.
pub struct Http2 {
    pipe: Pipe,
    connection: Connection<Pipe, Bytes>,
    sender: SendRequest<Bytes>,
    streams: HashMap<u64, Stream>,
    woken: Numbers,
    /// Octets of the peer's settings that have still to come: they are its first frame (RFC 9113
    /// section 3.4), whose length is its first three octets.
    unsettled: usize,
    size: Vec<u8>,
    /// Nothing more may be asked.
    leaving: bool,
}

type Numbers = Arc<Mutex<Vec<u64>>>;

impl Http2 {
    /// Begins with the preface, which is in the output at once.
    ///
    /// # Errors
    /// What h2 says.
    pub fn new(head: usize) -> Result<Http2, String> {
        let pipe = Pipe::default();
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(STREAMS)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(head as u32);
        let mut handshake = Box::pin(builder.handshake(pipe.clone()));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(made) = handshake.as_mut().poll(&mut context) else {
            return Err("the preface was not taken".into());
        };
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        let (streams, woken) = (HashMap::new(), Numbers::default());
        Ok(Http2 {
            pipe,
            connection,
            sender,
            streams,
            woken,
            unsettled: FRAME,
            size: vec![],
            leaving: false,
        })
    }

    /// Whether the peer has said how many requests it takes at once.
    pub fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// How many more requests may be begun; one goes with the preface, and the others wait for the
    /// peer's settings: what is beyond them would be refused.
    pub fn room(&mut self) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        if self.leaving || !matches!(self.sender.poll_ready(&mut context), Poll::Ready(Ok(()))) {
            return 0;
        }
        if !self.is_settled() {
            return usize::from(self.streams.is_empty());
        }
        self.sender.current_max_send_streams().saturating_sub(self.streams.len())
    }

    /// Whether the peer has said that it takes no more.
    pub fn is_leaving(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.leaving |= matches!(self.sender.poll_ready(&mut context), Poll::Ready(Err(_)));
        self.leaving
    }

    /// Asks what is laid out as HTTP/1.1 has it; `body`: all of it, or None where it will be fed.
    ///
    /// # Errors
    /// It cannot be said in HTTP/2, or not on this connection any more.
    pub fn begin(
        &mut self,
        number: u64,
        head: &[u8],
        scheme: &str,
        body: Option<&[u8]>,
    ) -> Result<(), (Trouble, String)> {
        let request = fields::request(head, scheme).map_err(|why| (Trouble::Unfit, why))?;
        let ends = body.is_some_and(<[u8]>::is_empty);
        let asked = self.sender.send_request(request, ends);
        let (response, send) = asked.map_err(|error| (Trouble::Unprocessed, error.to_string()))?;
        let waker = Waker::from(Arc::new(Lane { number, woken: Arc::clone(&self.woken) }));
        let stream = Stream {
            response: Some(response),
            body: None,
            send,
            unsent: body.unwrap_or_default().to_vec(),
            ends: body.is_some(),
            closed: ends,
            waker,
        };
        self.streams.insert(number, stream);
        // To be polled once, so that h2 knows its waker.
        lock(&self.woken).push(number);
        Ok(())
    }

    /// Adds to a body; how much of it waits.
    pub fn send(&mut self, number: u64, octets: &[u8], ends: bool) -> usize {
        let Some(stream) = self.streams.get_mut(&number) else { return 0 };
        stream.unsent.extend_from_slice(octets);
        stream.ends |= ends;
        lock(&self.woken).push(number);
        stream.unsent.len()
    }

    /// A reader has taken so much of a stream.
    pub fn release(&mut self, number: u64, count: usize) {
        if let Some(body) = self.streams.get_mut(&number).and_then(|its| its.body.as_mut()) {
            // More than was taken is never released.
            let _ = body.flow_control().release_capacity(count);
        }
    }

    /// Nobody wants its answer any more.
    pub fn reset(&mut self, number: u64) {
        if let Some(mut stream) = self.streams.remove(&number) {
            stream.send.send_reset(Reason::CANCEL);
        }
    }

    /// Takes octets in; what they come to is told by `drive`.
    pub fn feed(&mut self, octets: &[u8]) {
        self.pipe.feed(octets);
        for &octet in octets {
            if self.unsettled == 0 {
                return;
            }
            self.unsettled -= 1;
            if self.size.len() < 3 {
                self.size.push(octet);
                self.unsettled += usize::from(octet) << (8 * (3 - self.size.len()));
            }
        }
    }

    /// The peer will say no more.
    pub fn end(&mut self) {
        self.pipe.end();
    }

    /// Takes what is to be sent.
    pub fn output(&mut self, out: &mut Vec<u8>) -> bool {
        self.pipe.take(out)
    }

    /// Lets h2 work on what has come and what was begun; whether the connection goes on.
    pub fn drive(&mut self, told: &mut Vec<(u64, What)>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let over = Pin::new(&mut self.connection).poll(&mut context);
            let woken = std::mem::take(&mut *lock(&self.woken));
            for &number in &woken {
                self.advance(number, told);
            }
            match over {
                Poll::Pending if woken.is_empty() => return true,
                Poll::Pending => {}
                Poll::Ready(ended) => {
                    self.fail(ended.err().as_ref(), told);
                    return false;
                }
            }
        }
    }

    /// The connection is over, and with it every stream.
    fn fail(&mut self, error: Option<&h2::Error>, told: &mut Vec<(u64, What)>) {
        self.leaving = true;
        for (number, mut stream) in std::mem::take(&mut self.streams) {
            // What came before the end counts: the stream's own word is asked for first.
            let waker = stream.waker.clone();
            if stream.receive(number, &mut Context::from_waker(&waker), told) {
                continue;
            }
            let (trouble, why) = match error {
                Some(error) => judged(error),
                None => (Trouble::Lost, "the server closed the connection".into()),
            };
            told.push((number, What::Failed(trouble, why)));
        }
    }

    fn advance(&mut self, number: u64, told: &mut Vec<(u64, What)>) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let waker = stream.waker.clone();
        let mut context = Context::from_waker(&waker);
        if stream.push(&mut context) {
            told.push((number, What::Room));
        }
        if stream.receive(number, &mut context, told) {
            self.streams.remove(&number);
        }
    }
}

impl Stream {
    /// Sends what the peer's windows take; whether all of some body has just left.
    fn push(&mut self, context: &mut Context<'_>) -> bool {
        let waited = !self.unsent.is_empty();
        while !self.unsent.is_empty() {
            self.send.reserve_capacity(self.unsent.len());
            let Poll::Ready(Some(Ok(room))) = self.send.poll_capacity(context) else {
                return false;
            };
            let rest = self.unsent.split_off(room.min(self.unsent.len()));
            let piece = std::mem::replace(&mut self.unsent, rest);
            let last = self.ends && self.unsent.is_empty();
            // An error is told where the answer is waited for.
            if self.send.send_data(piece.into(), last).is_err() {
                self.unsent.clear();
            }
            self.closed |= last;
        }
        if self.ends && !std::mem::replace(&mut self.closed, true) {
            let _ = self.send.send_data(Bytes::new(), true);
        }
        waited
    }

    /// Takes what has come; whether that was all.
    fn receive(
        &mut self,
        number: u64,
        context: &mut Context<'_>,
        told: &mut Vec<(u64, What)>,
    ) -> bool {
        if let Some(response) = self.response.as_mut() {
            let parts = match Pin::new(response).poll(context) {
                Poll::Pending => return false,
                Poll::Ready(Ok(response)) => response.into_parts(),
                Poll::Ready(Err(error)) => return failed(number, &error, told),
            };
            self.response = None;
            let Some(head) = fields::head(&parts.0) else {
                let why = "the answer's head is larger than the pool's limit".into();
                told.push((number, What::Failed(Trouble::Broken, why)));
                return true;
            };
            told.push((number, What::Head(Box::new(head))));
            self.body = Some(parts.1);
        }
        let Some(body) = self.body.as_mut() else { return false };
        loop {
            match body.poll_data(context) {
                Poll::Pending => return false,
                Poll::Ready(Some(Ok(data))) => told.push((number, What::Data(data))),
                Poll::Ready(Some(Err(error))) => return failed(number, &error, told),
                Poll::Ready(None) => break,
            }
        }
        match body.poll_trailers(context) {
            Poll::Pending => false,
            Poll::Ready(Ok(trailers)) => {
                told.push((number, What::End(trailers.as_ref().map_or(vec![], fields::lines))));
                true
            }
            Poll::Ready(Err(error)) => failed(number, &error, told),
        }
    }
}

fn failed(number: u64, error: &h2::Error, told: &mut Vec<(u64, What)>) -> bool {
    let (trouble, why) = judged(error);
    told.push((number, What::Failed(trouble, why)));
    true
}

fn judged(error: &h2::Error) -> (Trouble, String) {
    let refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
    let trouble = if refused || error.is_go_away() && error.is_remote() {
        Trouble::Unprocessed
    } else if error.is_io() {
        Trouble::Lost
    } else {
        Trouble::Broken
    };
    (trouble, format!("HTTP/2: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Lane {
    number: u64,
    woken: Numbers,
}

impl Wake for Lane {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        lock(&self.woken).push(self.number);
    }
}
