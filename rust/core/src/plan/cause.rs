//! Causes of variation, validated and compiled.

use std::ops::Range;
use std::sync::Arc;

use super::drawn_law::{DrawnLaw, Tables};
use super::episode::{Episode, EpisodeSpec};
use super::kinds::{Affects, Effect, Scope, Span};
use super::names::check_name;
use super::period::{Period, PeriodSpec};
use super::pool::Pool;
use super::share::Share;
use super::units::Units;
use crate::drift::Drift;
use crate::error::{Error, Result};
use crate::law::{Distribution, Law};
use crate::random::{Stream, Use};
use crate::table::Table;

/// Tail probability of a severity that several episodes of a unit at once may have.
const ORDINARY: f64 = 1e-3;

/// A cause in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct CauseSpec {
    /// Name of the cause, the second part of its random addresses.
    pub name: String,
    /// What it acts on.
    pub affects: Affects,
    /// How it acts.
    pub effect: Effect,
    /// Who shares one draw.
    pub scope: Scope,
    /// How long one draw lasts.
    pub span: Span,
    /// Probability that it occurs, for each draw.
    pub probability: f64,
    /// Its size where it occurs; seconds for a stall.
    pub law: DrawnLaw,
    /// Indices of the pools that it acts in.
    pub pools: Vec<usize>,
    /// The units that it acts on, by first and last number in its only pool; all by default.
    pub units: Option<Vec<(u32, u32)>>,
    /// In which steps it may occur, where it comes regularly; in all by default.
    pub period: Option<PeriodSpec>,
    /// Steps in which the correlation of its draws with each other falls to 1/e, where these
    /// drift; by default each step has a draw of its own.
    pub correlation_steps: Option<f64>,
    /// How much its factor grows from each step to the next one, as a share of what it is in the
    /// first; 0 where it does not.
    pub trend_per_step: f64,
    /// How often episodes begin and how long they last, for span episode only.
    pub episode: Option<EpisodeSpec>,
}

/// The random streams of a cause in one pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// Words of the size.
    pub value: Stream,
    /// Words of the occurrence.
    pub occurrence: Stream,
    /// Words that choose a component of a mixture.
    pub component: Stream,
    /// The 32 more bits of any of these words.
    pub refine: Stream,
    /// Words of the units' phases, where it comes regularly.
    pub phase: Stream,
    /// Words of the units in which a rare cause occurs, one after another.
    pub slowest: Stream,
    /// Words of a unit's episodes: gaps between them, durations and severities.
    pub event: Stream,
}

/// A cause with its law compiled into tables.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause {
    name: String,
    affects: Affects,
    effect: Effect,
    scope: Scope,
    span: Span,
    /// The numbers for which it occurs; none where it never does.
    occurrence: Option<Share>,
    law: DrawnLaw,
    tables: Arc<Tables>,
    probability: f64,
    /// Share of all ranks and steps that it acts on.
    acting_share: f64,
    /// By pool; none where the cause does not act.
    streams: Vec<Option<Streams>>,
    /// The units that it acts on, unless these are all.
    units: Option<Units>,
    /// The steps in which it may occur, unless these are all.
    period: Option<Period>,
    /// How its draws follow each other from step to step, where they drift.
    drift: Option<Drift>,
    /// How much its factor grows from each step to the next one.
    trend_per_step: f64,
    /// How often its episodes begin and how long they last, if it has any.
    episode: Option<Episode>,
}

