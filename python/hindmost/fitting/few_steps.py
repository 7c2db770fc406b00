"""How many steps and ranks a fit and a comparison take."""

from __future__ import annotations

from hindmost.errors import Problem, ScenarioError
from hindmost.fitting.log_steps import LogSteps

FEWEST_STEPS = 100
"""Steps of a log, at least."""
FEWEST_RANKS = 8
"""Ranks of a log that has their times, at least."""
RECOMMENDED_RANKS, RECOMMENDED_STEPS = 32, 500
"""From which on errors are as those that are tested."""


def check_steps(log: LogSteps, *, fewest_ranks: int = 0) -> None:
    """Refuse a log that is too short.

    Raises
    ------
    ScenarioError
        If it has fewer than 100 steps, or times of fewer ranks than asked for.
    """
    found = []
    n_steps = sum(len(one.seconds) for one in log.job)
    if n_steps < FEWEST_STEPS:
        requirement = f"must have {FEWEST_STEPS} steps or more"
        hint = f"{log.n_masked} records are masked, as none of a usual step" if log.n_masked else ""
        found.append(Problem(path="log", requirement=requirement, value=n_steps, hint=hint))
    if log.ranks is not None and len(log.ranks.ranks) < fewest_ranks:
        requirement = f"must have times of {fewest_ranks} ranks or more, or of the whole job"
        value = len(log.ranks.ranks)
        found.append(Problem(path="log", requirement=requirement, value=value))
    if found:
        raise ScenarioError(found)


def warnings_of(log: LogSteps) -> list[str]:
    """Return why errors are wide."""
    found = []
    n_steps = sum(len(one.seconds) for one in log.job)
    if n_steps < RECOMMENDED_STEPS:
        found.append(f"{n_steps} steps are few: errors are tested from {RECOMMENDED_STEPS} on")
    if log.ranks is not None and len(log.ranks.ranks) < RECOMMENDED_RANKS:
        n_ranks = len(log.ranks.ranks)
        found.append(f"{n_ranks} ranks are few: errors are tested from {RECOMMENDED_RANKS} on")
    return found
