"""Communication terms: what a rank sends to other replicas, and what hides it, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plans import compute_time, pool_plan

import hindmost as hm
from hindmost.collective import hops
from hindmost.law import Exponential
from hindmost.physics.terms import Term

Changes = dict[str, Any]

PORT = 0.915 * 50e9
DOMAIN, HOP = 370.8e9, 3.4e-6
NET_HOP = 14e-6
LLAMA_70B = 70_553_706_496
N_BYTES = 2 * LLAMA_70B / 8
"""Weights of a rank of `h100-1k`: tensor 8, one stage, 128 replicas, one of them a node."""


def found(*changes: Changes, pool: str = "h100", preset: str = "h100-1k") -> dict[str, Term]:
    """Return the terms of a step by phase."""
    table = {key: value for each in changes for key, value in each.items()}
    terms = pool_plan(hm.load(preset, table), pool).terms
    assert len({term.phase for term in terms}) == len(terms)
    return {term.phase: term for term in terms}


def passes_s(*changes: Changes) -> tuple[float, float]:
    """Return the forward and the backward pass of a stage, the average one."""
    table = {key: value for each in changes for key, value in each.items()}
    scenario = hm.load("h100-1k", table)
    time = compute_time(scenario, "h100")
    pipeline = scenario.layout.pipeline
    return time.forward_s / pipeline, time.backward_s / pipeline


def gather_s(n_bytes: float, n: int, buckets: int) -> float:
    """Return the seconds of a gather with one rank a node: hops of each bucket, then the bytes."""
    return buckets * (n - 1).bit_length() * NET_HOP + (n - 1) / n * n_bytes / PORT


def totals(terms: dict[str, Term]) -> dict[str, float]:
    return {name: term.cost.total_s for name, term in terms.items()}


def windows(terms: dict[str, Term]) -> dict[str, float]:
    return {name: term.window_s for name, term in terms.items()}


M: Changes = {"workload.n_microbatches": 5}


def test_unsharded_replicas_reduce_gradients_behind_the_last_backward_pass() -> None:
    layout = {**M, "layout.sharding": "none"}
    terms = found(layout)
    one_s = gather_s(N_BYTES, 128, 80)
    assert totals(terms) == pytest.approx({"last backward": 2 * one_s})
    assert windows(terms) == pytest.approx({"last backward": passes_s(layout)[1]})


def test_zero1_gathers_weights_first_and_scatters_gradients_last() -> None:
    layout = {**M, "layout.sharding": "zero1"}
    terms = found(layout)
    one_s = gather_s(N_BYTES, 128, 80)
    assert totals(terms) == pytest.approx({"first forward": one_s, "last backward": one_s})
    forward_s, backward_s = passes_s(layout)
    expected = {"first forward": forward_s, "last backward": backward_s}
    assert windows(terms) == pytest.approx(expected)


def test_zero2_scatters_gradients_of_every_microbatch() -> None:
    layout = {**M, "layout.sharding": "zero2"}
    terms = found(layout)
    one_s = gather_s(N_BYTES, 128, 80)
    expected = {"first forward": one_s, "early backward": 4 * one_s, "last backward": one_s}
    assert totals(terms) == pytest.approx(expected)
    assert windows(terms)["early backward"] == pytest.approx(4 * passes_s(layout)[1])
    assert "early backward" not in found(layout, {"workload.n_microbatches": 1})


def test_zero3_moves_weights_three_times_a_microbatch() -> None:
    layout = {**M, "layout.sharding": "zero3"}
    terms = found(layout)
    one_s = gather_s(N_BYTES, 128, 80)
    expected = {"forward": 5 * one_s, "early backward": 8 * one_s, "last backward": 2 * one_s}
    assert totals(terms) == pytest.approx(expected)
    forward_s, backward_s = passes_s(layout)
    behind = {"forward": 5 * forward_s, "early backward": 4 * backward_s}
    assert windows(terms) == pytest.approx({**behind, "last backward": backward_s})


def test_hybrid_does_it_in_shard_groups_and_reduces_shards_once_between_them() -> None:
    terms = found(M)
    one_s = gather_s(N_BYTES, 16, 80)
    between_s = 2 * gather_s(N_BYTES / 16, 8, 80)
    expected = {"forward": 5 * one_s, "early backward": 8 * one_s}
    assert totals(terms) == pytest.approx({**expected, "last backward": 2 * one_s + between_s})
    # 128 replicas in groups of 48: the smallest, of 32, has the largest shards.
    terms = found(M, {"layout.shard_group_replicas": 48})
    between_s = 2 * gather_s(N_BYTES / 32, 3, 80)
    last_s = 2 * gather_s(N_BYTES, 48, 80) + between_s
    assert totals(terms)["last backward"] == pytest.approx(last_s)


def test_one_shard_group_of_all_replicas_is_zero3() -> None:
    hybrid = found(M, {"layout.shard_group_replicas": 128})
    assert totals(hybrid) == pytest.approx(totals(found(M, {"layout.sharding": "zero3"})))


def test_one_replica_a_shard_group_leaves_the_reduction() -> None:
    hybrid = found(M, {"layout.shard_group_replicas": 1})
    assert totals(hybrid) == pytest.approx(totals(found(M, {"layout.sharding": "none"})))


def test_there_are_no_terms_where_nobody_has_the_same_part_of_the_model() -> None:
    for sharding in ("none", "zero1", "zero2", "zero3"):
        assert found({"layout.sharding": sharding, "pools.h100.n_gpus": 8}) == {}


def test_context_ranks_have_the_same_weights() -> None:
    layout = {"layout.sharding": "zero1", "layout.context": 4}
    one_s = gather_s(N_BYTES, 128, 80)
    assert totals(found(layout))["first forward"] == pytest.approx(one_s)
    alone = {"layout.sharding": "zero1", "layout.context": 128}
    assert totals(found(alone))["last backward"] == pytest.approx(one_s)


@pytest.mark.parametrize("context", [2, 4])
def test_shards_of_context_ranks_meet_between_groups(context: int) -> None:
    """Shards of 4 replicas with 4 context ranks each are as large as those of 16 replicas."""
    terms = found(M, {"layout.context": context, "layout.shard_group_replicas": 16 // context})
    one_s = gather_s(N_BYTES, 16, 80)
    between_s = 2 * gather_s(N_BYTES / 16, 8, 80)
    assert totals(terms)["last backward"] == pytest.approx(2 * one_s + between_s)


@pytest.mark.parametrize(("tensor", "per_node"), [(1, 8), (2, 4), (4, 2), (8, 1)])
def test_data_ranks_of_a_node_divide_what_goes_through_ports(tensor: int, per_node: int) -> None:
    terms = found({"layout.tensor": tensor, "layout.sharding": "zero1"})
    n_bytes = 2 * LLAMA_70B / tensor
    rounds = 80 * 7 * NET_HOP + 127 / 128 * n_bytes / per_node / PORT
    scale_up_s = (per_node - 1) * (80 * HOP + n_bytes / per_node / DOMAIN)
    assert totals(terms)["first forward"] == pytest.approx(rounds + scale_up_s)


def test_a_rank_of_the_fullest_stage_pays_and_the_average_one_hides() -> None:
    layout: Changes = {"layout.sharding": "zero1", "layout.pipeline": 8}
    terms = found(M, layout)
    # The last stage: 10 layers, the output layer and a norm; 16 replicas.
    layer = 8192 * (2 * 8192 + 2 * 1024) + 3 * 8192 * 28_672 + 2 * 8192
    n_bytes = 2 * (10 * layer + 128_256 * 8192 + 8192) / 8
    one_s = gather_s(n_bytes, 16, 80)
    assert totals(terms) == pytest.approx({"first forward": one_s, "last backward": one_s})
    forward_s, backward_s = passes_s(M, layout)
    expected = {"first forward": forward_s, "last backward": backward_s}
    assert windows(terms) == pytest.approx(expected)


@pytest.mark.parametrize(("chunks", "m", "share"), [(1, 8, 1), (2, 8, 9 / 2), (5, 16, 33 / 5)])
def test_chunks_of_a_round_of_microbatches_make_the_window(
    chunks: int, m: int, share: float
) -> None:
    layout: Changes = {"layout.schedule": "interleaved", "layout.chunks": chunks}
    layout |= {"layout.pipeline": 8, "layout.sharding": "zero1", "workload.n_microbatches": m}
    forward_s, backward_s = passes_s(layout)
    expected = {"first forward": share * forward_s, "last backward": share * backward_s}
    assert windows(found(layout)) == pytest.approx(expected)


MOE: Changes = {"workload.model": "mixtral-8x7b", "layout.tensor": 1, "layout.sharding": "none"}
MOE |= {"workload.microbatch_seqs": 1, "collective.n_buckets": 32, "pools.h100.n_gpus": 64}
ROUTED = 32 * 8 * 3 * 4096 * 14_336
DENSE = 32 * (4096 * (2 * 4096 + 2 * 1024) + 4096 * 8 + 2 * 4096) + 2 * 32_000 * 4096 + 4096


def one_way_s(n_bytes: float, n: int, per_node: int) -> float:
    nodes = n // per_node
    port_s = (nodes - 1).bit_length() * 32 * NET_HOP + (
        nodes - 1
    ) / nodes * n_bytes / per_node / PORT
    return port_s + (per_node - 1) * (32 * HOP + n_bytes / per_node / DOMAIN)


@pytest.mark.parametrize(
    ("expert", "same", "near"), [(1, 64, 8), (2, 32, 4), (4, 16, 2), (8, 8, 1)]
)
def test_gradients_of_experts_go_to_ranks_with_the_same_ones(
    expert: int, same: int, near: int
) -> None:
    terms = found(MOE, {"layout.expert": expert})
    dense_s = one_way_s(2 * DENSE, 64, 8)
    routed_s = one_way_s(2 * ROUTED / expert, same, near)
    assert totals(terms) == pytest.approx({"last backward": 2 * (dense_s + routed_s)})


@pytest.mark.parametrize("expert", [1, 2, 8])
def test_shards_of_experts_are_of_the_ranks_that_have_the_same_ones(expert: int) -> None:
    hybrid: Changes = {"layout.sharding": "hybrid", "layout.shard_group_replicas": 32}
    terms = found(MOE, hybrid, {"layout.expert": expert, "workload.n_microbatches": 1})
    near = max(1, 8 // expert)
    within_group_s = one_way_s(2 * DENSE, 32, 8) + one_way_s(
        2 * ROUTED / expert, 32 // expert, near
    )
    # A thirty-second of all experts is left on each rank, however they are divided.
    between_s = 2 * (32 * NET_HOP + (DENSE + ROUTED) / 32 / PORT)
    last_s = totals(terms)["last backward"]
    # Dense and routed shards may go one after the other, with a latency each.
    assert last_s - 2 * within_group_s == pytest.approx(between_s, rel=0.02)


ALGORITHMS: dict[tuple[str, str], tuple[float, float]] = {
    # Latency of one bucket, in hops; share of the bytes that goes through a port.
    ("ring", "none"): (2 * 127, 2 * 127 / 128),
    ("ring", "zero1"): (127, 127 / 128),
    ("tree", "none"): (2 * 7, 2),
    ("tree", "zero1"): (127, 127 / 128),
    ("pat", "none"): (2 * 127, 2 * 127 / 128),
    ("pat", "zero1"): (7, 127 / 128),
    ("hierarchical", "none"): (2 * 7, 2 * 127 / 128),
    ("hierarchical", "zero1"): (7, 127 / 128),
}


@pytest.mark.parametrize(("algorithm", "sharding"), ALGORITHMS)
def test_what_an_algorithm_cannot_do_rings_do(algorithm: str, sharding: str) -> None:
    hops, share = ALGORITHMS[algorithm, sharding]
    terms = found({"collective.algorithm": algorithm, "layout.sharding": sharding})
    cost = terms["last backward"].cost
    assert cost.latency_s == pytest.approx(80 * hops * NET_HOP)
    assert cost.transfer_s == pytest.approx(share * N_BYTES / PORT)
    assert cost.scale_up_s == 0


NCCL: dict[tuple[str, str], float] = {
    # Microseconds of a bucket among 128 nodes with one rank each, of 220 MB.
    ("ring", "none"): 1.4 * (8.4 + 2 * 127 * 14),
    ("ring", "zero1"): 8.4 + 127 * 14,
    ("tree", "none"): 8.4 + 2 * 7 * 14,
    ("tree", "zero1"): 8.4 + 127 * 14,
    ("pat", "none"): 1.4 * (8.4 + 2 * 127 * 14),
    ("pat", "zero1"): 8 + 7 * 14 / 3.5 + 2.8 * 128,
}


@pytest.mark.parametrize(("algorithm", "sharding"), NCCL)
def test_nccl_expects_its_own_latency_of_each_bucket(algorithm: str, sharding: str) -> None:
    layout: Changes = {"collective.algorithm": algorithm, "layout.sharding": sharding}
    hops, nccl = found(layout), found(layout, {"collective.latency": "nccl"})
    cost = nccl["last backward"].cost
    assert cost.latency_s == pytest.approx(80e-6 * NCCL[algorithm, sharding])
    assert cost.transfer_s == hops["last backward"].cost.transfer_s


def test_nccl_counts_the_overhead_of_hosts_within_nodes() -> None:
    layout: Changes = {"collective.algorithm": "ring", "collective.latency": "nccl"}
    layout |= {"layout.sharding": "zero1", "layout.tensor": 4}
    for host, intra_us in (("intel", 3.4), ("amd", 6.0)):
        cost = found(layout, {"collective.host": host})["first forward"].cost
        # 256 ranks on 128 nodes: 128 hops within nodes, at least as long as three postings.
        assert cost.latency_s == pytest.approx(80e-6 * (8.4 + 128 * intra_us + 127 * 14))


def test_a_torus_uses_all_links_of_all_dimensions() -> None:
    terms = found({"layout.shard_group_replicas": 192}, preset="palm-tpu-v4", pool="tpu")
    layer = 18_432 * (2 * 48 * 256 + 2 * 256) + 3 * 18_432 * 73_728
    n_bytes = 2 * (118 * (layer + 2 * 18_432) + 256_000 * 18_432 + 18_432) / 16
    # Rings of 12 and 16: four links, and at most 6 + 8 hops.
    one_s = 118 * 14 * 1e-6 + 191 / 192 * n_bytes / (4 * 45e9)
    assert totals(terms)["forward"] == pytest.approx(one_s)


def test_a_card_slower_than_its_fabric_sets_the_pace() -> None:
    slow = found({"pools.h100.nic_bytes_per_s": 25e9, "layout.sharding": "none"})
    fast = found({"pools.h100.nic_bytes_per_s": 400e9, "layout.sharding": "none"})
    plain = found({"layout.sharding": "none"})
    transfers = [each["last backward"].cost.transfer_s for each in (slow, fast, plain)]
    assert transfers[0] == pytest.approx(2 * transfers[2])
    assert transfers[1] == transfers[2]


def test_exposed_is_what_the_window_does_not_hide_and_at_least_a_bucket() -> None:
    causes = ("gpu-speed", "residual", "step-common", "stall", "pause")
    quiet: Changes = {f"causes.{cause}.enabled": False for cause in causes}
    quiet |= {"fabric.noise.enabled": False, "layout.sharding": "zero3"}
    for m, overlap in ((1, 0.9), (5, 0.9), (5, 0.25), (5, 0.0)):
        changes = {**quiet, "workload.n_microbatches": m, "collective.overlap_fraction": overlap}
        terms = found(changes)
        expected = sum(
            max(term.cost.total_s / 80, term.cost.total_s - overlap * term.window_s)
            for term in terms.values()
        )
        result = hm.simulate(hm.load("h100-1k", changes), runs=1, steps=1, seed=0)
        assert result.value("exposed_comm_s") == pytest.approx(expected, rel=1e-9)


def test_what_does_not_fill_a_torus_goes_over_ports() -> None:
    """Shard groups of one replica are tori of one rank, and reduce over ports."""
    alone = {"layout.shard_group_replicas": 1, "fabric.shape": [1], "layout.tensor": 16}
    scenario = hm.load("palm-tpu-v4", {**alone, "workload.model": "llama3-8b"})
    (last,) = pool_plan(scenario, "tpu").terms
    assert last.phase == "last backward"
    assert last.cost.transfer_s > 0


def test_hops_of_random_length_lengthen_the_latency_of_each_term() -> None:
    """Hops that all take twice their time double it; random ones follow their recursion."""
    quiet: dict[str, Any] = {f"causes.{name}.enabled": False for name in hm.load("h100-1k").causes}
    quiet |= {
        "fabric.noise.enabled": False,
        "layout.sharding": "none",
        "workload.recompute": "full",
    }
    quiet |= {"collective.algorithm": "ring", "collective.overlap_fraction": 0.0}
    quiet |= {"workload.model": "llama3-8b", "fabric.latency_s": 1e-3}
    # Of 32 domains: replays of rings take time that goes with the square of their number.
    quiet |= {"pools.h100.n_gpus": 256}

    def exposed_s(**law: Any) -> hm.Result:
        changes = {**quiet, "fabric.hop_noise": law} if law else quiet
        return hm.simulate("h100-1k", changes=changes, seed=3, runs=4, steps=250)

    plain = exposed_s()
    (term,) = plain.plan.pools[0].terms
    twice = exposed_s(name="constant", value=2.0)
    doubled_s = plain.value("exposed_comm_s") + term.cost.latency_s
    assert twice.value("exposed_comm_s") == pytest.approx(doubled_s, rel=1e-6)
    total = hops.total(Exponential(mean=1.0), pattern="ring-all-reduce", n=32)
    random = exposed_s(name="exponential", mean=1.0)
    lengthened_s = (total.mean / total.hops - 1) * term.cost.latency_s
    found_s = random.value("exposed_comm_s") - plain.value("exposed_comm_s")
    spread_s = random.steps["exposed_comm_s"].std()
    assert isinstance(spread_s, float)
    assert found_s == pytest.approx(lengthened_s, abs=4 * spread_s / 1000**0.5)
    assert spread_s > 0
