"""Transformers: what each of their layers consists of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from hindmost.catalog.encoder import Encoder
from hindmost.catalog.schema import Count, Entry, NoneOrMore
from hindmost.law import domain_error
from hindmost.strict import Strict

MAX_LAYERS = 65_536
"""Layers of a model, at most."""

Attention = Literal["full", "window", "chunked", "sparse", "linear", "state-space", "none"]
"""What mixes the tokens of a sequence in a layer."""

FeedForward = Literal["dense", "experts", "none"]
"""What processes each token of a layer by itself."""

SEVERAL = Field(min_length=1, strict=False)
"""A list of files, which is a tuple here."""

Kind = TypeVar("Kind", Attention, FeedForward)

SCORED = ("full", "window", "chunked", "sparse")
"""Kinds of attention with queries, and with keys and values that all context ranks need."""


class Latent(Strict):
    """Latent attention: queries, and keys with values, come from vectors of lower width."""

    q_rank: Count | None = None
    """Width of the vector that queries come from; by default they come from the layer's input."""
    kv_rank: Count
    """Width of the vector that keys and values come from."""
    rope_head_dim: Count
    """Width of the positional part of a key, which all heads share; part of the head's width."""


class Experts(Strict):
    """Mixture of experts: feed-forward networks, a few of which a router picks for each token."""

    n_experts: Count
    """Experts of a layer from which the router picks."""
    per_token: Count
    """Experts that the router picks for a token."""
    ffn_hidden: Count
    """Width of one expert."""
    n_shared: NoneOrMore = 0
    """Experts that process every token."""
    shared_ffn_hidden: Count | None = None
    """Width of one of these; that of the others by default."""
    n_dense_layers: NoneOrMore = 0
    """First layers, which have one dense feed-forward network instead."""
    n_groups: Count | None = None
    """Groups of the experts of a layer that the router tells apart, as many experts in each; by
    default those of one domain are a group."""
    node_limit: Count | None = None
    """Groups from which the router picks for a token, at most; all by default."""

    @property
    def shared_hidden(self) -> int:
        """Width of all experts that process every token."""
        return self.n_shared * (self.shared_ffn_hidden or self.ffn_hidden)

    @model_validator(mode="after")
    def _no_more_than_there_are(self) -> Experts:
        if self.per_token > self.n_experts:
            requirement = f"<= n_experts ({self.n_experts})"
            raise domain_error("per_token", self.per_token, requirement)
        if self.n_groups is not None:
            if self.n_experts % self.n_groups:
                requirement = f"a divisor of n_experts ({self.n_experts})"
                raise domain_error("n_groups", self.n_groups, requirement)
            if self.node_limit is None:
                raise domain_error("node_limit", None, "given where n_groups is")
            if self.node_limit > self.n_groups:
                requirement = f"<= n_groups ({self.n_groups})"
                raise domain_error("node_limit", self.node_limit, requirement)
            if self.n_experts // self.n_groups * self.node_limit < self.per_token:
                requirement = f"such that so many groups have per_token ({self.per_token}) experts"
                raise domain_error("node_limit", self.node_limit, requirement)
        return self


class Indexer(Strict):
    """Sparse attention: small heads that score all keys, of which a token attends to a few."""

    n_heads: Count
    """Heads of the indexer, which share one key a token."""
    head_dim: Count
    """Width of one of its heads."""
    top_k: Count
    """Keys that a token attends to, at most."""


class Linear(Strict):
    """Linear attention with a gated delta rule: a matrix of state for each head of values."""

    n_key_heads: Count
    """Heads of queries and keys."""
    key_head_dim: Count
    """Width of one of them."""
    n_value_heads: Count
    """Heads of values, of the gate and of the state."""
    value_head_dim: Count
    """Width of one of them."""
    conv: Count = 4
    """Tokens that the convolution over queries, keys and values reaches."""

    @property
    def keys(self) -> int:
        """Width of all keys, and that of all queries."""
        return self.n_key_heads * self.key_head_dim

    @property
    def values(self) -> int:
        """Width of all values."""
        return self.n_value_heads * self.value_head_dim


class StateSpace(Strict):
    """State space layers (Mamba-2)."""

    n_heads: Count
    """Heads, each with a state of its own."""
    head_dim: Count
    """Width of one head."""
    state: Count
    """Width of the state of each channel."""
    n_groups: Count = 1
    """Groups of heads that share what goes into the state and out of it."""
    conv: Count = 4
    """Tokens that the convolution reaches."""

    @property
    def inner(self) -> int:
        """Width of all heads."""
        return self.n_heads * self.head_dim

    @property
    def convolved(self) -> int:
        """Channels that are convolved: all heads, and what goes into the state and out of it."""
        return self.inner + 2 * self.n_groups * self.state