impl Cause {
    pub(super) fn compile(spec: CauseSpec, pools: &[Pool]) -> Result<Self> {
        check_name("causes", &spec.name)?;
        let path = format!("causes.{}", spec.name);
        if !(0.0..=1.0).contains(&spec.probability) {
            return Err(
                Error::domain("probability", spec.probability, ">= 0 and <= 1").within(&path),
            );
        }
        let units = match &spec.units {
            None => None,
            Some(ranges) => Some(named_units(ranges, &spec).map_err(|error| error.within(&path))?),
        };
        let period = match &spec.period {
            None => None,
            Some(period) => Some(periodic(period, &spec).map_err(|error| error.within(&path))?),
        };
        let drift = match spec.correlation_steps {
            None => None,
            Some(steps) => Some(drifting(steps, &spec).map_err(|error| error.within(&path))?),
        };
        check_trend(&spec).map_err(|error| error.within(&path))?;
        let episode = episode_of(&spec).map_err(|error| error.within(&path))?;
        let mut streams = vec![None; pools.len()];
        for &index in &spec.pools {
            let Some(pool) = pools.get(index) else {
                let value = index as f64;
                return Err(Error::domain("pools", value, "the index of a pool").within(&path));
            };
            if spec.scope == Scope::Rack && !pool.has_racks() {
                let path = format!("pools.{}", pool.name());
                return Err(Error::Field {
                    field: "rack_gpus".to_owned(),
                    missing: true,
                }
                .within(&path));
            }
            let pool = spec.scope.pool_of_address(pool.name());
            let stream = |usage| Stream::new(pool, &spec.name, usage);
            streams[index] = Some(Streams {
                value: stream(Use::Value),
                occurrence: stream(Use::Occurrence),
                component: stream(Use::Component),
                refine: stream(Use::Refine),
                phase: stream(Use::Phase),
                slowest: stream(Use::Slowest),
                event: stream(Use::Event),
            });
        }
        let tables = spec.law.tables();
        let tables = tables.map_err(|error| error.within("law").within(&path))?;
        let share = match (&units, spec.pools.first()) {
            (Some(units), Some(&pool)) => units.share(spec.scope, &pools[pool]),
            _ => 1.0,
        };
        let share = share / f64::from(period.as_ref().map_or(1, Period::steps));
        Ok(Self {
            name: spec.name,
            affects: spec.affects,
            effect: spec.effect,
            scope: spec.scope,
            span: spec.span,
            occurrence: Share::new(spec.probability),
            law: spec.law,
            tables,
            probability: spec.probability,
            acting_share: share * spec.probability,
            streams,
            units,
            period,
            drift,
            trend_per_step: spec.trend_per_step,
            episode,
        })
    }

    /// The cause in a plan in which each gang is one rank, so that a replica is
    /// one GPU.
    pub(super) fn with_gangs_as_ranks(&self) -> Self {
        let scope = match self.scope {
            Scope::Replica => Scope::Gpu,
            scope => scope,
        };
        Self {
            scope,
            ..self.clone()
        }
    }

    /// Name of the cause.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it acts on.
    #[must_use]
    pub fn affects(&self) -> Affects {
        self.affects
    }

    /// How it acts.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Who shares one draw.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// How long one draw lasts.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Its size where it occurs.
    #[must_use]
    pub fn law(&self) -> &Law {
        self.law.law()
    }

    /// That law, with its tables.
    #[must_use]
    pub fn drawn_law(&self) -> &DrawnLaw {
        &self.law
    }

    /// Probability that it occurs, for each draw.
    #[must_use]
    pub fn probability(&self) -> f64 {
        self.probability
    }

    /// Whether it acts on a unit of a pool in which it acts.
    #[must_use]
    pub fn acts_on(&self, unit: u32) -> bool {
        self.units.as_ref().is_none_or(|units| units.holds(unit))
    }

    /// Whether it acts on any of some consecutive units.
    #[must_use]
    pub fn acts_on_any(&self, units: &Range<u32>) -> bool {
        self.units.as_ref().is_none_or(|own| own.any_in(units))
    }

    /// Whether it acts on some units of its pool only.
    #[must_use]
    pub fn names_units(&self) -> bool {
        self.units.is_some()
    }

    /// The steps in which it may occur, unless these are all.
    #[must_use]
    pub fn period(&self) -> Option<&Period> {
        self.period.as_ref()
    }

    /// How its draws follow each other from step to step, where they drift.
    #[must_use]
    pub fn drift(&self) -> Option<&Drift> {
        self.drift.as_ref()
    }

    /// Whether its factor grows from step to step.
    #[must_use]
    pub fn grows(&self) -> bool {
        self.trend_per_step > 0.0
    }

    /// Whether its value in a step follows from its own random words, and from nothing else of the
    /// step.
    #[must_use]
    pub fn is_of_words(&self) -> bool {
        self.drift.is_none() && !self.grows()
    }

    /// What its factor of the first step has grown by in another one.
    #[must_use]
    pub fn growth(&self, step: u32) -> f64 {
        1.0 + self.trend_per_step * f64::from(step)
    }

    /// How often its episodes begin and how long they last, if it has any.
    #[must_use]
    pub fn episode(&self) -> Option<&Episode> {
        self.episode.as_ref()
    }

