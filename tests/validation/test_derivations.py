"""The defaults of `measured` follow from published data, derived anew here.

The data lie beside the project, not in it; without them these tests are skipped.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import hindmost as hm

DATA = Path(__file__).parents[3] / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="the published data are not beside the project"
)

MAD_TO_SIGMA = 1.4826


def preset(path: str) -> float:
    """Return a number of the preset by its key path."""
    value: object = hm.load("h100-1k").model_dump()
    for part in path.split("."):
        assert isinstance(value, dict)
        value = value[part]
    assert isinstance(value, float)
    return value


def slowdowns_of_v100() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    table = pl.read_csv(DATA / "gpu_variability_v100_sgemm.csv")
    return table["perf_over_cluster_median"].to_numpy()


def test_the_spread_of_gpus_is_that_of_392_v100() -> None:
    logs = np.log(slowdowns_of_v100())
    sigma = MAD_TO_SIGMA * np.median(np.abs(logs - np.median(logs)))
    assert len(logs) == 392
    assert preset("causes.gpu-speed.law.sigma") == pytest.approx(sigma, rel=0.01)
    fit = stats.kstest(logs, stats.norm(np.median(logs), sigma).cdf)
    assert fit.statistic == pytest.approx(0.032, abs=0.002)


def test_the_tail_is_extrapolated_ten_times_and_capped_there() -> None:
    z = stats.norm.ppf(1 - 1 / (10 * len(slowdowns_of_v100())))
    cap = math.exp(preset("causes.gpu-speed.law.sigma") * z)
    assert preset("causes.gpu-speed.law.cap") == pytest.approx(cap, abs=5e-4)


def residual_of_healthy_stages(name: str, slow_stage: int | None) -> list[float]:
    """Return each stage's deviation per rank and step, without means of ranks and steps."""
    trace = pl.read_parquet(DATA / "traces" / f"trace-{name}.parquet")
    compute = trace.filter(pl.col("optype").cast(pl.String).str.contains("compute"))
    times = compute.group_by("stage", "rank", "step").agg(pl.col("duration").sum())
    found = []
    for (stage,), of_stage in times.group_by("stage"):
        if stage == slow_stage:
            continue
        table = of_stage.pivot("step", index="rank", values="duration").drop("rank").drop_nulls()
        logs = np.log(table.to_numpy())
        rest = logs - logs.mean(axis=0) - logs.mean(axis=1, keepdims=True) + logs.mean()
        found.append(float(rest.std()))
    return found


def test_the_residual_lies_at_the_low_end_of_the_traces() -> None:
    found = residual_of_healthy_stages("ST", None) + residual_of_healthy_stages("AR", 0)
    assert 0.0025 < min(found) < preset("causes.residual.law.sigma") < np.median(found) < 0.005


def masked_steps() -> pl.DataFrame:
    """Return the steps of GPT-3 on Eos without starts and firsts after evaluations."""
    summary = pl.read_csv(DATA / "mlperf_gpt3_h100_summary.csv")
    batch = summary.select("round", "system", "n_accel", "global_batch")
    steps = pl.read_csv(DATA / "mlperf_gpt3_h100_steps.csv").join(batch, on=["round", "system"])
    steps = steps.filter(pl.col("system").str.starts_with("eos"))
    # An evaluation follows every 24,576 sequences.
    period = (24_576 / pl.col("global_batch")).ceil().cast(pl.Int64)
    masked = (pl.col("record_idx") > 1) & (pl.col("record_idx") % period != 0)
    steps = steps.filter(masked)
    run = ["round", "system", "run"]
    return steps.with_columns(
        excess_s=pl.col("train_step_time_s") - pl.col("train_step_time_s").median().over(run)
    )


def test_pauses_are_the_long_slow_steps() -> None:
    steps = masked_steps()
    pauses = steps.filter(pl.col("excess_s") > 0.1)["excess_s"].to_numpy()
    assert (len(pauses), len(steps)) == (11, 5_823)
    assert preset("causes.pause.probability") == pytest.approx(11 / 5_823, rel=0.01)
    assert preset("causes.pause.law.median") == pytest.approx(
        math.exp(np.log(pauses).mean()), rel=0.02
    )
    assert preset("causes.pause.law.sigma") == pytest.approx(np.log(pauses).std(ddof=1), rel=0.05)
    assert preset("causes.pause.law.cap") > 3 * pauses.max()


def test_stalls_exceed_their_threshold_by_some_milliseconds() -> None:
    excess_s = masked_steps()["excess_s"].to_numpy()
    short = excess_s[(excess_s > 0.02) & (excess_s < 0.06)]
    assert preset("causes.stall.law.shift") == 0.02
    assert preset("causes.stall.law.mean") == pytest.approx((short - 0.02).mean(), rel=0.25)


def test_step_noise_is_the_median_of_the_published_systems() -> None:
    table = pl.read_csv(DATA / "straggler_stats.csv")
    of_eos = table.filter(
        pl.col("source").str.contains("Eos") & pl.col("metric").str.contains("robust step sigma")
    )
    percents = [
        float(number)
        for text in of_eos["value"].to_list()
        for number in str(text).split("/")
        if number.strip()
    ]
    # The step-common part is the median net of what the slowest rank's residual makes.
    assert np.median(percents) / 100 == pytest.approx(0.00225, rel=0.15)
    assert 0.001 < preset("causes.step-common.law.sigma") < np.median(percents) / 100
