//! One thread: its connections, its share of the schedule, its epoll set.
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
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::answer::Answer;
use crate::connection::{Connection, Phase, Received, Request};
use crate::pace::Pace;
use crate::random::Random;
use crate::tally::{Failure, Tally, outcome};
use crate::template::{Mix, Values};

/// How often timeouts, reconnects and the stop flag are looked at.
const SWEEP: u64 = 20_000_000;
/// After a failed connect; a client that tries again at once counts errors by the million.
const PAUSE: u64 = 100_000_000;
/// What one read takes at most: wrk's is 8 KiB, the kernel's default receive buffer 128 KiB.
const BUFFER: usize = 64 * 1024;
/// Events a turn.
const EVENTS: usize = 512;

/// The timer's token; a connection's has a slot below a million in its lower half.
const TIMER: u64 = u64::MAX;

/// What all threads of a run share.
pub(crate) struct Shared {
    pub(crate) address: SocketAddr,
    pub(crate) mix: Mix,
    pub(crate) epoch: Instant,
    pub(crate) first_id: u64,
    /// Where the measured window begins and ends, in nanoseconds since `epoch`.
    pub(crate) window: (u64, u64),
    pub(crate) timeout: u64,
    pub(crate) record: bool,
    pub(crate) stop: AtomicBool,
    /// Nobody waits for the last answers either.
    pub(crate) abandon: AtomicBool,
}

