"""JSON Schema of scenario files."""

from __future__ import annotations

from typing import Any

from hindmost.scenario.models import Scenario


def file_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file.

    No key is required, because what a file lacks may come from the files that it extends.
    """
    schema = Scenario.model_json_schema()
    schema["properties"]["extends"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Presets or relative paths of files that this one is laid over, in order.",
    }
    found: dict[str, Any] = _without_required(schema)
    return found


def _without_required(schema: Any) -> Any:
    """Return a schema without the lists of required keys."""
    if isinstance(schema, dict):
        return {key: _without_required(value) for key, value in schema.items() if key != "required"}
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    return schema
