"""What failures cost: each takes out the replica that it hits, and no other one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from hindmost.catalog import Accelerator
from hindmost.law import LawModel
from hindmost.renewal.job import SECONDS_PER_HOUR
from hindmost.scenario.reliability import Recovery, UnitFailures


def availability(
    failures: Mapping[str, UnitFailures],
    recovery: Recovery | None,
    *,
    n_gpus: int,
    gpu: Accelerator,
    has_spares: bool,
) -> float:
    """Return the share of time in which a replica is there.

    Parameters
    ----------
    failures
        Failures of its pool.
    recovery
        How a replica comes back.
    n_gpus
        GPUs of the replica, which lie in one domain.
    gpu
        Their type.
    has_spares
        Whether spares take the place of what is repaired; otherwise the replica waits for it.

    Notes
    -----
    With rates r of units that the replica has and hours d that each failure takes,
    ``1 / (1 + sum(r d))``, as of any alternating renewal process.
    """
    down = 0.0
    for one in failures.values():
        repair = one.repair_hours
        hours = repair.core.mean() if isinstance(repair, LawModel) else repair
        if has_spares:
            hours = 0.0
        if recovery is not None:
            hours += (recovery.detection_s + (recovery.restart_s or 0.0)) / SECONDS_PER_HOUR
        down += one.per_hour * _units(one, n_gpus, gpu) * hours
    return 1 / (1 + down)


def _units(one: UnitFailures, n_gpus: int, gpu: Accelerator) -> int:
    """Return how many units of some failures a replica has a part of."""
    sizes = {"gpu": 1, "node": gpu.node_gpus}
    return math.ceil(n_gpus / sizes.get(one.scope, n_gpus))
