"""``hindmost serve``: what a cluster gives at inference."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    debug_option,
    echo_data,
    format_option,
    parsed_plots,
    parsed_settings,
    plot_option,
    progress_bar,
    seed_option,
    set_option,
    tell,
    threads_option,
    write_plots,
)

GPUS = re.compile(r"([0-9][0-9_,]*)x([a-z0-9-]+)")
"""How many GPUs of which type."""


@click.command(short_help="What SCENARIO, or a model on some GPUs, gives at inference.")
@click.argument("scenario", required=False, shell_complete=scenarios(".toml"))
@click.option("--model", metavar="NAME", help="Model of the catalogue, without a SCENARIO.")
@click.option(
    "--gpus",
    "gpus",
    multiple=True,
    metavar="NxNAME",
    help="GPUs of the catalogue, such as 64xh200-sxm; given several times, pools of each type.",
)
@click.option("--isl", type=float, help="Tokens of a prompt.  [default: 1000]")
@click.option("--osl", type=float, help="Tokens of an answer.  [default: 1000]")
@click.option("--ttft", type=float, help="Seconds to the first token, at most.")
@click.option("--tpot", type=float, help="Seconds of each of the other tokens, at most.")
@click.option("--engine", help="Serving engine of the catalogue.  [default: vllm]")
@click.option(
    "--dtype",
    type=click.Choice(["bf16", "fp8", "fp4"]),
    help="Number format of the weights of layers.  [default: fp8]",
)
@click.option(
    "--concurrency",
    type=float,
    help="Requests at once on all GPUs.  [default: as many as limits and memory allow]",
)
@click.option(
    "--rate",
    type=float,
    help="Requests a second on all GPUs: how many they take, and what is seen.",
)
@click.option(
    "--variation",
    type=float,
    help="Coefficient of variation of the gaps between requests.  [default: 1]",
)
@click.option(
    "--trace",
    type=click.Path(),
    help="File of requests with times and tokens: Azure's, BurstGPT's or Mooncake's.",
)
@click.option(
    "--routing",
    type=click.Choice(["least-loaded", "round-robin", "speed-aware"]),
    help="Replica that a request goes to.  [default: least-loaded]",
)
@click.option(
    "--percentile",
    type=float,
    help="Percentage of requests that are to keep to limits under load.  [default: 50]",
)
@click.option(
    "--prefix-hit",
    type=float,
    help="Share of a prompt whose keys and values are there already.  [default: 0]",
)
@click.option(
    "--wide",
    type=int,
    help="Whole domains over which the experts of a replica may be spread, at most.  [default: 1]",
)
@click.option("--requests", type=int, help="Requests of the queue.  [default: 2000000]")
@seed_option(" of the queue")
@threads_option
@set_option
@plot_option()
@format_option()
@debug_option
def serve(
    scenario: str | None,
    model: str | None,
    gpus: tuple[str, ...],
    requests: int | None,
    seed: int | None,
    threads: int | None,
    settings: tuple[str, ...],
    plots: tuple[str, ...],
    style: str,
    **call: Any,
) -> None:
    """Say what SCENARIO, or a model on some GPUs, gives at inference.

    Every layout that fits a domain is tried with every batch that fits into
    memory: the five best, tokens a second by GPU over those by user, what all
    pools give together, and replicas that only take prompts or only decode
    beside those that do both. With a rate or a trace, what requests see that
    queue for all replicas.

    SCENARIO is a TOML file with [serving] and [requests]; it may train, too.
    """
    from hindmost.analyses.serve import serve as served
    from hindmost.report import render_served

    wanted = parsed_plots(plots)
    names = {
        "isl": "input_tokens",
        "osl": "output_tokens",
        "ttft": "ttft_s",
        "tpot": "tpot_s",
        "rate": "arrivals_per_s",
        "wide": "wide_domains",
    }
    given = {names.get(key, key): value for key, value in call.items() if value is not None}
    queue: dict[str, Any] = {"seed": seed, "threads": threads, "requests": requests}
    options = {names.get(key, key): f"--{key.replace('_', '-')}" for key in (*call, *queue)}
    if scenario is not None:
        _refuse_beside_a_file(model=model, gpus=gpus or None, **call)
        changes = parsed_settings(settings)
        with progress_bar("requests") as progress:
            found = served(
                scenario, changes=changes, changes_from="--set", progress=progress, **queue
            )
    else:
        _refuse_settings(settings)
        counted = _counted(gpus)
        with progress_bar("requests") as progress, _named(options):
            found = served(model=model, gpus=counted, progress=progress, **queue, **given)
    if found.queue is not None and style in ("table", "markdown", "csv"):
        # JSON contains it.
        tell(f"seed {found.queue['seed']}")
    write_plots(wanted, lambda _: found.plot())
    echo_data(render_served(found, style))


@contextmanager
def _named(options: dict[str, str]) -> Iterator[None]:
    """Give problems of arguments the names of the options that they come from."""
    from hindmost.errors import ScenarioError

    try:
        yield
    except ScenarioError as error:
        raise ScenarioError(
            replace(one, path=_option(one.path, options)) for one in error.problems
        ) from None


def _option(path: str, options: dict[str, str]) -> str:
    name, comma, rest = path.partition(",")
    return f"{options.get(name, name)}{comma}{rest}"


def _refuse_beside_a_file(**given: Any) -> None:
    """Refuse options that a scenario has keys for."""
    from hindmost.errors import Problem, ScenarioError

    keys = {
        "model": "serving.model",
        "gpus": "pools",
        "isl": "requests.input_tokens",
        "osl": "requests.output_tokens",
        "ttft": "serving.slo.ttft_s",
        "tpot": "serving.slo.tpot_s",
        "rate": "requests.arrivals_per_s",
        "variation": "requests.variation",
        "trace": "requests.trace",
        "routing": "requests.routing",
        "percentile": "serving.slo.percentile",
        "concurrency": "requests.concurrency",
        "wide": "serving.wide_domains",
        "prefix_hit": "serving.prefix_hit",
    }
    found = [
        Problem(
            path=f"--{name.replace('_', '-')}",
            requirement="must be absent with a SCENARIO, which says it",
            hint=f"--set {keys.get(name, f'serving.{name}')}=... changes it",
        )
        for name, value in given.items()
        if value is not None
    ]
    if found:
        raise ScenarioError(found)


def _refuse_settings(settings: tuple[str, ...]) -> None:
    """Refuse changes where there is no scenario to change."""
    from hindmost.errors import Problem, ScenarioError

    if settings:
        requirement = "must come with a SCENARIO, which it changes"
        raise ScenarioError([Problem(path="--set", requirement=requirement, value=settings[0])])


def _counted(gpus: tuple[str, ...]) -> dict[str, int]:
    """Return how many GPUs there are of each type, or refuse what does not say so."""
    from hindmost.errors import Problem, ScenarioError

    counted: dict[str, int] = {}
    found = []
    for text in gpus:
        match = GPUS.fullmatch(text)
        if match is None:
            requirement = "must be NxNAME, such as 64xh200-sxm"
            found.append(Problem(path="--gpus", requirement=requirement, value=text))
        else:
            n_gpus = int(match[1].replace("_", "").replace(",", ""))
            counted[match[2]] = counted.get(match[2], 0) + n_gpus
    if found:
        raise ScenarioError(found)
    return counted
