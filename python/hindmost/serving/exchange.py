"""Exchange of a replica's GPUs within their domain: small all-reduces as they were measured."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hindmost.catalog import Accelerator
from hindmost.catalog.schema import AllReduce

Numbers = NDArray[np.float64]

UNMEASURED_LATENCY_S = 5e-6
"""Latency of a small all-reduce where none was measured: about that of all GPUs that were."""

NETWORK_HOP_S = 14e-6
"""Latency of a hop between domains: that of a network hop of a ring under NCCL's Simple protocol,
as its tuner has it. No fabric is named where a model is served."""


def all_reduce_s(gpu: Accelerator, n_gpus: int, n_bytes: Numbers) -> Numbers:
    """Return the seconds of an all-reduce of GPUs of one domain.

    Parameters
    ----------
    gpu
        Their type.
    n_gpus
        GPUs that take part.
    n_bytes : array
        Bytes of each GPU's numbers.

    Notes
    -----
    Between measured sizes, logarithms of seconds are straight in those of bytes; smaller messages
    take as long as the smallest one, and larger ones are as fast as the largest one. Between
    measured numbers of GPUs seconds are straight in the logarithm of these, which is assumed;
    beyond them they are those of the nearest. Without any measurement they are 5 us and the time
    of a ring's bytes, which is assumed.
    """
    if n_gpus == 1:
        return np.zeros_like(n_bytes)
    if gpu.all_reduce is None:
        moved = 2 * (n_gpus - 1) / n_gpus * n_bytes
        return UNMEASURED_LATENCY_S + moved / gpu.scale_up_bytes_per_s
    measured = sorted(gpu.all_reduce, key=lambda one: one.gpus)
    for low, high in pairwise(measured):
        if low.gpus <= n_gpus <= high.gpus:
            weight = np.log(n_gpus / low.gpus) / np.log(high.gpus / low.gpus)
            below, above = _measured_s(low, n_bytes), _measured_s(high, n_bytes)
            return np.asarray(below + weight * (above - below))
    return _measured_s(measured[0] if n_gpus < measured[0].gpus else measured[-1], n_bytes)


def between_domains_s(gpu: Accelerator, n_domains: int, n_bytes: Numbers, *, met: float) -> Numbers:
    """Return the seconds in which tokens go to other domains and come back.

    Parameters
    ----------
    gpu
        Type of the GPUs, which fill their domains.
    n_domains
        Domains that a replica has.
    n_bytes : array
        Bytes of all tokens.
    met
        Domains that a token goes to, its own included.

    Notes
    -----
    All ports of a domain share what it takes in, ``met / n_domains`` of the other domains' tokens,
    and as much goes back. Latency is that of a tree's hops.
    """
    assert gpu.nic_bytes_per_s is not None
    taken = met / n_domains * (n_domains - 1) / n_domains * n_bytes / gpu.domain_gpus
    hops = 2 * np.ceil(np.log2(n_domains))
    return np.asarray(hops * NETWORK_HOP_S + 2 * taken / gpu.nic_bytes_per_s)


def _measured_s(measured: AllReduce, n_bytes: Numbers) -> Numbers:
    sizes, seconds = np.array(measured.bytes), np.array(measured.seconds)
    inside = np.clip(n_bytes, sizes[0], sizes[-1])
    found = np.exp(np.interp(np.log(inside), np.log(sizes), np.log(seconds)))
    return np.asarray(found * np.maximum(n_bytes / sizes[-1], 1.0))
