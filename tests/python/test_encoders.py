"""Encoders in front of a model: parameters, FLOPs and memory on the first stage."""

from __future__ import annotations

from typing import Any

import pytest
from tests.models import LLAMA_1B, SIGLIP
from tests.plans import compute_time, job, pool_plan

import hindmost as hm
from hindmost.catalog import Encoder
from hindmost.errors import ScenarioError
from hindmost.physics.encoders import encoder_flops, encoder_module_flops, tower_parameters
from hindmost.physics.flops import (
    active_parameters,
    flops_by_part,
    model_flops_per_token,
    parameters,
)
from hindmost.plan import make_plan
from hindmost.scenario import from_table, with_changes

TABLE: dict[str, Any] = {
    "name": "seeing",
    "pools": {"h100": {"gpu": "h100-sxm", "n_gpus": 64}},
    "fabric": {"name": "infiniband-ndr", "noise": {"enabled": False}},
    "models": {"seeing": {**LLAMA_1B, "encoder": SIGLIP}, "blind": LLAMA_1B},
    "workload": {
        "model": "seeing",
        "seq_len": 8192,
        "microbatch_seqs": 1,
        "n_microbatches": 4,
    },
    "layout": {"sharding": "zero3"},
}
STAGES = {"layout.pipeline": 4, "layout.sharding": "zero1"}


def scenario(changes: dict[str, Any]) -> hm.Scenario:
    return with_changes(from_table(TABLE), changes)


SEEING, BLIND = scenario({}).model, scenario({"workload.model": "blind"}).model


def test_parameters_are_those_of_a_published_tower() -> None:
    """Gemma 3's report gives 417M for the vision encoder, which has no projector in it."""
    assert tower_parameters(Encoder(**SIGLIP)) == pytest.approx(417e6, rel=0.003)
    # Matrices, norms and positions, counted by hand.
    layer = 4 * 1152**2 + 2 * 1152 * 4304 + 2 * 1152
    tower = 27 * layer + 588 * 1152 + 1152 * (4096 + 1)
    projector = 16 * 1152 * 2048
    for count in (parameters, active_parameters):
        assert count(SEEING) - count(BLIND) == tower + projector


@pytest.mark.parametrize("segment", [None, 1024])
def test_flops_are_those_of_all_its_tokens(segment: int | None) -> None:
    model = scenario({"models.seeing.encoder.segment_tokens": segment or 4096}).model
    found = encoder_flops(model, 8192)
    tower = 27 * (4 * 1152**2 + 2 * 1152 * 4304) + 588 * 1152
    products = 6 * tower * 4096 + 6 * 16 * 1152 * 2048 * 256
    assert found.products * 8192 == pytest.approx(products, rel=1e-12)
    # Queries by keys and scores by values, 2 FLOPs each, three times.
    scores = 27 * 3 * 2 * 2 * 4096 * (segment or 4096) * 1152
    assert found.attention * 8192 == pytest.approx(scores, rel=1e-12)
    of_model = model_flops_per_token(model, seq_len=8192, causal=True)
    blind = model_flops_per_token(BLIND, seq_len=8192, causal=True)
    assert of_model - blind == pytest.approx(found.total, rel=1e-9)
    parts = flops_by_part(model, seq_len=8192, causal=True)
    assert parts["encoder"] == found.total
    assert sum(parts.values()) == pytest.approx(of_model, rel=1e-12)


def test_two_products_project_through_a_width_between() -> None:
    wide = scenario({"models.seeing.encoder.projector_hidden": 4096}).model
    assert parameters(wide) - parameters(SEEING) == 4096 * (16 * 1152 + 2048) - 16 * 1152 * 2048


