"""What a pass of one microbatch takes: number formats, windows, experts, shared sequences."""

from __future__ import annotations

import pytest
from tests.plans import compute_time, job

import hindmost as hm
from hindmost.physics.compute import ComputeTime

Changes = dict[str, object]

EXACT = 1e-12
PORT = 0.915 * 50e9
DOMAIN, HOP = 370.8e9, 3.4e-6
BF16_FLOP_PER_S = 989e12 * 0.803

# One microbatch of 4,096 tokens on 8 nodes, one after another.
SMALL: Changes = {
    "pools.h100.n_gpus": 64,
    "layout.sharding": "none",
    "layout.tensor": 1,
    "workload.n_microbatches": 1,
    "workload.microbatch_seqs": 1,
    "workload.seq_len": 4096,
    "workload.recompute": "none",
}
MIXTRAL: Changes = {**SMALL, "workload.model": "mixtral-8x7b"}
DEEPSEEK: Changes = {**SMALL, "workload.model": "deepseek-v3"}


def computed(*changes: Changes) -> ComputeTime:
    table = {key: value for table in changes for key, value in table.items()}
    return compute_time(hm.load("h100-1k", table), "h100")


def mixtral_flops() -> float:
    """Return FLOPs of a token: two of eight experts, 32 heads of queries, 8 of keys, a router."""
    attention = 4096 * (2 * 4096 + 2 * 1024)
    layer = attention + 2 * 3 * 4096 * 14_336 + 4096 * 8
    return 6 * (32 * layer + 32_000 * 4096) + 32 * 6 * 32 * 256 * 4096 / 2


def deepseek_flops() -> float:
    down, up = 7168 * (1536 + 512 + 64), 1536 * 128 * 192 + 512 * 128 * (128 + 128)
    attention = down + up + 128 * 128 * 7168
    expert = 3 * 7168 * 2048
    routed = attention + 7168 * 256 + 9 * expert
    dense = attention + 3 * 7168 * 18_432
    return 6 * (3 * dense + 58 * routed + 129_280 * 7168) + 61 * 6 * 128 * 320 * 4096 / 2


@pytest.mark.parametrize(
    ("model", "flops"), [(MIXTRAL, mixtral_flops()), (DEEPSEEK, deepseek_flops())]
)
def test_a_token_meets_its_own_experts_only(model: Changes, flops: float) -> None:
    time = computed(model)
    assert job(hm.load("h100-1k", model)).microbatch_model_flops == 4096 * flops
    assert time.step_s == pytest.approx(4096 * flops / BF16_FLOP_PER_S, rel=EXACT)
    # Ranks divide the experts, and each still meets as many tokens.
    assert computed(model, {"layout.expert": 8}).step_s > time.step_s


def all_to_all_s(n_bytes: float, n: int, per_domain: int) -> float:
    """Through ports what leaves the domain, meanwhile the rest within it; the longer one counts."""
    port_s = (n - per_domain) / n * n_bytes / PORT
    scale_up_s = (per_domain - 1) / n * n_bytes / DOMAIN
    return (14e-6 if n > per_domain else HOP) + max(port_s, scale_up_s)


@pytest.mark.parametrize(("expert", "per_domain"), [(2, 2), (4, 4), (8, 8)])
def test_tokens_go_to_the_experts_of_mixtral_and_back(expert: int, per_domain: int) -> None:
    one_s = all_to_all_s(4096 * 4096 * 2 * 2, expert, per_domain)
    apart, alone = computed(MIXTRAL, {"layout.expert": expert}), computed(MIXTRAL)
    assert apart.forward_s - alone.forward_s == pytest.approx(32 * 2 * one_s)
    assert apart.backward_s - alone.backward_s == pytest.approx(32 * 2 * one_s)
    again: Changes = {"workload.recompute": "full"}
    divided, alone = computed(MIXTRAL, again, {"layout.expert": expert}), computed(MIXTRAL, again)
    # The forward pass is repeated, and so are its exchanges.
    assert divided.backward_s - alone.backward_s == pytest.approx(32 * 4 * one_s)


@pytest.mark.parametrize(("expert", "per_domain"), [(8, 8), (16, 8), (64, 8)])
def test_a_copy_goes_to_each_expert_of_deepseek_v3_beyond_a_node(
    expert: int, per_domain: int
) -> None:
    one_s = all_to_all_s(4096 * 7168 * 2 * 8, expert, per_domain)
    each: Changes = {"layout.expert": expert, "workload.expert_copies": "expert"}
    divided, alone = computed(DEEPSEEK, each), computed(DEEPSEEK)
    # Three of 61 layers have no experts.
    assert divided.forward_s - alone.forward_s == pytest.approx(58 * 2 * one_s)


def test_ranks_of_other_stages_and_of_a_tensor_group_hold_other_tokens_or_experts() -> None:
    changes: Changes = {"layout.tensor": 8, "layout.expert": 8}
    one_s = all_to_all_s(4096 * 4096 * 2 * 2 / 8, 8, 1)
    alone = computed(MIXTRAL, {"layout.tensor": 8})
    # A rank a node has the same part, so all seven eighths leave it.
    assert computed(MIXTRAL, changes).forward_s - alone.forward_s == pytest.approx(64 * one_s)


