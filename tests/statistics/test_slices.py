"""Whole runs of jobs of slices: against a walk by hand, and shares of time in closed form.

Seeds, sizes and limits were fixed before the first run.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.stats import binom

import hindmost as hm
from hindmost.plan import make_plan
from hindmost.scenario import from_table, to_table
from hindmost.whole_run.fleet import Fleet
from hindmost.whole_run.hours import HELD, NAMES, RunHours, run_hours
from tests.statistics.cubes_by_hand import Failure, Pod, walk
from tests.statistics.panel import BASE

Floats = NDArray[np.float64]
Fields = dict[str, Any]

SEED = 20_261_130
RUNS = 16
DAY = 86_400.0
HOST_GPUS, HOSTS = 2, 2
"""GPUs of a host, and hosts of a cube."""
CUBE = HOST_GPUS * HOSTS


def pod(cubes: int, slice_cubes: int, n_slices: int, placement: str, tables: Fields) -> hm.Scenario:
    """Return a job of slices, with a replica a cube, on cubes of two hosts of two chips."""
    replicas = slice_cubes * n_slices
    return from_table(
        {
            **BASE,
            "gpus": {"chip": {"extends": "tpu-v4", "node_gpus": HOST_GPUS, "domain_gpus": CUBE}},
            "pools": {
                "tpu": {
                    "gpu": "chip",
                    "n_gpus": cubes * CUBE,
                    "kernel_efficiency": 0.7,
                    "nic_bytes_per_s": 45e9,
                    "scale_up_latency_s": 1e-6,
                }
            },
            "fabric": {"name": "tpu-ici-v4", "shape": [slice_cubes], "noise": {"enabled": False}},
            "collective": {"algorithm": "torus"},
            "layout": {
                "tensor": CUBE,
                "sharding": "hybrid",
                "shard_group_replicas": slice_cubes,
                "n_replicas": replicas,
            },
            "slices": {
                "cubes": cubes,
                "hosts_per_cube": HOSTS,
                "slice_cubes": slice_cubes,
                "placement": placement,
                "rewire_s": 0.0,
                **tables.pop("slices", {}),
            },
            "checkpoint": {"interval_s": 3600.0, "blocking_s": 0.0},
            "recovery": {"restart_s": 0.0, **tables.pop("recovery", {})},
            **tables,
        },
        "pod",
    )


def host(repair_hours: Any = 10.0, per_hour: float = 0.005, **more: Any) -> Fields:
    return {"scope": "node", "per_hour": per_hour, "repair_hours": repair_hours, **more}


def years(scenario: hm.Scenario, days: float = 2000.0) -> RunHours:
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    return run_hours(fleet, seed=SEED, runs=RUNS, days=days, threads=2)


def running(hours: RunHours, n_ranks: int) -> Floats:
    """Return the share of time in which a job that waits for all of its GPUs runs, by run."""
    names = [NAMES.index(name) for name in ("kept", "redone")]
    share: Floats = hours.table[:, 0, names].sum(axis=1) / (n_ranks * 24 * hours.days)
    return share


def is_near(of_runs: Floats, expected: float) -> bool:
    """Return whether a mean over runs is within four standard errors."""
    error = of_runs.std(ddof=1) / np.sqrt(of_runs.size)
    return bool(abs(of_runs.mean() - expected) <= 4 * error)


# Of the events of an engine by hand.

CASES: dict[str, tuple[Fields, str]] = {
    "any, hosts": ({"failures": {"host": host(ages="new")}}, "any"),
    "aligned, hosts": ({"failures": {"host": host(ages="new")}}, "aligned"),
    "any, hosts and cubes": (
        {
            "failures": {
                "host": host(20.0, ages="new"),
                "cube": {**host(5.0, 0.003, ages="new"), "scope": "cube"},
            }
        },
        "any",
    ),
    "aligned, cubes": (
        {"failures": {"cube": {**host(30.0, 0.01, ages="new"), "scope": "cube"}}},
        "aligned",
    ),
    "any, laws": (
        {
            "failures": {
                "host": host(
                    {"name": "lognormal", "sigma": 1.0, "median": 8.0},
                    ages="new",
                    law={"name": "weibull", "shape": 0.7},
                )
            }
        },
        "any",
    ),
}


@pytest.mark.parametrize("n_slices", [1, 2])
@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_a_job_of_slices_is_what_the_rules_say(name: str, n_slices: int) -> None:
    tables, placement = CASES[name]
    recovery = {"detection_s": 60.0, "restart_s": 600.0}
    slices = {"rewire_s": 900.0}
    tables = {**tables, "recovery": recovery, "slices": slices}
    scenario = pod(11, 3, n_slices, placement, tables)
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    seconds = 300 * DAY
    found = fleet.walk(seed=SEED, runs=(0, 4), seconds=seconds, threads=1, keeps_log=True)
    by_name = found["seconds"].reshape(4, len(NAMES))
    rules = Pod(11, HOSTS, HOST_GPUS, 3, n_slices, placement == "aligned", 60.0, 600.0, 900.0)
    n_swaps = 0
    for run in range(4):
        of_run = found["event_run"] == run
        names = ("s", "kind", "unit", "repair_s")
        events = zip(*(found[f"event_{key}"][of_run].tolist() for key in names), strict=True)
        failures = []
        for at_s, kind, unit, repair_s in events:
            n_hosts = fleet.kinds[kind]["unit_gpus"] // HOST_GPUS
            failures.append(Failure(at_s, range(unit * n_hosts, (unit + 1) * n_hosts), repair_s))
        fate = walk(rules, failures, seconds)
        ours = dict(zip(NAMES, by_name[run].tolist(), strict=True))
        ours["running"] = ours["kept"] + ours["redone"] + ours["checkpoint"]
        for state, expected in fate.gpu_seconds.items():
            assert ours[state] == pytest.approx(expected, rel=1e-9, abs=1e-3), (run, state)
        assert found["event_interrupts"][of_run].tolist() == fate.stops
        n_swaps += fate.n_swaps
    # Otherwise the case would show nothing.
    assert n_swaps > 10


# Shares of time in closed form.


@pytest.mark.parametrize("repair", [10.0, {"name": "exponential", "mean": 10.0}])
@pytest.mark.parametrize(("placement", "n_slices"), [("any", 1), ("any", 2), ("aligned", 1)])
def test_a_job_runs_for_as_long_as_its_slices_fit(
    repair: Any, placement: str, n_slices: int
) -> None:
    scenario = pod(8, 3, n_slices, placement, {"failures": {"host": host(repair)}})
    hours = years(scenario)
    available = (1 / 1.05) ** HOSTS
    if placement == "any":
        fits = binom.sf(3 * n_slices - 1, 8, available)
    else:
        fits = binom.sf(n_slices - 1, 2, available**3)
    ranks = 3 * n_slices * CUBE
    assert is_near(running(hours, ranks), fits)
    # It stops as often as its hosts fail while it runs.
    stops = np.array(hours.interruptions)[:, 0] / (24 * hours.days)
    assert is_near(stops, fits * 3 * n_slices * HOSTS * 0.005)
    result = hm.simulate(scenario, seed=1, runs=1, steps=1)
    assert result.slices is not None
    assert result.slices.slices.fits(n_slices) == pytest.approx(fits, rel=1e-12)


def test_cubes_that_fail_as_a_whole_are_a_chain_of_births_and_deaths() -> None:
    # Rows: cubes that are down; one is repaired by itself, whatever the others do.
    n, fail, mend = 8, 0.01, 0.1
    rates = np.zeros((n + 1, n + 1))
    for down in range(n + 1):
        rates[down, min(n, down + 1)] += (n - down) * fail
        rates[down, max(0, down - 1)] += down * mend
    rates -= np.diag(rates.sum(axis=1))
    law = null_space(rates.T)[:, 0]
    law /= law.sum()
    cube = {
        "scope": "cube",
        "per_hour": fail,
        "repair_hours": {"name": "exponential", "mean": 1 / mend},
    }
    for slice_cubes in (4, 6):
        scenario = pod(n, slice_cubes, 1, "any", {"failures": {"cube": cube}})
        expected = law[: n - slice_cubes + 1].sum()
        assert is_near(running(years(scenario), slice_cubes * CUBE), expected)


def test_slices_on_blocks_that_a_job_goes_on_without() -> None:
    # Of two slices each has its own block or the third one; the job goes on with one of them.
    tables = {
        "failures": {"host": host()},
        "recovery": {"exhausted": "shrink"},
    }
    hours = years(pod(9, 3, 2, "aligned", tables))
    whole = (1 / 1.05) ** (3 * HOSTS)
    up = binom(3, whole)
    slices = up.pmf(1) + 2 * up.sf(1)
    names = [NAMES.index(name) for name in ("kept", "redone")]
    kept = hours.table[:, 0, names].sum(axis=1) / (3 * CUBE * 24 * hours.days)
    assert is_near(kept, slices)


@pytest.mark.parametrize(
    ("slice_cubes", "switched", "fixed"),
    [(16, 0.747358, 0.076315), (32, 0.500017, 0.005824), (48, 0.742047, 0.000333)],
)
def test_what_is_placed_in_a_pod_whose_hosts_fail_and_are_repaired(
    slice_cubes: int, switched: float, fixed: float
) -> None:
    # Hosts are up for 99% of the time; all are when a run begins, and half of it is left out.
    repair = {"name": "exponential", "mean": 10.0}
    table = to_table(hm.load("tpu-v4-optical"))
    table["failures"] = {"host": host(repair, 1 / 990, ages="new")}
    table["unknowns"], table["basis"] = {}, {}
    scenario = from_table(table)
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    seconds = 400 * DAY
    found = fleet.walk(seed=SEED, runs=(0, RUNS), seconds=seconds, threads=2, keeps_log=True)
    shares = np.zeros((2, RUNS))
    for run in range(RUNS):
        of_run = found["event_run"] == run
        fails_s, units = found["event_s"][of_run], found["event_unit"][of_run]
        mends_s = fails_s + found["event_repair_s"][of_run]
        at_s = np.concatenate([fails_s, mends_s])
        order = np.argsort(at_s, kind="stable")
        change = np.repeat([1, -1], len(units))[order]
        cubes = np.tile(units // 16, 2)[order]
        down = np.zeros((len(order) + 1, 64), dtype=np.int64)
        down[np.arange(1, len(order) + 1), cubes] = change
        is_up = down.cumsum(axis=0) == 0
        blocks = 64 // slice_cubes
        whole = is_up[:, : blocks * slice_cubes].reshape(-1, blocks, slice_cubes).all(axis=2)
        times = np.clip(np.concatenate([[0.0], at_s[order], [seconds]]), seconds / 2, seconds)
        lasts = np.diff(times) / (seconds / 2)
        shares[0, run] = lasts @ (is_up.sum(axis=1) // slice_cubes) * slice_cubes / 64
        shares[1, run] = lasts @ whole.sum(axis=1) * slice_cubes / 64
    assert is_near(shares[0], switched)
    assert is_near(shares[1], fixed)


def test_rewiring_takes_its_seconds_whenever_a_cube_is_replaced() -> None:
    # Clocks stand in restarts, each failure of the slice replaces a cube, and spares never run out.
    recovery = {"restart_s": 300.0, "restart_can_fail": False}
    tables = {"failures": {"host": host(0.5, 0.02)}, "recovery": recovery}
    plain = years(pod(40, 4, 1, "any", {**tables}), 200.0)
    slow = years(pod(40, 4, 1, "any", {**tables, "slices": {"rewire_s": 700.0}}), 200.0)
    restart = NAMES.index("restart")
    for hours, seconds in ((plain, 300.0), (slow, 1000.0)):
        stops = np.array(hours.interruptions)[:, 0]
        of_each = hours.table[:, 0, restart] * 3600 / (4 * CUBE * stops)
        # One restart may be cut off by the end of a run.
        assert of_each == pytest.approx(seconds, rel=2e-3)


def test_a_slice_keeps_what_the_closed_form_says() -> None:
    recovery = {"detection_s": 30.0, "restart_s": 300.0, "restart_can_fail": False}
    tables = {
        "failures": {"host": host(0.5, 0.02)},
        "recovery": recovery,
        "slices": {"rewire_s": 60.0},
        "checkpoint": {"interval_s": "best", "blocking_s": 20.0},
    }
    scenario = pod(40, 4, 1, "any", tables)
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    hours = run_hours(fleet, seed=SEED, runs=RUNS, days=500.0, threads=2)
    account = hm.placed_slices(scenario).account
    assert fleet.interval_s == pytest.approx(account.interval_s(4))
    held = hours.table[:, 0, :HELD].sum(axis=1)
    expected = account.kept(4, "any")
    assert expected is not None
    assert is_near(hours.table[:, 0, 0] / held, expected)


def test_runs_of_slices_are_the_same_bytes_on_any_number_of_threads() -> None:
    scenario = pod(8, 3, 2, "any", {"failures": {"host": host()}})
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    one, more = (
        run_hours(fleet, seed=SEED, runs=5, days=300.0, threads=threads) for threads in (1, 3)
    )
    assert one == more
