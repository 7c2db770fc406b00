"""Scenarios: a cluster, a job on it and what disturbs them, from TOML."""

from hindmost.scenario.basis import bases
from hindmost.scenario.change import Changes, parse_change
from hindmost.scenario.counts import n_replicas, n_replicas_of_pool, smallest_shard_group
from hindmost.scenario.limits import not_modelled
from hindmost.scenario.load import from_table, load, to_table, with_changes
from hindmost.scenario.models import Scenario
from hindmost.scenario.problems import problems

__all__ = [
    "Changes",
    "Scenario",
    "bases",
    "from_table",
    "load",
    "n_replicas",
    "n_replicas_of_pool",
    "not_modelled",
    "parse_change",
    "problems",
    "smallest_shard_group",
    "to_table",
    "with_changes",
]
