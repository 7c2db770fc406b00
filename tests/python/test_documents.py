"""Documents that are packed into sequences: lengths, attention, and packs that hold others up."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.models import LLAMA_1B, SIGLIP
from tests.plans import compute_time

import hindmost as hm
from hindmost.catalog import Transformer, kinds_of_layers
from hindmost.errors import ScenarioError
from hindmost.law import Constant, Exponential, LawModel, LogNormal
from hindmost.physics.documents import Packs, packs
from hindmost.physics.flops import attention_flops_of, model_flops_per_token
from hindmost.plan import make_plan
from hindmost.report import render
from hindmost.scenario import from_table, with_changes

REPORT = Path(__file__).resolve().parents[3] / "shared/data/reports/20-packed-documents.toml"
LAW = {"name": "lognormal", "median": 1024.0, "sigma": 1.2}
TABLE: dict[str, Any] = {
    "name": "packed",
    "pools": {"h100": {"gpu": "h100-sxm", "n_gpus": 64}},
    "fabric": {"name": "infiniband-ndr", "noise": {"enabled": False}},
    "workload": {
        "model": "llama3-8b",
        "seq_len": 32768,
        "microbatch_seqs": 1,
        "n_microbatches": 4,
        "recompute": "full",
        "document_tokens": LAW,
    },
    "layout": {"sharding": "zero3"},
}


def scenario(changes: dict[str, Any]) -> hm.Scenario:
    return with_changes(from_table(TABLE), changes)


def identity(tokens: float) -> float:
    return tokens


def squares(law: LawModel, seq_len: int, n_packs: int) -> float:
    """Return the sum of squares over that of tokens, pack by pack and document by document."""
    rng = random.Random(5)
    found = 0.0
    for _ in range(n_packs):
        left = float(seq_len)
        while left > 0:
            taken = min(left, law.isf(1 - rng.random()))
            found += taken**2
            left -= taken
    return found / (seq_len * n_packs)


@pytest.mark.parametrize("length", [512.0, 4096.0, 5000.0, 32768.0, 1e6])
def test_equal_documents_are_cut_at_the_end_of_a_pack(length: float) -> None:
    found = packs(Constant(value=length), 32768)
    whole, rest = divmod(32768, length)
    expected = (whole * length**2 + rest**2) / 32768
    assert found.per_token(identity) == pytest.approx(expected, rel=1e-12)
    assert found.loads(identity, 1) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize("mean", [300.0, 2000.0, 40_000.0])
def test_exponential_documents_have_a_closed_form(mean: float) -> None:
    """Ends of documents are a Poisson process, and both ends of a pack cut one."""
    found = packs(Exponential(mean=mean), 32768)
    x = 32768 / mean
    expected = 2 * mean * (1 - (1 - math.exp(-x)) / x)
    sample = np.add.reduceat(found.lengths**2, found.starts) / 32768
    error = sample.std() / math.sqrt(len(sample))
    assert abs(found.per_token(identity) - expected) < 4 * error
    assert error < 0.006 * expected


def test_log_normal_documents_are_as_if_packed_one_by_one() -> None:
    law = LogNormal(median=1024, sigma=1.2)
    found = packs(law, 32768).per_token(identity)
    assert found == pytest.approx(squares(law, 32768, 20_000), rel=0.02)


def test_packs_are_full_and_always_the_same() -> None:
    found = packs(LogNormal(median=700, sigma=1.0), 8192)
    tokens = np.add.reduceat(found.lengths, found.starts)
    assert tokens == pytest.approx(8192, rel=1e-12)
    assert found.lengths.min() > 0
    from hindmost.physics import documents

    again = documents._drawn(LogNormal(median=700, sigma=1.0), 8192)
    assert np.array_equal(again.lengths, found.lengths)


@pytest.mark.parametrize("window", [256, 1024, 8192])
def test_windows_count_by_document(window: int) -> None:
    found = packs(LogNormal(median=1024, sigma=1.2), 32768)

    def keys(tokens: float) -> float:
        return tokens / 2 if tokens <= window else window - window * (window - 1) / (2 * tokens)

    weighted = [keys(tokens) * tokens for tokens in found.lengths.tolist()]
    assert found.per_token(keys) == pytest.approx(sum(weighted) / found.lengths.sum(), rel=1e-3)


def of_model(model: Transformer, found: Packs | None, seq_len: int) -> float:
    kinds = kinds_of_layers(model, range(model.depth))
    return attention_flops_of(model, kinds, seq_len, causal=True, documents=found)


@pytest.mark.parametrize("name", ["llama3-8b", "gemma-3-27b", "llama4-scout", "deepseek-v3.2"])
def test_one_document_a_sequence_is_a_sequence(name: str) -> None:
    model = hm.catalog.model(name)
    one = packs(Constant(value=1e9), 32768)
    assert of_model(model, one, 32768) == pytest.approx(of_model(model, None, 32768), rel=1e-12)


@pytest.mark.skipif(not REPORT.exists(), reason="the public reports are not here")
def test_packs_of_a_public_report() -> None:
    """Attention of 4.49 GFLOPs a token, and a p99 of 4.5 times the mean pack."""
    found = hm.load(REPORT)
    law = found.workload.document_tokens
    assert law is not None
    documents = packs(law, 32768)
    assert documents.per_token(identity) == pytest.approx(5707, rel=0.01)
    assert of_model(found.model, documents, 32768) == pytest.approx(4.49e9, rel=0.01)
    assert np.quantile(documents.loads(identity, 1), 0.99) == pytest.approx(4.5, rel=0.03)


def test_flops_are_counted_within_documents_unless_whole_sequences_are_asked_for() -> None:
    packed, counted = scenario({}), scenario({"workload.mfu_attention": "causal"})
    documents = packs(LogNormal(median=1024, sigma=1.2), 32768)
    for one, found in ((packed, documents), (counted, None)):
        plan = make_plan(one)
        per_token = model_flops_per_token(one.model, seq_len=32768, causal=True, documents=found)
        assert plan.model_flops / plan.tokens == pytest.approx(per_token, rel=1e-12)
        of_ranks = sum(pool.n_ranks * pool.rank_model_flops for pool in plan.pools)
        assert of_ranks == pytest.approx(plan.model_flops, rel=1e-12)
    assert make_plan(packed).noiseless_step_s == make_plan(counted).noiseless_step_s
    for one, words in (
        (packed, "causal attention within documents,"),
        (counted, "causal attention,"),
    ):
        assert words in render(hm.simulate(one, seed=1, runs=1, steps=2), "table")


def test_passes_take_the_attention_within_documents() -> None:
    """Twice the mean of attention, at half the length of equal documents, is the same time."""
    whole = scenario({"workload.document_tokens": {"name": "constant", "value": 16384.0}})
    table = {**TABLE, "workload": {**TABLE["workload"], "seq_len": 16384, "microbatch_seqs": 2}}
    del table["workload"]["document_tokens"]
    halves = from_table(table)
    assert compute_time(whole, "h100").step_s == pytest.approx(
        compute_time(halves, "h100").step_s, rel=1e-9
    )


@pytest.mark.parametrize("size", [1, 2])
def test_a_step_waits_for_the_heaviest_pack_of_each_microbatch(size: int) -> None:
    """Weights are gathered in every layer, so that all wait each time; against NumPy."""
    found = scenario({"workload.microbatch_seqs": size, "workload.logit_bytes": 0.0})
    result = hm.simulate(found, seed=4, runs=4, steps=500, method="sample")
    (pool,) = make_plan(found).pools
    documents = packs(LogNormal(median=1024, sigma=1.2), 32768)
    loads = documents.loads(identity, size)
    table_law = pool.pack_law
    assert table_law is not None
    share = (max(table_law["samples"]) - 1) / (loads.max() - 1)
    rng = np.random.default_rng(2)
    drawn = 1 + share * (rng.choice(loads, (20_000, 4, 64)) - 1)
    expected = drawn.max(axis=2).mean(axis=1) * pool.compute.step_s
    steps = result.steps["compute_s"].to_numpy()
    error = math.hypot(
        expected.std() / math.sqrt(len(expected)), steps.std() / math.sqrt(len(steps))
    )
    assert abs(steps.mean() - expected.mean()) < 4 * error
    # Attention has the share that its FLOPs have, in BF16 at the efficiency of the products.
    flops = of_model(found.model, documents, 32768)
    plan = make_plan(found)
    assert share == pytest.approx(flops / (plan.model_flops / plan.tokens), rel=1e-6)


def test_packs_differ_by_nothing_on_average() -> None:
    one = {"pools.h100.n_gpus": 8, "layout.tensor": 8, "layout.sharding": "none"}
    found = scenario(one)
    result = hm.simulate(found, seed=4, runs=4, steps=2000, method="sample")
    steps = result.steps["compute_s"].to_numpy()
    nominal = make_plan(found).pools[0].compute.step_s
    assert abs(steps.mean() - nominal) < 4 * steps.std() / math.sqrt(len(steps)) + 1e-3 * nominal
    assert steps.std() > 0.01 * nominal


def test_without_sequence_imbalance_all_packs_are_the_mean_one() -> None:
    ideal = scenario({"ideal.sequence_imbalance": True})
    assert make_plan(ideal).pools[0].pack_law is None
    result = hm.simulate(ideal, seed=1, runs=1, steps=5)
    assert result.steps["compute_s"].n_unique() == 1
    assert make_plan(ideal).noiseless_step_s == make_plan(scenario({})).noiseless_step_s
    found = hm.attribute(scenario({}), seed=0, runs=2, steps=20)
    (share,) = (one for one in found.shares if one.mechanism == "sequence_imbalance")
    assert share.shapley > 0.1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload.document_tokens": {"name": "lognormal", "sigma": -1.0}}, "document_tokens"),
        ({"workload.document_tokens": {"name": "constant", "value": -1.0}}, "must be"),
        ({"workload.document_tokens": 5}, "workload.document_tokens must be"),
        (
            {"workload.document_tokens": {"name": "pareto", "minimum": 1.0, "alpha": 0.5}},
            "workload.document_tokens",
        ),
        (
            {"pools.h100.n_gpus": 1_200_000},
            "workload.document_tokens must be absent where more than",
        ),
    ],
)
def test_wrong_documents_are_refused_with_their_path(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        scenario(changes)
    assert any(words in str(problem) for problem in caught.value.problems)


def spread_s(changes: dict[str, Any]) -> float:
    """Return the deviation of a microbatch's seconds by its documents."""
    pool = make_plan(scenario(changes)).pools[0]
    assert pool.pack_law is not None
    passes_s = sum(stage.total_s for stage in pool.compute.stages)
    return float(np.std(pool.pack_law["samples"])) * passes_s


