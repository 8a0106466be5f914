//! One connection of a pool, and what is under way on it.
use super::many::Many;
use super::request::Request;
use poll::link::{LinkKey, Loss};
use wire::Kept;
use wire::response::{Fault, Head, Limits, Reader, Step};

/// A request that has a connection, and what has come of its answer.
pub struct Flight {
    pub request: Box<Request>,
    pub head: Option<Head>,
    pub body: Vec<u8>,
    /// Its head has been given away: what comes is a stream's.
    pub told: bool,
}

pub enum Stage {
    /// By the dial of that number.
    Dialling(u64),
    /// Of that dial too; a proxy is asked for a tunnel.
    Tunnelling(u64, Box<Reader>),
    Idle,
    Busy(Box<Flight>),
    /// HTTP/2: any number of requests.
    Many(Box<Many>),
}

impl Stage {
    /// Whether the request of that number is under way.
    pub fn has(&self, ticket: u64) -> bool {
        match self {
            Stage::Busy(flight) => flight.request.ticket == ticket,
            Stage::Many(many) => many.flights.contains_key(&ticket),
            _ => false,
        }
    }

    /// What is under way under that number.
    pub fn flight(&mut self, ticket: u64) -> Option<&mut Flight> {
        match self {
            Stage::Busy(flight) => Some(&mut **flight).filter(|its| its.request.ticket == ticket),
            Stage::Many(many) => many.flights.get_mut(&ticket),
            _ => None,
        }
    }
}

pub struct Connection {
    pub key: LinkKey,
    pub place: usize,
    pub stage: Stage,
    pub reader: Reader,
    /// When it was opened, and when it came to rest.
    pub born: u64,
    pub rested: u64,
    pub used: u64,
    pub paused: bool,
}

/// How far an answer is after what came.
pub enum Came {
    More,
    Whole,
    Failed(&'static str, String),
    /// Lost without a word: it may be asked again.
    Unheard(String),
}

impl Connection {
    pub fn new(key: LinkKey, place: usize, stage: Stage) -> Connection {
        let reader = Reader::default();
        Connection { key, place, stage, reader, born: 0, rested: 0, used: 0, paused: false }
    }

    pub fn flight(&mut self) -> Option<&mut Flight> {
        match &mut self.stage {
            Stage::Busy(flight) => Some(flight),
            _ => None,
        }
    }

    /// Reads what came for the request that is under way; how many octets were its.
    pub fn take_in(
        &mut self,
        input: &[u8],
        loss: Option<&Loss>,
        (limits, most): (&Limits, usize),
        scratch: &mut Vec<u8>,
    ) -> (usize, Came) {
        let Stage::Busy(flight) = &mut self.stage else { return (0, Came::More) };
        if flight.body.capacity() == 0 {
            flight.body = std::mem::take(scratch);
        }
        let most = if flight.request.streams { usize::MAX } else { most };
        let mut at = 0;
        loop {
            let mut sink = Kept { out: &mut flight.body, most };
            match self.reader.feed(&input[at..], &mut sink, limits) {
                Ok((taken, Step::Head)) => {
                    at += taken;
                    flight.head = Some(self.reader.take_head());
                }
                Ok((taken, Step::Done)) => return (at + taken, Came::Whole),
                Ok((taken, Step::More)) => {
                    at += taken;
                    break;
                }
                Err(Fault::BodyTooLarge) => {
                    return (at, Came::Failed("size", Fault::BodyTooLarge.to_string()));
                }
                Err(fault) => return (at, Came::Failed("protocol", fault.to_string())),
            }
        }
        let Some(loss) = loss else { return (at, Came::More) };
        if *loss == Loss::Ended && self.reader.end().is_ok() {
            return (at, Came::Whole);
        }
        if self.reader.is_untouched() {
            return (at, Came::Unheard(loss.to_string()));
        }
        (at, Came::Failed("read", format!("{}: {loss}", Fault::Cut)))
    }
}
