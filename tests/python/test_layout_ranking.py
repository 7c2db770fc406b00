"""Layouts of a job, ranked: each as if it were planned by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.cli import cli
from hindmost.scenario import from_table, to_table
from hindmost.sweeps.layouts import KEYS, SHARDINGS

SMALL: dict[str, Any] = {"pools.h100.n_gpus": 256}
SIZE: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 20}


@pytest.fixture(scope="module")
def found() -> hm.Layouts:
    return hm.layouts("h100-1k", changes=SMALL, best=6, **SIZE)


def changes_of(row: dict[str, Any], batch: int) -> dict[str, Any]:
    layout = {f"layout.{key}": row[key] for key in KEYS}
    return {**SMALL, **layout, "workload.global_batch_seqs": batch}


def test_every_layout_is_planned_as_by_itself(found: hm.Layouts) -> None:
    assert found.global_batch_seqs == 128
    for row in found.frame.gather_every(7).to_dicts():
        changes = changes_of(row, 128)
        scenario = hm.load("h100-1k", {key: changes[key] for key in changes if "group" not in key})
        if row["sharding"] != "hybrid":
            table = to_table(scenario)
            table["layout"].pop("shard_group_replicas", None)
            scenario = from_table(table)
        plan = hm.compile(scenario).plan
        assert row["noiseless_step_s"] == plan.noiseless_step_s
        assert row["noiseless_mfu"] == plan.peak_step_s / plan.noiseless_step_s
        assert row["memory_bytes"] == plan.fullest_bytes <= 85.6e9
        assert (row["n_replicas"], row["n_microbatches"]) == (plan.n_replicas, plan.n_microbatches)
        assert plan.tokens == 128 * 8192


def test_the_fastest_come_first_and_are_simulated(found: hm.Layouts) -> None:
    frame = found.frame
    assert frame["noiseless_step_s"].is_sorted()
    assert frame["step_time_s_p95"].count() == 6
    assert frame["step_time_s_p95"].head(6).null_count() == 0
    row = frame.row(2, named=True)
    result = hm.simulate("h100-1k", changes=changes_of(row, 128), **SIZE)
    assert row["step_time_s_p95"] == result.value("step_time_s", "p95")
    assert row["mfu_mean"] == result.value("mfu")


def test_all_that_could_fit_is_tried(found: hm.Layouts) -> None:
    """By brute force over the keys of a small job: what is not there is refused."""
    rows = set(found.frame.select(KEYS).rows())
    base = hm.load("h100-1k", {**SMALL, "workload.global_batch_seqs": 128})
    n_missed = 0
    for tensor in (1, 2, 4, 8):
        for pipeline in (1, 2, 5, 16):
            for sharding in SHARDINGS:
                layout = {"tensor": tensor, "pipeline": pipeline, "sharding": sharding}
                changes = {f"layout.{key}": value for key, value in layout.items()}
                try:
                    hm.compile(base, changes)
                except hm.ScenarioError:
                    n_missed += 1
                    assert (tensor, pipeline, 1, 1, sharding) not in rows
                else:
                    assert (tensor, pipeline, 1, 1, sharding) in rows
    assert n_missed > 5
    assert sum(found.reasons.values()) >= found.n_refused > 0


def test_a_model_of_experts_has_layouts_that_divide_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hindmost.sweeps.layouts.MOST_CONTEXT", 1)
    found = hm.layouts("deepseek-v3-2048", best=0, seed=1)
    experts = set(found.frame["expert"].to_list())
    assert len(experts) > 3
    assert all(256 % one == 0 for one in experts)
    assert found.frame["mfu_mean"].null_count() == found.frame.height


def test_a_job_of_which_no_layout_fits_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"tensor": 1, "pipeline": 1, "context": 1, "expert": 1, "sharding": "none"}
    monkeypatch.setattr("hindmost.sweeps.layouts._tried", lambda _: iter([alone]))
    with pytest.raises(hm.ScenarioError) as refused:
        hm.layouts("h100-1k")
    assert "layout must fit in some way, and none of 1 that were tried does" in str(refused.value)


@pytest.mark.parametrize("best", [-1, 1e6, "all"])
def test_a_wrong_number_of_best_ones_is_refused(best: Any) -> None:
    with pytest.raises(hm.ScenarioError, match="best must be an integer from 0 to 100000"):
        hm.layouts("h100-1k", best=best)


def test_the_command_ranks_layouts(tmp_path: Path, found: hm.Layouts) -> None:
    options = ["sweep", "h100-1k", "--set", "pools.h100.n_gpus=256", "--layouts", "--best", "6"]
    options += ["--seed", "1", "--runs", "2", "--steps", "20"]

    def printed(*more: str) -> str:
        done = CliRunner().invoke(cli, [*options, *more])
        assert done.exit_code == 0, done.output
        return done.stdout

    path = tmp_path / "layouts.parquet"
    table = printed("-o", str(path))
    assert f"{found.frame.height:,} of" in table
    assert "Refused, by key path" in table
    assert max(map(len, table.splitlines())) <= 80
    assert pl.read_parquet(path).equals(found.frame)
    assert not (tmp_path / "layouts.parquet.parts").exists()
    document = json.loads(printed("--format", "json"))
    assert document["layouts"] == found.frame.to_dicts()
    assert document["n_refused"] == found.n_refused
    assert len(printed("--format", "csv").splitlines()) == found.frame.height + 1


def test_layouts_and_another_space_do_not_go_together() -> None:
    done = CliRunner().invoke(cli, ["sweep", "h100-1k", "--layouts", "--over", "layout.tensor=4"])
    assert isinstance(done.exception, hm.ScenarioError)
    assert "--over must be left out with --layouts" in str(done.exception)


def test_a_number_of_layouts_needs_layouts() -> None:
    options = ["sweep", "h100-1k", "--over", "layout.tensor=4", "--best", "5"]
    done = CliRunner().invoke(cli, options)
    assert done.exit_code != 0
    assert "--best must be left out without --layouts" in str(done.exception)
