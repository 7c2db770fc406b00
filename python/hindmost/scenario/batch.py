"""How the sequences of a step are divided among replicas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hindmost.scenario.counts import Counts, is_mixed, n_microbatches
from hindmost.scenario.models import Layout, Pool, Workload


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the replicas of one pool have of a step's sequences.

    Attributes
    ----------
    microbatch_seqs : int
        Sequences of a full microbatch.
    seqs : int
        Sequences of each replica in a step.
    n_more, more : int
        The first so many replicas of the pool have so many sequences more.
    """

    microbatch_seqs: int
    seqs: int
    n_more: int = 0
    more: int = 0

    @property
    def n_microbatches(self) -> int:
        """Microbatches of the replicas that have most, the last of which may be smaller."""
        most = self.seqs + (self.more if self.n_more else 0)
        return -(-most // self.microbatch_seqs)

    def all_seqs(self, n_replicas: int) -> int:
        """Return the sequences of all replicas of the pool together."""
        return n_replicas * self.seqs + self.n_more * self.more


def is_even(pools: Mapping[str, Pool], workload: Workload) -> bool:
    """Return whether all replicas are to have as many microbatches of as many sequences."""
    own = (pool.microbatch_seqs or pool.n_microbatches for pool in pools.values())
    return workload.uneven_batch == "refuse" and not any(own)


def batches(
    pools: Mapping[str, Pool], workload: Workload, layout: Layout, counts: Counts
) -> dict[str, Batch]:
    """Return what the replicas of each pool have of a step's sequences, by its name.

    Parameters
    ----------
    pools, workload, layout
        Of a scenario without `batch_problems`.
    counts
        Its counts.

    Notes
    -----
    Replicas of pools without a number of microbatches of their own have as many microbatches as
    each other. What is left over of a batch that is given for all goes to the first replicas in
    document order, a microbatch or a sequence to each; where it is left over by sequences, each
    replica has as many of them as its microbatch has, in proportion.
    """
    if is_even(pools, workload) or is_mixed(layout):
        size = workload.microbatch_seqs
        seqs = n_microbatches(workload, counts.n_replicas) * size
        return dict.fromkeys(pools, Batch(microbatch_seqs=size, seqs=seqs))
    found = {}
    sharing = []
    for name, pool in pools.items():
        size = pool.microbatch_seqs or workload.microbatch_seqs
        number = pool.n_microbatches or workload.n_microbatches
        found[name] = Batch(microbatch_seqs=size, seqs=(number or 0) * size)
        if number is None:
            sharing.append(name)
    if sharing:
        n_replicas = {name: counts.pools[name].n_replicas for name in pools}
        left = (workload.global_batch_seqs or 0) - _all_seqs(found, n_replicas)
        sizes = {name: found[name].microbatch_seqs for name in sharing}
        found |= _shared(left, workload, sizes, n_replicas)
    return found


def _shared(
    n_seqs: int, workload: Workload, sizes: Mapping[str, int], n_replicas: Mapping[str, int]
) -> dict[str, Batch]:
    """Return what replicas have of some sequences that they share, by the name of their pool.

    Parameters
    ----------
    n_seqs
        The sequences.
    workload
        Says what becomes of those that are left over.
    sizes
        Sequences of a microbatch, of each pool that shares them.
    n_replicas
        Replicas of each pool.
    """
    per_round = sum(n_replicas[name] * size for name, size in sizes.items())
    by_sequence = workload.uneven_batch == "sequences"
    found = {
        name: Batch(
            microbatch_seqs=size,
            seqs=n_seqs * size // per_round if by_sequence else n_seqs // per_round * size,
            more=1 if by_sequence else size,
        )
        for name, size in sizes.items()
    }
    if workload.uneven_batch == "refuse":
        return found
    left = n_seqs - _all_seqs(found, n_replicas)
    numbers = _handed_out(left, [(batch.more, n_replicas[name]) for name, batch in found.items()])
    return {
        name: replace(batch, n_more=n_more)
        for (name, batch), n_more in zip(found.items(), numbers, strict=True)
    }


def _handed_out(left: int, pieces: Sequence[tuple[int, int]]) -> list[int]:
    """Return how many pieces of each kind make up a number, as many of the first ones as can be.

    Parameters
    ----------
    left
        The number. If no pieces make it up, as many are taken as fit.
    pieces
        Size of each kind, and how many there are of it.
    """
    of_size: dict[int, int] = {}
    for size, n in pieces:
        of_size[size] = of_size.get(size, 0) + n
    wanted = _made_up(left, tuple(of_size.items()))
    found = []
    for size, n in pieces:
        most = left // size if wanted is None else wanted[size]
        taken = min(n, most)
        left -= taken * size
        if wanted is not None:
            wanted[size] -= taken
        found.append(taken)
    return found


def _made_up(left: int, kinds: tuple[tuple[int, int], ...]) -> dict[int, int] | None:
    """Return how many pieces of each size make up a number, or None if none do."""
    (size, n), *others = kinds
    most = min(n, left // size)
    if not others:
        return {size: most} if left == most * size else None
    # Whatever others can leave over has come after so many pieces less.
    period = math.lcm(*(other for other, _ in others))
    for taken in range(most, max(-1, most - period - 1), -1):
        rest = _made_up(left - taken * size, tuple(others))
        if rest is not None:
            return {size: taken, **rest}
    return None


def _all_seqs(batches: Mapping[str, Batch], n_replicas: Mapping[str, int]) -> int:
    return sum(batch.all_seqs(n_replicas[name]) for name, batch in batches.items())
