"""Share of time that a job keeps, in closed form and in sums."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MOST_FAILURES = 700.0
"""Failures in a segment above which none is ever reached: the share has no number."""
MOST_TERMS = 10_000_000
"""Terms of a sum, at most."""
LEAST_SURVIVAL = 1e-18
"""Probability that a segment is reached, below which those after it are left out."""


def constant_rate(
    *,
    rate: float,
    down_s: float,
    interval_s: float,
    blocking_s: float,
    durable_s: float,
    can_fail: bool,
) -> float:
    """Return the share of time kept where failures have a constant rate.

    Parameters
    ----------
    rate
        Failures a second, > 0.
    down_s
        Seconds of detection and restart.
    interval_s, blocking_s, durable_s
        Seconds of computing between checkpoints, those for which one stops the job, and those
        after that until it is durable.
    can_fail
        Whether failures come during detection and restart, too, after which all begins again.

    Notes
    -----
    ``dt e^(-L d) / ((1/L + u) (e^(L (dt + w)) - 1))``, and where restarts can fail
    ``L dt e^(-L (d + u)) / (e^(L (dt + w)) - 1)``.

    Examples
    --------
    A failure every 829.2 s:

    >>> job = dict(rate=1 / 829.2, down_s=600, interval_s=300, blocking_s=5, durable_s=120)
    >>> [round(constant_rate(**job, can_fail=can_fail), 6) for can_fail in (False, True)]
    [0.408526, 0.34151]
    """
    if rate * (interval_s + blocking_s) > MOST_FAILURES:
        return 0.0
    segments = math.expm1(rate * (interval_s + blocking_s))
    kept = interval_s * math.exp(-rate * durable_s) / segments
    if can_fail:
        return rate * kept * math.exp(-rate * down_s)
    return kept / (1 / rate + down_s)


def two_levels(
    *,
    rates: Sequence[float],
    downs_s: Sequence[float],
    interval_s: float,
    blockings_s: Sequence[float],
    every: int,
) -> float:
    """Return the share of time kept with local and global checkpoints, durable when written.

    Restarts cannot fail.

    Parameters
    ----------
    rates
        Failures a second that local checkpoints survive, and of those that they do not.
    downs_s
        Seconds of detection and restart after either.
    interval_s
        Seconds of computing between checkpoints.
    blockings_s
        Seconds for which a local checkpoint stops the job, and a global one.
    every
        Each so many checkpoints one is global.

    Notes
    -----
    With j local checkpoints since the last global one, the expected seconds to the next global one
    are ``E_j = q/L + q (L1/L (u1 + E_j) + L2/L (u2 + E_0)) + (1 - q) E_(j+1)``, where q is the
    probability that the segment fails.

    Examples
    --------
    In minutes:

    >>> job = dict(rates=(0.05, 0.01), downs_s=(2, 15), interval_s=1, blockings_s=(0.02, 1))
    >>> round(two_levels(**job, every=20), 6)
    0.650743
    """
    local, far = rates
    rate = local + far
    down_s = (local * downs_s[0] + far * downs_s[1]) / rate

    def segment(blocking_s: float) -> tuple[float, float]:
        """Return a segment's own expected seconds, and how often it falls back to the first one."""
        fails = -math.expm1(-rate * (interval_s + blocking_s))
        stays = 1 - fails * local / rate
        if fails == 1 or stays == 0:
            return math.inf, 1.0
        return fails * (1 / rate + down_s) / stays, fails * far / rate / stays

    # E_j = alone + (1 - escape) E_0: first of the global segment, then of n equal local ones.
    alone, falls_back = segment(blockings_s[1])
    escape = 1 - falls_back
    own_s, falls_back = segment(blockings_s[0])
    n = every - 1
    if falls_back == 1:
        return 0.0
    passes = n * math.log1p(-falls_back)
    n_tries = -math.expm1(passes) / falls_back if falls_back else float(n)
    alone = math.exp(passes) * alone + own_s * n_tries
    escape *= math.exp(passes)
    return every * interval_s * escape / alone if math.isfinite(alone) else 0.0


def weibull(
    *, shape: float, mean_s: float, down_s: float, interval_s: float, blocking_s: float
) -> float | None:
    """Return the share of time kept where each restart, which cannot fail, makes the job new.

    None where the sum has too many terms.

    Parameters
    ----------
    shape, mean_s
        Of the law of the seconds to a failure.
    down_s, interval_s, blocking_s
        As in `constant_rate`; checkpoints are durable when written.

    Notes
    -----
    ``dt sum_k S(k (dt + w)) / (mean + u)``, with S the probability of no failure by then.

    Examples
    --------
    In minutes:

    >>> round(weibull(shape=0.7, mean_s=13.8, down_s=10, interval_s=5, blocking_s=0.5), 6)
    0.439736
    """
    scale_s = mean_s / math.gamma(1 + 1 / shape)
    segment = (interval_s + blocking_s) / scale_s
    n_terms = (-math.log(LEAST_SURVIVAL)) ** (1 / shape) / segment
    if n_terms > MOST_TERMS:
        return None
    ends = segment * np.arange(1, int(n_terms) + 2)
    reached = float(np.exp(-(ends**shape)).sum())
    return interval_s * reached / (mean_s + down_s)
