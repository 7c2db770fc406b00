//! Clocks of units: when the next one fails.

use super::agenda::Agenda;
use crate::error::{Error, Result};
use crate::law::{Exponential, Gamma, Law, Weibull};
use crate::plan::{DrawnLaw, Duration};
use crate::random::{Random, Stream, Use, run_word};
use crate::table::Table;

/// Number of the event that says what a unit is like when a run begins.
const BEGIN: u32 = u32::MAX;
/// Number of the event that says how a unit's rate differs from that of its kind.
const RATE: u32 = u32::MAX - 1;
/// Number from which events are not counted on.
pub(super) const MOST_EVENTS: u32 = u32::MAX - 2;

/// Share of units whose failures are kept in order at a time.
const DUE_SHARE: f64 = 1.0 / 32.0;

const WORDS: f64 = 4_294_967_296.0;

/// How old units are when a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ages {
    /// As they are in a cluster that has been running for long, some in repair.
    Equilibrium,
    /// All new.
    New,
}

/// Failures of one kind, of the units of one pool, or of the job.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitFailures {
    pool: Option<usize>,
    unit_gpus: u32,
    n_units: u32,
    per_s: f64,
    shape: f64,
    ages: Ages,
    keeps_local: bool,
    hang_s: f64,
    saves_first: bool,
    event: Stream,
    /// Seconds to a failure of a unit whose mean is one second.
    gaps: Table,
    /// Of what [`Begin`] and [`rate_factor`] need; none of a constant rate for all.
    ages_table: Option<Table>,
    spread: Option<(f64, Table)>,
    repair: Option<Duration>,
}

/// What a caller says of failures.
#[derive(Debug, Clone)]
pub struct Kind<'a> {
    /// Name, which is a part of their random addresses.
    pub name: &'a str,
    /// Pool and its name; none for the job.
    pub pool: Option<(usize, &'a str)>,
    /// GPUs of a unit; of no importance for the job.
    pub unit_gpus: u32,
    /// Units.
    pub n_units: u32,
    /// Failures of a unit a second in service.
    pub per_s: f64,
    /// 1 for a constant rate; another shape is that of a Weibull law.
    pub shape: f64,
    /// How old units are when a run begins.
    pub ages: Ages,
    /// Standard deviation over mean of the rates of units.
    pub rate_spread: f64,
    /// Law of the time of a repair, and its unit in seconds; none where a unit is back at once.
    pub repair: Option<(&'a DrawnLaw, f64)>,
    /// Whether local checkpoints survive them.
    pub keeps_local: bool,
    /// Seconds for which the job hangs before detection begins.
    pub hang_s: f64,
    /// Whether the job, which runs on meanwhile, saves its state before it restarts; only for those
    /// of the job itself.
    pub saves_first: bool,
}

impl UnitFailures {
    /// Failures of a kind.
    ///
    /// # Errors
    /// [`Error::Domain`] for a rate, a shape, a spread or a law that cannot be drawn.
    pub fn new(kind: &Kind<'_>) -> Result<Self> {
        let within = |error: Error| error.within(&format!("failures.{}", kind.name));
        Self::judged(kind).map_err(within)
    }

    fn judged(kind: &Kind<'_>) -> Result<Self> {
        if !(kind.per_s >= 0.0 && kind.per_s.is_finite()) {
            return Err(Error::domain(
                "per_hour",
                kind.per_s * 3600.0,
                "finite and >= 0",
            ));
        }
        if !(kind.rate_spread >= 0.0 && kind.rate_spread <= 100.0) {
            return Err(Error::domain(
                "rate_spread",
                kind.rate_spread,
                ">= 0 and <= 100",
            ));
        }
        if kind.saves_first && kind.pool.is_some() {
            return Err(Error::domain(
                "saves_first",
                1.0,
                "absent for units of a pool",
            ));
        }
        if !(kind.hang_s >= 0.0 && kind.hang_s.is_finite()) {
            return Err(Error::domain("hang_s", kind.hang_s, "finite and >= 0"));
        }
        let (gaps, ages_table) = if kind.shape == 1.0 {
            (Law::Exponential(Exponential::new(1.0, 0.0)?), None)
        } else {
            let scale = 1.0 / libm::tgamma(1.0 + 1.0 / kind.shape);
            let law = Law::Weibull(Weibull::new(kind.shape, scale)?);
            // The life that somebody meets at a random time, to the power of the shape and in units
            // of the scale, is a gamma number.
            let met = Law::Gamma(Gamma::new(1.0 + 1.0 / kind.shape, 1.0)?);
            (law, Some(Table::compile(&met)?))
        };
        let spread = if kind.rate_spread > 0.0 {
            let shape = 1.0 / (kind.rate_spread * kind.rate_spread);
            Some((
                shape,
                Table::compile(&Law::Gamma(Gamma::new(shape + 1.0, 1.0)?))?,
            ))
        } else {
            None
        };
        let pool_name = kind.pool.map_or("", |(_, name)| name);
        Ok(Self {
            pool: kind.pool.map(|(index, _)| index),
            unit_gpus: kind.unit_gpus,
            n_units: kind.n_units,
            per_s: kind.per_s,
            shape: kind.shape,
            ages: kind.ages,
            keeps_local: kind.keeps_local,
            hang_s: kind.hang_s,
            saves_first: kind.saves_first,
            event: Stream::new(pool_name, kind.name, Use::Event),
            gaps: Table::compile(&gaps)?,
            ages_table,
            spread,
            repair: kind
                .repair
                .map(|(law, unit_s)| Duration::new(law, unit_s))
                .transpose()
                .map_err(|error| error.within("repair_hours"))?,
        })
    }

    /// Index of the pool whose units fail; none for the job.
    #[must_use]
    pub fn pool(&self) -> Option<usize> {
        self.pool
    }

    /// GPUs of a unit.
    #[must_use]
    pub fn unit_gpus(&self) -> u32 {
        self.unit_gpus
    }

    /// Units.
    #[must_use]
    pub fn n_units(&self) -> u32 {
        self.n_units
    }

    /// Whether local checkpoints survive them.
    #[must_use]
    pub fn keeps_local(&self) -> bool {
        self.keeps_local
    }

    /// Seconds for which the job hangs before detection begins.
    #[must_use]
    pub fn hang_s(&self) -> f64 {
        self.hang_s
    }

    /// Whether the job saves its state before it restarts.
    #[must_use]
    pub fn saves_first(&self) -> bool {
        self.saves_first
    }

    /// The stream of their events.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.event
    }

    /// Whether all units have one constant rate, so that one clock is enough for all of them.
    fn is_pooled(&self) -> bool {
        self.shape == 1.0 && self.spread.is_none()
    }

    /// Factor on the rate of a unit, of mean one over units.
    ///
    /// A gamma number of shape a is one of shape a + 1 times a uniform number to the power 1 / a
    /// (Marsaglia and Tsang, 2000), which f32 holds for small a, too.
    fn rate_factor(&self, random: &Random, unit: u32, c2: u32) -> f64 {
        let Some((shape, table)) = &self.spread else {
            return 1.0;
        };
        let words = random.words(self.event, unit, RATE, c2);
        let above = f64::from(table.value(words[0], || words[2]));
        above * libm::pow(uniform(words[1]), 1.0 / shape) / shape
    }

    /// Seconds to the next failure of a unit that is new.
    fn gap_s(&self, words: [u32; 4], factor: f64) -> f64 {
        f64::from(self.gaps.value(words[0], || words[2])) / (self.per_s * factor)
    }

    /// Seconds to the first failure of a unit that has been in service for long.
    fn first_s(&self, words: [u32; 4], factor: f64) -> f64 {
        let Some(met) = &self.ages_table else {
            return self.gap_s(words, factor);
        };
        // Any share of the life that is met may be left.
        let life = libm::pow(
            f64::from(met.value(words[0], || words[2])),
            1.0 / self.shape,
        );
        let scale_s = 1.0 / (libm::tgamma(1.0 + 1.0 / self.shape) * self.per_s * factor);
        uniform(words[1]) * life * scale_s
    }

    /// Seconds of a repair; 0 where a unit is back at once.
    fn repair_s(&self, words: [u32; 4]) -> f64 {
        let repair = self.repair.as_ref();
        repair.map_or(0.0, |repair| repair.seconds(words[1], || words[2]))
    }
}

