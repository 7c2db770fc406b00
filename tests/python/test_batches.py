"""Replicas that do not all have as many sequences: by pool, and where a batch leaves some over."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.plans import compute_time, counts, pool_plan

import hindmost as hm
from hindmost.errors import ScenarioError
from hindmost.plan import make_plan
from hindmost.report import render
from hindmost.scenario import batch as batch_module
from hindmost.scenario import from_table, with_changes
from hindmost.scenario.batch import batches

MIXED: dict[str, Any] = {
    "name": "mixed",
    "pools": {
        "h100": {"gpu": "h100-sxm", "n_gpus": 64},
        "a100": {"gpu": "a100-sxm", "n_gpus": 64},
    },
    "fabric": {"name": "infiniband-ndr", "noise": {"enabled": False}},
    "workload": {
        "model": "llama3-8b",
        "seq_len": 4096,
        "microbatch_seqs": 2,
        "n_microbatches": 4,
        "overhead_s": 0.125,
    },
    "layout": {"sharding": "zero3"},
}
ONE: dict[str, Any] = {**MIXED, "pools": {"h100": {"gpu": "h100-sxm", "n_gpus": 64}}}
STAGES = {"layout.pipeline": 4, "layout.sharding": "zero1", "layout.tensor": 2}


def _with(table: dict[str, Any], changes: dict[str, Any]) -> hm.Scenario:
    return with_changes(from_table(table), changes)


def of_batch(n_seqs: int, **others: Any) -> dict[str, Any]:
    """Return changes to a batch of so many sequences for all, and others of the workload."""
    return {
        "workload.global_batch_seqs": n_seqs,
        **{f"workload.{key}": value for key, value in others.items()},
    }


def each_seqs(found: hm.Scenario) -> Iterator[int]:
    """Yield the sequences of each replica in document order."""
    of_job = counts(found)
    shared = batches(found.pools, found.workload, found.layout, of_job)
    for name, batch in shared.items():
        n = of_job.pools[name].n_replicas
        yield from chain(
            repeat(batch.seqs + batch.more, batch.n_more), repeat(batch.seqs, n - batch.n_more)
        )


def problems_of(table: dict[str, Any], changes: dict[str, Any]) -> list[str]:
    with pytest.raises(ScenarioError) as caught:
        _with(table, changes)
    return [str(problem) for problem in caught.value.problems]


def test_faster_gpus_may_take_more_sequences() -> None:
    """Timm's mix of A100 and H100: 3 sequences for 1 leave neither half waiting."""
    own = {"pools.h100.microbatch_seqs": 3, "pools.a100.microbatch_seqs": 1}
    plan, equal = make_plan(_with(MIXED, own)), make_plan(_with(MIXED, {}))
    assert plan.tokens == equal.tokens == 128 * 4 * 2 * 4096
    assert plan.model_flops == pytest.approx(equal.model_flops, rel=1e-15)
    # The public report expects up to 1.97 times the rate of equal shares.
    assert 1.9 < equal.noiseless_step_s / plan.noiseless_step_s < 1.97
    for pool, n in (("h100", 3), ("a100", 1)):
        alone = compute_time(_with(MIXED, {"workload.microbatch_seqs": n}), pool)
        found = pool_plan(_with(MIXED, own), pool)
        assert found.compute.step_s == alone.step_s
        assert found.memory == pool_plan(_with(MIXED, {"workload.microbatch_seqs": n}), pool).memory
        flops = plan.model_flops * n / 4 / 64
        assert found.rank_model_flops == pytest.approx(flops, rel=1e-12)


def test_pools_may_have_microbatches_of_their_own() -> None:
    own = {"pools.h100.n_microbatches": 6, "pools.a100.n_microbatches": 2}
    found = _with(MIXED, own)
    plan = make_plan(found)
    assert plan.n_microbatches == 6
    assert plan.tokens == 64 * (6 + 2) * 2 * 4096
    for pool, n in (("h100", 6), ("a100", 2)):
        alone = compute_time(_with(MIXED, {"workload.n_microbatches": n}), pool)
        assert pool_plan(found, pool).compute.step_s == pytest.approx(alone.step_s, rel=1e-12)


