"""Fields of catalogue entries, and the basis of their numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hindmost.cause import Cause
from hindmost.law import Law, domain_error
from hindmost.strict import Strict

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
MAX_LAYERS = 65_536
"""Layers of a model, at most."""
NoneOrMore = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(gt=0, le=1)]

Dtype = Literal["bf16", "fp8", "fp4"]
"""Number format of matrix products."""

BasisKind = Literal["quoted", "secondary", "computed", "assumed"]


class Basis(Strict):
    """Where a number comes from."""

    kind: BasisKind
    """quoted (read in the source), secondary (a report about the source), computed
    (derived from published data) or assumed."""
    where: str
    """The source, the derivation or the reason."""


class Entry(Strict):
    """A catalogue entry: one TOML file."""

    name: str
    """Name in scenarios, which is also the file's name."""
    title: str
    """Full name."""
    basis: dict[str, Basis]
    """Basis of every number, by key path."""

    @model_validator(mode="after")
    def _every_number_has_a_basis(self) -> Entry:
        plain = {"name", "title", "basis"}
        numbers = _paths(self.model_dump(exclude=plain, exclude_unset=True))
        if numbers != set(self.basis):
            missing, unused = numbers - set(self.basis), set(self.basis) - numbers
            raise ValueError(f"basis missing for {sorted(missing)}, unused for {sorted(unused)}")
        return self


