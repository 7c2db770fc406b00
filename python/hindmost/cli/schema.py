"""``hindmost schema``: what a scenario may hold."""

from __future__ import annotations

import json

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
    # A file's stem stands for a name that is not given.
    table["required"].remove("name")
    echo_data(json.dumps(table, indent=2) + "\n")
