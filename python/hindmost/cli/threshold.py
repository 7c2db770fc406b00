"""Thresholds of ``--fail-if``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from hindmost.errors import Problem, ScenarioError
from hindmost.forecasted import FORECAST_METRICS, forecast_name_problems
from hindmost.metrics import name_problems
from hindmost.result import Result

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _any_of(words: Iterable[str]) -> str:
    # Longest first: a match of "<" would leave the "=" of "<=" to the number.
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_FORM = re.compile(rf"\s*(forecast\.)?(\w+)\.([\w.]+)\s*({_any_of(_SIGNS)})\s*(\S+)\s*")


@dataclass(frozen=True)
class Threshold:
    """A comparison of one value of a summary, or of a forecast, with a number."""

    text: str
    metric: str
    statistic: str
    sign: str
    limit: float
    of_forecast: bool = False

    @property
    def name(self) -> str:
        """The value that is compared."""
        return f"{'forecast.' * self.of_forecast}{self.metric}.{self.statistic}"

    def value(self, result: Result) -> float:
        """Return the value of a result, which has a forecast if it is one of that."""
        if not self.of_forecast:
            return result.value(self.metric, self.statistic)
        assert result.forecast is not None
        return result.forecast.value(self.metric, self.statistic)

    def holds(self, result: Result) -> bool:
        """Return whether the comparison holds for a result."""
        return bool(_SIGNS[self.sign](self.value(result), self.limit))


def parsed_thresholds(texts: Iterable[str]) -> list[Threshold]:
    """Return the thresholds of texts ``metric.statistic<value``, with ``forecast.`` before some.

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
    limit = _number(match[5]) if match else math.nan
    if match is None or math.isnan(limit):
        requirement = f"must be METRIC.STATISTIC, one of {' '.join(_SIGNS)}, and a number"
        hint = "such as mfu.p50<0.38, or forecast.mfu.p5<0.3"
        problem = Problem(path="--fail-if", requirement=requirement, value=text, hint=hint)
        raise ScenarioError([problem])
    of, metric, statistic, sign, _ = match.groups()
    if not of and statistic.partition(".")[0] in FORECAST_METRICS:
        requirement = "must be METRIC.STATISTIC, or forecast.METRIC.STATISTIC"
        raise ScenarioError([Problem(path="--fail-if", requirement=requirement, value=text)])
    found = (forecast_name_problems if of else name_problems)(metric, statistic)
    if found:
        raise ScenarioError([replace(problem, source="--fail-if") for problem in found])
    return Threshold(text, metric, statistic, sign, limit, of_forecast=bool(of))


def _number(text: str) -> float:
    """Return the number of a text; NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
