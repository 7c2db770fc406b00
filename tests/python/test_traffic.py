"""Work that is bound by memory: bytes by hand, and the seconds that they take."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plans import compute_time, counts, job, pool_plan

import hindmost as hm
from hindmost.physics.memory import optimizer_bytes
from hindmost.physics.traffic import Traffic, stage_traffic
from hindmost.scenario import Scenario, from_table

L, H, F, V, HEADS, KV, D = 4, 1024, 4096, 32000, 8, 2, 128
TOKENS = 2 * 512

HBM_BYTES_PER_S = 3.35e12
"""Of an H100."""


def scenario(**changes: Any) -> Scenario:
    """Return a small job on one node, whose parts are easy to count."""
    table: dict[str, Any] = {
        "name": "small",
        "pools": {"a": {"gpu": "h100-sxm", "n_gpus": 8}},
        "fabric": {"name": "infiniband-ndr"},
        "models": {
            "small": {
                "n_layers": L,
                "hidden": H,
                "n_heads": HEADS,
                "n_kv_heads": KV,
                "head_dim": D,
                "ffn_hidden": F,
                "vocabulary": V,
                "gated": True,
                "tied": False,
            }
        },
        "workload": {
            "model": "small",
            "seq_len": 512,
            "microbatch_seqs": 2,
            "n_microbatches": 4,
            "logit_bytes": 0,
        },
        "layout": {"tensor": 2},
    }
    for path, value in changes.items():
        *parents, key = path.split("__")
        inner = table
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[key] = value
    return hm.scenario.with_changes(from_table(table), {})


def whole(one: Scenario) -> Traffic:
    (stage,) = job(one).stages
    return stage_traffic(job(one), stage)


def by_hand(*, again: str = "none", fp8: bool = False, tensor: int = 2) -> Traffic:
    """Count each read and each write of a rank, in the order in which a layer does them."""
    t, n = TOKENS, tensor
    q, kv = HEADS * D, 2 * KV * D
    norm, residual = 2 * t * H / n, 3 * t * H / n
    rotary = 2 * t * (HEADS + KV) * D / n
    activation = (2 + 1) * t * F / n
    gives = [t * (q + kv) / n, t * H, t * 2 * F / n, t * H]
    takes = [t * H, t * q / n, t * H, t * F / n]
    weights = [H * (q + kv) / n, q * H / n, H * 2 * F / n, F * H / n]
    cast = 4 if fp8 else 0
    products = 2 * sum(gives) + cast * sum(takes)
    of_layer = 2 * (2 * norm + 2 * residual + rotary + activation) + products
    norms_back, activation_back = 2 * 3 * t * H / n, (2 * 2 + 1) * t * F / n
    back = 2 * (norms_back + 2 * residual + rotary + activation_back)
    back += 2 * sum(takes) + cast * sum(gives)
    # Four microbatches write gradients in BF16 four times, and read them three times.
    gradients = sum(weights) * 2 * (4 + 3) / 4
    repeated = {"none": 0.0, "selective": 2 * (2 * norm + activation), "full": of_layer}[again]
    return Traffic(
        forward=L * of_layer + 2 * t * V / n,
        backward=L * back + 2 * t * H,
        weights=L * gradients + V / n * H * 2 * (4 + 3) / 4,
        again=L * repeated,
    )


@pytest.mark.parametrize("again", ["none", "selective", "full"])
@pytest.mark.parametrize("dtype", ["bf16", "fp8"])
@pytest.mark.parametrize("tensor", [1, 2])
def test_bytes_are_those_counted_by_hand(again: str, dtype: str, tensor: int) -> None:
    one = scenario(workload__recompute=again, workload__dtype=dtype, layout__tensor=tensor)
    expected = by_hand(again=again, fp8=dtype == "fp8", tensor=tensor)
    found = whole(one)
    for name in ("forward", "backward", "weights", "again"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-12), name


def test_each_byte_of_the_logits_is_written_and_read() -> None:
    more = whole(scenario(workload__logit_bytes=8)).backward - whole(scenario()).backward
    assert more == pytest.approx(2 * 8 * TOKENS * V / 2)


def test_gradients_in_fp32_are_twice_as_many_bytes() -> None:
    fp32 = whole(scenario(workload__gradient_dtype="fp32"))
    assert fp32.weights == pytest.approx(2 * whole(scenario()).weights)


def test_frozen_weights_have_no_gradients() -> None:
    assert whole(scenario(workload__trainable="lora")).weights == 0


def test_parts_that_are_computed_again_move_their_forward_bytes_again() -> None:
    every = ["norms", "activations", "attention", "feed_forward"]
    apart = [whole(scenario(workload__recompute_modules=[one])).again for one in every]
    # The network holds its activation.
    together = whole(scenario(workload__recompute_modules=every)).again
    assert together == pytest.approx(sum(apart) - apart[1])
    sums = L * 2 * 2 * 3 * TOKENS * H / 2
    assert together == pytest.approx(whole(scenario(workload__recompute="full")).again - sums)


def test_experts_move_copies_of_their_tokens() -> None:
    experts = {"n_experts": 4, "per_token": 2, "ffn_hidden": F}
    routed = whole(scenario(models__small__experts=experts))
    # One network a token more, and copies there and back.
    products = 2 * (TOKENS * 2 * F / 2 + TOKENS * H)
    activation = 2 * 3 * TOKENS * F / 2
    copies = 2 * 2 * (2 + 1) * TOKENS * H / 2
    added = routed.forward - whole(scenario()).forward
    assert added == pytest.approx(L * (products + activation + copies))


def test_seconds_are_bytes_over_the_share_of_the_memorys_rate() -> None:
    flops = scenario()
    bound = scenario(pools__a__memory_efficiency=0.8, pools__a__software_efficiency=0.5)
    only_slower = scenario(pools__a__software_efficiency=0.5)
    rate = 0.5 * 0.8 * HBM_BYTES_PER_S
    moved = whole(flops)
    (with_bytes,) = compute_time(bound, "a").stages
    (without,) = compute_time(only_slower, "a").stages
    assert with_bytes.forward_s - without.forward_s == pytest.approx(moved.forward / rate)
    backward = moved.backward + moved.weights + moved.again
    assert with_bytes.backward_s - without.backward_s == pytest.approx(backward / rate)


def test_the_optimizer_goes_through_the_memory_once_a_step() -> None:
    one = scenario(pools__a__memory_efficiency=0.8, layout__sharding="zero1")
    (parameters,) = job(one).stage_parameters
    # Two readings of a gradient in BF16, states of 12 bytes both ways, a weight: 30 bytes.
    owned = parameters.dense / 4
    assert optimizer_bytes(job(one), counts(one).pools["a"].state_ranks, parameters) == 30 * owned
    rate = 0.8 * HBM_BYTES_PER_S
    assert compute_time(one, "a").overhead_s == pytest.approx(30 * owned / rate)
    whole_copy = scenario(pools__a__memory_efficiency=0.8, layout__sharding="none")
    assert compute_time(whole_copy, "a").overhead_s == pytest.approx(4 * 30 * owned / rate)


def test_an_optimizer_on_the_host_is_not_in_the_gpus_memory() -> None:
    there = {"workload__offload_optimizer": True, "pools__a__host_bytes_per_s": 50e9}
    bound = scenario(pools__a__memory_efficiency=0.8, **there)
    assert compute_time(bound, "a").overhead_s == compute_time(scenario(**there), "a").overhead_s


def test_measured_passes_hold_all_of_it() -> None:
    measured = {"pools__a__forward_s": 0.1, "pools__a__backward_s": 0.2}
    bound = scenario(pools__a__memory_efficiency=0.8, **measured)
    assert compute_time(bound, "a").stages == compute_time(scenario(**measured), "a").stages


def test_ideal_kernels_take_their_flops_alone() -> None:
    bound = scenario(pools__a__memory_efficiency=0.8, ideal__kernel_efficiency=True)
    ideal = scenario(ideal__kernel_efficiency=True)
    assert compute_time(bound, "a") == compute_time(ideal, "a")


def test_without_a_share_it_takes_no_time() -> None:
    assert pool_plan(scenario(), "a").compute.overhead_s == 0.0


def test_scores_have_an_efficiency_of_their_own() -> None:
    half = scenario(pools__a__attention_efficiency=0.803 / 2)
    (slower,), (as_products,) = (compute_time(one, "a").stages for one in (half, scenario()))
    per_token = 6 * L * HEADS * 2 * D * 512 / 2
    seconds = TOKENS * per_token / 2 / (989e12 * 0.803)
    assert slower.total_s - as_products.total_s == pytest.approx(seconds)


def test_a_share_of_the_exchange_of_tensor_groups_hides() -> None:
    none, some = scenario(), scenario(workload__tensor_overlap_fraction=0.25)
    assert compute_time(some, "a").tensor_s == pytest.approx(
        0.75 * compute_time(none, "a").tensor_s
    )
    hidden = compute_time(none, "a").passes_s - compute_time(some, "a").passes_s
    assert hidden == pytest.approx(0.25 * compute_time(none, "a").tensor_s)


def test_what_hides_costs_its_share() -> None:
    free = hm.compile(scenario(layout__sharding="zero3")).plan
    costly = hm.compile(scenario(layout__sharding="zero3", collective__hidden_cost=0.4)).plan
    transfers = sum(term.cost.total_s for term in free.pools[0].terms)
    exposed = free.noiseless_step_s - free.pools[0].compute.step_s
    added = costly.noiseless_step_s - free.noiseless_step_s
    assert transfers > exposed > 0
    assert added == pytest.approx(0.4 * (transfers - exposed))
    # Causes, too: with none the core comes to the same.
    step_s = hm.simulate(scenario(layout__sharding="zero3", collective__hidden_cost=0.4), seed=1)
    assert step_s.value("step_time_s", "p50") == pytest.approx(costly.noiseless_step_s, rel=0.02)
