"""Every class and exception of the core is a value: it compares, pickles and copies."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from tests.traced_jobs import Shape, traced_job, wavy_draw

import hindmost as hm
from hindmost import _core
from hindmost.plan import make_plan
from hindmost.stragglers.recorded_job import read_job

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def through(protocol: int, value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


COPIES: dict[str, Callable[[Any], Any]] = {
    **{f"protocol {protocol}": partial(through, protocol) for protocol in PROTOCOLS},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}

SAMPLES = [1.0, 1.25, 1.5, 1.75]
LAWS: dict[str, dict[str, Any]] = {
    "constant": {"value": 1.3},
    "lognormal": {"median": 1, "sigma": 0.1},
    "exponential": {"mean": 0.3, "shift": 0.1},
    "gamma": {"shape": 2.0, "scale": 0.1},
    "weibull": {"shape": 0.7, "scale": 0.1},
    "normal": {"mean": 1.0, "sigma": 0.1},
    "pareto": {"alpha": 3.0, "minimum": 1.0, "maximum": 0.1 + 1.7},
    "uniform": {"low": 0.9, "high": 1.1},
    "log-uniform": {"low": 0.9, "high": 1.1},
    "empirical": {"samples": SAMPLES, "tail_alpha": 4.0, "cap": 3.0},
    "mixture": {
        "components": [
            {"weight": 0.25, "law": {"name": "constant", "value": 1.0}},
            {"weight": 0.75, "law": {"name": "lognormal", "median": 1.0, "sigma": 0.1, "cap": 2.0}},
        ]
    },
}


def law(name: str, **changes: Any) -> _core.Law:
    return _core.Law({"name": name, **LAWS[name], **changes})


def tabulated() -> _core.Law:
    fine = _core.tail_probabilities(1024)
    one = law("lognormal")
    lower, upper = ([at(p) for p in fine] for at in (one.quantile, one.upper_quantile))
    lower, upper = _core.fit_tabulated(lower, upper)
    return _core.Law({"name": "tabulated", "lower": lower, "upper": upper})


def plan(preset: str, changes: dict[str, Any] | None = None) -> _core.Plan:
    return hm.compile(preset, changes).core


def small() -> _core.Plan:
    """Return a plan of four replicas of two stages, whose law is soon found by simulation."""
    pool = {"name": "a", "n_gpus": 8, "node_gpus": 8, "domain_gpus": 8, "rack_gpus": None}
    cause = {"name": "x", "affects": "compute", "effect": "slowdown", "scope": "gpu"}
    times = {"forward_s": [0.1, 0.1], "backward_s": [0.2, 0.2], "weight_s": []}
    return _core.Plan(
        pools=[{**pool, "tensor_gpus": 1, "compute_s": 1.5}],
        causes=[
            {
                **cause,
                "span": "microbatch",
                "probability": 1.0,
                "law": {"name": "lognormal", **LAWS["lognormal"]},
                "pools": [0],
            }
        ],
        terms=[],
        overlap_fraction=0.0,
        pipeline={
            "kind": "1f1b",
            "stages": 2,
            "chunks": 1,
            "microbatches": 2,
            "context": 1,
            "gang_replicas": 1,
            "placement": "aligned",
            "layers": [1, 1],
            "times": [{**times, "overhead_s": 0.0, "transfer_s": 0.0}],
        },
    )


@cache
def simulated(seed: int) -> _core.OrderStatistics:
    """Return an engine that takes a second or so to make, wherever it is made."""
    return _core.OrderStatistics.simulated(small(), seed=seed)


def slowest(seed: int = 1) -> _core.Curve:
    curve = _core.OrderStatistics(plan("h100-1k")).law(0, seed, 0)
    assert curve is not None
    return curve


VALUES: dict[str, Callable[[], Any]] = {
    **{name: partial(law, name) for name in LAWS},
    "capped": lambda: law("lognormal", cap=1.5),
    "tabulated": tabulated,
    "plan of a barrier": lambda: plan("colossus-1"),
    "plan of stages": lambda: plan("colossus-1-pp16"),
    "engine": lambda: _core.OrderStatistics(plan("h100-1k")),
    "engine with a memory": lambda: _core.OrderStatistics(plan("h100-1k"), _core.Memory()),
    "memory": _core.Memory,
    "curve": slowest,
    "schedule": lambda: _core.Schedule(kind="interleaved", stages=2, microbatches=4, chunks=3),
    "job": lambda: read_job(traced_job(Shape(steps=2), wavy_draw())).core,
}
OTHERS: dict[str, Callable[[], Any]] = {
    "lognormal": lambda: law("lognormal", sigma=0.2),
    "capped": lambda: law("lognormal", cap=1.6),
    "plan of a barrier": lambda: plan("colossus-1", {"collective.overlap_fraction": 0.5}),
    "plan of stages": lambda: plan("colossus-1-pp16", {"layout.schedule": "gpipe"}),
    "engine": lambda: _core.OrderStatistics(plan("h100-1k", {"pools.h100.n_gpus": 512})),
    "curve": lambda: slowest(2),
    "schedule": lambda: _core.Schedule(kind="interleaved", stages=2, microbatches=4, chunks=2),
    "job": lambda: read_job(traced_job(Shape(steps=3), wavy_draw())).core,
}
"""Values of the same class, each other than the one of its name in `VALUES`."""


def test_every_class_of_the_core_is_looked_at() -> None:
    classes = {cls for _, cls in inspect.getmembers(_core, inspect.isclass)}
    exceptions = {cls for cls in classes if issubclass(cls, Exception)}
    assert {type(make()) for make in VALUES.values()} == classes - exceptions
    assert {type(error) for error in ERRORS.values()} == exceptions


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_equal_to_its_copies(name: str) -> None:
    value = VALUES[name]()
    for way, copied in COPIES.items():
        again = copied(value)
        assert type(again) is type(value), way
        assert again == value, way
        assert repr(again) == repr(value), way


@pytest.mark.parametrize("name", VALUES)
def test_a_value_is_equal_to_one_that_is_made_alike(name: str) -> None:
    value, again = VALUES[name](), VALUES[name]()
    assert value is not again
    assert value == again
    assert value != name


@pytest.mark.parametrize("name", OTHERS)
def test_a_value_is_not_equal_to_another_one(name: str) -> None:
    assert VALUES[name]() != OTHERS[name]()


@pytest.mark.parametrize("name", VALUES)
def test_only_what_holds_no_floats_has_a_hash(name: str) -> None:
    value = VALUES[name]()
    if isinstance(value, _core.Schedule):
        assert hash(value) == hash(through(2, value))
        assert {value: 1}[through(5, value)] == 1
    else:
        with pytest.raises(TypeError, match="unhashable"):
            hash(value)


def test_a_law_is_equal_however_it_was_written() -> None:
    written = {"name": "pareto", "minimum": 1.0, "alpha": 3, "maximum": None, "cap": None}
    assert _core.Law(written) == _core.Law({"name": "pareto", "alpha": 3.0, "minimum": 1})


def test_the_copy_of_a_law_has_its_values_bit_for_bit() -> None:
    words = np.arange(0, 2**32, 2**26 + 12345, dtype=np.uint32)
    for value in (law("lognormal", cap=1.5), tabulated()):
        again = through(0, value)
        assert again.values(words, words).tobytes() == value.values(words, words).tobytes()


def test_a_value_does_not_change_with_the_table_that_it_was_made_of() -> None:
    parameters: dict[str, Any] = {"name": "empirical", "samples": list(SAMPLES)}
    value = _core.Law(parameters)
    before = copy.copy(value)
    parameters["samples"][0] = 0.5
    assert through(2, value) == value == before


def test_a_plan_is_equal_under_every_instruction_set_and_copies_keep_it() -> None:
    arguments = make_plan(hm.load("h100-1k")).arguments
    value = _core.Plan(**arguments, instructions="portable")
    assert value == _core.Plan(**arguments)
    assert through(2, value).instructions == "portable"


def rows(engine: _core.OrderStatistics) -> dict[str, bytes]:
    columns = engine.run(seed=7, runs=2, steps=3, threads=1)
    arrays: dict[str, Any] = {**columns}
    return {name: array.tobytes() for name, array in arrays.items()}


def test_the_copy_of_an_engine_draws_the_same_rows() -> None:
    value = _core.OrderStatistics(plan("h100-1k"))
    assert rows(through(2, value)) == rows(value)


def test_the_copy_of_an_engine_of_sampled_replicas_finds_the_same_law() -> None:
    again = through(2, simulated(3))
    assert again == simulated(3)
    assert again is not simulated(3)
    assert repr(again).endswith(", simulated under seed 3>")
    assert rows(again) == rows(simulated(3))


def test_engines_are_told_apart_by_how_their_law_was_found() -> None:
    assert simulated(3) != simulated(4)
    exact = _core.OrderStatistics(plan("h100-1k"))
    assert exact not in (simulated(3), simulated(4))


@pytest.mark.parametrize(
    ("xs", "logs", "field"),
    [
        ([1.0], [0.0], "xs"),
        ([1.0, 2.0], [0.0], "logs"),
        ([2.0, 1.0], [1.0, 0.0], "xs.1"),
        ([1.0, 2.0], [0.0, 1.0], "logs.1"),
        ([1.0, float("inf")], [1.0, 0.0], "xs.1"),
        ([float("nan"), 2.0], [1.0, 0.0], "xs.0"),
    ],
)
def test_knots_of_a_curve_that_make_no_law_are_refused(
    xs: list[float], logs: list[float], field: str
) -> None:
    with pytest.raises(_core.DomainError) as caught:
        _core.Curve(xs, logs)
    assert caught.value.args[0] == field


def raised(kind: type[Exception], act: Callable[[], object]) -> Exception:
    with pytest.raises(kind) as caught:
        act()
    return caught.value


ERRORS = {
    "domain": raised(_core.DomainError, lambda: law("lognormal", sigma=-1.0)),
    "streams": _core.StreamsError("a/b/value", "c/d/value"),
    "threads": _core.ThreadsError("the operating system does not start 8 threads: why"),
    "not exact": raised(
        _core.NotExactError, lambda: _core.OrderStatistics(plan("colossus-1-pp16"))
    ),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("way", COPIES)
def test_an_exception_keeps_its_parts(name: str, way: str) -> None:
    error = ERRORS[name]
    again = COPIES[way](error)
    assert type(again) is type(error)
    assert again.args == error.args
    assert str(again) == str(error)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_functions_of_the_core_are_pickled_by_name(protocol: int) -> None:
    for name, function in inspect.getmembers(_core, inspect.isbuiltin):
        assert through(protocol, function) is function, name
