//! Which requests a worker refuses so that those it takes are answered in time.
//!
//! # Theory
//! The first signal is the loop's lag: how long a request has waited before its handler could
//! begin. It is the queue that nobody sees, in the sockets' buffers, and it has no other cause than
//! too much work. As in CoDel (Nichols and Jacobson, 2012; RFC 8289) a burst is no overload: only
//! when the *least* lag of a whole interval is above the target is there a standing queue. Then
//! nobody waits longer than the target; before, up to the interval (Maurer, Fail at Scale, 2015).
//!
//! The second is the processor: a worker whose share is used up, and whose requests take longer than
//! they could by more than the target, has too many of them in flight. How many are enough is
//! Little's law over the best that was seen: highest rate times shortest time (as in Kratos's and
//! go-zero's BBR shedders), and the square root of that for the variance.
//!
//! # Classes
//! `live` goes first. Others are refused as soon as the lag is above half the target, but for the
//! share of the worker's time that is theirs whatever happens.
//!
//! # Rejected
//! * Gradients of the latency alone (Netflix's, Envoy's): a slow dependency looks like overload of
//!   ours, and refusing does not help it; deadlines, breakers and bulkheads do.
//! * The processor alone: a benchmark that keeps 64 requests in flight uses all of it and is well.

/// What kind of traffic a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// Somebody waits for it.
    Live = 0,
    /// Nobody does.
    Batch = 1,
    /// Coloured load of a test.
    Test = 2,
}

const CLASSES: usize = 3;
/// The processor is asked for, and the limit worked out, so often.
const LOOK_EVERY: u64 = 100_000_000;
/// The best that was seen is forgotten after one to two of these.
const REMEMBER: u64 = 5_000_000_000;
/// A lag that was measured longer ago says nothing.
const RECENT: u64 = 200_000_000;
/// A worker alone with slow handlers has no queue to speak of at so many times their length.
const PATIENCE: u64 = 4;

/// The numbers of a rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Nanoseconds that a request may wait before its handler begins, while there is a queue.
    pub lag: u64,
    /// Nanoseconds for which a queue must stand.
    pub interval: u64,
    /// The share of its processor time at which a worker counts as busy.
    pub cpu: f64,
    /// Of the worker's time, whatever happens: by class.
    pub shares: [f64; CLASSES],
}

/// What an engine knows of its loop.
#[derive(Clone, Copy, Debug, Default)]
pub struct Signals {
    /// When this turn's events became known.
    pub turn: u64,
    /// The length of a turn of the loop, and when that was measured.
    pub lag: u64,
    /// When.
    pub lag_at: u64,
    /// Share of the processor time that this worker may use.
    pub cpu: f64,
}

