"""Memory of the fullest GPU against hand calculations and published accounts.

S. Rajbhandari et al., ZeRO, SC 2020, section 3; V. Korthikanti et al., Reducing Activation
Recomputation in Large Transformer Models, MLSys 2023, section 4.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.plans import counts, pool_plan

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Transformer, layers_of
from hindmost.physics.activations import kept_bytes_per_token
from hindmost.physics.flops import parameters
from hindmost.physics.memory import Memory
from hindmost.plan import make_plan

Changes = dict[str, Any]

LLAMA_405B = 405_853_388_800
HIDDEN, LAYERS = 16_384, 126


def needed(preset: str, *changes: Changes, pool: str = "h100") -> Memory:
    table = {key: value for table in changes for key, value in table.items()}
    return pool_plan(hm.load(preset, table), pool).memory


SHARDINGS: dict[str, tuple[Changes, float]] = {
    # Bytes a parameter with 128 replicas; 16 of 2 weights, 2 gradients and 12 of Adam.
    "none": ({}, 16),
    "zero1": ({}, 4 + 12 / 128),
    "zero2": ({}, 2 + 14 / 128),
    "zero3": ({}, 16 / 128),
    "hybrid": ({"layout.shard_group_replicas": 16}, 1),
    "hybrid 48": ({"layout.shard_group_replicas": 48}, 16 / 32),
    "hybrid 500": ({"layout.shard_group_replicas": 500}, 16 / 128),
}


@pytest.mark.parametrize("name", SHARDINGS)
def test_ranks_divide_states_as_the_sharding_says(name: str) -> None:
    changes, per_parameter = SHARDINGS[name]
    changes = {"layout.sharding": name.split()[0], **changes}
    found = needed("h100-1k", changes)
    assert found.states_bytes == pytest.approx(per_parameter * 70_553_706_496 / 8)


@pytest.mark.parametrize("name", SHARDINGS)
def test_context_ranks_share_states_like_replicas(name: str) -> None:
    changes = {"layout.sharding": name.split()[0], **SHARDINGS[name][0]}
    if "layout.shard_group_replicas" in changes:
        changes["layout.shard_group_replicas"] //= 4
    one = needed("h100-1k", {"layout.sharding": name.split()[0], **SHARDINGS[name][0]})
    four = needed("h100-1k", changes, {"layout.context": 4})
    assert four.states_bytes == pytest.approx(one.states_bytes)
    assert four.activations_bytes == one.activations_bytes / 4
    assert four.recomputed_bytes == one.recomputed_bytes / 4


def test_tensor_and_pipeline_ranks_divide_parameters() -> None:
    unsharded: Changes = {"layout.sharding": "none", "workload.microbatch_seqs": 1}
    for tensor, pipeline in ((8, 1), (4, 2), (1, 8), (8, 8)):
        layout = {"layout.tensor": tensor, "layout.pipeline": pipeline}
        found = needed("h100-1k", unsharded, layout)
        ranks = tensor * pipeline
        # The output layer is more than an even share of what is left.
        uneven = 16 * 128_256 * 8192 / tensor if pipeline > 1 else 0
        even = 16 * 70_553_706_496 / ranks
        assert even * (1 - 1e-6) <= found.states_bytes <= even + uneven


def test_the_fullest_stage_holds_the_most_layers_and_microbatches() -> None:
    found = needed("colossus-1-pp16")
    # Stages 1 to 14 have eight layers, and stage 1 has 15 microbatches on their way.
    attention = HIDDEN * (2 * HIDDEN + 2 * 1024)
    stage = 8 * (attention + 3 * HIDDEN * 53_248 + 2 * HIDDEN) / 8
    assert found.stage == 1
    assert found.states_bytes == pytest.approx((4 + 12 / 1716) * stage)
    assert found.activations_bytes == pytest.approx(15 * 8 * 21.25 * HIDDEN * 8192 / 8)
    assert found.recomputed_bytes == 0


IN_FLIGHT: dict[str, tuple[Changes, float]] = {
    # Microbatches of the first of four stages of 20 layers; 12 in all.
    "gpipe": ({}, 12),
    "1f1b": ({}, 4),
    "zero-bubble": ({}, 4),
    # 2 (p - 1) + (v - 1) p + 1 chunks of half of the layers.
    "interleaved": ({"layout.chunks": 2}, (6 + 4 + 1) / 2),
}


@pytest.mark.parametrize("schedule", IN_FLIGHT)
def test_activations_are_of_all_microbatches_on_their_way(schedule: str) -> None:
    changes, in_flight = IN_FLIGHT[schedule]
    layout: Changes = {"layout.pipeline": 4, "layout.schedule": schedule, **changes}
    layout |= {"workload.n_microbatches": 12, "layout.sharding": "zero1"}
    layout |= {"workload.microbatch_seqs": 1, "workload.recompute": "full"}
    found = needed("h100-1k", layout)
    # All stages of GPipe keep all, and those of ZB-H1 as much as the first one, for their
    # gradients of weights; the last one has the output layer besides.
    assert found.stage == (3 if schedule in ("gpipe", "zero-bubble") else 0)
    assert found.activations_bytes == pytest.approx(in_flight * 20 * 2 * 8192 * 8192 / 8)
    # One layer is computed again at a time.
    assert found.recomputed_bytes == pytest.approx(33.5 * 8192 * 8192 / 8)


def test_llama_3_405b_fits_80_gb_in_16_stages_of_8() -> None:
    plan = make_plan(hm.load("llama3-405b-8192"))
    assert plan.fullest_bytes < 80e9


def test_llama_3_405b_does_not_fit_80_gb_unsharded_and_the_error_says_by_how_much() -> None:
    changes: Changes = {
        "layout.pipeline": 1,
        "layout.sharding": "none",
        "workload.recompute": "full",
    }
    changes |= {"layout.schedule": "1f1b", "layout.chunks": 1}
    scenario = hm.load("llama3-405b-8192", changes)
    states = 16 * LLAMA_405B / 8
    activations = 2 * LAYERS * HIDDEN * 8192 / 8
    # More than a layer that is computed again, 31.75 hidden widths a token.
    logits = 8 * 128_256 * 8192 / 8
    with pytest.raises(hm.ScenarioError) as caught:
        make_plan(scenario)
    gigabytes = [float(number) for number in re.findall(r"([\d.]+) GB", str(caught.value))]
    total = (states + activations + logits) / 1e9
    assert gigabytes == pytest.approx([total, total - 85.5, 85.5], rel=5e-3)


def test_a_stage_that_does_not_fit_is_named() -> None:
    scenario = hm.load(
        "llama3-405b-8192", {"layout.sharding": "none", "workload.recompute": "none"}
    )
    with pytest.raises(hm.ScenarioError, match=r"a GPU of stage \d+, .* more than the 85.5 GB"):
        make_plan(scenario)


GPT = {"n_layers": 8, "hidden": 4096, "n_heads": 32, "n_kv_heads": 32, "head_dim": 128}
GPT |= {"ffn_hidden": 4 * 4096, "vocabulary": 51_200, "gated": False, "tied": True}


def test_a_gpt_layer_keeps_what_was_published_less_the_masks_of_dropout() -> None:
    """34 s b h bytes with attention computed again, of which 2 are masks (equation 1).

    Besides, 2 s b h each: what GeLU makes, 8, comes to itself; scores are never kept.
    """
    model = Transformer.model_validate(GPT)
    assert kept_bytes_per_token(model, "none") == 32 * 4096
    # Without outputs of norms, 2 x 2, and of GeLU, 8.
    assert kept_bytes_per_token(model, "selective") == (32 - 4 - 8) * 4096
    assert kept_bytes_per_token(model, "full") == 2 * 4096


def test_sequence_parallelism_divides_all_activations_by_the_tensor_ranks() -> None:
    """34 s b h / t (Korthikanti et al., section 4.2.2), masks aside."""
    for tensor in (1, 2, 4, 8):
        own: Changes = {"models.gpt": GPT, "workload.model": "gpt", "layout.tensor": tensor}
        found = needed("h100-1k", own, {"workload.recompute": "none"})
        assert found.activations_bytes == pytest.approx(8 * 32 * 4096 * 2 * 8192 / tensor)


def test_experts_keep_what_a_token_meets() -> None:
    model = catalog.model("mixtral-8x7b")
    attention = 2 * 4096 + 2 * 1024
    kept = 2 * (4 * 4096 + attention + 3 * 2 * 14_336)
    assert kept_bytes_per_token(model, "none") == kept
    latent = catalog.model("deepseek-v3")
    # q and k of 192, v and output of 128 for 128 heads, and what they come from.
    kept = 128 * (2 * 192 + 2 * 128) + 1536 + 512 + 64
    for layer, product in ((2, 18_432), (3, 9 * 2048)):
        expected = 2 * (4 * 7168 + kept + 3 * product)
        assert kept_bytes_per_token(latent, "none", layers_of(latent)[layer]) == expected


MOE: Changes = {"workload.model": "mixtral-8x7b", "layout.tensor": 1, "layout.sharding": "none"}
MOE |= {"workload.microbatch_seqs": 1}
ROUTED = 32 * 8 * 3 * 4096 * 14_336


@pytest.mark.parametrize("expert", [1, 2, 8])
@pytest.mark.parametrize(
    ("sharding", "own", "shared"), [("none", 16, 0), ("zero1", 4, 12), ("zero3", 0, 16)]
)
def test_only_ranks_with_the_same_experts_share_their_states(
    sharding: str, own: int, shared: int, expert: int
) -> None:
    found = needed("h100-1k", MOE, {"layout.expert": expert, "layout.sharding": sharding})
    dense = parameters(catalog.model("mixtral-8x7b")) - ROUTED
    expected = dense * (own + shared / 1024) + ROUTED / expert * (own + shared * expert / 1024)
    assert found.states_bytes == pytest.approx(expected)


def test_experts_of_a_shard_group_are_shared_within_it() -> None:
    hybrid: Changes = {"layout.sharding": "hybrid", "layout.shard_group_replicas": 64}
    dense = parameters(catalog.model("mixtral-8x7b")) - ROUTED
    for expert in (1, 8):
        # Eight of 64 ranks have the same eighth of the experts.
        found = needed("h100-1k", MOE, hybrid, {"layout.expert": expert})
        assert found.states_bytes == pytest.approx(16 * (dense + ROUTED) / 64)
    # Wider than a shard group, experts are not shared.
    narrow = needed("h100-1k", MOE, hybrid, {"layout.expert": 8, "layout.shard_group_replicas": 4})
    assert narrow.states_bytes == pytest.approx(16 * (dense / 4 + ROUTED / 8))


def test_mixed_placement_needs_of_all_pools_what_the_smallest_group_needs() -> None:
    def states_bytes(changes: Changes) -> list[float]:
        scenario = hm.load("colossus-1", {"layout.placement": "mixed", **changes})
        return [pool_plan(scenario, pool).memory.states_bytes for pool in scenario.pools]

    # One stage cannot be spread, and only the last pool has a part of the smaller group.
    assert states_bytes({}) == pytest.approx([16 * LLAMA_405B / 8 / n for n in (64, 64, 37)])
    stages = {"layout.pipeline": 3, "layout.placement": "mixed"}
    found = counts(hm.load("colossus-1", stages))
    assert found.smallest_shard_group == found.n_replicas % 64 > 0
    shares = [pool.state_ranks for pool in found.pools.values()]
    assert shares == [found.smallest_shard_group] * 3
