"""Errors: what they say, and that they cross a process whole."""

from __future__ import annotations

import copy
import pickle
import pickletools
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle
import pytest

import hindmost as hm
from hindmost.errors import UNSET, UnknownNameError, Verbatim

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def through(protocol: int, value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


COPIES: dict[str, Callable[[Any], Any]] = {
    **{f"protocol {protocol}": partial(through, protocol) for protocol in PROTOCOLS},
    "cloudpickle": lambda value: cloudpickle.loads(cloudpickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


class RefusalError(hm.ScenarioError):
    """A refusal that knows more, and is made of other arguments."""

    def __init__(self, where: str, problems: list[hm.Problem]) -> None:
        super().__init__(problems)
        self.where = where


PROBLEMS = [
    hm.Problem(path="layout.tensor", requirement="must be >= 1", value=0, source="mine.toml"),
    hm.Problem(path="", requirement="is missing"),
    hm.Problem(path="pools.a", requirement="must not be", value=None, hint="leave it out"),
    hm.Problem(path="workload", requirement="must be longer", value=Verbatim("3.2e-10")),
]
ERRORS = {
    "a refusal": hm.ScenarioError(PROBLEMS),
    "one of a subclass": RefusalError("here", PROBLEMS),
    "an unknown name": UnknownNameError(PROBLEMS[:1]),
    "a failed write": hm.OutputError("x.csv could not be written: no space left on device"),
    "a failed write with a number": hm.OutputError(28, "No space left on device", "x.csv"),
}


def said(error: BaseException) -> dict[str, Any]:
    """Return all that an error says."""
    own = {name: value for name, value in vars(error).items() if name != "__notes__"}
    system = (getattr(error, name, None) for name in ("errno", "strerror", "filename"))
    return {"class": type(error), "text": str(error), "args": error.args, **own, "os": [*system]}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("way", COPIES)
def test_an_error_is_whole_in_a_copy(name: str, way: str) -> None:
    error = ERRORS[name]
    again = COPIES[way](error)
    assert said(again) == said(error)
    if isinstance(again, hm.ScenarioError):
        assert again.problems == error.problems  # type: ignore[attr-defined]
        assert isinstance(again.problems, tuple)


def test_notes_of_an_error_go_with_it() -> None:
    error = hm.ScenarioError(PROBLEMS)
    error.add_note("while sweeping")
    assert through(2, error).__notes__ == ["while sweeping"]


@pytest.mark.parametrize("way", COPIES)
def test_the_mark_for_no_value_stays_itself(way: str) -> None:
    assert COPIES[way](UNSET) is UNSET
    problem = COPIES[way](PROBLEMS[1])
    assert problem.value is UNSET
    assert str(problem) == "is missing"


@pytest.mark.parametrize("way", COPIES)
def test_a_text_without_quotation_marks_stays_without(way: str) -> None:
    problem = COPIES[way](PROBLEMS[3])
    assert isinstance(problem.value, Verbatim)
    assert str(problem) == "workload must be longer, got 3.2e-10"


ESCAPES = "\x1b[2J\x07\n\r\u202e\x9b"
ESCAPED = r"\x1b[2J\x07\n\r\u202e\x9b"


def test_no_part_of_a_problem_acts_on_a_terminal() -> None:
    parts = ("path", "requirement", "value", "hint", "source")
    problem = hm.Problem(**{part: f"{part}{ESCAPES}" for part in parts})
    assert str(problem).isprintable()
    assert str(problem).count(ESCAPED) == len(parts)
    assert str(hm.ScenarioError([problem, problem])).count("\n") == 1


@pytest.fixture(scope="module")
def result() -> hm.Result:
    return hm.simulate("h100-1k", steps=6, runs=2, seed=4)


METRICS = (
    "step_time_s, compute_s, exposed_comm_s, stall_s, mfu, goodput, n_interruptions, "
    "tokens_per_day, fleet_mfu"
)
STATISTICS = "mean, p1, p5, p50, p95, p99, p99.9, p99.99"


@pytest.mark.parametrize(
    ("metric", "statistic", "words"),
    [
        ("mfu", "p55", f'statistic must be one of {STATISTICS}, got "p55"; did you mean "p5"?'),
        ("mfu", "99", f'statistic must be one of {STATISTICS}, got "99"; did you mean "p99"?'),
        ("mfo", "p5", f'metric must be one of {METRICS}, got "mfo"; did you mean "mfu"?'),
        ("good", "mean", f'metric must be one of {METRICS}, got "good"; did you mean "goodput"?'),
        (
            "goodput",
            "mean",
            "metric must be a metric of steps: without [failures] there are no whole runs, "
            'got "goodput"',
        ),
        (
            "power",
            "most",
            f'metric must be one of {METRICS}, got "power"\n'
            f'statistic must be one of {STATISTICS}, got "most"',
        ),
    ],
)
def test_a_value_that_is_not_there_names_those_that_are(
    result: hm.Result, metric: str, statistic: str, words: str
) -> None:
    with pytest.raises(KeyError) as caught:
        result.value(metric, statistic)
    assert str(caught.value) == words
    assert isinstance(caught.value, hm.ScenarioError)
    assert [str(problem) for problem in caught.value.problems] == words.split("\n")


def test_a_pickled_error_names_only_what_can_be_imported() -> None:
    """In a process of its own: some libraries change how exceptions pickle once imported."""
    code = (
        "import pickle, sys, hindmost as hm; "
        "problem = hm.Problem(path='layout.tensor', requirement='must be >= 1', value=0); "
        "sys.stdout.buffer.write(pickle.dumps(hm.ScenarioError([problem]), 2))"
    )
    pickled = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    names = [
        str(argument)
        for operation, argument, _ in pickletools.genops(pickled)
        if operation.name == "GLOBAL"
    ]
    assert names[0] == "hindmost.errors ScenarioError"
