"""Matrix products that were measured, and energy, against hand calculations."""

from typing import Any

import pytest
from tests.plans import compute_time, job

import hindmost as hm
from hindmost.catalog import layers_of
from hindmost.physics.flops import matmul_parameters, output_parameters
from hindmost.physics.products import layer_products
from hindmost.scenario import Scenario


def with_products(*products: tuple[int, int, int, float], **changes: Any) -> Scenario:
    table = [
        {"rows": rows, "columns": columns, "inner": inner, "efficiency": efficiency}
        for rows, columns, inner, efficiency in products
    ]
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return hm.load("h100-1k", {"pools.h100.products": table, **changes})


@pytest.mark.parametrize("tensor", [1, 2, 4, 8])
@pytest.mark.parametrize("model", ["llama3-70b", "gpt3-175b"])
def test_products_of_all_layers_are_the_flops_of_their_parameters(model: str, tensor: int) -> None:
    changes = {"workload.model": model, "layout.tensor": tensor, "layout.shard_group_replicas": 128}
    scenario = hm.load("h100-1k", {**changes, "workload.microbatch_seqs": 1})
    shapes = [
        shape
        for layer in layers_of(scenario.model)
        for shape in layer_products(job(scenario), layer)
    ]
    of_layers = matmul_parameters(scenario.model) - output_parameters(scenario.model)
    assert sum(shape.flops for shape in shapes) == pytest.approx(2 * 8192 * of_layers / tensor)


def test_one_measured_product_is_the_efficiency_of_all_layers() -> None:
    scenario = with_products((8192, 8192, 8192, 0.5))
    plain = compute_time(hm.load("h100-1k", {"pools.h100.kernel_efficiency": 0.5}), "h100")
    measured = compute_time(scenario, "h100")
    # Attention scores and the output layer keep the kernel efficiency.
    model = scenario.model
    per_token = 6 * output_parameters(model) + 6 * 80 * 64 * 256 * 8192 / 2
    kept_s = 4 / 3 * 2 * 2 * 8192 * per_token / 8 / 989e12
    assert plain.step_s - measured.step_s == pytest.approx(kept_s * (1 / 0.5 - 1 / 0.803))


def test_each_product_takes_the_efficiency_of_the_nearest_one() -> None:
    # Llama-3-70B on 8 ranks: (16384, 1280, 8192), (16384, 8192, 1024), (16384, 7168, 8192),
    # (16384, 8192, 3584).
    shapes = [(16384, 1280, 8192), (16384, 8192, 1024), (16384, 7168, 8192), (16384, 8192, 3584)]
    scenario = hm.load("h100-1k")
    found = layer_products(job(scenario), layers_of(scenario.model)[0])
    assert [(shape.rows, shape.columns, shape.inner) for shape in found] == shapes
    rates = (0.4, 0.5, 0.7, 0.6)
    near = [(r + 1, c + 1, k + 1, rate) for (r, c, k), rate in zip(shapes, rates, strict=True)]
    flops = [2 * r * c * k for r, c, k in shapes]
    together = sum(flops) / sum(f / rate for f, rate in zip(flops, rates, strict=True))
    one = compute_time(with_products((1, 1, 1, round(together, 12))), "h100")
    assert compute_time(with_products(*near), "h100").step_s == pytest.approx(one.step_s)


def test_experts_have_the_tokens_that_come_to_each() -> None:
    changes: dict[str, Any] = {
        "workload.model": "mixtral-8x7b",
        "layout.tensor": 1,
        "layout.expert": 4,
    }
    changes |= {"layout.shard_group_replicas": 64, "workload.recompute": "full"}
    scenario = hm.load("h100-1k", {**changes, "workload.microbatch_seqs": 1})
    # Two of eight experts a rank; each token of four ranks goes to two of the eight.
    experts = layer_products(job(scenario), layers_of(scenario.model)[0])[-4:]
    assert [(shape.rows, shape.columns, shape.inner) for shape in experts] == 2 * [
        (8192 * 4 * 2 / 8, 2 * 14336, 4096),
        (8192 * 4 * 2 / 8, 4096, 14336),
    ]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("rows", 0, ">= 1"), ("efficiency", 1.5, "<= 1"), ("inner", 2.5, "an integer")],
)
def test_a_product_that_cannot_be_is_refused(field: str, value: float, said: str) -> None:
    product = {"rows": 1, "columns": 1, "inner": 1, "efficiency": 0.5, field: value}
    with pytest.raises(hm.ScenarioError, match=rf"pools.h100.products.0.{field} must be {said}"):
        hm.load("h100-1k", {"pools.h100.products": [product]})


def test_energy_is_peak_power_while_a_rank_computes_and_idle_power_else() -> None:
    quiet: dict[str, Any] = {f"causes.{name}.enabled": False for name in hm.load("h100-1k").causes}
    quiet |= {"fabric.noise.enabled": False, "pools.h100.n_gpus": 1030}
    power = {"pools.h100.peak_power_w": 600.0, "pools.h100.idle_power_w": 100.0}
    result = hm.simulate(hm.load("h100-1k", {**quiet, **power}), seed=1, runs=1, steps=1)
    row = result.pools.row(0, named=True)
    step_s, compute_s = result.value("step_time_s"), result.value("compute_s")
    waiting_s = step_s - compute_s
    by_hand = 1024 * (600 * compute_s + 100 * waiting_s) + 6 * 100 * step_s
    assert row["energy_j"] == pytest.approx(by_hand, rel=1e-9)


def test_energy_is_unknown_where_a_power_is() -> None:
    result = hm.simulate("h100-1k", seed=1, runs=1, steps=1)
    assert result.pools["energy_j"].to_list() == [None]
