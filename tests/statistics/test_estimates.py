"""Estimates against NumPy and brute force, and a result's tables against its ranks."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import stats

import hindmost as hm
from hindmost.statistics import Estimate, estimates

Floats = NDArray[np.float64]
Changes = dict[str, Any]

SEED = 20_240_613
REPEATS = 400
MAX_ERRORS = 4.0
PERCENTILES = {
    "p1": 1.0,
    "p5": 5.0,
    "p50": 50.0,
    "p95": 95.0,
    "p99": 99.0,
    "p99.9": 99.9,
    "p99.99": 99.99,
}
METRICS = ("step_time_s", "compute_s", "exposed_comm_s", "stall_s", "mfu")

RUNS, STEPS = 4, 250
CAUSES = ("gpu-speed", "residual", "step-common", "stall", "pause")
QUIET: Changes = {f"causes.{name}.enabled": False for name in CAUSES} | {
    "fabric.noise.enabled": False
}
BUSY: Changes = {
    "causes.residual.law.sigma": 0.003,
    "pools.h100.n_gpus": 260,
    "pools.h200": {"gpu": "h200-sxm", "n_gpus": 512, "software_efficiency": 0.999},
    "causes.cooling": {
        "law": {"name": "lognormal", "sigma": 0.01},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "node",
        "span": "run",
        "probability": 0.3,
        "pools": ["h200"],
    },
    "causes.stall.probability": 2e-3,
    "causes.pause.probability": 0.1,
}
NO_STALLS: Changes = {"causes.stall.probability": 0.0, "causes.pause.probability": 0.0}

# Catalogue values, copied by hand from data sheets.
PEAK, KERNEL_EFFICIENCY = 989e12, 0.803
LAYERS, HIDDEN, HEADS, HEAD_DIM = 80, 8192, 64, 128
PARAMETERS, MATMUL_PARAMETERS = 70_553_706_496, 69_501_714_432
PORT_BYTES_PER_S, PORT_LATENCY_S = 50e9 * 0.915, 14e-6
NVLINK_BYTES_PER_S, NVLINK_LATENCY_S = 370.8e9, 3.4e-6
SEQ_LEN, SEQS, MICROBATCHES = 8192, 2, 2


def by_name(rows: Floats, n_runs: int) -> dict[str, Estimate]:
    return {estimate.statistic: estimate for estimate in estimates(rows, n_runs)}


def statistic(rows: Floats, name: str) -> float:
    return float(rows.mean() if name == "mean" else np.percentile(rows, PERCENTILES[name]))


def brute_force_jackknife(rows: Floats, n_runs: int, name: str) -> float:
    """Return the error by leaving out each run and starting afresh."""
    per_run = rows.reshape(n_runs, -1)
    left = np.array(
        [statistic(np.delete(per_run, run, axis=0).ravel(), name) for run in range(n_runs)]
    )
    return float(np.sqrt((n_runs - 1) / n_runs * np.sum((left - left.mean()) ** 2)))


def synthetic(rng: np.random.Generator, n_runs: int, n_steps: int) -> Floats:
    """Return normal rows of mean 5 that have something in common in each run."""
    own = rng.normal(size=(n_runs, n_steps))
    return np.asarray((5.0 + rng.normal(size=(n_runs, 1)) + own).ravel())


def column(frame: pl.DataFrame, name: str) -> NDArray[Any]:
    return frame[name].to_numpy()


def test_values_equal_numpys() -> None:
    rows = np.random.default_rng(SEED).lognormal(0.0, 1.0, 4_000)
    found = by_name(rows, 8)
    assert list(found) == ["mean", *PERCENTILES]
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(statistic(rows, name), rel=1e-13)


@pytest.mark.parametrize(("n_runs", "n_steps"), [(2, 500), (8, 250), (16, 33)])
def test_errors_equal_those_of_leaving_out_each_run(n_runs: int, n_steps: int) -> None:
    rows = synthetic(np.random.default_rng(SEED), n_runs, n_steps)
    for name, estimate in by_name(rows, n_runs).items():
        assert estimate.std_error == pytest.approx(
            brute_force_jackknife(rows, n_runs, name), rel=1e-9
        )


@pytest.mark.parametrize(("n_runs", "n_steps"), [(1, 99), (2, 500), (16, 33)])
def test_a_weighted_mean_is_a_ratio_of_sums_and_its_error_that_of_the_ratio(
    n_runs: int, n_steps: int
) -> None:
    rng = np.random.default_rng(SEED)
    weights = np.exp(synthetic(rng, n_runs, n_steps))
    found = estimates(rows := 0.4 / weights, n_runs, weights=weights)
    mean, *percentiles = found
    assert mean.value == pytest.approx(0.4 * weights.size / weights.sum(), rel=1e-12)
    assert percentiles == list(estimates(rows, n_runs))[1:]
    if n_runs == 1:
        assert mean.std_error is None
        return
    per_run = weights.reshape(n_runs, -1)
    left = np.array([0.4 / np.delete(per_run, run, axis=0).mean() for run in range(n_runs)])
    expected = np.sqrt((n_runs - 1) / n_runs * np.sum((left - left.mean()) ** 2))
    assert mean.std_error == pytest.approx(expected, rel=1e-9)


def test_equal_runs_of_a_weighted_mean_have_no_error() -> None:
    weights = np.tile(np.random.default_rng(SEED).random(250), 8)
    assert next(estimates(0.4 / weights, 8, weights=weights)).std_error == 0.0


def test_one_run_has_no_error() -> None:
    found = by_name(np.random.default_rng(SEED).random(1_000), 1)
    assert {estimate.std_error for estimate in found.values()} == {None}


@pytest.mark.parametrize("row", [0.1, 1e-9, 4.35, 1e12])
def test_rows_without_variance_have_no_error(row: float) -> None:
    for estimate in by_name(np.full(8 * 250, row), 8).values():
        assert estimate.value == pytest.approx(row, rel=1e-14)
        assert estimate.std_error == 0.0


def test_equal_runs_have_no_error() -> None:
    rows = np.tile(np.random.default_rng(SEED).random(250), 8)
    assert {estimate.std_error for estimate in by_name(rows, 8).values()} == {0.0}


@pytest.mark.parametrize("n_runs", [8, 16, 64])
def test_two_errors_around_the_mean_cover_it_as_often_as_students_law_says(n_runs: int) -> None:
    rng = np.random.default_rng(SEED + n_runs)
    covered = 0
    for _ in range(REPEATS):
        estimate = next(iter(estimates(synthetic(rng, n_runs, 50), n_runs)))
        assert estimate.std_error is not None
        covered += abs(estimate.value - 5.0) <= 2 * estimate.std_error
    # 91% for 8 runs, 94% for 16 and 95% for 64.
    expected = 1 - 2 * stats.t(n_runs - 1).sf(2.0)
    low, high = stats.binom(REPEATS, expected).ppf([3e-5, 1 - 3e-5])
    assert low <= covered <= high, f"{covered} of {REPEATS}, expected {expected:.3f}"


def test_two_errors_around_the_median_cover_it_about_as_often() -> None:
    rng = np.random.default_rng(SEED)
    covered = 0
    for _ in range(REPEATS):
        estimate = by_name(synthetic(rng, 64, 50), 64)["p50"]
        assert estimate.std_error is not None
        covered += abs(estimate.value - 5.0) <= 2 * estimate.std_error
    low, high = stats.binom(REPEATS, 0.95).ppf([3e-5, 1 - 3e-5])
    assert low <= covered <= high, f"{covered} of {REPEATS}"


# Of 9,900 rows 99 lie beyond p99, of 9,910 a hundred.
@pytest.mark.parametrize(
    "n_rows", [1_000, 2_000, 9_900, 9_910, 10_000, 20_000, 100_000, 160_000, 1_100_000]
)
def test_percentiles_with_fewer_than_100_rows_beyond_are_flagged(n_rows: int) -> None:
    rows = np.random.default_rng(SEED).permutation(n_rows).astype(np.float64)
    found = by_name(rows, 10)
    assert found["mean"].warning == ""
    for name, percent in PERCENTILES.items():
        value = np.percentile(rows, percent)
        n_beyond = int((rows > value).sum() if percent > 50 else (rows < value).sum())
        flagged = found[name].warning != ""
        assert flagged == (n_beyond < 100), f"{name}: {n_beyond}, {found[name].warning!r}"


def test_percentiles_are_flagged_where_one_run_holds_most_rows_beyond() -> None:
    rows = np.random.default_rng(SEED).random((8, 140_000))
    assert not any(estimate.warning for estimate in by_name(rows.ravel(), 8).values())
    rows[3] += 0.5
    found = by_name(rows.ravel(), 8)
    flagged = {name for name, estimate in found.items() if estimate.warning}
    # Above p50 it has 3/14 of the rows, above p95 and beyond all.
    assert flagged == {"p95", "p99", "p99.9", "p99.99"}


@pytest.fixture(scope="module")
def busy() -> hm.Result:
    return hm.simulate("h100-1k", seed=SEED, runs=RUNS, steps=STEPS, changes=BUSY, method="sample")


@pytest.fixture(scope="module")
def realised() -> tuple[Floats, Floats]:
    """Return the time and the stalls of each rank, by run and step."""
    scenario = hm.load("h100-1k", BUSY)
    calm = hm.with_changes(scenario, NO_STALLS)
    times, computing = (
        np.array(
            [hm.rank_times(each, seed=SEED, run=run, steps=range(STEPS)) for run in range(RUNS)]
        ).astype(np.float64)
        for each in (scenario, calm)
    )
    return times, times - computing


def assert_mean_over_steps(per_step: Floats, expected: float) -> None:
    """Assert that the mean of rows of (run, step) is right, given each run's own speeds."""
    within_s = float(per_step.std(axis=1, ddof=1).mean()) / np.sqrt(per_step.size)
    assert abs(float(per_step.mean()) - expected) <= MAX_ERRORS * within_s


