"""Scenarios: a cluster, a job on it and what disturbs them, from TOML."""

from hindmost.scenario.basis import bases
from hindmost.scenario.change import Changes, parse_change
from hindmost.scenario.counts import (
    crew_replicas,
    data_ranks_of_domain,
    n_data_ranks,
    n_microbatches,
    n_replicas,
    n_replicas_of_pool,
    n_tensor_groups,
    replica_gpus,
    smallest_shard_group,
    stage_gpus,
    torus_ranks,
)
from hindmost.scenario.limits import not_modelled
from hindmost.scenario.load import from_table, load, to_table, with_changes
from hindmost.scenario.models import Scenario
from hindmost.scenario.problems import problems

__all__ = [
    "Changes",
    "Scenario",
    "bases",
    "crew_replicas",
    "data_ranks_of_domain",
    "from_table",
    "load",
    "n_data_ranks",
    "n_microbatches",
    "n_replicas",
    "n_replicas_of_pool",
    "n_tensor_groups",
    "not_modelled",
    "parse_change",
    "problems",
    "replica_gpus",
    "smallest_shard_group",
    "stage_gpus",
    "to_table",
    "torus_ranks",
    "with_changes",
]
