"""Whole runs of scenarios: the account adds up, multiplies, and is what closed forms say."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.cli import cli
from hindmost.metrics import RUN_METRICS
from hindmost.plan import make_plan
from hindmost.scenario import from_table, to_table, with_changes
from hindmost.whole_run.account import Account
from hindmost.whole_run.fleet import Fleet
from hindmost.whole_run.hours import HELD, NAMES

Changes = dict[str, Any]

NODE = {"failures.node": {"scope": "node", "per_hour": 0.01}}
RECOVERY: Changes = {"recovery": {"restart_s": 600.0}}
CHECKPOINT: Changes = {"checkpoint": {"interval_s": 300.0, "blocking_s": 30.0}}
BASE: Changes = {**NODE, **RECOVERY, **CHECKPOINT}
SIZE: Changes = {"runs": 8, "steps": 20, "seed": 3}


def simulated(scenario: str = "h100-1k", days: float = 30.0, **changes: Any) -> hm.Result:
    paths = {path.replace("__", "."): value for path, value in changes.items()}
    return hm.simulate(scenario, changes={**BASE, **paths}, days=days, **SIZE)


def account_of(result: hm.Result) -> Account:
    assert result.account is not None
    return result.account


MIXED: Changes = {
    "pools": {
        "h100": {"gpu": "h100-sxm", "n_gpus": 512, "spares": 32},
        "gb200": {"gpu": "gb200-nvl72", "n_gpus": 4 * 64, "domain_gpus_used": 64},
        "idle": {"gpu": "h200-sxm", "n_gpus": 24, "spares": 0},
    },
    "failures.gpu": {"scope": "gpu", "per_hour": 1e-3, "repair_hours": 3.0},
    "failures.node": {
        "scope": "node",
        "per_hour": 2e-3,
        "repair_hours": {"name": "lognormal", "median": 5.0, "sigma": 0.7},
        "law": {"name": "weibull", "shape": 0.7},
        "rate_spread": 1.0,
    },
    "failures.domain": {"scope": "domain", "per_hour": 2e-4, "repair_hours": 10.0},
    "failures.job": {"scope": "job", "per_hour": 0.05},
    "recovery": {
        "detection_s": 60.0,
        "restart_s": 300.0,
        "restart_per_doubling_s": 20.0,
        "swap_s": 30.0,
        "exhausted": "shrink",
        "regrow": "checkpoint",
    },
    "checkpoint": {
        "interval_s": 300.0,
        "blocking_s": 5.0,
        "durable_s": 60.0,
        "global": {"every": 5, "blocking_s": 20.0, "scopes": ["domain"]},
    },
}
"""Three pools, one with spares and one with trays that stand in, under all that can fail."""

WAITS = {**MIXED, "recovery": {"restart_s": 300.0, "spares": 32}}
REPLICAS = {**MIXED, "recovery": {"restart_s": 300.0, "replica_level": True}}


def of_three_pools(changes: Changes) -> hm.Result:
    table = to_table(hm.load("h100-1k"))
    table["pools"], table["basis"], table["unknowns"] = changes["pools"], {}, {}
    rest = {key: value for key, value in changes.items() if key != "pools"}
    return hm.simulate(with_changes(from_table(table), rest), days=40.0, **SIZE)


@pytest.mark.parametrize("changes", [MIXED, WAITS, REPLICAS], ids=["shrink", "wait", "replicas"])
def test_every_second_has_one_name_and_s_r_p_multiply(changes: Changes) -> None:
    result = of_three_pools(changes)
    account = account_of(result)
    n_gpus = np.array([512.0, 4 * 72, 24])
    of_pools = account.gpu_hours.sum(axis=2)
    assert of_pools == pytest.approx(np.tile(n_gpus * 40 * 24, (8, 1)), rel=1e-12)
    assert sum(account.shares.values()) == pytest.approx(1, abs=1e-12)
    assert account.P is not None
    product = account.S * account.R * account.P
    assert product == pytest.approx(account.fleet_mfu, rel=1e-12)
    used = {name for name, hours in account.hours.items() if hours > 0}
    assert used >= {"kept", "redone", "checkpoint", "restart", "repair", "cut_off", "spare"}
    assert ("detection" in used) == ("detection_s" in changes["recovery"])
    assert account.hours["drained"] == account.hours["other_jobs"] == 0


def test_an_idle_pool_counts_in_s_alone() -> None:
    alone = account_of(simulated())
    pool = {"gpu": "h100-sxm", "n_gpus": 8}
    # They make half a replica, which mixed placement leaves over.
    stages = {"layout.pipeline": 2, "layout.placement": "mixed", "layout.sharding": "none"}
    stages |= {"workload.n_microbatches": 2, "workload.model": "llama3-8b"}
    result = hm.simulate("h100-1k", changes={**BASE, **stages, "pools.idle": pool}, **SIZE)
    account = account_of(result)
    assert account.hours["leftover"] == pytest.approx(8 * 24 * 30, rel=1e-12)
    assert pytest.approx(1024 / 1032, rel=1e-12) == account.S
    assert account.S * account.R * (account.P or 0) == pytest.approx(account.fleet_mfu, rel=1e-12)
    assert alone.S == 1


def test_without_failures_all_time_is_steps_and_checkpoints() -> None:
    result = simulated(failures__node__per_hour=0.0)
    account = account_of(result)
    assert account.S == 1.0
    assert pytest.approx(300 / 330, rel=2e-4) == account.R
    # Whole runs are equally long, and runs of steps have as many steps.
    assert pytest.approx(result.value("mfu"), rel=1e-4) == account.P
    assert account.hours_of.interruptions == [[0]] * 8


def test_rates_change_no_byte_of_the_steps() -> None:
    kinds = ("gpu", "host", "network", "job")
    off = {f"failures.{name}.enabled": False for name in kinds}
    plain = hm.simulate("colossus-1", changes=off, seed=3, runs=2, steps=50)
    assert plain.account is None
    for per_hour in (0.0, 1e-3):
        changes = {f"failures.{name}.per_hour": per_hour for name in kinds}
        failing = hm.simulate("colossus-1", changes=changes, seed=3, runs=2, steps=50)
        assert all(np.array_equal(failing.steps[k], plain.steps[k]) for k in plain.steps.columns)


@pytest.mark.parametrize("can_fail", [False, True])
def test_goodput_is_that_of_the_closed_form(can_fail: bool) -> None:
    result = simulated(days=365.0, recovery__restart_can_fail=can_fail)
    job = hm.Renewal(
        failures={"node": hm.Failures(per_hour=128 * 0.01)},
        restart_s=600.0,
        interval_s=300.0,
        blocking_s=30.0,
        restart_can_fail=can_fail,
    )
    row = result.summary.filter(pl.col("metric") == "goodput", pl.col("statistic") == "mean")
    value, error = row["value"].item(), row["std_error"].item()
    assert abs(value - job.exact) < 4 * error
    assert pytest.approx(value, rel=1e-12) == account_of(result).R


def test_a_restart_takes_longer_with_more_nodes() -> None:
    scenario = with_changes(
        hm.load("h100-1k"), {**BASE, "recovery": {"restart_s": 60, "restart_per_doubling_s": 20}}
    )
    assert Fleet(scenario=scenario, plan=make_plan(scenario)).restart_s == 60 + 20 * 7


def test_the_best_interval_is_the_root_of_its_rate() -> None:
    result = simulated(checkpoint__interval_s="best", days=1.0)
    best = hm.Renewal(
        failures={"node": hm.Failures(per_hour=1.28)}, restart_s=600.0, blocking_s=30.0
    ).best_interval_s
    assert account_of(result).hours_of.interval_s == pytest.approx(best, rel=1e-9)


def test_the_best_interval_of_two_levels_keeps_most() -> None:
    level = {"every": 10, "blocking_s": 120.0, "scopes": ["job"]}
    changes = {
        "failures.job": {"scope": "job", "per_hour": 0.2},
        "checkpoint": {"blocking_s": 10.0, "global": level},
    }
    scenario = with_changes(hm.load("h100-1k"), {**BASE, **changes})
    fleet = Fleet(scenario=scenario, plan=make_plan(scenario))
    assert fleet.interval_s is not None
    job = hm.Renewal(
        failures={
            "node": hm.Failures(per_hour=1.28),
            "job": hm.Failures(per_hour=0.2, keeps_local=False),
        },
        restart_s=600.0,
        blocking_s=10.0,
        global_level=hm.GlobalLevel(every=10, blocking_s=120.0),
        restart_can_fail=False,
    )
    best = job.best_interval_s
    # Few stretches make a flat top: what counts is how much is kept there.
    most, found = (
        replace(job, interval_s=interval_s).exact for interval_s in (best, fleet.interval_s)
    )
    assert most is not None
    assert found is not None
    assert 0 <= most - found < 2e-3


def test_replicas_that_recover_by_themselves_lose_nothing() -> None:
    recovery = {
        "restart_s": 0.0,
        "replica_level": True,
        "replica_stall_s": 180.0,
        "restart_can_fail": False,
    }
    account = account_of(
        simulated(
            days=365.0,
            recovery=recovery,
            layout__sharding="hybrid",
            layout__shard_group_replicas=8,
            checkpoint={"interval_s": 1e6, "blocking_s": 0.0},
        )
    )
    assert account.hours["redone"] == 0
    assert pytest.approx(1 / (1 + 1.28 / 3600 * 180), rel=2e-3) == account.R


def test_absent_replicas_are_cut_off_by_shard_group() -> None:
    recovery = {"restart_s": 1800.0, "replica_level": True, "replica_stall_s": 0.0}
    account = account_of(
        simulated(
            days=365.0,
            recovery=recovery,
            layout__sharding="hybrid",
            layout__shard_group_replicas=8,
        )
    )
    # Eight nodes go off for half an hour with each failure of one of them.
    away = 1 - math.exp(-8 * 0.01 * 0.5)
    assert account.shares["cut_off"] == pytest.approx(away, rel=0.02)


def test_spares_hold_replicas_back_and_stand_in() -> None:
    repair = {"scope": "node", "per_hour": 1e-3, "repair_hours": 24.0}
    few, many = (
        account_of(simulated(failures__node=repair, recovery__spares=spares, days=365.0))
        for spares in (8, 128)
    )
    for account in (few, many):
        idle = account.shares["spare"] + account.shares["repair"]
        assert account.S + idle == pytest.approx(1, abs=1e-12)
    # Down are 112 working nodes and idle spares in the long run.
    assert many.shares["repair"] == pytest.approx(0.024 / 1.024, rel=0.02)
    assert pytest.approx(896 / 1024, abs=1e-4) == many.S
    assert many.hours["waiting"] == 0
    assert few.R < 0.3 < 0.5 < many.R


def test_a_stall_that_the_watchdog_ends_is_a_failure() -> None:
    stall = {
        "law": {"name": "exponential", "mean": 100.0},
        "affects": "compute",
        "effect": "stall",
        "scope": "gpu",
        "span": "step",
        "per_hour": 1e-3,
    }
    watched = simulated(causes__hang=stall, recovery__watchdog_s=300.0, days=365.0)
    account = account_of(watched)
    rate = 1024 * 1e-3 * math.exp(-3)
    assert account.hours_of.kinds == ["node", "watchdog"]
    per_hour = account.interruptions_per_day["watchdog"] / 24
    up = account.R + account.shares["redone"] + account.shares["checkpoint"]
    assert per_hour == pytest.approx(rate * up, rel=0.05)
    # It hangs until the watchdog looks, or another failure comes.
    others = (1.28 + rate) / 3600 * 300
    hangs_s = 300 * -math.expm1(-others) / others
    assert account.hours["detection"] / 1024 == pytest.approx(
        account.interruptions_per_day["watchdog"] * 365 * hangs_s / 3600, rel=0.02
    )
    changes = {**BASE, "causes.hang": stall}
    most_s = {
        watchdog_s: hm.simulate(
            "h100-1k",
            changes={**changes, "recovery.watchdog_s": watchdog_s},
            seed=3,
            runs=8,
            steps=20_000,
        ).columns["stall_s"]
        for watchdog_s in (300.0, 1e6)
    }
    # The same words make stalls, so that those which are short differ by the condition alone.
    assert most_s[300.0].max() <= 300 < most_s[1e6].max()
    assert np.count_nonzero(most_s[300.0] > 1) < np.count_nonzero(most_s[1e6] > 1)


def test_runs_have_their_columns() -> None:
    result = simulated()
    assert result.runs.columns[-16:] == [
        *RUN_METRICS,
        *(f"hours_{name}" for name in NAMES),
    ]
    hours = result.runs.select(pl.col("^hours_.*$")).sum_horizontal()
    assert hours.to_list() == pytest.approx([1024 * 30 * 24] * 8, rel=1e-12)
    held = result.runs.select(f"hours_{name}" for name in NAMES[:HELD]).sum_horizontal()
    goodput = result.runs["hours_kept"] / held
    assert goodput.to_list() == pytest.approx(result.runs["goodput"].to_list(), rel=1e-12)
    tokens = result.runs["tokens_per_day"] / result.plan.tokens * result.mean_step_s / 86_400
    assert tokens.to_list() == pytest.approx((result.runs["hours_kept"] / (1024 * 720)).to_list())


def test_tokens_take_days() -> None:
    result = hm.simulate("h100-1k", changes=BASE, tokens=1e12, **SIZE)
    budget = account_of(result).budget
    assert budget is not None
    expected = 1e12 / result.value("tokens_per_day")
    assert budget["n_done"] == budget["n_runs"] == 256
    assert budget["days"]["p5"] < budget["days"]["p50"] < budget["days"]["p95"]
    assert budget["days"]["p50"] == pytest.approx(expected, rel=0.02)


def test_time_to_finish_is_that_of_the_closed_form() -> None:
    # In minutes: L 0.0724, u 10, dt 5, w 0.5, 10,000 segments; mean 116,475.2, sd 1,078.3.
    changes = {
        "failures": {"job": {"scope": "job", "per_hour": 60 * 0.0724}},
        "recovery": {"restart_s": 600.0, "restart_can_fail": False},
        "checkpoint": {"interval_s": 300.0, "blocking_s": 30.0},
    }
    plain = hm.simulate("h100-1k", changes=changes, **SIZE)
    step_s = float(plain.mean_step_s.mean())
    tokens = 10_000 * 300 / step_s * plain.plan.tokens
    result = hm.simulate("h100-1k", changes=changes, tokens=tokens, **SIZE)
    assert result.hours is not None
    # Runs have steps of different means; each is put right by its own.
    days = np.array(result.hours.budget_days, dtype=float)
    minutes = days * 24 * 60 * np.resize(step_s / result.mean_step_s, len(days))
    # The last checkpoint is not waited for.
    error = 1078.3 / math.sqrt(len(days))
    assert abs(minutes.mean() - 116_475.2 + 0.5) < 4 * error
    assert minutes.std(ddof=1) == pytest.approx(1078.3, rel=0.15)


def test_a_job_that_never_saves_makes_no_progress() -> None:
    result = hm.simulate("colossus-1", changes={"checkpoint.interval_s": 1e8}, **SIZE)
    account = account_of(result)
    assert account.R < 0.01
    assert account.warning is not None
    printed = CliRunner().invoke(
        cli, ["run", "colossus-1", "--seed", "3", "--set", "checkpoint.interval_s=1e8"]
    )
    said = " ".join(printed.output.split())
    assert "The job makes no progress: a failure comes every 944 s, before it" in said
    document = result.document()["account"]
    assert document["warning"] == account.warning


LONG: Changes = {"scope": "node", "per_hour": 1.0, "repair_hours": 1e6}
STUCK: dict[str, Changes] = {
    "waits for repairs": {"failures.node.repair_hours": 1e3, "recovery.spares": 8},
    "holds hardly any GPUs": {"failures.node": LONG},
    r"comes every 2\.\d+e\+03 s, and it restarts": {"recovery.restart_s": 1e5},
    r"comes every 2\.\d+e\+03 s, and it writes": {"checkpoint.blocking_s": 1e5},
}


@pytest.mark.parametrize("why", STUCK)
def test_why_a_job_makes_no_progress_is_told(why: str) -> None:
    result = hm.simulate("h100-1k", changes={**BASE, **STUCK[why]}, **SIZE)
    warning = account_of(result).warning
    assert warning is not None
    assert re.search(why, warning)
    # Whatever holds nothing has numbers all the same.
    assert 0 <= result.value("goodput") < 0.01
    json.dumps(result.document(), allow_nan=False)


def test_the_best_interval_of_replicas_counts_what_stops_all_of_them() -> None:
    changes = {
        "recovery": {"restart_s": 600.0, "replica_level": True},
        "layout.sharding": "hybrid",
        "layout.shard_group_replicas": 64,
        "failures.node": {"scope": "node", "per_hour": 0.01, "repair_hours": 1.0},
    }

    def kept(interval_s: float | str) -> float:
        interval = {"checkpoint.interval_s": interval_s}
        result = hm.simulate("h100-1k", changes={**BASE, **changes, **interval}, days=90.0, **SIZE)
        return account_of(result).R

    # Both of two groups are away at times, and then all goes back.
    assert kept("best") > max(kept(60.0), kept(1e5)) + 0.01


def test_the_best_interval_counts_no_planned_restart() -> None:
    changes = {
        "failures.node": {
            "scope": "node",
            "per_hour": 0.01,
            "law": {"name": "weibull", "shape": 0.7},
            "repair_hours": 5.0,
        },
        "recovery": {"restart_s": 120.0, "exhausted": "shrink"},
        "checkpoint": {"blocking_s": 10.0},
    }
    scenario = with_changes(hm.load("h100-1k"), {**BASE, **changes})
    scenario = with_changes(scenario, {"checkpoint.interval_s": "best"})
    found = Fleet(scenario=scenario, plan=make_plan(scenario)).interval_s
    # That of as many failures at a constant rate.
    best = hm.Renewal(
        failures={"node": hm.Failures(per_hour=1.28)}, restart_s=120.0, blocking_s=10.0
    ).best_interval_s
    assert found == pytest.approx(best, rel=0.15)


MIXTURE = {
    "name": "mixture",
    "components": [
        {"weight": 0.9, "law": {"name": "constant", "value": 0.5}},
        {"weight": 0.1, "law": {"name": "constant", "value": 48.0}},
    ],
}


def test_repairs_may_be_of_two_kinds() -> None:
    account = account_of(
        simulated(
            days=365.0,
            failures__node={"scope": "node", "per_hour": 1e-3, "repair_hours": MIXTURE},
            recovery={"restart_s": 60.0, "exhausted": "shrink", "regrow": "checkpoint"},
        )
    )
    mean_hours = 0.9 * 0.5 + 0.1 * 48
    down = 1e-3 * mean_hours / (1 + 1e-3 * mean_hours)
    assert account.shares["repair"] == pytest.approx(down, rel=0.03)
    frame = account.nodes_down
    assert frame["share"].sum() == pytest.approx(1)
    mean = (frame["n_nodes"] * frame["share"]).sum()
    assert mean == pytest.approx(128 * down, rel=0.03)


@pytest.mark.parametrize("watchdog_s", [1e-9, 0.5, 1.0, 2.0, 5.0, 9.99])
def test_any_watchdog_may_end_the_pauses_of_measured_jobs(watchdog_s: float) -> None:
    result = simulated(recovery__watchdog_s=watchdog_s)
    law = result.scenario.causes["pause"].law
    rate = 0.972 * law.sf(watchdog_s) + 1024 * 0.0144 * result.scenario.causes["stall"].law.sf(
        watchdog_s
    )
    failures = np.array(account_of(result).hours_of.failures).sum(axis=0)
    assert failures[1] == pytest.approx(rate * 8 * 30 * 24, abs=5 * (rate * 8 * 720) ** 0.5 + 1)
    assert result.columns["stall_s"].max() <= watchdog_s * (1 + 1e-6)


def test_more_failures_than_anybody_waits_for_are_refused() -> None:
    changes = {"failures.node.per_hour": 1e6}
    with pytest.raises(hm.ScenarioError, match=r"failures must make at most 1e\+09 failures"):
        hm.simulate("h100-1k", changes={**BASE, **changes}, **SIZE)


def test_a_saved_state_costs_what_its_level_does() -> None:
    level = {"every": 1, "blocking_s": 60.0, "scopes": ["node"]}
    repair = {"scope": "node", "per_hour": 1e-3, "repair_hours": 5.0}

    def kept(blocking_s: float) -> float:
        checkpoint = {"interval_s": 3000.0, "blocking_s": blocking_s, "global": level}
        recovery = {"restart_s": 60.0, "exhausted": "shrink"}
        changes = {"checkpoint": checkpoint, "recovery": recovery, "failures.node": repair}
        return account_of(hm.simulate("h100-1k", changes=changes, **SIZE)).R

    # There are no local checkpoints, whatever they would cost.
    assert kept(0.0) == kept(600.0)


def test_tokens_take_as_long_whatever_the_days_of_whole_runs() -> None:
    changes = {**BASE, "failures.node.per_hour": 0.05}
    few, many = (
        hm.simulate("h100-1k", changes=changes, tokens=2e10, days=days, **SIZE).hours
        for days in (1e-4, 30.0)
    )
    assert few is not None
    assert many is not None
    n_runs = min(len(few.budget_days or []), len(many.budget_days or []))
    assert (few.budget_days or [])[:n_runs] == (many.budget_days or [])[:n_runs]


def test_a_file_may_be_repeated_without_its_failures(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    hm.simulate("h100-1k", changes=BASE, days=3.0, **SIZE).write(path)
    words = ["run", str(path), "--set", "failures.node.enabled=false", "--format", "json"]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert '"account"' not in done.output


def test_json_holds_the_account(tmp_path: Path) -> None:
    words = ["run", "llama3-405b-16384", "--seed", "1", "--runs", "2", "--steps", "5"]
    done = CliRunner().invoke(
        cli, [*words, "--format", "json", "--days", "54", "--tokens", "15e12"]
    )
    account = json.loads(done.output)["account"]
    assert account["days"] == 54
    assert set(account["hours"]) == set(account["shares"]) == set(NAMES)
    product = account["S"] * account["R"] * account["P"]
    assert product == pytest.approx(account["fleet_mfu"], rel=1e-12)
    assert account["budget"]["days"]["p50"] > 54
    assert "account" not in json.loads(
        CliRunner().invoke(cli, ["run", "h100-1k", "--steps", "5", "--format", "json"]).output
    )


@pytest.mark.parametrize("threads", [2, 7])
def test_whole_runs_have_the_same_bytes_on_any_threads(threads: int) -> None:
    sizes = {**SIZE, "changes": BASE, "tokens": 1e11}
    one, other = (hm.simulate("h100-1k", threads=n, **sizes) for n in (1, threads))
    assert one == other


def test_a_stored_whole_run_reads_back_and_repeats(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    result = hm.simulate("h100-1k", changes=BASE, tokens=1e11, days=3.0, **SIZE)
    result.write(path)
    assert hm.read(path) == result
    done = CliRunner().invoke(cli, ["run", str(path), "--format", "json"])
    again = json.loads(done.output)
    assert again["account"] == json.loads(json.dumps(result.document()["account"]))
    assert again["inputs"]["asked"]["days"] == 3.0


def refusal(**call: Any) -> str:
    with pytest.raises(hm.ScenarioError) as caught:
        hm.simulate("h100-1k", **{**SIZE, "changes": BASE, **call})
    return str(caught.value)


def test_days_and_tokens_are_judged() -> None:
    assert refusal(days=0) == "days must be a number from 1e-06 to 36500, got 0"
    assert refusal(days=math.nan).startswith("days must be a number from")
    assert refusal(tokens="many") == 'tokens must be a number from 1 to 1e+18, got "many"'
    assert refusal(days=1, changes={}) == (
        "days must be left out: the scenario has no [failures], so no whole runs, got 1"
    )
    assert refusal(days=-1, tokens=0).count("\n") == 1
