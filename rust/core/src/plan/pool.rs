//! The GPUs of one pool: which of them are ranks, and which of them form nodes, domains,
//! racks and replicas.

use std::ops::Range;

use super::kinds::Scope;
use super::names::check_name;
use super::rank_order::{Numbering, RankOrder};
use crate::error::{Error, Result};

/// A pool in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct PoolSpec {
    /// Name of the pool, the first part of its random addresses.
    pub name: String,
    /// All GPUs of the pool.
    pub n_gpus: u32,
    /// GPUs of one host.
    pub node_gpus: u32,
    /// GPUs behind one scale-up switch.
    pub domain_gpus: u32,
    /// GPUs of each domain that may work; the others stay spares, and do not count in `n_gpus`.
    pub domain_gpus_used: u32,
    /// GPUs behind the working ones that are held back, in whole tensor groups.
    pub held_back_gpus: u32,
    /// GPUs of one rack, where the pool's causes need it.
    pub rack_gpus: Option<u32>,
    /// Ranks of one tensor group, which stays within a domain.
    pub tensor_gpus: u32,
    /// Time that a replica computes in a step without any cause, in seconds.
    pub compute_s: f64,
}

/// The tensor groups of the replicas of a pool, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replicas {
    /// Tensor groups that divide each sequence, in each stage.
    pub context: u32,
    /// Stages.
    pub stages: u32,
    /// The order in which tensor groups are numbered.
    pub order: RankOrder,
}

impl Replicas {
    /// Replicas of one tensor group each.
    pub const OF_ONE_GROUP: Self = Self {
        context: 1,
        stages: 1,
        order: RankOrder::BY_REPLICA,
    };

    /// Tensor groups of a replica.
    #[must_use]
    pub fn tensor_groups(&self) -> u32 {
        self.context.saturating_mul(self.stages).max(1)
    }

    /// The numbers of so many tensor groups, as far as they fill replicas.
    #[must_use]
    pub fn numbering(&self, n_tensor_groups: u32) -> Numbering {
        let n_replicas = n_tensor_groups / self.tensor_groups();
        self.order.numbering(self.context, n_replicas, self.stages)
    }
}

/// A pool whose domains are cut into tensor groups, and these into replicas.
///
/// Ranks follow physical order. A domain that is not full, GPUs of a domain
/// that fill no tensor group and tensor groups that fill no replica are spares.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    spec: PoolSpec,
    /// GPUs of a full domain that are in tensor groups.
    used_gpus: u32,
    /// Tensor groups that work.
    n_tensor_groups: u32,
    replicas: Replicas,
    /// Numbers of the tensor groups of whole replicas.
    numbering: Numbering,
}

impl Pool {
    /// # Errors
    /// [`Error::Domain`] unless all sizes are positive, a tensor group fits
    /// into the part of a domain that is used, the pool fills at least one of these, and the time
    /// is positive.
    pub(super) fn new(spec: PoolSpec, replicas: Replicas) -> Result<Self> {
        check_name("pools", &spec.name)?;
        let path = format!("pools.{}", spec.name);
        let refuse = |field: &str, value: f64, requirement: String| {
            Err(Error::domain(field, value, requirement).within(&path))
        };
        let sizes = [
            ("node_gpus", spec.node_gpus),
            ("domain_gpus", spec.domain_gpus),
            ("domain_gpus_used", spec.domain_gpus_used),
            ("rack_gpus", spec.rack_gpus.unwrap_or(1)),
            ("tensor_gpus", spec.tensor_gpus),
        ];
        for (field, size) in sizes {
            if size == 0 {
                return refuse(field, 0.0, ">= 1".to_owned());
            }
        }
        let used = spec.domain_gpus_used;
        if used > spec.domain_gpus {
            let requirement = format!("<= domain_gpus ({})", spec.domain_gpus);
            return refuse("domain_gpus_used", f64::from(used), requirement);
        }
        if spec.tensor_gpus > used {
            let requirement = format!("<= domain_gpus_used ({used})");
            return refuse("tensor_gpus", f64::from(spec.tensor_gpus), requirement);
        }
        if spec.n_gpus < used {
            let requirement = format!(">= domain_gpus_used ({used})");
            return refuse("n_gpus", f64::from(spec.n_gpus), requirement);
        }
        if (spec.n_gpus / used).checked_mul(spec.domain_gpus).is_none() {
            let requirement = "so few that all domains together hold less than 2^32 GPUs";
            return refuse("n_gpus", f64::from(spec.n_gpus), requirement.to_owned());
        }
        if !(spec.compute_s > 0.0 && spec.compute_s.is_finite()) {
            return refuse("compute_s", spec.compute_s, "finite and > 0".to_owned());
        }
        let used_gpus = used / spec.tensor_gpus * spec.tensor_gpus;
        let n_domains = spec.n_gpus / used;
        let held_back = spec.held_back_gpus / spec.tensor_gpus;
        let n_tensor_groups =
            (n_domains * (used_gpus / spec.tensor_gpus)).saturating_sub(held_back);
        Ok(Self {
            used_gpus,
            n_tensor_groups,
            replicas,
            numbering: replicas.numbering(n_tensor_groups),
            spec,
        })
    }

