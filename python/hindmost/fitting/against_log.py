"""A prediction held against what was run: `compare_with_log`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.arguments import available_threads, drawn_seed
from hindmost.compiled import Compiled, scenario_of
from hindmost.engines import Method, Progress
from hindmost.fitting.bootstrap import block_errors
from hindmost.fitting.few_steps import check_steps
from hindmost.fitting.log_steps import LogSteps, Quantity, RankTimes, log_steps
from hindmost.fitting.noise import noise_of
from hindmost.notebook import Cells, shown
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario
from hindmost.simulation import rank_times

if TYPE_CHECKING:
    import polars as pl

Vector = NDArray[np.float64]

RUNS = 32
"""Runs that are simulated by default."""
MOST_STEPS = 20_000
"""Steps of a run that is simulated, at most."""
ERRORS = 2
"""Errors from which on a difference is clear."""
RANK_RUNS, RANK_STEPS = 8, 250
"""Runs and steps of which each rank is replayed."""
SLOWEST = 5
"""Ranks that are shown."""

Statistic = Callable[[Sequence[Vector]], float]
"""A number that is found in the seconds of steps, from each restart to the next one."""


def _percentile(percent: float) -> Statistic:
    return lambda stretches: float(np.percentile(np.concatenate(list(stretches)), percent))


STATISTICS: dict[str, tuple[str, Statistic]] = {
    "p5": ("s", _percentile(5)),
    "p50": ("s", _percentile(50)),
    "p95": ("s", _percentile(95)),
    "noise": ("share", lambda stretches: noise_of(stretches).sigma),
    "white noise": ("share", lambda stretches: noise_of(stretches).white),
    "lag 1": ("", lambda stretches: noise_of(stretches).lag1),
}
"""Statistics of steps by name: their unit, and how they are found."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """One statistic as it was predicted and as it was measured.

    Attributes
    ----------
    statistic : str
        ``p5``, ``p50``, ``p95``, ``noise`` (robust standard deviation over the median), ``white
        noise`` (the part of it that is new in each step) or ``lag 1`` (correlation of steps that
        follow each other).
    unit : str
        ``s``, ``share`` of the median, or empty.
    predicted, measured : float
        Its mean over simulated runs of as many steps as the log has, and its value in the log.
    difference : float
        predicted - measured.
    std_error : float
        Standard error of the difference.
    is_clear : bool
        Whether the difference is more than two errors.
    """

    statistic: str
    unit: str
    predicted: float
    measured: float
    difference: float
    std_error: float
    is_clear: bool


@dataclass(frozen=True, kw_only=True)
class SlowestRank:
    """A rank that was the slowest one of its step more often than others.

    Attributes
    ----------
    rank : int
        The rank.
    measured : float
        Share of the steps in which it was the slowest.
    predicted, std_error : float or None
        Share of the steps in which the rank of this place is, from the most often slowest one on;
        None if the scenario has another number of ranks.
    same_rank : float or None
        Share of simulated runs in which that is this very rank.
    """

    rank: int
    measured: float
    predicted: float | None
    std_error: float | None
    same_rank: float | None


@dataclass(frozen=True, kw_only=True)
class LogComparison:
    """A scenario beside the log of a job that was run.

    Attributes
    ----------
    scenario : str
        Name of the scenario.
    quantity : {"step_time_s", "compute_s"}
        Which seconds of a step are compared: ``step_time_s``, or ``compute_s`` for a log that has
        those of ranks alone.
    seed, runs, steps : int
        Of the simulation.
    method : str
        By which it was.
    n_steps, n_restarts : int
        Of the log.
    held : tuple of Held
        Statistics.
    slowest : tuple of SlowestRank
        Ranks by how often they were the slowest; none for a log of the whole job.
    notes : tuple of str
        What has to be known of the comparison.
    """

    scenario: str
    quantity: Quantity
    seed: int
    runs: int
    steps: int
    method: str
    n_steps: int
    n_restarts: int
    held: tuple[Held, ...]
    slowest: tuple[SlowestRank, ...]
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: statistics and slowest ranks."""
        tables = [_cells(self.rows)]
        if self.slowest:
            tables.append(_cells([asdict(one) for one in self.slowest]))
        return shown(f"{self.scenario} and what was run", *tables)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`held` as plain tables."""
        return [asdict(one) for one in self.held]

    @property
    def frame(self) -> pl.DataFrame:
        """`held` as a table, one row each."""
        import polars as pl

        return pl.DataFrame(self.rows)

    def statistic(self, name: str) -> Held:
        """Return one statistic; raises KeyError if there is none."""
        for one in self.held:
            if one.statistic == name:
                return one
        raise KeyError(name)

    def document(self) -> dict[str, Any]:
        """Return the comparison as plain tables, as ``compare --log --format json`` prints it."""
        inputs = ("seed", "runs", "steps", "method")
        return {
            "inputs": {key: getattr(self, key) for key in inputs},
            "scenario": self.scenario,
            "quantity": self.quantity,
            "log": {"steps": self.n_steps, "restarts": self.n_restarts},
            "statistics": self.rows,
            "slowest": [asdict(one) for one in self.slowest],
            "notes": list(self.notes),
        }


def compare_with_log(
    scenario: Scenario | str | Path,
    log: pl.DataFrame,
    *,
    changes: Changes | None = None,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    progress: Progress | None = None,
) -> LogComparison:
    """Return how the prediction of a scenario compares with the log of a job.

    Parameters
    ----------
    scenario
        A scenario, or a name or path that `load` takes.
    log
        What `read_log` returned.
    changes
        Key paths and their new values, laid over the scenario.
    steps
        Steps of a run; by default as many as the log has, and at most 20,000.
    runs
        Runs; 32 by default. With a single one the error is that of the log alone.
    seed, method, threads, progress
        As in `simulate`.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if the log has too few steps.

    Notes
    -----
    Each run is a job like that of the log, of as many steps, with GPUs and a drift of its own. So
    the deviation of a statistic between runs is the error with which one log shows it. Where the
    scenario varies less than the log does, that is too small: the greater one of it and the error
    of the log's own statistic, by resampling blocks of steps, is taken. What drifts as slowly as
    the log is long has an error that blocks do not show.

    Examples
    --------
    >>> import hindmost as hm, polars as pl
    >>> steps = hm.simulate("h100-1k", seed=3, runs=1, steps=300).steps["step_time_s"]
    >>> log = pl.DataFrame({"seconds": steps}).with_columns(
    ...     kind=pl.lit("step"), rank=None, step=pl.int_range(300), steps=1
    ... )
    >>> hm.compare_with_log("h100-1k", log, seed=1).statistic("p50").is_clear
    False
    """
    compiled = Compiled(scenario_of(scenario, changes))
    found = log_steps(log)
    check_steps(found)
    return held_against(
        compiled,
        found,
        steps=steps,
        runs=RUNS if runs is None else runs,
        seed=drawn_seed() if seed is None else seed,
        method=method,
        threads=available_threads() if threads is None else threads,
        progress=progress,
    )


def held_against(
    compiled: Compiled,
    log: LogSteps,
    *,
    steps: int | None = None,
    runs: int = RUNS,
    seed: int,
    method: Method = "auto",
    threads: int,
    progress: Progress | None = None,
) -> LogComparison:
    """Return how a compiled scenario compares with the steps of a log.

    Parameters are those of `compare_with_log`.
    """
    averaged = log.averaged
    stretches = [one.seconds[one.averaged == averaged] for one in log.job]
    stretches = [one for one in stretches if len(one)]
    n_steps = sum(map(len, stretches))
    quantity = log.quantity
    size = min(n_steps * averaged, MOST_STEPS) if steps is None else steps
    size = max(averaged, size // averaged * averaged)
    result = compiled.simulate_steps(
        steps=size, runs=runs, seed=seed, method=method, threads=threads, progress=progress
    )
    held = _held(_rows(result, quantity, averaged), stretches, seed=seed)
    notes = [*log.notes, *_notes(compiled, log, averaged, n_steps)]
    slowest: tuple[SlowestRank, ...] = ()
    if log.ranks is not None:
        slowest = _slowest(compiled, log.ranks, seed=seed, threads=threads)
    return LogComparison(
        scenario=compiled.scenario.name,
        quantity=quantity,
        seed=seed,
        runs=runs,
        steps=size,
        method=result.inputs["method"],
        n_steps=n_steps,
        n_restarts=log.n_restarts,
        held=held,
        slowest=slowest,
        notes=tuple(notes),
    )


def _rows(result: Result, quantity: Quantity, averaged: int) -> Vector:
    """Return simulated seconds as the log has them: one row a run, means where it has means."""
    runs = result.inputs["runs"]
    rows = result.columns[quantity].reshape(runs, -1, averaged)
    return np.asarray(rows.mean(axis=2))


def _held(rows: Vector, stretches: list[Vector], *, seed: int) -> tuple[Held, ...]:
    of_log = block_errors(
        stretches,
        [_of_one(function) for _, function in STATISTICS.values()],
        seed=seed,
    )
    # A drift shows less of itself in shorter stretches, so runs are cut where the log is.
    cuts = np.cumsum([len(one) for one in stretches])[:-1]
    runs = [np.split(run, cuts[cuts < len(run)]) for run in rows]
    found = []
    for (name, (unit, function)), error in zip(STATISTICS.items(), of_log.tolist(), strict=True):
        value = function(stretches)
        each = np.array([function(run) for run in runs])
        spread = float(each.std(ddof=1)) if len(each) > 1 else 0.0
        std_error = max(spread * float(np.sqrt(1 + 1 / len(each))), error)
        difference = float(each.mean()) - value
        found.append(
            Held(
                statistic=name,
                unit=unit,
                predicted=float(each.mean()),
                measured=value,
                difference=difference,
                std_error=std_error,
                is_clear=abs(difference) > ERRORS * std_error,
            )
        )
    return tuple(found)


def _of_one(statistic: Statistic) -> Callable[[Vector], float]:
    """Return a statistic of a single stretch."""
    return lambda seconds: statistic([seconds])


def _notes(compiled: Compiled, log: LogSteps, averaged: int, n_steps: int) -> list[str]:
    notes = []
    if averaged > 1:
        notes.append(f"each record is the mean of {averaged} steps, and so are the simulated ones")
    n_all = sum(len(one.seconds) for one in log.job)
    if n_steps < n_all:
        notes.append(f"{n_all - n_steps} records that are means of other numbers were left out")
    n_ranks = compiled.plan.n_ranks
    if log.ranks is not None and n_ranks != len(log.ranks.ranks):
        notes.append(
            f"the scenario has {n_ranks:,} ranks and the log {len(log.ranks.ranks):,}: the slowest "
            f"of more ranks is slower, so percentiles and a speed that was fitted to them are not "
            f"those of as many, and which ranks are slowest is not compared"
        )
    return notes


def _slowest(
    compiled: Compiled, log: RankTimes, *, seed: int, threads: int
) -> tuple[SlowestRank, ...]:
    n_ranks, n_steps = log.seconds.shape
    slowest = np.nanargmax(log.seconds, axis=0)
    shares = np.bincount(slowest, minlength=n_ranks) / n_steps
    order = np.argsort(-shares, kind="stable")[:SLOWEST]
    order = order[shares[order] > 0]
    predicted = None
    if compiled.plan.n_ranks == n_ranks:
        runs = [
            rank_times(
                compiled.scenario,
                seed=seed,
                run=run,
                steps=range(min(RANK_STEPS, n_steps)),
                threads=threads,
            )
            for run in range(RANK_RUNS)
        ]
        counts = [np.bincount(run.argmax(axis=1), minlength=n_ranks) / len(run) for run in runs]
        predicted = np.array(counts)
    found = []
    for place, rank in enumerate(order.tolist()):
        mean = error = same = None
        if predicted is not None:
            places = np.argsort(-predicted, axis=1, kind="stable")[:, place]
            of_place = np.sort(predicted, axis=1)[:, -1 - place]
            mean, error = float(of_place.mean()), float(of_place.std(ddof=1))
            same = float((places == rank).mean())
        found.append(
            SlowestRank(
                rank=int(log.ranks[rank]),
                measured=float(shares[rank]),
                predicted=mean,
                std_error=error,
                same_rank=same,
            )
        )
    return tuple(found)


def _cells(rows: list[dict[str, Any]]) -> Cells:
    return Cells(list(rows[0]), [list(row.values()) for row in rows])
