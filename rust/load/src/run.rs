//! A run: threads that send a plan, and a view of them.
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::data::Data;
use crate::mix::Mix;
use crate::pace::Pace;
use crate::profile::{Profile, Stretch};
use crate::tally::{Failure, Latencies, Tally};
use crate::template::{Malformed, Spec};
use crate::think::Think;
use crate::tls::{Secure, Tls};
use crate::worker::{Shared, Worker};

/// What to send, how fast and for how long.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to.
    pub address: SocketAddr,
    /// The kinds of requests.
    pub mix: Vec<Spec>,
    /// What `{csv:COLUMN}` takes its cells from.
    pub data: Data,
    /// None: without TLS.
    pub tls: Option<Tls>,
    /// HTTP/2, by ALPN over TLS and by prior knowledge without.
    pub http2: bool,
    /// Requests at once on a connection: HTTP/2 streams, or pipelined.
    pub lanes: usize,
    /// A connection for each request.
    pub fresh: bool,
    /// Connections over all threads.
    pub connections: usize,
    /// How many of them a closed loop uses when, warm-up included; None: all.
    pub levels: Option<Vec<Stretch>>,
    /// Between an answer and the next request of a closed loop.
    pub think: Option<Think>,
    /// Native threads.
    pub threads: usize,
    /// Requests a second when, warm-up included; None is the closed loop.
    pub rates: Option<Vec<Stretch>>,
    /// Before anything is measured.
    pub warmup: Duration,
    /// The measured window.
    pub duration: Duration,
    /// For a connection, for an answer, and for a place on a connection (open loop).
    pub timeout: Duration,
    /// Keep how each request ended.
    pub record: bool,
    /// What `{id}` begins with.
    pub first_id: u64,
    /// Of the draws of `{rand}` and of the mix.
    pub seed: u64,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing counts yet.
    Warmup,
    /// Requests that start now count.
    Measuring,
    /// Waiting for the last answers.
    Draining,
    /// All threads have ended.
    Done,
}

/// What a run has seen so far; counts are of the measured window unless they say otherwise.
pub struct Snapshot {
    /// Where the run is.
    pub stage: Stage,
    /// Seconds since the start, warm-up included.
    pub elapsed: f64,
    /// Seconds of the measured window that have passed.
    pub measured: f64,
    /// Kind, status, count.
    pub statuses: Vec<(u8, u16, u64)>,
    /// Kind, failure, count; kind None: a connection was not made.
    pub failures: Vec<(Option<u8>, Failure, u64)>,
    /// The first that was seen of each failure.
    pub troubles: Vec<(Failure, String)>,
    /// By kind, how long answered, timed-out and dropped requests took or waited.
    pub latencies: Vec<Latencies>,
    /// The same, of answers below 400.
    pub successes: Vec<Latencies>,
    /// Answers of the whole run.
    pub answered: u64,
    /// Connections made in the whole run.
    pub connects: u64,
    /// Bytes of the whole run.
    pub received: u64,
    /// Bytes of the whole run.
    pub sent: u64,
    /// Connections open now.
    pub open: u64,
    /// Requests waiting for their answer now.
    pub busy: u64,
    /// Requests due and not sent now (open loop).
    pub backlog: u64,
    /// Seconds of CPU that the threads have used.
    pub cpu: f64,
}

#[derive(Default)]
struct Ending {
    left: usize,
    outcomes: Vec<u64>,
}

/// Threads at work.
pub struct Run {
    shared: Arc<Shared>,
    tallies: Vec<Arc<Mutex<Tally>>>,
    ending: Arc<(Mutex<Ending>, Condvar)>,
    stopped: Mutex<Option<u64>>,
    threads: Vec<JoinHandle<()>>,
}

impl Run {
    /// Starts the threads.
    pub fn start(plan: &Plan) -> Result<Self, Malformed> {
        let shared = Arc::new(share(plan)?);
        let threads = plan.threads.clamp(1, plan.connections.max(1));
        let ending =
            Arc::new((Mutex::new(Ending { left: threads, ..Ending::default() }), Condvar::new()));
        let mut run = Self {
            shared,
            tallies: Vec::new(),
            ending,
            stopped: Mutex::new(None),
            threads: Vec::new(),
        };
        let rate = plan.rates.as_deref().map(|rates| Arc::new(Profile::new(rates)));
        for index in 0..threads {
            run.spawn(plan, (index, threads), rate.as_ref())?;
        }
        Ok(run)
    }

    fn spawn(
        &mut self,
        plan: &Plan,
        (index, threads): (usize, usize),
        rate: Option<&Arc<Profile>>,
    ) -> Result<(), Malformed> {
        let tally = Arc::new(Mutex::new(Tally::new(self.shared.mix.len())));
        let share = plan.connections / threads + usize::from(index < plan.connections % threads);
        let end = self.shared.window.1;
        let pace = rate.map(|rate| Pace::new(Arc::clone(rate), index, threads, end));
        let shared = Arc::clone(&self.shared);
        let mine = Arc::clone(&tally);
        let failed =
            |error: &dyn std::fmt::Display| Malformed(format!("no thread or epoll set: {error}"));
        let worker = Worker::new(shared, mine, (index, threads), share, pace, plan.seed)
            .map_err(|e| failed(&e))?;
        let ending = Arc::clone(&self.ending);
        let body = move || {
            let outcomes = worker.run();
            let (state, changed) = &*ending;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.left -= 1;
            state.outcomes.extend(outcomes);
            changed.notify_all();
        };
        let thread = std::thread::Builder::new().name(format!("mhz-load-{index}")).spawn(body);
        self.threads.push(thread.map_err(|e| failed(&e))?);
        self.tallies.push(tally);
        Ok(())
    }

