"""``hindmost run``: simulate a scenario."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hindmost.cli.completion import scenarios
from hindmost.cli.options import (
    collected_problems,
    debug_option,
    echo_data,
    format_option,
    parsed_plots,
    parsed_settings,
    plot_option,
    progress_bar,
    runs_option,
    seed_option,
    set_option,
    steps_option,
    tell,
    tell_warnings,
    threads_option,
    write_plots,
)
from hindmost.plots.kinds import KINDS

if TYPE_CHECKING:
    from hindmost.attributed import Attribution
    from hindmost.cli.threshold import Threshold
    from hindmost.result import Result
    from hindmost.scenario import Scenario

EXIT_THRESHOLD = 1
STYLES_WITH_CAPS = ("table", "markdown")
"""Formats that show the analysis of caps without being asked to."""


@click.command()
@click.argument("scenario", shell_complete=scenarios(".toml", ".parquet"))
@steps_option("Steps of a run.  [default: 10000, or 250 with method sample]")
@runs_option("Runs.  [default: 16, or 8 with method sample]")
@click.option(
    "--precision",
    type=float,
    help="Instead of --runs: 8 runs, and 4 more at a time until the mean step time has this "
    "relative error, such as 1e-3. Runs have 1000 steps then, or 8 with method sample.",
)
@seed_option(" of all random numbers")
@click.option(
    "--method",
    type=click.Choice(["auto", "order-statistics", "sample"]),
    help="order-statistics draws each pool's slowest rank from its law, sample draws every rank. "
    "auto takes order-statistics where it is exact; named, it may be approximate.  "
    "[default: auto]",
)
@threads_option
@click.option(
    "--days",
    type=float,
    help="Days of a whole run, with failures, restarts and checkpoints; for scenarios with "
    "failures.  [default: 30]",
)
@click.option(
    "--tokens",
    type=float,
    help="Say how many days it takes to train on so many tokens, such as 15e12; for scenarios "
    "with failures.",
)
@set_option
@plot_option(KINDS)
@format_option()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the whole result to a .parquet or .json file, or its steps to a .csv file.  Only "
    "FILE.parquet can be read back, by `run` or from Python.",
)
@click.option(
    "--caps",
    "with_caps",
    is_flag=True,
    help="Put the analysis of caps into --format json and into -o FILE.json or .parquet; markdown "
    "and tables with --assumed print it wherever the method is order-statistics, and exact.",
)
@click.option(
    "--attribute",
    "with_attribution",
    is_flag=True,
    help="Say what each mechanism costs, too, as `hindmost attribute` does, and keep it in "
    "-o FILE.parquet for `hindmost report`.",
)
@click.option(
    "--terms",
    is_flag=True,
    default=None,
    help="Keep what each step is made of, and write it to -o FILE.parquet or .json: the pairs of "
    "compute and stall that no other replica of a pool exceeds, and factors on each transfer.",
)
@click.option(
    "--at-values",
    is_flag=True,
    help="Make no forecast: say only what the scenario comes to at its own values.",
)
@click.option(
    "--assumed",
    "whole",
    is_flag=True,
    help="Show all of it in tables, as markdown does: what is assumed and unknown, with sources, "
    "percentiles and errors, and where the time goes.",
)
@click.option(
    "--wide",
    is_flag=True,
    help="Show p1, p99.9 and p99.99 in tables, too, which then take more than 80 columns, and all "
    "else; other formats always hold them.",
)
@click.option(
    "--fail-if",
    "thresholds",
    multiple=True,
    metavar="[forecast.]METRIC.STATISTIC<VALUE",
    help="Exit with status 1 if the comparison holds, such as 'mfu.p50<0.38', or "
    "'forecast.mfu.p5<0.3'.",
)
@debug_option
def run(
    scenario: str,
    settings: tuple[str, ...],
    plots: tuple[str, ...],
    style: str,
    output: Path | None,
    with_caps: bool,
    with_attribution: bool,
    at_values: bool,
    whole: bool,
    wide: bool,
    thresholds: tuple[str, ...],
    **call: Any,
) -> None:
    """Forecast the step time and MFU of SCENARIO, and simulate it.

    The forecast draws anew in each of 16 runs what is not known: [unknowns] of the scenario, and
    what its software stack leaves open. Beside it is the distribution at the scenario's own values,
    to which --runs and --steps belong.

    SCENARIO is a preset (see `hindmost catalog presets`), a TOML file, or the
    Parquet file of an earlier run, which is repeated.
    """
    from hindmost.analyses.caps import as_table, can_move_caps, caps_task, check_method
    from hindmost.cli.threshold import parsed_thresholds
    from hindmost.parallel import all_of
    from hindmost.report import render
    from hindmost.simulation import simulate

    with collected_problems() as collect:
        limits = collect(parsed_thresholds, thresholds) or []
        if output is not None:
            collect(_check_output, output)
        if with_caps:
            collect(_check_place_for_caps, style, output)
        if call["terms"]:
            collect(_check_place_for_terms, output)
        wanted = collect(parsed_plots, plots, KINDS) or {}
        loaded = collect(_loaded, scenario, settings, call)
        if at_values:
            collect(_check_no_forecast, limits)
    assert loaded is not None
    makes_forecast = not at_values and _asks_for_forecast(scenario, limits)
    with collected_problems() as collect:
        collect(_check_whole_runs, loaded, limits, call)
        collect(_check_plots, wanted, loaded, makes_forecast)
    tell_warnings(loaded)
    call["method"] = call["method"] or "auto"
    call["terms"] = call["terms"] or False
    if with_caps:
        # Before the simulation, which may take long.
        check_method(loaded, call["method"])
    with progress_bar("simulating") as progress:
        result = simulate(loaded, progress=progress, **call)
    whole = whole or wide or with_caps
    is_short = style == "table" and not whole
    prints_caps = style in STYLES_WITH_CAPS and not is_short and can_move_caps(result)
    tasks = [caps_task(result)] if with_caps or prints_caps else []
    threads = result.machine["threads"]
    if makes_forecast:
        from hindmost.analyses.forecast import task_beside

        tasks.append(task_beside(result))
        with progress_bar("forecasting") as progress:
            *moved, forecast = all_of(tasks, threads=threads, progress=progress)
        result = replace(result, forecast=forecast)
    else:
        moved = all_of(tasks, threads=threads)
    if with_attribution:
        result = replace(result, attribution=_attribution(result, days=call["days"]))
    caps = moved[0] if moved else None
    stored_caps = caps if with_caps else None
    if output is not None:
        result.write(output, caps=None if stored_caps is None else as_table(stored_caps))
        tell(f"wrote {output}")
    write_plots(wanted, result.plot)
    if style == "csv":
        # All other formats contain the seed.
        tell(f"seed {result.inputs['seed']}")
    shown_caps = stored_caps if style == "json" else caps
    echo_data(render(result, style, caps=shown_caps, wide=wide, whole=whole))
    if _any_holds(limits, result):
        sys.exit(EXIT_THRESHOLD)


def _attribution(result: Result, *, days: float | None) -> Attribution:
    """Return what each mechanism of a result's scenario costs, under its seed."""
    from hindmost.analyses.attribute import attribute

    with progress_bar("attributing") as progress:
        return attribute(
            result.scenario,
            seed=result.inputs["seed"],
            threads=result.machine["threads"],
            days=days,
            progress=progress,
        )


