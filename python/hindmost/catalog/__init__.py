"""The catalogue: GPUs, fabrics, models and presets, one TOML file each."""

from hindmost.catalog.entries import KINDS, Kind, fabric, gpu, model, names, text
from hindmost.catalog.schema import (
    Accelerator,
    Basis,
    BasisKind,
    Beyond,
    Dtype,
    Entry,
    Experts,
    Fabric,
    Gpu,
    Model,
    Network,
    Transformer,
)

__all__ = [
    "KINDS",
    "Accelerator",
    "Basis",
    "BasisKind",
    "Beyond",
    "Dtype",
    "Entry",
    "Experts",
    "Fabric",
    "Gpu",
    "Kind",
    "Model",
    "Network",
    "Transformer",
    "fabric",
    "gpu",
    "model",
    "names",
    "text",
]
