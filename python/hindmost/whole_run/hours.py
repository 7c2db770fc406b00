"""Simulated whole runs: where every second of every GPU went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost.engines import Progress, counting
from hindmost.whole_run.fleet import SECONDS_PER_DAY, SECONDS_PER_HOUR, Fleet

NAMES = (
    "kept",
    "redone",
    "checkpoint",
    "detection",
    "restart",
    "waiting",
    "spare",
    "leftover",
    "drained",
    "repair",
    "cut_off",
    "other_jobs",
)
"""What a second of a GPU is called, in the order of the core."""
HELD = 6
"""How many of them, the first ones, the job holds."""

WORDS = {
    "kept": "steps kept",
    "redone": "steps done again",
    "checkpoint": "checkpoints",
    "detection": "failures not noticed yet",
    "restart": "restarts",
    "waiting": "waiting for a repair",
    "spare": "spares",
    "leftover": "GPUs without a replica",
    "drained": "drained",
    "repair": "in repair",
    "cut_off": "cut off by failures",
    "other_jobs": "other jobs",
}
"""Names of GPU-hours for people."""


@dataclass(frozen=True, kw_only=True)
class RunHours:
    """Where the time of some runs went, as plain numbers.

    Attributes
    ----------
    days : float
        Days of each run.
    interval_s : float or None
        Seconds of computing between checkpoints; None without checkpoints.
    kinds : list of str
        Names of failures.
    gpu_hours : list of list of list of float
        GPU-hours by run, pool and `NAMES`.
    interruptions, failures : list of list of int
        Failures that stopped the job, and all of them, by run and kind.
    regrows : list of int
        Restarts in which replicas came back, by run.
    nodes_down : list of list of float
        Share of the time of all runs for which 0, 1, 2 and so on nodes were down, by pool.
    budget_tokens : float or None
        Tokens that were asked for.
    budget_days : list of float or None
        Days until they were trained on, by run; None for a run that does not get there.
    """

    days: float
    interval_s: float | None
    kinds: list[str]
    gpu_hours: list[list[list[float]]]
    interruptions: list[list[int]]
    failures: list[list[int]]
    regrows: list[int]
    nodes_down: list[list[float]]
    budget_tokens: float | None = None
    budget_days: list[float | None] | None = None

    @property
    def table(self) -> NDArray[np.float64]:
        """GPU-hours, as an array of shape (runs, pools, names)."""
        return np.array(self.gpu_hours, dtype=np.float64)


def run_hours(
    fleet: Fleet,
    *,
    seed: int,
    runs: int,
    days: float,
    threads: int,
    progress: Progress | None = None,
) -> RunHours:
    """Simulate whole runs of a job, failure by failure.

    Parameters
    ----------
    fleet
        The job on its cluster.
    seed, runs, threads
        As in `simulate`.
    days
        Days of each run.
    progress
        Called with the failures done and all that are expected.
    """
    expected = round(fleet.failures_per_hour * 24 * days * runs)
    found = fleet.walk(
        seed=seed,
        runs=(0, runs),
        seconds=days * SECONDS_PER_DAY,
        threads=threads,
        progress=counting(progress, max(1, expected)),
    )
    n_pools = len(fleet.clusters)
    seconds = found["seconds"].reshape(runs, n_pools, len(NAMES))
    if fleet.scenario.ideals.idle:
        seconds = seconds * (np.arange(len(NAMES)) < HELD)
    return RunHours(
        days=days,
        interval_s=fleet.interval_s,
        kinds=list(dict.fromkeys(fleet.kind_names)),
        gpu_hours=(seconds / SECONDS_PER_HOUR).tolist(),
        interruptions=_by_name(fleet, found["interruptions"], runs),
        failures=_by_name(fleet, found["failures"], runs),
        regrows=found["regrows"].tolist(),
        nodes_down=[_shares(found["down_seconds"], pool) for pool in range(n_pools)],
    )


def _by_name(fleet: Fleet, of_kinds: NDArray[np.uint64], runs: int) -> list[list[int]]:
    """Return counts of each run and name of failures, of those of each kind and pool."""
    names = list(dict.fromkeys(fleet.kind_names))
    of_names = np.zeros((runs, len(names)), dtype=np.int64)
    for column, name in zip(of_kinds.reshape(runs, -1).T, fleet.kind_names, strict=True):
        of_names[:, names.index(name)] += column.astype(np.int64)
    counts: list[list[int]] = of_names.tolist()
    return counts


def _shares(down_seconds: list[list[list[float]]], pool: int) -> list[float]:
    """Return the shares of time for which 0, 1, 2 and so on nodes of a pool were down."""
    of_runs: list[list[Any]] = [run[pool] for run in down_seconds]
    total = np.zeros(max(map(len, of_runs)))
    for run in of_runs:
        total[: len(run)] += run
    shares: list[float] = (total / total.sum()).tolist()
    return shares
