"""Tiers above domains: rings and rounds followed by hand, and who sits below which links."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.plans import counts, pool_plan

import hindmost as hm
from hindmost.collective import (
    Link,
    all_gather,
    all_reduce,
    all_to_all,
    flat_ring,
    pat,
    relayed_all_to_all,
    tree,
)
from hindmost.physics.links import Links
from hindmost.plan import make_plan
from hindmost.scenario import with_changes
from hindmost.scenario.areas import TierSize, tier_sizes
from hindmost.scenario.numbering import numberings
from hindmost.scenario.places import places
from hindmost.spread import Groups, Spread

Changes = dict[str, Any]

SCALE_UP = Link(latency_s=1e-6, bytes_per_s=400e9)
PORT = Link(latency_s=1e-5, bytes_per_s=50e9)
POD = Link(latency_s=1e-4, bytes_per_s=20e9)
SITE = Link(latency_s=1e-3, bytes_per_s=2e9)
N_BYTES = 8e9


def spread(members: int, *sizes: int) -> Spread:
    """Return ranks in domains of as many, then so many domains a pod, pods a site, and sites."""
    domains = int(np.prod(sizes))
    tiers, below = [], members
    for index, size in enumerate(sizes[:-1]):
        below *= size
        tiers.append(Groups.of(int(np.prod(sizes[index + 1 :])), below))
    return Spread(
        ranks=members * domains,
        members=members,
        domains=domains,
        fewest=members,
        tiers=tuple(tiers),
    )


SHAPES = [(1, 4, 2), (2, 4, 4), (8, 1, 4), (4, 2, 2, 4), (1, 1, 1, 8), (8, 8, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_doubling_distances_round_by_round(shape: tuple[int, ...]) -> None:
    """The farthest partners first: each round sends all that a domain has by then."""
    members, *sizes = shape
    found = spread(*shape)
    links = (PORT, POD, SITE)[: len(sizes)]
    below = np.cumprod([1, *sizes[:-1]])
    transfer_s = latency_s = 0.0
    distance, has = found.domains // 2, N_BYTES / found.domains
    while distance:
        # Over the highest level whose groups are smaller than the distance or as large.
        level = max(i for i, size in enumerate(below) if distance >= size)
        rate = min(link.bytes_per_s for link in links[: level + 1])
        transfer_s += has / members / rate
        latency_s += links[level].latency_s
        has *= 2
        distance //= 2
    cost = all_gather(N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=links[1:])
    assert cost.transfer_s == pytest.approx(transfer_s)
    assert cost.latency_s == pytest.approx(latency_s + (members - 1) * SCALE_UP.latency_s)
    twice = all_reduce(N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=links[1:])
    assert twice.total_s == pytest.approx(2 * cost.total_s)
    if members == 1:
        assert cost == pat.all_gather(
            N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=links[1:]
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_rings_round_by_round(shape: tuple[int, ...]) -> None:
    """Each ring goes through all domains in order, and rounds wait for the slowest link."""
    members, *sizes = shape
    found = spread(*shape)
    links = (PORT, POD, SITE)[: len(sizes)]
    below = np.cumprod([1, *sizes])
    sent: dict[tuple[int, int], float] = defaultdict(float)
    hops = set()
    for domain in range(found.domains):
        following = (domain + 1) % found.domains
        for level in range(len(sizes)):
            if domain // below[level] != following // below[level]:
                sent[level, domain // below[level]] += (found.ranks - 1) / found.ranks * N_BYTES
                hops.add(level)
    # Ranks of a group have equal parts of the group's links.
    slowest_s = max(
        n_bytes / (members * below[level]) / min(link.bytes_per_s for link in links[: level + 1])
        for (level, _), n_bytes in sent.items()
    )
    cost = flat_ring.all_gather(
        N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=links[1:]
    )
    assert cost.transfer_s == pytest.approx(slowest_s)
    slowest_hop_s = max(links[level].latency_s for level in hops)
    within_s = (found.ranks - found.domains) * SCALE_UP.latency_s
    assert cost.latency_s == pytest.approx((found.domains - 1) * slowest_hop_s + within_s)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_to_all_message_by_message(shape: tuple[int, ...]) -> None:
    members, *sizes = shape
    found = spread(*shape)
    links = (PORT, POD, SITE)[: len(sizes)]
    below = members * np.cumprod([1, *sizes[:-1]])
    ranks = np.arange(found.ranks)
    busiest_s = 0.0
    for level, size in enumerate(below):
        leaves = ranks[:, np.newaxis] // size != ranks // size
        rate = min(link.bytes_per_s for link in links[: level + 1])
        busiest_s = max(busiest_s, leaves.sum(axis=1).max() * N_BYTES / found.ranks / rate)
    cost = all_to_all(N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=links[1:])
    assert cost.transfer_s == pytest.approx(busiest_s)
    # With as many copies as there are domains every copy is needed everywhere.
    relayed = relayed_all_to_all(
        N_BYTES / found.ranks,
        to_domains=found.domains,
        to_ranks=found.ranks,
        spread=found,
        scale_up=SCALE_UP,
        port=PORT,
        tiers=links[1:],
    )
    assert relayed.transfer_s == pytest.approx(busiest_s / members)


def test_trees_send_as_much_over_a_tier_as_through_the_ports_of_a_domain() -> None:
    found = spread(2, 4, 8)
    slow = Link(latency_s=1e-4, bytes_per_s=1e9)
    cost = tree.all_reduce(N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=(slow,))
    assert cost.transfer_s == pytest.approx(2 * N_BYTES / 8 / 1e9)
    assert cost.latency_s == pytest.approx(2 * (3 * 1e-4 + 2 * 1e-5 + 1e-6))
    wide = Link(latency_s=1e-4, bytes_per_s=40e9)
    ports = tree.all_reduce(N_BYTES, spread=found, scale_up=SCALE_UP, port=PORT, tiers=(wide,))
    assert ports.transfer_s == pytest.approx(2 * N_BYTES / 2 / 50e9)


def test_a_tier_that_nothing_crosses_costs_nothing() -> None:
    inside = spread(8, 16, 1)
    for gather in (all_gather, flat_ring.all_gather, all_to_all):
        flat = gather(N_BYTES, spread=Spread.of(128, 8), scale_up=SCALE_UP, port=PORT)
        over = gather(N_BYTES, spread=inside, scale_up=SCALE_UP, port=PORT, tiers=(SITE,))
        assert over == flat


def test_a_lonely_rank_gets_all_that_others_have() -> None:
    # 63 ranks in one group and one in the other, whose part of the tier all data go through.
    uneven = replace(Spread.of(64, 1), tiers=(Groups.of(2, 1),))
    alone_s = 63 / 64 * N_BYTES / POD.bytes_per_s
    for gather in (all_gather, flat_ring.all_gather, all_to_all):
        cost = gather(N_BYTES, spread=uneven, scale_up=SCALE_UP, port=PORT, tiers=(POD,))
        assert cost.transfer_s == pytest.approx(alone_s)


def test_a_level_is_no_quicker_than_those_below_it() -> None:
    near = Link(latency_s=0.0, bytes_per_s=1e12)
    for gather in (all_gather, flat_ring.all_gather, all_to_all, tree.all_reduce):
        flat = gather(N_BYTES, spread=Spread.of(64, 8), scale_up=SCALE_UP, port=PORT)
        over = gather(N_BYTES, spread=spread(8, 4, 2), scale_up=SCALE_UP, port=PORT, tiers=(near,))
        assert over.total_s == pytest.approx(flat.total_s, rel=1e-12)


def test_a_tier_within_another_that_nothing_crosses_is_crossed() -> None:
    # Sites of 16 domains, and switches above all 64 of them that are oversubscribed.
    wide, site = Groups.of(1, 512), Groups.of(4, 128)
    both = replace(Spread.of(512, 8), tiers=(wide, site))
    alone = replace(Spread.of(512, 8), tiers=(site,))
    for gather in (all_gather, flat_ring.all_gather, all_to_all, tree.all_reduce):
        one = gather(N_BYTES, spread=alone, scale_up=SCALE_UP, port=PORT, tiers=(SITE,))
        two = gather(N_BYTES, spread=both, scale_up=SCALE_UP, port=PORT, tiers=(POD, SITE))
        assert one == two


NETWORK: Changes = {"extends": "infiniband-ndr"}
BEYOND: Changes = {**NETWORK, "beyond": {"gpus": 64, "bytes_per_s": 5e9, "latency_s": 1e-3}}


def of(fabric: Changes, sizes: dict[str, int], **layout: Any) -> hm.Scenario:
    """Return a job on pools of H100 over a fabric of its own."""
    h100: Changes = {"gpu": "h100-sxm"}
    changes: Changes = {
        "pools": {"h100": {**h100, "n_gpus": sizes["h100"]}},
        "fabrics.mine": fabric,
        "fabric.name": "mine",
        "workload.model": "llama3-8b",
        "workload.n_microbatches": 4,
        "layout": {"sharding": "zero1", **layout},
    }
    for name in sizes.keys() - {"h100"}:
        changes[f"pools.{name}"] = {**h100, "n_gpus": sizes[name]}
    return hm.load("h100-1k", changes)


@pytest.mark.parametrize(
    ("n_gpus", "tier", "layout"),
    [
        (256, 64, {"tensor": 2, "pipeline": 4}),
        (256, 40, {"tensor": 4, "pipeline": 2, "context": 2}),
        (192, 48, {"tensor": 8}),
        (160, 64, {"tensor": 1, "pipeline": 2, "order": "tp-cp-pp-ep-dp"}),
    ],
)
def test_groups_of_every_communicator(n_gpus: int, tier: int, layout: Changes) -> None:
    scenario = of(NETWORK, {"h100": n_gpus}, **layout)
    found = places(
        scenario.pools,
        scenario.layout,
        counts(scenario),
        (TierSize(gpus=tier), TierSize(domains=9)),
    )["h100"]
    own = scenario.layout
    numbering = numberings(
        own.order,
        tensor=own.tensor,
        context=own.context,
        pipeline=own.pipeline,
        data=n_gpus // (own.tensor * own.context * own.pipeline),
        expert=1,
        expert_tensor=own.tensor,
    ).dense
    communicators = {tuple(numbering.group(rank, "cp", "dp").tolist()) for rank in range(n_gpus)}
    numbers = np.arange(n_gpus) // 8
    for groups, group_of in zip(found.data.tiers, (numbers * 8 // tier, numbers // 9), strict=True):
        parts: dict[int, list[tuple[int, bool]]] = defaultdict(list)
        number = 0
        for ranks in communicators:
            mine = Counter(group_of[list(ranks)].tolist())
            number = max(number, len(mine))
            for group, size in mine.items():
                parts[group].append((size, len(mine) > 1))
        assert groups.number == number
        crossing = {
            group: sum(crosses for _, crosses in each) / sum(size for size, _ in each)
            for group, each in parts.items()
        }
        assert groups.crossing == pytest.approx(max(crossing.values()))
        leaving = [
            sum(size for size, crosses in each if crosses) / sum(size for size, _ in each)
            for group, each in parts.items()
            if crossing[group] == pytest.approx(groups.crossing)
        ]
        assert any(groups.leaving == pytest.approx(one) for one in leaving)
    # Of two stages next to each other, some ranks lie below other links.
    stage = [numbering.index(np.arange(n_gpus), "pp") == s for s in range(own.pipeline)]
    if own.pipeline > 1:
        levels = []
        for s in range(own.pipeline):
            a, b = (np.flatnonzero(stage[k % own.pipeline]) for k in (s, s + 1))
            apart = [(a // size != b // size).any() for size in (8,)]
            apart += [(a // 8 * 8 // tier != b // 8 * 8 // tier).any()]
            apart += [(a // 8 // 9 != b // 8 // 9).any()]
            levels.append(max((i + 1 for i, is_apart in enumerate(apart) if is_apart), default=0))
        assert all(got <= most for got, most in zip(found.stage_levels, levels, strict=True))
        assert max(found.stage_levels) == max(levels)


def test_pools_lie_one_after_another() -> None:
    scenario = of(BEYOND, {"h100": 96, "more": 96}, tensor=8)
    tiers = tier_sizes(scenario.fabric.network)
    found = places(scenario.pools, scenario.layout, counts(scenario), tiers)
    # 24 domains of 8 GPUs in three groups; the middle one has GPUs of both pools.
    for name in ("h100", "more"):
        assert found[name].data.domains == 24
        assert [groups.number for groups in found[name].data.tiers] == [3]
    apart = of(BEYOND, {"h100": 64, "more": 64}, tensor=8)
    tiers = tier_sizes(apart.fabric.network)
    found = places(apart.pools, apart.layout, counts(apart), tiers)
    assert found["h100"].data.tiers == (Groups.of(2, 8),)


@pytest.mark.parametrize("sharding", ["zero1", "zero3", "hybrid"])
@pytest.mark.parametrize("n_pools", [1, 2, 4])
@pytest.mark.parametrize(
    "tier",
    [
        {"oversubscription": 4.0, "tier_domains": 64},
        {"beyond": {"gpus": 512, "bytes_per_s": 3e9, "latency_s": 1e-3}},
        {"oversubscription": 1.0, "tier_domains": 8},
    ],
)
def test_a_tier_that_costs_nothing_changes_nothing(
    tier: Changes, n_pools: int, sharding: str
) -> None:
    sizes = {"h100": 512 // n_pools} | {f"p{k}": 512 // n_pools for k in range(1, n_pools)}
    layout: Changes = {"tensor": 8, "sharding": sharding}
    if sharding == "hybrid":
        layout["shard_group_replicas"] = 32
    flat, over = (
        make_plan(of(fabric, sizes, **layout)).noiseless_step_s
        for fabric in (NETWORK, {**NETWORK, **tier})
    )
    assert over == pytest.approx(flat, rel=1e-12)


@pytest.mark.parametrize("algorithm", ["hierarchical", "ring", "tree"])
@pytest.mark.parametrize(
    ("n_gpus", "tier", "layout"),
    [
        (192, 64, {"tensor": 8}),
        (128, 72, {"tensor": 2, "sharding": "zero3"}),
        (192, 96, {"tensor": 8, "context": 2, "sharding": "hybrid", "shard_group_replicas": 4}),
        (192, 72, {"tensor": 8, "sharding": "hybrid", "shard_group_replicas": 5}),
        (128, 72, {"tensor": 4, "pipeline": 2, "placement": "mixed"}),
        (192, 40, {"tensor": 4, "pipeline": 2, "order": "tp-cp-ep-pp-dp"}),
    ],
)
def test_two_pools_of_a_gpu_are_one(
    n_gpus: int, tier: int, layout: Changes, algorithm: str
) -> None:
    # Windows are those of a pool's own stages, so nothing may hide.
    chosen: Changes = {"collective.algorithm": algorithm, "collective.overlap_fraction": 0.0}
    slow: Changes = {**NETWORK, "beyond": {"gpus": tier, "bytes_per_s": 1e9, "latency_s": 1e-5}}
    halves = {"h100": n_gpus // 2, "more": n_gpus // 2}
    whole_s, halves_s = (
        make_plan(with_changes(of(slow, sizes, **layout), chosen)).noiseless_step_s
        for sizes in ({"h100": n_gpus}, halves)
    )
    assert halves_s == pytest.approx(whole_s, rel=1e-9)


@pytest.mark.parametrize(
    "tier",
    [
        {"oversubscription": 1.0, "tier_domains": 8},
        {"beyond": {"gpus": 500, "bytes_per_s": 50e9, "latency_s": 14e-6}},
        {"beyond": {"gpus": 72, "bytes_per_s": 50e9, "latency_s": 14e-6}},
        {},
    ],
)
def test_stages_over_pools_of_other_domains(tier: Changes) -> None:
    """Some communicators have no rank in some pool."""
    layout: Changes = {"tensor": 4, "pipeline": 4, "placement": "mixed"}
    scenario = of({**NETWORK, **tier}, {"h100": 256, "a": 128, "b": 128}, **layout)
    assert np.isfinite(make_plan(scenario).noiseless_step_s)


def test_groups_that_experts_straddle_are_found_among_half_a_million_ranks() -> None:
    changes: Changes = {
        "pools.h800.n_gpus": 2**19,
        "fabrics.mine": {
            "extends": "infiniband-ndr",
            "beyond": {"gpus": 1000, "bytes_per_s": 3e9, "latency_s": 1e-4},
        },
        "fabric.name": "mine",
        "workload.global_batch_seqs": None,
        "workload.n_microbatches": 4,
    }
    scenario = hm.load("deepseek-v3-2048", changes)
    tiers = tier_sizes(scenario.fabric.network)
    found = places(scenario.pools, scenario.layout, counts(scenario), tiers)["h800"]
    assert found.experts.tiers[0].number == 2


def test_the_second_tier_slows_what_crosses_it() -> None:
    near = pool_plan(of(NETWORK, {"h100": 256}, tensor=8), "h100")
    far = pool_plan(of(BEYOND, {"h100": 256}, tensor=8), "h100")
    for flat, over in zip(near.terms, far.terms, strict=True):
        port, beyond = 0.915 * 50e9, 0.915 * 5e9
        n_bytes = flat.cost.transfer_s * port * 32 / 31
        # Of 31/32 of a rank's bytes 3/32 cross: 4 groups of 8 domains, far partners first.
        expected_s = n_bytes * (28 / 32 / port + 3 / 32 / beyond)
        assert over.cost.transfer_s == pytest.approx(expected_s)
        rounds_s = over.cost.latency_s - flat.cost.latency_s
        assert rounds_s == pytest.approx(over.n_buckets * 2 * (1e-3 - 14e-6))


def test_switches_above_some_domains_may_be_oversubscribed() -> None:
    thin = {**NETWORK, "oversubscription": 4.0, "tier_domains": 8}
    near = pool_plan(of(NETWORK, {"h100": 256}, tensor=8), "h100")
    far = pool_plan(of(thin, {"h100": 256}, tensor=8), "h100")
    for flat, over in zip(near.terms, far.terms, strict=True):
        assert over.cost.latency_s == pytest.approx(flat.cost.latency_s)
        assert over.cost.transfer_s / flat.cost.transfer_s == pytest.approx((28 + 4 * 3) / 31)
    full = {**NETWORK, "oversubscription": 1.0, "tier_domains": 8}
    same = pool_plan(of(full, {"h100": 256}, tensor=8), "h100")
    for flat, over in zip(near.terms, same.terms, strict=True):
        assert over.cost.total_s == pytest.approx(flat.cost.total_s)


def test_stages_in_two_groups_hand_over_between_them() -> None:
    plans = [
        pool_plan(of(fabric, {"h100": 128}, tensor=8, pipeline=2), "h100").compute
        for fabric in (NETWORK, BEYOND)
    ]
    for plan, latency_s, rate in zip(plans, (14e-6, 1e-3), (50e9, 5e9), strict=True):
        assert plan.transfers_s[0] > latency_s
        sent = (plan.transfers_s[0] - latency_s) * 0.915 * rate
        assert sent == pytest.approx(plans[0].transfers_s[0] * 0.915 * 50e9 - 14e-6 * 0.915 * 50e9)


def test_the_way_over_a_level_has_its_slowest_link() -> None:
    links = Links(scale_up=SCALE_UP, port=PORT, tiers=(POD, Link(latency_s=1e-3, bytes_per_s=1e12)))
    assert links.over(0) == SCALE_UP
    assert links.over(1) == PORT
    assert links.over(2) == POD
    assert links.over(3) == Link(latency_s=1e-3, bytes_per_s=20e9)


@pytest.mark.parametrize("algorithm", ["ring", "tree"])
def test_latencies_of_nccl_grow_by_the_tiers_hops(algorithm: str) -> None:
    nccl: Changes = {"collective.algorithm": algorithm, "collective.latency": "nccl"}
    sizes = {"h100": 256}
    near, far = (
        make_plan(with_changes(of(fabric, sizes, tensor=8, sharding="none"), nccl))
        .pools[0]
        .terms[0]
        for fabric in (NETWORK, BEYOND)
    )
    added_s = far.cost.latency_s - near.cost.latency_s
    n_hops = {"ring": 2 * 31, "tree": 2 * 2}[algorithm]
    assert added_s == pytest.approx(far.n_buckets * n_hops * (1e-3 - 14e-6))


SLICES: Changes = {
    "pools.tpu.gpu": "tpu-v4",
    "pools.tpu.nic_bytes_per_s": None,
    "fabric": {"name": "slices", "shape": [12, 16]},
}


def of_slices(gpus: int) -> hm.Scenario:
    """Return PaLM's job, whose torus is one of 12 x 16 tensor groups of 16, on slices."""
    beyond: Changes = {"gpus": gpus, "bytes_per_s": 3e9, "latency_s": 1e-3}
    slices: Changes = {"fabrics.slices": {"extends": "tpu-ici-v4", "beyond": beyond}}
    return hm.load("palm-tpu-v4", SLICES | slices)


