"""Published failures and effective training times, and what a renewal process makes of them.

Rates: Revisiting Reliability in Large-Scale Machine Learning Research Clusters (HPCA 2025, arXiv
2410.21680), RSC-1; Llama 3 Herd of Models (arXiv 2407.21783), section 3.3.4 and table 5. Effective
training time at some 100,000 GPUs: FT-HSDP (arXiv 2602.00277), abstract.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scipy.optimize import brentq

import hindmost as hm

RSC_1_PER_NODE_DAY = 6.5e-3
LLAMA_UNEXPECTED, LLAMA_PLANNED = 419, 47
LLAMA_DAYS, LLAMA_NODES = 54, 2048
LLAMA_SHARE = 0.9
"""Effective training time, at least."""
LLAMA_PER_NODE_DAY = LLAMA_UNEXPECTED / (LLAMA_DAYS * LLAMA_NODES)

META_NODES = 12_500
"""Nodes of 8 GPUs: 100,000 GPUs, as an order of magnitude."""
META_STALL_S, META_SHARE = 600.0, 0.44
META_WRITES_S = (30.0, 60.0)
"""Seconds of a checkpoint, which nobody has published."""

WRITES_S = (3.0, 15.0, 60.0)
SHORTEST_S, LONGEST_S = 1.0, 3600.0
"""Restarts that are looked for."""

RATES = {"Llama 3's": LLAMA_PER_NODE_DAY, "RSC-1's": RSC_1_PER_NODE_DAY}


def job(per_hour: float, restart_s: float, write_s: float, can_fail: bool) -> hm.Renewal:
    """Return a job at its best interval between checkpoints that stop it."""
    return hm.Renewal(
        failures={"job": hm.Failures(per_hour=per_hour)},
        restart_s=restart_s,
        blocking_s=write_s,
        restart_can_fail=can_fail,
    )


def kept(per_hour: float, restart_s: float, write_s: float, can_fail: bool) -> float:
    """Return the share of time that such a job keeps."""
    found = job(per_hour, restart_s, write_s, can_fail).exact
    assert found is not None
    return found


def hours_between() -> dict[str, float]:
    """Return hours between failures of 16,384 GPUs: predicted, and published."""
    hours = LLAMA_DAYS * 24
    return {
        "predicted from RSC-1": 24 / (RSC_1_PER_NODE_DAY * LLAMA_NODES),
        "published, unexpected": hours / LLAMA_UNEXPECTED,
        "published, with planned ones": hours / (LLAMA_UNEXPECTED + LLAMA_PLANNED),
    }


def longest_restart_s(write_s: float, can_fail: bool) -> float | None:
    """Return the longest restart with which Llama 3's job keeps its share; None where none does."""
    per_hour = LLAMA_UNEXPECTED / (LLAMA_DAYS * 24)

    def excess(restart_s: float) -> float:
        return kept(per_hour, restart_s, write_s, can_fail) - LLAMA_SHARE

    if excess(SHORTEST_S) < 0:
        return None
    return float(brentq(excess, SHORTEST_S, LONGEST_S))


@dataclass(frozen=True, kw_only=True)
class Effective:
    """Share of time that some 100,000 GPUs keep, by rate and by seconds of a checkpoint."""

    rate: str
    write_s: float
    kept: float
    kept_if_restarts_fail: float


def effective() -> Iterator[Effective]:
    """Yield what is kept where each failure stops the job for ten minutes."""
    for name, per_node_day in RATES.items():
        per_hour = META_NODES * per_node_day / 24
        for write_s in META_WRITES_S:
            yield Effective(
                rate=name,
                write_s=write_s,
                kept=kept(per_hour, META_STALL_S, write_s, can_fail=False),
                kept_if_restarts_fail=kept(per_hour, META_STALL_S, write_s, can_fail=True),
            )
