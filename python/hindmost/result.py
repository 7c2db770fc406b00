"""Result of a simulation: its rows, and tables made of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost import _core
from hindmost.engines import Deviation
from hindmost.errors import UnknownNameError
from hindmost.metrics import METRICS, name_problems
from hindmost.order import Rows
from hindmost.plan import Plan, PoolPlan
from hindmost.scenario import Scenario, bases
from hindmost.statistics import Estimate, estimates

if TYPE_CHECKING:
    import polars as pl

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """Steps of a scenario, and tables of what they come to.

    A result is a value: it pickles and copies, and is equal to a result of the same numbers,
    whatever machine made them.

    Attributes
    ----------
    scenario : Scenario
        What was simulated.
    plan : Plan
        The scenario as plain numbers.
    columns : dict of arrays
        Rows of the engine by column, read-only; `steps` is a table of them.
    inputs : dict
        scenario, seed, runs, steps, method and version: everything that a repetition needs.
    machine : dict
        threads, instruction_set and wall_time_s, which do not change the rows.
    why : str
        Why the method was chosen.
    deviation : Deviation or None
        How far the rows are from sampled ones, if they are approximate.
    """

    scenario: Scenario
    plan: Plan
    columns: _core.Columns
    inputs: dict[str, Any]
    machine: dict[str, Any]
    why: str
    deviation: Deviation | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        plain = ("scenario", "plan", "inputs", "why", "deviation")
        return all(getattr(self, name) == getattr(other, name) for name in plain) and all(
            np.array_equal(np.asarray(mine), np.asarray(theirs))
            for mine, theirs in zip(self.columns.values(), other.columns.values(), strict=True)
        )

    def __getstate__(self) -> dict[str, Any]:
        # Tables are made again when they are needed.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in state["columns"].values():
            array.flags.writeable = False

    def __repr__(self) -> str:
        name = self.inputs["scenario"]["name"]
        return f"<Result of {name}: {self.inputs['runs']} runs of {self.inputs['steps']} steps>"

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row a step.

        Columns run, step, step_time_s, compute_s, exposed_comm_s, stall_s,
        slowest_pool and mfu. ``step_time_s = compute_s + exposed_comm_s``. compute_s is the
        time of the slowest replica, and stall_s the part of it that stalls cost: the stalls of
        its slowest rank or, with stages, what its schedule would save without stalls.
        """
        import polars as pl

        columns = self.columns
        names = [pool.name for pool in self.plan.pools]
        pools = pl.Series(names, dtype=pl.Enum(names))
        n_runs, n_steps = self.inputs["runs"], self.inputs["steps"]
        run = np.repeat(np.arange(n_runs, dtype=np.uint32), n_steps)
        step = np.tile(np.arange(n_steps, dtype=np.uint32), n_runs)
        rows = {name: self._rows(name) for name in METRICS}
        seconds = {name: rows.pop(name) for name, metric in METRICS.items() if metric.unit == "s"}
        return pl.DataFrame(
            {
                "run": run,
                "step": step,
                **seconds,
                "slowest_pool": pools.gather(columns["slowest"]),
                **rows,
            }
        )

    @cached_property
    def pools(self) -> pl.DataFrame:
        """One row a pool.

        Columns pool, n_gpus, n_spares, busy_frac, wait_frac, slowest_frac, mfu and
        energy_j. busy_frac is the share of time in which a rank computes, wait_frac the
        share in which it waits for a slower rank; exposed communication and the rank's own
        stalls take the rest. slowest_frac is the share of steps in which the slowest replica
        belonged to the pool. Spares do not count in these. energy_j is the energy of all GPUs
        of the pool in a step, spares included: peak power while a rank computes, idle power
        otherwise; null where one of the two is not known.
        """
        import polars as pl

        # Without this, a column of nulls only would have no type.
        return pl.DataFrame(self.pool_rows, schema_overrides={"energy_j": pl.Float64})

    @cached_property
    def pool_rows(self) -> list[Row]:
        """Rows of `pools`, made without Polars."""
        plan, columns = self.plan, self.columns
        shape = (self._runs, len(plan.pools))
        busy_s = columns["busy_s"].reshape(shape).mean(axis=0)
        own_stall_s = columns["own_stall_s"].reshape(shape).mean(axis=0)
        step_time_s = float(columns["step_time_s"].mean())
        # Expected seconds less sampled ones: waiting that is zero may come out below it.
        waited_s = np.maximum(columns["compute_s"].mean() - busy_s - own_stall_s, 0.0)
        slowest = np.bincount(columns["slowest"], minlength=len(plan.pools))
        by_pool = zip(
            plan.pools,
            plan.ranks,
            busy_s.tolist(),
            waited_s.tolist(),
            slowest.tolist(),
            strict=True,
        )
        return [
            {
                "pool": pool.name,
                "n_gpus": pool.n_gpus,
                "n_spares": pool.n_gpus - n_ranks,
                "busy_frac": busy / step_time_s,
                "wait_frac": waited / step_time_s,
                "slowest_frac": n_slowest / len(columns["slowest"]),
                "mfu": plan.rank_model_flops / (pool.peak_flop_per_s * step_time_s),
                "energy_j": _energy_j(pool, n_ranks, busy, step_time_s),
            }
            for pool, n_ranks, busy, waited, n_slowest in by_pool
        ]

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row a run: run, and the mean of each metric over its steps."""
        import polars as pl

        per_run = {name: self._rows(name).reshape(self._runs, -1) for name in METRICS}
        means = {name: rows.mean(axis=1) for name, rows in per_run.items()}
        return pl.DataFrame({"run": np.arange(self._runs, dtype=np.uint32), **means})

    @cached_property
    def summary(self) -> pl.DataFrame:
        """One row a metric and statistic: metric, statistic, value, std_error.

        Statistics are of all rows of all runs; std_error is the standard error by
        delete-one-run jackknife, null for one run.
        """
        import polars as pl

        # Without this, a column of nulls only would have no type.
        return pl.DataFrame(self.summary_rows, schema_overrides={"std_error": pl.Float64})

    @cached_property
    def summary_rows(self) -> list[Row]:
        """Rows of `summary`, made without Polars."""
        return [
            {
                "metric": metric,
                "statistic": estimate.statistic,
                "value": estimate.value,
                "std_error": estimate.std_error,
            }
            for metric, estimate in self._estimates
        ]

    @cached_property
    def warnings(self) -> dict[tuple[str, str], str]:
        """Why standard errors are not to be trusted, by metric and statistic."""
        return {
            (metric, estimate.statistic): estimate.warning
            for metric, estimate in self._estimates
            if estimate.warning
        }

    @cached_property
    def assumed(self) -> list[dict[str, str]]:
        """Numbers that rest on an assumption, as path and where.

        Those of the scenario and of the catalogue entries that it uses.
        """
        return [
            {"path": path, "where": basis.where}
            for path, basis in bases(self.scenario).items()
            if basis.kind == "assumed"
        ]

    def value(self, metric: str, statistic: str = "mean") -> float:
        """Return one value of the summary.

        Raises
        ------
        ScenarioError
            If there is no such metric or statistic, with those that there are. It is a KeyError,
            too.
        """
        found = name_problems(metric, statistic)
        if found:
            raise UnknownNameError(found)
        return next(
            estimate.value
            for name, estimate in self._estimates
            if (name, estimate.statistic) == (metric, statistic)
        )

    @cached_property
    def _estimates(self) -> list[tuple[str, Estimate]]:
        return [
            (metric, estimate)
            for metric in METRICS
            for estimate in estimates(self._rows(metric), self._runs)
        ]

    @property
    def _runs(self) -> int:
        n_runs: int = self.inputs["runs"]
        return n_runs

    def _rows(self, metric: str) -> Rows:
        return METRICS[metric].rows(self.columns, self.plan.peak_step_s)


def _energy_j(pool: PoolPlan, n_ranks: int, busy_s: float, step_time_s: float) -> float | None:
    """Return the joules that a pool takes in a step, if its powers are known."""
    if pool.peak_power_w is None or pool.idle_power_w is None:
        return None
    above_idle_w = pool.peak_power_w - pool.idle_power_w
    return pool.n_gpus * pool.idle_power_w * step_time_s + n_ranks * above_idle_w * busy_s
