"""What a recorded job would have been without stragglers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost._core import __version__
from hindmost.arguments import available_threads, refuse, thread_problems
from hindmost.stragglers.ideal import GROUP_OF, GROUPS, Chosen, Ideal, chosen
from hindmost.stragglers.recorded_job import RecordedJob, read_job
from hindmost.stragglers.recorded_step import RecordedStep, recorded_step

if TYPE_CHECKING:
    import polars as pl

SLOWEST_PERCENT = 3
"""Percent of workers that `WhatIf.M_W` is of, rounded up to a whole worker."""


@dataclass(frozen=True, kw_only=True)
class WhatIf:
    """How much slower a job was than without stragglers, and because of what.

    All times are without the delays before launches that were recorded. Symbols are those of the
    paper: S, the slowdown; T, the mean step time; M, the share of ``T_s - T_ideal_s`` that goes
    when something is made ideal.

    Attributes
    ----------
    job : RecordedJob
        The job.
    T_ideal_s : float
        Seconds of a step with all operations ideal.
    times_s : tuple of float
        Seconds of each step with all operations as recorded.
    S_t : dict of str to float
        By type of operation: the slowdown if those of that type alone are as recorded.
    S_dp_rank : dict of int to float
        By data-parallel rank.
    S_stage : dict of int to float
        By stage.
    T_without_slowest_s : float
        Mean seconds of a step with `slowest_ranks` ideal.
    T_without_last_stage_s : float
        Mean seconds of a step with the last stage ideal.

    Notes
    -----
    Each operation of computing has the mean of its type when it is ideal, and each one of
    communication the median of its transfer. The rules are those of Lin et al., "Understanding
    Stragglers in Large Model Training Using What-if Analysis" (OSDI 2025), as ByteDance's
    StragglerAnalysis has them at 8efcd7f.
    """

    job: RecordedJob
    T_ideal_s: float
    times_s: tuple[float, ...]
    S_t: Mapping[str, float]
    S_dp_rank: Mapping[int, float]
    S_stage: Mapping[int, float]
    T_without_slowest_s: float
    T_without_last_stage_s: float

    @property
    def T_s(self) -> float:  # noqa: N802
        """Mean seconds of a step with all operations as recorded."""
        return _mean(self.times_s)

    @property
    def T_recorded_s(self) -> float:  # noqa: N802
        """Mean seconds of a step as recorded, with the delays before launches."""
        return _mean(self.job.recorded_s)

    @property
    def S(self) -> float:  # noqa: N802
        """How many times as long a step takes as without stragglers."""
        return self.T_s / self.T_ideal_s

    @property
    def S_w(self) -> dict[int, float]:  # noqa: N802
        """By rank: the smaller one of the slowdowns of its data-parallel rank and its stage."""
        return _of_ranks(self.job, self.S_dp_rank, self.S_stage)

    @property
    def slowest_ranks(self) -> tuple[int, ...]:
        """The slowest 3% of ranks by `S_w`, at least one, the slowest first."""
        return _slowest(self.S_w)

    @property
    def M_W(self) -> float | None:  # noqa: N802
        """Share of the slowdown that `slowest_ranks` explain; None where there is no slowdown."""
        return self._share(self.T_without_slowest_s)

    @property
    def M_S(self) -> float | None:  # noqa: N802
        """Share of the slowdown that the last stage explains; None where there is no slowdown."""
        return self._share(self.T_without_last_stage_s)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """`frame` as plain tables."""
        by: dict[str, Mapping[Any, float]] = {
            "type": self.S_t,
            "dp_rank": self.S_dp_rank,
            "stage": self.S_stage,
            "rank": self.S_w,
        }
        return [
            {"by": "all", "name": "all", "slowdown": self.S},
            *(
                {"by": what, "name": str(name), "slowdown": slowdown}
                for what, slowdowns in by.items()
                for name, slowdown in slowdowns.items()
            ),
        ]

    @property
    def frame(self) -> pl.DataFrame:
        """Slowdowns: ``by`` (all, type, dp_rank, stage or rank), ``name`` and ``slowdown``."""
        import polars as pl

        return pl.DataFrame(self.rows)

    def step_times(self, ideal: Ideal = None) -> pl.DataFrame:
        """Return how long each step takes with some operations made ideal.

        Parameters
        ----------
        ideal
            What is ideal, such as ``{"rank": 3}``, ``{"stage": [0, 3]}`` or
            ``{"type": "forward-compute"}``; of several keys operations that meet all of them;
            ``"all"`` for all of them.

        Returns
        -------
        polars.DataFrame
            ``step``, ``recorded_s`` (with delays before launches), ``seconds`` (without, all
            operations as recorded) and ``ideal_s``.

        Raises
        ------
        ScenarioError
            If the job has no such operations.
        """
        import polars as pl

        return pl.DataFrame(
            {
                "step": self.job.core.steps,
                "recorded_s": self.job.recorded_s,
                "seconds": self.times_s,
                "ideal_s": _times_s(self.job, [chosen(self.job, ideal)], threads=1)[0],
            }
        )

    def T_with_s(self, ideal: Ideal) -> float:  # noqa: N802
        """Return the mean seconds of a step with what `step_times` takes made ideal."""
        return _mean(_times_s(self.job, [chosen(self.job, ideal)], threads=1)[0])

    def timeline(self, *, step: int | None = None, ideal: Ideal = None) -> RecordedStep:
        """Return when each operation of a step would have begun and ended.

        Parameters
        ----------
        step
            The step, by its number in the trace; the first one by default.
        ideal
            What is made ideal, as in `step_times`.

        Raises
        ------
        ScenarioError
            If the job has no such step or operations.
        """
        return recorded_step(self.job, step, ideal)

    def document(self) -> dict[str, Any]:
        """Return all of it as plain tables, as ``what-if --format json`` prints it."""
        return {
            "inputs": {
                "trace": self.job.name,
                "n_steps": len(self.times_s),
                "n_stages": self.job.n_stages,
                "n_replicas": self.job.n_replicas,
                "version": __version__,
            },
            "T_recorded_s": self.T_recorded_s,
            "T_s": self.T_s,
            "T_ideal_s": self.T_ideal_s,
            "S": self.S,
            "S_t": dict(self.S_t),
            "S_w": _with_text_keys(self.S_w),
            "S_dp_rank": _with_text_keys(self.S_dp_rank),
            "S_stage": _with_text_keys(self.S_stage),
            "M_W": self.M_W,
            "M_S": self.M_S,
            "slowest_ranks": list(self.slowest_ranks),
            "ideal_s": self.job.core.ideal_s,
            "steps": [
                {"step": step, "recorded_s": recorded_s, "seconds": seconds}
                for step, recorded_s, seconds in zip(
                    self.job.core.steps, self.job.recorded_s, self.times_s, strict=True
                )
            ],
        }

    def _share(self, without_s: float) -> float | None:
        lost_s = self.T_s - self.T_ideal_s
        return (self.T_s - without_s) / lost_s if lost_s > 0 else None


def what_if(trace: str | os.PathLike[str] | pl.DataFrame, *, threads: int | None = None) -> WhatIf:
    """Return what a job would have been without stragglers.

    Parameters
    ----------
    trace
        A job of ByteDance's StragglerAnalysis: its Parquet file, or the frame of it.
    threads
        Threads that time steps again; by default as many as there are processors. Results do not
        depend on it.

    Raises
    ------
    ScenarioError
        If the trace cannot be read, an operation is missing or there twice, its type is not
        known, or transfers do not match the passes of the pipeline.

    Examples
    --------
    >>> import polars as pl
    >>> passes = [
    ...     (step, rank, kind, start, slow * seconds)
    ...     for step in (0, 1)
    ...     for rank, slow in ((0, 1.0), (1, 2.0))
    ...     for kind, start, seconds in (
    ...         ("forward-compute", 0.0, 1.0),
    ...         ("backward-compute", slow, 2.0),
    ...         ("optimizer", 6.0, 0.5 / slow),
    ...     )
    ... ]
    >>> columns = ["step", "rank", "optype", "start_ts", "duration"]
    >>> frame = pl.DataFrame(passes, schema=columns, orient="row").with_columns(stage=0, seq_id=0)
    >>> found = what_if(frame)
    >>> found.T_s, found.T_ideal_s, round(found.S, 4)
    (6.5, 5.0, 1.3)
    >>> found.slowest_ranks, found.M_W
    ((1,), 1.0)
    """
    threads = available_threads() if threads is None else threads
    refuse(thread_problems(threads))
    job = read_job(trace)
    everything = Chosen.all_of(job)
    stages, replicas = np.indices(everything.workers.shape)
    kinds = _kinds_by_name(job)
    sets = [
        Chosen.none_of(job),
        everything,
        *(everything.but_kinds(of_name) for of_name in kinds.values()),
        *(everything.only_workers(replicas != one) for one in range(job.n_replicas)),
        *(everything.only_workers(stages != one) for one in range(job.n_stages)),
    ]
    times_s, ideal_s, *others = _times_s(job, sets, threads=threads)
    slowdowns = [_mean(one) / _mean(ideal_s) for one in others]
    of_kinds = slowdowns[: len(kinds)]
    of_replicas = slowdowns[len(kinds) : len(kinds) + job.n_replicas]
    S_dp_rank = dict(enumerate(of_replicas))  # noqa: N806
    S_stage = dict(enumerate(slowdowns[len(kinds) + job.n_replicas :]))  # noqa: N806
    slowest = _slowest(_of_ranks(job, S_dp_rank, S_stage))
    without_slowest_s, without_last_stage_s = _times_s(
        job,
        [
            everything.only_workers(np.isin(np.array(job.ranks), slowest)),
            everything.only_workers(stages == job.n_stages - 1),
        ],
        threads=threads,
    )
    return WhatIf(
        job=job,
        T_ideal_s=_mean(ideal_s),
        times_s=tuple(times_s.tolist()),
        S_t=dict(zip(kinds, of_kinds, strict=True)),
        S_dp_rank=S_dp_rank,
        S_stage=S_stage,
        T_without_slowest_s=_mean(without_slowest_s),
        T_without_last_stage_s=_mean(without_last_stage_s),
    )


def _kinds_by_name(job: RecordedJob) -> dict[str, tuple[str, ...]]:
    """Return the types that are recorded, those of a group under its name."""
    names = dict.fromkeys(GROUP_OF.get(kind, kind) for kind in job.core.ideal_s)
    return {name: GROUPS.get(name, (name,)) for name in names}


def _times_s(job: RecordedJob, sets: Sequence[Chosen], *, threads: int) -> NDArray[np.float64]:
    """Return the seconds of steps with each of some sets of operations ideal."""
    return job.core.step_times_s(
        np.array([one.kinds for one in sets]),
        np.array([one.workers.ravel() for one in sets]),
        threads=threads,
    )


def _of_ranks(
    job: RecordedJob, of_replica: Mapping[int, float], of_stage: Mapping[int, float]
) -> dict[int, float]:
    """Return the slowdown of each rank, in ascending order of ranks."""
    found = {
        rank: min(of_replica[replica], of_stage[stage])
        for stage, ranks in enumerate(job.ranks)
        for replica, rank in enumerate(ranks)
    }
    return dict(sorted(found.items()))


def _slowest(of_ranks: Mapping[int, float]) -> tuple[int, ...]:
    """Return the slowest 3% of ranks; of equal ones the lower rank comes first."""
    n = -(-len(of_ranks) * SLOWEST_PERCENT // 100)
    return tuple(sorted(of_ranks, key=lambda rank: (-of_ranks[rank], rank))[:n])


def _mean(seconds: Sequence[float] | NDArray[np.float64]) -> float:
    return fmean(seconds)


def _with_text_keys(numbers: Mapping[int, float]) -> dict[str, float]:
    return {str(key): value for key, value in numbers.items()}
