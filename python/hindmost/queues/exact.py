"""Queues in closed form."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

WAITS = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
"""Percentiles of waits."""


@dataclass(frozen=True, kw_only=True)
class ExactValue:
    """One statistic of one metric.

    Attributes
    ----------
    metric, statistic : str
        Names, those of a simulation.
    value : float
        What it is in the long run.
    """

    metric: str
    statistic: str
    value: float


def erlang_c(servers: int, load: float) -> float:
    """Return the probability that a request waits, with Poisson arrivals and exponential service.

    Parameters
    ----------
    servers
        How many take one request each.
    load
        Requests that come in the mean time of a service, below `servers`.

    Notes
    -----
    By the recursion of Erlang's B, which loses no digits.

    Examples
    --------
    >>> round(erlang_c(10, 8.0), 7)
    0.4091802
    """
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return servers * blocked / (servers - load * (1 - blocked))


def many_servers(*, servers: int, arrivals_per_s: float, mean_s: float) -> Iterator[ExactValue]:
    """Yield what M/M/c comes to: waits are exponential for those who wait.

    Parameters
    ----------
    servers
        How many take one request each.
    arrivals_per_s
        Requests a second.
    mean_s
        Mean seconds of a service.
    """
    load = arrivals_per_s * mean_s
    waits = erlang_c(servers, load)
    rate = (servers - load) / mean_s
    wait_s = waits / rate
    yield ExactValue(metric="waits", statistic="mean", value=waits)
    yield ExactValue(metric="wait_s", statistic="mean", value=wait_s)
    for statistic, p in WAITS:
        value = max(0.0, math.log(waits / (1 - p)) / rate)
        yield ExactValue(metric="wait_s", statistic=statistic, value=value)
    yield ExactValue(metric="response_s", statistic="mean", value=wait_s + mean_s)
    number = arrivals_per_s * (wait_s + mean_s)
    yield ExactValue(metric="number", statistic="mean", value=number)


def one_server(*, arrivals_per_s: float, mean_s: float, variance_s2: float) -> Iterator[ExactValue]:
    """Yield what M/G/1 comes to, by Pollaczek and Khinchine.

    Parameters
    ----------
    arrivals_per_s
        Requests a second.
    mean_s, variance_s2
        Mean and variance of the seconds of a service.

    Examples
    --------
    Service of one second each, four fifths of the time:

    >>> found = one_server(arrivals_per_s=0.8, mean_s=1, variance_s2=0)
    >>> [round(one.value, 9) for one in found]
    [0.8, 2.0, 3.0, 2.4]
    """
    load = arrivals_per_s * mean_s
    wait_s = arrivals_per_s * (variance_s2 + mean_s**2) / (2 * (1 - load))
    yield ExactValue(metric="waits", statistic="mean", value=load)
    yield ExactValue(metric="wait_s", statistic="mean", value=wait_s)
    yield ExactValue(metric="response_s", statistic="mean", value=wait_s + mean_s)
    number = arrivals_per_s * (wait_s + mean_s)
    yield ExactValue(metric="number", statistic="mean", value=number)


def renewal_arrivals(
    *, arrivals_per_s: float, variation: float, mean_s: float
) -> Iterator[ExactValue]:
    """Yield what GI/M/1 comes to with gamma gaps.

    A request waits with the probability sigma that solves ``sigma = A*(mu (1 - sigma))``, with the
    Laplace transform of gaps, and those who wait do so for exponential times.

    Parameters
    ----------
    arrivals_per_s
        Requests a second.
    variation
        Coefficient of variation of the gaps between them, >= 0.
    mean_s
        Mean seconds of a service.
    """
    rate = 1 / mean_s

    def transform(s: float) -> float:
        """Return the Laplace transform of the gaps."""
        if variation == 0:
            return math.exp(-s / arrivals_per_s)
        square = variation**2
        return math.exp(-math.log1p(s * square / arrivals_per_s) / square)

    # The function is convex, and 1 is another root of it.
    low, high = 0.0, 1 - 1e-12
    for _ in range(200):
        middle = (low + high) / 2
        if transform(rate * (1 - middle)) > middle:
            low = middle
        else:
            high = middle
    waits = (low + high) / 2
    wait_s = waits / (rate * (1 - waits))
    yield ExactValue(metric="waits", statistic="mean", value=waits)
    yield ExactValue(metric="wait_s", statistic="mean", value=wait_s)
    for statistic, p in WAITS:
        value = max(0.0, math.log(waits / (1 - p)) / (rate * (1 - waits))) if waits > 0 else 0.0
        yield ExactValue(metric="wait_s", statistic=statistic, value=value)
    yield ExactValue(metric="response_s", statistic="mean", value=wait_s + mean_s)
    number = arrivals_per_s * (wait_s + mean_s)
    yield ExactValue(metric="number", statistic="mean", value=number)


def shared_server(*, arrivals_per_s: float, mean_s: float) -> Iterator[ExactValue]:
    """Yield what M/G/1 with processor sharing comes to, whatever the law of service.

    A request takes ``1 / (1 - load)`` times its service.

    Parameters
    ----------
    arrivals_per_s
        Requests a second.
    mean_s
        Mean seconds of a service.
    """
    load = arrivals_per_s * mean_s
    yield ExactValue(metric="empty", statistic="mean", value=1 - load)
    yield ExactValue(metric="slowdown", statistic="mean", value=1 / (1 - load))
    yield ExactValue(metric="response_s", statistic="mean", value=mean_s / (1 - load))
    yield ExactValue(metric="number", statistic="mean", value=load / (1 - load))


def batch_without_cap(
    *, arrivals_per_s: float, tokens: float, a_s: float, b_s: float
) -> Iterator[ExactValue]:
    """Yield what continuous batching comes to, whatever the law of lengths.

    The number in service is negative binomial with ``1 + a / b`` and ``R b``, for R tokens a
    second, in the limit of short passes: requests join and leave within one. With b = 0 it is
    Poisson.

    Parameters
    ----------
    arrivals_per_s
        Requests a second.
    tokens
        Mean tokens of an answer.
    a_s, b_s
        Seconds of a pass, and more for each request in it.
    """
    offered = arrivals_per_s * tokens
    token_s = (a_s + b_s) / (1 - offered * b_s)
    empty = (
        math.exp((1 + a_s / b_s) * math.log1p(-offered * b_s))
        if b_s > 0
        else math.exp(-offered * a_s)
    )
    yield ExactValue(metric="empty", statistic="mean", value=empty)
    yield ExactValue(metric="s_per_token", statistic="mean", value=token_s)
    yield ExactValue(metric="response_s", statistic="mean", value=tokens * token_s)
    yield ExactValue(metric="number", statistic="mean", value=offered * token_s)


def batch_with_cap(
    *, arrivals_per_s: float, tokens: float, a_s: float, b_s: float, cap: int
) -> Iterator[ExactValue]:
    """Yield what continuous batching with a cap comes to, where lengths are exponential.

    First come first served: birth and death with the rate ``min(n, B) / (a + b min(n, B)) / L``.

    Parameters
    ----------
    arrivals_per_s
        Requests a second.
    tokens
        Mean tokens of an answer.
    a_s, b_s
        Seconds of a pass, and more for each request in it.
    cap
        Requests in service at most.
    """

    def ratio(n: int) -> float:
        """Return how much more probable n requests are than one less."""
        inside = min(n, cap)
        return arrivals_per_s * tokens * (a_s + b_s * inside) / inside

    # Logarithms, because those of many requests are far apart.
    logs = [0.0]
    for n in range(1, cap + 1):
        logs.append(logs[-1] + math.log(ratio(n)))
    top = max(logs)
    weights = [math.exp(log - top) for log in logs]
    # Beyond the cap they are a geometric series.
    r = ratio(cap)
    beyond = weights[cap] * r / (1 - r)
    total = sum(weights) + beyond
    full = (weights[cap] + beyond) / total
    waiting = weights[cap] * r / (1 - r) ** 2 / total
    inside = (sum(n * weight for n, weight in enumerate(weights)) + cap * beyond) / total
    yield ExactValue(metric="empty", statistic="mean", value=weights[0] / total)
    yield ExactValue(metric="waits", statistic="mean", value=full)
    yield ExactValue(metric="wait_s", statistic="mean", value=waiting / arrivals_per_s)
    token_s = inside / (arrivals_per_s * tokens)
    yield ExactValue(metric="s_per_token", statistic="mean", value=token_s)
    response_s = (inside + waiting) / arrivals_per_s
    yield ExactValue(metric="response_s", statistic="mean", value=response_s)
    yield ExactValue(metric="number", statistic="mean", value=inside + waiting)
