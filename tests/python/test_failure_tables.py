"""Tables of failures, recovery and checkpoints: what they mean, and what is said of wrong ones."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gamma
from tests.plans import counts

import hindmost as hm
from hindmost.law import LawModel
from hindmost.scenario import Counts, bases, from_table, not_modelled, scenario_warnings, to_table
from hindmost.scenario.areas import areas_of
from hindmost.scenario.counts import block_gpus, used_domain_gpus
from hindmost.scenario.file_schema import file_schema
from hindmost.scenario.models import Layout, Pool
from hindmost.scenario.places import places
from hindmost.scenario.reliability import Checkpoint, GlobalCheckpoint, Recovery, UnitFailures

Changes = dict[str, Any]

HOST = """
[failures.host]
scope = "node"
per_hour = 2e-5
[recovery]
restart_s = 600
[checkpoint]
blocking_s = 30
"""
WHOLE = """
[failures.host]
scope = "node"
pools = ["h100"]
per_hour = 2e-5
law = { name = "weibull", shape = 0.7 }
ages = "new"
repair_hours = { name = "lognormal", sigma = 0.5, median = 12 }
rate_spread = 0.3
[failures.leaf]
scope = "switch"
unit_gpus = 512
per_hour = 1e-6
repair_hours = 4
enabled = false
[failures.software]
scope = "job"
per_hour = 0.01
[recovery]
detection_s = 60
restart_s = 600
restart_per_doubling_s = 5
restart_can_fail = false
spares = 16
swap_s = 30
exhausted = "shrink"
regrow = "checkpoint"
replica_level = true
replica_stall_s = 120
watchdog_s = 900
[checkpoint]
interval_s = 900
blocking_s = 30
durable_s = 60
[checkpoint.global]
every = 20
blocking_s = 60
durable_s = 120
restart_s = 900
scopes = ["rack", "domain", "job"]
"""

# What is said of the key that the line sets.
KEYS = {
    'failures.host.scope = "host"': "must be gpu, node, domain, rack, switch, cube or job, "
    'got "host"',
    'failures.host.scope = "cube"': 'needs [slices], got "cube"; '
    "[slices] says how many hosts a cube has",
    "failures.host.scope = 3": "must be gpu, node, domain, rack, switch, cube or job, got 3",
    "failures.host.per_hour = -0.5": "must be >= 0, got -0.5",
    "failures.host.per_hour = 2e6": "must be <= 1e+06, got 2000000",
    "failures.host.per_hour = nan": "must be finite, got nan",
    'failures.host.per_hour = "often"': 'must be a number, got "often"',
    "failures.host.per_hours = 0.5": 'is not a known key; did you mean "per_hour"?',
    "failures.host.pools = []": "must name at least one pool",
    'failures.host.pools = "h100"': 'must be a list, got "h100"',
    'failures.host.pools = ["h10"]': "must name pools of this scenario, "
    'got "h10"; did you mean "h100"?',
    "failures.host.unit_gpus = 0": "must be >= 1, got 0",
    "failures.host.unit_gpus = 512": "must be left out where scope is node, got 512",
    'failures.host.law = "weibull"': 'must be a table, got "weibull"',
    'failures.host.ages = "old"': 'must be equilibrium or new, got "old"',
    'failures.host.repair_hours = "long"': 'must be a number of hours >= 0, or a law, got "long"',
    "failures.host.repair_hours = true": "must be a number of hours >= 0, or a law, got true",
    "failures.host.repair_hours = [1]": "must be a number of hours >= 0, or a law, got [1]",
    "failures.host.repair_hours = inf": "must be a number of hours >= 0, or a law, got inf",
    "failures.host.repair_hours = -1": "must be >= 0, got -1",
    "failures.host.rate_spread = 5.5": "must be <= 5, got 5.5",
    "failures.host.rate_spread = -0.5": "must be >= 0, got -0.5",
    "failures.host.enabled = 1": "must be true or false, got 1",
    "failures.host = 8": "must be a table, got 8; [failures.NAME] holds such keys",
    "failures.hots.enabled = false": 'is not a known name of failures; did you mean "host"?',
    "recovery.detection_s = -1": "must be >= 0, got -1",
    "recovery.restart_s = -1": "must be >= 0, got -1",
    "recovery.restart_per_doubling_s = -1": "must be >= 0, got -1",
    "recovery.restart_can_fail = 1": "must be true or false, got 1",
    "recovery.spares = -8": "must be >= 0, got -8",
    "recovery.spares = 8.0": "must be an integer, got 8.0",
    "recovery.spares = 12": "must be a multiple of 8, the fewest GPUs of pool h100 (h100-sxm) "
    "that are whole nodes and whole tensor groups of a domain, got 12",
    "pools.h100.spares = 4": "must be a multiple of 8, the fewest GPUs of pool h100 (h100-sxm) "
    "that are whole nodes and whole tensor groups of a domain, got 4",
    "pools.h100.spares = -8": "must be >= 0, got -8",
    "recovery.swap_s = inf": "must be finite, got inf",
    'recovery.exhausted = "stop"': 'must be wait or shrink, got "stop"',
    'recovery.regrow = "never"': 'must be restart or checkpoint, got "never"',
    "recovery.replica_level = 1": "must be true or false, got 1",
    "recovery.replica_stall_s = -1": "must be >= 0, got -1",
    "recovery.watchdog_s = 0": "must be > 0, got 0",
    "recovery.spare = 8": 'is not a known key; did you mean "spares"?',
    'checkpoint.interval_s = "soon"': 'must be a number of seconds > 0, or "best", got "soon"',
    "checkpoint.interval_s = 0": 'must be a number of seconds > 0, or "best", got 0',
    "checkpoint.interval_s = inf": 'must be a number of seconds > 0, or "best", got inf',
    "checkpoint.interval_s = true": 'must be a number of seconds > 0, or "best", got true',
    "checkpoint.interval_s = { every = 9 }": 'must be a number of seconds > 0, or "best", '
    "got {'every': 9}",
    "checkpoint.blocking_s = -1": "must be >= 0, got -1",
    "checkpoint.durable_s = -1": "must be >= 0, got -1",
    "checkpoint.globl = 3": 'is not a known key; did you mean "global"?',
    "checkpoint.global = 3": "must be a table, got 3",
}

TWENTIETH = "every = 20, blocking_s = 60"
SCOPE = "must be gpu, node, domain, rack, switch, cube or job"
NO_NAME = (
    "name is missing; there is constant, lognormal, exponential, gamma, weibull, normal, pareto, "
    "uniform, log-uniform, empirical, tabulated, mixture"
)

# All that is said, where a line leads to another key or to several problems.
ELSEWHERE = {
    'failures.host.law = { name = "weibull" }': ["failures.host.law.shape is missing"],
    'failures.host.law = { name = "weibull", shape = 0.5 }': [
        "failures.host.law.shape must be >= 0.52, got 0.5"
    ],
    'failures.host.law = { name = "weibull", shape = 20.5 }': [
        "failures.host.law.shape must be <= 20, got 20.5"
    ],
    'failures.host.law = { name = "weibull", shape = 2, scale = 9 }': [
        "failures.host.law.scale is not a known key; the mean is 1 / per_hour"
    ],
    'failures.host.law = { name = "exponential", mean = 9 }': [
        "failures.host.law.mean is not a known key; the mean is 1 / per_hour"
    ],
    'failures.host.law = { name = "exponential", cap = 9 }': [
        "failures.host.law.cap is not a known key; there is name, shape"
    ],
    'failures.host.law = { name = "exponential", shape = 2 }': [
        "failures.host.law.shape must be left out where name is exponential, got 2; "
        'name = "weibull" has one'
    ],
    'failures.host.law = { name = "weibul", shape = 2 }': [
        'failures.host.law.name must be exponential or weibull, got "weibul"; '
        'did you mean "weibull"?'
    ],
    "failures.host.law.shape = 2": ["failures.host.law.name is missing"],
    "failures.host.repair_hours = {}": [f"failures.host.repair_hours.{NO_NAME}"],
    "failures.host.repair_hours = { mean = 1 }": [f"failures.host.repair_hours.{NO_NAME}"],
    'failures.host.repair_hours = { name = "gama" }': [
        'failures.host.repair_hours.name must be the name of a law, got "gama"; '
        'did you mean "gamma"?'
    ],
    'failures.host.repair_hours = { name = "lognormal", sigm = 1 }': [
        "failures.host.repair_hours.sigma is missing",
        'failures.host.repair_hours.sigm is not a known key; did you mean "sigma"?',
    ],
    'failures.host.repair_hours = { name = "lognormal", sigma = -0.2 }': [
        "failures.host.repair_hours.sigma must be finite and >= 0, got -0.2"
    ],
    'failures.host.repair_hours = { name = "pareto", alpha = 1.5 }': [
        "failures.host.repair_hours.alpha must be > 2, or the law must have a cap, because its "
        "variance is infinite, got 1.5"
    ],
    "failures.new = {}": [
        "failures.new.scope is missing",
        "failures.new.per_hour is missing",
    ],
    'failures.H = { scope = "gpu", per_hour = 1 }': [
        'failures.H must have a name of a-z, 0-9 and - only, got "H"'
    ],
    'failures.host.pools = ["H"]': [
        'failures.host.pools.0 must have a name of a-z, 0-9 and - only, got "H"'
    ],
    'failures.host.scope = "rack"': [
        "pools.h100.rack_gpus is missing, and failures.host has scope rack"
    ],
    'failures.host.scope = "rack"\npools.h100.rack_gpus = 12': [
        "pools.h100.rack_gpus must be a multiple of 8, a node, and failures.host has scope rack, "
        "got 12"
    ],
    'failures.host.scope = "switch"': [
        "failures.host.unit_gpus is missing, and failures.host has scope switch; "
        "give the GPUs below one switch"
    ],
    'failures.host.scope = "switch"\nfailures.host.unit_gpus = 12': [
        "failures.host.unit_gpus must be a multiple of 8, a node of pool h100 (h100-sxm), got 12"
    ],
    'failures.host.scope = "job"\nfailures.host.pools = ["a"]\nfailures.host.rate_spread = 1\n'
    "failures.host.repair_hours = 12": [
        "failures.host.pools must be left out where scope is job, which is one unit over all "
        'pools, got ["a"]',
        "failures.host.rate_spread must be 0 where scope is job: one unit has one rate, got 1",
        "failures.host.repair_hours must be 0 where scope is job: it is restarted, and nothing is "
        "in repair, got 12",
    ],
    'failures.host.scope = "job"\nfailures.host.repair_hours = { name = "constant", value = 1 }': [
        "failures.host.repair_hours must be 0 where scope is job: it is restarted, and nothing is "
        "in repair"
    ],
    "pools.h100.n_gpus = 32\nrecovery.spares = 32": [
        "pools.h100.n_gpus must hold a replica, 8 GPUs in full domains of 8, beside 32 spares, "
        "got 32; hold fewer GPUs back"
    ],
    'layout.sharding = "zero3"\nrecovery.replica_level = true': [
        "recovery.replica_level needs another copy of what a failure takes: layout.sharding none "
        'or hybrid, got "zero3"'
    ],
    "layout.shard_group_replicas = 128\nrecovery.replica_level = true": [
        "recovery.replica_level needs another copy of what a failure takes, and there is one shard "
        "group alone"
    ],
    'layout.sharding = "none"\npools.h100.n_gpus = 8\nrecovery.replica_level = true': [
        "recovery.replica_level needs another copy of what a failure takes, and there is one "
        "replica alone"
    ],
    "checkpoint.blocking_s = 0": [
        "checkpoint.interval_s must be a number of seconds where checkpoint.blocking_s is 0: the "
        'less lies between checkpoints that cost nothing, the better, got "best"'
    ],
    "checkpoint.global = {}": [
        "checkpoint.global.every is missing",
        "checkpoint.global.blocking_s is missing",
        "checkpoint.global.scopes is missing",
    ],
    f"checkpoint.global = {{ {TWENTIETH}, scopes = [] }}": [
        "checkpoint.global.scopes must name at least one scope; "
        "without any, leave [checkpoint.global] out"
    ],
    f'checkpoint.global = {{ {TWENTIETH}, scopes = ["cube", "rock"] }}': [
        f'checkpoint.global.scopes.1 {SCOPE}, got "rock"; did you mean "rack"?',
    ],
    'checkpoint.global = { every = 0, blocking_s = -1, scopes = "rack", restart_s = -1 }': [
        "checkpoint.global.every must be >= 1, got 0",
        "checkpoint.global.blocking_s must be >= 0, got -1",
        "checkpoint.global.restart_s must be >= 0, got -1",
        'checkpoint.global.scopes must be a list, got "rack"',
    ],
    'checkpoint.global = { every = 1_000_001, blocking_s = 1, scopes = ["gpu"] }': [
        "checkpoint.global.every must be <= 1000000, got 1000001"
    ],
    'unknowns."checkpoint.global" = { name = "constant", value = 1 }': [
        "unknowns.checkpoint.global is not the key path of a number of this scenario; "
        'did you mean "checkpoint.durable_s"?'
    ],
    'basis."failures.host.per_hours" = { kind = "assumed", where = "x" }': [
        "basis.failures.host.per_hours is not a key path of this scenario; "
        'did you mean "failures.host.per_hour"?'
    ],
}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def load(text: str, *, over: str = HOST) -> hm.Scenario:
    """Load lines in mine.toml, over some tables and a preset."""
    Path("base.toml").write_text(f'extends = ["h100-1k"]\n{over}')
    Path("mine.toml").write_text(f'extends = ["base.toml"]\n{text}\n')
    return hm.load("mine.toml")


def said(text: str, *, over: str = HOST) -> list[str]:
    """Return what is said of lines in mine.toml, without files."""
    with pytest.raises(hm.ScenarioError) as caught:
        load(text, over=over)
    return [str(problem).removeprefix(f"{problem.source}: ") for problem in caught.value.problems]


def refusal(changes: Changes) -> str:
    """Return what is said of changes of a preset."""
    with pytest.raises(hm.ScenarioError) as caught:
        hm.load("h100-1k", changes)
    return str(caught.value)


def warned(scenario: hm.Scenario) -> list[tuple[str, str]]:
    return [(one.path, one.warning) for one in scenario_warnings(scenario)]


def changed(**changes: Any) -> hm.Scenario:
    """Return 1,024 H100 in domains of 8, tensor 8, with changes."""
    return hm.load("h100-1k", {key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize(("line", "message"), KEYS.items(), ids=list(KEYS))
def test_a_wrong_key_is_named_with_its_value_and_what_would_do(line: str, message: str) -> None:
    path = line.partition(" = ")[0].removesuffix(".enabled" if "hots" in line else "")
    assert said(line) == [f"{path} {message}"]


@pytest.mark.parametrize(("lines", "messages"), ELSEWHERE.items(), ids=list(ELSEWHERE))
def test_problems_are_named_where_they_lie(lines: str, messages: list[str]) -> None:
    assert sorted(said(lines)) == sorted(messages)


def test_the_file_of_a_wrong_value_is_named() -> None:
    with pytest.raises(hm.ScenarioError) as caught:
        load("", over=HOST.replace("2e-5", "-2e-5"))
    assert str(caught.value) == "base.toml: failures.host.per_hour must be >= 0, got -2e-05"


def test_all_problems_are_told_at_once() -> None:
    wrong = "failures.host.repair_hours = -1\ncheckpoint.interval_s = 0\nrecovery.watchdog_s = 0\n"
    assert len(said(wrong + "pools.h100.spares = -1\ncheckpoint.global = {}")) == 7
    wrong = 'failures.host.scope = "switch"\ncheckpoint.blocking_s = 0\nrecovery.spares = 1\n'
    assert len(said(wrong + 'recovery.replica_level = true\nlayout.sharding = "zero1"')) == 4


RESTART = "recovery.restart_s is missing; give the seconds of a restart; "
RESTART += "enabled = false removes failures"


def test_failures_need_the_seconds_of_a_restart() -> None:
    (failures, *_) = HOST.split("[recovery]")
    assert said("", over=failures) == [RESTART]
    assert said("recovery.detection_s = 1", over=failures) == [RESTART]
    assert load("failures.host.enabled = false", over=failures).recovery is None
    assert load("recovery.spares = 8", over="").recovery == Recovery(spares=8)


def test_a_name_that_a_cause_has_is_allowed() -> None:
    scenario = load('failures.stall = { scope = "gpu", per_hour = 1e-6 }')
    assert "stall" in scenario.enabled_failures
    assert "stall" in scenario.enabled_causes


def test_spares_are_parts_of_domains_in_every_pool() -> None:
    (problem,) = said(
        "recovery.spares = 4\nlayout.tensor = 4\nworkload.n_microbatches = 4\n"
        'pools.other = { gpu = "gb200-nvl72", n_gpus = 144 }'
    )
    assert problem == (
        "recovery.spares must be a multiple of 8, the fewest GPUs of pool h100 (h100-sxm) that are "
        "whole nodes and whole tensor groups of a domain, got 4; or give pools.h100.spares"
    )
    other = {"gpu": "gb200-nvl72", "n_gpus": 144}
    both: Changes = {"pools__other": other, "layout__tensor": 4, "recovery__spares": 4}
    assert changed(**both, pools__h100__spares=0).spares == {"h100": 0, "other": 4}


def test_no_replica_of_spread_stages_is_told_with_the_spares() -> None:
    changes = {
        "pools.h100": {"gpu": "h100-sxm", "n_gpus": 16, "spares": 8},
        "pools.h200": {"gpu": "h200-sxm", "n_gpus": 16, "spares": 16},
        "layout.pipeline": 2,
        "layout.placement": "mixed",
    }
    message = "pools must hold a replica together, 16 GPUs in full domains, beside 24 spares"
    assert message in refusal(changes)


def test_best_is_an_interval_where_either_level_stops_the_job() -> None:
    level = f'checkpoint.global = {{ {TWENTIETH}, scopes = ["gpu"] }}\n'
    found = load(level + "checkpoint.blocking_s = 0").checkpoint
    assert found is not None
    assert found.interval_s == "best"
    assert load("checkpoint = { blocking_s = 0, interval_s = 60 }").checkpoint is not None
    zero = level.replace("blocking_s = 60", "blocking_s = 0")
    assert len(said(zero + "checkpoint.blocking_s = 0")) == 1


def test_what_is_not_given_has_a_default() -> None:
    scenario = load("")
    failures = scenario.failures["host"]
    assert (failures.law.name, failures.law.shape, failures.shape) == ("exponential", None, 1)
    assert (failures.pools, failures.unit_gpus, failures.ages) == (None, None, "equilibrium")
    assert (failures.repair_hours, failures.rate_spread, failures.enabled) == (0, 0, True)
    assert not failures.are_repaired
    assert scenario.recovery == Recovery(
        detection_s=0,
        restart_s=600,
        restart_per_doubling_s=0,
        restart_can_fail=True,
        spares=0,
        swap_s=0,
        exhausted="wait",
        regrow="restart",
        replica_level=False,
        replica_stall_s=180,
        watchdog_s=None,
    )
    assert scenario.checkpoint == Checkpoint(interval_s="best", blocking_s=30, durable_s=0)
    assert scenario.checkpoint.global_level is None
    assert scenario.pools["h100"].spares is None
    bare = load("", over="")
    assert (bare.failures, bare.recovery, bare.checkpoint) == ({}, None, None)


def test_what_is_given_is_there() -> None:
    scenario = load("", over=WHOLE)
    host = scenario.failures["host"]
    assert host.shape == 0.7
    assert isinstance(host.repair_hours, LawModel)
    assert host.repair_hours.ppf(0.5) == pytest.approx(12)
    assert host.are_repaired
    assert list(scenario.failures) == ["host", "leaf", "software"]
    assert list(scenario.enabled_failures) == ["host", "software"]
    assert scenario.checkpoint is not None
    assert scenario.checkpoint.interval_s == 900
    assert scenario.checkpoint.global_level == GlobalCheckpoint(
        every=20, blocking_s=60, durable_s=120, restart_s=900, scopes=["rack", "domain", "job"]
    )
    assert warned(scenario) == [(f"recovery.{key}", BY_REPLICA) for key in ("exhausted", "regrow")]


def test_whole_numbers_and_those_of_numpy_are_numbers() -> None:
    changes: Changes = {
        "failures.host": {"scope": "node", "per_hour": np.int64(1), "repair_hours": np.int64(12)},
        "recovery.restart_s": np.float64(60),
        "checkpoint": {"blocking_s": 1, "interval_s": np.int64(900)},
    }
    scenario = hm.load("h100-1k", changes)
    assert scenario.checkpoint is not None
    found = scenario.failures["host"].repair_hours, scenario.checkpoint.interval_s
    assert (found, [type(number) for number in found]) == ((12, 900), [float, float])


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda value: pickle.loads(pickle.dumps(value)),
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
    "as a table": lambda value: from_table(json.loads(json.dumps(to_table(value)))),
    "with a change": lambda value: hm.with_changes(value, {"name": value.name}),
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("text", [HOST, WHOLE], ids=["few", "whole"])
def test_a_scenario_is_equal_to_its_copies(text: str, way: str) -> None:
    scenario = load("", over=text)
    again = COPIES[way](scenario)
    assert again == scenario
    assert again.checkpoint == scenario.checkpoint
    assert again.is_judged


def test_a_law_of_scipy_comes_back_from_a_table() -> None:
    changes: Changes = {
        "failures.host": {"scope": "node", "per_hour": 1e-5, "repair_hours": gamma(4, scale=3)},
        "recovery.restart_s": 60,
    }
    scenario = hm.load("h100-1k", changes)
    assert from_table(json.loads(json.dumps(to_table(scenario)))) == scenario


def test_scenarios_of_another_order_are_other_scenarios() -> None:
    scenario = load("", over=WHOLE)
    table = to_table(scenario)
    turned = {**table, "failures": dict(reversed(table["failures"].items()))}
    assert from_table(turned).failures == scenario.failures
    assert from_table(turned) != scenario


def test_a_table_has_the_key_global() -> None:
    scenario = load("", over=WHOLE)
    assert list(to_table(scenario)["checkpoint"]["global"]) == [
        "every",
        "blocking_s",
        "durable_s",
        "restart_s",
        "scopes",
    ]
    assert "checkpoint.global.every" in bases(
        load('basis."checkpoint.global.every" = { kind = "assumed", where = "x" }', over=WHOLE)
    )
    level = hm.with_changes(scenario, {"checkpoint.global.every": 10}).checkpoint
    assert level is not None
    assert level.global_level is not None
    assert (level.global_level.every, level.global_level.blocking_s) == (10, 60)


BASIS = 'basis."failures.host.law.shape" = { kind = "assumed", where = "x" }\n'


def test_another_law_replaces_a_law_with_its_basis_and_the_same_one_is_merged() -> None:
    shape = "failures.host.law.shape"
    base = BASIS + WHOLE
    kept = load("failures.host.per_hour = 1e-5", over=base)
    assert (kept.failures["host"].shape, shape in kept.basis) == (0.7, True)
    other = load('failures.host.law = { name = "exponential" }', over=base)
    assert (other.failures["host"].shape, shape in other.basis) == (1, False)
    same = load('failures.host.law = { name = "weibull" }', over=base)
    assert same.failures["host"].shape == 0.7


def test_a_number_of_hours_replaces_a_law_and_a_law_replaces_a_number() -> None:
    number = load("failures.host.repair_hours = 3", over=WHOLE)
    assert number.failures["host"].repair_hours == 3
    law = {"name": "constant", "value": 5.0}
    again = hm.with_changes(number, {"failures.host.repair_hours": law})
    assert to_table(again)["failures"]["host"]["repair_hours"] == law
    merged = load("failures.host.repair_hours.sigma = 0.1", over=WHOLE)
    found = to_table(merged)["failures"]["host"]["repair_hours"]
    assert found == {"name": "lognormal", "sigma": 0.1, "median": 12}


def test_another_scope_takes_the_gpus_of_a_switch_with_it() -> None:
    base = 'basis."failures.leaf.unit_gpus" = { kind = "assumed", where = "x" }\n'
    on = "failures.leaf.enabled = true\n"
    other = load(on + 'failures.leaf.scope = "domain"', over=base + WHOLE)
    assert other.failures["leaf"].unit_gpus is None
    assert "failures.leaf.unit_gpus" not in other.basis
    same = load(on + 'failures.leaf.scope = "switch"', over=base + WHOLE)
    assert same.failures["leaf"].unit_gpus == 512
    assert "failures.leaf.unit_gpus" in same.basis


def test_failures_that_are_switched_off_are_not_judged() -> None:
    off = 'failures.host = { enabled = false, scope = "rack", pools = ["none"], unit_gpus = 3 }'
    assert load(off).enabled_failures == {}
    assert "cannot be set to an empty table" in refusal({"failures": {}})


def test_the_basis_of_failures_that_were_removed_is_warned_of() -> None:
    scenario = load(BASIS.replace("host", "hots"))
    warning = 'is the basis of failures that there are not; did you mean "host"?'
    assert warned(scenario) == [("basis.failures.hots.law.shape", warning)]
    assert "failures.hots.law.shape" not in bases(scenario)


def test_an_interval_may_be_unknown_though_it_is_a_word() -> None:
    path, law = "checkpoint.interval_s", {"name": "uniform", "low": 600, "high": 1200}
    assert path in hm.with_changes(load(""), {f"unknowns.{path}": law}).unknowns
    assert path in hm.with_changes(load("", over=WHOLE), {f"unknowns.{path}": law}).unknowns
    for gone in (path, "checkpoint", "recovery", "recovery.spares"):
        message = refusal({f"unknowns.{gone}": law})
        assert f"unknowns.{gone} is not the key path of a number" in message


NOTHING = "changes nothing without [failures]"
UNUSED = "is never used: repair_hours is 0 everywhere, and units are back at once"
NO_REPLICA = 'changes nothing where recovery.exhausted is "wait": no replica leaves'
BY_REPLICA = "changes nothing where recovery.replica_level is true"
LEVEL = "\n[checkpoint.global]\nevery = 5\nblocking_s = 60\nscopes = "
WARNED = {
    "": [],
    "recovery.spares = 8": [("recovery.spares", UNUSED)],
    "pools.h100.spares = 8": [("pools.h100.spares", UNUSED)],
    "pools.h100.spares = 0": [],
    "recovery.spares = 8\nfailures.host.repair_hours = 1": [],
    'recovery.spares = 8\nfailures.host.repair_hours = { name = "constant", value = 1 }': [],
    'recovery.regrow = "checkpoint"': [("recovery.regrow", NO_REPLICA)],
    'recovery.regrow = "checkpoint"\nrecovery.exhausted = "shrink"': [],
    'recovery.regrow = "checkpoint"\nrecovery.replica_level = true': [
        ("recovery.regrow", BY_REPLICA)
    ],
    'recovery.exhausted = "shrink"\nrecovery.replica_level = true': [
        ("recovery.exhausted", BY_REPLICA)
    ],
    'failures.host.ages = "new"': [
        ("failures.host.ages", "changes nothing: a constant rate has no memory of ages")
    ],
    'failures.host.ages = "new"\nfailures.host.repair_hours = 1': [],
    "checkpoint.interval_s = 20": [
        (
            "checkpoint.interval_s",
            "is shorter than checkpoint.blocking_s: the job writes most of the time",
        )
    ],
    "checkpoint.enabled = false": [
        (
            "checkpoint",
            "is missing: each failure takes all that was computed since the run began",
        )
    ],
    f'{LEVEL}["rack"]': [
        (
            "checkpoint.global.scopes",
            "names no scope of the scenario's failures, so nothing needs this level",
        )
    ],
    f'{LEVEL}["rack", "node"]': [],
    "recovery.replica_stall_s = 60": [
        ("recovery.replica_stall_s", "changes nothing where recovery.replica_level is false")
    ],
    "recovery.replica_stall_s = 180": [],
    "recovery.replica_stall_s = 60\nrecovery.replica_level = true": [],
    "failures.host.enabled = false": [("recovery", NOTHING), ("checkpoint", NOTHING)],
    "failures.host.enabled = false\nrecovery.spares = 8": [("checkpoint", NOTHING)],
}


@pytest.mark.parametrize(("lines", "warnings"), WARNED.items(), ids=list(WARNED))
def test_what_changes_nothing_is_warned_of(lines: str, warnings: list[tuple[str, str]]) -> None:
    assert warned(load(lines)) == warnings


def test_failures_without_checkpoints_are_warned_of() -> None:
    warning = "is missing: each failure takes all that was computed since the run began"
    without = HOST.partition("[checkpoint]")[0]
    assert warned(load("", over=without)) == [("checkpoint", warning)]


def test_failures_that_are_given_are_not_among_what_is_not_modelled() -> None:
    left_out = "failures, restarts and checkpoints (no [failures] are given)"
    assert left_out not in not_modelled(load(""))
    assert left_out in not_modelled(load("failures.host.enabled = false"))


def test_the_example_in_a_new_scenario_can_be_switched_on() -> None:
    text = resources.files("hindmost.scenario").joinpath("template.toml").read_text("utf-8")
    first, last = text.index("# [failures.host]"), text.index("# A cause of your own")
    lines = [line.removeprefix("# ") for line in text[first:last].splitlines()]
    Path("mine.toml").write_text(text[:first] + "\n".join(lines) + "\n" + text[last:])
    scenario = hm.load("mine.toml")
    assert list(scenario.enabled_failures) == ["host"]
    assert scenario.spares == {"h100": 16, "h200": 16}
    assert warned(scenario) == []
    Path("mine.toml").write_text(text)
    assert hm.load("mine.toml").failures == {}


def test_the_schema_has_the_new_keys_with_their_descriptions() -> None:
    schema = file_schema()
    defs = schema["$defs"]
    assert {"failures", "recovery", "checkpoint"} <= set(schema["properties"])
    assert "spares" in defs["Pool"]["properties"]
    assert set(defs["Checkpoint"]["properties"]) == {
        "interval_s",
        "blocking_s",
        "durable_s",
        "global",
        "enabled",
    }
    for model in (UnitFailures, Recovery, Checkpoint, GlobalCheckpoint):
        properties = defs[model.__name__]["properties"]
        assert list(properties) == list(model.model_fields)
        assert all(of_key.get("description") for of_key in properties.values())
    scopes = {"gpu", "node", "domain", "rack", "switch", "cube", "job"}
    assert set(defs["UnitFailures"]["properties"]["scope"]["enum"]) == scopes


def test_the_schema_holds_for_tables_and_not_for_wrong_ones() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = file_schema()
    for text in (HOST, WHOLE):
        jsonschema.validate(to_table(load("", over=text)), schema)
    wrong: list[Changes] = [
        {"failures": {"host": {"repair_hours": "long"}}},
        {"checkpoint": {"interval_s": "soon"}},
        {"checkpoint": {"global": {"scopes": ["rock"]}}},
    ]
    for table in wrong:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(table, schema)


# Changes, the GPUs of a block, and the replicas and ranks that are left.
COUNTED: list[tuple[Changes, int, int, int]] = [
    ({"pools__h100__spares": 0}, 8, 128, 1024),
    ({"pools__h100__spares": 16}, 8, 126, 1008),
    ({"recovery__spares": 16}, 8, 126, 1008),
    # That of the pool wins.
    ({"recovery__spares": 16, "pools__h100__spares": 8}, 8, 127, 1016),
    # A node is two tensor groups.
    ({"recovery__spares": 8, "layout__tensor": 4}, 8, 254, 1016),
    # 127 tensor groups are 31 replicas of 4 stages, and three groups are left over.
    ({"recovery__spares": 8, "layout__pipeline": 4, "workload__n_microbatches": 4}, 8, 31, 992),
    # The three that were left over before are held back.
    (
        {
            "pools__h100": {"gpu": "h100-sxm", "n_gpus": 1016, "spares": 24},
            "layout__pipeline": 4,
            "workload__n_microbatches": 4,
        },
        8,
        31,
        992,
    ),
    # Trays of 4 in two racks of 72, nine tensor groups each.
    ({"pools__h100": {"gpu": "gb200-nvl72", "n_gpus": 144, "spares": 8}}, 8, 17, 136),
    (
        {
            "pools__h100": {"gpu": "gb200-nvl72", "n_gpus": 144, "spares": 4},
            "layout__tensor": 4,
        },
        4,
        35,
        140,
    ),
    # 64 of 72 work.
    (
        {
            "pools__h100": {
                "gpu": "gb200-nvl72",
                "n_gpus": 128,
                "domain_gpus_used": 64,
                "spares": 24,
            }
        },
        8,
        13,
        104,
    ),
    # Six GPUs of a node are no whole nodes, so that a block is all of them.
    (
        {
            "pools__h100": {
                "gpu": "h100-sxm",
                "n_gpus": 60,
                "domain_gpus_used": 6,
                "spares": 12,
            },
            "layout__tensor": 2,
        },
        6,
        24,
        48,
    ),
]


@pytest.mark.parametrize(("changes", "block", "n_replicas", "n_ranks"), COUNTED)
def test_spares_take_whole_blocks_from_the_job(
    changes: Changes, block: int, n_replicas: int, n_ranks: int
) -> None:
    scenario = changed(**changes)
    found = counts(scenario)
    assert block_gpus(scenario.pools["h100"], scenario.layout) == block
    assert (found.n_replicas, found.pools["h100"].n_ranks) == (n_replicas, n_ranks)


def test_mixed_stages_fill_what_spares_leave() -> None:
    pool = {"gpu": "h100-sxm", "n_gpus": 24}
    changes: Changes = {
        "pools": {"h100": {**pool, "spares": 8}, "other": {**pool, "n_gpus": 16}},
        "workload__model": "llama3-8b",
        "workload__n_microbatches": 4,
        "layout__pipeline": 2,
        "layout__placement": "mixed",
    }
    assert [one.n_ranks for one in counts(changed(**changes)).pools.values()] == [16, 16]


def test_more_spares_than_a_pool_has_leave_nothing() -> None:
    scenario = changed()
    found = Counts.of(scenario.pools, scenario.layout, {"h100": 4096})
    assert (found.n_replicas, found.pools["h100"].n_ranks) == (0, 0)


H100, GB200 = (
    hm.load("h100-1k", {"pools.h100": {"gpu": gpu, "n_gpus": 1152}}).pools["h100"]
    for gpu in ("h100-sxm", "gb200-nvl72")
)


def sized(pool: Pool, **update: Any) -> Pool:
    return pool.model_copy(update=update)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    pool=st.sampled_from([H100, GB200]),
    tensor=st.integers(1, 72),
    used=st.none() | st.integers(1, 72),
    n_gpus=st.integers(1, 300),
)
def test_a_block_is_the_smallest_part_of_a_domain_that_is_whole_nodes_and_tensor_groups(
    pool: Pool, tensor: int, used: int | None, n_gpus: int
) -> None:
    node, domain = pool.accelerator.node_gpus, pool.accelerator.domain_gpus
    pool = sized(pool, domain_gpus_used=used and min(used, domain), n_gpus=n_gpus)
    working = used_domain_gpus(pool, tensor)
    if working == 0:
        return
    parts = [
        gpus
        for gpus in range(1, working + 1)
        if working % gpus == 0 and gpus % node == 0 and gpus % tensor == 0
    ]
    assert block_gpus(pool, Layout(tensor=tensor)) == min(parts, default=working)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    pool=st.sampled_from([H100, GB200]),
    tensor=st.sampled_from([1, 2, 4, 8]),
    used=st.none() | st.integers(1, 72),
    pipeline=st.integers(1, 3),
    n_domains=st.integers(1, 20),
    n_blocks=st.integers(0, 20),
)
def test_spares_fit_in_right_behind_the_blocks_of_the_ranks(
    pool: Pool, tensor: int, used: int | None, pipeline: int, n_domains: int, n_blocks: int
) -> None:
    used = min(used or 72, pool.accelerator.domain_gpus)
    layout = Layout(tensor=tensor, pipeline=pipeline)
    pool = sized(pool, domain_gpus_used=used, n_gpus=n_domains * used)
    working = used_domain_gpus(pool, tensor)
    if working == 0:
        return
    block = block_gpus(pool, layout)
    spares = n_blocks * block
    found = Counts.of({"a": pool}, layout, {"a": spares}).pools["a"]
    # GPUs of which each domain holds whole blocks.
    behind = -(-found.n_ranks // block) * block
    assert found.n_ranks == 0 or behind + spares <= n_domains * working
    left = n_domains * working - spares
    assert found.n_replicas == max(0, left) // (tensor * pipeline)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    tensor=st.sampled_from([1, 2, 4, 8]),
    pipeline=st.integers(1, 3),
    n_gpus=st.integers(2, 60).map(lambda n: 8 * n),
    n_spares=st.integers(0, 5),
)
def test_ranks_sit_as_in_a_pool_without_the_domains_that_are_held_back(
    tensor: int, pipeline: int, n_gpus: int, n_spares: int
) -> None:
    layout = Layout(tensor=tensor, pipeline=pipeline, sharding="zero1")
    whole, less = (sized(H100, n_gpus=n) for n in (n_gpus, max(8, n_gpus - 8 * n_spares)))
    held = {"a": n_gpus - less.n_gpus}
    found = Counts.of({"a": whole}, layout, held)
    assert found.pools["a"].held_back_gpus == held["a"]
    of_pool = replace(found.pools["a"], held_back_gpus=0)
    assert replace(found, pools={"a": of_pool}) == Counts.of({"a": less}, layout)
    if found.n_replicas == 0:
        return
    assert places({"a": whole}, layout, found) == places({"a": less}, layout, found)
    # The pool behind begins behind all GPUs of the first.
    pools = {"a": whole, "b": whole}
    area = areas_of(pools, layout, Counts.of(pools, layout, held))["b"]
    assert (area.first_gpu, area.first_domain) == (n_gpus, n_gpus // 8)
