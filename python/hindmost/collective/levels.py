"""Levels of a network: ports between domains, and tiers between pods, slices and sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hindmost.collective.cost import Link
from hindmost.spread import Groups, Spread, doublings


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of a network, as a communicator reaches over it.

    Parameters
    ----------
    groups : Groups
        Ranks of the communicator between which the level's links go.
    link : Link
        What each rank has to the other groups: the slowest of this level and those below it.
    """

    groups: Groups
    link: Link

    @property
    def doublings(self) -> int:
        """Rounds until data of one group have reached all, if their number doubles in each."""
        return doublings(self.groups.number)

    @property
    def crossing_share(self) -> float:
        """Share of the data of all ranks that a group has to get from others, for each rank."""
        return (self.groups.number - 1) / self.groups.number / self.groups.fewest


def levels(spread: Spread, port: Link, tiers: Sequence[Link]) -> tuple[Level, ...]:
    """Return the levels over which a communicator reaches, the lowest one first.

    There is none within one domain.

    Parameters
    ----------
    spread
        How the ranks of the communicator are spread over domains and tiers.
    port
        A rank's link to the network.
    tiers
        A rank's part of the links of each tier, the lowest one first.
    """
    domains = Groups(number=spread.domains, fewest=spread.fewest)
    every = zip((domains, *spread.tiers), (port, *tiers), strict=False)
    found: list[Level] = []
    bytes_per_s = port.bytes_per_s
    for groups, link in every:
        if groups.number == 1:
            break
        bytes_per_s = min(bytes_per_s, link.bytes_per_s)
        found.append(
            Level(groups=groups, link=Link(latency_s=link.latency_s, bytes_per_s=bytes_per_s))
        )
    return tuple(found)
