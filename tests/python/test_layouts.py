"""How layouts divide GPUs, layers and a step's time, against hand calculations."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.plans import compute_time, counts, job
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost import catalog
from hindmost.physics.compute import ComputeTime
from hindmost.physics.flops import model_flops_per_token
from hindmost.physics.stages import layers_of_stages, parameters_of_rank, stage_flops, stages
from hindmost.plan import make_plan
from hindmost.scenario import Scenario

Changes = dict[str, object]

CAUSES = ("gpu-speed", "residual", "step-common", "stall", "pause")
NOISELESS: Changes = {
    **{f"causes.{cause}.enabled": False for cause in CAUSES},
    "fabric.noise.enabled": False,
}
EXACT = 1e-12

# 1,024 H100 and Llama-3-70B in 8 stages of 10 layers.
STAGES: Changes = {
    **NOISELESS,
    "layout.pipeline": 8,
    "layout.sharding": "zero1",
    "workload.n_microbatches": 16,
    "workload.microbatch_seqs": 1,
    "workload.recompute": "selective",
}
EVEN: Changes = {**STAGES, "layout.last_stage_forward": 1.0, "layout.last_stage_backward": 1.0}


def load(*changes: Changes) -> Scenario:
    return hm.load("h100-1k", {key: value for table in changes for key, value in table.items()})


def computed(*changes: Changes) -> ComputeTime:
    return compute_time(load(*changes), "h100")


def spares_of(scenario: Scenario) -> list[int]:
    plan = make_plan(scenario)
    return [pool.n_gpus - n for pool, n in zip(plan.pools, plan.ranks, strict=True)]


def test_stages_of_colossus_1_leave_352_spares() -> None:
    scenario = hm.load("colossus-1-pp16")
    # 18,750 and 6,250 and 277 x 9 tensor groups, 16 of them a replica.
    assert counts(scenario).n_replicas == 1_171 + 390 + 155 == 1_716
    # Left over are 14, 10 and 13 groups, and 56 GPUs of a domain that is not full.
    assert spares_of(scenario) == [14 * 8, 10 * 8, 13 * 8 + 56]


def test_mixed_placement_makes_replicas_of_what_pools_leave_over() -> None:
    scenario = hm.load("colossus-1-pp16", {"layout.placement": "mixed"})
    assert counts(scenario).n_replicas == (18_750 + 6_250 + 2_493) // 16 == 1_718
    # Five groups, of the last pool, and its domain that is not full.
    assert spares_of(scenario) == [0, 0, 5 * 8 + 56]


def test_context_ranks_are_ranks_of_a_replica() -> None:
    changes: Changes = {"layout.context": 4, "layout.pipeline": 4}
    scenario = hm.load("colossus-1-pp16", changes)
    assert counts(scenario).n_replicas == 1_716
    assert spares_of(scenario) == [112, 80, 160]
    mixed = hm.load("colossus-1-pp16", {**changes, "layout.placement": "mixed"})
    # A stage is four groups of one pool: 4,687 and 1,562 and 623 stages.
    assert counts(mixed).n_replicas == (4_687 + 1_562 + 623) // 4 == 1_718


def test_a_global_batch_is_divided_among_replicas() -> None:
    scenario = hm.load("llama3-405b-16384")
    assert (counts(scenario).n_replicas, job(scenario).n_microbatches) == (128, 16)
    # Table 4 of Llama 3 Herd of Models: 16 context ranks, 8 replicas, 128 sequences.
    long: Changes = {
        "layout.context": 16,
        "workload.seq_len": 131_072,
        "workload.global_batch_seqs": 128,
    }
    scenario = hm.load("llama3-405b-16384", long)
    assert (counts(scenario).n_replicas, job(scenario).n_microbatches) == (8, 16)


@pytest.mark.parametrize(
    ("preset", "among_ranks", "over_the_fleet"),
    [(COLOSSUS_1_BARE, 0.8783195, 0.8778233), ("colossus-1-pp16", None, 0.8766419)],
)
def test_the_mix_costs_what_was_worked_out(
    preset: str | Path, among_ranks: float | None, over_the_fleet: float
) -> None:
    result = hm.simulate(hm.load(preset, NOISELESS), runs=1, steps=1, seed=0)
    plan = result.plan
    fleet_peak = 200_000 * 989e12 + 20_000 * 2500e12
    of_ranks = result.value("mfu") / result.pools["mfu"][0]
    assert round(of_ranks * plan.peak_flop_per_s / fleet_peak, 7) == over_the_fleet
    if among_ranks is not None:
        assert round(of_ranks, 7) == among_ranks


def layer_s(scenario: Scenario) -> tuple[float, float]:
    """Return the seconds of a layer of Llama-3-70B: its FLOPs, and one pass's exchange."""
    tokens = scenario.workload.microbatch_seqs * scenario.workload.seq_len
    parameters = 8192 * (2 * 8192 + 2 * 1024) + 3 * 8192 * 28_672
    flops = 6 * parameters + 6 * 64 * 256 * scenario.workload.seq_len / 2
    exchange_s = 4 * 7 * (3.4e-6 + tokens * 8192 * 2 / 8 / 370.8e9)
    return tokens * flops / 8 / (989e12 * 0.803), exchange_s


