"""One table of metrics and one of statistics, which all that names them reads."""

from __future__ import annotations

import numpy as np
import pytest

import hindmost as hm
from hindmost.cli.threshold import parsed_thresholds
from hindmost.metrics import METRICS, PERCENTILES, STATISTICS
from hindmost.report import render
from hindmost.report.result_content import SHOWN_METRICS


@pytest.fixture(scope="module")
def result() -> hm.Result:
    return hm.simulate("h100-1k", steps=6, runs=2, seed=4)


def test_a_summary_has_every_statistic_of_every_metric_in_order(result: hm.Result) -> None:
    expected = [(metric, statistic) for metric in METRICS for statistic in STATISTICS]
    assert result.summary.select("metric", "statistic").rows() == expected


def test_every_metric_is_a_column_of_steps_and_of_runs(result: hm.Result) -> None:
    assert result.runs.columns == ["run", *METRICS]
    others = {"run", "step", "slowest_pool"}
    assert [name for name in result.steps.columns if name not in others] == list(METRICS)


def test_the_columns_of_steps_keep_their_order(result: hm.Result) -> None:
    seconds = ["step_time_s", "compute_s", "exposed_comm_s", "stall_s"]
    assert result.steps.columns == ["run", "step", *seconds, "slowest_pool", "mfu"]


def test_a_name_ends_in_its_unit(result: hm.Result) -> None:
    for name, metric in METRICS.items():
        assert metric.name == name
        assert name.endswith("_s") == (metric.unit == "s")
        assert metric.meaning.endswith(".")


def test_a_percentile_is_named_for_its_number() -> None:
    assert {name: float(name.removeprefix("p")) for name in PERCENTILES} == PERCENTILES


def test_a_threshold_may_name_any_of_them(result: hm.Result) -> None:
    for metric in METRICS:
        for statistic in STATISTICS:
            (limit,) = parsed_thresholds([f"{metric}.{statistic} >= -1"])
            assert (limit.metric, limit.statistic) == (metric, statistic)
            assert limit.holds(result)


def test_a_threshold_of_nothing_in_the_tables_is_refused() -> None:
    for text in ("mfu<1", ".mean<1", "mfu.p50<nan", "mfu.p50<x", "mfu.p50=1", "mfu.p50"):
        with pytest.raises(hm.ScenarioError, match=r"--fail-if must be METRIC\.STATISTIC"):
            parsed_thresholds([text])
    for text in ("power.mean<1", "mfu.p42<1", "mfu.p99.<1", "mfu.p9999<1", "x.y.mean<1"):
        with pytest.raises(hm.ScenarioError, match=r"--fail-if: .* must be one of"):
            parsed_thresholds([text])


def test_thresholds_are_refused_with_the_words_of_values(result: hm.Result) -> None:
    with pytest.raises(hm.ScenarioError) as by_threshold:
        parsed_thresholds(["mfu.p55<1", "mfo.mean<1"])
    for problem, names in zip(by_threshold.value.problems, [("mfu", "p55"), ("mfo",)], strict=True):
        with pytest.raises(KeyError) as by_value:
            result.value(*names)
        assert str(problem) == f"--fail-if: {by_value.value}"


PAUSES = {
    "causes.pause.probability": 0.01,
    "causes.pause.law": {"name": "constant", "value": 100.0},
}


def test_the_mean_of_mfu_is_flops_over_peak_x_time_everywhere() -> None:
    result = hm.simulate("h100-1k", seed=1, runs=4, steps=500, changes=PAUSES)
    steps = result.steps["mfu"].mean()
    assert isinstance(steps, float)
    mfu = result.value("mfu")
    assert mfu == pytest.approx(result.pools["mfu"].item(), rel=1e-12)
    assert mfu == pytest.approx(result.plan.peak_step_s / result.value("step_time_s"), rel=1e-12)
    assert mfu < 0.95 * steps
    for run in result.runs.iter_rows(named=True):
        assert run["mfu"] == pytest.approx(result.plan.peak_step_s / run["step_time_s"], rel=1e-12)
    (threshold,) = parsed_thresholds([f"mfu.mean < {(mfu + steps) / 2}"])
    assert threshold.holds(result)


def test_the_mean_of_mfu_errs_as_leaving_out_each_run_says() -> None:
    result = hm.simulate("h100-1k", seed=1, runs=4, steps=500, changes=PAUSES)
    step_time_s = result.columns["step_time_s"].reshape(4, -1)
    left = [result.plan.peak_step_s / np.delete(step_time_s, run, 0).mean() for run in range(4)]
    expected = np.sqrt(3 / 4 * np.sum((np.array(left) - np.mean(left)) ** 2))
    (error,) = result.summary.filter(metric="mfu", statistic="mean")["std_error"]
    assert error == pytest.approx(expected, rel=1e-9)
    one = hm.simulate("h100-1k", seed=1, runs=1, steps=50, changes=PAUSES)
    assert one.summary.filter(metric="mfu")["std_error"].null_count() == len(STATISTICS)


def test_a_report_shows_metrics_under_their_titles(result: hm.Result) -> None:
    lines = render(result, "table").splitlines()
    for name in SHOWN_METRICS:
        assert any(line.startswith(f"{METRICS[name].heading} ") for line in lines)