    /// Expected factor or expected seconds of one draw for the average rank and step; what does
    /// not occur is neutral. Of a factor that grows, that of the first step.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let neutral = f64::from(self.effect.neutral());
        let of_unit = match &self.episode {
            // Episodes of a unit at a time have a Poisson law, and multiply.
            Some(episode) => libm::exp(episode.at_a_time() * (self.law.mean() - 1.0)),
            None => self.law.mean(),
        };
        neutral + self.acting_share * (of_unit - neutral)
    }

    /// The least factor that a draw can give; 0 for a stall. Of episodes that of as many as come
    /// together, of which one has the least and the others an ordinary one.
    #[must_use]
    pub fn least(&self) -> f32 {
        let least = self.tables.least();
        match (self.effect, self.occurrence, &self.episode) {
            (_, _, Some(episode)) => {
                let ordinary = self.law.law().quantile(ORDINARY) as f32;
                least.min(1.0) * libm::powf(ordinary.min(1.0), episode.most_others() as f32)
            }
            (Effect::Stall, ..) => 0.0,
            (Effect::Slowdown, None, _) => 1.0,
            (Effect::Slowdown, Some(_), _) if self.is_certain() => least,
            (Effect::Slowdown, Some(_), _) => least.min(1.0),
        }
    }

    /// The greatest factor or the most seconds that a draw can give. Of episodes that of as many as
    /// come together, of which one has the greatest and the others an ordinary one.
    #[must_use]
    pub fn greatest(&self) -> f32 {
        let neutral = self.effect.neutral();
        let greatest = self.tables.greatest();
        match (self.occurrence, &self.episode) {
            (_, Some(episode)) => {
                let ordinary = self.law.law().upper_quantile(ORDINARY) as f32;
                greatest.max(1.0) * libm::powf(ordinary.max(1.0), episode.most_others() as f32)
            }
            (None, _) => neutral,
            (Some(_), _) if self.is_certain() => greatest,
            (Some(_), _) => greatest.max(neutral),
        }
    }

    /// Its random streams in a pool, if it acts there.
    #[must_use]
    pub fn streams(&self, pool: usize) -> Option<Streams> {
        self.streams[pool]
    }

    /// Whether it acts in all pools.
    #[must_use]
    pub fn acts_everywhere(&self) -> bool {
        self.streams.iter().all(Option::is_some)
    }

    /// Whether it occurs at each draw of every unit, so that no occurrence word is needed.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.occurrence == Some(Share::ALL) && self.units.is_none() && self.period.is_none()
    }

    /// Whether the cause may occur, by the occurrence word alone: a fast first test.
    #[must_use]
    #[inline(always)]
    pub fn may_occur(&self, word: u32) -> bool {
        self.occurrence.is_some_and(|share| share.may_hold(word))
    }

    /// Whether it occurs; `refine` gives 32 more bits where the word ties.
    #[must_use]
    pub fn occurs(&self, word: u32, refine: impl FnOnce() -> u32) -> bool {
        self.occurrence
            .is_some_and(|share| share.holds(word, refine))
    }

    /// The table of its law, unless that is a mixture.
    #[must_use]
    pub fn only_table(&self) -> Option<&Table> {
        self.tables.only()
    }

    /// The table of the law that a component word chooses.
    #[must_use]
    pub fn chosen_table(&self, word: u32, refine: impl Fn() -> u32) -> &Table {
        self.tables.chosen(word, refine)
    }
}

/// Returns the units that a cause names.
fn named_units(ranges: &[(u32, u32)], spec: &CauseSpec) -> Result<Units> {
    let refuse = |value: usize, requirement: &str| {
        Err(Error::domain("units", value as f64, requirement.to_owned()))
    };
    if spec.pools.len() != 1 {
        return refuse(spec.pools.len(), "those of one pool");
    }
    if spec.scope.is_pool_wide() {
        return refuse(ranges.len(), "absent for a scope that has one unit");
    }
    match Units::new(ranges) {
        Some(units) => Ok(units),
        None => refuse(
            ranges.len(),
            "one range or more, each from its first number to its last",
        ),
    }
}

/// Returns the period of a cause that comes regularly.
fn periodic(period: &PeriodSpec, spec: &CauseSpec) -> Result<Period> {
    if spec.span == Span::Run {
        let requirement = "absent for span run, which has one draw for all steps";
        let value = f64::from(period.steps);
        return Err(Error::domain("period_steps", value, requirement));
    }
    Period::compile(period)
}

