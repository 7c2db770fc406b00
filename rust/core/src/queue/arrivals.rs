//! When requests come.

use crate::control::Control;
use crate::error::{Error, Result};
use crate::law::{Exponential, Gamma, Law};
use crate::random::{Random, Stream, Use, run_word};
use crate::room::filled;
use crate::table::Table;

/// The least coefficient of variation of gaps that differ: that of a gamma law whose shape the
/// core holds.
const LEAST_VARIATION: f64 = 0.011;
/// The greatest: of a gamma law of gaps nearly all of which are nothing.
const GREATEST_VARIATION: f64 = 1e3;

/// Requests between two looks at the stop flag.
const REQUESTS_BETWEEN_LOOKS: u32 = 1 << 16;

/// When requests come: by a law of the gaps between them, or at known times.
#[derive(Debug, Clone, PartialEq)]
pub struct Arrivals(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// All gaps are alike.
    Even { gap_s: f64 },
    /// Gaps are exponential: a Poisson process.
    Poisson { gap_s: f64, table: Table },
    /// Gaps have a gamma law. That of a shape below one is that of the shape plus one times
    /// a power of a uniform number, which tables hold for any shape.
    Gamma {
        scale_s: f64,
        shape: f64,
        table: Table,
    },
    /// Seconds, which do not fall.
    At(Vec<f64>),
}

impl Arrivals {
    /// Independent gaps: `per_s` requests a second on average, and the standard deviation of gaps
    /// is `variation` times their mean: 1 is a Poisson process, 0 a clock.
    ///
    /// # Errors
    /// [`Error::Domain`] unless `per_s` is finite and positive and `variation` is 0 or from 0.011
    /// to 1,000.
    pub fn renewal(per_s: f64, variation: f64) -> Result<Self> {
        if !(per_s.is_finite() && per_s > 0.0) {
            return Err(Error::domain("arrivals_per_s", per_s, "finite and > 0"));
        }
        let gap_s = 1.0 / per_s;
        if variation == 0.0 {
            return Ok(Self(Kind::Even { gap_s }));
        }
        if !(LEAST_VARIATION..=GREATEST_VARIATION).contains(&variation) {
            let requirement = format!("0, or >= {LEAST_VARIATION} and <= {GREATEST_VARIATION}");
            return Err(Error::domain("arrivals_variation", variation, requirement));
        }
        if variation == 1.0 {
            let table = Table::compile(&Law::Exponential(Exponential::new(1.0, 0.0)?))?;
            return Ok(Self(Kind::Poisson { gap_s, table }));
        }
        let shape = 1.0 / (variation * variation);
        Ok(Self(Kind::Gamma {
            scale_s: gap_s / shape,
            shape,
            table: Table::compile(&Law::Gamma(Gamma::new(shape + 1.0, 1.0)?))?,
        }))
    }

    /// At these seconds.
    ///
    /// # Errors
    /// [`Error::Domain`] unless they are finite and do not fall.
    pub fn at(seconds: Vec<f64>) -> Result<Self> {
        let mut before = f64::NEG_INFINITY;
        for (index, &second) in seconds.iter().enumerate() {
            if !(second.is_finite() && second >= before) {
                let field = format!("arrivals_s.{index}");
                let requirement = "finite and not below the one before";
                return Err(Error::domain(&field, second, requirement));
            }
            before = second;
        }
        Ok(Self(Kind::At(seconds)))
    }

    /// The seconds at which the first `n` requests of a run come; of known times, no more than there
    /// are.
    ///
    /// # Errors
    /// [`Error::Stopped`] once `control` asks for it, and [`Error::Memory`] where there is none.
    pub(super) fn seconds(
        &self,
        random: &Random,
        run: u32,
        n: u32,
        control: &Control,
    ) -> Result<Vec<f64>> {
        let stream = Stream::new("", "arrivals", Use::Value);
        let words = |request: u32| random.words(stream, request, 0, run_word(run, 0));
        let gap: &dyn Fn(u32) -> f64 = match &self.0 {
            Kind::At(seconds) => return Ok(seconds.iter().copied().take(n as usize).collect()),
            Kind::Even { gap_s } => &|_| *gap_s,
            Kind::Poisson { gap_s, table } => &move |request| {
                let [word, more, ..] = words(request);
                gap_s * f64::from(table.value(word, || more))
            },
            Kind::Gamma {
                scale_s,
                shape,
                table,
            } => &move |request| {
                let [word, more, high, low] = words(request);
                let power = libm::exp(libm::log(uniform(high, low)) / shape);
                scale_s * f64::from(table.value(word, || more)) * power
            },
        };
        let mut at_s = 0.0;
        let mut seconds = filled(0.0, n as usize)?;
        for (request, second) in (0..n).zip(&mut seconds) {
            if request.is_multiple_of(REQUESTS_BETWEEN_LOOKS) {
                control.advance(0)?;
            }
            at_s += gap(request);
            *second = at_s;
        }
        Ok(seconds)
    }
}

