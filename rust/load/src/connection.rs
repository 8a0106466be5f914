//! One connection: its socket, its protocol, and what is still to be written.
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll::EventData;
use rustix::io::Errno;

use crate::http1::Http1;
use crate::http2::Http2;
use crate::placeholder::Values;
use crate::tally::{Failure, Trouble};
use crate::template::Template;
use crate::tls::Secure;
use crate::transport::{Read, Transport};

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) number: u64,
    pub(crate) kind: u8,
    pub(crate) bodiless: bool,
    /// Intended start.
    pub(crate) start: u64,
    /// When it was handed to this connection; the timeout counts from here.
    pub(crate) given: u64,
}

/// A request that waits no more: its status, or why it has none.
pub(crate) struct Ended {
    pub(crate) request: Request,
    pub(crate) outcome: Result<u16, Trouble>,
}

#[derive(Clone, Copy)]
pub(crate) enum Phase {
    /// Not to be opened before that time.
    Closed {
        until: u64,
    },
    Connecting {
        since: u64,
    },
    /// TCP stands; TLS or HTTP/2 shake hands.
    Greeting {
        since: u64,
    },
    Open,
}

/// Whether a connection goes on after what was read.
pub(crate) enum Flow {
    On,
    Over,
}

enum Protocol {
    Http1(Http1),
    /// None until the preface may be sent.
    Http2(Option<Box<Http2>>),
}

pub(crate) struct Connection {
    pub(crate) phase: Phase,
    transport: Option<Transport>,
    protocol: Protocol,
    /// How many requests may wait at once: HTTP/2 streams, or pipelined.
    lanes: usize,
    /// Tells an event of this socket from a stale one of the slot's previous socket.
    generation: u32,
    unsent: Vec<u8>,
    written: usize,
    /// How many of the lanes' users think.
    pub(crate) thinking: usize,
    /// It stands in the list of free connections.
    pub(crate) listed: bool,
    /// The intended start of the request that it is opened for.
    pub(crate) due: Option<u64>,
}

/// Above this, what was sent is cut off the front of what was not (a request is far smaller).
const COMPACT: usize = 64 * 1024;

impl Connection {
    pub(crate) fn new(lanes: usize, http2: bool) -> Self {
        Self {
            phase: Phase::Closed { until: 0 },
            transport: None,
            protocol: if http2 { Protocol::Http2(None) } else { Protocol::Http1(Http1::new()) },
            lanes,
            generation: 0,
            unsent: Vec::new(),
            written: 0,
            thinking: 0,
            listed: false,
            due: None,
        }
    }

    pub(crate) fn open(
        &mut self,
        address: &SocketAddr,
        secure: Option<&Secure>,
        epoll: &OwnedFd,
        slot: u32,
        now: u64,
    ) -> Result<(), Errno> {
        self.generation = self.generation.wrapping_add(1);
        let token = EventData::new_u64(u64::from(self.generation) << 32 | u64::from(slot));
        self.transport = Some(Transport::open(address, epoll, token, secure)?);
        self.phase = Phase::Connecting { since: now };
        Ok(())
    }

    pub(crate) fn is_current(&self, token: u64) -> bool {
        self.transport.is_some() && (token >> 32) as u32 == self.generation
    }

    /// Whether a connection that was being made now stands.
    pub(crate) fn connected(&self) -> Result<(), Errno> {
        self.transport.as_ref().map_or(Err(Errno::NOTCONN), Transport::connected)
    }

    /// Goes on with the handshakes; tells whether requests may be sent.
    pub(crate) fn greet(&mut self) -> Result<bool, Trouble> {
        let Some(transport) = self.transport.as_mut() else {
            return Ok(false);
        };
        if !transport.is_ready() {
            transport.write(&[])?;
            return Ok(false);
        }
        match &mut self.protocol {
            Protocol::Http1(_) => Ok(true),
            Protocol::Http2(Some(http)) => Ok(http.settled),
            Protocol::Http2(none) => {
                if transport.is_secure() && transport.protocol() != Some(b"h2") {
                    return Err(Failure::Protocol.because("the server does not offer HTTP/2"));
                }
                *none = Some(Box::new(Http2::new(self.lanes)?));
                self.flush(&mut Vec::new())?;
                Ok(false)
            }
        }
    }

    pub(crate) fn close(&mut self, until: u64) {
        self.transport = None;
        self.unsent.clear();
        self.written = 0;
        self.phase = Phase::Closed { until };
        if let Protocol::Http2(http) = &mut self.protocol {
            *http = None;
        }
    }