def _check_plots(wanted: dict[Path, str], scenario: Scenario, makes_forecast: bool) -> None:
    """Refuse plots of what there will not be, before the simulation, which may take long."""
    if not wanted:
        return
    from hindmost.energy import missing_hint
    from hindmost.errors import ScenarioError
    from hindmost.plots.of_result import kind_problem

    has_runs = bool(scenario.enabled_failures)
    power_hint = missing_hint(
        {
            name: (pool.figure("peak_power_w"), pool.figure("idle_power_w"))
            for name, pool in scenario.pools.items()
        }
    )
    found = [
        kind_problem(kind, has_forecast=makes_forecast, has_runs=has_runs, power_hint=power_hint)
        for kind in wanted.values()
    ]
    problems = [replace(one, path="--plot") for one in found if one is not None]
    if problems:
        raise ScenarioError(problems)


def _check_no_forecast(limits: list[Threshold]) -> None:
    """Refuse thresholds of a forecast that is not made."""
    from hindmost.errors import Problem, ScenarioError

    requirement = "must be of the scenario's values with --at-values, which makes no forecast"
    found = [
        Problem(path="--fail-if", requirement=requirement, value=limit.text)
        for limit in limits
        if limit.of_forecast
    ]
    if found:
        raise ScenarioError(found)


def _asks_for_forecast(scenario: str, limits: list[Threshold]) -> bool:
    """Return whether to make a forecast: a stored run without one is repeated without one."""
    if not scenario.endswith(".parquet") or any(limit.of_forecast for limit in limits):
        return True
    from hindmost.store import has_forecast

    return has_forecast(Path(scenario))


