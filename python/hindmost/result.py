"""What a simulation says, as tables."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from hindmost import _core
from hindmost.order import Rows
from hindmost.plan import Plan, PoolPlan
from hindmost.scenario import bases, from_table
from hindmost.statistics import Estimate, estimates

METRICS = ("step_time_s", "compute_s", "exposed_comm_s", "stall_s", "mfu")
"""Columns of `Result.steps` that `Result.summary` covers."""


class Result:
    """Steps of a scenario, and what they come to.

    Attributes
    ----------
    inputs : dict
        scenario, seed, runs, steps, method and version: all that a repetition
        takes.
    machine : dict
        threads, instruction_set and wall_time_s: what changes nothing.
    plan : Plan
        What the scenario came to.
    why : str
        Why the method was chosen.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        columns: _core.Columns,
        inputs: Mapping[str, Any],
        machine: Mapping[str, Any],
        why: str,
    ) -> None:
        self.plan = plan
        self.why = why
        self.inputs = dict(inputs)
        self.machine = dict(machine)
        self._columns = columns
        self._runs: int = inputs["runs"]
        self._steps: int = inputs["steps"]

    def __repr__(self) -> str:
        name = self.inputs["scenario"]["name"]
        return f"<Result of {name}: {self._runs} runs of {self._steps} steps>"

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row a step.

        Columns run, step, step_time_s, compute_s, exposed_comm_s, stall_s,
        slowest_pool and mfu. ``step_time_s = compute_s + exposed_comm_s``; compute_s is that of the
        slowest replica, of which stall_s is what stalls cost: its slowest rank's, or, with
        stages, what the schedule would take less without them.
        """
        columns = self._columns
        names = [pool.name for pool in self.plan.pools]
        pools = pl.Series(names, dtype=pl.Enum(names))
        run = np.repeat(np.arange(self._runs, dtype=np.uint32), self._steps)
        step = np.tile(np.arange(self._steps, dtype=np.uint32), self._runs)
        return pl.DataFrame(
            {
                "run": run,
                "step": step,
                "step_time_s": columns["step_time_s"],
                "compute_s": columns["compute_s"],
                "exposed_comm_s": columns["exposed_comm_s"],
                "stall_s": columns["stall_s"],
                "slowest_pool": pools.gather(columns["slowest"]),
                "mfu": self._mfu(columns["step_time_s"]),
            }
        )

    @cached_property
    def pools(self) -> pl.DataFrame:
        """One row a pool.

        Columns pool, n_gpus, n_spares, busy_frac, wait_frac, slowest_frac, mfu and
        energy_j.
        busy_frac is the share of time in which a rank computes, wait_frac that
        in which it waits for a slower rank; the rest are exposed communication
        and the rank's own stalls. slowest_frac is the share of steps in which
        the barrier waited for the pool. Spares count in none of them. energy_j is what
        all GPUs of the pool take in a step, spares included: peak power while a rank
        computes, idle power else; null where one of the two is not known.
        """
        plan, columns = self.plan, self._columns
        shape = (self._runs, len(plan.pools))
        busy_s = columns["busy_s"].reshape(shape).mean(axis=0)
        own_stall_s = columns["own_stall_s"].reshape(shape).mean(axis=0)
        step_time_s = columns["step_time_s"].mean()
        # Expected seconds against sampled ones: what nobody waited may come out below 0.
        waited_s = np.maximum(columns["compute_s"].mean() - busy_s - own_stall_s, 0.0)
        slowest = np.bincount(columns["slowest"], minlength=len(plan.pools))
        peaks = np.array([pool.peak_flop_per_s for pool in plan.pools])
        energy_j = [
            _energy_j(pool, n_ranks, float(busy), float(step_time_s))
            for pool, n_ranks, busy in zip(plan.pools, plan.ranks, busy_s, strict=True)
        ]
        return pl.DataFrame(
            {
                "pool": [pool.name for pool in plan.pools],
                "n_gpus": [pool.n_gpus for pool in plan.pools],
                "n_spares": [
                    pool.n_gpus - n_ranks
                    for pool, n_ranks in zip(plan.pools, plan.ranks, strict=True)
                ],
                "busy_frac": busy_s / step_time_s,
                "wait_frac": waited_s / step_time_s,
                "slowest_frac": slowest / len(columns["slowest"]),
                "mfu": plan.rank_model_flops / (peaks * step_time_s),
                "energy_j": pl.Series(energy_j, dtype=pl.Float64),
            }
        )

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row a run: run, and the mean of each metric over its steps."""
        per_run = {name: self._metric(name).reshape(self._runs, -1) for name in METRICS}
        means = {name: rows.mean(axis=1) for name, rows in per_run.items()}
        return pl.DataFrame({"run": np.arange(self._runs, dtype=np.uint32), **means})

    @cached_property
    def summary(self) -> pl.DataFrame:
        """One row a metric and statistic: metric, statistic, value, std_error.

        Statistics are of all rows of all runs; std_error is the delete-one-run
        jackknife, null for one run.
        """
        rows = [
            (metric, estimate.statistic, estimate.value, estimate.std_error)
            for metric, estimate in self._estimates
        ]
        schema = {
            "metric": pl.String,
            "statistic": pl.String,
            "value": pl.Float64,
            "std_error": pl.Float64,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    @cached_property
    def warnings(self) -> dict[tuple[str, str], str]:
        """What speaks against trusting an error, by metric and statistic."""
        return {
            (metric, estimate.statistic): estimate.warning
            for metric, estimate in self._estimates
            if estimate.warning
        }

    @cached_property
    def assumed(self) -> list[dict[str, str]]:
        """What rests on an assumption, as path and where.

        Of the scenario and of the catalogue entries that it uses.
        """
        return [
            {"path": path, "where": basis.where}
            for path, basis in bases(from_table(self.inputs["scenario"])).items()
            if basis.kind == "assumed"
        ]

    def value(self, metric: str, statistic: str = "mean") -> float:
        """Return one value of the summary.

        Raises
        ------
        KeyError
            If there is no such metric or statistic.
        """
        for name, estimate in self._estimates:
            if (name, estimate.statistic) == (metric, statistic):
                return estimate.value
        raise KeyError(f"{metric}.{statistic}")

    @cached_property
    def _estimates(self) -> list[tuple[str, Estimate]]:
        return [
            (metric, estimate)
            for metric in METRICS
            for estimate in estimates(self._metric(metric), self._runs)
        ]

    def _metric(self, name: str) -> Rows:
        columns = self._columns
        return {
            "step_time_s": columns["step_time_s"],
            "compute_s": columns["compute_s"],
            "exposed_comm_s": columns["exposed_comm_s"],
            "stall_s": columns["stall_s"],
            "mfu": self._mfu(columns["step_time_s"]),
        }[name]

    def _mfu(self, step_time_s: Rows) -> Rows:
        return self.plan.model_flops / self.plan.peak_flop_per_s / step_time_s


def _energy_j(pool: PoolPlan, n_ranks: int, busy_s: float, step_time_s: float) -> float | None:
    """Return the joules that a pool takes in a step, if its powers are known."""
    if pool.peak_power_w is None or pool.idle_power_w is None:
        return None
    above_idle_w = pool.peak_power_w - pool.idle_power_w
    return pool.n_gpus * pool.idle_power_w * step_time_s + n_ranks * above_idle_w * busy_s
