"""Counts of ranks, replicas and shard groups, by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.plans import counts, job

import hindmost as hm
from hindmost.scenario.counts import domain_gpus, replica_gpus, used_domain_gpus

Changes = dict[str, Any]


def scenario(**changes: Any) -> hm.Scenario:
    """Return 1,024 H100 in domains of 8, tensor 8: 128 replicas in shard groups of 16."""
    return hm.load("h100-1k", {key.replace("__", "."): value for key, value in changes.items()})


def test_replicas_and_data_ranks() -> None:
    plain = counts(scenario())
    assert (plain.n_replicas, plain.n_data_ranks, plain.pools["h100"].n_replicas) == (128, 128, 128)
    context = counts(scenario(layout__context=4, layout__shard_group_replicas=4))
    assert (context.n_replicas, context.n_data_ranks) == (32, 128)


# GPUs by pool, tensor, pipeline and context ranks, and the ranks by pool when stages are mixed.
MIXED: list[tuple[tuple[int, int], tuple[int, int, int], list[int]]] = [
    ((16, 16), (8, 2, 1), [16, 16]),
    # One stage too many: it is taken from the last pool.
    ((24, 16), (8, 2, 1), [24, 8]),
    # The last pool has not enough stages to give.
    ((32, 8), (8, 4, 1), [32, 0]),
    # Two context ranks make a stage, and a tensor group without another one is left over.
    ((24, 40), (8, 2, 2), [16, 16]),
]


@pytest.mark.parametrize(("gpus", "layout", "ranks"), MIXED)
def test_ranks_are_the_gpus_of_stages_that_fill_replicas(
    gpus: tuple[int, int], layout: tuple[int, int, int], ranks: list[int]
) -> None:
    tensor, pipeline, context = layout
    pool = {"gpu": "h100-sxm", "kernel_efficiency": 0.5}
    mixed = hm.load(
        "h100-1k",
        {
            "pools": {"h100": {**pool, "n_gpus": gpus[0]}, "other": {**pool, "n_gpus": gpus[1]}},
            "workload.model": "llama3-8b",
            "workload.n_microbatches": 4,
            "layout.tensor": tensor,
            "layout.pipeline": pipeline,
            "layout.context": context,
            "layout.placement": "mixed",
        },
    )
    found = counts(mixed)
    assert [found.pools[name].n_ranks for name in mixed.pools] == ranks
    assert sum(ranks) == found.n_replicas * replica_gpus(mixed.layout)
    assert hm.compile(mixed).core.n_ranks == ranks


GANGS: list[tuple[Changes, int]] = [
    ({}, 16),
    ({"layout__sharding": "none"}, 1),
    ({"layout__sharding": "zero1"}, 1),
    ({"layout__sharding": "zero3"}, 128),
    ({"layout__shard_group_replicas": 500}, 128),
    ({"layout__sharding": "zero3", "layout__pipeline": 2, "workload__n_microbatches": 4}, 1),
    ({"workload__model": "mixtral-8x7b", "layout__sharding": "none", "layout__expert": 8}, 8),
    (
        {
            "workload__model": "mixtral-8x7b",
            "layout__sharding": "none",
            "layout__expert": 8,
            "layout__context": 4,
        },
        2,
    ),
]


@pytest.mark.parametrize(("changes", "expected"), GANGS)
def test_a_gang_is_of_the_replicas_that_share_shards_or_experts(
    changes: Changes, expected: int
) -> None:
    assert counts(scenario(**changes)).gang_replicas == expected


SHARDS: list[tuple[Changes, int, int, int]] = [
    # Data ranks of a full shard group, replicas of the smallest, ranks that share states.
    ({}, 16, 16, 16),
    ({"layout__shard_group_replicas": 48}, 48, 32, 32),
    ({"layout__shard_group_replicas": 500}, 128, 128, 128),
    ({"layout__context": 4, "layout__shard_group_replicas": 5}, 20, 2, 8),
    ({"layout__sharding": "none"}, 128, 1, 128),
    ({"layout__sharding": "zero3"}, 128, 1, 128),
]


@pytest.mark.parametrize(("gpus", "layout"), [((16, 8), (8, 2, 1)), ((32, 8), (8, 2, 2))])
def test_a_pool_that_mixed_stages_leave_over_takes_no_part(
    gpus: tuple[int, int], layout: tuple[int, int, int]
) -> None:
    tensor, pipeline, context = layout
    mixed = hm.load(
        "h100-1k",
        {
            "pools.h100.n_gpus": gpus[0],
            "pools.other": {"gpu": "h100-sxm", "kernel_efficiency": 0.5, "n_gpus": gpus[1]},
            "workload.model": "llama3-8b",
            "layout": {
                "tensor": tensor,
                "pipeline": pipeline,
                "context": context,
                "sharding": "none",
                "placement": "mixed",
            },
        },
    )
    result = hm.simulate(mixed, runs=2, steps=4, seed=1)
    row = result.pool_rows[1]
    assert (row["n_spares"], row["busy_frac"], row["wait_frac"]) == (gpus[1], 0, 0)
    assert (row["slowest_frac"], row["mfu"]) == (0, 0)
    times = hm.rank_times(mixed, seed=1, run=0, steps=[0, 1])
    assert times.shape == (2, gpus[0])
    assert hm.slowest_replicas(mixed, k=1, runs=1, steps=4, seed=1).height == 4
    with pytest.raises(hm.ScenarioError, match="method cannot be exact"):
        hm.simulate(mixed, runs=1, steps=1, seed=1, method="order-statistics")


@pytest.mark.parametrize(("changes", "shard_ranks", "smallest", "state_ranks"), SHARDS)
def test_shard_groups_divide_consecutive_replicas(
    changes: Changes, shard_ranks: int, smallest: int, state_ranks: int
) -> None:
    found = counts(scenario(**changes))
    assert (found.shard_ranks, found.smallest_shard_group) == (shard_ranks, smallest)
    assert found.pools["h100"].smallest_shard_group == smallest
    assert found.pools["h100"].state_ranks == state_ranks


def test_a_pool_has_the_smallest_group_if_the_last_replicas_are_its_own() -> None:
    h200 = {"gpu": "h200-sxm", "n_gpus": 40}
    # 128 + 5 replicas in groups of 16: eight full ones, and one of 5.
    found = counts(scenario(pools__h200=h200))
    assert [pool.smallest_shard_group for pool in found.pools.values()] == [16, 5]
    # In groups of 60 the last one has 13 replicas, eight of them H100.
    found = counts(scenario(pools__h200=h200, layout__shard_group_replicas=60))
    assert [pool.smallest_shard_group for pool in found.pools.values()] == [13, 13]


DOMAINS: list[tuple[Changes, int, int, int]] = [
    ({"pools__h100__n_gpus": 1023}, 8, 8, 127),
    ({"pools__h100__domain_gpus_used": 6, "layout__tensor": 4}, 6, 4, 170),
    ({"pools__h100__domain_gpus_used": 6, "layout__tensor": 2}, 6, 6, 510),
    ({"pools__h100__n_gpus": 4, "layout__tensor": 4, "workload__model": "llama3-8b"}, 4, 4, 1),
    ({"pools__h100__n_gpus": 7, "layout__tensor": 2, "workload__model": "llama3-8b"}, 7, 6, 3),
]


@pytest.mark.parametrize(("changes", "of_domain", "used", "n_replicas"), DOMAINS)
def test_any_part_of_a_domain_may_work(
    changes: Changes, of_domain: int, used: int, n_replicas: int
) -> None:
    found = scenario(**changes)
    pool = found.pools["h100"]
    assert domain_gpus(pool) == of_domain
    assert used_domain_gpus(pool, found.layout.tensor) == used
    assert counts(found).n_replicas == n_replicas
    assert hm.compile(found).core.n_ranks == [n_replicas * found.layout.tensor]


def test_a_replica_has_ranks_of_three_kinds() -> None:
    layout = scenario(layout__tensor=4, layout__pipeline=2, layout__context=8).layout
    assert replica_gpus(layout) == 64


def test_microbatches_are_given_or_what_a_batch_makes() -> None:
    assert job(scenario(workload__n_microbatches=7)).n_microbatches == 7
    assert job(scenario(workload__global_batch_seqs=128 * 2 * 3)).n_microbatches == 3
