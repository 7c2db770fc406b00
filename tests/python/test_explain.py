"""Explanations: points of a prior, what they reach, what would do, and posteriors."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy import stats
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost import _core
from hindmost.analyses import explain as explaining
from hindmost.analyses.points import Outcome, Points
from hindmost.analyses.posterior import Observed, distance, effective_size, spread, weights
from hindmost.analyses.reach import corners, lever_of, value_that_would_do
from hindmost.analyses.sides import sides
from hindmost.analyses.unknowns import Unknown, drawn, fnv_1a, unknowns_of
from hindmost.cli import cli
from hindmost.errors import ScenarioError
from hindmost.law import Uniform
from hindmost.report import render_explanation
from hindmost.scenario import from_table

SMALL: dict[str, Any] = {
    "pools.h100.n_gpus": 64,
    "layout.shard_group_replicas": 8,
    "workload.model": "llama3-8b",
}
SIZE: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 20}
FAILURES: dict[str, Any] = {
    "failures.node": {"scope": "node", "per_hour": 1e-2},
    "recovery": {"restart_s": 600.0},
    "checkpoint": {"blocking_s": 30.0},
}


def uniform(low: float, high: float) -> dict[str, Any]:
    return {"name": "uniform", "low": low, "high": high}


def with_unknowns(**laws: dict[str, Any]) -> hm.Scenario:
    """Return a small scenario with these unknowns and no others, dots as double underscores."""
    table = hm.load("h100-1k", SMALL).model_dump(mode="json", exclude_none=True)
    table["unknowns"] = {path.replace("__", "."): law for path, law in laws.items()}
    return from_table(table, "small")


SOFTWARE = "pools.h100.software_efficiency"
MICROBATCHES = "workload.n_microbatches"


def two_unknowns() -> hm.Scenario:
    return with_unknowns(
        pools__h100__software_efficiency=uniform(0.5, 0.9),
        workload__n_microbatches={"name": "log-uniform", "low": 1, "high": 16},
    )


def test_a_point_has_the_random_words_of_its_number() -> None:
    unknowns = unknowns_of(two_unknowns())
    points = drawn(unknowns, 7, 3, 5)
    for number, point in zip((3, 4), points, strict=True):
        word = _core.philox(7, (0, 0, number << 16, fnv_1a(f"unknown/{SOFTWARE}")))[0]
        # Of a uniform law the values are as evenly spread as words.
        expected = 0.5 + 0.4 * (word + 0.5) / 2**32
        assert point[SOFTWARE] == pytest.approx(expected, abs=1e-9)
    assert drawn(unknowns, 7, 0, 5)[3:] == points


def test_streams_are_fnv_1a() -> None:
    # Published test vectors.
    assert [fnv_1a(text) for text in ("", "a", "foobar")] == [0x811C9DC5, 0xE40C292C, 0xBF9CF968]


def test_another_unknown_leaves_points_as_they_are() -> None:
    alone = with_unknowns(pools__h100__software_efficiency=uniform(0.5, 0.9))
    few = [point[SOFTWARE] for point in drawn(unknowns_of(alone), 7, 0, 20)]
    assert [point[SOFTWARE] for point in drawn(unknowns_of(two_unknowns()), 7, 0, 20)] == few


def test_points_have_the_law_of_the_prior() -> None:
    law = {"name": "log-uniform", "low": 1e-4, "high": 1e-2}
    unknowns = unknowns_of(with_unknowns(causes__pause__per_hour=law))
    numbers = [point["causes.pause.per_hour"] for point in drawn(unknowns, 11, 0, 4096)]
    assert stats.kstest(numbers, stats.loguniform(1e-4, 1e-2).cdf).pvalue > 0.01
    low, high = unknowns[0].ends
    assert low == pytest.approx(stats.loguniform(1e-4, 1e-2).ppf(0.001), rel=1e-9)
    assert high == pytest.approx(stats.loguniform(1e-4, 1e-2).ppf(0.999), rel=1e-9)


def test_whole_numbers_are_rounded() -> None:
    software, microbatches = unknowns_of(two_unknowns())
    assert not software.is_integer
    assert microbatches.is_integer
    points = drawn([microbatches], 1, 0, 500)
    assert {point[MICROBATCHES] for point in points} == set(range(1, 17))
    # A key that is not set.
    spares = with_unknowns(layout__expert_tensor=uniform(1.0, 3.0))
    assert unknowns_of(spares)[0].is_integer
    assert unknowns_of(spares)[0].given is None


def unknown(path: str, low: float, high: float, *, is_integer: bool = False) -> Unknown:
    return Unknown(path=path, law=Uniform(low=low, high=high), is_integer=is_integer, given=None)


def test_all_corners_of_few_unknowns_and_two_of_many() -> None:
    few = [unknown(f"a{k}", 0.0, 1.0) for k in range(3)]
    found = corners(few, [])
    assert len(found) == 8
    low, high = few[0].ends
    assert {point["a0"] for point in found} == {low, high}
    many = [unknown(f"a{k}", 0.0, 1.0) for k in range(9)]
    # Every other one is better at its low end.
    levers = [lever_of(one, (0.3, 0.4) if k % 2 else (0.4, 0.3)) for k, one in enumerate(many)]
    worst, best = corners(many, levers)
    assert [best[f"a{k}"] for k in range(9)] == [high if k % 2 else low for k in range(9)]
    assert [worst[f"a{k}"] for k in range(9)] == [low if k % 2 else high for k in range(9)]


SIDES = {
    "causes.pause.per_hour": (True, False),
    "fabric.latency_s": (True, False),
    "workload.n_microbatches": (True, False),
    "pools.h100.software_efficiency": (True, False),
    "pools.h100.n_gpus": (True, True),
    "layout.tensor": (True, True),
    "recovery.restart_s": (False, True),
    "recovery.spares": (True, True),
    "failures.node.per_hour": (False, True),
    "checkpoint.interval_s": (False, True),
}


@pytest.mark.parametrize("path", SIDES)
def test_an_unknown_acts_on_steps_or_on_whole_runs_or_on_both(path: str) -> None:
    scenario = hm.load("h100-1k", FAILURES)
    on_steps, on_runs = sides(scenario, [unknown(path, 0.1, 0.2)])
    assert (bool(on_steps), bool(on_runs)) == SIDES[path]


def test_with_a_watchdog_causes_act_on_both() -> None:
    scenario = hm.load("h100-1k", {**FAILURES, "recovery.watchdog_s": 600.0})
    on_steps, on_runs = sides(scenario, [unknown("causes.pause.per_hour", 0.1, 0.2)])
    assert on_steps == on_runs == ["causes.pause.per_hour"]


def points_of(scenario: hm.Scenario, metric: Any) -> Points:
    return Points(
        base=hm.compile(scenario),
        unknowns=unknowns_of(scenario),
        metric=metric,
        days=3.0,
        method="auto",
        threads=2,
        **SIZE,
    )


def test_an_outcome_is_that_of_a_simulation() -> None:
    changes = {**SMALL, **FAILURES}
    table = hm.load("h100-1k", changes)
    laws = {SOFTWARE: Uniform(low=0.5, high=0.9), "recovery.restart_s": Uniform(low=100, high=900)}
    scenario = table.model_copy(update={"unknowns": laws})
    for metric in ("mfu", "fleet_mfu"):
        points = points_of(scenario, metric)
        sampled = drawn(points.unknowns, 3, 0, 4)
        found = points.outcomes(sampled)
        for point, one in zip(sampled, found, strict=True):
            assert one is not None
            result = hm.simulate(scenario, changes=point, days=3.0, **SIZE)
            of_metric = next(result.replicates(metric))
            assert one.value == pytest.approx(of_metric.value, rel=1e-12)
            error = abs(of_metric.left_out[0] - of_metric.left_out[1]) / 2
            assert one.std_error == pytest.approx(error, rel=1e-9)
            middle, far = np.quantile(result.columns["step_time_s"], (0.5, 0.95))
            assert one.tail == pytest.approx(far / middle, rel=1e-12)


def test_refused_points_weigh_nothing() -> None:
    scenario = with_unknowns(layout__tensor=uniform(1.0, 9.0))
    points = points_of(scenario, "mfu")
    found = points.outcomes([{"layout.tensor": 8}, {"layout.tensor": 7}])
    assert found[0] is not None
    assert found[1] is None
    weight = weights(found, Observed(value=found[0].value, tolerance=0.01))
    assert weight.tolist() == [1, 0]
    assert weights([None], Observed(value=0.4, tolerance=0.01)).tolist() == [0]
    assert effective_size(np.zeros(3)) == 0


def outcomes(values: Any, std_error: float = 0.0) -> list[Outcome | None]:
    return [
        Outcome(value=value, std_error=std_error, tail=1.0, tail_error=0.0)
        for value in np.asarray(values).tolist()
    ]


def test_a_posterior_is_that_of_a_normal_prior() -> None:
    # Prior N(0, 1), an observation of 1 with variances 0.25 of tolerance and 0.11 of simulation.
    values = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    weight = weights(outcomes(values, math.sqrt(0.11)), Observed(value=1.0, tolerance=0.5))
    found = spread(values, weight)
    variance = 1 / (1 + 1 / 0.36)
    assert weight.sum() == pytest.approx(1)
    assert found.mean == pytest.approx(variance / 0.36, abs=1e-3)
    assert found.sd == pytest.approx(math.sqrt(variance), abs=1e-3)
    law = stats.norm(variance / 0.36, math.sqrt(variance))
    for p, value in ((0.05, found.p5), (0.5, found.p50), (0.95, found.p95)):
        assert value == pytest.approx(law.ppf(p), abs=2e-3)
    # Of n points with weights w: n E[w]^2 / E[w^2], a ratio of Gaussian integrals.
    v = 0.36
    ess = 20_000 * _evidence(v) ** 2 / (_evidence(v / 2) / math.sqrt(4 * math.pi * v))
    assert effective_size(weight) == pytest.approx(ess, rel=1e-3)


def _evidence(variance: float) -> float:
    return float(stats.norm(0, math.sqrt(1 + variance)).pdf(1.0))


def test_a_tail_says_more() -> None:
    both: list[Outcome | None] = [
        Outcome(value=0.4, std_error=0.0, tail=tail, tail_error=0.0) for tail in (1.01, 1.2)
    ]
    weight = weights(both, Observed(value=0.4, tolerance=0.01, tail=1.2, tail_tolerance=0.05))
    ratio = stats.norm.pdf(0.19, scale=0.05) / stats.norm.pdf(0, scale=0.05)
    assert weight[0] / weight[1] == pytest.approx(ratio)


INVERSE: dict[str, tuple[Callable[[float], float | None], float, float, float, float | None]] = {
    # What a number comes to, the range, what was observed, and the number that would do.
    "inside, rising": (lambda x: x / 10, 1.0, 8.0, 0.5, 5.0),
    "inside, falling": (lambda x: 1 / (1 + x), 1.0, 8.0, 0.2, 4.0),
    "above": (lambda x: 1 / (1 + x), 1.0, 8.0, 0.01, 99.0),
    "below": (lambda x: 1 / (1 + x), 1.0, 8.0, 0.99, 1 / 99),
    "up to a limit": (lambda x: x / 10 if x <= 9.5 else None, 1.0, 8.0, 0.92, 9.2),
    "beyond a limit": (lambda x: x / 10 if x <= 9.5 else None, 1.0, 8.0, 1.2, None),
    "that levels out": (lambda x: 0.5 - 0.1 * math.exp(-x), 1.0, 8.0, 0.6, None),
    "of nothing": (lambda _: 0.5, 1.0, 8.0, 0.6, None),
    "of nothing in its range": (lambda x: max(0.5, x / 1000), 1.0, 8.0, 0.6, 600.0),
    "refused": (lambda _: None, 1.0, 8.0, 0.6, None),
    "refused at an end": (lambda x: x / 10 if x <= 6 else None, 1.0, 8.0, 0.55, 5.5),
    "refused below": (lambda x: x / 10 if x >= 3 else None, 1.0, 8.0, 0.35, 3.5),
    "that turns": (lambda x: 1 - (x - 4.5) ** 2 / 20, 1.0, 8.0, 0.99, 4.5 - math.sqrt(0.2)),
    "that jumps": (lambda x: 0.2 if x < 4 else 0.8, 1.0, 8.0, 0.5, None),
}


@pytest.mark.parametrize("name", INVERSE)
def test_the_value_that_would_do_is_the_inverse(name: str) -> None:
    comes_to, low, high, observed, expected = INVERSE[name]
    one = unknown("it", low, high)
    ends = one.ends
    lever = lever_of(one, (comes_to(ends[0]), comes_to(ends[1])))

    def value(point: dict[str, float]) -> float | None:
        return comes_to(point["it"])

    found = value_that_would_do(one, lever, observed, value, tolerance=2e-6)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert found[0] == pytest.approx(expected, rel=1e-4)
    assert found[1] == (low <= expected <= high)


def test_a_whole_number_would_do() -> None:
    one = unknown("it", 1.0, 8.0, is_integer=True)
    lever = lever_of(one, (0.1, 0.8))
    found = value_that_would_do(one, lever, 0.5, lambda point: point["it"] / 10, tolerance=0.02)
    assert found == (5, True)
    # From 0, of which no double is more.
    none = unknown("it", 0.0, 8.0, is_integer=True)
    lever = lever_of(none, (0.0, 0.8))
    found = value_that_would_do(none, lever, 2.0, lambda point: point["it"] / 10, tolerance=0.02)
    assert found == (20, False)
    # Between two whole numbers there is none.
    lever = lever_of(one, (0.1, 0.8))
    assert value_that_would_do(one, lever, 0.55, lambda at: at["it"] / 10, tolerance=0.02) is None


def test_what_nothing_reaches_has_no_posterior() -> None:
    found = hm.explain(COLOSSUS_1_BARE, mfu=0.11, tolerance=0.05, seed=1, runs=1, steps=40)
    assert found.reachable is False
    assert found.beliefs == ()
    assert found.ess is None
    # What the program reaches inside all ranges.
    assert found.lowest == pytest.approx(0.392, abs=0.003)
    assert found.highest == pytest.approx(0.426, abs=0.003)
    assert found.nearest_value == found.lowest
    assert found.unexplained_factor == pytest.approx(0.11 / found.lowest)
    assert [lever.path for lever in found.levers] == list(found.scenario.unknowns)
    residual = {lever.path: lever for lever in found.levers}["causes.residual.law.sigma"]
    assert residual.is_inside is False
    assert residual.would_do is not None
    again = hm.simulate(
        COLOSSUS_1_BARE, changes={residual.path: residual.would_do}, seed=1, runs=1, steps=40
    )
    assert again.value("mfu") == pytest.approx(0.11, abs=0.005)


def test_what_is_reached_has_a_posterior() -> None:
    scenario = two_unknowns()
    truth = 0.7
    observed = hm.simulate(scenario, changes={SOFTWARE: truth}, **SIZE).value("mfu")
    found = hm.explain(scenario, mfu=observed, tolerance=0.005, **SIZE)
    assert found.reachable is True
    assert found.ess is not None
    assert found.ess >= explaining.ENOUGH
    belief = found.belief(SOFTWARE)
    assert belief.posterior.p5 < truth < belief.posterior.p95
    assert belief.posterior.sd < 0.3 * belief.prior.sd
    lever = found.levers[0]
    assert lever.is_inside is True
    assert lever.would_do == pytest.approx(truth, abs=0.01)
    assert found.frame.columns[0] == "path"
    assert len(found.frame) == 2
    with pytest.raises(KeyError):
        found.belief("workload.model")


def test_too_few_points_that_fit_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "LEAST_POINTS", 1024)
    monkeypatch.setattr(explaining, "MAX_POINTS", 2048)
    scenario = with_unknowns(pools__h100__software_efficiency=uniform(0.5, 0.9))
    observed = hm.simulate(scenario, changes={SOFTWARE: 0.7}, **SIZE).value("mfu")
    call: dict[str, Any] = {"seed": 1, "runs": 1, "steps": 5}
    found = hm.explain(scenario, mfu=observed, tolerance=1e-4, **call)
    assert found.reachable is None
    assert found.n_points == 2048
    assert found.ess is not None
    assert 0 < found.ess < explaining.ENOUGH


def test_unknowns_of_whole_runs_say_nothing_of_steps() -> None:
    table = hm.load("h100-1k", {**SMALL, **FAILURES})
    laws = {SOFTWARE: Uniform(low=0.5, high=0.9), "recovery.restart_s": Uniform(low=100, high=900)}
    scenario = table.model_copy(update={"unknowns": laws})
    found = hm.explain(scenario, mfu=0.9, tolerance=0.01, seed=1, runs=1, steps=2)
    assert found.idle == ("recovery.restart_s",)
    of_runs = {lever.path: lever for lever in found.levers}["recovery.restart_s"]
    assert of_runs.at_low == of_runs.at_high
    assert of_runs.would_do is None


CALL = ("explain", "h100-1k", "--seed", "1", "--runs", "1", "--steps", "5")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def _few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "FIRST_POINTS", 64)
    monkeypatch.setattr(explaining, "LEAST_POINTS", 128)
    monkeypatch.setattr(explaining, "MAX_POINTS", 128)


@pytest.mark.usefixtures("_few_points")
def test_the_command_says_what_is_not_reached() -> None:
    said = call(*CALL, "--mfu", "0.11", "--tolerance", "0.01")
    assert said.exit_code == 0
    assert "Not reached" in said.stdout
    assert "is left unexplained" in said.stdout
    far = ("--mfu", "0.11", "--tolerance", "0.01")
    document = json.loads(call(*CALL, *far, "--format", "json").stdout)
    assert document["reachable"] is False
    assert document["unknowns"] == []
    assert document["observed"] == {
        "value": 0.11,
        "tolerance": 0.01,
        "tail": None,
        "tail_tolerance": None,
    }
    # Without a posterior there are no rows.
    csv = call(*CALL, "--mfu", "0.11", "--tolerance", "0.01", "--format", "csv")
    assert csv.exit_code == 0
    assert csv.stdout == ""
    assert "there is no posterior" in csv.stderr


@pytest.mark.usefixtures("_few_points")
def test_what_is_found_is_said_before_a_plot_is_refused(tmp_path: Path) -> None:
    plot = tmp_path / "plot.svg"
    done = call(*CALL, "--mfu", "0.11", "--tolerance", "0.01", "--plot", str(plot))
    assert "Not reached" in done.stdout
    assert isinstance(done.exception, ScenarioError)
    assert "observed must be reached" in str(done.exception)
    assert not plot.exists()


@pytest.mark.usefixtures("_few_points")
def test_the_command_fails_where_too_few_points_fit() -> None:
    arguments = (*CALL, "--mfu", "0.40", "--tolerance", "0.004")
    said = call(*arguments, "--fail-if", "ess<400")
    assert said.exit_code == 1
    assert "Hardly reached" in said.stdout
    assert "the effective sample size is" in said.stderr
    assert call(*arguments, "--fail-if", "ess<1").exit_code == 0
    document = json.loads(call(*arguments, "--format", "json").stdout)
    assert document["reachable"] is None
    rows = call(*arguments, "--format", "csv").stdout.splitlines()
    assert rows[0].startswith("path,prior_mean,prior_sd")
    assert len(rows) == 1 + len(document["unknowns"])
    assert "| p5 to p95" in call(*arguments, "--format", "markdown").stdout


WRONG: dict[str, tuple[tuple[str, ...], list[str]]] = {
    "neither": ((), ["mfu must be given, or fleet_mfu, and not both"]),
    "both": (("--mfu", "0.4", "--fleet-mfu", "0.3"), ["mfu must be given, or fleet_mfu"]),
    "no failures": (("--fleet-mfu", "0.3"), ["fleet_mfu needs whole runs"]),
    "all at once": (
        ("--mfu", "-0.4", "--tail", "0.5", "--days", "-1"),
        [
            "mfu must be a number from 1e-06 to 4",
            "tail must be a number from 1 to 1e+06",
            "tail_tolerance is missing",
        ],
    ),
    "percent": (("--mfu", "55"), ["mfu must be a number from 1e-06 to 4", "0.4 is 40%"]),
    "half a tail": (("--mfu", "0.4", "--tail-tolerance", "0.1"), ["must be given together with"]),
    "threshold": (("--mfu", "0.4", "--fail-if", "mfu<3"), ["--fail-if must be ess< and a number"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls_are_told(name: str) -> None:
    arguments, expected = WRONG[name]
    with pytest.raises(ScenarioError) as raised:
        CliRunner().invoke(cli, [*CALL, "--tolerance", "0.01", *arguments], catch_exceptions=False)
    for text in expected:
        assert text in str(raised.value)


def test_a_tolerance_of_nothing_is_refused() -> None:
    for wrong in (0.0, -1.0, float("nan"), "x", True, None, 1e300, 1e-170, 10**400):
        with pytest.raises(ScenarioError, match="tolerance must be a number from 1e-09"):
            hm.explain("h100-1k", mfu=0.4, tolerance=wrong)  # type: ignore[arg-type]


def test_a_scenario_without_unknowns_is_refused() -> None:
    scenario = hm.load("h100-1k").model_copy(update={"unknowns": {}})
    with pytest.raises(ScenarioError, match="unknowns must name at least one value"):
        hm.explain(scenario, mfu=0.4, tolerance=0.01)
    with pytest.raises(ScenarioError) as raised:
        hm.explain(scenario, mfu=-0.4, tolerance=0.01, changes={"pools.h100.n_gpus": 0})
    assert "n_gpus" in str(raised.value)
    assert "mfu must be" in str(raised.value)


def test_what_lies_in_a_gap_is_not_reached() -> None:
    """Whole numbers come to values apart; weights of points that all miss say nothing."""
    scenario = with_unknowns(layout__tensor=uniform(0.6, 2.4))
    at = {
        tensor: hm.simulate(scenario, changes={"layout.tensor": tensor}, **SIZE).value("mfu")
        for tensor in (1, 2)
    }
    between = sum(at.values()) / 2
    tolerance = abs(at[1] - at[2]) / 20
    found = hm.explain(scenario, mfu=between, tolerance=tolerance, **SIZE)
    assert found.lowest < between < found.highest
    assert found.reachable is False
    assert found.beliefs == ()
    assert found.ess is None
    (lever,) = found.levers
    assert lever.would_do is None
    assert "what lies between is left out" in render_explanation(found, "table")
    assert hm.explain(scenario, mfu=at[2], tolerance=tolerance, **SIZE).reachable


@pytest.mark.usefixtures("_few_points")
def test_an_mfu_and_a_tail_that_no_point_has_together_are_not_reached() -> None:
    scenario = with_unknowns(
        **{"causes__step-common__law__sigma": {"name": "log-uniform", "low": 0.01, "high": 0.3}}
    )
    calm, wild = (
        hm.simulate(scenario, changes={"causes.step-common.law.sigma": sigma}, **SIZE)
        for sigma in (0.011, 0.29)
    )
    p50, p95 = (wild.value("step_time_s", name) for name in ("p50", "p95"))
    found = hm.explain(
        scenario,
        mfu=calm.value("mfu"),
        tolerance=1e-3,
        tail=p95 / p50,
        tail_tolerance=5e-3,
        **SIZE,
    )
    assert found.lowest <= calm.value("mfu") <= found.highest
    assert found.reachable is False
    assert found.nearest_tail is not None
    assert "with p95 over p50 of" in render_explanation(found, "table")


def test_causes_act_on_whole_runs_where_the_watchdog_is_unknown() -> None:
    stall = {
        "law": {"name": "exponential", "mean": 200.0},
        "affects": "compute",
        "effect": "stall",
        "scope": "gpu",
        "span": "step",
        "per_hour": 0.05,
    }
    table = hm.load("h100-1k", {**SMALL, **FAILURES, "causes.stall": stall}).model_dump(
        mode="json", exclude_none=True
    )
    table["unknowns"] = {
        "recovery.watchdog_s": uniform(300.0, 600.0),
        "causes.stall.per_hour": {"name": "log-uniform", "low": 0.05, "high": 2.0},
    }
    scenario = from_table(table, "watched")
    points = Points(
        base=hm.compile(scenario),
        unknowns=unknowns_of(scenario),
        metric="fleet_mfu",
        seed=3,
        runs=2,
        steps=20,
        days=2.0,
        method="auto",
        threads=1,
    )
    changes = {"recovery.watchdog_s": 300.0, "causes.stall.per_hour": 2.0}
    (found,) = points.outcomes([changes])
    assert found is not None
    fresh = hm.simulate(scenario, changes=changes, seed=3, runs=2, steps=20, days=2.0)
    assert found.value == pytest.approx(fresh.value("fleet_mfu"), rel=1e-12)


def test_nothing_may_come_nearest() -> None:
    changes = {**FAILURES, "checkpoint": {"blocking_s": 30.0, "interval_s": 1e6}}
    changes |= {"failures.node": {"scope": "node", "per_hour": 2.0}}
    table = hm.load("h100-1k", {**SMALL, **changes}).model_dump(mode="json", exclude_none=True)
    table["unknowns"] = {"checkpoint.interval_s": uniform(0.9e6, 1e6)}
    scenario = from_table(table, "stuck")
    found = hm.explain(scenario, fleet_mfu=0.4, tolerance=1e-3, days=3.0, **SIZE)
    assert found.nearest_value == 0
    assert found.unexplained_factor is None
    assert found.document()["unexplained_factor"] is None
    assert "The nearest comes to 0." in render_explanation(found, "table")


def test_a_given_value_outside_of_its_range_is_not_reached() -> None:
    """The range of an unknown is that of its law, whatever the scenario has."""
    scenario = with_unknowns(
        pools__h100__software_efficiency=uniform(0.3, 0.4),
        collective__overlap_fraction=uniform(0.1, 0.9),
    )
    given = hm.simulate(scenario, **SIZE).value("mfu")
    found = hm.explain(scenario, mfu=given, tolerance=1e-3, **SIZE)
    assert found.given == pytest.approx(given)
    assert found.highest < given
    assert found.reachable is False
    assert set(found.nearest) == set(scenario.unknowns)


def test_the_error_of_simulations_widens_what_is_reached() -> None:
    outcome = Outcome(value=0.4, std_error=0.01, tail=1.0, tail_error=0.0)
    observed = Observed(value=0.43, tolerance=1e-9)
    assert distance(outcome, observed) == pytest.approx(3.0)
    both = Observed(value=0.43, tolerance=1e-9, tail=1.4, tail_tolerance=0.1)
    assert distance(outcome, both) == pytest.approx(5.0)
