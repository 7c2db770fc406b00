"""Steps of a log as arrays: those of the whole job, and those of each rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Stretch:
    """Steps from one restart to the next one.

    Attributes
    ----------
    steps : array of shape (n,)
        Number of each step; of a mean of several, that of their middle.
    seconds : array of shape (n,)
        Seconds of each step.
    averaged : array of shape (n,)
        Steps that each is the mean of.
    """

    steps: Vector
    seconds: Vector
    averaged: Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class RankTimes:
    """Times of each rank.

    Attributes
    ----------
    ranks : array of shape (ranks,)
        Numbers of the ranks, ascending.
    seconds : array of shape (ranks, steps)
        Seconds; NaN for what is missing.
    steps : array of shape (steps,)
        Number of each step.
    stretch : array of shape (steps,)
        Restarts before each step.
    """

    ranks: NDArray[np.int64]
    seconds: Vector
    steps: Vector
    stretch: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class LogSteps:
    """Steps of a log.

    Attributes
    ----------
    job : tuple of Stretch
        Steps of the whole job. Where the log has those of ranks alone, the slowest one of each
        step, as the others wait for it.
    ranks : RankTimes or None
        Times of ranks, if there are any.
    n_restarts : int
        How often the job began anew.
    n_masked : int
        Records that are none of a usual step.
    has_job : bool
        Whether the log itself has steps of the whole job.
    """

    job: tuple[Stretch, ...]
    ranks: RankTimes | None
    n_restarts: int
    n_masked: int
    has_job: bool

    @property
    def seconds(self) -> Vector:
        """Seconds of all steps of the job."""
        return np.concatenate([one.seconds for one in self.job])

    @property
    def averaged(self) -> int:
        """Steps that most records of the job are the mean of."""
        values, counts = np.unique(
            np.concatenate([one.averaged for one in self.job]), return_counts=True
        )
        return int(values[counts.argmax()])


def log_steps(log: pl.DataFrame) -> LogSteps:
    """Return the steps of a log, as `hindmost.read_log` returns it.

    A job begins anew where there is a record of it, or where the number of the step does not grow.
    """
    import polars as pl

    kinds = pl.col("kind").cast(pl.String)
    rows = log.with_columns(kind=kinds).with_row_index("row")
    is_restart = pl.col("kind") == "restart"
    times = ("compute", "step") if (rows["kind"] == "compute").any() else ("step",)
    of_job = rows.filter(pl.col("rank").is_null() & (is_restart | (pl.col("kind") == "step")))
    job = _stretches(of_job.filter(~is_restart), of_job.filter(is_restart))
    of_ranks = rows.filter(pl.col("rank").is_not_null() & (pl.col("kind") == times[0]))
    ranks = None
    if len(of_ranks):
        ranks = _rank_times(of_ranks, rows.filter(is_restart))
    has_job = bool(job)
    if ranks is not None and not has_job:
        job = _slowest(ranks)
    return LogSteps(
        job=job,
        ranks=ranks,
        n_restarts=max(len(job) - 1, 0),
        n_masked=int((rows["kind"] == "masked").sum()),
        has_job=has_job,
    )


def _stretches(steps: pl.DataFrame, restarts: pl.DataFrame) -> tuple[Stretch, ...]:
    if not len(steps):
        return ()
    number = _numbers(steps)
    restarted = np.searchsorted(restarts["row"].to_numpy(), steps["row"].to_numpy())
    goes_back = np.diff(number, prepend=number[0] - 1) <= 0
    place = restarted + np.cumsum(goes_back & (np.diff(restarted, prepend=0) == 0))
    averaged = steps["steps"].cast(float).fill_null(1.0).to_numpy()
    seconds = steps["seconds"].to_numpy()
    return tuple(
        Stretch(
            steps=number[place == one] - (averaged[place == one] - 1) / 2,
            seconds=seconds[place == one],
            averaged=averaged[place == one],
        )
        for one in np.unique(place)
    )


def _numbers(steps: pl.DataFrame) -> Vector:
    """Return the numbers of steps; those of a log without any are counted."""
    numbers = steps["step"].cast(float)
    if numbers.null_count():
        return np.arange(len(steps), dtype=np.float64)
    return numbers.to_numpy()


def _rank_times(rows: pl.DataFrame, restarts: pl.DataFrame) -> RankTimes:
    import polars as pl

    at = restarts.filter(pl.col("rank").is_null())["row"].to_numpy()
    before = np.searchsorted(at, rows["row"].to_numpy())
    step = pl.col("step").fill_null(pl.int_range(pl.len()).over("rank"))
    rows = rows.with_columns(step=step, before=pl.Series(before))
    goes_back = (pl.col("step").diff() <= 0) & (pl.col("before").diff() == 0)
    back = goes_back.fill_null(False).cast(pl.Int64).cum_sum().over("rank")
    rows = rows.with_columns(stretch=pl.col("before") + back)
    columns = rows.select("stretch", "step").unique().sort("stretch", "step").with_row_index("s")
    ranks = rows.select("rank").unique().sort("rank").with_row_index("r")
    rows = rows.join(columns, on=["stretch", "step"]).join(ranks, on="rank")
    seconds = np.full((len(ranks), len(columns)), np.nan)
    seconds[rows["r"].to_numpy(), rows["s"].to_numpy()] = rows["seconds"].to_numpy()
    return RankTimes(
        ranks=ranks["rank"].cast(pl.Int64).to_numpy(),
        seconds=seconds,
        steps=columns["step"].cast(float).to_numpy(),
        stretch=columns["stretch"].to_numpy(),
    )


def _slowest(ranks: RankTimes) -> tuple[Stretch, ...]:
    """Return the steps of a job of which each rank is known, where the slowest one counts."""
    slowest = np.nanmax(ranks.seconds, axis=0)
    return tuple(
        Stretch(
            steps=ranks.steps[ranks.stretch == one],
            seconds=slowest[ranks.stretch == one],
            averaged=np.ones(np.count_nonzero(ranks.stretch == one)),
        )
        for one in np.unique(ranks.stretch)
    )
