"""Train on a cluster, or let it: the answer over all readings, and what would change it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost.money.break_even import Sides
from hindmost.money.market import Market
from hindmost.money.readings import paired, percentiles

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Flip:
    """A number whose change would change the answer.

    Attributes
    ----------
    input : str
        What it is.
    value : float
        What it is taken to be.
    flips_at : float
        Where training and letting cost the same, all else as it is.
    low, high : float
        Least and greatest reading of it, or both ends of its interval.
    is_within : bool
        Whether it flips at a value between these.
    """

    input: str
    value: float
    flips_at: float
    low: float
    high: float
    is_within: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Training on a cluster against letting it and renting others' GPUs.

    Attributes
    ----------
    sides : Sides
        GPUs and peaks.
    market : Market
        Prices, and the MFU on rented GPUs.
    mfu : array
        MFU of training on all GPUs of the cluster, by draws of what is not known of it.
    """

    sides: Sides
    market: Market
    mfu: Numbers

    @property
    def at_mfu(self) -> float:
        """The MFU that the answer is given at: the median."""
        return float(np.median(self.mfu))

    @property
    def at_prices(self) -> tuple[float, float, float]:
        """Price of letting, price of renting, and MFU on rented GPUs that it is given at."""
        market = self.market
        return market.lease.at, market.outside.at, market.outside_mfu.at

    def break_even(self) -> dict[str, Any]:
        """Return where both cost the same: over all readings and draws, and at their medians."""
        market, sides = self.market, self.sides
        lease, outside, outside_mfu = self.at_prices
        others = market.outside_mfu.values()
        leases, rents, weights = paired(market.lease, market.outside)
        # All combinations of prices, and of these with the MFU on rented GPUs.
        of_mfu = sides.mfu(leases[:, np.newaxis], rents[:, np.newaxis], others)
        weight = np.broadcast_to(weights[:, np.newaxis] / len(others), of_mfu.shape)
        own, rent, other = np.meshgrid(self.mfu, market.outside.values(), others, indexing="ij")
        of_lease = sides.lease(own, rent, other)
        order = np.argsort(of_mfu, axis=None)
        reached = np.concatenate([[0.0], np.cumsum(weight.ravel()[order])])
        below = reached[np.searchsorted(of_mfu.ravel()[order], self.mfu)]
        mfu = sides.mfu(lease, outside, outside_mfu)
        return {
            "mfu": {**percentiles(of_mfu, weight), "at_values": mfu},
            "lease_usd_per_gpu_hour": {
                **percentiles(of_lease),
                "at_values": sides.lease(self.at_mfu, outside, outside_mfu),
            },
            "training_pays_at_values": self.at_mfu > mfu,
            "share_where_training_pays": float(below.mean()),
        }

    def flips(self) -> tuple[Flip, ...]:
        """Return what would change the answer, first what would within its own readings."""
        market, sides, mfu = self.market, self.sides, self.at_mfu
        lease, outside, outside_mfu = self.at_prices
        own = percentiles(self.mfu)
        found = [
            _flip("mfu", mfu, sides.mfu(lease, outside, outside_mfu), own["p5"], own["p95"]),
            _flip(
                "lease_usd_per_gpu_hour",
                lease,
                sides.lease(mfu, outside, outside_mfu),
                market.lease.low,
                market.lease.high,
            ),
            _flip(
                "outside_usd_per_gpu_hour",
                outside,
                sides.outside(mfu, lease, outside_mfu),
                market.outside.low,
                market.outside.high,
            ),
            _flip(
                "outside_mfu",
                outside_mfu,
                sides.outside_mfu(mfu, lease, outside),
                market.outside_mfu.low,
                market.outside_mfu.high,
            ),
        ]
        return tuple(sorted(found, key=lambda one: not one.is_within))


def _flip(name: str, value: float, flips_at: float, low: float, high: float) -> Flip:
    is_within = low <= flips_at <= high
    return Flip(input=name, value=value, flips_at=flips_at, low=low, high=high, is_within=is_within)
