//! A second kernel, made from docs/reproducibility.md alone: one draw at a time,
//! every word fetched by its address. It shares nothing with the crate but the
//! tables and the normal law.

use std::collections::HashMap;

use hindmost_core::law::Law;
use hindmost_core::law::special::{normal_cdf, normal_quantile};
use hindmost_core::plan::{
    Affects, CauseSpec, Communication, Effect, PeriodSpec, Phase, PoolSpec, Scope, Span,
};
use hindmost_core::table::Table;

/// A plan, a seed and a run to be replayed.
pub struct Replay {
    pub seed: u64,
    pub run: u32,
    pub pools: Vec<PoolSpec>,
    pub communication: Communication,
    causes: Vec<(CauseSpec, Vec<Choice>)>,
}

/// A law that a number below a threshold chooses.
struct Choice {
    below: u128,
    table: Table,
}

/// A working GPU: its number in its pool, and that of its replica.
struct Rank {
    gpu: u32,
    replica: u32,
}

/// One rank's or one port's factors and stalls in one step.
#[derive(Clone, Copy)]
struct Effects {
    slowdown: f32,
    stall: f32,
}

/// One row of a sample.
#[derive(Debug, PartialEq)]
pub struct Row {
    pub compute_s: f64,
    pub stall_s: f64,
    pub exposed_comm_s: f64,
    pub slowest: u32,
}

impl Replay {
    pub fn new(
        seed: u64,
        run: u32,
        pools: &[PoolSpec],
        causes: &[CauseSpec],
        communication: &Communication,
    ) -> Self {
        let causes = causes
            .iter()
            .map(|cause| (cause.clone(), choices(cause.law.law())));
        Self {
            seed,
            run,
            pools: pools.to_vec(),
            communication: communication.clone(),
            causes: causes.collect(),
        }
    }

    /// Seconds of all ranks in one step, pool after pool.
    pub fn rank_times(&self, step: u32) -> Vec<f32> {
        let of_pool = |index: usize| {
            let base = self.pools[index].compute_s;
            let effects = self.all_effects(index, Affects::Compute, step);
            effects
                .into_iter()
                .map(move |effects| (base * f64::from(effects.slowdown + effects.stall)) as f32)
        };
        (0..self.pools.len()).flat_map(of_pool).collect()
    }

    /// What a sample says of one step: the rank with which it takes longest; of several the
    /// one that is done last, and of these the first.
    pub fn row(&self, step: u32) -> Row {
        let mut slowest = None;
        for row in self.rows(step) {
            let order = |row: &Row| (row.compute_s + row.exposed_comm_s, row.compute_s);
            if slowest
                .as_ref()
                .is_none_or(|known| order(known) < order(&row))
            {
                slowest = Some(row);
            }
        }
        slowest.unwrap()
    }

    /// By pool, seconds of compute without stalls and of stalls of all ranks in one step.
    pub fn times(&self, step: u32) -> Vec<Vec<(f64, f64)>> {
        let of_pool = |(index, pool): (usize, &PoolSpec)| {
            let ranks = self.all_effects(index, Affects::Compute, step);
            let time = |effects: Effects| {
                let of = |part: f32| pool.compute_s * f64::from(part);
                (of(effects.slowdown), of(effects.stall))
            };
            ranks.into_iter().map(time).collect()
        };
        self.pools.iter().enumerate().map(of_pool).collect()
    }

    /// What a sample would say of one step if it waited for one rank or another, for all of
    /// them.
    pub fn rows(&self, step: u32) -> Vec<Row> {
        let times_s = self.term_times_s(step);
        let pools = self.pools.iter().enumerate();
        let of_pool = |(index, pool): (usize, &PoolSpec)| {
            let row = |effects: Effects| {
                let mut row = Row {
                    compute_s: pool.compute_s * f64::from(effects.slowdown + effects.stall),
                    stall_s: pool.compute_s * f64::from(effects.stall),
                    exposed_comm_s: 0.0,
                    slowest: index as u32,
                };
                row.exposed_comm_s = self.exposed_s(&times_s, &row);
                row
            };
            let ranks = self.all_effects(index, Affects::Compute, step);
            ranks.into_iter().map(row).collect::<Vec<_>>()
        };
        pools.flat_map(of_pool).collect()
    }

