"""The interval of a forecast holds what it says it holds."""

from __future__ import annotations

import numpy as np
import pytest

import hindmost as hm
from hindmost.law import LogUniform, Uniform
from hindmost.scenario import from_table, to_table

SOFTWARE = "pools.h100.software_efficiency"
COMMON = "causes.step-common.law.sigma"
PAUSES = "causes.pause.per_hour"
LAWS = {
    SOFTWARE: Uniform(low=0.6, high=1.0),
    COMMON: LogUniform(low=5e-4, high=2.6e-2),
    PAUSES: LogUniform(low=0.5, high=20.0),
}
TRUTHS = 400
STEPS = 60


def base() -> hm.Scenario:
    changes = {
        "pools.h100.n_gpus": 64,
        "layout.shard_group_replicas": 8,
        "workload.model": "llama3-8b",
        "workload.stack": "best",
    }
    table = to_table(hm.load("h100-1k", changes))
    table["unknowns"] = {path: law.model_dump(exclude_none=True) for path, law in LAWS.items()}
    return from_table(table, "small")


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_nine_of_ten_truths_lie_within_the_interval(seed: int) -> None:
    """Of 400 truths 360 +- 6 do, and the ends themselves are off by some percent."""
    scenario = base()
    found = hm.forecast(scenario, seed=seed, runs=256, steps=STEPS)
    rng = np.random.default_rng(1000 + seed)
    truths = [
        {path: law.ppf(float(rng.random())) for path, law in LAWS.items()} for _ in range(TRUTHS)
    ]
    results = hm.compile(scenario).many(
        truths, seed=seed + 7, runs=1, steps=STEPS, keep=lambda one: one.runs.row(0, named=True)
    )
    for metric in ("mfu", "step_time_s"):
        low, high = found.value(metric, "p5"), found.value(metric, "p95")
        inside = np.mean([low <= one[metric] <= high for one in results])
        assert 0.84 < inside < 0.96
        # As many lie on either side.
        above = np.mean([one[metric] > high for one in results])
        below = np.mean([one[metric] < low for one in results])
        assert max(above, below) < 0.10


def test_the_stated_error_covers_what_other_seeds_differ_by() -> None:
    scenario = base()
    forecasts = [hm.forecast(scenario, seed=seed, runs=32, steps=10) for seed in range(40)]
    for statistic in ("p5", "p50", "p95", "mean"):
        values = [one.value("mfu", statistic) for one in forecasts]
        stated = [
            row["std_error"]
            for one in forecasts
            for row in one.summary_rows
            if (row["metric"], row["statistic"]) == ("mfu", statistic)
        ]
        # Strata make them differ by less than independent runs would.
        assert np.std(values) < 1.25 * np.mean(stated)
