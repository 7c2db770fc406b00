"""The defaults of presets and fabrics follow from published data, derived anew here.

Most of the data lie beside the project, not in it; without them what reads them is skipped.
"""

from __future__ import annotations

import math
import re
import tomllib
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

import hindmost as hm
from hindmost import catalog
from tests.validation.families import ABSENT, DATA

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

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


@needs_data
def test_the_spread_of_gpus_is_that_of_392_v100() -> None:
    logs = np.log(slowdowns_of_v100())
    sigma = MAD_TO_SIGMA * np.median(np.abs(logs - np.median(logs)))
    assert len(logs) == 392
    assert preset("causes.gpu-speed.law.sigma") == pytest.approx(sigma, rel=0.01)
    fit = stats.kstest(logs, stats.norm(np.median(logs), sigma).cdf)
    assert fit.statistic == pytest.approx(0.032, abs=0.002)


@needs_data
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


@needs_data
def test_the_residual_of_the_traces_is_what_is_unknown_at_most() -> None:
    found = residual_of_healthy_stages("ST", None) + residual_of_healthy_stages("AR", 0)
    assert (round(min(found), 4), round(max(found), 4)) == (0.0028, 0.0047)
    high = hm.load("h100-1k").unknowns["causes.residual.law.sigma"].model_dump()["high"]
    assert high == pytest.approx(max(found), abs=1e-4)


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


@needs_data
def test_stalls_go_with_gpus_and_seconds() -> None:
    large = masked_steps().filter(pl.col("n_accel") >= 4_096)
    # As many steps are shorter by as much for reasons of their own.
    excess_s = large["excess_s"].to_numpy()
    stalled = (excess_s > 0.02).sum() - (excess_s < -0.02).sum()
    gpu_seconds = large["n_accel"].to_numpy() * large["train_step_time_s"].to_numpy()
    per_second = float(stalled / gpu_seconds.sum())
    assert per_second == pytest.approx(4.0e-6, rel=0.05)
    assert preset("causes.stall.per_hour") == pytest.approx(4.0e-6 * 3600)


@needs_data
def test_pauses_are_the_long_slow_steps() -> None:
    steps = masked_steps()
    pauses = steps.filter(pl.col("excess_s") > 0.1)["excess_s"].to_numpy()
    assert (len(pauses), len(steps)) == (11, 5_823)
    per_second = 11 / steps["train_step_time_s"].to_numpy().sum()
    assert per_second == pytest.approx(2.7e-4, rel=0.01)
    assert preset("causes.pause.per_hour") == pytest.approx(2.7e-4 * 3600)
    assert preset("causes.pause.law.median") == pytest.approx(
        math.exp(np.log(pauses).mean()), rel=0.02
    )
    assert preset("causes.pause.law.sigma") == pytest.approx(np.log(pauses).std(ddof=1), rel=0.05)
    assert preset("causes.pause.law.cap") > 3 * pauses.max()


@needs_data
def test_stalls_exceed_their_threshold_by_some_milliseconds() -> None:
    excess_s = masked_steps()["excess_s"].to_numpy()
    short = excess_s[(excess_s > 0.02) & (excess_s < 0.06)]
    assert preset("causes.stall.law.shift") == 0.02
    assert preset("causes.stall.law.mean") == pytest.approx((short - 0.02).mean(), rel=0.25)


def published_step_noise() -> float:
    """Return the median robust deviation of step times of the Eos systems."""
    table = pl.read_csv(DATA / "straggler_stats.csv")
    of_eos = table.filter(
        pl.col("source").str.contains("MLPerf")
        & pl.col("source").str.contains("Eos")
        & pl.col("metric").str.contains("robust step sigma")
    )
    texts = of_eos["value"].cast(pl.String).to_list()
    percents = [float(number) for text in texts for number in text.split("/")]
    older = pl.read_csv(DATA / "mlperf_gpt3_h100_summary.csv").filter(round="v4.1")
    percents += older["step_mad_sigma_pct"].to_list()
    assert len(percents) == 14
    return float(np.median(percents)) / 100


