"""Noise of steps against scale, simulated as published."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import polars as pl

from tests.validation.families import DATA, Row, by_name
from tests.validation.fitting import fit, simulated

MAD_TO_SIGMA = 1.4826
RUNS = 48
STEPS = 100
LIMIT = 1.5
"""Factor by which the simulated noise may be off, beyond two standard errors."""
SAMPLING = 1.167
"""Relative standard error of a robust deviation of n normal numbers, times sqrt(n)."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Robust deviation of a system's step times over their median."""

    n_gpus: int
    published: float
    simulated: float
    std_error: float
    """Relative standard error of the ratio: of the steps published and of the runs simulated."""

    @property
    def is_within(self) -> bool:
        """Whether the ratio is within the limit, give or take two standard errors."""
        give = 1 + 2 * self.std_error
        return self.ratio * give > 1 / LIMIT and self.ratio / give < LIMIT

    @property
    def ratio(self) -> float:
        """Simulated over published."""
        return self.simulated / self.published


@cache
def noises() -> tuple[Noise, ...]:
    """Return the noise at every scale of GPT-3 on Eos."""
    table = pl.read_csv(DATA / "mlperf_gpt3_h100_summary.csv").filter(round="v3.1")
    eos = table.filter(pl.col("system").str.starts_with("eos"))
    percent = dict(eos.select("n_accel", "step_mad_sigma_pct").iter_rows())
    records = pl.read_csv(DATA / "mlperf_gpt3_h100_steps.csv").filter(round="v3.1")
    steps = dict(records.group_by("system").len().iter_rows())
    n_steps = {n: steps[system] for n, system in eos.select("n_accel", "system").iter_rows()}
    rows = sorted(by_name("eos").rows, key=lambda row: row.n_gpus)
    found = []
    for row in rows:
        simulated, error = _of(row)
        published_error = SAMPLING / np.sqrt(n_steps[row.n_gpus])
        found.append(
            Noise(
                n_gpus=row.n_gpus,
                published=percent[row.n_gpus] / 100,
                simulated=simulated,
                std_error=float(np.hypot(error / simulated, published_error)),
            )
        )
    return tuple(found)


def _of(row: Row) -> tuple[float, float]:
    """Return the median over runs of the deviation within a run, and its standard error."""
    result = simulated(row, fit(by_name("eos")), RUNS, STEPS)
    times = result.steps["step_time_s"].to_numpy().reshape(RUNS, STEPS)
    middle = np.median(times, axis=1, keepdims=True)
    spread = MAD_TO_SIGMA * np.median(np.abs(times - middle), axis=1) / middle[:, 0]
    # A median of n normal numbers has sqrt(pi / 2) times the error of their mean.
    return float(np.median(spread)), float(np.sqrt(np.pi / 2) * spread.std() / np.sqrt(RUNS))
