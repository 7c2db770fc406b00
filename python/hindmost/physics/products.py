"""Matrix products of a layer, and the share of the peak that a GPU reaches in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hindmost.catalog import Layer, kinds_of_layers
from hindmost.physics.job import Job
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
        *_attention(job, layer),
        *_feed_forward(job, layer),
    ]


def _attention(job: Job, layer: Layer) -> list[Shape]:
    model, hidden, t = job.model, job.model.hidden, job.layout.tensor
    tokens = job.microbatch_tokens / job.layout.context

    def around(taken: int, given: int) -> list[Shape]:
        """Return a product from the residual stream and one back to it."""
        return [
            Shape(rows=tokens, columns=taken / t, inner=hidden),
            Shape(rows=tokens, columns=hidden, inner=given / t),
        ]

    if layer.attention == "none":
        return []
    if layer.attention == "linear":
        linear = model.linear
        assert linear is not None
        taken = 2 * (linear.keys + linear.values + linear.n_value_heads)
        return around(taken, linear.values)
    if layer.attention == "state-space":
        space = model.state_space
        assert space is not None
        return around(space.inner + space.convolved + space.n_heads, space.inner)
    queries, values = model.n_heads * model.head_dim, model.n_heads * model.value_head_dim
    gate = values if model.attention_gate else 0
    indexer: list[Shape] = []
    if layer.attention == "sparse":
        small = model.indexer
        assert small is not None
        taken = (model.latent and model.latent.q_rank) or hidden
        width = small.n_heads * small.head_dim
        indexer = [
            Shape(rows=tokens, columns=width / t, inner=taken),
            Shape(rows=tokens, columns=(small.head_dim + small.n_heads) / t, inner=hidden),
        ]
    if model.latent is None:
        keys_and_values = model.n_kv_heads * (model.head_dim + model.value_head_dim)
        return [*around(queries + keys_and_values + gate, values), *indexer]
    latent = model.latent
    down = (latent.q_rank or 0) + latent.kv_rank + latent.rope_head_dim
    up = model.n_heads * (model.head_dim - latent.rope_head_dim) + values
    first, back = around(down + gate, values)
    return [
        first,
        Shape(rows=tokens, columns=queries / t, inner=latent.q_rank or hidden),
        Shape(rows=tokens, columns=up / t, inner=latent.kv_rank),
        back,
        *indexer,
    ]


def _feed_forward(job: Job, layer: Layer) -> list[Shape]:
    model, layout = job.model, job.layout
    tokens, t = job.microbatch_tokens / layout.context, layout.tensor

    def network(rows: float, width: float) -> list[Shape]:
        return [
            Shape(rows=rows, columns=(2 if model.gated else 1) * width, inner=model.hidden),
            Shape(rows=rows, columns=model.hidden, inner=width),
        ]

    if layer.feed_forward == "none":
        return []
    if layer.feed_forward == "dense":
        return network(tokens, layer.ffn_hidden / t)
    experts = model.experts
    assert experts is not None
    shared = network(tokens, experts.shared_hidden / t) if experts.n_shared else []
    held = experts.n_experts // layout.expert
    arriving = tokens * experts.per_token * layout.expert / experts.n_experts
    return [*shared, *network(arriving, experts.ffn_hidden / t) * held]
