"""Hop noise: the latency of a collective whose hops take random times.

A hop waits for the hops before it, so the sum along one path is too low: an
all-reduce over a ring of 64 has 126 rounds, and takes 256.3 times a mean hop where
hops are exponential. The total is replayed through the algorithm's own recursion,
and extrapolated beyond `MAX_REPLAYED_RANKS` ranks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from hindmost import _core
from hindmost.collective import btree
from hindmost.law import Empirical, Law, LawModel

Pattern = Literal["ring", "ring-all-reduce", "doubling", "doubling-all-reduce", "reduction", "tree"]
"""Recursions; see `total`."""

MAX_REPLAYED_RANKS = 128
"""Ranks up to which a collective is replayed."""

N_REPLAYS = 4096
"""Replays of a collective."""

_BATCH_REPLAYS = 256
"""Replays at a time, so few that they stay in the cache."""
_SEED = 20_090_401
_FIRST_EXACT_WORD = np.uint32(2**32 - 2**12)
"""Words from here on are looked up exactly, because the upper tail decides the longest hop."""


@cache
def _law() -> TypeAdapter[LawModel]:
    """Return what reads any law; making it takes long."""
    return TypeAdapter(Law)


Times = NDArray[np.float64]
HopTimes = NDArray[np.float32]
DrawHops = Callable[[int], HopTimes]
"""Draws the times of some hops for all replays of a batch, as an array of (hops, replays)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HopTotal:
    """Total time of the hops of one collective, in nominal times of a hop.

    Attributes
    ----------
    hops : int
        Total where every hop takes one unit.
    mean, std_error : float
        Expected total and its standard error; beyond `MAX_REPLAYED_RANKS` the error
        contains the change of the growth between the last two doublings.
    samples : NDArray of float64, shape (N_REPLAYS,)
        Totals in order, frozen.
    """

    hops: int
    mean: float
    std_error: float
    samples: Times

    def quantile(self, p: float) -> float:
        """Return the total that is not exceeded with probability `p`."""
        return float(np.quantile(self.samples, p))

    def law(self) -> Empirical:
        """Return the law of the total over `hops`, which is a slowdown of the latency."""
        return Empirical(samples=(self.samples / max(1, self.hops)).tolist())


def total(law: LawModel, *, pattern: Pattern, n: int) -> HopTotal:
    """Return the total time of the hops of a collective over `n` ranks.

    Parameters
    ----------
    law
        Law of one hop's time over its nominal time, or a frozen distribution. Each hop
        has a draw of its own.
    pattern
        ``ring``: ``T[i, k] = max(T[i, k-1], T[i-1, k-1]) + X`` for n - 1 rounds;
        ``ring-all-reduce``: for 2 (n - 1).
        ``doubling``: ``T[i, k] = max(T[i, k-1], T[i - 2^k, k-1]) + X`` for
        ceil(log2 n) rounds; ``doubling-all-reduce``: once with falling and once
        with rising distances.
        ``reduction``: ``T[node] = max over children (T + X)`` up a balanced binary
        tree whose leaves are the ranks.
        ``tree``: up and down both trees of a double binary tree, in which inner
        nodes are ranks too.
    n
        Ranks that such hops join, >= 1: domains, if only the hops between domains
        are noisy.

    Notes
    -----
    Beyond 128 ranks the mean grows with each hop as it does between 64 and 128; the
    spread grows with the power of the hops found there, limited to 0 to 1/2; the shape
    is that at 128. Results are cached, and depend on law, pattern and n alone.

    Examples
    --------
    >>> from hindmost.law import Constant
    >>> total(Constant(value=1.0), pattern="ring-all-reduce", n=1_000).mean
    1998.0
    """
    text = _law().validate_python(law).model_dump_json(exclude_none=True)
    make = _replayed if n <= MAX_REPLAYED_RANKS else _extrapolated
    return make(text, pattern, n)


def n_hops(pattern: Pattern, n: int) -> int:
    """Return the hops on the longest path of a collective over `n` ranks."""
    deep = (n - 1).bit_length()
    return {
        "ring": n - 1,
        "ring-all-reduce": 2 * (n - 1),
        "doubling": deep,
        "doubling-all-reduce": 2 * deep,
        "reduction": deep,
        "tree": 2 * deep,
    }[pattern]


@cache
def _replayed(law: str, pattern: Pattern, n: int) -> HopTotal:
    samples = np.sort(replay(_law().validate_json(law), pattern=pattern, n=n))
    samples.flags.writeable = False
    return HopTotal(
        hops=n_hops(pattern, n),
        mean=float(samples.mean()),
        std_error=float(samples.std(ddof=1) / math.sqrt(len(samples))),
        samples=samples,
    )


