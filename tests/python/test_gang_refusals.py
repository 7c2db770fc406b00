"""Plans of gangs that are refused, and the field that the refusal names."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hindmost import _core

Spec = dict[str, Any]

POOL: Spec = {"name": "a", "n_gpus": 16, "node_gpus": 8, "domain_gpus": 8, "rack_gpus": 16}
POOL |= {"tensor_gpus": 2, "compute_s": 1.0}
LAW = {"name": "lognormal", "sigma": 0.1, "median": 1.0}
CAUSE: Spec = {"name": "x", "affects": "compute", "effect": "slowdown", "scope": "gpu"}
CAUSE |= {"span": "microbatch", "probability": 1.0, "law": LAW, "pools": [0]}
MAX_INDICES = 2**18
"""Draws of a unit in a step, at most."""


def times(n: int = 2, **fields: Any) -> Spec:
    passes = {"forward_s": [1.0] * n, "backward_s": [2.0] * n, "weight_s": []}
    return {**passes, "overhead_s": 0.1, "transfer_s": 0.01, **fields}


def pipeline(**fields: Any) -> Spec:
    """Return two stages of 1F1B, where nothing else is said."""
    shape: Spec = {"kind": "1f1b", "stages": 2, "chunks": 1, "microbatches": 3}
    shape |= {"context": 1, "gang_replicas": 1, "placement": "aligned", **fields}
    n = shape["stages"] * shape["chunks"]
    return {"layers": [2] * n, "times": [times(n)], **shape}


def plan(
    pipe: Spec | None, pools: tuple[Spec, ...] = (POOL,), causes: tuple[Spec, ...] = ()
) -> _core.Plan:
    return _core.Plan(pools=pools, causes=causes, terms=[], overlap_fraction=0.0, pipeline=pipe)


def refusal(*args: Any, **fields: Any) -> str:
    """Return the path of the field that a refusal names."""
    with pytest.raises(_core.DomainError) as refused:
        plan(*args, **fields)
    path, _, requirement = refused.value.args
    assert requirement
    return str(path)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_each_virtual_stage_has_its_layers(n: int) -> None:
    assert refusal(pipeline(layers=[2] * n)) == "pipeline.layers"


@pytest.mark.parametrize("n", [0, 2])
def test_each_pool_has_its_times(n: int) -> None:
    assert refusal(pipeline(times=[times()] * n)) == "pipeline.times"


@pytest.mark.parametrize("n", [0, 1, 3])
@pytest.mark.parametrize("field", ["forward_s", "backward_s", "weight_s"])
def test_each_virtual_stage_has_its_times(field: str, n: int) -> None:
    passes: Spec = {"weight_s": [1.0, 1.0], field: [1.0] * n}
    pipe = pipeline(kind="zero-bubble", times=[times(**passes)])
    assert refusal(pipe) == f"pipeline.{field}"


def test_only_zero_bubble_has_weight_passes() -> None:
    assert refusal(pipeline(times=[times(weight_s=[1.0, 1.0])])) == "pipeline.weight_s"
    assert refusal(pipeline(kind="zero-bubble")) == "pipeline.weight_s"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-9])
@pytest.mark.parametrize("field", ["forward_s", "backward_s", "overhead_s", "transfer_s"])
def test_times_are_finite_and_not_negative(field: str, bad: float) -> None:
    value: Any = [1.0, bad] if field in ("forward_s", "backward_s") else bad
    assert refusal(pipeline(times=[times(**{field: value})])) == f"pipeline.{field}"


@pytest.mark.parametrize("field", ["stages", "chunks", "microbatches", "context", "gang_replicas"])
def test_nothing_is_counted_by_zero(field: str) -> None:
    pipe = pipeline() | {field: 0}
    assert refusal(pipe) == f"pipeline.{field}"


def test_schedules_have_shapes_that_they_can_run() -> None:
    assert refusal(pipeline(chunks=2)) == "pipeline.chunks"
    assert refusal(pipeline(kind="interleaved")) == "pipeline.microbatches"


@pytest.mark.parametrize("field", ["kind", "placement"])
def test_an_unknown_word_is_refused(field: str) -> None:
    with pytest.raises(_core.DomainError, match="one of"):
        plan(pipeline(**{field: "other"}))


def test_a_replica_of_several_stages_is_a_gang_of_its_own() -> None:
    assert refusal(pipeline(gang_replicas=2)) == "pipeline.gang_replicas"
    plan(pipeline(stages=1, gang_replicas=2))


@pytest.mark.parametrize("span", ["microbatch", "layer"])
def test_the_network_is_disturbed_for_a_step_or_a_run(span: str) -> None:
    network = CAUSE | {"affects": "network", "span": span}
    assert refusal(pipeline(), causes=(network,)) == "causes.x.span"


def test_stalls_have_no_layers() -> None:
    stall = CAUSE | {"effect": "stall", "span": "layer"}
    assert refusal(pipeline(), causes=(stall,)) == "causes.x.span"


@pytest.mark.parametrize("span", ["microbatch", "layer"])
def test_what_is_shorter_than_a_step_takes_a_pipeline(span: str) -> None:
    assert refusal(None, causes=(CAUSE | {"span": span},)) == "causes.x.pipeline"


def test_indices_end_at_two_to_the_eighteenth() -> None:
    plan(pipeline(microbatches=MAX_INDICES), causes=(CAUSE,))
    plan(pipeline(microbatches=MAX_INDICES + 1))
    assert refusal(pipeline(microbatches=MAX_INDICES + 1), causes=(CAUSE,)) == "causes.x.span"
    layer = CAUSE | {"span": "layer"}
    full = pipeline(microbatches=MAX_INDICES // 256, layers=[64, 64])
    plan(full, causes=(layer,))
    assert (
        refusal(full | {"microbatches": MAX_INDICES // 256 + 1}, causes=(layer,)) == "causes.x.span"
    )
    assert refusal(full | {"layers": [64, 65]}, causes=(layer,)) == "causes.x.span"


def test_the_last_index_has_a_word_of_its_own() -> None:
    pipe = pipeline(stages=1, microbatches=MAX_INDICES // 2, times=[times(1)], layers=[1])
    one = plan(pipe, (POOL | {"n_gpus": 8},), (CAUSE | {"span": "layer", "scope": "cluster"},))
    first, second = (
        _core.sample(one, seed=5, runs=2, steps=1, threads=1)["compute_s"].tolist(),
        _core.sample(one, seed=5, runs=1, steps=1, threads=1)["compute_s"].tolist(),
    )
    assert first[:1] == second
    # Neither the word nor the run beside it is that of another run.
    assert first[0] != first[1]


@pytest.mark.parametrize(
    "pipe",
    [
        pipeline(stages=5, placement="aligned"),
        pipeline(stages=9, placement="mixed"),
        pipeline(context=5, placement="aligned"),
        pipeline(context=5, placement="mixed"),
        pipeline(stages=1, context=9),
    ],
    ids=["stages", "mixed-stages", "context", "mixed-context", "one-stage"],
)
def test_a_pool_holds_at_least_a_replica(pipe: Spec) -> None:
    pools = (POOL | {"n_gpus": 8 if pipe["stages"] == 5 else 16},)
    assert refusal(pipe, pools) == "pools.a.n_gpus"


def test_each_aligned_pool_holds_a_replica() -> None:
    pools = (POOL, POOL | {"name": "b", "n_gpus": 8, "tensor_gpus": 2})
    pipe = pipeline(stages=8, layers=[1] * 8)
    assert refusal(pipe | {"times": [times(8)] * 2}, pools) == "pools.b.n_gpus"
    mixed = plan(pipe | {"placement": "mixed", "times": [times(8)] * 2}, pools)
    assert sum(mixed.n_ranks) == 16


@pytest.mark.parametrize("span", ["run", "step", "layer"])
def test_mixed_replicas_share_draws_of_microbatches_only(span: str) -> None:
    replica = CAUSE | {"scope": "replica", "span": span}
    assert refusal(pipeline(placement="mixed"), causes=(replica,)) == "causes.x.scope"


def test_a_stall_of_a_microbatch_reaches_one_stage_or_a_gang() -> None:
    for scope in ("node", "domain", "rack"):
        stall = CAUSE | {"effect": "stall", "scope": scope}
        assert refusal(pipeline(), causes=(stall,)) == "causes.x.scope"
        plan(pipeline(stages=1), causes=(stall,))
    for scope in ("gpu", "replica", "pool", "cluster"):
        plan(pipeline(), causes=(CAUSE | {"effect": "stall", "scope": scope},))


@pytest.mark.parametrize("scope", ["pool", "cluster"])
def test_a_mixed_gang_shares_no_stall_of_some_of_its_pools(scope: str) -> None:
    pools = (POOL, POOL | {"name": "b"})
    pipe = pipeline(placement="mixed", times=[times()] * 2)
    for acts in ([0], [1]):
        stall = CAUSE | {"effect": "stall", "scope": scope, "pools": acts}
        assert refusal(pipe, pools, (stall,)) == "causes.x.scope"
    plan(pipe, pools, (CAUSE | {"effect": "stall", "scope": "cluster", "pools": [0, 1]},))
