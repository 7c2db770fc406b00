"""Comparisons: differences of pairs, their errors and intervals, in words and as tables."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import stats

import hindmost as hm
from hindmost.analyses.compare import _differences
from hindmost.cli import cli
from hindmost.metrics import METRICS, RUN_METRICS, STATISTICS
from hindmost.report import render_comparison
from hindmost.student import student_quantile

SLOW = {"pools.h100.software_efficiency": 0.9}
SIZE: dict[str, Any] = {"seed": 5, "runs": 6, "steps": 200}
FAILURES: dict[str, Any] = {
    "failures.node": {"scope": "node", "per_hour": 0.01},
    "recovery": {"restart_s": 600.0},
    "checkpoint": {"blocking_s": 30.0},
}


@pytest.mark.parametrize("p", [0.75, 0.9, 0.975, 0.995])
@pytest.mark.parametrize("dof", [1, 2, 3, 4, 5, 7, 15, 100, 10_000])
def test_quantiles_are_those_of_students_t(p: float, dof: int) -> None:
    assert student_quantile(p, dof) == pytest.approx(stats.t.ppf(p, dof), rel=1e-3)


def test_a_difference_is_that_of_two_simulations_under_one_seed() -> None:
    found = hm.compare("h100-1k", {"slow": SLOW}, **SIZE)
    base, slow = hm.simulate("h100-1k", **SIZE), hm.simulate("h100-1k", changes=SLOW, **SIZE)
    assert found.base.columns["step_time_s"].tolist() == base.columns["step_time_s"].tolist()
    for one in found.differences:
        assert one.base == base.value(one.metric, one.statistic)
        assert one.value == slow.value(one.metric, one.statistic)
        assert one.difference == one.value - one.base
    names = [(one.metric, one.statistic) for one in found.differences]
    assert names == [(metric, name) for metric in METRICS for name in STATISTICS]


def test_its_error_leaves_out_one_run_of_both() -> None:
    found = hm.compare("h100-1k", {"slow": SLOW}, **SIZE)
    sides = (found.base, found.sides["slow"])
    pair = [side.columns["step_time_s"].reshape(6, -1) for side in sides]
    for statistic, of in (("mean", np.mean), ("p95", lambda rows: np.quantile(rows, 0.95))):
        left_out = np.array(
            [
                float(of(np.delete(pair[0], run, axis=0)) - of(np.delete(pair[1], run, axis=0)))
                for run in range(6)
            ]
        )
        error = np.sqrt(5 / 6 * ((left_out - left_out.mean()) ** 2).sum())
        one = found.difference("slow", "step_time_s", statistic)
        assert one.std_error == pytest.approx(error, rel=1e-6)
        assert one.low is not None
        assert one.high is not None
        assert one.high - one.low == pytest.approx(2 * stats.t.ppf(0.975, 5) * error, rel=1e-3)
        assert one.is_clear


def test_pairs_vary_less_than_sides() -> None:
    found = hm.compare("h100-1k", {"slow": SLOW}, **SIZE)
    one = found.difference("slow", "step_time_s")
    (mean,) = (
        row["std_error"]
        for row in found.base.summary_rows
        if (row["metric"], row["statistic"]) == ("step_time_s", "mean")
    )
    assert one.std_error is not None
    assert one.std_error < 0.3 * mean


def test_intervals_hold_the_difference_as_often_as_they_say() -> None:
    # Of two seeds there is no difference but chance: 95% of intervals hold 0.
    hits = 0
    for seed in range(60):
        base, other = (
            hm.simulate("h100-1k", seed=1000 + 2 * seed + side, runs=8, steps=50) for side in (0, 1)
        )
        one = next(one for one in _differences("x", base, other) if one.metric == "step_time_s")
        hits += not one.is_clear
    # Binomial: 57 expected, and 51 or fewer in 2% of all cases.
    assert hits >= 51


def test_whole_runs_are_compared_where_both_sides_have_them() -> None:
    sides: dict[str, Any] = {
        "quick": {"recovery.restart_s": 60.0},
        "none": {"failures.node.enabled": False},
    }
    found = hm.compare(hm.load("h100-1k", FAILURES), sides, **SIZE, days=10.0)
    goodput = found.difference("quick", "goodput")
    assert goodput.difference > 0
    assert goodput.is_clear
    metrics = {one.metric for one in found.differences if one.side == "none"}
    assert metrics == set(METRICS)
    quick = {one.metric for one in found.differences if one.side == "quick"}
    assert quick == {*METRICS, *RUN_METRICS}
    # Steps are the same, byte for byte, and so the restart is all that differs.
    assert found.difference("quick", "step_time_s", "p99").difference == 0
    assert found.unchanged == ()


def test_a_side_that_changes_nothing_is_told() -> None:
    found = hm.compare("h100-1k", {"same": {"name": "other"}, "slow": SLOW}, **SIZE)
    assert found.unchanged == ("same",)
    text = render_comparison(found, "table")
    assert "same: changes nothing; its plan and its failures are those of the base." in text
    done = CliRunner().invoke(
        cli, ["compare", "h100-1k", "--side", "same: name=other", "--steps", "5", "--seed", "1"]
    )
    assert done.exit_code == 0
    assert "same changes nothing: its plan is that of h100-1k" in done.stderr


def test_all_sides_are_sampled_where_one_must_be() -> None:
    noise = {
        "law": {"name": "lognormal", "sigma": 0.01},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "gpu",
        "span": "microbatch",
    }
    sizes: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 3}
    found = hm.compare("h100-1k", {"noisy": {"causes.noise": noise}}, **sizes)
    assert found.base.inputs["method"] == found.sides["noisy"].inputs["method"] == "sample"
    assert found.why.startswith("noisy: ")
    plain = hm.compare("h100-1k", {"slow": SLOW}, **sizes)
    assert plain.base.inputs["method"] == "order-statistics"


def test_one_run_has_differences_without_errors() -> None:
    found = hm.compare("h100-1k", {"slow": SLOW}, seed=1, runs=1, steps=50)
    one = found.difference("slow", "mfu")
    assert (one.std_error, one.low, one.high, one.is_clear) == (None, None, None, None)
    assert "One run of each" in render_comparison(found, "table")
    json.dumps(found.document(), allow_nan=False)


def test_words_say_what_is_clear() -> None:
    found = hm.compare("h100-1k", {"slow": SLOW}, **SIZE)
    text = render_comparison(found, "table")
    assert "slow: step time rises by 0.36" in text
    assert "MFU falls by 0.029" in text
    assert found.frame.height == len(found.differences)
    assert found.frame.columns[:6] == [
        "side",
        "metric",
        "statistic",
        "base",
        "value",
        "difference",
    ]


COMMAND = ["compare", "h100-1k", "--side", "slow: pools.h100.software_efficiency=0.9"]
SMALL = ["--seed", "5", "--runs", "2", "--steps", "20"]


def test_the_command_prints_every_format() -> None:
    run = CliRunner()
    printed = {
        style: run.invoke(cli, [*COMMAND, *SMALL, "--format", style]).stdout
        for style in ("table", "json", "csv", "markdown")
    }
    assert printed["table"].startswith("h100-1k against slow\n")
    assert printed["markdown"].startswith("h100-1k against slow\n\n| slow ")
    document = json.loads(printed["json"])
    assert [side["side"] for side in document["sides"]] == ["slow"]
    rows = list(csv.DictReader(printed["csv"].splitlines()))
    assert len(rows) == len(document["differences"])
    assert float(rows[0]["difference"]) == document["differences"][0]["difference"]
    assert all(len(line) <= 80 for line in printed["table"].split("\n\n")[1].splitlines())


def test_another_scenario_is_a_side() -> None:
    done = CliRunner().invoke(cli, ["compare", "h100-1k", "colossus-2", *SMALL])
    assert done.exit_code == 0, done.output
    assert "colossus-2: step time" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "h100-1k"], "OTHERS is missing: something to compare with; another scenario"),
        (
            ["compare", "h100-1k", "--side", "layout.tensor"],
            '--set must be KEY.PATH=VALUE, got "layout.tensor"',
        ),
        (
            ["compare", "h100-1k", "--side", "a: layout.tensor=0"],
            "side a: layout.tensor must be >= 1, got 0",
        ),
        (["compare", "h100-1k", "colossus-9"], "scenario must be a preset or the path"),
        (
            ["compare", "h100-1k", "--side", "a: name=x", "--side", "a: name=y"],
            "sides must have names of their own",
        ),
    ],
)
def test_wrong_calls_say_what_would_do(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli, words)
    assert isinstance(done.exception, hm.ScenarioError)
    assert said in str(done.exception)


def test_sides_are_a_mapping_of_some_names() -> None:
    for sides in ({}, [SLOW], {"": SLOW}, {3: SLOW}):
        with pytest.raises(hm.ScenarioError, match="sides must"):
            hm.compare("h100-1k", sides)  # type: ignore[arg-type]
