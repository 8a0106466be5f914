//! How long a user of a closed loop waits between an answer and the next request.
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::random::Random;

/// Seconds of thought, drawn anew for each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Think {
    /// Always as long.
    Constant(f64),
    /// Any time between the two, as likely.
    Uniform(f64, f64),
    /// Most are short and some are long; the mean. Users who come independently of each other.
    Exponential(f64),
}

impl Think {
    /// Nanoseconds.
    pub(crate) fn draw(self, random: &mut Random) -> u64 {
        let seconds = match self {
            Self::Constant(seconds) => seconds,
            Self::Uniform(low, high) => low + (high - low) * random.unit(),
            // 1 - unit is above 0, so the logarithm is finite (inverse transform sampling).
            Self::Exponential(mean) => -mean * (1.0 - random.unit()).ln(),
        };
        (seconds * 1e9) as u64
    }

    /// Whether all draws are times.
    pub(crate) fn is_sound(self) -> bool {
        let (low, high) = match self {
            Self::Constant(seconds) | Self::Exponential(seconds) => (seconds, seconds),
            Self::Uniform(low, high) => (low, high),
        };
        low >= 0.0 && high >= low && high.is_finite()
    }
}

/// Who thinks until when: slots by time.
#[derive(Default)]
pub(crate) struct Thoughts(BinaryHeap<Reverse<(u64, u32)>>);

impl Thoughts {
    pub(crate) fn push(&mut self, until: u64, slot: u32) {
        self.0.push(Reverse((until, slot)));
    }

    pub(crate) fn next(&self) -> Option<u64> {
        self.0.peek().map(|&Reverse((until, _))| until)
    }

    /// One whose thought is over.
    pub(crate) fn pop(&mut self, now: u64) -> Option<u32> {
        self.next().filter(|&until| until <= now)?;
        self.0.pop().map(|Reverse((_, slot))| slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(think: Think) -> Vec<f64> {
        let mut random = Random::new(5);
        (0..20_000).map(|_| think.draw(&mut random) as f64 / 1e9).collect()
    }

    #[test]
    fn draws_have_the_mean_and_the_bounds() {
        let close = |values: &[f64], mean: f64| {
            let found = values.iter().sum::<f64>() / values.len() as f64;
            assert!((found / mean - 1.0).abs() < 0.03, "{found} not {mean}");
        };
        assert!(draws(Think::Constant(0.25)).iter().all(|&s| (s - 0.25).abs() < 1e-9));
        let uniform = draws(Think::Uniform(0.1, 0.3));
        assert!(uniform.iter().all(|s| (0.1..=0.3).contains(s)));
        close(&uniform, 0.2);
        let exponential = draws(Think::Exponential(0.2));
        close(&exponential, 0.2);
        let short = exponential.iter().filter(|&&s| s < 0.2).count() as f64;
        assert!((short / 20_000.0 - 0.632).abs() < 0.02); // 1 - 1/e
    }

    #[test]
    fn no_time_is_less_than_none() {
        assert!(Think::Uniform(0.0, 0.0).is_sound());
        for think in [Think::Constant(-1.0), Think::Uniform(2.0, 1.0), Think::Exponential(f64::NAN)]
        {
            assert!(!think.is_sound(), "{think:?}");
        }
    }

    #[test]
    fn the_shortest_thought_ends_first() {
        let mut thoughts = Thoughts::default();
        thoughts.push(30, 1);
        thoughts.push(10, 2);
        assert_eq!((thoughts.next(), thoughts.pop(9), thoughts.pop(10)), (Some(10), None, Some(2)));
        assert_eq!((thoughts.pop(29), thoughts.pop(40), thoughts.pop(40)), (None, Some(1), None));
    }
}
