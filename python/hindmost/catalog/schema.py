"""What a catalogue entry holds, and on what each of its numbers rests."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hindmost.cause import Cause
from hindmost.strict import Strict

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Share = Annotated[float, Field(gt=0, le=1)]

BasisKind = Literal["quoted", "secondary", "computed", "assumed"]


class Basis(Strict):
    """Where a number comes from."""

    kind: BasisKind
    """quoted (read in the source), secondary (somebody's notes on it), computed
    (derived from published data) or assumed."""
    where: str
    """The source, or the derivation."""


class Entry(Strict):
    """A catalogue entry: one TOML file."""

    name: str
    """Name in scenarios; the file's name."""
    title: str
    """Name for people."""
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
        elif isinstance(value, int | float):
            paths.add(f"{prefix}{key}")
    return paths


class Gpu(Entry):
    """A type of GPU, with the host and the scale-up domain that it comes in."""

    peak_bf16_flop_per_s: Positive
    """Dense BF16 peak, in FLOP/s."""
    kernel_efficiency: Share
    """Share of the peak that the best measured matrix product reaches."""
    memory_bytes: Positive
    """Memory of one GPU, in bytes."""
    scale_up_bytes_per_s: Positive
    """Usable bandwidth to the other GPUs of the domain, one direction, in B/s."""
    scale_up_latency_s: Annotated[float, Field(ge=0)]
    """Latency of one hop inside of the domain, in seconds."""
    nic_bytes_per_s: Positive
    """Line rate of the network port of one GPU, one direction, in B/s."""
    node_gpus: Count
    """GPUs of one host."""
    domain_gpus: Count
    """GPUs behind one scale-up switch."""


class Fabric(Entry):
    """A concrete network; a shared one is another fabric, not a flag."""

    port_bytes_per_s: Positive
    """Line rate of one port, one direction, in B/s."""
    bandwidth_efficiency: Share
    """Share of the line rate that large transfers reach."""
    latency_s: Annotated[float, Field(ge=0)]
    """Latency of one hop between nodes, in seconds."""
    noise: Cause
    """What slows a port for the whole of a collective."""


class Model(Entry):
    """A dense transformer with grouped-query attention and a gated product."""

    n_layers: Count
    """Transformer layers."""
    hidden: Count
    """Width of the residual stream."""
    n_heads: Count
    """Query heads."""
    n_kv_heads: Count
    """Key and value heads."""
    head_dim: Count
    """Width of one head."""
    ffn_hidden: Count
    """Width of the gated product."""
    vocabulary: Count
    """Tokens of the vocabulary; input and output embeddings are not tied."""
