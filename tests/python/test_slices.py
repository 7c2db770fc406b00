"""Slices of a pod: shares in closed form, moves by brute force, and wrong tables."""

from __future__ import annotations

import itertools
import json
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import binom
from tests.presets import WHOLE

import hindmost as hm
from hindmost import cli
from hindmost.plan import make_plan
from hindmost.renewal.exact import constant_rate
from hindmost.renewal.interval import of_constant_rate
from hindmost.report.slices_content import verdict
from hindmost.scenario import from_table, scenario_warnings, to_table
from hindmost.slices.binomial import probabilities, quantile
from hindmost.slices.pack import Packing, block_mask, largest_sum
from hindmost.whole_run.fleet import Fleet
from hindmost.whole_run.parts import parts_of_slices

Changes = dict[str, Any]

POD = {"cubes": 64, "hosts_per_cube": 16, "host_availability": 0.99}
"""A pod of TPU v4, with the fewest hosts up that were looked at."""
OPTICAL = "tpu-v4-optical"


def pod(slice_cubes: int, placement: Any = "any", **changes: Any) -> hm.Slices:
    return hm.Slices(**{**POD, **changes}, slice_cubes=slice_cubes, placement=placement)


# What is placed.


@pytest.mark.parametrize(
    ("slice_cubes", "switched", "fixed"),
    [(16, 0.747358, 0.076315), (32, 0.500017, 0.005824), (48, 0.742047, 0.000333)],
)
def test_slices_of_a_pod_of_tpu_v4(slice_cubes: int, switched: float, fixed: float) -> None:
    assert round(pod(slice_cubes).share_placed, 6) == switched
    assert round(pod(slice_cubes, "aligned").share_placed, 6) == fixed


@pytest.mark.parametrize("availability", [0.99, 0.995, 0.999])
def test_what_is_shown_of_goodput_is_the_median_of_what_is_placed(availability: float) -> None:
    # 75, 50 and 75% of 4,096 chips, in slices of 1,024, 2,048 and 3,072 (from memory, unverified).
    shown = {16: 0.75, 32: 0.5, 48: 0.75}
    for size, share in shown.items():
        assert pod(size, host_availability=availability).quantile(0.5) == share


def test_the_cubes_that_a_vendor_promises_follow_from_its_hosts() -> None:
    # 130 of 144 cubes at 95% confidence.
    promised = hm.Slices(cubes=144, hosts_per_cube=16, host_availability=0.99579, slice_cubes=1)
    assert promised.cubes_up(0.95) == 130
    assert promised.quantile(0.05) * 144 == 130
    least = brentq(lambda a: binom.sf(129, 144, a) - 0.95, 0.5, 1 - 1e-9)
    assert round(least, 4) == 0.9347
    assert round(least ** (1 / 16), 5) == 0.99579
    assert pod(1, cubes=144, host_availability=least ** (1 / 16) - 1e-4).cubes_up(0.95) == 129


@pytest.mark.parametrize("cubes", [1, 7, 64, 1000])
@pytest.mark.parametrize("availability", [0.01, 0.5, 0.93, 0.999])
def test_how_many_are_up_is_binomial(cubes: int, availability: float) -> None:
    ours = probabilities(cubes, availability)
    theirs = binom.pmf(np.arange(cubes + 1), cubes, availability)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-300)
    for at in (0.01, 0.05, 0.5, 0.95):
        assert quantile(ours, at) == binom.ppf(at, cubes, availability)


