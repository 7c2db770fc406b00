"""Fields of how a pool of cubes is divided into slices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from hindmost.catalog.schema import NotNegative, Share
from hindmost.strict import Strict

__all__ = ["Placement", "SlicesTable"]

MAX_CUBES = 100_000
"""Cubes of a pod, at most."""
MAX_HOSTS = 100_000
"""Hosts of a cube, at most."""
REWIRE_S = 10.0
"""Seconds in which optical switches join cubes into another torus: about 10 s (Gemini Team, Gemini,
arXiv 2312.11805, by somebody's notes on it)."""

Placement = Literal["any", "aligned"]
"""Which cubes a slice takes: any that are up, or those of one fixed block."""

Cubes = Annotated[int, Field(ge=1, le=MAX_CUBES)]


class SlicesTable(Strict):
    """Cubes of chips that slices are made of."""

    cubes: Cubes
    """Cubes of the pool."""
    hosts_per_cube: Annotated[int, Field(ge=1, le=MAX_HOSTS)]
    """Hosts of a cube, which is up only if all of them are."""
    host_availability: Share | None = None
    """Share of time in which a host is up, for what is placed on average; by default that of
    [failures] with their repairs."""
    slice_cubes: Cubes
    """Cubes of a slice."""
    placement: Placement = "any"
    """any: optical switches join any cubes that are up; aligned: a slice takes one of cubes /
    slice_cubes fixed blocks, whole, as cables join them."""
    rewire_s: NotNegative = REWIRE_S
    """Seconds by which a restart takes longer in which switches join other cubes."""

    @property
    def blocks(self) -> int:
        """Fixed blocks of a slice's cubes."""
        return self.cubes // self.slice_cubes