@needs_data
@pytest.mark.parametrize("n_gpus", [512, 4_096, 10_752])
def test_the_noise_of_simulated_steps_is_the_published_one(n_gpus: int) -> None:
    # Pauses are no part of a robust deviation, and change it by chance only.
    changes = {"pools.h100.n_gpus": n_gpus, "causes.pause.enabled": False}
    result = hm.simulate("h100-1k", changes=changes, seed=11, runs=32, steps=200)
    times = result.steps["step_time_s"].to_numpy().reshape(32, 200)
    middle = np.median(times, axis=1, keepdims=True)
    noise = MAD_TO_SIGMA * np.median(np.abs(times - middle), axis=1) / middle[:, 0]
    assert 1 / 1.5 < np.median(noise) / published_step_noise() < 1.5


def test_residual_and_common_part_have_the_same_variance() -> None:
    assert preset("causes.residual.law.sigma") == preset("causes.step-common.law.sigma")


@pytest.mark.parametrize(
    ("fabric", "noise", "n_links"),
    [
        ("infiniband-ndr", 0.0014, 10_752),
        ("roce-400g", 0.0017, 1_536),
    ],
)
def test_noise_of_dedicated_ports_would_explain_all_step_noise(
    fabric: str, noise: float, n_links: int
) -> None:
    # The deviation of the largest of n normal numbers, from its law.
    p = (np.arange(200_000) + 0.5) / 200_000
    largest = stats.norm.isf(-np.expm1(np.log(p) / n_links))
    sigma = noise / largest.std()
    law = catalog.fabric(fabric).noise.law.model_dump()
    assert law["sigma"] == pytest.approx(sigma, rel=0.1)


def test_noise_of_shared_ports_slows_transfers_as_jobs_were_slowed() -> None:
    slowed = (13 + 3) / 27 * 0.3459
    p = (np.arange(200_000) + 0.5) / 200_000
    largest = stats.norm.isf(-np.expm1(np.log(p) / 512))
    law = catalog.fabric("roce-400g-shared").noise.law.model_dump()
    assert law["sigma"] == pytest.approx(np.log1p(slowed) / largest.mean(), rel=0.01)


def published_steps(n_gpus: int) -> tuple[float, float]:
    """Return the median step and its robust deviation of a system of MLPerf Training v3.1."""
    table = pl.read_csv(DATA / "mlperf_gpt3_h100_summary.csv").filter(
        (pl.col("round") == "v3.1")
        & pl.col("system").str.starts_with("eos")
        & (pl.col("n_accel") == n_gpus)
    )
    return table["step_median_s"].item(), table["step_mad_sigma_pct"].item() / 100


@needs_data
@pytest.mark.parametrize(("n_gpus", "batch"), [(512, 2_048), (4_096, 2_048)])
def test_gpt_3_is_fitted_to_two_systems(n_gpus: int, batch: int) -> None:
    step_s, _ = published_steps(n_gpus)
    changes = {"pools.h100.n_gpus": n_gpus, "workload.global_batch_seqs": batch}
    result = hm.simulate("gpt3-h100-512", changes=changes, seed=7, runs=64, steps=8)
    assert result.value("step_time_s", "p50") == pytest.approx(step_s, rel=0.005)


@needs_data
@pytest.mark.parametrize("n_gpus", [3_072, 6_144])
def test_megatron_is_fitted_to_two_rows(n_gpus: int) -> None:
    rows = pl.read_csv(DATA / "mfu_vs_scale.csv").filter(
        pl.col("table_or_section").str.starts_with("Table 2 (strong scaling)")
        & pl.col("source").str.contains("MegaScale")
        & (pl.col("global_batch_seqs") == 6_144)
        & (pl.col("n_accel") == n_gpus)
    )
    step_s = float(rows["iteration_time_s"].item())
    changes = {"pools.a100.n_gpus": n_gpus}
    result = hm.simulate("megascale-175b-12288", changes=changes, seed=7, runs=64, steps=8)
    assert result.value("step_time_s") == pytest.approx(step_s, rel=0.005)
    assert result.value("mfu") * 100 == pytest.approx(float(rows["mfu_pct"].item()), rel=0.01)


@needs_data
def test_llama_3_is_fitted_to_one_row() -> None:
    rows = pl.read_csv(DATA / "mfu_vs_scale.csv").filter(
        pl.col("model") == "Llama3.1-405B", pl.col("n_accel") == 8_192
    )
    result = hm.simulate("llama3-405b-8192", seed=7, runs=64, steps=8)
    tflops = result.value("mfu") * result.plan.pools[0].peak_flop_per_s / 1e12
    assert tflops == pytest.approx(float(rows["tflops_per_gpu"].item()), rel=0.003)


