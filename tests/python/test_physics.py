"""Memory and compute time against worked values and hand calculations.

Worked values are from an independent calculation, unless another source is named.
"""

import pytest
from tests.plans import compute_time, counts, job, pool_plan
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost.plan import make_plan


def test_colossus_1_needs_32_5_gb_a_gpu() -> None:
    scenario = hm.load(COLOSSUS_1_BARE)
    needed = pool_plan(scenario, "gb200").memory
    # 27,493 replicas are 429 groups of 64 and one of 37, which lies in the last pool.
    assert counts(scenario).smallest_shard_group == 37
    assert counts(scenario).pools["gb200"].smallest_shard_group == 37
    assert needed.states_bytes == pytest.approx(16 * 405853388800 / 8 / 37)
    assert needed.activations_bytes == pytest.approx(2 * 16384 * 16384 * 126 / 8)
    assert needed.recomputed_bytes == pytest.approx(31.75 * 16384 * 16384 / 8)
    # Logits take more than a layer that is computed again.
    assert needed.logits_bytes == pytest.approx(8 * 128_256 * 16384 / 8)
    assert round(needed.total_bytes / 1e9, 1) == 32.5
    assert make_plan(scenario).fullest_bytes == needed.total_bytes


def test_only_pools_with_a_part_in_the_last_shard_group_pay_for_it() -> None:
    scenario = hm.load(COLOSSUS_1_BARE)
    assert [counts(scenario).pools[pool].smallest_shard_group for pool in ("h100", "h200")] == [
        64
    ] * 2
    states = 16 * 405853388800 / 8 / 64
    assert pool_plan(scenario, "h100").memory.states_bytes == pytest.approx(states)


@pytest.mark.parametrize(
    ("recompute", "kept_bytes"), [("none", 33.5), ("selective", 22.5), ("full", 2.0)]
)
def test_activations_kept_depend_on_what_is_computed_again(
    recompute: str, kept_bytes: float
) -> None:
    scenario = hm.load("h100-1k", {"workload.recompute": recompute})
    # Llama-3-70B: keys and values of h / 4 together, a gated product of 3.5 h.
    kept = kept_bytes * 2 * 8192 * 8192 * 80 / 8
    assert pool_plan(scenario, "h100").memory.activations_bytes == pytest.approx(kept)


def test_a_rank_of_colossus_1_computes_as_by_hand() -> None:
    time = compute_time(hm.load(COLOSSUS_1_BARE), "h100")
    tokens = 2 * 8192
    flops = tokens * (6 * 403.747897344e9 + 6 * 126 * 128 * 256 * 8192 / 2)
    passes_s = flops / 8 * 4 / 3 / (989e12 * 0.803)
    # Four gathers and scatters a layer in each of forward, forward again, backward.
    exchange_s = 12 * 126 * 7 * (3.4e-6 + tokens * 16384 * 2 / 8 / 370.8e9)
    assert time.tensor_s == pytest.approx(exchange_s, rel=1e-12)
    assert time.step_s == pytest.approx(passes_s + exchange_s, rel=1e-12)
    # A calculation by hand without hop latency gave 10.65 s, a fifth of it exchange.
    assert time.step_s == pytest.approx(10.65, rel=0.005)
    assert time.tensor_s / time.step_s == pytest.approx(0.2, abs=0.02)


def test_efficiencies_and_overhead_enter_compute_time() -> None:
    plain = compute_time(hm.load("h100-1k"), "h100")
    flops_s = plain.step_s - plain.tensor_s

    def step_s(**changes: float) -> float:
        table = {key.replace("__", "."): value for key, value in changes.items()}
        return compute_time(hm.load("h100-1k", table), "h100").step_s

    halved = step_s(pools__h100__software_efficiency=0.5)
    assert halved == pytest.approx(2 * flops_s + plain.tensor_s)
    perfect = step_s(pools__h100__kernel_efficiency=1.0)
    assert perfect == pytest.approx(0.803 * flops_s + plain.tensor_s)
    assert step_s(workload__overhead_s=0.25) == pytest.approx(plain.step_s + 0.25)


def test_passes_split_into_forward_and_backward() -> None:
    changes = {"layout.tensor": 1, "layout.shard_group_replicas": 128, "pools.h100.n_gpus": 1024}
    for recompute, ratio in (("none", 2.0), ("full", 3.0)):
        if recompute == "none":
            changes["workload.microbatch_seqs"] = 1
        scenario = hm.load("h100-1k", {**changes, "workload.recompute": recompute})
        time = compute_time(scenario, "h100")
        assert time.tensor_s == 0
        assert time.backward_s / time.forward_s == pytest.approx(ratio)


def test_a_global_batch_is_shared_out_to_microbatches() -> None:
    assert job(hm.load("h100-1k", {"workload.global_batch_seqs": 128 * 2 * 5})).n_microbatches == 5


def test_a_number_format_computes_at_its_own_peak_and_efficiency() -> None:
    bf16 = compute_time(hm.load("h100-1k"), "h100")
    fp8 = compute_time(hm.load("h100-1k", {"workload.dtype": "fp8"}), "h100")
    assert fp8.tensor_s == bf16.tensor_s
    # Only the products of layers change; attention scores and the output layer do not.
    per_token = 6 * (69.501714432e9 - 128256 * 8192)
    tokens = 2 * 2 * 8192 / 8
    saved = 1 / (989e12 * 0.803) - 1 / (1979e12 * 0.709)
    assert bf16.step_s - fp8.step_s == pytest.approx(4 / 3 * tokens * per_token * saved)


def test_measured_passes_replace_computed_ones() -> None:
    measured = {"pools.h100.forward_s": 0.5, "pools.h100.backward_s": 1.25}
    scenario = hm.load("h100-1k", {**measured, "workload.overhead_s": 0.25})
    time = compute_time(scenario, "h100")
    assert (time.forward_s, time.backward_s) == (0.5, 1.25)
    assert time.step_s == 2 * (0.5 + 1.25) + 0.25


def test_a_pools_own_hop_enters_what_its_tensor_groups_pay() -> None:
    hop = {"pools.h100.scale_up_latency_s": 0.0}
    plain, without = (compute_time(hm.load("h100-1k", changes), "h100") for changes in ({}, hop))
    # Seven hops for each of four exchanges a layer, in three passes of two microbatches.
    assert plain.tensor_s - without.tensor_s == pytest.approx(2 * 3 * 4 * 80 * 7 * 3.4e-6)
