"""Collectives: one algorithm a file.

Each function takes what a communicator exchanges and the links that its members
have while all its siblings run, and returns a `Cost`. `ALGORITHMS` holds those
over a network of domains by name; `torus` takes a shape. `nccl` holds NCCL's own
latencies, and `hops` what hops of random length make of a latency.
"""

from hindmost.collective.algorithm import ALGORITHMS, Algorithm
from hindmost.collective.all_to_all import all_to_all
from hindmost.collective.cost import Cost, Link
from hindmost.collective.hierarchical import all_gather, all_reduce, reduce_scatter

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Cost",
    "Link",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "reduce_scatter",
]
