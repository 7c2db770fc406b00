"""The best configurations of a serving job: every layout that fits a domain, every batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hindmost.serving.cycle import Rates, cycle, rates
from hindmost.serving.job import ServingJob, ServingPool
from hindmost.serving.layouts import expert_ranks, layouts
from hindmost.serving.replica import Replica

Numbers = NDArray[np.float64]

EACH_UP_TO = 256
"""Batches up to which each one is tried; above it they are 1% apart."""
MAX_BATCH = 65_536
"""Greatest batch that is tried."""
BEST = 5
"""Configurations that are shown."""


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A replica with a batch.

    Attributes
    ----------
    pool, gpu : str
        Pool, and type of its GPUs.
    kind : str
        ``aggregated``: each replica takes prompts and decodes; ``split``: some replicas take
        prompts, and others decode.
    tensor, attention_dp, expert, n_gpus : int
        Layout of a replica; of a split, of those that decode.
    batch : float
        Sequences of a replica at once.
    output_tokens_per_s_per_gpu, input_tokens_per_s_per_gpu, tokens_per_s_per_user : float
        Rates; over all GPUs of both kinds of replicas in a split.
    ttft_s, tpot_s : float
        Seconds to the first token, and of each of the others.
    pace : float
        What stragglers leave of a replica's pace; rates and seconds hold it.
    shares : dict of str to float
        Shares of terms of a cycle, as `Rates` has them.
    prefill : dict of str to object
        Of a split: layout of the replicas that take prompts, and ``gpu_share`` of theirs.
    """

    pool: str
    gpu: str
    kind: Literal["aggregated", "split"]
    tensor: int
    attention_dp: int
    expert: int
    n_gpus: int
    batch: float
    output_tokens_per_s_per_gpu: float
    input_tokens_per_s_per_gpu: float
    tokens_per_s_per_user: float
    ttft_s: float
    tpot_s: float
    pace: float
    shares: dict[str, float]
    prefill: dict[str, Any] | None = None

    def row(self) -> dict[str, Any]:
        """Return the configuration as a plain table."""
        names = [name for name in self.__dataclass_fields__ if name != "prefill"]
        table = {name: getattr(self, name) for name in names}
        return table if self.prefill is None else {**table, "prefill": self.prefill}


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A layout with all of its batches.

    Attributes
    ----------
    pool : ServingPool
        The pool.
    replica : Replica
        A replica.
    batch : array
        Batches that fit into memory, in ascending order.
    rates : Rates
        What it gives with each.
    pace : float
        What stragglers leave of its pace, which the rates hold.
    """

    pool: ServingPool
    replica: Replica
    batch: Numbers
    rates: Rates
    pace: float = 1.0

    def allowed(self, job: ServingJob) -> NDArray[np.bool_]:
        """Return which batches keep to a job's limits."""
        found = np.ones(len(self.batch), dtype=np.bool_)
        for limit, seconds in (
            (job.limits.ttft_s, self.rates.ttft_s),
            (job.limits.tpot_s, self.rates.tpot_s),
        ):
            if limit is not None:
                found &= seconds <= limit
        return found

    def at(self, place: int) -> Configuration:
        """Return the configuration with one of the batches."""
        of, replica = self.rates, self.replica
        return Configuration(
            pool=self.pool.name,
            gpu=self.pool.gpu,
            kind="aggregated",
            tensor=replica.tensor,
            attention_dp=replica.attention_dp,
            expert=replica.expert,
            n_gpus=replica.n_gpus,
            batch=float(self.batch[place]),
            output_tokens_per_s_per_gpu=float(of.output_tokens_per_s_per_gpu[place]),
            input_tokens_per_s_per_gpu=float(of.input_tokens_per_s_per_gpu[place]),
            tokens_per_s_per_user=float(of.tokens_per_s_per_user[place]),
            ttft_s=float(of.ttft_s[place]),
            tpot_s=float(of.tpot_s[place]),
            pace=self.pace,
            shares={name: float(share[place]) for name, share in of.shares.items()},
        )


def replicas(job: ServingJob, pool: ServingPool) -> Iterator[Replica]:
    """Yield the replicas of a job on a pool: the given layout, or all that fit a domain."""
    domain = min(pool.accelerator.domain_gpus, pool.n_gpus)
    if job.tensor is not None or job.attention_dp is not None:
        tensor, groups = job.tensor or 1, job.attention_dp or 1
        expert = job.expert or expert_ranks(job.model, tensor * groups)
        yield job.replica(pool, tensor, groups, expert)
        return
    whole = pool.n_gpus // domain if pool.accelerator.nic_bytes_per_s is not None else 1
    n_domains = min(job.wide_domains, whole)
    for tensor, groups, expert in layouts(job.model, domain, n_domains=n_domains):
        yield job.replica(pool, tensor, groups, expert)


def searched(job: ServingJob, pool: ServingPool) -> list[Searched]:
    """Return each layout of a job on a pool that its memory allows, with all batches."""
    software, _ = job.software
    found = []
    for replica in replicas(job, pool):
        fits = replica.sequences_that_fit(job.load.context, memory_share=job.memory_share)
        if fits < 1:
            continue
        batch, paced = batches(fits), pool.pace(replica.n_gpus)
        found.append(
            Searched(
                pool=pool,
                replica=replica,
                batch=batch,
                rates=rates(cycle(replica, job.load, batch), job.load, software, pace=paced),
                pace=paced,
            )
        )
    return found


def batches(fits: float) -> Numbers:
    """Return batches up to the greatest one that fits into memory."""
    most = float(min(int(fits), MAX_BATCH))
    each = np.arange(1.0, min(most, EACH_UP_TO) + 1)
    if most <= EACH_UP_TO:
        return each
    n = int(np.ceil(np.log(most / EACH_UP_TO) / np.log(1.01)))
    rest = np.unique(np.round(np.geomspace(EACH_UP_TO, most, n + 1)))[1:]
    return np.concatenate([each, rest])


def best_of(found: Iterable[Searched], job: ServingJob) -> list[Configuration]:
    """Return the best batch of each layout, those with most tokens a second and GPU first."""
    best = []
    for one in found:
        rate = np.where(one.allowed(job), one.rates.output_tokens_per_s_per_gpu, 0.0)
        place = int(rate.argmax())
        if rate[place] > 0:
            best.append(one.at(place))
    return sorted(best, key=_order)


def _order(one: Configuration) -> tuple[float, int]:
    return -one.output_tokens_per_s_per_gpu, one.n_gpus


def frontier(found: Iterable[Searched], job: ServingJob) -> list[Configuration]:
    """Return the configurations that no other exceeds both by GPU and by user, fastest user first.

    Limits do not count: the frontier shows what they cost.
    """
    points: list[tuple[float, float, Searched, int]] = []
    for one in found:
        by_user, by_gpu = one.rates.tokens_per_s_per_user, one.rates.output_tokens_per_s_per_gpu
        points += [(by_user[k], by_gpu[k], one, k) for k in range(len(one.batch))]
    points.sort(key=lambda point: (-point[0], -point[1]))
    kept, most = [], 0.0
    for _, rate, one, place in points:
        if rate > most:
            kept.append(one.at(place))
            most = rate
    return kept
