"""Published rates of context ranks: one number is fitted on one sequence length, others predicted.

torchtitan, benchmark of December 2024: Llama 3.1 8B in FP8 on 8 H100, full recomputation, one
sequence of 32,768 tokens for each context rank. Attention stays in BF16.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from scipy.optimize import brentq

from hindmost.plan import make_plan
from hindmost.scenario import from_table

PUBLISHED = {1: 3_890.0, 2: 2_540.0, 4: 1_071.0, 8: 548.0}
"""Tokens a second and GPU, by context ranks."""

TOKENS_OF_A_RANK = 32_768
SPLITS = ("zigzag", "contiguous")

MAX_GROWTH = 2.0
"""Attention of a token over that in half the sequence; all else of a token stays the same."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of context ranks.

    Attributes
    ----------
    context : int
        Context ranks.
    published : float
        Tokens a second and GPU.
    predicted : dict of str to float
        The same as predicted, by how ranks divide a sequence.
    growth, published_growth : float
        Seconds of a token over those with half as many ranks and tokens of a sequence, as predicted
        with zigzag and as published.
    """

    context: int
    published: float
    predicted: dict[str, float]
    growth: float
    published_growth: float

    def error(self, split: str) -> float:
        """Return how much faster the prediction is, as a share of the published rate."""
        return self.predicted[split] / self.published - 1


def rate(context: int, software_efficiency: float, split: str = "zigzag") -> float:
    """Return tokens a second and GPU."""
    table: dict[str, Any] = {
        "name": "context",
        "pools": {
            "h100": {
                "gpu": "h100-sxm",
                "n_gpus": 8,
                "software_efficiency": software_efficiency,
            }
        },
        "fabric": {"name": "nvlink-8"},
        "workload": {
            "model": "llama3-8b",
            "seq_len": TOKENS_OF_A_RANK * context,
            "microbatch_seqs": 1,
            "n_microbatches": 1,
            "dtype": "fp8",
            "recompute": "full",
        },
        "layout": {"context": context, "context_split": split, "sharding": "zero3"},
    }
    plan = make_plan(from_table(table))
    return plan.tokens / plan.noiseless_step_s / 8


@cache
def fitted() -> float:
    """Return the software efficiency at which one context rank has its published rate."""
    found: float = brentq(lambda share: rate(1, share) - PUBLISHED[1], 0.05, 1.0, xtol=1e-9)
    return found


@cache
def rows() -> tuple[Row, ...]:
    """Return the rows that are predicted."""
    found = []
    for context, published in PUBLISHED.items():
        if context == 1:
            continue
        found.append(
            Row(
                context=context,
                published=published,
                predicted={split: rate(context, fitted(), split) for split in SPLITS},
                growth=rate(context // 2, fitted()) / rate(context, fitted()),
                published_growth=PUBLISHED[context // 2] / published,
            )
        )
    return tuple(found)
