"""Choice of the engine for a plan, and the deviation of an approximate one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.errors import Problem, ScenarioError

Method = Literal["auto", "order-statistics", "sample"]
"""Name of a method that a simulation can be asked for."""

METHODS: tuple[Method, ...] = get_args(Method)
"""Methods that a simulation can be asked for."""

CHECKED_RUNS = 8
"""Runs in which an approximate engine is compared with the sampler."""
CHECKED_STEPS = 32
"""Steps of each of these runs that are compared."""
PERCENTILE_STEPS = 2048
"""Steps of each of these runs from which the 95th percentile is taken."""

RELATIVE_TOLERANCE = 1e-6
"""Relative difference up to which two f32 times count as equal."""

Progress = Callable[[int, int], object]
"""Called with the number of draws done and of all draws."""


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """How far approximate rows are from sampled ones.

    Attributes
    ----------
    mean : float
        Mean relative difference of compute times from those of sampled steps of the
        same runs; positive if approximate steps are longer.
    std_error : float
        Its standard error, from the differences between runs.
    stall_s, stall_std_error : float
        Mean difference of stalls in seconds, and its standard error.
    beyond_p95, beyond_p95_std_error : float
        Share of the sampled steps that are longer than the approximate 95th percentile
        of their run, which is 0.05 if that percentile is right; and its standard error.
    n_steps : int
        Sampled steps.
    """

    mean: float
    std_error: float
    stall_s: float
    stall_std_error: float
    beyond_p95: float
    beyond_p95_std_error: float
    n_steps: int

    def __str__(self) -> str:
        return (
            f"{self.mean:+.3%} ± {self.std_error:.3%} off {self.n_steps} sampled steps on "
            f"average, their stalls {self.stall_s:+.2g} ± {self.stall_std_error:.2g} s; "
            f"{self.beyond_p95:.1%} ± {self.beyond_p95_std_error:.1%} of them lie beyond its p95"
        )


@dataclass(frozen=True)
class Reason:
    """Why the slowest rank cannot be drawn from its exact law.

    Attributes
    ----------
    kind : str
        Name of the kind of reason, such as ``waits-within-step`` or ``too-many-stalls``.
    words : str
        The reason as a text, with names of pools and causes.
    allows_replica_law : bool
        Whether a replica law, found by simulation, may be used instead.
    """

    kind: str
    words: str
    allows_replica_law: bool

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An engine, and why it was chosen.

    Attributes
    ----------
    engine : OrderStatistics or None
        The engine; None for the sampler.
    why : str
        Why it was chosen.
    deviation : Deviation or None
        How far its rows are from sampled ones, if it is approximate.
    """

    engine: _core.OrderStatistics | None
    why: str
    deviation: Deviation | None = None

    @property
    def method(self) -> str:
        """Name of the engine."""
        return "sample" if self.engine is None else "order-statistics"


def exact_engine(
    core: _core.Plan, memory: _core.Memory | None = None
) -> _core.OrderStatistics | Reason:
    """Return the engine that draws the slowest rank from its exact law, or why it cannot.

    Parameters
    ----------
    core
        The plan.
    memory
        What the engine shares with those of similar plans.
    """
    try:
        return _core.OrderStatistics(core, memory)
    except _core.NotExactError as error:
        return Reason(*error.args)


def choose(
    core: _core.Plan,
    exact: _core.OrderStatistics | Reason,
    method: Method,
    *,
    seed: int,
    threads: int,
    progress: Progress | None = None,
) -> Choice:
    """Return the engine for a compiled plan and a method, ``auto`` or ``order-statistics``.

    An approximate engine is chosen only if ``order-statistics`` is named and nothing but
    ranks that wait for each other within a step prevents exact rows. Then the law of a
    replica's time is found by simulation under the seed.

    Parameters
    ----------
    core
        The plan.
    exact
        What `exact_engine` found for it.
    method
        The method.
    seed, threads, progress
        As in `simulate`.

    Raises
    ------
    ScenarioError
        If the method named cannot draw the plan.
    """
    if not isinstance(exact, Reason):
        why = "as asked" if method != "auto" else "exact: each step is a tree of maxima"
        return Choice(engine=exact, why=why)
    if method == "auto":
        return Choice(engine=None, why=str(exact))
    if not exact.allows_replica_law:
        raise _refusal(method, f"cannot be exact: {exact}")
    steps = _core.OrderStatistics.simulated_steps(core), CHECKED_RUNS * CHECKED_STEPS
    draws, to_check = (n * core.draws_per_step for n in steps)
    total = draws + to_check
    try:
        engine = _core.OrderStatistics.simulated(
            core, seed=seed, threads=threads, progress=counting(progress, total)
        )
    except _core.NotExactError as error:
        raise _refusal(method, f"cannot be exact, nor approximate: {Reason(*error.args)}") from None
    tell = counting(progress, total, done_before=draws)
    deviation = _deviation(core, engine, seed=seed, threads=threads, tell=tell)
    why = f"approximate, as asked, by a replica law of sampled replicas: {deviation}"
    return Choice(engine=engine, why=why, deviation=deviation)


def counting(
    progress: Progress | None, total: int, *, done_before: int = 0
) -> Callable[[int], object] | None:
    """Return a function of the draws done that calls `progress`; None without `progress`.

    Parameters
    ----------
    progress
        Called with the draws done and `total`.
    total
        All draws.
    done_before
        Draws that were done before the first call.
    """
    if progress is None:
        return None
    return lambda done: progress(done_before + done, total)


def _deviation(
    core: _core.Plan,
    engine: _core.OrderStatistics,
    *,
    seed: int,
    threads: int,
    tell: Callable[[int], object] | None,
) -> Deviation:
    """Return how far the rows of an engine are from sampled ones."""
    drawn = engine.run(seed=seed, runs=CHECKED_RUNS, steps=PERCENTILE_STEPS, threads=threads)
    sampled = _core.sample(
        core,
        seed=seed,
        runs=CHECKED_RUNS,
        steps=CHECKED_STEPS,
        threads=threads,
        progress=tell,
    )
    ours, theirs, our_stalls, their_stalls = (
        rows[column].reshape(CHECKED_RUNS, -1)
        for column in ("compute_s", "stall_s")
        for rows in (drawn, sampled)
    )
    # Of the same steps, because both engines draw equal values of what all ranks share.
    equal = np.s_[:, :CHECKED_STEPS]
    mean, std_error = _over_runs((ours[equal] - theirs).mean(axis=1) / theirs.mean())
    stall_s, stall_std_error = _over_runs((our_stalls[equal] - their_stalls).mean(axis=1))
    p95 = np.quantile(ours, 0.95, axis=1, keepdims=True)
    is_beyond = theirs > p95 * (1 + RELATIVE_TOLERANCE)
    beyond_p95, beyond_p95_std_error = _over_runs(is_beyond.mean(axis=1))
    return Deviation(
        mean=mean,
        std_error=std_error,
        stall_s=stall_s,
        stall_std_error=stall_std_error,
        beyond_p95=beyond_p95,
        beyond_p95_std_error=beyond_p95_std_error,
        n_steps=theirs.size,
    )


def _over_runs(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of one number for each run, and its standard error."""
    return float(values.mean()), float(values.std(ddof=1)) / math.sqrt(len(values))


def _refusal(method: str, requirement: str) -> ScenarioError:
    problem = Problem(path="method", requirement=requirement, value=method)
    return ScenarioError([replace(problem, hint="method = 'sample' draws every rank")])
