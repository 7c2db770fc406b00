"""Slow units that are evicted, and episodes that a watchdog takes for a hang."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import hindmost as hm
from hindmost.analyses.sides import sides
from hindmost.analyses.unknowns import unknowns_of
from hindmost.plan import make_plan
from hindmost.whole_run.account import Account

PER_HOUR, MEAN_S, SEVERITY = 0.02, 600.0, 1.5
SLOW: dict[str, Any] = {
    "law": {"name": "constant", "value": SEVERITY},
    "affects": "compute",
    "effect": "slowdown",
    "scope": "node",
    "span": "episode",
    "per_hour": PER_HOUR,
    "duration": {"name": "exponential", "mean": MEAN_S},
}
RECOVERY: dict[str, Any] = {"restart_s": 200.0, "swap_s": 40.0, "evict_after_s": 300.0}
BASE: dict[str, Any] = {
    "causes.slow": SLOW,
    # Failures count, and there are next to none.
    "failures.node": {"scope": "node", "per_hour": 1e-9},
    "recovery": RECOVERY,
    "checkpoint": {"interval_s": 900.0, "blocking_s": 20.0, "durable_s": 10.0},
}
SIZE: dict[str, Any] = {"seed": 7, "runs": 4}
N_NODES, DAYS = 128, 60.0


def account_of(changes: dict[str, Any]) -> Account:
    account = hm.simulate(
        "h100-1k", changes={**BASE, **changes}, steps=20, days=DAYS, **SIZE
    ).account
    assert account is not None
    return account


def evictions_of(account: Account) -> int:
    place = account.hours_of.kinds.index("eviction")
    return sum(run[place] for run in account.hours_of.interruptions)


def test_as_many_units_are_evicted_as_are_slow_for_long_enough() -> None:
    account = account_of({})
    assert account.hours_of.kinds == ["node", "eviction"]
    rate = N_NODES * PER_HOUR * math.exp(-RECOVERY["evict_after_s"] / MEAN_S)
    # What comes while the job restarts is replaced with it.
    restarts_s = 20.0 + 10.0 + RECOVERY["restart_s"] + RECOVERY["swap_s"]
    expected = SIZE["runs"] * DAYS * 24 / (1 / rate + restarts_s / 3600)
    assert evictions_of(account) == pytest.approx(expected, abs=5 * expected**0.5)


def test_an_eviction_loses_no_step_and_takes_a_restart_and_a_swap() -> None:
    account = account_of({})
    assert account.hours["redone"] == account.hours["detection"] == 0
    each_s = RECOVERY["restart_s"] + RECOVERY["swap_s"]
    expected = evictions_of(account) / SIZE["runs"] * each_s / 3600
    assert account.hours["restart"] / 1024 == pytest.approx(expected, rel=1e-3)
    without = account_of({"recovery.evict_after_s": None})
    assert without.hours_of.kinds == ["node"]
    assert without.R > account.R


def test_without_checkpoints_an_eviction_is_a_failure() -> None:
    account = account_of({"checkpoint": {"blocking_s": 20.0, "enabled": False}})
    assert account.hours["redone"] > 100 * account.hours["kept"] > 0


def test_no_episode_lasts_longer_than_until_its_eviction() -> None:
    after_s = 120.0
    one = {**SLOW, "units": [17], "per_hour": 3.0}
    only = {
        "causes.slow": one,
        "recovery.evict_after_s": after_s,
        **{f"causes.{name}.enabled": False for name in ("residual", "step-common")},
        **{f"causes.{name}.enabled": False for name in ("stall", "pause")},
    }
    scenario = hm.load("h100-1k", {**BASE, **only})
    n_steps = 20_000
    step_s = make_plan(scenario).rate_step_s
    found = hm.simulate(scenario, runs=8, steps=n_steps, seed=3).columns["compute_s"]
    slow = (found > found.min() * 1.2).reshape(8, n_steps)
    mean_s = MEAN_S * -math.expm1(-after_s / MEAN_S)
    at_a_time = 3.0 / 3600 * mean_s
    share = -math.expm1(-at_a_time)
    # Times of about `mean_s` are alike within; so many of them are independent.
    n = 8 * n_steps * step_s / (2 * mean_s)
    assert slow.mean() == pytest.approx(share, abs=4 * math.sqrt(share / n))
    lasting = np.concatenate([_stretches(run) for run in slow])
    # Most last until the eviction; of those that are longer another one begins before they end.
    longest = math.ceil(after_s / step_s)
    assert longest - 1 <= np.median(lasting) <= longest
    assert np.mean(lasting > longest) == pytest.approx(-math.expm1(-at_a_time), abs=0.06)


def _stretches(run: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many steps each stretch of slow steps lasts that is whole."""
    edges = np.flatnonzero(np.diff(run.astype(np.int64)))
    begins = edges[~run[edges]]
    ends = edges[run[edges]]
    ends = ends[ends > begins[0]]
    lasting: NDArray[np.int64] = ends - begins[: len(ends)]
    return lasting


