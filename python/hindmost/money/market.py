"""Prices and MFU that a cluster is compared by, as they are given or as the catalogue has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from hindmost import catalog
from hindmost.errors import Problem
from hindmost.money.prices import leases, rentals
from hindmost.money.readings import Reading, Readings, given
from hindmost.scenario.economics import Economics

PUBLISHED_MFU = Readings(
    readings=(
        Reading(
            name="llama-3",
            whose="published",
            date="2024-07",
            low=0.41,
            high=0.43,
            where="The Llama 3 Herd of Models, table 4: 405B in BF16 on 16,384 and 8,192 H100",
        ),
    )
)
"""MFU of training on rented GPUs, by default."""


@dataclass(frozen=True, kw_only=True)
class Market:
    """What a cluster is let for, and what others' GPUs cost and do.

    Attributes
    ----------
    lease : Readings
        US dollars for an hour of one of the cluster's GPUs.
    outside : Readings
        US dollars for an hour of a rented GPU.
    outside_mfu : Readings
        MFU of training on rented GPUs.
    """

    lease: Readings
    outside: Readings
    outside_mfu: Readings


def market(
    table: Economics, n_gpus: Mapping[str, int], *, peak_over_bf16: float
) -> tuple[Market | None, list[Problem]]:
    """Return the market of a cluster, or what is missing for it.

    Parameters
    ----------
    table
        What is given.
    n_gpus
        GPUs of the cluster by type.
    peak_over_bf16
        Peak of a rented GPU that MFU is of, over its peak in BF16: the published MFU is of the
        latter, and as many FLOPs are a smaller share of a higher peak.
    """
    found = list(_lease_problems(table))
    lease = None if found else leases(table.leases, n_gpus)
    outside, outside_mfu = rentals(table.outside_gpu), _of_peak(peak_over_bf16)
    if table.lease_usd_per_gpu_hour is not None:
        lease = given(table.lease_usd_per_gpu_hour, "economics.lease_usd_per_gpu_hour")
    if table.outside_usd_per_gpu_hour is not None:
        outside = given(table.outside_usd_per_gpu_hour, "economics.outside_usd_per_gpu_hour")
    if table.outside_mfu is not None:
        outside_mfu = given(table.outside_mfu, "economics.outside_mfu")
    if lease is None and not found:
        found.append(_unpublished("lease_usd_per_gpu_hour", f"all of {', '.join(n_gpus)}"))
    if outside is None:
        found.append(_unpublished("outside_usd_per_gpu_hour", table.outside_gpu))
    if found or lease is None or outside is None:
        return None, found
    return Market(lease=lease, outside=outside, outside_mfu=outside_mfu), []


def _of_peak(over_bf16: float) -> Readings:
    """Return the published MFU as a share of another peak."""
    return Readings(
        readings=tuple(
            replace(one, low=one.low / over_bf16, high=one.high / over_bf16)
            for one in PUBLISHED_MFU.readings
        )
    )


def _lease_problems(table: Economics) -> Iterator[Problem]:
    for name in sorted({name for name in table.leases if table.leases.count(name) > 1}):
        requirement = "must name each source once, or it would count twice"
        yield Problem(path="economics.leases", requirement=requirement, value=name)
    for name in table.leases:
        if catalog.prices(name).blended_usd_per_gpu_hour is None:
            requirement = "must be prices of a whole cluster"
            hint = "without leases, prices by type of GPU are blended"
            path = "economics.leases"
            yield Problem(path=path, requirement=requirement, value=name, hint=hint)


def _unpublished(key: str, what: str) -> Problem:
    requirement = f"must be given: the catalogue has no rental of {what}"
    return Problem(path=f"economics.{key}", requirement=requirement)
