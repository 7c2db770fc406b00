"""How the ranks of a communicator are spread over domains, and over tiers above them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Ranks of a communicator in groups of domains, such as pods, slices or sites.

    Attributes
    ----------
    number : int
        Groups with at least one rank.
    fewest : int
        Ranks of the group that holds the fewest, whose links to the others carry the most.
    """

    number: int
    fewest: int


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