@pytest.mark.parametrize("seed", range(20))
def test_few_steps_keep_no_pool_busy_for_longer_than_they_take(seed: int) -> None:
    # The law's mean is 1, and 99 of 100 steps take half of that.
    components = [
        {"weight": weight, "law": {"name": "constant", "value": value}}
        for weight, value in ((0.99, 0.5), (0.01, 50.5))
    ]
    changes = {
        "pools.h100.n_gpus": 8,
        "workload.model": "llama3-8b",
        "causes.rare": {
            "law": {"name": "mixture", "components": components},
            "affects": "compute",
            "effect": "slowdown",
            "scope": "cluster",
            "span": "step",
        },
    }
    result = hm.simulate("h100-1k", seed=seed, runs=1, steps=1, changes=changes)
    (row,) = result.pool_rows
    assert 0.99 < row["busy_frac"] <= 1
    assert row["wait_frac"] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("pool", "ranks"), [("h100", slice(0, 256)), ("h200", slice(256, 768))])
def test_shares_of_a_pool_agree_with_the_means_over_its_ranks(
    busy: hm.Result, realised: tuple[Floats, Floats], pool: str, ranks: slice
) -> None:
    times, stalls = (numbers[:, :, ranks] for numbers in realised)
    row = busy.pools.row(by_predicate=pl.col("pool") == pool, named=True)
    step_time_s = float(column(busy.steps, "step_time_s").mean())
    compute_s = column(busy.steps, "compute_s").reshape(RUNS, STEPS)
    exposed_frac = float(column(busy.steps, "exposed_comm_s").mean()) / step_time_s
    own_stall_frac = 1 - row["busy_frac"] - row["wait_frac"] - exposed_frac
    assert_mean_over_steps((times - stalls).mean(axis=2), row["busy_frac"] * step_time_s)
    assert_mean_over_steps(stalls.mean(axis=2), own_stall_frac * step_time_s)
    waited_s = compute_s - times.mean(axis=2)
    difference = abs(float(waited_s.mean()) - row["wait_frac"] * step_time_s)
    spread = float(times.mean(axis=2).std(axis=1, ddof=1).mean())
    assert difference <= MAX_ERRORS * spread / np.sqrt(RUNS * STEPS)


