"""What a collective costs, and the links that it uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ParamSpec

Call = ParamSpec("Call")


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link of one rank.

    Parameters
    ----------
    latency_s
        Seconds of one hop.
    bytes_per_s
        Bandwidth in one direction, with all sibling communicators running, in B/s.
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
    scale_up_s
        Seconds of moving bytes over scale-up links, within domains.
    transfer_s
        Seconds of moving bytes through ports; these grow where a port is slow.
    """

    latency_s: float = 0.0
    scale_up_s: float = 0.0
    transfer_s: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            latency_s=self.latency_s + other.latency_s,
            scale_up_s=self.scale_up_s + other.scale_up_s,
            transfer_s=self.transfer_s + other.transfer_s,
        )

    def in_pieces(self, n_pieces: int) -> Cost:
        """Return the cost when the data go in pieces, one after another."""
        return replace(self, latency_s=n_pieces * self.latency_s)

    def times(self, count: float) -> Cost:
        """Return the cost of `count` such collectives, one after another."""
        return Cost(
            latency_s=count * self.latency_s,
            scale_up_s=count * self.scale_up_s,
            transfer_s=count * self.transfer_s,
        )

    @property
    def total_s(self) -> float:
        """Seconds without any cause of variation."""
        return self.latency_s + self.scale_up_s + self.transfer_s


def at_once(*, latency_s: float, scale_up_s: float, transfer_s: float) -> Cost:
    """Return the cost where scale-up links and ports work at the same time.

    `scale_up_s` of the result is only what is left when the ports are done, so that both add
    up to the slower one. A slow port slows all of its seconds, even where the scale-up links
    would hide them, so the cost under noise is an upper bound.
    """
    return Cost(
        latency_s=latency_s,
        scale_up_s=max(0.0, scale_up_s - transfer_s),
        transfer_s=transfer_s,
    )


def twice(gather: Callable[Call, Cost]) -> Callable[Call, Cost]:
    """Return what an all-reduce costs whose halves are a reduce-scatter and an all-gather."""

    def all_reduce(*args: Call.args, **kwargs: Call.kwargs) -> Cost:
        return gather(*args, **kwargs).times(2)

    return all_reduce
