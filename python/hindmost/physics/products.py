"""Matrix products of a layer, and the share of the peak that a GPU reaches in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hindmost.catalog import Layer, kinds_of_layers
from hindmost.physics.job import Job
from hindmost.physics.matrices import Matrix, attention_matrices, network_matrices
from hindmost.physics.stages import Stage
from hindmost.scenario.models import Pool, Product


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Shape of a matrix product of (rows, inner) and (inner, columns) on one rank."""

    rows: float
    columns: float
    inner: float

    @property
    def flops(self) -> float:
        """FLOPs of the product: multiplications and additions."""
        return 2 * self.rows * self.columns * self.inner


def layer_efficiency(job: Job, pool: Pool, stage: Stage) -> float | None:
    """Return the share of the peak that the products of a stage's layers reach together.

    Without measured products this is the pool's kernel efficiency. With them, each
    product has the efficiency of the measured product with the nearest shape.

    Notes
    -----
    ``sum(flops) / sum(flops / efficiency)``. The distance of two shapes is the distance
    of the logarithms of rows, columns and inner width. Products of the backward pass have
    the same three dimensions in other roles, and count like those of the forward pass.
    """
    kernel = pool.efficiency(job.workload.dtype)
    if job.ideal.kernel_efficiency:
        return 1.0
    if not pool.products or not stage.layers:
        return kernel
    flops = at_peak = 0.0
    for layer, n in kinds_of_layers(job.model, stage.layers):
        for shape in layer_products(job, layer):
            flops += n * shape.flops
            at_peak += n * shape.flops / nearest(pool.products, shape).efficiency
    return flops / at_peak


def nearest(products: list[Product], shape: Shape) -> Product:
    """Return the measured product whose shape is nearest, or the first of several."""
    return min(products, key=lambda product: _distance(product, shape))


def _distance(product: Product, shape: Shape) -> float:
    return math.hypot(
        math.log(product.rows / shape.rows),
        math.log(product.columns / shape.columns),
        math.log(product.inner / shape.inner),
    )


def layer_products(job: Job, layer: Layer) -> list[Shape]:
    """Return the products of one microbatch in the forward pass of a layer, for one rank.

    Tensor ranks divide the columns of a first matrix of a pair and the inner width of
    the second one (Shoeybi et al., Megatron-LM, arXiv 1909.08053, section 3). Each expert
    that a rank holds has the average number of tokens.
    """
    joined = Shape(
        rows=job.microbatch_tokens / job.stage_ranks,
        columns=job.model.hidden,
        inner=2 * job.model.hidden,
    )
    return [
        *([joined] if layer.predicts_next else []),
        *attention_products(job, layer),
        *feed_forward_products(job, layer),
    ]


def attention_products(job: Job, layer: Layer) -> list[Shape]:
    """Return the products of a layer's attention, as `layer_products` does."""
    tokens = job.microbatch_tokens / job.layout.context
    matrices = attention_matrices(job.model, layer)
    return _products(matrices, rows=tokens, tensor=job.layout.tensor)


def _products(matrices: Sequence[Matrix], *, rows: float, tensor: int) -> list[Shape]:
    """Return the products of rows of tokens with matrices that tensor ranks divide among them."""
    return [
        Shape(
            rows=rows,
            columns=one.given / (tensor if one.divided == "given" else 1),
            inner=one.taken / (tensor if one.divided == "taken" else 1),
        )
        for one in matrices
    ]


def feed_forward_products(job: Job, layer: Layer) -> list[Shape]:
    """Return the products of a layer's feed-forward network, as `layer_products` does."""
    model, layout = job.model, job.layout
    tokens, t = job.microbatch_tokens / layout.context, layout.tensor

    def network(rows: float, width: int) -> list[Shape]:
        return _products(network_matrices(model, width), rows=rows, tensor=t)

    if layer.feed_forward == "none":
        return []
    if layer.feed_forward == "dense":
        return network(tokens, layer.ffn_hidden)
    experts = model.experts
    assert experts is not None
    held = experts.n_experts // layout.expert
    arriving = tokens * experts.per_token * layout.expert / experts.n_experts
    return [
        *network(tokens, experts.shared_hidden),
        *network(arriving, experts.ffn_hidden) * held,
    ]
