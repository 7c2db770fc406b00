"""Smoothing of power: what it costs in steps and in whole runs, and the energy that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.python.test_power_trace import numerically
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost.analyses.sides import sides
from hindmost.analyses.unknowns import unknowns_of
from hindmost.cli import cli
from hindmost.physics.power import GpuPower
from hindmost.plan import make_plan
from hindmost.whole_run.account import Account
from hindmost.whole_run.fleet import Fleet

SIZE: dict[str, Any] = {"seed": 4, "runs": 2, "steps": 12}
QUIET: dict[str, Any] = {
    **{f"causes.{name}.enabled": False for name in hm.load(COLOSSUS_1_BARE).causes},
    "fabric.noise.enabled": False,
}
SECONDS = "pools.h100.smoothing.seconds_per_transition"
FAILURES: dict[str, Any] = {
    "failures.node": {"scope": "node", "per_hour": 2e-3},
    "recovery": {"restart_s": 300.0, "detection_s": 10.0},
    "checkpoint": {"interval_s": 400.0, "blocking_s": 15.0},
}


def of_gb200(seconds: float, **more: Any) -> dict[str, Any]:
    return {"pools.gb200.smoothing": {"seconds_per_transition": seconds}, **more}


def account_of(changes: dict[str, Any], days: float = 20.0) -> Account:
    account = hm.simulate("h100-1k", changes=changes, days=days, **SIZE).account
    assert account is not None
    return account


@pytest.mark.parametrize("method", ["sample", "order-statistics"])
def test_a_pool_that_is_waited_for_anyway_hides_its_transitions(method: Any) -> None:
    def step_s(changes: dict[str, Any]) -> float:
        given = {**QUIET, **changes}
        found = hm.simulate(COLOSSUS_1_BARE, changes=given, seed=1, runs=1, steps=3, method=method)
        return found.value("step_time_s")

    plan = make_plan(hm.load(COLOSSUS_1_BARE, QUIET))
    alone = {pool.name: pool.compute.step_s for pool in plan.pools}
    gb200 = next(pool for pool in plan.pools if pool.name == "gb200")
    # Its own step, were it the slowest: less compute hides less of its transfers.
    exposed_s = 0.0
    for place, term in enumerate(gb200.terms):
        time_s = max(pool.terms[place].cost.total_s for pool in plan.pools)
        window_s = 0.9 * gb200.window_share(term) * alone["gb200"]
        exposed_s += max(time_s / term.n_buckets, time_s - window_s)
    own_s = alone["gb200"] + exposed_s
    for seconds in (0.5, 3.0, 3.4):
        assert step_s(of_gb200(seconds)) == step_s({}) == plan.noiseless_step_s
    for seconds in (3.6, 4.0, 6.0):
        assert own_s + seconds > plan.noiseless_step_s
        assert step_s(of_gb200(seconds)) == pytest.approx(own_s + seconds, rel=1e-7)


@pytest.mark.parametrize("name", ["h100-1k", "colossus-1-pp16"])
@pytest.mark.parametrize("method", ["sample", "auto"])
def test_a_transition_of_all_pools_is_one_stall_a_step(name: str, method: Any) -> None:
    pools = {
        f"pools.{pool}.smoothing": {"seconds_per_transition": 1.5} for pool in hm.load(name).pools
    }
    steps = 6 if method == "sample" or name == "h100-1k" else 2
    size: dict[str, Any] = {**SIZE, "steps": steps, "method": method}
    days: dict[str, Any] = {"days": 1.0} if hm.load(name).enabled_failures else {}
    before = hm.simulate(name, **size, **days).columns
    smoothed = hm.simulate(name, changes=pools, **size, **days).columns
    # What ranks draw stays, and all of them stop once, whatever stages they have.
    np.testing.assert_allclose(smoothed["compute_s"], before["compute_s"] + 1.5, rtol=3e-7)
    np.testing.assert_allclose(smoothed["stall_s"], before["stall_s"] + 1.5, rtol=3e-6)
    assert smoothed["busy_s"] == pytest.approx(before["busy_s"], rel=1e-6)


def test_what_costs_nothing_changes_no_byte() -> None:
    changes = {**FAILURES, "pools.h100.idle_power_w": 70.0}
    before = hm.simulate("h100-1k", changes=changes, **SIZE, days=5.0)
    costly = {"seconds_per_transition": 3.0, "failures_per_transition": 1e-4}
    for given in (
        {"pools.h100.smoothing": {"floor": 0.0}},
        {"pools.h100.smoothing": {"seconds_per_transition": 0.0}},
        {"pools.h100.smoothing": costly, "pools.h100.power_aware": True},
        {"pools.h100.smoothing": costly, "ideal.power_smoothing": True},
    ):
        after = hm.simulate("h100-1k", changes={**changes, **given}, **SIZE, days=5.0)
        assert after.plan == before.plan
        assert after.columns.keys() == before.columns.keys()
        columns: list[dict[str, Any]] = [{**one.columns} for one in (after, before)]
        for name in columns[0]:
            assert columns[0][name].tobytes() == columns[1][name].tobytes()
        assert after.hours == before.hours
        assert after.power_rows == before.power_rows
        assert after.energy == before.energy


@pytest.mark.parametrize("interval_s", [400.0, "best"])
@pytest.mark.parametrize("is_two_level", [False, True])
def test_each_restart_and_blocking_checkpoint_takes_a_transition_more(
    interval_s: float | str, is_two_level: bool
) -> None:
    level = {"every": 5, "blocking_s": 40.0, "restart_s": 900.0, "scopes": ["node"]}
    levels = {"global": level} if is_two_level else {}
    checkpoint = {"interval_s": interval_s, "blocking_s": 15.0, **levels}
    found = account_of({**FAILURES, "checkpoint": checkpoint, SECONDS: 2.5})
    by_hand = {
        "failures.node": FAILURES["failures.node"],
        "recovery": {"restart_s": 302.5, "detection_s": 10.0},
        "checkpoint": {
            "interval_s": interval_s,
            "blocking_s": 17.5,
            **({"global": {**level, "blocking_s": 42.5, "restart_s": 902.5}} if levels else {}),
        },
    }
    expected = account_of(by_hand)
    assert found.gpu_hours.tolist() == expected.gpu_hours.tolist()
    assert found.hours_of.interval_s == expected.hours_of.interval_s
    assert found.hours["restart"] > account_of(FAILURES).hours["restart"]


def test_replicas_that_wait_for_another_one_take_a_transition_more() -> None:
    recovery = {"restart_s": 300.0, "replica_level": True, "replica_stall_s": 100.0}
    small = {**FAILURES, "recovery": recovery, "layout.shard_group_replicas": 16}
    by_hand = {
        **small,
        "recovery": {**recovery, "restart_s": 302.0, "replica_stall_s": 102.0},
        "checkpoint": {"interval_s": 400.0, "blocking_s": 17.0},
    }
    found = account_of({**small, SECONDS: 2.0})
    assert found.gpu_hours.tolist() == account_of(by_hand).gpu_hours.tolist()


def test_a_checkpoint_that_stops_nobody_takes_no_transition() -> None:
    checkpoint = {"interval_s": 400.0, "blocking_s": 0.0, "durable_s": 30.0}
    found = account_of({**FAILURES, "checkpoint": checkpoint, SECONDS: 2.5})
    assert found.hours["checkpoint"] == 0


def test_the_pool_that_takes_longest_is_waited_for() -> None:
    of_pools = {
        "pools.h100.smoothing": {"seconds_per_transition": 1.0},
        "pools.h200.smoothing": {"seconds_per_transition": 9.0},
        "pools.h200.power_aware": True,
        "pools.gb200.smoothing": {"seconds_per_transition": 4.0},
    }
    scenario = hm.load("colossus-1", of_pools)
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    assert fleet.transition_s == 4.0
    assert fleet.restart_s == 604.0


def test_failures_of_transitions_come_with_steps() -> None:
    share = 2e-3
    changes = {**FAILURES, "pools.h100.smoothing": {"failures_per_transition": share}}
    account = account_of(changes, days=40.0)
    assert account.hours_of.kinds == ["node", "power-smoothing"]
    step_s = make_plan(hm.load("h100-1k")).noiseless_step_s
    # Clocks run while the job makes steps and checkpoints, and during restarts that can fail.
    place = account.hours_of.kinds.index("power-smoothing")
    failures = sum(run[place] for run in account.hours_of.failures)
    expected = SIZE["runs"] * 40 * 86_400 / step_s * share
    assert failures == pytest.approx(expected, abs=4 * expected**0.5)
    none = account_of({**changes, "pools.h100.power_aware": True}, days=40.0)
    assert none.hours_of.kinds == ["node"]


FLOOR: dict[str, dict[str, float]] = {
    "a floor": {"floor": 0.5},
    "hysteresis": {"floor": 0.5, "hysteresis_s": 0.1},
    "ramps": {"floor": 0.3, "up_w_per_s": 600.0, "down_w_per_s": 1500.0, "hysteresis_s": 0.05},
    "slow ramps": {"up_w_per_s": 100.0, "down_w_per_s": 200.0},
}


@pytest.mark.parametrize("name", FLOOR)
def test_energy_follows_from_the_phases_and_adds_up(name: str) -> None:
    figures = FLOOR[name]
    changes = {"pools.h100.idle_power_w": 70.0, "pools.h100.n_gpus": 1030}
    plain = hm.simulate("h100-1k", changes=changes, **SIZE)
    result = hm.simulate("h100-1k", changes={**changes, "pools.h100.smoothing": figures}, **SIZE)
    rows, pool = result.power_rows, result.pool_rows[0]
    assert sum(row["joules"] for row in rows) == pytest.approx(pool["energy_j"], rel=1e-12)
    step_s = result.value("step_time_s")
    assert sum(row["seconds"] for row in rows) == pytest.approx(step_s, rel=1e-12)
    assert step_s == plain.value("step_time_s")
    one = GpuPower(
        peak_w=700.0,
        idle_w=70.0,
        floor_w=700.0 * figures.get("floor", 0.0),
        up_w_per_s=figures.get("up_w_per_s", float("inf")),
        down_w_per_s=figures.get("down_w_per_s", float("inf")),
        hysteresis_s=figures.get("hysteresis_s", 0.0),
    )
    busy_s = pool["busy_frac"] * step_s
    followed = numerically(one, busy_s, step_s, 20_000).mean() * step_s
    # 6 spares idle.
    by_hand = 1024 * followed + 6 * 70.0 * step_s
    assert pool["energy_j"] == pytest.approx(by_hand, rel=1e-4)
    assert result.energy.swing_w is not None
    assert plain.energy.swing_w is not None
    assert result.energy.swing_w < plain.energy.swing_w
    for key in ("up_w_per_s", "down_w_per_s"):
        # 1,024 ranks at once; power jumps where nothing limits it.
        expected = pytest.approx(1024 * figures[key], rel=1e-9) if key in figures else None
        assert getattr(result.energy, key) == expected
        assert getattr(plain.energy, key) is None


def test_a_floor_by_hand() -> None:
    changes = {"pools.h100.idle_power_w": 70.0, "pools.h100.smoothing": {"floor": 0.6}}
    found = hm.simulate("h100-1k", changes=changes, **SIZE)
    assert [row["watts"] for row in found.power_rows] == pytest.approx(
        [1024 * 700.0, 1024 * 420.0, 1024 * 420.0], rel=1e-14
    )
    assert found.energy.swing_w == pytest.approx(1024 * 280.0, rel=1e-12)
    # It holds while a checkpoint stops the job, and not while the job restarts.
    whole = hm.simulate("h100-1k", changes={**changes, **FAILURES}, **SIZE, days=10.0)
    account = whole.account
    assert account is not None
    hours = account.hours
    busy = whole.pool_rows[0]["busy_frac"]
    in_steps_w = busy * 700 + (1 - busy) * 420
    by_hand = (hours["kept"] + hours["redone"]) * in_steps_w + hours["checkpoint"] * 420
    by_hand += (hours["restart"] + hours["detection"]) * 70
    assert whole.energy.run_j == pytest.approx(3600 * by_hand, rel=1e-12)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a cause of its name": (
        {
            SECONDS: 1.0,
            "causes.power-smoothing-h100": hm.load("h100-1k").causes["pause"].model_dump(),
        },
        "causes.power-smoothing-h100 must not be a cause; it is the name of what "
        "pools.h100.smoothing.seconds_per_transition does",
    ),
    "failures of its name": (
        {
            **FAILURES,
            "failures.power-smoothing": {"scope": "job", "per_hour": 1e-3},
            "pools.h100.smoothing.failures_per_transition": 1e-6,
        },
        "failures.power-smoothing must not be the name of failures",
    ),
    "longer than a watchdog waits": (
        {**FAILURES, SECONDS: 8.0, "recovery.watchdog_s": 5.0},
        f"{SECONDS} must be <= 5, recovery.watchdog_s: it would stop the job in every step, got 8",
    ),
    "no seconds that can be drawn": (
        {SECONDS: 1e-60},
        "pools.h100.smoothing.seconds_per_transition must be 0, or from 1e-09 to 1e+06, got 1e-60",
    ),
    "a share above one": (
        {"pools.h100.smoothing.floor": 20.0},
        "pools.h100.smoothing.floor must be <= 1, got 20",
    ),
    "a key that there is not": (
        {"pools.h100.smoothing.flor": 0.2},
        'pools.h100.smoothing.flor is not a known key; did you mean "floor"?',
    ),
    "an unknown of no smoothing": (
        {"unknowns": {SECONDS: {"name": "uniform", "low": 0.0, "high": 6.0}}},
        f"unknowns.{SECONDS} is not the key path of a number",
    ),
    "an unknown that is a table": (
        {"unknowns": {"pools.h100.smoothing": {"name": "uniform", "low": 0.0, "high": 6.0}}},
        "unknowns.pools.h100.smoothing is not the key path of a number",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", changes)
    assert said in str(refused.value)


def test_software_that_is_aware_of_power_takes_no_name_and_no_time() -> None:
    names = ("a cause of its name", "failures of its name", "longer than a watchdog waits")
    given = {key: value for name in names for key, value in REFUSED[name][0].items()}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", given)
    assert len(refused.value.problems) == 3
    hm.load("h100-1k", {**given, "pools.h100.power_aware": True})


def test_several_refusals_are_told_at_once() -> None:
    given = [REFUSED[name][0] for name in ("failures of its name", "longer than a watchdog waits")]
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", {**given[0], **given[1], "pools.h100.idle_power_w": 900.0})
    assert len(refused.value.problems) == 3


@pytest.mark.parametrize(
    ("changes", "path", "warning"),
    [
        (
            {"pools.h100.power_aware": True},
            "pools.h100.power_aware",
            "changes nothing: no smoothing of the pool's power is given",
        ),
        (
            {"pools.h100.smoothing": {"failures_per_transition": 1e-6}},
            "pools.h100.smoothing.failures_per_transition",
            "changes nothing without [failures]",
        ),
    ],
)
def test_what_changes_nothing_is_warned_of(
    changes: dict[str, Any], path: str, warning: str
) -> None:
    found = hm.simulate("h100-1k", changes=changes, seed=1, runs=1, steps=1).scenario_warnings
    assert {"path": path, "warning": warning} in found


def test_an_unknown_transition_acts_on_steps_and_on_whole_runs() -> None:
    law = {"name": "uniform", "low": 0.0, "high": 6.0}
    changes = {**FAILURES, SECONDS: 0.0, "unknowns": {SECONDS: law}}
    scenario = hm.load("h100-1k", changes)
    on_steps, on_runs = sides(scenario, unknowns_of(scenario))
    assert SECONDS in on_steps
    assert on_runs == [SECONDS]


def test_a_run_says_how_much_of_it_hides() -> None:
    size = ["--seed", "1", "--runs", "2", "--steps", "4", "--at-values"]

    def said(*words: str) -> str:
        done = CliRunner().invoke(cli, ["run", *words, *size])
        assert done.exit_code == 0, done.stderr
        return " ".join(done.stdout.split())

    start = "Smoothing of power: going from waiting to work takes"
    # As much as a step without variation hides, by a stall of the pool.
    text = said("colossus-1", "--assumed")
    hidden_s = float(text.partition("without variation ")[2].partition(" s hide")[0])
    assert f"{start} gb200 0 s a step (which is not known); without variation" in text
    assert text.count(start) == 1
    short = said("colossus-1", "--set", "pools.gb200.smoothing.seconds_per_transition=1.5")
    assert f"Smoothing of power takes gb200 1.5 s a step; {hidden_s} s hide behind" in short
    base_s = make_plan(hm.load("colossus-1")).noiseless_step_s
    for seconds, is_longer in ((0.999 * hidden_s, False), (1.001 * hidden_s, True)):
        quiet = {**QUIET, **of_gb200(seconds)}
        found = hm.simulate("colossus-1", changes=quiet, seed=1, runs=1, steps=1, days=1.0)
        assert (found.value("step_time_s") > base_s) == is_longer
    alone = said("h100-1k", "--assumed", "--set", f"{SECONDS}=1.5")
    assert f"{start} h100 1.5 s a step; no pool is slower, to hide it." in alone
    for words in (["h100-1k"], ["colossus-1", "--set", "pools.gb200.power_aware=true"]):
        assert start not in said(*words, "--assumed")


def test_a_timeline_names_it() -> None:
    changes = {SECONDS: 1.5}
    found = hm.timeline("h100-1k", changes=changes, step=0, seed=1)
    assert "smoothing of power" in str(found.document())
    assert "power-smoothing" not in str(found.document()["replicas"])


def test_a_change_of_smoothing_replans_its_pool_alone_and_as_a_fresh_plan() -> None:
    base = hm.compile("colossus-1")
    changed = base.with_changes(of_gb200(4.0))
    assert changed.plan == make_plan(hm.load("colossus-1", of_gb200(4.0)))
    for before, after in zip(base.plan.pools[:2], changed.plan.pools[:2], strict=True):
        assert before is after
