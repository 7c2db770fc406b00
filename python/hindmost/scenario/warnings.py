"""What is allowed in a scenario, and probably not meant."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from hindmost import catalog
from hindmost.scenario.models import Scenario


@dataclass(frozen=True, kw_only=True)
class ScenarioWarning:
    """One thing in a scenario that is probably not meant.

    Attributes
    ----------
    path : str
        Key path.
    warning : str
        What is suspect and why, as the rest of a sentence about it.
    """

    path: str
    warning: str

    def __str__(self) -> str:
        return f"{self.path} {self.warning}"


def scenario_warnings(scenario: Scenario) -> list[ScenarioWarning]:
    """Return what is allowed in a scenario, and probably not meant."""
    return [*_causes(scenario)]


def _causes(scenario: Scenario) -> Iterator[ScenarioWarning]:
    """Yield a warning where equal GPUs do not vary as measured ones do."""
    causes = scenario.enabled_causes
    if not _measured_causes().isdisjoint(causes):
        return
    preset = "measured" if scenario.layout.pipeline == 1 else "measured-pipeline"
    warning = (
        "has none of those that were measured of equal GPUs: if they are not your own "
        f'measurements, step time and MFU are no prediction; extends = ["{preset}"] adds them'
        if causes
        else "is empty, so that nothing but the fabric varies: step time and MFU are those of an "
        f'ideal cluster, and no prediction; extends = ["{preset}"] adds what was measured'
    )
    yield ScenarioWarning(path="causes", warning=warning)


@cache
def _measured_causes() -> frozenset[str]:
    """Return the names of the causes in the presets of measured variation."""
    return frozenset(tomllib.loads(catalog.text("presets", "measured"))["causes"])
