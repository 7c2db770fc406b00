"""A scenario of one's own with the causes of a log, as fast as the job of the log was."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hindmost.cause import Cause
from hindmost.compiled import Compiled
from hindmost.fitting.against_log import Quantity
from hindmost.fitting.bootstrap import block_errors
from hindmost.fitting.causes import CauseTables, causes_of, rounded
from hindmost.fitting.estimate import Estimate, normal
from hindmost.fitting.log_steps import LogSteps
from hindmost.fitting.noise import noise_of
from hindmost.fitting.parts import Parts
from hindmost.scenario import Scenario, with_changes
from hindmost.scenario.load import from_table

RUNS, STEPS = 32, 200
"""Runs and steps of each simulation that a number is fitted by."""
LEAST_EFFICIENCY = 0.05
"""Software efficiency, at least: below it, seconds of overhead take over."""
TOLERANCE = 1e-6
"""Error of the median step before numbers are rounded."""
MAX_ITERATIONS = 12

Table = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Laid:
    """A scenario with the causes of a log.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    adjusted : tuple of Estimate
        Its numbers that make its median step that of the log, by key path.
    notes : tuple of str
        What was done to which causes, and what the scenario cannot reach.
    """

    scenario: Scenario
    adjusted: tuple[Estimate, ...]
    notes: tuple[str, ...]


def lay_over(
    base: Scenario, parts: Parts, log: LogSteps, *, origin: str, seed: int, threads: int
) -> Laid:
    """Return a scenario with the causes of a log, whose median step is that of the log.

    Parameters
    ----------
    base
        The scenario, with cluster, job and layout of the log.
    parts
        What the log says of causes.
    log
        The log.
    origin
        What the numbers were fitted to, as their basis names it.
    seed, threads
        Of simulations.

    Notes
    -----
    A log of ranks replaces all causes of computing. One of the whole job replaces what all ranks
    share and what stalls; what GPUs and nodes differ by stays, and the noise that comes of it is
    taken off the white noise of the log.

    One log tells one number of speed: all software efficiencies are divided by one factor, by
    the secant method on the medians of simulations with common random numbers. Where these are
    bounded, or where passes were measured, `overhead_s` takes the rest.
    """
    goal = _Goal.of(log, seed=seed, threads=threads)
    replaced = _replaced(base, of_ranks=log.ranks is not None)
    notes = []
    if replaced:
        notes.append(f"replaced causes of {base.name}: {', '.join(replaced)}")
    bare = _with_causes(base, CauseTables(), replaced)
    tuned = goal.reached(bare)
    if log.ranks is None:
        parts, more = _less_own_noise(tuned.compiled, parts, log, seed=seed, threads=threads)
        notes += more
    step_s = tuned.compiled.plan.noiseless_step_s
    pools = list(base.pools)
    if len(pools) > 1 and (parts.slow_nodes or parts.slow_ranks):
        parts = replace(parts, slow_nodes=(), slow_ranks=())
        notes.append("slow units are left out: of several pools it is not known whose they are")
    tables = causes_of(parts, step_s=step_s, origin=origin)
    laid = _with_causes(base, tables, replaced)
    reached = goal.reached(laid)
    scenario, adjusted = goal.written(laid, reached, origin)
    return Laid(scenario=scenario, adjusted=adjusted, notes=(*notes, *goal.shortfall(reached)))


def _replaced(base: Scenario, *, of_ranks: bool) -> list[str]:
    """Return the names of the causes that a log speaks of."""

    def is_replaced(cause: Cause) -> bool:
        if cause.affects != "compute":
            return False
        is_rare = cause.effect == "stall" and cause.span == "step" and cause.period_steps is None
        is_shared = cause.scope in ("pool", "cluster") and cause.span in ("step", "drift")
        return of_ranks or is_rare or (is_shared and cause.trend_per_hour is None)

    return [name for name, cause in base.causes.items() if is_replaced(cause)]


def _with_causes(base: Scenario, tables: CauseTables, replaced: Sequence[str]) -> Scenario:
    table = as_written(base)
    gone = {*replaced, *tables.causes}
    kept = {name: cause for name, cause in table.get("causes", {}).items() if name not in gone}
    table["causes"] = {**kept, **tables.causes}

    def of_gone(path: str) -> bool:
        return path.startswith("causes.") and path.split(".")[1] in gone

    for key, new in (("basis", tables.basis), ("unknowns", {})):
        left = {path: one for path, one in table.get(key, {}).items() if not of_gone(path)}
        table[key] = {**left, **new}
    return from_table(table, base.source)


def as_written(scenario: Scenario) -> Table:
    """Return a scenario as a table that holds what its files set, and no defaults."""
    return scenario.model_dump(mode="json", exclude_none=True, exclude_unset=True)


def _less_own_noise(
    compiled: Compiled, parts: Parts, log: LogSteps, *, seed: int, threads: int
) -> tuple[Parts, list[str]]:
    """Return the parts of a job's log less the noise that a scenario has of its ranks.

    What acts on computing moves a step by the share of it that is computing.
    """
    result = compiled.simulate_steps(runs=RUNS, steps=STEPS, seed=seed, threads=threads)
    steps = np.asarray(result.columns["step_time_s"]).reshape(RUNS, STEPS)
    own = float(np.median([noise_of([run]).white for run in steps]))
    share = float(np.median(result.columns["compute_s"]) / np.median(steps))
    notes = []
    left = max(0.0, parts.common.value**2 - own**2) ** 0.5
    if left == 0 and own > 0:
        notes.append(
            f"ranks of the scenario alone make {own:.3%} of white noise, and the log has "
            f"{parts.common.value:.3%}: nothing is left for what all ranks have in common"
        )
    elif own > 0.05 * parts.common.value:
        notes.append(
            f"{own:.3%} of the log's {parts.common.value:.3%} of white noise comes of the ranks' "
            f"own laws, which stay as they are; the rest is common to all"
        )
    ends = [max(0.0, end**2 - own**2) ** 0.5 for end in (parts.common.low, parts.common.high)]
    common = replace(parts.common, value=left, low=ends[0], high=max(ends[1], left))
    parts = replace(parts, common=_scaled(common, share))
    if parts.drift is not None:
        parts = replace(parts, drift=replace(parts.drift, sigma=_scaled(parts.drift.sigma, share)))
    return parts, notes


def _scaled(estimate: Estimate, share: float) -> Estimate:
    return replace(
        estimate,
        value=estimate.value / share,
        std_error=estimate.std_error / share,
        low=estimate.low / share,
        high=estimate.high / share,
    )


@dataclass(frozen=True, kw_only=True)
class _Reached:
    """A scenario whose numbers bring its median to a goal, as far as they can."""

    changes: Table
    compiled: Compiled
    median_s: float
    std_errors: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class _Goal:
    """The median step of a log."""

    median_s: float
    std_error_s: float
    quantity: Quantity
    seed: int
    threads: int

    @classmethod
    def of(cls, log: LogSteps, *, seed: int, threads: int) -> _Goal:
        stretches = [one.seconds for one in log.job]
        (error,) = block_errors(stretches, [np.median], seed=seed).tolist()
        return cls(
            median_s=float(np.median(log.seconds)),
            std_error_s=error,
            quantity="step_time_s" if log.has_job else "compute_s",
            seed=seed,
            threads=threads,
        )

    def reached(self, base: Scenario) -> _Reached:
        """Return a scenario with the numbers that bring its median to the goal."""
        compiled = Compiled(base)
        greatest = max(pool.software_efficiency for pool in base.pools.values())

        def changes(inverse: float, overhead_s: float) -> Table:
            found: Table = {}
            if inverse != 1:
                for name, pool in base.pools.items():
                    efficiency = min(1.0, pool.software_efficiency / inverse)
                    found[f"pools.{name}.software_efficiency"] = rounded(efficiency)
            if overhead_s != base.workload.overhead_s:
                found["workload.overhead_s"] = rounded(overhead_s)
            return found

        def median_s(inverse: float, overhead_s: float) -> float:
            return self._median_s(compiled.with_changes(changes(inverse, overhead_s)))

        overhead_s = base.workload.overhead_s
        # One over the efficiency, in proportion to which a rank computes.
        inverse, slope, found = self._solved(
            lambda inverse: median_s(inverse, overhead_s),
            begin=1.0,
            first=self.median_s,
            bounds=(greatest, greatest / LEAST_EFFICIENCY),
        )
        if abs(found - self.median_s) > TOLERANCE * self.median_s:
            overhead_s, _, found = self._solved(
                lambda overhead_s: median_s(inverse, overhead_s),
                begin=overhead_s,
                first=1.0,
                bounds=(0.0, math.inf),
            )
        made = changes(inverse, overhead_s)
        scenario = with_changes(base, made)
        return _Reached(
            changes=made,
            compiled=Compiled(scenario),
            median_s=found,
            std_errors={
                path: self.std_error_s / slope * value / inverse if slope > 0 else 0.0
                for path, value in made.items()
            }
            | {"workload.overhead_s": self.std_error_s},
        )

    def _solved(
        self,
        median_s: Callable[[float], float],
        *,
        begin: float,
        first: float,
        bounds: tuple[float, float],
    ) -> tuple[float, float, float]:
        """Return where a median is the goal, by the secant method, its slope and the median.

        Parameters
        ----------
        median_s
            Median of a number that it grows with, if with anything.
        begin
            The number to begin with.
        first
            How much the median grows with it, as a guess.
        bounds
            The least and the greatest number; the bound is returned where the goal lies beyond.
        """

        def bounded(number: float) -> float:
            return min(max(number, bounds[0]), bounds[1])

        before, found, slope = begin, median_s(begin), first
        best = (before, found)
        for _ in range(MAX_ITERATIONS):
            number = bounded(before + (self.median_s - found) / slope)
            if number == before or abs(found - self.median_s) <= TOLERANCE * self.median_s:
                break
            value = median_s(number)
            slope = (value - found) / (number - before)
            if not slope > 0:
                # It has no effect, such as efficiency where passes were measured.
                return begin, 0.0, best[1]
            before, found = number, value
        return before, slope, found

    def written(
        self, base: Scenario, reached: _Reached, origin: str
    ) -> tuple[Scenario, tuple[Estimate, ...]]:
        """Return the scenario with a basis for the numbers that were fitted, and these."""
        found = [
            normal(path, "s" if path.endswith("_s") else "share", value, reached.std_errors[path])
            for path, value in reached.changes.items()
        ]
        table = as_written(base)
        table["basis"] = dict(table.get("basis", {}))
        for one in found:
            *above, key = one.name.split(".")
            inner = table
            for name in above:
                inner = inner[name]
            inner[key] = one.value
            table["basis"][one.name] = {
                "kind": "measured",
                "where": f"{origin}: median of {self.quantity} {self.median_s:.6g} s; standard "
                f"error {one.std_error:.2g}",
            }
        return from_table(table, base.source), tuple(found)

    def shortfall(self, reached: _Reached) -> list[str]:
        """Return what is left between the medians, in words."""
        left = reached.median_s / self.median_s - 1
        if left > max(1e-4, 2 * self.std_error_s / self.median_s):
            return [
                f"the scenario is {left:.1%} slower than the log with a software efficiency of 1 "
                f"and no overhead: its layout, its model or its hardware is not that of the log"
            ]
        return []

    def _median_s(self, compiled: Compiled) -> float:
        result = compiled.simulate_steps(
            runs=RUNS, steps=STEPS, seed=self.seed, threads=self.threads
        )
        return float(np.median(result.columns[self.quantity]))
