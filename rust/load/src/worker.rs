//! One thread: its connections, its share of the schedule, its epoll set.
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::connection::{Connection, Ended, Flow, Phase};
use crate::data::Data;
use crate::mix::Mix;
use crate::pace::Pace;
use crate::profile::Profile;
use crate::random::Random;
use crate::tally::{Failure, Tally};
use crate::think::{Think, Thoughts};
use crate::tls::Secure;

/// How often timeouts, reconnects and the stop flag are looked at.
const SWEEP: u64 = 20_000_000;
/// What one read takes at most: wrk's is 8 KiB, the kernel's default receive buffer 128 KiB.
const BUFFER: usize = 64 * 1024;
/// Events a turn.
const EVENTS: usize = 512;

/// The timer's token; a connection's has a slot below a million in its lower half.
const TIMER: u64 = u64::MAX;

/// What all threads of a run share.
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) secure: Option<Secure>,
    pub(crate) http2: bool,
    pub(crate) mix: Mix,
    pub(crate) data: Data,
    pub(crate) epoch: Instant,
    pub(crate) first_id: u64,
    /// Where the measured window begins and ends, in nanoseconds since `epoch`.
    pub(crate) window: (u64, u64),
    pub(crate) timeout: u64,
    /// How many connections a closed loop has when; None: all.
    pub(crate) levels: Option<Profile>,
    pub(crate) think: Option<Think>,
    /// Requests at once on a connection.
    pub(crate) lanes: usize,
    /// A connection for each request.
    pub(crate) fresh: bool,
    pub(crate) record: bool,
    pub(crate) stop: AtomicBool,
    /// Nobody waits for the last answers either.
    pub(crate) abandon: AtomicBool,
}

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    tally: Arc<Mutex<Tally>>,
    pub(crate) epoll: OwnedFd,
    timer: OwnedFd,
    pub(crate) connections: Vec<Connection>,
    /// Open loop: which connections may be free (checked when used), in turn.
    pub(crate) idle: VecDeque<u32>,
    pub(crate) pace: Option<Pace>,
    pub(crate) thoughts: Thoughts,
    pub(crate) random: Random,
    index: usize,
    pub(crate) threads: usize,
    /// The next request's number; threads take turns.
    pub(crate) number: u64,
    pub(crate) end: u64,
    /// Connections below this slot are in use.
    pub(crate) active: usize,
    pub(crate) busy: u64,
    pub(crate) outcomes: Vec<u64>,
    buffer: Vec<u8>,
    pub(crate) scratch: Vec<u8>,
    /// What a read has ended; kept for its room.
    pub(crate) ended: Vec<Ended>,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        tally: Arc<Mutex<Tally>>,
        (index, threads): (usize, usize),
        connections: usize,
        pace: Option<Pace>,
        seed: u64,
    ) -> Result<Self, Errno> {
        let end = shared.window.1;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let edge = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), edge)?;
        let made = || Connection::new(shared.lanes, shared.http2);
        let connections: Vec<Connection> = (0..connections).map(|_| made()).collect();
        Ok(Self {
            shared,
            tally,
            epoll,
            timer,
            active: connections.len(),
            idle: VecDeque::with_capacity(connections.len()),
            connections,
            pace,
            thoughts: Thoughts::default(),
            random: Random::new(seed ^ (index as u64) << 48),
            index,
            threads,
            number: index as u64,
            end,
            busy: 0,
            outcomes: Vec::new(),
            buffer: vec![0; BUFFER],
            scratch: Vec::new(),
            ended: Vec::new(),
        })
    }

    pub(crate) fn now(&self) -> u64 {
        self.shared.epoch.elapsed().as_nanos() as u64
    }

    /// Works until the end, then until the last answer or timeout; gives the recorded outcomes.
    pub(crate) fn run(mut self) -> Vec<u64> {
        let mine = Arc::clone(&self.tally);
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS);
        let mut sweep = 0;
        loop {
            let now = self.now();
            let mut tally = lock(&mine);
            for event in events.drain(..) {
                self.handle(event, &mut tally);
            }
            while let Some(slot) = self.thoughts.pop(now) {
                self.connections[slot as usize].thinking -= 1;
                self.go_on(slot, now, &mut tally);
            }
            self.dispatch(now, &mut tally);
            if now >= sweep {
                self.sweep(now, &mut tally);
                sweep = now + SWEEP;
            }
            drop(tally);
            if self.is_finished(now) {
                break;
            }
            self.wait(&mut events, sweep);
        }
        lock(&mine).open = 0;
        self.outcomes
    }

    fn is_finished(&self, now: u64) -> bool {
        if self.shared.abandon.load(Ordering::Relaxed) {
            return true;
        }
        now >= self.end && self.busy == 0 && !self.is_due_more()
    }

    pub(crate) fn is_due_more(&self) -> bool {
        self.pace.as_ref().is_some_and(|pace| pace.next().is_some())
    }

    /// Waits for an event or the next thing to do.
    ///
    /// `epoll_wait` counts in milliseconds, `epoll_pwait2` needs Linux 5.11: a timerfd wakes us to
    /// the microsecond on any kernel, for one more system call a wake-up.
    fn wait(&self, events: &mut Vec<Event>, sweep: u64) {
        let now = self.now();
        let mut gap = sweep.saturating_sub(now);
        let due = self.pace.as_ref().and_then(Pace::next).filter(|_| !self.idle.is_empty());
        if let Some(due) = due.into_iter().chain(self.thoughts.next()).min() {
            let soon = due.saturating_sub(now);
            if soon == 0 {
                gap = 0;
            } else if soon < gap {
                let once = Itimerspec { it_interval: timespec(0), it_value: timespec(soon) };
                let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
            }
        }
        // Only EINTR can come back; the turn that follows finds nothing and waits again.
        let _ = epoll::wait(&self.epoll, spare_capacity(events), Some(&timespec(gap)));
    }

    fn handle(&mut self, event: Event, tally: &mut Tally) {
        let (token, flags) = (event.data.u64(), event.flags);
        if token == TIMER {
            return;
        }
        let slot = token as u32;
        let connection = &mut self.connections[slot as usize];
        if !connection.is_current(token) {
            return;
        }
        if let Phase::Connecting { since } = connection.phase {
            self.connected(slot, since, flags, tally);
        } else if flags.contains(EventFlags::OUT) {
            self.flush(slot, tally);
        }
        let gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        let connection = &self.connections[slot as usize];
        let stands = !matches!(connection.phase, Phase::Connecting { .. });
        if stands && connection.is_current(token) && (gone || flags.contains(EventFlags::IN)) {
            self.receive(slot, gone, tally);
        }
    }

    fn receive(&mut self, slot: u32, gone: bool, tally: &mut Tally) {
        let mut ended = std::mem::take(&mut self.ended);
        let connection = &mut self.connections[slot as usize];
        let flow = connection.receive(&mut self.buffer, gone, &mut ended, &mut tally.received);
        let now = self.now();
        self.settle(slot, &mut ended, now, tally);
        self.ended = ended;
        match (flow, self.connections[slot as usize].phase) {
            (Ok(Flow::On), Phase::Greeting { since }) => self.greet(slot, since, tally),
            (Ok(Flow::On), _) => self.go_on(slot, now, tally),
            (Ok(Flow::Over), _) => self.lose(slot, None, tally),
            (Err(trouble), _) => self.lose(slot, Some(trouble), tally),
        }
    }

    /// What no event tells: time passing.
    fn sweep(&mut self, now: u64, tally: &mut Tally) {
        if self.shared.stop.load(Ordering::Relaxed) {
            self.end = self.end.min(now);
            self.pace.iter_mut().for_each(|pace| pace.stop(now));
        }
        if let Some(levels) = &self.shared.levels {
            let level = levels.level(now).round().max(0.0) as usize;
            let mine = level.saturating_sub(self.index).div_ceil(self.threads);
            self.active = mine.min(self.connections.len());
        }
        tally.backlog = self.pace.as_ref().map_or(0, |pace| pace.backlog(now));
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        tally.cpu = cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64;
        for slot in 0..self.connections.len() as u32 {
            self.look_at(slot, now, tally);
        }
    }

    fn look_at(&mut self, slot: u32, now: u64, tally: &mut Tally) {
        let timeout = self.shared.timeout;
        let connection = &mut self.connections[slot as usize];
        match connection.phase {
            Phase::Closed { until } if until <= now => self.reopen(slot, tally),
            Phase::Connecting { since } | Phase::Greeting { since } if since + timeout < now => {
                self.unconnected(slot, Failure::ConnectTimeout.into(), tally);
            }
            Phase::Open => match connection.oldest() {
                Some(given) if given + timeout < now => self.expire(slot, now, tally),
                None if slot as usize >= self.active => self.lose(slot, None, tally),
                // What ended while it was flushed has left a lane free.
                _ if self.pace.is_none() && connection.has_room() => self.go_on(slot, now, tally),
                _ => {}
            },
            _ => {}
        }
    }

    pub(crate) fn is_active(&self, slot: u32) -> bool {
        (slot as usize) < self.active
    }

    pub(crate) fn is_measured(&self, start: u64) -> bool {
        start >= self.shared.window.0 && start < self.end
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timespec(nanoseconds: u64) -> Timespec {
    Timespec {
        tv_sec: (nanoseconds / 1_000_000_000) as i64,
        tv_nsec: (nanoseconds % 1_000_000_000) as i64,
    }
}
