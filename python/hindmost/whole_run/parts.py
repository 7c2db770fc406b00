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


def parts_of_slices(
    parts: NDArray[np.uint32], *, slice_groups: int
) -> tuple[NDArray[np.uint32], int]:
    """Return the parts of a job that goes on without whole slices only, and how many there are.

    A torus with a hole is none: parts that a slice has in common are one part.

    Parameters
    ----------
    parts : array of shape (groups,)
        The part that each tensor group of a pool belongs to.
    slice_groups
        Consecutive tensor groups of a slice.
    """
    n_parts = int(parts.max()) + 1
    root = list(range(n_parts))

    def first(part: int) -> int:
        while root[part] != part:
            root[part] = root[root[part]]
            part = root[part]
        return part

    for begin in range(0, len(parts), slice_groups):
        of_slice = [first(int(part)) for part in np.unique(parts[begin : begin + slice_groups])]
        for part in of_slice:
            root[part] = min(of_slice)
    roots = np.array([first(part) for part in range(n_parts)], dtype=np.int64)
    kept, numbers = np.unique(roots, return_inverse=True)
    merged: NDArray[np.uint32] = numbers.astype(np.uint32)[parts]
    return merged, len(kept)
