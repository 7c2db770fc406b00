"""``hindmost collective``: what one collective costs by itself."""

from __future__ import annotations

from typing import Any

import click

from hindmost.cli.completion import of_kind, one_of
from hindmost.cli.options import (
    debug_option,
    echo_data,
    format_option,
    parsed_plots,
    parsed_settings,
    plot_option,
    write_plots,
)

OPERATIONS = ("all-reduce", "reduce-scatter", "all-gather", "all-to-all")


@click.command(short_help="Time and bus bandwidth of one collective, by algorithm.")
@click.argument("operation", shell_complete=one_of(*OPERATIONS))
@click.option(
    "--gpus",
    required=True,
    metavar="N[,N...]",
    help="Numbers of GPUs that do it together: at most those of a domain, or whole domains.",
)
@click.option(
    "--bytes",
    "n_bytes",
    required=True,
    metavar="SIZE[,SIZE...]",
    help="Bytes of a GPU, such as 1MiB or 1GB, as nccl-tests count them: before an all-reduce or "
    "a reduce-scatter, after an all-gather, sent in an all-to-all.",
)
@click.option(
    "--algorithm",
    "algorithms",
    metavar="NAME[,NAME...]",
    help="hierarchical, ring, tree, pat, direct or torus.  [default: all that do it there]",
)
@click.option(
    "--gpu",
    required=True,
    metavar="NAME",
    shell_complete=of_kind("gpus"),
    help="GPU of the catalogue, or of --set gpus.NAME.",
)
@click.option(
    "--fabric",
    required=True,
    metavar="NAME",
    shell_complete=of_kind("fabrics"),
    help="Fabric of the catalogue, or of --set fabrics.NAME.",
)
@click.option(
    "--per-domain",
    "gpus_per_domain",
    type=int,
    help="GPUs of each domain that take part, while the others do as much among themselves: 1 for "
    "data-parallel ranks of tensor groups that fill domains.  [default: all]",
)
@click.option("--shape", metavar="AxBxC", help="Ranks along each dimension of a torus.")
@click.option(
    "--latency",
    type=click.Choice(["hops", "nccl"]),
    default="hops",
    show_default=True,
    help="Latency of hops over the links, or what NCCL's tuner expects of a ring, a tree or pat.",
)
@click.option(
    "--host",
    type=click.Choice(["intel", "amd"]),
    default="intel",
    show_default=True,
    help="Processor of the hosts, for --latency nccl.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY.PATH=VALUE",
    help="Change a figure, such as pools.job.nic_bytes_per_s or fabric.latency_s; may be given "
    "several times.",
)
@plot_option()
@format_option()
@debug_option
def collective(
    operation: str,
    gpus: str,
    n_bytes: str,
    algorithms: str | None,
    shape: str | None,
    settings: tuple[str, ...],
    plots: tuple[str, ...],
    style: str,
    **call: Any,
) -> None:
    """Say what one collective costs: time, its parts, and bus bandwidth.

    OPERATION is all-reduce, reduce-scatter, all-gather or all-to-all. Nothing is
    drawn: links are as fast as their figures say.
    """
    from hindmost.analyses.collectives import collective_costs
    from hindmost.report import render_collectives

    wanted = parsed_plots(plots)
    found = collective_costs(
        operation,
        gpus=[_number(part) for part in gpus.split(",")],
        n_bytes=n_bytes.split(","),
        algorithms=None if algorithms is None else algorithms.split(","),
        shape=None if shape is None else [_number(part) for part in shape.split("x")],
        changes=parsed_settings(settings),
        changes_from="--set",
        **call,
    )
    write_plots(wanted, lambda _: found.plot())
    echo_data(render_collectives(found, style))


def _number(text: str) -> Any:
    """Return an integer as a number, and what is none as it is, which is refused later."""
    try:
        return int(text)
    except ValueError:
        return text
