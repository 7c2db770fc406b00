"""Slices of a scenario: how much of its pod they take, and what a slice keeps of its time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hindmost.arguments import refuse
from hindmost.errors import Problem
from hindmost.renewal.exact import constant_rate
from hindmost.renewal.interval import of_constant_rate
from hindmost.scenario import Counts, Scenario
from hindmost.scenario.cubes import cube_availability, cube_gpus, cube_units, slice_gpus
from hindmost.scenario.models import Pool
from hindmost.scenario.reliability import Checkpoint, UnitFailures
from hindmost.scenario.slices import Placement, SlicesTable
from hindmost.slices.moves import Moves
from hindmost.slices.pack import Running
from hindmost.slices.slices import PLACEMENTS, QUANTILES, Slices

if TYPE_CHECKING:
    import polars as pl

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class SlicesAccount:
    """What slices take of a scenario's pod, and keep of its time.

    Attributes
    ----------
    scenario : Scenario
        The scenario, with slices.
    """

    scenario: Scenario

    @cached_property
    def slices(self) -> Slices:
        """Closed forms of what is placed.

        Where failures say how often cubes are up, host_availability is that with which their hosts
        alone would make it so.
        """
        table, available = self._table, cube_availability(self.scenario)
        assert available is not None
        of_host = table.host_availability
        if of_host is None:
            of_host = available ** (1 / table.hosts_per_cube)
        return Slices(
            cubes=table.cubes,
            hosts_per_cube=table.hosts_per_cube,
            host_availability=of_host,
            slice_cubes=table.slice_cubes,
            placement=table.placement,
        )

    @property
    def _table(self) -> SlicesTable:
        assert self.scenario.slices is not None
        return self.scenario.slices

    @property
    def _pool(self) -> Pool:
        (pool,) = self.scenario.pools.values()
        return pool

    @property
    def cube_gpus(self) -> int:
        """GPUs of a cube."""
        return cube_gpus(self._table, self._pool)

    @property
    def share_placed(self) -> float:
        """Share of cubes that slices take on average, by the scenario's placement."""
        return self.slices.share_placed

    @cached_property
    def job_slices(self) -> int:
        """Slices of the job."""
        counts = Counts.of(self.scenario.pools, self.scenario.layout, self.scenario.spares)
        (pool,) = counts.pools.values()
        return pool.n_ranks // slice_gpus(self._table, self._pool)

    def kept(self, slice_cubes: int, placement: Placement) -> float | None:
        """Return the share of its time that a slice keeps between its stops.

        Parameters
        ----------
        slice_cubes
            Its cubes.
        placement
            Whether switches join other cubes after a failure, which takes ``rewire_s`` more.

        Returns
        -------
        float or None
            That of the closed form for failures at a constant rate; None where there is none: no
            failures, no checkpoints or two levels of them, rates that change or differ, or
            replicas that recover by themselves.
        """
        checkpoint, rate = self.scenario.enabled_checkpoint, self._rate(slice_cubes)
        recovery, kinds = self.scenario.recovery, self.scenario.enabled_failures.values()
        if checkpoint is None or recovery is None or not rate:
            return None
        differ = any(one.shape != 1 or one.rate_spread > 0 for one in kinds)
        if differ or recovery.replica_level or checkpoint.global_level is not None:
            return None
        swaps = sum(self._per_second(one, slice_cubes) for one in kinds if one.are_repaired) / rate
        rewire_s = self._table.rewire_s if placement == "any" else 0.0
        down_s = recovery.detection_s + self.restart_s(slice_cubes)
        interval_s = self.interval_s(slice_cubes)
        assert interval_s is not None
        return constant_rate(
            rate=rate,
            down_s=down_s + swaps * (recovery.swap_s + rewire_s),
            interval_s=interval_s,
            blocking_s=checkpoint.blocking_s,
            durable_s=checkpoint.durable_s,
            can_fail=recovery.restart_can_fail,
        )

    def _rate(self, slice_cubes: int) -> float:
        """Return the failures a second that stop a slice."""
        kinds = self.scenario.enabled_failures.values()
        return sum(self._per_second(one, slice_cubes) for one in kinds)

    def _per_second(self, failures: UnitFailures, slice_cubes: int) -> float:
        """Return the failures of one kind a second that stop a slice."""
        (name,) = self.scenario.pools
        if failures.scope == "job":
            units = 1
        elif failures.pools is not None and name not in failures.pools:
            units = 0
        else:
            # What reaches beyond a cube stops a slice that has any part of it.
            units = cube_units(failures, self._table, self._pool) * slice_cubes
            if not units:
                size = failures.unit_gpus or self._pool.rack_gpus or self.cube_gpus
                units = math.ceil(slice_cubes * self.cube_gpus / size)
        return units * failures.per_hour / SECONDS_PER_HOUR

    def restart_s(self, slice_cubes: int) -> float:
        """Return the seconds of a restart of a slice; 0 where the scenario says nothing of it."""
        recovery = self.scenario.recovery
        if recovery is None or recovery.restart_s is None:
            return 0.0
        hosts = slice_cubes * self._table.hosts_per_cube
        return recovery.restart_s + recovery.restart_per_doubling_s * math.log2(hosts)

    def interval_s(self, slice_cubes: int) -> float | None:
        """Return the seconds between a slice's checkpoints; None where it has none."""
        checkpoint = self.scenario.enabled_checkpoint
        if checkpoint is None:
            return None
        if checkpoint.interval_s != "best":
            return checkpoint.interval_s
        rate = self._rate(slice_cubes)
        return of_constant_rate(rate, checkpoint.blocking_s) if rate else None

    def rows_by_size(self) -> list[dict[str, Any]]:
        """Return the rows of `by_size` as plain tables."""
        rows = []
        for row in self.slices.rows_by_size():
            kept = self.kept(row["slice_cubes"], row["placement"])
            share = row["share_placed"]
            rows.append(
                {
                    "slice_cubes": row["slice_cubes"],
                    "n_gpus": row["slice_cubes"] * self.cube_gpus,
                    **{key: value for key, value in row.items() if key != "slice_cubes"},
                    "kept": kept,
                    "goodput": share if kept is None else share * kept,
                }
            )
        return rows

    def by_size(self) -> pl.DataFrame:
        """Return what slices of several sizes take and keep, with switches and without.

        Returns
        -------
        DataFrame
            The columns of `Slices.by_size`; n_gpus of a slice; kept, the share of its time that a
            slice keeps that is placed; and goodput, the share of all of the pod's time that slices
            of this size keep, share_placed alone where kept is null.
        """
        import polars as pl

        return pl.DataFrame(self.rows_by_size(), schema_overrides={"kept": pl.Float64})

    def lost_s(self, slice_cubes: int) -> float:
        """Return the seconds that a slice loses when it is moved.

        Switches take ``rewire_s``, the restart its seconds, and what has been computed since the
        last durable checkpoint is computed again: half of an interval on average, and
        ``durable_s``.
        """
        checkpoint, interval_s = self.scenario.enabled_checkpoint, self.interval_s(slice_cubes)
        rewire_s = self._table.rewire_s if self._table.placement == "any" else 0.0
        redone_s = 0.0
        if checkpoint is not None and interval_s is not None:
            redone_s = interval_s / 2 + checkpoint.durable_s
        return rewire_s + self.restart_s(slice_cubes) + redone_s

    def defragment(
        self,
        running: Sequence[Running],
        waiting: Sequence[int],
        *,
        down: Sequence[int] = (),
        moves: int = 1,
        lost_s: float | Mapping[int, float] | None = None,
    ) -> Moves:
        """Return what could be placed if some running slices were moved.

        Parameters
        ----------
        running, waiting, down, moves
            As in `Slices.defragment`.
        lost_s
            Seconds that a moved slice loses, or those by its cubes; `lost_s` by default.

        Raises
        ------
        ScenarioError
            As `Slices.defragment`, and where a move has a cost that the scenario does not say.
        """
        if lost_s is None:
            refuse(list(self._cost_problems()))
            sizes = sorted({size for size, _ in running if isinstance(size, int) and size > 0})
            lost_s = {size: self.lost_s(size) for size in sizes}
        return self.slices.defragment(
            running, waiting, down=down, moves=moves, lost_s=lost_s, cube_gpus=self.cube_gpus
        )

    def _cost_problems(self) -> Iterator[Problem]:
        """Yield a problem for each part of what a move costs that nothing says."""
        scenario = self.scenario
        hint = "or give the seconds that a moved slice loses"
        if scenario.recovery is None or scenario.recovery.restart_s is None:
            requirement = "is missing: a slice that is moved restarts"
            yield Problem(
                path="recovery.restart_s",
                requirement=requirement,
                hint=hint,
                source=scenario.source,
            )
        checkpoint: Checkpoint | None = scenario.enabled_checkpoint
        if checkpoint is None:
            requirement = "is missing: a slice that is moved loses all that it has computed"
            yield Problem(
                path="checkpoint", requirement=requirement, hint=hint, source=scenario.source
            )
        elif self.interval_s(1) is None:
            requirement = "must be a number of seconds: nothing fails, so that none is the best"
            yield Problem(
                path="checkpoint.interval_s",
                requirement=requirement,
                value="best",
                hint=hint,
                source=scenario.source,
            )

    def document(self) -> dict[str, Any]:
        """Return what slices take as plain tables, as ``run --format json`` prints it."""
        slices = self.slices
        return {
            "placement": slices.placement,
            "cubes": slices.cubes,
            "cube_gpus": self.cube_gpus,
            "slice_cubes": slices.slice_cubes,
            "host_availability": slices.host_availability,
            "cube_availability": slices.cube_availability,
            "share_placed": self.share_placed,
            "quantiles": {name: slices.quantile(at) for name, at in QUANTILES.items()},
            "share_placed_by_placement": {
                each: slices.with_placement(each).share_placed for each in PLACEMENTS
            },
            "job_slices": self.job_slices,
            "job_fits_by_placement": {
                each: slices.with_placement(each).fits(self.job_slices) for each in PLACEMENTS
            },
            "by_size": self.rows_by_size(),
        }
