"""What steps have in common: white noise, drift and pauses of one series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.fitting.ar1 import Measured
from hindmost.fitting.drift import fit_drift
from hindmost.fitting.estimate import Estimate, of_draws
from hindmost.fitting.noise import resolution, robust_sigma, running_median
from hindmost.fitting.parts import Drifting
from hindmost.fitting.rare import LEAST, ROUNDING, threshold_of

Vector = NDArray[np.float64]

TRIM = 3.0
"""Robust deviations beyond which steps are left out of likelihoods: tails of white noise are
heavier than normal ones, and would widen the rest."""
KEPT_SIGMA = 0.985
"""Standard deviation of normal numbers that lie within three of the median of their neighbours."""
KEPT_OF_MEDIAN = 0.9866
"""Standard deviation of a normal law that is cut off at three deviations on either side."""
NEIGHBOUR_SIGMA = 0.892
"""Robust deviation of normal numbers from the median of their neighbours, which every eleventh
one is itself."""
ALIKE = {"value": 0.0, "std_error": 0.0, "low": 0.0, "high": 0.0}
"""The deviation of steps that are all alike."""
WARMUP_STEPS = 5
"""First steps after a restart that are left out if they are slow, at most."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pauses:
    """Steps of a stretch that are slower or faster than their neighbours by far.

    Attributes
    ----------
    is_pause, is_warmup, is_fast : array of shape (n,)
        Whether a step is slow, among the first ones and slow, or fast.
    excess_s : array of shape (n,)
        Seconds above the median of its neighbours.
    threshold : float
        Logarithm of the time over that median from which on a step is slow.
    """

    is_pause: NDArray[np.bool_]
    is_warmup: NDArray[np.bool_]
    is_fast: NDArray[np.bool_]
    excess_s: Vector
    threshold: float

    @property
    def is_usual(self) -> NDArray[np.bool_]:
        """Whether a step is none of these."""
        return ~(self.is_pause | self.is_warmup | self.is_fast)


def pauses_of(stretches: Sequence[Vector]) -> list[Pauses]:
    """Return the steps of each stretch that are slower or faster than their neighbours by far.

    Parameters
    ----------
    stretches : sequence of arrays
        Seconds of steps from one restart to the next one.

    Notes
    -----
    Neighbours are those within five steps, so that what drifts is no pause. A slow time of more
    than five steps is none either: it counts as drift.
    """
    medians = [running_median(seconds) for seconds in stretches]
    above = [np.log(one / median) for one, median in zip(stretches, medians, strict=True)]
    rounding = resolution(np.concatenate(list(stretches)))
    threshold = threshold_of(np.concatenate(above) / NEIGHBOUR_SIGMA, resolution=rounding)
    found = []
    for seconds, median, one in zip(stretches, medians, above, strict=True):
        is_slow = one > threshold
        leading = int(np.argmin(np.append(is_slow, False)))
        is_warmup = np.arange(len(seconds)) < min(leading, WARMUP_STEPS)
        found.append(
            Pauses(
                is_pause=is_slow & ~is_warmup,
                is_warmup=is_warmup,
                is_fast=one < -threshold,
                excess_s=seconds - median,
                threshold=threshold,
            )
        )
    return found


def white_and_drift(
    stretches: Sequence[Measured], *, less: tuple[float, Vector] | None = None, seed: int = 0
) -> tuple[Estimate, Drifting | None, float]:
    """Return what is new in each step, what drifts, and the standard error of the mean.

    Parameters
    ----------
    stretches
        Logarithms of the times of usual steps.
    less
        Variance that is not of all ranks, and draws of it: what is left of the mean of ranks that
        differ by themselves.
    seed
        Seed of the draws.

    Notes
    -----
    White noise has heavier tails than a normal law has: of nine published systems, the standard
    deviation of steps about the median of their neighbours is 1.1 to 1.6 times the robust one. So
    steps beyond three robust deviations are left out of the likelihood, and the white deviation is
    that of a normal law which is cut off there.
    """
    values = np.concatenate([one.values for one in stretches])
    if float(np.ptp(values)) < LEAST:
        return Estimate(name="step-common", unit="share", **ALIKE), None, 0.0
    fit = fit_drift(_trimmed(stretches), seed=seed)
    white = (fit.white if fit.is_clear else fit.white_alone) / KEPT_SIGMA
    value = float(np.median(white))
    if less is not None:
        variance, draws = less
        value = math.sqrt(max(0.0, value**2 - variance))
        white = np.sqrt(np.maximum(0.0, white**2 - draws))
    common = of_draws("step-common", "share", white, value)
    if not fit.is_clear:
        return common, None, fit.mean_error
    drift = Drifting(
        sigma=of_draws("drift", "share", fit.sigma, float(np.median(fit.sigma))),
        correlation_steps=of_draws(
            "drift-correlation",
            "steps",
            fit.correlation_steps,
            float(np.median(fit.correlation_steps)),
        ),
    )
    return common, drift, fit.mean_error


def white_of_runs(seconds: Vector) -> float:
    """Return the white deviation of simulated steps that do not drift, trimmed as those of logs.

    Parameters
    ----------
    seconds : array of shape (runs, steps)
        Seconds of steps, with a mean of its own in each run.
    """
    logs = np.log(seconds)
    away = logs - np.median(logs, axis=1, keepdims=True)
    kept = np.where(np.abs(away) <= TRIM * robust_sigma(away.ravel()), away, np.nan)
    squares = (kept - np.nanmean(kept, axis=1, keepdims=True)) ** 2
    freedom = np.count_nonzero(np.isfinite(kept)) - len(kept)
    return math.sqrt(float(np.nansum(squares)) / freedom) / KEPT_OF_MEDIAN


def _trimmed(stretches: Sequence[Measured]) -> list[Measured]:
    """Return series without the values that are far from the median of their neighbours."""
    away = [one.values - running_median(one.values) for one in stretches]
    rounding = resolution(np.exp(np.concatenate([one.values for one in stretches])))
    sigma = robust_sigma(np.concatenate(away)) / NEIGHBOUR_SIGMA
    limit = max(TRIM * sigma, ROUNDING * rounding)
    kept = [
        Measured(
            times=one.times[np.abs(far) <= limit],
            values=one.values[np.abs(far) <= limit],
            averaged=one.averaged[np.abs(far) <= limit],
        )
        for one, far in zip(stretches, away, strict=True)
    ]
    return [one for one in kept if len(one.values)]
