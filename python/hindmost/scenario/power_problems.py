"""Problems of power and its smoothing, with each other and with what else has names."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.errors import Problem
from hindmost.scenario.models import Pool, Scenario
from hindmost.scenario.smoothing import SMOOTHING, Smoothing

LEAST_CLOCK = 1e-3
"""Share of its clock that a cap of power leaves a GPU, at least."""
LAW = "a GPU runs at (power_cap_w / peak_power_w) ** clock_exponent of its rate"


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
    yield from _cap(path, pool, peak_w, idle_w)
    if pool.smoothing is not None and not pool.power_aware:
        yield from _smoothing(scenario, name, pool.smoothing)


def _cap(path: str, pool: Pool, peak_w: float | None, idle_w: float | None) -> Iterator[Problem]:
    """Yield the problems of a cap of power and of the law of its clock."""
    cap_w, exponent = pool.power_cap_w, pool.clock_exponent
    if (cap_w is None) != (exponent is None):
        missing, given = "clock_exponent", "power_cap_w"
        if cap_w is None:
            missing, given = given, missing
        requirement = f"is missing where {path}.{given} is given"
        yield Problem(path=f"{path}.{missing}", requirement=requirement, hint=LAW)
    if cap_w is None:
        return
    if peak_w is None:
        requirement = f"is missing, and {path}.power_cap_w is given"
        yield Problem(path=f"{path}.peak_power_w", requirement=requirement)
        return
    if cap_w > peak_w:
        requirement = f"must be <= {peak_w:g}, the peak power"
        yield Problem(path=f"{path}.power_cap_w", requirement=requirement, value=cap_w)
    lowest_w = max(idle_w or 0.0, pool.smoothing.floor * peak_w if pool.smoothing else 0.0)
    if cap_w < lowest_w:
        requirement = f"must be >= {lowest_w:g}, the power of an idle GPU or the floor of smoothing"
        yield Problem(path=f"{path}.power_cap_w", requirement=requirement, value=cap_w)
    if pool.forward_s is not None:
        requirement = (
            f"must be absent where {path}.forward_s is given: it was measured at some power"
        )
        yield Problem(path=f"{path}.power_cap_w", requirement=requirement, value=cap_w)
    if exponent is not None and pool.clock < LEAST_CLOCK:
        requirement = (
            f"must leave at least {LEAST_CLOCK:g} of the clock, and leaves {pool.clock:.2g}"
        )
        yield Problem(
            path=f"{path}.clock_exponent", requirement=requirement, value=exponent, hint=LAW
        )


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
