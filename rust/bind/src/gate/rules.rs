//! A route's rules, and what they decide.
//!
//! The order is fixed: a deadline that cannot be met, overload, the rate limit, the breaker, the
//! bulkhead. What costs others least comes first, and what has to be given back comes last. A rule
//! that only observes counts what it would have refused, and lets it pass.
use plane::{
    Breaker, Class, Outcome, Overload, Parts, Pass, Record, Refusals, Shed, Signals, Tally,
};
use pyo3::prelude::*;
use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) const SECOND: f64 = 1e9;
/// Digits of a budget in milliseconds: 115 days.
const BUDGET_DIGITS: usize = 10;
/// Load tests colour their requests with it.
const COLOUR: &str = "x-traffic-tag";

/// The rules, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// It would be too late.
    Deadline,
    /// The worker has too much to do.
    Shed,
    /// Too many in a time.
    Limit,
    /// The handler has failed too often.
    Breaker,
    /// Too many at once.
    Concurrency,
}

/// Why a request does not pass.
#[derive(Clone, Copy, Debug)]
pub struct Refused {
    /// Which rule.
    pub rule: Rule,
    /// Nanoseconds after which another try is worth it.
    pub wait: u64,
    /// What was decided by; `mhz explain` names them.
    pub figures: [f64; plane::FIGURES],
}

/// What a request that has passed gives back when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Admission {
    pub began: u64,
    /// When its time is up.
    pub deadline: Option<u64>,
    pass: Pass,
    class: Class,
    /// The breaker is open: the fallback answers.
    pub fell_back: bool,
}

/// What who is refused by a rule is answered, but for the fields that differ each time.
pub struct Said {
    pub status: u16,
    pub rendered: Vec<u8>,
    pub body: Vec<u8>,
}

/// Whose limit it is.
pub(super) enum Key {
    All,
    Client,
    Header(String),
    Path(usize),
}

/// What rules may ask of a request.
pub trait Asked {
    /// The first field of that name (lower case).
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// The client's address, as text.
    fn client(&self) -> Option<String>;
    /// A parameter of the path.
    fn param(&self, index: usize) -> Option<Cow<'_, [u8]>>;
}

pub(super) struct Limit {
    pub(super) limiter: Arc<plane::Limiter>,
    pub(super) key: Key,
    /// The fields that say so to who is refused: the policy's, rendered.
    pub(super) said: String,
    pub(super) observed: bool,
}

pub(super) struct Shedding {
    pub(super) state: Arc<Mutex<Shed>>,
    pub(super) observed: bool,
}

/// A route's rules, and where they count; an object to be shared, as `Runtime` is.
#[pyclass(frozen)]
pub struct Rules {
    pub(super) name: String,
    pub(super) parts: Arc<Parts>,
    pub(super) tally: Tally,
    pub(super) refusals: Refusals,
    pub(super) deadline: Option<u64>,
    pub(super) budget: Option<String>,
    pub(super) shed: Option<Shedding>,
    pub(super) limit: Option<Limit>,
    pub(super) breaker: Option<(Arc<Breaker>, bool)>,
    pub(super) concurrency: Option<(u64, bool)>,
    pub(super) fallback: bool,
    pub(super) class: Class,
    /// By rule; none where Python says it.
    pub(super) answers: Vec<Said>,
    /// Makes the exception of a rule from its number and the seconds to wait.
    pub(super) error: Py<PyAny>,
    /// About the least time that a request took lately.
    pub(super) fastest: AtomicU64,
    /// Numbers refusals, for their ids.
    pub(super) serial: AtomicU64,
}

impl Rules {
    /// Whether there is anything that asks how long a request has waited.
    pub fn sheds(&self) -> bool {
        self.shed.is_some()
    }

    /// Lets a request pass, or says why not.
    pub fn admit(
        &self,
        asked: &impl Asked,
        signals: &Signals,
        now: u64,
    ) -> Result<Admission, Refused> {
        let deadline = self.time_left(asked);
        if let Some(left) = deadline {
            self.check_time(signals, left, now)
                .or_else(|refused| self.settle(asked, refused, false, now))?;
        }
        let class = self.class_of(asked);
        self.check_load(signals, class, now)
            .or_else(|refused| self.settle(asked, refused, self.observes_load(), now))?;
        let mut admission = Admission {
            began: now,
            deadline: deadline.map(|left| now.saturating_add(left)),
            pass: Pass::Closed,
            class,
            fell_back: false,
        };
        match self.check_rest(asked, &mut admission, now) {
            Ok(()) => Ok(admission),
            Err(refused) => {
                self.unload(class);
                Err(refused)
            }
        }
    }

