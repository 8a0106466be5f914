//! A level over time: the rate of an open loop, or the connections of a closed one.

/// One stretch of a run, along which the level goes in a line from one end to the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// How long, above 0.
    pub seconds: f64,
    /// At its begin.
    pub from: f64,
    /// At its end.
    pub to: f64,
}

struct Part {
    /// Seconds since the start of the run.
    begin: f64,
    /// The area under all parts before this one.
    before: f64,
    stretch: Stretch,
}

impl Part {
    /// Change of the level a second.
    fn slope(&self) -> f64 {
        (self.stretch.to - self.stretch.from) / self.stretch.seconds
    }

    fn area(&self) -> f64 {
        self.stretch.seconds * f64::midpoint(self.stretch.from, self.stretch.to)
    }
}

/// Stretches one after the other.
pub(crate) struct Profile(Vec<Part>);

/// Sums of products of decimal fractions miss whole numbers by about 1e-12 of their size.
const ROUNDING: f64 = 1e-6;

impl Profile {
    pub(crate) fn new(stretches: &[Stretch]) -> Self {
        let (mut begin, mut before) = (0.0, 0.0);
        let parts = stretches.iter().map(|&stretch| {
            let part = Part { begin, before, stretch };
            begin += stretch.seconds;
            before += part.area();
            part
        });
        Self(parts.collect())
    }

    /// When the area under the level reaches `n`, in nanoseconds; None: it never does.
    ///
    /// Solved for the time, `n = f t + s t^2 / 2` is `2 n / (f + sqrt(f^2 + 2 s n))`: the form of
    /// the quadratic formula that stays exact where the slope `s` is 0.
    pub(crate) fn due(&self, n: u64) -> Option<u64> {
        let n = n as f64;
        let at = self.0.partition_point(|part| part.before + part.area() <= n + ROUNDING);
        let part = self.0.get(at)?;
        let (left, from) = ((n - part.before).max(0.0), part.stretch.from);
        let root = (from * from + 2.0 * part.slope() * left).max(0.0).sqrt();
        let within = if left == 0.0 { 0.0 } else { 2.0 * left / (from + root) };
        Some(((part.begin + within.min(part.stretch.seconds)) * 1e9).round() as u64)
    }

    /// How many whole numbers are due before a time in nanoseconds.
    pub(crate) fn count(&self, now: u64) -> u64 {
        let now = now as f64 / 1e9;
        let at = self.0.partition_point(|part| part.begin + part.stretch.seconds <= now);
        let area = match (self.0.get(at), self.0.last()) {
            (Some(part), _) => {
                let t = now - part.begin;
                part.before + part.stretch.from * t + part.slope() * t * t / 2.0
            }
            (None, Some(last)) => last.before + last.area(),
            (None, None) => 0.0,
        };
        (area - ROUNDING).ceil().max(0.0) as u64
    }

    /// The level at a time in nanoseconds; after the end it is that of the end.
    pub(crate) fn level(&self, now: u64) -> f64 {
        let now = now as f64 / 1e9;
        let at = self.0.partition_point(|part| part.begin + part.stretch.seconds <= now);
        self.0.get(at).map_or_else(
            || self.0.last().map_or(0.0, |last| last.stretch.to),
            |part| part.stretch.from + part.slope() * (now - part.begin),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn profile(stretches: &[(f64, f64, f64)]) -> Profile {
        let of = |&(seconds, from, to): &(f64, f64, f64)| Stretch { seconds, from, to };
        Profile::new(&stretches.iter().map(of).collect::<Vec<_>>())
    }

    fn dues(profile: &Profile) -> Vec<u64> {
        (0..).map_while(|n| profile.due(n)).collect()
    }

    #[test]
    fn a_constant_level_is_due_at_even_gaps() {
        assert_eq!(dues(&profile(&[(1.0, 4.0, 4.0)])), [0, SECOND / 4, SECOND / 2, SECOND / 4 * 3]);
    }

    #[test]
    fn a_ramp_from_nothing_is_due_at_the_roots() {
        let ramp = dues(&profile(&[(2.0, 0.0, 4.0)])); // n = t^2
        assert_eq!(ramp, [0, SECOND, 1_414_213_562, 1_732_050_808]);
    }

    #[test]
    fn a_ramp_down_ends_where_it_began_up() {
        let down = dues(&profile(&[(2.0, 4.0, 0.0)]));
        assert_eq!(down.len(), 4);
        assert_eq!(down[3], SECOND); // 4 t - t^2 = 3
    }

    #[test]
    fn steps_follow_each_other_and_a_pause_has_nothing() {
        let steps = profile(&[(1.0, 2.0, 2.0), (1.0, 0.0, 0.0), (1.0, 1.0, 1.0)]);
        assert_eq!(dues(&steps), [0, SECOND / 2, 2 * SECOND]);
        assert!(steps.level(SECOND + 1).abs() < 1e-9);
        assert!((steps.level(9 * SECOND) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_count_is_of_what_is_due() {
        let profile = profile(&[(0.2, 500.0, 500.0), (1.0, 100.0, 300.0)]);
        let dues = dues(&profile);
        assert_eq!(dues.len(), 300);
        for now in (0..1_300_000_000).step_by(7_000_001) {
            let expected = dues.iter().filter(|&&due| due < now).count() as u64;
            assert!(profile.count(now).abs_diff(expected) <= 1, "{now}");
        }
        assert_eq!(profile.count(9 * SECOND), 300);
    }
}