@pytest.mark.parametrize("placement", ["any", "aligned"])
def test_small_pods_by_all_of_their_states(placement: str) -> None:
    cubes, hosts, available = 5, 2, 0.8
    of_cube = available**hosts
    for size in range(1, cubes + 1):
        law = np.zeros(cubes // size + 1)
        for up in itertools.product((False, True), repeat=cubes):
            weight = np.prod([of_cube if one else 1 - of_cube for one in up])
            if placement == "any":
                fit = sum(up) // size
            else:
                fit = sum(all(up[b * size : (b + 1) * size]) for b in range(cubes // size))
            law[fit] += weight
        one = hm.Slices(
            cubes=cubes,
            hosts_per_cube=hosts,
            host_availability=available,
            slice_cubes=size,
            placement=placement,  # type: ignore[arg-type]
        )
        np.testing.assert_allclose(one.law, law, atol=1e-14)
        assert one.share_placed == pytest.approx(law @ np.arange(len(law)) * size / cubes)
        for n in range(1, len(law) + 2):
            assert one.fits(n) == pytest.approx(law[n:].sum())


@pytest.mark.parametrize("placement", ["any", "aligned"])
def test_with_all_hosts_up_all_that_fits_is_placed(placement: Any) -> None:
    whole = pod(24, placement, host_availability=1.0)
    assert whole.share_placed == 48 / 64
    assert whole.quantile(0.05) == 48 / 64
    assert (whole.fits(2), whole.fits(3)) == (1, 0)
    assert whole.cubes_up(1.0) == 64


def test_switches_never_place_less() -> None:
    for size in range(1, 65):
        assert pod(size).share_placed >= pod(size, "aligned").share_placed - 1e-12


def test_the_table_by_size() -> None:
    frame = pod(48).by_size()
    assert frame.columns == [
        *("slice_cubes", "placement", "share_placed", "p5", "p50", "p95", "fits"),
    ]
    assert frame["slice_cubes"].unique().sort().to_list() == [1, 2, 4, 8, 16, 32, 48, 64]
    of_16 = frame.filter((frame["slice_cubes"] == 16) & (frame["placement"] == "any"))
    row = of_16.row(0, named=True)
    assert row["share_placed"] == pod(16).share_placed
    assert row["p50"] == 0.75
    assert pod(48).by_size([3])["slice_cubes"].to_list() == [3, 3]
    with pytest.raises(hm.ScenarioError, match="slice_cubes must be <= 64"):
        pod(48).by_size([65])


def test_slices_are_values() -> None:
    one = pod(16)
    assert one == pod(16)
    assert pickle.loads(pickle.dumps(one)) == one
    assert one != one.with_placement("aligned")
    assert one.of_size(8).slice_cubes == 8
    assert pod(np.int64(16)) == one  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"cubes": 0}, ["cubes must be >= 1, got 0"]),
        ({"cubes": 100_001}, ["cubes must be <= 100000, got 100001"]),
        ({"hosts_per_cube": 1.5}, ["hosts_per_cube must be an integer, got 1.5"]),
        ({"host_availability": 0.0}, ["host_availability must be > 0, got 0"]),
        ({"host_availability": 1.01}, ["host_availability must be <= 1, got 1.01"]),
        ({"host_availability": float("nan")}, ["host_availability must be finite, got nan"]),
        (
            {"host_availability": None, "slice_cubes": 65},
            [
                "host_availability is missing",
                "slice_cubes must be <= 64, the cubes that there are, got 65",
            ],
        ),
        (
            {"slice_cubes": -1, "placement": "all"},
            [
                "slice_cubes must be >= 1, got -1",
                'placement must be any or aligned, got "all"',
            ],
        ),
    ],
)
def test_slices_that_cannot_be_are_refused(changes: Changes, messages: list[str]) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.Slices(**{**POD, "slice_cubes": 16, **changes})
    assert [str(problem) for problem in refused.value.problems] == messages


def test_no_probability_and_no_count() -> None:
    with pytest.raises(hm.ScenarioError, match="probability must be from 0 to 1, got 5"):
        pod(16).quantile(5)
    with pytest.raises(hm.ScenarioError, match="confidence must be from 0 to 1, got nan"):
        pod(16).cubes_up(float("nan"))
    with pytest.raises(hm.ScenarioError, match="n_slices must be an integer from 1"):
        pod(16).fits(0)


# What moves gain.


