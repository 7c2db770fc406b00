"""Unions of intervals, against a count of the milliseconds that they cover."""

from __future__ import annotations

import numpy as np
import pytest

from hindmost.logs.intervals import Shares, Times, Union

GRID = 400


def intervals(random: np.random.Generator, n: int) -> tuple[Times, Times]:
    begin = random.integers(0, GRID - 60, n)
    return begin, begin + random.integers(0, 60, n)


def covered(begin: Times, end: Times) -> np.ndarray:
    cells = np.zeros(GRID, dtype=bool)
    for first, last in zip(begin, end, strict=True):
        cells[first:last] = True
    return cells


@pytest.mark.parametrize("seed", range(40))
def test_shares_are_those_that_a_count_of_cells_gives(seed: int) -> None:
    random = np.random.Generator(np.random.Philox(seed))
    begin, end = intervals(random, int(random.integers(1, 40)))
    is_communication = random.random(len(begin)) < 0.4
    bounds = np.sort(random.choice(GRID, 6, replace=False)).astype(np.int64)
    spans = bounds[:-1], bounds[1:]
    shares = Shares.of(begin, end, is_communication, spans=spans)
    computes = covered(begin[~is_communication], end[~is_communication])
    communicates = covered(begin[is_communication], end[is_communication])
    for at, (first, last) in enumerate(zip(*spans, strict=True)):
        compute, communication = computes[first:last], communicates[first:last]
        assert shares.compute_ns[at] == compute.sum()
        assert shares.hidden_ns[at] == (compute & communication).sum()
        assert shares.exposed_ns[at] == (communication & ~compute).sum()
        assert shares.idle_ns[at] == (~communication & ~compute).sum()


def test_compute_exposed_and_idle_add_up_to_the_span() -> None:
    random = np.random.Generator(np.random.Philox(7))
    begin, end = intervals(random, 30)
    spans = np.array([0, 100]), np.array([100, GRID])
    shares = Shares.of(begin, end, random.random(30) < 0.5, spans=spans)
    total = shares.compute_ns + shares.exposed_ns + shares.idle_ns
    assert total.tolist() == [100, GRID - 100]


def test_a_union_has_no_overlaps_whatever_the_order() -> None:
    union = Union.of(np.array([50, 0, 10, 20]), np.array([60, 30, 20, 40]))
    assert (union.begin_ns.tolist(), union.end_ns.tolist()) == ([0, 50], [40, 60])


def test_of_nothing_nothing_is_covered() -> None:
    none = np.array([], dtype=np.int64)
    assert Union.of(none, none).within(np.array([0]), np.array([9])).tolist() == [0]
