//! Functions of exceedances that are dear, as polynomials through few of their values.

use super::exceedances::MIN_EXCEEDANCES;

/// Halvings of an interval after which its function counts as rough.
const MAX_HALVINGS: u32 = 6;

/// Logarithms of a function of exceedances by quartics, each through five even numbers.
///
/// An interval is halved until the quartic through it meets the function in the middle
/// between its numbers; its halves, which take in these values, then miss by about a
/// thirtieth of that. Around corners, and where the function is 0 or infinite, no quartic
/// does.
pub(super) struct Quartics {
    /// In order of numbers.
    pieces: Vec<Piece>,
}

/// One quartic.
struct Piece {
    low: f64,
    high: f64,
    /// Newton's differences of its values at five even numbers from `low` to `high`.
    differences: [f64; 5],
}

impl Quartics {
    /// Quartics that follow the logarithm of `exceedances`, a function that falls, to
    /// `tolerance` between the numbers `ends`, which have to include all corners; from
    /// where exceedances are never seen there are none.
    pub(super) fn of(mut ends: Vec<f64>, tolerance: f64, exceedances: impl Fn(f64) -> f64) -> Self {
        ends.retain(|x| x.is_finite() && *x >= 0.0);
        ends.sort_by(f64::total_cmp);
        ends.dedup();
        let log = |x: f64| libm::log(exceedances(x));
        let bottom = libm::log(MIN_EXCEEDANCES);
        let mut pieces = Vec::new();
        let mut at_low = ends.first().map_or(0.0, |&x| log(x));
        for pair in ends.windows(2) {
            if at_low < bottom {
                break;
            }
            let all = Interval {
                low: pair[0],
                high: pair[1],
            };
            let [_, rest @ ..] = all.even_numbers();
            let [a, b, c, d] = rest.map(log);
            all.follow(
                [at_low, a, b, c, d],
                tolerance,
                MAX_HALVINGS,
                &log,
                &mut pieces,
            );
            at_low = d;
        }
        Self { pieces }
    }

    /// The function at `x`; none where no quartic follows it.
    pub(super) fn at(&self, x: f64) -> Option<f64> {
        let after = self.pieces.partition_point(|piece| piece.low <= x);
        let piece = &self.pieces[after.checked_sub(1)?];
        (x <= piece.high).then(|| libm::exp(piece.at(x)))
    }
}

impl Piece {
    fn through(interval: Interval, mut values: [f64; 5]) -> Self {
        for order in 1..5 {
            for place in (order..5).rev() {
                values[place] = (values[place] - values[place - 1]) / order as f64;
            }
        }
        Self {
            low: interval.low,
            high: interval.high,
            differences: values,
        }
    }

    fn at(&self, x: f64) -> f64 {
        let place = 4.0 * (x - self.low) / (self.high - self.low);
        let [rest @ .., last] = self.differences;
        let add =
            |sum: f64, (order, difference): (usize, f64)| difference + (place - order as f64) * sum;
        rest.into_iter().enumerate().rev().fold(last, add)
    }
}

/// The numbers that a quartic is for.
#[derive(Debug, Clone, Copy)]
struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    /// Five even numbers from end to end.
    fn even_numbers(self) -> [f64; 5] {
        let quarter = 0.25 * (self.high - self.low);
        let [a, b, c] = [1.0, 2.0, 3.0].map(|k| self.low + k * quarter);
        [self.low, a, b, c, self.high]
    }

    /// Adds pieces with which the function `log`, whose five even values are given, is
    /// followed.
    fn follow(
        self,
        values: [f64; 5],
        tolerance: f64,
        halvings: u32,
        log: &impl Fn(f64) -> f64,
        pieces: &mut Vec<Piece>,
    ) {
        let coarse = Piece::through(self, values);
        let numbers = self.even_numbers();
        let middles: [f64; 4] = std::array::from_fn(|k| 0.5 * (numbers[k] + numbers[k + 1]));
        let between = middles.map(log);
        let [a, b, c, d, e] = values;
        let [ab, bc, cd, de] = between;
        let middle = numbers[2];
        let halves = [
            (
                Interval {
                    high: middle,
                    ..self
                },
                [a, ab, b, bc, c],
            ),
            (
                Interval {
                    low: middle,
                    ..self
                },
                [c, cd, d, de, e],
            ),
        ];
        let is_met = |(x, value): (f64, f64)| (coarse.at(x) - value).abs() <= tolerance;
        if middles.into_iter().zip(between).all(is_met) {
            let finer = halves.map(|(half, values)| Piece::through(half, values));
            pieces.extend(finer);
        } else if halvings > 0 {
            for (half, values) in halves {
                half.follow(values, tolerance, halvings - 1, log, pieces);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_quartic_is_followed_to_the_last_digits() {
        let quartic = |x: f64| 1.0 - x + 0.5 * x * x - 0.2 * x * x * x + 0.01 * x * x * x * x;
        let quartics = Quartics::of(vec![4.0, 0.5, 1.0], 1e-9, |x| libm::exp(quartic(x)));
        assert_eq!(quartics.pieces.len(), 4);
        for k in 0..=70 {
            let x = 0.5 + 0.05 * f64::from(k);
            let miss = libm::log(quartics.at(x).unwrap()) - quartic(x);
            assert!(miss.abs() < 1e-12, "{x}: {miss:e}");
        }
        assert!(quartics.at(0.49).is_none() && quartics.at(4.01).is_none());
    }

    #[test]
    fn a_smooth_function_is_asked_for_few_values() {
        let n_asked = Cell::new(0);
        let log = |x: f64| -50.0 * (x - 1.0) * x + libm::sin(3.0 * x);
        let quartics = Quartics::of(vec![1.0, 1.5, 2.0], 4e-6, |x| {
            n_asked.set(n_asked.get() + 1);
            libm::exp(log(x))
        });
        assert!(n_asked.get() < 60, "{}", n_asked.get());
        for k in 0..=1000 {
            let x = 1.0 + 0.001 * f64::from(k);
            let miss = libm::log(quartics.at(x).unwrap()) - log(x);
            assert!(miss.abs() < 4e-7, "{x}: {miss:e}");
        }
    }

    #[test]
    fn nothing_is_said_next_to_a_corner_or_where_there_are_no_exceedances() {
        let bent = |x: f64| libm::exp(-(x - 1.3).abs());
        let quartics = Quartics::of(vec![1.0, 2.0], 1e-6, bent);
        assert!(quartics.at(1.3).is_none());
        assert!((quartics.at(1.2).unwrap() / bent(1.2) - 1.0).abs() < 1e-9);
        assert!((quartics.at(1.7).unwrap() / bent(1.7) - 1.0).abs() < 1e-9);
        let ends = Quartics::of(vec![1.0, 2.0], 1e-6, |x| if x < 1.3 { 2.0 } else { 0.0 });
        assert!(ends.at(1.2).is_some() && ends.at(1.3).is_none() && ends.at(1.9).is_none());
    }
}
