"""The catalogue: GPUs, fabrics, models and presets, one TOML file each."""

from hindmost.catalog.encoder import Encoder
from hindmost.catalog.entries import ALIASES, KINDS, Kind, fabric, gpu, model, names, text
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
    "Encoder",
    "Entry",
    "Experts",
    "Fabric",
    "Gpu",
    "Kind",
    "Layer",
    "Model",
    "Network",
    "Transformer",
    "fabric",
    "gpu",
    "kinds_of_layers",
    "layers_of",
    "model",
    "names",
    "text",
]
