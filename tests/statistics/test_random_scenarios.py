"""Properties of both engines that hold for any scenario, on random small ones.

Examples are drawn from a fixed seed, so that every run of these tests has the same ones.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from scipy import stats

import hindmost as hm
from hindmost import _core
from hindmost.cause import Cause
from hindmost.compiled import Compiled, compile
from hindmost.engines import Method
from hindmost.errors import ScenarioError
from hindmost.plan import Plan
from hindmost.scenario import from_table
from tests.statistics.panel import Table
from tests.statistics.random_scenarios import (
    inadmissible_changes,
    odd_changes,
    one_barrier,
    with_waits,
)
from tests.statistics.test_agreement import distance

SEED, OTHER_SEED = 20_251_128, 20_251_129
THREADS = (1, 2, 7)
SMALL: dict[str, Any] = {"seed": SEED, "runs": 2, "steps": 9}
EXAMPLES = 100
RUNS = 500
"""One-step runs of an example in which two engines are compared."""
COMPARED = ("step_time_s", "compute_s", "exposed_comm_s", "stall_s")
FALSE_ALARMS = 1e-3
"""Probability that any of all comparisons fails by chance."""
LEVEL = FALSE_ALARMS / (EXAMPLES * (len(COMPARED) + 1))
ROUNDING = 1e-5
"""Relative error of a row: sums and products in f32, and the tables of laws."""
MIN_TAIL = 2.0**-65
"""Least tail probability that a word stands for."""


fixed_examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def assume_exact(compiled: Compiled) -> _core.OrderStatistics:
    """Return the engine that draws the slowest rank from its law, or pass over an example.

    Hypothesis complains if too many are passed over.
    """
    try:
        return _core.OrderStatistics(compiled.core)
    except _core.NotExactError:
        reject()


def same_bytes(one: _core.Columns, other: _core.Columns) -> bool:
    """Return whether all columns of two results are equal bit by bit."""
    return all(
        column.tobytes() == other[name].tobytes()  # type: ignore[literal-required, attr-defined]
        for name, column in one.items()
    )


@fixed_examples
@given(table=one_barrier() | with_waits())
def test_sampled_rows_do_not_depend_on_threads(table: Table) -> None:
    core = compile(from_table(table)).core
    once, *others = (_core.sample(core, threads=n, **SMALL) for n in (*THREADS, THREADS[0]))
    assert all(same_bytes(once, other) for other in others)


@fixed_examples
@given(table=one_barrier() | with_waits(), step=st.integers(0, 6))
def test_a_timeline_is_that_of_the_sampled_step(table: Table, step: int) -> None:
    scenario = from_table(table)
    found = hm.timeline(scenario, seed=SEED, run=1, step=step)
    columns = _core.sample(compile(scenario).core, seed=SEED, runs=2, steps=step + 1, threads=2)
    assert found.compute_s == columns["compute_s"][-1]
    assert found.stall_s == columns["stall_s"][-1]
    assert found.step_time_s == pytest.approx(columns["step_time_s"][-1], rel=1e-12)
    events = [event for event in found.trace()["traceEvents"] if "ts" in event]
    last_us = [event["ts"] + event.get("dur", 0.0) for event in events]
    assert max(last_us) / 1e6 == pytest.approx(columns["step_time_s"][-1], rel=1e-9)
    for one in found.replicas:
        ends_s = [
            passes[-1].ends_s + stage.overhead_s
            for stage, passes in zip(one.stages, one.by_stage, strict=True)
        ]
        assert one.whole_stall_s + max(ends_s) == pytest.approx(one.compute_s, rel=1e-12)
        for passes in one.by_stage:
            assert all(a.ends_s <= b.ready_s <= b.begins_s for a, b in pairwise(passes))


@fixed_examples
@given(table=one_barrier() | with_waits())
def test_a_step_without_causes_is_as_long_as_the_plan_says(table: Table) -> None:
    fabric = {key: value for key, value in table["fabric"].items() if key != "hop_noise"}
    compiled = compile(from_table({**table, "fabric": fabric, "causes": {}}))
    if compiled.scenario.noise is not None:
        compiled = compiled.with_changes({"fabric.noise.enabled": False})
    result = compiled.simulate(seed=SEED, runs=1, steps=1, method="sample")
    step_s = compiled.plan.noiseless_step_s
    assert result.value("step_time_s") == pytest.approx(step_s, rel=ROUNDING)


@fixed_examples
@given(table=one_barrier() | with_waits())
def test_rows_drawn_from_laws_do_not_depend_on_threads(table: Table) -> None:
    compiled = compile(from_table(table))
    engine, again = assume_exact(compiled), assume_exact(compiled)
    once, *others = (engine.run(threads=n, **SMALL) for n in (*THREADS, THREADS[0]))
    assert all(same_bytes(once, other) for other in others)
    assert same_bytes(once, again.run(threads=1, **SMALL))


@fixed_examples
@given(tables=st.lists(one_barrier() | with_waits(), min_size=2, max_size=4), data=st.data())
def test_rows_do_not_depend_on_what_was_compiled_before(tables: list[Table], data: Any) -> None:
    # Each scenario has parts of the one before it, so that some of what is known fits.
    seen: list[Table] = []
    compiled: Compiled | None = None
    for table in tables:
        kept = data.draw(st.sets(st.sampled_from(("causes", "pools", "fabric", "collective"))))
        if seen:
            table = {**table, **{key: seen[-1][key] for key in kept if key in seen[-1]}}
        try:
            scenario = from_table(table)
        except ScenarioError:
            continue
        alone = compile(scenario)
        compiled = Compiled(scenario, like=compiled) if compiled else compile(scenario)
        seen.append(table)
        assert compiled.plan == alone.plan
        for _ in range(2):
            one, other = (each.simulate(threads=2, **SMALL) for each in (compiled, alone))
            assert same_bytes(one.columns, other.columns)


def least(law: Table) -> float:
    """Return a bound below all that is drawn of a law."""
    cap = float(law.get("cap", math.inf))
    if law["name"] == "mixture":
        return min(cap, *(least(part["law"]) for part in law["components"]))
    # A cap and a tail leave the lower side as it is.
    plain = {key: value for key, value in law.items() if key not in ("cap", "tail_alpha")}
    number = _core.Law(plain).quantile(MIN_TAIL * (1 - ROUNDING)) * (1 - ROUNDING)
    return min(number, cap)


def least_slowdown(scenario: hm.Scenario, pool: str, affects: str) -> float:
    """Return a bound below the product of a pool's slowdowns."""

    def of(cause: Cause) -> float:
        number = least(cause.law.model_dump(exclude_none=True))
        return number if cause.probability_in(1.0) == 1 else min(number, 1.0)

    return math.prod(
        of(cause)
        for cause in scenario.causes.values()
        if (cause.affects, cause.effect) == (affects, "slowdown")
        and (cause.pools is None or pool in cause.pools)
    )


