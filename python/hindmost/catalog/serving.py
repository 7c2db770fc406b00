"""Serving engines: how they divide memory and passes, and what was fitted of them."""

from __future__ import annotations

from pydantic import Field

from hindmost.catalog.schema import Count, Entry, NotNegative, Positive, Share
from hindmost.strict import Strict


class Software(Strict):
    """What an engine makes of the hardware with one model: three numbers, fitted together.

    A fourth one only shifts the time to the first token.
    """

    factor: Positive
    """Seconds of products over those that bandwidth and peak allow."""
    layer_s: NotNegative
    """Seconds that each layer of a pass takes beside its products."""
    token_s: NotNegative
    """Seconds that each streamed token takes beside the pass."""
    first_s: NotNegative = 0.0
    """Seconds that the first token of an answer takes beside waiting and its prompt's passes."""


class Engine(Entry):
    """A serving engine."""

    kv_bytes: Positive
    """Bytes of one number of keys and values, as the engine keeps them by default."""
    pass_tokens: Count
    """Tokens of prompts that one pass takes, at most."""
    memory_share: Share
    """Share of the memory beside the weights that keys and values may take."""
    fits: dict[str, Software] = Field(default_factory=dict)
    """What was fitted, by model."""
