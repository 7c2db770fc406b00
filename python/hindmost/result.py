"""Result of a simulation: its rows, tables made of them, and how it is written."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hindmost import _core
from hindmost.cause import SECONDS_PER_HOUR
from hindmost.energy import Energy, PoolPower, RunTime, energy, gpu_power, missing_hint
from hindmost.engines import Deviation
from hindmost.errors import Problem, UnknownNameError, plain
from hindmost.file_terms import with_terms
from hindmost.files import check_writable, replace
from hindmost.forecasted import FORECAST_METRICS, Forecast
from hindmost.metrics import METRICS, RUN_METRICS, name_problems
from hindmost.notebook import Cells, shown
from hindmost.order import Rows
from hindmost.plan import Plan
from hindmost.scenario import (
    Scenario,
    ScenarioWarning,
    bases,
    not_modelled,
    scenario_warnings,
)
from hindmost.statistics import Estimate, Replicates, estimate, replicates, run_means
from hindmost.terms import Terms, has_terms, terms_of

if TYPE_CHECKING:
    import polars as pl

    from hindmost.attributed import Attribution
    from hindmost.plots.plot import Plot
    from hindmost.slices.account import SlicesAccount
    from hindmost.store import Parts
    from hindmost.whole_run.account import Account
    from hindmost.whole_run.hours import RunHours

Row = dict[str, Any]

SUFFIXES = (".parquet", ".csv", ".json")
"""Suffixes of the files that a result is written to."""

BY_RUN_AND_POOL = ("busy_s", "own_stall_s", "episode_s")
"""Columns with one row a run and pool, the last where computing may be slow in episodes."""
MOST_OFF = 1.25
"""Factor by which the hours of a run's steps may differ from those between restarts."""
IN_EPISODE = "slowest_in_episode"
"""Column of steps that tells whether the slowest replica is in an episode."""
EPISODES_OF_POOLS = (
    "busy_for_episodes_frac",
    "slowest_in_episode_frac",
    "wait_for_episodes_frac",
)
"""Columns of pools that tell what episodes make of others."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result:
    """Steps of a scenario, and tables of what they come to.

    A result is a value: plain data that pickles, copies, and is written to a file and read back.
    It is equal to a result of the same numbers, whatever machine made them and in whatever time:
    `machine` is not compared, nor are `forecast` and `attribution`, which lie beside it; all the
    rest is.

    Attributes
    ----------
    scenario : Scenario
        What was simulated.
    plan : Plan
        The scenario as plain numbers.
    columns : dict of arrays
        Rows of the engine by column, read-only; `steps` is a table of them.
    inputs : dict
        scenario, seed, runs, steps, method and version: everything that a repetition needs. And
        asked: the method, runs, steps and terms of the call, None for a default, which a repetition
        with changes asks for again. Files of older versions have no such key. With failures also
        days and tokens, here and in asked.
    machine : dict
        threads, instruction_set and wall_time_s, which do not change the rows.
    why : str
        Why the method was chosen.
    deviation : Deviation or None
        How far the rows are from sampled ones, if they are approximate.
    hours : RunHours or None
        Where the time of whole runs went, if the scenario has failures; `account` adds it up.
    forecast : Forecast or None
        What ``hindmost run`` forecast beside, with what is not known drawn anew in every run.
    attribution : Attribution or None
        What each mechanism costs, if ``hindmost run --attribute`` found it beside.
    """

    scenario: Scenario
    plan: Plan
    columns: _core.Columns
    inputs: dict[str, Any]
    machine: dict[str, Any]
    why: str
    deviation: Deviation | None = None
    hours: RunHours | None = None
    forecast: Forecast | None = None
    attribution: Attribution | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Result):
            return NotImplemented
        names = ("scenario", "plan", "inputs", "why", "deviation", "hours")
        mine: dict[str, Any] = {**self.columns}
        theirs: dict[str, Any] = {**other.columns}
        return (
            all(getattr(self, name) == getattr(other, name) for name in names)
            and mine.keys() == theirs.keys()
            and all(np.array_equal(mine[name], theirs[name]) for name in mine)
        )

    def __getstate__(self) -> dict[str, Any]:
        # Tables are made again when they are needed.
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for array in state["columns"].values():
            array.flags.writeable = False

    def __repr__(self) -> str:
        name = plain(self.inputs["scenario"]["name"])
        return f"<Result of {name}: {self.inputs['runs']} runs of {self.inputs['steps']} steps>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: forecast, metrics of steps, and pools."""
        tables = []
        if self.forecast is not None:
            of_draws, names = self.forecast.summary_rows, ["p5", "p50", "p95"]
            tables.append(_pivoted("forecast", of_draws, FORECAST_METRICS, names))
        names = ["mean", "p5", "p50", "p95", "p99"]
        tables.append(_pivoted("at its values", self.summary_rows, tuple(METRICS), names))
        keys = ("pool", "n_gpus", "busy_frac", "wait_frac", "slowest_frac", "mfu")
        tables.append(Cells(keys, [[row[key] for key in keys] for row in self.pool_rows]))
        runs, steps = self.inputs["runs"], self.inputs["steps"]
        return shown(f"{self.scenario.name}: {runs:,} runs of {steps:,} steps", *tables)

    @cached_property
    def steps(self) -> pl.DataFrame:
        """One row a step.

        Columns run, step, step_time_s, compute_s, exposed_comm_s, stall_s,
        slowest_pool and mfu. ``step_time_s = compute_s + exposed_comm_s``. compute_s is the
        time of the slowest replica, the one with which the step takes longest, and stall_s the
        part of it that stalls cost: the stalls of its slowest rank or, with stages, what its
        schedule would save without stalls. Where computing may be slow in episodes there is
        slowest_in_episode after slowest_pool: whether the slowest rank of that replica or, with
        stages, any of its ranks is in one.
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
                **({IN_EPISODE: columns["in_episode"]} if self.has_episodes else {}),
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
        belonged to the pool. Spares do not count in these; all are 0 of a pool without ranks.
        energy_j is the energy of all GPUs of the pool in a step, spares included: peak power
        while a rank computes, idle power otherwise; null where one of the two is not known. `power`
        divides it by phase.

        Where computing may be slow in episodes, busy_for_episodes_frac is the part of busy_frac
        for which the average rank computes longer because of its own ones, slowest_in_episode_frac
        the part of
        slowest_frac in which the slowest replica was in one, and wait_for_episodes_frac the part
        of wait_frac in the steps that waited for such a replica, of whatever pool.
        """
        import polars as pl

        # Without this, a column of nulls only would have no type.
        return pl.DataFrame(self.pool_rows, schema_overrides={"energy_j": pl.Float64})

    @cached_property
    def pool_rows(self) -> list[Row]:
        """Rows of `pools`, made without Polars."""
        plan, columns = self.plan, self.columns
        step_time_s, busy_s, waited_s = self._mean_step
        slowest = np.bincount(columns["slowest"], minlength=len(plan.pools))
        powers, of_episodes = (
            self._pool_powers,
            self._of_episodes(np.array(busy_s), np.array(waited_s)),
        )
        by_pool = zip(
            plan.pools, powers, busy_s, waited_s, slowest.tolist(), of_episodes, strict=True
        )
        return [
            {
                "pool": pool.name,
                "n_gpus": pool.n_gpus,
                "n_spares": pool.n_gpus - power.n_ranks,
                "busy_frac": busy / step_time_s,
                "wait_frac": waited / step_time_s,
                "slowest_frac": n_slowest / len(columns["slowest"]),
                "mfu": (power.n_ranks > 0)
                * pool.rank_model_flops
                / (pool.peak_flop_per_s * step_time_s),
                "energy_j": power.step_j,
                **episodes,
            }
            for pool, power, busy, waited, n_slowest, episodes in by_pool
        ]

    @property
    def has_episodes(self) -> bool:
        """Whether computing may be slow in episodes."""
        return "in_episode" in self.columns

    def _of_episodes(self, busy_s: Rows, waited_s: Rows) -> list[Row]:
        """Return by pool what episodes make of some of its columns, if there can be any.

        Parameters
        ----------
        busy_s, waited_s
            Mean seconds that a rank of each pool computes, and waits.
        """
        columns, n_pools = self.columns, len(self.plan.pools)
        if "in_episode" not in columns:
            return [{}] * n_pools
        is_slow, compute_s = columns["in_episode"], columns["compute_s"]
        slowest = np.bincount(columns["slowest"][is_slow], minlength=n_pools) / len(is_slow)
        # A rank's own seconds are expected ones, and so the same in all steps.
        own_s = compute_s.mean() - waited_s
        there_s = (compute_s * is_slow).mean() - is_slow.mean() * own_s
        step_time_s = columns["step_time_s"].mean()
        waited = np.clip(there_s, 0.0, waited_s) / step_time_s
        longer_s, all_s = (columns[name].reshape(-1, n_pools) for name in ("episode_s", "busy_s"))
        # A pool without ranks computes nothing.
        of_busy = longer_s.sum(axis=0) / np.maximum(all_s.sum(axis=0), np.finfo(float).tiny)
        busy = of_busy * busy_s / step_time_s
        by_pool = np.stack([busy, slowest, waited], axis=1).tolist()
        return [dict(zip(EPISODES_OF_POOLS, shares, strict=True)) for shares in by_pool]

    @cached_property
    def power(self) -> pl.DataFrame:
        """Power of each pool by phase of a mean step: pool, phase, seconds, watts, joules.

        A rank computes (phase ``compute``), waits for slower ranks or is stalled (``wait``), and
        waits for communication that is exposed (``exchange``); seconds add up to the mean step
        time. watts are those of all GPUs of the pool in the phase, spares included, on average, and
        joules add up to its energy_j in `pools`: peak power while ranks compute, idle power
        otherwise. Both are null where a power is not known; `energy` says what to give.
        """
        import polars as pl

        # Without this, a column of nulls only would have no type.
        floats = {"watts": pl.Float64, "joules": pl.Float64}
        return pl.DataFrame(self.power_rows, schema_overrides=floats)

    @property
    def power_rows(self) -> list[Row]:
        """Rows of `power`, made without Polars."""
        return [row for pool in self._pool_powers for row in pool.rows]

    @cached_property
    def energy(self) -> Energy:
        """Energy of a step, a token and a run of the whole cluster, and its power over a step.

        All of it is None, with a hint, where some power of a GPU is not known.
        """
        hint = missing_hint(
            {pool.name: (pool.peak_power_w, pool.idle_power_w) for pool in self.plan.pools}
        )
        if hint is not None:
            return Energy(hint=hint)
        account, runs = self.account, None
        if account is not None:
            tokens = float(account.kept_flops.mean()) * account.tokens_per_flop
            runs = RunTime(hours=account.hours_by_pool, tokens=tokens)
        return energy(self._pool_powers, tokens=self.plan.tokens, runs=runs)

    @cached_property
    def _mean_step(self) -> tuple[float, list[float], list[float]]:
        """Mean seconds of a step, and those in which a rank of each pool computes, and waits."""
        plan, columns = self.plan, self.columns
        shape = (self._runs, len(plan.pools))
        busy_s = columns["busy_s"].reshape(shape).mean(axis=0)
        own_stall_s = columns["own_stall_s"].reshape(shape).mean(axis=0)
        step_time_s = float(columns["step_time_s"].mean())
        # Few steps may be shorter than the expected seconds; no rank is busy for longer than them.
        fits = np.minimum(1.0, step_time_s / np.maximum(busy_s + own_stall_s, step_time_s))
        busy_s, own_stall_s = fits * busy_s, fits * own_stall_s
        # Mixed stages may leave a pool without ranks.
        works = np.array(plan.ranks) > 0
        # Expected seconds less sampled ones: waiting that is zero may come out below it.
        waited_s = np.maximum(columns["compute_s"].mean() - busy_s - own_stall_s, 0.0)
        return step_time_s, (works * busy_s).tolist(), (works * waited_s).tolist()

    @cached_property
    def _pool_powers(self) -> list[PoolPower]:
        """Power of each pool over a mean step."""
        step_time_s, busy_s, _ = self._mean_step
        exposed_s = float(self.columns["exposed_comm_s"].mean())
        return [
            PoolPower(
                pool=pool.name,
                n_gpus=pool.n_gpus,
                n_ranks=n_ranks,
                step_s=step_time_s,
                busy_s=busy,
                # As little as a rank that is expected to compute for longer leaves.
                exchange_s=min(exposed_s, step_time_s - busy),
                gpu=gpu_power(pool, self.scenario.pools[pool.name]),
            )
            for pool, n_ranks, busy in zip(self.plan.pools, self.plan.ranks, busy_s, strict=True)
        ]

    @cached_property
    def runs(self) -> pl.DataFrame:
        """One row a run: run, and the mean of each metric over its steps.

        That of mfu is FLOPs over peak x time, as in the summary. With failures also goodput,
        n_interruptions, tokens_per_day and fleet_mfu of a whole run, and its GPU-hours by name,
        from hours_kept to hours_other_jobs.
        """
        import polars as pl

        shape = (self._runs, -1)
        means = {}
        for name in METRICS:
            weights = self._weights(name)
            means[name] = run_means(
                self._rows(name).reshape(shape),
                None if weights is None else weights.reshape(shape),
            )
        of_runs = {} if self.account is None else self.account.by_run
        return pl.DataFrame({"run": np.arange(self._runs, dtype=np.uint32), **means, **of_runs})

    @property
    def mean_step_s(self) -> Rows:
        """Mean seconds of a step of each run, an array of shape (runs,)."""
        return run_means(self._rows("step_time_s").reshape(self._runs, -1))

    @cached_property
    def account(self) -> Account | None:
        """Where the time of the cluster goes in whole runs; None without failures."""
        if self.hours is None:
            return None
        # Imported where it is needed, for a quick start without failures.
        from hindmost.whole_run.account import Account

        fracs = None
        if self.has_episodes:
            names = ("wait_for_episodes_frac", "busy_for_episodes_frac")
            fracs = np.array([[row[name] for name in names] for row in self.pool_rows])
        return Account.of(self.hours, self.plan, self.mean_step_s, fracs)

    @cached_property
    def slices(self) -> SlicesAccount | None:
        """What slices take of the pod, and keep of its time; None without [slices]."""
        if self.scenario.slices is None:
            return None
        from hindmost.slices.account import SlicesAccount

        return SlicesAccount(scenario=self.scenario)

    @cached_property
    def terms(self) -> Terms | None:
        """What each step is made of; None unless the simulation was called with ``terms=True``."""
        if not has_terms(self.columns):
            return None
        return terms_of(self.columns, self.plan, steps=self.inputs["steps"])

    @cached_property
    def summary(self) -> pl.DataFrame:
        """One row a metric and statistic: metric, statistic, value, std_error.

        Statistics are of all rows of all runs, or of all whole runs; std_error is the standard
        error by delete-one-run jackknife, null for one run. The mean of mfu is model FLOPs over
        peak x time of all steps, a ratio of sums: long steps count for as long as they take. So
        ``steps["mfu"].mean()`` differs from it where steps vary; percentiles are those of steps.
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
    def scenario_warnings(self) -> list[dict[str, str]]:
        """What is allowed in the scenario and probably not meant, as path and warning.

        Also what of its steps whole runs do not have.
        """
        return [
            asdict(warning)
            for warning in (*scenario_warnings(self.scenario), *self._trend_warnings())
        ]

    def _trend_warnings(self) -> Iterator[ScenarioWarning]:
        """Yield a warning where factors grow for much longer than from restart to restart."""
        if self.account is None:
            return
        step_h = float(self.columns["step_time_s"].mean()) / SECONDS_PER_HOUR
        hours, n_steps = self.account.hours_between_restarts, self.inputs["steps"]
        simulated = n_steps * step_h
        if hours / MOST_OFF < simulated < hours * MOST_OFF:
            return
        for name, cause in self.scenario.acting_causes.items():
            if cause.trend_per_hour:
                warning = (
                    f"makes the mean of {n_steps:,} steps, {simulated:.3g} h, where whole runs "
                    f"compute for {hours:.3g} h from a restart to the next one: "
                    f"--steps {max(1, round(hours / step_h)):,} would fit"
                )
                yield ScenarioWarning(path=f"causes.{name}.trend_per_hour", warning=warning)

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
        if not found and metric in RUN_METRICS and self.hours is None:
            requirement = "must be a metric of steps: without [failures] there are no whole runs"
            found = [Problem(path="metric", requirement=requirement, value=metric)]
        if found:
            raise UnknownNameError(found)
        return next(
            estimate.value
            for name, estimate in self._estimates
            if (name, estimate.statistic) == (metric, statistic)
        )

    def replicates(self, metric: str) -> Iterator[Replicates]:
        """Yield each statistic of a metric with its values without each run.

        Parameters
        ----------
        metric
            A metric of steps or, with failures, of whole runs.
        """
        if metric in METRICS:
            rows, weights = self._rows(metric), self._weights(metric)
        else:
            assert self.account is not None
            rows = self.account.by_run[metric].astype(np.float64)
            weights = self.account.weights.get(metric)
        return replicates(rows, self._runs, weights=weights)

    def document(self, *, caps: Sequence[Row] | None = None) -> dict[str, Any]:
        """Return the result without its steps, as plain tables, lists and numbers.

        This is what ``run --format json`` prints and ``hindmost schema result`` describes.

        Parameters
        ----------
        caps
            Rows of what `caps` found; without them the document has no key ``caps``.
        """
        account = {
            **({} if self.account is None else self.account.document()),
            **({} if self.slices is None else {"slices": self.slices.document()}),
        }
        return {
            "inputs": self.inputs,
            "machine": self.machine,
            "why": self.why,
            **({} if self.forecast is None else {"forecast": self.forecast.document()}),
            "summary": self.summary_rows,
            "pools": self.pool_rows,
            "power": {"phases": self.power_rows, "cluster": self.energy.document()},
            **({"account": account} if account else {}),
            **({} if caps is None else {"caps": list(caps)}),
            **({} if self.attribution is None else {"attribution": self.attribution.document()}),
            "assumed": self.assumed,
            "unknowns": self.inputs["scenario"]["unknowns"],
            "not_modelled": not_modelled(self.scenario),
            "warnings": [
                *(
                    {"metric": metric, "statistic": statistic, "path": None, "warning": warning}
                    for (metric, statistic), warning in self.warnings.items()
                ),
                *(
                    {"metric": None, "statistic": None, **warning}
                    for warning in self.scenario_warnings
                ),
            ],
        }

    def plot(self, kind: str = "mfu") -> Plot:
        """Return a plot, which shows itself in a notebook.

        Parameters
        ----------
        kind
            ``mfu`` or ``step_time``: their distributions over steps. ``forecast``: draws of what is
            not known. ``waiting`` and ``slowest``: by pool. ``account``: from the peak of all GPUs
            and hours to the fleet MFU. ``power``: of each pool and the cluster, over a mean step.

        Raises
        ------
        ScenarioError
            If there is no such kind, or the result has no forecast, no whole runs or
            no powers.
        """
        from hindmost.plots.of_result import Plotted, result_plot

        runs, steps = self.inputs["runs"], self.inputs["steps"]
        of = Plotted(
            name=self.scenario.name,
            sizes=f"{runs:,} runs of {steps:,} steps",
            rows=self._rows,
            pools=self.pool_rows,
            forecast=self.forecast,
            account=self.account,
            powers=self._pool_powers,
            power_hint=self.energy.hint,
        )
        return result_plot(kind, of)

    def write(self, path: str | Path, *, caps: pl.DataFrame | None = None) -> None:
        """Write the result to a file, in full or not at all.

        Parquet holds all of it: the rows of the file are `steps`, with what they are made of as
        lists if it was kept, the rest is in its metadata, and `read` returns an equal result. JSON
        holds the steps, the tables of `terms` if there are any, and what `document` returns; CSV
        the steps alone.

        Parameters
        ----------
        path
            Path of the file, which ends in .parquet, .json or .csv. A file that is there is
            replaced.
        caps
            What `caps` found, as part of the document.

        Raises
        ------
        ScenarioError
            If the path has another suffix, or its folder is missing or cannot be written.
        OutputError
            If writing fails; no part is left behind, and an existing file stays as it was.

        Examples
        --------
        >>> from tempfile import TemporaryDirectory
        >>> import hindmost as hm
        >>> result = hm.simulate("h100-1k", seed=1, runs=2, steps=50)
        >>> with TemporaryDirectory() as folder:
        ...     result.write(f"{folder}/steps.parquet")
        ...     again = hm.read(f"{folder}/steps.parquet")
        >>> again == result
        True
        """
        path = Path(path)
        check_writable(path, SUFFIXES)
        rows = None if caps is None else caps.to_dicts()
        match path.suffix:
            case ".csv":
                buffer = io.BytesIO()
                self.steps.write_csv(buffer)
                data = buffer.getbuffer()
            case ".json":
                steps = self.steps.to_dict(as_series=False)
                document = {**self.document(caps=rows), "steps": steps}
                if self.terms is not None:
                    document["terms"] = self.terms.lists()
                data = memoryview(json.dumps(document, allow_nan=False).encode())
            case _:
                # Imported where it is needed, for a quick start without files.
                from hindmost.store import to_bytes

                data = to_bytes(self._parts(rows))
        replace(path, data)

    def _parts(self, caps: Sequence[Row] | None) -> Parts:
        from hindmost.store import Parts, Rest

        shape = (self._runs, len(self.plan.pools))
        columns: dict[str, Any] = dict(self.columns)
        by_run_and_pool: dict[str, Any] = {
            name: columns[name].reshape(shape).tolist()
            for name in BY_RUN_AND_POOL
            if name in columns
        }
        rest = Rest(
            plan=self.plan,
            deviation=self.deviation,
            hours=self.hours,
            forecast=None if self.forecast is None else self.forecast.without_scenario(),
            attribution=None if self.attribution is None else self.attribution.without_scenario(),
            **by_run_and_pool,
        )
        table = self.steps
        if has_terms(self.columns):
            table = with_terms(table, self.columns, [pool.name for pool in self.plan.pools])
        return Parts(table=table, document=self.document(caps=caps), rest=rest)

    @cached_property
    def _estimates(self) -> list[tuple[str, Estimate]]:
        metrics = [*METRICS, *(RUN_METRICS if self.account is not None else ())]
        return [(metric, estimate(one)) for metric in metrics for one in self.replicates(metric)]

    @property
    def _runs(self) -> int:
        n_runs: int = self.inputs["runs"]
        return n_runs

    def _rows(self, metric: str) -> Rows:
        return METRICS[metric].rows(self.columns, self.plan.peak_step_s)

    def _weights(self, metric: str) -> Rows | None:
        weights = METRICS[metric].weights
        return None if weights is None else weights(self.columns, self.plan.peak_step_s)


def _pivoted(
    title: str, rows: Sequence[Row], metrics: Sequence[str], statistics: Sequence[str]
) -> Cells:
    """Return rows of metrics and statistics as one row a metric."""
    values = {(row["metric"], row["statistic"]): row["value"] for row in rows}
    cells = [
        [METRICS[metric].heading, *(values[metric, name] for name in statistics)]
        for metric in metrics
    ]
    return Cells([title, *statistics], cells)
