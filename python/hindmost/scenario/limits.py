"""What is known to matter and is not modelled."""

from __future__ import annotations

from hindmost.scenario.models import Scenario


def not_modelled(scenario: Scenario) -> list[str]:
    """Return what a run of a scenario leaves out: of hindmost, and of the scenario itself."""
    found = ["fail-slow episodes (GPUs and links that are slow for minutes)"]
    layout = scenario.layout
    groups = [
        name
        for name, there in (("tensor", layout.tensor > 1), ("shard", layout.sharding == "hybrid"))
        if there
    ]
    if groups:
        waits = " and ".join(groups)
        found.append(f"waiting of {waits} groups for each other in every layer")
    return [*found, *scenario.not_modelled]
