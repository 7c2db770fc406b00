"""Which unknowns act on steps, and which on whole runs."""

from __future__ import annotations

from collections.abc import Sequence

from hindmost.analyses.unknowns import Unknown
from hindmost.scenario import Scenario

OF_RUNS = ("failures.", "recovery.", "checkpoint.", "slices.")
"""Key paths of what happens between steps begin with these."""
OF_STEPS = ("causes.", "fabric.", "collective.", "workload.")
"""Key paths of what happens in steps begin with these."""
OF_STEPS_IN_POOLS = (
    "software_efficiency",
    "kernel_efficiency",
    "attention_efficiency",
    "memory_efficiency",
    "scale_up_latency_s",
    "nic_bytes_per_s",
    "forward_s",
    "backward_s",
    "power_cap_w",
    "clock_exponent",
)
"""Keys of pools that do the same."""
STOPS = ("recovery.watchdog_s", "recovery.evict_after_s")
"""Key paths of what makes causes of steps stop the job."""


def sides(scenario: Scenario, unknowns: Sequence[Unknown]) -> tuple[list[str], list[str]]:
    """Return the key paths of unknowns that act on steps, and of those that act on whole runs.

    Some act on both.
    """
    on_steps, on_runs = [], []
    given = (scenario.watchdog_s, scenario.evict_after_s)
    may_stop = any(seconds is not None for seconds in given) or any(
        unknown.path in STOPS for unknown in unknowns
    )
    for unknown in unknowns:
        of_steps, of_runs = _acts_on(unknown.path, may_stop=may_stop)
        if of_steps:
            on_steps.append(unknown.path)
        if of_runs:
            on_runs.append(unknown.path)
    return on_steps, on_runs


def _acts_on(path: str, *, may_stop: bool) -> tuple[bool, bool]:
    """Return whether a key path acts on steps, and whether it acts on whole runs."""
    first, _, rest = path.partition(".")
    key = rest.rpartition(".")[2]
    if path.startswith(OF_RUNS):
        # Spares are no ranks, a watchdog ends stalls, and an eviction ends an episode.
        return key == "spares" or path in STOPS, True
    in_steps = path.startswith(OF_STEPS) or (first == "pools" and key in OF_STEPS_IN_POOLS)
    # Stalls that a watchdog ends are failures, and evictions come by episodes.
    return True, not in_steps or may_stop
