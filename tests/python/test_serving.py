"""Serving replicas: bytes, FLOPs, exchange and memory, counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Dtype, Software
from hindmost.cause import Cause
from hindmost.law import Constant
from hindmost.physics.experts import domains_met
from hindmost.scenario.reliability import Recovery, UnitFailures
from hindmost.serving.cycle import Load, cycle, rates
from hindmost.serving.exchange import all_reduce_s
from hindmost.serving.layouts import layouts
from hindmost.serving.outages import availability
from hindmost.serving.passes import decode, prefill
from hindmost.serving.replica import Replica
from hindmost.serving.search import batches
from hindmost.serving.stragglers import pace

H200 = catalog.gpu("h200-sxm")
PLAIN = Software(factor=1.0, layer_s=0.0, token_s=0.0)


def replica(model: str = "llama3-70b", dtype: Dtype = "fp8", **more: Any) -> Replica:
    given: dict[str, Any] = {"gpu": H200, "kv_bytes": 2.0, **more}
    return Replica(model=catalog.model(model), dtype=dtype, **given)


# Llama 3 70B: 80 layers of 8192, 64 heads of 128, 8 of keys and values, networks of 28672.
ATTENTION = 8192 * (64 + 2 * 8) * 128 + 64 * 128 * 8192
NETWORK = 3 * 8192 * 28672
OUTPUT = 128256 * 8192


def test_one_gpu_holds_all_weights_and_eight_an_eighth() -> None:
    layers = 80 * (ATTENTION + NETWORK)
    assert replica().weight_bytes == layers + 2 * 2 * OUTPUT
    assert replica(tensor=8).weight_bytes == layers / 8 + 2 * 2 * OUTPUT / 8
    assert replica(dtype="bf16").weight_bytes == 2 * layers + 2 * 2 * OUTPUT
    # A scale of one byte for each 16 weights of half a byte.
    assert replica(dtype="fp4").weight_bytes == (0.5 + 1 / 16) * layers + 2 * 2 * OUTPUT


def test_keys_and_values_are_divided_as_far_as_there_are_heads_of_them() -> None:
    of_token = 80 * 8 * 256 * 2
    assert replica().sequence_bytes(1000) == 1000 * of_token
    assert replica(tensor=4).sequence_bytes(1000) == 1000 * of_token / 4
    few = replica("qwen3-235b", tensor=8)
    assert few.model.n_kv_heads == 4
    assert few.sequence_bytes(1) == 94 * 256 * 2


def test_latent_keys_are_on_every_tensor_rank() -> None:
    of_token = 61 * (512 + 64) * 2
    for tensor in (1, 8):
        assert replica("deepseek-v3", tensor=tensor).sequence_bytes(10) == 10 * of_token


def test_memory_bounds_the_batch_and_refuses_weights_that_do_not_fit() -> None:
    two = replica(tensor=2, gpu=catalog.gpu("h100-sxm"))
    room = 0.9 * (85_520_809_984 - two.weight_bytes)
    expected = room / (9216 * 80 * 8 * 256 * 2 / 2)
    assert two.sequences_that_fit(9216, memory_share=0.9) == pytest.approx(expected)
    assert replica(gpu=catalog.gpu("h100-sxm")).sequences_that_fit(9216, memory_share=0.9) < 10
    one = replica(dtype="bf16", gpu=catalog.gpu("h100-sxm"))
    assert one.sequences_that_fit(1, memory_share=0.9) == 0.0


def test_groups_of_attention_copy_its_weights_and_divide_the_experts() -> None:
    model = catalog.model("qwen3-235b")
    whole = replica("qwen3-235b")
    four = replica("qwen3-235b", attention_dp=4)
    attention = 94 * (4096 * (64 + 2 * 4) * 128 + 64 * 128 * 4096)
    experts = 94 * 128 * 3 * 4096 * 1536
    embeddings = 2 * 2 * model.vocabulary * 4096
    assert whole.weight_bytes == attention + experts + embeddings
    assert four.weight_bytes == attention + experts / 4 + embeddings / 4


def test_a_small_batch_reads_the_weights_once() -> None:
    one = replica()
    found = decode(one, np.array([1.0]), context=1000.0)
    read = 80 * (ATTENTION + NETWORK) + 2 * OUTPUT + 1000 * 80 * 8 * 256 * 2
    assert found.products_s[0] == pytest.approx(read / (0.8 * 4.8e12), rel=1e-12)
    assert found.exchange_s[0] == 0.0


def test_a_large_batch_is_bound_by_flops() -> None:
    one = replica()
    found = decode(one, np.array([4096.0]), context=1.0)
    flops = 2 * 4096 * 80 * (ATTENTION + NETWORK) / (1979e12 * 0.734)
    output = 2 * 4096 * OUTPUT / (989e12 * 0.803)
    kept = 4096 * 80 * 8 * 256 * 2 / (0.8 * 4.8e12)
    assert found.products_s[0] == pytest.approx(flops + output + kept, rel=1e-12)


@pytest.mark.parametrize(("tokens", "touched"), [(1, 8.0), (16, 101.96), (1024, 256.0)])
def test_experts_are_touched_as_tokens_pick_them(tokens: int, touched: float) -> None:
    product = next(one for one in replica("deepseek-v3").products if one.experts)
    share = product.read_share(np.array([float(tokens)]))[0]
    assert 256 * share == pytest.approx(touched, rel=1e-3)
    generator = np.random.default_rng(5)
    picked = [
        generator.permuted(np.tile(np.arange(256), (tokens, 1)), axis=1)[:, :8] for _ in range(40)
    ]
    drawn = np.mean([len(np.unique(one)) for one in picked])
    assert 256 * share == pytest.approx(drawn, rel=0.02)


def test_a_prompt_attends_to_half_of_itself() -> None:
    one = replica()
    tokens, prompts = np.array([8192.0]), np.array([1.0])
    found = prefill(one, tokens, prompts=prompts, context=8192.0)
    products = 2 * 8192 * 80 * (ATTENTION + NETWORK) / (1979e12 * 0.734)
    scores = 80 * 8192 * 4096 * 2 * 64 * 256 / (989e12 * 0.803)
    output = 2 * OUTPUT / (0.8 * 4.8e12)
    assert found.products_s[0] == pytest.approx(products + scores + output, rel=1e-12)


def test_windows_bound_what_is_read_and_scored() -> None:
    model = catalog.model("gpt-oss-20b")
    for caches in ("kept", "read"):
        found = [getattr(cache, caches)(5000) for cache in replica("gpt-oss-20b").caches]
        assert sorted(found) == [model.window, 5000]


def test_sparse_attention_keeps_all_tokens_and_reads_a_few() -> None:
    one = replica("deepseek-v3.2", tensor=8)
    of_token = 61 * (576 + 128) * 2
    for context in (1000, 100_000):
        assert one.sequence_bytes(context) == context * of_token
    near, far = (decode(one, np.array([64.0]), context=each).products_s[0] for each in (4e3, 1e5))
    # Keys of the indexer are read, of the others 2,048 alone.
    read = 64 * 61 * (1e5 - 4e3) * 128 * 2 / (0.8 * 4.8e12)
    assert far - near == pytest.approx(read, rel=0.01)
    prompts = [
        prefill(one, np.array([8192.0]), prompts=np.array([1.0]), context=8192.0, cached=cached)
        for cached in (8192.0, 100_000.0)
    ]
    assert prompts[1].products_s > 1.2 * prompts[0].products_s


def test_a_group_of_attention_has_whole_sequences_of_its_own() -> None:
    one = replica("deepseek-v3", attention_dp=8)
    assert one.sequences_that_fit(2e6, memory_share=0.9) == 0.0
    assert one.sequences_that_fit(1e5, memory_share=0.9) % 8 == 0
    # One busy group scores as many keys as each of eight would.
    scores = 61 * (1e5 - 1e3) * 2 * 128 * (576 + 512) / (989e12 * 0.803)
    far, near = (decode(one, np.array([1.0]), context=each).products_s[0] for each in (1e5, 1e3))
    assert far - near == pytest.approx(scores)


def test_heads_of_keys_are_whole() -> None:
    assert replica("qwen3-235b", tensor=3).sequence_bytes(1) == 94 * 2 * 256 * 2
    assert replica("gpt-oss-20b", tensor=4).sequence_bytes(1) == 24 * 2 * 2 * 64 * 2


def test_a_gpu_without_fp4_reads_four_bits_and_computes_in_fp8() -> None:
    four, eight = replica(dtype="fp4"), replica(dtype="fp8")
    few, many = np.array([1.0]), np.array([8192.0])
    assert four.computed_in("fp4") == "fp8"
    ratio = decode(four, few, context=1.0).products_s / decode(eight, few, context=1.0).products_s
    assert 0.56 < ratio[0] < 0.62
    at_peak = [decode(each, many, context=1.0).products_s[0] for each in (four, eight)]
    assert at_peak[0] == at_peak[1]
    a100 = replica(dtype="fp4", gpu=catalog.gpu("a100-sxm"))
    assert a100.computed_in("fp4") == "bf16"


def test_decode_is_bound_by_bandwidth_and_prefill_by_flops() -> None:
    of = (
        {"hbm_bytes_per_s": 9.6e12},
        {"peak_fp8_flop_per_s": 3958e12, "peak_bf16_flop_per_s": 1978e12},
    )
    base = replica()
    faster_memory, faster_products = (replica(gpu=H200.model_copy(update=update)) for update in of)
    token, many = np.array([4.0]), np.array([8192.0])

    def both(one: Replica) -> tuple[float, float]:
        prompt = prefill(one, many, prompts=np.array([1.0]), context=8192.0)
        return float(decode(one, token, context=4e3).products_s[0]), float(prompt.products_s[0])

    assert both(faster_memory)[0] == pytest.approx(both(base)[0] / 2)
    assert both(faster_memory)[1] == pytest.approx(both(base)[1], rel=0.01)
    assert both(faster_products)[0] == pytest.approx(both(base)[0])
    assert both(faster_products)[1] == pytest.approx(both(base)[1] / 2, rel=0.01)


def test_all_reduces_are_the_measured_ones_and_between_them() -> None:
    h100 = catalog.gpu("h100-sxm")
    sizes = np.array([256.0, 32_768.0, 67_108_864.0])
    assert all_reduce_s(h100, 8, sizes).tolist() == pytest.approx([3.23e-6, 3.84e-6, 322.47e-6])
    # Far from 2 (n - 1) hops of 3.4 us.
    assert all_reduce_s(h100, 8, sizes)[0] < 14 * 3.4e-6 / 10
    between = math.sqrt(32_768 * 131_072)
    expected = math.sqrt(3.84e-6 * 6.2e-6)
    assert all_reduce_s(h100, 8, np.array([between]))[0] == pytest.approx(expected)
    halfway = (all_reduce_s(h100, 2, sizes) + all_reduce_s(h100, 8, sizes)) / 2
    assert all_reduce_s(h100, 4, sizes) == pytest.approx(halfway)
    assert all_reduce_s(h100, 8, np.array([1.0, 2 * 67_108_864.0])).tolist() == pytest.approx(
        [3.23e-6, 2 * 322.47e-6]
    )
    assert all_reduce_s(h100, 1, sizes).tolist() == [0, 0, 0]
    l40s = catalog.gpu("l40s")
    assert all_reduce_s(l40s, 4, np.array([1e6]))[0] == pytest.approx(
        5e-6 + 1.5e6 / l40s.scale_up_bytes_per_s
    )


def test_each_layer_has_two_all_reduces_and_groups_gather_all_tokens() -> None:
    tokens = np.array([64.0])
    n_bytes = 64 * 8192 * 2
    both = 160 * all_reduce_s(H200, 8, np.array([float(n_bytes)]))
    assert decode(replica(tensor=8), tokens, context=1.0).exchange_s == pytest.approx(both)
    grouped = replica("qwen3-235b", attention_dp=8)
    once = 94 * all_reduce_s(H200, 8, np.array([64.0 * 4096 * 2]))
    assert decode(grouped, tokens, context=1.0).exchange_s == pytest.approx(once)


def test_tokens_go_only_to_the_domains_of_their_experts() -> None:
    wide = replica("deepseek-v3", tensor=8, attention_dp=4)
    assert wide.n_domains == 4
    tokens = np.array([1024.0])
    n_bytes = 1024 * 7168 * 2
    within = all_reduce_s(H200, 8, np.array([n_bytes / 4])) + all_reduce_s(
        H200, 8, np.array([float(n_bytes)])
    )
    experts = catalog.model("deepseek-v3").experts
    assert experts is not None
    met = domains_met(experts, 4)
    between = 4 * 14e-6 + 2 * met / 4 * 3 / 4 * n_bytes / 8 / 50e9
    expected = 61 * (within[0] + between)
    assert decode(wide, tokens, context=1.0).exchange_s[0] == pytest.approx(expected)
    assert "between domains: 14 us a hop, and the ports' rate" in wide.assumed


def test_a_layer_costs_once_for_each_of_up_to_eight_groups() -> None:
    found = [replica("qwen3-235b", attention_dp=n).layers_in_step for n in (1, 4, 8, 32)]
    assert found == [94, 4 * 94, 8 * 94, 8 * 94]


def test_a_cycle_is_iterations_and_prompts_and_its_shares_add_up() -> None:
    one, load = replica(tensor=2), Load(input_tokens=1000, output_tokens=500)
    batch = np.array([1.0, 32.0, 2000.0])
    of = cycle(one, load, batch)
    each = decode(one, batch, context=1250.0)
    assert of.products_s == pytest.approx(500 * each.products_s)
    # One prompt a pass; then four, as many as end in an iteration.
    assert of.prefills == pytest.approx([1, 32, 500])
    software = Software(factor=1.1, layer_s=5e-5, token_s=2e-6)
    found = rates(of, load, software)
    terms = [found.shares[name] for name in ("products", "exchange", "layers", "tokens")]
    assert np.sum(terms, axis=0) == pytest.approx(np.ones(3))
    layers_s = 5e-5 * 80 * (500 + of.prefills)
    expected = (
        1.1 * (of.products_s + of.prompt_products_s)
        + of.exchange_s
        + of.prompt_exchange_s
        + layers_s
        + 2e-6 * 500 * batch
    )
    assert found.cycle_s == pytest.approx(expected)
    assert found.output_tokens_per_s_per_gpu == pytest.approx(batch * 500 / expected / 2)
    assert found.input_tokens_per_s_per_gpu == pytest.approx(2 * found.output_tokens_per_s_per_gpu)
    # A request takes its first token and 499 others.
    assert found.ttft_s + 499 * found.tpot_s == pytest.approx(found.cycle_s)


def test_a_long_prompt_takes_several_passes_and_a_known_prefix_none() -> None:
    one = replica()
    load = Load(input_tokens=20_000, output_tokens=100, pass_tokens=8192)
    assert cycle(one, load, np.array([4.0])).prefills[0] == pytest.approx(4 * 20_000 / 8192)
    known = replace(load, prefix_hit=0.9)
    first, second = (cycle(one, each, np.array([4.0])) for each in (load, known))
    # 2,000 new tokens attend to 18,000 known ones and to half of themselves.
    products = 2 * 80 * (ATTENTION + NETWORK) / (1979e12 * 0.734)
    scores = 80 * 2 * 64 * 256 / (989e12 * 0.803)
    output = 2 * OUTPUT / (0.8 * 4.8e12)
    expected = 4 * (2000 * (products + 19_000 * scores) + output)
    assert second.prompt_products_s[0] == pytest.approx(expected)
    assert second.prompt_products_s < 0.2 * first.prompt_products_s
    assert second.products_s == first.products_s


def test_a_first_token_that_is_late_makes_no_other_one_early() -> None:
    one, load = replica(tensor=8), Load(input_tokens=100, output_tokens=10)
    batch = np.array([1.0, 64.0])
    late = PLAIN.model_copy(update={"first_s": 0.5})
    plain, found = (rates(cycle(one, load, batch), load, each) for each in (PLAIN, late))
    assert found.tpot_s == pytest.approx(plain.tpot_s)
    assert found.ttft_s == pytest.approx(plain.ttft_s + 0.5)
    of = decode(one, batch, context=105.0)
    assert (found.tpot_s >= (of.products_s + of.exchange_s) * (1 - 1e-12)).all()


def test_stragglers_make_seconds_longer_as_they_make_rates_lower() -> None:
    one, load = replica(), Load(input_tokens=1000, output_tokens=100)
    of = cycle(one, load, np.array([10.0]))
    plain, slow = (rates(of, load, PLAIN, pace=each) for each in (1.0, 0.8))
    assert slow.tpot_s == pytest.approx(plain.tpot_s / 0.8)
    assert slow.ttft_s == pytest.approx(plain.ttft_s / 0.8)
    assert slow.output_tokens_per_s_per_gpu == pytest.approx(
        0.8 * plain.output_tokens_per_s_per_gpu
    )


def test_requests_beyond_the_batch_wait_for_a_place() -> None:
    one, load = replica(), Load(input_tokens=1000, output_tokens=100)
    of = cycle(one, load, np.array([10.0]))
    alone, others = (rates(of, load, PLAIN, asked=asked) for asked in (10.0, 25.0))
    assert others.ttft_s[0] == pytest.approx(alone.ttft_s[0] + 1.5 * alone.cycle_s[0])
    assert others.output_tokens_per_s_per_gpu == alone.output_tokens_per_s_per_gpu


def test_prompts_wait_as_mean_value_analysis_says() -> None:
    # A prompt of p seconds and decoding of D: the exact recursion over requests.
    prompt_s, decode_s = 0.3, 12.0
    queue = 0.0
    for n in range(1, 33):
        response = prompt_s * (1 + queue)
        queue = n * response / (response + decode_s)
    from hindmost.serving.cycle import _in_queue_s

    found = _in_queue_s(np.array([32.0]), np.array([prompt_s]), np.array([decode_s]))
    # Schweitzer's approximation is off most where the queue begins to grow.
    assert found[0] == pytest.approx(response - prompt_s, rel=0.2)
    assert _in_queue_s(np.array([1.0]), np.array([prompt_s]), np.array([decode_s]))[0] < 1e-12


def lognormal(sigma: float, **more: Any) -> Cause:
    given = {"affects": "compute", "effect": "slowdown", "scope": "gpu", "span": "run"}
    law = {"name": "lognormal", "sigma": sigma}
    return Cause.model_validate({**given, "law": law, **more})


@pytest.mark.parametrize(
    ("n_gpus", "expected", "within"),
    [(1, 1.000148, 5e-7), (4, 0.982522, 5e-7), (220_000, 0.9247, 5e-5)],
)
def test_stragglers_cost_within_a_replica_only(n_gpus: int, expected: float, within: float) -> None:
    found = pace({"speed": lognormal(0.0172)}, n_gpus=n_gpus, node_gpus=n_gpus)
    assert found == pytest.approx(expected, abs=within)


def test_several_causes_multiply_and_nodes_share_theirs() -> None:
    causes = {
        "speed": lognormal(0.0172),
        "residual": lognormal(0.01, span="step"),
        "hiccup": lognormal(0.1, span="step", probability=0.02),
        "host": lognormal(0.02, scope="node"),
        "stall": lognormal(0.3, effect="stall"),
        "port": lognormal(0.3, affects="network"),
        "grid": lognormal(0.3, scope="cluster"),
    }
    generator = np.random.default_rng(11)
    n, steps = 20_000, 50
    lasts = generator.normal(0, 0.0172, (n, 1, 8))
    lasts = lasts + np.repeat(generator.normal(0, 0.02, (n, 1, 2)), 4, axis=2)
    changes = generator.normal(0, 0.01, (n, steps, 8))
    hit = generator.random((n, steps, 8)) < 0.02
    changes += np.where(hit, generator.normal(0, 0.1, (n, steps, 8)), 0)
    # Each replica has the mean of its iterations.
    drawn = 1 / np.exp((lasts + changes).max(axis=2)).mean(axis=1)
    assert pace(causes, n_gpus=8, node_gpus=4) == pytest.approx(drawn.mean(), rel=1e-3)


def test_what_changes_each_iteration_costs_the_mean_slowest() -> None:
    twice = lognormal(0.0, span="step", probability=0.5)
    twice = twice.model_copy(update={"law": Constant(value=2.0)})
    assert pace({"x": twice}, n_gpus=1, node_gpus=8) == pytest.approx(1 / 1.5, rel=1e-4)
    lasts = twice.model_copy(update={"span": "run"})
    assert pace({"x": lasts}, n_gpus=1, node_gpus=8) == pytest.approx(0.75, rel=1e-4)


def test_a_failure_takes_out_one_replica() -> None:
    failures = {
        "host": UnitFailures(scope="node", per_hour=1e-3, repair_hours=12.0),
        "gpu": UnitFailures(scope="gpu", per_hour=1e-4),
    }
    recovery = Recovery(detection_s=60.0, restart_s=540.0)
    restart = 600 / 3600
    down = 2e-3 * (12 + restart) + 16e-4 * restart
    found = availability(failures, recovery, n_gpus=16, gpu=H200, has_spares=False)
    assert found == pytest.approx(1 / (1 + down))
    with_spares = availability(failures, recovery, n_gpus=16, gpu=H200, has_spares=True)
    assert with_spares == pytest.approx(1 / (1 + (2e-3 + 16e-4) * restart))


def test_layouts_fit_a_domain_and_divide_heads() -> None:
    dense = list(layouts(catalog.model("llama3-70b"), 8))
    assert dense == [(1, 1, 1), (2, 1, 1), (4, 1, 1), (8, 1, 1)]
    mixed = list(layouts(catalog.model("deepseek-v3"), 72))
    assert all(tensor * groups <= 72 for tensor, groups, _ in mixed)
    assert (1, 72, 8) in mixed
    assert (8, 8, 64) in mixed
    wide = list(layouts(catalog.model("deepseek-v3"), 8, n_domains=4))
    assert {tensor * groups for tensor, groups, _ in wide} == {*range(1, 9), 16, 24, 32}
    assert list(layouts(catalog.model("llama3-70b"), 8, n_domains=4)) == dense


def test_every_batch_up_to_memory_is_tried_or_lies_within_a_hundredth() -> None:
    found = batches(5000.7)
    assert found[:256].tolist() == list(range(1, 257))
    assert found[-1] == 5000
    assert (np.diff(found) <= 0.011 * found[1:] + 1).all()


ROW = {
    "model": "llama-3.3-70b",
    "precision": "fp8",
    "gpu": "h200-sxm",
    "engine": "mine",
    "tensor": 2,
    "attention_dp": 1,
    "expert": None,
    "n_gpus": 2,
    "isl": 2000,
    "osl": 1000,
}


def test_a_fit_finds_the_numbers_that_rows_were_made_with() -> None:
    software = Software(factor=1.3, layer_s=8e-5, token_s=3e-5)
    rows = []
    # With lengths alone all terms would be straight in the batch, and no two tell three apart.
    for concurrency, isl, osl in (
        (1, 100, 1000),
        (4, 2000, 1000),
        (64, 8000, 100),
        (512, 100, 300),
    ):
        load = Load(input_tokens=0.9 * isl, output_tokens=0.9 * osl)
        one = replica(tensor=2, kv_bytes=1.0)
        made = rates(cycle(one, load, np.array([float(concurrency)])), load, software)
        rate = float(made.output_tokens_per_s_per_gpu[0])
        asked = {"concurrency": concurrency, "isl": isl, "osl": osl}
        rows.append({**ROW, **asked, "output_tokens_per_s_per_gpu": rate})
    other = {**ROW, "gpu": "b200-sxm", "concurrency": 8, "output_tokens_per_s_per_gpu": 1.0}
    fit = hm.fit_serving([*rows, other], gpu="h200-sxm")
    (found,) = fit.fits
    assert (found.engine, found.model, found.n_rows) == ("mine", "llama3-70b", 4)
    assert found.software.factor == pytest.approx(1.3)
    assert found.software.layer_s == pytest.approx(8e-5)
    assert found.software.token_s == pytest.approx(3e-5)
    assert found.error < 1e-9
    predicted = fit.predict([*rows, other])
    rates_found = predicted["output_tokens_per_s_per_gpu"].to_list()
    assert rates_found[:4] == pytest.approx([row["output_tokens_per_s_per_gpu"] for row in rows])
    assert predicted["reason"].to_list() == [None] * 5
    assert rates_found[4] > rates_found[1]


def test_predictions_read_nothing_that_was_measured_and_say_why_there_is_none() -> None:
    rows = [
        {**ROW, "concurrency": n, "output_tokens_per_s_per_gpu": 400.0 * n**0.5, "ttft_ms": 300}
        for n in (4, 8, 16)
    ]
    fit = hm.fit_serving(rows, gpu="h200-sxm")
    plain = fit.predict([{**ROW, "concurrency": 8}])
    measured = {"output_tokens_per_s_per_gpu": 1e9, "ttft_ms": 1e9, "tpot_ms": 1e9}
    assert fit.predict([{**ROW, "concurrency": 8, **measured}]).equals(plain)
    wrong = [
        {**ROW, "concurrency": 8, "tensor": ""},
        {**ROW, "concurrency": 8, "isl": "data set"},
        {**ROW, "concurrency": 8, "model": "nobody"},
        {**ROW, "concurrency": 8, "engine": "other"},
        {**ROW, "concurrency": 8, "n_gpus": 3},
        {**ROW, "concurrency": 8, "gpu": "l40s", "n_gpus": 1, "tensor": 1},
        {**ROW, "concurrency": 8, "n_gpus": 5, "tensor": 5},
        {**ROW, "concurrency": 8, "n_gpus": 4, "attention_dp": 2},
        {**ROW, "concurrency": 8, "n_gpus": 64, "tensor": 64, "gpu": "l40s"},
        {**ROW, "concurrency": 1e-300},
    ]
    found = fit.predict(wrong)
    assert found["output_tokens_per_s_per_gpu"].null_count() == len(wrong)
    assert found["reason"].to_list() == [
        "tensor is missing",
        "isl is data set, which is no number",
        "model nobody is not in the catalogue",
        "no row of h200-sxm has other with llama3-70b",
        "tensor x attention_dp is 2, and n_gpus 3",
        "no sequence fits into memory beside the weights",
        "tensor must divide the 64 heads, and is 5",
        "attention_dp is 2, and the model has no experts to divide",
        "n_gpus is 64, and neither within a domain of l40s nor whole ones",
        "concurrency must be between 1e-06 and 1e+09, and is 1e-300",
    ]
    at_once = fit.predict([{**ROW, "concurrency": "all requests at once (1,000-30,000)"}])
    one = replica(tensor=2, kv_bytes=1.0)
    assert at_once["batch"][0] == one.sequences_that_fit(2500, memory_share=0.9)


@pytest.mark.parametrize("rows", [[], [{**ROW, "concurrency": 1}], 3, "rows", {"model": 1}])
def test_rows_without_anything_to_fit_are_refused(rows: Any) -> None:
    with pytest.raises(hm.ScenarioError, match="rows must"):
        hm.fit_serving(rows, gpu="h200-sxm")