    /// By pool, the greatest slowdown and the longest stall of its ports in one step.
    pub fn worst_ports(&self, step: u32) -> Vec<(f64, f64)> {
        let of_pool = |index| {
            let ports = self.all_effects(index, Affects::Network, step);
            let worst = |of: fn(&Effects) -> f32| ports.iter().map(of).fold(0.0, f32::max);
            let (slowdown, stall_s) = (worst(|port| port.slowdown), worst(|port| port.stall));
            (f64::from(slowdown), f64::from(stall_s))
        };
        (0..self.pools.len()).map(of_pool).collect()
    }

    /// Seconds of each term.
    fn term_times_s(&self, step: u32) -> Vec<f64> {
        let ports = self.worst_ports(step);
        let longest_stall_s = ports.iter().fold(0.0, |longest, port| port.1.max(longest));
        let n_terms = self.communication.terms.len();
        let terms = self.communication.terms.iter().enumerate();
        terms
            .map(|(place, term)| {
                let mut time_s: f64 = 0.0;
                for (index, (slowdown, _)) in ports.iter().enumerate() {
                    time_s = time_s.max(term.latency_s[index] + term.transfer_s[index] * slowdown);
                }
                if place == n_terms - 1 {
                    time_s += longest_stall_s;
                }
                time_s
            })
            .collect()
    }

    /// Sum over terms of `max(T / n_buckets, T - window)`, and of the cost of the rest.
    fn exposed_s(&self, times_s: &[f64], row: &Row) -> f64 {
        let mut exposed_s = 0.0;
        for (term, time_s) in self.communication.terms.iter().zip(times_s) {
            let share = term.window_share[row.slowest as usize];
            let own_s = row.compute_s - row.stall_s;
            let window_s = self.communication.overlap_fraction * share * own_s;
            let waiting_s = (time_s / f64::from(term.n_buckets)).max(time_s - window_s);
            exposed_s += waiting_s + self.communication.hidden_cost * (time_s - waiting_s);
        }
        exposed_s
    }

    fn all_effects(&self, index: usize, affects: Affects, step: u32) -> Vec<Effects> {
        ranks(&self.pools[index])
            .iter()
            .map(|rank| self.effects(index, affects, rank, step))
            .collect()
    }

    /// Persistent causes come first, then those of the step, in document order.
    fn effects(&self, index: usize, affects: Affects, rank: &Rank, step: u32) -> Effects {
        let pool = &self.pools[index];
        let stall_unit = match affects {
            Affects::Compute => (1.0 / pool.compute_s) as f32,
            Affects::Network => 1.0,
        };
        let mut effects = Effects {
            slowdown: 1.0,
            stall: 0.0,
        };
        for span in [Span::Run, Span::Step] {
            for (cause, choices) in &self.causes {
                if cause.affects != affects || cause.span != span || !cause.pools.contains(&index) {
                    continue;
                }
                let size = self.size(cause, choices, pool, rank, step);
                match (cause.effect, size) {
                    (Effect::Slowdown, size) => effects.slowdown *= size.unwrap_or(1.0),
                    (Effect::Stall, size) => effects.stall += size.unwrap_or(0.0) * stall_unit,
                }
            }
        }
        effects
    }

