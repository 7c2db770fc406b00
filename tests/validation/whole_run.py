"""Published failures and effective training times, and what a renewal process makes of them.

Rates: Revisiting Reliability in Large-Scale Machine Learning Research Clusters (HPCA 2025, arXiv
2410.21680), RSC-1; Llama 3 Herd of Models (arXiv 2407.21783), section 3.3.4 and table 5. Effective
training time at some 100,000 GPUs: FT-HSDP (arXiv 2602.00277), abstract.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq

import hindmost as hm
from hindmost.whole_run.account import Account

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
    return longest_s(per_hour, write_s, can_fail, LLAMA_SHARE)


def longest_s(per_hour: float, write_s: float, can_fail: bool, share: float) -> float | None:
    """Return the longest restart with which a job keeps a share of its time."""

    def excess(restart_s: float) -> float:
        return kept(per_hour, restart_s, write_s, can_fail) - share

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


REPLICA_STALL_S, REPLICA_SHARE = 180.0, 0.80
"""Stall at each failure where replicas recover by themselves, and what is kept: the same source."""

BYTEROBUST_NODES, BYTEROBUST_SHARE = 1_200, 0.97
"""Nodes of 8 GPUs, and cumulative effective training time (ByteRobust, arXiv 2509.16293)."""
BYTEROBUST_WRITES_S = (0.1, 1.0, 3.0)

LARGE_GPUS, LARGE_NODES = 220_000, 27_500

SEED, DAYS = 1, 365.0


def account(scenario: str, changes: dict[str, Any], days: float) -> Account:
    """Return the account of a scenario's whole runs."""
    result = hm.simulate(scenario, changes=changes, days=days, seed=SEED, runs=16, steps=5)
    assert result.account is not None
    return result.account


def replica_level() -> Iterator[tuple[str, float, float]]:
    """Yield a rate, and shares kept of the time of GPUs at work and of all GPUs.

    Replicas are shard groups of 512 GPUs, which are away for as long as the others stand.
    """
    for name, per_node_day in RATES.items():
        changes = {
            "pools.h100.n_gpus": META_NODES * 8,
            "layout.sharding": "hybrid",
            "layout.shard_group_replicas": 64,
            "failures.node": {"scope": "node", "per_hour": per_node_day / 24},
            "recovery": {
                "restart_s": 0.0,
                "restart_can_fail": False,
                "replica_level": True,
                "replica_stall_s": REPLICA_STALL_S,
            },
            # Nothing goes back to a checkpoint.
            "checkpoint": {"interval_s": 1e9, "blocking_s": 0.0},
        }
        found = account("h100-1k", changes, DAYS)
        yield name, found.R, found.S * found.R


def byterobust_minutes() -> Iterator[tuple[str, float, float | None]]:
    """Yield a rate, seconds of a checkpoint, and the longest restart that allows the share."""
    for name, per_node_day in RATES.items():
        per_hour = BYTEROBUST_NODES * per_node_day / 24
        for write_s in BYTEROBUST_WRITES_S:
            yield name, write_s, longest_s(per_hour, write_s, True, BYTEROBUST_SHARE)


def minutes_between_failures() -> dict[str, float]:
    """Return minutes between failures of 220,000 GPUs of three types: by node, and by what fails.

    Of the latter, that of the preset is simulated, and includes failures of restarts.
    """
    by_node = 24 * 60 / (LARGE_NODES * LLAMA_PER_NODE_DAY)
    found = account("colossus-1", {}, DAYS)
    failures = np.array(found.hours_of.failures).sum(axis=1).mean()
    return {"one rate a node of 8 GPUs": by_node, "by what fails": DAYS * 24 * 60 / float(failures)}


def llama_again() -> tuple[float, float, float]:
    """Return failures of 54 days of the preset, those that stop it, and the share that it keeps."""
    found = account("llama3-405b-16384", {}, LLAMA_DAYS)
    failures, stops = (
        float(np.array(counts).sum(axis=1).mean())
        for counts in (found.hours_of.failures, found.hours_of.interruptions)
    )
    return failures, stops, found.R
