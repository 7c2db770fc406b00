"""What owning a cluster takes: capital and power, and what these cost where prices are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hindmost import catalog
from hindmost.money.break_even import HOURS_PER_YEAR
from hindmost.scenario.economics import Economics

SOURCE = "all-in"
"""Entry of the catalogue with capital and power by type of GPU."""
ASSUMED = "capital: H200 servers cost what H100 servers do, and staff and software are left out"
WATTS_PER_KW = 1e3


@dataclass(frozen=True, kw_only=True)
class Owned:
    """A cluster as its owner sees it.

    Attributes
    ----------
    capital_usd : float or None
        What it costs to buy; None where the catalogue lacks one of its types.
    power_w : float or None
        Power of all of it, all in; None where the catalogue lacks one of its types.
    usd_per_gpu_hour : dict of str to float
        Parts of what a GPU-hour costs, as far as their prices are given: ``capital``, ``power`` and
        ``hosting``.
    """

    capital_usd: float | None
    power_w: float | None
    usd_per_gpu_hour: dict[str, float]


def owned(n_gpus: Mapping[str, int], prices: Economics) -> Owned:
    """Return what owning a cluster takes.

    Parameters
    ----------
    n_gpus
        GPUs by type.
    prices
        Years of writing off, and prices of power and hosting, as far as they are given.
    """
    source, total = catalog.ownership(SOURCE), sum(n_gpus.values())
    capital_usd, power_w = _sum(source.usd_per_gpu, n_gpus), _sum(source.watts_per_gpu, n_gpus)
    parts = {}
    if prices.capital_years is not None and capital_usd is not None:
        parts["capital"] = capital_usd / (prices.capital_years * HOURS_PER_YEAR * total)
    if prices.power_usd_per_kwh is not None and power_w is not None:
        parts["power"] = power_w / WATTS_PER_KW * prices.power_usd_per_kwh / total
    if prices.hosting_usd_per_gpu_hour is not None:
        parts["hosting"] = prices.hosting_usd_per_gpu_hour
    return Owned(capital_usd=capital_usd, power_w=power_w, usd_per_gpu_hour=parts)


def ownership_assumed(n_gpus: Mapping[str, int]) -> list[str]:
    """Return what is assumed of capital, of the types of GPU that a cluster has."""
    return [ASSUMED] if "h200-sxm" in n_gpus else []


def _sum(each: Mapping[str, float], n_gpus: Mapping[str, int]) -> float | None:
    if not set(n_gpus) <= set(each):
        return None
    return sum(n * each[gpu] for gpu, n in n_gpus.items())
