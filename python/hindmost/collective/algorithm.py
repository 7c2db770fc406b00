"""Algorithms over a network of domains, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from hindmost.collective import direct, flat_ring, hierarchical, pat, tree
from hindmost.collective.cost import Cost, Link
from hindmost.collective.hops import Pattern
from hindmost.spread import Spread

Operation = Literal["all_gather", "reduce_scatter", "all_reduce", "all_to_all"]
"""What a collective does. Replicas do the first three with each other."""


class Collective(Protocol):
    """One operation as one algorithm does it, over domains that a network joins."""

    def __call__(
        self,
        n_bytes: float,
        *,
        spread: Spread,
        scale_up: Link,
        port: Link,
        tiers: Sequence[Link] = (),
    ) -> Cost:
        """Return the cost of the operation on `n_bytes` among the ranks of a communicator."""


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    """The collectives of one algorithm; None for an operation that it cannot do.

    Parameters
    ----------
    all_gather, reduce_scatter, all_reduce, all_to_all
        What each operation costs.
    gather_hops, reduce_hops
        Recursion of the hops between domains, of an all-gather or reduce-scatter
        and of an all-reduce; its n is the number of domains.
    """

    all_gather: Collective | None = None
    reduce_scatter: Collective | None = None
    all_reduce: Collective | None = None
    all_to_all: Collective | None = None
    gather_hops: Pattern | None = None
    reduce_hops: Pattern | None = None

    def collective(self, operation: Operation) -> Collective | None:
        """Return how the algorithm does an operation, if it can."""
        collective: Collective | None = getattr(self, operation)
        return collective

    def hops(self, operation: Operation) -> Pattern | None:
        """Return the recursion of an operation's hops, if the algorithm can do it."""
        return self.reduce_hops if operation == "all_reduce" else self.gather_hops


ALGORITHMS = {
    "hierarchical": Algorithm(
        all_gather=hierarchical.all_gather,
        reduce_scatter=hierarchical.reduce_scatter,
        all_reduce=hierarchical.all_reduce,
        gather_hops="doubling",
        reduce_hops="doubling-all-reduce",
    ),
    "ring": Algorithm(
        all_gather=flat_ring.all_gather,
        reduce_scatter=flat_ring.reduce_scatter,
        all_reduce=flat_ring.all_reduce,
        gather_hops="ring",
        reduce_hops="ring-all-reduce",
    ),
    "tree": Algorithm(all_reduce=tree.all_reduce, reduce_hops="tree"),
    "pat": Algorithm(
        all_gather=pat.all_gather,
        reduce_scatter=pat.reduce_scatter,
        gather_hops="doubling",
    ),
    "direct": Algorithm(all_to_all=direct.all_to_all),
}
"""Algorithms over a network of domains. A torus has a shape instead, see `torus`."""
