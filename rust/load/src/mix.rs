//! Several kinds of requests, drawn by weight.
use crate::data::Data;
use crate::random::Random;
use crate::template::{Malformed, Spec, Template};

pub(crate) struct Mix {
    templates: Vec<Template>,
    /// Where each kind's share ends; the last is the sum of all.
    ends: Vec<f64>,
}

impl Mix {
    pub(crate) fn new(
        specs: &[Spec],
        data: &Data,
        scheme: Option<&str>,
    ) -> Result<Self, Malformed> {
        // One byte of an outcome names the kind.
        if specs.is_empty() || specs.len() > 256 {
            return Err(Malformed("a mix has 1 to 256 kinds of requests".into()));
        }
        let mut ends = Vec::with_capacity(specs.len());
        let mut sum = 0.0;
        for spec in specs {
            if !(spec.weight.is_finite() && spec.weight > 0.0) {
                return Err(Malformed(format!("weight {}: must be above 0", spec.weight)));
            }
            sum += spec.weight;
            ends.push(sum);
        }
        let compiled = specs.iter().map(|spec| Template::new(spec, data, scheme));
        Ok(Self { templates: compiled.collect::<Result<_, _>>()?, ends })
    }

    pub(crate) fn draw(&self, random: &mut Random) -> u8 {
        if self.ends.len() == 1 {
            return 0;
        }
        let point = random.unit() * self.ends[self.ends.len() - 1];
        let kind = self.ends.partition_point(|&end| end <= point);
        kind.min(self.ends.len() - 1) as u8
    }

    pub(crate) fn template(&self, kind: u8) -> &Template {
        &self.templates[usize::from(kind)]
    }

    pub(crate) fn len(&self) -> usize {
        self.templates.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(weight: f64) -> Spec {
        let (method, target) = ("GET".into(), "/".into());
        Spec { weight, method, target, headers: Vec::new(), body: None }
    }

    fn mix(specs: &[Spec]) -> Result<Mix, Malformed> {
        Mix::new(specs, &Data::default(), None)
    }

    #[test]
    fn kinds_are_drawn_by_weight() {
        let mix = mix(&[spec(9.0), spec(1.0)]).unwrap();
        let mut random = Random::new(3);
        let second = (0..10_000).filter(|_| mix.draw(&mut random) == 1).count();
        assert!((900..1100).contains(&second), "{second}");
    }

    #[test]
    fn nothing_and_no_weight_are_refused() {
        assert!(mix(&[]).is_err());
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(mix(&[spec(weight)]).is_err(), "{weight}");
        }
    }
}