def test_busy_time_comes_from_laws_so_that_stalls_do_not_move_it(busy: hm.Result) -> None:
    calm = hm.simulate(
        "h100-1k", seed=SEED, runs=RUNS, steps=STEPS, changes={**BUSY, **NO_STALLS}, method="sample"
    )
    busy_s = [
        column(result.pools, "busy_frac") * column(result.steps, "step_time_s").mean()
        for result in (busy, calm)
    ]
    np.testing.assert_allclose(busy_s[0], busy_s[1], rtol=1e-12)
    once = hm.simulate("h100-1k", seed=SEED, runs=RUNS, steps=1, changes=BUSY, method="sample")
    once_s = column(once.pools, "busy_frac") * column(once.steps, "step_time_s").mean()
    np.testing.assert_allclose(busy_s[0], once_s, rtol=1e-12)


def test_the_slowest_rank_of_a_row_is_the_steps_compute_time(
    busy: hm.Result, realised: tuple[Floats, Floats]
) -> None:
    compute_s = column(busy.steps, "compute_s").reshape(RUNS, STEPS)
    times, stalls = realised
    np.testing.assert_allclose(times.max(axis=2), compute_s, rtol=2.0**-23)
    slowest = times.argmax(axis=2)[:, :, np.newaxis]
    stall_s = column(busy.steps, "stall_s").reshape(RUNS, STEPS)
    own_s = np.take_along_axis(stalls, slowest, axis=2)[:, :, 0]
    np.testing.assert_allclose(own_s, stall_s, rtol=0, atol=2e-6)


