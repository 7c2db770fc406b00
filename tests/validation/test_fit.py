"""Logs of published systems: fits see the noise that was published, and reproduce their steps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import polars as pl
import pytest

import hindmost as hm
from hindmost.fitting.log_steps import log_steps
from hindmost.fitting.noise import noise_of
from tests.validation import drift
from tests.validation.families import ABSENT, DATA

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

NOISE, WHITE, LAG = 0.025, 0.04, 0.02
"""Relative limits of deviations, and that of correlations: records that are left out between two
others are no neighbours in the published figures."""
PERCENTILES = ("p5", "p50", "p95")
FEWEST = 8
"""Systems of nine whose noise a fitted scenario has within two errors, at least."""
FASTER = 0.85
"""Share of the published step that passes of the base take, so that all causes fit on top."""


def logs(system: drift.System) -> Iterator[pl.DataFrame]:
    """Yield the log of each run of a system."""
    steps = pl.read_csv(DATA / "mlperf_405b_steps.csv")
    own = steps.filter(system=system.name, n_gpus=system.n_gpus, masked=0)
    for _, run in own.group_by("run", maintain_order=True):
        yield run.select(
            step="record",
            seconds="step_time_s",
            rank=pl.lit(None, dtype=pl.Int32),
            kind=pl.lit("step"),
            steps=pl.lit(1),
        )


@needs_data
def test_noise_is_that_which_was_published() -> None:
    for system in drift.systems():
        found = [noise_of([one.seconds for one in log_steps(log).job]) for log in logs(system)]
        sigma, white, lag1 = (
            float(np.median([getattr(one, name) for one in found]))
            for name in ("sigma", "white", "lag1")
        )
        assert sigma == pytest.approx(system.sigma, rel=NOISE), system.name
        assert white == pytest.approx(system.white, rel=WHITE), system.name
        assert lag1 == pytest.approx(system.lags[0], abs=LAG), system.name


def test_noise_has_the_statistics_that_presets_were_made_by() -> None:
    run = 5 + np.random.default_rng(1).normal(0, 0.02, 400).cumsum() * 0.1
    found, other = noise_of([run]), drift.statistics(run[np.newaxis])
    assert found.sigma == pytest.approx(other.sigma, rel=1e-9)
    assert found.white == pytest.approx(other.white, rel=1e-3)
    assert found.lag1 == pytest.approx(other.lags[0], rel=1e-9)


@cache
def comparisons() -> tuple[hm.LogComparison, ...]:
    """Return the fit of the first run of each system beside that run."""
    found = []
    for system in drift.systems():
        passes = {
            "pools.gpus.forward_s": FASTER * system.step_s / 3,
            "pools.gpus.backward_s": FASTER * system.step_s * 2 / 3,
        }
        base = hm.with_changes(drift.scenario(system), passes)
        fit = hm.fit(next(logs(system)), base)
        assert fit.comparison is not None
        found.append(fit.comparison)
    return tuple(found)


@needs_data
@pytest.mark.parametrize("statistic", PERCENTILES)
def test_a_fitted_scenario_has_the_percentiles_of_each_system(statistic: str) -> None:
    clear = [one.statistic(statistic) for one in comparisons()]
    assert [one for one in clear if one.is_clear] == []


@needs_data
def test_steps_of_three_systems_are_more_alike_than_one_correlation_time_makes_them() -> None:
    clear = [one for one in comparisons() if one.statistic("lag 1").is_clear]
    assert len(clear) == 3
    assert all(one.statistic("lag 1").difference < 0 for one in clear)


@needs_data
@pytest.mark.parametrize("statistic", ["noise", "white noise"])
def test_a_fitted_scenario_has_the_noise_of_eight_of_nine_systems(statistic: str) -> None:
    clear = [one for one in comparisons() if one.statistic(statistic).is_clear]
    assert len(comparisons()) - len(clear) >= FEWEST
