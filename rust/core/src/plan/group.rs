//! GPUs of one pool: which of them work, and who belongs together.

use super::{Scope, check_name};
use crate::error::{Error, Result};

/// A pool in plain numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupSpec {
    /// Name of the pool, the first part of its random addresses.
    pub name: String,
    /// All GPUs of the pool.
    pub n_gpus: u32,
    /// GPUs of one host.
    pub node_gpus: u32,
    /// GPUs behind one scale-up switch.
    pub domain_gpus: u32,
    /// GPUs of one rack, where the pool's causes need it.
    pub rack_gpus: Option<u32>,
    /// Ranks of one tensor group, which stays inside of a domain.
    pub tensor_gpus: u32,
    /// Time that a replica computes in a step without any cause, in seconds.
    pub compute_s: f64,
}

/// A pool whose domains are cut into tensor groups, and these into replicas.
///
/// Ranks follow physical order. A domain that is not full, GPUs of a domain
/// that fill no tensor group and tensor groups that fill no replica are spares.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    pub(super) spec: GroupSpec,
    /// GPUs of a domain that are in tensor groups.
    pub(super) used_gpus: u32,
    /// Tensor groups that work.
    n_tensor_groups: u32,
    /// Tensor groups of a replica.
    pub(super) replica_groups: u32,
}

impl Group {
    /// # Errors
    /// [`Error::Domain`] unless all sizes are positive, a tensor group fits
    /// into a domain, the pool fills at least one domain, and the time is
    /// positive.
    pub(super) fn new(spec: GroupSpec, replica_groups: u32) -> Result<Self> {
        check_name("groups", &spec.name)?;
        let path = format!("groups.{}", spec.name);
        let refuse = |field: &str, value: f64, requirement: String| {
            Err(Error::domain(field, value, requirement).within(&path))
        };
        let sizes = [
            ("node_gpus", spec.node_gpus),
            ("domain_gpus", spec.domain_gpus),
            ("rack_gpus", spec.rack_gpus.unwrap_or(1)),
            ("tensor_gpus", spec.tensor_gpus),
        ];
        for (field, size) in sizes {
            if size == 0 {
                return refuse(field, 0.0, ">= 1".to_owned());
            }
        }
        if spec.tensor_gpus > spec.domain_gpus {
            let requirement = format!("<= domain_gpus ({})", spec.domain_gpus);
            return refuse("tensor_gpus", f64::from(spec.tensor_gpus), requirement);
        }
        if spec.n_gpus < spec.domain_gpus {
            let requirement = format!(">= domain_gpus ({})", spec.domain_gpus);
            return refuse("n_gpus", f64::from(spec.n_gpus), requirement);
        }
        if !(spec.compute_s > 0.0 && spec.compute_s.is_finite()) {
            return refuse("compute_s", spec.compute_s, "finite and > 0".to_owned());
        }
        let used_gpus = spec.domain_gpus / spec.tensor_gpus * spec.tensor_gpus;
        let n_domains = spec.n_gpus / spec.domain_gpus;
        Ok(Self {
            used_gpus,
            n_tensor_groups: n_domains * (used_gpus / spec.tensor_gpus),
            replica_groups,
            spec,
        })
    }

    /// Leaves all but the first `n` tensor groups to the spares.
    pub(super) fn keep(&mut self, n: u32) {
        self.n_tensor_groups = self.n_tensor_groups.min(n);
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

    /// Replicas that lie in the pool as a whole.
    #[must_use]
    pub fn n_replicas(&self) -> u32 {
        self.n_tensor_groups / self.replica_groups
    }

    /// GPUs that share one draw of a scope, at most; none of them of another
    /// pool.
    pub(super) fn scope_gpus(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Gpu => 1,
            Scope::Node => self.spec.node_gpus,
            Scope::Domain => self.spec.domain_gpus,
            Scope::Rack => self.spec.rack_gpus.unwrap_or(u32::MAX),
            Scope::Replica => self.replica_groups.saturating_mul(self.spec.tensor_gpus),
            Scope::Pool | Scope::Cluster => u32::MAX,
        }
    }

    pub(super) fn has_racks(&self) -> bool {
        self.spec.rack_gpus.is_some()
    }

    /// The GPU of a rank, and how many ranks from this one on are consecutive
    /// GPUs.
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

    /// The unit that shares a draw with a working GPU, and the first GPU after
    /// it.
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
            // Without a size there is one rack; a plan refuses such causes.
            Scope::Rack => of_size(self.spec.rack_gpus.unwrap_or(u32::MAX)),
            Scope::Replica => {
                let per_domain = self.used_gpus / self.spec.tensor_gpus;
                let (domain, inside) = (gpu / self.spec.domain_gpus, gpu % self.spec.domain_gpus);
                let tensor_group = domain * per_domain + inside / self.spec.tensor_gpus;
                let replica = tensor_group / self.replica_groups;
                (replica, self.first_gpu(Scope::Replica, replica + 1))
            }
            Scope::Pool | Scope::Cluster => (0, u32::MAX),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn group(n_gpus: u32, domain_gpus: u32, tensor_gpus: u32) -> Group {
        group_of(n_gpus, domain_gpus, tensor_gpus, 1)
    }

    pub(in crate::plan) fn group_of(
        n_gpus: u32,
        domain_gpus: u32,
        tensor_gpus: u32,
        replica_groups: u32,
    ) -> Group {
        let spec = GroupSpec {
            name: "pool".to_owned(),
            n_gpus,
            node_gpus: 4,
            domain_gpus,
            rack_gpus: None,
            tensor_gpus,
            compute_s: 1.0,
        };
        Group::new(spec, replica_groups).unwrap()
    }

    #[test]
    fn gpus_that_fill_no_domain_or_no_replica_are_spares() {
        assert_eq!(group(20_000, 72, 8).n_spares(), 56);
        assert_eq!(group(20_000, 72, 8).n_replicas(), 277 * 9);
        assert_eq!(group(24, 8, 3).n_spares(), 6);
        assert_eq!(group(8, 8, 8).n_spares(), 0);
    }

    #[test]
    fn ranks_skip_spares_and_keep_physical_order() {
        let group = group(24, 8, 3);
        let gpus: Vec<u32> = (0..group.n_ranks())
            .map(|rank| group.stretch(rank).0)
            .collect();
        let expected: Vec<u32> = (0..24).filter(|gpu| gpu % 8 < 6).collect();
        assert_eq!(gpus, expected);
        assert_eq!(group.stretch(7), (9, 5));
    }

    #[test]
    fn units_hold_consecutive_gpus() {
        let group = group(144, 72, 8);
        assert_eq!(group.unit(Scope::Node, 7), (1, 8));
        assert_eq!(group.unit(Scope::Domain, 72), (1, 144));
        assert_eq!(group.unit(Scope::Replica, 71), (8, 72));
        assert_eq!(group.unit(Scope::Replica, 72), (9, 80));
        assert_eq!(group.unit(Scope::Pool, 5), (0, u32::MAX));
    }

    #[test]
    fn a_replica_of_several_tensor_groups_goes_on_in_the_next_domain() {
        // Two groups of 3 in each domain of 8; replicas of three groups.
        let mut group = group_of(64, 8, 3, 3);
        group.keep(15);
        assert_eq!((group.n_ranks(), group.n_replicas()), (45, 5));
        assert_eq!(group.unit(Scope::Replica, 0), (0, 11));
        assert_eq!(group.unit(Scope::Replica, 10), (0, 11));
        assert_eq!(group.unit(Scope::Replica, 11), (1, 24));
        assert_eq!(group.unit(Scope::Replica, 24), (2, 35));
    }
}