def test_frozen_layers_compute_their_forward_pass_and_hold_their_weights() -> None:
    frozen = scenario({"models.seeing.encoder.frozen": True})
    trained = encoder_flops(SEEING, 8192)
    found = encoder_flops(frozen.model, 8192)
    projector = 6 * 16 * 1152 * 2048 * 256 / 8192
    forward = (trained.products - projector + trained.attention) / 3
    assert found.total == pytest.approx(forward + projector * 2 / 3, rel=1e-12)
    assert parameters(frozen.model) == parameters(SEEING)
    seen = pool_plan(scenario({}), "h100").memory
    kept = pool_plan(frozen, "h100").memory
    tower = tower_parameters(Encoder(**SIGLIP))
    # 16 bytes a parameter less 2 of the weights, over 64 ranks.
    assert seen.states_bytes - kept.states_bytes == pytest.approx(14 * tower / 64, rel=1e-9)
    assert seen.activations_bytes > kept.activations_bytes
    adapters = scenario({"workload.trainable": "lora"})
    of_lora = encoder_flops(adapters.model, 8192, frozen=True).total
    plan, blind = (
        make_plan(adapters),
        make_plan(scenario({"workload.trainable": "lora", "workload.model": "blind"})),
    )
    gained = plan.model_flops / plan.tokens - blind.model_flops / blind.tokens
    assert gained == pytest.approx(of_lora, rel=1e-6)


@pytest.mark.parametrize("changes", [{}, STAGES])
def test_its_time_is_on_the_first_stage(changes: dict[str, Any]) -> None:
    seeing, blind = (
        compute_time(scenario({**changes, "workload.model": name}), "h100")
        for name in ("seeing", "blind")
    )
    extra = [a.total_s - b.total_s for a, b in zip(seeing.stages, blind.stages, strict=True)]
    found = encoder_flops(SEEING, 8192)
    pool = scenario({}).pools["h100"]
    efficiency = pool.efficiency("bf16")
    peak = pool.accelerator.peak_flop_per_s("bf16")
    assert efficiency is not None
    assert peak is not None
    expected_s = found.total * 8192 / (peak * efficiency)
    assert extra[0] == pytest.approx(expected_s, rel=1e-9)
    assert all(seconds == 0 for seconds in extra[1:])
    plan = make_plan(scenario(changes))
    of_ranks = sum(pool.n_ranks * pool.rank_model_flops for pool in plan.pools)
    assert of_ranks == pytest.approx(plan.model_flops, rel=1e-12)


def test_a_stage_may_hold_the_encoder_alone() -> None:
    alone = scenario({**STAGES, "layout.stage_layers": [0, 6, 5, 5]})
    stages = compute_time(alone, "h100").stages
    assert stages[0].total_s > 0
    assert job(alone).stage_parameters[0].dense > tower_parameters(Encoder(**SIGLIP))
    again = scenario({**STAGES, "layout.stage_layers": [0, 6, 5, 5], "workload.recompute": "full"})
    assert compute_time(again, "h100").stages[0].total_s == pytest.approx(
        stages[0].total_s * 4 / 3, rel=1e-9
    )


