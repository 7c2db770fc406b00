"""Power by phase of a mean step, and the energy of steps, tokens and whole runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from hindmost.cause import SECONDS_PER_HOUR
from hindmost.physics.power import (
    GpuPower,
    Piece,
    joules,
    mean_w,
    ramps,
    scaled,
    step_trace,
    together,
)
from hindmost.plan import PoolPlan
from hindmost.scenario.models import Pool

PHASES = ("compute", "wait", "exchange")
"""Phases of a step, in the order in which a rank of the mean step has them."""

IN_STEPS = ("kept", "redone")
"""Names of hours in which the ranks of a job make steps."""
OFF = ("repair",)
"""Names of hours in which a GPU draws nothing."""

SHOWN_PATHS = 4
"""Key paths that are named of what is missing, at most."""


@dataclass(frozen=True, kw_only=True)
class PoolPower:
    """Power of a pool over a mean step.

    Attributes
    ----------
    pool : str
        Its name.
    n_gpus, n_ranks : int
        Its GPUs, and the ranks among them; the others are idle.
    step_s : float
        Seconds of the step.
    busy_s, exchange_s : float
        Seconds of it in which a rank computes, and in which communication is exposed. In all
        others it waits for slower ranks or is stalled.
    gpu : GpuPower or None
        What one of its GPUs draws; None where that is not known.
    """

    pool: str
    n_gpus: int
    n_ranks: int
    step_s: float
    busy_s: float
    exchange_s: float
    gpu: GpuPower | None

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each phase."""
        wait_s = max(0.0, self.step_s - self.busy_s - self.exchange_s)
        return dict(zip(PHASES, (self.busy_s, wait_s, self.exchange_s), strict=True))

    @cached_property
    def _above_idle(self) -> tuple[Piece, ...]:
        """Power of all ranks above that of idle GPUs."""
        assert self.gpu is not None
        trace = step_trace(self.gpu, busy_s=self.busy_s, step_s=self.step_s)
        return scaled(trace, times=self.n_ranks, less_w=self.gpu.idle_w)

    @property
    def _idle_w(self) -> float:
        assert self.gpu is not None
        return self.n_gpus * self.gpu.idle_w

    @property
    def trace(self) -> tuple[Piece, ...]:
        """Power of all its GPUs over the step, in watts."""
        return scaled(self._above_idle, times=1, less_w=-self._idle_w)

    @property
    def step_j(self) -> float | None:
        """Joules of all its GPUs in the step; None where they are not known or not finite."""
        if self.gpu is None:
            return None
        return _finite(self._idle_w * self.step_s + joules(self._above_idle, 0.0, self.step_s))

    @property
    def rank_w(self) -> float:
        """Watts of one of its ranks in steps, on average."""
        assert self.gpu is not None
        if not self.n_ranks:
            return self.gpu.idle_w
        above_j = joules(self._above_idle, 0.0, self.step_s)
        return self.gpu.idle_w + above_j / (self.n_ranks * self.step_s)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Its phases, with seconds, watts and joules of all its GPUs."""
        found, first_s = [], 0.0
        for phase, seconds in self.seconds.items():
            last_s = self.step_s if phase == PHASES[-1] else first_s + seconds
            watts = energy_j = None
            if self.gpu is not None:
                energy_j = self._idle_w * seconds + joules(self._above_idle, first_s, last_s)
                watts = mean_w(self.trace, first_s, last_s)
            row = {"pool": self.pool, "phase": phase, "seconds": seconds}
            found.append({**row, "watts": _finite(watts), "joules": _finite(energy_j)})
            first_s = last_s
        return found


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy and power of the whole cluster; None where they are not known or not finite.

    Attributes
    ----------
    step_j, token_j : float or None
        Joules of a mean step, and of each of its tokens; None as all others where `hint` says why.
    run_j, run_token_j : float or None
        Joules of a whole run, and of each token of its kept steps; None without failures.
    mean_w, peak_w, trough_w, swing_w : float or None
        Watts over a mean step: on average, at most, at least, and from the least to the most.
    up_w_per_s, down_w_per_s : float or None
        Watts a second by which it rises and falls at most; None where it jumps, which all power
        does that no ramps smooth.
    hint : str or None
        What is missing, or why there are no numbers, if there are none.
    """

    step_j: float | None = None
    token_j: float | None = None
    run_j: float | None = None
    run_token_j: float | None = None
    mean_w: float | None = None
    peak_w: float | None = None
    trough_w: float | None = None
    swing_w: float | None = None
    up_w_per_s: float | None = None
    down_w_per_s: float | None = None
    hint: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as a plain table."""
        return asdict(self)


def gpu_power(plan: PoolPlan, pool: Pool) -> GpuPower | None:
    """Return what a GPU of a pool draws, where both of its powers are known.

    Parameters
    ----------
    plan, pool
        The pool as it is planned and as the scenario has it.
    """
    if plan.peak_power_w is None or plan.idle_power_w is None:
        return None
    of_both = {"peak_w": plan.peak_power_w, "idle_w": plan.idle_power_w}
    smoothing = pool.smoothing
    if smoothing is None:
        return GpuPower(**of_both)
    return GpuPower(
        **of_both,
        # Of the power without a cap.
        floor_w=smoothing.floor * (pool.figure("peak_power_w") or 0.0),
        # A rate of 0 is unlimited.
        up_w_per_s=smoothing.up_w_per_s or math.inf,
        down_w_per_s=smoothing.down_w_per_s or math.inf,
        hysteresis_s=smoothing.hysteresis_s,
    )


def missing_hint(powers: Mapping[str, tuple[float | None, float | None]]) -> str | None:
    """Return what to give so that all powers are known; None where they are.

    Parameters
    ----------
    powers
        Watts of one GPU at work and of an idle one, by pool.
    """
    keys = ("peak_power_w", "idle_power_w")
    paths = [
        f"--set pools.{name}.{key}=.."
        for name, both in powers.items()
        for key, watts in zip(keys, both, strict=True)
        if watts is None
    ]
    if not paths:
        return None
    more = " and so on" if len(paths) > SHOWN_PATHS else ""
    return f"{' '.join(paths[:SHOWN_PATHS])}{more} gives what is not known of its GPUs"


@dataclass(frozen=True, kw_only=True)
class RunTime:
    """Where the time of whole runs goes, as far as energy needs it.

    Attributes
    ----------
    hours : sequence of mapping
        GPU-hours of the average run by name, one table a pool.
    tokens : float
        Tokens of the kept steps of the average run.
    """

    hours: Sequence[Mapping[str, float]]
    tokens: float


def energy(pools: Sequence[PoolPower], *, tokens: float, runs: RunTime | None) -> Energy:
    """Return the energy of steps, tokens and runs of the whole cluster.

    Parameters
    ----------
    pools
        Power of each pool over a mean step, with a known `PoolPower.gpu`.
    tokens
        Tokens of a step.
    runs
        Where the time of whole runs goes, if that is known.
    """
    step_s = pools[0].step_s
    step_j = _sum([one.step_j for one in pools])
    if step_j is None:
        return Energy(hint="it is beyond all numbers")
    pieces = together([one.trace for one in pools])
    watts = [end for piece in pieces for end in (piece.start_w, piece.end_w)]
    peak_w, trough_w = max(watts), min(watts)
    run_j = None if runs is None else _run_j(pools, runs.hours)
    up_w_per_s, down_w_per_s = ramps(pieces)
    return Energy(
        step_j=step_j,
        token_j=step_j / tokens,
        run_j=run_j,
        run_token_j=run_j / runs.tokens if runs and run_j is not None and runs.tokens else None,
        mean_w=step_j / step_s,
        peak_w=peak_w,
        trough_w=trough_w,
        swing_w=peak_w - trough_w,
        up_w_per_s=_finite(up_w_per_s),
        down_w_per_s=_finite(down_w_per_s),
    )


def _run_j(pools: Sequence[PoolPower], hours: Sequence[Mapping[str, float]]) -> float | None:
    """Return the joules of the average run."""
    total = 0.0
    for one, of_names in zip(pools, hours, strict=True):
        for name, n_hours in of_names.items():
            total += n_hours * SECONDS_PER_HOUR * _watts(one, name)
    return _finite(total)


def _watts(pool: PoolPower, name: str) -> float:
    """Return the watts of a GPU of a pool in hours of a name."""
    assert pool.gpu is not None
    if name in IN_STEPS:
        return pool.rank_w
    if name in OFF:
        return 0.0
    # A checkpoint interrupts a job whose floor holds; all others have no job that runs.
    return pool.gpu.lowest_w if name == "checkpoint" else pool.gpu.idle_w


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _finite(sum(known)) if len(known) == len(values) else None


def _finite(value: float | None) -> float | None:
    """Return a number, or None of one that is not finite, which JSON does not know."""
    return value if value is not None and math.isfinite(value) else None
