//! HTTP/2 on one connection: the `h2` crate between two buffers, without a runtime.
//!
//! # Theory
//!
//! `h2` is written for tasks that are woken. Here nobody sleeps: after bytes have come in, or
//! requests have been begun, [`Http2::drive`] polls the connection, and then those streams whose
//! waker was called while it was polled. A waker only writes its stream's number into a list, so an
//! event costs what it concerns and not the number of streams.
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::client::{Builder, Connection, ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::{Ended, Request};
use crate::tally::{Failure, Trouble};

/// What a server may send before it hears from us: as h2load, as much as there is (RFC 9113
/// section 6.9.1), since a generator throws bodies away and has no reason to slow anyone down.
const WINDOW: u32 = (1 << 31) - 1;

enum Stream {
    Free,
    Asked(Request, ResponseFuture, SendStream<Bytes>),
    Answering(Request, u16, RecvStream),
}

pub(crate) struct Http2 {
    memory: Memory,
    connection: Connection<Memory, Bytes>,
    sender: SendRequest<Bytes>,
    streams: Vec<Stream>,
    wakers: Vec<Waker>,
    woken: Numbers,
    pending: usize,
    /// The server's settings have come (they are its first frame, RFC 9113 section 3.4).
    pub(crate) settled: bool,
}

type Numbers = Arc<Mutex<Vec<usize>>>;

/// What the caller has to say about a connection that is over.
type Driven = Result<(), Trouble>;

impl Http2 {
    /// Begins with the preface, which is in the output at once.
    pub(crate) fn new(lanes: usize) -> Result<Self, Trouble> {
        let memory = Memory::default();
        let mut builder = Builder::new();
        builder.enable_push(false).initial_max_send_streams(lanes);
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let mut handshake = Box::pin(builder.handshake(memory.clone()));
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(made) = handshake.as_mut().poll(&mut context) else {
            return Err(Failure::Protocol.because("the preface was not taken"));
        };
        let (sender, connection) = made.map_err(broken)?;
        let woken = Numbers::default();
        let waker = |number| Waker::from(Arc::new(Lane { number, woken: Arc::clone(&woken) }));
        let wakers = (0..lanes).map(waker).collect();
        let streams = (0..lanes).map(|_| Stream::Free).collect();
        let (pending, settled) = (0, false);
        Ok(Self { memory, connection, sender, streams, wakers, woken, pending, settled })
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Whether another request may begin: the server says how many streams it takes, and takes
    /// none after GOAWAY (RFC 9113 section 6.8), when those that are open still end well.
    pub(crate) fn has_room(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        self.pending < self.streams.len().min(self.sender.current_max_send_streams())
            && matches!(self.sender.poll_ready(&mut context), Poll::Ready(Ok(())))
    }

    pub(crate) fn oldest(&self) -> Option<u64> {
        let given = self.streams.iter().filter_map(|stream| match stream {
            Stream::Free => None,
            Stream::Asked(request, ..) | Stream::Answering(request, ..) => Some(request.given),
        });
        given.min()
    }

    pub(crate) fn begin(
        &mut self,
        request: Request,
        fields: http::Request<()>,
        body: Option<Bytes>,
    ) -> Result<(), Trouble> {
        let free = self.streams.iter().position(|stream| matches!(stream, Stream::Free));
        let number = free.ok_or_else(|| Failure::Protocol.because("no stream is free"))?;
        let (response, mut send) =
            self.sender.send_request(fields, body.is_none()).map_err(broken)?;
        if let Some(body) = body {
            send.send_data(body, true).map_err(broken)?;
        }
        self.streams[number] = Stream::Asked(request, response, send);
        self.pending += 1;
        lock(&self.woken).push(number); // to be polled once, so that h2 knows its waker
        Ok(())
    }

    /// Takes bytes in; what they end comes out of `drive`.
    pub(crate) fn feed(&mut self, data: &[u8]) {
        lock(&self.memory.0).incoming.extend_from_slice(data);
        self.settled = true;
    }

    /// The peer will send no more.
    pub(crate) fn close(&mut self) {
        lock(&self.memory.0).closed = true;
    }

    /// Lets h2 work on what has come and what was begun; appends what ended.
    pub(crate) fn drive(&mut self, ended: &mut Vec<Ended>) -> Driven {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            let over = Pin::new(&mut self.connection).poll(&mut context);
            let woken = std::mem::take(&mut *lock(&self.woken));
            for &number in &woken {
                self.advance(number, ended);
            }
            match over {
                Poll::Ready(Ok(())) => return Err(Failure::Closed.into()),
                Poll::Ready(Err(error)) => return Err(broken(error)),
                Poll::Pending if woken.is_empty() => return Ok(()),
                Poll::Pending => {}
            }
        }
    }

    /// Bytes for the peer.
    pub(crate) fn output(&mut self, out: &mut Vec<u8>) {
        out.append(&mut lock(&self.memory.0).outgoing);
    }

    fn advance(&mut self, number: usize, ended: &mut Vec<Ended>) {
        let mut context = Context::from_waker(&self.wakers[number]);
        let stream = std::mem::replace(&mut self.streams[number], Stream::Free);
        let (next, outcome) = step(stream, &mut context);
        if let Some(ending) = outcome {
            self.pending -= 1;
            ended.push(ending);
        }
        self.streams[number] = next;
    }

    /// Resets the streams of requests that were given before; the others go on.
    pub(crate) fn expire(&mut self, before: u64, ended: &mut Vec<Ended>) {
        for stream in &mut self.streams {
            let late = match stream {
                Stream::Asked(request, _, send) if request.given < before => {
                    send.send_reset(Reason::CANCEL);
                    *request
                }
                Stream::Answering(request, ..) if request.given < before => *request,
                _ => continue,
            };
            *stream = Stream::Free; // dropped, h2 cancels what still comes
            self.pending -= 1;
            ended.push(Ended { request: late, outcome: Err(Failure::Timeout.into()) });
        }
    }

    /// Everything that waits, for a connection that ends.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Request> + '_ {
        self.pending = 0;
        self.streams.iter_mut().filter_map(|stream| match std::mem::replace(stream, Stream::Free) {
            Stream::Free => None,
            Stream::Asked(request, ..) | Stream::Answering(request, ..) => Some(request),
        })
    }
}