def transfer_s(scenario: Scenario) -> float:
    tokens = scenario.workload.microbatch_seqs * scenario.workload.seq_len
    return 14e-6 + tokens * 8192 * 2 / 8 / (0.915 * 50e9)


@pytest.mark.parametrize("m", [8, 16, 24])
@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
def test_equal_stages_idle_for_one_microbatch_a_stage(schedule: str, m: int) -> None:
    """(m + p - 1) (f + b), and the transfers that nothing hides."""
    time = computed(
        EVEN,
        {
            "layout.schedule": schedule,
            "workload.n_microbatches": m,
            "workload.overhead_s": 0.25,
        },
    )
    scenario = load(EVEN)
    flops_s, exchange_s = layer_s(scenario)
    both_s = 10 * (flops_s + 2 * exchange_s)
    hop_s = transfer_s(scenario)
    assert time.transfers_s[0] == pytest.approx(hop_s, rel=EXACT)
    bare_s = (m + 7) * both_s + 0.25
    if schedule == "gpipe":
        assert time.step_s == pytest.approx(bare_s + 14 * hop_s, rel=EXACT)
    else:
        # Twice a stage and round of p microbatches at most, once down and up at least.
        assert bare_s + 14 * hop_s <= time.step_s <= bare_s + 2 * (m + 7) * hop_s


@pytest.mark.parametrize("chunks", [1, 2, 5])
def test_chunks_divide_the_bubble_of_equal_stages(chunks: int) -> None:
    chunked: Changes = {"layout.schedule": "interleaved", "layout.chunks": chunks}
    time = computed(EVEN, chunked)
    flops_s, exchange_s = layer_s(load(EVEN))
    both_s = 10 * (flops_s + 2 * exchange_s)
    bare_s = (16 + 7 / chunks) * both_s
    assert bare_s < time.step_s < bare_s + 2 * (16 * chunks + 7) * time.transfers_s[0]


def test_zero_bubble_fills_gaps_with_gradients_of_weights() -> None:
    """m (f + b + w) + (p - 1) (f + b - w); attention scores have no weights."""
    time = computed(EVEN, {"layout.schedule": "zero-bubble"})
    scenario = load(EVEN)
    flops_s, exchange_s = layer_s(scenario)
    attention_s = 8192 * 6 * 64 * 256 * 4096 / 8 / (989e12 * 0.803)
    forward_s = 10 * (flops_s / 3 + exchange_s)
    weight_s = 10 * (flops_s - attention_s) / 3
    backward_s = 10 * (2 * flops_s / 3 + exchange_s) - weight_s
    first = time.stages[0]
    assert (first.forward_s, first.backward_s, first.weight_s) == pytest.approx(
        (forward_s, backward_s, weight_s), rel=EXACT
    )
    bare_s = 16 * (forward_s + backward_s + weight_s) + 7 * (forward_s + backward_s - weight_s)
    assert bare_s < time.step_s < bare_s + 2 * (16 + 7) * time.transfers_s[0]


