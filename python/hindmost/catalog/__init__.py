"""The catalogue: GPUs, fabrics, models and presets, one TOML file each."""

from hindmost.catalog.entries import KINDS, Kind, fabric, gpu, model, names, text
from hindmost.catalog.schema import Basis, BasisKind, Dtype, Entry, Fabric, Gpu, Model, Transformer

__all__ = [
    "KINDS",
    "Basis",
    "BasisKind",
    "Dtype",
    "Entry",
    "Fabric",
    "Gpu",
    "Kind",
    "Model",
    "Transformer",
    "fabric",
    "gpu",
    "model",
    "names",
    "text",
]
