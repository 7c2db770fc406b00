"""How the answer moves with the caps of its laws.

The slowest of very many GPUs sits at the cap of its law, and a cap is a threshold that
somebody assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from hindmost.cause import Cause
from hindmost.errors import ScenarioError
from hindmost.law import LawModel, Mixture
from hindmost.order import Rows
from hindmost.plan import Plan
from hindmost.scenario import Changes, Scenario, n_microbatches
from hindmost.statistics import estimates

MOST_CAPS = 4
"""Caps that are moved, at most."""
FACTORS = (0.5, 2.0)
"""What the excess of a cap over the neutral number is multiplied by."""
LEAST_SHARE = 1e-4
"""A cap matters where moving it could change this share of the mean step time."""
MOST_DRAWS = 2**19
"""Ranks of all runs of one variant, at most, if that leaves two runs."""
STEPS = (250, 1000)
"""Steps of a run, at least and at most."""
WANTED_STEPS = 100
"""Steps of all runs that should go beyond the lower one of two caps."""

COLUMNS = {
    "cause": str,
    "path": str,
    "cap": float,
    "moved_to": float,
    "step_time_s": float,
    "step_time_change_s": float,
    "std_error": float,
    "mfu": float,
    "mfu_change": float,
}
"""Columns of `Result.caps`."""

Again = Callable[[Changes, int, int], Rows]
"""Returns step times of changes, runs and steps with the seed and the method of a result."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One cap, moved.

    Attributes
    ----------
    cause : str
        Name of the cause; that of the fabric is ``fabric.noise``.
    path : str
        Key path of the cap.
    cap, moved_to : float
        The cap, and where it is moved to.
    changes : Changes
        What moves it.
    reach_s : float
        Seconds by which that can change the mean step time, but for what other
        causes multiply it by.
    share : float
        Share of steps that go beyond the lower one of both caps, at most.
    """

    cause: str
    path: str
    cap: float
    moved_to: float
    changes: Changes
    reach_s: float
    share: float


def moved_caps(
    scenario: Scenario, plan: Plan, step_time_s: Rows, *, again: Again
) -> list[dict[str, Any]]:
    """Return what a result comes to with its caps moved.

    Parameters
    ----------
    scenario, plan
        Of the result.
    step_time_s : array of shape (runs, steps)
        Step times of the result.
    again
        Simulates with changes; may raise ScenarioError, which leaves a variant out.

    Returns
    -------
    list of dict
        Rows of `Result.caps`.
    """
    mean_s = float(step_time_s.mean())
    peak_step_s = plan.peak_step_s
    mfu = float((peak_step_s / step_time_s).mean())
    runs = min(len(step_time_s), max(2, MOST_DRAWS // plan.n_ranks))
    rows = []
    for variant in _chosen(scenario, plan, LEAST_SHARE * mean_s):
        steps = _steps(variant.share * runs, step_time_s.shape[1])
        given = step_time_s[:runs, :steps]
        try:
            moved = again(variant.changes, runs, steps).reshape(given.shape)
        except ScenarioError:
            continue
        if np.array_equal(moved, given):
            continue
        change = next(estimates((moved - given).ravel(), runs))
        mfu_change = float((peak_step_s / moved - peak_step_s / given).mean())
        rows.append(
            {
                "cause": variant.cause,
                "path": variant.path,
                "cap": variant.cap,
                "moved_to": variant.moved_to,
                "step_time_s": mean_s + change.value,
                "step_time_change_s": change.value,
                "std_error": change.std_error,
                "mfu": mfu + mfu_change,
                "mfu_change": mfu_change,
            }
        )
    return rows


def _chosen(scenario: Scenario, plan: Plan, least_s: float) -> list[Variant]:
    """Return the variants of the caps that matter most, in the order of the scenario."""
    variants = [
        variant
        for name, cause in _causes(scenario).items()
        for variant in _variants(scenario, plan, name, cause)
        if variant.reach_s >= least_s
    ]
    reach_s: dict[str, float] = {}
    for variant in variants:
        reach_s[variant.path] = max(variant.reach_s, reach_s.get(variant.path, 0.0))
    chosen = sorted(reach_s, key=lambda path: -reach_s[path])[:MOST_CAPS]
    return [variant for variant in variants if variant.path in chosen]


def _causes(scenario: Scenario) -> dict[str, Cause]:
    """Return the causes in use, by key path."""
    causes = {f"causes.{name}": cause for name, cause in scenario.enabled_causes.items()}
    noise = {} if scenario.noise is None else {"fabric.noise": scenario.noise}
    return causes | noise


def _steps(steps_beyond: float, steps: int) -> int:
    """Return how many steps a run shall have."""
    least, most = STEPS
    wanted = math.ceil(min(WANTED_STEPS / max(steps_beyond, WANTED_STEPS / most), most))
    return min(max(wanted, least), steps)


def _variants(scenario: Scenario, plan: Plan, where: str, cause: Cause) -> Iterator[Variant]:
    neutral = 1.0 if cause.effect == "slowdown" else 0.0
    n_draws, most_s = _n_draws(scenario, plan, cause), _most_s(scenario, plan, cause)
    for law, weight, path, changes in _capped(cause.law, f"{where}.law"):
        cap = law.cap
        assert cap is not None
        for factor in FACTORS:
            # As many digits as a person would write.
            moved_to = float(f"{neutral + (cap - neutral) * factor:.12g}")
            moved = _with_cap(law, moved_to)
            if moved_to == cap or moved is None:
                continue
            low, high = sorted((cap, moved_to))
            wider = moved if moved_to == high else law
            probability = cause.probability * weight
            beyond = [
                -math.expm1(n_draws * math.log1p(-min(probability * wider.sf(x), 1 - 1e-16)))
                for x in np.linspace(low, high, 65)[:-1].tolist()
            ]
            yield Variant(
                cause=where.removeprefix("causes."),
                path=f"{path}.cap",
                cap=cap,
                moved_to=moved_to,
                changes=changes(moved_to),
                reach_s=most_s * (high - low) * float(np.mean(beyond)),
                share=beyond[0],
            )


def _capped(
    law: LawModel, path: str
) -> Iterator[tuple[LawModel, float, str, Callable[[float], Changes]]]:
    """Yield what has a cap in a law: its law, its weight, its key path and what moves it.

    A list has no key paths of its own, so that a component's cap is moved by all components.
    """
    if law.cap is not None:
        yield law, 1.0, path, lambda cap: {f"{path}.cap": cap}
    if not isinstance(law, Mixture):
        return
    for index, component in enumerate(law.components):
        if component.law.cap is not None:
            place = f"{path}.components.{index}.law"
            yield component.law, component.weight, place, _component(law, path, index)


def _component(law: Mixture, path: str, index: int) -> Callable[[float], Changes]:
    def changes(cap: float) -> Changes:
        components: list[dict[str, Any]] = law.model_dump(exclude_none=True)["components"]
        components[index]["law"]["cap"] = cap
        return {f"{path}.components": components}

    return changes


def _with_cap(law: LawModel, cap: float) -> LawModel | None:
    """Return a law with another cap, if there is one."""
    try:
        return type(law).model_validate({**law.model_dump(exclude_none=True), "cap": cap})
    except ValidationError:
        return None


def _n_draws(scenario: Scenario, plan: Plan, cause: Cause) -> int:
    """Return how many units draw a cause at once, at most."""
    pools = cause.pools or list(scenario.pools)
    if cause.scope == "cluster":
        return 1
    if cause.scope == "pool":
        return len(pools)
    by_pool = zip(plan.pools, plan.ranks, strict=True)
    return sum(n_ranks for pool, n_ranks in by_pool if pool.name in pools)


def _most_s(scenario: Scenario, plan: Plan, cause: Cause) -> float:
    """Return the seconds of a step that one unit of a cause's number stands for, at most."""
    if cause.effect == "stall":
        passes = n_microbatches(scenario) if cause.span in ("microbatch", "layer") else 1
        return float(passes * (2 * scenario.model.n_layers if cause.span == "layer" else 1))
    if cause.affects == "compute":
        return max(pool.compute.step_s for pool in plan.pools)
    return max(sum(part.cost.total_s for part in pool.exchanges) for pool in plan.pools)
