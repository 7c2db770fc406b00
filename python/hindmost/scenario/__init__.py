"""Scenarios: a cluster, a job on it and what disturbs them, from TOML."""

from hindmost.scenario.basis import bases
from hindmost.scenario.change import Changes, parse_change
from hindmost.scenario.counts import Counts, PoolCounts, n_microbatches, replica_gpus
from hindmost.scenario.limits import not_modelled
from hindmost.scenario.load import from_table, to_table, with_changes
from hindmost.scenario.models import Scenario
from hindmost.scenario.warnings import ScenarioWarning, scenario_warnings

__all__ = [
    "Changes",
    "Counts",
    "PoolCounts",
    "Scenario",
    "ScenarioWarning",
    "bases",
    "from_table",
    "n_microbatches",
    "not_modelled",
    "parse_change",
    "replica_gpus",
    "scenario_warnings",
    "to_table",
    "with_changes",
]
