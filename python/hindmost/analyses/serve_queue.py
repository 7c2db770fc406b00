"""The queue of requests for what pools serve, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hindmost.arguments import (
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    seed_problems,
    thread_problems,
)
from hindmost.engines import Progress
from hindmost.errors import Problem
from hindmost.queues.queue import MOST_REQUESTS
from hindmost.queues.trace import RequestTrace
from hindmost.serving.job import ServingJob
from hindmost.serving.search import Configuration, Searched
from hindmost.serving.servers import PROMPTS, servers
from hindmost.serving.under_load import (
    FEWEST_REQUESTS,
    MOST_SETTLED,
    MOST_USED,
    REQUESTS,
    UnderLoad,
    capacity_per_s,
    document,
    most_within,
    under_load,
)

Numbers = NDArray[np.float64]

LOOKS = 5
"""Each look for the most requests a second that keep to limits has as few requests of a queue."""
FEWEST_STAYS = 20
"""A trace lasts as long as a median request so many times, or it is said."""


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """How a queue is simulated.

    Attributes
    ----------
    seed, requests, threads : int
        The seed, requests of all runs, and threads.
    progress : callable or None
        Called with the requests that have come and all of them.
    """

    seed: int
    requests: int
    threads: int
    progress: Progress | None


def simulation_of(
    seed: int | None, requests: int | None, threads: int | None, progress: Progress | None
) -> tuple[Simulation, list[Problem]]:
    """Return how a queue is simulated by the arguments of `serve`, and what is wrong with them."""
    requests = REQUESTS if requests is None else requests
    seed, requests, threads = (as_int(one) for one in (seed, requests, threads))
    seed = drawn_seed() if seed is None else seed
    threads = available_threads() if threads is None else threads
    found = [
        *seed_problems(seed),
        *bounds("requests", requests, FEWEST_REQUESTS, MOST_REQUESTS),
        *thread_problems(threads),
    ]
    return Simulation(seed=seed, requests=requests, threads=threads, progress=progress), found


def stream_inputs(job: ServingJob) -> dict[str, Any]:
    """Return how requests come as plain values."""
    stream = job.stream
    trace = None
    if stream.trace is not None:
        trace = {
            "format": stream.trace.format,
            "requests": len(stream.trace.at_s),
            "per_s": stream.trace.per_s,
            "variation": stream.trace.variation,
            "tick_s": stream.trace.tick_s,
            "left_out": stream.trace.left_out,
        }
    return {
        "variation": stream.variation,
        "routing": stream.routing,
        "percentile": job.limits.percentile,
        "trace": trace,
    }


class Serving(NamedTuple):
    """A pool that serves."""

    name: str
    replicas: int
    layout: Searched
    """The layout of its replicas, with all batches."""
    chosen: Configuration
    """Their configuration."""
    availability: float
    """What failures leave of their time."""


def queue_of(
    job: ServingJob, serving: Sequence[Serving], simulation: Simulation
) -> tuple[dict[str, Any] | None, list[str]]:
    """Return what requests see that queue for some pools, and what is to be known of it.

    None where requests come at no rate, and where more come than can be served.
    """
    if job.arrivals_per_s is None or not serving:
        return None, []
    software, _ = job.software
    prompts = _prompts(job)
    pools = [
        servers(
            one.layout.replica,
            job.load,
            software,
            n=one.replicas,
            cap=max(int(one.chosen.batch), 1),
            pace=one.chosen.pace * one.availability,
            prompts=prompts,
        )
        for one in serving
    ]
    trace = job.stream.trace
    if trace is None and job.arrivals_per_s > MOST_USED * capacity_per_s(pools):
        return None, ["More requests come than replicas can take: they would wait without end."]

    def at(per_s: float, requests: int, progress: Progress | None) -> UnderLoad:
        return under_load(
            replace(job, arrivals_per_s=per_s),
            software,
            pools,
            seed=simulation.seed,
            requests=requests,
            threads=simulation.threads,
            progress=progress,
        )

    of = at(job.arrivals_per_s, simulation.requests, simulation.progress)
    found = document(of, job, [one.name for one in serving])
    if found["slo"] is not None:
        few = max(simulation.requests // LOOKS, FEWEST_REQUESTS)
        most = most_within(job, pools, lambda per_s: at(per_s, few, None))
        found["slo"]["most_requests_per_s"] = most
    return found, _notes(job, serving, of)


def _n_too_long(job: ServingJob, serving: Sequence[Serving], trace: RequestTrace) -> int:
    """Return how many requests have more context at their end than any replica's memory holds."""
    lengths = trace.input_tokens + trace.output_tokens
    low, high = 0, len(lengths)
    ordered = np.sort(lengths)

    def fits(tokens: float) -> bool:
        return any(
            one.layout.replica.sequences_that_fit(tokens, memory_share=job.memory_share) >= 1
            for one in serving
        )

    # What holds a sequence holds shorter ones.
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if fits(float(ordered[middle])) else (low, middle)
    return len(ordered) - low


def _prompts(job: ServingJob) -> Numbers:
    """Return lengths of prompts as they come, for which the seconds of prompts are computed."""
    shares = (np.arange(PROMPTS) + 0.5) / PROMPTS
    if job.stream.trace is not None:
        return np.quantile(job.stream.trace.input_tokens, shares)
    core = job.stream.input_tokens.core
    return np.array([core.quantile(share) for share in shares])


def _notes(job: ServingJob, serving: Sequence[Serving], of: UnderLoad) -> list[str]:
    notes = []
    trace = job.stream.trace
    if of.is_thinned:
        others = "" if job.stream.routing == "round-robin" else ", which are less evenly loaded"
        notes.append(
            f"{sum(of.servers):,} replicas were simulated for all, with as many fewer requests"
            f"{others}; more --requests simulate more of them."
        )
        gone = [one.name for one, n in zip(serving, of.servers, strict=True) if n == 0]
        if gone:
            notes.append(f"Too few replicas to be simulated among the others: {', '.join(gone)}.")
    if trace is not None and trace.tick_s > 0:
        notes.append(
            f"The trace's clock ticks every {trace.tick_s:.3g} s, over which requests are spread."
        )
    n_long = 0 if trace is None else _n_too_long(job, serving, trace)
    if n_long:
        notes.append(
            f"{n_long:,} requests of the trace are longer than the memory of any replica holds; "
            "they are served as if it held them."
        )
    if trace is not None and trace.left_out:
        notes.append(f"{trace.left_out:,} requests of the trace have no prompt or no answer.")
    if of.trace_s is not None and of.used >= MOST_USED:
        notes.append("More requests come than replicas can take: they wait until the trace ends.")
    elif of.used > MOST_SETTLED or of.runs.is_settled is False:
        notes.append("Waits still change when runs end: more --requests make them longer.")
    median = of.percentile("response_s", 50)
    if of.trace_s is not None and median is not None and of.trace_s < FEWEST_STAYS * median.value:
        notes.append(
            f"The trace lasts {of.trace_s:.3g} s at this rate, and a median request "
            f"{median.value:.3g} s: it begins and ends with idle replicas."
        )
    return notes
