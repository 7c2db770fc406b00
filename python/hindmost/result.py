"""What a simulation says, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost import _core
from hindmost.caps import COLUMNS, moved_caps
from hindmost.engines import Deviation
from hindmost.metrics import METRICS
from hindmost.order import Rows
from hindmost.plan import Plan, PoolPlan
from hindmost.scenario import Changes, Scenario, bases
from hindmost.statistics import Estimate, estimates

if TYPE_CHECKING:
    import polars as pl

Row = dict[str, Any]


class Result:
    """Steps of a scenario, and what they come to.

    Attributes
    ----------
    inputs : dict
        scenario, seed, runs, steps, method and version: all that a repetition
        takes.
    machine : dict
        threads, instruction_set and wall_time_s: what changes nothing.
    scenario : Scenario
        What was simulated.
    plan : Plan
        What the scenario came to.
    why : str
        Why the method was chosen.
    deviation : Deviation or None
        How far the rows are off, if they are approximate.
    """

    def __init__(
        self,
        *,
        scenario: Scenario,
        plan: Plan,
        columns: _core.Columns,
        inputs: Mapping[str, Any],
        machine: Mapping[str, Any],
        why: str,
        deviation: Deviation | None,
        again: Callable[..., Result],
    ) -> None:
        self.scenario = scenario
        self.plan = plan
        self.why = why
        self.deviation = deviation
        self._again = again
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
        import polars as pl

        columns = self._columns
        names = [pool.name for pool in self.plan.pools]
        pools = pl.Series(names, dtype=pl.Enum(names))
        run = np.repeat(np.arange(self._runs, dtype=np.uint32), self._steps)
        step = np.tile(np.arange(self._steps, dtype=np.uint32), self._runs)
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
        energy_j.
        busy_frac is the share of time in which a rank computes, wait_frac that
        in which it waits for a slower rank; the rest are exposed communication
        and the rank's own stalls. slowest_frac is the share of steps in which
        the barrier waited for the pool. Spares count in none of them. energy_j is what
        all GPUs of the pool take in a step, spares included: peak power while a rank
        computes, idle power else; null where one of the two is not known.
        """
        import polars as pl

        # An energy that is known nowhere is a number all the same.
        return pl.DataFrame(self.pool_rows, schema_overrides={"energy_j": pl.Float64})

    @cached_property
    def pool_rows(self) -> list[Row]:
        """Rows of `pools`, for which nothing needs Polars."""
        plan, columns = self.plan, self._columns
        shape = (self._runs, len(plan.pools))
        busy_s = columns["busy_s"].reshape(shape).mean(axis=0)
        own_stall_s = columns["own_stall_s"].reshape(shape).mean(axis=0)
        step_time_s = float(columns["step_time_s"].mean())
        # Expected seconds against sampled ones: what nobody waited may come out below 0.
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

        Statistics are of all rows of all runs; std_error is the delete-one-run
        jackknife, null for one run.
        """
        import polars as pl

        # One run has no error, and null is a number all the same.
        return pl.DataFrame(self.summary_rows, schema_overrides={"std_error": pl.Float64})

    @cached_property
    def summary_rows(self) -> list[Row]:
        """Rows of `summary`, for which nothing needs Polars."""
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
            for path, basis in bases(self.scenario).items()
            if basis.kind == "assumed"
        ]

    @cached_property
    def caps(self) -> pl.DataFrame:
        """One row a moved cap: what the means come to if the cap of a law is another one.

        Columns cause, path, cap, moved_to, step_time_s, step_time_change_s, std_error, mfu and
        mfu_change. A cap's excess over what is neutral (1 for slowdowns, 0 for stalls) is
        halved and doubled, all else and the seed being the same. The changes are means of
        paired differences over the first steps of the first runs, std_error that of
        step_time_change_s by delete-one-run jackknife, null for one run; step_time_s and mfu are
        the means of `summary` and the changes.

        There are rows of at most four caps, those that can matter most. Left out is what
        could not move the mean step time by 1e-4 of it, did not move a step or would be
        refused. Made when it is first asked for; without rows for method ``sample`` and for
        approximate results, which would take long.
        """
        import polars as pl

        return pl.DataFrame(self.cap_rows, schema=COLUMNS)

    @cached_property
    def cap_rows(self) -> list[Row]:
        """Rows of `caps`, for which nothing needs Polars."""
        if self.inputs["method"] != "order-statistics" or self.deviation is not None:
            return []
        step_time_s = self._columns["step_time_s"].reshape(self._runs, -1)
        return moved_caps(self.scenario, self.plan, step_time_s, again=self._step_time_s_of)

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
            for estimate in estimates(self._rows(metric), self._runs)
        ]

    def _step_time_s_of(self, changes: Changes, runs: int, steps: int) -> Rows:
        return self._again(changes=changes, runs=runs, steps=steps)._columns["step_time_s"]

    def _rows(self, metric: str) -> Rows:
        return METRICS[metric].rows(self._columns, self.plan.peak_step_s)


def _energy_j(pool: PoolPlan, n_ranks: int, busy_s: float, step_time_s: float) -> float | None:
    """Return the joules that a pool takes in a step, if its powers are known."""
    if pool.peak_power_w is None or pool.idle_power_w is None:
        return None
    above_idle_w = pool.peak_power_w - pool.idle_power_w
    return pool.n_gpus * pool.idle_power_w * step_time_s + n_ranks * above_idle_w * busy_s