def test_activations_are_kept_for_its_tokens() -> None:
    def kept(changes: dict[str, Any]) -> float:
        return pool_plan(scenario(changes), "h100").memory.activations_bytes

    width = 2 * 1152 + 4 * 1152 + 4304 + 2 * 1152 + 4304
    found = kept({}) - kept({"workload.model": "blind"})
    assert found == pytest.approx(2 * 27 * width * 4096, rel=1e-9)
    again = {"workload.recompute": "full"}
    found = kept(again) - kept({**again, "workload.model": "blind"})
    assert found == pytest.approx(2 * 27 * 1152 * 4096, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_heads": 7}, "models.seeing.encoder.n_heads must be a divisor of hidden (1152)"),
        ({"segment_tokens": 1000}, "segment_tokens must be a divisor of tokens (4096)"),
        ({"merge": 3}, "merge must be a divisor of tokens (4096)"),
        ({"tokens": 16 * 8193}, "models.seeing.encoder.tokens must make at most the 8,192 tokens"),
        ({"layers": 3}, "models.seeing.encoder.layers"),
    ],
)
def test_wrong_encoders_are_refused_with_their_path(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario({f"models.seeing.encoder.{key}": value for key, value in changes.items()})
    assert any(words in str(problem) for problem in caught.value.problems)


FROZEN = {"models.seeing.encoder.frozen": True}


def stage_times(changes: dict[str, Any]) -> tuple[float, float, float]:
    stage = compute_time(scenario(changes), "h100").stages[0]
    return stage.forward_s, stage.backward_s, stage.weight_s


@pytest.mark.parametrize("schedule", ["1f1b", "zero-bubble"])
@pytest.mark.parametrize("recompute", ["none", "full"])
def test_frozen_layers_are_in_the_forward_pass_once(schedule: str, recompute: str) -> None:
    changes = {**STAGES, "layout.schedule": schedule, "workload.recompute": recompute}
    blind = stage_times({**changes, "workload.model": "blind"})
    found = stage_times({**changes, **FROZEN})
    encoder = encoder_flops(scenario(FROZEN).model, 8192)
    pool = scenario({}).pools["h100"]
    efficiency, peak = pool.efficiency("bf16"), pool.accelerator.peak_flop_per_s("bf16")
    assert efficiency is not None
    assert peak is not None
    tower_s = (encoder.forward_products + encoder.forward_attention) * 8192 / (peak * efficiency)
    projector_s = encoder.products * 8192 / (peak * efficiency)
    again = 4 / 3 if recompute == "full" else 1.0
    assert found[0] - blind[0] == pytest.approx(tower_s + projector_s / 3, rel=1e-6)
    assert sum(found) - sum(blind) == pytest.approx(tower_s + again * projector_s, rel=1e-6)


def gathers(changes: dict[str, Any]) -> dict[str, float]:
    plan = pool_plan(scenario(changes), "h100")
    return {term.phase: term.cost.total_s for term in plan.terms}


def test_the_forward_pass_gathers_a_frozen_encoder_and_the_backward_pass_does_not() -> None:
    trained, frozen, blind = (
        gathers(changes) for changes in ({}, FROZEN, {"workload.model": "blind"})
    )
    assert frozen["forward"] == pytest.approx(trained["forward"], rel=1e-12)
    assert blind["last backward"] < frozen["last backward"] < trained["last backward"]
    lora = {"workload.trainable": "lora"}
    assert gathers({**lora, **FROZEN}) == gathers(lora)


def test_adapters_leave_a_projector_its_forward_pass() -> None:
    found = encoder_flops(SEEING, 8192, frozen=True)
    assert found.total == pytest.approx(encoder_flops(SEEING, 8192).total / 3, rel=1e-12)


def activations(changes: dict[str, Any]) -> float:
    return pool_plan(scenario(changes), "h100").memory.activations_bytes


def test_parts_that_are_computed_again_are_those_of_the_encoder_too() -> None:
    selective = {"workload.recompute": "selective"}
    modules = {"workload.recompute_modules": ["norms", "activations"]}
    assert activations(selective) == activations(modules)
    for module, width in (("attention", 4 * 1152), ("feed_forward", 2 * 4304)):
        again = {"workload.recompute_modules": [module]}
        of_encoder = [
            activations(changes) - activations({**changes, "workload.model": "blind"})
            for changes in ({}, again)
        ]
        assert of_encoder[0] - of_encoder[1] == pytest.approx(2 * 27 * width * 4096, rel=1e-9)
        seconds = [
            sum(stage_times(changes)) - sum(stage_times({**changes, "workload.model": "blind"}))
            for changes in ({}, again)
        ]
        products = encoder_module_flops(SEEING, 8192, module)
        scores = encoder_flops(SEEING, 8192).attention if module == "attention" else 0.0
        share = (products + scores) / 3 / encoder_flops(SEEING, 8192).total
        assert seconds[1] / seconds[0] == pytest.approx(1 + share, rel=1e-6)


def test_recomputation_of_some_layers_leaves_the_encoder_as_it_is() -> None:
    some = {"workload.recompute": "full", "workload.recompute_layers": 5}
    for one in (activations, lambda changes: sum(stage_times(changes))):
        of_encoder = [
            one(changes) - one({**changes, "workload.model": "blind"}) for changes in ({}, some)
        ]
        assert of_encoder[0] == pytest.approx(of_encoder[1], rel=1e-6)


def test_a_layer_of_the_encoder_may_be_the_largest_that_is_computed_again() -> None:
    large = {
        "models.seeing.encoder.tokens": 131072,
        "workload.recompute": "full",
        "workload.logit_bytes": 0.0,
    }
    found = pool_plan(scenario(large), "h100").memory
    width = 2 * 1152 + 4 * 1152 + 4304 + 2 * 1152 + 4304 - 1152
    assert found.recomputed_bytes == pytest.approx(2 * width * 131072, rel=1e-9)