def test_slowest_shares_and_mfu_of_pools_follow_from_the_steps(busy: hm.Result) -> None:
    names = column(busy.steps, "slowest_pool")
    shares = [float((names == pool).mean()) for pool in ("h100", "h200")]
    assert column(busy.pools, "slowest_frac").tolist() == pytest.approx(shares, rel=1e-12)
    assert sum(shares) == 1.0
    assert min(shares) > 0.0
    assert column(busy.pools, "n_spares").tolist() == [4, 0]
    step_time_s = float(column(busy.steps, "step_time_s").mean())
    expected = rank_flops() / (PEAK * step_time_s)
    assert column(busy.pools, "mfu").tolist() == pytest.approx([expected, expected], rel=1e-12)


def test_steps_add_up_and_their_mfu_is_model_flops_over_the_peak_of_ranks(busy: hm.Result) -> None:
    step_time_s = column(busy.steps, "step_time_s")
    parts = column(busy.steps, "compute_s") + column(busy.steps, "exposed_comm_s")
    assert (step_time_s == parts).all()
    expected = rank_flops() / PEAK / step_time_s
    np.testing.assert_allclose(column(busy.steps, "mfu"), expected, rtol=1e-12)


def test_summary_and_runs_are_the_statistics_of_the_steps(busy: hm.Result) -> None:
    summary = {(metric, name): rest for metric, name, *rest in busy.summary.rows()}
    assert len(summary) == len(METRICS) * (1 + len(PERCENTILES))
    for (metric, name), (value, std_error) in summary.items():
        if (metric, name) == ("mfu", "mean"):
            # A ratio of sums, tested by itself.
            continue
        rows = column(busy.steps, metric)
        assert value == pytest.approx(statistic(rows, name), rel=1e-12)
        expected = brute_force_jackknife(rows, RUNS, name)
        assert std_error == pytest.approx(expected, rel=1e-6, abs=1e-15)
    for metric in METRICS:
        per_run = column(busy.steps, metric).reshape(RUNS, STEPS)
        means = stats.hmean(per_run, axis=1) if metric == "mfu" else per_run.mean(axis=1)
        np.testing.assert_allclose(column(busy.runs, metric), means, rtol=1e-12)


