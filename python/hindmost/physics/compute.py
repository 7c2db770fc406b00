"""Compute time of a replica in a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hindmost import catalog
from hindmost.physics.activations import offloaded_bytes_per_token
from hindmost.physics.exchange import Exchange, exchange, no_exchange
from hindmost.physics.flops import (
    FORWARD_SHARE_OF_PASSES,
)
from hindmost.physics.job import Job
from hindmost.physics.links import Links
from hindmost.physics.products import layer_efficiency
from hindmost.physics.schedule import schedule
from hindmost.physics.stages import Stage, StageFlops, stage_flops
from hindmost.physics.traffic import Traffic, stage_traffic
from hindmost.scenario.ideal import NOTHING
from hindmost.scenario.models import Pool
from hindmost.scenario.places import PoolPlaces


@dataclass(frozen=True, kw_only=True)
class StageTime:
    """Seconds of one microbatch in one virtual stage of one pool.

    Attributes
    ----------
    forward_s, backward_s : float
        Forward and backward pass, exchange and recomputation included.
    weight_s : float
        Weight-gradient pass, where the schedule has one; otherwise 0, and gradients of
        weights are part of backward_s.
    """

    forward_s: float
    backward_s: float
    weight_s: float = 0.0

    def with_work(self, share: float) -> StageTime:
        """Return the seconds with some share of the work."""
        return StageTime(
            forward_s=share * self.forward_s,
            backward_s=share * self.backward_s,
            weight_s=share * self.weight_s,
        )

    @property
    def total_s(self) -> float:
        """Sum of all passes."""
        return self.forward_s + self.backward_s + self.weight_s


@dataclass(frozen=True, kw_only=True)
class ComputeTime:
    """Seconds that a replica of one pool computes in a step without any cause of variation.

    Attributes
    ----------
    stages : tuple of StageTime
        Passes of each virtual stage, in the order in which data flow.
    tensor_s : float
        Exchange of tensor groups in all passes of all stages, which is part of the passes.
    transfers_s : tuple of float
        Time until the activations of a stage have reached another one, by link: link s joins stage
        s and the next one, and the last link the last one and the first.
    passes_s, overhead_s : float
        Time of all passes of a step, bubbles included, and its time beside them.
    n_microbatches : int
        Microbatches of a step.
    work : float
        Work of a rank over that with equal work of all.
    """

    stages: tuple[StageTime, ...]
    tensor_s: float
    transfers_s: tuple[float, ...]
    passes_s: float
    overhead_s: float
    n_microbatches: int
    work: float = 1.0

    @property
    def step_s(self) -> float:
        """The whole step."""
        return self.passes_s + self.overhead_s

    def with_work(self, share: float) -> ComputeTime:
        """Return the seconds with some share of the work, overhead apart."""
        return replace(
            self,
            stages=tuple(stage.with_work(share) for stage in self.stages),
            tensor_s=share * self.tensor_s,
            transfers_s=tuple(share * seconds for seconds in self.transfers_s),
            passes_s=share * self.passes_s,
            work=share,
        )

    def with_passes_s(self, passes_s: float) -> ComputeTime:
        """Return the seconds of a step whose passes take so long together, in proportion."""
        return replace(self.with_work(passes_s / self.passes_s), work=self.work)

    @property
    def forward_s(self) -> float:
        """Forward passes of one microbatch through all stages, without transfers."""
        return sum(stage.forward_s for stage in self.stages)

    @property
    def backward_s(self) -> float:
        """Backward passes of one microbatch through all stages, without transfers."""
        return sum(stage.backward_s + stage.weight_s for stage in self.stages)


@dataclass(frozen=True, kw_only=True)
class _FlopTime:
    """Seconds that a rank computes in one virtual stage, by what it computes.

    As `StageFlops`: forward and backward together, of one microbatch.
    """

    layers_s: float
    attention_s: float
    output_s: float
    frozen_s: float = 0.0
    """Of these, gradients of weights that are not computed."""
    forward_s: float = 0.0
    """What has a forward pass only, beside all these."""

    @property
    def total_s(self) -> float:
        return self.layers_s + self.attention_s + self.output_s


def compute_time(job: Job, pool: Pool, links: Links, places: PoolPlaces) -> ComputeTime:
    """Return the seconds that a replica computes in a step without any cause of variation.

    Notes
    -----
    A pass takes ``flops_of_rank * (1 + recompute) / (peak * kernel_efficiency *
    software_efficiency)``, plus the exchange of its ranks: the activations of a tensor
    group, the keys and values of context ranks, and what compute does not hide of the
    tokens of experts. Products of layers run in the workload's number format, attention
    scores and the output layer in BF16. Measured passes of a pool are divided among
    the stages in proportion to the FLOPs. A cap of power slows products and scores alike, as
    ideals of the kernel efficiency undo.

    Measured passes hold exchange and efficiencies together, which are all of them ideal where
    the kernel efficiency is; of recomputation they have the share that it has of their FLOPs.
    """
    sent = exchange(job, links, places)
    tensor_s = 0.0
    if pool.forward_s is None or pool.backward_s is None:
        times = _stage_times(job, pool, sent)
        passes = 2 + job.share_of_layers_again
        tensor_s = job.n_microbatches * passes * sent.tensor_pass_s(job)
    elif job.ideal.kernel_efficiency:
        # Measured passes are those of the software, too.
        of_kernel = job.ideal.model_copy(update={"software_mismatch": True})
        at_peak = replace(job, ideal=of_kernel)
        times = _stage_times(at_peak, pool, no_exchange(job.layout))
    else:
        times = _measured(job, pool.forward_s, pool.backward_s)
    times = _even(times) if job.ideal.stage_imbalance else _with_heavy_last_stage(job, times)
    return ComputeTime(
        stages=tuple(times),
        tensor_s=tensor_s,
        transfers_s=sent.transfers_s,
        passes_s=_passes_s(job, times, sent.transfers_s),
        overhead_s=job.overhead_s,
        n_microbatches=job.n_microbatches,
    )


def with_last_microbatch(job: Job, time: ComputeTime, last: ComputeTime) -> float:
    """Return the seconds of a step's passes where the last microbatch is another one.

    Parameters
    ----------
    job
        What the replica computes, the last microbatch included.
    time, last
        Passes of all other microbatches, and those of the last one.
    """
    return _passes_s(job, list(time.stages), time.transfers_s, list(last.stages))


def attention_share(job: Job, pool: Pool, time: ComputeTime) -> float:
    """Return the share of a microbatch's passes that attention scores take.

    Of measured passes it is the share of their FLOPs.

    Parameters
    ----------
    job, pool
        What a replica computes, and the pool that it is in.
    time
        Its passes.
    """
    # An encoder's documents are its images, which all sequences have as many of.
    stages = [replace(stage, has_input=False) for stage in job.stages]

    def flops(of: Iterable[Stage]) -> list[StageFlops]:
        return [stage_flops(job.model, job.workload, one, documents=job.documents) for one in of]

    if pool.forward_s is not None:
        scores = sum(each.attention for each in flops(stages))
        return scores / sum(each.total for each in flops(job.stages))
    attention_s = 0.0
    for stage in stages:
        computed = _flop_time(job, pool, stage)
        _, share_of_layers = _again(job, pool, stage, computed)
        again = 1.0 if "attention" in job.recomputed_modules else share_of_layers
        attention_s += (1 + FORWARD_SHARE_OF_PASSES * again) * computed.attention_s
    return attention_s / sum(stage.total_s for stage in time.stages)


def balanced(pools: Sequence[ComputeTime], flops: Sequence[float]) -> list[ComputeTime]:
    """Return the seconds of pools whose ranks have work in proportion to their speed.

    Passes and transfers take as many times as long as a rank has more work than with equal
    work, so that those of all pools take as long as the others'. The work of all ranks
    together stays the same.

    Parameters
    ----------
    pools
        Times of each pool with equal work.
    flops
        Model FLOPs of all ranks of each pool with equal work; of mixed stages those that lie in
        the pool.
    """
    passes_s = [pool.passes_s for pool in pools]
    if len(set(passes_s)) == 1:
        # Exactly as they are, whatever rounding would make of it.
        return list(pools)
    speeds = zip(flops, passes_s, strict=True)
    together_s = sum(flops) / sum(work / seconds for work, seconds in speeds)
    return [
        pool.with_work(together_s / seconds) for pool, seconds in zip(pools, passes_s, strict=True)
    ]


def mixed_step_s(job: Job, pools: Sequence[ComputeTime], ways: Sequence[tuple[int, ...]]) -> float:
    """Return the seconds that the slowest replica computes in a step, with mixed placement.

    A transfer takes as long as in the slower of both stages' pools.

    Parameters
    ----------
    job
        What a replica computes.
    pools
        Times of each pool.
    ways
        The ways in which stages of replicas lie in pools: the pool of each stage.
    """
    n_stages = job.layout.pipeline

    def seconds(way: tuple[int, ...]) -> float:
        of_stage = [pools[way[stage]] for stage in range(n_stages)]
        times = [of_stage[k % n_stages].stages[k] for k in range(len(job.stages))]
        transfers_s = tuple(
            max(of_stage[stage % n_stages].transfers_s[link] for stage in (link, link + 1))
            for link in range(n_stages)
        )
        return _passes_s(job, times, transfers_s)

    used = {pool for way in ways for pool in way}
    return max(map(seconds, ways)) + max(pools[pool].overhead_s for pool in used)


def _passes_s(
    job: Job,
    times: list[StageTime],
    transfers_s: tuple[float, ...],
    last: list[StageTime] | None = None,
) -> float:
    """Return the seconds of a step's passes, with bubbles and transfers between stages.

    Parameters
    ----------
    job
        What a replica computes.
    times, transfers_s
        Passes of a microbatch by virtual stage, and transfers.
    last
        Passes of the last microbatch, if it is another one.
    """
    count = job.n_microbatches
    all_s = count * sum(time.total_s for time in times)
    if last is not None:
        all_s += sum(time.total_s for time in last) - sum(time.total_s for time in times)
    # What overflows is too long whatever the schedule; the core takes finite numbers only.
    if len(times) == 1 or not math.isfinite(all_s):
        return all_s

    def each(kind: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        seconds = np.array([getattr(time, kind) for time in times])
        found = np.repeat(seconds, count).reshape(len(seconds), count)
        if last is not None:
            found[:, -1] = [getattr(time, kind) for time in last]
        return found

    return schedule(job).seconds(
        each("forward_s"),
        each("backward_s"),
        each("weight_s") if job.has_weight_passes else None,
        transfer_s=transfers_s,
    )


def _stage_times(job: Job, pool: Pool, sent: Exchange) -> list[StageTime]:
    """Return the seconds of all virtual stages, of which most hold the same."""
    known: dict[tuple[Any, ...], StageTime] = {}
    times = []
    for stage in job.stages:
        has_encoder = stage.has_input and job.model.encoder is not None
        held = *catalog.kinds_of_layers(job.model, stage.layers), stage.has_output, has_encoder
        if held not in known:
            known[held] = _stage_time(job, pool, stage, sent)
        times.append(known[held])
    return times


def _stage_time(job: Job, pool: Pool, stage: Stage, sent: Exchange) -> StageTime:
    """Return the seconds of a stage's passes from its FLOPs."""
    scatter_s = sent.context_pass_s(job, stage)
    computed = _flop_time(job, pool, stage)
    in_memory = _memory_time(job, pool, stage)
    again, of_layers = _again(job, pool, stage, computed)
    backward_passes = 1 + of_layers
    compute_s = (1 + again) * computed.total_s - computed.frozen_s + computed.forward_s
    exchange_s = sent.pass_s(job, stage) + _exposed_s(
        job,
        sent.expert_pass_s(job, stage),
        passes=1 + backward_passes,
        compute_s=compute_s + in_memory.total_s,
    )
    forward_s = FORWARD_SHARE_OF_PASSES * computed.total_s + computed.forward_s + exchange_s
    backward_s = (1 - FORWARD_SHARE_OF_PASSES + again) * computed.total_s
    backward_s += backward_passes * exchange_s + scatter_s - computed.frozen_s
    forward_s += in_memory.forward_s
    backward_s += in_memory.backward_s + in_memory.weight_s
    weight_s = 0.0
    if job.has_weight_passes:
        # Attention scores have no weights.
        weight_s = FORWARD_SHARE_OF_PASSES * (computed.layers_s + computed.output_s)
        weight_s = max(0.0, weight_s - computed.frozen_s) + in_memory.weight_s
    moved_s = _offloaded_s(job, pool, stage)
    return StageTime(
        forward_s=max(forward_s, moved_s),
        backward_s=max(backward_s - weight_s, moved_s),
        weight_s=weight_s,
    )


