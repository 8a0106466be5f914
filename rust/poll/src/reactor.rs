//! The epoll set and the queue of what it has to say.
use crate::answer::Prepared;
use crate::blanks::Blanks;
use crate::conn::{Conn, Layer};
use crate::intake::Incoming;
use crate::outbox::Spares;
use crate::rooms::Rooms;
use crate::serve::Cursor;
use crate::settings::Settings;
use crate::socket::Message;
use crate::statistics::{Gauge, Statistics, Why};
use crate::token::Token;
use crate::wheel::{COARSE, FINE, Wheel};
use plane::Row;
use rustix::event::epoll::{self, CreateFlags, Event as Ready, EventData, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use rustls::ServerConfig;
use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::Arc;
use wire::Refusal;
use wire::websocket::{Close, Deflater, Inflater};

pub(crate) const LISTENER: u64 = 1 << 63;
const TIMER: u64 = u64::MAX;
/// Events a turn; more wait for the next one.
const BATCH: usize = 512;
/// The shared read buffer: a pipelined batch or a large piece of a body in one system call.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// Something the caller acts on.
#[derive(Debug)]
pub enum Event {
    /// A whole request; to be answered by [`Reactor::reply`] and its kin, now or later.
    Request(Box<Incoming>),
    /// A request whose body is still on its way: to be answered by [`Reactor::collect`],
    /// [`Reactor::hand_over`], or without its body by [`Reactor::reply`] and its kin.
    Head(Box<Incoming>),
    /// [`Reactor::take_body`] has news for the handler that it told to wait.
    Body(Token),
    /// The peer left while its request was being answered.
    Gone(Token),
    /// The deadline of a request has passed.
    Expired(Token),
    /// A streamed answer, or a socket's sender, may go on.
    Drained(Token),
    /// A socket's peer sent a message.
    Message(Token, Message),
    /// A socket has ended; nothing more comes of it.
    Ended(Token, Close),
    /// A connection that is watched has closed.
    Closed(Token),
    /// After [`Reactor::stop`]: the last connection has closed.
    Idle,
}

/// A socket that accepts.
pub(crate) struct Listener {
    pub(crate) fd: OwnedFd,
    /// By TLS only.
    pub(crate) secure: bool,
}

/// The poller.
pub struct Reactor {
    pub(crate) set: OwnedFd,
    timer: OwnedFd,
    pub(crate) armed: u64,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// When accepting goes on after file descriptors ran out.
    pub(crate) accept_again: Option<u64>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) free: Vec<u32>,
    /// Slots that are streams of other slots.
    pub(crate) streams: usize,
    pub(crate) settings: Settings,
    /// Timeouts of connections, by their index.
    pub(crate) wheel: Wheel,
    /// Deadlines of their requests.
    pub(crate) deadlines: Wheel,
    /// Those whose timeout has passed, and who are looked at when others have had their turn.
    pub(crate) overdue: VecDeque<Token>,
    pub(crate) now: u64,
    pub(crate) date: Vec<u8>,
    date_at: u64,
    pub(crate) spares: Spares,
    pub(crate) blanks: Blanks,
    pub(crate) shared: Vec<u8>,
    /// What TLS made of a read; changes places with `shared`.
    pub(crate) plain: Vec<u8>,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) ready: VecDeque<(Token, EventFlags)>,
    /// Full reads: their connections' turn comes again in the next batch.
    pub(crate) again: Vec<Token>,
    /// Those of which more could be sent, when the others have had their turn.
    pub(crate) rested: Vec<Token>,
    pub(crate) events: VecDeque<Event>,
    /// Sockets that something was written to since their last send.
    pub(crate) unflushed: VecDeque<Token>,
    pub(crate) rooms: Rooms,
    pub(crate) deflater: Deflater,
    pub(crate) inflater: Inflater,
    /// What each refusal is answered with, in the order of `Refusal::ALL`.
    pub(crate) refusals: [Arc<Prepared>; Refusal::ALL.len()],
    pub(crate) statistics: Statistics,
    /// Of the next connection to be closed.
    pub(crate) why: Why,
    pub(crate) stopping: bool,
    told_idle: bool,
}

