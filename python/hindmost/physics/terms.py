"""Communication terms: collectives between replicas, and the compute that can hide them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hindmost.collective import Cost
from hindmost.collective.algorithm import Operation
from hindmost.physics.compute import ComputeTime
from hindmost.physics.job import Job
from hindmost.physics.network import Hops, Network
from hindmost.physics.stages import RankParameters
from hindmost.scenario.counts import Counts
from hindmost.scenario.models import Layout
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
    n_ranks : int
        Data ranks, of which every `expert`-th has the same experts.
    expert : int
        Data ranks that divide the experts of a layer.
    """

    parameters: RankParameters
    n_ranks: int
    expert: int


def terms(job: Job, counts: Counts, network: Network, time: ComputeTime) -> list[Term]:
    """Return the terms of a rank of a pool, in order of time.

    There are none where no other rank has the same part of the model. The rank is one of
    the stage with the most parameters.

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
    phases = _phases(job.layout, time)
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
    return [term for term in found if term.cost.total_s > 0]


def _phases(layout: Layout, time: ComputeTime) -> dict[Phase, _PhaseTime]:
    """Return the phases of one stage, the average one."""
    m = time.n_microbatches
    forward_s, backward_s = time.forward_s / layout.pipeline, time.backward_s / layout.pipeline
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
    layout = job.layout
    weights = _Weights(
        parameters=_fullest_stage(job), n_ranks=counts.shard_ranks, expert=layout.expert
    )
    match layout.sharding:
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
            smallest_ranks = counts.smallest_shard_group * layout.context
            between = _between_shard_groups(
                network, weights, n_data_ranks=counts.n_data_ranks, smallest_ranks=smallest_ranks
            )
            return _sharded(network, weights, between)


def _fullest_stage(job: Job) -> RankParameters:
    """Return the parameters of each rank of the stage that has the most."""
    return max(job.stage_parameters, key=lambda parameters: parameters.total)


def _one(phase: Phase, operation: Operation, network: Network, weights: _Weights) -> _Collectives:
    """Return one collective of a phase: of the weights of a rank, or of their gradients."""
    return _Collectives(
        phase=phase,
        cost=_cost(operation, network, weights),
        hops=network.hops(operation, n=weights.n_ranks),
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
    gather = _cost("all_gather", network, weights)
    backward = gather + _cost("reduce_scatter", network, weights)
    hops = network.hops("all_gather", n=weights.n_ranks)
    return [
        _Collectives(phase="forward", cost=gather, hops=hops),
        _Collectives(phase="early backward", cost=backward, hops=hops),
        _Collectives(phase="last backward", cost=backward + between, hops=hops),
    ]


def _cost(operation: Operation, network: Network, weights: _Weights) -> Cost:
    """Return the cost of a collective of weights or gradients.

    Those of experts go only to the ranks that have the same experts.
    """
    n, parameters = weights.n_ranks, weights.parameters
    cost = network.cost(operation, BF16_BYTES * parameters.dense, n=n)
    if parameters.routed:
        same_experts = max(1, n // weights.expert)
        n_bytes = BF16_BYTES * parameters.routed
        cost += network.cost(operation, n_bytes, n=same_experts, stride=weights.expert)
    return cost


def _between_shard_groups(
    network: Network, weights: _Weights, *, n_data_ranks: int, smallest_ranks: int
) -> Cost:
    """Return the cost of reducing shards of gradients over the shard groups.

    The smallest shard group has the largest shards, and sets the pace. Members of a communicator
    in one domain are of as many shard groups as the domain holds ranks of. Shards of experts are
    reduced among the same experts.

    Parameters
    ----------
    network, weights
        Of a rank; the data ranks of `weights` are those of a full shard group.
    n_data_ranks
        Data ranks of the job.
    smallest_ranks
        Data ranks of the smallest shard group.
    """
    ranks, parameters = weights.n_ranks, weights.parameters
    shard_bytes = BF16_BYTES * parameters.dense / smallest_ranks
    cost = network.cost("all_reduce", shard_bytes, n=-(-n_data_ranks // ranks), stride=ranks)
    if parameters.routed:
        n_bytes = BF16_BYTES * parameters.routed / max(1, smallest_ranks // weights.expert)
        stride = max(ranks, weights.expert)
        cost += network.cost("all_reduce", n_bytes, n=-(-n_data_ranks // stride), stride=stride)
    return cost
