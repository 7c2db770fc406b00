"""Order statistics: against NumPy, against itself at other sizes, and against stated rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import signal, special
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from benches.gate import gate, gate_of_a_count
from hindmost import _core

STEPS = 1_000_000
SEED = 1
KNOTS = 4096

RESIDUAL = {"name": "lognormal", "median": 1.0, "sigma": 0.0015}
SPEED = {"name": "lognormal", "median": 1.0, "sigma": 0.0172, "cap": 1.062}


def engine(n_gpus: int, **persistent: Any) -> _core.OrderStatistics:
    """Return the engine of one pool with a residual and persistent causes."""
    causes = [
        {
            "name": name,
            "affects": "compute",
            "effect": "slowdown",
            "scope": "gpu",
            "span": span,
            "probability": 1.0,
            "law": law,
            "pools": [0],
        }
        for name, span, law in [
            ("residual", "step", RESIDUAL),
            *((name, "run", law) for name, law in persistent.items()),
        ]
    ]
    pool = {
        "name": "pool",
        "n_gpus": n_gpus,
        "node_gpus": 8,
        "domain_gpus": 8,
        "rack_gpus": None,
        "tensor_gpus": 8,
        "compute_s": 1.0,
    }
    plan = _core.Plan(pools=[pool], causes=causes, terms=[], overlap_fraction=0.0)
    return _core.OrderStatistics(plan)


def test_a_million_steps_against_interpolation_in_a_table(benchmark: Any) -> None:
    pool = engine(100_000, speed=SPEED)
    rng = np.random.default_rng(SEED)
    x = np.linspace(0.0, 1.0, KNOTS)
    y = np.sort(rng.random(KNOTS))
    gate(
        benchmark,
        ours=lambda: pool.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        theirs=lambda: np.interp(rng.random(STEPS), x, y),
        at_least=1 / 4,
    )


def test_steps_of_a_billion_gpus_take_as_long_as_those_of_a_thousand(benchmark: Any) -> None:
    small, large = engine(1_000), engine(1_000_000_000)
    gate(
        benchmark,
        ours=lambda: large.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        theirs=lambda: small.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        at_least=1 / 1.3,
    )


def test_the_survey_of_all_gpus_takes_little_more_than_their_words(benchmark: Any) -> None:
    n_gpus = 64_000_000
    large = engine(n_gpus, speed=SPEED)
    instructions = _core.instruction_sets()[-1]
    gate(
        benchmark,
        ours=lambda: large.run(seed=SEED, runs=1, steps=1, threads=1),
        theirs=lambda: _core.probe_words(n_gpus // 64, instructions),
        at_least=0.6,
    )


LAWS = {
    "lognormal": {"name": "lognormal", "median": 1.0, "sigma": 0.3},
    "exponential": {"name": "exponential", "mean": 1.0, "shift": 0.02},
    "gamma": {"name": "gamma", "shape": 3.5, "scale": 1.0},
    "weibull": {"name": "weibull", "shape": 1.7, "scale": 1.0},
    "pareto": {"name": "pareto", "alpha": 3.0, "minimum": 1.0},
    "normal": {"name": "normal", "mean": 1.0, "sigma": 0.3},
}


@pytest.mark.parametrize("name", LAWS)
def test_a_law_is_compiled_in_a_millisecond(benchmark: Any, name: str) -> None:
    # A law keeps its table, so that each is a new one.
    gate_of_a_count(
        benchmark,
        ours=lambda: _core.Law(LAWS[name]).check_drawable(),
        count=1,
        at_least_per_s=1_000,
    )


def test_the_slowest_law_of_colossus_1_is_compiled_in_five_milliseconds(benchmark: Any) -> None:
    core = hm.compile(COLOSSUS_1_BARE).core
    gate_of_a_count(
        benchmark,
        ours=lambda: _core.OrderStatistics(core).law(0, SEED, 0),
        count=1,
        at_least_per_s=200,
    )


SHAPES_PER_S = 1 / 0.060
"""Plans a second whose slowest laws are compiled: one in 60 ms."""

STEP_SIGMAS = {"gpu": 0.0015, "node": 0.002, "domain": 0.0025, "rack": 0.003}
SPEED_SIGMAS = {"gpu": 0.0172, "node": 0.008, "rack": 0.006}

RACKS = "gpu", "node", "rack"
DOMAINS = "gpu", "node", "domain"
TRAYS = "gpu", "node", "domain", "rack"


def hgx(name: str, n_gpus: int, *, tensor_gpus: int = 8, rack_gpus: int = 32) -> dict[str, Any]:
    """Return a pool of nodes that are domains."""
    return {
        "name": name,
        "n_gpus": n_gpus,
        "node_gpus": 8,
        "domain_gpus": 8,
        "rack_gpus": rack_gpus,
        "tensor_gpus": tensor_gpus,
        "compute_s": 1.0,
    }


def nvl72(*, tensor_gpus: int = 8, rack_gpus: int = 72) -> dict[str, Any]:
    """Return a pool of domains of several nodes."""
    pool = hgx("gb200", 20_000, tensor_gpus=tensor_gpus, rack_gpus=rack_gpus)
    return pool | {"node_gpus": 4, "domain_gpus": 72}


def of_scopes(
    span: str, sigmas: dict[str, float], scopes: tuple[str, ...], affects: str = "compute"
) -> list[dict[str, Any]]:
    """Return a slowdown of each scope; those of a run end at three and a half sigma."""
    caps = {"run": 3.5, "step": None}
    return [
        {
            "name": f"{affects}-{span}-{scope}",
            "affects": affects,
            "effect": "slowdown",
            "scope": scope,
            "span": span,
            "probability": 1.0,
            "law": {"name": "lognormal", "median": 1.0, "sigma": sigmas[scope]}
            | ({"cap": float(np.exp(cap * sigmas[scope]))} if (cap := caps[span]) else {}),
        }
        for scope in scopes
    ]


H100 = hgx("h100", 150_000)
TWO_POOLS = [H100, hgx("h200", 50_000)]
THREE_POOLS = [*TWO_POOLS, nvl72()]
SPARE_H100 = hgx("h100", 150_000, tensor_gpus=3, rack_gpus=40)

SHAPES: dict[str, tuple[list[dict[str, Any]], tuple[str, ...], tuple[str, ...]]] = {
    "racks": ([H100], RACKS, ()),
    "spares in nodes of racks": ([SPARE_H100], RACKS, ()),
    "spares in domains in racks": ([nvl72(tensor_gpus=7, rack_gpus=144)], TRAYS, ()),
    "two pools": (TWO_POOLS, RACKS, ()),
    "three pools": (THREE_POOLS, RACKS, ()),
    "racks of unlike GPUs": ([H100], RACKS, ("gpu",)),
    "domains in racks of unlike GPUs": (
        [nvl72(tensor_gpus=7, rack_gpus=144)],
        TRAYS,
        ("gpu",),
    ),
    "three pools of unlike GPUs": (THREE_POOLS, DOMAINS, ("gpu",)),
}
"""Pools, the scopes of slowdowns of a step, and those of a run."""


def compile_all_laws(core: _core.Plan, n_pools: int) -> None:
    """Compile a plan and the law of the slowest of each pool in a run."""
    compiled = _core.OrderStatistics(core)
    for pool in range(n_pools):
        assert compiled.law(pool, SEED, 0) is not None


@pytest.mark.parametrize("shape", SHAPES)
def test_the_slowest_laws_of_a_shape_are_compiled_in_60_milliseconds(
    benchmark: Any, shape: str
) -> None:
    pools, step_scopes, run_scopes = SHAPES[shape]
    causes = of_scopes("step", STEP_SIGMAS, step_scopes)
    causes += of_scopes("run", SPEED_SIGMAS, run_scopes)
    hold_to_60_milliseconds(benchmark, pools, causes)


def test_the_slowest_laws_of_ranks_and_ports_are_compiled_in_60_milliseconds(
    benchmark: Any,
) -> None:
    # Ports have other laws than ranks, so that nothing is shared between them.
    ports = {scope: 1.5 * sigma for scope, sigma in STEP_SIGMAS.items()}
    causes = of_scopes("step", STEP_SIGMAS, RACKS)
    causes += of_scopes("step", ports, RACKS, affects="network")
    hold_to_60_milliseconds(benchmark, TWO_POOLS, causes)


def hold_to_60_milliseconds(
    benchmark: Any, pools: list[dict[str, Any]], causes: list[dict[str, Any]]
) -> None:
    """Hold the laws of a plan whose causes act on all pools to their bar."""
    n_pools = len(pools)
    everywhere = [cause | {"pools": list(range(n_pools))} for cause in causes]
    term = {
        "latency_s": [0.01] * n_pools,
        "transfer_s": [0.1] * n_pools,
        "window_share": [0.5] * n_pools,
        "n_buckets": 8,
        "hops": None,
    }
    core = _core.Plan(pools=pools, causes=everywhere, terms=[term], overlap_fraction=0.5)
    gate_of_a_count(
        benchmark,
        ours=lambda: compile_all_laws(core, n_pools),
        count=1,
        at_least_per_s=SHAPES_PER_S,
    )


FACTORS: dict[str, Callable[[int], dict[str, Any]]] = {
    "lognormal laws": lambda k: {"name": "lognormal", "median": 1.0, "sigma": 0.001 + 1e-5 * k},
    "equal laws": lambda k: {"name": "uniform", "low": 0.999, "high": 1.001},
}


@pytest.mark.parametrize("laws", FACTORS)
def test_a_hundred_factors_are_compiled_in_twice_the_time_of_ten(benchmark: Any, laws: str) -> None:
    def plan(n: int) -> _core.Plan:
        cause: dict[str, Any] = {"affects": "compute", "effect": "slowdown", "scope": "gpu"}
        cause |= {"span": "step", "probability": 1.0, "pools": [0]}
        causes = [{**cause, "name": f"c{k}", "law": FACTORS[laws](k)} for k in range(n)]
        return _core.Plan(pools=[hgx("a", 128)], causes=causes, terms=[], overlap_fraction=0.0)

    many, few = plan(100), plan(10)
    gate(
        benchmark,
        ours=lambda: _core.OrderStatistics(many),
        theirs=lambda: _core.OrderStatistics(few),
        at_least=0.5,
    )


def test_a_drift_of_the_cluster_against_an_autoregression(benchmark: Any) -> None:
    """Against the same law by NumPy and scipy: innovations, a filter, the normal CDF, a table."""
    drift = {
        "name": "drift",
        "affects": "compute",
        "effect": "slowdown",
        "scope": "cluster",
        "span": "step",
        "probability": 1.0,
        "law": RESIDUAL,
        "pools": [0],
        "correlation_steps": 100.0,
    }
    pool = {
        "name": "pool",
        "n_gpus": 1,
        "node_gpus": 1,
        "domain_gpus": 1,
        "rack_gpus": None,
        "tensor_gpus": 1,
        "compute_s": 1.0,
    }
    plan = _core.Plan(pools=[pool], causes=[drift], terms=[], overlap_fraction=0.0)
    ours = _core.OrderStatistics(plan)
    rng = np.random.default_rng(SEED)
    x = np.linspace(0.0, 1.0, KNOTS)
    y = np.sort(rng.random(KNOTS))
    rho = np.exp(-1 / 100.0)

    def theirs() -> object:
        innovations = np.sqrt(1 - rho**2) * rng.standard_normal(STEPS)
        return np.interp(special.ndtr(signal.lfilter([1.0], [1.0, -rho], innovations)), x, y)

    gate(
        benchmark,
        ours=lambda: ours.run(seed=SEED, runs=1, steps=STEPS, threads=1),
        theirs=theirs,
        at_least=1 / 2,
    )


def test_a_drift_of_the_cluster_takes_little_of_a_step(benchmark: Any) -> None:
    cause = {
        "law": {"name": "lognormal", "sigma": 0.003},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "cluster",
        "span": "drift",
        "correlation_s": 900.0,
    }
    bare = hm.load(COLOSSUS_1_BARE)
    drifting = hm.load(COLOSSUS_1_BARE, {f"causes.drift.{key}": cause[key] for key in cause})
    ours, theirs = hm.compile(drifting), hm.compile(bare)
    gate(
        benchmark,
        ours=lambda: ours.simulate(seed=SEED, runs=8, steps=2_000, threads=1),
        theirs=lambda: theirs.simulate(seed=SEED, runs=8, steps=2_000, threads=1),
        at_least=1 / 1.15,
    )


def test_episodes_cost_four_fifths_of_a_step_at_most(benchmark: Any) -> None:
    """Of 0.5% of 27,500 nodes at a time, which decide every step; half a step is the aim."""
    severity = {"law": {"name": "uniform", "low": 1.05, "high": 1.5}, "affects": "compute"}
    often = {"per_hour": 0.03, "duration": {"name": "exponential", "mean": 600.0}}
    episodes = {**severity, **often, "effect": "slowdown", "scope": "node", "span": "episode"}
    ours = hm.compile(hm.load(COLOSSUS_1_BARE, {"causes.fail-slow": episodes}))
    theirs = hm.compile(COLOSSUS_1_BARE)
    gate(
        benchmark,
        ours=lambda: ours.simulate(seed=SEED, runs=8, steps=2_000, threads=1),
        theirs=lambda: theirs.simulate(seed=SEED, runs=8, steps=2_000, threads=1),
        at_least=5 / 9,
    )