    /// The size of a cause where it occurs.
    fn size(
        &self,
        cause: &CauseSpec,
        choices: &[Choice],
        pool: &PoolSpec,
        rank: &Rank,
        step: u32,
    ) -> Option<f32> {
        let name = match cause.scope {
            Scope::Cluster => "",
            _ => pool.name.as_str(),
        };
        let unit = match cause.scope {
            Scope::Gpu => rank.gpu,
            Scope::Node => rank.gpu / pool.node_gpus,
            Scope::Domain => rank.gpu / pool.domain_gpus,
            Scope::Rack => rank.gpu / pool.rack_gpus.unwrap(),
            Scope::Replica => rank.replica,
            Scope::Pool | Scope::Cluster => 0,
        };
        let (c1, lane) = match cause.span {
            Span::Run => (0, 0),
            Span::Step => (step / 4, step as usize % 4),
            other => panic!("{other:?} takes a pipeline"),
        };
        let word = |usage: &str| {
            let stream = fnv_1a(&format!("{name}/{}/{usage}", cause.name));
            philox([unit, c1, self.run << 16, stream], self.seed)[lane]
        };
        let number = |usage: &str| u128::from(word(usage)) << 32 | u128::from(word("refine"));
        let is_named = |ranges: &Vec<(u32, u32)>| {
            ranges
                .iter()
                .any(|&(first, last)| first <= unit && unit <= last)
        };
        if !cause.units.as_ref().is_none_or(is_named) {
            return None;
        }
        if let Some(period) = &cause.period {
            let stream = fnv_1a(&format!("{name}/{}/phase", cause.name));
            let words = philox([unit, 0, self.run << 16, stream], self.seed);
            if step % period.steps != phase(period, words) {
                return None;
            }
        }
        if number("occurrence") >= below(cause.probability) {
            return None;
        }
        let component = number("component");
        let choice = choices.iter().find(|choice| component < choice.below)?;
        let grown = |value: f32| match cause.trend_per_step {
            0.0 => value,
            trend => (f64::from(value) * (1.0 + trend * f64::from(step))) as f32,
        };
        let Some(correlation_steps) = cause.correlation_steps else {
            return Some(grown(choice.table.value(word("value"), || word("refine"))));
        };
        let word_at = |usage: &str, step: u64| {
            let stream = fnv_1a(&format!("{name}/{}/{usage}", cause.name));
            let counter = [unit, (step / 4) as u32, self.run << 16, stream];
            philox(counter, self.seed)[step as usize % 4]
        };
        let words = |step| (word_at("value", step), word_at("refine", step));
        let (word, refine) = drifted(correlation_steps, step, words);
        Some(grown(choice.table.value(word, || refine)))
    }
}

/// The words of a step of what drifts, given each step's own value word and further bits.
fn drifted(correlation_steps: f64, step: u32, own_words: impl Fn(u64) -> (u32, u32)) -> (u32, u32) {
    let mut anchor_steps = 1_u64;
    while anchor_steps as f64 / correlation_steps <= 54.0 * std::f64::consts::LN_2 {
        anchor_steps *= 2;
    }
    if u64::from(step).is_multiple_of(anchor_steps) {
        return own_words(u64::from(step));
    }
    let innovation = |step: u64| {
        let (word, bits) = own_words(step);
        let magnitude = if word < 1 << 31 { word } else { !word };
        let tail = if magnitude < 1 << 16 {
            ((u64::from(magnitude) << 32) as f64 + f64::from(bits) + 0.5)
                / 18_446_744_073_709_551_616.0
        } else {
            (f64::from(magnitude) + 0.5) / 4_294_967_296.0
        };
        let quantile = normal_quantile(tail);
        if word < 1 << 31 { quantile } else { -quantile }
    };
    let x = Numbers {
        anchor_steps,
        correlation_steps,
        innovation: &innovation,
        known: HashMap::new(),
    }
    .at(u64::from(step));
    let tail = normal_cdf(-x.abs());
    let number = ((tail * 18_446_744_073_709_551_616.0) as u64).min((1 << 63) - 1);
    let magnitude = (number >> 32) as u32;
    let word = if x < 0.0 { magnitude } else { !magnitude };
    (word, number as u32)
}