@cache
def _extrapolated(law: str, pattern: Pattern, n: int) -> HopTotal:
    ranks = (MAX_REPLAYED_RANKS // share for share in (4, 2, 1))
    quarter, half, whole = (_replayed(law, pattern, n_ranks) for n_ranks in ranks)
    hops = n_hops(pattern, n)
    before = (half.mean - quarter.mean) / (half.hops - quarter.hops)
    growth = (whole.mean - half.mean) / (whole.hops - half.hops)
    ahead = (hops - whole.hops) / (whole.hops - half.hops)
    mean = whole.mean + growth * (hops - whole.hops)
    sampling = math.hypot((1 + ahead) * whole.std_error, ahead * half.std_error)
    drift = (growth - before) * (hops - whole.hops)

    spreads = [float(total.samples.std()) for total in (half, whole)]
    power = 0.0
    if min(spreads) > 0:
        power = math.log(spreads[1] / spreads[0]) / math.log(whole.hops / half.hops)
    stretch = (hops / whole.hops) ** min(0.5, max(0.0, power))
    samples = mean + stretch * (whole.samples - whole.mean)
    if (samples < whole.samples).any():
        # More ranks never take less time. Chance may say so where the tail of hops is heavy.
        samples = np.maximum(samples, whole.samples)
        mean = float(samples.mean())
    samples.flags.writeable = False
    return HopTotal(hops=hops, mean=mean, std_error=math.hypot(sampling, drift), samples=samples)


def replay(
    law: LawModel, *, pattern: Pattern, n: int, n_replays: int = N_REPLAYS, seed: int = _SEED
) -> Times:
    """Return the totals of `n_replays` independent collectives over any number of ranks."""
    draw = _Draws(_law().validate_python(law), seed=seed, n=n)
    totals = []
    for first in range(0, n_replays, _BATCH_REPLAYS):
        width = min(_BATCH_REPLAYS, n_replays - first)
        totals.append(_totals(partial(draw.times, width=width), pattern, n, width))
    return np.concatenate(totals)


class _Draws:
    """Draws of a law from a table of 2^20 quantiles, exact in the uppermost of its bins."""

    def __init__(self, law: LawModel, *, seed: int, n: int) -> None:
        self.core = law.core
        self.random = np.random.Generator(np.random.SFC64([seed, n]))
        self.table, self.is_mixture = _quantiles(self.core)

    def times(self, count: int, width: int) -> HopTimes:
        words = self._words(count * width)
        times = self.table.take(words >> 12)
        exact = np.flatnonzero(words >= _FIRST_EXACT_WORD)
        if len(exact):
            times[exact] = self._exact(words[exact], self._words(len(exact)))
        return times.reshape(count, width)

    def _exact(self, words: NDArray[np.uint32], refine: NDArray[np.uint32]) -> HopTimes:
        """Return the values of words with 32 more bits each, on the upper side."""
        if not self.is_mixture:
            return self.core.values(words, refine)
        tails = (~words * 2.0**32 + ~refine + 0.5) / 2.0**64
        return np.array([self.core.upper_quantile(tail) for tail in tails], dtype=np.float32)

    def _words(self, count: int) -> NDArray[np.uint32]:
        return self.random.integers(2**32, size=count, dtype=np.uint32)


def _quantiles(law: _core.Law) -> tuple[HopTimes, bool]:
    """Return 2^20 even quantiles of a law, and whether it is a mixture.

    Those of a mixture stand where as many of its components, by their weights, lie below.
    """
    middles = np.arange(2**11, 2**32, 2**12, dtype=np.uint32)
    weights = law.weights()
    if len(weights) == 1:
        return law.values(middles, middles), False
    parts = [law.values(middles, middles, component) for component in range(len(weights))]
    values = np.concatenate(parts)
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.repeat(weights, len(middles))[order])
    place = np.searchsorted(below, (np.arange(len(middles)) + 0.5) / len(middles) * below[-1])
    return values[order[place]], True


def _totals(draw: DrawHops, pattern: Pattern, n: int, width: int) -> Times:
    """Return the totals of one batch."""
    if n == 1:
        return np.zeros(width)
    rising = [2**k for k in range((n - 1).bit_length())]
    match pattern:
        case "ring":
            return _rounds(draw, [1] * (n - 1), n, width)
        case "ring-all-reduce":
            return _rounds(draw, [1] * (2 * (n - 1)), n, width)
        case "doubling":
            return _rounds(draw, rising, n, width)
        case "doubling-all-reduce":
            return _rounds(draw, rising[::-1] + rising, n, width)
        case "reduction":
            return _up(draw, btree.over_leaves(n), width)
        case "tree":
            parents = btree.over_ranks(n)
            both = [_down(draw, parents, _up(draw, parents, width)) for _ in range(2)]
            return np.maximum(*both)


def _rounds(draw: DrawHops, distances: list[int], n: int, width: int) -> Times:
    """Return when rounds end in which a rank waits for itself and for the one so far behind it."""
    time = np.zeros((n, width))
    for distance in distances:
        time = np.maximum(time, np.roll(time, distance, axis=0))
        time += draw(n)
    last: Times = time.max(axis=0)
    return last


def _up(draw: DrawHops, parents: list[int], width: int) -> Times:
    """Return when data of all nodes have reached the root, node 0; parents before children."""
    time: Times = np.zeros((len(parents), width))
    hops = draw(len(parents))
    for node in range(len(parents) - 1, 0, -1):
        parent = parents[node]
        np.maximum(time[parent], time[node] + hops[node], out=time[parent])
    root: Times = time[0]
    return root


def _down(draw: DrawHops, parents: list[int], start: Times) -> Times:
    """Return when data of the root have reached the last node."""
    time = np.empty((len(parents), len(start)))
    time[0] = start
    hops = draw(len(parents))
    for node in range(1, len(parents)):
        time[node] = time[parents[node]] + hops[node]
    last: Times = time.max(axis=0)
    return last
