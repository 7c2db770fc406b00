"""Entries of the catalogue, each read when it is first needed."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal, TypeVar, get_args

from hindmost.catalog.costs import Ownership, Prices
from hindmost.catalog.counting import Convention
from hindmost.catalog.schema import Fabric, Gpu, Named
from hindmost.catalog.serving import Engine
from hindmost.catalog.software import Stack
from hindmost.catalog.transformer import Model

Kind = Literal[
    "gpus",
    "fabrics",
    "models",
    "stacks",
    "engines",
    "prices",
    "ownership",
    "conventions",
    "presets",
]
"""A folder of the catalogue."""

KINDS: tuple[Kind, ...] = get_args(Kind)
"""All folders, in the order in which they are listed."""

ALIASES = {
    "deepseek-r1": "deepseek-v3",
    "llama-3.3-70b": "llama3-70b",
    "llama-4-maverick": "llama4-maverick",
    "llama-4-scout": "llama4-scout",
    "llama-3.1-405b": "llama3-405b",
    "llama-3.1-70b": "llama3-70b",
    "llama-3.1-8b": "llama3-8b",
    "llama3.1-405b": "llama3-405b",
    "llama3.1-70b": "llama3-70b",
    "llama3.1-8b": "llama3-8b",
    "llama3.3-70b": "llama3-70b",
    "qwen3-235b-a22b": "qwen3-235b",
    "qwen3-30b-a3b": "qwen3-30b",
}
"""Other names of models, by which they are found and not listed."""

AnyEntry = TypeVar("AnyEntry", bound=Named)


@cache
def gpu(name: str) -> Gpu:
    """Return the GPU called `name`; raises KeyError if there is none."""
    return _parsed("gpus", name, Gpu)


@cache
def fabric(name: str) -> Fabric:
    """Return the fabric called `name`; raises KeyError if there is none."""
    return _parsed("fabrics", name, Fabric)


@cache
def model(name: str) -> Model:
    """Return the model called `name`; raises KeyError if there is none."""
    return _parsed("models", ALIASES.get(name, name), Model)


@cache
def stack(name: str) -> Stack:
    """Return the software stack called `name`; raises KeyError if there is none."""
    return _parsed("stacks", name, Stack)


@cache
def engine(name: str) -> Engine:
    """Return the serving engine called `name`; raises KeyError if there is none."""
    return _parsed("engines", name, Engine)


@cache
def prices(name: str) -> Prices:
    """Return the prices called `name`; raises KeyError if there are none."""
    return _parsed("prices", name, Prices)


@cache
def ownership(name: str) -> Ownership:
    """Return what owning GPUs takes by `name`; raises KeyError if there is no such entry."""
    return _parsed("ownership", name, Ownership)


@cache
def convention(name: str) -> Convention:
    """Return the convention of the tool called `name`; raises KeyError if there is none."""
    return _parsed("conventions", name, Convention)


@cache
def names(kind: Kind) -> tuple[str, ...]:
    """Return the names of all entries of one kind, in alphabetical order."""
    found = (file.name for file in _folder(kind).iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in found if name.endswith(".toml")))


def text(kind: Kind, name: str) -> str:
    """Return the TOML text of an entry; raises KeyError if there is none."""
    name = ALIASES.get(name, name) if kind == "models" else name
    if name not in names(kind):
        raise KeyError(name)
    return (_folder(kind) / f"{name}.toml").read_text(encoding="utf-8")


@cache
def _folder(kind: Kind) -> Traversable:
    return resources.files("hindmost.catalog") / kind


def _parsed(kind: Kind, name: str, schema: type[AnyEntry]) -> AnyEntry:
    table: dict[str, Any] = tomllib.loads(text(kind, name))
    entry = schema.model_validate(table)
    if entry.name != name:
        raise ValueError(f"{kind}/{name}.toml has the name {entry.name!r}")
    return entry
