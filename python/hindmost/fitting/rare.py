"""Rare stalls: how often they come, and the law of their seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hindmost.fitting.estimate import LOWER, Estimate, positive
from hindmost.fitting.laws import LawChoice, choose_law, with_cap
from hindmost.fitting.noise import robust_sigma
from hindmost.law import compiled_law

Vector = NDArray[np.float64]

FALSE_ALARMS = 0.05
"""Times of a log of normal noise that are taken for a stall, on average."""
LEAST = 1e-6
"""Share of a time below which nothing is a stall: clocks are no better."""
ROUNDING = 1.5
"""Steps of rounded times from which on something is a stall, if the rest is all alike."""
LAWS = ("exponential", "lognormal", "pareto")
"""Laws of seconds that are compared."""
MOST_COUNTED = 10_000
"""Events up to which the error of their number is exact."""


@dataclass(frozen=True, kw_only=True)
class Rare:
    """What comes rarely, and adds seconds.

    Attributes
    ----------
    n : int
        How often it came.
    probability : Estimate
        Probability that it comes: to a rank in a step, or in a step.
    seconds : Estimate or None
        Mean of the seconds that it adds; None if it never came.
    threshold_s : float
        Seconds below which it is not told from the rest.
    choice : LawChoice or None
        Law of its seconds; None if it came less than twice.
    """

    n: int
    probability: Estimate
    seconds: Estimate | None
    threshold_s: float
    choice: LawChoice | None

    @property
    def law(self) -> dict[str, object] | None:
        """Law of its seconds as a scenario writes it, with its cap; None if it never came."""
        if self.seconds is None:
            return None
        if self.choice is None:
            return {"name": "constant", "value": self.seconds.value}
        return with_cap(self.choice.law, self.n)

    @property
    def drawn_probability(self) -> float:
        """Probability of an event of that law, whose seconds may be below the threshold, too."""
        share = 1.0 if self.choice is None else self.choice.share_above
        return min(1.0, self.probability.value / share)


def threshold_of(deviations: Vector, *, resolution: float = 0.0) -> float:
    """Return the deviation from which on a time holds a stall, which normal noise hardly reaches.

    Parameters
    ----------
    deviations : array
        Logarithms of times over what is expected of them; NaN for what is missing.
    resolution
        Steps in which times come, as a share of their median: a single one is no stall.
    """
    known = deviations[np.isfinite(deviations)]
    normal_limit = NormalDist().inv_cdf(1 - FALSE_ALARMS / max(len(known), 1))
    return max(normal_limit * robust_sigma(known), ROUNDING * resolution, LEAST)


def rare_of(name: str, seconds: Vector, *, chances: int, threshold_s: float) -> Rare:
    """Return how often something came, and the law of its seconds.

    Parameters
    ----------
    name
        What it is.
    seconds : array of shape (n,)
        Seconds that it added, in order.
    chances
        How often it could have come, >= 1.
    threshold_s
        Seconds below which it is not told from the rest.

    Notes
    -----
    The interval of the probability is Garwood's for a Poisson number, exact for rare events: its
    ends are quantiles of gamma laws. That of the mean of their seconds is Student's, of its
    logarithm: seconds are positive. Laws of seconds are conditional on exceeding the threshold.
    """
    n = len(seconds)
    low, high = poisson_interval(n)
    probability = Estimate(
        name=f"{name}-probability",
        unit="probability",
        value=n / chances,
        std_error=math.sqrt(max(n, 1)) / chances,
        low=low / chances,
        high=min(1.0, high / chances),
    )
    choice = None
    if n > 1 and float(np.ptp(seconds)) > 0:
        above = min(threshold_s, float(seconds.min()))
        choice = choose_law(f"{name} seconds", seconds, LAWS, above=above)
    mean = None
    if n:
        # Of one event the error is its size, as that of an exponential law.
        spread = float(seconds.std(ddof=1)) if n > 1 else float(seconds[0])
        mean = positive(
            f"{name}-seconds", "s", float(seconds.mean()), spread / math.sqrt(n), freedom=n - 1
        )
    return Rare(n=n, probability=probability, seconds=mean, threshold_s=threshold_s, choice=choice)


def poisson_interval(n: int) -> tuple[float, float]:
    """Return the two-error interval of the mean of a Poisson number.

    Examples
    --------
    >>> [round(end, 1) for end in poisson_interval(4)]
    [1.1, 10.4]
    """
    if n > MOST_COUNTED - 1:
        return n - 2 * math.sqrt(n), n + 2 * math.sqrt(n)

    def gamma(shape: int, p: float) -> float:
        return compiled_law({"name": "gamma", "shape": float(shape), "scale": 1.0}).quantile(p)

    return gamma(n, LOWER) if n else 0.0, gamma(n + 1, 1 - LOWER)
