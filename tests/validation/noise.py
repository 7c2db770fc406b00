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
"""Factor by which the simulated noise may be off."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """Robust deviation of a system's step times over their median."""

    n_gpus: int
    published: float
    simulated: float

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
    rows = sorted(by_name("eos").rows, key=lambda row: row.n_gpus)
    return tuple(
        Noise(n_gpus=row.n_gpus, published=percent[row.n_gpus] / 100, simulated=_of(row))
        for row in rows
    )


def _of(row: Row) -> float:
    """Return the median over runs of the deviation inside of a run."""
    result = simulated(row, fit(by_name("eos")), RUNS, STEPS)
    times = result.steps["step_time_s"].to_numpy().reshape(RUNS, STEPS)
    middle = np.median(times, axis=1, keepdims=True)
    spread = np.median(np.abs(times - middle), axis=1) / middle[:, 0]
    return float(MAD_TO_SIGMA * np.median(spread))