    /// Waits for the end, at most so long; tells whether all threads have ended.
    pub fn wait(&self, limit: Option<Duration>) -> bool {
        let (state, changed) = &*self.ending;
        let state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let at_work = |ending: &mut Ending| ending.left > 0;
        match limit {
            None => drop(changed.wait_while(state, at_work)),
            Some(limit) => drop(changed.wait_timeout_while(state, limit, at_work)),
        }
        self.is_done()
    }

    /// Sends no more requests; those under way still get their answer or time out.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        stopped.get_or_insert(self.now());
    }

    /// Number, kind and status of every request (see `tally::outcome`), once the run has ended.
    pub fn outcomes(&self) -> Vec<u64> {
        self.ending.0.lock().unwrap_or_else(PoisonError::into_inner).outcomes.clone()
    }

    /// What has been seen so far.
    pub fn snapshot(&self) -> Snapshot {
        let mut sum = Tally::new(self.shared.mix.len());
        for tally in &self.tallies {
            sum.add(&tally.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let now = self.now();
        let (from, to) = self.window();
        Snapshot {
            stage: self.stage(now),
            elapsed: now as f64 / 1e9,
            measured: now.min(to).saturating_sub(from) as f64 / 1e9,
            statuses: sum.statuses(),
            failures: sum.failures(),
            troubles: troubles(&sum),
            latencies: sum.latencies(),
            successes: sum.successes(),
            answered: sum.answered,
            connects: sum.connects,
            received: sum.received,
            sent: sum.sent,
            open: sum.open,
            busy: sum.busy,
            backlog: sum.backlog,
            cpu: sum.cpu as f64 / 1e9,
        }
    }

    fn now(&self) -> u64 {
        self.shared.epoch.elapsed().as_nanos() as u64
    }

    fn window(&self) -> (u64, u64) {
        let (from, to) = self.shared.window;
        let stopped = *self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        (from, stopped.map_or(to, |at| to.min(at)))
    }

    fn stage(&self, now: u64) -> Stage {
        let (from, to) = self.window();
        if self.is_done() {
            Stage::Done
        } else if now >= to {
            Stage::Draining
        } else if now >= from {
            Stage::Measuring
        } else {
            Stage::Warmup
        }
    }

    fn is_done(&self) -> bool {
        self.ending.0.lock().unwrap_or_else(PoisonError::into_inner).left == 0
    }
}

impl Drop for Run {
    /// Threads are joined: none outlives its run. They look at the flag every 20 ms.
    fn drop(&mut self) {
        self.shared.abandon.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Whether these requests can be rendered, each with each row of the data.
pub fn check(mix: &[Spec], data: &Data, http2: bool) -> Result<(), Malformed> {
    data.check()?;
    Mix::new(mix, data, http2.then_some("http")).map(drop)
}

fn troubles(sum: &Tally) -> Vec<(Failure, String)> {
    let known = Failure::ALL.into_iter().zip(&sum.why).filter(|(_, why)| !why.is_empty());
    known.map(|(failure, why)| (failure, why.clone())).collect()
}

fn share(plan: &Plan) -> Result<Shared, Malformed> {
    refuse(plan)?;
    let warmup = plan.warmup.as_nanos() as u64;
    let secure = plan.tls.as_ref().map(|tls| Secure::new(tls, plan.http2)).transpose()?;
    let scheme = if secure.is_some() { "https" } else { "http" };
    Ok(Shared {
        address: plan.address,
        secure,
        http2: plan.http2,
        mix: Mix::new(&plan.mix, &plan.data, plan.http2.then_some(scheme))?,
        data: plan.data.clone(),
        epoch: Instant::now(),
        first_id: plan.first_id,
        window: (warmup, warmup + plan.duration.as_nanos() as u64),
        timeout: plan.timeout.as_nanos() as u64,
        levels: plan.levels.as_deref().map(Profile::new),
        think: plan.think,
        lanes: plan.lanes,
        fresh: plan.fresh,
        record: plan.record,
        stop: AtomicBool::new(false),
        abandon: AtomicBool::new(false),
    })
}

/// The most requests at once on a connection: h2load's examples end at 100, nginx takes 128.
const LANES: usize = 1000;

fn refuse(plan: &Plan) -> Result<(), Malformed> {
    plan.data.check()?;
    let refuse = |sound: bool, why: &str| if sound { Ok(()) } else { Err(Malformed(why.into())) };
    refuse((1..=1_000_000).contains(&plan.connections), "connections: 1 to 1,000,000")?;
    refuse((1..=LANES).contains(&plan.lanes), "requests at once on a connection: 1 to 1,000")?;
    refuse(!plan.fresh || plan.lanes == 1, "a connection for each request carries one")?;
    refuse(plan.think.is_none_or(Think::is_sound), "think time: 0 or more seconds, least first")?;
    for stretches in [&plan.rates, &plan.levels].into_iter().flatten() {
        let sound = |level: f64| level.is_finite() && level >= 0.0;
        let all = stretches.iter().all(|s| s.seconds > 0.0 && sound(s.from) && sound(s.to));
        let some = stretches.iter().any(|s| s.from > 0.0 || s.to > 0.0);
        refuse(all && some, "a rate, or a number of connections, is above 0")?;
    }
    Ok(())
}
