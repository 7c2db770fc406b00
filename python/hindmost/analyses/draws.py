"""Draws of unknowns for the runs of a forecast: addressed, paired and stratified."""

from __future__ import annotations

from collections.abc import Sequence

from hindmost import _core
from hindmost.analyses.unknowns import Number, Point, Unknown, fnv_1a

SEED_STREAM = "forecast/seed"
"""Address of the seeds of runs."""


def stratified(unknowns: Sequence[Unknown], seed: int, runs: int) -> list[Point]:
    """Return a point for each run, in which each unknown visits each of its strata once.

    Parameters
    ----------
    unknowns
        What is drawn.
    seed
        Seed of all runs.
    runs
        Runs, and strata: parts of equal probability.

    Notes
    -----
    Unknown i has in run k the quantile at ``(s + v) / runs``. v is the first word at the address
    (0, 0, k << 16, stream), and s the rank of run k's second word among those of all runs: a random
    permutation. Another unknown, or another scenario, leaves the draws of the others as they are.
    """
    by_stream = {}
    for stream in dict.fromkeys(unknown.stream for unknown in unknowns):
        words = [_words(stream, seed, run, attempt=0) for run in range(runs)]
        order = sorted(range(runs), key=[word for _, word, *_ in words].__getitem__)
        strata = dict(zip(order, range(runs), strict=True))
        by_stream[stream] = [(strata[run], words[run][0]) for run in range(runs)]
    return [
        {
            unknown.path: _value(unknown, *by_stream[unknown.stream][run], runs)
            for unknown in unknowns
        }
        for run in range(runs)
    ]


def drawn_again(unknowns: Sequence[Unknown], seed: int, run: int, attempt: int) -> Point:
    """Return another point for a run whose first one the scenario refuses.

    It is drawn from all strata, by the first word of each unknown at the address
    (0, attempt, run << 16, stream): what is not refused keeps its law.

    Parameters
    ----------
    attempt
        How many points of the run were refused, >= 1.
    """
    return {
        unknown.path: _value(unknown, 0, _words(unknown.stream, seed, run, attempt=attempt)[0], 1)
        for unknown in unknowns
    }


def seed_of_run(seed: int, run: int) -> int:
    """Return the seed of everything else that is random in a run of a forecast."""
    low, high, *_ = _words(SEED_STREAM, seed, run, attempt=0)
    return low | high << 32


def _words(stream: str, seed: int, run: int, *, attempt: int) -> list[int]:
    return _core.philox(seed, (0, attempt, run << 16, fnv_1a(stream)))


def _value(unknown: Unknown, stratum: int, word: int, strata: int) -> Number:
    """Return the value at a word within a stratum; a whole number is the one below."""
    below = (stratum + (word + 0.5) / 2**32) / strata
    above = (strata - 1 - stratum + (0xFFFF_FFFF - word + 0.5) / 2**32) / strata
    law = unknown.law
    return unknown.as_value_below(law.ppf(below) if below < above else law.isf(above))
