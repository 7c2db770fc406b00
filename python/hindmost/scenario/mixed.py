"""Which pools the stages of replicas lie in, where they are spread over several."""

from __future__ import annotations

import numpy as np

from hindmost.scenario.counts import Counts
from hindmost.scenario.models import Layout
from hindmost.scenario.numbering import numberings


def stage_pools(layout: Layout, counts: Counts) -> list[tuple[int, ...]]:
    """Return the different ways in which stages of a replica lie in pools, with mixed placement.

    Parameters
    ----------
    layout, counts
        Of a job with mixed placement, and whose stages lie in one pool each.

    Returns
    -------
    list of tuple
        For each of these ways the place of the pool of each stage, in document order.
    """
    groups = [pool.n_ranks // layout.tensor for pool in counts.pools.values()]
    dense = numberings(
        layout.order,
        tensor=1,
        context=layout.context,
        pipeline=layout.pipeline,
        data=counts.n_replicas,
    ).dense
    numbers = np.arange(sum(groups))
    pool_of = np.repeat(np.arange(len(groups)), groups)
    of_replicas = np.zeros((counts.n_replicas, layout.pipeline), dtype=np.int64)
    of_replicas[dense.index(numbers, "dp"), dense.index(numbers, "pp")] = pool_of
    return [tuple(way) for way in np.unique(of_replicas, axis=0).tolist()]
