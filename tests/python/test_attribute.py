"""Attributions: coalitions against fresh simulations, planted cases, and what is said of them."""

from __future__ import annotations

import csv
import itertools
import json
import pickle
import random
import time
import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.python.test_ideals import BARRIER, MIXED
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost import _core
from hindmost.analyses.lattice import Lattice, Size, coalitions, lattice
from hindmost.analyses.mechanisms import changes_of, players
from hindmost.analyses.shapley import shapley
from hindmost.attributed import Attribution
from hindmost.cli import cli
from hindmost.compiled import Compiled
from hindmost.engines import Method, Reason
from hindmost.errors import ScenarioError
from hindmost.scenario import from_table
from hindmost.scenario.ideal import MECHANISMS, in_words

SIZE: dict[str, Any] = {"seed": 3, "runs": 3, "steps": 12}

FAILURES: dict[str, Any] = {
    "failures.node": {"scope": "node", "per_hour": 1e-3, "repair_hours": 10.0},
    "recovery": {"restart_s": 600.0, "spares": 64},
    "checkpoint": {"blocking_s": 30.0},
}
STALLING_PORTS: dict[str, Any] = {
    "causes.port": {
        "law": {"name": "exponential", "mean": 0.5},
        "affects": "network",
        "effect": "stall",
        "scope": "gpu",
        "span": "step",
        "probability": 1e-4,
    },
    "fabric.hop_noise": {"name": "exponential", "mean": 0.5, "shift": 0.5},
}

KINDS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "frozen": (COLOSSUS_1_BARE, {"pools.gb200.software_efficiency": 0.7}, {}),
    "ports that stall": ("h100-1k", STALLING_PORTS, {}),
    "sampled": ("h100-1k", {**STALLING_PORTS, "causes.port.units": [3]}, {"exact": True}),
    "smoothed": (COLOSSUS_1_BARE, {"pools.gb200.smoothing": {"seconds_per_transition": 5.0}}, {}),
    "stages": (from_table(MIXED, "mixed"), {}, {}),
    "mixed stages": (from_table(MIXED, "mixed"), {"layout.placement": "mixed"}, {}),
}


def lattice_of(found: Attribution) -> Lattice:
    """Return the values of all coalitions that an attribution was made of."""
    base, inputs = hm.compile(found.scenario), found.inputs
    size = Size(
        method=inputs["method"],
        seed=inputs["seed"],
        runs=inputs["runs"],
        steps=inputs["steps"],
        days=inputs["days"] or 1.0,
    )
    return lattice(base, players(base.scenario, base.plan, inputs["by"]), size, threads=2)


@pytest.mark.parametrize("kind", KINDS)
def test_coalitions_are_fresh_simulations_byte_for_byte(kind: str) -> None:
    given, changes, call = KINDS[kind]
    found = hm.attribute(given, changes=changes, **SIZE, **call)
    base = hm.compile(given, changes)
    method = found.inputs["method"]
    values = lattice_of(found)
    everyone = coalitions(values.step_players)
    chosen = [everyone[0], everyone[-1], *random.Random(7).sample(everyone, min(20, len(everyone)))]
    for coalition in chosen:
        fresh = hm.simulate(
            base.scenario, changes=changes_of(base.scenario, coalition), **SIZE, method=method
        )
        compiled = base.with_changes(changes_of(base.scenario, coalition))
        (times,) = step_times(base, coalition, method)
        assert times.tobytes() == fresh.columns["step_time_s"].tobytes()
        assert compiled.plan == fresh.plan
        place = tuple(int(player in coalition) for player in values.step_players)
        mfu = next(fresh.replicates("mfu"))
        np.testing.assert_allclose(values.mfu[place], [mfu.value, *mfu.left_out], rtol=1e-13)