/// A number in (0, 1).
fn uniform(word: u32) -> f64 {
    (f64::from(word) + 0.5) / WORDS
}

/// A failure that comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub unit: u32,
    /// Number that the unit's next event has.
    pub number: u32,
    pub repair_s: f64,
}

/// Units that are in repair when a run begins, and the seconds that are left.
pub(super) type InRepair = Vec<(Failure, f64)>;

/// The clocks of one kind in one run. Their times are seconds of clocks, which may stand.
#[derive(Debug, Clone)]
pub(super) struct Clocks<'a> {
    pub failures: &'a UnitFailures,
    random: &'a Random,
    c2: u32,
    pub next_s: f64,
    units: Units,
}

#[derive(Debug, Clone)]
enum Units {
    /// One clock for all units, and the number of its next event.
    Pooled(u32),
    /// The next failure of each unit that fails before the run ends.
    Each(Agenda),
}

impl<'a> Clocks<'a> {
    /// Clocks at the begin of a run, of which none is asked beyond `end_s`, and the units that are
    /// in repair then.
    pub fn new(
        failures: &'a UnitFailures,
        random: &'a Random,
        run: u32,
        end_s: f64,
    ) -> (Self, InRepair) {
        let mut clocks = Self {
            failures,
            random,
            c2: run_word(run, 0),
            next_s: f64::INFINITY,
            units: Units::Pooled(0),
        };
        if failures.per_s == 0.0 || failures.n_units == 0 {
            return (clocks, Vec::new());
        }
        if failures.is_pooled() {
            let in_repair = clocks.pooled_in_repair();
            clocks.draw_pooled(0.0);
            return (clocks, in_repair);
        }
        let in_repair = clocks.each(end_s);
        (clocks, in_repair)
    }

