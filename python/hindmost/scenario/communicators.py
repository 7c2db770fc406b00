"""Ranks of communicators, one communicator a row."""

from __future__ import annotations

import numpy as np

from hindmost.scenario.numbering import Ranks

EVERY = 2**31
"""A period after which nothing repeats: of communicators, all are looked at."""


def some(n: int, period: int) -> Ranks:
    """Return some of n indices, those of one period and the last one."""
    return np.append(np.arange(min(n - 1, period)), n - 1)


def moved(members: Ranks, *bases: Ranks) -> Ranks:
    """Return ranks of communicators, one a row: of one of them, moved by each sum of bases."""
    sums = np.zeros(1, dtype=np.int64)
    for base in bases:
        sums = np.add.outer(sums, base).ravel()
    rows: Ranks = np.add.outer(sums, members)
    return rows


def shards(replicas: Ranks, group: int, first: int, period: int) -> tuple[list[Ranks], list[Ranks]]:
    """Return places of ranks of shard groups, and of those with the same shard, one of each group.

    Parameters
    ----------
    replicas
        The replica of each rank with the same part of the model, counted in the pool, in ascending
        order or in that of several context ranks.
    group
        Replicas of a shard group.
    first
        Place of the first replica in its shard group.
    period
        Communicators after which their pattern in domains repeats.
    """
    number, place = np.divmod(replicas + first, group)
    groups = sorted(_by(number), key=len, reverse=True)
    # A pool may lie in a smaller one only.
    n_whole = len(groups) if period == EVERY else sum(len(g) == len(groups[0]) for g in groups)
    within = [groups[k] for k in some(n_whole, period).tolist()]
    holders = _by(place)
    between = [holders[k] for k in some(len(holders), period).tolist()]
    # Context ranks hold other shards.
    return within, [each[np.unique(number[each], return_index=True)[1]] for each in between]


def _by(keys: Ranks) -> list[Ranks]:
    """Return the places of equal keys, by key and in order."""
    order = np.argsort(keys, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)
