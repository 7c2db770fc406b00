"""A scenario of one's own with the causes of a log, as fast as the job of the log was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hindmost.cause import Cause
from hindmost.fitting.causes import CauseTables, causes_of
from hindmost.fitting.common_steps import white_of_runs
from hindmost.fitting.estimate import ERRORS, Estimate
from hindmost.fitting.log_steps import LogSteps
from hindmost.fitting.pace import Pace, Paced
from hindmost.fitting.parts import Parts
from hindmost.scenario import Scenario
from hindmost.scenario.load import from_table

TOLD = 0.3
"""Share of a log's white noise from which on it is told how much comes of ranks themselves."""

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

    Rates and correlation times go by the noiseless step of the scenario, so its pace is found first
    without the causes of the log, and again with them.
    """
    pace = Pace.of(log, seed=seed, threads=threads)
    replaced = _replaced(base, of_ranks=log.ranks is not None)
    notes = []
    if replaced:
        notes.append(f"replaced causes of {base.name}: {', '.join(replaced)}")
    bare = pace.brought(_with_causes(base, CauseTables(), replaced))
    if log.ranks is None:
        parts, more = _less_own_noise(bare, parts, pace)
        notes += more
    if len(base.pools) > 1 and (parts.slow_nodes or parts.slow_ranks):
        parts = replace(parts, slow_nodes=(), slow_ranks=())
        notes.append("slow units are left out: of several pools it is not known whose they are")
    tables = causes_of(parts, step_s=bare.compiled.plan.noiseless_step_s, origin=origin)
    laid = _with_causes(base, tables, replaced)
    paced = pace.brought(laid)
    return Laid(
        scenario=_with_numbers(laid, paced.estimates, pace, origin),
        adjusted=paced.estimates,
        notes=(*notes, *pace.shortfall(paced)),
    )


def as_written(scenario: Scenario) -> Table:
    """Return a scenario as a table that holds what its files set, and no defaults."""
    return scenario.model_dump(mode="json", exclude_none=True, exclude_unset=True)


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
    """Return a scenario with other causes, and without what was said of those they replace."""
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


def _with_numbers(base: Scenario, numbers: Sequence[Estimate], pace: Pace, origin: str) -> Scenario:
    """Return a scenario with other numbers at some key paths, and their basis."""
    table = as_written(base)
    basis = dict(table.get("basis", {}))
    for one in numbers:
        *above, key = one.name.split(".")
        inner = table
        for name in above:
            inner = inner[name]
        inner[key] = one.value
        basis[one.name] = {
            "kind": "measured",
            "where": f"{origin}: median of {pace.quantity} {pace.median_s:.6g} s; standard error "
            f"{one.std_error:.2g}",
        }
    unknowns = table.get("unknowns", {})
    known = {one.name for one in numbers}
    table["unknowns"] = {path: law for path, law in unknowns.items() if path not in known}
    table["basis"] = basis
    return from_table(table, base.source)


def _less_own_noise(bare: Paced, parts: Parts, pace: Pace) -> tuple[Parts, list[str]]:
    """Return the parts of a job's log less the noise that a scenario has of its ranks.

    What acts on computing moves a step by the share of it that is computing.
    """
    result = pace.simulated(bare.compiled)
    steps = result.columns["step_time_s"].reshape(result.inputs["runs"], -1)
    own = white_of_runs(steps)
    share = float(np.median(result.columns["compute_s"]) / np.median(steps))
    white = parts.common

    def left(value: float) -> float:
        return math.sqrt(max(0.0, value**2 - own**2)) / share

    low, high = left(white.low), left(white.high)
    common = replace(
        white, value=left(white.value), std_error=(high - low) / (2 * ERRORS), low=low, high=high
    )
    notes = []
    if common.value == 0 < own:
        notes.append(
            f"ranks of the scenario alone make {own:.3%} of white noise, and the log has "
            f"{white.value:.3%}: nothing is left for what all ranks have in common"
        )
    elif own > TOLD * white.value:
        notes.append(
            f"{own:.3%} of the log's {white.value:.3%} of white noise comes of the ranks' own "
            f"laws, which stay as they are; the rest is common to all"
        )
    parts = replace(parts, common=common)
    if parts.drift is not None:
        sigma = parts.drift.sigma
        scaled = {key: getattr(sigma, key) / share for key in ("value", "std_error", "low", "high")}
        parts = replace(parts, drift=replace(parts.drift, sigma=replace(sigma, **scaled)))
    return parts, notes
