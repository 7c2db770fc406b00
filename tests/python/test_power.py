"""Power by phase and energy: they add up, and are what hand calculations say."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.cli import cli
from hindmost.energy import Energy
from hindmost.report.page import page
from hindmost.whole_run.hours import NAMES

SIZE: dict[str, Any] = {"seed": 5, "runs": 3, "steps": 20}
IDLE: dict[str, dict[str, float]] = {
    "h100-1k": {"h100": 70.0},
    "colossus-1": {"h100": 70.0, "h200": 75.0, "gb200": 140.0},
    "colossus-1-pp16": {"h100": 70.0, "h200": 75.0, "gb200": 140.0},
    "llama3-405b-8192": {"h100": 0.0},
    "palm-tpu-v4": {},
}


def with_idle(name: str, **changes: Any) -> hm.Result:
    idle = {f"pools.{pool}.idle_power_w": watts for pool, watts in IDLE[name].items()}
    days: dict[str, Any] = {"days": 2.0} if hm.load(name).enabled_failures else {}
    return hm.simulate(name, changes={**idle, **changes}, **SIZE, **days)


@pytest.fixture(scope="module")
def colossus() -> hm.Result:
    return with_idle("colossus-1")


@pytest.mark.parametrize("name", IDLE)
def test_phases_add_up_to_the_step_and_to_the_energy_of_pools(name: str) -> None:
    result = with_idle(name)
    step_s = result.value("step_time_s")
    by_pool = result.power.group_by("pool", maintain_order=True)
    for (pool, rows), row in zip(by_pool, result.pool_rows, strict=True):
        assert pool[0] == row["pool"]
        assert rows["phase"].to_list() == ["compute", "wait", "exchange"]
        assert rows["seconds"].sum() == pytest.approx(step_s, rel=1e-12)
        assert rows["joules"].sum() == pytest.approx(row["energy_j"], rel=1e-12)
        joules = rows["watts"] * rows["seconds"]
        assert joules.to_list() == pytest.approx(rows["joules"].to_list(), rel=1e-12)
        compute_s, wait_s, exchange_s = rows["seconds"]
        assert compute_s == pytest.approx(row["busy_frac"] * step_s, rel=1e-12)
        # A rank's own stalls are waiting, too.
        assert wait_s >= row["wait_frac"] * step_s * (1 - 1e-12)
        assert exchange_s == pytest.approx(result.value("exposed_comm_s"), rel=1e-12)
    total_j = sum(row["joules"] for row in result.power_rows)
    assert result.energy.step_j == pytest.approx(total_j, rel=1e-12)
    assert result.energy.token_j == pytest.approx(total_j / result.plan.tokens, rel=1e-12)


def test_phases_are_peak_and_idle_with_spares_that_idle(colossus: hm.Result) -> None:
    peak_w = {"h100": 700.0, "h200": 700.0, "gb200": 1200.0}
    for row, pool in zip(colossus.power_rows[::3], colossus.pool_rows, strict=True):
        name, n_spares = pool["pool"], pool["n_spares"]
        n_ranks, idle_w = pool["n_gpus"] - n_spares, IDLE["colossus-1"][name]
        assert row["watts"] == pytest.approx(n_ranks * peak_w[name] + n_spares * idle_w, rel=1e-14)
    for row in colossus.power_rows:
        if row["phase"] != "compute":
            idle_w = IDLE["colossus-1"][row["pool"]]
            n_gpus = colossus.scenario.pools[row["pool"]].n_gpus
            assert row["watts"] == pytest.approx(n_gpus * idle_w, rel=1e-14)
    assert colossus.pools["n_spares"].to_list() == [0, 0, 56]


def test_the_cluster_swings_from_all_at_work_to_all_waiting(colossus: hm.Result) -> None:
    found = colossus.energy
    at_work = 200_000 * 700 + 19_944 * 1200 + 56 * 140
    waiting = 150_000 * 70 + 50_000 * 75 + 20_000 * 140
    assert found.peak_w == pytest.approx(at_work, rel=1e-14)
    assert found.trough_w == pytest.approx(waiting, rel=1e-14)
    assert found.swing_w == pytest.approx(at_work - waiting, rel=1e-13)
    step_s = colossus.value("step_time_s")
    total_j = sum(row["joules"] for row in colossus.power_rows)
    assert found.mean_w == pytest.approx(total_j / step_s, rel=1e-12)


def test_a_run_takes_the_power_of_what_each_hour_is_called(colossus: hm.Result) -> None:
    account = colossus.account
    assert account is not None
    step_s = colossus.value("step_time_s")
    ranks = dict(zip(("h100", "h200", "gb200"), colossus.plan.ranks, strict=True))
    total = 0.0
    for pool, hours in zip(IDLE["colossus-1"], account.gpu_hours.mean(axis=0), strict=True):
        idle_w = IDLE["colossus-1"][pool]
        busy = next(row["busy_frac"] for row in colossus.pool_rows if row["pool"] == pool)
        peak_w = 1200.0 if pool == "gb200" else 700.0
        in_steps_w = busy * peak_w + (1 - busy) * idle_w
        for name, n_hours in zip(NAMES, hours, strict=True):
            watts = {"kept": in_steps_w, "redone": in_steps_w, "repair": 0.0}.get(name, idle_w)
            total += n_hours * 3600 * watts
    assert ranks["gb200"] == 19_944
    assert colossus.energy.run_j == pytest.approx(total, rel=1e-12)
    kept = account.gpu_hours[:, 0, 0].mean() * 3600 / 150_000 / step_s * colossus.plan.tokens
    assert colossus.energy.run_token_j == pytest.approx(total / kept, rel=1e-3)
    # Restarts draw power and make no tokens.
    assert colossus.energy.token_j is not None
    assert colossus.energy.run_token_j is not None
    assert colossus.energy.run_token_j > 1.2 * colossus.energy.token_j


def test_units_in_repair_draw_nothing() -> None:
    node = {"scope": "node", "per_hour": 1e-3, "repair_hours": 100.0}
    changes = {"failures.node": node, "recovery": {"restart_s": 60.0, "exhausted": "shrink"}}
    result = with_idle("h100-1k", **changes)
    account, found = result.account, result.energy
    assert account is not None
    assert account.hours["repair"] > 1000
    busy = result.pool_rows[0]["busy_frac"]
    in_steps = account.hours["kept"] + account.hours["redone"]
    others = sum(account.hours.values()) - in_steps - account.hours["repair"]
    by_hand = 3600 * (in_steps * (busy * 700 + (1 - busy) * 70) + others * 70)
    assert found.run_j == pytest.approx(by_hand, rel=1e-12)


def test_nothing_is_said_of_power_that_is_not_known_but_how_to_give_it() -> None:
    result = hm.simulate("colossus-1", changes={"pools.h100.idle_power_w": 70.0}, **SIZE, days=1.0)
    known = [row["watts"] is not None for row in result.power_rows]
    assert known == [True] * 3 + [False] * 6
    hint = (
        "--set pools.h200.idle_power_w=.. --set pools.gb200.idle_power_w=.. gives what is not "
        "known of its GPUs"
    )
    assert result.energy == Energy(hint=hint)
    assert result.power["joules"].null_count() == 6
    with pytest.raises(hm.ScenarioError, match="kind must be of GPUs whose powers are known"):
        result.plot("power")
    done = CliRunner().invoke(cli, ["run", "colossus-1", "--plot", "power=power.json"])
    assert isinstance(done.exception, hm.ScenarioError)
    said = str(done.exception)
    assert said.startswith("--plot must be of GPUs whose powers are known")
    assert "--set pools.h100.idle_power_w=.." in said


def test_an_energy_beyond_all_numbers_is_none() -> None:
    changes = {"pools.h100.peak_power_w": 1e308, "pools.h100.idle_power_w": 1e307}
    result = hm.simulate("h100-1k", changes=changes, **SIZE)
    assert result.energy == Energy(hint="it is beyond all numbers")
    assert result.power["joules"].null_count() == 3
    with pytest.raises(hm.ScenarioError, match="it is beyond all numbers"):
        result.plot("power")


def test_a_tpu_v4_has_a_published_idle_power() -> None:
    result = with_idle("palm-tpu-v4")
    assert result.plan.pools[0].idle_power_w == 90.0
    assert result.plan.pools[0].peak_power_w == 192.0
    mean_w = (result.energy.mean_w or 0.0) / result.plan.pools[0].n_gpus
    assert 90.0 < mean_w < 192.0


def test_power_comes_back_from_a_file(colossus: hm.Result, tmp_path: Path) -> None:
    path = tmp_path / "result.parquet"
    colossus.write(path)
    again = hm.read(path)
    assert again == colossus
    assert again.power.equals(colossus.power)
    assert again.energy == colossus.energy


def test_power_is_printed_in_each_format(colossus: hm.Result) -> None:
    call = ["run", "h100-1k", "--at-values", "--seed", "5", "--runs", "3", "--steps", "20"]
    call += ["--set", "pools.h100.idle_power_w=70"]
    result = with_idle("h100-1k")

    def printed(*options: str) -> str:
        done = CliRunner().invoke(cli, [*call, *options])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    document = json.loads(printed("--format", "json"))["power"]
    assert document["phases"] == result.power_rows
    assert document["cluster"] == result.energy.document()
    step = f"{result.energy.step_j / 1e6:.4g} MJ a step"  # type: ignore[operator]
    assert "Energy: " in printed()
    assert "MW on average" in printed()
    for options in (("--assumed",), ("--format", "markdown")):
        assert step in printed(*options)
    for options in (("--assumed",), ("--format", "markdown")):
        assert "power of pool" in printed(*options)
    assert "Power and energy" in page(colossus)
    assert "a swing of" in page(colossus)


def test_the_plot_holds_the_power_of_each_pool_and_of_the_cluster(colossus: hm.Result) -> None:
    points = colossus.plot("power").spec["data"]["values"]
    lines = list(dict.fromkeys(one["line"] for one in points))
    assert lines == ["h100", "h200", "gb200", "cluster"]
    for line in lines:
        own = [(one["x"], one["y"]) for one in points if one["line"] == line]
        # The trapezoids between its points are its energy.
        area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(own))
        rows = colossus.power_rows
        joules = sum(row["joules"] for row in rows if line in (row["pool"], "cluster"))
        assert area == pytest.approx(joules, rel=1e-12)
    alone = with_idle("h100-1k").plot("power").spec["data"]["values"]
    assert {one["line"] for one in alone} == {"h100"}
