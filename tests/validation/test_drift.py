"""Steps of nine systems wander as the eight others say, and a preset has their numbers."""

from __future__ import annotations

import math
import tomllib
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

import hindmost as hm
from hindmost import catalog
from tests.validation import drift
from tests.validation.families import ABSENT, DATA

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

FEWEST_WITHIN = 6
MOST_OUTSIDE = 1
DIGITS = 0.02
"""Relative error of numbers that a preset gives with two or three digits."""


def causes() -> dict[str, Any]:
    table: dict[str, dict[str, Any]] = tomllib.loads(catalog.text("presets", drift.PRESET))
    return table["causes"]


@needs_data
def test_six_of_nine_systems_are_predicted_and_one_at_most_lies_outside() -> None:
    found = drift.predictions()
    assert len(found) == 9
    assert sum(one.is_within for one in found) >= FEWEST_WITHIN
    assert sum(not one.is_inside for one in found) <= MOST_OUTSIDE
    assert sum(not one.is_tail_inside for one in found) <= MOST_OUTSIDE


@needs_data
def test_no_system_is_predicted_from_itself() -> None:
    for one in drift.predictions():
        others = [other for other in drift.systems() if other is not one.system]
        assert one.fit == drift.fit(others)
        assert len(others) == 8


@needs_data
def test_the_preset_has_the_numbers_of_all_nine() -> None:
    numbers = drift.fit(drift.systems())
    found = causes()
    law = found["drift"]["law"]
    assert law["sigma"] == pytest.approx(numbers.hopper.value, rel=DIGITS)
    assert found["drift"]["correlation_s"] == pytest.approx(numbers.correlation_s.value, rel=DIGITS)
    assert found["jitter"]["law"]["shape"] == drift.SHAPE
    scale = numbers.white_s.value / drift.white_scale()
    assert found["jitter"]["law"]["scale"] == pytest.approx(scale, rel=DIGITS)
    assert found["pause"]["per_hour"] == pytest.approx(
        numbers.slow_per_gpu_s.value * 3600, rel=DIGITS
    )
    comment = catalog.text("presets", drift.PRESET).split("extends")[0]
    assert f"causes.drift.law.sigma is {numbers.blackwell.value:.4f}" in comment


@needs_data
def test_what_is_unknown_spans_the_nine_systems() -> None:
    table: Any = tomllib.loads(catalog.text("presets", drift.PRESET))
    correlation_s = drift.fit(drift.systems()).correlation_s.value
    spans = {
        "causes.drift.law.sigma": [one.drift_sigma(correlation_s) for one in drift.systems()],
        "causes.drift.correlation_s": [one.correlation_s for one in drift.systems()],
        "causes.jitter.law.scale": [one.white_s / drift.white_scale() for one in drift.systems()],
        "causes.pause.per_hour": [one.slow_per_gpu_s * 3600 for one in drift.systems()],
    }
    assert set(table["unknowns"]) == set(spans)
    for path, values in spans.items():
        law = table["unknowns"][path]
        assert law["low"] == pytest.approx(min(values), rel=DIGITS)
        assert law["high"] == pytest.approx(max(values), rel=DIGITS)


@needs_data
def test_slow_steps_follow_a_bounded_pareto_law() -> None:
    law = causes()["pause"]["law"]
    excess_s = np.concatenate([system.excess_s for system in drift.systems()])
    assert len(excess_s) == 138
    assert law["alpha"] == pytest.approx(drift.slow_alpha(), rel=DIGITS)
    assert (law["minimum"], law["maximum"]) == (drift.SLOW_S, drift.LONGEST_S)
    assert excess_s.max() == pytest.approx(law["maximum"] * 3 / 4, rel=DIGITS)

    def cdf(x: Any) -> Any:
        falls = (law["minimum"] / x) ** law["alpha"]
        return (1 - falls) / (1 - (law["minimum"] / law["maximum"]) ** law["alpha"])

    assert stats.kstest(excess_s, cdf).pvalue > 0.1


@needs_data
def test_statistics_are_those_that_were_published() -> None:
    steps = pl.read_csv(DATA / "mlperf_405b_steps.csv").filter(masked=0)
    for system in drift.systems():
        own = steps.filter(system=system.name, n_gpus=system.n_gpus)
        runs = [run["step_time_s"].to_numpy() for _, run in own.group_by("run")]
        shown = [drift.statistics(run[np.newaxis]) for run in runs]
        sigma, white, p99 = (
            float(np.median([getattr(one, key) for one in shown]))
            for key in ("sigma", "white", "p99")
        )
        assert sigma == pytest.approx(system.sigma, rel=0.03)
        assert white == pytest.approx(system.white, rel=0.03)
        assert p99 == pytest.approx(system.p99, rel=0.02)
        lags = np.median([one.lags for one in shown], axis=0)
        assert lags == pytest.approx(np.array(system.lags), abs=0.05)


@pytest.mark.parametrize("times", [0.01, 0.5, 3.0, 40.0])
def test_a_run_shows_a_part_of_a_drift(times: float) -> None:
    # The mean of |t - u| correlations over a run, by sums.
    n = 2000
    lags = np.arange(n)
    weights = np.where(lags == 0, n, 2 * (n - lags)) / n**2
    of_mean = float(np.sum(weights * np.exp(-lags * times / n)))
    assert drift.shown(times) == pytest.approx(1 - of_mean, abs=1e-3)


def test_white_noise_of_the_preset_has_its_deviation() -> None:
    rng = np.random.default_rng(1)
    draws = rng.gamma(drift.SHAPE, size=(1, 400_000)) + 1e6
    shown = drift.statistics(draws)
    assert shown.white * np.median(draws) == pytest.approx(drift.white_scale(), rel=0.01)


def test_the_preset_drifts_over_a_scenario(tmp_path: Any) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'extends = ["h100-1k", "{drift.PRESET}"]\n', encoding="utf-8")
    scenario = hm.load(path)
    assert set(scenario.enabled_causes) == {"gpu-speed", "stall", "pause", "drift", "jitter"}
    result = hm.simulate(scenario, seed=1, runs=16, steps=400)
    assert result.inputs["method"] == "order-statistics"
    shown = drift.statistics(result.steps["step_time_s"].to_numpy().reshape(16, 400))
    step_s = result.plan.noiseless_step_s
    run_s = 400 * step_s
    drifts = 0.0028 * math.sqrt(drift.shown(run_s / 930))
    white = drift.white_scale() * 0.0108 / step_s
    assert shown.sigma == pytest.approx(math.hypot(drifts, white), rel=0.15)
