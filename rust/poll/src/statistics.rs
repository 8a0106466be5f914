//! What a reactor counts, in a row that others may read while it does.
use plane::Row;
use wire::Refusal;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $told:literal),+ $(,)?) => {
        /// Counters since the start.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Count { $($(#[$doc])* $name),+ }

        impl Count {
            /// Every counter by its name, in the order of a row.
            pub const ALL: &[(Count, &str)] = &[$((Count::$name, $told)),+];
        }
    };
}

counters! {
    /// Connections accepted.
    Accepted = "accepted",
    /// Connections closed, for whatever reason.
    Closed = "closed",
    /// Requests handed over.
    Requests = "requests",
    /// Answers written by the caller.
    Answers = "answers",
    /// Requests refused before any handler.
    Refused = "refused",
    /// Connections turned away because there were too many.
    Full = "full",
    /// Times that accepting paused for want of file descriptors.
    Exhausted = "exhausted",
    /// Peers that left while their request was being answered.
    Gone = "gone",
    /// Idle connections closed.
    Idled = "idled",
    /// Connections closed because the peer stopped reading.
    Stalled = "stalled",
    /// Deadlines that passed.
    Expired = "expired",
    /// WebSockets opened.
    Sockets = "sockets",
    /// Messages received on them.
    Messages = "messages",
    /// Messages dropped because their receiver did not read.
    Dropped = "dropped",
    /// WebSockets ended because the peer broke the protocol.
    Faults = "faults",
    /// WebSockets ended because the peer answered no ping, or no close.
    Silent = "silent",
    /// Bytes read.
    BytesIn = "bytes_in",
    /// Bytes written.
    BytesOut = "bytes_out",
    /// TLS handshakes that went through, resumed ones included.
    Handshakes = "handshakes",
    /// Those that resumed a session.
    Resumed = "resumed",
    /// TLS that was none, or broken.
    BadTls = "bad_tls",
}

/// Where the refusals of each reason are counted, behind the others.
const REFUSALS: usize = Count::ALL.len();
/// And behind them, why connections were closed.
const CLOSED: usize = REFUSALS + Refusal::ALL.len();
const _: () = assert!(CLOSED + Why::ALL.len() <= plane::COUNTERS);

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Why {
    /// Its last answer said so, or the peer closed it while nothing was going on.
    #[default]
    Other,
    /// Nothing has come for too long.
    Idle,
    /// The peer did not read.
    Stalled,
    /// The peer left while its request was being answered.
    Gone,
    /// The peer of a WebSocket answered no ping, or no close.
    Silent,
    /// What came was no TLS.
    Broken,
}

impl Why {
    /// Every reason by its name, in the order of a row.
    pub const ALL: &[(Why, &str)] = &[
        (Why::Other, "other"),
        (Why::Idle, "idle"),
        (Why::Stalled, "stalled"),
        (Why::Gone, "gone"),
        (Why::Silent, "silent"),
        (Why::Broken, "tls"),
    ];
}

/// What is so at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Open connections.
    Connections,
    /// Open WebSockets.
    Sockets,
}

impl Gauge {
    /// Every gauge by its name, in the order of a row.
    pub const ALL: &[(Gauge, &str)] =
        &[(Gauge::Connections, "connections"), (Gauge::Sockets, "open_sockets")];
}

/// Counts into a row.
pub struct Statistics {
    row: Row,
    sockets: u64,
    /// Requests counted before their body was whole, which come again.
    owed: u64,
}

impl Statistics {
    pub(crate) fn new(row: Row) -> Statistics {
        Statistics { row, sockets: 0, owed: 0 }
    }

    pub(crate) fn one(&self, count: Count) {
        self.row.add(count as usize, 1);
    }

    pub(crate) fn add(&self, count: Count, more: u64) {
        self.row.add(count as usize, more);
    }

    /// A counter never goes back: a reader would take that for a restart.
    pub(crate) fn request(&mut self) {
        if self.owed > 0 {
            self.owed -= 1;
        } else {
            self.row.add(Count::Requests as usize, 1);
        }
    }

    /// One that was counted was none yet.
    pub(crate) fn unrequest(&mut self) {
        self.owed += 1;
    }

    pub(crate) fn refused(&self, refusal: Refusal) {
        self.one(Count::Refused);
        self.row.add(REFUSALS + refusal as usize, 1);
    }

    pub(crate) fn closed(&self, why: Why) {
        self.one(Count::Closed);
        self.row.add(CLOSED + why as usize, 1);
    }

    pub(crate) fn socket_opened(&mut self) {
        self.one(Count::Sockets);
        self.sockets += 1;
        self.set(Gauge::Sockets, self.sockets);
    }

    pub(crate) fn socket_ended(&mut self) {
        self.sockets = self.sockets.saturating_sub(1);
        self.set(Gauge::Sockets, self.sockets);
    }

    pub(crate) fn set(&self, gauge: Gauge, value: u64) {
        self.row.set(gauge as usize, value);
    }

    /// What this reactor has counted so far.
    pub fn get(&self, count: Count) -> u64 {
        let counted = self.row.since(count as usize);
        if count == Count::Requests { counted.saturating_sub(self.owed) } else { counted }
    }

    /// The names of a row's counters, in their order; refusals and closed connections have their
    /// reason's as well.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        let counts = Count::ALL.iter().map(|&(_, name)| (name, ""));
        let refusals = Refusal::ALL.iter().map(|refusal| ("refused", refusal.name()));
        counts.chain(refusals).chain(Why::ALL.iter().map(|&(_, name)| ("closed", name)))
    }
}
