"""What each mechanism costs, whatever else is removed: exact Shapley values of MFU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from hindmost.analyses import shapley
from hindmost.analyses.lattice import Announce, Lattice, Size, lattice, n_simulations
from hindmost.analyses.mechanisms import Player, players
from hindmost.arguments import (
    DEFAULT_DAYS,
    as_float,
    as_int,
    available_threads,
    drawn_seed,
    method_problems,
    refuse,
    row_problems,
    seed_problems,
    size_problems,
    thread_problems,
    whole_run_problems,
)
from hindmost.attributed import Attribution, Interaction, Share, Total
from hindmost.compiled import Compiled, compile
from hindmost.engines import Method, Progress, Reason
from hindmost.errors import Problem
from hindmost.scenario import Changes, Scenario, to_table
from hindmost.scenario.ideal import MECHANISMS, SIDES
from hindmost.statistics import jackknife

ATTRIBUTION_SIZES = {"order-statistics": (8, 1000), "sample": (4, 20)}
"""Runs, and steps of each run, by method: of each coalition, so fewer than of one simulation."""
MOST_SAMPLED = 64
"""Simulations of all ranks above which mechanisms are grouped."""
MOST_SIMULATIONS = 2**14
"""Simulations of an attribution, at most."""
MOST_PLAYERS = 20
"""Mechanisms, or causes of them, at most: there are two to their power of coalitions."""


def attribute(
    scenario: Scenario | str | Path,
    *,
    changes: Changes | None = None,
    by: Literal["mechanism", "cause"] = "mechanism",
    exact: bool = False,
    steps: int | None = None,
    runs: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    days: float | None = None,
    progress: Progress | None = None,
    announce: Announce | None = None,
) -> Attribution:
    """Return what each mechanism of a scenario costs of MFU, by exact Shapley values.

    What a mechanism costs depends on what else is removed. Its Shapley value is the mean of what
    removing it gains over all orders of removing; beside it stands what removing it gains alone
    and last. Where there are failures, the same of fleet MFU.

    Parameters
    ----------
    scenario
        A scenario, or a name or path that `load` takes.
    changes
        Key paths and their new values, laid over the scenario.
    by
        ``mechanism``, or ``cause`` for mechanisms of several causes divided into these.
    exact
        Whether mechanisms are told apart even where every rank of more than 64 coalitions has to be
        sampled. Otherwise they are grouped there.
    steps, runs
        Steps of a run, and runs, of each coalition: by default 8 runs of 1,000 with order
        statistics, and 4 of 20 with ``sample``.
    seed, threads, days, progress
        As in `simulate`, the same for all coalitions; progress counts simulations.
    method
        As in `simulate`; one for all coalitions, ``sample`` with ``auto`` if any of them needs it.
    announce
        Called with the number of simulations and about how many seconds they take, before most of
        them begin.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if there are more mechanisms or causes
        than coalitions of them can be simulated.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.attribute("h100-1k", seed=1, runs=2, steps=50)
    >>> (value, _), (ideal, _) = found.ends("mfu")
    >>> total = sum(share.shapley for share in found.shares)
    >>> ideal == 1, abs(total - (ideal - value)) < 1e-12
    (True, True)
    """
    base = compile(scenario, changes)
    steps, runs, seed, threads = (as_int(each) for each in (steps, runs, seed, threads))
    days = as_float(days)
    seed = drawn_seed() if seed is None else seed
    threads = available_threads() if threads is None else threads
    has_failures = bool(base.scenario.enabled_failures)
    by_problems = []
    if by not in ("mechanism", "cause"):
        by_problems = [Problem(path="by", requirement="must be mechanism or cause", value=by)]
    refuse(
        [
            *size_problems(steps=steps, runs=runs),
            *seed_problems(seed),
            *thread_problems(threads),
            *method_problems(method),
            *whole_run_problems(days=days, tokens=None, has_failures=has_failures),
            *by_problems,
        ]
    )
    one_method, why = _one_method(base, method)
    default_runs, default_steps = ATTRIBUTION_SIZES[one_method]
    size = Size(
        method=one_method,
        seed=seed,
        runs=default_runs if runs is None else runs,
        steps=default_steps if steps is None else steps,
        days=DEFAULT_DAYS if days is None else days,
    )
    refuse(row_problems(size.runs, size.steps))
    apart = players(base.scenario, base.plan, by)
    n_apart = n_simulations(apart)
    is_grouped = one_method == "sample" and not exact and n_apart > MOST_SAMPLED
    found = players(base.scenario, base.plan, "group") if is_grouped else apart
    if len(found) > MOST_PLAYERS or n_simulations(found) > MOST_SIMULATIONS:
        requirement = (
            f"must need at most {MOST_SIMULATIONS:,} simulations for at most {MOST_PLAYERS} "
            f"mechanisms or causes, and needs {n_simulations(found):,} for {len(found)}"
        )
        hint = "by = 'mechanism' needs fewer" if by == "cause" else ""
        refuse([Problem(path="by", requirement=requirement, value=by, hint=hint)])
    values = lattice(base, found, size, threads=threads, progress=progress, announce=announce)
    grouped = ""
    if is_grouped:
        what = "mechanisms are" if by == "mechanism" else "mechanisms and their causes are"
        grouped = (
            f"{what} grouped, because every rank of each coalition is sampled: "
            f"{n_simulations(found)} simulations instead of {n_apart:,}"
        )
    inputs = {
        "seed": size.seed,
        "runs": size.runs,
        "steps": size.steps,
        "method": size.method,
        "days": size.days if has_failures else None,
        "by": "group" if is_grouped else by,
    }
    return _attribution(values, {"scenario": to_table(base.scenario), **inputs}, why, grouped)


def _one_method(base: Compiled, method: Method) -> tuple[Method, str]:
    """Return the method for all coalitions, and why."""
    if method == "sample":
        return method, "as asked"
    if isinstance(base.exact, Reason):
        if method != "auto":
            requirement = "cannot be exact here, and an attribution by it has to be"
            hint = str(base.exact)
            problem = Problem(path="method", requirement=requirement, value=method, hint=hint)
            refuse([problem])
        return "sample", str(base.exact)
    return "order-statistics", "exact: each step is a tree of maxima"


def _attribution(values: Lattice, inputs: dict[str, Any], why: str, grouped: str) -> Attribution:
    """Return what the values of all coalitions say of each mechanism."""
    everyone = (*values.step_players, *values.run_players)
    is_grouped = inputs["by"] == "group"
    by_metric = {"mfu": (values.step_players, values.mfu)}
    if values.fleet_mfu is not None:
        by_metric["fleet_mfu"] = (everyone, values.fleet_mfu)
    sides = ("compute", "network") if values.fleet_mfu is None else SIDES
    there = {player.mechanism for player in everyone}
    absent = tuple(
        one.name
        for one in MECHANISMS
        if not is_grouped and one.name not in there and one.side in sides
    )
    no_error = 0.0 if inputs["runs"] > 1 else None
    shares = [share for metric, of in by_metric.items() for share in _shares(metric, *of)]
    shares += [_nothing(metric, name, no_error) for metric in by_metric for name in absent]
    return Attribution(
        inputs=inputs,
        why=why,
        grouped=grouped,
        totals={metric: _total(of) for metric, (_, of) in by_metric.items()},
        shares=tuple(shares),
        interactions=tuple(
            one for metric, of in by_metric.items() for one in _interactions(metric, *of)
        ),
        absent=absent,
        groups={player.name: list(player.flags) for player in everyone} if is_grouped else {},
        n_simulations=n_simulations(values.step_players),
    )


def _total(values: shapley.Values) -> Total:
    """Return a metric as it is and with all ideal."""
    flat = values.reshape(-1, values.shape[-1])
    nobody, everybody = flat[0], flat[-1]
    return Total(
        value=float(nobody[0]),
        std_error=_error(nobody),
        ideal=float(everybody[0]),
        ideal_std_error=_error(everybody),
    )


def _shares(metric: str, found: Sequence[Player], values: shapley.Values) -> Iterator[Share]:
    """Yield what each player costs of a metric."""
    for player, value, alone, last in zip(
        found, shapley.shapley(values), shapley.alone(values), shapley.last(values), strict=True
    ):
        yield Share(
            metric=metric,
            mechanism=player.name,
            shapley=float(value[0]),
            std_error=_error(value),
            alone=float(alone[0]),
            alone_std_error=_error(alone),
            last=float(last[0]),
            last_std_error=_error(last),
        )


def _interactions(
    metric: str, found: Sequence[Player], values: shapley.Values
) -> Iterator[Interaction]:
    """Yield what each pair of players costs of a metric beyond both."""
    for (first, second), value in shapley.interactions(values).items():
        yield Interaction(
            metric=metric,
            first=found[first].name,
            second=found[second].name,
            value=float(value[0]),
            std_error=_error(value),
        )


def _nothing(metric: str, name: str, error: float | None) -> Share:
    return Share(
        metric=metric,
        mechanism=name,
        shapley=0.0,
        std_error=error,
        alone=0.0,
        alone_std_error=error,
        last=0.0,
        last_std_error=error,
    )


def _error(replicates: shapley.Values) -> float | None:
    """Return the standard error of a value, by its values without each run."""
    return jackknife(replicates[1:])