def _of_scores(job: Job, pool: Pool) -> float | None:
    """Return the share of the peak that attention scores reach, if it is known."""
    measured = pool.accelerator.attention_efficiency
    if job.workload.software.attention == "products":
        measured = None
    return pool.attention_efficiency or measured


def memory_bytes_per_s(job: Job, pool: Pool) -> float | None:
    """Return the rate of work that is bound by a GPU's memory; None where it takes no time."""
    share = pool.memory_efficiency or job.workload.software.memory_efficiency
    rate = pool.accelerator.hbm_bytes_per_s
    # Whose memory's rate is not known is warned of.
    if share is None or rate is None or job.ideal.kernel_efficiency:
        return None
    software = 1.0 if job.ideal.software_mismatch else pool.software_efficiency
    return rate * share * software


def _memory_time(job: Job, pool: Pool, stage: Stage) -> StageTime:
    """Return the seconds of a stage's work that is bound by memory, in each of its passes.

    Those of weights' gradients apart from the backward pass, whatever the schedule.
    """
    bytes_per_s = memory_bytes_per_s(job, pool)
    moved = Traffic() if bytes_per_s is None else stage_traffic(job, stage)
    rate = bytes_per_s or 1.0
    return StageTime(
        forward_s=moved.forward / rate,
        backward_s=(moved.backward + moved.again) / rate,
        weight_s=moved.weights / rate,
    )


