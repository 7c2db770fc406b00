"""Thresholds of ``--fail-if``."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hindmost.errors import Problem, ScenarioError
from hindmost.result import METRICS, Result
from hindmost.statistics import STATISTICS

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_FORM = re.compile(r"\s*(\w+)\.(mean|p[\d.]+?)\s*(<=|>=|<|>)\s*(\S+)\s*")


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
    """Return the thresholds of ``metric.statistic<value`` texts.

    Raises
    ------
    ScenarioError
        With a problem for each text that is none.
    """
    found, thresholds = [], []
    for text in texts:
        threshold = _parsed(text)
        if threshold is None:
            requirement = (
                f"must be METRIC.STATISTIC, one of < <= > >=, and a number; "
                f"metrics are {', '.join(METRICS)}, statistics {', '.join(STATISTICS)}"
            )
            found.append(Problem(path="--fail-if", requirement=requirement, value=text))
        else:
            thresholds.append(threshold)
    if found:
        raise ScenarioError(found)
    return thresholds


def _parsed(text: str) -> Threshold | None:
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    metric, statistic, sign, number = match.groups()
    try:
        limit = float(number)
    except ValueError:
        return None
    if metric not in METRICS or statistic not in STATISTICS or limit != limit:
        return None
    return Threshold(text, metric, statistic, sign, limit)
