"""Fields of catalogue entries, and the basis of their numbers."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, model_validator

from hindmost.cause import Cause
from hindmost.law import Law, domain_error
from hindmost.strict import Strict

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
NoneOrMore = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(gt=0, le=1)]

Dtype = Literal["bf16", "fp8", "fp4"]
"""Number format of matrix products."""

BasisKind = Literal["quoted", "secondary", "computed", "measured", "assumed"]


class Basis(Strict):
    """Where a number comes from."""

    kind: BasisKind
    """quoted (read in the source), secondary (a report about the source), computed
    (derived from published data), measured (fitted to a log of your own) or assumed."""
    where: str
    """The source, the derivation or the reason."""


class Named(Strict):
    """A catalogue entry: one TOML file."""

    name: str
    """Name in scenarios, which is also the file's name."""
    title: str
    """Full name."""


class Entry(Named):
    """A catalogue entry whose numbers have a basis each."""

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
    """Return the key paths of all numbers in `table`, and those of lists of tables."""
    paths: set[str] = set()
    for key, value in table.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, dict):
            paths |= _paths(value, f"{prefix}{key}.")
        elif is_number or (isinstance(value, list | tuple) and isinstance(value[0], dict)):
            paths.add(f"{prefix}{key}")
    return paths


Ascending = Annotated[tuple[Positive, ...], Field(min_length=2, strict=False)]
"""Numbers of a list, each greater than the one before."""


class AllReduce(Strict):
    """What all-reduces of small messages within one domain were measured to take."""

    gpus: Annotated[int, Field(ge=2, lt=2**31)]
    """GPUs that take part."""
    bytes: Ascending
    """Bytes of each GPU's numbers, one message after another."""
    seconds: Annotated[tuple[Positive, ...], Field(strict=False)]
    """Seconds, message by message."""

    @model_validator(mode="after")
    def _is_a_curve(self) -> AllReduce:
        if any(low >= high for low, high in pairwise(self.bytes)):
            raise domain_error("bytes", list(self.bytes), "in ascending order")
        if len(self.seconds) != len(self.bytes):
            requirement = f"as many as bytes ({len(self.bytes)})"
            raise domain_error("seconds", list(self.seconds), requirement)
        return self


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
    attention_efficiency: Share | None = None
    """Share of the BF16 peak that measured attention scores reach, both passes together."""
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
    all_reduce: Annotated[tuple[AllReduce, ...], Field(min_length=1, strict=False)] | None = None
    """Small all-reduces within a domain, by GPUs that take part, as they were measured."""

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
