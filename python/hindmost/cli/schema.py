"""``hindmost schema``: what a scenario may hold."""

from __future__ import annotations

import json
from typing import Any

import click

from hindmost.cli.options import debug_option, echo_data


@click.command()
@debug_option
def schema() -> None:
    """Print the JSON Schema of a scenario."""
    from hindmost.scenario import Scenario

    table = Scenario.model_json_schema()
    table["properties"]["extends"] = {
        "type": "array",
        "items": {"type": "string"},
        "description": "Presets or relative paths of files that this one is laid over, in order.",
    }
    echo_data(json.dumps(_without_required(table), indent=2) + "\n")


def _without_required(schema: Any) -> Any:
    """Return a schema that leaves to what a file extends whatever it does not hold."""
    if isinstance(schema, dict):
        return {key: _without_required(value) for key, value in schema.items() if key != "required"}
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    return schema
