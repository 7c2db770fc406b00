"""``hindmost model``: what a model is."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import models as complete_models
from hindmost.cli.options import (
    debug_option,
    echo_data,
    format_option,
)

AT_LEAST_ONE = click.IntRange(min=1)


@click.command()
@click.argument("name", metavar="NAME|FILE", shell_complete=complete_models)
@click.option(
    "--seq-len", type=AT_LEAST_ONE, default=4096, show_default=True, help="Tokens of a sequence."
)
@click.option(
    "--attention",
    type=click.Choice(["causal", "full"]),
    default="causal",
    show_default=True,
    help="Scores that count: the causal half, or all.",
)
@click.option(
    "--gpus", type=AT_LEAST_ONE, default=8, show_default=True, help="GPUs that hold the model."
)
@click.option("--tensor", type=AT_LEAST_ONE, default=1, show_default=True, help="Tensor ranks.")
@click.option("--pipeline", type=AT_LEAST_ONE, default=1, show_default=True, help="Stages.")
@click.option("--context", type=AT_LEAST_ONE, default=1, show_default=True, help="Context ranks.")
@click.option("--expert", type=AT_LEAST_ONE, default=1, show_default=True, help="Expert ranks.")
@click.option(
    "--sharding",
    type=click.Choice(["none", "zero1", "zero2", "zero3"]),
    default="zero3",
    show_default=True,
    help="States that data-parallel ranks divide.",
)
@click.option(
    "--microbatch-seqs",
    type=AT_LEAST_ONE,
    default=1,
    show_default=True,
    help="Sequences of a microbatch.",
)
@click.option(
    "--recompute",
    type=click.Choice(["none", "selective", "full"]),
    default="none",
    show_default=True,
    help="Activations that are computed again.",
)
@format_option("; CSV holds the parts alone")
@debug_option
def model(name: str, style: str, **call: Any) -> None:
    """Print parameters, FLOPs a token and memory a GPU of a model.

    NAME is a model of the catalogue, FILE a released config.json. No code of a model is run.
    """
    from hindmost.analyses.model_summary import model_summary
    from hindmost.report import render_model

    echo_data(render_model(model_summary(name, **call), style))