def least_compute_s(scenario: hm.Scenario, plan: Plan) -> list[float]:
    """Return a bound below the time of each pool's replicas without their stalls.

    Transfers between stages are no shorter where passes are.
    """
    slowdowns = [least_slowdown(scenario, pool.name, "compute") for pool in plan.pools]
    if scenario.layout.pipeline > 1:
        slowdowns = [min(slowdown, 1.0) for slowdown in slowdowns]
    bounds_s = [
        slowdown * pool.compute.step_s for slowdown, pool in zip(slowdowns, plan.pools, strict=True)
    ]
    # A replica whose stages spread over pools is not faster than in the fastest of them.
    is_mixed = scenario.layout.placement == "mixed"
    return [min(bounds_s)] * len(bounds_s) if is_mixed else bounds_s


def bounds_of_exposed(scenario: hm.Scenario, plan: Plan) -> tuple[float, float]:
    """Return bounds of the exposed communication: one bucket of each term, and all of them.

    Each term takes as long as in the pool where it takes longest. Where the network is
    disturbed there is no bound above.
    """
    slowdowns = [least_slowdown(scenario, pool.name, "network") for pool in plan.pools]
    least_s = most_s = 0.0
    for term in zip(*(pool.terms for pool in plan.pools), strict=True):
        costs = [exchange.cost for exchange in term]
        fixed = [cost.latency_s + cost.scale_up_s for cost in costs]
        least_s += max(
            bare + slowdown * cost.transfer_s
            for bare, slowdown, cost in zip(fixed, slowdowns, costs, strict=True)
        )
        most_s += max(cost.total_s for cost in costs)
    disturbed = any(cause.affects == "network" for cause in scenario.causes.values())
    return least_s / (scenario.collective.n_buckets or 1), math.inf if disturbed else most_s