def _offloaded_s(job: Job, pool: Pool, stage: Stage) -> float:
    """Return the seconds in which activations move to the host, behind a pass or after it."""
    if job.workload.offload_layers is None or pool.host_bytes_per_s is None:
        return 0.0
    if job.ideal.recompute_and_overhead:
        return 0.0
    n_bytes = offloaded_bytes_per_token(job, stage) * job.rank_tokens
    return n_bytes / pool.host_bytes_per_s


def _again(job: Job, pool: Pool, stage: Stage, computed: _FlopTime) -> tuple[float, float]:
    """Return what a stage computes again, over both passes, and the share of its layers."""
    of_layers = job.layers_again(stage)
    if not computed.total_s:
        return 0.0, 0.0
    if job.recomputed_modules:
        flops = stage_flops(job.model, job.workload, stage, documents=job.documents)
        products, scores = job.shares_again(stage, flops)
        again_s = products * computed.layers_s + scores * computed.attention_s
        return FORWARD_SHARE_OF_PASSES * again_s / computed.total_s, 0.0
    if not job.recomputed_share:
        return 0.0, 0.0
    if len(of_layers) == len(stage.layers):
        # All of the stage, its output layer included.
        return FORWARD_SHARE_OF_PASSES, 1.0
    some = replace(stage, layers=of_layers, has_input=False, has_output=False)
    share = FORWARD_SHARE_OF_PASSES * _flop_time(job, pool, some).total_s / computed.total_s
    return share, len(of_layers) / len(stage.layers)