/// Returns how often the episodes of a cause begin and how long they last; none of another span.
fn episode_of(spec: &CauseSpec) -> Result<Option<Episode>> {
    let Some(episode) = &spec.episode else {
        if spec.span == Span::Episode {
            return Err(Error::Field {
                field: "episode".to_owned(),
                missing: true,
            });
        }
        return Ok(None);
    };
    let refuse = |field: &str, value: f64, requirement: &str| {
        Err(Error::domain(field, value, requirement.to_owned()))
    };
    if spec.span != Span::Episode {
        return Err(Error::Field {
            field: "episode".to_owned(),
            missing: false,
        });
    }
    if spec.effect != Effect::Slowdown {
        return refuse("effect", 0.0, "slowdown for episodes");
    }
    if !matches!(
        spec.scope,
        Scope::Gpu | Scope::Node | Scope::Domain | Scope::Rack
    ) {
        return refuse("scope", 0.0, "gpu, node, domain or rack for episodes");
    }
    if spec.probability != 1.0 {
        return refuse("probability", spec.probability, "1 for episodes");
    }
    if let Some(period) = &spec.period {
        let steps = f64::from(period.steps);
        return refuse("period_steps", steps, "absent for episodes");
    }
    Episode::compile(episode).map(Some)
}

/// Refuses a factor that cannot grow from step to step.
fn check_trend(spec: &CauseSpec) -> Result<()> {
    let trend = spec.trend_per_step;
    let refuse = |requirement: &str| {
        let requirement = requirement.to_owned();
        Err(Error::domain("trend_per_step", trend, requirement))
    };
    if !(trend >= 0.0 && trend.is_finite()) {
        return refuse("finite and >= 0");
    }
    if trend == 0.0 {
        return Ok(());
    }
    if spec.effect != Effect::Slowdown {
        return refuse("absent for a stall");
    }
    if spec.span != Span::Step {
        return refuse("absent for any span but step");
    }
    if !spec.scope.is_pool_wide() {
        return refuse("absent for any scope but pool and cluster");
    }
    if spec.probability < 1.0 || spec.period.is_some() {
        return refuse("absent for what does not act in every step");
    }
    Ok(())
}

/// Returns how the draws of a cause follow each other from step to step.
fn drifting(correlation_steps: f64, spec: &CauseSpec) -> Result<Drift> {
    let refuse = |requirement: &str| {
        let requirement = requirement.to_owned();
        Err(Error::domain(
            "correlation_steps",
            correlation_steps,
            requirement,
        ))
    };
    if spec.span != Span::Step {
        return refuse("absent for any span but step");
    }
    if !matches!(spec.scope, Scope::Node | Scope::Pool | Scope::Cluster) {
        return refuse("absent for any scope but node, pool and cluster");
    }
    if spec.period.is_some() {
        return refuse("absent for what comes regularly");
    }
    // Each draw would choose its law by itself, and so would not drift.
    if spec.law.law().components().len() > 1 {
        return refuse("absent for a mixture");
    }
    Drift::new(correlation_steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::law::Constant;

    fn constant(value: f64) -> Law {
        Law::Constant(Constant::new(value).unwrap())
    }

    fn cause(law: Law, probability: f64) -> Cause {
        let spec = CauseSpec {
            name: "cause".to_owned(),
            affects: Affects::Compute,
            effect: Effect::Slowdown,
            scope: Scope::Gpu,
            span: Span::Step,
            probability,
            law: law.into(),
            pools: vec![],
            units: None,
            period: None,
            correlation_steps: None,
            trend_per_step: 0.0,
            episode: None,
        };
        Cause::compile(spec, &[]).unwrap()
    }

    #[test]
    fn an_occurrence_is_an_exact_comparison_of_64_bits() {
        // 2^-3 + 2^-40: the word decides unless it ties.
        let cause = cause(constant(2.0), 0.125 + libm::ldexp(1.0, -40));
        let occurs = |word, refine| cause.occurs(word, || refine);
        assert!(occurs((1 << 29) - 1, u32::MAX));
        assert!(occurs(1 << 29, (1 << 24) - 1));
        assert!(!occurs(1 << 29, 1 << 24));
        assert!(!occurs((1 << 29) + 1, 0));
    }

    #[test]
    fn probabilities_zero_and_one_need_no_word() {
        assert!(!cause(constant(2.0), 0.0).may_occur(0));
        assert!(!cause(constant(2.0), 0.0).occurs(0, || 0));
        assert!(cause(constant(2.0), 1.0).is_certain());
        assert!(cause(constant(2.0), 1.0).occurs(u32::MAX, || u32::MAX));
        assert!(!cause(constant(2.0), 1.0 - 1e-9).is_certain());
        assert_eq!(cause(constant(2.0), 0.25).mean(), 1.25);
    }
}
