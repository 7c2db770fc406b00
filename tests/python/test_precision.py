"""Runs are added until a mean is precise, and are those of a simulation of that many runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.cli.app import cli
from hindmost.precise import precise_columns

JOB = "h100-1k"


def noisy() -> hm.Scenario:
    """Return a job of which all GPUs are slower or faster together in each run."""
    cause = {
        "law": {"name": "lognormal", "sigma": 0.02},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "cluster",
        "span": "run",
    }
    return hm.load(JOB, {"causes.mood": cause})


def relative_error(result: hm.Result) -> float:
    row = result.summary.filter(metric="step_time_s", statistic="mean").row(0, named=True)
    return float(row["std_error"] / row["value"])


@pytest.mark.parametrize("method", ["order-statistics", "sample"])
def test_runs_are_added_until_the_error_is_small_enough(method: Any) -> None:
    size: dict[str, Any] = {"seed": 3, "steps": 4, "method": method}
    found = hm.simulate(noisy(), precision=4e-3, **size)
    runs = found.inputs["runs"]
    assert runs > 8
    assert runs % 4 == 0
    assert relative_error(found) <= 4e-3
    # One block less would not have done.
    assert relative_error(hm.simulate(noisy(), runs=runs - 4, **size)) > 4e-3


@pytest.mark.parametrize("method", ["order-statistics", "sample"])
@pytest.mark.parametrize("terms", [False, True])
def test_rows_are_those_of_that_many_runs(method: Any, terms: bool) -> None:
    size: dict[str, Any] = {"seed": 3, "steps": 5, "method": method, "terms": terms}
    found = hm.simulate(noisy(), precision=5e-3, **size)
    whole = hm.simulate(noisy(), runs=found.inputs["runs"], **size)
    assert found.columns.keys() == whole.columns.keys()
    both: list[dict[str, Any]] = [dict(result.columns) for result in (found, whole)]
    for name, column in both[0].items():
        assert np.array_equal(column, both[1][name]), name
    assert found.summary.equals(whole.summary)
    assert found.pools.equals(whole.pools)


def test_what_is_precise_at_once_has_eight_runs() -> None:
    found = hm.simulate(JOB, seed=1, precision=0.5)
    assert (found.inputs["runs"], found.inputs["steps"]) == (8, 1_000)
    sampled = hm.simulate(JOB, seed=1, precision=0.5, method="sample")
    assert (sampled.inputs["runs"], sampled.inputs["steps"]) == (8, 8)


def test_runs_end_where_there_are_no_more() -> None:
    random = np.random.default_rng(5)

    def draw(first: int, runs: int) -> Any:
        return {"step_time_s": random.lognormal(0.0, 0.5, runs * 3)}

    columns, runs = precise_columns(draw, precision=1e-9, most_runs=30)
    assert runs == 28
    assert len(columns["step_time_s"]) == 28 * 3


def test_it_ends_at_the_first_block_that_is_precise() -> None:
    # Runs of 1 and 3 in turn have a standard deviation of sqrt(n / (n - 1)) around 2.
    def draw(first: int, runs: int) -> Any:
        return {"step_time_s": np.resize([1.0, 3.0], runs)}

    def error(n: int) -> float:
        return math.sqrt(n / (n - 1)) / math.sqrt(n) / 2

    _, runs = precise_columns(draw, precision=error(20) * (1 + 1e-12), most_runs=1_000)
    assert runs == 20


@pytest.mark.parametrize("precision", [0.0, 1.0, -1e-3, math.nan, math.inf, True, "1e-3", 1e-9])
def test_wrong_precisions_are_refused(precision: Any) -> None:
    with pytest.raises(hm.ScenarioError, match="precision must be a number from 1e-06 to below 1"):
        hm.simulate(JOB, precision=precision)


def test_a_number_of_runs_and_a_precision_do_not_go_together() -> None:
    with pytest.raises(hm.ScenarioError, match="runs must be left out with precision"):
        hm.simulate(JOB, precision=1e-3, runs=8)


def test_a_stored_run_is_repeated_with_its_precision(tmp_path: Path) -> None:
    path = tmp_path / "run.parquet"
    options = ["--at-values", "--seed", "3", "--format", "json"]
    run = ["run", JOB, "--precision", "0.01", "--steps", "5", *options]
    first = CliRunner().invoke(cli, [*run, "-o", str(path)])
    assert first.exit_code == 0, first.output
    stored = hm.read(path)
    assert stored.inputs["asked"]["precision"] == 0.01
    for more in ([], ["--runs", "4"], ["--precision", "0.02"]):
        again = CliRunner().invoke(cli, ["run", str(path), *options, "-o", str(path), *more])
        assert again.exit_code == 0, again.output
        assert hm.read(path).inputs["runs"] == (4 if "--runs" in more else 8)
