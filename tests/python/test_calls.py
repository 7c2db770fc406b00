"""Wrong and unusual calls from Python and the shell, and their answers."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import hindmost as hm
from hindmost.cli.catalog import KINDS
from hindmost.cli.options import STYLES
from hindmost.engines import METHODS, Method
from hindmost.report import FORMATS
from hindmost.scenario import not_modelled

TINY = {"pools.h100.n_gpus": 128}


def said(call: Callable[[], object]) -> str:
    with pytest.raises(hm.ScenarioError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("steps", [[1.7], "12", iter([1]), [True]])
def test_steps_to_replay_are_a_list_of_integers(steps: object) -> None:
    message = said(
        lambda: hm.rank_times("h100-1k", seed=1, run=0, steps=steps)  # type: ignore[arg-type]
    )
    assert message.startswith("steps must be ")


def test_more_times_than_memory_holds_are_refused_before_they_are_listed() -> None:
    steps = range(10**9)
    message = said(lambda: hm.rank_times("h100-1k", seed=1, run=0, steps=steps))
    assert (
        message == "steps must make at most 2,147,483,648 numbers with 1,024 ranks, got 1000000000"
    )


def test_more_rows_than_memory_holds_are_refused() -> None:
    message = said(lambda: hm.simulate("h100-1k", runs=2, steps=50_000_001))
    assert message == "runs x steps must make at most 100,000,000 rows, got 100000002"


def test_steps_may_be_a_range_or_an_array_in_any_order() -> None:
    by_range = hm.rank_times("h100-1k", seed=1, run=0, steps=range(3, 9, 2), changes=TINY)
    steps = np.array([7, 3, 5])
    by_array = hm.rank_times("h100-1k", seed=1, run=0, steps=steps, changes=TINY)  # type: ignore[arg-type]
    assert by_range.tobytes() == by_array[[1, 2, 0]].tobytes()
    assert hm.rank_times("h100-1k", seed=1, run=0, steps=[], changes=TINY).shape == (0, 128)


WRONG_CHANGES: list[Any] = ["", "layout.tensor=4", [], [("layout.tensor", 4)], 0, {1, 2}]
COMPILED = hm.compile("h100-1k")

CHANGING: dict[str, Callable[[Any], object]] = {
    "load": lambda changes: hm.load("h100-1k", changes),
    "with_changes": lambda changes: hm.with_changes(COMPILED.scenario, changes),
    "compile": lambda changes: hm.compile("h100-1k", changes),
    "compile a scenario": lambda changes: hm.compile(COMPILED.scenario, changes),
    "simulate": lambda changes: hm.simulate("h100-1k", steps=1, runs=1, changes=changes),
    "a compiled scenario": lambda changes: COMPILED.simulate(steps=1, runs=1, changes=changes),
    "with_changes of it": lambda changes: COMPILED.with_changes(changes),
    "rank_times": lambda changes: hm.rank_times(
        "h100-1k", seed=1, run=0, steps=[0], changes=changes
    ),
}


@pytest.mark.parametrize("call", CHANGING)
@pytest.mark.parametrize("changes", WRONG_CHANGES, ids=repr)
def test_changes_are_a_mapping(call: str, changes: Any) -> None:
    message = said(lambda: CHANGING[call](changes))
    kind = type(changes).__name__
    assert message == f"changes must be a mapping of key paths to values, got a {kind}"


@pytest.mark.parametrize("call", CHANGING)
def test_no_changes_are_no_mistake(call: str) -> None:
    nothing: list[Any] = [None, {}]
    for changes in nothing:
        assert CHANGING[call](changes) is not None


@pytest.mark.parametrize("method", [["auto"], None, 3])
def test_a_method_of_a_wrong_type_is_refused(method: Any) -> None:
    message = said(lambda: hm.simulate("h100-1k", steps=1, runs=1, method=method))
    assert message.startswith("method must be one of auto, order-statistics, sample, got ")


def test_methods_have_a_type_of_their_names() -> None:
    assert hm.simulate.__annotations__["method"] == "Method"
    assert get_args(Method) == METHODS


@pytest.mark.parametrize("scenario", [5, None, {"name": "x"}])
def test_a_scenario_is_a_name_or_a_path(scenario: object) -> None:
    message = said(lambda: hm.load(scenario))  # type: ignore[arg-type]
    assert "must be the name of a preset or the path of a file" in message
    assert said(lambda: hm.simulate(scenario)) == message  # type: ignore[arg-type]


def test_a_change_has_a_key_path_and_a_value_that_changes_something() -> None:
    assert "must be a key path" in said(lambda: hm.load("h100-1k", {5: 1}))  # type: ignore[dict-item]
    for path in ("pools", "causes"):
        message = said(lambda path=path: hm.load("h100-1k", {path: {}}))  # type: ignore[misc]
        assert message.startswith(f"changes: {path} cannot be set to an empty table")


def test_sharding_can_be_switched_off_over_a_preset() -> None:
    changes = {"layout.sharding": "none", "pools.h100.gpu": "b200-sxm"}
    assert hm.load("h100-1k", changes).layout.shard_group_replicas is None


def test_a_last_shard_group_that_is_too_small_is_named() -> None:
    message = said(lambda: hm.simulate("h100-1k", changes={"pools.h100.n_gpus": 1032}))
    assert message.endswith("the last shard group holds only 1 replicas; choose another size")


def test_what_is_not_modelled_follows_from_the_layout() -> None:
    alone = {"layout.tensor": 1, "layout.sharding": "none"}
    episodes, failures = not_modelled(hm.load("h100-1k", alone))
    assert "episodes" in episodes
    assert failures == "failures, restarts and checkpoints (no [failures] are given)"
    _, _, waiting = not_modelled(hm.load("h100-1k"))
    assert waiting == (
        "waiting of tensor and shard groups for each other in every layer (no cause has span layer)"
    )


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HINDMOST_INSTRUCTIONS", "mmx")
    message = said(lambda: hm.simulate("h100-1k", steps=1, runs=1))
    assert re.fullmatch(r'HINDMOST_INSTRUCTIONS must be one of portable.*, got "mmx"', message)


def test_every_instruction_set_gives_the_same_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    results = {}
    for name in hm._core.instruction_sets():
        monkeypatch.setenv("HINDMOST_INSTRUCTIONS", name)
        result = hm.simulate("h100-1k", seed=3, runs=2, steps=30)
        assert result.machine["instruction_set"] == name
        results[name] = result.steps
    assert all(steps.equals(results["portable"]) for steps in results.values())


def test_a_link_to_nowhere_is_left_alone_by_init(tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to("nowhere.toml")
    command = [sys.executable, "-m", "hindmost", "init", str(link)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, link.is_symlink()) == (2, True)
    assert "must not exist yet" in done.stderr


def test_all_that_is_wrong_with_a_command_is_told_at_once(tmp_path: Path) -> None:
    words = ["run", "h100-1k", "--fail-if", "x", "-o", "y.z", "--set", "layout.tensor=3"]
    command = [sys.executable, "-m", "hindmost", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    starts = ["hindmost: --fail-if", "hindmost: --output", "hindmost: --set: layout.tensor"]
    lines = done.stderr.splitlines()
    assert [line.startswith(start) for line, start in zip(lines, starts, strict=True)] == [True] * 3


def test_lists_that_the_command_line_repeats_to_start_quickly_are_the_same() -> None:
    assert STYLES == FORMATS
    assert KINDS == hm.catalog.KINDS


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.uint64])
def test_integers_of_numpy_are_those_of_python(kind: type[np.integer[Any]]) -> None:
    sizes: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 20, "threads": 1}
    of_numpy: dict[str, Any] = {name: kind(value) for name, value in sizes.items()}
    assert hm.simulate("h100-1k", **of_numpy) == hm.simulate("h100-1k", **sizes)
    k: Any = kind(3)
    few = hm.slowest_replicas("h100-1k", k=k, **of_numpy)
    assert few.equals(hm.slowest_replicas("h100-1k", k=3, **sizes))


def test_rows_are_counted_without_overflow() -> None:
    many: Any = np.int32(65_536)
    with pytest.raises(hm.ScenarioError, match="must make at most 100,000,000 rows"):
        hm.simulate("h100-1k", seed=1, runs=many, steps=many)