    /// Units of equal and constant rates that are in repair in equilibrium.
    fn pooled_in_repair(&self) -> InRepair {
        let failures = self.failures;
        let Some(repair) = &failures.repair else {
            return Vec::new();
        };
        let down = failures.per_s * repair.mean_s;
        if failures.ages == Ages::New || down == 0.0 {
            return Vec::new();
        }
        // From one such unit to the next one, by numbers of units that are up.
        let log_up = -libm::log1p(down);
        let mut found = Vec::new();
        let mut unit = 0_u64;
        for number in 0.. {
            let words = self.random.words(failures.event, BEGIN, number, self.c2);
            unit += (libm::log(uniform(words[0])) / log_up) as u64;
            if unit >= u64::from(failures.n_units) {
                break;
            }
            let failure = Failure {
                unit: unit as u32,
                number: 0,
                repair_s: 0.0,
            };
            found.push((failure, repair.left_s(uniform(words[1]))));
            unit += 1;
        }
        found
    }

    /// Draws when the next of all units fails.
    fn draw_pooled(&mut self, now_s: f64) {
        if let Units::Pooled(number) = self.units {
            let words = self.random.words(self.failures.event, 0, number, self.c2);
            let all = f64::from(self.failures.n_units);
            self.next_s = now_s + self.failures.gap_s(words, all);
        }
    }

    /// Draws when each unit fails first.
    fn each(&mut self, end_s: f64) -> InRepair {
        let failures = self.failures;
        let mut firsts = Vec::new();
        let mut in_repair = Vec::new();
        for unit in 0..failures.n_units {
            let factor = failures.rate_factor(self.random, unit, self.c2);
            let words = self.random.words(failures.event, unit, BEGIN, self.c2);
            let first_s = match failures.ages {
                Ages::New => failures.gap_s(words, factor),
                Ages::Equilibrium => {
                    if let Some(repair) = &failures.repair {
                        let down = failures.per_s * factor * repair.mean_s;
                        if uniform(words[3]) * (1.0 + down) < down {
                            // The word below its threshold is uniform there.
                            let left = uniform(words[3]) * (1.0 + down) / down;
                            let failure = Failure {
                                unit,
                                number: 0,
                                repair_s: 0.0,
                            };
                            in_repair.push((failure, repair.left_s(left)));
                            continue;
                        }
                    }
                    failures.first_s(words, factor)
                }
            };
            if first_s < end_s {
                firsts.push((first_s.to_bits(), unit, 0));
            }
        }
        let agenda = Agenda::new(firsts, DUE_SHARE / failures.per_s);
        self.next_s = agenda.first_s();
        self.units = Units::Each(agenda);
        in_repair
    }

    /// Takes the next failure, which comes at `next_s`.
    pub fn take(&mut self) -> Result<Failure> {
        let failures = self.failures;
        match &mut self.units {
            Units::Pooled(number) => {
                let words = self.random.words(failures.event, 0, *number, self.c2);
                let unit = (u64::from(words[3]) * u64::from(failures.n_units)) >> 32;
                let repair_s = failures.repair_s(words);
                *number += 1;
                check_number(*number)?;
                let now_s = self.next_s;
                self.draw_pooled(now_s);
                Ok(Failure {
                    unit: unit as u32,
                    number: 0,
                    repair_s,
                })
            }
            Units::Each(agenda) => {
                let Some((unit, number)) = agenda.take() else {
                    return Err(Error::domain("failures", 0.0, "a unit that fails"));
                };
                self.next_s = agenda.first_s();
                let words = self.random.words(failures.event, unit, number, self.c2);
                check_number(number)?;
                Ok(Failure {
                    unit,
                    number: number + 1,
                    repair_s: failures.repair_s(words),
                })
            }
        }
    }

    /// Units that are known to fail next, up to `most` of them; none if all share a clock.
    pub fn upcoming(&self, most: usize) -> Option<impl Iterator<Item = u32>> {
        match &self.units {
            Units::Pooled(_) => None,
            Units::Each(agenda) => Some(agenda.upcoming(most)),
        }
    }

    /// Lets the clock of a unit run anew, which has been repaired.
    ///
    /// Units with one clock for all need nothing: a constant rate has no memory.
    pub fn renew(&mut self, unit: u32, number: u32, now_s: f64) {
        let failures = self.failures;
        if let Units::Each(agenda) = &mut self.units {
            // Each event says how long its unit was up before it, and is in repair after it.
            let words = self.random.words(failures.event, unit, number, self.c2);
            let factor = failures.rate_factor(self.random, unit, self.c2);
            let next_s = now_s + failures.gap_s(words, factor);
            agenda.add(next_s, unit, number);
            self.next_s = agenda.first_s();
        }
    }
}

fn check_number(number: u32) -> Result<()> {
    if number < MOST_EVENTS {
        return Ok(());
    }
    let requirement = format!("fewer than {MOST_EVENTS} of a kind in a run");
    Err(Error::domain("failures", f64::from(number), requirement))
}