    /// What is counted or given back: in the end the request runs.
    fn check_rest(
        &self,
        asked: &impl Asked,
        admission: &mut Admission,
        now: u64,
    ) -> Result<(), Refused> {
        if let Some(limit) = &self.limit {
            limit
                .check(asked, now)
                .or_else(|refused| self.settle(asked, refused, limit.observed, now))?;
        }
        if let Some((breaker, observed)) = &self.breaker {
            admission.pass = breaker.enter(now);
            if admission.pass == Pass::Refused {
                let refused = Self::broken(breaker, now);
                if self.fallback && !observed {
                    self.note(asked, &refused, false, now);
                    admission.fell_back = true;
                    self.tally.enter();
                    return Ok(());
                }
                self.settle(asked, refused, *observed, now)?;
            }
        }
        self.tally.enter();
        if let Some((most, observed)) = self.concurrency {
            let running = self.tally.running(&self.parts);
            if running > most {
                let figures = [running as f64 - 1.0, most as f64, 0.0, 0.0, 0.0, 0.0];
                let refused = Refused { rule: Rule::Concurrency, wait: 0, figures };
                if let Err(refused) = self.settle(asked, refused, observed, now) {
                    self.tally.withdraw();
                    if let Some((breaker, _)) = &self.breaker {
                        breaker.abandon(admission.pass, now);
                    }
                    return Err(refused);
                }
            }
        }
        Ok(())
    }

    /// Nanoseconds that the request has: of the route's deadline and its caller's budget the less.
    fn time_left(&self, asked: &impl Asked) -> Option<u64> {
        let told = self.budget.as_ref().and_then(|name| milliseconds(&asked.header(name)?));
        match (self.deadline, told) {
            (Some(own), Some(told)) => Some(own.min(told)),
            (own, told) => own.or(told),
        }
    }

    fn check_time(&self, signals: &Signals, left: u64, now: u64) -> Result<(), Refused> {
        let (delay, takes) = (signals.delay(now), self.fastest.load(Relaxed));
        if left > delay.saturating_add(takes) {
            return Ok(());
        }
        // Forgets a little each time: what became faster is found out.
        self.fastest.store(takes - takes / 64, Relaxed);
        let figures = [left, delay, takes].map(|ns| ns as f64 / SECOND);
        let figures = [figures[0], figures[1], figures[2], 0.0, 0.0, 0.0];
        Err(Refused { rule: Rule::Deadline, wait: 0, figures })
    }

    fn class_of(&self, asked: &impl Asked) -> Class {
        let coloured =
            self.shed.is_some() && asked.header(COLOUR).is_some_and(|tag| !tag.is_empty());
        if coloured { Class::Test } else { self.class }
    }

    fn check_load(&self, signals: &Signals, class: Class, now: u64) -> Result<(), Refused> {
        let Some(shedding) = &self.shed else { return Ok(()) };
        shedding.state().begin(signals, class, now).map_err(|overload| {
            let Overload { delay, allowed, running, limit, cpu } = overload;
            let limit = if limit == u64::MAX { f64::INFINITY } else { limit as f64 };
            let [delay, allowed] = [delay, allowed].map(|ns| ns as f64 / SECOND);
            let figures = [delay, allowed, running as f64, limit, cpu, f64::from(class as u8)];
            Refused { rule: Rule::Shed, wait: 0, figures }
        })
    }

    fn observes_load(&self) -> bool {
        self.shed.as_ref().is_some_and(|shedding| shedding.observed)
    }

    fn unload(&self, class: Class) {
        if let Some(shedding) = &self.shed {
            shedding.state().abandon(class);
        }
    }

    fn broken(breaker: &Breaker, now: u64) -> Refused {
        let (open, share, calls, failed, opened, _) = breaker.state(now);
        let figures = [open, share, calls as f64, failed as f64, opened as f64, 0.0];
        Refused { rule: Rule::Breaker, wait: (open * SECOND) as u64, figures }
    }

    /// Counts and records a refusal; one that is only observed is none.
    fn settle(
        &self,
        asked: &impl Asked,
        refused: Refused,
        observed: bool,
        now: u64,
    ) -> Result<(), Refused> {
        self.note(asked, &refused, observed, now);
        if observed { Ok(()) } else { Err(refused) }
    }

    fn note(&self, asked: &impl Asked, refused: &Refused, observed: bool, now: u64) {
        self.tally.refused(refused.rule as usize, observed);
        let id = asked.header("x-request-id").filter(|id| is_plain(id));
        let serial = self.serial.fetch_add(1, Relaxed) + 1;
        let id = id.map_or_else(|| self.id(serial), |id| String::from_utf8_lossy(&id).into_owned());
        let route = self.name.clone();
        let (rule, figures) = (refused.rule as u8, refused.figures);
        self.refusals.push(&Record { time: now, rule, observed, id, route, figures });
    }

