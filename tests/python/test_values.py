"""Scenarios, plans and results are values: they compare, pickle and copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import hindmost as hm
from hindmost.plan import make_plan
from hindmost.scenario import from_table, to_table

SMALL: dict[str, Any] = {"steps": 6, "runs": 2}
COPIES: dict[str, Callable[[Any], Any]] = {
    "pickled": lambda value: pickle.loads(pickle.dumps(value)),
    "copied": copy.copy,
    "copied deeply": copy.deepcopy,
}


@pytest.fixture(scope="module")
def result() -> hm.Result:
    return hm.simulate("h100-1k", seed=4, **SMALL)


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("name", ["h100-1k", "colossus-1-pp16"])
def test_a_scenario_is_equal_to_its_copies(name: str, way: str) -> None:
    scenario = hm.load(name)
    # What is compiled when it is first used must not stand against a copy.
    make_plan(scenario)
    again = COPIES[way](scenario)
    assert again == scenario
    assert again.source == scenario.source
    assert make_plan(again) == make_plan(scenario)


@pytest.mark.parametrize("way", COPIES)
def test_a_plan_is_equal_to_its_copies_and_makes_the_same_rows(way: str) -> None:
    plan = make_plan(hm.load("colossus-1-pp16"))
    again = COPIES[way](plan)
    assert again == plan
    assert again.ranks == plan.ranks
    assert make_plan(hm.load("h100-1k")) != plan


@pytest.mark.parametrize("way", COPIES)
def test_a_result_is_equal_to_its_copies(result: hm.Result, way: str) -> None:
    result.summary  # noqa: B018
    again = COPIES[way](result)
    assert again == result
    assert again.steps.equals(result.steps)
    assert again.summary.equals(result.summary)
    assert again.pools.equals(result.pools)
    assert hm.caps(again).equals(hm.caps(result))
    for array in again.columns.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_equal_seeds_make_equal_results_and_other_seeds_others(result: hm.Result) -> None:
    assert hm.simulate("h100-1k", seed=4, threads=1, **SMALL) == result
    assert hm.simulate("h100-1k", seed=5, **SMALL) != result
    assert result != "a result"


def test_an_instruction_set_that_was_asked_for_makes_no_other_plan(
    monkeypatch: pytest.MonkeyPatch, result: hm.Result
) -> None:
    monkeypatch.setenv("HINDMOST_INSTRUCTIONS", "portable")
    assert hm.simulate("h100-1k", seed=4, **SMALL) == result


@pytest.mark.parametrize("section", ["pools", "causes"])
def test_scenarios_of_another_order_are_other_scenarios(section: str) -> None:
    table = to_table(hm.load("colossus-1"))
    turned = {**table, section: dict(reversed(table[section].items()))}
    one, other = from_table(table), from_table(turned)
    assert one == from_table(table)
    assert one != other
    assert hm.compile(one) != hm.compile(other)