def check_rows(scenario: hm.Scenario, result: hm.Result) -> None:
    """Assert what is true of each row, whichever engine made it."""
    rows = {name: result.steps[name].to_numpy() for name in result.steps.columns}
    step_time_s, compute_s = rows["step_time_s"], rows["compute_s"]
    exposed_s, stall_s = rows["exposed_comm_s"], rows["stall_s"]
    assert np.isfinite(step_time_s).all()
    np.testing.assert_array_equal(step_time_s, compute_s + exposed_s)
    pools = list(scenario.pools)
    assert set(rows["slowest_pool"]) <= set(pools)
    assert ((stall_s >= 0) & (stall_s <= compute_s)).all()
    bounds_s = np.array(least_compute_s(scenario, result.plan))
    slowest = np.array([pools.index(pool) for pool in rows["slowest_pool"]])
    assert (compute_s - stall_s >= bounds_s[slowest] - ROUNDING * compute_s).all()
    assert (step_time_s >= bounds_s.max() * (1 - ROUNDING)).all()
    if not any(cause.effect == "stall" for cause in scenario.causes.values()):
        assert not stall_s.any()
    low, high = bounds_of_exposed(scenario, result.plan)
    assert (exposed_s >= low * (1 - ROUNDING)).all()
    assert (exposed_s <= high * (1 + ROUNDING)).all()
    flop_per_s = result.plan.model_flops / step_time_s
    np.testing.assert_allclose(rows["mfu"], flop_per_s / result.plan.peak_flop_per_s, rtol=1e-12)
    assert sum(result.pools["slowest_frac"]) == pytest.approx(1.0)
    assert (result.pools["busy_frac"].to_numpy() > 0).all()


@fixed_examples
@given(table=one_barrier() | with_waits(), method=st.sampled_from(["auto", "sample"]))
def test_every_row_keeps_the_laws_of_a_step(table: Table, method: Method) -> None:
    scenario = from_table(table)
    check_rows(scenario, hm.simulate(scenario, method=method, **SMALL))


@fixed_examples
@given(table=one_barrier())
def test_the_steps_compute_time_is_that_of_a_rank_and_without_transfers_of_the_slowest(
    table: Table,
) -> None:
    scenario = from_table(table)
    rows = hm.simulate(scenario, method="sample", **SMALL).steps
    columns = (rows[name].to_numpy() for name in ("compute_s", "exposed_comm_s"))
    compute_s, exposed_s = (each.reshape(SMALL["runs"], SMALL["steps"]) for each in columns)
    for run, of_run in enumerate(compute_s.astype(np.float32)):
        times = hm.rank_times(scenario, seed=SEED, run=run, steps=range(SMALL["steps"]))
        assert (times == of_run[:, np.newaxis]).any(axis=1).all()
        alone = exposed_s[run] == 0.0
        np.testing.assert_array_equal(times.max(axis=1)[alone], of_run[alone])


def delays(scopes: tuple[str, ...]) -> st.SearchStrategy[Table]:
    """Return causes of span step that never speed anything up."""
    law = {"name": "uniform", "low": 1.0, "high": 1.5}
    fields = {
        "law": st.just(law),
        "affects": st.sampled_from(["compute", "network"]),
        "effect": st.sampled_from(["slowdown", "stall"]),
        "scope": st.sampled_from(scopes),
        "span": st.just("step"),
        "probability": st.sampled_from([1.0, 0.3]),
    }
    return st.fixed_dictionaries(fields)


