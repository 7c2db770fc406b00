"""Collectives: one algorithm a file.

Each function takes what a communicator exchanges and the links that its members
have while all its siblings run, and returns a `Cost`.
"""

from hindmost.collective.cost import Cost, Link
from hindmost.collective.hierarchical import all_gather, all_reduce, reduce_scatter

__all__ = ["Cost", "Link", "all_gather", "all_reduce", "reduce_scatter"]
