"""FLOPs, memory and compute time against worked values and hand calculations.

Worked values are from an independent calculation, unless another source is named.
"""

import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Basis, Model
from hindmost.physics.compute import compute_time, n_microbatches
from hindmost.physics.flops import (
    attention_flops_per_token,
    matmul_parameters,
    model_flops_per_token,
    parameters,
    recomputed_share,
)
from hindmost.physics.memory import memory
from hindmost.plan import make_plan
from hindmost.scenario import Scenario, smallest_shard_group

LLAMA_8B = {
    "n_layers": 32,
    "hidden": 4096,
    "n_heads": 32,
    "n_kv_heads": 8,
    "head_dim": 128,
    "ffn_hidden": 14336,
    "vocabulary": 128256,
}


def llama_8b() -> Model:
    basis = {field: Basis(kind="quoted", where="arXiv 2407.21783, table 3") for field in LLAMA_8B}
    return Model(name="llama3-8b", title="Llama 3 8B", basis=basis, **LLAMA_8B)


@pytest.mark.parametrize(
    ("model", "all_e9", "matmul_e9"),
    [
        (llama_8b(), 8.030261, 7.504658),
        (catalog.model("llama3-70b"), 70.554, 69.502),
        (catalog.model("llama3-405b"), 405.853, 403.748),
    ],
    ids=lambda value: value.name if isinstance(value, Model) else str(value),
)
def test_parameters_follow_from_dimensions(model: Model, all_e9: float, matmul_e9: float) -> None:
    digits = 6 if model.name == "llama3-8b" else 3
    assert round(parameters(model) / 1e9, digits) == all_e9
    assert round(matmul_parameters(model) / 1e9, digits) == matmul_e9


@pytest.mark.parametrize(
    ("n_gpus", "sequences", "step_s", "mfu"),
    [(256, 768, 40.0, 0.5300), (12288, 6144, 8.57, 0.4123)],
)
def test_mfu_of_gpt_3_with_full_attention(
    n_gpus: int, sequences: int, step_s: float, mfu: float
) -> None:
    attention = attention_flops_per_token(
        n_layers=96, n_heads=96, d_qk=128, d_v=128, seq_len=2048, causal=False
    )
    flops = sequences * 2048 * (6 * 174.6e9 + attention)
    assert round(flops / (n_gpus * 312e12 * step_s), 4) == mfu


def test_attention_of_deepseek_v3() -> None:
    full, causal = (
        attention_flops_per_token(
            n_layers=61, n_heads=128, d_qk=192, d_v=128, seq_len=4096, causal=causal
        )
        for causal in (False, True)
    )
    assert round(full / 1e9, 3) == 61.405
    assert round((6 * 37e9 + causal) / (6 * 37e9 + full), 4) == 0.8917


def test_recomputation_costs_a_forward_pass_or_nothing() -> None:
    assert recomputed_share("none") == recomputed_share("selective") == 0
    assert recomputed_share("full") == pytest.approx(1 / 3)


def test_colossus_1_needs_31_5_gb_a_gpu() -> None:
    scenario = hm.load("colossus-1")
    needed = memory(scenario, "gb200")
    # 27,493 replicas are 429 groups of 64 and one of 37, which lies in the last pool.
    assert smallest_shard_group(scenario) == smallest_shard_group(scenario, "gb200") == 37
    assert needed.states_bytes == pytest.approx(16 * 405853388800 / 8 / 37)
    assert needed.activations_bytes == pytest.approx(2 * 16384 * 16384 * 126 / 8)
    assert needed.recomputed_bytes == pytest.approx(31.75 * 16384 * 16384 / 8)
    assert round(needed.total_bytes / 1e9, 1) == 31.5
    assert make_plan(scenario).fullest_bytes == needed.total_bytes


def test_only_pools_with_a_part_in_the_last_shard_group_pay_for_it() -> None:
    scenario = hm.load("colossus-1")
    assert smallest_shard_group(scenario, "h100") == smallest_shard_group(scenario, "h200") == 64
    states = 16 * 405853388800 / 8 / 64
    assert memory(scenario, "h100").states_bytes == pytest.approx(states)


@pytest.mark.parametrize(
    ("recompute", "kept_bytes"), [("none", 33.5), ("selective", 22.5), ("full", 2.0)]
)
def test_activations_kept_depend_on_what_is_computed_again(
    recompute: str, kept_bytes: float
) -> None:
    scenario = hm.load("h100-1k", {"workload.recompute": recompute})
    # Llama-3-70B: keys and values of h / 4 together, a gated product of 3.5 h.
    kept = kept_bytes * 2 * 8192 * 8192 * 80 / 8
    assert memory(scenario, "h100").activations_bytes == pytest.approx(kept)


def test_a_rank_of_colossus_1_computes_as_by_hand() -> None:
    time = compute_time(hm.load("colossus-1"), "h100")
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
    scenario: Scenario = hm.load("h100-1k", {"workload.global_batch_seqs": 128 * 2 * 5})
    assert n_microbatches(scenario) == 5


def test_model_flops_do_not_count_recomputation() -> None:
    model = catalog.model("llama3-70b")
    per_token = model_flops_per_token(model, seq_len=8192, causal=True)
    attention = 6 * 80 * 64 * 256 * 8192 / 2
    assert per_token == 6 * matmul_parameters(model) + attention