class Layers(Strict):
    """One or more consecutive layers, several times over."""

    repeat: Count = 1
    """Times that they follow each other."""
    attention: Attention | Annotated[tuple[Attention, ...], SEVERAL] = "full"
    """Attention of the layers: one kind, or that of each layer."""
    feed_forward: FeedForward | Annotated[tuple[FeedForward, ...], SEVERAL] | None = None
    """Feed-forward networks: one kind, or that of each layer; experts by default where the model
    has them."""
    window: Count | None = None
    """Reach of windows and chunks; that of the model by default."""
    ffn_hidden: Count | None = None
    """Width of a dense feed-forward network; that of the model by default."""

    @model_validator(mode="after")
    def _lists_have_one_length(self) -> Layers:
        lengths = [len(kinds) for kinds in self._lists]
        if len(set(lengths)) > 1:
            requirement = f"as long as attention ({lengths[0]})"
            raise domain_error("feed_forward", list(self._lists[1]), requirement)
        return self

    @property
    def _lists(self) -> list[tuple[str, ...]]:
        each = (self.attention, self.feed_forward)
        return [kinds for kinds in each if isinstance(kinds, tuple)]

    @property
    def n_layers(self) -> int:
        """All of these layers."""
        return self.repeat * (len(self._lists[0]) if self._lists else 1)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One kind of layer.

    Attributes
    ----------
    attention, feed_forward : str
        What mixes tokens, and what processes each of them.
    reach : int or None
        Tokens of a window or a chunk; None where attention has neither.
    ffn_hidden : int
        Width of a dense feed-forward network.
    predicts_next : bool
        Whether it is one of multi-token prediction: it also has a product that takes the residual
        stream and the next token's embedding, and puts its result through the output layer.
    """

    attention: Attention
    feed_forward: FeedForward
    reach: int | None = None
    ffn_hidden: int
    predicts_next: bool = False


class Transformer(Strict):
    """Dimensions of a transformer with grouped queries and one output layer."""

    n_layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)]
    """Transformer layers, those of multi-token prediction apart."""
    hidden: Count
    """Width of the residual stream."""
    n_heads: Count
    """Query heads."""
    n_kv_heads: Count
    """Key and value heads."""
    head_dim: Count
    """Width of one head's queries and keys."""
    v_head_dim: Count | None = None
    """Width of one head's values; that of its keys by default."""
    ffn_hidden: Count
    """Width of the feed-forward network of a layer without experts."""
    vocabulary: Count
    """Tokens of the vocabulary."""
    gated: bool = True
    """Whether feed-forward networks are gated: three matrices instead of two."""
    tied: bool = False
    """Whether the output layer shares the input embedding's weights."""
    window: Count | None = None
    """Greatest number of tokens that a token attends to, itself included, in layers with a window,
    and tokens of a chunk in layers with chunks. Without `layers`, all have the window."""
    parallel: bool = False
    """Whether attention and feed-forward network of a layer take the same input, side by side,
    instead of one after the other."""
    attention_gate: bool = False
    """Whether what heads give is gated, by as many values of the layer's input."""
    latent: Latent | None = None
    """Latent attention, where it is used; every head then has keys and values."""
    experts: Experts | None = None
    """Mixture of experts."""
    indexer: Indexer | None = None
    """What picks the keys of sparse attention."""
    linear: Linear | None = None
    """Linear attention."""
    state_space: StateSpace | None = None
    """State space layers."""
    layers: Annotated[tuple[Layers, ...], SEVERAL] | None = None
    """The layers in order, `n_layers` in all, where they are not all alike. By default all have
    attention to the whole sequence or the window, and experts after the first dense ones."""
    n_mtp_layers: Annotated[int, Field(ge=0, le=MAX_LAYERS)] = 0
    """Layers of multi-token prediction that are trained, after all others: like the last layer."""
    encoder: Encoder | None = None
    """What makes tokens of images or sound, in front of the first stage."""

    @model_validator(mode="after")
    def _dimensions_fit(self) -> Transformer:
        if self.n_heads % self.n_kv_heads:
            requirement = f"a divisor of n_heads ({self.n_heads})"
            raise domain_error("n_kv_heads", self.n_kv_heads, requirement)
        if self.latent and self.n_kv_heads != self.n_heads:
            requirement = f"n_heads ({self.n_heads}), as attention is latent"
            raise domain_error("n_kv_heads", self.n_kv_heads, requirement)
        if self.latent and self.latent.rope_head_dim >= self.head_dim:
            requirement = f"< head_dim ({self.head_dim})"
            raise domain_error("latent.rope_head_dim", self.latent.rope_head_dim, requirement)
        if self.experts and self.experts.n_dense_layers >= self.n_layers:
            requirement = f"< n_layers ({self.n_layers})"
            raise domain_error("experts.n_dense_layers", self.experts.n_dense_layers, requirement)
        return self

    @model_validator(mode="after")
    def _layers_are_there(self) -> Transformer:
        if self.layers is None:
            return self
        n_layers = sum(block.n_layers for block in self.layers)
        if n_layers != self.n_layers:
            requirement = f"such that layers, {n_layers} in all, are as many"
            raise domain_error("n_layers", self.n_layers, requirement)
        if self.experts and self.experts.n_dense_layers:
            requirement = "0 where layers says which are dense"
            raise domain_error("experts.n_dense_layers", self.experts.n_dense_layers, requirement)
        needs = {
            "window": (self.window, "window"),
            "chunked": (self.window, "window"),
            "sparse": (self.indexer, "indexer"),
            "linear": (self.linear, "linear"),
            "state-space": (self.state_space, "state_space"),
        }
        for place, block in enumerate(self.layers):
            for kind in _each(block.attention):
                needed, key = needs.get(kind, (True, ""))
                if needed is None and not (key == "window" and block.window):
                    requirement = f"given where attention is {kind}"
                    raise domain_error(key, None, requirement)
            if "experts" in _each(block.feed_forward or "dense") and self.experts is None:
                raise domain_error("experts", None, "given where feed_forward is experts")
            both = zip(*_aligned(block, "dense"), strict=True)
            if any(kinds == ("none", "none") for kinds in both):
                path = f"layers[{place}].feed_forward"
                raise domain_error(path, "none", "something where attention is none")
        return self

    @property
    def depth(self) -> int:
        """Layers that a token passes in training, those of multi-token prediction included."""
        return self.n_layers + self.n_mtp_layers

    @property
    def divided_heads(self) -> tuple[int, ...]:
        """Numbers of heads, by kind of attention, that tensor ranks divide among them."""
        heads = [self.n_heads]
        heads += [] if self.linear is None else [self.linear.n_value_heads]
        heads += [] if self.state_space is None else [self.state_space.n_heads]
        return tuple(dict.fromkeys(heads))

    @property
    def value_head_dim(self) -> int:
        """Width of one head's values."""
        return self.v_head_dim or self.head_dim