@pytest.mark.parametrize("changes", [{}, STAGES])
def test_stages_have_the_bubbles_of_their_own_microbatches(changes: dict[str, Any]) -> None:
    found = _with(MIXED, {**changes, "pools.a100.n_microbatches": 3})
    alone = _with(MIXED, {**changes, "workload.n_microbatches": 3})
    assert compute_time(found, "a100").step_s == pytest.approx(
        compute_time(alone, "a100").step_s, rel=1e-12
    )
    result = hm.simulate(found, seed=1, runs=1, steps=2, method="sample")
    assert result.value("step_time_s") == pytest.approx(make_plan(found).noiseless_step_s, rel=1e-6)


@given(
    st.integers(1, 6), st.integers(1, 6), st.integers(1, 4000), st.sampled_from(["h100", "a100"])
)
def test_sequences_that_are_left_over_go_to_the_first_replicas(
    size: int, other: int, n_seqs: int, own: str
) -> None:
    changes = {
        **of_batch(n_seqs, microbatch_seqs=size, uneven_batch="sequences"),
        f"pools.{own}.microbatch_seqs": other,
        "workload.recompute": "full",
    }
    sizes = [other if name == own else size for name in ("h100", "a100") for _ in range(64)]
    assume(min(n_seqs * each // sum(sizes) for each in sizes) >= 1)
    found = list(each_seqs(_with(MIXED, changes)))
    assert sum(found) == n_seqs
    fewest = [n_seqs * each // sum(sizes) for each in sizes]
    left = n_seqs - sum(fewest)
    assert found == [few + (place < left) for place, few in enumerate(fewest)]


@given(st.integers(1, 5), st.integers(64, 1000))
def test_microbatches_that_are_left_over_go_to_the_first_replicas(size: int, number: int) -> None:
    changes = of_batch(size * number, microbatch_seqs=size, uneven_batch="microbatches")
    changes["workload.recompute"] = "full"
    found = list(each_seqs(_with(ONE, changes)))
    assert found == [size * (number // 64 + (place < number % 64)) for place in range(64)]


@pytest.mark.parametrize("n_seqs", [64 * 8 + 1, 64 * 9 - 1, 64 * 9, 64 * 9 + 40])
def test_a_step_takes_as_long_as_its_replicas_with_most_sequences(n_seqs: int) -> None:
    """Full microbatches and a smaller last one, on every replica: exact, as sums."""
    again = {"workload.recompute": "full"}
    batch = of_batch(n_seqs, microbatch_seqs=4, uneven_batch="sequences")
    found = _with(ONE, {**again, **batch})

    def passes_s(seqs: int) -> float:
        full, left = divmod(seqs, 4)
        parts = [(full, 4), (1, left)] if left else [(full, 4)]
        whole = 0.0
        for n, size in parts:
            sizes = {"workload.microbatch_seqs": size, "workload.n_microbatches": n}
            time = compute_time(_with(ONE, {**again, **sizes}), "h100")
            whole += time.step_s - time.overhead_s
        return whole

    pool = make_plan(found).pools[0]
    few, n_more = divmod(n_seqs, 64)
    assert pool.n_more == n_more
    assert pool.compute.step_s == pytest.approx(passes_s(few) + 0.125, rel=1e-12)
    most = few + (n_more > 0)
    assert pool.replica_s == pytest.approx(passes_s(most) + 0.125, rel=1e-12)
    result = hm.simulate(found, seed=1, runs=1, steps=3)
    plan = make_plan(found)
    assert result.value("step_time_s") == pytest.approx(plan.noiseless_step_s, rel=1e-6)
    assert plan.tokens == n_seqs * 4096
    # Replicas with fewer sequences wait for the others.
    (row,) = result.pools.to_dicts()
    mean_s = pool.compute.step_s + n_more / 64 * (pool.replica_s - pool.compute.step_s)
    assert row["busy_frac"] == pytest.approx(mean_s / plan.noiseless_step_s, rel=1e-5)


def test_a_smaller_last_microbatch_of_stages_lies_between_none_and_a_full_one() -> None:
    def seconds(seqs: int) -> float:
        sizes = of_batch(8 * seqs, microbatch_seqs=4, uneven_batch="sequences")
        return compute_time(_with(ONE, {**STAGES, **sizes}), "h100").step_s

    times = [seconds(seqs) for seqs in range(16, 25)]
    assert np.all(np.diff(times) > 0)
    # Without bubbles and costs of stages it would be straight; a smaller pass only fills less.
    full = _with(ONE, {**STAGES, "workload.microbatch_seqs": 4, "workload.n_microbatches": 5})
    assert times[4] == pytest.approx(compute_time(full, "h100").step_s, rel=1e-12)


@pytest.mark.parametrize("stages", [{}, STAGES])
def test_equal_sequences_are_an_ideal_of_the_mechanism_sequence_imbalance(
    stages: dict[str, Any],
) -> None:
    n_replicas = 8 if stages else 64
    batch = of_batch(8 * n_replicas + n_replicas // 4, microbatch_seqs=1, uneven_batch="sequences")
    uneven = _with(ONE, {**stages, **batch})
    real = make_plan(uneven)
    ideal = make_plan(with_changes(uneven, {"ideal.sequence_imbalance": True}))
    of_8, of_9 = (
        compute_time(_with(ONE, {**stages, **of_batch(n * n_replicas, microbatch_seqs=1)}), "h100")
        for n in (8, 9)
    )
    pool = ideal.pools[0]
    assert pool.n_more == 0
    assert pool.compute.step_s == pytest.approx(0.75 * of_8.step_s + 0.25 * of_9.step_s, rel=1e-12)
    assert ideal.model_flops == real.model_flops
    if stages:
        # Sampled replicas have their mechanisms in groups.
        return
    found = hm.attribute(uneven, seed=1, runs=1, steps=2)
    (share,) = (share for share in found.shares if share.mechanism == "sequence_imbalance")
    assert share.last > 0


def test_a_batch_that_does_not_divide_names_what_would_do() -> None:
    (problem,) = problems_of(ONE, of_batch(100))
    assert "workload.global_batch_seqs must be a multiple of 128, the replicas times" in problem
    assert problem.endswith(
        'got 100; 128 would do, or layout.n_replicas = 50, or workload.uneven_batch = "sequences"'
    )
    (problem,) = problems_of(ONE, of_batch(300))
    assert "256 or 384 would do, or layout.n_replicas = 50" in problem
    # Replicas that fewer than half of would do are not left out.
    (problem,) = problems_of(ONE, of_batch(2 * 127))
    assert "128 or 256 would do, or workload.uneven_batch" in problem
    (problem,) = problems_of(MIXED, {**of_batch(1000), "pools.h100.microbatch_seqs": 5})
    assert "must be a multiple of 448, the replicas times their microbatch_seqs" in problem
    own = {"pools.a100.n_microbatches": 1, **of_batch(1000)}
    (problem,) = problems_of(MIXED, own)
    assert "a multiple of 128, the replicas that share it times their microbatch_seqs, and 128" in (
        problem
    )
    assert "896 or 1024 would do" in problem
    (problem,) = problems_of(ONE, of_batch(63, uneven_batch="sequences"))
    assert problem.startswith(
        "changes: workload.global_batch_seqs must give each replica a sequence"
    )
    (problem,) = problems_of(ONE, of_batch(301, uneven_batch="microbatches"))
    assert "must be whole microbatches, and 1 of its sequences make none" in problem
    assert '300 would do, or workload.uneven_batch = "sequences"' in problem


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workload.uneven_batch": "sequences"}, "needs workload.global_batch_seqs"),
        ({"workload.uneven_batch": "perhaps"}, "must be"),
        ({"pools.h100.n_microbatches": 0}, "must be >= 1"),
        ({"pools.h100.microbatch_seqs": 1.5}, "must be"),
        (
            {"pools.h100.n_microbatches": 2, "pools.a100.n_microbatches": 2, **of_batch(512)},
            "must be absent where all pools have n_microbatches of their own",
        ),
        (
            {**STAGES, "layout.placement": "mixed", "pools.h100.microbatch_seqs": 1},
            "pools.h100.microbatch_seqs must be absent where layout.placement is mixed",
        ),
        (
            {
                **STAGES,
                "layout.schedule": "interleaved",
                "layout.chunks": 2,
                "pools.a100.n_microbatches": 6,
            },
            "pools.a100.n_microbatches must make a multiple of 4 microbatches",
        ),
        ({"layout.n_replicas": 129}, "layout.n_replicas must be <= 128, the replicas that fit"),
        ({"layout.n_replicas": 64}, "must leave pool a100 a replica"),
        (
            {**STAGES, "layout.placement": "mixed", "layout.n_replicas": 3},
            "layout.n_replicas must be absent where layout.placement is mixed",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_path(changes: dict[str, Any], words: str) -> None:
    assert any(words in problem for problem in problems_of(MIXED, changes))


def test_replicas_that_are_left_out_are_spares() -> None:
    """Of a job on 64 GPUs 56 are as a job on 56, with the other node behind them."""
    found, fewer = (
        _with(ONE, changes) for changes in ({"layout.n_replicas": 56}, {"pools.h100.n_gpus": 56})
    )
    plan, expected = make_plan(found), make_plan(fewer)
    assert (plan.n_replicas, plan.ranks, plan.tokens) == (56, [56], expected.tokens)
    assert plan.noiseless_step_s == expected.noiseless_step_s
    result = hm.simulate(found, seed=1, runs=1, steps=2)
    assert result.pools["n_spares"].to_list() == [8]
    # Any number will do while nothing fails.
    assert make_plan(_with(ONE, {"layout.n_replicas": 51})).ranks == [51]
    as_many = make_plan(_with(ONE, {"layout.n_replicas": 64}))
    assert as_many.noiseless_step_s == make_plan(_with(ONE, {})).noiseless_step_s


def test_spares_of_replicas_that_are_left_out_take_the_place_of_failed_nodes() -> None:
    failing = {
        "failures.node": {"scope": "node", "per_hour": 1e-3, "repair_hours": 12.0},
        "recovery.restart_s": 60.0,
        "checkpoint": {"interval_s": 600.0, "blocking_s": 1.0},
    }
    left_out = _with(ONE, {**failing, "layout.n_replicas": 56})
    held_back = _with(ONE, {**failing, "recovery.spares": 8})
    sizes: dict[str, Any] = {"seed": 3, "runs": 4, "steps": 20, "days": 100.0}
    accounts = [hm.simulate(each, **sizes).account for each in (left_out, held_back)]
    first, second = (account.gpu_hours for account in accounts if account is not None)
    np.testing.assert_array_equal(first, second)
    (problem,) = problems_of(ONE, {**failing, "layout.n_replicas": 51})
    assert "must leave out multiples of 8 GPUs of pool h100 (h100-sxm) where there are" in problem


def test_the_table_says_how_many_sequences_each_replica_has() -> None:
    def notes(table: dict[str, Any], changes: dict[str, Any]) -> str:
        return render(hm.simulate(_with(table, changes), seed=1, runs=1, steps=2), "table")

    own = {"pools.h100.microbatch_seqs": 3, "pools.a100.microbatch_seqs": 1}
    assert "Sequences of each replica in a step: h100 12; a100 4." in notes(MIXED, own)
    left_over = of_batch(64 * 8 + 16, microbatch_seqs=1, uneven_batch="sequences")
    assert "in a step: h100 8, the first 16 9." in notes(ONE, left_over)
    assert "Sequences of each replica" not in notes(ONE, {})


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 600))
def test_left_over_microbatches_of_two_sizes_are_handed_out_if_they_can_be(
    size: int, other: int, left: int
) -> None:
    """Against all ways to hand them out, of 16 replicas each."""
    found = batch_module._handed_out(left, [(size, 16), (other, 16)])
    ways = [
        (first, second)
        for first in range(17)
        for second in range(17)
        if first * size + second * other == left
    ]
    if size == other:
        assert sum(found) * size == left if ways else sum(found) == min(32, left // size)
    elif ways:
        assert tuple(found) == max(ways)
    else:
        assert found[0] == min(16, left // size)


def test_a_batch_of_two_sizes_is_divided_if_it_can_be() -> None:
    own = {"pools.h100.microbatch_seqs": 3, "pools.a100.microbatch_seqs": 2}
    batch = of_batch(64 * 5 + 4, uneven_batch="microbatches")
    assert sum(each_seqs(_with(MIXED, {**own, **batch}))) == 64 * 5 + 4


def test_memory_is_that_of_a_pools_own_microbatches() -> None:
    many = {**STAGES, "layout.schedule": "gpipe", "workload.recompute": "full"}
    many |= {"pools.h100.n_microbatches": 16, "workload.n_microbatches": 1}
    alone = pool_plan(_with(MIXED, {**many, "pools.h100.n_microbatches": 1}), "a100")
    assert pool_plan(_with(MIXED, many), "a100").memory == alone.memory
    assert pool_plan(_with(MIXED, many), "h100").memory.activations_bytes == pytest.approx(
        16 * alone.memory.activations_bytes
    )


def test_interleaved_replicas_with_fewer_microbatches_are_told_of() -> None:
    stages = {**STAGES, "layout.schedule": "interleaved", "layout.chunks": 2}
    batch = of_batch(8 * 14 + 7, microbatch_seqs=2, uneven_batch="sequences")
    (problem,) = problems_of(ONE, {**stages, **batch})
    assert "must make a multiple of 4 microbatches (it makes 7 or 8) to be interleaved" in problem
