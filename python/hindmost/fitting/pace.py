"""How fast a job is: the numbers that make the median step of a scenario that of a log."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hindmost.compiled import Compiled
from hindmost.engines import Reason
from hindmost.fitting.bootstrap import block_errors
from hindmost.fitting.digits import rounded
from hindmost.fitting.estimate import Estimate, normal
from hindmost.fitting.log_steps import LogSteps, Quantity
from hindmost.result import Result
from hindmost.scenario import Scenario, with_changes

RUNS = 32
"""Runs of each simulation that a number is fitted by: what differs most is drawn once a run."""
STEPS, SAMPLED_STEPS = 200, 20
"""Steps of each, and where each rank is drawn."""
LEAST_EFFICIENCY = 0.05
"""Software efficiency, at least: below it, seconds of overhead take over."""
TOLERANCE = 1e-6
"""Error of the median step before numbers are rounded."""
MAX_ITERATIONS = 12
CLEAR = 2.0
"""Standard errors by which a median must lie above the log's to be told."""


@dataclass(frozen=True, kw_only=True)
class Paced:
    """A scenario whose numbers bring its median to that of a log, as far as they can.

    Attributes
    ----------
    changes : dict
        The numbers, by key path.
    compiled : Compiled
        The scenario with them.
    median_s : float
        Its median.
    std_errors : dict
        Standard error of each number.
    """

    changes: dict[str, Any]
    compiled: Compiled
    median_s: float
    std_errors: dict[str, float]

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """The numbers with their errors."""
        return tuple(
            normal(path, "s" if path.endswith("_s") else "share", value, self.std_errors[path])
            for path, value in self.changes.items()
        )


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The median step of a log, and how a scenario is brought to it.

    Attributes
    ----------
    median_s, std_error_s : float
        Seconds of the median step, and their standard error.
    quantity : {"step_time_s", "compute_s"}
        Which seconds of a step these are.
    seed, threads : int
        Of simulations.
    """

    median_s: float
    std_error_s: float
    quantity: Quantity
    seed: int
    threads: int

    @classmethod
    def of(cls, log: LogSteps, *, seed: int, threads: int) -> Pace:
        """Return the pace of a log."""
        (error,) = block_errors([one.seconds for one in log.job], [np.median], seed=seed).tolist()
        return cls(
            median_s=float(np.median(log.seconds)),
            std_error_s=error,
            quantity=log.quantity,
            seed=seed,
            threads=threads,
        )

    def brought(self, base: Scenario) -> Paced:
        """Return a scenario with the numbers that bring its median to this one.

        Notes
        -----
        One log tells one number of speed: all software efficiencies are divided by one factor, by
        the secant method on the medians of simulations with common random numbers. Where these are
        bounded, or where passes were measured, `overhead_s` takes the rest.
        """
        compiled = Compiled(base)
        greatest = max(pool.software_efficiency for pool in base.pools.values())
        overhead_s = base.workload.overhead_s

        def median_s(factor: float, overhead_s: float) -> float:
            changes = _changes(base, factor, overhead_s)
            return self._median_s(compiled.with_changes(changes))

        # Ranks compute in proportion to it.
        factor, slope, found = self._solved(
            lambda factor: median_s(factor, overhead_s),
            begin=1.0,
            slope=self.median_s,
            bounds=(greatest, greatest / LEAST_EFFICIENCY),
        )
        if abs(found - self.median_s) > TOLERANCE * self.median_s:
            overhead_s, _, found = self._solved(
                lambda overhead_s: median_s(factor, overhead_s),
                begin=overhead_s,
                slope=1.0,
                bounds=(0.0, math.inf),
            )
        changes = _changes(base, factor, overhead_s)
        brought = Compiled(with_changes(base, changes))
        # The log is one draw of what persists, such as the speeds of its GPUs.
        error_s = math.hypot(self.std_error_s, self._spread_s(brought) * math.sqrt(1 + 1 / RUNS))
        relative = error_s / slope / factor if slope > 0 else 0.0
        std_errors = {path: value * relative for path, value in changes.items()}
        return Paced(
            changes=changes,
            compiled=brought,
            median_s=found,
            std_errors={**std_errors, "workload.overhead_s": error_s},
        )

    def shortfall(self, found: Paced) -> list[str]:
        """Return what is left between the medians, in words.

        The log is one draw of what persists, so its median is told from that of the scenario only
        where runs differ by less.
        """
        least = min(pool.software_efficiency for pool in found.compiled.scenario.pools.values())
        if found.changes and "workload.overhead_s" in found.changes and least <= LEAST_EFFICIENCY:
            return [
                f"a software efficiency of {least:.0%} does not make the scenario as slow as the "
                f"log: its layout or its model is not that of the log, or the log's times are no "
                f"seconds"
            ]
        left = found.median_s - self.median_s
        error_s = math.hypot(self.std_error_s, self._spread_s(found.compiled))
        if left <= max(1e-4 * self.median_s, CLEAR * error_s):
            return []
        times = found.median_s / self.median_s
        slower = f"takes {times:.3g} times as long as"
        if times < 2:
            slower = f"is {times - 1:.1%} slower than"
        return [
            f"the scenario {slower} the log with a software efficiency of 1 and no overhead: its "
            f"layout, its model or its hardware is not that of the log"
        ]

    def simulated(self, compiled: Compiled) -> Result:
        """Return a simulation of the size that numbers are fitted by."""
        steps = SAMPLED_STEPS if isinstance(compiled.exact, Reason) else STEPS
        return compiled.simulate_steps(runs=RUNS, steps=steps, seed=self.seed, threads=self.threads)

    def _spread_s(self, compiled: Compiled) -> float:
        """Return what medians of runs differ by."""
        seconds = self.simulated(compiled).columns[self.quantity].reshape(RUNS, -1)
        return float(np.std(np.median(seconds, axis=1), ddof=1))

    def _median_s(self, compiled: Compiled) -> float:
        return float(np.median(self.simulated(compiled).columns[self.quantity]))

    def _solved(
        self,
        median_s: Callable[[float], float],
        *,
        begin: float,
        slope: float,
        bounds: tuple[float, float],
    ) -> tuple[float, float, float]:
        """Return the number at which a median is this one, its slope there, and the median.

        Parameters
        ----------
        median_s
            Median of a number that it grows with, if with anything.
        begin, slope
            The number to begin with, and how much the median grows with it, as a guess.
        bounds
            The least and the greatest number; the bound is returned where the median lies beyond.
        """
        number, found = begin, median_s(begin)
        for _ in range(MAX_ITERATIONS):
            left = self.median_s - found
            following = min(max(number + left / slope, bounds[0]), bounds[1])
            if following == number or abs(left) <= TOLERANCE * self.median_s:
                break
            value = median_s(following)
            slope = (value - found) / (following - number)
            if not slope > 0:
                # It has no effect, such as an efficiency where passes were measured.
                return begin, 0.0, found
            number, found = following, value
        return number, slope, found


def _changes(base: Scenario, factor: float, overhead_s: float) -> dict[str, Any]:
    found = {}
    if factor != 1:
        for name, pool in base.pools.items():
            efficiency = min(1.0, pool.software_efficiency / factor)
            found[f"pools.{name}.software_efficiency"] = rounded(efficiency)
    if overhead_s != base.workload.overhead_s:
        found["workload.overhead_s"] = rounded(overhead_s)
    return found
