"""Problems of power and its smoothing, with each other and with what else has names."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.errors import Problem
from hindmost.scenario.models import Scenario
from hindmost.scenario.smoothing import SMOOTHING, Smoothing


def power_problems(scenario: Scenario, name: str) -> Iterator[Problem]:
    """Yield the problems of a pool's power.

    Parameters
    ----------
    scenario
        The scenario.
    name
        Name of the pool.
    """
    path, pool = f"pools.{name}", scenario.pools[name]
    peak_w, idle_w = pool.figure("peak_power_w"), pool.figure("idle_power_w")
    if peak_w is not None and idle_w is not None and idle_w > peak_w:
        requirement = f"must be <= {peak_w:g}, the peak power"
        yield Problem(path=f"{path}.idle_power_w", requirement=requirement, value=idle_w)
    if pool.smoothing is not None:
        yield from _smoothing(scenario, name, pool.smoothing)


def _smoothing(scenario: Scenario, name: str, smoothing: Smoothing) -> Iterator[Problem]:
    path, watchdog_s = f"pools.{name}.smoothing", scenario.watchdog_s
    seconds = smoothing.seconds_per_transition
    cause = f"{SMOOTHING}-{name}"
    if seconds and cause in scenario.causes:
        hint = f"it is the name of what {path}.seconds_per_transition does; choose another name"
        yield Problem(path=f"causes.{cause}", requirement="must not be a cause", hint=hint)
    if smoothing.failures_per_transition and SMOOTHING in scenario.failures:
        hint = f"it is the name of what {path}.failures_per_transition makes; choose another"
        requirement = "must not be the name of failures"
        yield Problem(path=f"failures.{SMOOTHING}", requirement=requirement, hint=hint)
    if watchdog_s is not None and seconds > watchdog_s:
        requirement = (
            f"must be <= {watchdog_s:g}, recovery.watchdog_s: it would stop the job in every step"
        )
        yield Problem(path=f"{path}.seconds_per_transition", requirement=requirement, value=seconds)
