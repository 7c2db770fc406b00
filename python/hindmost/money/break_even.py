"""Train on a cluster, or let it and rent others' GPUs: where both cost the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])

HOURS_PER_YEAR = 8760.0


@dataclass(frozen=True, kw_only=True)
class Sides:
    """What is compared, beside prices.

    Attributes
    ----------
    n_gpus : int
        GPUs of the cluster.
    peak_flop_per_s : float
        Peak of all of them.
    outside_peak_flop_per_s : float
        Peak of one rented GPU.
    """

    n_gpus: int
    peak_flop_per_s: float
    outside_peak_flop_per_s: float

    def mfu(self, lease: Number, outside: Number, outside_mfu: Number) -> Number:
        """Return the MFU of the cluster at which training on it costs what renting costs.

        Parameters
        ----------
        lease, outside
            US dollars for an hour of one of the cluster's GPUs, and of a rented one.
        outside_mfu
            MFU of training on rented GPUs.

        Notes
        -----
        Who lets n GPUs and rents others' for the money has ``n lease / outside`` of them, which
        train at ``outside_mfu`` of their peak:
        ``m* = n lease m_out peak_out / (outside peak_cluster)``.

        Examples
        --------
        >>> mix = Sides(
        ...     n_gpus=220_000,
        ...     peak_flop_per_s=150e3 * 989e12 + 50e3 * 989e12 + 20e3 * 2500e12,
        ...     outside_peak_flop_per_s=989e12,
        ... )
        >>> [round(mix.mfu(2.60, outside, 0.459), 3) for outside in (1.78, 2.35, 2.95)]
        [0.589, 0.446, 0.355]
        """
        found: Number = (
            self.n_gpus
            * lease
            * outside_mfu
            * self.outside_peak_flop_per_s
            / (outside * self.peak_flop_per_s)
        )
        return found

    def lease(self, mfu: Number, outside: Number, outside_mfu: Number) -> Number:
        """Return the price of a GPU-hour of the cluster at which both cost the same.

        Parameters are those of `mfu`, with the MFU of the cluster.
        """
        per_gpu = self.peak_flop_per_s / self.n_gpus / self.outside_peak_flop_per_s
        found: Number = mfu * per_gpu * outside / outside_mfu
        return found

    def outside(self, mfu: Number, lease: Number, outside_mfu: Number) -> Number:
        """Return the price of a rented GPU-hour at which both cost the same."""
        per_gpu = self.peak_flop_per_s / self.n_gpus / self.outside_peak_flop_per_s
        found: Number = lease * outside_mfu / (mfu * per_gpu)
        return found

    def outside_mfu(self, mfu: Number, lease: Number, outside: Number) -> Number:
        """Return the MFU of rented GPUs at which both cost the same."""
        per_gpu = self.peak_flop_per_s / self.n_gpus / self.outside_peak_flop_per_s
        found: Number = mfu * per_gpu * outside / lease
        return found

    def flop_per_s(self, mfu: Number) -> Number:
        """Return the model FLOPs a second that the cluster trains with."""
        found: Number = mfu * self.peak_flop_per_s
        return found

    def rent_per_year(self, mfu: Number, outside: Number, outside_mfu: Number) -> Number:
        """Return what a year of as much training costs on rented GPUs, in US dollars."""
        n_rented = self.flop_per_s(mfu) / (outside_mfu * self.outside_peak_flop_per_s)
        found: Number = n_rented * outside * HOURS_PER_YEAR
        return found
