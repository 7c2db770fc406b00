"""The catalogue, one TOML file each: GPUs, fabrics, models, software, prices and presets."""

from hindmost.catalog.costs import Ownership, Prices, Range, Whose, as_range
from hindmost.catalog.encoder import Encoder
from hindmost.catalog.entries import (
    ALIASES,
    KINDS,
    Kind,
    engine,
    fabric,
    gpu,
    model,
    names,
    ownership,
    prices,
    stack,
    text,
)
from hindmost.catalog.schema import (
    Accelerator,
    Basis,
    BasisKind,
    Beyond,
    Dtype,
    Entry,
    Fabric,
    Gpu,
    Network,
)
from hindmost.catalog.serving import Engine, Software
from hindmost.catalog.software import Efficiency, Stack
from hindmost.catalog.transformer import (
    Experts,
    Layer,
    Model,
    Transformer,
    kinds_of_layers,
    layers_of,
)

__all__ = [
    "ALIASES",
    "KINDS",
    "Accelerator",
    "Basis",
    "BasisKind",
    "Beyond",
    "Dtype",
    "Efficiency",
    "Encoder",
    "Engine",
    "Entry",
    "Experts",
    "Fabric",
    "Gpu",
    "Kind",
    "Layer",
    "Model",
    "Network",
    "Ownership",
    "Prices",
    "Range",
    "Software",
    "Stack",
    "Transformer",
    "Whose",
    "as_range",
    "engine",
    "fabric",
    "gpu",
    "kinds_of_layers",
    "layers_of",
    "model",
    "names",
    "ownership",
    "prices",
    "stack",
    "text",
]