/// The normal numbers of steps, each from its neighbours.
struct Numbers<'a> {
    anchor_steps: u64,
    correlation_steps: f64,
    innovation: &'a dyn Fn(u64) -> f64,
    known: HashMap<u64, f64>,
}

impl Numbers<'_> {
    fn at(&mut self, step: u64) -> f64 {
        if step.is_multiple_of(self.anchor_steps) {
            return (self.innovation)(step);
        }
        if let Some(known) = self.known.get(&step) {
            return *known;
        }
        let lag = 1 << step.trailing_zeros();
        let a = lag as f64 / self.correlation_steps;
        let sum = self.at(step - lag) + self.at(step + lag);
        let own = libm::sqrt(libm::tanh(a)) * (self.innovation)(step);
        let x = 0.5 / libm::cosh(a) * sum + own;
        self.known.insert(step, x);
        x
    }
}

/// The first step of a run in which a cause comes that comes regularly.
fn phase(period: &PeriodSpec, words: [u32; 4]) -> u32 {
    match &period.phase {
        Phase::At(step) => step % period.steps,
        Phase::Any => (f64::from(words[0]) * f64::from(period.steps) / 4_294_967_296.0) as u32,
        Phase::Of(law) => {
            let component = u128::from(words[1]) << 32 | u128::from(words[2]);
            let choices = choices(law.law());
            let choice = choices.iter().find(|choice| component < choice.below);
            let value = choice.unwrap().table.value(words[0], || words[2]);
            value.floor() as u32 % period.steps
        }
    }
}

/// How many of the 2^64 numbers make up a probability.
fn below(probability: f64) -> u128 {
    (probability * 18_446_744_073_709_551_616.0) as u128
}

/// The 2^64 numbers, shared out among the components.
fn choices(law: &Law) -> Vec<Choice> {
    let parts = match law {
        law @ (Law::Mixture(_) | Law::Capped(_)) => law.components(),
        law => vec![(1.0, law.clone())],
    };
    let mut weight_before = 0.0;
    let n_parts = parts.len();
    let mut choices = vec![];
    for (index, (weight, law)) in parts.into_iter().enumerate() {
        weight_before += weight;
        let share = if index + 1 == n_parts {
            1.0
        } else {
            weight_before
        };
        choices.push(Choice {
            below: below(share),
            table: Table::compile(&law).unwrap(),
        });
    }
    choices
}

/// GPUs that fill a replica, in domains of which as much works as may.
fn ranks(pool: &PoolSpec) -> Vec<Rank> {
    let of_domain = pool.domain_gpus_used / pool.tensor_gpus;
    let n_domains = pool.n_gpus / pool.domain_gpus_used;
    let works = |gpu: u32| {
        let (domain, inside) = (gpu / pool.domain_gpus, gpu % pool.domain_gpus);
        let place = inside / pool.tensor_gpus;
        (place < of_domain).then(|| Rank {
            gpu,
            replica: domain * of_domain + place,
        })
    };
    let n_working = n_domains * of_domain * pool.tensor_gpus - pool.held_back_gpus;
    (0..n_domains * pool.domain_gpus)
        .filter_map(works)
        .take(n_working as usize)
        .collect()
}

/// Philox4x32-10 as its paper writes it.
fn philox(counter: [u32; 4], seed: u64) -> [u32; 4] {
    let mut x = counter;
    let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
    for _ in 0..10 {
        let low = u64::from(x[0]) * 0xD251_1F53;
        let high = u64::from(x[2]) * 0xCD9E_8D57;
        x = [
            (high >> 32) as u32 ^ x[1] ^ k0,
            high as u32,
            (low >> 32) as u32 ^ x[3] ^ k1,
            low as u32,
        ];
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    x
}

fn fnv_1a(text: &str) -> u32 {
    let mut hash: u32 = 2_166_136_261;
    for byte in text.bytes() {
        hash ^= u32::from(byte);
        hash = hash.wrapping_mul(16_777_619);
    }
    hash
}