LLAMA: Changes = {"workload.recompute": "none", "workload.microbatch_seqs": 1}
LLAMA |= {"layout.shard_group_replicas": 8}


def keys_and_values_s(context: int, tensor: int, per_domain: int) -> float:
    """Gather 2 x 1,024 BF16 numbers a token, 80 times."""
    n_bytes = 8192 * 2 * 2048 / tensor
    domains = context // per_domain
    hops_s = (domains - 1).bit_length() * 14e-6 + (per_domain - 1) * HOP
    port_s = (domains - 1) / domains * n_bytes / per_domain / PORT
    # Ports and links within a domain work at the same time.
    return 80 * (hops_s + max(port_s, (per_domain - 1) * n_bytes / per_domain / DOMAIN))


@pytest.mark.parametrize(
    ("context", "tensor", "per_domain"), [(2, 8, 1), (16, 8, 1), (2, 4, 2), (8, 4, 2), (8, 1, 8)]
)
def test_context_ranks_divide_flops_and_gather_keys_and_values(
    context: int, tensor: int, per_domain: int
) -> None:
    one: Changes = {"layout.tensor": tensor}
    alone = computed(LLAMA, one)
    shared = computed(LLAMA, one, {"layout.context": context})
    exchange_s = 80 * 4 * (tensor - 1) * (HOP + 8192 * 8192 * 2 / tensor / DOMAIN)
    flops_s = alone.forward_s - exchange_s
    less_s = 80 * 4 * (tensor - 1) * (HOP + 8192 * 8192 * 2 / tensor / context / DOMAIN)
    gather_s = keys_and_values_s(context, tensor, per_domain)
    assert shared.forward_s == pytest.approx(flops_s / context + less_s + gather_s)
    # Once more to compute, and once to scatter the gradients.
    assert shared.backward_s == pytest.approx(2 * flops_s / context + less_s + 2 * gather_s)
    again: Changes = {"workload.recompute": "full"}
    full = computed(LLAMA, one, {"layout.context": context}, again)
    expected_s = 3 * flops_s / context + 2 * less_s + 3 * gather_s
    assert full.backward_s == pytest.approx(expected_s)
    assert full.tensor_s == pytest.approx(2 * 3 * less_s)


def test_latent_attention_shares_its_latent_vectors() -> None:
    alone, shared = computed(DEEPSEEK), computed(DEEPSEEK, {"layout.context": 2})
    n_bytes = 4096 * 2 * (512 + 64)
    gather_s = 61 * (HOP + n_bytes / 2 / DOMAIN)
    assert shared.forward_s == pytest.approx(alone.forward_s / 2 + gather_s)


OWN: Changes = {
    "n_layers": 4,
    "hidden": 1024,
    "n_heads": 8,
    "n_kv_heads": 8,
    "head_dim": 128,
    "ffn_hidden": 4096,
    "vocabulary": 1000,
}


@pytest.mark.parametrize("window", [None, 512, 4096, 9999])
def test_a_window_bounds_what_a_token_attends_to(window: int | None) -> None:
    own = {**OWN, "window": window} if window else OWN
    time = computed(SMALL, {"models.own": own, "workload.model": "own"})
    parameters = 4 * (4 * 1024**2 + 3 * 1024 * 4096) + 1000 * 1024
    keys = 4096 / 2
    if window == 512:
        keys = sum(min(token, 512) for token in range(1, 4097)) / 4096
    flops = 4096 * (6 * parameters + 4 * 6 * 8 * 256 * keys)
    assert time.step_s == pytest.approx(flops / BF16_FLOP_PER_S, rel=EXACT)


def test_fp8_leaves_attention_and_the_output_layer_in_bf16() -> None:
    own: Changes = {"models.own": OWN, "workload.model": "own", "workload.dtype": "fp8"}
    time = computed(SMALL, own, {"layout.pipeline": 2})
    layers = 6 * 2 * (4 * 1024**2 + 3 * 1024 * 4096) / (1979e12 * 0.709)
    attention = 6 * 2 * 8 * 256 * 2048 / BF16_FLOP_PER_S
    output = 6 * 1000 * 1024 / BF16_FLOP_PER_S
    first, last = time.stages
    assert first.total_s == pytest.approx(4096 * (layers + attention), rel=EXACT)
    assert last.total_s == pytest.approx(4096 * (layers + attention + output), rel=EXACT)


def test_full_attention_counts_both_halves() -> None:
    own: Changes = {"models.own": OWN, "workload.model": "own"}
    full, causal = computed(SMALL, own, {"workload.attention": "full"}), computed(SMALL, own)
    half = 4096 * 4 * 6 * 8 * 256 * 2048 / BF16_FLOP_PER_S
    assert full.step_s - causal.step_s == pytest.approx(half)