def _exposed_s(job: Job, pass_s: float, *, passes: float, compute_s: float) -> float:
    """Return the seconds of a pass's exchange of tokens that compute does not hide.

    The exchange of one pass hides behind the compute of another one, so all passes of a
    microbatch share its compute: ``(n T - share fraction compute) / n``.

    Parameters
    ----------
    job
        What the replica computes.
    pass_s
        Seconds of the exchange in each pass, T, with all the bandwidth.
    passes
        Passes of a microbatch, n.
    compute_s
        Seconds of compute in all of them.
    """
    workload = job.workload
    window_s = workload.expert_overlap_fraction * compute_s
    return max(0.0, pass_s - workload.expert_bandwidth_share * window_s / passes)


def _flop_time(job: Job, pool: Pool, stage: Stage) -> _FlopTime:
    """Return the seconds that a rank computes in a stage, without exchange."""

    def seconds(per_token: float, dtype: catalog.Dtype, efficiency: float | None) -> float:
        if per_token == 0:
            return 0.0
        peak_flop_per_s = pool.accelerator.peak_flop_per_s(dtype)
        assert peak_flop_per_s is not None
        assert efficiency is not None
        software = 1.0 if job.ideal.software_mismatch else pool.software_efficiency
        clock = 1.0 if job.ideal.kernel_efficiency else pool.clock
        flop_per_s = peak_flop_per_s * efficiency * software * clock
        return job.microbatch_tokens * per_token / job.stage_ranks / flop_per_s

    # All context ranks wait for the one with most scores.
    flops = stage_flops(
        job.model,
        job.workload,
        stage,
        after=job.tokens_before_last_rank,
        documents=job.documents,
    )
    plain = 1.0 if job.ideal.kernel_efficiency else pool.efficiency("bf16")
    of_scores = plain if job.ideal.kernel_efficiency else _of_scores(job, pool) or plain
    of_layers = layer_efficiency(job, pool, stage)
    layers_s = seconds(flops.layers, job.workload.dtype, of_layers)
    forward_products_s = seconds(flops.forward_products, job.workload.dtype, of_layers)
    output_s = seconds(flops.output, "bf16", plain)
    frozen_s = 0.0
    if flops.frozen:
        # A third of what is frozen, at the pace of its products.
        own = flops.frozen - flops.output / 3
        frozen_s = output_s / 3 + (layers_s * own / flops.layers if own else 0.0)
    return _FlopTime(
        layers_s=layers_s,
        attention_s=seconds(flops.attention, "bf16", of_scores),
        output_s=output_s,
        frozen_s=frozen_s,
        forward_s=forward_products_s + seconds(flops.forward_attention, "bf16", of_scores),
    )


