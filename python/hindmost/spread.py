"""How the ranks of a communicator are spread over domains."""

from __future__ import annotations

from dataclasses import dataclass


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
    """

    ranks: int
    members: int
    domains: int
    fewest: int

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
        return (self.domains - 1).bit_length()
