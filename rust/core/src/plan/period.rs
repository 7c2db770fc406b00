//! Causes that come regularly: in one step of every so many.

use std::sync::Arc;

use super::drawn_law::{DrawnLaw, Tables};
use crate::error::{Error, Result};

/// Numbers of a phase's law, at most: above this f32 does not tell whole numbers apart.
const MOST_STEPS: f32 = 16_777_216.0;

/// A period in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PeriodSpec {
    /// Steps from one time to the next one.
    pub steps: u32,
    /// The first step of a run in which it comes.
    pub phase: Phase,
}

/// The first step of a run in which a cause comes that comes regularly.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// One of a period, drawn for each unit and run with equal probability.
    Any,
    /// This step for all units.
    At(u32),
    /// Whole steps of a number that is drawn for each unit and run.
    Of(DrawnLaw),
}

/// In which steps a cause comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    steps: u32,
    phase: Drawn,
}

#[derive(Debug, Clone, PartialEq)]
enum Drawn {
    Any,
    At(u32),
    Of(Arc<Tables>),
}

impl Period {
    pub(super) fn compile(spec: &PeriodSpec) -> Result<Self> {
        if spec.steps == 0 {
            return Err(Error::domain("period_steps", 0.0, ">= 1"));
        }
        let phase = match &spec.phase {
            Phase::Any => Drawn::Any,
            Phase::At(step) => Drawn::At(step % spec.steps),
            Phase::Of(law) => {
                let tables = law.tables().map_err(|error| error.within("phase_steps"))?;
                if tables.greatest() > MOST_STEPS {
                    let requirement = format!("<= {MOST_STEPS} everywhere; a cap would do");
                    let value = f64::from(tables.greatest());
                    return Err(Error::domain("phase_steps", value, requirement));
                }
                Drawn::Of(tables)
            }
        };
        Ok(Self {
            steps: spec.steps,
            phase,
        })
    }

    /// Steps from one time to the next one.
    #[must_use]
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// The first step of a run in which the cause comes to a unit, given the words of the unit's
    /// phase: those of the number, of the component of a mixture, and of their further bits.
    #[must_use]
    pub fn phase(&self, [number, component, refine, _]: [u32; 4]) -> u32 {
        match &self.phase {
            Drawn::Any => any(number, self.steps),
            Drawn::At(step) => *step,
            Drawn::Of(tables) => {
                let refine = || refine;
                let table = match tables.only() {
                    Some(table) => table,
                    None => tables.chosen(component, refine),
                };
                (table.value(number, refine) as u64 % u64::from(self.steps)) as u32
            }
        }
    }

    /// The phases of several units, given their words: row k has word k of each unit.
    #[must_use]
    #[inline]
    pub fn phases<const N: usize>(&self, words: &[[u32; N]; 4]) -> [u32; N] {
        match &self.phase {
            Drawn::Any => words[0].map(|number| any(number, self.steps)),
            Drawn::At(step) => [*step; N],
            Drawn::Of(_) => std::array::from_fn(|unit| self.phase(words.map(|row| row[unit]))),
        }
    }

    /// Steps from step `now` of a period on until the cause comes to a unit of some phase: 0 if it
    /// does there.
    #[must_use]
    #[inline(always)]
    pub fn wait(&self, now: u32, phase: u32) -> u32 {
        if phase >= now {
            phase - now
        } else {
            phase + (self.steps - now)
        }
    }
}

/// The step of a period that a word stands for.
#[inline(always)]
fn any(number: u32, steps: u32) -> u32 {
    ((u64::from(number) * u64::from(steps)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::{Law, Uniform};

    fn period(steps: u32, phase: Phase) -> Period {
        Period::compile(&PeriodSpec { steps, phase }).unwrap()
    }

    #[test]
    fn a_wait_ends_at_the_next_step_of_the_phase() {
        for steps in [1, 2, 3, 4, 5, 265] {
            for phase in 0..steps {
                let period = period(steps, Phase::At(phase));
                for step in 0..1000 {
                    let next = (step..).find(|&then| then % steps == phase).unwrap();
                    assert_eq!(period.wait(step % steps, phase), next - step);
                }
            }
        }
    }

    #[test]
    fn a_phase_is_a_step_of_the_period() {
        assert_eq!(period(5, Phase::At(13)).phase([0; 4]), 3);
        let any = period(265, Phase::Any);
        assert_eq!(any.phase([0, 0, 0, 0]), 0);
        assert_eq!(any.phase([1 << 31, 0, 0, 0]), 132);
        assert_eq!(any.phase([u32::MAX, 0, 0, 0]), 264);
        let law = Law::Uniform(Uniform::new(100.0, 400.0).unwrap());
        let drawn = period(265, Phase::Of(law.into()));
        assert_eq!(drawn.phase([1 << 30, 0, 0, 0]), 175);
        assert_eq!(drawn.phase([3 << 30, 0, 0, 0]), 325 - 265);
    }

    #[test]
    fn no_step_is_no_period() {
        let spec = PeriodSpec {
            steps: 0,
            phase: Phase::Any,
        };
        assert!(Period::compile(&spec).is_err());
    }
}
