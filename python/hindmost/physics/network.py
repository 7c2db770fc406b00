"""How the ranks of a pool do collectives with the ranks of other replicas."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

from hindmost.collective import ALGORITHMS, Cost, Link, nccl, torus
from hindmost.collective.algorithm import Operation
from hindmost.collective.hops import Pattern
from hindmost.physics.links import Links
from hindmost.scenario.models import Collective, Fabric
from hindmost.scenario.places import PoolPlaces
from hindmost.spread import Spread


@dataclass(frozen=True, kw_only=True)
class Hops:
    """How the hops of a collective follow each other.

    Attributes
    ----------
    pattern : str
        The recursion, as `hindmost.collective.hops` knows it.
    n_domains : int
        Domains that the hops join.
    """

    pattern: Pattern
    n_domains: int


@dataclass(frozen=True, kw_only=True)
class Torus:
    """A torus of ranks.

    Attributes
    ----------
    shape : tuple of int
        Ranks along each dimension.
    link : Link
        One link of a rank.
    """

    shape: tuple[int, ...]
    link: Link

    @property
    def n_ranks(self) -> int:
        """Ranks of the torus."""
        return math.prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class Network:
    """How the ranks of one pool do collectives with the ranks of other replicas.

    Attributes
    ----------
    links : Links
        Links of a rank.
    places : PoolPlaces
        Which ranks share a domain.
    collective : Collective
        Algorithm, and what its latency is taken from.
    n_buckets : int
        Pieces that a collective goes in, one after another.
    torus : Torus or None
        The torus, where the fabric is one.
    has_random_hops : bool
        Whether the latency of a hop is random.
    """

    links: Links
    places: PoolPlaces
    collective: Collective
    n_buckets: int
    torus: Torus | None = None
    has_random_hops: bool = False

    def cost(
        self, operation: Operation, n_bytes: float, spread: Spread, *, fills_torus: bool = False
    ) -> Cost:
        """Return the cost of a collective.

        Parameters
        ----------
        operation
            What the collective does.
        n_bytes
            Bytes of a rank before or after it, as in `hindmost.collective`.
        spread
            How the ranks of the communicator are spread over domains.
        fills_torus
            Whether the communicator is the one that fills the torus, if its size is that.
        """
        n = spread.ranks
        if self.torus is not None and fills_torus and n == self.torus.n_ranks:
            on_torus: Cost = getattr(torus, operation)(
                n_bytes, shape=self.torus.shape, link=self.torus.link
            )
            return on_torus.in_pieces(self.n_buckets)
        name = self._algorithm(operation)
        collective = ALGORITHMS[name].collective(operation)
        assert collective is not None
        links = self.links
        cost = collective(
            n_bytes, spread=spread, scale_up=links.scale_up, port=links.port, tiers=links.tiers
        )
        if self.collective.latency == "nccl" and n > 1:
            latency_s = nccl.latency_s(
                operation,
                n_bytes / self.n_buckets,
                algorithm=cast(nccl.Algorithm, name),
                spread=spread,
                host=self.collective.host,
            )
            if spread.tiers:
                # NCCL's tuner knows of no tiers: what they add to the hops.
                near = replace(spread, tiers=())
                flat = collective(n_bytes, spread=near, scale_up=links.scale_up, port=links.port)
                latency_s += cost.latency_s - flat.latency_s
            cost = replace(cost, latency_s=latency_s)
        return cost.in_pieces(self.n_buckets)

    def hops(self, operation: Operation, spread: Spread) -> Hops | None:
        """Return how the hops of a collective follow each other.

        None where they are not random, or on a torus.
        """
        if not self.has_random_hops or self.torus is not None:
            return None
        pattern = ALGORITHMS[self._algorithm(operation)].hops(operation)
        assert pattern is not None
        return Hops(pattern=pattern, n_domains=spread.domains)

    def _algorithm(self, operation: Operation) -> str:
        """Return the algorithm of an operation: rings do what the one that was chosen cannot.

        What does not fill a torus goes over ports, in the hierarchical way.
        """
        name = self.collective.algorithm
        if name == "torus":
            return "hierarchical"
        return name if ALGORITHMS[name].collective(operation) is not None else "ring"


def network(
    links: Links,
    places: PoolPlaces,
    *,
    collective: Collective,
    fabric: Fabric,
    layers_per_stage: int,
) -> Network:
    """Return how ranks with some links and places do collectives with the ranks of other replicas.

    A collective goes in as many pieces as set, or in one a layer of a stage.
    """
    return Network(
        links=links,
        places=places,
        collective=collective,
        n_buckets=collective.n_buckets or layers_per_stage,
        torus=_torus(fabric) if collective.algorithm == "torus" else None,
        has_random_hops=fabric.hop_law is not None,
    )


def _torus(fabric: Fabric) -> Torus:
    assert fabric.shape is not None
    line_rate = fabric.network.link_bytes_per_s
    assert line_rate is not None
    link = Link(
        latency_s=fabric.figure("latency_s"),
        bytes_per_s=fabric.figure("bandwidth_efficiency") * line_rate,
    )
    return Torus(shape=tuple(fabric.shape), link=link)
