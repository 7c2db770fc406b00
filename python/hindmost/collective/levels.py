"""Levels of a network: ports between domains, and tiers between pods, slices and sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hindmost.collective.cost import Link
from hindmost.spread import Groups, Spread, doublings


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of a network, as communicators reach over it.

    Parameters
    ----------
    number : int
        Groups between which the level's links go.
    parts : float
        Parts of communicators that go on in other groups, for each rank of a group.
    crossing_share : float
        Share of its data that a rank has to get from other groups if all get all data.
    leaving_share : float
        Share of its data that a rank has to send to other groups if each goes to one rank.
    link : Link
        What each rank has to the other groups: the slowest of this level and of those below it.
    """

    number: int
    parts: float
    crossing_share: float
    leaving_share: float
    link: Link

    @property
    def doublings(self) -> int:
        """Rounds until data of one group have reached all, if their number doubles in each."""
        return doublings(self.number)


def levels(spread: Spread, port: Link, tiers: Sequence[Link]) -> tuple[Level, ...]:
    """Return the levels over which a communicator reaches, those with most groups first.

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
    found = [_of_domains(spread, port)]
    found += [_of_tier(spread, *each) for each in zip(spread.tiers, tiers, strict=False)]
    # What crosses few groups crosses many on the way; the sort is stable.
    crossed = sorted(
        (level for level in found if level.number > 1), key=lambda level: -level.number
    )
    latency_s, bytes_per_s = 0.0, float("inf")
    for index, level in enumerate(crossed):
        latency_s = max(latency_s, level.link.latency_s)
        bytes_per_s = min(bytes_per_s, level.link.bytes_per_s)
        link = Link(latency_s=latency_s, bytes_per_s=bytes_per_s)
        crossed[index] = replace(level, link=link)
    return tuple(crossed)


def _of_domains(spread: Spread, port: Link) -> Level:
    """Return the level of ports: a domain has its own, those of its other ranks stand by."""
    return Level(
        number=spread.domains,
        parts=1 / spread.fewest,
        crossing_share=(1 - 1 / spread.domains) / spread.fewest,
        leaving_share=1 - spread.fewest / spread.ranks,
        link=port,
    )


def _of_tier(spread: Spread, groups: Groups, link: Link) -> Level:
    """Return the level of a tier, whose links the ranks of a group share.

    A part of h of n ranks gets ``(n - h) / n`` of all data, and each of its ranks sends as large
    a share of its own, with h the mean of the parts that go on in other groups.
    """
    members = groups.leaving / groups.crossing if groups.crossing else float(spread.ranks)
    return Level(
        number=groups.number,
        parts=groups.crossing,
        crossing_share=groups.crossing - groups.leaving / spread.ranks,
        leaving_share=groups.leaving * (1 - members / spread.ranks),
        link=link,
    )
