"""What a core does in the same run, for rates that are stated for a core at its full speed.

Machines differ, and one machine differs from hour to hour where others share its caches and its
memory. A stated rate is asked of a core that reaches a yardstick's rate; a slower core is asked for
as much less, a faster one for no more.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import numpy as np

N_NORMALS = 1_000_000
N_CLOCKS = 125_000
N_MOVES = 50_000
N_TABLES = 2_000
_TABLE = {f"table {n}": {"name": str(n), "values": [n, n + 0.5]} for n in range(N_TABLES)}


@dataclass(frozen=True)
class Yardstick:
    """Work of others, its amount, and the rate of a core at its full speed."""

    work: Callable[[], object]
    count: float
    per_s: float

    def share(self, took_s: float) -> float:
        """Return the share of its full speed at which a core took so long; 1 at most."""
        return min(1.0, self.count / (took_s * self.per_s))


def normals() -> None:
    """Draw numbers by NumPy, which takes arithmetic."""
    np.random.default_rng(1).standard_normal(N_NORMALS)


@cache
def _clocks() -> tuple[list[tuple[float, int]], list[float]]:
    gaps = np.random.default_rng(1).weibull(0.7, N_CLOCKS + N_MOVES).tolist()
    heap = [(gap, unit) for unit, gap in enumerate(gaps[:N_CLOCKS])]
    heapq.heapify(heap)
    return heap, gaps[N_CLOCKS:]


def clocks() -> None:
    """Let the first of many clocks run anew, again and again, by heapq; memory decides on it."""
    first, gaps = _clocks()
    heap = first.copy()
    for gap in gaps:
        at, unit = heap[0]
        heapq.heapreplace(heap, (at + gap, unit))


def objects() -> None:
    """Copy a table of tables, which takes an interpreter."""
    deepcopy(_TABLE)


ARITHMETIC = Yardstick(normals, N_NORMALS, 1.2e8)
MEMORY = Yardstick(clocks, N_MOVES, 7e5)
OBJECTS = Yardstick(objects, N_TABLES, 4e5)