class Model(Transformer, Entry):
    """A published transformer."""


def layers_of(model: Transformer) -> tuple[Layer, ...]:
    """Return the layers of a model in the order in which data flow, `depth` of them.

    Examples
    --------
    >>> from hindmost import catalog
    >>> [layer.feed_forward for layer in layers_of(catalog.model("deepseek-v3"))[2:4]]
    ['dense', 'experts']
    """
    return _resolved(*_of_layers(model))


def kinds_of_layers(model: Transformer, layers: range) -> tuple[tuple[Layer, int], ...]:
    """Return the kinds of layers among some of a model's, and how many there are of each.

    Parameters
    ----------
    model
        The model.
    layers
        Consecutive layers, counted from 0.

    Examples
    --------
    >>> from hindmost import catalog
    >>> [n for _, n in kinds_of_layers(catalog.model("deepseek-v3"), range(1, 61))]
    [2, 58]
    """
    return _counted(_of_layers(model), layers.start, layers.stop)


LayerArguments = tuple[int, int, tuple[Layers, ...] | None, int | None, int, int | None]
"""What the layers of a model follow from."""


def _of_layers(model: Transformer) -> LayerArguments:
    experts = model.experts
    return (
        model.n_layers,
        model.n_mtp_layers,
        model.layers,
        model.window,
        model.ffn_hidden,
        None if experts is None else experts.n_dense_layers,
    )


# Counting hashes each of a hundred layers, and a plan asks for the same ones many times.
@lru_cache(maxsize=4096)
def _counted(of: LayerArguments, start: int, stop: int) -> tuple[tuple[Layer, int], ...]:
    return tuple(Counter(_resolved(*of)[start:stop]).items())


@lru_cache(maxsize=256)
def _resolved(
    n_layers: int,
    n_mtp_layers: int,
    blocks: tuple[Layers, ...] | None,
    window: int | None,
    ffn_hidden: int,
    n_dense_layers: int | None,
) -> tuple[Layer, ...]:
    usual: FeedForward = "dense" if n_dense_layers is None else "experts"
    if blocks is None:
        attention: Attention = "full" if window is None else "window"
        n_dense = n_layers if n_dense_layers is None else n_dense_layers
        parts: tuple[tuple[int, FeedForward], ...] = (
            (n_dense, "dense"),
            (n_layers - n_dense, "experts"),
        )
        blocks = tuple(
            Layers(repeat=n, attention=attention, feed_forward=kind) for n, kind in parts if n
        )
    found: list[Layer] = []
    for block in blocks:
        reach, width = block.window or window, block.ffn_hidden or ffn_hidden
        found += block.repeat * [
            Layer(
                attention=attention,
                feed_forward=feed_forward,
                reach=reach if attention in ("window", "chunked") else None,
                ffn_hidden=width,
            )
            for attention, feed_forward in zip(*_aligned(block, usual), strict=True)
        ]
    last = found[-1]
    return (*found, *n_mtp_layers * [replace(last, predicts_next=True)])


def _aligned(
    block: Layers, usual: FeedForward
) -> tuple[tuple[Attention, ...], tuple[FeedForward, ...]]:
    """Return attention and feed-forward network of each layer of a block, once."""
    attention = _each(block.attention)
    feed_forward = _each(block.feed_forward or usual)
    n = max(len(attention), len(feed_forward))
    return (
        attention if len(attention) == n else attention * n,
        feed_forward if len(feed_forward) == n else feed_forward * n,
    )


def _each(kinds: Kind | tuple[Kind, ...]) -> tuple[Kind, ...]:
    return kinds if isinstance(kinds, tuple) else (kinds,)