/// As far as a stream gets now, and its end where it has come.
fn step(stream: Stream, context: &mut Context) -> (Stream, Option<Ended>) {
    match stream {
        Stream::Free => (Stream::Free, None),
        Stream::Asked(request, mut response, send) => match Pin::new(&mut response).poll(context) {
            Poll::Pending => (Stream::Asked(request, response, send), None),
            Poll::Ready(Err(error)) => end(request, Err(broken(error))),
            Poll::Ready(Ok(answer)) => {
                let status = answer.status().as_u16();
                step(Stream::Answering(request, status, answer.into_body()), context)
            }
        },
        Stream::Answering(request, status, mut body) => loop {
            match body.poll_data(context) {
                Poll::Pending => return (Stream::Answering(request, status, body), None),
                Poll::Ready(Some(Ok(data))) => {
                    let _ = body.flow_control().release_capacity(data.len());
                }
                Poll::Ready(Some(Err(error))) => return end(request, Err(broken(error))),
                Poll::Ready(None) => match body.poll_trailers(context) {
                    Poll::Pending => return (Stream::Answering(request, status, body), None),
                    Poll::Ready(Ok(_)) => return end(request, Ok(status)),
                    Poll::Ready(Err(error)) => return end(request, Err(broken(error))),
                },
            }
        },
    }
}

fn end(request: Request, outcome: Result<u16, Trouble>) -> (Stream, Option<Ended>) {
    (Stream::Free, Some(Ended { request, outcome }))
}

fn broken(error: h2::Error) -> Trouble {
    let failure = if error.is_io() || error.is_go_away() && error.is_remote() {
        Failure::Closed
    } else if error.is_reset() && error.is_remote() {
        Failure::Reset
    } else {
        Failure::Protocol
    };
    failure.because(format!("HTTP/2: {error}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Lane {
    number: usize,
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

/// The peer as `h2` sees it.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Buffers>>);

#[derive(Default)]
struct Buffers {
    incoming: Vec<u8>,
    /// How much of it `h2` has read.
    read: usize,
    outgoing: Vec<u8>,
    closed: bool,
}

impl AsyncRead for Memory {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffers = lock(&self.0);
        let left = &buffers.incoming[buffers.read..];
        if left.is_empty() && !buffers.closed {
            return Poll::Pending;
        }
        let count = left.len().min(into.remaining());
        into.put_slice(&left[..count]);
        buffers.read += count;
        if buffers.read == buffers.incoming.len() {
            buffers.incoming.clear();
            buffers.read = 0;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        lock(&self.0).outgoing.extend_from_slice(data);
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