impl Reactor {
    /// A poller without sockets, which counts into `row`.
    ///
    /// # Errors
    /// The kernel gave no descriptor.
    pub fn new(settings: Settings, row: Row) -> Result<Reactor, Errno> {
        let set = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        epoll::add(&set, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        let mut reactor = Reactor {
            set,
            timer,
            armed: u64::MAX,
            listeners: vec![],
            tls: None,
            accept_again: None,
            conns: vec![],
            free: vec![],
            streams: 0,
            settings,
            wheel: Wheel::new(clock(), COARSE),
            deadlines: Wheel::new(clock(), FINE),
            now: 0,
            date: vec![],
            date_at: 0,
            spares: Spares::default(),
            blanks: Blanks::default(),
            shared: vec![0; READ_BYTES],
            plain: vec![],
            cursor: None,
            ready: VecDeque::new(),
            overdue: VecDeque::new(),
            again: vec![],
            rested: vec![],
            events: VecDeque::new(),
            unflushed: VecDeque::new(),
            rooms: Rooms::default(),
            deflater: Deflater::default(),
            inflater: Inflater::default(),
            refusals: Refusal::ALL.map(|refusal| Arc::new(Prepared::bare(refusal.status()))),
            statistics: Statistics::new(row),
            why: Why::Other,
            stopping: false,
            told_idle: false,
        };
        reactor.touch();
        Ok(reactor)
    }

    /// Readable when a turn would find something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.set.as_fd()
    }

