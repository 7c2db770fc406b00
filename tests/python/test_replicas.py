"""`slowest_replicas` against rank times and worked values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import hindmost as hm

SMALL = {"pools.h100.n_gpus": 256}


@pytest.fixture(scope="module")
def small() -> hm.Scenario:
    return hm.load("h100-1k", SMALL)


def test_the_slowest_replicas_are_those_of_all_rank_times(small: hm.Scenario) -> None:
    rows = hm.slowest_replicas(small, k=3, seed=5, runs=2, steps=10)
    assert rows.columns == ["run", "step", "place", "pool", "replica", "compute_s"]
    times = hm.rank_times(small, seed=5, run=1, steps=range(10))
    by_replica = times.reshape(10, -1, 8).max(axis=2)
    expected = -np.sort(-by_replica, axis=1)[:, :3]
    of_run = rows.filter(pl.col("run") == 1)
    np.testing.assert_allclose(of_run["compute_s"].to_numpy().reshape(10, 3), expected, rtol=1e-6)
    replicas = of_run["replica"].to_numpy().reshape(10, 3)
    np.testing.assert_array_equal(replicas, np.argsort(-by_replica, axis=1)[:, :3])


def test_the_first_place_is_a_sampled_steps_compute_time(small: hm.Scenario) -> None:
    rows = hm.slowest_replicas(small, k=1, seed=5, runs=2, steps=10)
    result = hm.simulate(small, seed=5, runs=2, steps=10, method="sample")
    np.testing.assert_array_equal(rows["compute_s"], result.steps["compute_s"])


def test_with_stages_a_replica_takes_what_its_schedule_does() -> None:
    scenario = hm.load("llama3-405b-8192")
    rows = hm.slowest_replicas(scenario, k=4, seed=1, runs=1, steps=2)
    result = hm.simulate(scenario, seed=1, runs=1, steps=2, method="sample")
    np.testing.assert_array_equal(
        rows.filter(pl.col("place") == 1)["compute_s"], result.steps["compute_s"]
    )
    falls = rows["compute_s"].to_numpy().reshape(2, 4)
    assert (np.diff(falls, axis=1) <= 0).all()
    assert rows.group_by("step").agg(pl.col("replica").n_unique())["replica"].to_list() == [4, 4]


def test_three_of_eight_exponential_times_are_published_order_statistics() -> None:
    """Eight times of mean 1: the three largest have means 2.717857, 1.717857, 1.217857."""
    nothing = {f"causes.{name}.enabled": False for name in hm.load("h100-1k").causes}
    cause = {
        "law": {"name": "exponential", "mean": 1.0},
        "affects": "compute",
        "effect": "slowdown",
        "scope": "replica",
        "span": "step",
    }
    changes = {
        **nothing,
        **{f"causes.jitter.{key}": value for key, value in cause.items()},
        "pools.h100.n_gpus": 64,
        "layout.sharding": "hybrid",
        "layout.shard_group_replicas": 8,
    }
    rows = hm.slowest_replicas("h100-1k", changes=changes, k=3, seed=2, runs=1, steps=200_000)
    base_s = hm.simulate("h100-1k", changes={**changes, "causes.jitter.enabled": False}, seed=1)
    times = rows["compute_s"].to_numpy().reshape(-1, 3) / base_s.value("compute_s")
    errors = times.std(axis=0) / np.sqrt(len(times))
    expected = np.array([2.717857, 1.717857, 1.217857])
    assert (np.abs(times.mean(axis=0) - expected) < 4 * errors).all()


def test_wrong_calls_are_refused_all_at_once() -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.slowest_replicas("h100-1k", k=9, steps=0, runs=-1)
    assert [problem.path for problem in refused.value.problems] == ["k", "steps", "runs"]
    with pytest.raises(hm.ScenarioError, match="k must be >= 1 and <= 2, got 3"):
        hm.slowest_replicas(
            "h100-1k", k=3, changes={"pools.h100.n_gpus": 16, "layout.shard_group_replicas": 2}
        )
