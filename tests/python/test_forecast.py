"""Forecasts: what is not known of a scenario is drawn anew in every run."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest

import hindmost as hm
from hindmost import _core
from hindmost.analyses import unknowns as unknowns_module
from hindmost.analyses.draws import SEED_STREAM, drawn_again, seed_of_run, stratified
from hindmost.analyses.unknowns import STACK_STREAM, Unknown, fnv_1a, unknowns_of
from hindmost.errors import ScenarioError
from hindmost.forecasted import Forecast, quantile_error
from hindmost.law import LogUniform, Uniform
from hindmost.scenario import from_table

SMALL: dict[str, Any] = {
    "pools.h100.n_gpus": 64,
    "layout.shard_group_replicas": 8,
    "workload.model": "llama3-8b",
    "workload.stack": "best",
}
"""A small job, whose stack leaves nothing unknown."""
QUIET: dict[str, Any] = {
    "ideal.collective_latency": True,
    "ideal.collective_bandwidth": True,
    "ideal.exchange_inside": True,
    "ideal.network_noise": True,
}
"""Nothing takes time but compute."""
SOFTWARE = "pools.h100.software_efficiency"
MICROBATCHES = "workload.n_microbatches"
SIGMA = "causes.residual.law.sigma"
SIZE: dict[str, Any] = {"seed": 3, "runs": 8, "steps": 4}


def uniform(low: float, high: float) -> dict[str, Any]:
    return {"name": "uniform", "low": low, "high": high}


def scenario(
    unknowns: dict[str, Any], changes: dict[str, Any] | None = None, *, noiseless: bool = False
) -> hm.Scenario:
    """Return a small scenario with these unknowns and no others."""
    base = hm.load("h100-1k", SMALL | (QUIET if noiseless else {}) | (changes or {}))
    table = base.model_dump(mode="json", exclude_none=True)
    table["unknowns"] = unknowns
    if noiseless:
        table["causes"] = {}
        table["basis"] = {
            path: one for path, one in table["basis"].items() if not path.startswith("causes.")
        }
    return from_table(table, "small")


def software(low: float = 0.5, high: float = 0.9) -> dict[str, Any]:
    return {SOFTWARE: uniform(low, high)}


# Draws


def test_percentiles_are_those_of_the_law_where_one_unknown_scales_a_noiseless_step() -> None:
    base = scenario(software(), noiseless=True)
    full = hm.simulate(base, seed=1, runs=1, steps=1, changes={SOFTWARE: 1.0})
    found = hm.forecast(base, seed=3, runs=64, steps=2)
    efficiencies = np.sort(found.runs[SOFTWARE].to_numpy())
    for name, share in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95)):
        mfu = full.value("mfu") * np.quantile(efficiencies, share)
        assert found.value("mfu", name) == pytest.approx(mfu, rel=1e-6)
        step_s = full.value("step_time_s") * np.quantile(1 / efficiencies, share)
        assert found.value("step_time_s", name) == pytest.approx(step_s, rel=1e-6)
        # Of 64 strata each has one value, so that a percentile is off by one stratum at most.
        law = 0.5 + 0.4 * share
        assert abs(found.value("mfu", name) / full.value("mfu") - law) < 0.4 / 64
    assert found.value("mfu", "mean") == pytest.approx(
        full.value("mfu") * efficiencies.mean(), rel=1e-6
    )


@pytest.mark.parametrize("runs", [2, 5, 64])
def test_each_unknown_visits_each_stratum_once(runs: int) -> None:
    unknowns = unknowns_of(scenario(software(0.0, 1.0) | {SIGMA: uniform(0.0, 1.0)}))
    points = stratified(unknowns, 7, runs)
    for unknown in unknowns:
        strata = [math.floor(point[unknown.path] * runs) for point in points]
        assert sorted(strata) == list(range(runs))
    orders = [[point[unknown.path] for point in points] for unknown in unknowns]
    assert runs == 2 or np.argsort(orders[0]).tolist() != np.argsort(orders[1]).tolist()


def test_draws_have_the_addresses_that_are_documented() -> None:
    (unknown,) = unknowns_of(scenario(software(0.0, 1.0)))
    stream = fnv_1a(f"unknown/{SOFTWARE}")
    words = [_core.philox(7, (0, 0, run << 16, stream)) for run in range(8)]
    ranks = np.argsort(np.argsort([block[1] for block in words]))
    for run, point in enumerate(stratified([unknown], 7, 8)):
        expected = (ranks[run] + (words[run][0] + 0.5) / 2**32) / 8
        assert point[SOFTWARE] == pytest.approx(expected, abs=1e-9)
    again = drawn_again([unknown], 7, 5, 2)[SOFTWARE]
    word = _core.philox(7, (0, 2, 5 << 16, stream))[0]
    assert again == pytest.approx((word + 0.5) / 2**32, abs=1e-9)
    low, high, *_ = _core.philox(7, (0, 0, 5 << 16, fnv_1a(SEED_STREAM)))
    assert seed_of_run(7, 5) == low + 2**32 * high


def test_another_unknown_and_another_scenario_leave_the_draws_of_one() -> None:
    alone = hm.forecast(scenario(software()), **SIZE)
    both = hm.forecast(scenario(software() | {SIGMA: uniform(1e-3, 5e-3)}), **SIZE)
    other = hm.forecast(scenario(software(), {"workload.seq_len": 4096}), **SIZE)
    assert both.draws[SOFTWARE] == other.draws[SOFTWARE] == alone.draws[SOFTWARE]
    assert list(both.runs.columns) == ["run", SOFTWARE, SIGMA, "step_time_s", "mfu"]


def test_a_run_is_a_simulation_of_its_values_under_its_seed() -> None:
    base = scenario(software() | {SIGMA: uniform(1e-3, 5e-3)})
    found = hm.forecast(base, **SIZE)
    for run, row in enumerate(found.runs.to_dicts()):
        changes = {path: row[path] for path in (SOFTWARE, SIGMA)}
        one = hm.simulate(base, seed=seed_of_run(3, run), runs=1, steps=4, changes=changes)
        assert row["step_time_s"] == one.value("step_time_s")
        # A ratio of sums: FLOPs of all steps over peak x their time.
        assert row["mfu"] == pytest.approx(one.value("mfu"), rel=1e-12)


def test_runs_are_of_other_gpus() -> None:
    base = scenario({})
    found = hm.forecast(base, **SIZE)
    assert len(set(found.mfu)) == 8
    assert not found.unknowns
    assert not found.draws
    again = hm.forecast(scenario({SIGMA: uniform(0.0015, 0.0015000001)}), **SIZE)
    # Without unknowns or with one that says nothing, runs are the same clusters.
    assert again.mfu == pytest.approx(found.mfu, rel=1e-3)


def test_the_efficiencies_of_a_stack_share_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    base = hm.load("colossus-1")
    paths = [f"pools.{pool}.software_efficiency" for pool in base.pools]
    laws = {path: Uniform(low=0.1 * k, high=0.1 * k + 0.5) for k, path in enumerate(paths, 1)}
    overhead = {"workload.overhead_s": LogUniform(low=1e-3, high=1e-2)}
    monkeypatch.setattr(unknowns_module, "stack_unknowns", lambda _: {**laws, **overhead})
    table = base.model_dump(mode="json", exclude_none=True)
    table["unknowns"] = {paths[2]: uniform(0.0, 1.0)}
    found = {unknown.path: unknown for unknown in unknowns_of(from_table(table))}
    assert found[paths[0]].stream == found[paths[1]].stream == STACK_STREAM
    # A law of the scenario's own comes first, and has its own word.
    assert found[paths[2]].law == Uniform(low=0.0, high=1.0)
    assert found[paths[2]].stream == f"unknown/{paths[2]}"
    assert found["workload.overhead_s"].stream == "unknown/workload.overhead_s"
    for point in stratified(list(found.values()), 1, 16):
        first, second = ((point[path] - 0.1 * k) / 0.5 for k, path in enumerate(paths[:2], 1))
        assert first == pytest.approx(second, abs=1e-9)


def test_whole_numbers_are_the_ones_below() -> None:
    unknown = Unknown(
        path="layout.expert_tensor", law=Uniform(low=1.0, high=5.0), is_integer=True, given=None
    )
    drawn = [point["layout.expert_tensor"] for point in stratified([unknown], 1, 400)]
    assert [drawn.count(number) for number in (1, 2, 3, 4)] == [100] * 4
    assert all(isinstance(number, int) for number in drawn)


def test_a_key_that_changes_the_tokens_of_a_step_is_held() -> None:
    unknowns = {MICROBATCHES: {"name": "log-uniform", "low": 1, "high": 16}}
    held = scenario(unknowns | {"pools.h100.n_gpus": uniform(64, 128.9)} | software())
    found = hm.forecast(held, **SIZE)
    assert found.held == (MICROBATCHES, "pools.h100.n_gpus")
    assert list(found.unknowns) == [SOFTWARE]
    assert found.mfu == hm.forecast(scenario(software()), **SIZE).mfu
    assert hm.forecast("colossus-1", seed=1, runs=2, steps=1).held == (MICROBATCHES,)
    # To an explanation it is an unknown as before.
    assert MICROBATCHES in [unknown.path for unknown in unknowns_of(held)]


def test_keys_that_leave_the_tokens_are_drawn() -> None:
    unknowns = {
        "workload.overhead_s": uniform(0.0, 0.1),
        "pools.h100.kernel_efficiency": uniform(0.5, 0.6),
        "collective.overlap_fraction": uniform(0.5, 0.9),
        "collective.n_buckets": uniform(1.0, 9.0),
    }
    found = hm.forecast(scenario(unknowns), **SIZE)
    assert found.held == ()
    assert found.draws.keys() == unknowns.keys()


def test_unknowns_of_whole_runs_are_drawn_and_do_not_act_on_steps() -> None:
    found = hm.forecast("colossus-1", seed=1, runs=2, steps=1)
    assert found.idle == ("recovery.restart_s", "checkpoint.interval_s", "checkpoint.blocking_s")
    assert set(found.idle) < found.draws.keys()


def test_a_draw_that_is_refused_is_made_again_and_counted() -> None:
    # A cap below the shift of its law is refused.
    law = {"name": "exponential", "mean": 0.1, "shift": 1.0, "cap": 1.5}
    cause = {"law": law, "affects": "compute", "effect": "slowdown", "scope": "gpu", "span": "step"}
    base = scenario(
        {"causes.slow.law.cap": uniform(0.5, 1.5)}, {"causes.slow": cause}, noiseless=False
    )
    found = hm.forecast(base, seed=3, runs=32, steps=2)
    caps = np.array(found.draws["causes.slow.law.cap"])
    assert found.n_redrawn >= 16
    assert caps.min() > 1.0
    # What is not refused keeps its law: half of 32 runs keep their strata, others are redrawn.
    assert 1.15 < caps.mean() < 1.35
    assert hm.forecast(base, seed=3, runs=32, steps=2, threads=1) == found


def test_a_scenario_that_refuses_all_draws_says_why() -> None:
    base = scenario({"collective.overlap_fraction": uniform(2.0, 3.0)})
    with pytest.raises(ScenarioError) as caught:
        hm.forecast(base, **SIZE)
    message = str(caught.value)
    assert "unknowns must leave scenarios that are not refused: 100 draws were" in message
    assert "collective.overlap_fraction" in message


# Values


@pytest.mark.parametrize("method", ["order-statistics", "sample"])
def test_any_number_of_threads_makes_the_same_forecast(method: Any) -> None:
    base = scenario(software() | {SIGMA: uniform(1e-3, 5e-3)})
    one, two, seven = (
        hm.forecast(base, **SIZE, method=method, threads=threads) for threads in (1, 2, 7)
    )
    assert one == two == seven
    assert one.inputs["method"] == method


def test_a_forecast_is_a_value() -> None:
    found = hm.forecast(scenario(software()), **SIZE)
    found.runs, found.summary  # noqa: B018
    for one in (copy.copy(found), copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert one == found
        assert one.runs.equals(found.runs)
    assert found != hm.forecast(scenario(software()), **{**SIZE, "seed": 4})
    assert hm.Forecast is Forecast


def test_a_simulation_stays_at_the_values_of_the_scenario() -> None:
    drawn, plain = scenario(software()), scenario({})
    one, other = (hm.simulate(base, seed=1, runs=2, steps=9) for base in (drawn, plain))
    assert all(np.array_equal(one.columns[name], other.columns[name]) for name in one.columns)  # type: ignore[literal-required]


def test_inputs_repeat_a_forecast() -> None:
    found = hm.forecast(scenario(software()), **SIZE)
    inputs = found.inputs
    again = from_table(inputs["scenario"])
    size = {key: inputs[key] for key in ("seed", "runs", "steps")}
    assert hm.forecast(again, **size) == found


def test_a_value_that_is_set_is_known() -> None:
    both = scenario(software() | {SIGMA: uniform(1e-3, 5e-3)})
    assert list(hm.forecast(both, changes={SOFTWARE: 0.5}, **SIZE).unknowns) == [SIGMA]
    assert not hm.forecast(scenario(software()), changes={SOFTWARE: 0.5}, **SIZE).unknowns


def test_statistics_are_over_runs() -> None:
    found = hm.forecast(scenario(software()), **SIZE)
    mfu = found.runs["mfu"].to_numpy()
    assert found.value("mfu", "p5") == pytest.approx(np.quantile(mfu, 0.05), rel=1e-12)
    assert found.value("mfu") == pytest.approx(np.median(mfu), rel=1e-12)
    by_key = {(row["metric"], row["statistic"]): row for row in found.summary.to_dicts()}
    assert list(by_key) == [
        (metric, statistic)
        for metric in ("mfu", "step_time_s")
        for statistic in ("p5", "p50", "p95", "mean")
    ]
    error = by_key["mfu", "mean"]["std_error"]
    assert error == pytest.approx(mfu.std(ddof=1) / math.sqrt(8), rel=1e-12)
    for names in (("mfu", "p99"), ("stall_s", "p5")):
        with pytest.raises(KeyError, match="must be one of"):
            found.value(*names)


def test_the_error_of_a_quantile_is_that_of_independent_numbers() -> None:
    rng = np.random.default_rng(5)
    for share in (0.05, 0.5, 0.95):
        samples = np.sort(rng.random((2000, 64)), axis=1)
        spread = np.quantile(samples, share, axis=1).std()
        stated = np.mean([quantile_error(one, share) for one in samples])
        assert 0.85 < stated / spread < 1.25
    assert quantile_error(np.full(9, 0.3), 0.05) == 0.0
    # Of two numbers each one is the lesser of two draws with probabilities 3/4 and 1/4.
    assert quantile_error(np.array([1.0, 2.0]), 0.5) == pytest.approx(math.sqrt(3) / 4, rel=1e-9)


# Calls


def test_all_problems_of_a_call_are_told_at_once() -> None:
    with pytest.raises(ScenarioError) as caught:
        hm.forecast(
            "h100-1k",
            runs=1,
            steps=0,
            seed=-1,
            threads=0,
            method="best",  # type: ignore[arg-type]
            changes={"pools.h100.n_gpu": 1},
        )
    told = str(caught.value)
    for path in ("runs", "steps", "seed", "threads", "method", "pools.h100.n_gpu"):
        assert f"{path} " in told
    assert "runs must be an integer from 2 to 65536, got 1" in told


def test_a_replica_law_is_not_simulated_for_each_draw() -> None:
    with pytest.raises(ScenarioError, match="method must be auto or sample"):
        hm.forecast("llama3-405b-8192", method="order-statistics", runs=2, steps=1)


@pytest.mark.parametrize("threads", [1, 2])
def test_progress_is_told_and_may_stop_it(threads: int) -> None:
    base = scenario(software())
    told: list[tuple[int, int]] = []
    hm.forecast(base, **SIZE, threads=threads, progress=lambda *done: told.append(done))
    assert told[-1] == (8, 8)

    def stop(*_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hm.forecast(base, **SIZE, threads=threads, progress=stop)
