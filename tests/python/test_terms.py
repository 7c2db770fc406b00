"""What each step is made of: complete, exact, and stored with the result."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hindmost as hm
from hindmost.cli import cli

SIZE: dict[str, Any] = {"runs": 2, "steps": 9, "seed": 5}
STALLED = {
    "causes.long": {
        "law": {"name": "exponential", "mean": 2.0, "shift": 1.0, "cap": 20.0},
        "affects": "compute",
        "effect": "stall",
        "scope": "gpu",
        "span": "step",
        "probability": 0.01,
    }
}
STALLED_PORTS = {
    "causes.flap": {
        "law": {"name": "constant", "value": 0.7},
        "affects": "network",
        "effect": "stall",
        "scope": "gpu",
        "span": "step",
        "probability": 3e-4,
    }
}
PIPELINE = {
    "pools.h100.n_gpus": 256,
    "layout.pipeline": 2,
    "workload.n_microbatches": 4,
}
HOPS = {
    "fabric.hop_noise": {"name": "exponential", "mean": 1.0, "cap": 30.0},
    "collective.algorithm": "ring",
}

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "two engines' default": ("colossus-1", {}, "auto"),
    "sampled": ("h100-1k", STALLED, "sample"),
    "drawn": ("h100-1k", STALLED, "order-statistics"),
    "stalled ports": ("colossus-1", STALLED_PORTS, "auto"),
    "stages": ("h100-1k", {**STALLED, **PIPELINE}, "sample"),
    "a replica law": ("h100-1k", PIPELINE, "order-statistics"),
    "mixed stages": ("colossus-1-pp16", {"layout.placement": "mixed"}, "sample"),
    "random hops": ("h100-1k", HOPS, "auto"),
    "nothing to send": ("h100-1k", {"pools.h100.n_gpus": 8, "workload.model": "llama3-8b"}, "auto"),
}


def simulated(name: str, **call: Any) -> hm.Result:
    scenario, changes, method = CASES[name]
    return hm.simulate(scenario, changes=changes, method=method, **{**SIZE, **call})  # type: ignore[arg-type]


def terms_of(result: hm.Result) -> hm.Terms:
    assert result.terms is not None
    return result.terms


def step_times(result: hm.Result) -> pl.Series:
    """Return how long each step takes, from what it is made of and the published formula."""
    terms = terms_of(result)
    arguments = result.plan.arguments
    windows: dict[tuple[str, str], float] = {
        (pool.name, term.phase): arguments["overlap_fraction"] * share
        for index, pool in enumerate(result.plan.pools)
        for term, share in zip(
            pool.terms,
            (core["window_share"][index] for core in arguments["terms"]),
            strict=True,
        )
    }
    buckets: dict[str, int] = {term.phase: term.n_buckets for term in result.plan.pools[0].terms}
    longest: dict[tuple[int, int], float] = {}
    times: dict[tuple[int, int], list[tuple[str, float]]] = {}
    for run, step, term, time_s in terms.transfers.select("run", "step", "term", "time_s").rows():
        times.setdefault((run, step), []).append((term, time_s))
    for run, step, pool, compute_s, stall_s in terms.replicas.rows():
        seconds = compute_s + stall_s
        for term, time_s in times.get((run, step), []):
            window_s = windows[pool, term] * compute_s
            seconds += max(time_s / buckets[term], time_s - window_s)
        longest[run, step] = max(longest.get((run, step), 0.0), seconds)
    return pl.Series(longest.values())


@pytest.mark.parametrize("name", CASES)
def test_they_change_no_row_and_steps_follow_from_them(name: str) -> None:
    result = simulated(name, terms=True)
    plain = simulated(name)
    assert plain.terms is None
    assert result.steps.equals(plain.steps)
    assert result.summary.equals(plain.summary)
    assert result.pools.equals(plain.pools)
    if name != "mixed stages":
        # Windows of mixed stages are the narrowest of all pools.
        np.testing.assert_allclose(step_times(result), result.steps["step_time_s"], rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_each_pool_has_the_pairs_that_no_other_exceeds(name: str) -> None:
    replicas = terms_of(simulated(name, terms=True)).replicas
    assert replicas.select("run", "step").n_unique() == SIZE["runs"] * SIZE["steps"]
    for (_, _, pool), pairs in replicas.group_by("run", "step", "pool", maintain_order=True):
        compute_s, stall_s = pairs["compute_s"].to_numpy(), pairs["stall_s"].to_numpy()
        assert (np.diff(compute_s) < 0).all(), pool
        assert (np.diff(stall_s) > 0).all(), pool


def test_with_certain_stalls_all_ranks_are_compared() -> None:
    # Each of 64 ranks is stalled on its own, so ranks cannot be told by their stalls alone.
    certain = {"causes.long": {**STALLED["causes.long"], "probability": 1.0}}
    changes = {**certain, "pools.h100.n_gpus": 64, "workload.model": "llama3-8b"}
    changes |= {"layout.tensor": 1}
    call = {**SIZE, "changes": changes, "method": "sample"}
    result = hm.simulate("h100-1k", terms=True, **call)
    replicas = terms_of(result).replicas
    assert replicas.height > 1.5 * SIZE["runs"] * SIZE["steps"]
    for run in range(SIZE["runs"]):
        times = hm.rank_times(
            "h100-1k", seed=SIZE["seed"], run=run, steps=range(SIZE["steps"]), changes=changes
        )
        kept = replicas.filter(pl.col("run") == run)
        longest = kept.group_by("step", maintain_order=True).agg(
            (pl.col("compute_s") + pl.col("stall_s")).max()
        )
        np.testing.assert_allclose(longest["compute_s"], times.max(axis=1), rtol=1e-6)


def test_a_transfer_has_the_factor_of_the_pool_that_completes_it_last() -> None:
    result = simulated("stalled ports", terms=True)
    terms = terms_of(result)
    core = result.plan.arguments["terms"]
    names = [pool.name for pool in result.plan.pools]
    phases = [term.phase for term in result.plan.pools[0].terms]
    n_stalled = 0
    for run, step, term, pool, factor, latency, stall_s, time_s in terms.transfers.rows():
        at = (pl.col("run") == run) & (pl.col("step") == step)
        ports = terms.ports.filter(at)
        numbers = core[phases.index(term)]
        by_pool = [
            numbers["latency_s"][index] * latency + numbers["transfer_s"][index] * slowdown
            for index, slowdown in enumerate(ports["slowdown"])
        ]
        last = int(np.argmax(by_pool))
        assert (pool, factor) == (names[last], ports["slowdown"][last])
        expected_stall_s = ports["stall_s"].max() if term == phases[-1] else 0.0
        assert stall_s == expected_stall_s
        assert time_s == by_pool[last] + stall_s
        n_stalled += stall_s > 0
    # 220,000 ports stall with probability 3e-4.
    assert n_stalled == SIZE["runs"] * SIZE["steps"]


def test_random_hops_are_factors_on_latencies() -> None:
    transfers = terms_of(simulated("random hops", terms=True)).transfers
    assert (transfers["latency_factor"] > 1).all()
    assert transfers["latency_factor"].n_unique() == transfers.height
    plain = terms_of(simulated("drawn", terms=True)).transfers
    assert (plain["latency_factor"] == 1).all()


def test_without_transfers_there_are_none() -> None:
    terms = terms_of(simulated("nothing to send", terms=True))
    assert terms.transfers.height == terms.ports.height == 0
    assert terms.transfers.columns == [
        "run",
        "step",
        "term",
        "pool",
        "transfer_factor",
        "latency_factor",
        "stall_s",
        "time_s",
    ]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    probability=st.floats(1e-6, 1.0),
    sigma=st.floats(0.0, 0.05),
    scope=st.sampled_from(["gpu", "node", "domain", "rack", "pool", "cluster"]),
    seed=st.integers(0, 2**53),
    method=st.sampled_from(["auto", "sample"]),
)
def test_whatever_stalls_the_longest_step_is_among_them(
    probability: float, sigma: float, scope: str, seed: int, method: Any
) -> None:
    changes: dict[str, Any] = {
        "causes.long": {**STALLED["causes.long"], "probability": probability, "scope": scope},
        "causes.gpu-speed.law.sigma": sigma,
        "pools.h100.rack_gpus": 32,
    }
    call: dict[str, Any] = {"changes": changes, "method": method, "seed": seed}
    result = hm.simulate("h100-1k", terms=True, runs=1, steps=6, **call)
    np.testing.assert_allclose(step_times(result), result.steps["step_time_s"], rtol=1e-6)
    assert result.steps.equals(hm.simulate("h100-1k", runs=1, steps=6, **call).steps)


@pytest.mark.parametrize("name", CASES)
def test_they_are_stored_with_the_result(name: str, tmp_path: Path) -> None:
    result = simulated(name, terms=True)
    assert result != simulated(name)
    path = tmp_path / "result.parquet"
    result.write(path)
    for again in (hm.read(path), pickle.loads(pickle.dumps(result))):
        assert again == result
        for table in ("replicas", "transfers", "ports"):
            assert getattr(terms_of(again), table).equals(getattr(terms_of(result), table))
        columns: dict[str, Any] = {**again.columns}
        assert not any(array.flags.writeable for array in columns.values())


def test_a_document_holds_the_tables(tmp_path: Path) -> None:
    result = simulated("stalled ports", terms=True)
    result.write(tmp_path / "result.json")
    document = json.loads((tmp_path / "result.json").read_text())
    assert document["terms"] == terms_of(result).lists()
    plain = simulated("stalled ports")
    plain.write(tmp_path / "plain.json")
    document = json.loads((tmp_path / "plain.json").read_text())
    assert "terms" not in document
    result.write(tmp_path / "result.csv")
    plain.write(tmp_path / "plain.csv")
    assert (tmp_path / "result.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()


def test_a_compiled_scenario_keeps_them_too() -> None:
    compiled = hm.compile("colossus-1")
    changes = {"causes.residual.law.sigma": 0.004}
    for _ in range(2):
        result = compiled.simulate(terms=True, changes=changes, **SIZE)
        assert result == hm.simulate("colossus-1", terms=True, changes=changes, **SIZE)
        assert compiled.simulate(**SIZE) == hm.simulate("colossus-1", **SIZE)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads: int) -> None:
    one = simulated("two engines' default", terms=True, threads=threads, steps=5000)
    two = simulated("two engines' default", terms=True, threads=2, steps=5000)
    assert one == two


@pytest.mark.parametrize("wish", [1, "yes", None, [True]])
def test_a_wish_that_is_no_truth_is_refused(wish: Any) -> None:
    with pytest.raises(hm.ScenarioError, match=r"terms.*must be True or False"):
        hm.simulate("h100-1k", terms=wish, **SIZE)


def run(*words: str) -> None:
    cli.main(["run", *words], standalone_mode=False)


def test_a_command_stores_them_and_repeats_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    size = ["--seed", "5", "--runs", "2", "--steps", "9"]
    run("colossus-1", *size, "--terms", "-o", "kept.parquet")
    kept = hm.read("kept.parquet")
    assert kept == simulated("two engines' default", terms=True)
    run("kept.parquet", "-o", "again.parquet")
    assert hm.read("again.parquet") == kept
    run("kept.parquet", "--set", "causes.gpu-speed.law.sigma=0.01", "-o", "other.parquet")
    assert hm.read("other.parquet").terms is not None
    run("kept.parquet", "-o", "steps.csv")
    assert (tmp_path / "steps.csv").exists()


@pytest.mark.parametrize("output", [[], ["-o", "steps.csv"], ["--format", "json"]])
def test_a_command_without_a_place_for_them_is_refused(
    output: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(hm.ScenarioError, match="--terms must come with a file"):
        run("h100-1k", "--terms", *output)
    assert not list(tmp_path.iterdir())
