"""Steps of a log as arrays: those of the whole job, and those of each rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from hindmost.fitting.noise import robust_sigma

if TYPE_CHECKING:
    import polars as pl

Vector = NDArray[np.float64]
Quantity = Literal["step_time_s", "compute_s"]
"""Which seconds of a step a log has: all of it, or what its slowest rank computes."""
ALIKE = 0.1
"""What ranks differ by over what is new in each step, below which times hold their waiting."""
DISORDER = 0.3
"""Share of the records whose step does not grow, from which on they are in no order."""
MOST_RESTARTS = 8
"""Such records up to which they are restarts whatever their share."""
SHOWN = 3
"""Parts of a log that could not be read of which each is told."""


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
        Whether these are steps of the whole job, and not what the slowest rank computes.
    notes : tuple of str
        What times of ranks were taken for.
    """

    job: tuple[Stretch, ...]
    ranks: RankTimes | None
    n_restarts: int
    n_masked: int
    has_job: bool
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> Vector:
        """Seconds of all steps of the job."""
        return np.concatenate([one.seconds for one in self.job])

    @property
    def quantity(self) -> Quantity:
        """Which seconds of a simulated step are to be held against those of the job."""
        return "step_time_s" if self.has_job else "compute_s"

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
    Steps of ranks that differ by far less than steps do hold the wait for the slowest rank, and so
    does the step of a single rank: these are steps of the whole job.

    Where no step comes twice the job has not gone back: rows are put in the order of their steps.
    What repeats the record before it is left out.
    """
    import polars as pl

    kinds = pl.col("kind").cast(pl.String)
    rows = log.with_columns(kind=kinds).with_row_index("row")
    is_restart = pl.col("kind") == "restart"
    times = ("compute", "step") if (rows["kind"] == "compute").any() else ("step",)
    of_job = rows.filter(pl.col("rank").is_null() & (is_restart | (pl.col("kind") == "step")))
    restarts = of_job.filter(is_restart)
    steps, notes = _in_order(of_job.filter(~is_restart), has_restarts=len(restarts) > 0)
    job = _stretches(steps, restarts)
    of_ranks = rows.filter(pl.col("rank").is_not_null() & (pl.col("kind") == times[0]))
    ranks = None
    if len(of_ranks):
        restarts = rows.filter(is_restart)
        of_ranks, more = _in_order(of_ranks, has_restarts=len(restarts) > 0)
        is_missing = (pl.col("kind") == "missing") & (pl.col("rank") == 0)
        of_ranks, from_one = _from_zero(of_ranks, has_zero=len(rows.filter(is_missing)) > 0)
        ranks = _rank_times(of_ranks, restarts)
        notes = (*notes, *more, *from_one)
    has_job = bool(job)
    if ranks is not None and not has_job:
        job = _slowest(ranks)
        if times[0] == "step" and _hold_their_wait(ranks):
            n_ranks = len(ranks.ranks)
            of = f"{n_ranks} ranks are alike, so they" if n_ranks > 1 else "one rank"
            notes = (
                f"times of {of} hold the wait for the slowest one: these are steps of the job",
                *notes,
            )
            has_job, ranks = True, None
    return LogSteps(
        job=job,
        ranks=ranks,
        n_restarts=max(len(job) - 1, 0),
        n_masked=int((rows["kind"] == "masked").sum()),
        has_job=has_job,
        notes=(*notes, *_unread(rows)),
    )


def _in_order(rows: pl.DataFrame, *, has_restarts: bool) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return rows without repeats, by step where none comes twice, and what was done."""
    import polars as pl

    def goes_back(rows: pl.DataFrame) -> bool:
        return bool(rows.select((pl.col("step").diff() <= 0).over("rank").any()).item())

    if has_restarts or rows["step"].null_count() or not len(rows) or not goes_back(rows):
        return rows, ()
    notes = []
    is_again = (pl.col("step").diff() == 0).over("rank").fill_null(value=False)
    is_equal = (pl.col("seconds").diff() == 0).over("rank").fill_null(value=False)
    kept = rows.filter(~(is_again & is_equal))
    # Rounded times of a step that is done again are equal by chance now and then.
    if 2 * (len(rows) - len(kept)) <= int(rows.select(is_again.sum()).item()):
        kept = rows
    if n_repeats := len(rows) - len(kept):
        of = (
            "record that repeats the one before it was"
            if n_repeats == 1
            else ("records that repeat the one before them were")
        )
        notes.append(f"{n_repeats:,} {of} left out")
    backwards = (pl.col("step").diff() <= 0).over("rank")
    n_backwards = int(kept.select(backwards.sum()).item())
    if n_backwards > max(MOST_RESTARTS, DISORDER * len(kept)):
        # No job begins anew every few steps.
        unique = kept.unique(["rank", "step"], keep="first", maintain_order=True)
        if 2 * len(unique) < len(kept):
            notes.append("numbers of steps do not grow, so records were counted instead")
            return kept.with_columns(step=pl.lit(None, dtype=pl.Int64)), tuple(notes)
        if n_others := len(kept) - len(unique):
            notes.append(f"other records of a step were left out: {n_others:,}")
        kept = unique
    is_each = bool((kept["steps"].fill_null(1) == 1).all())
    if is_each and goes_back(kept) and not kept.select("rank", "step").is_duplicated().any():
        kept = kept.sort("step", maintain_order=True)
        notes.append("records were not in the order of their steps, and were put into it")
    return kept, tuple(notes)


def _from_zero(rows: pl.DataFrame, *, has_zero: bool) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return rows with ranks from 0 on, where they count an even number of them from 1 on."""
    import polars as pl

    n = rows["rank"].n_unique()
    if has_zero or n % 2 or rows["rank"].min() != 1 or rows["rank"].max() != n:
        return rows, ()
    note = f"ranks 1 to {n} were taken for 0 to {n - 1}, as they count from 1"
    return rows.with_columns(pl.col("rank") - 1), (note,)


def _unread(rows: pl.DataFrame) -> tuple[str, ...]:
    """Return what could not be read, in words."""
    import polars as pl

    if "note" not in rows.columns:
        return ()
    notes = rows.filter(pl.col("kind") == "unread")["note"]
    told = notes.cast(pl.String).drop_nulls().unique(maintain_order=True).to_list()
    more = [f"{len(told) - SHOWN} more parts of the log were not read"] if len(told) > SHOWN else []
    return (*told[:SHOWN], *more)


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


def _hold_their_wait(ranks: RankTimes) -> bool:
    if len(ranks.ranks) == 1:
        return True
    logs = np.log(ranks.seconds)
    medians = np.nanmedian(logs, axis=0)
    apart = logs - medians
    # What wanders or jumps moves all ranks alike, whatever their times hold.
    white = robust_sigma(np.diff(medians)) / math.sqrt(2) if len(medians) > 1 else 0.0
    varies = float(np.ptp(medians)) > 0
    return varies and robust_sigma(apart[np.isfinite(apart)]) <= ALIKE * white


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