def _paths(table: dict[str, object], prefix: str = "") -> set[str]:
    """Return the key paths of all numbers in `table`."""
    paths: set[str] = set()
    for key, value in table.items():
        if isinstance(value, dict):
            paths |= _paths(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            paths.add(f"{prefix}{key}")
    return paths


class Accelerator(Strict):
    """A type of GPU, with the host and the scale-up domain that it comes in.

    Figures that have not been published are absent; a scenario that needs one must set it.
    """

    architecture: Literal["ampere", "hopper", "blackwell"] | None = None
    """Generation, as NCCL's tables name it; absent where NCCL does not run."""
    peak_bf16_flop_per_s: Positive
    """Dense BF16 peak, in FLOP/s."""
    peak_fp8_flop_per_s: Positive | None = None
    """Dense FP8 peak, in FLOP/s."""
    peak_fp4_flop_per_s: Positive | None = None
    """Dense FP4 peak, in FLOP/s."""
    kernel_efficiency: Share | None = None
    """Share of the BF16 peak that the best measured matrix product reaches."""
    kernel_efficiency_fp8: Share | None = None
    """Share of the FP8 peak that the best measured matrix product reaches."""
    kernel_efficiency_fp4: Share | None = None
    """Share of the FP4 peak that the best measured matrix product reaches."""
    memory_bytes: Positive
    """Memory of one GPU, in bytes."""
    hbm_bytes_per_s: Positive | None = None
    """Bandwidth of that memory, in B/s."""
    scale_up_bytes_per_s: Positive
    """Usable bandwidth to the other GPUs of the domain, one direction, in B/s."""
    scale_up_latency_s: NotNegative | None = None
    """Latency of one hop within the domain, in seconds."""
    nic_bytes_per_s: Positive | None = None
    """Line rate of the network port of one GPU, one direction, in B/s."""
    node_gpus: Count
    """GPUs of one host."""
    domain_gpus: Count
    """GPUs behind one scale-up switch."""
    peak_power_w: Positive | None = None
    """Greatest power of one GPU at work, in watts."""
    idle_power_w: NotNegative | None = None
    """Power of one idle GPU, in watts."""

    def peak_flop_per_s(self, dtype: Dtype) -> float | None:
        """Return the dense peak of a number format, in FLOP/s, if the GPU has the format."""
        peaks = {
            "bf16": self.peak_bf16_flop_per_s,
            "fp8": self.peak_fp8_flop_per_s,
            "fp4": self.peak_fp4_flop_per_s,
        }
        return peaks[dtype]

    def kernel_efficiency_of(self, dtype: Dtype) -> float | None:
        """Return the kernel efficiency of a number format, if it was measured."""
        efficiencies = {
            "bf16": self.kernel_efficiency,
            "fp8": self.kernel_efficiency_fp8,
            "fp4": self.kernel_efficiency_fp4,
        }
        return efficiencies[dtype]


class Gpu(Accelerator, Entry):
    """A published type of GPU."""


class Beyond(Strict):
    """The second tier of a network: between pods, slices or sites."""

    gpus: Count
    """GPUs below it, in consecutive domains over the pools in order."""
    bytes_per_s: Positive
    """Line rate to the rest, for each GPU and one direction, in B/s."""
    latency_s: NotNegative
    """Latency of one hop to the rest, in seconds."""


class Network(Strict):
    """A concrete network; a network shared with other jobs is a fabric of its own."""

    kind: Literal["switched", "torus"] = "switched"
    """switched: ports into switches; torus: links to the next ranks along each dimension."""
    port_bytes_per_s: Positive | None = None
    """Line rate of one port of a network with switches, one direction, in B/s."""
    links: Count | None = None
    """Links of each chip of a torus, two for each dimension."""
    link_bytes_per_s: Positive | None = None
    """Line rate of one link of a torus, one direction, in B/s."""
    bandwidth_efficiency: Share
    """Share of the line rate that large transfers reach."""
    latency_s: Annotated[float, Field(ge=0)]
    """Latency of one hop between nodes, in seconds."""
    oversubscription: Annotated[float, Field(ge=1)] | None = None
    """Rate of the ports of tier_domains domains over the rate that they have to the rest."""
    tier_domains: Count | None = None
    """Consecutive domains below the switches that are oversubscribed."""
    beyond: Beyond | None = None
    """The second tier, between pods, slices or sites; none where all is one network."""
    noise: Cause | None = None
    """Cause that slows a port for a whole collective; none where nothing does."""
    hop_noise: Law | None = None
    """Law of one hop's latency over its nominal latency, where it is known."""

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> Network:
        of_switches = ("port_bytes_per_s", "oversubscription", "tier_domains")
        of_torus = ("links", "link_bytes_per_s")
        is_torus = self.kind == "torus"
        needed = of_torus if is_torus else ("port_bytes_per_s",)
        absent, why = (
            (of_switches, "links, each of link_bytes_per_s")
            if is_torus
            else (of_torus, "ports, each of port_bytes_per_s")
        )
        for key in absent:
            if getattr(self, key) is not None:
                requirement = f"absent: a {self.kind} fabric has {why}"
                raise domain_error(key, getattr(self, key), requirement)
        for key in needed:
            if getattr(self, key) is None:
                raise domain_error(key, None, f"given: the fabric is {self.kind}")
        if self.links is not None and self.links % 2:
            raise domain_error("links", self.links, "even: two for each dimension")
        if (self.oversubscription is None) != (self.tier_domains is None):
            given, missing = "oversubscription", "tier_domains"
            if self.oversubscription is None:
                given, missing = missing, given
            raise domain_error(missing, None, f"given where {given} is")
        return self


class Fabric(Network, Entry):
    """A published network."""

    noise: Cause
    """Cause that slows a port for a whole collective."""


class Latent(Strict):
    """Latent attention: queries, and keys with values, come from vectors of lower width."""

    q_rank: Count
    """Width of the vector that queries come from."""
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
    """Experts of the same width that process every token."""
    n_dense_layers: NoneOrMore = 0
    """First layers, which have one dense feed-forward network instead."""
    n_groups: Count | None = None
    """Groups of the experts of a layer that the router tells apart, as many experts in each; by
    default those of one domain are a group."""
    node_limit: Count | None = None
    """Groups from which the router picks for a token, at most; all by default."""

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


class Transformer(Strict):
    """Dimensions of a transformer with grouped queries and one output layer."""

    n_layers: Annotated[int, Field(ge=1, le=MAX_LAYERS)]
    """Transformer layers."""
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
    """Greatest number of tokens that a token attends to; the whole sequence by default."""
    latent: Latent | None = None
    """Latent attention, where it is used; every head then has keys and values."""
    experts: Experts | None = None
    """Mixture of experts."""

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

    @property
    def value_head_dim(self) -> int:
        """Width of one head's values."""
        return self.v_head_dim or self.head_dim


class Model(Transformer, Entry):
    """A published transformer."""
