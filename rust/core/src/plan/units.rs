//! Units of a pool: how many there are, where they begin, and which are inside of
//! which.

use std::ops::Range;

use super::{Group, Scope};

impl Group {
    /// GPUs of the units of a scope, from one unit's start to the next one's;
    /// none where units are not all alike, or are the pool.
    fn stride(&self, scope: Scope) -> Option<u32> {
        let per_domain = self.used_gpus / self.spec.tensor_gpus;
        match scope {
            Scope::Replica if per_domain.is_multiple_of(self.replica_groups) => {
                Some(self.replica_groups * self.spec.tensor_gpus)
            }
            Scope::Replica if self.replica_groups.is_multiple_of(per_domain) => {
                let domains = self.replica_groups / per_domain;
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
        // Replicas begin anew with each domain, all other units count GPUs.
        let is_even = |stride: u32| domain.is_multiple_of(stride) || stride.is_multiple_of(domain);
        around.is_multiple_of(inside)
            && (is_even(around) || ![inner, outer].contains(&Scope::Replica))
            && (is_even(inside) || inner != Scope::Replica || around.is_multiple_of(domain))
    }

    /// The first GPU of a unit.
    #[must_use]
    pub fn first_gpu(&self, scope: Scope, unit: u32) -> u32 {
        match scope {
            Scope::Replica => {
                let per_domain = self.used_gpus / self.spec.tensor_gpus;
                let tensor_group = unit.saturating_mul(self.replica_groups);
                let (domain, inside) = (tensor_group / per_domain, tensor_group % per_domain);
                (domain.saturating_mul(self.spec.domain_gpus))
                    .saturating_add(inside * self.spec.tensor_gpus)
            }
            scope => unit.saturating_mul(self.scope_gpus(scope)),
        }
    }

    /// Ranks by unit of a scope; the first and the last unit may be cut.
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

    /// Units of a scope in which there are ranks.
    #[must_use]
    pub fn n_units(&self, scope: Scope) -> u32 {
        let n_ranks = self.n_ranks();
        match scope {
            Scope::Gpu => return n_ranks,
            Scope::Pool | Scope::Cluster => return 1,
            _ => {}
        }
        // What repeats, if it does: a domain, or a unit of several domains.
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

    /// The first rank on a GPU or after it.
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
    use crate::plan::group::tests::group_of;

    fn group(n_gpus: u32, domain_gpus: u32, tensor_gpus: u32) -> Group {
        group_of(n_gpus, domain_gpus, tensor_gpus, 1)
    }

    /// Whether units nest, GPU by GPU.
    fn nests_by_hand(group: &Group, inner: Scope, outer: Scope) -> bool {
        let gpus: Vec<u32> = (0..group.n_ranks()).map(|r| group.stretch(r).0).collect();
        gpus.windows(2).all(|pair| {
            let same = |scope| group.unit(scope, pair[0]).0 == group.unit(scope, pair[1]).0;
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
            let mut group = group_of(720, domain, tensor, replica);
            let n = group.n_tensor_groups();
            group.keep(n - n % replica);
            for inner in scopes {
                for outer in scopes {
                    if group.nests(inner, outer) {
                        nested += usize::from(inner != outer);
                        assert!(
                            nests_by_hand(&group, inner, outer),
                            "{inner:?} in {outer:?} of {domain} {tensor} {replica}"
                        );
                    }
                }
            }
        }
        assert!(nested > 60, "{nested}");
        let usual = group(144, 72, 8);
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
                let mut group = group_of(720, domain, tensor, replica);
                group.spec.node_gpus = node;
                let n = group.n_tensor_groups();
                group.keep(n - n % replica);
                for scope in [Scope::Gpu, Scope::Node, Scope::Domain, Scope::Replica] {
                    let mut units: Vec<u32> = (0..group.n_ranks())
                        .map(|rank| group.unit(scope, group.stretch(rank).0).0)
                        .collect();
                    units.dedup();
                    assert_eq!(
                        group.n_units(scope) as usize,
                        units.len(),
                        "{scope:?} {group:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_gpu_knows_its_rank() {
        let group = group(24, 8, 3);
        for rank in 0..group.n_ranks() {
            assert_eq!(group.rank_from(group.stretch(rank).0), rank);
        }
        assert_eq!((group.rank_from(6), group.rank_from(8)), (6, 6));
        assert_eq!(group.rank_from(1000), group.n_ranks());
    }
}