    /// Of the refusal of that number: the worker, the route and the number.
    fn id(&self, serial: u64) -> String {
        let (part, generation) = (self.parts.part(), self.parts.generation());
        let route = self.parts.segment().hash(self.name.as_bytes()) as u16;
        format!("{part:x}.{generation:x}-{route:04x}-{serial:x}")
    }

    /// As an exception of ours.
    pub fn error(&self, py: Python<'_>, refused: &Refused) -> PyErr {
        let wait = (refused.wait > 0).then(|| refused.wait as f64 / SECOND);
        let made = self.error.bind(py).call1((refused.rule as u8, wait));
        made.map_or_else(|error| error, PyErr::from_value)
    }

    /// What is answered; none where Python is to say it.
    pub fn answer(&self, refused: &Refused) -> Option<&Said> {
        self.answers.get(refused.rule as usize)
    }

    /// The fields that go with a refusal.
    pub fn fields(&self, asked: &impl Asked, refused: &Refused) -> String {
        let mut fields = String::new();
        if !matches!(refused.rule, Rule::Deadline) {
            let seconds = refused.wait.div_ceil(1_000_000_000).max(1);
            fields = format!("retry-after: {seconds}\r\n");
            if let (Rule::Limit, Some(limit)) = (refused.rule, &self.limit) {
                let _ = write!(fields, "{}r=0;t={seconds}\r\n", limit.said);
            }
        }
        if !asked.header("x-request-id").is_some_and(|id| is_plain(&id)) {
            let _ = write!(fields, "x-request-id: {}\r\n", self.id(self.serial.load(Relaxed)));
        }
        fields
    }

    /// A request that had passed has ended, and after its first step it had taken so long.
    pub fn leave(&self, admission: &Admission, outcome: Outcome, stepped: Option<u64>, now: u64) {
        let taken = now.saturating_sub(admission.began);
        self.tally.leave(outcome, taken);
        if let Some(shedding) = &self.shed {
            let mut shed = shedding.state();
            if let Some(stepped) = stepped {
                shed.stepped(admission.class, stepped);
            }
            match outcome {
                Outcome::Gone => shed.abandon(admission.class),
                Outcome::Status(_) => shed.end(admission.class, taken),
            }
        }
        if let (Some((breaker, _)), false) = (&self.breaker, admission.fell_back) {
            match outcome {
                Outcome::Gone => breaker.abandon(admission.pass, now),
                Outcome::Status(status) => {
                    breaker.leave(admission.pass, status < 500, admission.began, now);
                }
            }
        }
        let timed = self.deadline.is_some() || self.budget.is_some();
        if timed && matches!(outcome, Outcome::Status(..500)) {
            let fastest = self.fastest.load(Relaxed);
            // Forgets in about a hundred requests: what is slower for good is not refused for ever.
            let next = if fastest == 0 { taken } else { taken.min(fastest + fastest / 64 + 1) };
            self.fastest.store(next, Relaxed);
        }
    }

    /// The first step of a request that goes on took so long.
    pub fn stepped(&self, admission: &Admission, nanoseconds: u64) {
        if let Some(shedding) = &self.shed {
            shedding.state().stepped(admission.class, nanoseconds);
        }
    }
}

impl Shedding {
    fn state(&self) -> MutexGuard<'_, Shed> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limit {
    fn check(&self, asked: &impl Asked, now: u64) -> Result<(), Refused> {
        let limiter = &self.limiter;
        let decision = match &self.key {
            Key::All => limiter.acquire(1, now),
            Key::Client => limiter.acquire_for(&network(asked.client()), 1, now),
            Key::Header(name) => {
                limiter.acquire_for(&asked.header(name).unwrap_or_default(), 1, now)
            }
            Key::Path(index) => {
                limiter.acquire_for(&asked.param(*index).unwrap_or_default(), 1, now)
            }
        };
        if decision.admitted {
            return Ok(());
        }
        let figures =
            [decision.wait as f64 / SECOND, decision.remaining as f64, 0.0, 0.0, 0.0, 0.0];
        Err(Refused { rule: Rule::Limit, wait: decision.wait, figures })
    }
}

/// An address as a key: of IPv6 the network that one subscriber has (RFC 6177: at least a /64).
fn network(client: Option<String>) -> Vec<u8> {
    let Some(client) = client else { return vec![] };
    match client.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.octets().to_vec(),
        Ok(IpAddr::V6(address)) => address.octets()[..8].to_vec(),
        Err(_) => client.into_bytes(),
    }
}

/// Whole milliseconds as nanoseconds; what is none does not count.
fn milliseconds(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > BUDGET_DIGITS || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0_u64, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(value * 1_000_000)
}

/// Whether an id of the client's may stand in our lists.
fn is_plain(id: &[u8]) -> bool {
    !id.is_empty() && id.len() <= 40 && id.iter().all(u8::is_ascii_graphic)
}