    /// Makes spares of all but the first `n` tensor groups.
    pub(super) fn keep(&mut self, n: u32) {
        self.n_tensor_groups = self.n_tensor_groups.min(n);
        self.numbering = self.replicas.numbering(self.n_tensor_groups);
    }

    /// The pool, computing for another time in a step.
    #[must_use]
    pub fn with_compute_s(&self, compute_s: f64) -> Self {
        let mut pool = self.clone();
        pool.spec.compute_s = compute_s;
        pool
    }

    /// The pool by its sizes alone, which say all about its units: without a name, and computing
    /// for one second.
    #[must_use]
    pub fn by_sizes(&self) -> Self {
        let mut pool = self.with_compute_s(1.0);
        pool.spec.name.clear();
        pool
    }

    /// Tensor groups that work.
    #[must_use]
    pub fn n_tensor_groups(&self) -> u32 {
        self.n_tensor_groups
    }

    /// Ranks of one tensor group.
    #[must_use]
    pub fn tensor_gpus(&self) -> u32 {
        self.spec.tensor_gpus
    }

    /// Name of the pool.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Time that a replica computes in a step without any cause, in seconds.
    #[must_use]
    pub fn compute_s(&self) -> f64 {
        self.spec.compute_s
    }

    /// GPUs that work.
    #[must_use]
    pub fn n_ranks(&self) -> u32 {
        self.n_tensor_groups * self.spec.tensor_gpus
    }

    /// GPUs that fill no domain, tensor group or replica.
    #[must_use]
    pub fn n_spares(&self) -> u32 {
        self.spec.n_gpus - self.n_ranks()
    }

    /// Replicas that lie in this pool with all their ranks.
    #[must_use]
    pub fn n_replicas(&self) -> u32 {
        self.n_tensor_groups / self.replicas.tensor_groups()
    }

    /// The replica of a rank, where replicas lie in this pool with all their ranks.
    #[must_use]
    pub fn replica_of(&self, rank: u32) -> u32 {
        self.numbering.data.index(rank / self.spec.tensor_gpus)
    }

    /// The numbers of the tensor groups of replicas that lie in this pool with all their ranks.
    #[must_use]
    pub fn numbering(&self) -> Numbering {
        self.numbering
    }

    /// GPUs of a full domain that are in tensor groups.
    #[must_use]
    pub fn used_gpus(&self) -> u32 {
        self.used_gpus
    }

    /// Tensor groups that a unit of a scope may reach into, at most.
    #[must_use]
    pub fn tensor_groups_of_unit(&self, scope: Scope) -> u32 {
        let (unit, tensor) = (self.scope_gpus(scope), self.spec.tensor_gpus);
        if tensor.is_multiple_of(unit) {
            1
        } else if unit.is_multiple_of(tensor) {
            unit / tensor
        } else {
            (unit - 2) / tensor + 2
        }
    }