def rank_flops() -> float:
    """Return the model FLOPs of a rank in a step, as docs/model.md has them, at tensor 8."""
    attention = 6 * LAYERS * HEADS * (HEAD_DIM + HEAD_DIM) * SEQ_LEN / 2
    tokens = MICROBATCHES * SEQS * SEQ_LEN
    return tokens * (6 * MATMUL_PARAMETERS + attention) / 8


def passes() -> tuple[float, float]:
    """Return the seconds of a microbatch's passes, recomputation and tensor group included."""
    flops_s = rank_flops() / MICROBATCHES / (PEAK * KERNEL_EFFICIENCY)
    n_bytes = 2 * SEQS * SEQ_LEN * HIDDEN
    ring_s = 7 * (NVLINK_LATENCY_S + n_bytes / (8 * NVLINK_BYTES_PER_S))
    exchange_s = 4 * LAYERS * ring_s
    return flops_s / 3 + exchange_s, flops_s + 2 * exchange_s


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("n_buckets", [1, 80])
@pytest.mark.parametrize("share_of_bandwidth", [1.0, 0.4, 0.05])
def test_exposed_communication_is_what_its_window_does_not_hide(
    overlap: float, n_buckets: int, share_of_bandwidth: float
) -> None:
    fabric = {"fabric.bandwidth_efficiency": 0.915 * share_of_bandwidth}
    collective = {"collective.overlap_fraction": overlap, "collective.n_buckets": n_buckets}
    changes = {**QUIET, **fabric, **collective}
    row = hm.simulate("h100-1k", seed=SEED, runs=1, steps=1, changes=changes).steps
    forward_s, backward_s = passes()
    port = PORT_BYTES_PER_S * share_of_bandwidth
    rank_bytes = 2 * PARAMETERS / 8
    # One rank in each of 16 domains; then 8 shard groups, one shard of 16 each.
    gather_s = n_buckets * 4 * PORT_LATENCY_S + 15 / 16 * rank_bytes / port
    reduce_s = 2 * (n_buckets * 3 * PORT_LATENCY_S + 7 / 8 * rank_bytes / 16 / port)
    took_and_behind = [
        (2 * gather_s, 2 * forward_s),
        (2 * gather_s, backward_s),
        (2 * gather_s + reduce_s, backward_s),
    ]
    exposed = sum(
        max(took / n_buckets, took - overlap * behind) for took, behind in took_and_behind
    )
    compute_s = 2 * (forward_s + backward_s)
    assert row["exposed_comm_s"][0] == pytest.approx(exposed, rel=2e-7, abs=2e-7 * compute_s)
    assert row["compute_s"][0] == pytest.approx(compute_s, rel=1e-6)


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0])
def test_a_slow_replica_hides_more_and_its_stalls_hide_nothing(factor: float) -> None:
    causes = {
        "causes.slow": {"law": {"name": "constant", "value": factor}, "effect": "slowdown"},
        "causes.halt": {"law": {"name": "constant", "value": 0.5}, "effect": "stall"},
    }
    common = {"affects": "compute", "scope": "cluster", "span": "step"}
    changes = {**QUIET, **{name: {**cause, **common} for name, cause in causes.items()}}
    result = hm.simulate("h100-1k", seed=SEED, runs=1, steps=1, changes=changes)
    exposed = 0.0
    for term in result.plan.pools[0].terms:
        exposed += max(term.cost.total_s / 80, term.cost.total_s - 0.9 * factor * term.window_s)
    compute_s = sum(passes()) * MICROBATCHES
    assert result.steps["compute_s"][0] == pytest.approx(factor * compute_s + 0.5, rel=1e-6)
    assert result.steps["stall_s"][0] == pytest.approx(0.5, rel=1e-6)
    assert result.steps["exposed_comm_s"][0] == pytest.approx(exposed, rel=2e-7)
