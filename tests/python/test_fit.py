"""Fits of logs as scenarios, and scenarios beside logs: what is planted is found and said."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result

import hindmost as hm
from hindmost.cli import cli
from hindmost.errors import Problem, ScenarioError
from hindmost.fitting import text
from hindmost.fitting.against_log import held_against
from hindmost.report import render_fit, render_log_comparison

BASE = "h100-1k"
DRIFT: dict[str, Any] = {
    "law": {"name": "lognormal", "sigma": 0.003},
    "affects": "compute",
    "effect": "slowdown",
    "scope": "cluster",
    "span": "drift",
    "correlation_s": 100.0,
}
SLOW_NODE = {
    "law": {"name": "constant", "value": 1.1},
    "affects": "compute",
    "effect": "slowdown",
    "scope": "node",
    "span": "run",
    "units": [5],
}
PLANTED: dict[str, Any] = {
    "pools.h100.n_gpus": 128,
    "pools.h100.software_efficiency": 0.8,
    "causes.drift": DRIFT,
    "causes.slow-node": SLOW_NODE,
    "causes.pause.per_hour": 20.0,
    "causes.stall": {"per_hour": 2.0, "law": {"name": "exponential", "mean": 0.3, "shift": 0.2}},
}
SIZE = {"pools.h100.n_gpus": 128}
"""What is known of the job: not how fast its software is, and none of the causes."""


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of the times of 128 ranks, with a slow node."""
    times = hm.rank_times(BASE, seed=3, run=0, steps=range(500), changes=PLANTED)
    path = tmp_path_factory.mktemp("logs") / "ranks.parquet"
    frame(times).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def of_job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of the steps of a job that began anew twice, with a slow first step."""
    changes = {**PLANTED, "causes.stall.per_hour": 0.02}
    result = hm.simulate(BASE, seed=4, runs=1, steps=660, changes=changes)
    rows = result.steps.select("step", seconds="step_time_s")
    # After a restart the job goes on from its checkpoint, some steps back.
    step = pl.col("step") - 20 * (pl.col("step") // 220)
    is_first = pl.col("step") % 220 == 0
    seconds = pl.when(is_first).then(pl.col("seconds") * 3).otherwise(pl.col("seconds"))
    path = tmp_path_factory.mktemp("logs") / "steps.csv"
    rows.select(step=step, step_time_s=seconds).write_csv(path)
    return path


def frame(times: Any) -> pl.DataFrame:
    n_steps, n_ranks = times.shape
    return pl.DataFrame(
        {
            "step": np.repeat(np.arange(n_steps), n_ranks),
            "rank": np.tile(np.arange(n_ranks), n_steps),
            "seconds": times.ravel().astype(np.float64),
        }
    )


@pytest.fixture(scope="module")
def fitted(of_ranks: Path) -> hm.Fit:
    return hm.fit(hm.read_log(of_ranks), hm.load(BASE, SIZE), origin="ranks.parquet")


def test_a_planted_slow_node_is_named_and_becomes_a_cause(fitted: hm.Fit) -> None:
    slow = fitted.estimate("slow-node-5")
    assert slow.holds(np.log(1.1))
    assert fitted.scenario is not None
    cause = fitted.scenario.causes["slow-node-5"]
    assert (cause.scope, cause.span, cause.units) == ("node", "run", [5])
    names = [one.name for one in fitted.estimates if one.name.startswith("slow-")]
    assert names == ["slow-node-5"]


def test_what_was_planted_lies_within_two_errors(fitted: hm.Fit) -> None:
    truths = {
        "persistent-rank": 0.0172,
        "residual": 0.0015,
        "step-common": 0.0015,
        "drift": 0.003,
        "stall-seconds": 0.5,
    }
    missed = [name for name, truth in truths.items() if not fitted.estimate(name).holds(truth)]
    # Two errors leave out one of twenty; `tests/statistics/test_fit.py` counts how many.
    assert len(missed) <= 1
    # That of a cluster with other GPUs under the same laws.
    assert fitted.estimate("pools.h100.software_efficiency").value == pytest.approx(0.8, rel=0.02)


def test_the_scenario_has_the_percentiles_and_the_noise_of_the_log(fitted: hm.Fit) -> None:
    assert fitted.comparison is not None
    assert [one.statistic for one in fitted.comparison.held if one.is_clear] == []
    assert fitted.comparison.quantity == "compute_s"
    slowest = fitted.comparison.slowest[0]
    assert 40 <= slowest.rank < 48
    assert slowest.predicted is not None


def test_every_fitted_number_has_a_basis(fitted: hm.Fit) -> None:
    assert fitted.scenario is not None
    basis = fitted.scenario.basis
    for name, cause in fitted.scenario.causes.items():
        keys = [f"law.{key}" for key in cause.law.model_dump(exclude_unset=True) if key != "name"]
        keys += [key for key in ("per_hour", "correlation_s") if getattr(cause, key) is not None]
        for key in keys:
            kind = basis[f"causes.{name}.{key}"].kind
            assert kind == ("computed" if key == "law.cap" else "measured")
    assert basis["pools.h100.software_efficiency"].kind == "measured"
    # What was fitted is no longer unknown, and known enough not to be printed as assumed.
    assert not [path for path in fitted.scenario.unknowns if path.startswith("causes.")]
    result = hm.simulate(fitted.scenario, seed=1, runs=1, steps=2)
    assert not [one for one in result.assumed if "causes." in str(one)]


def test_a_written_scenario_is_loaded_as_it_was(fitted: hm.Fit, tmp_path: Path) -> None:
    fitted.write(tmp_path / "my.toml")
    assert hm.load(tmp_path / "my.toml") == fitted.scenario
    assert (tmp_path / "my.toml").read_text().startswith("# Fitted to ranks.parquet: 500 steps of")


def test_a_layer_is_laid_over_a_scenario(of_ranks: Path, tmp_path: Path) -> None:
    found = hm.fit(hm.read_log(of_ranks), node_gpus=8)
    assert found.scenario is None
    assert found.comparison is None
    found.write(tmp_path / "layer.toml")
    (tmp_path / "my.toml").write_text(f'extends = ["{BASE}", "layer.toml"]\n')
    loaded = hm.load(tmp_path / "my.toml", SIZE)
    law = loaded.causes["gpu-speed"].law.model_dump()
    assert law["sigma"] == pytest.approx(found.estimate("persistent-rank").value, rel=0.05)
    assert loaded.basis["causes.gpu-speed.law.sigma"].kind == "measured"


def test_the_same_log_and_seed_give_the_same_text(of_job: Path) -> None:
    log = hm.read_log(of_job)
    one, other = (hm.fit(log, hm.load(BASE, SIZE), threads=threads).toml for threads in (1, 2))
    assert one == other


def test_restarts_split_a_series_and_warm_ups_are_left_out(of_job: Path) -> None:
    found = hm.fit(hm.read_log(of_job), hm.load(BASE, SIZE), origin="steps.csv")
    assert found.n_restarts == 2
    assert any("began anew 2 times" in note for note in found.notes)
    assert any(note.startswith("3 slow steps at the begin") for note in found.notes)
    assert found.comparison is not None
    assert found.comparison.quantity == "step_time_s"
    for statistic in ("p5", "p50", "p95"):
        assert not found.comparison.statistic(statistic).is_clear
    assert found.estimate("drift").holds(0.003)


def test_a_job_keeps_what_its_log_does_not_tell(of_job: Path) -> None:
    base = hm.load(BASE, SIZE)
    found = hm.fit(hm.read_log(of_job), base)
    assert found.scenario is not None
    for name in ("gpu-speed", "residual"):
        assert found.scenario.causes[name] == base.causes[name]
        path = f"causes.{name}.law.sigma"
        assert found.scenario.basis[path] == base.basis[path]
    assert "stall" not in found.scenario.causes
    assert any("do not tell" in note or "does not tell" in note for note in found.notes)


def test_a_job_faster_than_its_scenario_can_be_is_told(of_job: Path) -> None:
    heavy = hm.load(BASE, {**SIZE, "workload.n_microbatches": 3})
    found = hm.fit(hm.read_log(of_job), heavy)
    assert found.scenario is not None
    assert found.scenario.pools["h100"].software_efficiency == 1
    assert any("slower than the log with a software efficiency of 1" in one for one in found.notes)


def test_overhead_takes_the_rest_where_passes_were_measured(of_job: Path) -> None:
    passes = {"pools.h100.forward_s": 0.5, "pools.h100.backward_s": 1.0}
    found = hm.fit(hm.read_log(of_job), hm.load(BASE, {**SIZE, **passes}))
    assert found.scenario is not None
    assert found.scenario.pools["h100"].software_efficiency == 1
    assert found.scenario.workload.overhead_s > 0
    assert [one.name for one in found.adjusted] == ["workload.overhead_s"]
    assert found.comparison is not None
    assert not found.comparison.statistic("p50").is_clear


def test_means_of_steps_are_compared_with_means() -> None:
    drift = {**DRIFT, "correlation_s": 200.0}
    changes = {"causes.drift": drift, "causes.pause.enabled": False, "causes.stall.enabled": False}
    seconds = hm.simulate(BASE, seed=6, runs=1, steps=4000, changes=changes).steps["step_time_s"]
    means = seconds.to_numpy().reshape(-1, 10).mean(axis=1)
    log = pl.DataFrame({"seconds": means}).with_columns(
        kind=pl.lit("step"),
        rank=pl.lit(None, dtype=pl.Int32),
        step=10 * pl.int_range(400) + 9,
        steps=pl.lit(10),
    )
    found = hm.fit(log, BASE)
    assert found.comparison is not None
    assert found.comparison.steps == 4000
    assert "each record is the mean of 10 steps" in found.comparison.notes[0]
    assert not found.comparison.statistic("white noise").is_clear
    assert found.estimate("drift").holds(0.003)


def refused(log: pl.DataFrame, **call: Any) -> tuple[Problem, ...]:
    with pytest.raises(ScenarioError) as caught:
        hm.fit(log, **call)
    return caught.value.problems


def test_too_few_steps_or_ranks_are_refused_and_few_are_told(of_ranks: Path) -> None:
    log = hm.read_log(of_ranks)
    (problem,) = refused(log.filter(pl.col("step") < 99))
    assert str(problem) == "log must have 100 steps or more, got 99"
    (problem,) = refused(log.filter(pl.col("rank") < 7))
    assert str(problem) == "log must have times of 8 ranks or more, or of the whole job, got 7"
    (problem,) = refused(log, node_gpus=0)
    assert problem.path == "node_gpus"
    few = hm.fit(log.filter((pl.col("step") < 200) & (pl.col("rank") < 16)))
    assert [one.split(" are few")[0] for one in few.warnings] == ["200 steps", "16 ranks"]


def test_a_rank_that_is_hardly_there_is_left_out(of_ranks: Path) -> None:
    log = hm.read_log(of_ranks).filter((pl.col("rank") != 9) | (pl.col("step") < 100))
    found = hm.fit(log)
    assert found.n_ranks == 127
    assert any("left out: 9" in note for note in found.notes)


@pytest.mark.parametrize("noise", [0.0, 1e-12])
def test_a_log_without_noise_has_no_causes(noise: float) -> None:
    seconds = 5 + noise * np.random.default_rng(1).normal(size=(200, 16))
    log = frame(seconds).with_columns(kind=pl.lit("step"), steps=pl.lit(1))
    found = hm.fit(log)
    assert found.table["causes"] == {}
    assert found.estimate("median-rank").value == pytest.approx(5)


def test_ranks_that_are_hardly_ever_there_are_refused() -> None:
    random = np.random.default_rng(2)
    log = frame(5 + random.random((400, 40)))
    log = log.filter(pl.Series(random.random(len(log)) < 0.3))
    (problem,) = refused(log.with_columns(kind=pl.lit("step"), steps=pl.lit(1)))
    assert str(problem).startswith("log must have 8 ranks with times in half of the steps, got")


def test_a_scenario_that_is_too_fast_is_told_in_words(of_job: Path) -> None:
    found = hm.compare_with_log(BASE, hm.read_log(of_job), changes=SIZE, seed=1)
    median = found.statistic("p50")
    assert median.is_clear
    assert median.difference < 0
    words = render_log_comparison(found, "table")
    assert "the median is" in words
    assert "% too fast." in words
    assert "lag 1" in words


def test_an_efficiency_has_the_error_of_gpus_that_are_drawn_once() -> None:
    base = hm.load(BASE, SIZE)
    changes = {**SIZE, "pools.h100.software_efficiency": 0.8}
    n_held = 0
    for seed in range(10):
        seconds = hm.simulate(BASE, seed=seed, runs=1, steps=200, changes=changes).steps
        log = seconds.select("step", seconds="step_time_s").with_columns(
            kind=pl.lit("step"), rank=pl.lit(None, dtype=pl.Int32), steps=pl.lit(1)
        )
        found = hm.fit(log, base).estimate("pools.h100.software_efficiency")
        n_held += found.holds(0.8)
        assert found.std_error < 0.02
    assert n_held >= 9


def test_a_rank_that_was_never_the_slowest_is_not_shown(of_ranks: Path) -> None:
    log = hm.read_log(of_ranks)
    slow = pl.when(pl.col("rank") == 7).then(2 * pl.col("seconds")).otherwise("seconds")
    found = hm.compare_with_log(BASE, log.with_columns(seconds=slow), changes=SIZE, seed=1)
    assert all(one.measured > 0 for one in found.slowest)


def test_a_log_that_is_slow_beyond_belief_or_of_fewer_ranks_is_told(of_ranks: Path) -> None:
    log = hm.read_log(of_ranks).filter(pl.col("rank") < 64)
    found = hm.fit(log.with_columns(seconds=1000 * pl.col("seconds")), BASE)
    assert any("a software efficiency of 5% does not make" in note for note in found.notes)
    assert any("has 1,024 ranks and the log 64" in note for note in found.notes)


def test_a_fit_shows_how_far_its_simulation_is(
    of_job: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    def held(*args: Any, **call: Any) -> Any:
        given.append(call["progress"])
        return held_against(*args, **call)

    def told(done: int, total: int) -> None:
        """Take progress."""

    monkeypatch.setattr("hindmost.fitting.fit.held_against", held)
    hm.fit(hm.read_log(of_job), BASE, progress=told)
    assert given == [told]


def test_a_fit_is_a_value(fitted: hm.Fit) -> None:
    again = pickle.loads(pickle.dumps(fitted))
    assert again == fitted
    assert again.toml == fitted.toml


def test_runs_are_cut_where_the_log_is() -> None:
    seconds = hm.simulate(BASE, seed=8, runs=1, steps=300, changes={"causes.drift": DRIFT})
    log = frame(seconds.steps["step_time_s"].to_numpy()[:, np.newaxis])
    log = log.with_columns(kind=pl.lit("step"), steps=pl.lit(1))
    whole = hm.compare_with_log(BASE, log, changes={"causes.drift": DRIFT}, seed=1)
    cut = hm.compare_with_log(
        BASE,
        log.with_columns(step=pl.col("step") % 20),
        changes={"causes.drift": DRIFT},
        seed=1,
    )
    # In stretches of 20 steps a drift of 20 steps shows a part of itself, in both.
    assert cut.n_restarts == 14
    assert cut.statistic("noise").predicted < 0.9 * whole.statistic("noise").predicted
    assert not cut.statistic("noise").is_clear
    assert cut.statistic("p50").predicted == whole.statistic("p50").predicted


def test_a_fit_and_a_comparison_show_themselves(fitted: hm.Fit) -> None:
    assert "slow-node-5" in fitted._repr_html_()
    assert fitted.comparison is not None
    assert "white noise" in fitted.comparison._repr_html_()
    assert fitted.frame.columns == ["name", "unit", "value", "std_error", "low", "high"]
    assert fitted.comparison.frame["statistic"].to_list()[0] == "p5"
    for style in ("table", "markdown", "csv", "json"):
        assert "slow-node-5" in render_fit(fitted, style)
    with pytest.raises(KeyError):
        fitted.estimate("nothing")
    with pytest.raises(KeyError):
        fitted.comparison.statistic("nothing")


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)), catch_exceptions=True)


def problems_of(*words: object) -> list[str]:
    done = call(*words)
    assert isinstance(done.exception, ScenarioError)
    return [str(problem) for problem in done.exception.problems]


def test_the_command_writes_a_scenario_that_runs(of_job: Path, tmp_path: Path) -> None:
    base, output = tmp_path / "job.toml", tmp_path / "my.toml"
    base.write_text(f'extends = ["{BASE}"]\n[pools.h100]\nn_gpus = 128\n')
    done = call("fit", of_job, "-o", output, "--base", base, "--threads", 1, "--format", "json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert {one["name"] for one in document["estimates"]} >= {
        "median-step",
        "drift",
        "pause-seconds",
    }
    assert f"wrote {output}" in done.stderr
    run = call("run", output, "--runs", 2, "--steps", 50, "--seed", 1, "--format", "csv")
    assert run.exit_code == 0, run.stderr
    beside = call("compare", output, "--log", of_job, "--seed", 1, "--runs", 8, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(beside.stdout)))
    assert [row["statistic"] for row in rows][:3] == ["p5", "p50", "p95"]
    assert "seed 1" in beside.stderr


@pytest.mark.parametrize("style", ["table", "markdown", "json", "csv"])
def test_the_commands_print_every_format(style: str, of_job: Path) -> None:
    for words in (("fit", of_job), ("compare", BASE, "--log", of_job, "--runs", 4)):
        done = call(*words, "--format", style, "--seed", 1)
        assert done.exit_code == 0, done.stderr
        assert done.stdout


def test_columns_are_named(of_job: Path, tmp_path: Path) -> None:
    table = pl.read_csv(of_job).rename({"step_time_s": "took_ms"})
    table = table.with_columns(pl.col("took_ms") * 1000)
    table.write_csv(tmp_path / "took.csv")
    done = call("fit", tmp_path / "took.csv", "--column", "seconds=took_ms", "--format", "json")
    assert done.exit_code == 0, done.exception
    (median,) = (
        one["value"] for one in json.loads(done.stdout)["estimates"] if one["name"] == "median-step"
    )
    assert median < 10_000


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = problems_of(
        "fit", tmp_path / "none.csv", "-o", "my.json", "--base", "none", "--column", "seconds"
    )
    assert [one.split()[0] for one in found] == ["--output", "scenario", "--column"]


def test_a_log_is_the_only_other_side(of_job: Path) -> None:
    found = problems_of("compare", BASE, "x.toml", "--log", of_job, "--side", "a=1", "--days", 2)
    assert [one.split()[0] for one in found] == ["OTHERS", "--side", "--days"]
    (problem,) = problems_of("compare", BASE, "x.toml", "--column", "seconds=s")
    assert problem.startswith("--column must be absent without --log")


def test_writing_takes_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ScenarioError, match=r"pip install 'hindmost\[report\]'"):
        text.check_writer("--output")


@pytest.mark.parametrize("name", ["gamma", "weibull"])
def test_a_residual_of_another_law_is_recognised_and_drawn(name: str) -> None:
    random = np.random.default_rng(3)
    size = (500, 32)
    drawn = random.gamma(30.0, 1 / 30, size) if name == "gamma" else random.weibull(6.0, size)
    log = frame(5 * drawn).with_columns(kind=pl.lit("step"), steps=pl.lit(1))
    found = hm.fit(log, hm.load(BASE, {"pools.h100.n_gpus": 32, "layout.tensor": 8}))
    (choice,) = (one for one in found.laws if one.name == "residual")
    assert choice.law["name"] == name
    assert choice.chosen.ks is not None
    assert choice.ks_limit is not None
    assert choice.chosen.ks < choice.ks_limit
    assert found.scenario is not None
    law = found.scenario.causes["residual"].law
    # A factor of median one, as that of an ideal GPU is.
    assert law.ppf(0.5) == pytest.approx(1, rel=1e-4)
    spread = law.core.variance() ** 0.5 / law.core.mean()
    assert spread == pytest.approx(drawn.std() / drawn.mean(), rel=0.03)
