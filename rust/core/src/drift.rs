//! A stationary process that wanders from step to step, any step of which can be found alone.
//!
//! A standard normal number for each step, whose correlation with that of another step falls by
//! the factor rho from step to step: an autoregressive process of first order (a discrete
//! Ornstein-Uhlenbeck process). Found one after the other, step t would take t innovations. It is
//! halved instead, as Lévy's construction of Brownian motion is: steps that are multiples of `2^J`
//! are *anchors*, which are so far apart that they are independent in f64, and the number of a step
//! between follows from those on both sides of it. With `t` an odd multiple of `2^j`,
//! `r = rho^(2^j)` and innovation `z_t`,
//!
//! ```text
//! x_t = r / (1 + r^2) (x_(t - 2^j) + x_(t + 2^j)) + sqrt((1 - r^2) / (1 + r^2)) z_t
//! ```
//!
//! which is the normal law of `x_t` given both neighbours. An innovation has an address as any
//! random number has, so one of a later step is no harder to find than one of an earlier step.

use crate::error::{Error, Result};

/// Correlation times in steps, at most: anchors are then up to 2^32 steps apart. What stays alike
/// for longer lasts a run.
pub const MAX_CORRELATION_STEPS: f64 = 1e8;

/// `-ln` of the greatest correlation of two anchors, 2^-54: less than what f64 holds of a sum with 1.
const ANCHORS_APART: f64 = 54.0 * std::f64::consts::LN_2;

/// How a step that is an odd multiple of some power of two follows from its neighbours.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Level {
    /// Weight of either neighbour, `r / (1 + r^2)`.
    neighbours: f64,
    /// Weight of the step's own innovation, `sqrt((1 - r^2) / (1 + r^2))`.
    own: f64,
}

/// A stationary autoregressive process of first order.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// By the power of two.
    levels: Vec<Level>,
}

impl Drift {
    /// The process whose correlation falls to 1/e within `correlation_steps`.
    ///
    /// # Errors
    /// [`Error::Domain`] unless these are positive and at most [`MAX_CORRELATION_STEPS`].
    pub fn new(correlation_steps: f64) -> Result<Self> {
        if !(correlation_steps > 0.0 && correlation_steps <= MAX_CORRELATION_STEPS) {
            let requirement = format!("> 0 and <= {MAX_CORRELATION_STEPS:e}");
            return Err(Error::domain(
                "correlation_steps",
                correlation_steps,
                requirement,
            ));
        }
        let mut levels = Vec::new();
        let mut lag = 1.0;
        while lag / correlation_steps <= ANCHORS_APART {
            // With r = exp(-a) the weights are 1 / (2 cosh a) and sqrt(tanh a), which lose no
            // digits where r is next to 1.
            let a = lag / correlation_steps;
            levels.push(Level {
                neighbours: 0.5 / libm::cosh(a),
                own: libm::sqrt(libm::tanh(a)),
            });
            lag *= 2.0;
        }
        Ok(Self { levels })
    }

    /// Whether the number of a step is its own innovation, whatever that of other steps is.
    #[must_use]
    pub fn is_anchor(&self, step: u32) -> bool {
        u64::from(step).is_multiple_of(self.anchor_steps())
    }

    /// Steps from one anchor to the next one, a power of two.
    #[must_use]
    pub fn anchor_steps(&self) -> u64 {
        1 << self.levels.len()
    }

    /// Innovations that one step takes, at most.
    #[must_use]
    pub fn most_innovations(&self) -> usize {
        self.levels.len() + 2
    }
}

/// Steps of a process that were found on the way to the last one, so that the next one needs fewer.
///
/// What is found does not depend on the path: it only saves work.
#[derive(Debug, Clone, Default)]
pub struct DriftPath {
    /// From the one between two anchors on, each within the one before it and half as long.
    intervals: Vec<Interval>,
}

/// Steps from one whose number is known to another one.
#[derive(Debug, Clone, Copy)]
struct Interval {
    first: u64,
    at_first: f64,
    at_end: f64,
    at_middle: Option<f64>,
}

impl DriftPath {
    /// The number of a step of one process, given the innovations.
    pub fn at(&mut self, drift: &Drift, step: u32, innovation: impl Fn(u64) -> f64) -> f64 {
        let step = u64::from(step);
        let n_levels = drift.levels.len();
        while let Some(last) = self.intervals.last() {
            let steps = drift.anchor_steps() >> (self.intervals.len() - 1);
            if (last.first..last.first + steps).contains(&step) {
                break;
            }
            self.intervals.pop();
        }
        if self.intervals.is_empty() {
            let first = step - step % drift.anchor_steps();
            self.intervals.push(Interval {
                first,
                at_first: innovation(first),
                at_end: innovation(first + drift.anchor_steps()),
                at_middle: None,
            });
        }
        loop {
            let depth = self.intervals.len() - 1;
            let interval = &mut self.intervals[depth];
            if interval.first == step {
                return interval.at_first;
            }
            // An interval of one step begins with its only one, so there is a level left.
            let level = drift.levels[n_levels - 1 - depth];
            let middle = interval.first + (drift.anchor_steps() >> (depth + 1));
            let (at_first, at_end) = (interval.at_first, interval.at_end);
            let at_middle = *interval.at_middle.get_or_insert_with(|| {
                level.neighbours * (at_first + at_end) + level.own * innovation(middle)
            });
            let half = if step < middle {
                Interval {
                    first: interval.first,
                    at_first,
                    at_end: at_middle,
                    at_middle: None,
                }
            } else {
                Interval {
                    first: middle,
                    at_first: at_middle,
                    at_end,
                    at_middle: None,
                }
            };
            self.intervals.push(half);
        }
    }
}
