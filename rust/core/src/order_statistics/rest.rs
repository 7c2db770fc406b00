//! The slowest of all whom no rare cause hits.

use std::ops::Range;

use super::census::Census;
use super::compiled::{Compiled, Rest, Shapes};
use super::grid::{CERTAIN, LogGrid, PAD, Shifts};
use super::lasting::Lasting;
use super::nested::{FINER, Nested, finer};
use super::pass::Passed;
use super::words::Descent;
use crate::control::Control;
use crate::curve::{Curve, LEAST, Place};
use crate::error::Result;
use crate::plan::Group;

/// Knots in one step of a grid where straight lines are to be followed.
const LINES: usize = 4;

/// What was drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Drawn {
    /// There is nobody else.
    Nobody,
    /// The factor of the slowest.
    Slowest(f64),
    /// So many are drawn by themselves that the others had better be, too.
    TooMany,
}

/// The law of the slowest of a group in one run.
pub(super) struct RestLaw<'a> {
    law: Option<Law<'a>>,
}

struct Law<'a> {
    curve: Curve,
    parts: Parts<'a>,
    /// Blocks that the law is of.
    n_blocks: f64,
    /// Blocks that it is not of, in order.
    apart: Vec<Range<u32>>,
}

/// What blocks contribute to a law.
enum Parts<'a> {
    Alike {
        shapes: &'a Shapes,
        factor: f64,
    },
    Shifted {
        of_unit: &'a Curve,
        /// The greatest contribution of a unit, by knot.
        most: Vec<f64>,
        /// By how much, in ln x, an atom may be misplaced.
        apart: f64,
    },
    Nested {
        nested: &'a Nested,
        greatest: f64,
        /// Step of the first of all exceedances, and these.
        first: i64,
        of_steps: Vec<f64>,
    },
}

impl<'a> RestLaw<'a> {
    pub(super) fn new(
        group: &'a Group,
        compiled: &'a Compiled,
        passed: &Passed,
        lasting: &Lasting<'a>,
        control: &Control,
    ) -> Result<Self> {
        let n_units = f64::from(group.n_units(compiled.block));
        let n_blocks = n_units - passed.apart.len() as f64;
        if n_blocks <= 0.0 {
            return Ok(Self { law: None });
        }
        let greatest = f64::from(passed.greatest);
        let of = |curve, parts| Law {
            curve,
            parts,
            n_blocks,
            apart: passed.apart.clone(),
        };
        let law = match &compiled.rest {
            Rest::Fixed => None,
            Rest::Alike(shapes) => {
                let mut counts: Vec<f64> = shapes.laws.iter().map(|(n, _)| *n).collect();
                for block in &passed.apart {
                    let unit = group.unit(compiled.block, group.stretch(block.start).0).0;
                    counts[shapes.law(unit, block.len() as u32)] -= 1.0;
                }
                let groups: Vec<(f64, &Curve)> = counts
                    .iter()
                    .zip(&shapes.laws)
                    .filter(|(n, _)| **n > 0.0)
                    .map(|(n, (_, curve))| (*n, curve))
                    .collect();
                let factor = greatest;
                let mut curve = Curve::slowest_of_all(&groups);
                if factor != 1.0 {
                    curve = curve.scaled(factor);
                }
                Some(of(curve, Parts::Alike { shapes, factor }))
            }
            Rest::Shifted { curve, grid } => passed.census.as_ref().map(|census| {
                // Those apart may have the greatest factor of all.
                let top = census
                    .factors()
                    .next()
                    .map_or(greatest, |(factor, _)| factor);
                let sums = Shifts::of(census, grid, top).slowest(grid);
                let (law, most) = with_jumps(grid, census, top, &sums);
                let parts = Parts::Shifted {
                    of_unit: curve,
                    most,
                    apart: grid.step,
                };
                of(law, parts)
            }),
            Rest::Nested(nested) => {
                let slowest = nested.slowest(group, passed, lasting, control)?;
                let (first, step) = (slowest.first, nested.step());
                let logs: Vec<f64> = slowest
                    .exceedances
                    .iter()
                    .map(|sum| libm::log(sum.max(LEAST)))
                    .collect();
                let fine: Vec<f64> = finer(&logs).into_iter().map(libm::exp).collect();
                let finest = step / FINER as f64;
                let curve = on_knots(first as f64 * step, finest, greatest, &fine);
                let of_steps = slowest.exceedances;
                Some(of(
                    curve,
                    Parts::Nested {
                        nested,
                        greatest,
                        first,
                        of_steps,
                    },
                ))
            }
        };
        Ok(Self { law })
    }

