"""How step time and MFU move with the caps of laws.

The slowest of very many GPUs lies at the cap of its law, and a cap is a threshold that is mostly
assumed, not measured. So each cap that matters is moved both ways, and the scenario is simulated
again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hindmost.cause import Cause
from hindmost.compiled import Compiled
from hindmost.engines import Method, Progress, Reason
from hindmost.errors import Problem, ScenarioError
from hindmost.law import LawModel, Mixture
from hindmost.parallel import Task, all_of
from hindmost.plan import Plan
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario
from hindmost.statistics import estimates

if TYPE_CHECKING:
    import polars as pl

MAX_CAPS = 4
"""Caps that are moved, at most."""
EXCESS_FACTORS = (0.5, 2.0)
"""What the excess of a cap over the neutral number is multiplied by."""
MIN_REACH = 1e-4
"""Least share of the mean step time that moving a cap must be able to change."""
MIN_STEPS, MAX_STEPS = 250, 1000
"""Steps of a run, at least and at most."""
MIN_STEPS_BEYOND = 100
"""Steps of all runs that should go beyond the lower one of two caps."""


@dataclass(frozen=True, kw_only=True)
class MovedCap:
    """Step time and MFU with one cap moved.

    Attributes
    ----------
    cause : str
        Name of the cause; that of the fabric is ``fabric.noise``.
    path : str
        Key path of the cap.
    cap, moved_to : float
        The cap, and where it is moved to.
    step_time_s, step_time_change_s : float
        Mean step time with the cap moved, and its change.
    std_error : float or None
        Standard error of the change; None for one run.
    mfu, mfu_change : float
        MFU with the cap moved, which is FLOPs over peak x time, and its change.
    """

    cause: str
    path: str
    cap: float
    moved_to: float
    step_time_s: float
    step_time_change_s: float
    std_error: float | None
    mfu: float
    mfu_change: float


COLUMNS = {field.name: str if field.type == "str" else float for field in fields(MovedCap)}
"""Columns of the table of moved caps, and their types."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One cap of a scenario, moved.

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
        Seconds by which that can change the mean step time, where no other cause multiplies it.
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


@dataclass(frozen=True, kw_only=True)
class _Capped:
    """A law with a cap: a cause's own, or that of one component of its mixture.

    Attributes
    ----------
    law : LawModel
        The law.
    weight : float
        Probability that a draw comes from it.
    path : str
        Its key path.
    change : Callable
        Returns the changes that move its cap.
    """

    law: LawModel
    weight: float
    path: str
    change: Callable[[float], Changes]


def caps(result: Result) -> pl.DataFrame:
    """Return how step time and MFU change when the caps of laws are moved.

    The excess of a cap over the neutral value (1 for slowdowns, 0 for stalls) is halved and
    doubled, with everything else and the seed unchanged. At most four caps are moved: those that
    can change the step time most. Caps are left out that could not change the mean step time by
    1e-4 of it, that change no step, or that their law refuses.

    Parameters
    ----------
    result
        A result of the method ``order-statistics``, unless it is approximate.

    Returns
    -------
    DataFrame
        One row a moved cap: cause, path, cap, moved_to, step_time_s, step_time_change_s, std_error,
        mfu and mfu_change. The changes are means of paired differences over the first steps of
        all runs. std_error is that of step_time_change_s by delete-one-run jackknife, null for
        one run. step_time_s is the mean of the result plus the change, and mfu is FLOPs over
        peak x time at that step time.

    Raises
    ------
    ScenarioError
        If the result is sampled or approximate: simulating it again for each cap would take long.

    Examples
    --------
    >>> import hindmost as hm
    >>> result = hm.simulate("h100-1k", seed=1, runs=2, steps=50)
    >>> hm.caps(result)["path"].unique().to_list()
    ['causes.gpu-speed.law.cap']
    """
    return as_table(moved_caps(result))


def as_table(moved: Sequence[MovedCap]) -> pl.DataFrame:
    """Return moved caps as `caps` returns them."""
    import polars as pl

    return pl.DataFrame([asdict(row) for row in moved], schema=COLUMNS)


