"""Conventions of other tools: what each counts as FLOPs of a token, and over which peak."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hindmost.catalog.schema import Basis, Dtype, Named, NotNegative, Positive
from hindmost.law import domain_error
from hindmost.strict import Strict

Unknown = Literal["experts", "latent", "wide-heads", "tied"]
"""What a formula may not know: mixtures of experts, latent attention, heads that are together
wider or narrower than the residual stream, and an output layer that shares the embedding."""


class Counts(Strict):
    """What a tool counts as model FLOPs of one token, 6 for each parameter that multiplies.

    The defaults are those of MFU with causal attention here.
    """

    attention: Literal["causal", "full", "none"] = "causal"
    """Attention scores that count: the causal half, all, or none."""
    scores_again: bool = False
    """Whether the product of queries and keys that the backward pass computes again counts."""
    flops_per_score: NotNegative = 0.0
    """FLOPs of each score of a head beside its products, both passes, such as mask and softmax."""
    windows: Literal["counted", "ignored"] | None = None
    """Whether a window makes scores fewer; absent where that is not known."""
    heads: Literal["model", "hidden", "hidden-each"] = "model"
    """Width of all heads together: the model's own, or that of the residual stream, with keys and
    values shared by groups or one each."""
    feed_forward: Literal["model", "four-wide", "half-experts"] = "model"
    """Feed-forward networks: the model's own; in each layer two matrices, four times as wide as the
    residual stream; or two of the dense width, as many of them as experts are picked in half of
    the layers of a model with experts."""
    experts: Literal["picked", "all"] = "picked"
    """Routed experts that count."""
    router: Literal["layers-with-experts", "all-layers", "none"] = "layers-with-experts"
    """Layers whose router counts; with all-layers in a model with experts only."""
    norms: Literal["none", "latent", "all"] = "none"
    """Norms whose weights count: none, those of latent attention, or all."""
    embedding: Literal["lookup", "product", "parameters", "output-if-own"] = "lookup"
    """Input embedding: a lookup, of which only the output layer counts; a product of its own;
    parameters like all others, tied ones once; or a lookup whose matrix never counts, not even as
    the output layer that shares it."""
    output_layer: Positive = 1.0
    """What counts of the output layer, as a share of 6 FLOPs a parameter."""
    predicts_next: bool = True
    """Whether layers of multi-token prediction count."""
    parameters: dict[str, Positive] = Field(default_factory=dict)
    """Parameters that the tool itself has for models of the catalogue, instead of counting."""
    recomputation: bool = False
    """Whether a forward pass that full recomputation repeats counts."""
    without: list[Unknown] = Field(default_factory=list)
    """What the formula does not know; models that have it are refused."""


class Peak(Strict):
    """A peak that needs a word of explanation."""

    flop_per_s: Positive
    """The peak, in FLOP/s."""
    why: str
    """What it is the peak of."""


class Peaks(Strict):
    """The dense peak that a tool's MFU is over, by GPU of the catalogue."""

    bf16: dict[str, Annotated[float, Field(gt=0)] | Peak] = Field(default_factory=dict)
    """Peaks in FLOP/s, by GPU."""
    otherwise: Positive | Literal["catalogue", "none", "infinite"]
    """Peak of all others: in FLOP/s, that of the catalogue, none so that no MFU is printed, or an
    infinite one, over which it is 0."""
    fp8: dict[str, Annotated[float, Field(gt=0)] | Peak] = Field(default_factory=dict)
    """Peaks of jobs in FP8, where these have their own."""
    of_fp8: Literal["bf16", "own", "none"] = "bf16"
    """Peak of jobs in FP8: that of BF16, one of its own, or none."""

    def of(self, gpu: str, dtype: Dtype) -> float | Peak | Literal["catalogue", "none", "infinite"]:
        """Return the peak of a GPU of the catalogue in jobs of a number format."""
        if dtype != "bf16" and self.of_fp8 != "bf16":
            return self.fp8.get(gpu, "none") if self.of_fp8 == "own" else "none"
        return self.bf16.get(gpu, self.otherwise)


class Convention(Named):
    """What a tool prints, by which formula and over which peak."""

    version: str
    """Version or commit whose code was read."""
    also: list[str] = Field(default_factory=list)
    """Other names by which it is found."""
    prints: Literal["mfu", "tflops", "nothing"]
    """What it prints of its FLOPs: MFU, FLOP/s a GPU, or neither."""
    clamped: bool = False
    """Whether a printed MFU is cut at 1."""
    note: str | None = None
    """What else is to be known of it."""
    counts: Counts | None = None
    """What it counts; absent where it prints nothing."""
    peaks: Peaks | None = None
    """Peaks that its MFU is over; those of the catalogue where it prints FLOP/s alone."""
    basis: dict[Literal["prints", "counts", "peaks"], Basis]
    """Where each of them comes from."""

    @model_validator(mode="after")
    def _is_whole(self) -> Convention:
        if (self.prints == "nothing") == (self.counts is not None):
            raise domain_error("counts", None, "given where something is printed, and only there")
        if (self.prints == "mfu") > (self.peaks is not None):
            raise domain_error("peaks", None, "given where MFU is printed")
        given = {"counts": self.counts, "peaks": self.peaks, "prints": self.prints == "nothing"}
        needed = {key for key, value in given.items() if value}
        if needed != set(self.basis):
            raise domain_error("basis", sorted(self.basis), f"of {', '.join(sorted(needed))}")
        return self
