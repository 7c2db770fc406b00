"""What is allowed in a scenario and probably not meant is told, on stderr and in JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost import catalog
from hindmost.scenario import scenario_warnings

MINE = """
[pools.a100]
gpu = "a100-sxm"
n_gpus = 512
[fabric]
name = "infiniband-ndr"
[workload]
model = "llama3-8b"
seq_len = 8192
global_batch_seqs = 512
microbatch_seqs = 1
[layout]
tensor = 1
sharding = "zero3"
"""
JITTER = """
[causes.jitter]
law = { name = "lognormal", sigma = 0.004 }
affects = "compute"
effect = "slowdown"
scope = "gpu"
span = "step"
"""
MEASURED = 'extends = ["measured"]\n'
SIZES: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 3}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def loaded(text: str) -> hm.Scenario:
    Path("mine.toml").write_text(text)
    return hm.load("mine.toml")


def warned(scenario: hm.Scenario) -> list[tuple[str, str]]:
    return [(one.path, one.warning) for one in scenario_warnings(scenario)]


def test_what_is_shipped_is_not_suspect() -> None:
    for name in catalog.names("presets"):
        if "\n[pools." in catalog.text("presets", name):
            assert warned(hm.load(name)) == [], name
    assert warned(hm.load(COLOSSUS_1_BARE)) == []


def test_a_scenario_without_any_cause_is_warned_of() -> None:
    ((path, warning),) = warned(loaded(MINE))
    assert path == "causes"
    assert "no prediction" in warning
    assert 'extends = ["measured"]' in warning
    assert "enabled" not in warning
    names = hm.load("h100-1k").causes
    off = hm.load("h100-1k", {f"causes.{name}.enabled": False for name in names})
    assert warned(off) == [(path, warning)]


def test_a_scenario_that_extends_nothing_is_warned_of_whatever_its_own_causes() -> None:
    ((path, warning),) = warned(loaded(MINE + JITTER))
    assert path == "causes"
    assert warning.startswith("has none of those that were measured of equal GPUs")
    assert warned(loaded(MEASURED + MINE + JITTER)) == []


def test_stages_have_a_preset_of_their_own() -> None:
    stages = MINE.replace("zero3", "zero1").replace("tensor = 1", "tensor = 8\npipeline = 2")
    ((_, warning),) = warned(loaded(stages))
    assert 'extends = ["measured-pipeline"]' in warning


RATES = "rates are in bytes a second"
LATENCIES = "latencies are in seconds"
FACTORS = "a slowdown is a factor on time"
UNITS: dict[str, tuple[Any, str]] = {
    "pools.h100.nic_bytes_per_s": (400, RATES),
    "pools.h100.scale_up_latency_s": (3.4, LATENCIES),
    "fabric.latency_s": (0.005, LATENCIES),
    "causes.residual.law": ({"name": "lognormal", "sigma": 0.1, "median": 0.03}, FACTORS),
    "fabric.noise.law": ({"name": "constant", "value": 0.4}, FACTORS),
    "fabric.hop_noise": ({"name": "constant", "value": 0.4}, FACTORS),
}
MEANT: dict[str, Any] = {
    "pools.h100.nic_bytes_per_s": 1e8,
    "pools.h100.scale_up_latency_s": 1e-3,
    "fabric.latency_s": 0.0,
    "causes.pause.law": {"name": "constant", "value": 0.01},
    "causes.residual.law": {"name": "constant", "value": 0.5},
}


@pytest.mark.parametrize("path", UNITS)
def test_a_number_of_another_unit_is_warned_of(path: str) -> None:
    value, said = UNITS[path]
    ((where, warning),) = warned(hm.load("h100-1k", {path: value}))
    assert where == path
    assert said in warning


def test_numbers_that_may_be_meant_are_not() -> None:
    assert warned(hm.load("h100-1k", MEANT)) == []
    fast = {"extends": "infiniband-ndr", "port_bytes_per_s": 1e13}
    changes = {"pools.h100.nic_bytes_per_s": 1e13, "fabrics.fast": fast, "fabric.name": "fast"}
    assert warned(hm.load("h100-1k", changes)) == []


def test_a_cause_that_is_switched_off_is_not_judged() -> None:
    off = {
        "causes.residual.law": {"name": "constant", "value": 0.1},
        "causes.residual.enabled": False,
    }
    assert warned(hm.load("h100-1k", off)) == []


def test_the_basis_of_a_cause_that_was_removed_is_warned_of() -> None:
    basis = '[basis."causes.jiter.law.sigma"]\nkind = "assumed"\nwhere = "x"\n'
    scenario = loaded(MEASURED + MINE + JITTER + basis)
    said = 'is the basis of a cause that there is not; did you mean "jitter"?'
    assert warned(scenario) == [("basis.causes.jiter.law.sigma", said)]
    result = hm.simulate(scenario, **SIZES)
    assert "causes.jiter.law.sigma" not in [row["path"] for row in result.assumed]


@pytest.mark.parametrize("command", ["run", "validate"])
def test_a_warning_goes_to_stderr_and_into_json(command: str) -> None:
    ((path, warning),) = warned(loaded(MINE))
    words = ["--seed", "1", "--runs", "2", "--steps", "2", "--format", "json"] * (command == "run")
    call = [sys.executable, "-m", "hindmost", command, "mine.toml", *words]
    done = subprocess.run(call, capture_output=True, text=True, timeout=20, check=True)
    assert done.stderr == f"hindmost: warning: mine.toml: {path} {warning}\n"
    if command == "run":
        row = {"metric": None, "statistic": None, "path": path, "warning": warning}
        assert json.loads(done.stdout)["warnings"][-1] == row


def test_a_result_tells_and_keeps_them() -> None:
    result = hm.simulate(loaded(MINE), **SIZES)
    (row,) = result.scenario_warnings
    assert row["path"] == "causes"
    result.write("x.parquet")
    assert hm.read("x.parquet").scenario_warnings == [row]
    of_statistics = result.document()["warnings"][: len(result.warnings)]
    assert [(one["metric"], one["statistic"]) for one in of_statistics] == list(result.warnings)
    assert {one["path"] for one in of_statistics} <= {None}