def can_move_caps(result: Result) -> bool:
    """Return whether caps can be moved: the method is ``order-statistics``, and exact."""
    return result.inputs["method"] == "order-statistics" and result.deviation is None


def check_method(scenario: Scenario, method: Method) -> None:
    """Refuse a method that would make a result whose caps cannot be moved.

    Parameters
    ----------
    scenario
        The scenario.
    method
        The method that `simulate` would be called with.

    Raises
    ------
    ScenarioError
        If the method is ``sample``, or ``order-statistics`` is not exact for the scenario, or the
        scenario has no plan.
    """
    if method == "sample":
        raise _refusal(method, "every rank is to be sampled")
    engine = Compiled(scenario).exact
    if isinstance(engine, Reason):
        raise _refusal(method, f"order-statistics cannot be exact here: {engine}")


def moved_caps(result: Result) -> list[MovedCap]:
    """Return the rows of `caps`, made without Polars.

    Raises
    ------
    ScenarioError
        As `caps`.
    """
    (found,) = all_of([caps_task(result)], threads=result.machine["threads"])
    rows: list[MovedCap] = found
    return rows


def caps_task(result: Result) -> Task:
    """Return what makes the rows of `caps`, to be done beside others.

    Raises
    ------
    ScenarioError
        As `caps`.
    """
    if not can_move_caps(result):
        raise _refusal(result.inputs["method"], f"why it was chosen: {result.why}")
    plan = result.plan
    step_time_s = result.columns["step_time_s"].reshape(result.inputs["runs"], -1)
    compiled = Compiled(result.scenario)

    def simulated(variant: Variant, *, threads: int, progress: Progress | None) -> MovedCap | None:
        return _moved(result, compiled, variant, step_time_s, threads=threads, progress=progress)

    return Task(
        items=_chosen(result.scenario, plan, MIN_REACH * float(step_time_s.mean())),
        work=simulated,
        finish=lambda found: [row for row in found if row is not None],
    )


def _moved(
    result: Result,
    compiled: Compiled,
    variant: Variant,
    step_time_s: NDArray[np.float64],
    *,
    threads: int,
    progress: Progress | None,
) -> MovedCap | None:
    """Return step time and MFU with one cap moved; None if its law refuses it or no step changes.

    Parameters
    ----------
    result, compiled
        The result, and its scenario compiled.
    variant
        The cap.
    step_time_s : array of shape (runs, steps)
        Step times of the result.
    threads, progress
        As in `simulate`.
    """
    runs = len(step_time_s)
    steps = _n_steps(variant.share * runs, step_time_s.shape[1])
    given = step_time_s[:, :steps]
    try:
        moved_s = compiled.with_changes(variant.changes).step_time_s(
            seed=result.inputs["seed"],
            method=result.inputs["method"],
            threads=threads,
            runs=runs,
            steps={result.inputs["method"]: steps},
            progress=progress,
        )
    except ScenarioError:
        # The law refuses the cap, such as one below its least number.
        return None
    moved = moved_s.reshape(given.shape)
    if np.array_equal(moved, given):
        return None
    change = next(estimates((moved - given).ravel(), runs))
    mean_s, mfu = float(step_time_s.mean()), result.value("mfu")
    mfu_change = result.plan.peak_step_s / (mean_s + change.value) - mfu
    return MovedCap(
        cause=variant.cause,
        path=variant.path,
        cap=variant.cap,
        moved_to=variant.moved_to,
        step_time_s=mean_s + change.value,
        step_time_change_s=change.value,
        std_error=change.std_error,
        mfu=mfu + mfu_change,
        mfu_change=mfu_change,
    )


def _refusal(method: str, hint: str) -> ScenarioError:
    requirement = "must be order-statistics, and exact, where caps are moved"
    return ScenarioError([Problem(path="method", requirement=requirement, value=method, hint=hint)])


def _chosen(scenario: Scenario, plan: Plan, min_reach_s: float) -> list[Variant]:
    """Return the variants of the caps that matter most, in the order of the scenario."""
    variants = [
        variant
        for name, cause in _causes(scenario).items()
        for variant in _variants(scenario, plan, name, cause)
        if variant.reach_s >= min_reach_s
    ]
    reach_s: dict[str, float] = {}
    for variant in variants:
        reach_s[variant.path] = max(variant.reach_s, reach_s.get(variant.path, 0.0))
    chosen = sorted(reach_s, key=lambda path: -reach_s[path])[:MAX_CAPS]
    return [variant for variant in variants if variant.path in chosen]


