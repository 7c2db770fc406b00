"""Pools of a scenario as the core's walk through failures takes them."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.scenario.counts import Counts, block_gpus, domain_gpus, used_domain_gpus
from hindmost.scenario.cubes import cube_gpus, swap_gpus
from hindmost.scenario.models import Pool, Scenario
from hindmost.scenario.reliability import FailureScope


@dataclass(frozen=True, kw_only=True)
class PoolCluster:
    """GPUs of one pool where they are: those of its domains that it does not use included.

    Attributes
    ----------
    n_gpus : int
        All of them.
    node_gpus, domain_gpus : int
        GPUs of a node and of a domain; a pool of less than one domain is one.
    domain_gpus_used : int
        GPUs of each domain that the pool has; whole nodes among the others stand in for its nodes.
    working_gpus : int
        GPUs of each domain that are in tensor groups.
    block_gpus : int
        GPUs of the smallest part that a spare replaces: whole nodes and whole tensor groups.
    spare_blocks : int
        Blocks that are held back behind the working ones.
    rack_gpus : int or None
        GPUs of a rack.
    cube_gpus : int or None
        GPUs of a cube, which slices consist of.
    whole_gpus : int or None
        GPUs of which a swap block takes all and nobody stands in for any: those of a cube, or of
        a fixed block of cubes; None where blocks lie in domains.
    n_ranks : int
        Ranks, which fill working GPUs in order.
    """

    n_gpus: int
    node_gpus: int
    domain_gpus: int
    domain_gpus_used: int
    working_gpus: int
    block_gpus: int
    spare_blocks: int
    rack_gpus: int | None
    n_ranks: int
    cube_gpus: int | None = None
    whole_gpus: int | None = None

    def unit_gpus(self, scope: FailureScope, below_switch: int | None) -> int:
        """Return the GPUs of a unit, in whole nodes unless it is one GPU.

        Parameters
        ----------
        scope
            What fails together; not the job.
        below_switch
            GPUs below one switch, for that scope.
        """
        if scope == "gpu":
            return 1
        sizes = {
            "node": self.node_gpus,
            "domain": self.domain_gpus,
            "rack": self.rack_gpus,
            "switch": below_switch,
            "cube": self.cube_gpus,
        }
        gpus = sizes[scope]
        assert gpus is not None
        return -(-gpus // self.node_gpus) * self.node_gpus

    def n_units(self, unit_gpus: int) -> int:
        """Return how many units of so many GPUs the pool has."""
        return -(-self.n_gpus // unit_gpus)

    def units_with_ranks(self, unit_gpus: int) -> int:
        """Return how many units of so many GPUs have ranks."""
        if unit_gpus == 1:
            return self.n_ranks
        full, rest = divmod(self.n_ranks, self.working_gpus)
        if self.domain_gpus % unit_gpus == 0:
            # Units lie in domains, and ranks at the beginning of these.
            return full * -(-self.working_gpus // unit_gpus) + -(-rest // unit_gpus)
        if unit_gpus % self.domain_gpus == 0:
            return -(-(full + (rest > 0)) * self.domain_gpus // unit_gpus)
        met: set[int] = set()
        for domain in range(full + (rest > 0)):
            first = domain * self.domain_gpus
            end = first + (self.working_gpus if domain < full else rest)
            met.update(range(first // unit_gpus, -(-end // unit_gpus)))
        return len(met)


def pool_cluster(pool: Pool, scenario: Scenario, *, spares: int, n_ranks: int) -> PoolCluster:
    """Return the GPUs of a pool, of which so many are held back, and so many are ranks."""
    used = domain_gpus(pool)
    full, rest = divmod(pool.n_gpus, used)
    # A pool of less than a domain has nobody else in it.
    of_a_domain = pool.domain_gpus_used or pool.accelerator.domain_gpus
    whole = pool.accelerator.domain_gpus if pool.n_gpus >= of_a_domain else used
    block = block_gpus(pool, scenario.layout)
    n_spares = spares // block if block else 0
    cube = in_all = None
    if scenario.slices is not None:
        cube = cube_gpus(scenario.slices, pool)
        block = in_all = swap_gpus(scenario.slices, pool)
        # Whatever is up and in no slice of the job takes the place of what is not.
        n_spares = pool.n_gpus // block - n_ranks // block
    return PoolCluster(
        n_gpus=full * whole + rest,
        node_gpus=min(pool.accelerator.node_gpus, whole),
        domain_gpus=whole,
        domain_gpus_used=used,
        working_gpus=used_domain_gpus(pool, scenario.layout.tensor),
        block_gpus=block,
        spare_blocks=n_spares,
        rack_gpus=pool.rack_gpus,
        n_ranks=n_ranks,
        cube_gpus=cube,
        whole_gpus=in_all,
    )


def clusters(scenario: Scenario, counts: Counts) -> dict[str, PoolCluster]:
    """Return the GPUs of each pool, by its name."""
    return {
        name: pool_cluster(
            pool,
            scenario,
            spares=counts.pools[name].held_back_gpus,
            n_ranks=counts.pools[name].n_ranks,
        )
        for name, pool in scenario.pools.items()
    }
