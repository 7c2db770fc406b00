"""Thresholds of ``--fail-if``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hindmost.errors import Problem, ScenarioError
from hindmost.metrics import name_problems
from hindmost.result import Result

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _any_of(words: Iterable[str]) -> str:
    # Longest first: a match of "<" would leave the "=" of "<=" to the number.
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_FORM = re.compile(rf"\s*(\w+)\.([\w.]+)\s*({_any_of(_SIGNS)})\s*(\S+)\s*")


@dataclass(frozen=True)
class Threshold:
    """A comparison of one value of a summary with a number."""

    text: str
    metric: str
    statistic: str
    sign: str
    limit: float

    def holds(self, result: Result) -> bool:
        """Return whether the comparison holds for a result."""
        value = result.value(self.metric, self.statistic)
        return bool(_SIGNS[self.sign](value, self.limit))


def parsed_thresholds(texts: Iterable[str]) -> list[Threshold]:
    """Return the thresholds of texts of the form ``metric.statistic<value``.

    Raises
    ------
    ScenarioError
        With the problems of every text: another form, or a name that no summary has.
    """
    found: list[Problem] = []
    thresholds = []
    for text in texts:
        try:
            thresholds.append(_parsed(text))
        except ScenarioError as error:
            found += error.problems
    if found:
        raise ScenarioError(found)
    return thresholds


def _parsed(text: str) -> Threshold:
    match = _FORM.fullmatch(text)
    limit = _number(match[4]) if match else math.nan
    if match is None or math.isnan(limit):
        requirement = f"must be METRIC.STATISTIC, one of {' '.join(_SIGNS)}, and a number"
        hint = "such as mfu.p50<0.38"
        problem = Problem(path="--fail-if", requirement=requirement, value=text, hint=hint)
        raise ScenarioError([problem])
    metric, statistic, sign, _ = match.groups()
    found = name_problems(metric, statistic)
    if found:
        raise ScenarioError([replace(problem, source="--fail-if") for problem in found])
    return Threshold(text, metric, statistic, sign, limit)


def _number(text: str) -> float:
    """Return the number of a text; NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