    /// GPUs of a unit of a scope, at most; the whole pool for pool-wide scopes.
    #[must_use]
    pub fn scope_gpus(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Gpu => 1,
            Scope::Node => self.spec.node_gpus,
            Scope::Domain => self.spec.domain_gpus,
            Scope::Rack => self.spec.rack_gpus.unwrap_or(u32::MAX),
            Scope::Replica => self
                .replicas
                .tensor_groups()
                .saturating_mul(self.spec.tensor_gpus),
            Scope::Pool | Scope::Cluster => u32::MAX,
        }
    }

    /// Whether the size of a rack is known.
    #[must_use]
    pub fn has_racks(&self) -> bool {
        self.spec.rack_gpus.is_some()
    }

    /// The GPU of a rank, and how many ranks from this one on are on consecutive GPUs.
    #[must_use]
    pub fn stretch(&self, rank: u32) -> (u32, u32) {
        if self.used_gpus == self.spec.domain_gpus {
            return (rank, self.n_ranks() - rank);
        }
        let (domain, inside) = (rank / self.used_gpus, rank % self.used_gpus);
        (
            domain * self.spec.domain_gpus + inside,
            self.used_gpus - inside,
        )
    }

    /// The unit of a scope that a rank's GPU belongs to, and the first GPU after the
    /// unit.
    #[must_use]
    pub fn unit(&self, scope: Scope, gpu: u32) -> (u32, u32) {
        let of_size = |size: u32| {
            let unit = gpu / size;
            (unit, (unit + 1).saturating_mul(size))
        };
        match scope {
            Scope::Gpu => (gpu, gpu + 1),
            Scope::Node => of_size(self.spec.node_gpus),
            Scope::Domain => of_size(self.spec.domain_gpus),
            // Without a size the pool is one rack; causes of scope rack are refused then.
            Scope::Rack => of_size(self.spec.rack_gpus.unwrap_or(u32::MAX)),
            Scope::Replica => {
                let per_domain = self.used_gpus / self.spec.tensor_gpus;
                let (domain, inside) = (gpu / self.spec.domain_gpus, gpu % self.spec.domain_gpus);
                let tensor_group = domain * per_domain + inside / self.spec.tensor_gpus;
                let data = self.numbering.data;
                let run = tensor_group / data.stride;
                let end = self.gpu_of(run.saturating_add(1).saturating_mul(data.stride));
                (run % data.size, end)
            }
            Scope::Pool | Scope::Cluster => (0, u32::MAX),
        }
    }

    /// GPUs from the start of one unit of a scope to the start of the next; none where
    /// that differs between units, or where the unit is the pool.
    fn stride(&self, scope: Scope) -> Option<u32> {
        let replica = self.replicas.tensor_groups();
        let per_domain = self.used_gpus / self.spec.tensor_gpus;
        match scope {
            Scope::Replica if !self.has_whole_replicas() => None,
            Scope::Replica if per_domain.is_multiple_of(replica) => {
                Some(replica * self.spec.tensor_gpus)
            }
            Scope::Replica if replica.is_multiple_of(per_domain) => {
                let domains = replica / per_domain;
                domains.checked_mul(self.spec.domain_gpus)
            }
            Scope::Replica | Scope::Pool | Scope::Cluster => None,
            scope => Some(self.scope_gpus(scope)),
        }
    }

    /// Whether all working GPUs of a unit of `inner` are in one unit of `outer`.
    #[must_use]
    pub fn nests(&self, inner: Scope, outer: Scope) -> bool {
        if inner == outer || inner == Scope::Gpu || matches!(outer, Scope::Pool | Scope::Cluster) {
            return true;
        }
        let (Some(inside), Some(around)) = (self.stride(inner), self.stride(outer)) else {
            return false;
        };
        let domain = self.spec.domain_gpus;
        // Replicas are aligned to domains, because these may end in spares; all other
        // units are aligned to GPU 0.
        let is_even = |stride: u32| domain.is_multiple_of(stride) || stride.is_multiple_of(domain);
        around.is_multiple_of(inside)
            && (is_even(around) || ![inner, outer].contains(&Scope::Replica))
            && (is_even(inside) || inner != Scope::Replica || around.is_multiple_of(domain))
    }

    /// Whether the ranks of each replica follow each other.
    #[must_use]
    pub fn has_whole_replicas(&self) -> bool {
        self.numbering.has_whole_replicas()
    }

    /// Whether a unit of a scope holds ranks of a tensor group and of the one before it.
    #[must_use]
    pub fn unit_reaches_across(&self, scope: Scope, tensor_group: u32) -> bool {
        let rank = tensor_group * self.spec.tensor_gpus;
        let unit = |rank| self.unit(scope, self.stretch(rank).0).0;
        unit(rank - 1) == unit(rank)
    }

    /// The first GPU of a tensor group.
    fn gpu_of(&self, tensor_group: u32) -> u32 {
        let per_domain = self.used_gpus / self.spec.tensor_gpus;
        let (domain, inside) = (tensor_group / per_domain, tensor_group % per_domain);
        (domain.saturating_mul(self.spec.domain_gpus))
            .saturating_add(inside * self.spec.tensor_gpus)
    }

    /// The first GPU of a unit; of a replica only where its ranks follow each other.
    #[must_use]
    pub fn first_gpu(&self, scope: Scope, unit: u32) -> u32 {
        match scope {
            Scope::Replica => self.gpu_of(unit.saturating_mul(self.replicas.tensor_groups())),
            scope => unit.saturating_mul(self.scope_gpus(scope)),
        }
    }

    /// Some ranks, divided into units of a scope; the first and the last unit may be
    /// incomplete.
    pub fn units_of(&self, scope: Scope, ranks: Range<u32>) -> impl Iterator<Item = Range<u32>> {
        let mut rank = ranks.start;
        std::iter::from_fn(move || {
            if rank >= ranks.end {
                return None;
            }
            let end_gpu = self.unit(scope, self.stretch(rank).0).1;
            let unit = rank..self.rank_from(end_gpu).max(rank + 1).min(ranks.end);
            rank = unit.end;
            Some(unit)
        })
    }

    /// Units of a scope that hold at least one rank.
    #[must_use]
    pub fn n_units(&self, scope: Scope) -> u32 {
        let n_ranks = self.n_ranks();
        match scope {
            Scope::Gpu => return n_ranks,
            Scope::Pool | Scope::Cluster => return 1,
            _ => {}
        }
        // Ranks after which the pattern of units repeats: those of a domain, or of a unit
        // of several domains.
        let domain = self.spec.domain_gpus;
        let period = match self.stride(scope) {
            Some(stride) if domain.is_multiple_of(stride) => self.used_gpus,
            Some(stride) if stride.is_multiple_of(domain) => {
                (stride / domain).saturating_mul(self.used_gpus)
            }
            Some(stride) if scope == Scope::Replica && stride < domain => self.used_gpus,
            _ => u32::MAX,
        };
        let n_periods = n_ranks / period;
        let count = |from: u32, to: u32| self.units_of(scope, from..to).count() as u32;
        let of_period = if n_periods > 0 { count(0, period) } else { 0 };
        n_periods * of_period + count(n_periods.saturating_mul(period).min(n_ranks), n_ranks)
    }

    /// The first rank on a GPU or on one after it.
    #[must_use]
    pub fn rank_from(&self, gpu: u32) -> u32 {
        let (domain, inside) = (gpu / self.spec.domain_gpus, gpu % self.spec.domain_gpus);
        let rank =
            u64::from(domain) * u64::from(self.used_gpus) + u64::from(inside.min(self.used_gpus));
        rank.min(u64::from(self.n_ranks())) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(n_gpus: u32, domain_gpus: u32, tensor_gpus: u32) -> Pool {
        pool_of(n_gpus, domain_gpus, tensor_gpus, 1)
    }

    fn pool_of(
        n_gpus: u32,
        domain_gpus: u32,
        tensor_gpus: u32,
        replica_tensor_groups: u32,
    ) -> Pool {
        let spec = PoolSpec {
            name: "pool".to_owned(),
            n_gpus,
            node_gpus: 4,
            domain_gpus,
            domain_gpus_used: domain_gpus,
            held_back_gpus: 0,
            rack_gpus: None,
            tensor_gpus,
            compute_s: 1.0,
        };
        let replicas = Replicas {
            stages: replica_tensor_groups,
            ..Replicas::OF_ONE_GROUP
        };
        Pool::new(spec, replicas).unwrap()
    }

    #[test]
    fn gpus_that_fill_no_domain_or_no_replica_are_spares() {
        assert_eq!(pool(20_000, 72, 8).n_spares(), 56);
        assert_eq!(pool(20_000, 72, 8).n_replicas(), 277 * 9);
        assert_eq!(pool(24, 8, 3).n_spares(), 6);
        assert_eq!(pool(8, 8, 8).n_spares(), 0);
    }

    #[test]
    fn ranks_skip_spares_and_keep_physical_order() {
        let pool = pool(24, 8, 3);
        let gpus: Vec<u32> = (0..pool.n_ranks())
            .map(|rank| pool.stretch(rank).0)
            .collect();
        let expected: Vec<u32> = (0..24).filter(|gpu| gpu % 8 < 6).collect();
        assert_eq!(gpus, expected);
        assert_eq!(pool.stretch(7), (9, 5));
    }

    #[test]
    fn units_hold_consecutive_gpus() {
        let pool = pool(144, 72, 8);
        assert_eq!(pool.unit(Scope::Node, 7), (1, 8));
        assert_eq!(pool.unit(Scope::Domain, 72), (1, 144));
        assert_eq!(pool.unit(Scope::Replica, 71), (8, 72));
        assert_eq!(pool.unit(Scope::Replica, 72), (9, 80));
        assert_eq!(pool.unit(Scope::Pool, 5), (0, u32::MAX));
    }

    #[test]
    fn a_replica_of_several_tensor_groups_goes_on_in_the_next_domain() {
        // Two tensor groups of 3 in each domain of 8; replicas of three of them.
        let mut pool = pool_of(64, 8, 3, 3);
        pool.keep(15);
        assert_eq!((pool.n_ranks(), pool.n_replicas()), (45, 5));
        assert_eq!(pool.unit(Scope::Replica, 0), (0, 11));
        assert_eq!(pool.unit(Scope::Replica, 10), (0, 11));
        assert_eq!(pool.unit(Scope::Replica, 11), (1, 24));
        assert_eq!(pool.unit(Scope::Replica, 24), (2, 35));
    }

    /// Whether units nest, GPU by GPU.
    fn nests_by_hand(pool: &Pool, inner: Scope, outer: Scope) -> bool {
        let gpus: Vec<u32> = (0..pool.n_ranks()).map(|r| pool.stretch(r).0).collect();
        gpus.windows(2).all(|pair| {
            let same = |scope| pool.unit(scope, pair[0]).0 == pool.unit(scope, pair[1]).0;
            !same(inner) || same(outer)
        })
    }

    #[test]
    fn units_nest_only_where_each_inner_one_is_in_one_outer_one() {
        let scopes = [
            Scope::Gpu,
            Scope::Node,
            Scope::Domain,
            Scope::Replica,
            Scope::Pool,
        ];
        let mut nested = 0;
        for (domain, tensor, replica) in [
            (8, 8, 1),
            (8, 4, 1),
            (8, 3, 1),
            (72, 8, 1),
            (72, 8, 3),
            (72, 8, 18),
            (12, 3, 2),
            (12, 8, 1),
            (6, 2, 1),
            (16, 2, 2),
        ] {
            let mut pool = pool_of(720, domain, tensor, replica);
            let n = pool.n_tensor_groups();
            pool.keep(n - n % replica);
            for inner in scopes {
                for outer in scopes {
                    if pool.nests(inner, outer) {
                        nested += usize::from(inner != outer);
                        assert!(
                            nests_by_hand(&pool, inner, outer),
                            "{inner:?} in {outer:?} of {domain} {tensor} {replica}"
                        );
                    }
                }
            }
        }
        assert!(nested > 60, "{nested}");
        let usual = pool(144, 72, 8);
        assert!(usual.nests(Scope::Node, Scope::Replica));
        assert!(usual.nests(Scope::Replica, Scope::Domain));
        assert!(!usual.nests(Scope::Domain, Scope::Replica));
    }

    #[test]
    fn units_are_counted_whatever_they_straddle() {
        let shapes = [
            (8, 3, 3),
            (12, 8, 1),
            (24, 8, 2),
            (36, 5, 1),
            (72, 8, 2),
            (6, 2, 1),
        ];
        for (domain, tensor, replica) in shapes {
            for node in [1, 3, 4, 5, 7, 8, 16] {
                let mut pool = pool_of(720, domain, tensor, replica);
                pool.spec.node_gpus = node;
                let n = pool.n_tensor_groups();
                pool.keep(n - n % replica);
                for scope in [Scope::Gpu, Scope::Node, Scope::Domain, Scope::Replica] {
                    let mut units: Vec<u32> = (0..pool.n_ranks())
                        .map(|rank| pool.unit(scope, pool.stretch(rank).0).0)
                        .collect();
                    units.dedup();
                    assert_eq!(
                        pool.n_units(scope) as usize,
                        units.len(),
                        "{scope:?} {pool:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_gpu_knows_its_rank() {
        let pool = pool(24, 8, 3);
        for rank in 0..pool.n_ranks() {
            assert_eq!(pool.rank_from(pool.stretch(rank).0), rank);
        }
        assert_eq!((pool.rank_from(6), pool.rank_from(8)), (6, 6));
        assert_eq!(pool.rank_from(1000), pool.n_ranks());
    }
}
