"""The one helper of all gates: it measures a ratio, retries and reports."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FEWEST_ROUNDS = 7
LEAST_SECONDS = 3.0


@dataclass(frozen=True)
class Ratio:
    """How many times faster ours is, by the best round of each side."""

    ours_s: float
    theirs_s: float
    rounds: int
    work: float

    @property
    def times(self) -> float:
        """Rate of ours over rate of theirs; ours does `work` times as much."""
        return self.work * self.theirs_s / self.ours_s


def gate(
    benchmark: Any,
    *,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    at_least: float,
    work: float = 1.0,
) -> None:
    """Measure both sides in turn and hold their ratio to a bar.

    A ratio below the bar is measured once more, with twice the rounds. What
    was measured goes into the benchmark's table.

    Parameters
    ----------
    benchmark
        The fixture of pytest-benchmark.
    ours, theirs
        The two sides.
    at_least
        The bar.
    work
        How much ours does for each unit of work that theirs does.
    """
    ratio = _measured(ours, theirs, work, FEWEST_ROUNDS)
    if ratio.times < at_least:
        ratio = _measured(ours, theirs, work, 2 * FEWEST_ROUNDS)
    benchmark.extra_info["ratio"] = round(ratio.times, 2)
    benchmark.extra_info["bar"] = at_least
    # The table of pytest-benchmark shows one more round of ours.
    benchmark.pedantic(ours, rounds=1)
    assert ratio.times >= at_least, (
        f"{ratio.times:.2f}x of {at_least:g}x: "
        f"{ratio.ours_s:.4g} s against {ratio.theirs_s:.4g} s in {ratio.rounds} rounds"
    )


def _measured(
    ours: Callable[[], object], theirs: Callable[[], object], work: float, fewest: int
) -> Ratio:
    best = [float("inf"), float("inf")]
    rounds = 0
    started = time.perf_counter()
    while rounds < fewest or time.perf_counter() - started < LEAST_SECONDS:
        for side, call in enumerate((ours, theirs)):
            begun = time.perf_counter()
            call()
            best[side] = min(best[side], time.perf_counter() - begun)
        rounds += 1
    return Ratio(ours_s=best[0], theirs_s=best[1], rounds=rounds, work=work)