def step_times(base: Compiled, coalition: Any, method: Method) -> list[Any]:
    """Return the step times of a coalition, by the ranks of its part on ranks alone."""
    of_ranks = [player for player in coalition if player.side == "compute"]
    ranks = base.with_changes(changes_of(base.scenario, of_ranks))
    network = base.with_changes(changes_of(base.scenario, coalition))
    # Drawn with other ranks: only those who act on ports.
    on_ports = [player for player in coalition if player.on_ports]
    drawn = base.with_changes(changes_of(base.scenario, on_ports)).simulate_steps(
        **SIZE, method=method, terms=True
    )
    networks: list[_core.Network] = [
        {
            "plan": network.core,
            "port_slowdown": drawn.columns["port_slowdown"],
            "port_stall_s": drawn.columns["port_stall_s"],
            "hop_factor": drawn.columns["hop_factor"],
        }
    ]
    if method == "sample":
        return _core.sample_step_times(ranks.core, networks, **SIZE, threads=2)
    assert not isinstance(ranks.exact, Reason)
    return ranks.exact.step_times(networks, **SIZE, threads=2)


SMOOTHING: dict[str, Any] = {
    "pools.h100.smoothing": {"seconds_per_transition": 2.0, "failures_per_transition": 1e-3}
}


@pytest.mark.parametrize("more", [{}, SMOOTHING], ids=["as it is", "smoothed"])
def test_fleet_mfu_of_coalitions_is_that_of_fresh_simulations(more: dict[str, Any]) -> None:
    changes = {**FAILURES, **STALLING_PORTS, **more}
    found = hm.attribute("h100-1k", changes=changes, days=3.0, **SIZE)
    values = lattice_of(found)
    assert values.fleet_mfu is not None
    everyone = (*values.step_players, *values.run_players)
    assert [player.name for player in values.run_players] == ["failures", "idle"]
    assert ("power_smoothing" in [player.name for player in everyone]) == bool(more)
    base = hm.load("h100-1k", changes)
    for coalition in random.Random(3).sample(coalitions(everyone), 20):
        fresh = hm.simulate(base, changes=changes_of(base, coalition), days=3.0, **SIZE)
        place = tuple(int(player in coalition) for player in everyone)
        fleet_mfu = next(fresh.replicates("fleet_mfu"))
        expected = [fleet_mfu.value, *fleet_mfu.left_out]
        np.testing.assert_allclose(values.fleet_mfu[place], expected, rtol=1e-13)
        account = fresh.account
        assert account is not None
        assert account.P is not None
        product = account.S * account.R * account.P
        assert values.fleet_mfu[place][0] == pytest.approx(product, rel=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_add_up_and_what_is_not_there_costs_exactly_nothing(kind: str) -> None:
    given, changes, call = KINDS[kind]
    found = hm.attribute(given, changes=changes, **SIZE, **call)
    for metric in found.metrics:
        (value, _), (ideal, _) = found.ends(metric)
        shares = [share for share in found.shares if share.metric == metric]
        assert sum(share.shapley for share in shares) == pytest.approx(ideal - value, abs=1e-12)
        assert ideal == pytest.approx(1, abs=1e-12)
    absent = [share for share in found.shares if share.mechanism in found.absent]
    assert all(share.shapley == share.alone == share.last == 0 for share in absent)
    assert all(share.std_error == 0 for share in absent)
    if found.inputs["by"] == "mechanism":
        names = {share.mechanism for share in found.shares if share.metric == "mfu"}
        assert names == {one.name for one in MECHANISMS if one.side != "run"}


def test_what_is_called_absent_changes_no_step() -> None:
    found = hm.attribute(COLOSSUS_1_BARE, **SIZE)
    base = hm.compile(COLOSSUS_1_BARE)
    assert set(found.absent) == {
        "fail_slow",
        "software_mismatch",
        "sequence_imbalance",
        "layer_barriers",
        "power_smoothing",
        "stage_imbalance",
        "pipeline_bubble",
    }
    for one in MECHANISMS:
        if one.name in found.absent:
            assert base.with_changes({one.path: True}).plan.arguments == base.plan.arguments


def test_slow_software_that_slack_hides() -> None:
    slow = {"pools.gb200.software_efficiency": 0.5}
    found = hm.attribute(COLOSSUS_1_BARE, changes=slow, seed=0, runs=8, steps=1000)
    share = found.share("software_mismatch")
    assert share.alone == 0
    assert share.shapley == pytest.approx(0.030, abs=0.002)


def test_transitions_of_power_that_slack_hides() -> None:
    smoothed = {"pools.gb200.smoothing": {"seconds_per_transition": 3.0}}
    found = hm.attribute(COLOSSUS_1_BARE, changes=smoothed, **SIZE)
    share = found.share("power_smoothing")
    assert share.alone == 0
    # With all else ideal, all ranks take as long at their peak, and one pool stops for 3 s.
    at_peak_s = hm.compile(COLOSSUS_1_BARE).plan.peak_step_s
    assert share.last == pytest.approx(3 / (at_peak_s + 3), rel=1e-6)
    assert 0 < share.shapley < share.last


def test_exchange_and_network_of_the_frozen_scenario() -> None:
    found = hm.attribute(COLOSSUS_1_BARE, seed=0, runs=8, steps=1000)
    assert found.share("exchange_inside").shapley == pytest.approx(0.114, abs=0.002)
    bandwidth = found.share("collective_bandwidth")
    assert bandwidth.alone == pytest.approx(0.002, abs=0.0005)
    assert bandwidth.last == pytest.approx(0.356, abs=0.001)
    assert found.inputs["method"] == "order-statistics"


GPUS = 8
STEPS = 4000


def planted() -> hm.Scenario:
    """Return eight GPUs with stalls, pauses and communication of worked sizes, at half the peak.

    In units of what they compute: the longest of eight exponential stalls of mean 1, a pause of
    0.5 and collectives of 0.2, nothing hidden.
    """
    table: dict[str, Any] = {
        "name": "planted",
        "pools": {"a": {"gpu": "h100-sxm", "n_gpus": GPUS, "kernel_efficiency": 0.5}},
        "fabric": {"name": "infiniband-ndr"},
        "workload": {
            "model": "llama3-8b",
            "seq_len": 1024,
            "microbatch_seqs": 1,
            "n_microbatches": 4,
        },
        "layout": {"sharding": "zero1"},
        "collective": {"overlap_fraction": 0.0, "n_buckets": 1},
        "ideal": {"collective_bandwidth": True},
    }
    scenario = from_table(table, "planted")
    plan = hm.compile(scenario).plan
    (pool,) = plan.pools
    latency_s = sum(term.cost.latency_s for term in pool.terms)
    compute_s = pool.compute.step_s
    stall: dict[str, Any] = {"affects": "compute", "effect": "stall", "span": "step"}
    changes: dict[str, Any] = {
        "fabric.noise.enabled": False,
        "causes.stall": {**stall, "scope": "gpu", "law": exponential(compute_s)},
        "causes.pause": {**stall, "scope": "cluster", "law": constant(0.5 * compute_s)},
    }
    hop_s = scenario.pools["a"].figure("scale_up_latency_s")
    assert hop_s is not None
    # Within one domain, where collectives go over scale-up links.
    changes["pools.a.scale_up_latency_s"] = hop_s * 0.2 * compute_s / latency_s
    return hm.with_changes(scenario, changes)


def exponential(mean: float) -> dict[str, Any]:
    return {"name": "exponential", "mean": mean}


def constant(value: float) -> dict[str, Any]:
    return {"name": "constant", "value": value}


def test_a_planted_case_has_its_worked_values() -> None:
    scenario = planted()
    found = hm.attribute(scenario, by="cause", seed=1, runs=8, steps=STEPS)
    of_coalitions = lattice_of(found)
    names = [player.name for player in of_coalitions.step_players]
    assert names == ["kernel_efficiency", "stalls: stall", "stalls: pause", "collective_latency"]
    # Half of the peak is what the worked case begins with.
    values = of_coalitions.mfu[0]
    assert values[1, 1, 1][0] == pytest.approx(0.5, rel=1e-12)
    shares = shapley(values)
    errors = np.sqrt(7 / 8 * ((shares[:, 1:] - shares[:, 1:].mean(axis=1)[:, None]) ** 2).sum(1))
    for share, error, worked in zip(
        shares[:, 0], errors, (0.266124, 0.083452, 0.037247), strict=True
    ):
        assert abs(share - worked) < 4 * error + 1e-6
    assert errors.max() < 0.002


def test_errors_are_those_of_leaving_out_each_run_of_all_coalitions() -> None:
    scenario = planted()
    found = hm.attribute(scenario, by="cause", seed=1, runs=5, steps=50)
    base = hm.compile(scenario)
    step_players = lattice_of(found).step_players
    everyone = coalitions(step_players)
    times = [
        base.with_changes(changes_of(scenario, coalition))
        .simulate_steps(seed=1, runs=5, steps=50)
        .columns["step_time_s"]
        .reshape(5, -1)
        for coalition in everyone
    ]
    peak_s = base.plan.peak_step_s

    def of(runs: list[int]) -> Any:
        values = np.array([peak_s / rows[runs].mean() for rows in times])
        return shapley(values.reshape(*(2,) * len(step_players), 1))[:, 0]

    left_out = np.array([of([run for run in range(5) if run != out]) for out in range(5)])
    errors = np.sqrt(4 / 5 * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    shares = found.shares[: len(errors)]
    found_errors = np.array([share.std_error for share in shares], dtype=float)
    np.testing.assert_allclose(found_errors, errors, rtol=1e-6, atol=1e-15)
    np.testing.assert_allclose([share.shapley for share in shares], of(list(range(5))), rtol=1e-12)


def test_one_run_has_no_errors() -> None:
    found = hm.attribute("h100-1k", seed=1, runs=1, steps=5)
    there = [share for share in found.shares if share.mechanism not in found.absent]
    assert all(share.std_error is None for share in there)
    assert found.frame["std_error"].dtype.is_float()


MORE = {
    "slowdown": {"effect": "slowdown", "law": {"name": "uniform", "low": 1.0, "high": 1.2}},
    "stall": {"effect": "stall", "law": exponential(0.3)},
}


@pytest.mark.parametrize("effect", MORE)
@pytest.mark.parametrize("affects", ["compute", "network"])
@pytest.mark.parametrize("scope", ["gpu", "node", "cluster"])
def test_no_step_is_shorter_with_one_more_slowdown_or_stall(
    effect: str, affects: str, scope: str
) -> None:
    more = {**MORE[effect], "affects": affects, "scope": scope, "span": "step", "probability": 0.3}
    for name, given in (("barrier", BARRIER), ("stages", MIXED)):
        scenario = from_table(given, name)
        for ideals in itertools.product((False, True), repeat=2):
            names = ("ideal.kernel_efficiency", "ideal.exchange_inside")
            changes: dict[str, Any] = dict(zip(names, ideals, strict=True))
            size: dict[str, Any] = {"seed": 5, "runs": 2, "steps": 8, "method": "sample"}
            before = hm.simulate(scenario, changes=changes, **size).columns["step_time_s"]
            changes = {**changes, "causes.more": more}
            after = hm.simulate(scenario, changes=changes, **size).columns["step_time_s"]
            assert np.all(after >= before)


def test_a_share_that_there_is_not_is_told_with_those_there_are() -> None:
    found = hm.attribute("h100-1k", **SIZE)
    assert found.share("GPU spread") == found.share("gpu_spread")
    with pytest.raises(KeyError, match='did you mean "residual"'):
        found.share("residul")
    with pytest.raises(ScenarioError, match="metric must be one of mfu"):
        found.share("residual", "fleet_mfu")


def test_what_is_ideal_already_is_told_apart_from_what_is_not_there() -> None:
    said = said_by(*CALL, "--set", "ideal.network_noise=true")
    assert "Ideal in this scenario already: network noise." in said
    (absent,) = (line for line in said.splitlines() if line.startswith("Not there"))
    assert "network noise" not in absent


def test_it_is_divided_by_causes() -> None:
    by_mechanism = hm.attribute(COLOSSUS_1_BARE, **SIZE)
    by_cause = hm.attribute(COLOSSUS_1_BARE, by="cause", **SIZE)
    names = [player.name for player in lattice_of(by_cause).step_players]
    assert [name for name in names if name.startswith("stalls")] == [
        "stalls: stall",
        "stalls: pause",
    ]
    # All of a mechanism's causes gone is the mechanism ideal.
    assert by_cause.ends("mfu") == by_mechanism.ends("mfu")
    noisy = hm.attribute("h100-1k", changes=STALLING_PORTS, by="cause", **SIZE)
    names = [player.name for player in lattice_of(noisy).step_players]
    assert "network_noise: fabric.hop_noise" in names
    assert noisy.share("network_noise: fabric.hop_noise").shapley > 0


def test_what_is_ideal_already_is_no_player() -> None:
    changes = {"ideal.kernel_efficiency": True, "ideal.causes": ["pause"]}
    found = hm.attribute(COLOSSUS_1_BARE, changes=changes, by="cause", **SIZE)
    names = [player.name for player in lattice_of(found).step_players]
    assert "kernel_efficiency" not in names
    assert "stalls" in names
    assert found.ends("mfu")[1][0] == pytest.approx(1, abs=1e-12)


def test_sampled_mechanisms_are_grouped_unless_told_apart() -> None:
    scenario = from_table(MIXED, "mixed")
    grouped = hm.attribute(scenario, seed=1, runs=2, steps=3)
    assert grouped.inputs["by"] == "group"
    assert list(grouped.groups) == ["mix", "speed", "variation", "schedule", "network"]
    # Two of the sixteen groups' coalitions on ranks and on ports each draw the ports anew.
    assert grouped.n_simulations == 16 + 4
    assert "20 simulations instead of" in grouped.grouped
    told: list[tuple[int, float]] = []
    apart = hm.attribute(
        scenario,
        exact=True,
        seed=1,
        runs=2,
        steps=1,
        announce=lambda *what: told.append(what),
        changes={"ideal.kernel_efficiency": True, "ideal.software_mismatch": True},
    )
    assert apart.inputs["by"] == "mechanism"
    assert apart.grouped == ""
    ((n_simulations, seconds),) = told
    assert n_simulations == apart.n_simulations
    assert seconds > 0
    assert apart.ends("mfu")[1] == grouped.ends("mfu")[1]


def test_few_sampled_coalitions_are_told_apart() -> None:
    table = {**BARRIER, "pools": {"a": BARRIER["pools"]["a"]}}
    changes = {"ideal.kernel_efficiency": True, "ideal.recompute_and_overhead": True}
    call: dict[str, Any] = {"method": "sample", "seed": 1, "runs": 2, "steps": 2}
    found = hm.attribute(from_table(table, "few"), changes=changes, **call)
    assert found.inputs["by"] == "mechanism"
    assert found.n_simulations <= 64


def test_all_ideal_mixed_stages_of_whole_runs_are_the_peak() -> None:
    table = {
        **MIXED,
        "layout": {**MIXED["layout"], "placement": "mixed", "pipeline": 8},
        "causes": {},
        "failures": {"job": {"scope": "job", "per_hour": 0.01}},
        "recovery": {"restart_s": 300},
    }
    found = hm.attribute(from_table(table, "mixed"), seed=1, runs=2, steps=2, days=1.0)
    assert found.ends("fleet_mfu")[1][0] == pytest.approx(1, abs=1e-12)


def test_measured_passes_are_those_of_the_software() -> None:
    pool = {**BARRIER["pools"]["a"], "forward_s": 0.3, "backward_s": 0.9}
    found = []
    for software in (1.0, 0.5):
        table = {**BARRIER, "pools": {"a": {**pool, "software_efficiency": software}}}
        found.append(hm.attribute(from_table(table, "measured"), seed=1, runs=2, steps=2))
    assert found[0].shares == found[1].shares
    assert "software_mismatch" in found[1].absent


@pytest.mark.timed
def test_what_stops_a_simulation_stops_all_of_them_soon() -> None:
    class StopError(Exception):
        pass

    def stop(done: int, total: int) -> None:
        del done, total
        raise StopError

    started = time.monotonic()
    with pytest.raises(StopError):
        # Each coalition takes seconds, and the first call comes after one of them.
        hm.attribute(COLOSSUS_1_BARE, seed=1, runs=4, steps=40_000, threads=2, progress=stop)
    first_s = time.monotonic() - started
    assert first_s < 10


@pytest.mark.timed
def test_an_error_stops_the_others() -> None:
    compiled = hm.compile(COLOSSUS_1_BARE)
    slow = {"causes.gpu-speed.law.cap": 1.07}

    def keep(result: hm.Result) -> None:
        if result.scenario.causes["gpu-speed"].law.cap != 1.07:
            raise ZeroDivisionError

    started = time.monotonic()
    size: dict[str, Any] = {"seed": 1, "runs": 1, "steps": 400, "method": "sample", "threads": 2}
    with pytest.raises(ZeroDivisionError):
        # The second one is done at once, and its error ends the first, which takes a minute.
        compiled.many([slow, {"pools.h100.n_gpus": 8}], keep=keep, **size)
    assert time.monotonic() - started < 5


def test_threads_and_repetition_change_nothing() -> None:
    found = [
        hm.attribute("h100-1k", changes=STALLING_PORTS, threads=threads, **SIZE)
        for threads in (1, 2, 7)
    ]
    assert found[0].shares == found[1].shares == found[2].shares
    assert pickle.loads(pickle.dumps(found[0])).shares == found[0].shares


def test_wrong_calls_are_told_all_at_once() -> None:
    call: dict[str, Any] = {"by": "causes", "runs": 0, "days": 3.0, "seed": -1}
    with pytest.raises(ScenarioError) as raised:
        hm.attribute("h100-1k", **call)
    said = str(raised.value)
    for path in ("by", "runs", "days", "seed"):
        assert path in said
    with pytest.raises(ScenarioError, match="method cannot be exact here"):
        hm.attribute(from_table(MIXED, "mixed"), method="order-statistics")
    many = {
        f"causes.more-{k}": {
            **MORE["stall"],
            "affects": "compute",
            "scope": "cluster",
            "span": "step",
        }
        for k in range(14)
    }
    with pytest.raises(ScenarioError, match="must need at most 16,384 simulations"):
        hm.attribute("h100-1k", changes=many, by="cause")


def said_by(*arguments: str) -> str:
    found = CliRunner().invoke(cli, ["attribute", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


CALL = ("h100-1k", "--seed", "3", "--runs", "3", "--steps", "12")


def test_every_format_says_the_same() -> None:
    failures = [f"--set={key}={toml(value)}" for key, value in FAILURES.items()]
    document = json.loads(said_by(*CALL, *failures, "--interactions", "--format", "json"))
    found = hm.attribute("h100-1k", changes=FAILURES, **SIZE)
    assert document == json.loads(json.dumps(found.document(interactions=True)))
    rows = list(csv.DictReader(said_by(*CALL, *failures, "--format", "csv").splitlines()))
    assert [row["mechanism"] for row in rows] == [share.mechanism for share in found.shares]
    assert [float(row["shapley"]) for row in rows] == [share.shapley for share in found.shares]
    for one in (document, document["fleet_mfu"]):
        rows = one["mechanisms"]
        gained = sum(row["shapley"] for row in rows)
        assert one["from"] + gained == pytest.approx(one["to"], abs=1e-12)
        assert {"mechanism", "shapley", "alone", "last", "std_error"} <= set(rows[0])
        assert {row["mechanism"] for row in rows} <= {each.name for each in MECHANISMS}
        assert {pair["first"] for pair in one["interactions"]} < {row["mechanism"] for row in rows}
    table = said_by(*CALL, *failures)
    markdown = said_by(*CALL, *failures, "--format", "markdown")
    for share in found.shares:
        assert in_words(share.mechanism) in table
        assert in_words(share.mechanism) in markdown
    (value, _), (ideal, _) = found.ends("fleet_mfu")
    assert f"fleet MFU {value:.4f}, all ideal {ideal:.4f}" in table


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    text = json.dumps(value)
    assert tomllib.loads(f"x = {text}")["x"] == value
    return text


def test_a_grouped_table_says_so() -> None:
    table = said_by("colossus-1-pp16", "--seed", "1", "--runs", "2", "--steps", "2")
    assert "Mechanisms are grouped" in table
    assert "--exact tells them apart" in table
    assert "schedule: stage imbalance, pipeline bubble" in table


def test_fleet_mfu_is_not_told_without_failures() -> None:
    assert "Without [failures] there are no whole runs" in said_by(*CALL)
    found: Attribution = hm.attribute("h100-1k", **SIZE)
    assert set(found.metrics) == {"mfu"}


def test_many_changes_are_simulated_as_each_one_is() -> None:
    compiled = hm.compile("h100-1k")
    slower = {"pools.h100.software_efficiency": 0.9}
    changes: list[dict[str, Any]] = [{}, {"ideal.stalls": True}, slower]
    for threads in (1, 2, 5):
        found = compiled.many(changes, threads=threads, **SIZE)
        for result, change in zip(found, changes, strict=True):
            assert result == compiled.simulate(changes=change, **SIZE)
    kept = compiled.many(changes, keep=lambda result: result.value("mfu"), **SIZE)
    assert kept == [result.value("mfu") for result in found]
    assert compiled.many([]) == []
    drawn = compiled.many([{}, {}], runs=2, steps=5)
    assert drawn[0] == drawn[1]


def test_many_names_the_changes_that_are_wrong() -> None:
    compiled = hm.compile("h100-1k")
    with pytest.raises(ScenarioError, match=r"changes 1: pools\.h100\.n_gpu is not a known key"):
        compiled.many([{}, {"pools.h100.n_gpu": 3}, {}], threads=2, **SIZE)
    with pytest.raises(ScenarioError) as raised:
        compiled.many([{"x": 1}, {}, {"y": 2}])
    assert "changes 0: x is not" in str(raised.value)
    assert "changes 2: y is not" in str(raised.value)
    wrong: Any
    for wrong in (None, 3, {"pools.h100.n_gpus": 8}, "pools"):
        with pytest.raises(ScenarioError, match="changes must be a list of changes"):
            compiled.many(wrong)
    with pytest.raises(ScenarioError, match="days must be"):
        compiled.many([{}], days=-1)
    with pytest.raises(ScenarioError, match="threads must be an integer"):
        compiled.many([{}], threads=0)


def test_many_tells_how_many_are_done() -> None:
    compiled = hm.compile("h100-1k")
    for threads in (1, 2):
        seen: list[int] = []
        compiled.many([{}] * 3, threads=threads, progress=_seen(seen), **SIZE)
        # Some may be done at the same time.
        assert seen == sorted(set(seen))
        assert seen[-1] == 3


def _seen(numbers: list[int]) -> Callable[[int, int], None]:
    def see(done: int, total: int) -> None:
        assert total == 3
        numbers.append(done)

    return see


def test_players_of_a_job_of_one_pool_and_no_causes() -> None:
    table = {**BARRIER, "pools": {"a": BARRIER["pools"]["a"]}, "causes": {}}
    table["workload"] = {
        **BARRIER["workload"],
        "recompute": "none",
        "overhead_s": 0.0,
        "model": "llama3-8b",
        "n_microbatches": 1,
    }
    table["layout"] = {"sharding": "zero3"}
    base = hm.compile(from_table(table, "plain"))
    names = [player.name for player in players(base.scenario, base.plan)]
    assert names[0] == "kernel_efficiency"
    assert set(names) <= {
        "kernel_efficiency",
        "collective_latency",
        "collective_bandwidth",
        "network_noise",
    }
