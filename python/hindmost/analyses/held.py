"""Unknowns that a forecast holds at the scenario's value: those that make it another job."""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.analyses.sides import OF_STEPS_IN_POOLS
from hindmost.analyses.unknowns import Unknown
from hindmost.errors import ScenarioError
from hindmost.plan.plan import step_tokens
from hindmost.scenario import Scenario, with_changes

SHARES = (1e-3, 1 - 1e-3, 0.25, 0.75, 0.5)
"""Probabilities of the values that are looked at: both ends of a range first, and values between
them where the scenario refuses these or they are the scenario's own."""
OF_NO_TOKENS = ("causes", "fabric", "fabrics", "collective", "failures", "checkpoint", "ideal")
"""Sections of which no value changes the tokens of a step."""
OF_RECOVERY = "spares"
"""Key of a recovery that does; all others say what happens between steps."""


def held_of(scenario: Scenario, unknowns: Sequence[Unknown]) -> tuple[str, ...]:
    """Return the key paths of unknowns that change the tokens of a step.

    With another number of tokens, a step time is not comparable, and what is forecast is the job
    that the scenario describes.
    """
    candidates = [unknown for unknown in unknowns if _may_matter(unknown.path)]
    if not candidates:
        return ()
    tokens = step_tokens(scenario)
    return tuple(
        unknown.path for unknown in candidates if _changes_tokens(scenario, unknown, tokens)
    )


def _may_matter(path: str) -> bool:
    section, key = path.partition(".")[0], path.rpartition(".")[2]
    if section == "pools":
        return key not in OF_STEPS_IN_POOLS and ".smoothing." not in path
    if section == "recovery":
        return key == OF_RECOVERY
    return section not in OF_NO_TOKENS and path != "workload.overhead_s"


def _changes_tokens(scenario: Scenario, unknown: Unknown, tokens: int) -> bool:
    for share in SHARES:
        value = unknown.as_value_below(unknown.law.ppf(share))
        try:
            if step_tokens(with_changes(scenario, {unknown.path: value})) != tokens:
                return True
        except ScenarioError:
            continue
    return False
