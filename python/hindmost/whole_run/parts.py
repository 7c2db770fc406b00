"""Parts of a job: what it can go on without."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hindmost.scenario.counts import Counts, expert_replicas, is_mixed
from hindmost.scenario.models import Layout, Scenario
from hindmost.scenario.numbering import numberings


def part_replicas(layout: Layout, n_replicas: int, *, keeps_states: bool) -> int:
    """Return the consecutive replicas that only work together.

    Parameters
    ----------
    layout
        The layout.
    n_replicas
        Replicas of the job.
    keeps_states
        Whether the job goes on with the states that it has, and not from a checkpoint, which can
        be divided anew. Then each part needs all states, as a shard group has them.
    """
    group = (layout.shard_group or 1) if keeps_states else 1
    return min(n_replicas, max(group, expert_replicas(layout, n_replicas)))


def parts_of_groups(
    scenario: Scenario, counts: Counts, *, replicas: int
) -> dict[str, NDArray[np.uint32]]:
    """Return the part that each working tensor group of each pool belongs to.

    Parameters
    ----------
    scenario, counts
        The scenario, and its counts.
    replicas
        Consecutive replicas of a part.
    """
    layout = scenario.layout
    mixed = is_mixed(layout)
    found = {}
    first_group = first_replica = 0
    for name, pool in counts.pools.items():
        n_groups = pool.n_ranks // layout.tensor
        data = counts.n_replicas if mixed else pool.n_replicas
        dense = numberings(
            layout.order,
            tensor=1,
            context=layout.context,
            pipeline=layout.pipeline,
            data=max(1, data),
        ).dense
        groups = np.arange(n_groups, dtype=np.int64) + (first_group if mixed else 0)
        replica = dense.index(groups, "dp") + (0 if mixed else first_replica)
        found[name] = (replica // replicas).astype(np.uint32)
        first_group += n_groups
        first_replica += pool.n_replicas
    return found
