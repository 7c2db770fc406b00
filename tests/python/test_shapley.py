"""Shapley values and interactions: against worked values, permutations and their axioms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad

from hindmost.analyses.shapley import alone, interactions, last, shapley

Value = Callable[..., float]


def lattice(n: int, value: Value) -> NDArray[np.float64]:
    """Return the values of all coalitions, given one flag a player."""
    flags = itertools.product((False, True), repeat=n)
    return np.array([value(*each) for each in flags]).reshape(*(2,) * n, 1)


def product(first: bool, second: bool, third: bool) -> float:
    factors = zip((0.878, 16 / 31, 0.9), (first, second, third), strict=True)
    return 0.8 * math.prod(factor for factor, is_ideal in factors if not is_ideal)


def additive(stalls: bool, pause: bool, communication: bool) -> float:
    slowest = 0.0 if stalls else sum(1 / k for k in range(1, 9))
    return 0.5 / (1 + slowest + 0.5 * (not pause) + 0.2 * (not communication))


def overlap(half: bool, three_quarters: bool, none: bool) -> float:
    compute = (0.5 if half else 1) * (0.75 if three_quarters else 1)
    transfers = 0.0 if none else 1.0
    return 0.4 / (compute + max(transfers / 10, transfers - 0.9 * compute))


def persistent(spread: bool, residual: bool) -> float:
    speeds = (1.0, 1.0, 1.0) if spread else (1.0, 1.02, 1.05)
    if residual:
        return 0.5 / max(speeds)

    def sf(x: float) -> float:
        below = (0.5 * math.erfc(-math.log(x / speed) / 0.01 / math.sqrt(2)) for speed in speeds)
        return 1 - math.prod(below)

    return float(0.5 / (0.9 + quad(sf, 0.9, 1.2, epsabs=1e-12, limit=200)[0]))


WORKED: dict[str, tuple[int, Value, list[float]]] = {
    "product": (3, product, [0.070681, 0.345703, 0.057339]),
    "additive": (3, additive, [0.266124, 0.083452, 0.037247]),
    "overlap": (3, overlap, [0.252458, 0.114695, 0.335877]),
    "persistent": (2, persistent, [0.021732, 0.002150]),
}
INTERACTIONS = {
    "product": [0.044865, 0.007399, 0.036348],
    "overlap": [0.064733, 0.451284, 0.193477],
    "persistent": [0.004154],
}


@pytest.mark.parametrize("name", WORKED)
def test_values_are_the_worked_ones(name: str) -> None:
    n, value, expected = WORKED[name]
    values = lattice(n, value)
    found = shapley(values)[:, 0]
    np.testing.assert_allclose(found, expected, atol=6e-7)
    flat = values.ravel()
    assert found.sum() == pytest.approx(flat[-1] - flat[0], abs=1e-14)


@pytest.mark.parametrize("name", INTERACTIONS)
def test_interactions_are_the_worked_ones(name: str) -> None:
    n, value, _ = WORKED[name]
    found = interactions(lattice(n, value))
    assert list(found) == list(itertools.combinations(range(n), 2))
    np.testing.assert_allclose([pair[0] for pair in found.values()], INTERACTIONS[name], atol=6e-7)


def random_values(n: int, replicates: int) -> NDArray[np.float64]:
    return np.random.default_rng(n).normal(size=(*(2,) * n, replicates))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_a_value_is_the_mean_gain_over_all_orders(n: int) -> None:
    values = random_values(n, 3)
    gains = np.zeros((n, 3))
    for order in itertools.permutations(range(n)):
        place = [0] * n
        for player in order:
            before = values[tuple(place)]
            place[player] = 1
            gains[player] += values[tuple(place)] - before
    np.testing.assert_allclose(shapley(values), gains / math.factorial(n), atol=1e-13)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_an_interaction_is_what_joining_a_pair_changes(n: int) -> None:
    # The value of a pair that plays as one, less those of each where the other has left.
    values = random_values(n, 2)
    for (i, j), found in interactions(values).items():
        others = [player for player in range(n) if player not in (i, j)]
        axes = (i, j, *others, n)
        pair = values.transpose(axes)
        joined = shapley(np.stack([pair[0, 0], pair[1, 1]]))[0]
        without_j = shapley(pair.swapaxes(0, 1)[0])[0]
        without_i = shapley(pair[0])[0]
        np.testing.assert_allclose(found, joined - without_i - without_j, atol=1e-13)


def test_alone_and_last_are_what_the_first_and_the_last_gain() -> None:
    values = random_values(3, 2)
    np.testing.assert_array_equal(alone(values)[1], values[0, 1, 0] - values[0, 0, 0])
    np.testing.assert_array_equal(last(values)[1], values[1, 1, 1] - values[1, 0, 1])


def test_who_changes_nothing_is_worth_exactly_nothing() -> None:
    values = random_values(4, 2)
    values[:, :, 1] = values[:, :, 0]
    assert shapley(values)[2].tolist() == [0.0, 0.0]
    found = interactions(values)
    assert all(found[pair].tolist() == [0.0, 0.0] for pair in found if 2 in pair)


def test_nobody_is_worth_nothing() -> None:
    assert shapley(np.ones((1,))).shape == (0,)
    assert interactions(np.ones((2, 1))) == {}