def _check_output(path: Path) -> None:
    """Refuse a path to which no result could be written."""
    from hindmost.files import check_writable
    from hindmost.result import SUFFIXES

    check_writable(path, SUFFIXES, name="--output")


def _check_whole_runs(scenario: Scenario, limits: list[Threshold], call: dict[str, Any]) -> None:
    """Refuse what is asked of whole runs where there are none."""
    from hindmost.arguments import whole_run_problems
    from hindmost.errors import Problem, ScenarioError
    from hindmost.metrics import RUN_METRICS

    has_failures = bool(scenario.enabled_failures)
    asked = {"days": call["days"], "tokens": call["tokens"]}
    found = whole_run_problems(**asked, has_failures=has_failures)
    found = [replace(problem, path=f"--{problem.path}") for problem in found]
    for limit in limits:
        if limit.metric in RUN_METRICS and not has_failures:
            requirement = "must be of a metric of steps: the scenario has no [failures]"
            found.append(Problem(path="--fail-if", requirement=requirement, value=limit.text))
    if found:
        raise ScenarioError(found)


def _check_place_for_caps(style: str, output: Path | None) -> None:
    """Refuse ``--caps`` where nothing that is printed or written has a place for caps."""
    from hindmost.errors import Problem, ScenarioError

    if style == "csv" and (output is None or output.suffix == ".csv"):
        requirement = "must come with a format that can hold caps, and CSV cannot"
        hint = "--format json, or -o FILE.json or FILE.parquet"
        raise ScenarioError([Problem(path="--caps", requirement=requirement, hint=hint)])


def _check_place_for_terms(output: Path | None) -> None:
    """Refuse ``--terms`` where nothing that is written has a place for them."""
    from hindmost.errors import Problem, ScenarioError

    if output is None or output.suffix == ".csv":
        requirement = "must come with a file that can hold what each step is made of"
        hint = "-o FILE.parquet, or -o FILE.json"
        raise ScenarioError([Problem(path="--terms", requirement=requirement, hint=hint)])


def _loaded(scenario: str, settings: tuple[str, ...], call: dict[str, Any]) -> Scenario:
    """Return the scenario; a stored run also sets the options that the call leaves out."""
    from hindmost.scenario import from_table, with_changes
    from hindmost.scenario.load import load

    changes = parsed_settings(settings)
    if scenario.endswith(".parquet"):
        from hindmost.store import read_inputs

        stored = read_inputs(Path(scenario))
        _tell_of_another_version(stored["version"])
        repeated = from_table(stored["scenario"], scenario)
        changed = with_changes(repeated, changes, changes_from="--set")
        changes_method = bool(changes) or call["method"] is not None
        again = _asked_again(stored, call, changed=changes_method)
        if not changed.enabled_failures:
            # There are no whole runs any more.
            again |= {"days": None, "tokens": None}
        call |= {key: value for key, value in again.items() if call[key] is None}
        return changed
    return load(scenario, changes, changes_from="--set")


def _asked_again(stored: dict[str, Any], call: dict[str, Any], *, changed: bool) -> dict[str, Any]:
    """Return the options that repeat a stored run, None for a default.

    What was left to defaults is left to them again: changes may lead to another method, with other
    sizes. Without changes the sizes are those of the run, whatever the defaults are by now.
    """
    from hindmost.compiled import DEFAULT_SIZES
    from hindmost.store import wants_terms

    asked = stored.get("asked") or stored
    precision = call["precision"] or (asked.get("precision") if call["runs"] is None else None)
    defaults = dict(zip(("runs", "steps"), DEFAULT_SIZES.get(stored["method"], ()), strict=False))
    sizes = {
        key: None
        if asked[key] is None and (changed or defaults.get(key) == stored[key])
        else stored[key]
        for key in ("runs", "steps")
    }
    if precision is not None:
        # It says how many runs there are.
        sizes |= {"runs": None, "precision": precision}
    terms = wants_terms(stored)
    whole_run = {key: asked.get(key) for key in ("days", "tokens")}
    return {"seed": stored["seed"], "method": asked["method"], "terms": terms, **sizes, **whole_run}


def _tell_of_another_version(version: str) -> None:
    from hindmost._core import __version__

    if version != __version__:
        tell(f"this run was made by version {version}; values may differ")


def _any_holds(limits: list[Threshold], result: Result) -> bool:
    """Return whether any threshold holds, and name those that do on stderr."""
    reached = [limit for limit in limits if limit.holds(result)]
    for limit in reached:
        tell(f"{limit.name} is {limit.value(result):.6g}: {limit.text}")
    return bool(reached)
