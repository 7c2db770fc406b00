"""A replica under a steady load: batch, seconds and rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hindmost.catalog.serving import Software
from hindmost.serving.passes import decode, prefill
from hindmost.serving.replica import Replica

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Load:
    """What requests ask for, and how an engine takes them.

    Attributes
    ----------
    input_tokens, output_tokens : float
        Tokens of a prompt and of an answer, on average.
    prefix_hit : float
        Share of a prompt whose keys and values are there already.
    pass_tokens : int
        Tokens of prompts that a pass of one group of GPUs takes, at most.
    """

    input_tokens: float
    output_tokens: float
    prefix_hit: float = 0.0
    pass_tokens: int = 8192

    @property
    def context(self) -> float:
        """Tokens of a sequence while it is decoded, on average."""
        return self.input_tokens + self.output_tokens / 2

    @property
    def new_tokens(self) -> float:
        """Tokens of a prompt that are computed."""
        return self.input_tokens * (1 - self.prefix_hit)


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """Seconds in which each sequence of a batch is served once, in parts.

    Attributes
    ----------
    batch : array
        Sequences of the replica at once.
    prefills : array
        Passes through prompts in a cycle.
    products_s, exchange_s : array
        What the hardware allows of decoding.
    prompt_products_s, prompt_exchange_s : array
        What it allows of the passes through prompts.
    layers : array
        Layers of all passes, as `Replica.layers_in_step` counts them.
    tokens : array
        Tokens that are streamed.
    n_gpus : int
        GPUs of the replica.
    """

    batch: Numbers
    prefills: Numbers
    products_s: Numbers
    exchange_s: Numbers
    prompt_products_s: Numbers
    prompt_exchange_s: Numbers
    layers: Numbers
    tokens: Numbers
    n_gpus: int


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What a replica gives under a load; arrays by batch.

    Attributes
    ----------
    cycle_s : array
        Seconds in which each sequence of the batch is served once.
    output_tokens_per_s_per_gpu, input_tokens_per_s_per_gpu : array
        Tokens a second of all GPUs of the replica, over these.
    ttft_s, tpot_s : array
        Seconds until the first token, and seconds of each of the others.
    tokens_per_s_per_user : array
        1 / tpot_s.
    shares : dict of str to array
        Share of each term in the cycle: ``products``, ``exchange``, ``layers``, ``tokens``, which
        add up to 1; and ``prefill``, of the passes through prompts in all of these.
    """

    cycle_s: Numbers
    output_tokens_per_s_per_gpu: Numbers
    input_tokens_per_s_per_gpu: Numbers
    ttft_s: Numbers
    tpot_s: Numbers
    tokens_per_s_per_user: Numbers
    shares: dict[str, Numbers]


def cycle(replica: Replica, load: Load, batch: Numbers) -> Cycle:
    """Return what a cycle of a replica consists of.

    Parameters
    ----------
    replica
        The replica.
    load
        The requests.
    batch : array
        Sequences of the replica at once, > 0.

    Notes
    -----
    A cycle is as many iterations as an answer has tokens, and the passes through the prompts of
    all sequences, which stop decoding. In each iteration as many sequences begin as end,
    ``batch / output_tokens``; their prompts share a pass as far as it takes so many tokens.
    """
    groups, steps = replica.attention_dp, load.output_tokens
    prompt = max(load.new_tokens, 1.0)
    per_pass = np.clip(batch / groups / steps, 1.0, max(load.pass_tokens / prompt, 1.0))
    of_group = np.minimum(per_pass * prompt, load.pass_tokens)
    # Groups without a sequence wait for those that have one.
    passes = prompt * batch / np.minimum(batch, groups) / of_group
    one = prefill(
        replica,
        of_group * groups,
        prompts=per_pass * groups,
        context=load.input_tokens,
        cached=load.input_tokens - prompt,
    )
    each = decode(replica, batch, context=load.context)
    return Cycle(
        batch=batch,
        prefills=passes,
        products_s=steps * each.products_s,
        exchange_s=steps * each.exchange_s,
        prompt_products_s=passes * one.products_s,
        prompt_exchange_s=passes * one.exchange_s,
        layers=replica.layers_in_step * (steps + passes),
        tokens=steps * batch,
        n_gpus=replica.n_gpus,
    )


def _in_queue_s(batch: Numbers, prompt_s: Numbers, decode_s: Numbers) -> Numbers:
    """Return the seconds that a prompt waits for others, where as many requests go round for ever.

    Parameters
    ----------
    batch : array
        Requests.
    prompt_s, decode_s : array
        Seconds of a prompt by itself, one after another, and of decoding, side by side.

    Notes
    -----
    Mean value analysis of a closed loop with Schweitzer's approximation: a prompt finds
    ``(N - 1) / N`` of the queue, ``R = p (1 + (N - 1) R / (R + D))``, a quadratic equation.
    """
    more = prompt_s * batch - decode_s
    response_s = (more + np.sqrt(more**2 + 4 * prompt_s * decode_s)) / 2
    return np.maximum(response_s - prompt_s, 0.0)


def rates(
    of: Cycle,
    load: Load,
    software: Software,
    *,
    asked: Numbers | float | None = None,
    pace: float = 1.0,
) -> Rates:
    """Return what a replica gives with an engine's software.

    Parameters
    ----------
    of
        Its cycle.
    load
        The requests.
    software
        The engine's three numbers.
    asked : array
        Requests that are there at once: those beyond the batch wait for a place, which is part of
        the time to the first token. As many as the batch by default.
    pace
        What stragglers leave of the replica's pace.
    """
    steps = load.output_tokens
    prompt_layers = of.layers * of.prefills / (steps + of.prefills)
    parts = {
        "products": software.factor * (of.products_s + of.prompt_products_s),
        "exchange": of.exchange_s + of.prompt_exchange_s,
        "layers": software.layer_s * of.layers,
        "tokens": software.token_s * of.tokens,
    }
    parts = {name: part / pace for name, part in parts.items()}
    cycle_s = np.sum(list(parts.values()), axis=0)
    prompts_s = (
        software.factor * of.prompt_products_s
        + of.prompt_exchange_s
        + software.layer_s * prompt_layers
    ) / pace
    iteration_s = (cycle_s - prompts_s) / steps
    own_s = prompts_s / of.prefills * np.maximum(of.prefills / of.batch, 1.0)
    waited_s = _in_queue_s(of.batch, prompts_s / of.batch, cycle_s - prompts_s)
    # A prompt waits for the iteration that it arrives in, for other prompts, and takes its passes.
    begun_s = np.minimum(iteration_s / 2 + own_s + waited_s, cycle_s)
    tpot_s = np.maximum((cycle_s - begun_s) / max(steps - 1, 1.0), iteration_s)
    ttft_s = software.first_s + begun_s
    if asked is not None:
        ttft_s = ttft_s + np.maximum(asked / of.batch - 1.0, 0.0) * cycle_s
    per_s = of.batch / cycle_s / of.n_gpus
    return Rates(
        cycle_s=cycle_s,
        output_tokens_per_s_per_gpu=per_s * steps,
        input_tokens_per_s_per_gpu=per_s * load.input_tokens,
        ttft_s=ttft_s,
        tpot_s=tpot_s,
        tokens_per_s_per_user=1 / tpot_s,
        shares={
            **{name: part / cycle_s for name, part in parts.items()},
            "prefill": prompts_s / cycle_s,
        },
    )
