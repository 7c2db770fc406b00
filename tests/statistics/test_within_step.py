"""What waiting within a step costs: barriers a layer, a microbatch and a step.

Distances from a law may reach 1.95 / sqrt(n), the Kolmogorov-Smirnov limit at one in a
thousand; means may be wrong by 4 standard errors. Exponential slowdowns have sums with a
known law, so that shared draws where they should be independent, or the reverse, show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import integrate, special, stats

from hindmost import _core

Floats = NDArray[np.float64]
Spec = dict[str, Any]

SEED = 20_251_126
KS_LIMIT = 1.95
MAX_ERRORS = 4.0
RANKS, LAYERS, RESIDUAL = 1717, 126, 0.003
EXPONENTIAL = {"name": "exponential", "mean": 1.0, "shift": 0.0}


def lognormal(sigma: float) -> Spec:
    return {"name": "lognormal", "sigma": sigma, "median": 1.0}


def cause(law: Spec, span: str, **fields: Any) -> Spec:
    """Return a slowdown of every GPU, where nothing else is said."""
    default = {"name": span, "affects": "compute", "effect": "slowdown", "scope": "gpu"}
    return {**default, "span": span, "probability": 1.0, "law": law, "pools": [0], **fields}


def columns(
    n_gpus: int, causes: list[Spec], *, steps: int, passes: Spec, tensor: int = 1, **fields: Any
) -> _core.Columns:
    """Return what a pool of full domains comes to."""
    shape: Spec = {"kind": "gpipe", "stages": 1, "chunks": 1, "microbatches": 1, "layers": [1]}
    shape |= {"context": 1, "gang_replicas": 1, "placement": "aligned", **fields}
    shape["layers"] = shape["layers"] * shape["stages"]
    times = {"weight_s": [], "overhead_s": 0.0, "transfer_s": 0.0}
    times |= {name: [each] * shape["stages"] for name, each in passes.items()}
    sizes = {"node_gpus": tensor, "domain_gpus": tensor, "tensor_gpus": tensor, "rack_gpus": None}
    pool = {"name": "a", "n_gpus": n_gpus, "compute_s": 1.0, **sizes}
    plan = _core.Plan(
        pools=[pool],
        causes=causes,
        terms=[],
        overlap_fraction=0.0,
        pipeline={**shape, "times": [times]},
    )
    return _core.sample(plan, seed=SEED, runs=1, steps=steps, threads=2)


def seconds(*args: Any, forward: float = 1.0, backward: float = 0.0, **fields: Any) -> Floats:
    passes = {"forward_s": forward, "backward_s": backward}
    return columns(*args, passes=passes, **fields)["compute_s"]


def moment_of_slowest(value: Callable[[float], float], n: int) -> float:
    """Return the mean of a rising function of the largest of n standard normal numbers."""

    def density(z: float) -> float:
        below = (n - 1) * float(special.log_ndtr(z))
        return n * math.exp(below - z * z / 2) / math.sqrt(2 * math.pi)

    return float(integrate.quad(lambda z: value(z) * density(z), -9, 9, limit=400, points=[0])[0])


def assert_mean(values: Floats, expected: float) -> None:
    """Assert that a mean is right within its error."""
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    assert abs(float(values.mean()) - expected) < MAX_ERRORS * error


def assert_variance(values: Floats, expected: float) -> None:
    assert_mean((values - values.mean()) ** 2 * values.size / (values.size - 1), expected)


def assert_law(values: Floats, cdf: Callable[[Floats], Floats]) -> None:
    """Assert that values follow a distribution function."""
    expected = cdf(np.sort(values))
    places = np.arange(values.size + 1) / values.size
    distance = max(np.max(places[1:] - expected), np.max(expected - places[:-1]))
    assert distance < KS_LIMIT / math.sqrt(values.size)


def gamma_cdf(shape: int, scale: float = 1.0, slowest_of: int = 1) -> Callable[[Floats], Floats]:
    return lambda x: np.asarray(stats.gamma.cdf(x, shape, scale=scale) ** slowest_of)


def test_one_barrier_a_step_costs_one_percent() -> None:
    rows = seconds(RANKS, [cause(lognormal(RESIDUAL), "step")], steps=4000)
    expected = moment_of_slowest(lambda z: math.exp(RESIDUAL * z), RANKS)
    assert_mean(rows, expected)
    # The worked number.
    assert float(rows.mean()) - 1 == pytest.approx(0.0102, abs=1e-4)


def test_a_barrier_a_layer_costs_eleven_percent() -> None:
    sigma = RESIDUAL * math.sqrt(LAYERS)
    law = cause(lognormal(sigma), "layer")
    rows = seconds(RANKS, [law], steps=60, layers=[LAYERS], gang_replicas=RANKS)
    expected = moment_of_slowest(lambda z: math.exp(sigma * z), RANKS)
    square = moment_of_slowest(lambda z: math.exp(2 * sigma * z), RANKS)
    assert_mean(rows, expected)
    assert_variance(rows, (square - expected**2) / LAYERS)
    # The worked number, 11.4%, is of a normal law; a log-normal one has a longer upper tail.
    assert float(rows.mean()) - 1 == pytest.approx(0.121, abs=1e-3)


def test_without_barriers_layers_average_out_to_the_residual() -> None:
    sigma = RESIDUAL * math.sqrt(LAYERS)
    rows = seconds(1, [cause(lognormal(sigma), "layer")], steps=4000, layers=[LAYERS])
    assert_mean(rows, math.exp(sigma**2 / 2))
    assert_variance(rows, math.exp(sigma**2) * math.expm1(sigma**2) / LAYERS)
    assert float(rows.std()) == pytest.approx(RESIDUAL, rel=0.1)


@pytest.mark.parametrize("m", [1, 3, 4, 32])
def test_microbatches_average_out(m: int) -> None:
    sigma = 0.2
    law = cause(lognormal(sigma), "microbatch")
    rows = seconds(1, [law], steps=4000, microbatches=m, forward=1 / m, backward=2 / m) / 3
    assert_mean(rows, math.exp(sigma**2 / 2))
    assert_variance(rows, math.exp(sigma**2) * math.expm1(sigma**2) / m)


@pytest.mark.parametrize("m", [1, 5, 16])
def test_tensor_ranks_wait_for_each_other_in_each_microbatch(m: int) -> None:
    sigma, tensor = 0.1, 8
    law = cause(lognormal(sigma), "microbatch")
    rows = seconds(tensor, [law], steps=3000, microbatches=m, tensor=tensor) / m
    expected = moment_of_slowest(lambda z: math.exp(sigma * z), tensor)
    square = moment_of_slowest(lambda z: math.exp(2 * sigma * z), tensor)
    assert_mean(rows, expected)
    assert_variance(rows, (square - expected**2) / m)


@pytest.mark.parametrize("n_gangs", [1, 17, 200])
def test_the_slowest_of_independent_gangs_has_the_power_of_their_law(n_gangs: int) -> None:
    m, steps = 6, 5000
    law = cause(EXPONENTIAL, "microbatch")
    rows = seconds(n_gangs, [law], steps=steps, microbatches=m)
    assert_law(rows, gamma_cdf(m, slowest_of=n_gangs))


@pytest.mark.parametrize(("m", "layers"), [(1, 1), (1, 3), (3, 5)])
def test_each_layer_has_a_draw_of_its_own_in_each_direction(m: int, layers: int) -> None:
    rows = seconds(
        1,
        [cause(EXPONENTIAL, "layer")],
        steps=5000,
        microbatches=m,
        layers=[layers],
        forward=layers,
        backward=layers,
    )
    assert_law(rows, gamma_cdf(2 * m * layers))


def test_weight_passes_share_the_layers_of_the_backward_pass() -> None:
    m, layers = 2, 3
    passes = {"forward_s": 2.0, "backward_s": 0.5, "weight_s": 1.5}
    shape: Spec = {"kind": "zero-bubble", "microbatches": m, "layers": [layers]}
    causes = [cause(EXPONENTIAL, "layer")]
    rows = columns(1, causes, steps=5000, passes=passes, **shape)["compute_s"]
    assert_law(rows, gamma_cdf(2 * m * layers, scale=2 / layers))


@pytest.mark.parametrize(
    ("scope", "shape", "scale"), [("gpu", 4, 3.0), ("replica", 1, 12.0), ("pool", 1, 12.0)]
)
def test_stages_share_what_has_the_scope_of_their_replica(
    scope: str, shape: int, scale: float
) -> None:
    law = cause(EXPONENTIAL, "microbatch", scope=scope)
    rows = seconds(4, [law], steps=5000, stages=4, backward=2.0)
    assert_law(rows, gamma_cdf(shape, scale))


def test_replicas_of_a_gang_each_have_their_own_draws() -> None:
    law = cause(EXPONENTIAL, "microbatch", scope="replica")
    alone = seconds(30, [law], steps=5000)
    assert_law(alone, gamma_cdf(1, slowest_of=30))
    together = seconds(30, [law], steps=5000, gang_replicas=30)
    np.testing.assert_allclose(together, alone, rtol=1e-6)


@pytest.mark.parametrize("scope", ["gpu", "replica", "cluster"])
def test_stalls_of_microbatches_are_as_many_as_the_binomial_law_says(scope: str) -> None:
    m, often, steps = 7, 0.2, 8000
    law = {"name": "constant", "value": 0.25}
    stall = cause(law, "microbatch", effect="stall", scope=scope, probability=often)
    found = columns(
        1, [stall], steps=steps, microbatches=m, passes={"forward_s": 1.0, "backward_s": 1.0}
    )
    counts = np.rint(found["stall_s"] / 0.25)
    np.testing.assert_allclose(found["compute_s"], 2 * m + 0.25 * counts, rtol=1e-6)
    assert found["own_stall_s"] == pytest.approx(0.25 * m * often)
    for count in range(4):
        assert_mean((counts == count).astype(np.float64), float(stats.binom.pmf(count, m, often)))


@pytest.mark.parametrize("span", ["step", "microbatch", "layer"])
def test_a_rank_alone_is_as_busy_as_its_means_say(span: str) -> None:
    law = cause(lognormal(0.3), span, probability=0.4)
    passes = {"forward_s": 1.0, "backward_s": 2.0}
    found = columns(1, [law], steps=5000, microbatches=3, layers=[4], passes=passes)
    assert_mean(found["compute_s"], float(found["busy_s"][0]))


@pytest.mark.parametrize("span", ["step", "microbatch", "layer"])
def test_a_larger_gang_is_never_faster(span: str) -> None:
    causes = [cause(lognormal(0.05), span), cause(lognormal(0.02), "run", name="persistent")]
    rows = [
        seconds(60, causes, steps=200, microbatches=3, layers=[5], gang_replicas=gang)
        for gang in (1, 2, 4, 12, 60)
    ]
    for few, many in pairwise(rows):
        if span == "step":
            # Then the whole step has one barrier, wherever it stands.
            np.testing.assert_allclose(many, few, rtol=1e-12)
        else:
            assert (many >= few * (1 - 1e-12)).all()
            assert many.mean() > few.mean() * 1.001


def test_one_stage_alone_is_a_step_without_a_pipeline() -> None:
    pool = {"name": "a", "n_gpus": 300, "node_gpus": 1, "domain_gpus": 1, "rack_gpus": None}
    pool |= {"tensor_gpus": 1, "compute_s": 3.0}
    causes = [
        cause(lognormal(0.05), "step"),
        cause(lognormal(0.02), "run"),
        cause(EXPONENTIAL, "step", name="late", effect="stall", probability=0.01),
    ]
    plan = _core.Plan(pools=[pool], causes=causes, terms=[], overlap_fraction=0.0)
    without = _core.sample(plan, seed=SEED, runs=1, steps=300, threads=2)["compute_s"]
    within = seconds(300, causes, steps=300, backward=2.0)
    np.testing.assert_allclose(within, without, rtol=1e-6)
