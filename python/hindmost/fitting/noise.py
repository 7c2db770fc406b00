"""What the noise of step times looks like, by statistics that slow steps hardly move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal law over its median absolute deviation."""
CLIPPED = 4.0
"""Robust deviations at which steps are clipped before they are correlated."""
FEWEST = 12
"""Steps of a stretch below which it is left out where there is a longer one."""
COARSEST = 0.05
"""Share of a median above which the distance of two times is none of rounding."""
ALIKE = 1e-6
"""Share of a median by which times that are equal differ where they are differences of stamps."""
FINEST = 1e-5
"""Share of a median below which the distance of two times is that of many of them."""
NEIGHBOURS = 11
"""Steps whose median a step is held against, itself included."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Noise of a series of step times.

    Attributes
    ----------
    sigma : float
        Robust standard deviation over the median: 1.4826 times the median absolute deviation.
    white : float
        That part of it which is new in each step: the robust standard deviation of differences of
        steps that follow each other, over the root of two.
    lag1 : float
        Correlation of steps that follow each other, with steps clipped at four robust deviations.
        0 where all are alike.
    """

    sigma: float
    white: float
    lag1: float


def noise_of(stretches: Sequence[Vector]) -> Noise:
    """Return the noise of the step times of a job.

    Parameters
    ----------
    stretches : sequence of arrays
        Seconds of steps, one array from each restart to the next one. The medians over these count.

    Notes
    -----
    These are the statistics in which the noise of published systems is given, each a median over
    runs (``docs/validation.md``, *Noise that wanders*).
    """
    longest = max(map(len, stretches))
    found = [_of_one(one) for one in stretches if len(one) >= min(FEWEST, longest)]
    sigma, white, lag1 = np.median(found, axis=0).tolist()
    return Noise(sigma=sigma, white=white, lag1=lag1)


def robust_sigma(values: Vector) -> float:
    """Return a standard deviation that a few outliers hardly move."""
    return float(MAD_TO_SIGMA * np.median(np.abs(values - np.median(values))))


def resolution(seconds: Vector) -> float:
    """Return the steps in which times come, as a share of their median; 0 if they are not rounded.

    Parameters
    ----------
    seconds : array of shape (n,)
        Times. They count as rounded where half of them are equal to others, or more.
    """
    gaps = np.diff(np.sort(seconds / float(np.median(seconds))))
    steps = gaps[gaps > ALIKE]
    if not len(steps) or len(steps) + 1 > len(seconds) / 2:
        return 0.0
    step = float(steps.min())
    return step if FINEST <= step <= COARSEST else 0.0


def running_median(values: Vector) -> Vector:
    """Return the median of each value and its neighbours, five on either side.

    At the ends the series goes on as its mirror image.
    """
    reach = min(NEIGHBOURS // 2, len(values) - 1)
    padded = np.pad(values, reach, mode="reflect") if reach else values
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    medians: Vector = np.median(windows, axis=1)
    return medians


def _of_one(seconds: Vector) -> tuple[float, float, float]:
    x = seconds / np.median(seconds) - 1
    sigma = robust_sigma(x)
    white = robust_sigma(np.diff(x)) / math.sqrt(2) if len(x) > 1 else 0.0
    clipped = np.clip(x, -CLIPPED * sigma, CLIPPED * sigma)
    varies = len(x) > 2 and np.ptp(clipped[:-1]) > 0 and np.ptp(clipped[1:]) > 0
    lag1 = float(np.corrcoef(clipped[:-1], clipped[1:])[0, 1]) if varies else 0.0
    return sigma, white, lag1