pub(crate) struct Worker {
    shared: Arc<Shared>,
    tally: Arc<Mutex<Tally>>,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    /// Open loop: which connections may be free (checked when used).
    idle: Vec<u32>,
    pace: Option<Pace>,
    random: Random,
    /// The next request's number; threads take turns.
    number: u64,
    stride: u64,
    end: u64,
    busy: u64,
    outcomes: Vec<u64>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
}

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        tally: Arc<Mutex<Tally>>,
        index: usize,
        threads: usize,
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
        Ok(Self {
            shared,
            tally,
            epoll,
            timer,
            connections: (0..connections).map(|_| Connection::new()).collect(),
            idle: Vec::with_capacity(connections),
            pace,
            random: Random::new(seed ^ (index as u64) << 48),
            number: index as u64,
            stride: threads as u64,
            end,
            busy: 0,
            outcomes: Vec::new(),
            buffer: vec![0; BUFFER],
            scratch: Vec::new(),
        })
    }

    fn now(&self) -> u64 {
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
        let queued = self.pace.as_ref().is_some_and(|pace| pace.next().is_some());
        now >= self.end && self.busy == 0 && !queued
    }

    /// Waits for an event or the next thing to do.
    ///
    /// `epoll_wait` counts in milliseconds, `epoll_pwait2` needs Linux 5.11: a timerfd wakes the
    /// open loop to the microsecond on any kernel, for one more system call a wake-up.
    fn wait(&self, events: &mut Vec<Event>, sweep: u64) {
        let mut gap = sweep.saturating_sub(self.now());
        let due = self.pace.as_ref().and_then(Pace::next).filter(|_| !self.idle.is_empty());
        if let Some(due) = due {
            let soon = due.saturating_sub(self.now());
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
            self.settle(slot, since, flags, tally);
            return;
        }
        if matches!(connection.phase, Phase::Busy(_)) && flags.contains(EventFlags::OUT) {
            self.flush(slot, tally);
        }
        let gone = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if gone || flags.contains(EventFlags::IN) {
            self.receive(slot, gone, tally);
        }
    }

    /// A connect has ended, well or not.
    fn settle(&mut self, slot: u32, since: u64, flags: EventFlags, tally: &mut Tally) {
        let connection = &mut self.connections[slot as usize];
        match connection.connected() {
            Ok(()) if flags.contains(EventFlags::OUT) => {
                connection.phase = Phase::Idle;
                tally.connects += 1;
                tally.open += 1;
                self.free(slot, since, tally);
            }
            Ok(()) => {}
            Err(error) => self.unconnected(slot, error, tally),
        }
    }

    fn unconnected(&mut self, slot: u32, error: Errno, tally: &mut Tally) {
        let now = self.now();
        let failure = match error {
            Errno::CONNREFUSED => Failure::Refused,
            Errno::TIMEDOUT => Failure::ConnectTimeout,
            Errno::CONNRESET => Failure::Reset,
            _ => Failure::Connect,
        };
        if self.is_measured(now) {
            tally.fail(failure);
        }
        self.connections[slot as usize].close(now + PAUSE);
    }

    /// A connection stands and has nothing to do: the closed loop goes on, the open loop waits.
    fn free(&mut self, slot: u32, since: u64, tally: &mut Tally) {
        if self.pace.is_some() {
            self.idle.push(slot);
        } else if self.now() < self.end {
            self.begin(slot, since, tally);
        }
    }

    /// Hands due requests to free connections, drops those that waited too long.
    fn dispatch(&mut self, now: u64, tally: &mut Tally) {
        while let Some(pace) = self.pace.as_mut() {
            while let Some(due) = pace.give_up(now, self.shared.timeout) {
                if due >= self.shared.window.0 {
                    tally.fail(Failure::Dropped);
                    tally.latencies.record(now - due);
                }
            }
            tally.backlog = pace.backlog(now);
            if tally.backlog == 0 {
                return;
            }
            let Some(slot) = self.idle.pop() else {
                return;
            };
            if !matches!(self.connections[slot as usize].phase, Phase::Idle) {
                continue;
            }
            let Some(due) = pace.take(now) else {
                self.idle.push(slot);
                return;
            };
            self.begin(slot, due, tally);
        }
    }

    /// Sends the next request on a free connection.
    fn begin(&mut self, slot: u32, start: u64, tally: &mut Tally) {
        let given = self.now();
        let kind = self.shared.mix.draw(&mut self.random);
        let template = self.shared.mix.template(kind);
        let request = Request { number: self.number, kind, start, given };
        self.number += self.stride;
        self.busy += 1;
        tally.busy += 1;
        let connection = &mut self.connections[slot as usize];
        connection.begin(request, template.headless_body);
        let id = self.shared.first_id + request.number;
        let mut values = Values { id, number: request.number, random: &mut self.random };
        template.render(&mut values, &mut connection.unsent, &mut self.scratch);
        self.flush(slot, tally);
    }

    fn flush(&mut self, slot: u32, tally: &mut Tally) {
        match self.connections[slot as usize].flush() {
            Ok(count) => tally.sent += count as u64,
            Err(failure) => self.lose(slot, failure, tally),
        }
    }

    /// `gone`: the peer will send no more than what is to be read now. Edge-triggered, this is the
    /// only time that it is told.
    fn receive(&mut self, slot: u32, gone: bool, tally: &mut Tally) {
        let connection = &mut self.connections[slot as usize];
        let received = connection.receive(&mut self.buffer, &mut tally.received);
        match (received, &connection.phase) {
            (Received::Nothing, _) => {}
            (Received::Answered(answer), &Phase::Busy(request)) => {
                let keep = answer.keep && !gone;
                self.answered(slot, request, Answer { keep, ..answer }, tally);
            }
            (Received::Failed(failure), Phase::Busy(_)) => self.lose(slot, failure, tally),
            // A server may close what is idle, with or without a word (RFC 9112 section 9.5).
            _ => {
                tally.open -= 1;
                self.connections[slot as usize].close(0);
                self.reopen(slot, tally);
            }
        }
    }

    fn answered(&mut self, slot: u32, request: Request, answer: Answer, tally: &mut Tally) {
        let now = self.now();
        self.busy -= 1;
        tally.busy -= 1;
        tally.answered += 1;
        if self.is_measured(request.start) {
            tally.status(request.kind, answer.status);
            tally.latencies.record(now - request.start);
        }
        self.record(request, answer.status);
        if answer.keep {
            self.connections[slot as usize].phase = Phase::Idle;
            self.free(slot, now, tally);
        } else {
            tally.open -= 1;
            self.connections[slot as usize].close(now);
            self.reopen(slot, tally);
        }
    }

    /// The request of a connection ends without an answer, and the connection with it.
    fn lose(&mut self, slot: u32, failure: Failure, tally: &mut Tally) {
        let now = self.now();
        let connection = &mut self.connections[slot as usize];
        if let Phase::Busy(request) = connection.phase {
            self.busy -= 1;
            tally.busy -= 1;
            if self.is_measured(request.start) {
                tally.fail(failure);
                if failure == Failure::Timeout {
                    tally.latencies.record(now - request.start);
                }
            }
            self.record(request, 0);
        }
        tally.open -= 1;
        self.connections[slot as usize].close(now);
        self.reopen(slot, tally);
    }

    fn record(&mut self, request: Request, status: u16) {
        if self.shared.record {
            self.outcomes.push(outcome(request.number, request.kind, status));
        }
    }

    fn reopen(&mut self, slot: u32, tally: &mut Tally) {
        let now = self.now();
        let wanted = now < self.end || self.pace.as_ref().is_some_and(|pace| pace.next().is_some());
        if wanted {
            let connection = &mut self.connections[slot as usize];
            if let Err(error) = connection.open(&self.shared.address, &self.epoll, slot, now) {
                self.unconnected(slot, error, tally);
            }
        }
    }

    /// What no event tells: time passing.
    fn sweep(&mut self, now: u64, tally: &mut Tally) {
        if self.shared.stop.load(Ordering::Relaxed) {
            self.end = self.end.min(now);
            self.pace.iter_mut().for_each(|pace| pace.stop(now));
        }
        let timeout = self.shared.timeout;
        for slot in 0..self.connections.len() as u32 {
            match self.connections[slot as usize].phase {
                Phase::Closed { until } if until <= now => self.reopen(slot, tally),
                Phase::Connecting { since } if since + timeout < now => {
                    self.unconnected(slot, Errno::TIMEDOUT, tally);
                }
                Phase::Busy(request) if request.given + timeout < now => {
                    self.lose(slot, Failure::Timeout, tally);
                }
                _ => {}
            }
        }
    }

    fn is_measured(&self, start: u64) -> bool {
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