    /// How many requests wait for their answer.
    pub(crate) fn pending(&self) -> usize {
        match &self.protocol {
            Protocol::Http1(http) => http.pending().len(),
            Protocol::Http2(http) => http.as_ref().map_or(0, |http| http.pending()),
        }
    }

    /// Whether another request may be sent now.
    pub(crate) fn has_room(&mut self) -> bool {
        match &mut self.protocol {
            Protocol::Http1(http) => http.pending().len() < self.lanes,
            Protocol::Http2(http) => http.as_mut().is_some_and(|http| http.has_room()),
        }
    }

    /// When the request that waits longest was given.
    pub(crate) fn oldest(&self) -> Option<u64> {
        match &self.protocol {
            Protocol::Http1(http) => http.pending().front().map(|request| request.given),
            Protocol::Http2(http) => http.as_ref().and_then(|http| http.oldest()),
        }
    }

    /// Renders a request behind what is unsent; the caller flushes.
    pub(crate) fn begin(
        &mut self,
        request: Request,
        template: &Template,
        values: &mut Values,
        scratch: &mut Vec<u8>,
    ) -> Result<(), Trouble> {
        match &mut self.protocol {
            Protocol::Http1(http) => {
                http.begin(request);
                template.render(values, &mut self.unsent, scratch);
                Ok(())
            }
            Protocol::Http2(Some(http)) => {
                let (fields, body) =
                    template.fields(values).map_err(|why| Failure::Protocol.because(why))?;
                http.begin(request, fields, body)
            }
            Protocol::Http2(None) => Err(Failure::Closed.into()),
        }
    }

    /// Writes what the peer takes; gives how much that was.
    pub(crate) fn flush(&mut self, ended: &mut Vec<Ended>) -> Result<usize, Trouble> {
        let Some(transport) = self.transport.as_mut() else {
            return Ok(0);
        };
        if let Protocol::Http2(Some(http)) = &mut self.protocol {
            let driven = http.drive(ended);
            http.output(&mut self.unsent);
            driven?;
        }
        let count = transport.write(&self.unsent[self.written..])?;
        self.written += count;
        if self.written == self.unsent.len() {
            self.unsent.clear();
            self.written = 0;
        } else if self.written > COMPACT {
            self.unsent.drain(..self.written);
            self.written = 0;
        }
        Ok(count)
    }

    /// Reads until there is no more; appends what that ended.
    ///
    /// `gone`: the peer will send no more than what is to be read now. Edge-triggered, this is the
    /// only time that it is told.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        gone: bool,
        ended: &mut Vec<Ended>,
        received: &mut u64,
    ) -> Result<Flow, Trouble> {
        let Some(transport) = self.transport.as_mut() else {
            return Ok(Flow::On);
        };
        loop {
            let count = match transport.read(buffer)? {
                Read::Nothing => return Ok(Flow::On),
                Read::End => {
                    self.finish(ended);
                    return Ok(Flow::Over);
                }
                Read::Data(count) => count,
            };
            *received += count as u64;
            let flow = match &mut self.protocol {
                Protocol::Http1(http) => http.feed(&buffer[..count], ended)?,
                Protocol::Http2(http) => {
                    if let Some(http) = http {
                        http.feed(&buffer[..count]);
                        http.drive(ended)?;
                    }
                    Flow::On
                }
            };
            let drained = !gone && !transport.is_secure() && count < buffer.len();
            if matches!(flow, Flow::Over) || drained {
                return Ok(flow);
            }
        }
    }

    /// The peer will send no more.
    fn finish(&mut self, ended: &mut Vec<Ended>) {
        match &mut self.protocol {
            Protocol::Http1(http) => http.close(ended),
            Protocol::Http2(Some(http)) => {
                http.close();
                // Whatever h2 says of it, the peer has gone.
                let _ = http.drive(ended);
            }
            Protocol::Http2(None) => {}
        }
    }

    /// HTTP/2: resets the streams of requests given before; HTTP/1.1 can only close.
    pub(crate) fn expire(&mut self, before: u64, ended: &mut Vec<Ended>) -> bool {
        match &mut self.protocol {
            Protocol::Http2(Some(http)) => {
                http.expire(before, ended);
                true
            }
            _ => false,
        }
    }

    /// Everything that waits, for a connection that ends.
    pub(crate) fn abandon(&mut self, into: &mut Vec<Request>) {
        match &mut self.protocol {
            Protocol::Http1(http) => into.extend(http.abandon()),
            Protocol::Http2(Some(http)) => into.extend(http.abandon()),
            Protocol::Http2(None) => {}
        }
    }
}
