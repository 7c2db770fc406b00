"""What matters most in a forecast: unknowns by how its own draws move with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.forecasted import Forecast
from hindmost.student import student_quantile

Numbers = NDArray[np.float64]

CHANCE = 0.05
"""Probability that any unknown seems to matter where none does."""
ENDS = (0.05, 0.95)
"""Quantiles of an unknown between which its effect is told."""
FEWEST_LEFT = 3
"""Draws beyond those that effects take, at least."""


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What one unknown does to the MFU of a forecast.

    Attributes
    ----------
    paths : tuple of str
        Its key path, and those of others that are drawn as it is.
    low, high : float
        Its p5 and p95 over draws.
    effect : float
        By how much MFU differs between these, on a line through the draws over its ranks.
    effect_error : float
        Standard error of it.
    """

    paths: tuple[str, ...]
    low: float
    high: float
    effect: float
    effect_error: float

    @property
    def name(self) -> str:
        """Its key path, with a star for what others that are drawn as it is have instead."""
        return name_of(self.paths)


def name_of(paths: Sequence[str]) -> str:
    """Return the key path of an unknown; of several that move together with a star in it."""
    first = paths[0]
    if len(paths) == 1:
        return first
    return f"{first.split('.')[0]}.*.{first.rsplit('.', 1)[-1]}"


def matters(forecast: Forecast) -> list[Matter]:
    """Return the unknowns that a forecast clearly moves with, most important first.

    Parameters
    ----------
    forecast
        The forecast; few draws show only what matters much.

    Notes
    -----
    MFU is regressed on the ranks of unknowns, which are drawn independently. One after another the
    one that explains most of what is left is added, as long as its Student's t is beyond what the
    greatest of as many as are left reaches by chance (Bonferroni).

    Examples
    --------
    >>> import hindmost as hm
    >>> found = matters(hm.forecast("h100-1k", seed=1, runs=32, steps=20))
    >>> found[0].paths, found[0].effect > 0
    (('pools.h100.software_efficiency',), True)
    """
    mfu = np.array(forecast.mfu)
    groups = _alike(forecast)
    shares = np.array([_shares(forecast.draws[paths[0]]) for paths in groups])
    chosen: list[int] = []
    while len(mfu) - len(chosen) - 2 >= FEWEST_LEFT:
        left = [k for k in range(len(groups)) if k not in chosen and np.ptp(shares[k]) > 0]
        scores = [abs(_score(shares[[*chosen, k]], mfu)) for k in left]
        if not left:
            break
        best = int(np.argmax(scores))
        degrees = len(mfu) - len(chosen) - 2
        if scores[best] < student_quantile(1 - CHANCE / (2 * len(left)), degrees):
            break
        chosen.append(left[best])
    if not chosen:
        return []
    effects, errors = _regressed(shares[chosen], mfu)
    found = [
        _matter(groups[k], forecast, float(effect), float(error))
        for k, effect, error in zip(chosen, effects, errors, strict=True)
    ]
    return sorted(found, key=lambda one: -abs(one.effect))


def _alike(forecast: Forecast) -> list[tuple[str, ...]]:
    """Return the unknowns that act, those together that have the same ranks in all draws."""
    found: dict[tuple[int, ...], list[str]] = {}
    for path, draws in forecast.draws.items():
        if path not in forecast.idle:
            ranks = tuple(np.argsort(np.array(draws), kind="stable").tolist())
            found.setdefault(ranks, []).append(path)
    return [tuple(paths) for paths in found.values()]


def _shares(draws: Sequence[float]) -> Numbers:
    """Return ranks as probabilities, equal ones in the middle of theirs."""
    _, inverse, counts = np.unique(draws, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2
    found: Numbers = middles[inverse] / len(draws)
    return found


def _regressed(shares: Numbers, mfu: Numbers) -> tuple[Numbers, Numbers]:
    """Return slopes of MFU over the ranks of unknowns, one a row, and their standard errors."""
    terms = np.column_stack([np.ones_like(mfu), *shares])
    slopes, *_ = np.linalg.lstsq(terms, mfu, rcond=None)
    left = mfu - terms @ slopes
    variance = float(left @ left) / (len(mfu) - terms.shape[1])
    errors = np.sqrt(np.maximum(variance * np.diag(np.linalg.pinv(terms.T @ terms)), 0.0))
    return slopes[1:], errors[1:]


def _score(shares: Numbers, mfu: Numbers) -> float:
    """Return Student's t of the last of some unknowns."""
    slopes, errors = _regressed(shares, mfu)
    return float(slopes[-1] / errors[-1]) if errors[-1] > 0 else 0.0


def _matter(paths: tuple[str, ...], forecast: Forecast, slope: float, error: float) -> Matter:
    low, high = np.quantile(np.array(forecast.draws[paths[0]], dtype=np.float64), ENDS)
    between = ENDS[1] - ENDS[0]
    return Matter(
        paths=paths,
        low=float(low),
        high=float(high),
        effect=between * slope,
        effect_error=between * error,
    )
