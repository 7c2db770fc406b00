"""Encoders in front of a transformer, such as those of images or of sound."""

from __future__ import annotations

from functools import cached_property

from pydantic import model_validator

from hindmost.catalog.schema import Count, NoneOrMore
from hindmost.law import domain_error
from hindmost.strict import Strict


class Encoder(Strict):
    """A tower of layers without a mask, whose output takes the place of tokens of a sequence."""

    tokens: Count
    """Tokens that it processes for each sequence of the model, such as patches of its images."""
    segment_tokens: Count | None = None
    """Tokens of one image or clip, within which attention stays; all of a sequence's by default."""
    n_layers: Count
    """Its layers."""
    hidden: Count
    """Width of its residual stream."""
    n_heads: Count
    """Its heads; all have keys and values."""
    head_dim: Count | None = None
    """Width of a head; the hidden width over the heads by default."""
    ffn_hidden: Count
    """Width of its feed-forward networks."""
    gated: bool = False
    """Whether these are gated: three matrices instead of two."""
    input_width: NoneOrMore = 0
    """Values of what becomes a token, such as 588 of a patch of 14 x 14 pixels in three colours."""
    positions: NoneOrMore = 0
    """Positions that have a learned vector each."""
    merge: Count = 1
    """Tokens of it that become one token of the model, such as 4 patches."""
    projector_hidden: Count | None = None
    """Width between the two products that bring merged tokens to the width of the model; one
    product by default."""
    frozen: bool = False
    """Whether its layers are not trained: no gradients and no states of an optimizer."""

    @model_validator(mode="after")
    def _sizes_fit(self) -> Encoder:
        if self.head_dim is None and self.hidden % self.n_heads:
            requirement = f"a divisor of hidden ({self.hidden}), or head_dim be given"
            raise domain_error("n_heads", self.n_heads, requirement)
        if self.segment_tokens is not None and self.tokens % self.segment_tokens:
            requirement = f"a divisor of tokens ({self.tokens})"
            raise domain_error("segment_tokens", self.segment_tokens, requirement)
        if self.tokens % self.merge:
            raise domain_error("merge", self.merge, f"a divisor of tokens ({self.tokens})")
        return self

    @cached_property
    def segment(self) -> int:
        """Tokens within which attention stays."""
        return self.segment_tokens or self.tokens

    @cached_property
    def heads_width(self) -> int:
        """Width of all heads together."""
        return self.n_heads * (self.head_dim or self.hidden // self.n_heads)
