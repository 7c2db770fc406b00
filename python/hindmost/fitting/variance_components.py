"""Variance components of a table of ranks in nodes by steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

DRAWS = 20_000
"""Draws from which intervals are read."""
ROUNDS = 50
TOLERANCE = 1e-13
"""Change of effects, over the spread of the table, below which they are found."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Effects:
    """A table as a sum: ``y[r, s] = mean + rank[r] + step[s] + residual[r, s]``.

    Attributes
    ----------
    mean : float
        Mean of the table.
    rank, step : array
        Effects of ranks and of steps, each of mean 0.
    residual : array of shape (ranks, steps)
        What is left; NaN where the table has no value.
    """

    mean: float
    rank: Vector
    step: Vector
    residual: Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Components:
    """Variances, each with draws of what is known of it.

    Attributes
    ----------
    node, rank, residual : float or None
        Variance of nodes, of ranks within nodes, and of what is left. None for a node variance that
        the table cannot tell: of one node, or of nodes with one rank each. A negative one is 0.
    node_draws, rank_draws, residual_draws : array of shape (draws,) or None
        Draws of the generalised pivotal quantity of each.
    """

    node: float | None
    rank: float
    residual: float
    node_draws: Vector | None
    rank_draws: Vector
    residual_draws: Vector


def effects_of(table: Vector) -> Effects:
    """Return the least-squares effects of ranks and steps.

    Parameters
    ----------
    table : array of shape (ranks, steps)
        Values; NaN for what is missing. Each rank and each step has a value.

    Notes
    -----
    Without gaps these are means of rows and columns. With gaps rows and columns are centred in
    turn, which converges to least squares.
    """
    mean = float(np.nanmean(table))
    left = table - mean
    rank, step = np.zeros(table.shape[0]), np.zeros(table.shape[1])
    enough = TOLERANCE * float(np.nanmax(np.abs(left), initial=0.0))
    for _ in range(ROUNDS):
        of_rank = np.nanmean(left, axis=1)
        left = left - of_rank[:, np.newaxis]
        of_step = np.nanmean(left, axis=0)
        left = left - of_step
        rank, step = rank + of_rank, step + of_step
        if max(np.abs(of_rank).max(), np.abs(of_step).max()) <= enough:
            break
    shift = rank.mean() + step.mean()
    return Effects(
        mean=mean + float(shift),
        rank=rank - rank.mean(),
        step=step - step.mean(),
        residual=left,
    )


def components_of(
    effects: Effects, nodes: NDArray[np.intp], *, is_used: NDArray[np.bool_], seed: int = 0
) -> Components:
    """Return the variances of nodes, of ranks within nodes and of what is left.

    Parameters
    ----------
    effects
        Effects of the table.
    nodes : array of shape (ranks,)
        Number of the node of each rank.
    is_used : array of shape (ranks,)
        Whether a rank's effect counts; that of one which is known to be slow does not.
    seed
        Seed of the draws.

    Notes
    -----
    With S steps and k ranks a node, mean squares have the expectations (analysis of variance of
    nested effects; in a balanced table restricted likelihood gives the same)::

        residual            e
        ranks within nodes  e + S r
        nodes               e + S r + S k n

    With gaps or nodes of unequal size, S and k are harmonic means. Intervals are those of
    generalised pivotal quantities (Weerahandi, Generalized confidence intervals, 1993): each sum
    of squares over a chi-square number in the place of its expectation. The residual's degrees of
    freedom are divided by ``(kurtosis - 1) / 2``, which is 1 for a normal law.
    """
    random = np.random.default_rng(seed)
    n_ranks, n_steps = effects.residual.shape
    squares = effects.residual**2
    cells = np.count_nonzero(np.isfinite(squares), axis=1)
    freedom = int(cells.sum()) - n_ranks - n_steps + 1
    sum_residual = float(np.nansum(squares))
    residual = sum_residual / freedom
    known = freedom * _information(effects.residual)
    residual_draws = residual * known / random.chisquare(known, DRAWS)

    rank, node = effects.rank[is_used], nodes[is_used]
    steps = _harmonic(cells[is_used])
    names, place, sizes = np.unique(node, return_inverse=True, return_counts=True)
    means = np.bincount(place, weights=rank) / sizes
    within_freedom = len(rank) - len(names)
    has_nodes = len(names) > 1 and within_freedom > 0
    if not has_nodes:
        means, place = np.array([rank.mean()]), np.zeros(len(rank), dtype=np.intp)
        within_freedom = len(rank) - 1
    within = steps * float(((rank - means[place]) ** 2).sum())
    within_draws = within / random.chisquare(within_freedom, DRAWS)
    mean_square = within / within_freedom
    found = Components(
        node=None,
        rank=max(0.0, (mean_square - residual) / steps),
        residual=residual,
        node_draws=None,
        rank_draws=np.maximum(0.0, (within_draws - residual_draws) / steps),
        residual_draws=residual_draws,
    )
    if not has_nodes:
        return found
    size = _harmonic(sizes)
    between = steps * size * float(((means - means.mean()) ** 2).sum())
    between_draws = between / random.chisquare(len(names) - 1, DRAWS)
    scale = steps * size
    return Components(
        node=max(0.0, (between / (len(names) - 1) - mean_square) / scale),
        rank=found.rank,
        residual=residual,
        node_draws=np.maximum(0.0, (between_draws - within_draws) / scale),
        rank_draws=found.rank_draws,
        residual_draws=residual_draws,
    )


def _harmonic(counts: NDArray[np.intp]) -> float:
    return float(len(counts) / np.sum(1 / counts))


def _information(residual: Vector) -> float:
    """Return how much a square of the residual says, over that of a normal one."""
    second = float(np.nanmean(residual**2))
    if second == 0:
        return 1.0
    kurtosis = float(np.nanmean(residual**4)) / second**2
    return 2 / max(kurtosis - 1, 1.0)
