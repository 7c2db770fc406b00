"""Published rates of context ranks, predicted with the number of one rank."""

from __future__ import annotations

from tests.validation.context import MAX_GROWTH, PUBLISHED, fitted, rate, rows

LIMIT = 0.10


def test_the_number_of_one_rank_predicts_two() -> None:
    assert abs(rows()[0].error("zigzag")) <= LIMIT


def test_four_and_eight_ranks_lie_between_both_splits_of_a_sequence() -> None:
    for row in rows()[1:]:
        assert row.predicted["contiguous"] < row.published < row.predicted["zigzag"]


def test_four_ranks_grow_by_more_than_anything_that_a_token_computes() -> None:
    """Nothing of a token grows by more than its attention, to the double: no rate explains it."""
    assert all(row.growth < MAX_GROWTH for row in rows())
    assert [row.context for row in rows() if row.published_growth > MAX_GROWTH] == [4]


def test_the_fit_meets_its_row() -> None:
    assert abs(rate(1, fitted()) / PUBLISHED[1] - 1) < 1e-6
