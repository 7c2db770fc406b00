"""Thresholds of ``--fail-if``."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass

from hindmost.errors import Problem, ScenarioError
from hindmost.metrics import METRICS, STATISTICS
from hindmost.result import Result

_SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def _any_of(words: Iterable[str]) -> str:
    # Longest first: a match of "<" would leave the "=" of "<=" to the number.
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


_FORM = re.compile(
    rf"\s*({_any_of(METRICS)})\.({_any_of(STATISTICS)})\s*({_any_of(_SIGNS)})\s*(\S+)\s*"
)


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
        With a problem for each text that has another form.
    """
    found, thresholds = [], []
    for text in texts:
        threshold = _parsed(text)
        if threshold is None:
            requirement = (
                f"must be METRIC.STATISTIC, one of {' '.join(_SIGNS)}, and a number; "
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
    return None if math.isnan(limit) else Threshold(text, metric, statistic, sign, limit)
