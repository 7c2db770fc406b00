"""Seconds of one pass through a model: tokens that are decoded, or prompts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hindmost.serving.exchange import all_reduce_s, between_domains_s
from hindmost.serving.replica import WEIGHT_BYTES, Product, Replica
from hindmost.units import BF16_BYTES

Numbers = NDArray[np.float64]


class Pass(NamedTuple):
    """What the hardware allows of passes, in seconds."""

    products_s: Numbers
    """Products and attention: each the larger of its bytes and its FLOPs."""
    exchange_s: Numbers
    """All-reduces."""


def decode(replica: Replica, sequences: Numbers, *, context: float) -> Pass:
    """Return what the hardware allows of an iteration, in which each sequence gets one token.

    Parameters
    ----------
    replica
        The replica.
    sequences : array
        Sequences in the replica, > 0.
    context
        Tokens of a sequence, on average.

    Notes
    -----
    Each product takes ``max(bytes / (0.8 bandwidth), FLOPs / (peak efficiency))``, of experts only
    those that are touched. Attention reads the keys and values of a GPU's sequences.
    """
    found = _products_s(replica, sequences) + _product_s(replica, replica.output, sequences)
    # Of the group that has most of them.
    own = sequences if replica.attention_dp == 1 else np.ceil(sequences / replica.attention_dp)
    for cache in replica.caches:
        read = own * cache.read(context) * cache.width * replica.kv_bytes
        flops = own * cache.read(context) * cache.scores
        found += cache.n * _longer(replica, read, flops)
    found += 2 * own * replica.state_bytes / replica.bytes_per_s
    return Pass(found, _exchange_s(replica, sequences))


def prefill(
    replica: Replica, tokens: Numbers, *, prompts: Numbers, context: float, cached: float = 0.0
) -> Pass:
    """Return what the hardware allows of a pass through prompts, or parts of prompts.

    Parameters
    ----------
    replica
        The replica.
    tokens : array
        Tokens of the pass in all of the replica's groups of GPUs together.
    prompts : array
        Prompts that they belong to, which may be parts of one.
    context
        Tokens of a prompt.
    cached
        Tokens before them whose keys and values are there already.
    """
    found = _products_s(replica, tokens) + _product_s(replica, replica.output, prompts)
    own = tokens / replica.attention_dp
    for cache in replica.caches:
        # A token attends to all before it: to half of the prompt on average.
        seen = cache.read(cached + (context - cached) / 2)
        found += cache.n * own * seen * cache.prompt_scores / replica.flop_per_s("bf16")
    return Pass(found, _exchange_s(replica, tokens))


def _products_s(replica: Replica, tokens: Numbers) -> Numbers:
    found = np.zeros_like(tokens)
    for one in replica.products:
        found += one.n * _product_s(replica, one, tokens)
    return found


def _product_s(replica: Replica, one: Product, tokens: Numbers) -> Numbers:
    read = one.parameters * one.read_share(tokens) * WEIGHT_BYTES[one.dtype]
    flops = 2 * one.parameters * one.share * tokens
    return np.maximum(read / replica.bytes_per_s, flops / replica.flop_per_s(one.dtype))


def _longer(replica: Replica, read: Numbers, flops: Numbers) -> Numbers:
    """Return the larger of the seconds of bytes and of those of FLOPs in BF16."""
    return np.maximum(read / replica.bytes_per_s, flops / replica.flop_per_s("bf16"))


def _exchange_s(replica: Replica, tokens: Numbers) -> Numbers:
    """Return the seconds of two all-reduces a layer, in BF16.

    Tensor ranks add up what attention gives. What a feed-forward network gives is added up by all
    GPUs of the replica; groups of attention first gather each other's tokens, and then each adds
    up its own: together as many bytes as an all-reduce of all tokens. Between domains tokens go
    only where their experts are.
    """
    if replica.n_gpus == 1:
        return np.zeros_like(tokens)
    n_bytes = tokens * replica.model.hidden * BF16_BYTES
    own = n_bytes / replica.attention_dp
    each = all_reduce_s(replica.gpu, replica.tensor, own)
    each = each + all_reduce_s(replica.gpu, min(replica.n_gpus, replica.gpu.domain_gpus), n_bytes)
    if replica.n_domains > 1:
        met = replica.domains_met
        each = each + between_domains_s(replica.gpu, replica.n_domains, n_bytes, met=met)
    return replica.model.n_layers * each
