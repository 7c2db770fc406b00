"""What a collective costs, and the links that it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ParamSpec

Call = ParamSpec("Call")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A rank's way out.

    Parameters
    ----------
    latency_s
        Seconds of one hop.
    bytes_per_s
        Bandwidth in one direction, with all siblings running, in B/s.
    """

    latency_s: float
    bytes_per_s: float


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Seconds of a collective.

    Parameters
    ----------
    latency_s
        Seconds of hops, paid again by each piece that is sent on its own.
    inside_s
        Seconds of moving bytes inside of domains.
    transfer_s
        Seconds of moving bytes through ports; what slows a port slows this part.
    """

    latency_s: float = 0.0
    inside_s: float = 0.0
    transfer_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            latency_s=self.latency_s + other.latency_s,
            inside_s=self.inside_s + other.inside_s,
            transfer_s=self.transfer_s + other.transfer_s,
        )

    def in_pieces(self, n_pieces: int) -> Cost:
        """Return the cost when the data go in pieces, one after another."""
        return replace(self, latency_s=n_pieces * self.latency_s)

    def times(self, count: float) -> Cost:
        """Return the cost of `count` such collectives, one after another."""
        return Cost(
            latency_s=count * self.latency_s,
            inside_s=count * self.inside_s,
            transfer_s=count * self.transfer_s,
        )

    @property
    def total_s(self) -> float:
        """Seconds without disturbance."""
        return self.latency_s + self.inside_s + self.transfer_s


def at_once(*, latency_s: float, inside_s: float, transfer_s: float) -> Cost:
    """Return the cost where domains and ports work at the same time.

    `inside_s` of the result is only what is left when the ports are done, so that
    the parts add up to the slower of both. What slows a port slows all of its
    time, also where the domain would hide it: never too little.
    """
    return Cost(
        latency_s=latency_s,
        inside_s=max(0.0, inside_s - transfer_s),
        transfer_s=transfer_s,
    )


def twice(gather: Callable[Call, Cost]) -> Callable[Call, Cost]:
    """Return what an all-reduce costs whose halves are a reduce-scatter and an all-gather."""

    def all_reduce(*args: Call.args, **kwargs: Call.kwargs) -> Cost:
        return gather(*args, **kwargs).times(2)

    return all_reduce
