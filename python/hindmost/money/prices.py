"""Prices of a cluster and of rented GPUs, by the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hindmost import catalog
from hindmost.catalog import Prices, as_range
from hindmost.money.readings import Reading, Readings


def blended(prices: Prices, n_gpus: Mapping[str, int]) -> Reading | None:
    """Return the price of a GPU-hour of a cluster by one source; None where it lacks a type.

    Parameters
    ----------
    prices
        The source: prices by type, or one for a whole cluster.
    n_gpus
        GPUs of the cluster by type.
    """
    if prices.blended_usd_per_gpu_hour is not None:
        whole = as_range(prices.blended_usd_per_gpu_hour)
        return _reading(prices, whole.low, whole.high)
    if not set(n_gpus) <= set(prices.usd_per_gpu_hour):
        return None
    total = sum(n_gpus.values())
    each = {gpu: as_range(prices.usd_per_gpu_hour[gpu]) for gpu in n_gpus}
    low = sum(n * each[gpu].low for gpu, n in n_gpus.items()) / total
    high = sum(n * each[gpu].high for gpu, n in n_gpus.items()) / total
    return _reading(prices, low, high)


def leases(names: tuple[str, ...], n_gpus: Mapping[str, int]) -> Readings | None:
    """Return what a cluster is let for by some sources, or by all rentals; None if none knows.

    Parameters
    ----------
    names
        Sources of the catalogue; by default all rentals that have each type of GPU.
    n_gpus
        GPUs of the cluster by type.
    """
    sources = [catalog.prices(name) for name in names] if names else list(_of("rental"))
    found = [blended(one, n_gpus) for one in sources]
    readings = tuple(one for one in found if one is not None)
    return Readings(readings=readings) if readings else None


def rentals(gpu: str) -> Readings | None:
    """Return what an hour of one type of GPU is rented for; None if nobody says."""
    readings = tuple(
        _reading(one, as_range(price).low, as_range(price).high)
        for one in _of("rental")
        for price in [one.usd_per_gpu_hour.get(gpu)]
        if price is not None
    )
    return Readings(readings=readings) if readings else None


def all_of_cluster(names: tuple[str, ...], n_gpus: Mapping[str, int]) -> Iterator[Reading]:
    """Yield the price of a GPU-hour of a cluster by each source that knows it, costs first.

    Parameters
    ----------
    names
        Sources for this cluster as a whole; those for others are left out.
    n_gpus
        GPUs of the cluster by type.
    """
    for whose in ("own cost", "rental", "analyst", "filing"):
        for one in _of(whose):
            is_of_another = one.blended_usd_per_gpu_hour is not None and one.name not in names
            reading = None if is_of_another else blended(one, n_gpus)
            if reading is not None:
                yield reading


def _of(whose: str) -> Iterator[Prices]:
    for name in catalog.names("prices"):
        one = catalog.prices(name)
        if one.whose == whose:
            yield one


def _reading(prices: Prices, low: float, high: float) -> Reading:
    return Reading(
        name=prices.name,
        whose=prices.whose,
        date=prices.date,
        low=low,
        high=high,
        where=prices.basis.where,
    )
