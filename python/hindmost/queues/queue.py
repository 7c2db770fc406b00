"""A queue for servers: closed forms where there are any, and a simulation of any."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import Field, ValidationError, model_validator

from hindmost import _core
from hindmost.arguments import (
    MAX_RUNS,
    as_float,
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    refuse,
    seed_problems,
    thread_problems,
)
from hindmost.catalog.schema import Count
from hindmost.engines import Progress
from hindmost.errors import Problem
from hindmost.law import Constant, Exponential, LawModel, PositiveOrLaw
from hindmost.queues import exact
from hindmost.queues.exact import ExactValue
from hindmost.queues.runs import QueueRuns
from hindmost.scenario.fields import field_problems
from hindmost.scenario.serving import VARIATIONS, Routing
from hindmost.strict import Strict

REQUESTS = 1_000_000
"""Requests of all runs together, by default."""
RUNS = 16
"""Runs, by default: their scatter gives errors."""
MAX_CAP = 1_000_000
"""Requests that a server has in service, at most."""
FEWEST_REQUESTS = 100
"""Requests of a run, at least."""
MOST_REQUESTS = 100_000_000
"""Requests of all runs together, at most; these take about 5 GB."""

LEAST_PER_S, MOST_PER_S = 1e-12, 1e12
"""Requests a second, at least and at most."""

Seconds = Annotated[float, Field(ge=0)]


class Queue(Strict):
    """A queue for servers, with closed forms where there are any.

    `hindmost.queue` makes one, and says what its fields mean.
    """

    servers: Count = 1
    arrivals_per_s: Annotated[float, Field(ge=LEAST_PER_S, le=MOST_PER_S)]
    service: PositiveOrLaw
    discipline: Literal["fcfs", "ps", "batch"] = "fcfs"
    a_s: Seconds | None = None
    b_s: Seconds | None = None
    cap: Annotated[int, Field(ge=1, le=MAX_CAP)] | None = None
    prefill_s: Seconds = 0.0
    variation: Annotated[float, Field(ge=0, le=VARIATIONS[1])] = 1.0
    routing: Routing = "least-loaded"

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Queue:
        self.law.check_drawable("service")
        return self

    @property
    def law(self) -> LawModel:
        """The law of service."""
        if isinstance(self.service, float | int):
            return Constant(value=float(self.service))
        return cast("LawModel", self.service)

    @property
    def capacity_per_s(self) -> float:
        """Requests a second that all servers can take in the long run.

        Infinite where a server gives each of any number of requests its tokens as fast as one.
        """
        mean = self.law.core.mean()
        if self.discipline != "batch":
            return self.servers / mean
        a_s, b_s = self.a_s or 0.0, self.b_s or 0.0
        each_s = b_s if self.cap is None else a_s / self.cap + b_s
        seconds = self.prefill_s + mean * each_s
        return self.servers / seconds if seconds > 0 else float("inf")

    @property
    def exact(self) -> dict[str, float] | None:
        """Values by metric, such as ``wait_s``, and ``wait_s.p99`` of a percentile, or None.

        There are closed forms

        - of one queue for all servers (fcfs) with Poisson arrivals and exponential service, of one
          such server with any law of service, and of one with exponential service and gamma gaps;
        - of one server that requests share (ps), with Poisson arrivals and any law of service;
        - of one server with batches, Poisson arrivals and no time for prompts: without a cap for
          any law of lengths, with one for an exponential law, both in the limit of short passes.
        """
        found = self._exact()
        if found is None:
            return None

        def key(one: ExactValue) -> str:
            return one.metric if one.statistic == "mean" else f"{one.metric}.{one.statistic}"

        return {key(one): one.value for one in found}

    def _exact(self) -> Iterator[ExactValue] | None:
        law = self.law
        mean, rate = law.core.mean(), self.arrivals_per_s
        poisson = self.variation == 1
        exponential = isinstance(law, Exponential) and law.cap is None and law.shift == 0
        if self.discipline == "fcfs":
            if poisson and exponential:
                return exact.many_servers(servers=self.servers, arrivals_per_s=rate, mean_s=mean)
            if poisson and self.servers == 1:
                variance = law.core.variance()
                return exact.one_server(arrivals_per_s=rate, mean_s=mean, variance_s2=variance)
            if exponential and self.servers == 1:
                return exact.renewal_arrivals(
                    arrivals_per_s=rate, variation=self.variation, mean_s=mean
                )
            return None
        if not poisson or self.servers > 1 or self.prefill_s > 0:
            return None
        if self.discipline == "ps":
            return exact.shared_server(arrivals_per_s=rate, mean_s=mean)
        a_s, b_s = self.a_s or 0.0, self.b_s or 0.0
        if self.cap is None:
            return exact.batch_without_cap(arrivals_per_s=rate, tokens=mean, a_s=a_s, b_s=b_s)
        if exponential:
            return exact.batch_with_cap(
                arrivals_per_s=rate, tokens=mean, a_s=a_s, b_s=b_s, cap=self.cap
            )
        return None

    def simulate(
        self,
        *,
        seed: int | None = None,
        requests: int = REQUESTS,
        runs: int = RUNS,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> QueueRuns:
        """Simulate the queue request by request.

        Parameters
        ----------
        seed
            Seed; drawn by default. Equal seeds give equal requests on any number of threads.
        requests
            Requests of all runs together; each run has 100 at least.
        runs
            Runs, whose scatter gives errors.
        threads
            Threads; by default as many as this process may use.
        progress
            Called with the requests that have come and all of them.

        Raises
        ------
        ScenarioError
            With every argument that is out of its domain.
        """
        seed, requests, runs, threads = (as_int(one) for one in (seed, requests, runs, threads))
        seed = drawn_seed() if seed is None else seed
        threads = available_threads() if threads is None else threads
        of_runs = bounds("runs", runs, 1, MAX_RUNS)
        fewest = 1 if of_runs else runs * FEWEST_REQUESTS
        refuse(
            [
                *of_runs,
                *bounds("requests", requests, fewest, MOST_REQUESTS),
                *seed_problems(seed),
                *thread_problems(threads),
            ]
        )
        of_each = requests // runs
        found = _core.queue_runs(
            self._core_arguments(),
            seed=seed,
            runs=runs,
            requests=of_each,
            threads=threads,
            progress=told(progress, of_each * runs),
        )
        return QueueRuns(
            runs=tuple(found),
            discipline=self.discipline,
            has_prompts=self.prefill_s > 0,
            seed=seed,
            settling_requests=self._settling_requests,
        )

    @property
    def _settling_requests(self) -> float:
        """Requests in which the queue forgets that it began with none, roughly.

        The relaxation of a heavily loaded queue, ``2 (c_a^2 + c_s^2) / (1 - load)^2``, which is
        that of M/M/1 near a load of 1.
        """
        capacity = self.capacity_per_s
        if math.isinf(capacity):
            return 0.0
        core = self.law.core
        variations = self.variation**2 + core.variance() / core.mean() ** 2
        load = self.arrivals_per_s / capacity
        return 2 * variations * load / (1 - load) ** 2

    def _core_arguments(self) -> dict[str, Any]:
        # One queue for servers that take one request each is a server with a place for each of
        # them, whose pace their number does not change; requests that share one are a pass that
        # takes as long as there are requests.
        of_discipline: dict[str, dict[str, Any]] = {
            "fcfs": {"n_servers": 1, "a_s": 1.0, "b_s": 0.0, "cap": self.servers},
            "ps": {"n_servers": self.servers, "a_s": 0.0, "b_s": 1.0, "cap": None},
            "batch": {
                "n_servers": self.servers,
                "a_s": self.a_s or 0.0,
                "b_s": self.b_s or 0.0,
                "cap": self.cap,
            },
        }
        group = {
            **of_discipline[self.discipline],
            "by_number": None,
            "prefill": [self.prefill_s, 0.0, 0.0],
        }
        return {
            "arrivals_per_s": self.arrivals_per_s,
            "arrivals_variation": self.variation,
            "arrivals_s": None,
            "input": None,
            "output": self.law.core,
            "known": None,
            "groups": [group],
            "routing": self.routing,
        }


def told(progress: Progress | None, n: int) -> Callable[[int], None] | None:
    """Return what the core calls with the requests that have come."""
    if progress is None:
        return None

    def come(done: int) -> None:
        progress(min(done, n), n)

    return come


def queue(
    *,
    arrivals_per_s: float,
    service: Any,
    servers: int = 1,
    discipline: str = "fcfs",
    a_s: float | None = None,
    b_s: float | None = None,
    cap: int | None = None,
    prefill_s: float = 0.0,
    variation: float = 1.0,
    routing: str = "least-loaded",
) -> Queue:
    """Return a queue for servers, which knows its closed forms and simulates itself.

    Parameters
    ----------
    arrivals_per_s : float
        Requests a second, > 0, that come to all servers together.
    service : float or law
        What each request takes: seconds with the disciplines fcfs and ps, tokens with batch. A
        number, a table such as ``{"name": "lognormal", "sigma": 1}``, or a frozen distribution of
        scipy.
    servers : int
        How many there are, 1 by default.
    discipline : {"fcfs", "ps", "batch"}
        ``fcfs``, the default: one queue for all servers, each of which takes one request, first
        come first served. ``ps``: a server works on all of its requests, each at its share of the
        speed. ``batch``: continuous batching, where a server gives each of its n requests a token
        in each pass of ``a_s + b_s n`` seconds; requests join and leave at any time.
    a_s, b_s : float
        Seconds of a pass, and more for each request in it, >= 0; with batch only, both.
    cap : int, optional
        Requests that a server has in service at most, with batch only; others wait for it, first
        come first served.
    prefill_s : float
        Seconds for which each request's prompt stops its server before it joins, with batch only; 0
        by default.
    variation : float
        Coefficient of variation of the gaps between requests, which have a gamma law: 1, the
        default, is a Poisson process, 0 a clock; otherwise from 0.011 to 1,000.
    routing : {"least-loaded", "round-robin", "speed-aware"}
        To which server a request goes with ps and batch: by default to the one with the fewest.

    Raises
    ------
    ScenarioError
        With every argument that is out of its domain, and for more requests than servers can take.

    Examples
    --------
    Ten servers that are busy four fifths of the time, and continuous batching with passes of 20 ms
    and 0.2 ms more a request:

    >>> import hindmost as hm
    >>> service = {"name": "exponential", "mean": 1.0}
    >>> servers = hm.queue(servers=10, arrivals_per_s=8, service=service)
    >>> round(servers.exact["wait_s"], 7)
    0.2045901
    >>> served = hm.queue(arrivals_per_s=12, service=200, discipline="batch", a_s=20e-3, b_s=0.2e-3)
    >>> round(served.exact["s_per_token"], 8)
    0.03884615
    >>> found = served.simulate(seed=1, requests=20_000)
    >>> error = abs(found.value("s_per_token") - served.exact["s_per_token"])
    >>> error < 4 * found.std_error("s_per_token")
    True
    """
    fields = {
        "arrivals_per_s": as_float(arrivals_per_s),
        "service": as_float(service),
        "servers": as_int(servers),
        "discipline": discipline,
        "a_s": as_float(a_s),
        "b_s": as_float(b_s),
        "cap": as_int(cap),
        "prefill_s": as_float(prefill_s),
        "variation": as_float(variation),
        "routing": routing,
    }
    try:
        made = Queue.model_validate(fields)
    except ValidationError as error:
        refuse(field_problems(error, Queue))
        raise
    refuse(list(_problems(made)))
    return made


def _problems(made: Queue) -> Iterator[Problem]:
    """Yield what is wrong with fields that are right each for itself."""
    if made.discipline == "batch":
        for path in ("a_s", "b_s"):
            if getattr(made, path) is None:
                yield Problem(path=path, requirement="is missing, which batch takes")
        if made.a_s == 0 and made.b_s == 0:
            yield Problem(path="a_s", requirement="must be > 0 where b_s is 0", value=0.0)
    else:
        for path in ("a_s", "b_s", "cap"):
            if getattr(made, path) is not None:
                requirement = f'must be left out with the discipline "{made.discipline}"'
                yield Problem(path=path, requirement=requirement, value=getattr(made, path))
        if made.prefill_s > 0:
            requirement = f'must be left out with the discipline "{made.discipline}"'
            yield Problem(path="prefill_s", requirement=requirement, value=made.prefill_s)
    if made.routing != "least-loaded" and (made.discipline == "fcfs" or made.servers == 1):
        requirement = "must be left out with one queue, or with one server"
        yield Problem(path="routing", requirement=requirement, value=made.routing)
    if 0 < made.variation < VARIATIONS[0]:
        requirement = f"must be 0, or >= {VARIATIONS[0]:g}"
        yield Problem(path="variation", requirement=requirement, value=made.variation)
    if made.discipline != "batch" or (made.a_s is not None and made.b_s is not None):
        capacity = made.capacity_per_s
        if made.arrivals_per_s >= capacity:
            requirement = f"must be < {capacity:.6g}, which is what the servers can take"
            yield Problem(path="arrivals_per_s", requirement=requirement, value=made.arrivals_per_s)
