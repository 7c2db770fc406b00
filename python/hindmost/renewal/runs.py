"""Simulated runs of a job with failures: where their time went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hindmost.statistics import estimates

if TYPE_CHECKING:
    import polars as pl

NAMES = ("kept", "redone", "checkpoint", "detection", "restart")
"""Where time goes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RenewalRuns:
    """Simulated runs of a job.

    Attributes
    ----------
    rows : array of shape (runs, 5)
        Seconds kept, redone, of checkpoints, of detection and of restarts.
    interruptions, failures : array of shape (runs,)
        Failures that interrupted the job, and all of them: those of restarts, too.
    seed : int
        The seed.
    """

    rows: NDArray[np.float64]
    interruptions: NDArray[np.int64]
    failures: NDArray[np.int64]
    seed: int

    def __eq__(self, other: object) -> bool:
        """Return whether all rows and counts are equal."""
        return (
            isinstance(other, RenewalRuns)
            and self.seed == other.seed
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.interruptions, other.interruptions)
            and np.array_equal(self.failures, other.failures)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """All seconds of each run."""
        total: NDArray[np.float64] = self.rows.sum(axis=1)
        return total

    @property
    def shares(self) -> dict[str, float]:
        """Share of the time of all runs by where it went; they add up to 1."""
        sums = self.rows.sum(axis=0)
        return dict(zip(NAMES, (sums / sums.sum()).tolist(), strict=True))

    @property
    def kept(self) -> float:
        """Share of the time of all runs that was kept: a ratio of sums."""
        return self.shares["kept"]

    @property
    def std_error(self) -> float | None:
        """Standard error of `kept`, by leaving out each run; None for one run."""
        seconds = self.seconds
        mean = next(estimates(self.rows[:, 0] / seconds, len(seconds), weights=seconds))
        return mean.std_error

    @property
    def frame(self) -> pl.DataFrame:
        """One row a run: where its seconds went, interruptions and failures."""
        import polars as pl

        columns: dict[str, Any] = {"run": np.arange(len(self.rows), dtype=np.uint32)}
        columns |= {f"{name}_s": self.rows[:, k] for k, name in enumerate(NAMES)}
        columns |= {"n_interruptions": self.interruptions, "n_failures": self.failures}
        return pl.DataFrame(columns)
