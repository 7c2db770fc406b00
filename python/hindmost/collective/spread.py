"""How the ranks of a communicator are spread over domains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Ranks of a communicator in domains, each as full as it can be.

    Attributes
    ----------
    members : int
        Ranks of a full domain.
    domains : int
        Domains with at least one rank.
    fewest : int
        Ranks of the last domain, whose ports carry the most.
    """

    members: int
    domains: int
    fewest: int

    @classmethod
    def of(cls, n: int, per_domain: int) -> Spread:
        """Return how `n` ranks are spread over domains that hold `per_domain` of them."""
        members = min(n, per_domain)
        return cls(members=members, domains=-(-n // members), fewest=n % members or members)

    @property
    def doublings(self) -> int:
        """Rounds until data of one domain have reached all, if their number doubles in each."""
        return (self.domains - 1).bit_length()
