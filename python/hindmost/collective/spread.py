"""How the ranks of a communicator lie in domains."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Ranks of a communicator in domains, as many in each as there is room for.

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
        """Return how `n` ranks lie in domains with room for `per_domain` of them."""
        members = min(n, per_domain)
        return cls(members=members, domains=-(-n // members), fewest=n % members or members)

    @property
    def doublings(self) -> int:
        """Rounds in which the domains that have heard of something double, until all have."""
        return (self.domains - 1).bit_length()
