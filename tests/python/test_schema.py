"""JSON Schemas of scenarios and results, against what is written and printed."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.analyses.caps import COLUMNS
from hindmost.metrics import METRICS, RUN_METRICS, STATISTICS
from hindmost.result import EPISODES_OF_POOLS
from hindmost.scenario import to_table

Schema = dict[str, Any]


def fits(value: Any, schema: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Return whether a value is of a JSON Schema, by the keywords that ours uses."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        return fits(value, whole["$defs"][name], whole)
    for several in ("anyOf", "oneOf"):
        if several in schema and not any(fits(value, one, whole) for one in schema[several]):
            return False
    types: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool}
    types |= {"integer": int, "number": int | float, "null": type(None)}
    named = schema.get("type", list(types))
    if not any(
        isinstance(value, types[name]) for name in [named] * isinstance(named, str) or named
    ):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    if isinstance(value, list):
        return all(fits(item, schema.get("items", {}), whole) for item in value)
    if not isinstance(value, dict):
        return True
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    if not set(schema.get("required", [])) <= set(value):
        return False
    if others is False and not set(value) <= set(known):
        return False
    rest = others if isinstance(others, dict) else {}
    return all(fits(inner, known.get(key, rest), whole) for key, inner in value.items())


def printed(*words: str) -> Schema:
    """Return the schema that `hindmost schema` prints."""
    command = [sys.executable, "-m", "hindmost", "schema", *words]
    schema: Schema = json.loads(subprocess.check_output(command))
    return schema


@pytest.fixture(scope="module")
def of_files() -> Schema:
    return printed()


@pytest.fixture(scope="module")
def of_results() -> Schema:
    return printed("result")


def test_the_schema_holds_for_scenarios_and_not_for_what_has_wrong_keys(of_files: Schema) -> None:
    schema = of_files
    for name in ("colossus-1", "h100-1k"):
        table = to_table(hm.load(name))
        assert fits(table, schema, schema)
        table["fabric"]["latency"] = 1.0
        assert not fits(table, schema, schema)
    assert not fits({**to_table(hm.load("h100-1k")), "name": 3}, schema, schema)


def test_the_schema_holds_for_files_as_they_are_written(of_files: Schema) -> None:
    for name in catalog.names("presets"):
        assert fits(tomllib.loads(catalog.text("presets", name)), of_files, of_files), name


def test_the_schema_of_scenarios_is_the_one_by_default(of_files: Schema) -> None:
    assert printed("scenario") == of_files
    assert "extends" in of_files["properties"]


NAMES = ("gpu-speed", "residual", "step-common", "stall", "pause")
NO_CAUSES = [f"causes.{name}.enabled" for name in NAMES]

CALLS: dict[str, dict[str, Any]] = {
    "with errors": {"runs": 4, "steps": 30},
    "one run": {"runs": 1, "steps": 2},
    "sampled": {"runs": 2, "steps": 2, "method": "sample"},
    "with energy": {
        "runs": 2,
        "steps": 2,
        "changes": {"pools.h100.peak_power_w": 700.0, "pools.h100.idle_power_w": 70.0},
    },
    "an energy beyond all numbers": {
        "runs": 2,
        "steps": 2,
        "changes": {"pools.h100.peak_power_w": 1e308, "pools.h100.idle_power_w": 1e307},
    },
    "no causes": {"runs": 2, "steps": 2, "changes": dict.fromkeys(NO_CAUSES, False)},
    "a table as a law": {
        "runs": 2,
        "steps": 2,
        "changes": {"causes.gpu-speed.law": {"name": "uniform", "low": 1, "high": 1.1}},
    },
}


@pytest.mark.parametrize("call", CALLS)
def test_the_schema_of_results_holds_for_what_is_printed(of_results: Schema, call: str) -> None:
    result = hm.simulate("h100-1k", seed=4, **CALLS[call])
    document = json.loads(json.dumps(result.document(), allow_nan=False))
    assert fits(document, of_results, of_results)


@pytest.mark.parametrize("name", ["colossus-1-pp16", "palm-tpu-v4", "tpu-v4-optical"])
def test_the_schema_of_results_holds_for_other_scenarios(of_results: Schema, name: str) -> None:
    result = hm.simulate(name, seed=4, runs=1, steps=1)
    document = json.loads(json.dumps(result.document()))
    assert fits(document, of_results, of_results)


def test_the_schema_of_results_holds_for_slices_without_failures(of_results: Schema) -> None:
    changes = {"failures.host.enabled": False, "slices.host_availability": 0.99}
    result = hm.simulate("tpu-v4-static", seed=4, runs=1, steps=1, changes=changes)
    document = json.loads(json.dumps(result.document()))
    assert list(document["account"]) == ["slices"]
    assert fits(document, of_results, of_results)
    # Neither half of an account may be by halves.
    document["account"]["S"] = 1.0
    assert not fits(document, of_results, of_results)
    del document["account"]["S"], document["account"]["slices"]["share_placed"]
    assert not fits(document, of_results, of_results)


def test_the_schema_of_results_holds_for_what_the_command_prints(of_results: Schema) -> None:
    words = ["run", "h100-1k", "--runs", "2", "--steps", "8", "--format", "json", "--caps"]
    done = subprocess.check_output([sys.executable, "-m", "hindmost", *words])
    document = json.loads(done)
    assert document["caps"]
    assert fits(document, of_results, of_results)


def test_the_schema_of_results_holds_for_files(of_results: Schema, tmp_path: Path) -> None:
    result = hm.simulate("h100-1k", seed=4, runs=2, steps=8)
    for found in (None, hm.caps(result)):
        result.write(tmp_path / "out.json", caps=found)
        stored = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        assert fits(stored, of_results, of_results)
        assert list(stored["steps"]) == result.steps.columns


def test_the_schema_of_results_names_metrics_and_statistics(of_results: Schema) -> None:
    for key, nothing in (("summary", []), ("warnings", [None])):
        columns = of_results["properties"][key]["items"]["properties"]
        assert columns["metric"]["enum"] == [*METRICS, *RUN_METRICS, *nothing]
        assert columns["statistic"]["enum"] == [*STATISTICS, *nothing]
    assert list(of_results["properties"]["caps"]["items"]["properties"]) == list(COLUMNS)


@pytest.mark.parametrize("terms", [False, True])
def test_a_file_is_of_the_schema_with_and_without_terms(
    of_results: Schema, terms: bool, tmp_path: Path
) -> None:
    result = hm.simulate("h100-1k", seed=4, runs=2, steps=2, terms=terms)
    result.write(tmp_path / "result.json")
    document = json.loads((tmp_path / "result.json").read_text())
    assert fits(document, of_results, of_results)
    assert ("terms" in document) == terms


WRONG: dict[str, tuple[list[str | int], Any]] = {
    "a metric that there is not": (["summary", 0, "metric"], "power"),
    "a statistic that there is not": (["summary", 0, "statistic"], "p42"),
    "a value of text": (["summary", 0, "value"], "0.4"),
    "a method that is no engine": (["inputs", "method"], "auto"),
    "a key that is not known": (["pools", 0, "n_gpu"], 8),
    "a pool without its energy": (["pools", 0, "energy_j"], None),
    "a scenario with a key that is not known": (["inputs", "scenario", "fabric", "latency"], 1.0),
    "warnings in a table": (["warnings"], {}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_the_schema_of_results_refuses_others(of_results: Schema, wrong: str) -> None:
    result = hm.simulate("h100-1k", seed=4, runs=2, steps=2)
    document = json.loads(json.dumps(result.document()))
    path, value = WRONG[wrong]
    broken = copy.deepcopy(document)
    here = broken
    for part in path[:-1]:
        here = here[part]
    if wrong == "a pool without its energy":
        del here[path[-1]]
    else:
        here[path[-1]] = value
    assert not fits(broken, of_results, of_results)
    assert fits(document, of_results, of_results)


def test_the_schema_of_results_takes_episodes(of_results: Schema, tmp_path: Path) -> None:
    path = tmp_path / "slow.toml"
    path.write_text('extends = ["h100-1k", "llama3-failures", "fail-slow"]\n')
    result = hm.simulate(path, seed=4, runs=2, steps=2)
    document = json.loads(json.dumps(result.document()))
    assert fits(document, of_results, of_results)
    [pool] = document["pools"]
    assert {*EPISODES_OF_POOLS} <= pool.keys()
    pool["slowest_in_episode_frac"] = "often"
    assert not fits(document, of_results, of_results)


def test_a_validator_agrees_where_one_is_installed(of_files: Schema, of_results: Schema) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    result = hm.simulate("h100-1k", seed=4, runs=2, steps=2)
    jsonschema.validate(json.loads(json.dumps(result.document())), of_results)
    for name in catalog.names("presets"):
        jsonschema.validate(tomllib.loads(catalog.text("presets", name)), of_files)
