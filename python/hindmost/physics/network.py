"""How the ranks of a pool do collectives with the ranks of other replicas."""

from __future__ import annotations

from dataclasses import dataclass

from hindmost.collective import ALGORITHMS, Cost
from hindmost.collective.algorithm import Operation
from hindmost.collective.hops import Pattern
from hindmost.physics.collectives import Torus, on_torus, over_ports, torus_of
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
        if self.torus is not None and fills_torus and spread.ranks == self.torus.n_ranks:
            return on_torus(operation, n_bytes, self.torus).in_pieces(self.n_buckets)
        return over_ports(
            operation,
            n_bytes,
            spread,
            algorithm=self._algorithm(operation),
            links=self.links,
            latency=self.collective.latency,
            host=self.collective.host,
            n_pieces=self.n_buckets,
        )

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
        torus=torus_of(fabric) if collective.algorithm == "torus" else None,
        has_random_hops=fabric.hop_law is not None,
    )
