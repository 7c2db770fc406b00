"""Memory traffic: what a rank reads and writes beside the arithmetic of its products.

Norms, sums, activation functions and casts are bound by memory. So is what products write: their
inputs stream in while they compute, but a tile is written when its sums are done.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from hindmost.catalog import Layer, Transformer, kinds_of_layers
from hindmost.catalog.transformer import SCORED
from hindmost.physics.activations import SELECTIVE
from hindmost.physics.flops import norm_parameters
from hindmost.physics.formats import gradient_bytes
from hindmost.physics.job import Job
from hindmost.physics.products import Shape, attention_products, feed_forward_products
from hindmost.physics.stages import Stage
from hindmost.units import BF16_BYTES

CAST_BYTES = BF16_BYTES + 2
"""Bytes that a value in BF16 moves on its way to FP8: it is read, and written twice, because
products in FP8 need it transposed, too, for the gradient of weights (Transformer Engine,
documentation of FP8 on Hopper)."""


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bytes that a rank moves for one microbatch in one virtual stage.

    Attributes
    ----------
    forward, backward : float
        In the forward pass, and in the backward pass without gradients of weights.
    weights : float
        Gradients of weights: what a microbatch adds to those of earlier ones.
    again : float
        What the backward pass computes again.
    """

    forward: float = 0.0
    backward: float = 0.0
    weights: float = 0.0
    again: float = 0.0


@dataclass(frozen=True, kw_only=True)
class _LayerTraffic:
    """Bytes of one microbatch in one layer: forward by part, and backward."""

    norms: float
    sums: float
    attention: float
    feed_forward: float
    activations: float
    backward: float
    weights: float

    @property
    def forward(self) -> float:
        return self.norms + self.sums + self.attention + self.feed_forward + self.activations

    def again(self, parts: Collection[str]) -> float:
        """Return the bytes of the forward pass of some parts."""
        found = self.norms if "norms" in parts else 0.0
        found += self.attention if "attention" in parts else 0.0
        if "feed_forward" in parts:
            return found + self.feed_forward + self.activations
        return found + (self.activations if "activations" in parts else 0.0)


def stage_traffic(job: Job, stage: Stage) -> Traffic:
    """Return the bytes that a rank moves for one microbatch in a virtual stage.

    Notes
    -----
    Values in BF16, by token and rank, with h the residual width, f the width of the feed-forward
    network (twice as many come in where it is gated), q and k the widths of queries and keys, e the
    experts of a token:

    ==================  ======================  ================================
    part                forward                 backward
    ==================  ======================  ================================
    each norm           2 h                     3 h
    each residual sum   3 h                     3 h
    rotary embedding    2 (q + k)               2 (q + k)
    activation          f in, f out             f in and its gradient, f out
    copies for experts  2 (e + 1) h             2 (e + 1) h
    each product        what it gives           what it takes
    ==================  ======================  ================================

    Tensor ranks divide all of it but what the first product of a pair takes, and what the second
    one gives. In FP8 each value that a product takes is cast (`CAST_BYTES`), and in the backward
    pass each that it gives. Gradients of weights are written in `gradient_dtype` with each
    microbatch, and read with each but the first, in the mean over all of them. Each of the
    `logit_bytes` is written and read once. Scores stay in the chip's own memory, and an encoder is
    not counted.
    """
    workload = job.workload
    selective = SELECTIVE if workload.recompute == "selective" else ()
    again = {*map(str, workload.recompute_modules), *selective}
    whole = job.layers_again(stage) if workload.recompute == "full" else range(0)
    forward = backward = weights = repeated = 0.0
    for layer, n in kinds_of_layers(job.model, stage.layers):
        moved = _of_layer(job, layer)
        forward += n * moved.forward
        backward += n * moved.backward
        weights += n * moved.weights
        repeated += n * moved.again(again)
    for layer, n in kinds_of_layers(job.model, whole):
        repeated += n * _of_layer(job, layer).forward
    n_outputs = stage.has_output + sum(
        n * layer.predicts_next for layer, n in kinds_of_layers(job.model, stage.layers)
    )
    if n_outputs:
        logits = Shape(
            rows=job.microbatch_tokens / job.layout.context,
            columns=job.model.vocabulary / job.layout.tensor,
            inner=job.model.hidden,
        )
        forward += n_outputs * _given(logits)
        backward += n_outputs * (_taken(logits) + 2 * workload.logit_bytes * _outputs(logits))
        weights += n_outputs * _gradients(job, logits)
    if job.ideal.recompute_and_overhead:
        repeated = 0.0
    return Traffic(forward=forward, backward=backward, weights=weights, again=repeated)


