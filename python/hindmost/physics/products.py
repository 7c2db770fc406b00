"""Matrix products of a layer, and the share of the peak that a GPU reaches in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hindmost.physics.flops import has_experts, kinds_of_layers
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


def layer_products(job: Job, layer: int) -> list[Shape]:
    """Return the products of one microbatch in the forward pass of a layer, for one rank.

    Tensor ranks divide the columns of a first matrix of a pair and the inner width of
    the second one (Shoeybi et al., Megatron-LM, arXiv 1909.08053, section 3). Each expert
    that a rank holds has the average number of tokens.
    """
    model, layout = job.model, job.layout
    tokens = job.microbatch_tokens / layout.context
    hidden, t = model.hidden, layout.tensor
    queries, values = model.n_heads * model.head_dim, model.n_heads * model.value_head_dim
    if model.latent is None:
        keys_and_values = model.n_kv_heads * (model.head_dim + model.value_head_dim)
        shapes = [Shape(rows=tokens, columns=(queries + keys_and_values) / t, inner=hidden)]
    else:
        latent = model.latent
        down = latent.q_rank + latent.kv_rank + latent.rope_head_dim
        up = model.n_heads * (model.head_dim - latent.rope_head_dim) + values
        shapes = [
            Shape(rows=tokens, columns=down / t, inner=hidden),
            Shape(rows=tokens, columns=queries / t, inner=latent.q_rank),
            Shape(rows=tokens, columns=up / t, inner=latent.kv_rank),
        ]
    shapes.append(Shape(rows=tokens, columns=hidden, inner=values / t))
    if not has_experts(model, layer):
        return [*shapes, *_feed_forward(tokens, hidden, model.ffn_hidden / t, model.gated)]
    experts = model.experts
    assert experts is not None
    shared = _feed_forward(tokens, hidden, experts.n_shared * experts.ffn_hidden / t, model.gated)
    held = experts.n_experts // layout.expert
    arriving = tokens * experts.per_token * layout.expert / experts.n_experts
    one = _feed_forward(arriving, hidden, experts.ffn_hidden / t, model.gated)
    return [*shapes, *(shared if experts.n_shared else []), *one * held]


def _feed_forward(tokens: float, hidden: int, width: float, gated: bool) -> list[Shape]:
    return [
        Shape(rows=tokens, columns=(2 if gated else 1) * width, inner=hidden),
        Shape(rows=tokens, columns=hidden, inner=width),
    ]
