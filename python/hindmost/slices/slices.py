"""How much of a pod of cubes slices take, with hosts down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from pydantic import ValidationError

from hindmost.arguments import as_float, as_int, bounds, refuse
from hindmost.errors import Problem
from hindmost.scenario.fields import field_problems
from hindmost.scenario.slices import Placement, SlicesTable
from hindmost.slices.binomial import Floats, probabilities, quantile
from hindmost.slices.moves import Moves, moved
from hindmost.slices.pack import Running

if TYPE_CHECKING:
    import polars as pl

PLACEMENTS: tuple[Placement, ...] = get_args(Placement)
"""With switches, and without."""
QUANTILES = {"p5": 0.05, "p50": 0.5, "p95": 0.95}
"""Percentiles of what is placed, by name."""


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Slices of a pod, with closed forms of how many fit.

    A cube is up only if all of its hosts are. A slice takes any cubes that are up, which optical
    switches join, or one of ``cubes // slice_cubes`` fixed blocks, of which all cubes must be up.

    Parameters
    ----------
    cubes
        Cubes of the pod, 1 to 100,000.
    hosts_per_cube
        Hosts of a cube, >= 1.
    host_availability
        Share of time in which a host is up, > 0 and <= 1; hosts are independent.
    slice_cubes
        Cubes of a slice, at most those of the pod.
    placement
        ``any`` or ``aligned``.

    Raises
    ------
    ScenarioError
        With every value that is out of its domain.

    Notes
    -----
    With a cube up for ``a = host_availability ** hosts_per_cube`` of the time,
    ``Binomial(cubes, a) // slice_cubes`` slices fit with switches, and
    ``Binomial(cubes // slice_cubes, a ** slice_cubes)`` without.

    Examples
    --------
    A pod of TPU v4 whose hosts are up for 99% of the time, in slices of 1,024 chips:

    >>> pod = Slices(cubes=64, hosts_per_cube=16, host_availability=0.99, slice_cubes=16)
    >>> round(pod.share_placed, 6), round(pod.with_placement("aligned").share_placed, 6)
    (0.747358, 0.076315)
    """

    cubes: int
    hosts_per_cube: int
    host_availability: float
    slice_cubes: int
    placement: Placement = "any"

    def __post_init__(self) -> None:
        for name in ("cubes", "hosts_per_cube", "slice_cubes"):
            object.__setattr__(self, name, as_int(getattr(self, name)))
        object.__setattr__(self, "host_availability", as_float(self.host_availability))
        refuse(list(self._problems()))

    def _problems(self) -> Iterator[Problem]:
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        try:
            SlicesTable.model_validate(given)
        except ValidationError as error:
            yield from field_problems(error, SlicesTable)
            return
        if self.host_availability is None:
            yield Problem(path="host_availability", requirement="is missing")
        if self.slice_cubes > self.cubes:
            requirement = f"must be <= {self.cubes:,}, the cubes that there are"
            yield Problem(path="slice_cubes", requirement=requirement, value=self.slice_cubes)

    @property
    def cube_availability(self) -> float:
        """Share of time in which all hosts of a cube are up."""
        return float(self.host_availability**self.hosts_per_cube)

    @property
    def blocks(self) -> int:
        """Fixed blocks of a slice's cubes, and slices that fit with all cubes up."""
        return self.cubes // self.slice_cubes

    @cached_property
    def law(self) -> Floats:
        """Probabilities that 0, 1, ... slices fit, of shape (blocks + 1,)."""
        available = self.cube_availability
        if self.placement == "aligned":
            return probabilities(self.blocks, available**self.slice_cubes)
        import numpy as np

        of_cubes = probabilities(self.cubes, available)
        fit = np.arange(self.cubes + 1) // self.slice_cubes
        found = np.bincount(fit, weights=of_cubes, minlength=self.blocks + 1)
        return found.astype(np.float64)

    @property
    def slices_placed(self) -> float:
        """Slices that fit, on average."""
        return float(sum(count * share for count, share in enumerate(self.law.tolist())))

    @property
    def share_placed(self) -> float:
        """Share of the pod's cubes that slices take, on average."""
        return self.slices_placed * self.slice_cubes / self.cubes

    def quantile(self, probability: float) -> float:
        """Return the share of cubes that is not exceeded with a probability.

        Parameters
        ----------
        probability
            0 to 1: 0.05 for what is placed in 95% of the time, or more.

        Raises
        ------
        ScenarioError
            If it is no probability.
        """
        _check_probability(probability)
        return quantile(self.law, probability) * self.slice_cubes / self.cubes

    def fits(self, n_slices: int) -> float:
        """Return the share of time in which a job of so many slices fits.

        Parameters
        ----------
        n_slices
            Slices of the job, >= 1. More than there are with all cubes up never fit.

        Raises
        ------
        ScenarioError
            If it is no count.
        """
        n_slices = as_int(n_slices)
        refuse(bounds("n_slices", n_slices, 1, 2**31 - 1))
        return min(1.0, float(self.law[n_slices:].sum()))

    def cubes_up(self, confidence: float) -> int:
        """Return how many cubes are up with a confidence, or more.

        Parameters
        ----------
        confidence
            Share of time, 0 to 1, in which at least so many are up.

        Raises
        ------
        ScenarioError
            If it is no probability.

        Examples
        --------
        >>> pod = Slices(cubes=144, hosts_per_cube=16, host_availability=0.9958, slice_cubes=1)
        >>> pod.cubes_up(0.95)
        130
        """
        _check_probability(confidence, "confidence")
        # The greatest n with P(up >= n) >= confidence.
        law = probabilities(self.cubes, self.cube_availability)
        at_least = law[::-1].cumsum()[::-1]
        return int((at_least >= confidence).nonzero()[0].max(initial=0))

    def with_placement(self, placement: Placement) -> Slices:
        """Return these slices with switches (``any``) or without (``aligned``)."""
        return replace(self, placement=placement)

    def of_size(self, slice_cubes: int) -> Slices:
        """Return slices of so many cubes of this pod."""
        return replace(self, slice_cubes=slice_cubes)

    @property
    def sizes(self) -> tuple[int, ...]:
        """1, 2, 4 and so on cubes, and those of these slices."""
        powers = {2**power for power in range(self.cubes.bit_length()) if 2**power <= self.cubes}
        return tuple(sorted(powers | {self.slice_cubes}))

    def rows_by_size(self, sizes: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Return the rows of `by_size` as plain tables."""
        rows = []
        for size in self.sizes if sizes is None else sizes:
            for placement in PLACEMENTS:
                one = replace(self, slice_cubes=as_int(size), placement=placement)
                rows.append(
                    {
                        "slice_cubes": one.slice_cubes,
                        "placement": placement,
                        "share_placed": one.share_placed,
                        **{name: one.quantile(at) for name, at in QUANTILES.items()},
                        "fits": one.fits(1),
                    }
                )
        return rows

    def by_size(self, sizes: Sequence[int] | None = None) -> pl.DataFrame:
        """Return what is placed of slices of several sizes, with switches and without.

        Parameters
        ----------
        sizes
            Cubes of a slice; `sizes` by default.

        Returns
        -------
        DataFrame
            slice_cubes; placement, ``any`` or ``aligned``; share_placed, the mean share of cubes
            placed, and its p5, p50 and p95; fits, the share of time in which one slice fits.

        Raises
        ------
        ScenarioError
            If a size is none, or larger than the pod.
        """
        import polars as pl

        return pl.DataFrame(self.rows_by_size(sizes))

    def defragment(
        self,
        running: Sequence[Running],
        waiting: Sequence[int],
        *,
        down: Sequence[int] = (),
        moves: int = 1,
        lost_s: float | Mapping[int, float] = 0.0,
        cube_gpus: int = 1,
    ) -> Moves:
        """Return what could be placed if some running slices were moved.

        Parameters
        ----------
        running
            Running slices of any sizes: their cubes, and the number of their block, counted from
            0 in blocks of that size. With switches they have cubes alone, and the number says
            nothing.
        waiting
            Cubes of each slice that waits for a place.
        down
            Numbers of the cubes that are down, none of which a running slice has.
        moves
            Running slices that are moved, at most.
        lost_s
            Seconds that a moved slice loses: rewiring, restart and what it does again; or those
            by its cubes.
        cube_gpus
            GPUs of a cube.

        Raises
        ------
        ScenarioError
            With every argument that is out of its domain, or does not fit the others.

        Notes
        -----
        The most cubes that running slices and some of the waiting ones take together, where none
        of the running ones is given up and at most so many of them change their block, all at
        once; of ties, the fewest moves, and then the fewest cubes moved.

        Examples
        --------
        Two slices of one cube keep one of two from its place:

        >>> of_one = {"cubes": 4, "hosts_per_cube": 1, "host_availability": 1, "slice_cubes": 1}
        >>> pod = Slices(**of_one, placement="aligned")
        >>> pod.defragment([(1, 0), (1, 2)], [2], moves=1, lost_s=600).frame.rows()
        [(0, 0, 2, 0.5, 0.5, 0.0), (1, 1, 4, 1.0, 1.0, 600.0)]
        """
        return moved(
            cubes=self.cubes,
            placement=self.placement,
            running=running,
            waiting=waiting,
            down=down,
            moves=moves,
            lost_s=lost_s,
            cube_gpus=cube_gpus,
        )


def _check_probability(value: float, name: str = "probability") -> None:
    if not (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1):
        refuse([Problem(path=name, requirement="must be from 0 to 1", value=value)])