    pub(super) fn curve(&self) -> Option<&Curve> {
        self.law.as_ref().map(|law| &law.curve)
    }

    /// Draws the slowest of all but the ranks of `blocks`: the highest point of
    /// a Poisson process of which each block's part is taken out.
    pub(super) fn draw(
        &self,
        descent: &mut Descent,
        group: &Group,
        compiled: &Compiled,
        blocks: &[Range<u32>],
        factors_of: impl Fn(&Range<u32>) -> Vec<f32>,
    ) -> Drawn {
        let Some(law) = &self.law else {
            return Drawn::Nobody;
        };
        let mut n_out = blocks.len();
        if n_out > 0 && !law.apart.is_empty() {
            n_out = blocks.iter().filter(|block| !law.is_apart(block)).count();
        }
        if n_out as f64 >= law.n_blocks {
            return Drawn::Nobody;
        }
        if 2.0 * n_out as f64 > law.n_blocks {
            return Drawn::TooMany;
        }
        loop {
            let exceedances = descent.next();
            let place = law.curve.place(exceedances);
            if n_out == 0 || exceedances > CERTAIN {
                return Drawn::Slowest(place.x);
            }
            let share = descent.share() * law.at(place);
            if share >= n_out as f64 * law.most(place) {
                return Drawn::Slowest(place.x);
            }
            let out: f64 = blocks
                .iter()
                .filter(|block| !law.is_apart(block))
                .map(|block| law.part(place, group, compiled, block, &factors_of(block)))
                .sum();
            if share >= out {
                return Drawn::Slowest(place.x);
            }
        }
    }
}

impl Law<'_> {
    fn is_apart(&self, block: &Range<u32>) -> bool {
        self.apart
            .binary_search_by_key(&block.start, |apart| apart.start)
            .is_ok()
    }

    /// Exceedances between the knots around a place.
    fn at(&self, place: Place) -> f64 {
        let knot = place.knot;
        self.curve.exceedances_of(knot) - self.curve.exceedances_of(knot + 1)
    }

    /// The most that a block contributes to them.
    fn most(&self, place: Place) -> f64 {
        match &self.parts {
            Parts::Alike { shapes, .. } if shapes.laws.len() == 1 => self.at(place) / self.n_blocks,
            Parts::Shifted { most, .. } => most[place.knot],
            _ => f64::INFINITY,
        }
    }

    /// What a block contributes to them.
    fn part(
        &self,
        place: Place,
        group: &Group,
        compiled: &Compiled,
        block: &Range<u32>,
        factors: &[f32],
    ) -> f64 {
        let (low, high) = (self.curve.xs()[place.knot], self.curve.xs()[place.knot + 1]);
        let between = |curve: &Curve, factor: f64| {
            let of = |x: f64| curve.exceedances(x / factor).min(CERTAIN);
            of(low) - of(high)
        };
        match &self.parts {
            Parts::Alike { shapes, .. } if shapes.laws.len() == 1 => self.at(place) / self.n_blocks,
            Parts::Alike { shapes, factor } => {
                let unit = group.unit(compiled.block, group.stretch(block.start).0).0;
                between(
                    &shapes.laws[shapes.law(unit, block.len() as u32)].1,
                    *factor,
                )
            }
            Parts::Shifted { of_unit, apart, .. } => {
                let factor = f64::from(factors.iter().copied().fold(0.0, f32::max));
                if high - low > 4.0 * f64::EPSILON * high {
                    return between(of_unit, factor);
                }
                // Whose atom this is lies a hair away from it.
                let of = |x: f64| of_unit.exceedances(x / factor).min(CERTAIN);
                of(low * (1.0 - apart)) - of(high * (1.0 + apart))
            }
            Parts::Nested {
                nested,
                greatest,
                first,
                of_steps,
            } => {
                let step = place.knot / FINER;
                let start = first + step as i64;
                let mut of = [0.0; 2];
                let at = start..start + 2;
                nested.add_block(group, block, factors, *greatest, &at, &mut of);
                self.at(place) * (of[0] - of[1]) / (of_steps[step] - of_steps[step + 1])
            }
        }
    }
}