/// A uniform number in (0, 1) of the upper 52 bits of two words.
fn uniform(high: u32, low: u32) -> f64 {
    let bits = (u64::from(high) << 32 | u64::from(low)) >> 12;
    (bits as f64 + 0.5) * libm::ldexp(1.0, -52)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: u32 = 400_000;

    /// Mean and coefficient of variation of the gaps.
    fn gaps(variation: f64) -> (f64, f64) {
        let arrivals = Arrivals::renewal(4.0, variation).unwrap();
        let seconds = arrivals
            .seconds(&Random::new(5), 3, N, &Control::default())
            .unwrap();
        let mut before = 0.0;
        let gaps = seconds
            .iter()
            .map(|&at| at - std::mem::replace(&mut before, at));
        let gaps: Vec<f64> = gaps.collect();
        let n = f64::from(N);
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps
            .iter()
            .map(|gap| (gap - mean) * (gap - mean))
            .sum::<f64>()
            / n;
        (mean, variance.sqrt() / mean)
    }

    #[test]
    fn gaps_have_the_mean_and_the_variation_that_are_asked_for() {
        for variation in [0.0, 0.02, 0.5, 1.0, 1.1, 3.0] {
            let (mean, found) = gaps(variation);
            let error = variation / f64::from(N).sqrt();
            assert!(
                (mean / 0.25 - 1.0).abs() <= 5.0 * error + 1e-9,
                "{variation} {mean}"
            );
            // The fourth moment of a gamma law, by the delta method.
            let of_variation = 0.5 * variation * (2.0 + 6.0 * variation * variation).sqrt();
            let limit = 5.0 * of_variation / f64::from(N).sqrt() + 1e-7;
            assert!((found - variation).abs() <= limit, "{variation} {found}");
        }
    }

    #[test]
    fn a_gamma_law_of_variation_one_is_a_poisson_process() {
        // Of shape 1, by the power, against the exponential table.
        let table = Table::compile(&Law::Gamma(Gamma::new(2.0, 1.0).unwrap())).unwrap();
        let power = Arrivals(Kind::Gamma {
            scale_s: 0.25,
            shape: 1.0,
            table,
        });
        let random = Random::new(7);
        let mut seconds = power.seconds(&random, 0, N, &Control::default()).unwrap();
        let n = seconds.len() as f64;
        // The times of a Poisson process, given the last one, are uniform.
        let last = seconds.pop().unwrap();
        let distance = seconds
            .iter()
            .enumerate()
            .map(|(k, at)| (at / last - k as f64 / n).abs())
            .fold(0.0, f64::max);
        assert!(distance < 1.95 / n.sqrt(), "{distance}");
        assert!((last / (0.25 * n) - 1.0).abs() < 5.0 / n.sqrt());
    }

    #[test]
    fn known_times_are_kept_and_must_not_fall() {
        let arrivals = Arrivals::at(vec![0.0, 0.5, 0.5, 9.0]).unwrap();
        let control = Control::default();
        let seconds = |n| arrivals.seconds(&Random::new(1), 0, n, &control);
        assert_eq!(seconds(3).unwrap(), [0.0, 0.5, 0.5]);
        let error = Arrivals::at(vec![1.0, 0.5]).unwrap_err();
        assert!(error.to_string().contains("arrivals_s.1"), "{error}");
        assert!(Arrivals::renewal(0.0, 1.0).is_err());
        assert!(Arrivals::renewal(1.0, 0.001).is_err());
    }
}
