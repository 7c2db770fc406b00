"""``hindmost sweep``: many points of a scenario, kept as they are done."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    collected_problems,
    debug_option,
    echo_data,
    format_option,
    method_option,
    parsed_settings,
    progress_bar,
    runs_option,
    seed_option,
    set_option,
    steps_option,
    tell,
    tell_warnings,
    threads_option,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hindmost.scenario import Scenario
    from hindmost.sweeps.over import Over


@click.command(short_help="Many points of a scenario: grids and samples, kept as they are done.")
@click.argument("scenario", shell_complete=scenarios(".toml"))
@click.option(
    "--over",
    "overs",
    multiple=True,
    metavar="KEY=VALUES",
    help="What a key path takes: values as layout.tensor=4,8, or a range as KEY=0.4:1.0:13, "
    "LOW:HIGH:NUMBER, with :log for equal ratios; may be given several times.",
)
@click.option(
    "--layouts",
    is_flag=True,
    help="Try all layouts that fit, rank them by a step without any cause, and simulate the best.",
)
@click.option(
    "--best",
    type=click.IntRange(min=0),
    help="Layouts that are simulated, with --layouts.  [default: 100]",
)
@click.option(
    "--unknowns", is_flag=True, help="Sample all unknowns of SCENARIO by their laws, too."
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="N points that fill the space, in place of all combinations; ranges are sampled as a "
    "whole.",
)
@click.option(
    "--design",
    type=click.Choice(["latin-hypercube", "sobol"]),
    default="latin-hypercube",
    show_default=True,
    help="How samples fill it; sobol takes SciPy.",
)
@set_option
@steps_option()
@runs_option()
@seed_option(" of all points and samples")
@method_option()
@threads_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File for all columns, .parquet, .csv or .json. Points are kept in FILE.parts until it is "
    "there: the same command goes on where another one ended.",
)
@format_option()
@debug_option
def sweep(
    scenario: str,
    overs: tuple[str, ...],
    settings: tuple[str, ...],
    output: Path | None,
    style: str,
    layouts: bool,
    best: int | None,
    **call: Any,
) -> None:
    """Simulate many points of SCENARIO: all combinations of values, samples of ranges, or layouts.

    What a scenario refuses, such as a layout that does not fit, is a row with the
    reason. Points share their random numbers.
    """
    from hindmost.report import render_sweep
    from hindmost.scenario.load import load
    from hindmost.sweeps.output import Output, check_output
    from hindmost.sweeps.over import parse_over

    with collected_problems() as collect:
        found = [collect(parse_over, text) for text in overs]
        if output is not None:
            collect(check_output, output)
        base = collect(lambda: load(scenario, parsed_settings(settings), changes_from="--set"))
    assert base is not None
    tell_warnings(base)
    _check_layouts(overs, call, layouts=layouts, best=best)
    if layouts:
        size = {} if best is None else {"best": best}
        _layouts(base, output, style, **size, **_of_simulations(call))
        return
    design = {name: call.pop(name) for name in ("unknowns", "sample", "design")}
    kept = None if output is None else Output(output)
    seed = call.pop("seed")
    if seed is None:
        seed = _seed(kept, base, overs, call, design)
    points = _points(base, [one for one in found if one is not None], seed=seed, **design)
    from hindmost.sweeps.sweep import sweep as swept

    with _keeping(kept), progress_bar("simulating") as progress:
        frame = swept(
            points,
            base,
            store=None if kept is None else kept.parts,
            seed=seed,
            progress=progress,
            **call,
        )
    if style == "csv":
        tell(f"seed {seed}")
    if kept is not None:
        kept.finish(frame)
        tell(f"wrote {output}")
    text = render_sweep(frame, style, base=base.name, runs=call["runs"], steps=call["steps"])
    echo_data(text)


def _of_simulations(call: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a call that say how points are simulated."""
    return {key: call[key] for key in ("steps", "runs", "seed", "method", "threads")}


def _check_layouts(
    overs: tuple[str, ...], call: dict[str, Any], *, layouts: bool, best: int | None
) -> None:
    """Refuse layouts beside another space, and a number of them without any."""
    from hindmost.errors import Problem, ScenarioError

    if layouts:
        given = {"--over": overs, "--unknowns": call["unknowns"], "--sample": call["sample"]}
        requirement = "must be left out with --layouts, which tries all of its own"
    else:
        given = {"--best": best is not None}
        requirement = "must be left out without --layouts, whose best are simulated"
    found = [Problem(path=name, requirement=requirement) for name, value in given.items() if value]
    if found:
        raise ScenarioError(found)


def _layouts(base: Scenario, output: Path | None, style: str, **call: Any) -> None:
    """Rank layouts, write them and print the fastest."""
    from hindmost.report import render_layouts
    from hindmost.sweeps.layouts import layouts as ranked
    from hindmost.sweeps.output import Output

    kept = None if output is None else Output(output)
    if call["seed"] is None:
        call["seed"] = _seed(kept, base, "layouts", call)
    store = None if kept is None else kept.parts
    with _keeping(kept), progress_bar("simulating") as progress:
        found = ranked(base, store=store, progress=progress, **call)
    if style == "csv":
        tell(f"seed {found.seed}")
    if kept is not None:
        kept.finish(found.frame)
        tell(f"wrote {output}")
    echo_data(render_layouts(found, style, base=base.name))


def _seed(kept: Any, *of: Any) -> int:
    """Return a drawn seed; of a sweep that was cut off that with which it was begun."""
    from hindmost.arguments import drawn_seed

    return drawn_seed() if kept is None else kept.seed(of)


def _points(
    base: Scenario,
    over: list[Over],
    *,
    seed: int,
    unknowns: bool,
    sample: int | None,
    design: Any,
) -> list[Any]:
    from hindmost.analyses.unknowns import some_unknowns_of
    from hindmost.errors import Problem, ScenarioError
    from hindmost.sweeps.over import spread
    from hindmost.sweeps.spaces import grid, sampled

    found = []
    paths = [path for path, *_ in over]
    for path in {path for path in paths if paths.count(path) > 1}:
        requirement = "must be given once for each key path"
        found.append(Problem(path="--over", requirement=requirement, value=path))
    if not over and not unknowns:
        requirement = "is missing: something to sweep over"
        hint = "--over layout.tensor=4,8, or --unknowns --sample 100"
        found.append(Problem(path="--over", requirement=requirement, hint=hint))
    if unknowns and sample is None:
        requirement = "is missing: how many points of the unknowns"
        found.append(Problem(path="--sample", requirement=requirement, hint="--sample 100"))
    if found:
        raise ScenarioError(found)
    if sample is None:
        return grid(spread(over))
    space: dict[str, Any] = {}
    if unknowns:
        space = {one.path: one for one in some_unknowns_of(base)}
    space |= {path: taken for path, taken, _ in over}
    return sampled(space, sample, design=design, seed=seed)


@contextmanager
def _keeping(kept: Any) -> Iterator[None]:
    """Say where points are kept if the sweep is cut off."""
    try:
        yield
    except KeyboardInterrupt:
        if kept is not None:
            tell(f"hindmost: {kept.n_done} points are in {kept.parts}; the same command goes on")
        raise