def check_that_no_step_gets_shorter(table: Table, delay: Table, method: Method) -> None:
    with_delay = {**table, "causes": {**table["causes"], "zz-delay": delay}}
    try:
        before, after = (
            hm.simulate(from_table(each), method=method, **SMALL).columns["step_time_s"]
            for each in (table, with_delay)
        )
    except ScenarioError:
        reject()
    assert (after >= before * (1 - ROUNDING)).all()


@fixed_examples
@given(table=one_barrier() | with_waits(), delay=delays(("gpu", "node", "domain", "cluster")))
def test_no_delay_shortens_a_sampled_step(table: Table, delay: Table) -> None:
    check_that_no_step_gets_shorter(table, delay, "sample")


@fixed_examples
@given(table=one_barrier(), delay=delays(("pool", "cluster")))
def test_no_delay_of_a_pool_shortens_a_step_that_is_drawn_from_laws(
    table: Table, delay: Table
) -> None:
    # What ranks do not share changes the law that the slowest is drawn from, and so the draw.
    assume_exact(compile(from_table(table)))
    check_that_no_step_gets_shorter(table, delay, "order-statistics")


@fixed_examples
@given(table=one_barrier(min_causes=1))
def test_engines_draw_steps_of_one_law(table: Table) -> None:
    scenario = from_table(table)
    assume_exact(compile(scenario))
    counts: dict[str, Any] = {"runs": RUNS, "steps": 1}
    sampled = hm.simulate(scenario, method="sample", seed=SEED, **counts).steps
    drawn = hm.simulate(scenario, method="order-statistics", seed=OTHER_SEED, **counts).steps
    limit = stats.kstwobign.isf(LEVEL) * math.sqrt(2 / RUNS)
    scale = float(sampled["compute_s"].to_numpy().mean())
    far = {
        name: distance(sampled[name].to_numpy(), drawn[name].to_numpy(), scale) for name in COMPARED
    }
    # Of discrete numbers, such as the places of pools, distances are shorter by chance.
    one, other = (each["slowest_pool"].to_physical().to_numpy() for each in (sampled, drawn))
    far["slowest_pool"] = distance(one, other, scale)
    assert {name: found for name, found in far.items() if not found <= limit} == {}


@fixed_examples
@given(table=one_barrier(spans=("run",), min_causes=1))
def test_engines_draw_equal_rows_where_all_causes_are_persistent(table: Table) -> None:
    scenario = from_table(table)
    assume_exact(compile(scenario))
    counts: dict[str, Any] = {"seed": SEED, "runs": 20, "steps": 2}
    sampled, drawn = (
        hm.simulate(scenario, method=method, **counts).steps
        for method in ("sample", "order-statistics")
    )
    for name in (*COMPARED, "slowest_pool"):
        np.testing.assert_array_equal(drawn[name].to_numpy(), sampled[name].to_numpy(), name)


@fixed_examples
@given(table=one_barrier(min_causes=1), changes=inadmissible_changes())
def test_an_inadmissible_scenario_is_refused(table: Table, changes: dict[str, Any]) -> None:
    scenario = from_table(table)
    with pytest.raises(hm.ScenarioError) as refused:
        hm.simulate(scenario, changes=changes, **SMALL)
    assert all(problem.requirement for problem in refused.value.problems)


@fixed_examples
@given(data=st.data(), method=st.sampled_from(["auto", "sample"]))
def test_any_change_gives_rows_or_is_refused(data: st.DataObject, method: Method) -> None:
    table = data.draw(one_barrier(min_causes=1))
    changes = data.draw(odd_changes(table))
    try:
        rows = hm.simulate(from_table(table), changes=changes, method=method, **SMALL).steps
    except hm.ScenarioError:
        return
    assert (rows["compute_s"].to_numpy() > 0).all()
    assert np.isfinite(rows["step_time_s"].to_numpy()).all()
