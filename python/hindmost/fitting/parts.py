"""What a log says of each kind of cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hindmost.fitting.estimate import Estimate
from hindmost.fitting.laws import LawChoice
from hindmost.fitting.rare import Rare
from hindmost.fitting.slow_units import SlowUnit


@dataclass(frozen=True, kw_only=True)
class Drifting:
    """What steps have in common with those before and after.

    Attributes
    ----------
    sigma : Estimate
        Standard deviation of its logarithm.
    correlation_steps : Estimate
        Steps in which its correlation falls to 1/e.
    """

    sigma: Estimate
    correlation_steps: Estimate


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a log says of each kind of cause; None for what it cannot tell.

    All standard deviations are of logarithms of times.

    Attributes
    ----------
    median_s : Estimate
        Seconds of the median: of a rank's times, or of the steps of the job.
    n_steps : int
        Steps that it is of.
    common : Estimate
        What all ranks have in common and is new in each step. Of a log of the whole job: all that
        is new in each step.
    drift : Drifting or None
        What all ranks have in common with steps before and after; None if it is not told from none.
    pause : Rare
        Seconds that single steps of everybody take longer.
    node, rank : Estimate or None
        What a node and a rank within its node keep for the whole log.
    rank_alone : Estimate or None
        What a rank keeps if nodes are left out.
    residual : Estimate or None
        What is left of a rank in each step.
    residual_law : LawChoice or None
        Its law, as a factor on time.
    stall : Rare or None
        Seconds that single ranks take longer in single steps.
    slow_nodes, slow_ranks : tuple of SlowUnit
        Those that the spread of the others does not explain.
    n_ranks, n_nodes : int
        Ranks and nodes; 0 for a log of the whole job.
    notes : tuple of str
        What was left out, and what cannot be told, each with the reason.
    """

    median_s: Estimate
    n_steps: int
    common: Estimate
    drift: Drifting | None
    pause: Rare
    node: Estimate | None = None
    rank: Estimate | None = None
    rank_alone: Estimate | None = None
    residual: Estimate | None = None
    residual_law: LawChoice | None = None
    stall: Rare | None = None
    slow_nodes: tuple[SlowUnit, ...] = ()
    slow_ranks: tuple[SlowUnit, ...] = ()
    n_ranks: int = 0
    n_nodes: int = 0
    notes: tuple[str, ...] = field(default=())

    @property
    def estimates(self) -> tuple[Estimate, ...]:
        """All numbers, in the order in which reports show them."""
        return tuple(self._estimates())

    @property
    def law_choices(self) -> tuple[LawChoice, ...]:
        """All laws that were compared."""
        rare = (self.stall, self.pause)
        of_rare = [one.choice for one in rare if one is not None and one.choice is not None]
        of_residual = [] if self.residual_law is None else [self.residual_law]
        return (*of_residual, *of_rare)

    def _estimates(self) -> Iterator[Estimate]:
        yield self.median_s
        for one in (self.rank, self.node, self.residual, self.common):
            if one is not None:
                yield one
        if self.drift is not None:
            yield self.drift.sigma
            yield self.drift.correlation_steps
        for rare in (self.stall, self.pause):
            if rare is not None:
                yield rare.probability
                if rare.seconds is not None:
                    yield rare.seconds
        for slow in (*self.slow_nodes, *self.slow_ranks):
            yield slow.excess
