"""Rows of measured serving points: what a prediction may read of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hindmost import catalog
from hindmost.catalog import Dtype
from hindmost.errors import Problem, ScenarioError
from hindmost.serving.cycle import Load
from hindmost.serving.replica import Replica

LENGTH_SHARE = 0.9
"""Mean length over the greatest, in closed loops of which rows name the greatest: lengths are
uniform between 0.8 and 1 of it (InferenceX)."""
AT_ONCE = "all requests at once"
"""How rows begin to say that only memory bounds the batch."""
LEAST, MOST = 1e-6, 1e9
"""Numbers of a row, at least and at most."""
UNKNOWN_ENGINE = {"kv_bytes": 1.0, "pass_tokens": 8192, "memory_share": 0.9}
"""What is taken of an engine that is not in the catalogue."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a prediction reads of a measured point.

    Attributes
    ----------
    engine, model, gpu : str
        Names; that of the model is the catalogue's.
    replica : Replica
        The replica.
    load : Load
        Its requests.
    batch : float
        Sequences at once, as many as the load and the memory allow.
    asked : float
        Requests at once, of which others wait for a place.
    """

    engine: str
    model: str
    gpu: str
    replica: Replica
    load: Load
    batch: float
    asked: float


class NoRow(Exception):  # noqa: N818
    """Why a row is none that can be predicted."""


def tables(rows: Any) -> list[Mapping[str, Any]]:
    """Return rows as plain tables, whatever they were given as.

    Raises
    ------
    ScenarioError
        If they are neither a frame nor tables one after another.
    """
    found = rows
    if hasattr(rows, "iter_rows"):
        found = list(rows.iter_rows(named=True))
    elif hasattr(rows, "to_dict") and not isinstance(rows, Mapping):
        found = rows.to_dict("records")
    is_list = isinstance(found, Iterable) and not isinstance(found, Mapping | str | bytes)
    found = list(found) if is_list else None
    if found is None or not all(isinstance(row, Mapping) for row in found):
        requirement = "must be rows: a frame, or mappings from columns to values"
        raise ScenarioError([Problem(path="rows", requirement=requirement)])
    return found


def row_of(table: Mapping[str, Any]) -> Row:
    """Return what a prediction reads of a row.

    Raises
    ------
    NoRow
        With the reason why it cannot be predicted.
    """
    model = _name(table, "model")
    if model not in catalog.ALIASES and model not in catalog.names("models"):
        raise NoRow(f"model {model} is not in the catalogue")
    gpu, dtype = _name(table, "gpu"), _name(table, "precision")
    if gpu not in catalog.names("gpus"):
        raise NoRow(f"gpu {gpu} is not in the catalogue")
    if dtype not in ("bf16", "fp8", "fp4"):
        raise NoRow(f"precision {dtype} is none of bf16, fp8 and fp4")
    tensor, groups, n_gpus = (_count(table, key) for key in ("tensor", "attention_dp", "n_gpus"))
    expert = 1 if is_absent(table.get("expert")) else _count(table, "expert")
    if tensor * groups != n_gpus:
        raise NoRow(f"tensor x attention_dp is {tensor * groups}, and n_gpus {n_gpus}")
    found = catalog.model(model)
    if found.n_heads % tensor:
        raise NoRow(f"tensor must divide the {found.n_heads} heads, and is {tensor}")
    if groups > 1 and found.experts is None:
        raise NoRow(f"attention_dp is {groups}, and the model has no experts to divide")
    domain = catalog.gpu(gpu).domain_gpus
    if n_gpus > domain and (n_gpus % domain or catalog.gpu(gpu).nic_bytes_per_s is None):
        raise NoRow(f"n_gpus is {n_gpus}, and neither within a domain of {gpu} nor whole ones")
    engine = _name(table, "engine")
    of_engine = engine_figures(engine)
    replica = Replica(
        model=catalog.model(model),
        gpu=catalog.gpu(gpu),
        dtype=_dtype(dtype),
        tensor=tensor,
        attention_dp=groups,
        expert=expert,
        kv_bytes=of_engine["kv_bytes"],
    )
    concurrency = str(table.get("concurrency", "")).strip()
    is_closed = not concurrency.startswith(AT_ONCE)
    share = LENGTH_SHARE if is_closed else 1.0
    load = Load(
        input_tokens=share * number(table, "isl"),
        output_tokens=share * number(table, "osl"),
        pass_tokens=int(of_engine["pass_tokens"]),
    )
    fits = replica.sequences_that_fit(load.context, memory_share=of_engine["memory_share"])
    if fits < 1:
        raise NoRow("no sequence fits into memory beside the weights")
    at_once = number(table, "concurrency") if is_closed else fits
    return Row(
        engine=engine,
        model=catalog.ALIASES.get(model, model),
        gpu=gpu,
        replica=replica,
        load=load,
        batch=min(fits, at_once),
        asked=at_once,
    )


def engine_figures(name: str) -> dict[str, float]:
    """Return bytes of keys and values, tokens of a pass and share of memory of an engine."""
    if name not in catalog.names("engines"):
        return UNKNOWN_ENGINE
    engine = catalog.engine(name)
    return {key: getattr(engine, key) for key in UNKNOWN_ENGINE}


def _dtype(name: str) -> Dtype:
    found: dict[str, Dtype] = {"bf16": "bf16", "fp8": "fp8", "fp4": "fp4"}
    return found[name]


def is_absent(value: Any) -> bool:
    """Return whether a cell is empty."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _name(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    if is_absent(value):
        raise NoRow(f"{key} is missing")
    return str(value)


def number(table: Mapping[str, Any], key: str) -> float:
    """Return a number > 0 of a row; raises NoRow where there is none."""
    value = table.get(key)
    if is_absent(value):
        raise NoRow(f"{key} is missing")
    try:
        found = float(str(value))
    except ValueError:
        raise NoRow(f"{key} is {value}, which is no number") from None
    if not LEAST <= found <= MOST:
        raise NoRow(f"{key} must be between {LEAST:g} and {MOST:g}, and is {value}")
    return found


def _count(table: Mapping[str, Any], key: str) -> int:
    found = number(table, key)
    if found != int(found):
        raise NoRow(f"{key} must be a whole number, and is {table[key]}")
    return int(found)