def all_places(cubes: int, sizes: Sequence[int], taken: int) -> Iterator[list[int]]:
    """Yield all ways to place slices of some sizes on blocks that are free."""
    if not sizes:
        yield []
        return
    for block in range(cubes // sizes[0]):
        mask = block_mask(sizes[0], block)
        if not taken & mask:
            for rest in all_places(cubes, sizes[1:], taken | mask):
                yield [block, *rest]


def brute_force(
    cubes: int, running: list[tuple[int, int]], waiting: list[int], down: list[int], moves: int
) -> tuple[int, int, int]:
    """Return the most cubes placed, the fewest moves for it, and the fewest cubes moved."""
    broken = sum(1 << cube for cube in down)
    best = (-1, 0, 0)
    subsets = [
        [size for size, used in zip(waiting, use, strict=True) if used]
        for use in itertools.product((False, True), repeat=len(waiting))
    ]
    for subset in subsets:
        sizes = [size for size, _ in running] + subset
        for blocks in all_places(cubes, sizes, broken):
            moved = [
                size for (size, block), now in zip(running, blocks, strict=False) if block != now
            ]
            if len(moved) <= moves:
                best = max(best, (sum(sizes), -len(moved), -sum(moved)))
    return best[0], -best[1], -best[2]


def random_state(
    rng: np.random.Generator, cubes: int, sizes: Sequence[int]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Return running slices, waiting ones, and cubes that are down, drawn at random."""
    down = sorted(rng.choice(cubes, size=int(rng.integers(0, 3)), replace=False).tolist())
    taken = sum(1 << cube for cube in down)
    running = []
    for _ in range(int(rng.integers(1, 4))):
        size = int(rng.choice(sizes))
        block = int(rng.integers(0, cubes // size))
        if not taken & block_mask(size, block):
            taken |= block_mask(size, block)
            running.append((size, block))
    waiting = rng.choice(sizes, size=int(rng.integers(1, 4))).tolist()
    return running, waiting, down


@pytest.mark.parametrize("sizes", [(1, 2, 4), (1, 2, 3), (2, 3, 4), (1, 3)])
@pytest.mark.parametrize("seed", range(12))
def test_moves_gain_what_all_ways_to_place_slices_say(seed: int, sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng([seed, *sizes])
    cubes = int(rng.integers(6, 11))
    running, waiting, down = random_state(rng, cubes, sizes)
    aligned = pod(1, "aligned", cubes=cubes)
    found = aligned.defragment(running, waiting, down=down, moves=3, lost_s=10.0, cube_gpus=64)
    for row in found.rows:
        placed, n_moved, cubes_moved = brute_force(cubes, running, waiting, down, row["moves"])
        assert (row["cubes_placed"], row["n_moved"]) == (placed, n_moved)
        assert row["gpu_seconds"] == cubes_moved * 64 * 10.0
        assert row["share_bound"] == row["share_placed"] == placed / cubes
    for one in found.by_moves:
        # What it says can be done.
        now = [(size, block) for size, block in running]
        for move in one.moved:
            now.remove((move.slice_cubes, move.from_block))
        now += [(move.slice_cubes, move.to_block) for move in one.moved]
        now += [(size, block) for size, block in one.placed if block is not None]
        taken = sum(1 << cube for cube in down)
        for size, block in now:
            assert not taken & block_mask(size, block)
            taken |= block_mask(size, block)
        assert sum(size for size, _ in now) == one.cubes_placed


@pytest.mark.parametrize("seed", range(12))
def test_with_switches_no_move_is_needed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    running, waiting, down = random_state(rng, 10, (1, 2, 3, 4))
    found = pod(1, cubes=10).defragment(running, waiting, down=down, moves=2)
    free = 10 - len(down) - sum(size for size, _ in running)
    sums = {
        sum(size for size, used in zip(waiting, use, strict=True) if used)
        for use in itertools.product((False, True), repeat=len(waiting))
    }
    most = max(one for one in sums if one <= free)
    for one in found.by_moves:
        assert one.cubes_placed == sum(size for size, _ in running) + most == one.most_cubes
        assert one.moved == ()
        assert sum(size for size, _ in one.placed) == most
        left = list(waiting)
        for size, block in one.placed:
            assert block is None
            left.remove(size)


def test_a_pod_in_which_one_move_makes_room() -> None:
    # Slices of 1 cube in two blocks of 16 keep a slice of 32 waiting.
    running = [(1, 0), (1, 16), (32, 1)]
    found = pod(32, "aligned").defragment(
        running, [32], moves=3, lost_s={1: 700.0, 32: 300.0}, cube_gpus=64
    )
    assert [row["share_placed"] for row in found.rows] == [34 / 64, 34 / 64, 34 / 64, 34 / 64]
    found = pod(32, "aligned").defragment(
        [(1, 0), (1, 16), (16, 2)], [32, 16], moves=2, lost_s={1: 700.0, 16: 300.0}, cube_gpus=64
    )
    # At first the slice of 16 fits only; moving 16 cubes does not help, and one cube does not.
    assert [row["cubes_placed"] for row in found.rows] == [34, 34, 50]
    last = found.by_moves[2]
    assert sorted(move.slice_cubes for move in last.moved) == [1, 1]
    assert found.rows[2]["gpu_seconds"] == 2 * 64 * 700.0
    assert found.frame.columns == list(found.rows[0])
    assert pickle.loads(pickle.dumps(found)) == found


def test_a_search_that_is_cut_short_says_what_is_possible_at_most() -> None:
    packing = Packing(64, nodes=50)
    found = packing.search(0b1, [7, 5, 3], [11, 9, 9, 8, 7, 5, 3])
    assert packing.nodes < 0
    assert found is None or found[0] <= 63
    assert largest_sum([11, 9, 9, 8, 7, 5, 3], 63 - 15) == 47
    # Sizes that do not divide each other, on a pod that is full of holes.
    running = [(3, 0), (3, 4), (5, 4), (3, 9), (5, 7), (3, 14), (5, 10)]
    gained = pod(1, "aligned").defragment(running, [7, 9, 11, 5, 6, 13, 4] * 2, moves=4)
    for row in gained.rows:
        assert row["share_placed"] <= row["share_bound"] <= 1
    shares = [row["share_placed"] for row in gained.rows]
    assert shares == sorted(shares)


def test_of_too_many_sets_those_that_are_in_the_way_are_tried() -> None:
    # Six blocks of 64 cubes, of which two have two slices each in the way: 24,976 pairs of 224.
    full = [
        (1, cube)
        for first, n in ((0, 110), (128, 60), (256, 50))
        for cube in range(first, first + n)
    ]
    in_the_way = [(1, 192), (1, 200), (1, 320), (1, 330)]
    running = full + in_the_way
    found = pod(64, "aligned", cubes=384).defragment(running, [64] * 3, moves=4)
    assert [row["cubes_placed"] - 224 for row in found.rows] == [0, 0, 64, 64, 128]
    assert [row["share_bound"] * 384 - 224 for row in found.rows] == [0, 0, 128, 128, 128]
    last = found.by_moves[4]
    assert sorted((move.slice_cubes, move.from_block) for move in last.moved) == in_the_way


@pytest.mark.parametrize(
    ("call", "messages"),
    [
        ({"moves": -1}, ["moves must be an integer from 0 to 64, got -1"]),
        ({"running": [(65, 0)]}, ["running must be an integer from 1 to 64, got 65"]),
        ({"running": [(16, 4)]}, ["running must be an integer from 0 to 3, got 4"]),
        ({"waiting": [0]}, ["waiting must be an integer from 1 to 64, got 0"]),
        ({"down": [64]}, ["down must be an integer from 0 to 63, got 64"]),
        ({"lost_s": -1.0}, ["lost_s must be finite and >= 0, got -1"]),
        ({"lost_s": {16: float("inf")}}, ["lost_s must be finite and >= 0, got inf"]),
        ({"cube_gpus": 0}, ["cube_gpus must be an integer from 1 to 2147483647, got 0"]),
        (
            {"running": [(1, 0)] * 500, "waiting": [1] * 13},
            ["running must be at most 512 slices with those that wait, got 513"],
        ),
        (
            {"running": [(16, 0), (1, 3)], "down": [5]},
            [
                'running must be on cubes that are up, got "16@0"',
                'running must not share cubes with another slice, got "1@3"',
            ],
        ),
    ],
)
def test_moves_that_cannot_be_asked_for(call: Changes, messages: list[str]) -> None:
    arguments = {"running": [(16, 0)], "waiting": [16], **call}
    with pytest.raises(hm.ScenarioError) as refused:
        pod(16, "aligned").defragment(**arguments)
    assert [str(problem) for problem in refused.value.problems] == messages


def test_running_slices_take_no_more_cubes_than_are_up() -> None:
    message = "running must take at most 63 cubes, those that are up, got 64"
    with pytest.raises(hm.ScenarioError, match=message):
        pod(16).defragment([(32, 0), (32, 0)], [], down=[0])


# A scenario's slices.


def said(changes: Changes, name: str = OPTICAL) -> list[str]:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load(name, changes)
    problems = refused.value.problems
    return [str(problem).removeprefix(f"{problem.source}: ") for problem in problems]


NO_SLICES: Changes = {"layout.n_replicas": 64, "layout.shard_group_replicas": 64}

REFUSED: dict[str, tuple[Changes, list[str]]] = {
    "other cubes": (
        {"slices.cubes": 63},
        ["slices.cubes must be 64: pool tpu has 4,096 chips, 64 a cube, got 63"],
    ),
    "other hosts": (
        {"slices.hosts_per_cube": 8},
        [
            "slices.hosts_per_cube must be 16: the chips of a cube of pool tpu (tpu-v4) are those "
            "of its domain, 64, 4 a host, got 8; [gpus.NAME] with extends, node_gpus and "
            "domain_gpus is another chip"
        ],
    ),
    "chips that are no cubes": (
        {"pools.tpu.n_gpus": 4100},
        ["pools.tpu.n_gpus must be a multiple of 64, the chips of a cube, got 4100"],
    ),
    "a part of each domain": (
        {"pools.tpu.domain_gpus_used": 32, "pools.tpu.n_gpus": 4096},
        [
            "pools.tpu.domain_gpus_used must be absent, or 64, where [slices] takes whole cubes, "
            "got 32"
        ],
    ),
    "no whole slices": (
        {"slices.slice_cubes": 32},
        [
            "slices.slice_cubes must divide the job into whole slices: its 3,072 chips are 48 "
            "cubes of 64, got 32; layout.n_replicas = 128 makes whole ones"
        ],
    ),
    "larger than the pod": (
        {"slices.slice_cubes": 65},
        ["slices.slice_cubes must be <= 64, the cubes that there are, got 65"],
    ),
    "spares that are no cubes": (
        {"recovery.spares": 16},
        ["recovery.spares must be a multiple of 64, the chips of a cube, got 16"],
    ),
    "spares of the pool": (
        {"pools.tpu.spares": 16},
        ["pools.tpu.spares must be a multiple of 64, the chips of a cube, got 16"],
    ),
    "hosts of which nothing is known": (
        {"failures.host.repair_hours": 0.0},
        [
            "slices.host_availability is missing; give the share of time in which a host is up, "
            "or [failures] with repair_hours"
        ],
    ),
    "hosts that are not alike": (
        {"failures.host.rate_spread": 0.5},
        [
            "slices.host_availability is missing; give the share of time in which a host is up: "
            "rates of units are not alike"
        ],
    ),
    "wrong fields": (
        {
            "slices.cubes": 0,
            "slices.hosts_per_cube": 16.0,
            "slices.host_availability": 2.0,
            "slices.slice_cubes": "all",
            "slices.placement": "best",
            "slices.rewire_s": -1,
            "slices.rewires": 1,
        },
        [
            "slices.cubes must be >= 1, got 0",
            "slices.hosts_per_cube must be an integer, got 16.0",
            "slices.host_availability must be <= 1, got 2",
            'slices.slice_cubes must be an integer, got "all"',
            'slices.placement must be any or aligned, got "best"',
            "slices.rewire_s must be >= 0, got -1",
            'slices.rewires is not a known key; did you mean "rewire_s"?',
        ],
    ),
}


@pytest.mark.parametrize(("changes", "messages"), REFUSED.values(), ids=list(REFUSED))
def test_cubes_and_slices_that_do_not_fit_are_named(changes: Changes, messages: list[str]) -> None:
    assert said(changes) == messages


def test_all_problems_of_slices_are_told_at_once() -> None:
    changes = {"slices.cubes": 63, "slices.slice_cubes": 70, "failures.host.repair_hours": 0.0}
    assert [one.split()[0] for one in said(changes)] == [
        "slices.slice_cubes",
        "slices.cubes",
        "slices.host_availability",
    ]


def test_slices_need_a_torus_and_one_pool() -> None:
    table = {"cubes": 16, "hosts_per_cube": 8, "host_availability": 0.99, "slice_cubes": 4}
    assert said({"slices": table}, "h100-1k")[0] == (
        "slices must be absent: infiniband-ndr is no torus; fabrics of tori are listed by "
        "hindmost catalog fabrics"
    )
    other = {
        "gpu": "tpu-v4",
        "n_gpus": 64,
        "nic_bytes_per_s": 45e9,
        "kernel_efficiency": 0.7,
        "scale_up_latency_s": 1e-6,
    }
    assert "slices must be absent where there are several pools: cubes are of one, got 2" in said(
        {"pools.b": other}
    )


def test_failures_of_cubes_need_slices() -> None:
    cube = {"scope": "cube", "per_hour": 1e-4}
    changes = {"failures.cube": cube, "recovery.restart_s": 600.0}
    assert said(changes, "palm-tpu-v4") == [
        'failures.cube.scope needs [slices], got "cube"; [slices] says how many hosts a cube has'
    ]
    scenario = hm.load(OPTICAL, {"failures.cube": {**cube, "repair_hours": 10.0}})
    account = hm.placed_slices(scenario).account
    of_hosts = (1 + 3.3333e-5 * 150.75) ** -16
    expected = of_hosts / (1 + 1e-4 * 10)
    assert account.slices.cube_availability == pytest.approx(expected, rel=1e-12)


def test_all_that_is_in_no_slice_of_the_job_replaces_what_is() -> None:
    def blocks(changes: Changes, name: str = OPTICAL) -> tuple[int, int, int, int]:
        """Return the GPUs of a swap block, how many work and are spare, and parts of the job."""
        scenario = hm.load(name, changes)
        arguments = Fleet(scenario=scenario, plan=make_plan(scenario)).arguments()
        (core,) = arguments["pools"]
        assert core["domain_gpus"] == core["domain_gpus_used"] == core["block_gpus"]
        n_gpus = len(core["parts"]) * core["tensor"]
        n_working = n_gpus // core["block_gpus"]
        return core["block_gpus"], n_working, core["spare_blocks"], arguments["n_parts"]

    assert blocks({}) == (64, 48, 16, 1)
    # Holding cubes back makes a job smaller that would take all, and no other.
    assert blocks({"recovery.spares": 512}) == (64, 48, 16, 1)
    # Of 64 cubes in fixed blocks of 48, the last 16 are of no use.
    assert blocks({}, "tpu-v4-static") == (3072, 1, 0, 1)
    thirds: Changes = {"slices.slice_cubes": 16}
    assert blocks(thirds) == (64, 48, 16, 3)
    assert blocks(thirds, "tpu-v4-static") == (1024, 3, 1, 3)
    # Rewiring belongs to switches.
    for name, seconds in ((OPTICAL, 47.0), ("tpu-v4-static", 7.0)):
        scenario = hm.load(name, {"recovery.swap_s": 7.0, "slices.rewire_s": 40.0})
        arguments = Fleet(scenario=scenario, plan=make_plan(scenario)).arguments()
        assert arguments["recovery"]["swap_s"] == seconds
        sizes = {"gpu": 1, "node": 4, "domain": 64, "cube": 64}
        (cluster,) = Fleet(scenario=scenario, plan=make_plan(scenario)).clusters.values()
        scopes: Any = list(sizes)
        assert {scope: cluster.unit_gpus(scope, None) for scope in scopes} == sizes


@pytest.mark.parametrize(
    ("parts", "slice_groups", "merged"),
    [
        # Replicas that lie within slices.
        ([0, 0, 1, 1, 2, 2, 3, 3], 4, [0, 0, 0, 0, 1, 1, 1, 1]),
        # A replica over two slices.
        ([0, 0, 0, 0, 1, 1, 1, 1], 2, [0, 0, 0, 0, 1, 1, 1, 1]),
        # Replicas that reach from one slice into the next one hold all of them together.
        ([0, 0, 0, 1, 1, 1, 2, 2], 2, [0, 0, 0, 0, 0, 0, 1, 1]),
        # Stages of a replica that are far apart.
        ([0, 1, 2, 3, 0, 1, 2, 3], 2, [0, 0, 1, 1, 0, 0, 1, 1]),
        ([0, 1, 2, 3, 3, 1, 2, 0], 2, [0] * 8),
    ],
)
def test_a_torus_with_a_hole_is_none(
    parts: list[int], slice_groups: int, merged: list[int]
) -> None:
    found, n_parts = parts_of_slices(np.array(parts, dtype=np.uint32), slice_groups=slice_groups)
    assert found.tolist() == merged
    assert n_parts == max(merged) + 1


def test_a_host_is_up_as_often_as_its_failures_say() -> None:
    account = hm.placed_slices(OPTICAL).account
    assert account.slices.host_availability == pytest.approx(1 / (1 + 3.3333e-5 * 150.75))
    law = {"name": "lognormal", "sigma": 0.5, "median": 100.0}
    chips = {"scope": "gpu", "per_hour": 1e-5, "repair_hours": 20.0}
    table = to_table(hm.load(OPTICAL))
    table["failures"]["chip"] = chips
    table["failures"]["host"]["repair_hours"] = law
    table["unknowns"], table["basis"] = {}, {}
    account = hm.placed_slices(from_table(table)).account
    mean = 100 * np.exp(0.125)
    expected = 1 / ((1 + 3.3333e-5 * mean) * (1 + 2e-4) ** 4)
    assert account.slices.host_availability == pytest.approx(expected, rel=1e-12)
    # What is given wins.
    account = hm.placed_slices(OPTICAL, changes={"slices.host_availability": 0.99}).account
    assert account.slices.host_availability == 0.99


def test_what_changes_nothing_or_says_two_things_is_warned_of() -> None:
    def warned(name: str, changes: Changes) -> list[str]:
        found = scenario_warnings(hm.load(name, changes))
        return [str(one) for one in found if one.path.startswith("slices.")]

    assert warned(OPTICAL, {}) == warned("tpu-v4-static", {}) == []
    assert warned(OPTICAL, {"slices.host_availability": 0.995}) == []
    assert warned(OPTICAL, {"slices.host_availability": 0.99}) == [
        "slices.host_availability makes a cube be up for 85.15% of the time, and [failures] with "
        "their repairs for 92.29%: whole runs go by these; got 0.99"
    ]
    assert warned("tpu-v4-static", {"slices.rewire_s": 20.0}) == [
        'slices.rewire_s changes nothing where slices.placement is "aligned"'
    ]


def test_a_torus_over_several_slices_is_warned_of() -> None:
    def warned(changes: Changes) -> list[str]:
        found = scenario_warnings(hm.load(OPTICAL, {"slices.slice_cubes": 16, **changes}))
        return [str(one) for one in found if one.path == "fabric.shape"]

    assert warned({}) == [
        "fabric.shape makes a torus of 3,072 chips of pool tpu, and a slice has 1,024: what slices "
        "exchange is priced as if links of the torus joined them; hybrid sharding within a slice, "
        "and [fabrics.NAME.beyond], take their network"
    ]
    assert warned({"layout.shard_group_replicas": 64, "fabric.shape": [8, 8]}) == []
    account = hm.placed_slices(OPTICAL, changes={"slices.slice_cubes": 16}).account
    assert account.job_slices == 3


def test_goodput_is_what_is_placed_and_kept() -> None:
    account = hm.placed_slices(OPTICAL).account
    rate = 16 * 16 * 3.3333e-5 / 3600
    interval_s = of_constant_rate(rate, 30.0)
    kept = constant_rate(
        rate=rate,
        down_s=610.0,
        interval_s=interval_s,
        blocking_s=30.0,
        durable_s=0.0,
        can_fail=True,
    )
    assert account.kept(16, "any") == pytest.approx(kept, rel=1e-12)
    frame = account.by_size()
    of_16 = frame.filter((frame["slice_cubes"] == 16) & (frame["placement"] == "any"))
    row = of_16.row(0, named=True)
    assert row["n_gpus"] == 1024
    assert row["goodput"] == pytest.approx(kept * row["share_placed"], rel=1e-12)
    # Fixed blocks are not wired anew.
    kept = constant_rate(
        rate=rate,
        down_s=600.0,
        interval_s=interval_s,
        blocking_s=30.0,
        durable_s=0.0,
        can_fail=True,
    )
    assert account.kept(16, "aligned") == pytest.approx(kept, rel=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        {"checkpoint.enabled": False},
        {"failures.host.law": {"name": "weibull", "shape": 0.7}},
        {"checkpoint.global": {"every": 10, "blocking_s": 60.0, "scopes": ["node"]}},
        {"failures.host.per_hour": 0.0, "slices.host_availability": 0.99},
    ],
    ids=["no checkpoints", "aging", "two levels", "no failures"],
)
def test_without_a_closed_form_goodput_is_what_is_placed(changes: Changes) -> None:
    for row in hm.placed_slices(OPTICAL, changes=changes).rows:
        assert row["kept"] is None
        assert row["goodput"] == row["share_placed"]


def test_a_move_costs_what_the_scenario_says() -> None:
    found = hm.placed_slices("tpu-v4-static", running=[(1, 0), (1, 16)], waiting=[48, 16], moves=1)
    assert found.moves is not None
    assert [row["cubes_placed"] for row in found.moves.rows] == [18, 18]
    found = hm.placed_slices("tpu-v4-static", running=[(1, 0), (1, 63)], waiting=[48, 8], moves=1)
    assert found.moves is not None
    rows = found.moves.rows
    assert [row["cubes_placed"] for row in rows] == [10, 58]
    # Half of its best interval, and a restart.
    interval_s = of_constant_rate(16 * 3.3333e-5 / 3600, 30.0)
    assert rows[1]["gpu_seconds"] == pytest.approx(64 * (600 + interval_s / 2))
    given = hm.placed_slices(
        "tpu-v4-static", running=[(1, 0), (1, 63)], waiting=[48, 8], moves=1, lost_s=100.0
    )
    assert given.moves is not None
    assert given.moves.rows[1]["gpu_seconds"] == 6400.0
    assert "moves" in given.document()


def test_what_a_move_costs_is_not_guessed() -> None:
    changes: Changes = {"failures.host.enabled": False, "slices.host_availability": 0.99}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.placed_slices("tpu-v4-static", running=[(1, 0)], waiting=[48], changes=changes)
    assert "checkpoint.interval_s must be a number of seconds: nothing fails" in str(refused.value)
    changes["checkpoint.enabled"] = False
    with pytest.raises(hm.ScenarioError) as refused:
        hm.placed_slices("tpu-v4-static", running=[(1, 0)], waiting=[48], changes=changes)
    assert "checkpoint is missing: a slice that is moved loses all" in str(refused.value)
    with pytest.raises(hm.ScenarioError) as refused:
        hm.placed_slices("tpu-v4-static", moves=3, down=[1])
    assert [one.path for one in refused.value.problems] == ["down", "moves"]


# What prints it.

SMALL = ("--seed", "1", "--runs", "2", "--steps", "4")


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs hindmost with some words, and returns what it says."""

    def call(*words: str, status: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["hindmost", *words])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == status
        printed, told = capsys.readouterr()
        return told if status else printed

    return call


def test_a_run_says_what_slices_take(run: Run, tmp_path: Path) -> None:
    result = hm.simulate(OPTICAL, seed=1, runs=2, steps=4)
    document = result.document()["account"]["slices"]
    account = hm.placed_slices(OPTICAL).account
    assert document == json.loads(json.dumps(account.document()))
    assert document["share_placed"] == account.share_placed
    assert document["share_placed_by_placement"]["any"] == account.share_placed
    assert document["job_slices"] == 1
    assert document["job_fits_by_placement"]["any"] == pytest.approx(
        binom.sf(47, 64, account.slices.cube_availability)
    )
    path = tmp_path / "run.parquet"
    result.write(path)
    again = hm.read(path)
    assert again == result
    assert again.document()["account"]["slices"] == document
    printed = json.loads(run("run", OPTICAL, *SMALL, "--format", "json"))
    assert printed["account"]["slices"] == document


def test_slices_need_no_failures() -> None:
    changes: Changes = {"failures.host.enabled": False, "slices.host_availability": 0.99}
    result = hm.simulate(OPTICAL, seed=1, runs=2, steps=4, changes=changes)
    assert result.account is None
    document = result.document()["account"]
    assert list(document) == ["slices"]
    assert round(document["slices"]["share_placed"], 6) == 0.742047


def test_other_scenarios_have_no_slices() -> None:
    result = hm.simulate("h100-1k", seed=1, runs=2, steps=4)
    assert result.slices is None
    assert "account" not in result.document()


def test_tables_and_pages_say_it(run: Run, tmp_path: Path) -> None:
    account = hm.placed_slices(OPTICAL).account
    words = " ".join(verdict(account).split())
    for options in ((), ("--assumed",)):
        assert words in " ".join(run("run", OPTICAL, *SMALL, *options).split())
    page = tmp_path / "run.html"
    run("report", OPTICAL, *SMALL, "-o", str(page))
    text = page.read_text(encoding="utf-8")
    assert escape(words) in text
    assert "blocks placed" in text


def test_compare_tells_slices_apart() -> None:
    found = hm.compare(
        OPTICAL, {"static": {"slices.placement": "aligned"}}, seed=1, runs=4, steps=4, days=300.0
    )
    assert found.unchanged == ()
    rows = {(one.metric, one.statistic): one for one in found.differences}
    assert rows["fleet_mfu", "mean"].difference < -0.2
    assert rows["step_time_s", "mean"].difference == 0


def test_the_command_prints_sizes_and_moves(run: Run) -> None:
    table = run("slices", OPTICAL, "--set", "slices.host_availability=0.99")
    assert "74.2%" in table
    document = json.loads(
        run(
            *("slices", "tpu-v4-static", "--running", "1@0, 1@63", "--waiting", "48,8"),
            *("--down", "62", "--moves", "1", "--lost-s", "100", "--format", "json"),
        )
    )
    assert [row["cubes_placed"] for row in document["moves"]] == [10, 58]
    assert document["slices"]["placement"] == "aligned"
    assert document["inputs"]["scenario"]["slices"]["slice_cubes"] == 48
    csv = run("slices", OPTICAL, "--format", "csv").splitlines()
    assert csv[0].startswith("slice_cubes,n_gpus,placement,share_placed")
    assert len(csv) == 17
    moves = run("slices", "tpu-v4-static", "--running", "1@0", "--waiting", "48", "--moves", "1")
    assert "1 cubes from block 0 to" not in run("slices", OPTICAL)
    assert "Moved:" in moves
    assert "48 cubes on block 0" in moves


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("h100-1k",), "slices is missing; the presets tpu-v4-optical and tpu-v4-static have"),
        ((OPTICAL, "--running", "x"), 'running must be an integer from 1 to 64, got "x"'),
        ((OPTICAL, "--waiting", "65"), "waiting must be an integer from 1 to 64, got 65"),
        ((OPTICAL, "--moves", "2"), "moves needs running or waiting slices, got 2"),
        ((OPTICAL, "--set", "slices.cubes=3"), "slices.cubes must be 64"),
    ],
)
def test_the_command_refuses_what_it_cannot_do(run: Run, words: tuple[str, ...], said: str) -> None:
    assert said in run("slices", *words, status=2)


