"""The catalogue: GPUs, fabrics, models, software stacks and presets, one TOML file each."""

from hindmost.catalog.encoder import Encoder
from hindmost.catalog.entries import ALIASES, KINDS, Kind, fabric, gpu, model, names, stack, text
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
    "Entry",
    "Experts",
    "Fabric",
    "Gpu",
    "Kind",
    "Layer",
    "Model",
    "Network",
    "Stack",
    "Transformer",
    "fabric",
    "gpu",
    "kinds_of_layers",
    "layers_of",
    "model",
    "names",
    "stack",
    "text",
]