def _of_layer(job: Job, layer: Layer) -> _LayerTraffic:
    model, tensor = job.model, job.layout.tensor
    tokens = job.microbatch_tokens / job.layout.context
    casts = job.workload.dtype == "fp8"

    def bytes_of(width: float) -> float:
        """Return the bytes of as many values in BF16 of each token, which tensor ranks divide."""
        return BF16_BYTES * tokens * width / tensor

    attention = attention_products(job, layer)
    network = feed_forward_products(job, layer)

    def forward(products: list[Shape]) -> float:
        cast = CAST_BYTES * sum(one.rows * one.inner for one in products) if casts else 0.0
        return sum(map(_given, products)) + cast

    products = [*attention, *network]
    of_norms = norm_parameters(model, layer)
    parts = (layer.attention != "none") + (layer.feed_forward != "none")
    of_sums = bytes_of(3 * parts * model.hidden)
    rotated = bytes_of(2 * _rotated_width(model, layer))
    width, n_copies = _network_width(model, layer)
    sent = bytes_of(2 * (n_copies + 1) * model.hidden) if n_copies else 0.0
    n_in = 2 if model.gated else 1
    backward = bytes_of(3 * of_norms) + of_sums + rotated + sent + bytes_of((2 * n_in + 1) * width)
    backward += sum(map(_taken, products))
    backward += CAST_BYTES * sum(map(_outputs, products)) if casts else 0.0
    return _LayerTraffic(
        norms=bytes_of(2 * of_norms),
        sums=of_sums,
        attention=forward(attention) + rotated,
        feed_forward=forward(network) + sent,
        activations=bytes_of((n_in + 1) * width),
        backward=backward,
        weights=sum(_gradients(job, one) for one in products),
    )


def _rotated_width(model: Transformer, layer: Layer) -> int:
    """Return the width of the queries and keys that a position rotates."""
    if layer.attention not in SCORED:
        return 0
    if model.latent is not None:
        return (model.n_heads + 1) * model.latent.rope_head_dim
    return (model.n_heads + model.n_kv_heads) * model.head_dim


def _network_width(model: Transformer, layer: Layer) -> tuple[int, int]:
    """Return the width of all networks that process a token, and the experts that it is sent to."""
    if layer.feed_forward == "dense":
        return layer.ffn_hidden, 0
    experts = model.experts
    if layer.feed_forward == "none" or experts is None:
        return 0, 0
    width = experts.per_token * experts.ffn_hidden + experts.shared_hidden
    return width, experts.per_token


def _outputs(product: Shape) -> float:
    return product.rows * product.columns


def _given(product: Shape) -> float:
    """Return the bytes of what a product gives."""
    return BF16_BYTES * _outputs(product)


def _taken(product: Shape) -> float:
    """Return the bytes of the gradient of what it takes."""
    return BF16_BYTES * product.rows * product.inner


def _gradients(job: Job, product: Shape) -> float:
    """Return the bytes with which a microbatch adds to the gradients of a product's weights."""
    if job.workload.trainable == "lora":
        # Weights are frozen, and those of adapters are few.
        return 0.0
    # The first microbatch of a step has nothing to add to, and need not read.
    times = 2 - 1 / job.n_microbatches
    return times * gradient_bytes(job.workload.gradient_dtype) * product.columns * product.inner
