"""Replicas as servers of a queue: seconds of passes by the number in them, and of prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hindmost.catalog import Software
from hindmost.serving.cycle import Load, cycle
from hindmost.serving.least_squares import not_negative
from hindmost.serving.passes import decode
from hindmost.serving.replica import Replica

Numbers = NDArray[np.float64]

PROMPTS = 17
"""Lengths of prompts at which their seconds are computed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Servers:
    """Replicas that are alike.

    Attributes
    ----------
    n : int
        How many.
    cap : int
        Requests that one of them has in service, at most.
    by_number : array of shape (cap, 2)
        By the number in service, from one on: seconds of a pass without context, and seconds more
        for each token of context of them all.
    prefill : array of shape (3,)
        Seconds for which a prompt stops a server: of any, for each token, and for each token times
        itself.
    capacity_per_s : float
        Mean requests a second that one of them can take.
    """

    n: int
    cap: int
    by_number: Numbers
    prefill: Numbers
    capacity_per_s: float

    def core_arguments(self, n_servers: int) -> dict[str, object]:
        """Return so many of them as the core takes them."""
        return {
            "n_servers": n_servers,
            "a_s": 0.0,
            "b_s": 0.0,
            "by_number": self.by_number,
            "prefill": [float(number) for number in self.prefill],
            "cap": self.cap,
        }


def servers(
    replica: Replica,
    load: Load,
    software: Software,
    *,
    n: int,
    cap: int,
    pace: float,
    prompts: Numbers,
) -> Servers:
    """Return what replicas are as servers.

    Parameters
    ----------
    replica
        One of them.
    load
        What requests ask for on average.
    software
        The engine's numbers.
    n
        How many there are.
    cap
        Requests that one of them has in service, at most.
    pace
        What stragglers and failures leave of their pace.
    prompts : array
        Tokens of prompts, over which their seconds are to be right.

    Notes
    -----
    Seconds of a pass are linear in the context: what they are at that of a prompt and at that of a
    prompt with its answer is joined by a line. With as many requests as the cap all the time, a
    server gives what a cycle of the replica gives: passes through prompts are shared as there.
    """
    by_number = _by_number(replica, load, software, cap) / pace
    prefill = _prefill(replica, load, software, cap, prompts) / pace
    prompt = max(load.input_tokens, 1.0)
    prompt_s = float(prefill @ [1.0, prompt, prompt**2])
    pass_s = float(by_number[-1] @ [1.0, cap * load.context])
    return Servers(
        n=n,
        cap=cap,
        by_number=by_number,
        prefill=prefill,
        capacity_per_s=1 / (prompt_s + load.output_tokens * pass_s / cap),
    )


def _by_number(replica: Replica, load: Load, software: Software, cap: int) -> Numbers:
    number = np.arange(1.0, cap + 1)
    low = load.input_tokens
    high = load.input_tokens + load.output_tokens

    def seconds(context: float) -> Numbers:
        of = decode(replica, number, context=context)
        return software.factor * of.products_s + of.exchange_s

    # Of each request's token of context; n of them have n times as many.
    slope = np.maximum(seconds(high) - seconds(low), 0.0) / (high - low)
    fixed = seconds(low) - slope * low
    fixed = fixed + software.layer_s * replica.layers_in_step + software.token_s * number
    return np.column_stack([fixed, slope / number])


def _prefill(
    replica: Replica, load: Load, software: Software, cap: int, prompts: Numbers
) -> Numbers:
    # The mean prompt is among them, so that it has its weight in laws with a long tail.
    lengths = np.unique(np.clip([*prompts, load.input_tokens], 1.0, None))
    seconds = []
    for length in lengths:
        of = cycle(replica, replace(load, input_tokens=float(length)), np.array([float(cap)]))
        layers = of.layers * of.prefills / (load.output_tokens + of.prefills)
        passes = software.factor * of.prompt_products_s + of.prompt_exchange_s
        seconds.append(float((passes + software.layer_s * layers)[0]) / cap)
    terms = np.column_stack([np.ones_like(lengths), lengths, lengths**2])
    relative = terms / np.array(seconds)[:, np.newaxis]
    found = not_negative(relative, np.ones(len(lengths)), lowest=(0.0, 0.0, 0.0))
    # What the mean prompt takes is exact, because that is what the rate of a replica depends on.
    mean = np.searchsorted(lengths, max(load.input_tokens, 1.0))
    scale: float = seconds[int(mean)] / float(terms[mean] @ found)
    return found * scale
