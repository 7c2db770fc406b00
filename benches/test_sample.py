"""Rank-draws per second, beside NumPy doing the same draw."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from hindmost.plan import Plan, make_plan
from hindmost.simulate import simulate

N_RANKS = 220_000
N_STEPS = 100
SIGMA = 0.003
SEED = 1


@pytest.fixture
def one_cause() -> hm.Scenario:
    """One pool with a persistent speed and one residual, and nothing else."""
    off = {f"causes.{name}.enabled": False for name in ("step-common", "stall", "pause")}
    changes = {**off, "pools.h100.n_gpus": N_RANKS, "fabric.noise.enabled": False}
    return hm.load("h100-1k", changes)


def numpy_slowest(speed: np.ndarray[Any, np.dtype[np.float32]]) -> list[float]:
    """Return each step's slowest rank: normal, multiply, exp, max in float32."""
    halves = np.array_split(speed, 2)

    def slowest(half: int) -> np.ndarray[Any, np.dtype[np.float32]]:
        rng = np.random.Generator(np.random.SFC64([SEED, half]))
        times = np.empty(len(halves[half]), dtype=np.float32)
        found = np.empty(N_STEPS, dtype=np.float32)
        for step in range(N_STEPS):
            rng.standard_normal(dtype=np.float32, out=times)
            np.multiply(times, np.float32(SIGMA), out=times)
            np.exp(times, out=times)
            np.multiply(times, halves[half], out=times)
            found[step] = times.max()
        return found

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(slowest, range(2))
    return [float(time) for time in np.maximum(first, second)]


@pytest.mark.benchmark(group="one cause, 220,000 ranks x 100 steps, two threads")
def test_sample(benchmark: Any, one_cause: hm.Scenario) -> None:
    result = benchmark(simulate, one_cause, runs=1, steps=N_STEPS, seed=SEED, threads=2)
    benchmark.extra_info["draws"] = N_RANKS * N_STEPS
    assert 1.06 < result.value("compute_s") / result.plan.pools[0].compute.step_s < 1.09


@pytest.mark.benchmark(group="one cause, 220,000 ranks x 100 steps, two threads")
def test_numpy(benchmark: Any) -> None:
    rng = np.random.default_rng(SEED)
    speed = np.exp(rng.normal(0, 0.0172, N_RANKS)).clip(max=1.062).astype(np.float32)
    slowest = benchmark(numpy_slowest, speed)
    assert 1.06 < np.mean(slowest) < 1.09


@pytest.mark.benchmark(group="plan of colossus-1")
def test_plan(benchmark: Any) -> None:
    plan: Plan = benchmark(make_plan, hm.load("colossus-1"))
    assert plan.n_ranks == 219_944
