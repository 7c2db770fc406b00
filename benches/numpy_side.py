"""NumPy doing what the sampler does: draws in float32, on two threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

N_RANKS = 220_000
SPEED_SIGMA = 0.0172
SPEED_CAP = 1.062
SIGMA = 0.003

Floats = NDArray[np.float32]

_POOL = ThreadPoolExecutor(2)


def speeds() -> Floats:
    """Return a persistent factor for every rank."""
    factors = np.exp(np.random.default_rng(1).normal(0, SPEED_SIGMA, N_RANKS))
    return factors.clip(max=SPEED_CAP).astype(np.float32)


def slowest(speed: Floats, n_steps: int) -> Floats:
    """Return the slowest rank of each step: normal, multiply, exp, multiply, max."""

    def of_half(half: int) -> Floats:
        part = np.array_split(speed, 2)[half]
        rng = np.random.Generator(np.random.SFC64([1, half]))
        times = np.empty(len(part), dtype=np.float32)
        found = np.empty(n_steps, dtype=np.float32)
        for step in range(n_steps):
            _draw(rng, part, times)
            found[step] = times.max()
        return found

    first, second = _POOL.map(of_half, range(2))
    return np.maximum(first, second)


def rank_times(speed: Floats, n_steps: int) -> Floats:
    """Return the time of every rank of every step, in one allocation."""
    times = np.empty((n_steps, len(speed)), dtype=np.float32)

    def fill(half: int) -> None:
        rng = np.random.Generator(np.random.SFC64([1, half]))
        for row in np.array_split(times, 2)[half]:
            _draw(rng, speed, row)

    list(_POOL.map(fill, range(2)))
    return times


# Whole halves at once are the fastest on two threads; smaller pieces keep them
# waiting for each other.
def _draw(rng: np.random.Generator, speed: Floats, times: Floats) -> None:
    rng.standard_normal(dtype=np.float32, out=times)
    np.multiply(times, np.float32(SIGMA), out=times)
    np.exp(times, out=times)
    np.multiply(times, speed, out=times)