def _measured(job: Job, forward_s: float, backward_s: float) -> list[StageTime]:
    """Return measured passes, divided among the stages in proportion to the FLOPs."""
    backward = 1 - FORWARD_SHARE_OF_PASSES
    recomputed = replace(job, ideal=NOTHING).recomputed_share
    backward_s *= (backward + job.recomputed_share) / (backward + recomputed)
    flops = [
        stage_flops(job.model, job.workload, stage, documents=job.documents).total
        for stage in job.stages
    ]
    weight = 0.5 if job.has_weight_passes else 0.0
    return [
        StageTime(
            forward_s=forward_s * share,
            backward_s=(1 - weight) * backward_s * share,
            weight_s=weight * backward_s * share,
        )
        for share in (of_stage / sum(flops) for of_stage in flops)
    ]


def _even(times: list[StageTime]) -> list[StageTime]:
    """Return times of as many stages that all take as long, the same in all."""
    n = len(times)
    mean = StageTime(
        forward_s=sum(time.forward_s for time in times) / n,
        backward_s=sum(time.backward_s for time in times) / n,
        weight_s=sum(time.weight_s for time in times) / n,
    )
    return [mean] * n


def _with_heavy_last_stage(job: Job, times: list[StageTime]) -> list[StageTime]:
    """Return times with those of the last stage set, if the layout sets them."""
    layout = job.layout
    p = layout.pipeline
    if p == 1 or (layout.last_stage_forward is None and layout.last_stage_backward is None):
        return times
    last = [index for index in range(len(times)) if index % p == p - 1]
    others = [time for index, time in enumerate(times) if index not in last]
    forward_s = sum(time.forward_s for time in others) / len(others)
    backward_s = sum(time.backward_s for time in others) / len(others)
    weight_s = sum(time.weight_s for time in others) / len(others)
    for index in last:
        old = times[index]
        forward, backward = layout.last_stage_forward, layout.last_stage_backward
        times[index] = StageTime(
            forward_s=old.forward_s if forward is None else forward * forward_s,
            backward_s=old.backward_s if backward is None else backward * backward_s,
            weight_s=old.weight_s if backward is None else backward * weight_s,
        )
    return times