    /// Nanoseconds of the monotonic clock, as of the last turn or [`Reactor::touch`].
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.conns.len() - self.free.len() - self.streams
    }

    /// What was counted so far.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The answer to give for a refusal, in place of an empty one.
    pub fn set_refusal(&mut self, refusal: Refusal, answer: Prepared) {
        self.refusals[refusal as usize] = Arc::new(answer);
    }

    /// What new connections of secure listeners begin with from now on.
    pub fn set_tls(&mut self, config: Arc<ServerConfig>) {
        self.tls = Some(config);
    }

    /// Whether a connection came by TLS.
    pub fn is_secure(&self, token: Token) -> bool {
        self.carrier(token).is_some_and(Conn::is_secure)
    }

    /// The certificates that a peer has shown, its own first; DER.
    pub fn peer_certificates(&self, token: Token) -> Vec<Vec<u8>> {
        let tls = self.carrier(token).and_then(|conn| conn.tls.as_ref());
        tls.map_or(vec![], |tls| tls.peer_certificates().map(<[u8]>::to_vec).collect())
    }

    /// Reads the clock: for callers that answer between turns.
    pub fn touch(&mut self) {
        self.now = clock();
        // Half a second keeps the Date field right to the second, nearly always.
        if self.date.is_empty() || self.now - self.date_at > 500_000_000 {
            let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            self.date = wire::date::field(wall.map_or(0, |since| since.as_secs())).into_bytes();
            self.date_at = self.now;
        }
    }

    /// Asks the kernel what is ready, without waiting; [`Reactor::next_event`] then tells it.
    /// Gives how many descriptors were.
    pub fn turn(&mut self) -> usize {
        let mut space = [const { MaybeUninit::<Ready>::uninit() }; BATCH];
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = epoll::wait(&self.set, &mut space[..], Some(&zero));
        self.touch();
        let again = std::mem::take(&mut self.again);
        self.ready.extend(again.into_iter().map(|token| (token, EventFlags::IN)));
        let rested = std::mem::take(&mut self.rested);
        self.ready.extend(rested.into_iter().map(|token| (token, EventFlags::OUT)));
        let found = found.map_or(&[][..], |(found, _)| &*found);
        for event in found {
            match event.data.u64() {
                TIMER => self.expire(),
                data if data & LISTENER != 0 => self.accept((data & !LISTENER) as usize),
                data => {
                    let token = Token { index: data as u32, epoch: (data >> 32) as u32 };
                    self.ready.push_back((token, event.flags));
                }
            }
        }
        found.len()
    }

    /// The next thing to act on; `None` ends the batch.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(cursor) = self.cursor.take() {
                if let Some(event) = self.consume(cursor) {
                    return Some(event);
                }
                continue;
            }
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some((token, flags)) = self.ready.pop_front() {
                self.dispatch(token, flags);
                continue;
            }
            self.flush_sockets(BATCH);
            if self.events.is_empty() && self.ready.is_empty() {
                break;
            }
        }
        self.arm();
        if self.stopping && !self.told_idle && self.connections() == 0 {
            self.told_idle = true;
            return Some(Event::Idle);
        }
        None
    }

    /// A request that nobody keeps: its room is the next one's.
    pub fn forget(&mut self, incoming: Box<Incoming>) {
        self.blanks.give(incoming);
    }

    /// Lets a request's handler run until `at`, then tells [`Event::Expired`].
    pub fn set_deadline(&mut self, token: Token, at: u64) {
        if self.conn(token).is_some() {
            self.deadlines.insert(token.index, at);
            if at < self.armed {
                self.arm();
            }
        }
    }

    /// The peer's address, while it is connected.
    pub fn peer(&self, token: Token) -> Option<SocketAddr> {
        let fd = self.carrier(token)?.fd.as_ref()?;
        SocketAddr::try_from(rustix::net::getpeername(fd).ok()??).ok()
    }

    /// Our address on that connection.
    pub fn local(&self, token: Token) -> Option<SocketAddr> {
        let fd = self.carrier(token)?.fd.as_ref()?;
        SocketAddr::try_from(rustix::net::getsockname(fd).ok()?).ok()
    }

    pub(crate) fn open(&self, token: Token) -> Option<&Conn> {
        let conn = self.conns.get(token.index as usize);
        conn.filter(|conn| conn.epoch == token.epoch && conn.is_live())
    }

    /// The connection, or of a stream the one that carries it.
    fn carrier(&self, token: Token) -> Option<&Conn> {
        let conn = self.open(token)?;
        match &conn.layer {
            Layer::Stream(stream) => self.open(stream.parent),
            _ => Some(conn),
        }
    }

    pub(crate) fn conn(&mut self, token: Token) -> Option<&mut Conn> {
        let conn = self.conns.get_mut(token.index as usize);
        conn.filter(|conn| conn.epoch == token.epoch && conn.is_live())
    }

    /// Has the end of a connection told, of a stream's the one that carries it; gives its token.
    pub fn watch(&mut self, token: Token) -> Option<Token> {
        let token = match &self.open(token)?.layer {
            Layer::Stream(stream) => stream.parent,
            _ => token,
        };
        self.conn(token)?.watched = true;
        Some(token)
    }

    pub(crate) fn close(&mut self, token: Token) {
        let why = std::mem::take(&mut self.why);
        self.forget_socket(token, Close::new(1006, ""));
        let Some(conn) = self.conn(token) else { return };
        let (layer, watched) = (std::mem::take(&mut conn.layer), conn.watched);
        // Dropping the descriptor closes it, and epoll forgets it.
        *conn = Conn { epoch: conn.epoch.wrapping_add(1) & (u32::MAX >> 1), ..Conn::default() };
        self.free.push(token.index);
        self.wheel.remove(token.index);
        self.deadlines.remove(token.index);
        if watched {
            self.events.push_back(Event::Closed(token));
        }
        match layer {
            Layer::Stream(mut stream) => return self.leave_parent(token, &mut stream),
            Layer::Mux(mux) => self.lose_streams(&mux),
            Layer::None => {}
        }
        self.statistics.closed(why);
        self.statistics.set(Gauge::Connections, self.connections() as u64);
    }

    /// Makes the descriptor readable at once: there is more to do, but others' turn first.
    pub(crate) fn wake(&mut self) {
        self.settime(1);
        self.armed = 0;
    }

    /// Sets the timer for the next entry of the wheel, where that is sooner than it is set for.
    fn arm(&mut self) {
        let empty = self.again.is_empty() && self.rested.is_empty() && self.unflushed.is_empty();
        if !empty || !self.overdue.is_empty() {
            return self.wake();
        }
        let wheel = self.wheel.next().unwrap_or(u64::MAX);
        let deadline = self.deadlines.next().unwrap_or(u64::MAX);
        let next = wheel.min(deadline).min(self.accept_again.unwrap_or(u64::MAX));
        if next < self.armed {
            self.settime(next);
            self.armed = next;
        }
    }

    fn settime(&self, at: u64) {
        let value =
            Timespec { tv_sec: (at / 1_000_000_000) as i64, tv_nsec: (at % 1_000_000_000) as i64 };
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: none, it_value: value };
        // Fails only for a bad descriptor or an invalid time, and both are ours.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec);
    }

    pub(crate) fn timer_fired(&mut self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.timer, &mut count);
        self.armed = u64::MAX;
    }
}

fn clock() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