/// By knot, the most that a unit contributes to what lies between it and the
/// next one: units are at most as slow as the slowest.
fn greatest_parts(grid: &LogGrid) -> Vec<f64> {
    let mut most: Vec<f64> = grid.exceedances[PAD..]
        .windows(2)
        .map(|pair| pair[0] - pair[1])
        .collect();
    most.push(0.0);
    for knot in (0..most.len() - 1).rev() {
        most[knot] = most[knot].max(most[knot + 1]);
    }
    most
}

/// The curve of exceedances at even steps of ln x above the greatest factor, with
/// the jumps of all units' atoms; and by knot the most that a unit contributes.
fn with_jumps(grid: &LogGrid, census: &Census, top: f64, sums: &[f64]) -> (Curve, Vec<f64>) {
    let smooth = greatest_parts(grid);
    if grid.atoms.is_empty() && grid.is_smooth {
        return (on_knots(grid.first, grid.step, top, sums), smooth);
    }
    // Units were put between entries by straight lines, so those it must be.
    let parts = if grid.is_smooth { 1 } else { LINES };
    let start = libm::log(top) + grid.first;
    let mut jumps: Vec<(f64, f64, f64)> = Vec::new();
    for (factor, n) in census.factors() {
        let jumps_of = grid
            .atoms
            .iter()
            .map(|&(log, jump)| (libm::log(factor) + log, jump));
        jumps.extend(jumps_of.map(|(log, jump)| (log, n * jump, jump)));
    }
    jumps.retain(|jump| jump.0 >= start);
    jumps.sort_by(|a, b| b.0.total_cmp(&a.0));
    // From the top down: exceedances rise by each jump that is passed.
    let (mut knots, mut jumps) = (Vec::new(), jumps.into_iter().peekable());
    let mut above = 0.0;
    for fine in (0..sums.len() * parts).rev() {
        let place = fine / parts;
        let on_line = |log: f64| {
            let share = ((log - start) / grid.step - place as f64).clamp(0.0, 1.0);
            let next = sums.get(place + 1).copied().unwrap_or(0.0);
            sums[place] + (next - sums[place]) * share
        };
        let log = start + grid.step * fine as f64 / parts as f64;
        while let Some((at, sum, one)) = jumps.next_if(|jump| jump.0 >= log) {
            knots.push((at, on_line(at) + above, smooth[place]));
            above += sum;
            knots.push((at, on_line(at) + above, one));
        }
        knots.push((log, on_line(log) + above, smooth[place]));
        if on_line(log) + above > CERTAIN {
            break;
        }
    }
    knots.reverse();
    let last = knots
        .iter()
        .position(|knot| knot.1 <= LEAST)
        .unwrap_or(knots.len());
    knots.truncate((last + 1).max(2));
    let xs = knots.iter().map(|knot| libm::exp(knot.0)).collect();
    let logs = knots
        .iter()
        .map(|knot| libm::log(knot.1.max(LEAST)))
        .collect();
    let most = knots.iter().map(|knot| knot.2).collect();
    (Curve::from_knots(xs, logs), most)
}

/// The curve of exceedances at even steps of ln x above a factor.
fn on_knots(first: f64, step: f64, factor: f64, sums: &[f64]) -> Curve {
    let n = sums
        .iter()
        .position(|&sum| sum <= LEAST)
        .unwrap_or(sums.len());
    let n = (n + 1).clamp(2, sums.len());
    let xs = (0..n)
        .map(|k| factor * libm::exp(first + step * k as f64))
        .collect();
    let logs = sums[..n]
        .iter()
        .map(|&sum| libm::log(sum.max(LEAST)))
        .collect();
    Curve::from_knots(xs, logs)
}