def test_an_encoder_has_as_much_attention_whatever_the_documents() -> None:
    seeing = {"models.one": {**LLAMA_1B, "encoder": SIGLIP}, "workload.model": "one"}
    blind = {"models.one": LLAMA_1B, "workload.model": "one"}
    assert spread_s(seeing) == pytest.approx(spread_s(blind), rel=1e-9)


def test_scores_that_are_computed_again_differ_as_well() -> None:
    none = {"workload.recompute": "none", "workload.logit_bytes": 0.0, "workload.seq_len": 16384}
    plain = spread_s(none)
    assert spread_s({**none, "workload.recompute_modules": ["attention"]}) == pytest.approx(
        plain * 4 / 3, rel=1e-9
    )
    assert spread_s({**none, "workload.recompute": "full"}) == pytest.approx(
        plain * 4 / 3, rel=1e-9
    )


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b", "zero-bubble"])
def test_stages_in_several_pools_see_the_same_documents(schedule: str) -> None:
    mixed = scenario(
        {
            "pools.other": {"gpu": "h100-sxm", "n_gpus": 64},
            "layout.pipeline": 2,
            "layout.placement": "mixed",
            "layout.schedule": schedule,
            "layout.sharding": "zero1",
        }
    )
    result = hm.simulate(mixed, seed=1, runs=2, steps=20)
    assert result.value("step_time_s") > 1.05 * make_plan(mixed).noiseless_step_s


def test_documents_have_a_token_at_least() -> None:
    tiny = packs(LogNormal(median=1e-9, sigma=0.1), 4096)
    assert tiny.per_token(identity) == pytest.approx(1, rel=1e-9)
