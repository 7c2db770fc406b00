"""A job on a cluster whose units fail: against a simulation by hand, closed forms and figures.

Seeds, sizes and limits were fixed before the first run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hindmost import _core
from hindmost.law import Constant, Exponential
from tests.statistics.fleet_by_hand import NAMES, Account, Failure, Fields, simulate
from tests.statistics.random_fleets import SECONDS, a_pool, fleets

Floats = NDArray[np.float64]

SEED = 20_261_130
RUNS = 16
DAY, HOUR, MINUTE = 86_400.0, 3600.0, 60.0
NODE_PER_HOUR = 3.789e-3 / 24
N_HELD = 6
"""Names of time for which a GPU is held by the job."""

EXAMPLES = 300
random_examples = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    # A smaller example would take minutes to find: the failures of each are other ones.
    phases=[Phase.generate],
)


def cluster(
    nodes: int, *, name: str = "p", spares: int = 0, parts: Any = None, tensor: int = 8
) -> Fields:
    """Return a pool of nodes of 8 GPUs, each of which is a part of the job unless told."""
    pool = a_pool(name, 8 * nodes, 8, 8, 8, tensor)
    parts = np.arange(nodes - spares) if parts is None else np.asarray(parts)
    return {**pool, "spare_blocks": spares, "parts": parts.astype(np.uint32)}


def trays(n_trays: int, used: int, tensor: int, parts: Any, domain: int = 24) -> Fields:
    """Return a pool of nodes of 4 GPUs in domains."""
    pool = a_pool("p", 4 * n_trays, 4, domain, used, tensor)
    return {**pool, "parts": np.asarray(parts, dtype=np.uint32)}


def fails(pools: list[Fields], unit_gpus: int | None, per_hour: float, **changes: Any) -> Fields:
    """Return failures of units of the first pool unless told, of the job without units."""
    place = changes.pop("pool", 0)
    n_units = 1 if unit_gpus is None else -(-pools[place]["n_gpus"] // unit_gpus)
    return {
        "name": f"of {unit_gpus}",
        "pool": None if unit_gpus is None else place,
        "unit_gpus": unit_gpus or 1,
        "n_units": n_units,
        "per_hour": per_hour,
        "shape": 1.0,
        "is_new": False,
        "rate_spread": 0.0,
        "repair_hours": None,
        "keeps_local": True,
        **changes,
    }


def hours(value: float) -> Any:
    return Constant(value=value).core


def every(
    interval_s: float, blocking_s: float = 0.0, durable_s: float = 0.0, **levels: Any
) -> Fields:
    none: Fields = {"global_every": None, "global_blocking_s": 0.0, "global_durable_s": 0.0}
    one = {"interval_s": interval_s, "blocking_s": blocking_s, "durable_s": durable_s}
    return {**one, **none, **levels}


def fleet(
    pools: list[Fields], failures: list[Fields], checkpoint: Fields | None = None, **recovery: Any
) -> Fields:
    """Return a job on some pools that is back at once unless told."""
    nothing: Fields = {
        "detection_s": 0.0,
        "restart_s": 0.0,
        "global_restart_s": 0.0,
        "can_fail": False,
        "swap_s": 0.0,
        "shrinks": False,
        "regrows_at_checkpoint": False,
        "replica_stall_s": None,
        "rejoin_s": 0.0,
    }
    return {
        "pools": pools,
        "n_parts": 1 + max(int(pool["parts"].max()) for pool in pools),
        "failures": failures,
        "recovery": {**nothing, **recovery},
        "checkpoint": checkpoint,
    }


def walk(one: Fields, *, seconds: float = 1e5 * DAY, seed: int = SEED, **until: Any) -> Fields:
    until = {"runs": (0, RUNS), "threads": 2, **until}
    found: Fields = _core.fleet_runs(one, seed=seed, seconds=seconds, **until)
    found["seconds"] = found["seconds"].reshape(-1, len(one["pools"]), len(NAMES))
    return found


def by_hand(one: Fields, found: Fields, run: int, seconds: float) -> Account:
    """Return what becomes of the failures of a run by the rules alone."""
    of_run = found["event_run"] == run
    columns = [
        found[f"event_{name}"][of_run].tolist() for name in ("s", "kind", "unit", "repair_s")
    ]
    failures = [Failure(*row) for row in zip(*columns, strict=True)]
    return simulate(one, failures, seconds)


def check_by_hand(one: Fields, seed: int, runs: int = 2, seconds: float = SECONDS) -> None:
    found = walk(one, seconds=seconds, seed=seed, runs=(0, runs), threads=1, keeps_log=True)
    for run in range(runs):
        account = by_hand(one, found, run, seconds)
        expected = np.array([[pool[name] for name in NAMES] for pool in account.seconds])
        in_all = sum(pool["n_gpus"] for pool in one["pools"]) * seconds
        np.testing.assert_allclose(found["seconds"][run], expected, rtol=0, atol=1e-9 * in_all)
        interrupts = found["event_interrupts"][found["event_run"] == run]
        assert interrupts.tolist() == account.interrupts
        assert found["regrows"][run] == account.n_regrows
        for down, down_seconds in zip(
            account.down_seconds, found["down_seconds"][run], strict=True
        ):
            by_number = [down.get(number, 0.0) for number in range(len(down_seconds))]
            np.testing.assert_allclose(down_seconds, by_number, rtol=0, atol=1e-9 * seconds)


def check_sums(one: Fields, found: Fields, seconds: float) -> None:
    n_gpus = np.array([pool["n_gpus"] for pool in one["pools"]])
    sums = found["seconds"].sum(axis=2)
    np.testing.assert_allclose(sums, np.broadcast_to(n_gpus * seconds, sums.shape), rtol=1e-12)


# Against a simulation by hand.


@random_examples
@given(one=fleets(), seed=st.integers(0, 1000))
def test_every_second_has_the_name_that_it_has_by_hand(one: Fields, seed: int) -> None:
    check_by_hand(one, seed)


@random_examples
@given(one=fleets(), seed=st.integers(0, 1000))
def test_all_seconds_of_all_gpus_add_up(one: Fields, seed: int) -> None:
    check_sums(one, walk(one, seconds=SECONDS, seed=seed, runs=(0, 4)), SECONDS)


def whole(pools: list[Fields], unit_gpus: int | None, per_hour: float, **changes: Any) -> Fields:
    return fails(pools, unit_gpus, per_hour, is_new=True, **changes)


def working_rank_evicted() -> Fields:
    """A GPU that is leftover fails beside a rank at work; then a node of another pool is back."""
    pools = [cluster(1, name="a", tensor=4, parts=[0]), cluster(1, name="b", parts=[1])]
    gpus = whole(pools, 1, 0.0125, repair_hours=hours(3.0))
    nodes = whole(pools, 8, 0.1, pool=1, repair_hours=hours(1.0))
    return fleet(pools, [gpus, nodes], can_fail=True, shrinks=True)


def neighbour_evicted() -> Fields:
    """A part goes on beside one that is off in the same node, of which another GPU fails."""
    pools = [cluster(2, tensor=4, parts=[0, 1, 1, 1])]
    gpus = whole(pools, 1, 0.0125, repair_hours=hours(3.0))
    return fleet(pools, [gpus], can_fail=True, shrinks=True)


def leftover_stands_in() -> Fields:
    """Trays 5 and 6 of a domain: one fills no tensor group, the other one stands in."""
    pools = [trays(6, used=20, tensor=8, parts=[0, 1])]
    return fleet(pools, [whole(pools, 4, 0.03, repair_hours=hours(30.0))], can_fail=True)


def late_for_the_restart() -> Fields:
    """A part that is whole and soon to join again does not do so when a restart begins."""
    pools = [cluster(2)]
    kinds = [whole(pools, 8, 0.05), whole(pools, None, 0.1)]
    replicas: Fields = {"replica_stall_s": 10.0, "rejoin_s": 3000.0}
    return fleet(pools, kinds, can_fail=True, restart_s=1000.0, **replicas)


def keeps_its_place() -> Fields:
    """A second node of a broken block fails while the job waits, and another one is repaired."""
    pools = [trays(2, used=8, tensor=8, domain=8, parts=[0])]
    return fleet(pools, [whole(pools, 1, 0.05, repair_hours=hours(3.0))], can_fail=True)


def saved_is_not_global() -> Fields:
    """Each checkpoint is global, but the one that is saved before a part joins is not."""
    pools = [cluster(2)]
    kinds = [whole(pools, 8, 0.1, repair_hours=hours(0.2))]
    kinds += [whole(pools, None, 0.3, keeps_local=False)]
    global_level: Fields = {"global_every": 1, "global_blocking_s": 10.0}
    return fleet(pools, kinds, every(7000.0, 10.0, **global_level), can_fail=True, shrinks=True)


def none_left() -> Fields:
    """A failure takes the only part, whose other ranks wait for the restart."""
    pools = [cluster(1)]
    replicas: Fields = {"replica_stall_s": 10.0, "detection_s": 600.0}
    return fleet(pools, [whole(pools, 1, 0.0125)], can_fail=True, **replicas)


def repaired_in_the_stall() -> Fields:
    """A part that is repaired during the stall joins earlier than one that is back at once."""
    pools = [cluster(2)]
    replicas: Fields = {"replica_stall_s": 600.0, "rejoin_s": 1000.0}
    nodes = whole(pools, 8, 0.05, repair_hours=hours(0.1))
    return fleet(pools, [nodes], can_fail=True, **replicas)


def filled_by_a_stale_alarm() -> Fields:
    """Places are filled when a part would have joined again that has failed meanwhile."""
    pools = [cluster(4, spares=1)]
    replicas: Fields = {"replica_stall_s": 0.0, "rejoin_s": 5000.0}
    return fleet(pools, [whole(pools, 8, 0.05, repair_hours=hours(5.0))], can_fail=True, **replicas)


SMALL: list[tuple[Callable[[], Fields], int]] = [
    (working_rank_evicted, 60),
    (neighbour_evicted, 81),
    (leftover_stands_in, 10),
    (late_for_the_restart, 67),
    (keeps_its_place, 38),
    (saved_is_not_global, 256),
    (none_left, 0),
    (repaired_in_the_stall, 3),
    (filled_by_a_stale_alarm, 187),
]
"""Jobs that meet one rule each, and seeds with which they do."""


@pytest.mark.parametrize(("make", "seed"), SMALL)
def test_small_jobs_by_hand(make: Callable[[], Fields], seed: int) -> None:
    check_by_hand(make(), seed, runs=1, seconds=10 * HOUR)


# What holds for all runs.


def mixed() -> Fields:
    """Return a job with several kinds of failures, two levels and parts in two pools."""
    pools = [cluster(12, name="a", spares=2), cluster(4, name="b", parts=[3, 3, 7, 7])]
    kinds = [
        fails(pools, 8, 0.01, repair_hours=hours(6.0), shape=0.7, rate_spread=0.5),
        fails(pools, 1, 0.001, pool=1, repair_hours=Exponential(mean=2.0).core),
        fails(pools, None, 0.05, keeps_local=False),
    ]
    levels: Fields = {"global_every": 4, "global_blocking_s": 60.0}
    times: Fields = {
        "detection_s": 60.0,
        "restart_s": 600.0,
        "global_restart_s": 900.0,
        "swap_s": 30.0,
    }
    return fleet(pools, kinds, every(1800.0, 20.0, 300.0, **levels), can_fail=True, **times)


def columns(found: Fields) -> list[bytes]:
    arrays = [found[name] for name in sorted(found) if name != "down_seconds"]
    return [each.tobytes() for each in arrays] + [repr(found["down_seconds"]).encode()]


@pytest.mark.parametrize("threads", [2, 7])
def test_bytes_do_not_depend_on_threads(threads: int) -> None:
    one = mixed()
    until: Fields = {"seconds": 100 * DAY, "keeps_log": True}
    assert columns(walk(one, threads=threads, **until)) == columns(walk(one, threads=1, **until))


def test_runs_are_rows_of_a_longer_call() -> None:
    one = mixed()
    until: Fields = {"seconds": 100 * DAY, "keeps_log": True}
    all_runs, some = walk(one, runs=(0, 8), **until), walk(one, runs=(3, 5), **until)
    assert some["seconds"].tobytes() == all_runs["seconds"][3:5].tobytes()
    assert some["down_seconds"] == all_runs["down_seconds"][3:5]
    for name in ("end_s", "is_done", "regrows"):
        assert some[name].tobytes() == all_runs[name][3:5].tobytes()
    for name in ("interruptions", "failures"):
        by_run = all_runs[name].reshape(8, -1)
        assert some[name].tobytes() == by_run[3:5].tobytes()
    rows = np.isin(all_runs["event_run"], (3, 4))
    for name in ("run", "s", "kind", "unit", "repair_s", "interrupts"):
        assert some[f"event_{name}"].tobytes() == all_runs[f"event_{name}"][rows].tobytes()


def test_nothing_fails_without_a_rate() -> None:
    pools = [cluster(4, spares=1)]
    one = fleet(pools, [fails(pools, 8, 0.0), fails(pools, None, 0.0)], every(300.0, 30.0))
    found = walk(one, seconds=3300.0)
    assert not found["interruptions"].any()
    assert not found["failures"].any()
    assert found["end_s"].tolist() == [3300.0] * RUNS
    expected = dict.fromkeys(NAMES, 0.0) | {"kept": 24 * 3000.0, "checkpoint": 24 * 300.0}
    expected["spare"] = 8 * 3300.0
    np.testing.assert_allclose(
        found["seconds"][:, 0], [[expected[name] for name in NAMES]] * RUNS, rtol=1e-12
    )


def test_the_account_of_years_adds_up() -> None:
    one = mixed()
    check_sums(one, walk(one, seconds=1000 * DAY), 1000 * DAY)


# Against closed forms and figures worked out by hand.


def is_near(of_runs: Any, expected: float) -> bool:
    """Return whether a mean over runs is within four standard errors."""
    values = np.asarray(of_runs)
    return bool(abs(values.mean() - expected) <= 4 * values.std(ddof=1) / np.sqrt(values.size))


def share(found: Fields, *names: str) -> Floats:
    """Return the share of some names in the time of each run."""
    seconds = found["seconds"].sum(axis=1)
    places = [NAMES.index(name) for name in names]
    of_all: Floats = seconds[:, places].sum(axis=1) / seconds.sum(axis=1)
    return of_all


@pytest.mark.parametrize(("can_fail", "kept"), [(False, 0.4294), (True, 0.3590)])
def test_metas_hundred_thousand(can_fail: bool, kept: float) -> None:
    pools = [cluster(27_500)]
    nodes = fails(pools, 8, NODE_PER_HOUR)
    one = fleet(pools, [nodes], every(300.0, 30.0), restart_s=600.0, can_fail=can_fail)
    assert is_near(share(walk(one, interruptions=20_000), "kept"), kept)


@pytest.mark.parametrize(("can_fail", "kept"), [(False, 0.408526), (True, 0.341510)])
def test_asynchronous_checkpoints(can_fail: bool, kept: float) -> None:
    pools = [cluster(4)]
    job = fails(pools, None, HOUR / 829.2)
    one = fleet(pools, [job], every(300.0, 5.0, 120.0), restart_s=600.0, can_fail=can_fail)
    assert is_near(share(walk(one, interruptions=50_000), "kept"), kept)


def test_two_levels() -> None:
    pools = [cluster(4)]
    near = fails(pools, None, 60 * 0.05, name="near")
    far = fails(pools, None, 60 * 0.01, name="far", keeps_local=False)
    checkpoint = every(60.0, 1.2, global_every=20, global_blocking_s=60.0)
    one = fleet(pools, [near, far], checkpoint, restart_s=120.0, global_restart_s=900.0)
    assert is_near(share(walk(one, interruptions=50_000), "kept"), 0.650743)


def test_a_weibull_clock_of_the_job() -> None:
    pools = [cluster(4)]
    job = fails(pools, None, 60 / 13.8, shape=0.7)
    one = fleet(pools, [job], every(300.0, 30.0), restart_s=600.0)
    assert is_near(share(walk(one, interruptions=50_000), "kept"), 0.439736)


@pytest.mark.parametrize("repair", [Constant(value=4.0), Exponential(mean=4.0)])
def test_spares_run_out_as_lines_of_a_telephone_exchange_do(repair: Any) -> None:
    pools = [cluster(20_004, spares=4)]
    nodes = fails(pools, 8, 1 / 20_000, repair_hours=repair.core)
    found = walk(fleet(pools, [nodes], every(1e9)), interruptions=20_000)
    assert is_near(share(found, "waiting") / share(found, *NAMES[:N_HELD]), 0.199067)


@pytest.mark.parametrize("regrows_at_checkpoint", [False, True])
def test_the_job_shrinks_by_the_replicas_that_are_not_whole(regrows_at_checkpoint: bool) -> None:
    pools = [cluster(160, parts=np.repeat(np.arange(20), 8))]
    nodes = fails(pools, 8, 0.01, repair_hours=hours(1.0))
    growth: Fields = {"shrinks": True, "regrows_at_checkpoint": regrows_at_checkpoint}
    found = walk(fleet(pools, [nodes], every(1.0), **growth), seconds=1000 * DAY)
    # A part that is whole waits for half an interval, of 0.5 s.
    held = share(found, *NAMES[:N_HELD])
    assert abs(held.mean() - 1.01**-8) <= 4 * held.std(ddof=1) / np.sqrt(RUNS) + 2e-5


def moments(found: Fields) -> Floats:
    """Return mean, variance, P(> 9) and P(> 18) of the nodes that are down, by run."""
    rows = []
    for run in found["down_seconds"]:
        weights = np.asarray(run[0]) / np.sum(run[0])
        n = np.arange(weights.size)
        mean = (n * weights).sum()
        variance = ((n - mean) ** 2 * weights).sum()
        rows.append([mean, variance, weights[n > 9].sum(), weights[n > 18].sum()])
    return np.array(rows)


def test_trays_that_go_down_alone_and_with_their_rack() -> None:
    pools = [trays(56 * 18, used=72, domain=72, tensor=4, parts=np.arange(56 * 18))]
    tray = fails(pools, 4, NODE_PER_HOUR, repair_hours=hours(24.0))
    rack = fails(pools, 72, 1e-3 / 24, repair_hours=hours(48.0))
    one = fleet(pools, [tray, rack], every(60.0), shrinks=True, regrows_at_checkpoint=True)
    found = moments(walk(one, seconds=20_000 * DAY))
    for of_runs, expected in zip(found.T, (5.80928, 39.6539, 0.110996, 0.103486), strict=True):
        assert is_near(of_runs, expected)


@pytest.mark.parametrize(("spread", "expected"), [(1.0, 0.20), (2.0, 0.37), (3.0, 0.53)])
def test_few_nodes_have_most_of_the_failures(spread: float, expected: float) -> None:
    n_nodes, n_failures, runs = 63, 224, 1000
    pools = [cluster(n_nodes)]
    one = fleet(pools, [fails(pools, 8, 0.01, rate_spread=spread)], every(60.0))
    found = walk(one, runs=(0, runs), interruptions=n_failures, keeps_log=True)
    shares = []
    for run in range(runs):
        units = found["event_unit"][found["event_run"] == run][:n_failures]
        counts = np.sort(np.bincount(units, minlength=n_nodes))
        shares.append(counts[-3:].sum() / n_failures)
    assert abs(np.median(shares) - expected) <= 0.02


@pytest.mark.parametrize("shape", [1.0, 0.7])
def test_a_run_begins_with_as_many_nodes_in_repair_as_there_are_later(shape: float) -> None:
    pools = [cluster(500)]
    down = 0.002 * 20.0
    nodes = fails(pools, 8, 0.002, shape=shape, repair_hours=Exponential(mean=20.0).core)
    one = fleet(pools, [nodes], every(60.0), can_fail=True, shrinks=True)
    found = moments(walk(one, runs=(0, 400), seconds=HOUR))
    assert is_near(found[:, 0], 500 * down / (1 + down))


def test_weibull_clocks_of_nodes_that_have_been_there_for_long_keep_their_rate() -> None:
    pools = [cluster(200)]
    one = fleet(pools, [fails(pools, 8, 1e-3, shape=0.7)], every(60.0), can_fail=True)
    seconds = 500 * HOUR
    found = walk(one, runs=(0, 400), seconds=seconds, keeps_log=True)
    early = found["event_run"][found["event_s"] < seconds / 10]
    assert is_near(np.bincount(early, minlength=400), 200 * 1e-3 * 50)
