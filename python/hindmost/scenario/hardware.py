"""GPUs and fabrics of a scenario's own: whole, or as one of the catalogue with changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import (
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError

from hindmost import catalog
from hindmost.catalog.schema import Accelerator, Network
from hindmost.scenario.merge import merged
from hindmost.strict import Strict

Own = Mapping[str, Mapping[str, Any]]
"""A scenario's own GPUs, fabrics and models by kind and name: context of a validation."""


def known(kind: catalog.Kind, name: str, own: Own | None) -> str:
    """Return `name`, or refuse one that is neither in the catalogue nor the scenario's own."""
    names = [*(own or {}).get(kind, ()), *catalog.names(kind)]
    if name not in names and not (kind == "models" and name in catalog.ALIASES):
        context = {"value": name, "kind": kind, "known": names}
        raise PydanticCustomError("catalog", "must be one of the catalogue's {kind}", context)
    return name


class _Extends(Strict):
    """What may be an entry of the catalogue with changes."""

    _kind: ClassVar[catalog.Kind]

    extends: str | None = None
    """Name of the catalogue's entry whose values hold where this table has none."""

    @model_validator(mode="before")
    @classmethod
    def _lies_over_the_catalogues(cls, table: Any) -> Any:
        return _over(table, cls._kind)

    @field_validator("extends")
    @classmethod
    def _in_the_catalogue(cls, name: str | None) -> str | None:
        return name if name is None else known(cls._kind, name, None)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        # All keys may be those of the entry.
        handler.resolve_ref_schema(schema).pop("required", None)
        return schema


def _over(table: Any, kind: catalog.Kind) -> Any:
    """Return a table laid over the entry that it extends, if there is such a one."""
    if not isinstance(table, dict):
        return table
    base = table.get("extends")
    if not isinstance(base, str) or base not in catalog.names(kind):
        return table
    entry = catalog.gpu(base) if kind == "gpus" else catalog.fabric(base)
    return merged(entry.model_dump(exclude_none=True, exclude={"name", "title", "basis"}), table)


class OwnGpu(Accelerator, _Extends):
    """A type of GPU of the scenario's own."""

    _kind = "gpus"


class OwnFabric(Network, _Extends):
    """A network of the scenario's own."""

    _kind = "fabrics"


def own_of(table: Mapping[str, Any]) -> Own:
    """Return the GPUs, fabrics and models of a scenario's table, by kind and name.

    What is wrong with one is told where the table is validated; here it is None.
    """
    kinds: dict[str, type[Strict] | None] = {"gpus": OwnGpu, "fabrics": OwnFabric, "models": None}
    found: dict[str, dict[str, Any]] = {}
    for kind, schema in kinds.items():
        tables = table.get(kind)
        tables = tables if isinstance(tables, dict) else {}
        found[kind] = {name: _valid(schema, each) for name, each in tables.items()}
    return found


def _valid(schema: type[Strict] | None, table: Any) -> Any:
    if schema is None:
        return table
    try:
        return schema.model_validate(table)
    except ValidationError:
        return None


def own(kind: str, name: str, info: ValidationInfo) -> Any:
    """Return the own entry of a name in the context of a validation, if there is one."""
    return (info.context or {}).get(kind, {}).get(name)
