"""Whether stalls come by themselves, or last for steps or strike nodes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOGETHER = 0.25
"""Share of stalls that come together, from which on they are not independent."""
TOGETHER_PAUSES = 0.5
"""Share of pauses that follow another one at one distance, from which on they are periodic."""
FEWEST_PERIODS = 3
"""Pauses that do, at least."""
SHORTEST_PERIOD = 10
"""Steps of a period, at least: shorter ones come by chance."""
FEWEST = 8
"""Stalls of which anything is said, at least."""
SHOWN = 4
"""Ranks that a message names."""


def pause_pattern(steps: Sequence[NDArray[np.float64]]) -> list[str]:
    """Return that pauses come at even distances, in words.

    Parameters
    ----------
    steps : sequence of arrays
        Numbers of the steps with a pause, from one restart to the next one.
    """
    gaps = np.concatenate([np.diff(one) for one in steps]) if steps else np.array([])
    gaps = gaps[gaps >= SHORTEST_PERIOD]
    if not len(gaps):
        return []
    values, counts = np.unique(gaps, return_counts=True)
    period = values[counts.argmax()]
    n = sum(map(len, steps))
    n_after = sum(int(np.isin(one - period, one).sum()) for one in steps)
    if n_after < max(FEWEST_PERIODS, TOGETHER_PAUSES * (n - len(steps))):
        return []
    return [
        f"{n_after} of {n} pauses follow another one after {period:.0f} steps: these come at even "
        f"distances, as those of a cause with period_steps do, where the fit has them at random"
    ]


def stall_patterns(
    is_stalled: NDArray[np.bool_], ranks: NDArray[np.int64], nodes: NDArray[np.intp]
) -> list[str]:
    """Return what keeps stalls from being independent, in words.

    Parameters
    ----------
    is_stalled : array of shape (ranks, steps)
        Which times hold a stall.
    ranks, nodes : array of shape (ranks,)
        Numbers of the ranks, and of their nodes.
    """
    n = int(is_stalled.sum())
    if n < FEWEST:
        return []
    found = []
    lasting = is_stalled[:, 1:] & is_stalled[:, :-1]
    if lasting.sum() > TOGETHER * n:
        by_rank = lasting.sum(axis=1)
        most = [int(ranks[one]) for one in np.argsort(-by_rank)[:SHOWN] if by_rank[one]]
        found.append(
            f"{int(lasting.sum())} of {n} stalls follow one of the same rank in the step before, "
            f"most of them of rank {', '.join(map(str, most))}: these are slow times, of which no "
            f"episode is fitted, and a step's stalls are not as independent as the fit has them"
        )
    of_nodes = np.zeros((int(nodes.max()) + 1, is_stalled.shape[1]), dtype=np.int64)
    np.add.at(of_nodes, nodes, is_stalled)
    shared = int(of_nodes[of_nodes > 1].sum())
    if shared > TOGETHER * n and len(np.unique(nodes)) < len(nodes):
        found.append(
            f"{shared} of {n} stalls are those of several ranks of a node in one step: nodes are "
            f"struck, where the fit has ranks by themselves"
        )
    return found
