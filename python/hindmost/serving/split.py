"""Split serving: some replicas take prompts, and others decode, maybe on other GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hindmost.serving.job import ServingJob
from hindmost.serving.passes import decode, prefill
from hindmost.serving.replica import Replica
from hindmost.serving.search import Configuration, Searched


@dataclass(frozen=True, kw_only=True)
class _Prompts:
    """Replicas that take prompts.

    Attributes
    ----------
    of : Searched
        The layout.
    ttft_s : float
        Seconds of a prompt.
    prompts_per_s : float
        Prompts a second and GPU.
    """

    of: Searched
    ttft_s: float
    prompts_per_s: float


def best_split(found: Sequence[Searched], job: ServingJob) -> Configuration | None:
    """Return the best split of a job's pools; None where limits allow none.

    Parameters
    ----------
    found
        Layouts of all pools.
    job
        The job.

    Notes
    -----
    A request takes ``1 / p + 1 / d`` GPU-seconds, with p prompts a second and GPU and d answers, so
    each side is the best by itself. Prompts do not stop decoding. Keys and values move through
    the network ports of the replica's GPUs, which is part of the time to the first token.
    """
    prompts = [one for one in (_prompts(each, job) for each in found) if one is not None]
    answers = [pair for pair in (_answers(each, job) for each in found) if pair is not None]
    pairs = [
        (1 / first.prompts_per_s + 1 / answers_per_s, first, second, answers_per_s)
        for first in prompts
        for second, answers_per_s in answers
        if _is_room(job, first.of, second)
    ]
    if not pairs:
        return None
    _, first, second, answers_per_s = min(pairs, key=lambda pair: pair[0])
    seconds = 1 / first.prompts_per_s + 1 / answers_per_s
    replica = first.of.replica
    return Configuration(
        **{
            **second.row(),
            "kind": "split",
            "output_tokens_per_s_per_gpu": job.load.output_tokens / seconds,
            "input_tokens_per_s_per_gpu": job.load.input_tokens / seconds,
            "ttft_s": first.ttft_s,
            "prefill": {
                "pool": first.of.pool.name,
                "gpu": first.of.pool.gpu,
                "tensor": replica.tensor,
                "attention_dp": replica.attention_dp,
                "expert": replica.expert,
                "n_gpus": replica.n_gpus,
                "gpu_share": 1 / first.prompts_per_s / seconds,
            },
        }
    )


def _is_room(job: ServingJob, first: Searched, second: Configuration) -> bool:
    """Return whether pools have the GPUs of one replica of either kind."""
    room = {pool.name: pool.n_gpus for pool in job.pools}
    room[first.pool.name] -= first.replica.n_gpus
    room[second.pool] -= second.n_gpus
    return min(room.values()) >= 0


def _prompts(one: Searched, job: ServingJob) -> _Prompts | None:
    """Return what replicas of a layout make of prompts; None beyond the limit of their time."""
    replica, load = one.replica, job.load
    software, _ = job.software
    new = max(load.new_tokens, 1.0)
    of_group = max(new, min(new * max(load.pass_tokens // new, 1), load.pass_tokens))
    n_passes = max(new / load.pass_tokens, 1.0)
    n_prompts = max(of_group / new, 1.0) * replica.attention_dp
    tokens = np.array([float(min(of_group, load.pass_tokens) * replica.attention_dp)])
    each = prefill(
        replica,
        tokens,
        prompts=np.array([n_prompts]),
        context=load.input_tokens,
        cached=load.input_tokens - new,
    )
    layers_s = software.layer_s * replica.layers_in_step
    pass_s = software.factor * float(each.products_s[0]) + float(each.exchange_s[0]) + layers_s
    busy_s = n_passes * pass_s / one.pace
    ttft_s = software.first_s + busy_s + _moved_s(replica, job)
    if job.limits.ttft_s is not None and ttft_s > job.limits.ttft_s:
        return None
    return _Prompts(of=one, ttft_s=ttft_s, prompts_per_s=n_prompts / busy_s / replica.n_gpus)


def _moved_s(replica: Replica, job: ServingJob) -> float:
    """Return the seconds in which the keys and values of a prompt leave a replica's ports."""
    port = replica.gpu.nic_bytes_per_s or replica.gpu.scale_up_bytes_per_s
    return replica.sequence_bytes(job.load.input_tokens) / port


def _answers(one: Searched, job: ServingJob) -> tuple[Configuration, float] | None:
    """Return the best batch of a layout that only decodes, and its answers a second and GPU."""
    replica, load = one.replica, job.load
    software, _ = job.software
    each = decode(replica, one.batch, context=load.context)
    layers_s = software.layer_s * replica.layers_in_step
    token_s = software.token_s * one.batch
    parts = {
        "products": software.factor * each.products_s,
        "exchange": each.exchange_s,
        "layers": np.full_like(one.batch, layers_s),
        "tokens": token_s,
    }
    parts = {name: part / one.pace for name, part in parts.items()}
    tpot_s = np.sum(list(parts.values()), axis=0)
    limit = job.limits.tpot_s
    rate = np.where(tpot_s <= (np.inf if limit is None else limit), one.batch / tpot_s, 0.0)
    place = int(rate.argmax())
    if rate[place] <= 0:
        return None
    answers_per_s = float(rate[place]) / load.output_tokens / replica.n_gpus
    found = Configuration(
        pool=one.pool.name,
        gpu=one.pool.gpu,
        kind="split",
        tensor=replica.tensor,
        attention_dp=replica.attention_dp,
        expert=replica.expert,
        n_gpus=replica.n_gpus,
        batch=float(one.batch[place]),
        output_tokens_per_s_per_gpu=float(rate[place]) / replica.n_gpus,
        input_tokens_per_s_per_gpu=0.0,
        tokens_per_s_per_user=1 / float(tpot_s[place]),
        ttft_s=0.0,
        tpot_s=float(tpot_s[place]),
        pace=one.pace,
        shares={
            **{name: float((part / tpot_s)[place]) for name, part in parts.items()},
            "prefill": 0.0,
        },
    )
    return found, answers_per_s
