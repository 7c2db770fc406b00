"""How the ranks of a communicator are spread over domains, and over tiers above them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Groups:
    """How the communicators of a kind lie in groups of domains, such as pods, slices or sites.

    The ranks of a group share its links to the others, so that what counts is how much all
    communicators together have in the group that most of them leave, for each of its ranks.

    Attributes
    ----------
    number : int
        Groups that a communicator has ranks in, of the one that has most.
    parts : float
        Communicators with ranks in the group, for each of its ranks: 1/h if each has h of them.
    crossing : float
        Those of them that have ranks in other groups, too.
    leaving : float
        Share of its ranks that belong to these.
    """

    number: int
    parts: float
    crossing: float
    leaving: float

    @classmethod
    def of(cls, number: int, members: int) -> Groups:
        """Return groups in which each communicator has as many ranks."""
        crosses = float(number > 1)
        parts = 1 / members
        return cls(number=number, parts=parts, crossing=crosses * parts, leaving=crosses)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Ranks of a communicator in domains.

    Attributes
    ----------
    ranks : int
        Ranks of the communicator.
    members : int
        Ranks of the domain that holds the most of them.
    domains : int
        Domains with at least one rank.
    fewest : int
        Ranks of the domain that holds the fewest, whose ports carry the most.
    tiers : tuple of Groups
        Groups of domains by tier, the lowest tier first.
    """

    ranks: int
    members: int
    domains: int
    fewest: int
    tiers: tuple[Groups, ...] = ()

    @classmethod
    def of(cls, n: int, per_domain: int) -> Spread:
        """Return how `n` ranks are spread over domains that hold `per_domain` of them.

        Each domain is as full as it can be, and the last one may hold fewer.
        """
        members = min(n, per_domain)
        return cls(
            ranks=n, members=members, domains=-(-n // members), fewest=n % members or members
        )

    @property
    def doublings(self) -> int:
        """Rounds until data of one domain have reached all, if their number doubles in each."""
        return doublings(self.domains)


def doublings(n: int) -> int:
    """Return the rounds until data of one of `n` have reached all, if their number doubles."""
    return (n - 1).bit_length()
