"""A serving replica: what each of its GPUs holds and multiplies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hindmost.catalog import Accelerator, Dtype, Layer, Transformer, kinds_of_layers
from hindmost.physics.experts import domains_met
from hindmost.physics.matrices import Matrix, attention_matrices, network_matrices
from hindmost.units import BF16_BYTES, FP32_BYTES

Numbers = NDArray[np.float64]

WEIGHT_BYTES: dict[Dtype, float] = {"bf16": 2.0, "fp8": 1.0, "fp4": 0.5 + 1 / 16}
"""Bytes of a weight: in FP4 with a scale of one byte for each 16 (NVFP4)."""
WIDER: dict[Dtype, Dtype] = {"fp4": "fp8", "fp8": "bf16"}
"""The next wider format, in which a GPU computes that has no units for a format."""
ASSUMED_EFFICIENCY = 0.75
"""Kernel efficiency of a GPU of which none was measured in any format."""
BANDWIDTH_SHARE = 0.8
"""Share of the memory's rate that reading weights, keys and values reaches: AIConfigurator's
mem_bw_empirical_scaling_factor of all its systems."""


MEASURED_GROUPS = 8
"""Groups of attention up to which rows say what waiting for each other costs."""


class Product(NamedTuple):
    """A matrix product of one GPU, in each of some layers."""

    n: int
    """Layers that have it."""
    parameters: float
    """Parameters that the GPU holds of it, those of all of its experts together."""
    share: float
    """Share of the replica's tokens that the GPU multiplies each parameter with."""
    experts: tuple[int, int] | None
    """Experts that a router picks for a token, and all of them; None for what every token uses."""
    dtype: Dtype
    """Format of the parameters."""

    def read_share(self, tokens: Numbers) -> Numbers:
        """Return the share of the parameters that some tokens need.

        Notes
        -----
        Of E experts of which each token needs k, any with equal probability, that is
        ``1 - (1 - k / E) ** tokens``.
        """
        if self.experts is None:
            return np.ones_like(tokens)
        picked, all_of_them = self.experts
        return 1.0 - (1.0 - picked / all_of_them) ** tokens


