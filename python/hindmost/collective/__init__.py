"""Collectives: what an operation costs as one algorithm does it, one algorithm a file.

Each function takes bytes of a communicator's ranks and the links that they have while all sibling
communicators run, and returns a `Cost`. `ALGORITHMS` holds the algorithms over
a network of domains by name; `torus` takes a shape instead. `nccl` has NCCL's own latencies, and
`hops` the total latency of hops of random length.
"""

from hindmost.collective.algorithm import ALGORITHMS, Algorithm, Operation
from hindmost.collective.cost import Cost, Link
from hindmost.collective.direct import all_to_all
from hindmost.collective.hierarchical import all_gather, all_reduce, reduce_scatter
from hindmost.collective.relayed import relayed_all_to_all

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Cost",
    "Link",
    "Operation",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "reduce_scatter",
    "relayed_all_to_all",
]
