"""Ranks that wait for each other within a step: `sample` against a second engine.

Each random plan is judged row by row: what the gangs' schedule makes of the causes of its
ranks, who was slowest, what is persistent, and what each rank takes by itself.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hindmost import _core
from tests.statistics.gangs import RUNS, SEED, STEPS, Case, Gangs, Spec, tensor_groups

RELATIVE_TOLERANCE = 2e-6
"""Rounding of sums and products in f32."""
N_CASES = 30  # of each kind and placement
KINDS = ("gpipe", "1f1b", "interleaved", "zero-bubble")
PLACEMENTS = ("aligned", "mixed")
SCOPES = ("gpu", "node", "domain", "rack", "replica", "pool", "cluster")
SPANS = ("run", "step", "microbatch", "layer")
COLUMNS = ("step_time_s", "compute_s", "exposed_comm_s", "stall_s", "slowest")


def lognormal(sigma: float) -> Spec:
    return {"name": "lognormal", "sigma": sigma, "median": 1.0}


def mixture(law: Spec, value: float) -> Spec:
    constant = {"name": "constant", "value": value}
    components = [{"weight": 0.6, "law": law}, {"weight": 0.4, "law": constant}]
    return {"name": "mixture", "components": components}


EXPONENTIAL = {"name": "exponential", "mean": 0.3, "shift": 0.02}
LAWS = {
    "slowdown": (lognormal(0.1), lognormal(0.02), mixture(lognormal(0.1), 1.2)),
    "stall": (EXPONENTIAL, mixture(EXPONENTIAL, 0.7)),
}


def cause(name: str, **fields: Any) -> Spec:
    """Return a slowdown of every GPU in every step, where nothing else is said."""
    effect = fields.get("effect", "slowdown")
    default = {"affects": "compute", "effect": effect, "scope": "gpu", "span": "step"}
    default |= {"probability": 1.0, "law": LAWS[effect][0], "pools": [0]}
    return {"name": name, **default, **fields}


def pool(name: str, n_gpus: int, **fields: Any) -> Spec:
    """Return a pool of single GPUs."""
    sizes = {"node_gpus": 1, "domain_gpus": 1, "rack_gpus": None, "tensor_gpus": 1}
    return {"name": name, "n_gpus": n_gpus, "compute_s": 1.3, **sizes, **fields}


def times(n: int, kind: str = "1f1b", **fields: Any) -> Spec:
    """Return a second for each forward pass and two for each backward one."""
    weight = [0.5] * n if kind == "zero-bubble" else []
    passes = {"forward_s": [1.0] * n, "backward_s": [2.0] * n, "weight_s": weight}
    return {**passes, "overhead_s": 0.0, "transfer_s": 0.0, **fields}


def pipeline(n_pools: int = 1, **fields: Any) -> Spec:
    """Return one stage and one microbatch of one tensor group, where nothing else is said."""
    shape: Spec = {"kind": "1f1b", "stages": 1, "chunks": 1, "microbatches": 1, "context": 1}
    shape |= {"gang_replicas": 1, "placement": "aligned", **fields}
    n = shape["stages"] * shape["chunks"]
    rows = [times(n, shape["kind"])] * n_pools
    return {"layers": [1] * n, "times": rows, **shape}


def random_pool(rng: np.random.Generator, name: str, tensor: int, n_tensor: int) -> Spec:
    """Return a pool of at least so many tensor groups, with spares of all sorts."""
    node = int(rng.choice([1, 2, 4]))
    domain = node * max(int(rng.integers(2, 4)), math.ceil(tensor / node))
    used = int(rng.integers(tensor, domain + 1))
    n_domains = math.ceil(n_tensor / (used // tensor)) + int(rng.integers(0, 8))
    sizes = {"node_gpus": node, "domain_gpus": domain, "tensor_gpus": tensor}
    sizes["domain_gpus_used"] = used
    rack, spare = int(rng.integers(1, 9)) * node, int(rng.integers(0, used))
    compute_s = float(rng.uniform(0.5, 5.0))
    return pool(name, n_domains * used + spare, rack_gpus=rack, compute_s=compute_s, **sizes)


def random_times(rng: np.random.Generator, n: int, kind: str, n_links: int) -> Spec:
    names = ("forward_s", "backward_s", *(["weight_s"] if kind == "zero-bubble" else []))
    passes = {name: rng.uniform(0.5, 2.0, n).tolist() for name in names}
    overhead_s = float(rng.uniform(0.0, 0.5))
    transfer_s = rng.uniform(0.0, 0.5, n_links).tolist()
    return times(n, kind, overhead_s=overhead_s, transfer_s=transfer_s, **passes)


def random_cause(
    rng: np.random.Generator, name: str, pools: list[Spec], pipe: Spec, gangs: Gangs
) -> Spec:
    """Return a cause that a plan accepts."""
    n, mixed = len(pools), pipe["placement"] == "mixed"
    effect = str(rng.choice(["slowdown", "slowdown", "stall"]))
    span = str(rng.choice(SPANS if effect == "slowdown" else SPANS[:3]))
    scope = str(rng.choice(SCOPES))
    acts = sorted(rng.permutation(n)[: int(rng.integers(1, n + 1))].tolist())
    if scope == "replica" and mixed:
        acts, span = list(range(n)), "microbatch"
    if (effect, span) == ("stall", "microbatch") and pipe["stages"] > 1:
        spread = mixed and (scope == "pool" or (scope == "cluster" and len(acts) < n))
        units = scope in ("node", "domain", "rack")
        larger = units and gangs.reaches_several_stages(scope).any()
        scope = "gpu" if spread or larger else scope
    law = LAWS[effect][int(rng.integers(len(LAWS[effect])))]
    often = float(rng.choice([1.0, 0.6, 0.3]))
    return cause(
        name, effect=effect, span=span, scope=scope, pools=acts, law=law, probability=often
    )


def random_case(kind: str, placement: str, index: int) -> Case:
    rng = np.random.default_rng([SEED, KINDS.index(kind), PLACEMENTS.index(placement), index])
    mixed = placement == "mixed"
    p, c, tensor = (int(rng.integers(1, high)) for high in (5, 4, 5))
    v = int(rng.integers(1, 4)) if kind == "interleaved" else 1
    m = p * int(rng.integers(1, 4)) if kind == "interleaved" else int(rng.integers(1, 8))
    names = "abc"[: int(rng.integers(1 + mixed, 4))]
    needed = c if mixed and len(names) >= p else p * c
    pools = [random_pool(rng, name, tensor, needed) for name in names]
    pipe = pipeline(
        kind=kind,
        stages=p,
        chunks=v,
        microbatches=m,
        context=c,
        placement=placement,
        gang_replicas=1 if mixed or p > 1 else int(rng.integers(1, 6)),
        layers=rng.integers(0, 5, p * v).tolist(),
        times=[random_times(rng, p * v, kind, p) for _ in pools],
    )
    count = int(rng.integers(0, 6))
    orders = ["cp-dp-pp", "cp-pp-dp", "dp-cp-pp", "dp-pp-cp", "pp-cp-dp", "pp-dp-cp"]
    # Mixed stages lie in one pool each.
    order = str(rng.choice(orders[:2] if mixed else orders))
    gangs = Gangs.of(pools, pipe, order)
    causes = [random_cause(rng, f"x{place}", pools, pipe, gangs) for place in range(count)]
    n_terms = int(rng.integers(0, 3))
    terms = tuple(
        {
            "latency_s": rng.uniform(0.0, 1.0, len(pools)).tolist(),
            "transfer_s": rng.uniform(0.0, 5.0, len(pools)).tolist(),
            # All terms together hide behind no more than all work.
            "window_share": (rng.uniform(0.0, 1.0, len(pools)) / n_terms).tolist(),
            "n_buckets": int(rng.integers(1, 9)),
            "hops": None,
        }
        for _ in range(n_terms)
    )
    return Case(pools, causes, pipe, terms, 0.4, order)


def sampled(case: Case, **fields: Any) -> _core.Columns:
    shape: Any = {"seed": SEED, "runs": RUNS, "steps": STEPS, "threads": 2} | fields
    return _core.sample(case.plan(shape.pop("instructions", None)), **shape)


def check(case: Case) -> None:
    """Assert that the core has our numbers."""
    plan, columns = case.plan(), sampled(case)
    ranks = [int((case.gangs.pool == index).sum()) for index in range(len(case.pools))]
    assert plan.n_ranks == ranks
    compute_s, stall_s, exposed_s, slowest = case.rows()
    busy_s, own_stall_s = case.means()
    atol = RELATIVE_TOLERANCE * float(compute_s.max())
    np.testing.assert_allclose(columns["compute_s"], compute_s, rtol=RELATIVE_TOLERANCE)
    np.testing.assert_allclose(columns["stall_s"], stall_s, rtol=0, atol=atol)
    np.testing.assert_array_equal(columns["slowest"], slowest)
    np.testing.assert_allclose(columns["exposed_comm_s"], exposed_s, rtol=0, atol=atol)
    total_s = columns["compute_s"] + columns["exposed_comm_s"]
    np.testing.assert_array_equal(columns["step_time_s"], total_s)
    works = np.tile(np.array(ranks) > 0, RUNS)
    np.testing.assert_allclose(columns["busy_s"][works], busy_s[works], rtol=RELATIVE_TOLERANCE)
    own = columns["own_stall_s"][works]
    np.testing.assert_allclose(own, own_stall_s[works], rtol=0, atol=atol)
    for run in range(RUNS):
        times = np.empty((STEPS, sum(ranks)), dtype=np.float32)
        _core.rank_times(plan, seed=SEED, run=run, steps=range(STEPS), times=times, threads=1)
        expected = case.rank_times()[run * STEPS : (run + 1) * STEPS]
        np.testing.assert_allclose(times, expected, rtol=RELATIVE_TOLERANCE)


@pytest.mark.parametrize("index", range(N_CASES))
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_those_of_the_second_engine(kind: str, placement: str, index: int) -> None:
    check(random_case(kind, placement, index))


def every(n_pools: int, *, spans: tuple[str, ...] = SPANS) -> list[Spec]:
    """Return a slowdown of each span, and stalls of GPUs, in all of so many pools."""
    acts = list(range(n_pools))
    slow = [cause(span, span=span, pools=acts) for span in spans]
    late = [
        cause(f"late-{span}", effect="stall", span=span, pools=acts, probability=0.05)
        for span in ("step", "microbatch")
    ]
    return [*slow, *late]


def sizes(tensor: int) -> Spec:
    return {"node_gpus": tensor, "domain_gpus": tensor, "tensor_gpus": tensor}


LARGE = {
    "70 and 75 gangs of one rank": Case(
        [pool("a", 70), pool("b", 75)], every(2), pipeline(2, microbatches=6)
    ),
    "75 gangs whose batches cross two borders": Case(
        [pool("a", 37), pool("b", 19), pool("c", 95)],
        every(3),
        pipeline(3, stages=2, microbatches=5, placement="mixed", layers=[3, 2]),
    ),
    "five stages over three pools, two of them small": Case(
        [pool("a", 3), pool("b", 86), pool("c", 2)],
        every(3),
        pipeline(3, stages=5, microbatches=3, placement="mixed", layers=[1, 3, 1, 2, 2]),
    ),
    "stages of 72 ranks": Case(
        [pool("a", 350, **sizes(24))],
        every(1),
        pipeline(stages=2, microbatches=5, context=3, layers=[3, 2]),
    ),
    "mixed stages of 130 ranks": Case(
        [pool("a", 400, **sizes(65)), pool("b", 670, **sizes(65))],
        every(2),
        pipeline(2, stages=3, microbatches=3, context=2, placement="mixed"),
    ),
    "gangs of 80 and of 20 replicas": Case(
        [pool("a", 100), pool("b", 85)], every(2), pipeline(2, microbatches=3, gang_replicas=80)
    ),
    "one gang of 1,001 ranks, a prime number of layers": Case(
        [pool("a", 1001)], every(1), pipeline(microbatches=1, gang_replicas=1001, layers=[7])
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_more_gangs_or_ranks_than_a_batch_holds(name: str) -> None:
    check(LARGE[name])


@pytest.mark.parametrize(
    ("effect", "span"),
    [*(("slowdown", span) for span in SPANS), ("stall", "run"), ("stall", "step")],
)
@pytest.mark.parametrize("acts", [[0], [1]])
def test_what_the_cluster_shares_reaches_only_the_pools_where_it_acts(
    acts: list[int], effect: str, span: str
) -> None:
    shared = cause("x", scope="cluster", span=span, effect=effect, pools=acts)
    pipe = pipeline(2, stages=2, microbatches=3, placement="mixed")
    check(Case([pool("a", 2), pool("b", 2)], [shared], pipe))


@pytest.mark.parametrize("layers", [[2, 0], [0, 2], [0, 0]])
def test_a_stage_without_layers_keeps_what_slows_its_microbatches(layers: list[int]) -> None:
    causes = [cause(span, span=span) for span in SPANS]
    check(Case([pool("a", 8)], causes, pipeline(stages=2, microbatches=3, layers=layers)))


@pytest.mark.parametrize("n_gangs", [2, 16, 17, 33])
def test_mixed_transfers_are_those_of_the_slowest_pool(n_gangs: int) -> None:
    # All gangs but the last lie in the pool that computes slowly, whatever their batch.
    slow = times(2, forward_s=[10.0, 10.0], backward_s=[10.0, 10.0], transfer_s=0.1)
    pipe = pipeline(stages=2, placement="mixed", times=[slow, times(2, transfer_s=0.25)])
    case = Case([pool("a", 2 * n_gangs - 1), pool("b", 1)], [], pipe)
    assert sampled(case)["compute_s"] == pytest.approx(40.5)


def test_of_equally_slow_gangs_the_first_counts() -> None:
    for placement in PLACEMENTS:
        pipe = pipeline(2, stages=2, placement=placement)
        assert not sampled(Case([pool("a", 40), pool("b", 42)], [], pipe))["slowest"].any()


@pytest.mark.parametrize("name", LARGE)
def test_threads_and_instructions_give_the_same_bytes(name: str) -> None:
    case = LARGE[name]
    expected = sampled(case, steps=7, threads=1)
    ways: list[Spec] = [{"threads": 2}, {"threads": 7}]
    ways += [{"instructions": each} for each in _core.instruction_sets()]
    for way in ways:
        columns = sampled(case, steps=7, **way)
        for column in (*COLUMNS, "busy_s", "own_stall_s"):
            assert columns[column].tobytes() == expected[column].tobytes()  # type: ignore[literal-required]


@pytest.mark.parametrize("kind", KINDS)
def test_small_plans_have_the_same_bytes_in_every_way(kind: str) -> None:
    for index in range(12):
        case = random_case(kind, PLACEMENTS[index % 2], index)
        expected = sampled(case, threads=1)["step_time_s"].tobytes()
        for instructions in _core.instruction_sets():
            for threads in (2, 7):
                columns = sampled(case, threads=threads, instructions=instructions)
                assert columns["step_time_s"].tobytes() == expected


@pytest.mark.parametrize("steps", [1, 3, 4, 9, 37])
@pytest.mark.parametrize("name", LARGE)
def test_more_steps_and_runs_keep_the_earlier_rows(name: str, steps: int) -> None:
    few, many = sampled(LARGE[name], runs=1, steps=steps), sampled(LARGE[name], steps=41)
    for column in COLUMNS:
        assert (many[column][:steps] == few[column]).all()  # type: ignore[literal-required]


def test_a_cause_that_is_added_moves_no_other() -> None:
    case = LARGE["75 gangs whose batches cross two borders"]
    neutral = [
        cause(f"one-{span}", span=span, law={"name": "constant", "value": 1.0}, pools=[0, 2])
        for span in SPANS
    ]
    after = sampled(replace(case, causes=[*neutral, *case.causes]))
    assert (after["step_time_s"] == sampled(case)["step_time_s"]).all()


def test_shapes_leave_the_spares_that_they_say() -> None:
    pools = [pool("a", 23, domain_gpus=5, tensor_gpus=2), pool("b", 9, tensor_gpus=1)]
    pools[1] |= {"domain_gpus": 2, "tensor_gpus": 2}
    assert [tensor_groups(pool) for pool in pools] == [8, 4]
    for placement, expected in {"aligned": [12, 6], "mixed": [16, 8]}.items():
        pipe = pipeline(2, stages=3, placement=placement)
        assert Case(pools, [], pipe).plan().n_ranks == expected
