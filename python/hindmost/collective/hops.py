"""Hop noise: what hops of random length make of a collective's latency.

A hop waits for the hops before it, so the sum along one path says too little: an
all-reduce over a ring of 64 has 126 rounds, and takes 256.3 hops where their
lengths are exponential. The total is replayed through the algorithm's own
recursion, and beyond `LARGEST` ranks extrapolated.
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

from hindmost.collective import btree
from hindmost.law import Empirical, Law, LawModel

Pattern = Literal["ring", "ring-all-reduce", "doubling", "doubling-all-reduce", "reduction", "tree"]
"""Recursions; see `total`."""

LARGEST = 128
"""Ranks up to which a collective is replayed."""

N_REPLAYS = 4096
"""Replays of a collective."""

_BLOCK = 256  # Replays at a time, to stay in the cache.
_SEED = 20_090_401
_UPPERMOST = np.uint32(2**32 - 2**12)
_LAW: TypeAdapter[LawModel] = TypeAdapter(Law)

Times = NDArray[np.float64]
Lengths = NDArray[np.float32]
Hop = Callable[[int], Lengths]
"""Draws lengths of hops, for all replays of a block: (hops, replays)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HopTotal:
    """How long the hops of one collective take in all, with a hop's nominal time as unit.

    Attributes
    ----------
    hops : int
        Total where every hop takes one unit.
    mean, std_error : float
        Expected total and its standard error; beyond `LARGEST` the error contains
        the change of the growth between the last two doublings.
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
        """Return the total over `hops` as a law: a slowdown of the latency."""
        return Empirical(samples=(self.samples / max(1, self.hops)).tolist())


def total(law: LawModel, *, pattern: Pattern, n: int) -> HopTotal:
    """Return how long all hops of a collective over `n` ranks take.

    Parameters
    ----------
    law
        Law of one hop over its nominal time, or a frozen distribution. Each hop
        draws anew.
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
        Ranks that are joined by such hops, >= 1: domains, if only the hops between
        domains are noisy.

    Notes
    -----
    Beyond 128 ranks the mean goes on with the growth per hop measured between 64
    and 128; the spread grows with the power of the hops measured there, held
    between 0 and 1/2; the shape is that at 128. Same law, pattern and n: same
    result, from a table after the first call.

    Examples
    --------
    >>> from hindmost.law import Constant
    >>> total(Constant(value=1.0), pattern="ring-all-reduce", n=1_000).mean
    1998.0
    """
    text = _LAW.validate_python(law).model_dump_json(exclude_none=True)
    return _replayed(text, pattern, n) if n <= LARGEST else _extrapolated(text, pattern, n)


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
    samples = np.sort(replay(_LAW.validate_json(law), pattern=pattern, n=n))
    samples.flags.writeable = False
    return HopTotal(
        hops=n_hops(pattern, n),
        mean=float(samples.mean()),
        std_error=float(samples.std(ddof=1) / math.sqrt(len(samples))),
        samples=samples,
    )


@cache
def _extrapolated(law: str, pattern: Pattern, n: int) -> HopTotal:
    quarter, half, whole = (_replayed(law, pattern, LARGEST // part) for part in (4, 2, 1))
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
    samples.flags.writeable = False
    return HopTotal(hops=hops, mean=mean, std_error=math.hypot(sampling, drift), samples=samples)


def replay(
    law: LawModel, *, pattern: Pattern, n: int, n_replays: int = N_REPLAYS, seed: int = _SEED
) -> Times:
    """Return the totals of `n_replays` independent collectives, of any size."""
    draw = _Draws(_LAW.validate_python(law), seed=seed, n=n)
    totals = []
    for first in range(0, n_replays, _BLOCK):
        width = min(_BLOCK, n_replays - first)
        totals.append(_once(partial(draw.lengths, width=width), pattern, n, width))
    return np.concatenate(totals)


class _Draws:
    """Draws of a law: of the middle of one of 2^20 equal parts, exact in the uppermost."""

    def __init__(self, law: LawModel, *, seed: int, n: int) -> None:
        self.core = law.core
        self.random = np.random.Generator(np.random.SFC64([seed, n]))
        middles = np.arange(2**11, 2**32, 2**12, dtype=np.uint32)
        self.table = self.core.values(middles, middles)

    def lengths(self, count: int, width: int) -> Lengths:
        words = self._words(count * width)
        lengths = self.table.take(words >> 12)
        uppermost = np.flatnonzero(words >= _UPPERMOST)
        if len(uppermost):
            lengths[uppermost] = self.core.values(words[uppermost], self._words(len(uppermost)))
        return lengths.reshape(count, width)

    def _words(self, count: int) -> NDArray[np.uint32]:
        return self.random.integers(2**32, size=count, dtype=np.uint32)


def _once(hop: Hop, pattern: Pattern, n: int, width: int) -> Times:
    """Return the totals of one block."""
    if n == 1:
        return np.zeros(width)
    rising = [2**k for k in range((n - 1).bit_length())]
    match pattern:
        case "ring":
            return _rounds(hop, [1] * (n - 1), n, width)
        case "ring-all-reduce":
            return _rounds(hop, [1] * (2 * (n - 1)), n, width)
        case "doubling":
            return _rounds(hop, rising, n, width)
        case "doubling-all-reduce":
            return _rounds(hop, rising[::-1] + rising, n, width)
        case "reduction":
            return _up(hop, btree.over_leaves(n), width)
        case "tree":
            parents = btree.over_ranks(n)
            both = [_down(hop, parents, _up(hop, parents, width)) for _ in range(2)]
            return np.maximum(*both)


def _rounds(hop: Hop, distances: list[int], n: int, width: int) -> Times:
    """Return the end of rounds: a rank waits for itself and one that far behind it."""
    time = np.zeros((n, width))
    for distance in distances:
        time = np.maximum(time, np.roll(time, distance, axis=0))
        time += hop(n)
    last: Times = time.max(axis=0)
    return last


def _up(hop: Hop, parents: list[int], width: int) -> Times:
    """Return when the root, node 0, has heard of all; parents come before children."""
    time: Times = np.zeros((len(parents), width))
    lengths = hop(len(parents))
    for node in range(len(parents) - 1, 0, -1):
        parent = parents[node]
        np.maximum(time[parent], time[node] + lengths[node], out=time[parent])
    root: Times = time[0]
    return root


def _down(hop: Hop, parents: list[int], start: Times) -> Times:
    """Return when the last node has heard of the root."""
    time = np.empty((len(parents), len(start)))
    time[0] = start
    lengths = hop(len(parents))
    for node in range(1, len(parents)):
        time[node] = time[parents[node]] + lengths[node]
    last: Times = time.max(axis=0)
    return last
