"""Communication terms: collectives between replicas, and the compute that can hide them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from hindmost.collective import Cost
from hindmost.collective.algorithm import Operation
from hindmost.physics.compute import ComputeTime
from hindmost.physics.formats import gradient_bytes
from hindmost.physics.job import Job
from hindmost.physics.network import Hops, Network
from hindmost.physics.stages import RankParameters
from hindmost.scenario.counts import Counts, same_experts_among
from hindmost.scenario.models import Layout
from hindmost.scenario.places import PoolPlaces
from hindmost.spread import Spread
from hindmost.units import BF16_BYTES

Phase = Literal["first forward", "forward", "early backward", "last backward"]
"""Part of a step that collectives can hide behind: the first forward pass of a stage, all of its
forward passes, all of its backward passes but the last one, or the last one."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """The collectives of one phase of a step, as a rank of one pool does them.

    Attributes
    ----------
    phase : str
        The phase.
    cost : Cost
        Seconds of its collectives in a step.
    window_s : float
        Seconds of compute in the phase, which the collectives can hide behind.
    n_buckets : int
        Pieces that a collective goes in, one after another.
    hops : Hops or None
        How its hops follow each other, where their time is random.
    """

    phase: Phase
    cost: Cost
    window_s: float
    n_buckets: int
    hops: Hops | None = None


@dataclass(frozen=True, kw_only=True)
class _Collectives:
    """The collectives of a phase, as often as it has a pass."""

    phase: Phase
    cost: Cost
    hops: Hops | None


@dataclass(frozen=True, kw_only=True)
class _PhaseTime:
    """Passes of a phase in a step, and the seconds of compute that can hide its collectives."""

    n_passes: int
    window_s: float


@dataclass(frozen=True, kw_only=True)
class _Weights:
    """Weights of a rank, and the data ranks that gather them or reduce their gradients.

    Attributes
    ----------
    parameters : RankParameters
        Parameters of the rank, while nothing is sharded.
    ranks : Spread
        Ranks that gather them, or reduce their gradients.
    same_experts : Spread
        Those of them that have the same experts.
    gradient_bytes : int
        Bytes of a gradient.
    gathers_trained_only : bool
        Whether weights are gathered after a step because they have changed, and else for each pass.
    """

    parameters: RankParameters
    ranks: Spread
    same_experts: Spread
    gradient_bytes: int
    gathers_trained_only: bool

    def bytes_of(self, operation: Operation) -> tuple[float, float]:
        """Return the bytes of an operation: of dense parameters, and of routed experts.

        Of weights in BF16 where they are gathered, and of gradients else. Frozen weights have no
        gradients, and need not be gathered anew where each rank has them.
        """
        weights = operation == "all_gather"
        each = BF16_BYTES if weights else self.gradient_bytes
        if self.parameters.adapters and (self.gathers_trained_only or not weights):
            return each * self.parameters.adapters, 0.0
        return each * self.parameters.dense, each * self.parameters.routed


def terms(job: Job, counts: Counts, network: Network, time: ComputeTime) -> list[Term]:
    """Return the terms of a rank of a pool, in order of time.

    There are none where no other rank has the same part of the model. The rank is one of
    the stage with the most parameters, among the stages that lie in the pool.

    Notes
    -----
    ========  ========================  ==========================================
    sharding  every microbatch          once a step
    ========  ========================  ==========================================
    none                                all-reduce of the gradients
    zero1                               gather of the weights, scatter of the
                                        gradients
    zero2     scatter of the gradients  gather of the weights
    zero3     gather of the weights in
              both passes, scatter of
              the gradients
    hybrid    the same over the shard   all-reduce of the shards over the shard
              group                     groups
    ========  ========================  ==========================================

    What is done once hides behind the first forward or the last backward pass
    of a stage. Where a stage holds several chunks of the model, the gradients of
    its last chunk are complete while some microbatches still go back through the
    other chunks, and weights of later chunks are not needed before some have gone
    through the earlier ones: the window is ``(1 + (chunks - 1) min(stages,
    microbatches)) / chunks`` passes.
    """
    if counts.n_data_ranks == 1:
        return []
    phases = _phases(job.layout, network.places, time)
    found = (
        Term(
            phase=one.phase,
            cost=one.cost.times(phases[one.phase].n_passes),
            window_s=phases[one.phase].window_s,
            n_buckets=network.n_buckets,
            hops=one.hops,
        )
        for one in _collectives(job, counts, network)
    )
    # An ideal network has the same terms: a stall of a port still holds the last one.
    return [replace(term, cost=_ideal(job, term.cost)) for term in found if term.cost.total_s > 0]


def _ideal(job: Job, cost: Cost) -> Cost:
    """Return a cost without the parts of it that are ideal."""
    if job.ideal.collective_latency:
        cost = replace(cost, latency_s=0.0)
    if job.ideal.collective_bandwidth:
        cost = replace(cost, scale_up_s=0.0, transfer_s=0.0)
    return cost


def _phases(layout: Layout, places: PoolPlaces, time: ComputeTime) -> dict[Phase, _PhaseTime]:
    """Return the phases of one stage, the average one of those that lie in the pool."""
    m = time.n_microbatches
    forward_s = backward_s = 0.0
    for stage, n_ranks in enumerate(places.ranks_of_stages):
        share = n_ranks / sum(places.ranks_of_stages)
        for chunk in time.stages[stage :: layout.pipeline]:
            forward_s += share * chunk.forward_s
            backward_s += share * (chunk.backward_s + chunk.weight_s)
    passes = 1.0
    if layout.sharding not in ("zero3", "hybrid"):
        passes = (1 + (layout.chunks - 1) * min(layout.pipeline, m)) / layout.chunks
    return {
        "first forward": _PhaseTime(n_passes=1, window_s=passes * forward_s),
        "forward": _PhaseTime(n_passes=m, window_s=m * forward_s),
        "early backward": _PhaseTime(n_passes=m - 1, window_s=(m - 1) * backward_s),
        "last backward": _PhaseTime(n_passes=1, window_s=passes * backward_s),
    }


def _collectives(job: Job, counts: Counts, network: Network) -> list[_Collectives]:
    """Return the collectives of each phase, in order of time."""
    places = network.places
    weights = _Weights(
        parameters=_fullest_stage(job, places),
        ranks=places.shard,
        same_experts=places.same_experts_of_shard,
        gradient_bytes=gradient_bytes(job.workload.gradient_dtype),
        gathers_trained_only=job.layout.sharding in ("zero1", "zero2"),
    )
    match job.layout.sharding:
        case "none":
            return [_one("last backward", "all_reduce", network, weights)]
        case "zero1":
            return [
                _one("first forward", "all_gather", network, weights),
                _one("last backward", "reduce_scatter", network, weights),
            ]
        case "zero2":
            return [
                _one("first forward", "all_gather", network, weights),
                _one("early backward", "reduce_scatter", network, weights),
                _one("last backward", "reduce_scatter", network, weights),
            ]
        case "zero3":
            return _sharded(network, weights, Cost())
        case "hybrid":
            between = _between_shard_groups(job, counts, network, weights)
            return _sharded(network, weights, between)


def _fullest_stage(job: Job, places: PoolPlaces) -> RankParameters:
    """Return the parameters of each rank of the stage in the pool that has the most."""
    by_stage = zip(job.stage_parameters, places.ranks_of_stages, strict=True)
    here = (parameters for parameters, n_ranks in by_stage if n_ranks)
    return max(here, key=lambda parameters: parameters.total)


def _one(phase: Phase, operation: Operation, network: Network, weights: _Weights) -> _Collectives:
    """Return one collective of a phase: of the weights of a rank, or of their gradients."""
    return _Collectives(
        phase=phase,
        cost=_cost(operation, network, weights),
        hops=network.hops(operation, weights.ranks),
    )


def _sharded(network: Network, weights: _Weights, between: Cost) -> list[_Collectives]:
    """Return the collectives of weights that are sharded.

    Parameters
    ----------
    network, weights
        Of a rank.
    between
        Cost of the all-reduce over the shard groups, once a step.
    """
    forward = gather = _cost("all_gather", network, weights)
    if weights.parameters.frozen:
        all_weights = replace(weights, parameters=weights.parameters.of_forward_pass)
        forward = _cost("all_gather", network, all_weights)
    backward = gather + _cost("reduce_scatter", network, weights)
    hops = network.hops("all_gather", weights.ranks)
    return [
        _Collectives(phase="forward", cost=forward, hops=hops),
        _Collectives(phase="early backward", cost=backward, hops=hops),
        _Collectives(phase="last backward", cost=backward + between, hops=hops),
    ]


def _cost(operation: Operation, network: Network, weights: _Weights) -> Cost:
    """Return the cost of a collective of weights or gradients.

    Those of experts go only to the ranks that have the same experts.
    """
    dense, routed = weights.bytes_of(operation)
    cost = network.cost(operation, dense, weights.ranks, fills_torus=True)
    if routed:
        # Without experts that are divided these are all of the ranks.
        fills_torus = weights.same_experts == weights.ranks
        cost += network.cost(operation, routed, weights.same_experts, fills_torus=fills_torus)
    return cost


def _between_shard_groups(job: Job, counts: Counts, network: Network, weights: _Weights) -> Cost:
    """Return the cost of reducing shards of gradients over the shard groups.

    The smallest shard group has the largest shards, and sets the pace. Shards of experts are
    reduced among the same experts.

    Parameters
    ----------
    job, counts, network
        Of a rank.
    weights
        Weights of the rank.
    """
    smallest_ranks = counts.smallest_shard_group * job.layout.context
    dense, routed = weights.bytes_of("all_reduce")
    cost = network.cost("all_reduce", dense / smallest_ranks, network.places.between_shards)
    if routed:
        same_experts = same_experts_among(smallest_ranks, job.layout)
        n_bytes = routed / same_experts
        cost += network.cost("all_reduce", n_bytes, network.places.same_experts_between_shards)
    return cost
