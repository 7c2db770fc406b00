"""The model of a log of each rank: a mixed model of ranks in nodes by steps."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hindmost.errors import Problem, ScenarioError
from hindmost.fitting.ar1 import Measured
from hindmost.fitting.common_steps import pauses_of, white_and_drift
from hindmost.fitting.estimate import Estimate, of_draws
from hindmost.fitting.few_steps import FEWEST_RANKS
from hindmost.fitting.laws import LawChoice, choose_law
from hindmost.fitting.left_out import left_out
from hindmost.fitting.log_steps import RankTimes
from hindmost.fitting.noise import resolution
from hindmost.fitting.parts import Parts
from hindmost.fitting.rare import LEAST, Rare, rare_of, threshold_of
from hindmost.fitting.slow_places import slow_places
from hindmost.fitting.stall_pattern import pause_pattern, stall_patterns
from hindmost.fitting.variance_components import DRAWS, Effects, components_of, effects_of

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEAST_KNOWN = 0.5
"""Share of the steps in which a rank has times, without which it is left out."""
SHOWN = 8
"""Ranks that a message names."""
POLISHES = 3
"""Rounds of medians over ranks and over steps."""
RESIDUAL_LAWS = ("lognormal", "normal", "gamma", "weibull")
"""Laws of the residual that are compared."""


def fit_ranks(log: RankTimes, *, node_gpus: int, seed: int = 0) -> Parts:
    """Return what the times of each rank say of its causes.

    Parameters
    ----------
    log
        Times of ranks.
    node_gpus
        Ranks of a node: those of node n are the n-th so many.
    seed
        Seed of draws from which intervals are read.

    Notes
    -----
    ``ln t[r, s] = mean + node[n] + rank[r] + common[s] + drift[s] + residual[r, s]``, and in few
    ranks and steps a stall is added to t. Stalls are found first, as what lies far above medians
    over ranks and over steps, and left out of all moments; so are slow ranks and nodes.
    """
    log, notes = _known_ranks(log)
    y = np.log(log.seconds)
    nodes: NDArray[np.intp] = (log.ranks // node_gpus).astype(np.intp)
    is_usual_step, pause, left = _pauses(log)
    notes += left
    fitted = _medians(y)
    deviations = np.where(is_usual_step, y - fitted, np.nan)
    rounding = resolution(log.seconds[np.isfinite(log.seconds)])
    threshold = threshold_of(deviations, resolution=rounding)
    is_stalled = deviations > threshold
    is_fast = deviations < -threshold
    stall = _stalls(log, fitted, is_stalled & ~is_fast, deviations, threshold)
    table = np.where(is_stalled | is_fast, np.nan, np.where(is_usual_step, y, np.nan))
    notes += stall_patterns(is_stalled, log.ranks, nodes)
    has_steps: Mask = np.asarray(np.isfinite(table).any(axis=0))
    effects = effects_of(table[:, has_steps])

    slow = slow_places(effects.rank, log.ranks, nodes)
    is_used = slow.is_used
    components = components_of(effects, nodes, is_used=is_used, seed=seed)
    alone = components_of(effects, np.zeros_like(nodes), is_used=is_used, seed=seed)
    n_ranks = len(log.ranks)
    common, drift, mean_error = white_and_drift(
        _stretches(log, effects, has_steps),
        less=(components.residual / n_ranks, components.residual_draws / n_ranks),
        seed=seed,
    )
    counts = left_out(
        n_fast=int(is_fast.sum()),
        has_drift=drift is not None,
        resolution=rounding,
        n_steps=int(has_steps.sum()),
    )
    n_nodes = len(np.unique(nodes))
    if components.node is None:
        nodes_of = "1 node" if n_nodes == 1 else f"{n_nodes} nodes"
        notes.append(f"{nodes_of} of {node_gpus}: what nodes keep is not told from ranks")
    return Parts(
        median_s=_median_s(effects, nodes, is_used, mean_error, seed=seed),
        n_steps=int(has_steps.sum()),
        common=common,
        drift=drift,
        pause=pause,
        node=_sigma("persistent-node", components.node, components.node_draws),
        rank=_sigma("persistent-rank", components.rank, components.rank_draws),
        rank_alone=_sigma("persistent-rank", alone.rank, alone.rank_draws),
        residual=_sigma("residual", components.residual, components.residual_draws),
        residual_law=_residual_law(effects),
        stall=stall,
        slow_nodes=slow.nodes,
        slow_ranks=slow.ranks,
        n_ranks=n_ranks,
        n_nodes=n_nodes,
        notes=(*notes, *counts),
    )


def _median_s(
    effects: Effects, nodes: NDArray[np.intp], is_used: Mask, mean_error: float, *, seed: int
) -> Estimate:
    """Return the seconds of the median rank, as another cluster of such ranks would have them.

    Its error is that of the mean of nodes, by Student's t, and that of the series of steps.
    """
    random = np.random.default_rng(seed)
    rank, node = effects.rank[is_used], nodes[is_used]
    median = effects.mean + float(rank.mean())
    names, place = np.unique(node, return_inverse=True)
    units = np.bincount(place, weights=rank) / np.bincount(place) if len(names) > 1 else rank
    error = float(units.std(ddof=1)) / math.sqrt(len(units))
    draws = error * random.standard_t(len(units) - 1, DRAWS)
    draws += mean_error * random.standard_normal(DRAWS)
    return of_draws("median-rank", "s", np.exp(median + draws), math.exp(median))


def _known_ranks(log: RankTimes) -> tuple[RankTimes, list[str]]:
    """Return the times of ranks that have them in half of the steps or more."""
    is_known = np.isfinite(log.seconds).mean(axis=1) >= LEAST_KNOWN
    if is_known.all():
        return log, []
    if is_known.sum() < FEWEST_RANKS:
        requirement = f"must have {FEWEST_RANKS} ranks with times in half of the steps"
        raise ScenarioError(
            [Problem(path="log", requirement=requirement, value=int(is_known.sum()))]
        )
    unknown = log.ranks[~is_known].tolist()
    kept = replace(log, ranks=log.ranks[is_known], seconds=log.seconds[is_known])
    has_times = np.isfinite(kept.seconds).any(axis=0)
    kept = replace(
        kept,
        seconds=kept.seconds[:, has_times],
        steps=kept.steps[has_times],
        stretch=kept.stretch[has_times],
    )
    of, were = ("1 rank", "was") if len(unknown) == 1 else (f"{len(unknown)} ranks", "were")
    shown = ", ".join(map(str, unknown[:SHOWN])) + ", ..." * (len(unknown) > SHOWN)
    return kept, [f"{of} without times in half of the steps {were} left out: {shown}"]


def _medians(y: Vector) -> Vector:
    """Return what medians over ranks and over steps expect of each time."""
    rank = np.zeros((len(y), 1))
    step = np.zeros(y.shape[1])
    for _ in range(POLISHES):
        step = np.nanmedian(y - rank, axis=0)
        rank = np.nanmedian(y - step, axis=1, keepdims=True)
    return rank + step


def _pauses(log: RankTimes) -> tuple[Mask, Rare, list[str]]:
    """Return which steps are usual, and how often everybody pauses."""
    medians = np.nanmedian(log.seconds, axis=0)
    places = [log.stretch == one for one in np.unique(log.stretch)]
    found = pauses_of([medians[place] for place in places])
    is_usual = np.concatenate([one.is_usual for one in found])
    n_warmup = sum(int(one.is_warmup.sum()) for one in found)
    n_fast = sum(int(one.is_fast.sum()) for one in found)
    pause = rare_of(
        "pause",
        np.concatenate([one.excess_s[one.is_pause] for one in found]),
        chances=len(medians) - n_warmup - n_fast,
        threshold_s=float(np.median(medians)) * math.expm1(found[0].threshold),
    )
    pattern = pause_pattern(
        [log.steps[place][one.is_pause] for place, one in zip(places, found, strict=True)]
    )
    return is_usual, pause, pattern + left_out(n_warmup=n_warmup, n_fast=n_fast)


def _stalls(
    log: RankTimes, fitted: Vector, is_stalled: Mask, deviations: Vector, threshold: float
) -> Rare:
    # In the order of steps, so that the fifth which is held out is not of a few ranks.
    seconds = (log.seconds - np.exp(fitted)).T[is_stalled.T]
    return rare_of(
        "stall",
        seconds,
        chances=int(np.isfinite(deviations).sum()),
        threshold_s=float(np.median(np.exp(fitted))) * math.expm1(threshold),
    )


def _stretches(log: RankTimes, effects: Effects, has_steps: Mask) -> list[Measured]:
    steps, stretch = log.steps[has_steps], log.stretch[has_steps]
    return [
        Measured(
            times=steps[stretch == one],
            values=effects.mean + effects.step[stretch == one],
            averaged=np.ones(np.count_nonzero(stretch == one)),
        )
        for one in np.unique(stretch)
    ]


def _sigma(name: str, variance: float | None, draws: Vector | None) -> Estimate | None:
    if variance is None or draws is None:
        return None
    return of_draws(name, "share", np.sqrt(draws), math.sqrt(variance))


def _residual_law(effects: Effects) -> LawChoice | None:
    """Return the law of what is left, as a factor on time."""
    residual = effects.residual
    n_ranks, n_steps = residual.shape
    # What is left of n effects has so much less variance.
    scale = math.sqrt(n_ranks * n_steps / ((n_ranks - 1) * (n_steps - 1)))
    # In the order of steps, so that the fifth that is held out has all ranks.
    left = residual.T[np.isfinite(residual.T)] * scale
    if float(np.ptp(left)) < LEAST:
        return None
    return choose_law("residual", np.exp(left), RESIDUAL_LAWS)
