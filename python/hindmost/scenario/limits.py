"""Effects that are known to matter and are not modelled."""

from __future__ import annotations

from hindmost.scenario.models import Scenario


def not_modelled(scenario: Scenario) -> list[str]:
    """Return the effects that a run leaves out: those of hindmost, and the scenario's own."""
    spans = {cause.span for cause in scenario.enabled_causes.values()}
    found = []
    if "episode" not in spans:
        found.append("fail-slow episodes (the preset fail-slow adds them)")
    if not scenario.enabled_failures:
        found.append("failures, restarts and checkpoints (no [failures] are given)")
    layout = scenario.layout
    shards = layout.sharding in ("zero3", "hybrid")
    there = {
        "tensor": layout.tensor > 1,
        "shard": shards,
        "expert": layout.expert > 1,
    }
    groups = [name for name, is_there in there.items() if is_there]
    if groups and "layer" not in spans:
        waits = " and ".join(filter(None, [", ".join(groups[:-1]), groups[-1]]))
        found.append(
            f"waiting of {waits} groups for each other in every layer (no cause has span layer)"
        )
    elif layout.pipeline > 1 and (shards or layout.expert > 1):
        waits = " and ".join(name for name in groups if name != "tensor")
        found.append(f"waiting of {waits} groups of different replicas in every layer of a stage")
    return [*found, *scenario.not_modelled]