# Presets.


@pytest.mark.parametrize("name", ["tpu-v4-optical", "tpu-v4-static"])
def test_presets_of_slices_have_the_published_pod(name: str) -> None:
    assert name in WHOLE
    scenario = hm.load(name)
    slices = scenario.slices
    assert slices is not None
    assert (slices.cubes, slices.hosts_per_cube, scenario.pools["tpu"].n_gpus) == (64, 16, 4096)
    assert any("an example" in one for one in scenario.not_modelled)
    assert scenario.basis["slices.cubes"].kind == "quoted"
    # 0.08% of hosts a day.
    assert scenario.failures["host"].per_hour * 24 == pytest.approx(8e-4, rel=1e-4)
    law = scenario.unknowns["failures.host.repair_hours"].model_dump()
    of_range = [1 / (1 + scenario.failures["host"].per_hour * law[key]) for key in ("high", "low")]
    assert of_range == pytest.approx([0.99, 0.999], abs=1e-4)
    # All that is no part of the job replaces what is.
    counts = hm.simulate(scenario, seed=1, runs=1, steps=1).pool_rows[0]["n_spares"]
    assert counts == 1024


def test_the_optical_preset_differs_from_the_static_one_by_its_switches_alone() -> None:
    optical, static = (
        hm.load(name).model_dump(exclude={"name", "basis"})
        for name in ("tpu-v4-optical", "tpu-v4-static")
    )
    assert optical["slices"].pop("placement") == "any"
    assert static["slices"].pop("placement") == "aligned"
    assert optical == static
