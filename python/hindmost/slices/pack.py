"""The most cubes that slices of several sizes take on fixed blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise

MOST_NODES = 200_000
"""Places that one search tries, at most."""

Running = tuple[int, int]
"""A running slice: its cubes, and the number of its block, in blocks of that size."""


def block_mask(size: int, block: int) -> int:
    """Return the cubes of a fixed block, as bits."""
    return ((1 << size) - 1) << (size * block)


def largest_sum(sizes: Sequence[int], most: int) -> int:
    """Return the greatest sum of some of the sizes that is at most so much."""
    reached = 1
    for size in sizes:
        reached |= reached << size
    return (reached & ((1 << (most + 1)) - 1)).bit_length() - 1


class Packing:
    """A search for places: of slices that must have one, and of as many others as possible.

    Parameters
    ----------
    cubes
        Cubes of the pod.
    nodes
        Places that it may try.

    Attributes
    ----------
    nodes : int
        Places that are left to be tried; below 0 once the search has been cut short.
    """

    def __init__(self, cubes: int, nodes: int = MOST_NODES) -> None:
        self.cubes = cubes
        self.nodes = nodes
        self._best = -1
        self._places: list[Running] | None = None
        self._goal = 0
        self._sizes: list[tuple[int, bool, int]] = []
        self._nested = False

    def search(
        self, taken: int, must: Sequence[int], may: Sequence[int], *, above: int = -1
    ) -> tuple[int, list[Running]] | None:
        """Return the most cubes that can be placed, and where; None if not more than `above`.

        Parameters
        ----------
        taken
            Cubes that are down or in use, as bits.
        must, may
            Cubes of the slices that must be placed, and of those that may be.
        above
            Cubes that must be exceeded.

        Notes
        -----
        Large slices are placed first, equal ones in the order of their blocks. Where each size
        divides the next one, all free blocks are alike, so that the first one is taken.
        """
        free = self.cubes - taken.bit_count()
        of_must = sum(must)
        self._goal = of_must + largest_sum(may, free - of_must) if of_must <= free else -1
        if self._goal <= above:
            return None
        # The largest first, and of equal ones those that must be placed.
        pieces = sorted([(-size, False) for size in must] + [(-size, True) for size in may])
        self._sizes = [
            (-size, not may_wait, len(list(same))) for (size, may_wait), same in groupby(pieces)
        ]
        distinct = sorted({size for size, _, _ in self._sizes})
        pairs = pairwise(distinct)
        self._nested = all(larger % smaller == 0 for smaller, larger in pairs)
        self._best, self._places = above, None
        self._walk(taken, 0, 0, 0, 0, [])
        return None if self._places is None else (self._best, self._places)

    def _rest(self, kind: int, done: int) -> int:
        """Return the cubes of all that has not been looked at."""
        left = sum(size * n for size, _, n in self._sizes[kind:])
        return left - self._sizes[kind][0] * done if kind < len(self._sizes) else left

    def _walk(
        self, taken: int, kind: int, done: int, from_block: int, placed: int, places: list[Running]
    ) -> bool:
        """Place what is left; returns whether there is no need to go on."""
        while kind < len(self._sizes) and done == self._sizes[kind][2]:
            kind, done, from_block = kind + 1, 0, 0
        if kind == len(self._sizes):
            if placed > self._best:
                self._best, self._places = placed, list(places)
            return self._best >= self._goal
        free = self.cubes - taken.bit_count()
        if placed + min(free, self._rest(kind, done)) <= self._best:
            return False
        size, must, n = self._sizes[kind]
        for block in range(from_block, self.cubes // size):
            self.nodes -= 1
            if self.nodes < 0:
                return True
            mask = block_mask(size, block)
            if taken & mask:
                continue
            places.append((size, block))
            if self._walk(taken | mask, kind, done + 1, block + 1, placed + size, places):
                return True
            places.pop()
            if self._nested:
                break
        # The others of this size have no places, or are given up.
        return False if must else self._walk(taken, kind, n, 0, placed, places)