def gpipe_s(time: ComputeTime) -> float:
    """Return a step of GPipe: all forward, then all backward passes; each waits for two others."""

    def flush_s(passes_s: list[float], ready_s: list[float]) -> list[float]:
        # ready_s: when a stage begins; returns when each has ended its last.
        arrived_s = [0.0] * time.n_microbatches
        ends_s = []
        for pass_s, free_s in zip(passes_s, ready_s, strict=True):
            for j in range(time.n_microbatches):
                free_s = max(free_s, arrived_s[j]) + pass_s
                arrived_s[j] = free_s + time.transfers_s[0]
            ends_s.append(free_s)
        return ends_s

    forward_s = [stage.forward_s for stage in time.stages]
    backward_s = [stage.backward_s for stage in time.stages]
    ended_s = flush_s(forward_s, [0.0] * len(forward_s))
    return flush_s(backward_s[::-1], ended_s[::-1])[-1] + time.overhead_s


@pytest.mark.parametrize("counts", [[10] * 8, [8, 11, 11, 11, 11, 11, 11, 6], [0, *[13] * 6, 2]])
def test_unequal_stages_take_the_path_that_is_longest(counts: list[int]) -> None:
    changes: Changes = {"layout.schedule": "gpipe", "layout.stage_layers": counts}
    time = computed(STAGES, changes, {"workload.overhead_s": 0.125})
    assert time.step_s == pytest.approx(gpipe_s(time), rel=EXACT)


def test_one_stage_takes_its_microbatches_one_after_another() -> None:
    changes: Changes = {"layout.pipeline": 1, "workload.recompute": "full"}
    for schedule in ("gpipe", "1f1b", "interleaved", "zero-bubble"):
        time = computed(STAGES, changes, {"layout.schedule": schedule, "layout.sharding": "zero3"})
        assert time.transfers_s[0] == 0
        assert time.stages[0].weight_s == 0
        assert time.step_s == 16 * (time.forward_s + time.backward_s)


DIVISIONS: list[Changes] = [
    {"layout.pipeline": 2},
    {"layout.pipeline": 7},
    {"layout.pipeline": 16, "layout.schedule": "zero-bubble"},
    {"layout.schedule": "interleaved", "layout.chunks": 3},
    {"layout.stage_layers": [0, *[13] * 6, 2]},
]


