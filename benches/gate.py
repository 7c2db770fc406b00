"""Measures the ratio of two rates, once more where it is low, and holds it to a bar."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benches.yardstick import ARITHMETIC, Yardstick

MIN_ROUNDS = 7
"""Rounds of a measurement, at least; twice as many of the one that is made once more."""
MIN_DURATION_S = 3.0
"""Seconds that a measurement takes, at least."""

clock: Callable[[], float] = time.perf_counter
"""Seconds since some moment: where all gates take the time from."""


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
    """Measure both sides alternately and hold the ratio of their rates to a bar.

    Each side counts by its fastest round. A ratio below the bar is measured once
    more, with twice the rounds. The ratio goes into the benchmark's table.

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
    _hold(benchmark, ours, at_least, lambda rounds: _measured(ours, theirs, work, rounds))


def gate_of_a_count(
    benchmark: Any,
    *,
    ours: Callable[[], object],
    count: float,
    at_least_per_s: float,
    yardstick: Yardstick = ARITHMETIC,
) -> None:
    """Measure how many things a second ours does, and hold that to a stated rate.

    Parameters
    ----------
    benchmark
        The fixture of pytest-benchmark.
    ours
        Does all of them.
    count
        How many of them.
    at_least_per_s
        The bar; the ratio is the rate over it.
    yardstick
        Measured alternately with ours. Of a core that takes longer for it than one at its full
        speed, as much less is asked.
    """

    def measured(rounds: int) -> Ratio:
        best = _measured(ours, yardstick.work, 1.0, rounds)
        asked_per_s = at_least_per_s * yardstick.share(best.theirs_s)
        benchmark.extra_info["share"] = round(asked_per_s / at_least_per_s, 2)
        return Ratio(ours_s=best.ours_s, theirs_s=count / asked_per_s, rounds=best.rounds, work=1.0)

    benchmark.extra_info["per_s"] = at_least_per_s
    _hold(benchmark, ours, 1.0, measured)


def _hold(
    benchmark: Any,
    ours: Callable[[], object],
    at_least: float,
    measured: Callable[[int], Ratio],
) -> None:
    """Hold a measured ratio to a bar; one below it is measured once more."""
    ratio = measured(MIN_ROUNDS)
    if ratio.times < at_least:
        ratio = measured(2 * MIN_ROUNDS)
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
    started = clock()
    while rounds < fewest or clock() - started < MIN_DURATION_S:
        for side, call in enumerate((ours, theirs)):
            begun = clock()
            call()
            best[side] = min(best[side], clock() - begun)
        rounds += 1
    return Ratio(ours_s=best[0], theirs_s=best[1], rounds=rounds, work=work)