impl Signals {
    /// How long a request that is taken up now has waited: since this turn began, and half of the
    /// turn before it, in which it may have come at any moment.
    pub fn delay(&self, now: u64) -> u64 {
        let before = if now.saturating_sub(self.lag_at) < RECENT { self.lag / 2 } else { 0 };
        now.saturating_sub(self.turn) + before
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overload {
    /// Nanoseconds it has waited.
    pub delay: u64,
    /// Nanoseconds it might have.
    pub allowed: u64,
    /// Requests in flight.
    pub running: u64,
    /// As many may be.
    pub limit: u64,
    /// The processor's share.
    pub cpu: f64,
}

/// A worker's state for one rule.
pub struct Shed {
    settings: Settings,
    queued: bool,
    interval_ends: u64,
    least_delay: u64,
    refused_in_interval: bool,
    running: [u64; CLASSES],
    spent: [u64; CLASSES],
    spent_since: u64,
    /// Mean time of a first step.
    step: u64,
    /// Mean time of a request, from its first step to its end.
    taken: u64,
    /// The least of them, in this memory and the one before.
    least_taken: [u64; 2],
    /// The most ended in a look, likewise.
    most_ended: [u64; 2],
    ended: u64,
    looked: u64,
    remembered: u64,
    limit: u64,
    crowded: bool,
}

impl Shed {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Shed {
        Shed {
            settings,
            queued: false,
            interval_ends: 0,
            least_delay: u64::MAX,
            refused_in_interval: false,
            running: [0; CLASSES],
            spent: [0; CLASSES],
            spent_since: 0,
            step: 0,
            taken: 0,
            least_taken: [u64::MAX; 2],
            most_ended: [0; 2],
            ended: 0,
            looked: 0,
            remembered: 0,
            limit: u64::MAX,
            crowded: false,
        }
    }

    /// Whether there is a standing queue.
    pub fn is_queued(&self) -> bool {
        self.queued
    }

    /// Requests that are enough to keep the worker busy; `u64::MAX` while nobody counts.
    pub fn limit(&self) -> u64 {
        if self.queued || self.crowded { self.limit } else { u64::MAX }
    }

    /// Requests in flight.
    pub fn running(&self) -> u64 {
        self.running.iter().sum()
    }

    /// Whether a request may begin. If so it has begun: [`Shed::end`] follows.
    ///
    /// # Errors
    /// The figures that speak against it.
    pub fn begin(&mut self, signals: &Signals, class: Class, now: u64) -> Result<(), Overload> {
        let delay = signals.delay(now);
        self.observe(signals, delay, now);
        let target = self.target();
        let (running, limit) = (self.running(), self.limit());
        let allowed = match class {
            Class::Live if self.queued => target,
            Class::Live => target.max(self.settings.interval),
            Class::Batch | Class::Test => target / 2,
        };
        let fits = delay <= allowed && running < limit;
        if fits || (class != Class::Live && self.is_owed(class, now)) {
            self.running[class as usize] += 1;
            return Ok(());
        }
        self.refused_in_interval = true;
        Err(Overload { delay, allowed, running, limit, cpu: signals.cpu })
    }

    /// Slow handlers are no queue by themselves; one that blocks is no reason to wait longer.
    fn target(&self) -> u64 {
        let patient = (self.step * PATIENCE).min(self.settings.interval / 2);
        self.settings.lag.max(patient)
    }

    /// Whether a class has had less than its share of this second.
    fn is_owed(&self, class: Class, now: u64) -> bool {
        let share = self.settings.shares[class as usize];
        let due = now.saturating_sub(self.spent_since) as f64 * share;
        let place = self.limit().min(1 << 32) as f64 * share;
        (self.spent[class as usize] as f64) < due
            && (self.running[class as usize] as f64) < place.max(1.0)
    }

    /// Its first step took so long.
    pub fn stepped(&mut self, class: Class, nanoseconds: u64) {
        self.spent[class as usize] += nanoseconds;
        self.step = mean(self.step, nanoseconds);
    }

    /// It has ended, so long after it began.
    pub fn end(&mut self, class: Class, nanoseconds: u64) {
        let running = &mut self.running[class as usize];
        *running = running.saturating_sub(1);
        self.ended += 1;
        self.taken = mean(self.taken, nanoseconds);
        self.least_taken[0] = self.least_taken[0].min(nanoseconds.max(1));
    }

    /// It has ended in a way that says nothing of the worker.
    pub fn abandon(&mut self, class: Class) {
        let running = &mut self.running[class as usize];
        *running = running.saturating_sub(1);
    }

    fn observe(&mut self, signals: &Signals, delay: u64, now: u64) {
        self.least_delay = self.least_delay.min(delay);
        if now >= self.interval_ends {
            let target = self.target();
            if self.least_delay > target && self.least_delay != u64::MAX {
                self.queued = true;
            } else if !self.refused_in_interval {
                self.queued = false;
            }
            (self.least_delay, self.refused_in_interval) = (u64::MAX, false);
            self.interval_ends = now + self.settings.interval;
        }
        if now.saturating_sub(self.looked) >= LOOK_EVERY {
            self.look(signals, now);
        }
        if now.saturating_sub(self.spent_since) >= 1_000_000_000 {
            (self.spent, self.spent_since) = ([0; CLASSES], now);
        }
    }

    fn look(&mut self, signals: &Signals, now: u64) {
        let length = now.saturating_sub(self.looked).max(1);
        if length < 10 * LOOK_EVERY {
            let rate = u128::from(self.ended) * 1_000_000_000 / u128::from(length);
            self.most_ended[0] = self.most_ended[0].max(rate as u64);
        }
        (self.ended, self.looked) = (0, now);
        if now.saturating_sub(self.remembered) >= REMEMBER {
            self.least_taken = [u64::MAX, self.least_taken[0]];
            self.most_ended = [0, self.most_ended[0]];
            self.remembered = now;
        }
        let least = self.least_taken[0].min(self.least_taken[1]);
        let rate = self.most_ended[0].max(self.most_ended[1]);
        if least == u64::MAX || rate == 0 {
            self.limit = u64::MAX;
            return;
        }
        let enough = rate as f64 * least as f64 / 1e9;
        self.limit = (enough + enough.sqrt()).ceil().max(2.0) as u64;
        let late = self.taken.saturating_sub(least) > self.settings.lag;
        self.crowded = signals.cpu >= self.settings.cpu && late;
    }
}

/// An exponentially weighted mean over about eight.
fn mean(mean: u64, value: u64) -> u64 {
    if mean == 0 { value } else { mean - mean / 8 + value / 8 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn settings() -> Settings {
        Settings { lag: 10 * MS, interval: 100 * MS, cpu: 0.95, shares: [1.0, 0.1, 0.05] }
    }

    /// A worker of one core with handlers of `step`, open loop at `rate`, in turns of what has come:
    /// gives how many were answered in a second, and the longest wait of one that was.
    fn run(shed: &mut Shed, rate: u64, class: Class, step: u64, seconds: u64) -> (u64, u64) {
        let (mut now, mut arrived, mut lag) = (1_u64, 0_u64, 0_u64);
        let (end, gap) = (seconds * 1000 * MS, 1_000_000_000 / rate);
        let (mut answered, mut worst) = (0, 0);
        while now < end {
            let turn = now;
            let due = now / gap;
            if due == arrived {
                now += gap;
                continue;
            }
            let batch = arrived..due.min(arrived + 512);
            arrived = batch.end;
            for number in batch {
                let signals = Signals { turn, lag, lag_at: turn, cpu: 1.0 };
                let began = now;
                if shed.begin(&signals, class, now).is_ok() {
                    now += step;
                    shed.stepped(class, step);
                    shed.end(class, now - began);
                    if now > end / 2 {
                        answered += 1;
                        worst = worst.max(now - number * gap);
                    }
                } else {
                    now += 5_000;
                }
            }
            now += 20_000;
            lag = now - turn;
        }
        (answered * 2 / seconds, worst)
    }

    #[test]
    fn below_capacity_nobody_is_refused() {
        let (answered, _) = run(&mut Shed::new(settings()), 800, Class::Live, MS, 4);
        assert!((795..=801).contains(&answered), "{answered}");
    }

    #[test]
    fn at_ten_times_capacity_goodput_and_waits_stay() {
        for rate in [2_000, 10_000] {
            let (answered, worst) = run(&mut Shed::new(settings()), rate, Class::Live, MS, 4);
            assert!(answered >= 900, "{rate}: {answered}");
            assert!(worst <= 30 * MS, "{rate}: {worst}");
        }
    }

    #[test]
    fn a_burst_is_no_overload() {
        let mut shed = Shed::new(settings());
        let mut now = 1;
        for _ in 0..60 {
            let signals = Signals { turn: 1, ..Signals::default() };
            assert!(shed.begin(&signals, Class::Live, now).is_ok());
            now += MS;
            shed.end(Class::Live, MS);
        }
    }

    #[test]
    fn others_wait_for_live_but_keep_their_share() {
        let (answered, _) = run(&mut Shed::new(settings()), 5_000, Class::Batch, MS, 4);
        // Alone it may use what nobody else wants, up to half the target of lag.
        assert!(answered >= 900, "{answered}");
        let mut shed = Shed::new(settings());
        let late = |now| Signals { turn: now - 20 * MS, ..Signals::default() };
        let mut taken = 0;
        for tick in 100..1_100 {
            let now = tick * MS;
            if shed.begin(&late(now), Class::Batch, now).is_ok() {
                shed.stepped(Class::Batch, MS);
                shed.end(Class::Batch, MS);
                taken += 1;
            }
        }
        assert!((95..=111).contains(&taken), "a tenth of a second: {taken}");
    }

    #[test]
    fn too_many_in_flight_are_refused_only_while_it_is_late() {
        let mut shed = Shed::new(settings());
        let busy = |now| Signals { turn: now, cpu: 1.0, ..Signals::default() };
        let mut now = 1_000 * MS;
        // One at a time: 1 ms each, 1,000 a second.
        for _ in 0..1_000 {
            shed.begin(&busy(now), Class::Live, now).unwrap();
            now += MS;
            shed.end(Class::Live, MS);
        }
        assert_eq!(shed.limit(), u64::MAX);
        let mut began = vec![];
        for _ in 0..64 {
            shed.begin(&busy(now), Class::Live, now).unwrap();
            began.push(now);
        }
        for at in began {
            now += MS;
            shed.end(Class::Live, now - at);
        }
        now += LOOK_EVERY;
        shed.begin(&busy(now), Class::Live, now).unwrap();
        shed.begin(&busy(now), Class::Live, now).unwrap();
        let refused = shed.begin(&busy(now), Class::Live, now).unwrap_err();
        assert_eq!((refused.running, refused.limit), (2, 2));
    }
}