def part(name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return the table of a preset that is no whole scenario."""
    table: dict[str, dict[str, dict[str, float]]] = tomllib.loads(catalog.text("presets", name))
    return table


def test_the_law_of_uneven_sequences_is_that_of_the_traces() -> None:
    law: Any = part("sequence-imbalance")["causes"]["sequences"]["law"]
    spread = (0.19 + 2 * 0.34) / 3
    assert law["sigma"] == pytest.approx(math.sqrt(math.log1p(spread**2)), rel=2e-3)
    assert law["median"] == pytest.approx(math.exp(-(law["sigma"] ** 2) / 2), rel=1e-4)
    rng = np.random.default_rng(1)
    for count, expected in ((3, 1.40), (4, 1.34)):
        draws = law["median"] * np.exp(law["sigma"] * rng.standard_normal((20_000, 32, count)))
        ranks = draws.mean(axis=2)
        assert np.mean(ranks.max(axis=1) / ranks.mean(axis=1)) == pytest.approx(expected, abs=0.01)


def test_unplanned_collection_costs_what_planning_it_gained() -> None:
    cause: Any = part("unplanned-gc")["causes"]["garbage-collection"]

    def some_rank(step_s: float) -> float:
        return -math.expm1(-128 * cause["per_hour"] * step_s / 3600)

    assert some_rank(1.0) * cause["law"]["value"] == pytest.approx(0.126, rel=5e-3)
    # The ranks of the preset stop as its law says, whatever their stages and steps are.
    causes = {f"causes.garbage-collection.{key}": value for key, value in cause.items()}
    result = hm.simulate("h100-1k", changes=causes, seed=3, runs=4, steps=1_000)
    assert result.plan.n_replicas == 128
    stalls = result.steps["stall_s"].to_numpy()
    expected = some_rank(result.plan.noiseless_step_s)
    assert expected > 0.9
    assert np.mean((stalls > 0.29) & (stalls < 0.31)) == pytest.approx(expected, abs=0.03)


@needs_data
def test_episodes_are_as_long_and_as_frequent_as_was_published() -> None:
    table = pl.read_csv(DATA / "straggler_stats.csv")

    def published(metric: str) -> float:
        return float(table.filter(pl.col("metric") == metric)["value"].item())

    preset: Any = part("fail-slow")
    cause, unknowns = preset["causes"]["fail-slow"], preset["unknowns"]
    law, rate = cause["law"], unknowns["causes.fail-slow.per_hour"]
    assert law["shift"] == 1
    excess = published("1-node: avg JCT slowdown of affected") / 100
    assert law["mean"] == pytest.approx(excess, rel=5e-3)
    drop = published("CPU contention case max drop") / 100
    assert law["cap"] == pytest.approx(1 / (1 - drop), rel=1e-3)
    assert cause["duration"]["mean"] == 60 * published("compute fail-slow mean duration")
    share = published("1-node: GPU degradation") / published("1-node probes: jobs total")
    per_hour = -math.log1p(-share) * 3600 / cause["duration"]["mean"]
    assert rate["high"] == pytest.approx(per_hour, rel=5e-3)
    assert cause["per_hour"] == pytest.approx(math.sqrt(rate["low"] * rate["high"]), rel=0.01)


@needs_data
def test_pods_of_cubes_are_as_published() -> None:
    scenario = hm.load("tpu-v4-optical")
    slices, host = scenario.slices, scenario.failures["host"]
    assert slices is not None

    facts = pl.read_csv(DATA / "network_facts.csv", infer_schema=False)
    (share,) = facts.filter(pl.col("metric") == "TPU machines failing per day")["value"]
    assert host.per_hour * 24 == pytest.approx(float(share) / 100, rel=1e-4)

    table = pl.read_csv(DATA / "reliability.csv", infer_schema=False)

    def published(metric: str) -> dict[str, str]:
        return table.filter(pl.col("metric").str.contains(metric)).row(0, named=True)

    assert slices.rewire_s == float(published("rewiring cubes")["value"])
    # What is unknown of repairs spans the availabilities for which goodput was shown.
    shown = published("goodput with optical switching")
    low, high = (float(each) / 100 for each in re.findall(r"9\d\.\d", shown["conditions"])[:2])
    law: Any = scenario.unknowns["failures.host.repair_hours"]
    of_range = [1 / (1 + host.per_hour * hours) for hours in (law.high, law.low)]
    assert of_range == pytest.approx([low, high], abs=1e-4)
    goodput = [float(each) / 100 for each in re.findall(r"\d\d", shown["value"])]
    for share_of_pod, n_gpus in zip(goodput, (1024, 2048, 3072), strict=True):
        one = hm.Slices(
            cubes=slices.cubes,
            hosts_per_cube=slices.hosts_per_cube,
            host_availability=low,
            slice_cubes=n_gpus // 64,
        )
        assert one.quantile(0.5) == share_of_pod
        assert one.share_placed == pytest.approx(share_of_pod, abs=0.01)

    promise = published("fully healthy cubes promised")
    up, of = (int(each) for each in re.findall(r"\d+", promise["value"]))
    (available,) = re.findall(r"host \(16 a cube\) (0\.\d+)", promise["conditions"])
    pod = hm.Slices(cubes=of, hosts_per_cube=16, host_availability=float(available), slice_cubes=1)
    assert (up, of, pod.cubes_up(0.95)) == (130, 144, 130)
    assert f"{pod.cube_availability:.4f}" in promise["conditions"]


@needs_data
def test_no_ten_minutes_of_published_runs_were_slow() -> None:
    """Episodes of nodes as frequent as a shared cluster's would have been seen 200 times."""
    large = pl.read_csv(DATA / "mlperf_405b_steps.csv").select(
        pl.concat_str("round", "system", "n_gpus", "run", separator="/").alias("run"),
        (pl.col("n_gpus") / 8).alias("nodes"),
        "step_time_s",
    )
    small = pl.read_csv(DATA / "mlperf_gpt3_h100_steps.csv").select(
        pl.concat_str("round", "system", "run", separator="/").alias("run"),
        pl.col("system").str.extract(r"_n(\d+)_").cast(pl.Float64).alias("nodes"),
        pl.col("train_step_time_s").alias("step_time_s"),
    )
    node_hours = 0.0
    for _, run in pl.concat([large, small]).drop_nulls().group_by("run"):
        step_s = run["step_time_s"].to_numpy()
        median = np.median(step_s)
        node_hours += run["nodes"][0] * step_s.sum() / 3600
        n = max(1, int(600 / median))
        windows = np.lib.stride_tricks.sliding_window_view(step_s, min(n, len(step_s)))
        assert np.median(windows, axis=1).max() < 1.05 * median
    assert node_hours == pytest.approx(6_675, rel=1e-3)
    low = part("fail-slow")["unknowns"]["causes.fail-slow.per_hour"]["low"]
    assert low == pytest.approx(3 / node_hours, rel=5e-3)


@needs_data
def test_the_last_stage_is_as_heavy_as_in_the_study() -> None:
    table = pl.read_csv(DATA / "straggler_stats.csv")
    layout: Any = part("heavy-last-stage")["layout"]
    for way, key in (("fwd", "last_stage_forward"), ("bwd", "last_stage_backward")):
        found = table.filter(pl.col("metric") == f"last stage {way} vs mean stage")
        assert float(found["value"].item()) == layout[key]


@needs_data
def test_the_clouds_ethernet_is_as_fast_as_was_measured() -> None:
    table = pl.read_csv(DATA / "network_jitter_summary.csv").filter(
        pl.col("system") == "GCP", pl.col("instance") == "HPC"
    )
    fabric = catalog.fabric("ethernet-cloud-shared")
    transfer = table.filter(pl.col("metric") == "time_16MiB_us")
    latency = table.filter(pl.col("metric") == "latency_1B_us")
    rate = transfer["msg_bytes"].item() / (transfer["median_us"].item() * 1e-6)
    assert fabric.port_bytes_per_s == pytest.approx(rate, rel=2e-3)
    assert fabric.latency_s == pytest.approx(latency["median_us"].item() * 1e-6, rel=2e-3)
    sigma = fabric.noise.law.model_dump()["sigma"]
    dedicated = catalog.fabric("infiniband-ndr").noise.law.model_dump()["sigma"]
    assert dedicated < sigma < transfer["cv_pct"].item() / 100


@pytest.mark.parametrize(
    ("fabric", "gpu"), [("nvlink-8", "h100-sxm"), ("nvlink-72", "gb200-nvl72")]
)
def test_a_port_of_nvlink_is_what_nccl_counts(fabric: str, gpu: str) -> None:
    entry = catalog.fabric(fabric)
    assert entry.port_bytes_per_s == catalog.gpu(gpu).scale_up_bytes_per_s
    assert entry.latency_s == catalog.gpu(gpu).scale_up_latency_s
