"""``hindmost schema``: JSON Schemas of what goes in and what comes out."""

from __future__ import annotations

import json

import click

from hindmost.cli.options import debug_option, echo_data

DOCUMENTS = ("scenario", "result")


@click.command()
@click.argument("kind", type=click.Choice(DOCUMENTS), default="scenario")
@debug_option
def schema(kind: str) -> None:
    """Print the JSON Schema of a scenario file, or of a result.

    KIND is scenario by default; result is what `run --format json` prints and `run -o FILE.json`
    writes.
    """
    table = _result() if kind == "result" else _scenario()
    echo_data(json.dumps(table, indent=2, allow_nan=False) + "\n")


def _scenario() -> dict[str, object]:
    from hindmost.scenario.file_schema import file_schema

    return file_schema()


def _result() -> dict[str, object]:
    from hindmost.report.result_schema import result_schema

    return result_schema()
