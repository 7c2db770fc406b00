"""Laws that jump, replicas with stages, layers that wait: both engines agree, or one refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import hindmost as hm
from hindmost import _core

SEEDS = (11, 12)
RUNS = 4_000
MIN_P_VALUE = 1e-4
"""Of each of some twenty comparisons."""


def law(name: str, **parameters: Any) -> dict[str, Any]:
    return {"name": name, **parameters}


def lognormal(sigma: float, **more: Any) -> dict[str, Any]:
    return law("lognormal", sigma=sigma, median=1.0, **more)


def slows(name: str, of: dict[str, Any], span: str, scope: str, p: float = 1.0) -> dict[str, Any]:
    return {
        "name": name,
        "affects": "compute",
        "effect": "slowdown",
        "scope": scope,
        "span": span,
        "probability": p,
        "law": of,
        "pools": [0],
    }


def plan(n_gpus: int, *causes: dict[str, Any], **sizes: int) -> _core.Plan:
    pool = {
        "name": "pool",
        "n_gpus": n_gpus,
        "node_gpus": 8,
        "domain_gpus": 8,
        "rack_gpus": None,
        "tensor_gpus": 8,
        "compute_s": 1.0,
        **sizes,
    }
    return _core.Plan(pools=[pool], causes=list(causes), terms=[], overlap_fraction=0.0)


def speed(sigma: float, scope: str = "gpu") -> dict[str, Any]:
    return slows("speed", lognormal(sigma), "run", scope)


EXPONENTIAL = law("exponential", mean=0.05, shift=1.0)
ROUGH = law("exponential", mean=1.0, shift=0.0, cap=3.0)
CORNERS = {
    "rare in two scopes": plan(
        40_000,
        slows("gpu", EXPONENTIAL, "step", "gpu", 0.01),
        slows("node", EXPONENTIAL, "step", "node", 0.01),
        speed(0.02),
    ),
    "constants": plan(
        1024,
        slows("gpu", law("constant", value=1.05), "step", "gpu"),
        slows("node", law("constant", value=1.1), "step", "node"),
        speed(0.01),
    ),
    "a cap in the middle": plan(
        256, slows("x", lognormal(0.01, cap=1.01), "step", "gpu"), speed(0.01)
    ),
    "a capped factor of nodes": plan(
        256, slows("x", lognormal(0.3, cap=1.17), "step", "node"), speed(0.01, "node")
    ),
    "every second GPU": plan(1024, slows("x", lognormal(0.05), "step", "gpu", 0.5), speed(0.3)),
    "uniform": plan(256, slows("x", law("uniform", low=0.9, high=1.2), "step", "gpu"), speed(0.02)),
    "pareto": plan(
        256, slows("x", law("pareto", alpha=2.5, minimum=1.0), "step", "gpu"), speed(0.02)
    ),
    "samples": plan(
        256,
        slows("x", law("empirical", samples=[1.0, 1.01, 1.015, 1.1]), "step", "gpu"),
        speed(0.02),
    ),
    "racks across domains": plan(64, slows("x", lognormal(0.01), "step", "rack"), rack_gpus=7),
    "an atom that domains share": plan(
        576,
        slows("gpu", lognormal(0.05), "step", "gpu"),
        slows("domain", law("constant", value=1.2), "step", "domain", 0.5),
        node_gpus=4,
        domain_gpus=144,
    ),
}


@pytest.mark.parametrize("name", CORNERS)
def test_engines_agree_where_laws_jump_or_bend(name: str) -> None:
    corner = CORNERS[name]
    sampled = _core.sample(corner, seed=SEEDS[0], runs=RUNS, steps=1, threads=2)["compute_s"]
    engine = _core.OrderStatistics(corner)
    drawn = engine.run(seed=SEEDS[1], runs=RUNS, steps=1, threads=2)["compute_s"]
    assert stats.ks_2samp(sampled, drawn).pvalue > MIN_P_VALUE


def test_a_law_too_rough_for_its_neighbours_is_refused() -> None:
    with pytest.raises(_core.NotExactError, match=r"jump or bend too much .* in pool pool"):
        _core.OrderStatistics(plan(1024, slows("x", ROUGH, "step", "gpu"), speed(0.001)))


def cause(span: str, scope: str, effect: str, **more: Any) -> dict[str, Any]:
    return {
        "affects": "compute",
        "effect": effect,
        "scope": scope,
        "span": span,
        "law": lognormal(0.003),
        **more,
    }


def with_causes(preset: str, keep: set[str], **causes: dict[str, Any]) -> hm.Scenario:
    """Return a preset with some of its causes and others."""
    gone = {f"causes.{name}.enabled": False for name in hm.load(preset).causes if name not in keep}
    new = {
        f"causes.{name}.{key}": value for name, one in causes.items() for key, value in one.items()
    }
    return hm.load(preset, {**gone, **new})


def both(scenario: hm.Scenario, steps: tuple[int, int]) -> tuple[hm.Result, hm.Result]:
    """Return a sampled result and one by order statistics, of the same runs."""
    return (
        hm.simulate(scenario, seed=3, runs=4, steps=steps[0], method="sample"),
        hm.simulate(scenario, seed=3, runs=4, steps=steps[1], method="order-statistics"),
    )


def test_replicas_with_stages_take_the_same_where_they_share_what_changes() -> None:
    stall = cause("step", "replica", "stall", probability=0.01)
    scenario = with_causes("llama3-405b-8192", {"gpu-speed", "pause"}, hiccup=stall)
    sampled, drawn = both(scenario, (100, 4_000))
    for run in range(4):
        of_run = [
            # A replica's persistent factor is a rank's here: f32.
            result.steps.filter(result.steps["run"] == run)["compute_s"].to_numpy().round(4)
            for result in (sampled, drawn)
        ]
        assert stats.ks_2samp(*of_run).pvalue > MIN_P_VALUE
    np.testing.assert_allclose(drawn.pools["busy_frac"], sampled.pools["busy_frac"], rtol=0.01)


def test_persistent_speeds_alone_give_replicas_with_stages_the_same_times() -> None:
    sampled, drawn = both(with_causes("llama3-405b-8192", {"gpu-speed"}), (2, 2))
    np.testing.assert_allclose(drawn.steps["compute_s"], sampled.steps["compute_s"], rtol=1e-6)


@pytest.mark.parametrize("common", [False, True])
def test_layers_that_wait_are_sums_of_maxima(common: bool) -> None:
    causes = {"layer": cause("layer", "gpu", "slowdown")}
    if common:
        causes["common"] = cause("step", "cluster", "slowdown")
    sampled, drawn = both(with_causes("h100-1k", set(), **causes), (1_000, 4_000))
    assert drawn.value("compute_s") > drawn.plan.pools[0].compute.step_s * 1.005
    times = [result.steps["compute_s"].to_numpy() for result in (sampled, drawn)]
    assert stats.ks_2samp(*times).pvalue > MIN_P_VALUE


def test_auto_says_which_engine_and_why() -> None:
    exact = hm.simulate("colossus-1", seed=1, runs=2, steps=4)
    assert exact.inputs["method"] == "order-statistics"
    assert exact.why == "exact: each step is a tree of maxima"
    staged = hm.simulate("colossus-1-pp16", seed=1, runs=1, steps=1)
    assert staged.inputs["method"] == "sample"
    assert staged.why.startswith("pipeline: ")
    assert "residual" in staged.why


def test_each_engine_has_its_own_default_size() -> None:
    small = {"pools.h100.n_gpus": 128}
    drawn = hm.simulate("h100-1k", seed=1, changes=small)
    sampled = hm.simulate("h100-1k", seed=1, changes=small, method="sample")
    assert (drawn.inputs["runs"], drawn.inputs["steps"]) == (16, 10_000)
    assert (sampled.inputs["runs"], sampled.inputs["steps"]) == (8, 250)
