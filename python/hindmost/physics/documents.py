"""Documents that are packed into sequences, and do not attend to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost.law import LawModel
from hindmost.memo import Memo, digest

MAX_DOCUMENTS = 2_000_000
"""Documents that are drawn, at most about."""
MAX_PACKS, MIN_PACKS = 65_536, 4
"""Packs that are drawn, at most and at least. With the most of them the standard error of the mean
load is less than 0.6% for exponential lengths, whatever their mean."""
MIN_TOGETHER = 64
"""Groups of packs of a sample, at least."""
MIN_TOKENS = 1.0
"""Tokens of a document, at least."""
N_LENGTHS = 128
"""Lengths that stand for those of all documents."""
LEAST_TAIL = 2.0**-30
"""Probability beyond which a law of lengths counts as the quantile there."""
N_QUANTILES = 1025
"""Quantiles of packs' loads between which their law is linear."""
N_KNOTS = 4096
"""Quantiles of a law of lengths on each side of its median."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Packs:
    """Drawn packs: documents one after another until a sequence is full, the last one cut.

    Parameters
    ----------
    seq_len : int
        Tokens of a pack.
    lengths : array of shape (documents,)
        Tokens of each document, pack after pack.
    starts : array of shape (packs,)
        Index of the first document of each pack.
    """

    seq_len: int
    lengths: Floats
    starts: NDArray[np.intp]
    _known: Memo[Floats] = field(default_factory=lambda: Memo(8), repr=False)

    def per_token(self, of_length: Callable[[float], float]) -> float:
        """Return the mean over tokens of what depends on the length of a token's document.

        Exact for what is linear in the length; else as good as `N_LENGTHS` lengths tell.
        """
        return float(sum(share * of_length(length) for length, share in self._representatives))

    def loads(self, of_length: Callable[[float], float], n_packs: int) -> Floats:
        """Return what packs come to, over their mean: a sample of means of `n_packs` packs.

        Parameters
        ----------
        of_length
            As of `per_token`, 0 or more.
        n_packs
            Packs that are processed together.
        """
        knots = np.array([0.0, *(length for length, _ in self._representatives), self.seq_len])
        values = np.array([of_length(knot) for knot in knots.tolist()])
        key = values.tobytes(), n_packs
        return self._known.get(key, lambda: self._loads(knots, values, n_packs))

    def _loads(self, knots: Floats, values: Floats, n_packs: int) -> Floats:
        of_packs = np.add.reduceat(
            self.lengths * np.interp(self.lengths, knots, values), self.starts
        )
        whole = len(of_packs) // n_packs
        if whole < MIN_TOGETHER:
            # Of so many packs together hardly any differs from the others: the same packs again.
            of_packs, whole = np.resize(of_packs, MIN_TOGETHER * n_packs), MIN_TOGETHER
        together: Floats = of_packs[: whole * n_packs].reshape(whole, n_packs).mean(axis=1)
        mean = together.mean()
        return together / mean if mean > 0 else np.ones_like(together)

    @cached_property
    def _representatives(self) -> tuple[tuple[float, float], ...]:
        """Lengths, and the share of tokens that each stands for."""
        ordered = np.sort(self.lengths)
        tokens = np.cumsum(ordered)
        wanted = tokens[-1] * np.arange(1, N_LENGTHS) / N_LENGTHS
        ends = [*(np.searchsorted(tokens, wanted, "left") + 1).tolist(), len(ordered)]
        found, start = [], 0
        for end in ends:
            if end > start:
                part = ordered[start:end]
                # The mean over tokens, so that what is linear in the length is exact.
                found.append((float(part @ part / part.sum()), float(part.sum() / tokens[-1])))
                start = end
        return tuple(found)


_DRAWN: Memo[Packs] = Memo(4)


def packs(law: LawModel, seq_len: int) -> Packs:
    """Return packs of documents whose lengths have a law; always the same ones.

    A document that is longer than what is left of its pack is cut there, and what is cut off is
    dropped.
    """
    key = digest((law.model_dump(exclude_none=True), seq_len))
    return _DRAWN.get(key, lambda: _drawn(law, seq_len))


def _drawn(law: LawModel, seq_len: int) -> Packs:
    quantiles = _quantiles(law, seq_len)
    rng = np.random.Generator(np.random.PCG64(seq_len))
    mean = float(quantiles(rng.random(10_000)).mean())
    of_a_pack = seq_len / mean + 1
    n_packs = int(np.clip(MAX_DOCUMENTS / of_a_pack, MIN_PACKS, MAX_PACKS))
    size = int(1.25 * of_a_pack) + 4
    lengths = quantiles(rng.random((n_packs, size)))
    while lengths.sum(axis=1).min() < seq_len:
        lengths = np.hstack([lengths, quantiles(rng.random((n_packs, size)))])
    begins = np.cumsum(lengths, axis=1) - lengths
    lengths = np.minimum(lengths, seq_len - begins)
    is_there = lengths > 0
    counts = is_there.sum(axis=1)
    return Packs(seq_len=seq_len, lengths=lengths[is_there], starts=np.cumsum(counts) - counts)


def _quantiles(law: LawModel, seq_len: int) -> Callable[[Floats], Floats]:
    """Return a law's quantiles of uniform numbers, by interpolation: of 1 token to a pack."""
    tails = np.geomspace(LEAST_TAIL, 0.5, N_KNOTS)
    lower = [law.ppf(tail) for tail in tails.tolist()]
    upper = [law.isf(tail) for tail in tails.tolist()]
    at = np.concatenate([tails, 1 - tails[-2::-1]])
    values = np.clip([*lower, *upper[-2::-1]], MIN_TOKENS, float(seq_len))

    def quantiles(uniform: Floats) -> Floats:
        found: Floats = np.interp(uniform, at, values)
        return found

    return quantiles


def slowdown_law(loads: Floats, share: float) -> dict[str, Any]:
    """Return the law of a slowdown by which packs with more load take longer.

    Parameters
    ----------
    loads
        Loads of packs over their mean.
    share
        Share of the time that is in proportion to the load.
    """
    quantiles = np.quantile(loads, np.linspace(0, 1, N_QUANTILES))
    return {"name": "empirical", "samples": (1 + share * (quantiles - 1)).tolist()}