class Cache(NamedTuple):
    """Keys of one GPU, with or without values, in each of some layers."""

    n: int
    """Layers that have them."""
    width: float
    """Numbers that the GPU keeps of a token."""
    scores: float
    """FLOPs of the GPU for each pair of a token and one that it attends to."""
    prompt_scores: float
    """FLOPs of such a pair in a prompt, for which latent attention makes keys and values first."""
    keeps: int | None
    """Tokens of a sequence that are kept, at most."""
    reads: int | None
    """Tokens that a token attends to, at most."""

    def kept(self, context: float) -> float:
        """Return the tokens that are kept of a sequence of so many."""
        return context if self.keeps is None else min(context, self.keeps)

    def read(self, context: float) -> float:
        """Return the tokens that one with so many before it attends to."""
        return context if self.reads is None else min(context, self.reads)


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One serving copy of a model, on GPUs of one domain or of several whole ones.

    Attributes
    ----------
    model : Transformer
        The model.
    gpu : Accelerator
        Its type of GPU.
    dtype : str
        Format of the weights of layers: ``bf16``, ``fp8`` or ``fp4``. A GPU without units for it
        reads weights in it, and computes in the next wider format that it has.
    tensor : int
        GPUs that divide attention among them.
    attention_dp : int
        Groups of such GPUs, each with requests of its own; all of them divide feed-forward
        networks and experts.
    expert : int
        Ranks that divide the experts of a layer, each expert whole or divided by the GPUs of a
        rank. Routing is taken as even, so it changes no time here.
    kv_bytes : float
        Bytes of one number of keys and values.
    """

    model: Transformer
    gpu: Accelerator
    dtype: Dtype
    tensor: int = 1
    attention_dp: int = 1
    expert: int = 1
    kv_bytes: float = 1.0

    @property
    def n_gpus(self) -> int:
        """GPUs of the replica."""
        return self.tensor * self.attention_dp

    @property
    def layers_in_step(self) -> int:
        """Layers of a pass, counted as often as groups of attention wait for each other in them.

        Rows of one to eight groups take a layer's seconds once for each group; more than eight
        are taken as eight.
        """
        return self.model.n_layers * min(self.attention_dp, MEASURED_GROUPS)

    @property
    def n_domains(self) -> int:
        """Domains that it fills, or 1 that it is a part of."""
        return max(1, self.n_gpus // self.gpu.domain_gpus)

    @property
    def domains_met(self) -> float:
        """Domains of the replica that a token goes to, on average."""
        experts = self.model.experts
        return 1.0 if experts is None else domains_met(experts, self.n_domains)

    @cached_property
    def products(self) -> tuple[Product, ...]:
        """Products of the layers; the output layer is `output`."""
        model, found = self.model, []
        for layer, n in kinds_of_layers(model, range(model.n_layers)):
            for one in attention_matrices(model, layer):
                found.append(self._product(n, one, self.tensor, 1 / self.attention_dp))
            if layer.feed_forward == "dense":
                found += self._networks(n, layer.ffn_hidden)
            elif layer.feed_forward == "experts":
                experts = model.experts
                assert experts is not None
                found += self._networks(n, experts.shared_hidden)
                picked = experts.per_token, experts.n_experts
                for one in network_matrices(model, experts.ffn_hidden):
                    held = experts.n_experts * one.parameters / self.n_gpus
                    share = experts.per_token / experts.n_experts
                    found.append(Product(n, held, share, picked, self.dtype))
        return tuple(found)

    def _product(self, n: int, one: Matrix, ranks: int, share: float) -> Product:
        return Product(n, one.parameters / ranks, share, None, self.dtype)

    def _networks(self, n: int, width: int) -> list[Product]:
        matrices = network_matrices(self.model, width)
        return [self._product(n, one, self.n_gpus, 1.0) for one in matrices]

    @cached_property
    def output(self) -> Product:
        """The output layer, which stays in BF16."""
        parameters = self.model.vocabulary * self.model.hidden / self.n_gpus
        return Product(1, parameters, 1.0, None, "bf16")

    @cached_property
    def caches(self) -> tuple[Cache, ...]:
        """Keys and values of the layers that have any."""
        layers = kinds_of_layers(self.model, range(self.model.n_layers))
        return tuple(one for layer, n in layers for one in self._caches(layer, n))

    def _caches(self, layer: Layer, n: int) -> list[Cache]:
        if layer.attention not in ("full", "window", "chunked", "sparse"):
            return []
        model, heads = self.model, self.model.n_heads / self.tensor
        keeps, reads, found = layer.reach, layer.reach, []
        if layer.attention == "sparse":
            # The indexer scores all keys of its own, on every GPU, and few others are read.
            indexer = model.indexer
            assert indexer is not None
            keeps, reads = None, indexer.top_k
            scores = 2.0 * indexer.n_heads * indexer.head_dim
            found.append(Cache(n, float(indexer.head_dim), scores, scores, None, None))
        both = model.head_dim + model.value_head_dim
        if model.latent is None:
            # Each GPU has whole heads of keys and values: some have copies of the same ones.
            width = float(math.ceil(model.n_kv_heads / self.tensor) * both)
            return [*found, Cache(n, width, 2 * heads * both, 2 * heads * both, keeps, reads)]
        # All heads read one vector, which every GPU keeps (DeepSeek-V2, arXiv 2405.04434).
        vector = model.latent.kv_rank + model.latent.rope_head_dim
        absorbed = 2 * heads * (vector + model.latent.kv_rank)
        return [*found, Cache(n, float(vector), absorbed, 2 * heads * both, keeps, reads)]

    @cached_property
    def state_bytes(self) -> float:
        """Bytes of a GPU for each sequence: states of linear attention and such, in FP32."""
        model, numbers = self.model, 0.0
        for layer, n in kinds_of_layers(model, range(model.n_layers)):
            if layer.attention == "linear" and model.linear is not None:
                numbers += n * model.linear.values * model.linear.key_head_dim
            if layer.attention == "state-space" and model.state_space is not None:
                numbers += n * model.state_space.inner * model.state_space.state
        return numbers / self.tensor * FP32_BYTES

    def sequence_bytes(self, context: float) -> float:
        """Return the bytes that a GPU keeps of a sequence with so many tokens."""
        numbers = sum(one.n * one.width * one.kept(context) for one in self.caches)
        return self.kv_bytes * numbers + self.state_bytes

    @cached_property
    def weight_bytes(self) -> float:
        """Bytes of the weights that a GPU holds, embeddings included."""
        layers = sum(one.n * one.parameters * WEIGHT_BYTES[one.dtype] for one in self.products)
        embeddings = 1 if self.model.tied else 2
        return layers + embeddings * self.output.parameters * BF16_BYTES

    def sequences_that_fit(self, context: float, *, memory_share: float) -> float:
        """Return how many sequences of so many tokens fit into a replica's memory; 0 for none.

        Parameters
        ----------
        context
            Tokens of a sequence, on average.
        memory_share
            Share of the memory beside the weights that keys and values may take.
        """
        room = memory_share * (self.gpu.memory_bytes - self.weight_bytes)
        of_group = max(0.0, room / self.sequence_bytes(context))
        # A group of several has whole sequences of its own.
        return of_group if self.attention_dp == 1 else self.attention_dp * float(int(of_group))

    @cached_property
    def bytes_per_s(self) -> float:
        """Rate at which a GPU reads its memory."""
        rate = self.gpu.hbm_bytes_per_s
        assert rate is not None
        return BANDWIDTH_SHARE * rate

    def flop_per_s(self, dtype: Dtype) -> float:
        """Return the rate of products in a format, or the next wider one that the GPU has."""
        dtype = self.computed_in(dtype)
        peak, efficiency = self.gpu.peak_flop_per_s(dtype), self.efficiency(dtype)
        assert peak is not None
        return peak * efficiency

    def computed_in(self, dtype: Dtype) -> Dtype:
        """Return the format in which the GPU computes with weights of a format."""
        while self.gpu.peak_flop_per_s(dtype) is None:
            dtype = WIDER[dtype]
        return dtype

    def efficiency(self, dtype: Dtype) -> float:
        """Return the kernel efficiency in a format, or in the next wider one that was measured."""
        while self.gpu.kernel_efficiency_of(dtype) is None:
            if dtype == "bf16":
                return ASSUMED_EFFICIENCY
            dtype = WIDER[dtype]
        return self.gpu.kernel_efficiency_of(dtype) or ASSUMED_EFFICIENCY

    @cached_property
    def assumed(self) -> tuple[str, ...]:
        """What is assumed of the GPU, in words, because nobody has published it."""
        found = []
        dtype = self.computed_in(self.dtype)
        if self.gpu.kernel_efficiency_of(dtype) is None:
            others = [one for one in ("fp8", "bf16") if self.gpu.kernel_efficiency_of(one)]
            of = f"that of {others[0]}" if others else f"{ASSUMED_EFFICIENCY:g}"
            found.append(f"kernel efficiency of {dtype}: {of}")
        if self.n_gpus > 1 and self.gpu.all_reduce is None:
            found.append("small all-reduces: 5 us, and the links' rate")
        if self.attention_dp > MEASURED_GROUPS:
            found.append(f"groups of attention beyond {MEASURED_GROUPS} wait no longer in a layer")
        if self.n_domains > 1:
            found.append("between domains: 14 us a hop, and the ports' rate")
        return tuple(found)