def test_a_torus_lies_within_a_slice() -> None:
    # Within it nothing changes; between the slices the shards are reduced.
    plan = make_plan(hm.load("palm-tpu-v4"))
    assert make_plan(of_slices(3072)).pools[0].terms[0] == plan.pools[0].terms[0]
    for gpus in (1536, 64):
        with pytest.raises(hm.ScenarioError) as refused:
            make_plan(of_slices(gpus))
        assert "fabric.shape must lie within the" in str(refused.value)
        assert f"{gpus:,} GPUs of fabrics.slices.beyond" in str(refused.value)


def test_random_hops_over_tiers_are_refused() -> None:
    hops: Changes = {"hop_noise": {"name": "exponential", "mean": 1.0}}
    with pytest.raises(hm.ScenarioError, match="mine has tiers, whose hops are not alike"):
        of({**BEYOND, **hops}, {"h100": 256}, tensor=8)


@pytest.mark.parametrize(
    ("fabric", "said"),
    [
        (
            {**BEYOND, "oversubscription": 2.0, "tier_domains": 3},
            "fabrics.mine.beyond.gpus must be a multiple of 24, the GPUs of a lower group, got 64",
        ),
        (
            {**BEYOND, "oversubscription": 2.0, "tier_domains": 16},
            "fabrics.mine.beyond.gpus must be a multiple of 128",
        ),
    ],
)
def test_tiers_lie_within_each_other(fabric: Changes, said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        of(fabric, {"h100": 256}, tensor=8)
    assert said in str(refused.value)


def test_groups_of_domains_and_of_gpus_do_not_go_together() -> None:
    both: Changes = {**BEYOND, "oversubscription": 2.0, "tier_domains": 8}
    racks: Changes = {"gpu": "gb200-nvl72", "n_gpus": 128, "domain_gpus_used": 64}
    changes: Changes = {"pools.gb200": racks, "fabrics.mine": both, "fabric.name": "mine"}
    with pytest.raises(hm.ScenarioError, match="domains have 8 and 64 GPUs"):
        hm.load("h100-1k", changes)
