"""Drift and white noise of a series, by restricted likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.fitting.ar1 import Innovations, Measured, innovations

Vector = NDArray[np.float64]

SHORTEST_STEPS = 1.0
"""Correlation time of a drift, at least: with a shorter one it is white noise."""
LONGEST = 10.0
"""Correlation time of a drift, at most, in lengths of the series."""
RATIOS = (1e-3, 1e5)
"""Least and greatest variance of a drift over that of white noise."""
COARSE, FINE = 25, 41
"""Points of the grids along each side."""
REACH = 8.0
"""Log-likelihood below the greatest one from which on nothing counts."""
CLEAR = 9.21
"""Twice the log-likelihood that a drift must gain: 99% of a chi-square of two parameters."""
PRIOR = 0.5
"""Exponent with which the prior density of a logarithm of a correlation time falls."""
MOST = 20_000
"""Values of a series that its likelihood is of, at most."""
BLOCK = 500
"""Values in a row of a series that has more."""
DRAWS = 20_000
"""Draws from the likelihood."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DriftFit:
    """What a series says of its drift and its white noise.

    Attributes
    ----------
    gain : float
        Twice the restricted log-likelihood that a drift gains over white noise alone.
    white, sigma, correlation_steps : array of shape (draws,)
        Standard deviations of white noise and of the drift, and the drift's correlation time in
        steps, drawn from the likelihood and a prior (`fit_drift`).
    white_alone : array of shape (draws,)
        Standard deviation of white noise where there is no drift, drawn likewise.
    mean_error : float
        Standard error of the mean of the series, with its drift if there is one.
    """

    gain: float
    white: Vector
    sigma: Vector
    correlation_steps: Vector
    white_alone: Vector
    mean_error: float

    @property
    def is_clear(self) -> bool:
        """Whether the drift is told from white noise."""
        return self.gain > CLEAR


def fit_drift(stretches: Sequence[Measured], *, seed: int = 0) -> DriftFit:
    """Return what a series says of its drift and its white noise.

    Parameters
    ----------
    stretches
        Values from one restart to the next one; three or more of them in all.
    seed
        Seed of the draws.

    Notes
    -----
    The likelihood of correlation time and ratio of variances is found on a grid, and again where
    it is not small. Draws of a pair come from there, and draws of the scale from the inverse
    chi-square law that it has given the pair. A maximum alone would not do: a drift that is slower
    than the series is long has a likelihood without one, since only its variance over its
    correlation time shows. Beforehand no scale and no ratio is more probable than another one, by
    their logarithms, and a correlation time c has the density ``1 / sqrt(c)`` by its logarithm:
    Jeffreys's for a number of which a series of T steps shows T / c independent values. With that,
    medians of correlation times of a tenth of a series and less are right on average, and up to
    four tenths intervals hold the truth in nine of ten cases or more
    (``tests/statistics/test_fit.py``).
    """
    random = np.random.default_rng(seed)
    stretches = _spread(stretches)
    n = sum(len(one.values) for one in stretches)
    span = max(float(one.times[-1] - one.times[0]) + 1 for one in stretches)
    alone = innovations(stretches, np.ones(1), np.zeros(1))
    most = max(LONGEST * span, 2 * SHORTEST_STEPS)
    box = (
        (math.log(SHORTEST_STEPS), math.log(most)),
        (math.log(RATIOS[0]), math.log(RATIOS[1])),
    )
    coarse = _on_grid(stretches, box, COARSE)
    fine = _on_grid(stretches, coarse.narrowed(), FINE)
    pairs, white, mean_variance = fine.draw(random, n)
    scale = float(alone.white_variance[0])
    gain = 2 * float(fine.found.restricted.max() - alone.restricted[0])
    of_alone = scale / float(alone.ones[0])
    return DriftFit(
        gain=gain,
        white=white,
        sigma=white * np.exp(pairs[1] / 2),
        correlation_steps=np.exp(pairs[0]),
        white_alone=np.sqrt(scale * (n - 1) / random.chisquare(n - 1, DRAWS)),
        mean_error=math.sqrt(float(np.median(mean_variance)) if gain > CLEAR else of_alone),
    )


def _spread(stretches: Sequence[Measured]) -> list[Measured]:
    """Return some values in a row, at even distances, of a series that has too many.

    The likelihood bridges what lies between, so it stays that of the model.
    """
    n = sum(len(one.values) for one in stretches)
    if n <= MOST:
        return list(stretches)
    period = n * BLOCK // MOST
    begins = np.cumsum([0, *(len(one.values) for one in stretches)])
    kept = []
    for one, begin in zip(stretches, begins.tolist(), strict=False):
        is_kept = (begin + np.arange(len(one.values))) % period < BLOCK
        if is_kept.any():
            kept.append(
                Measured(
                    times=one.times[is_kept],
                    values=one.values[is_kept],
                    averaged=one.averaged[is_kept],
                )
            )
    return kept


Box = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Grid:
    """Likelihoods on a grid of the logarithms of correlation time and ratio."""

    axes: tuple[Vector, Vector]
    found: Innovations

    def narrowed(self) -> Box:
        """Return the box in which the likelihood is not small, and a point around it."""
        shape = (len(self.axes[0]), len(self.axes[1]))
        is_near = (self.found.restricted > self.found.restricted.max() - REACH).reshape(shape)
        ends = []
        for axis, across in zip(self.axes, (1, 0), strict=True):
            (places,) = np.nonzero(is_near.any(axis=across))
            low, high = max(places[0] - 1, 0), min(places[-1] + 1, len(axis) - 1)
            ends.append((float(axis[low]), float(axis[high])))
        return ends[0], ends[1]

    def draw(self, random: np.random.Generator, n: int) -> tuple[Vector, Vector, Vector]:
        """Return draws of the pair's logarithms, the white deviation and the mean's variance."""
        log_prior = np.repeat(-PRIOR * self.axes[0], len(self.axes[1]))
        log_weights = self.found.restricted + log_prior
        weights = np.exp(log_weights - log_weights.max())
        # Systematic: each point comes as often as its weight says, rounded up or down.
        places = (np.arange(DRAWS) + random.random()) / DRAWS
        chosen = np.searchsorted(np.cumsum(weights) / weights.sum(), places)
        chosen = np.minimum(chosen, weights.size - 1)
        rows, columns = np.divmod(chosen, len(self.axes[1]))
        pairs = np.stack([self.axes[0][rows], self.axes[1][columns]])
        steps = np.array([[axis[1] - axis[0]] for axis in self.axes])
        pairs += steps * (random.random(pairs.shape) - 0.5)
        variance = self.found.white_variance[chosen] * (n - 1) / random.chisquare(n - 1, DRAWS)
        return pairs, np.sqrt(variance), variance / self.found.ones[chosen]


def _on_grid(stretches: Sequence[Measured], box: Box, points: int) -> _Grid:
    axes = (np.linspace(*box[0], points), np.linspace(*box[1], points))
    first, second = np.meshgrid(*axes, indexing="ij")
    found = innovations(stretches, np.exp(first.ravel()), np.exp(second.ravel()))
    return _Grid(axes=axes, found=found)
