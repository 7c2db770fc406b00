"""What requests see that queue for the replicas of all pools."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.catalog import Software
from hindmost.engines import Progress
from hindmost.queues.queue import told
from hindmost.queues.runs import (
    STATISTICS,
    QueueEstimate,
    QueueRuns,
    Run,
    counted,
    percentile_of,
    token_seconds,
)
from hindmost.scenario.serving import VARIATIONS
from hindmost.serving.job import ServingJob
from hindmost.serving.servers import Servers

Numbers = NDArray[np.float64]

GOLDEN = (math.sqrt(5) - 1) / 2
"""Multiples of it, modulo 1, fill the unit interval evenly."""
REQUESTS = 2_000_000
"""Requests of all runs together, by default."""
FEWEST_REQUESTS = 10_000
"""Requests of all runs together, at least."""
RUNS = 8
"""Runs, whose scatter gives errors: few, so that each has time for many replicas."""
STAYS = 12
"""A run has as many requests as are there at once, times so many: it begins with none."""
HALVINGS = 10
"""Halvings in looking for the most requests a second that keep to limits."""
FEWEST_USED = 0.01
"""Share of what replicas can take at which limits are kept, or at no rate."""
MOST_SETTLED = 0.99
"""Share of what replicas can take above which waits settle more slowly than runs last."""
MOST_USED = 0.999
"""Share of what replicas can take above which a queue has no end within any run."""


@dataclass(frozen=True, kw_only=True)
class UnderLoad:
    """What requests see.

    Attributes
    ----------
    runs : QueueRuns
        Simulated runs.
    software_first_s : float
        Seconds of the engine before a first token, beside the model's.
    used : float
        Share of what replicas can take that comes.
    servers : tuple of int
        Replicas of each pool that were simulated.
    is_thinned : bool
        Whether these are fewer than there are, with as many fewer requests.
    trace_s : float or None
        Seconds that the requests of a trace come in.
    """

    runs: QueueRuns
    software_first_s: float
    used: float
    servers: tuple[int, ...]
    is_thinned: bool
    trace_s: float | None

    def summary(self) -> list[QueueEstimate]:
        """Return each statistic of what requests see, with its error."""
        found = []
        for metric, seconds_of in self._seconds.items():
            for statistic, percentile in STATISTICS.items():
                estimate = self.runs.estimate(metric, statistic, _of(seconds_of, percentile))
                found += [estimate] if estimate is not None else []
        others = ("waits", "number", "requests_per_s", "tokens_per_s")
        by_name = {(one.metric, one.statistic): one for one in self.runs.estimates}
        return [*found, *(by_name[name, "mean"] for name in others if (name, "mean") in by_name)]

    def percentile(self, metric: str, percentile: float) -> QueueEstimate | None:
        """Return a percentile of ``ttft_s``, ``tpot_s``, ``wait_s`` or ``response_s``."""
        of_run = _of(self._seconds[metric], percentile)
        return self.runs.estimate(metric, f"p{percentile:g}", of_run)

    def at(self, metric: str, percentile: float) -> float | None:
        """Return the value of a percentile; None with too few requests beyond it."""
        found = self.percentile(metric, percentile)
        return None if found is None else found.value

    def share_within(self, limits: Mapping[str, float]) -> QueueEstimate:
        """Return the share of requests that keep to all limits, in seconds by metric."""

        def within(run: Run) -> float:
            kept = [self._seconds[metric](run) <= limit for metric, limit in limits.items()]
            return float(np.logical_and.reduce(kept).mean())

        found = self.runs.estimate("share_within", "mean", within)
        assert found is not None
        return found

    def share_of_group(self, group: int) -> float:
        """Return the share of requests that one pool serves."""
        shares = [float((counted(run, "group") == group).mean()) for run in self.runs.runs]
        return float(np.mean(shares))

    @property
    def _seconds(self) -> Mapping[str, Callable[[Run], Numbers]]:
        """What gives seconds by request of a run."""
        return {
            "ttft_s": self._ttft_s,
            "tpot_s": token_seconds,
            "wait_s": lambda run: counted(run, "wait_s"),
            "response_s": lambda run: self.software_first_s + counted(run, "response_s"),
        }

    def _ttft_s(self, run: Run) -> Numbers:
        # A request joins between two passes: anywhere within one, where others are decoded. The
        # places are those of a sequence that fills all of it evenly.
        first_s = counted(run, "first_s")
        place = np.arange(len(first_s)) * GOLDEN % 1.0
        joined_s = place * token_seconds(run) * (counted(run, "found") > 0)
        found: Numbers = self.software_first_s + joined_s + first_s
        return found


def _of(
    seconds_of: Callable[[Run], Numbers], percentile: float | None
) -> Callable[[Run], float | None]:
    if percentile is None:
        return lambda run: float(seconds_of(run).mean())
    return lambda run: percentile_of(seconds_of(run), percentile)


def under_load(
    job: ServingJob,
    software: Software,
    pools: Sequence[Servers],
    *,
    seed: int,
    requests: int,
    threads: int,
    progress: Progress | None,
) -> UnderLoad:
    """Let the requests of a job come to the replicas of all pools.

    Parameters
    ----------
    job
        The job; requests come at its rate.
    software
        The engine's numbers.
    pools
        Replicas, by pool.
    seed, requests, threads, progress
        As in `hindmost.queue`; the requests of a trace are as many as it has.

    Notes
    -----
    Where more requests would be there at once than runs have time for, fewer replicas are
    simulated, in the proportions of their pools, with a share of the requests that uses them as
    much. With the coefficient of variation times the root of that share, bursts are as large for
    each of them as they are for all: over n replicas in turn, gaps of one have that of all over the
    root of n. Where requests go to the replica with the fewest, fewer replicas are rarely as evenly
    loaded as many, and waits are somewhat other ones.
    """
    per_s, stream = job.arrivals_per_s or 0.0, job.stream
    most_per_s, variation = capacity_per_s(pools), stream.variation
    used = per_s / most_per_s
    servers = [of.n for of in pools]
    trace, known, at_s = stream.trace, None, None
    runs, of_each = RUNS, requests // RUNS
    if trace is None:
        at_once = used * sum(of.n * of.cap for of in pools)
        share = min(1.0, of_each / STAYS / max(at_once, 1.0))
        servers = _thinned(servers, share)
        share = sum(n * of.capacity_per_s for n, of in zip(servers, pools, strict=True))
        share /= most_per_s
        per_s, variation = per_s * share, _drawable(variation * math.sqrt(share))
    else:
        runs, of_each = 1, len(trace.at_s)
        known = np.column_stack([trace.input_tokens, trace.output_tokens])
        at_s = trace.spread(seed) * (trace.per_s / per_s)
    found = _core.queue_runs(
        {
            "arrivals_per_s": per_s,
            "arrivals_variation": variation,
            "arrivals_s": at_s,
            "input": stream.input_tokens.core,
            "output": stream.output_tokens.core,
            "known": known,
            "groups": [of.core_arguments(n) for of, n in zip(pools, servers, strict=True)],
            "routing": stream.routing,
        },
        seed=seed,
        runs=runs,
        requests=of_each,
        threads=threads,
        progress=told(progress, runs * of_each),
    )
    return UnderLoad(
        runs=QueueRuns(
            runs=tuple(found),
            discipline="batch",
            has_prompts=True,
            seed=seed,
            is_known=trace is not None,
        ),
        software_first_s=software.first_s,
        used=used,
        servers=tuple(servers),
        is_thinned=servers != [of.n for of in pools],
        trace_s=None if at_s is None else float(at_s[-1] - at_s[0]),
    )


def capacity_per_s(pools: Sequence[Servers]) -> float:
    """Return the mean requests a second that replicas of all pools can take."""
    return sum(of.n * of.capacity_per_s for of in pools)


def _thinned(servers: Sequence[int], share: float) -> list[int]:
    """Return a share of the servers of each pool, in all one at least.

    Those of a pool of which that is less than half of one are left out: one of them would be more
    than its part.
    """
    found = [round(n * share) for n in servers]
    if not any(found):
        found[int(np.argmax(servers))] = 1
    return found


def _drawable(variation: float) -> float:
    """Return a coefficient of variation, or 0 for one that is too small to be drawn."""
    return variation if variation >= VARIATIONS[0] else 0.0


def limits_of(job: ServingJob) -> dict[str, float]:
    """Return the limits of a job that there are, in seconds by metric."""
    both = {"ttft_s": job.limits.ttft_s, "tpot_s": job.limits.tpot_s}
    return {metric: limit for metric, limit in both.items() if limit is not None}


def most_within(
    job: ServingJob, pools: Sequence[Servers], at: Callable[[float], UnderLoad]
) -> float | None:
    """Return the most requests a second of which as many as asked for keep to the limits.

    None if not even few of them do. It is found by halving, to a thousandth of what replicas can
    take; the same random numbers at each rate make what is kept fall as it grows.

    Parameters
    ----------
    job
        The job, with limits.
    pools
        Replicas, by pool.
    at
        Lets requests come at so many a second.
    """
    limits = limits_of(job)

    def keeps(per_s: float) -> bool:
        share = at(per_s).share_within(limits).value
        return share >= job.limits.percentile / 100

    high = MOST_SETTLED * capacity_per_s(pools)
    if keeps(high):
        return high
    low = FEWEST_USED * high
    if not keeps(low):
        return None
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if keeps(middle) else (low, middle)
    return low


def document(found: UnderLoad, job: ServingJob, names: Sequence[str]) -> dict[str, Any]:
    """Return what requests see as plain tables.

    Parameters
    ----------
    found
        What they see.
    job
        The job, for its limits.
    names
        Names of the pools, in order.
    """
    limits, asked = job.limits, limits_of(job)
    of_limits: dict[str, Any] | None = None
    if asked:
        within = found.share_within(asked)
        of_limits = {
            "percentile": limits.percentile,
            "share_within": within.value,
            "std_error": within.std_error,
            "keeps_limits": within.value >= limits.percentile / 100,
            **{metric: found.at(metric, limits.percentile) for metric in asked},
        }
    return {
        "seed": found.runs.seed,
        "requests": sum(len(run["at_s"]) for run in found.runs.runs),
        "runs": len(found.runs.runs),
        "routing": job.stream.routing,
        "used": found.used,
        "summary": [
            {
                "metric": one.metric,
                "statistic": one.statistic,
                "value": one.value,
                "std_error": one.std_error,
            }
            for one in found.summary()
        ],
        "slo": of_limits,
        "pools": [
            {"pool": name, "replicas": n, "share": found.share_of_group(group)}
            for group, (name, n) in enumerate(zip(names, found.servers, strict=True))
        ],
    }