def _causes(scenario: Scenario) -> dict[str, Cause]:
    """Return the causes in use, by key path."""
    causes = {f"causes.{name}": cause for name, cause in scenario.enabled_causes.items()}
    noise = {} if scenario.noise is None else {"fabric.noise": scenario.noise}
    return causes | noise


def _n_steps(steps_beyond: float, steps: int) -> int:
    """Return the steps that a run should have, for enough of them to go beyond a cap.

    Parameters
    ----------
    steps_beyond
        Steps of all runs beyond the lower cap, for each step of a run.
    steps
        Steps of a run of the result.
    """
    wanted = math.ceil(
        min(MIN_STEPS_BEYOND / max(steps_beyond, MIN_STEPS_BEYOND / MAX_STEPS), MAX_STEPS)
    )
    return min(max(wanted, MIN_STEPS), steps)


def _variants(scenario: Scenario, plan: Plan, where: str, cause: Cause) -> Iterator[Variant]:
    neutral = 1.0 if cause.effect == "slowdown" else 0.0
    n_draws, most_s = _n_draws(scenario, plan, cause), _most_s(scenario, plan, cause)
    for capped in _capped(cause.law, f"{where}.law"):
        cap = capped.law.cap
        assert cap is not None
        for factor in EXCESS_FACTORS:
            # As many digits as a person would write.
            moved_to = float(f"{neutral + (cap - neutral) * factor:.12g}")
            moved = _with_cap(capped.law, moved_to)
            if moved_to == cap or moved is None:
                continue
            low, high = sorted((cap, moved_to))
            longer = moved if moved_to == high else capped.law
            probability = _occurs(cause, plan.rate_step_s) * capped.weight
            beyond = [
                -math.expm1(n_draws * math.log1p(-min(probability * longer.sf(x), 1 - 1e-16)))
                for x in np.linspace(low, high, 65)[:-1].tolist()
            ]
            yield Variant(
                cause=where.removeprefix("causes."),
                path=f"{capped.path}.cap",
                cap=cap,
                moved_to=moved_to,
                changes=capped.change(moved_to),
                reach_s=most_s * (high - low) * float(np.mean(beyond)),
                share=beyond[0],
            )


def _occurs(cause: Cause, step_s: float) -> float:
    """Return the probability that a cause acts on a unit in a step."""
    if cause.span == "episode":
        return -math.expm1(-cause.episodes_at_a_time)
    return cause.probability_in(step_s)


def _capped(law: LawModel, path: str) -> Iterator[_Capped]:
    """Yield a law if it has a cap, and each component of it that has one."""
    if law.cap is not None:
        yield _Capped(law=law, weight=1.0, path=path, change=lambda cap: {f"{path}.cap": cap})
    if not isinstance(law, Mixture):
        return
    for index, component in enumerate(law.components):
        if component.law.cap is not None:
            yield _Capped(
                law=component.law,
                weight=component.weight,
                path=f"{path}.components.{index}.law",
                change=_change_of_component(law, path, index),
            )


def _change_of_component(law: Mixture, path: str, index: int) -> Callable[[float], Changes]:
    """Return what moves the cap of a component.

    A key path does not lead into a list, so the change sets all components anew.
    """

    def change(cap: float) -> Changes:
        components: list[dict[str, Any]] = law.model_dump(exclude_none=True)["components"]
        components[index]["law"]["cap"] = cap
        return {f"{path}.components": components}

    return change


def _with_cap(law: LawModel, cap: float) -> LawModel | None:
    """Return a law with another cap, or None where the law refuses it."""
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
        passes = plan.n_microbatches if cause.span in ("microbatch", "layer") else 1
        return float(passes * (2 * scenario.model.depth if cause.span == "layer" else 1))
    if cause.affects == "compute":
        return max(pool.compute.step_s for pool in plan.pools)
    return max(sum(term.cost.total_s for term in pool.terms) for pool in plan.pools)