def test_an_episode_that_makes_a_step_too_long_is_a_failure() -> None:
    severe = {**SLOW, "law": {"name": "lognormal", "median": 4.0, "sigma": 1.0}}
    scenario = hm.load("h100-1k", BASE)
    step_s = make_plan(scenario).rate_step_s
    watchdog_s = 8.0 * step_s
    watched = {"causes.slow": severe, "recovery.watchdog_s": watchdog_s}
    account = account_of(watched)
    assert account.hours_of.kinds == ["node", "watchdog", "eviction"]
    law = hm.load("h100-1k", {**BASE, **watched}).causes["slow"].law
    rate = N_NODES * PER_HOUR * law.sf(8.0)
    up = account.R + account.shares["redone"] + account.shares["checkpoint"]
    assert account.interruptions_per_day["watchdog"] / 24 == pytest.approx(rate * up, rel=0.1)
    most = {
        seconds: hm.simulate(
            "h100-1k",
            changes={**BASE, **watched, "recovery.watchdog_s": seconds},
            steps=5000,
            **SIZE,
        )
        for seconds in (watchdog_s, 1e6)
    }
    slowest_s = {seconds: one.columns["compute_s"].max() for seconds, one in most.items()}
    ideal_s = most[1e6].columns["compute_s"].min()
    # Persistent speeds and the residual lie above the median by some percent.
    assert slowest_s[watchdog_s] < 8.0 * ideal_s * 1.1 < slowest_s[1e6]


def test_evictions_change_nothing_of_steps_where_nothing_fails() -> None:
    changes = {"causes.slow": SLOW, "recovery": RECOVERY}
    given = hm.load("h100-1k", changes)
    found = hm.simulate(given, steps=2, runs=1, seed=1).scenario_warnings
    assert [one["path"] for one in found] == ["recovery"]
    plans = [
        hm.compile(hm.load("h100-1k", one)).plan.arguments
        for one in (changes, {"causes.slow": SLOW})
    ]
    assert plans[0] == plans[1]


def test_evictions_without_episodes_are_warned_of() -> None:
    changes = {**BASE, "causes.slow.enabled": False}
    found = hm.simulate("h100-1k", changes=changes, steps=2, runs=1, days=1.0, seed=1)
    warning = "changes nothing where no cause has span episode"
    assert {"path": "recovery.evict_after_s", "warning": warning} in found.scenario_warnings


def test_failures_must_not_be_called_as_evictions_are() -> None:
    changes = {**BASE, "failures.eviction": {"scope": "job", "per_hour": 1e-3}}
    with pytest.raises(hm.ScenarioError, match=r"failures\.eviction must not be the name"):
        hm.load("h100-1k", changes)


def test_what_makes_episodes_acts_on_whole_runs_where_units_are_evicted() -> None:
    unknowns: dict[str, Any] = {
        "causes.slow.per_hour": {"name": "log-uniform", "low": 0.002, "high": 0.05}
    }
    for after_s, of_runs in ((300.0, True), (None, False)):
        changes = {**BASE, "unknowns": unknowns, "recovery.evict_after_s": after_s}
        scenario = hm.load("h100-1k", changes)
        on_steps, on_runs = sides(scenario, unknowns_of(scenario))
        assert "causes.slow.per_hour" in on_steps
        assert ("causes.slow.per_hour" in on_runs) == of_runs
