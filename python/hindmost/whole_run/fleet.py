"""A scenario with failures as what the core walks through: plain numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hindmost import _core
from hindmost.arguments import refuse
from hindmost.errors import Problem
from hindmost.law import Constant, LawModel
from hindmost.plan import Plan
from hindmost.renewal.interval import of_constant_rate
from hindmost.scenario import Counts, Scenario
from hindmost.scenario.cubes import slice_gpus
from hindmost.scenario.reliability import Checkpoint, FailureScope, Recovery, UnitFailures
from hindmost.scenario.reliability_problems import EVICTION, WATCHDOG
from hindmost.scenario.smoothing import SMOOTHING
from hindmost.whole_run.best_interval import best_of_stretches
from hindmost.whole_run.cluster import PoolCluster, clusters
from hindmost.whole_run.parts import part_replicas, parts_of_groups, parts_of_slices
from hindmost.whole_run.stops import (
    evictions_per_hour,
    smoothing_failures_per_hour,
    watchdog_per_hour,
)

SEARCH_SEED = 0
"""Seed of the run whose stretches a search for the best interval goes by."""
SEARCH_RUNS, SEARCH_INTERRUPTIONS = 4, 5_000
"""Runs of it, and interruptions of each of them."""
SEARCH_DAYS = 3650.0
"""Days of each of them, at most."""
SEARCH_FAILURES = 5e6
"""Failures of each of them, at most, about."""
SAVED = 2
"""Code of the core for a stretch after which nothing is lost."""
MOST_FAILURES = 1e9
"""Failures in a run, at most."""
LONGEST_INTERVAL_S = 1e9
"""Seconds between checkpoints where nothing ever goes back to one."""
SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 24 * SECONDS_PER_HOUR


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """A job on a cluster whose units fail.

    Attributes
    ----------
    scenario : Scenario
        The scenario, with failures.
    plan : Plan
        Its plan.
    """

    scenario: Scenario
    plan: Plan

    @cached_property
    def clusters(self) -> dict[str, PoolCluster]:
        """The GPUs of each pool."""
        return clusters(self.scenario, self._counts)

    @property
    def _recovery(self) -> Recovery:
        recovery = self.scenario.recovery
        assert recovery is not None
        return recovery

    @cached_property
    def kinds(self) -> list[dict[str, Any]]:
        """Failures of each kind and pool, as the core takes them; none that are ideal."""
        if self.scenario.ideals.failures:
            return []
        found = [
            _kind(name, failures, index, pool, keeps_local=self._keeps_local(failures.scope))
            for name, failures in self.scenario.enabled_failures.items()
            for index, pool in _pools(failures, self.clusters)
        ]
        given = (self.scenario, self.plan, self._counts, self.clusters)
        if per_hour := watchdog_per_hour(*given):
            found.append({**self._of_job(WATCHDOG, per_hour), "hang_s": self.scenario.watchdog_s})
        if per_hour := evictions_per_hour(*given):
            found.append({**self._of_job(EVICTION, per_hour), "saves_first": True})
        if per_hour := smoothing_failures_per_hour(self.scenario, self.plan):
            found.append(self._of_job(SMOOTHING, per_hour))
        return found

    def _of_job(self, name: str, per_hour: float) -> dict[str, Any]:
        """Return what stops the job without breaking a unit of it, as the core takes it."""
        of_job = UnitFailures(scope="job", per_hour=per_hour)
        return _kind(name, of_job, None, None, keeps_local=self._keeps_local("job"))

    @property
    def _saves(self) -> Checkpoint | None:
        """Checkpoints, unless nothing fails."""
        return None if self.scenario.ideals.failures else self.scenario.enabled_checkpoint

    def _keeps_local(self, scope: FailureScope) -> bool:
        """Return whether local checkpoints survive failures of a scope."""
        checkpoint = self._saves
        level = None if checkpoint is None else checkpoint.global_level
        return level is None or scope not in level.scopes

    @property
    def kind_names(self) -> list[str]:
        """Name of the failures of each kind and pool."""
        return [kind["name"] for kind in self.kinds]

    @cached_property
    def _counts(self) -> Counts:
        return Counts.of(self.scenario.pools, self.scenario.layout, self.scenario.spares)

    @cached_property
    def restart_s(self) -> float:
        """Seconds of a restart of the job."""
        recovery = self._recovery
        pools = self.clusters.values()
        n_nodes = sum(pool.units_with_ranks(pool.node_gpus) for pool in pools)
        assert recovery.restart_s is not None
        of_nodes_s = recovery.restart_per_doubling_s * math.log2(max(1, n_nodes))
        return recovery.restart_s + of_nodes_s + self.transition_s

    @cached_property
    def transition_s(self) -> float:
        """Seconds from waiting to work of the pool that takes longest, by smoothing of power."""
        smoothing = self.scenario.acting_smoothing
        return max(
            (
                smoothing[pool.name].seconds_per_transition
                for pool in self.plan.pools
                if pool.name in smoothing and pool.n_ranks
            ),
            default=0.0,
        )

    def _stopped_s(self, blocking_s: float) -> float:
        """Return the seconds that a checkpoint stops the job; one that does not costs nothing."""
        return blocking_s + self.transition_s if blocking_s else 0.0

    @cached_property
    def interval_s(self) -> float | None:
        """Seconds of computing from one checkpoint to the next one; None without checkpoints."""
        checkpoint = self._saves
        if checkpoint is None:
            return None
        if checkpoint.interval_s == "best":
            return self._best_interval_s()
        return checkpoint.interval_s

    def arguments(self, interval_s: float | None = None) -> dict[str, Any]:
        """Return the arguments of the core, with an interval or the scenario's own."""
        interval_s = self.interval_s if interval_s is None else interval_s
        return {**self._cluster, "checkpoint": self._checkpoint(interval_s)}

    @property
    def identity(self) -> Any:
        """What whole runs follow from, as plain data: fleets of equal ones have equal runs."""
        saves = self._saves
        interval_s = None if saves is None else saves.interval_s
        return self._cluster, self._checkpoint(None), interval_s, self.scenario.ideals.idle

    @cached_property
    def _cluster(self) -> dict[str, Any]:
        scenario, recovery = self.scenario, self._recovery
        counts = self._counts
        replicas = part_replicas(
            scenario.layout, counts.n_replicas, keeps_states=recovery.replica_level
        )
        parts = parts_of_groups(scenario, counts, replicas=replicas)
        n_parts = -(-counts.n_replicas // replicas)
        slices = scenario.slices
        if slices is not None:
            ((name, pool),) = scenario.pools.items()
            groups = slice_gpus(slices, pool) // scenario.layout.tensor
            parts[name], n_parts = parts_of_slices(parts[name], slice_groups=groups)
        work = sum(pool.n_ranks * pool.rank_model_flops for pool in self.plan.pools)
        pools = [
            {
                "name": plan.name,
                "n_gpus": pool.n_gpus,
                "node_gpus": pool.node_gpus,
                "domain_gpus": pool.whole_gpus or pool.domain_gpus,
                "domain_gpus_used": pool.whole_gpus or pool.domain_gpus_used,
                "tensor": scenario.layout.tensor,
                "block_gpus": pool.block_gpus,
                "spare_blocks": pool.spare_blocks,
                "parts": parts[plan.name],
                # Of a whole step, so that work is counted in steps of the whole job.
                "work_per_s": plan.rank_model_flops / work,
            }
            for plan, pool in zip(self.plan.pools, self.clusters.values(), strict=True)
        ]
        rewire_s = slices.rewire_s if slices is not None and slices.placement == "any" else 0.0
        checkpoint = self._saves
        level = None if checkpoint is None else checkpoint.global_level
        from_global_s = self.restart_s
        if level is not None and level.restart_s is not None:
            assert recovery.restart_s is not None
            from_global_s += level.restart_s - recovery.restart_s
        return {
            "pools": pools,
            "n_parts": n_parts,
            "failures": self.kinds,
            "recovery": {
                "detection_s": recovery.detection_s,
                "restart_s": self.restart_s,
                "global_restart_s": from_global_s,
                "can_fail": recovery.restart_can_fail,
                "swap_s": recovery.swap_s + rewire_s,
                "shrinks": recovery.exhausted == "shrink",
                "regrows_at_checkpoint": recovery.regrow == "checkpoint",
                "replica_stall_s": recovery.replica_stall_s + self.transition_s
                if recovery.replica_level
                else None,
                "rejoin_s": recovery.detection_s + self.restart_s,
            },
        }

    def _checkpoint(self, interval_s: float | None) -> dict[str, Any] | None:
        checkpoint = self._saves
        if checkpoint is None:
            return None
        level = checkpoint.global_level
        return {
            "interval_s": interval_s,
            "blocking_s": self._stopped_s(checkpoint.blocking_s),
            "durable_s": checkpoint.durable_s,
            "global_every": None if level is None else level.every,
            "global_blocking_s": 0.0 if level is None else self._stopped_s(level.blocking_s),
            "global_durable_s": 0.0 if level is None else level.durable_s,
        }

    @property
    def failures_per_hour(self) -> float:
        """Failures of all units in an hour, with all of them up."""
        return float(sum(kind["per_hour"] * kind["n_units"] for kind in self.kinds))

    @cached_property
    def rollbacks_per_hour(self) -> float:
        """Failures in an hour after which the job goes back to a checkpoint, with all at work."""
        return float(sum(kind["per_hour"] * self._units_that_stop(kind) for kind in self.kinds))

    def _units_that_stop(self, kind: dict[str, Any]) -> int:
        """Return how many units of a kind stop the job when they fail."""
        if kind["pool"] is None:
            return 1
        if self._recovery.replica_level:
            # A replica that fails loses nothing.
            return 0
        pool: PoolCluster = list(self.clusters.values())[kind["pool"]]
        return pool.units_with_ranks(kind["unit_gpus"])

    def _best_interval_s(self) -> float:
        checkpoint = self._saves
        assert checkpoint is not None
        rate = self.rollbacks_per_hour / SECONDS_PER_HOUR
        level = checkpoint.global_level
        failures = self.scenario.enabled_failures.values()
        is_constant = all(one.shape == 1 for one in failures)
        mean_s = self._stopped_s(checkpoint.blocking_s)
        if level is None and is_constant and not self._recovery.replica_level:
            return of_constant_rate(rate, mean_s) if rate else LONGEST_INTERVAL_S
        if level is not None:
            mean_s += (self._stopped_s(level.blocking_s) - mean_s) / level.every
        first_s = of_constant_rate(rate, mean_s) if rate else LONGEST_INTERVAL_S
        return self._searched_interval_s(first_s, mean_s)

    def _searched_interval_s(self, first_s: float, blocking_s: float) -> float:
        """Return the interval that keeps most of simulated runs.

        Parameters
        ----------
        first_s
            An interval to simulate them with.
        blocking_s
            Seconds of the average checkpoint.
        """
        most_days = SEARCH_FAILURES / (24 * self.failures_per_hour)
        found = self.walk(
            interval_s=first_s,
            seed=SEARCH_SEED,
            runs=(0, SEARCH_RUNS),
            seconds=min(SEARCH_DAYS, most_days) * SECONDS_PER_DAY,
            threads=SEARCH_RUNS,
            interruptions=SEARCH_INTERRUPTIONS,
            keeps_log=True,
        )
        seconds, ends = found["stretch_s"], found["stretch_end"]

        def kept_s(interval_s: float) -> float:
            return _core.kept_of_stretches(self._checkpoint(interval_s) or {}, seconds, ends)

        return best_of_stretches(
            kept_s,
            n_lost=int((ends != SAVED).sum()),
            seconds=float(seconds.sum()),
            first_s=first_s,
            blocking_s=blocking_s,
        )

    def walk(self, *, interval_s: float | None = None, **call: Any) -> dict[str, Any]:
        """Simulate runs by the core, with an interval or the scenario's own.

        Raises
        ------
        ScenarioError
            If there would be more failures in a run than anybody waits for.
        """
        failures = self.failures_per_hour * call["seconds"] / SECONDS_PER_HOUR
        ends = ("interruptions", "work")
        if failures > MOST_FAILURES and not any(call.get(end) for end in ends):
            days = call["seconds"] / SECONDS_PER_DAY
            requirement = (
                f"must make at most {MOST_FAILURES:.0e} failures in a run, and make "
                f"{self.failures_per_hour:.3g} an hour in {days:g} days"
            )
            hint = "fewer days, or lower rates"
            source = self.scenario.source
            refuse([Problem(path="failures", requirement=requirement, hint=hint, source=source)])
        return _core.fleet_runs(self.arguments(interval_s), **call)


def _pools(
    failures: UnitFailures, clusters: dict[str, PoolCluster]
) -> list[tuple[int | None, PoolCluster | None]]:
    """Return the pools whose units fail, with their places; none for the job."""
    if failures.scope == "job":
        return [(None, None)]
    return [
        (index, pool)
        for index, (name, pool) in enumerate(clusters.items())
        if failures.pools is None or name in failures.pools
    ]


def _kind(
    name: str,
    failures: UnitFailures,
    index: int | None,
    pool: PoolCluster | None,
    *,
    keeps_local: bool,
) -> dict[str, Any]:
    """Return failures of one kind in one pool, or of the job, as the core takes them."""
    unit_gpus = n_units = 1
    if pool is not None:
        unit_gpus = pool.unit_gpus(failures.scope, failures.unit_gpus)
        n_units = pool.n_units(unit_gpus)
    return {
        "name": name,
        "pool": index,
        "unit_gpus": unit_gpus,
        "n_units": n_units,
        "per_hour": failures.per_hour,
        "shape": failures.shape,
        "is_new": failures.ages == "new",
        "rate_spread": failures.rate_spread,
        "repair_hours": _repair(failures),
        "keeps_local": keeps_local,
        "hang_s": 0.0,
    }


def _repair(failures: UnitFailures) -> dict[str, Any] | None:
    """Return the law of the hours of a repair, for the core; None where a unit is back at once."""
    if not failures.are_repaired:
        return None
    hours = failures.repair_hours
    law = hours if isinstance(hours, LawModel) else Constant(value=hours)
    return law.model_dump(exclude_none=True)
