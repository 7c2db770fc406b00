"""Base class of the tables that scenarios and the catalogue consist of."""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Strict(BaseModel):
    """A frozen table that accepts known keys and finite numbers only.

    The string below a field describes it in the JSON Schema.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        defer_build=True,
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        # Pydantic's use_attribute_docstrings would read the sources at each import.
        schema = handler(core_schema)
        properties = handler.resolve_ref_schema(schema).get("properties", {})
        for key, text in _descriptions(cls).items():
            if key in properties:
                properties[key]["description"] = text
        return schema


def _descriptions(model: type[Strict]) -> dict[str, str]:
    """Return the strings below the fields of a model and of its base classes."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base is not Strict and issubclass(base, Strict):
            found |= _own_descriptions(base)
    return found


def _own_descriptions(model: type[Strict]) -> dict[str, str]:
    """Return the strings below the fields that a model defines itself."""
    try:
        source = inspect.getsource(model)
    except OSError:
        return {}
    (definition,) = ast.parse(textwrap.dedent(source)).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, below in itertools.pairwise(definition.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[key] = inspect.cleandoc(text)
    return found
