"""The account of whole runs: S x R x P, and every GPU-hour by its name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.plan import Plan
from hindmost.whole_run.fleet import SECONDS_PER_DAY, SECONDS_PER_HOUR
from hindmost.whole_run.hours import HELD, NAMES, RunHours

if TYPE_CHECKING:
    import polars as pl

LEAST_PROGRESS = 0.01
"""Share that a job holds, or keeps of its time, below which it makes no progress."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Account:
    """Where the time of a cluster went in whole runs of its job.

    Shares are weighted by the dense peaks of GPUs. All runs together, unless it says otherwise, so
    that ``fleet_mfu = S x R x P``.

    Attributes
    ----------
    hours_of : RunHours
        The simulated runs.
    pools : tuple of str
        Names of the pools.
    peaks : array of shape (pools,)
        Dense peak of a GPU, in FLOP/s.
    rank_flops : array of shape (runs, pools)
        Model FLOPs of a rank in an hour of kept steps.
    tokens_per_flop : float
        Tokens for each model FLOP.
    episode_fracs : array of shape (pools, 2), or None
        Shares of a step in which a rank waits for replicas in episodes, and in which it computes
        longer because of its own; None where no episodes slow computing.
    """

    hours_of: RunHours
    pools: tuple[str, ...]
    peaks: Floats
    rank_flops: Floats
    tokens_per_flop: float
    episode_fracs: Floats | None = None

    @classmethod
    def of(
        cls,
        hours: RunHours,
        plan: Plan,
        mean_step_s: Floats,
        episode_fracs: Floats | None = None,
    ) -> Account:
        """Return the account of runs whose steps take some mean time each."""
        return cls(
            hours_of=hours,
            pools=tuple(pool.name for pool in plan.pools),
            peaks=np.array([pool.peak_flop_per_s for pool in plan.pools]),
            rank_flops=rank_flops_per_hour(plan, mean_step_s),
            tokens_per_flop=plan.tokens / plan.model_flops,
            episode_fracs=episode_fracs,
        )

    @cached_property
    def gpu_hours(self) -> Floats:
        """GPU-hours of shape (runs, pools, names)."""
        return self.hours_of.table

    @cached_property
    def _weighted(self) -> Floats:
        """Peak-weighted hours of each run and name, in FLOP/s x hours."""
        weighted: Floats = np.einsum("rpn,p->rn", self.gpu_hours, self.peaks)
        return weighted

    @property
    def kept_hours(self) -> Floats:
        """GPU-hours in kept steps, of shape (runs, pools)."""
        kept: Floats = self.gpu_hours[:, :, 0]
        return kept

    @property
    def possible_flops(self) -> Floats:
        """FLOPs of all GPUs at their peak all the time, by run."""
        flops: Floats = self._weighted.sum(axis=1) * SECONDS_PER_HOUR
        return flops

    @cached_property
    def kept_flops(self) -> Floats:
        """Model FLOPs of kept steps, by run."""
        flops: Floats = (self.kept_hours * self.rank_flops).sum(axis=1)
        return flops

    @property
    def shares(self) -> dict[str, float]:
        """Peak-weighted share of all time by name; they add up to 1."""
        sums = self._weighted.sum(axis=0)
        return dict(zip(NAMES, (sums / sums.sum()).tolist(), strict=True))

    @property
    def episodes(self) -> dict[str, float] | None:
        """Peak-weighted shares of all time that episodes take of kept steps, or None without any.

        ``waiting`` for replicas that are in one, and ``computing`` longer because of a rank's own.
        """
        if self.episode_fracs is None:
            return None
        kept = self.kept_hours.sum(axis=0) * self.peaks
        shares = (kept @ self.episode_fracs) / self._weighted.sum()
        return dict(zip(("waiting", "computing"), shares.tolist(), strict=True))

    @property
    def hours(self) -> dict[str, float]:
        """GPU-hours of the average run, by name."""
        of_names = self.gpu_hours.sum(axis=1).mean(axis=0)
        return dict(zip(NAMES, of_names.tolist(), strict=True))

    @property
    def hours_by_pool(self) -> list[dict[str, float]]:
        """GPU-hours of the average run, by name, one table a pool."""
        return [dict(zip(NAMES, row, strict=True)) for row in self.gpu_hours.mean(axis=0).tolist()]

    @property
    def S(self) -> float:  # noqa: N802
        """Peak-weighted share of all time that the job holds GPUs."""
        return float(self._held.sum() / self._weighted.sum())

    @property
    def R(self) -> float:  # noqa: N802
        """Share of that in steps whose result was kept; 0 of nothing."""
        held = float(self._held.sum())
        return float(self._weighted[:, 0].sum()) / held if held else 0.0

    @property
    def P(self) -> float | None:  # noqa: N802
        """Model FLOPs of kept steps over peak x their time; None if none was kept."""
        kept = float(self._weighted[:, 0].sum())
        return float(self.kept_flops.sum()) / (kept * SECONDS_PER_HOUR) if kept else None

    @property
    def fleet_mfu(self) -> float:
        """Model FLOPs of kept steps over what all GPUs would do at their peak all the time."""
        return float(self.kept_flops.sum() / self.possible_flops.sum())

    @property
    def _held(self) -> Floats:
        held: Floats = self._weighted[:, :HELD].sum(axis=1)
        return held

    @property
    def warning(self) -> str | None:
        """Why the job makes no progress to speak of, if it makes none."""
        if self.S < LEAST_PROGRESS:
            return "the job makes no progress: it holds hardly any GPUs; the others are in repair"
        if self.R >= LEAST_PROGRESS:
            return None
        shares = self.shares
        losses = {
            "waiting": shares["waiting"],
            "restart": shares["detection"] + shares["restart"],
            "redone": shares["redone"],
            "checkpoint": shares["checkpoint"],
        }
        worst = max(losses, key=lambda name: losses[name])
        per_day = float(np.array(self.hours_of.failures).sum(axis=1).mean()) / self.hours_of.days
        every = f"a failure comes every {SECONDS_PER_DAY / per_day:.3g} s" if per_day else ""
        if worst == "waiting":
            down = [sum(n * x for n, x in enumerate(one)) for one in self.hours_of.nodes_down]
            most = f"{max(down):.3g} nodes of a pool are down on average"
            return f"the job makes no progress: it waits for repairs, and {most}"
        reasons = {
            "restart": ("and it restarts most of the time", "it restarts most of the time"),
            "redone": ("before it has saved what it computed", "it never saves what it computes"),
            "checkpoint": ("and it writes checkpoints most of the time",) * 2,
        }
        with_failures, without = reasons[worst]
        why = f"{every}, {with_failures}" if every else without.removeprefix("and ")
        return f"the job makes no progress: {why}"

    @property
    def hours_between_restarts(self) -> float:
        """Hours for which the job computes from a restart to the next one, on average.

        Of what stops it for the recovery of a replica, too; infinite if nothing does.
        """
        found = self.hours_of
        n_restarts = sum(map(sum, found.interruptions)) + sum(found.regrows)
        if not n_restarts:
            return math.inf
        # Kept and redone, of what the job holds while the clock on the wall runs.
        computed, held = float(self._weighted[:, :2].sum()), float(self._held.sum())
        share = computed / held if held else 0.0
        hours = len(found.regrows) * found.days * SECONDS_PER_DAY / SECONDS_PER_HOUR
        return share * hours / n_restarts

    @property
    def nodes_down(self) -> pl.DataFrame:
        """Columns pool, n_nodes and share: the share of time for which so many nodes were down.

        It says how many spares there must be.
        """
        import polars as pl

        rows = [
            (pool, n_nodes, share)
            for pool, shares in zip(self.pools, self.hours_of.nodes_down, strict=True)
            for n_nodes, share in enumerate(shares)
        ]
        return pl.DataFrame(rows, schema=["pool", "n_nodes", "share"], orient="row")

    @property
    def by_run(self) -> dict[str, Floats]:
        """Goodput, interruptions, tokens a day and fleet MFU of each run, and its GPU-hours."""
        held, all_time = self._held, self._weighted.sum(axis=1)
        kept = self._weighted[:, 0]
        goodput = np.divide(kept, held, out=np.zeros_like(kept), where=held > 0)
        interruptions = np.array(self.hours_of.interruptions, dtype=np.int64).sum(axis=1)
        of_names = self.gpu_hours.sum(axis=1)
        return {
            "goodput": goodput,
            "n_interruptions": interruptions,
            "tokens_per_day": self.kept_flops * self.tokens_per_flop / self.hours_of.days,
            "fleet_mfu": self.kept_flops / (all_time * SECONDS_PER_HOUR),
            **{f"hours_{name}": of_names[:, k] for k, name in enumerate(NAMES)},
        }

    @property
    def weights(self) -> dict[str, Floats]:
        """Denominators of the ratios in `by_run`, which weigh runs in a mean."""
        # A job that holds nothing has a goodput of 0, and not of nothing.
        held = np.maximum(self._held, np.finfo(np.float64).tiny)
        return {"goodput": held, "fleet_mfu": self._weighted.sum(axis=1)}

    @property
    def interruptions_per_day(self) -> dict[str, float]:
        """Failures a day that stop the job, by name."""
        per_run = np.array(self.hours_of.interruptions, dtype=np.float64).mean(axis=0)
        return dict(zip(self.hours_of.kinds, (per_run / self.hours_of.days).tolist(), strict=True))

    @property
    def budget(self) -> dict[str, Any] | None:
        """Days until the tokens are trained on that were asked for; None if none were.

        Keys tokens, n_runs, n_done and days, which has p5, p50 and p95: None where too few runs
        get there.
        """
        asked, of_runs = self.hours_of.budget_tokens, self.hours_of.budget_days
        if asked is None or of_runs is None:
            return None
        # Those that do not get there are later than all others.
        days = np.array([np.inf if one is None else one for one in of_runs])
        quantiles = np.quantile(days, (0.05, 0.5, 0.95), method="inverted_cdf")
        return {
            "tokens": asked,
            "n_runs": len(of_runs),
            "n_done": int(np.isfinite(days).sum()),
            "days": {
                name: float(value) if np.isfinite(value) else None
                for name, value in zip(("p5", "p50", "p95"), quantiles, strict=True)
            },
        }

    def document(self) -> Mapping[str, Any]:
        """Return the account as plain tables and numbers, as ``run --format json`` prints it."""
        return {
            "S": self.S,
            "R": self.R,
            "P": self.P,
            "fleet_mfu": self.fleet_mfu,
            "days": self.hours_of.days,
            "interval_s": self.hours_of.interval_s,
            "hours": self.hours,
            "shares": self.shares,
            **({} if self.episodes is None else {"episodes": self.episodes}),
            "interruptions_per_day": self.interruptions_per_day,
            "warning": self.warning,
            "budget": self.budget,
        }


def rank_flops_per_hour(plan: Plan, mean_step_s: Floats) -> Floats:
    """Return the model FLOPs of a rank in an hour of steps, of shape (runs, pools).

    Parameters
    ----------
    plan
        The plan.
    mean_step_s : array of shape (runs,)
        Mean seconds of a step of each run.
    """
    rank_flops = np.array([pool.rank_model_flops for pool in plan.pools])
    flops: Floats = rank_flops * SECONDS_PER_HOUR / mean_step_s[:, np.newaxis]
    return flops
