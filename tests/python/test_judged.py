"""A scenario is judged once, however it was made."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import hindmost as hm
from hindmost.compiled import Compiled
from hindmost.scenario import from_table, to_table

SIZES: dict[str, Any] = {"seed": 1, "runs": 2, "steps": 3}


def base() -> hm.Scenario:
    return hm.load("h100-1k")


def with_workload(scenario: hm.Scenario, **update: Any) -> hm.Scenario:
    return scenario.model_copy(update={"workload": scenario.workload.model_copy(update=update)})


def with_table(**update: Any) -> hm.Scenario:
    table = base().model_dump()
    for key, value in update.items():
        table[key] = {**table[key], **value}
    return hm.Scenario.model_validate(table)


construct: Callable[..., hm.Scenario] = hm.Scenario.model_construct


def changed_in_place() -> hm.Scenario:
    scenario = base()
    pool = scenario.pools["h100"]
    scenario.pools["h100"] = pool.model_copy(update={"n_gpus": -8})
    return scenario


WRONG: dict[str, tuple[Callable[[], hm.Scenario], str]] = {
    "a copy": (lambda: with_workload(base(), seq_len=-5), "workload.seq_len must be >= 1, got -5"),
    "a copy without a table": (
        lambda: base().model_copy(update={"layout": None}),
        "layout must be a table, got nothing",
    ),
    "a validated table": (
        lambda: with_table(layout={"tensor": 3}),
        "layout.tensor must divide",
    ),
    "a constructed one": (lambda: construct(name="x"), "pools is missing"),
    "a table changed in place": (changed_in_place, "pools.h100.n_gpus must be >= 1, got -8"),
    "a copy of a copy": (
        lambda: pickle.loads(pickle.dumps(with_workload(base(), seq_len=-5))),
        "workload.seq_len must be >= 1, got -5",
    ),
    "a number of no kind that files have": (
        lambda: with_workload(base(), overhead_s=float("inf")),
        "workload.overhead_s must be finite, got inf",
    ),
}

CALLS: dict[str, Callable[[hm.Scenario], object]] = {
    "with a change": lambda scenario: hm.with_changes(scenario, {"not_modelled": ["x"]}),
    "compile": hm.compile,
    "simulate": lambda scenario: hm.simulate(scenario, **SIZES),
    "with_changes": lambda scenario: hm.with_changes(scenario, {}),
    "Compiled": Compiled,
    "rank_times": lambda scenario: hm.rank_times(scenario, seed=1, run=0, steps=[0]),
    "slowest_replicas": lambda scenario: hm.slowest_replicas(scenario, runs=1, steps=1),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("wrong", WRONG)
def test_an_object_that_was_not_loaded_is_judged(wrong: str, call: str) -> None:
    made, said = WRONG[wrong]
    with pytest.raises(hm.ScenarioError) as caught:
        CALLS[call](made())
    assert any(said in str(problem) for problem in caught.value.problems), str(caught.value)


@pytest.mark.parametrize(
    "made",
    [
        base,
        lambda: from_table(to_table(base())),
        lambda: hm.with_changes(base(), {"workload.overhead_s": 0.1}),
        lambda: copy.copy(base()),
        lambda: copy.deepcopy(base()),
        lambda: pickle.loads(pickle.dumps(base())),
        lambda: base().model_copy(),
    ],
)
def test_what_was_loaded_is_not_judged_again(
    made: Callable[[], hm.Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = made()
    assert scenario.is_judged
    monkeypatch.setattr("hindmost.scenario.load.checked", lambda _: pytest.fail("judged again"))
    compiled = hm.compile(scenario)
    assert compiled.scenario is scenario
    compiled.simulate(**SIZES)


def test_a_change_may_make_an_object_right() -> None:
    wrong = with_workload(base(), seq_len=-5)
    assert hm.with_changes(wrong, {"workload.seq_len": 8192}) == base()


def test_an_object_that_is_right_gives_the_rows_of_one_that_was_loaded() -> None:
    copied = with_workload(base(), overhead_s=0.5)
    assert not copied.is_judged
    expected = hm.simulate("h100-1k", **SIZES, changes={"workload.overhead_s": 0.5})
    assert (
        hm.simulate(copied, **SIZES).columns["step_time_s"] == expected.columns["step_time_s"]
    ).all()