@pytest.mark.parametrize("division", DIVISIONS, ids=str)
@pytest.mark.parametrize("model", ["llama3-70b", "deepseek-v3", "mixtral-8x7b", "gpt3-175b"])
def test_passes_do_not_depend_on_how_layers_divide(model: str, division: Changes) -> None:
    n_layers = catalog.model(model).n_layers
    if "layout.stage_layers" in division:
        division = {"layout.stage_layers": [0, *[n_layers // 7] * 6, n_layers - n_layers // 7 * 6]}
    whole: Changes = {"workload.model": model, "layout.pipeline": 1, "layout.sharding": "none"}
    one, several = computed(STAGES, whole), computed(STAGES, whole, {"layout.pipeline": 8})
    divided = computed(STAGES, {"workload.model": model}, division)
    for other in (several, divided):
        assert other.forward_s == pytest.approx(one.forward_s, rel=EXACT)
        assert other.backward_s == pytest.approx(one.backward_s, rel=EXACT)


@pytest.mark.parametrize("division", DIVISIONS[:4], ids=str)
@pytest.mark.parametrize("name", ["llama3-405b", "deepseek-v3", "mixtral-8x7b", "palm-540b"])
def test_flops_of_all_stages_are_those_of_the_model(name: str, division: Changes) -> None:
    scenario = load(STAGES, division, {"workload.model": name})
    model, workload = scenario.model, scenario.workload
    found = stages(model, scenario.layout)
    assert [layer for stage in found for layer in stage.layers] == [*range(model.n_layers)]
    flops = [stage_flops(model, workload, stage) for stage in found]
    expected = model_flops_per_token(model, seq_len=8192, causal=True)
    assert sum(one.total for one in flops) == pytest.approx(expected, rel=EXACT)
    holders = [stage.has_output for stage in found], [stage.has_input for stage in found]
    assert holders[0] == [False] * (len(found) - 1) + [True]
    assert holders[1] == [True] + [False] * (len(found) - 1)
    assert [one.output > 0 for one in flops] == holders[0]


def test_layers_left_over_go_to_the_middle() -> None:
    def layers(scenario: Scenario) -> list[int]:
        return layers_of_stages(scenario.model, scenario.layout)

    assert layers(hm.load("colossus-1-pp16")) == [7, *[8] * 14, 7]
    assert layers(hm.load("llama3-405b-8192")) == [0, *[1] * 126, 0]
    assert layers(load(STAGES, {"layout.pipeline": 7})) == [11, 12, 12, 12, 11, 11, 11]
    # With chunks, those of the first and the last rank get them after the others.
    chunked: Changes = {"layout.schedule": "interleaved", "layout.chunks": 2}
    assert layers(load(STAGES, chunked, {"layout.pipeline": 8})) == [5] * 16
    deepseek: Changes = {"workload.model": "deepseek-v3", "layout.pipeline": 8}
    of_stages = layers(load(STAGES, chunked, deepseek))
    assert of_stages == [3, *[4] * 6, 3, *[4] * 7, 3]


@pytest.mark.parametrize("model", ["llama3-70b", "gpt3-175b"])
def test_embeddings_are_on_the_first_and_the_last_stage(model: str) -> None:
    scenario = load(STAGES, {"workload.model": model, "layout.pipeline": 16})
    of_stage = [
        8 * parameters_of_rank(scenario.model, scenario.layout, chunks).total
        for chunks in job(scenario).chunks_of_stages
    ]
    size = scenario.model
    n_layers = layers_of_stages(scenario.model, scenario.layout)
    layer = (of_stage[1]) / n_layers[1]
    embedding = size.vocabulary * size.hidden
    assert of_stage[0] == pytest.approx(n_layers[0] * layer + embedding)
    # A tied output layer is a copy of the embedding; the last norm is there, too.
    assert of_stage[15] == pytest.approx(n_layers[15] * layer + embedding + size.hidden)


def test_a_heavy_last_stage_is_against_the_mean_of_the_others() -> None:
    plain = computed(STAGES)
    heavy = computed(STAGES, {"layout.last_stage_forward": 1.5})
    assert heavy.stages[:7] == plain.stages[:7]
    assert heavy.stages[7].forward_s == pytest.approx(1.5 * plain.stages[0].forward_s, rel=EXACT)
    assert heavy.stages[7].backward_s == plain.stages[7].backward_s
    # By itself it is as heavy as its output layer, 128,256 x 8,192 at tensor 8.
    output_s = 8192 * 6 * 128_256 * 8192 / 8 / (989e12 * 0.803)
    assert plain.stages[7].total_s - plain.stages[6].total_s == pytest.approx(output_s)


def test_measured_passes_divide_like_flops_and_none_are_lost() -> None:
    measured: Changes = {"pools.h100.forward_s": 0.8, "pools.h100.backward_s": 1.7}
    time, model = computed(STAGES, measured), computed(STAGES)
    assert (time.forward_s, time.backward_s) == pytest.approx((0.8, 1.7), rel=EXACT)
    assert time.tensor_s == 0
    zero = computed(STAGES, measured, {"layout.schedule": "zero-bubble"})
    assert zero.backward_s == pytest.approx(1.7, rel=EXACT)
    output_s = model.stages[7].forward_s - model.stages[6].forward_s
    flops_s = 8 * (10 * layer_s(load(STAGES))[0] / 3) + output_s
    extra_s = time.stages[7].forward_s - time.stages[6].forward_s
    assert extra_s / 0.8 == pytest.approx(output_s / flops_s, rel=1e-9)
