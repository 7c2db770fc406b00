"""Forecasts: what a scenario comes to, with what is not known of it drawn anew in every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hindmost import _core
from hindmost.analyses.draws import drawn_again, seed_of_run, stratified
from hindmost.analyses.held import held_of
from hindmost.analyses.sides import sides
from hindmost.analyses.unknowns import Number, Point, Unknown, unknowns_of
from hindmost.arguments import (
    MAX_RUNS,
    as_int,
    available_threads,
    bounds,
    drawn_seed,
    method_problems,
    refuse,
    row_problems,
    seed_problems,
    size_problems,
    thread_problems,
)
from hindmost.compiled import Compiled, compile
from hindmost.engines import Method, Progress, Reason
from hindmost.errors import Problem, ScenarioError
from hindmost.forecasted import MIN_RUNS, Forecast
from hindmost.parallel import Task, all_of
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario, to_table, with_changes
from hindmost.scenario.models import BEST_STACK
from hindmost.scenario.stack import forecast_stack

RUNS = 64
"""Runs of a forecast, by default."""
STEPS = {"order-statistics": 100, "sample": 32}
"""Steps of each of them, by method: a run's mean needs few."""
RUNS_BESIDE = 16
"""Runs of a forecast beside a result, which is to take a fraction of the time of that."""
STEPS_BESIDE = {"order-statistics": 100, "sample": 12}
"""Steps of each of them, by method, at most."""
MAX_ATTEMPTS = 100
"""Points of one run that the scenario refuses, at most."""


def forecast(
    scenario: Scenario | str | Path,
    *,
    runs: int = RUNS,
    steps: int | None = None,
    seed: int | None = None,
    method: Method = "auto",
    threads: int | None = None,
    changes: Changes | None = None,
    progress: Progress | None = None,
) -> Forecast:
    """Return what a scenario comes to, with what is not known of it drawn anew in every run.

    `simulate` answers for the values of a scenario as if they were known. A forecast draws from
    the laws of its ``[unknowns]``, and from those that its software stack implies, in every run;
    its interval is from p5 to p95 over runs of the run's mean.

    Parameters
    ----------
    scenario
        A scenario, or a name or path that `load` takes.
    runs
        Draws, 2 to 65,536.
    steps
        Steps of a run, >= 1; by default 100, with ``sample`` 32.
    seed
        0 to 2^64 - 1; drawn from the operating system by default. Equal seeds give equal
        numbers on any number of threads.
    method
        As in `simulate`, of each draw; ``order-statistics`` only where it is exact, because a
        replica law would be simulated anew for each draw.
    threads
        Threads; by default as many as this process may use.
    changes
        Key paths and their new values, laid over the scenario. A value that is set is known, and
        drawn no more, but for a software efficiency of 1, which says nothing: with the stack
        ``best`` it is 1.
    progress
        Called with the runs that are done and all of them.

    Raises
    ------
    ScenarioError
        With every problem of the scenario or the call, or if the scenario refuses a hundred draws
        of a run one after another.

    Notes
    -----
    Draws are stratified: each unknown has one value in each of `runs` parts of equal probability.
    They are addressed by key path and run, so that forecasts of two scenarios under one seed are
    paired. Each run has its own seed of everything else, so that its GPUs are others, too. An
    unknown that changes the tokens of a step is held at the scenario's value. Without unknowns
    only GPUs and steps differ between runs.

    A scenario that names no stack is forecast with the stack ``typical``, unless all of its pools
    have a kernel efficiency, products or passes of their own: a fit holds what software loses.

    Examples
    --------
    >>> import hindmost as hm
    >>> found = hm.forecast("h100-1k", seed=1, runs=8, steps=50)
    >>> found.value("mfu", "p5") < found.value("mfu", "p50") < found.value("mfu", "p95")
    True
    """
    runs, steps, seed, threads = (as_int(each) for each in (runs, steps, seed, threads))
    seed = drawn_seed() if seed is None else seed
    threads = available_threads() if threads is None else threads
    found = [
        *bounds("runs", runs, MIN_RUNS, MAX_RUNS),
        *size_problems(steps=steps, runs=None),
        *row_problems(runs, 1 if steps is None else steps),
        *seed_problems(seed),
        *thread_problems(threads),
        *method_problems(method),
    ]
    try:
        base = compile(scenario, changes)
    except ScenarioError as error:
        refuse([*error.problems, *found])
        raise
    refuse(found)
    task = forecast_task(
        base,
        runs=runs,
        steps=STEPS if steps is None else dict.fromkeys(STEPS, steps),
        seed=seed,
        method=method,
    )
    (made,) = all_of([task], threads=threads, progress=progress)
    forecast: Forecast = made
    return forecast


def forecast_task(
    base: Compiled,
    *,
    runs: int,
    steps: dict[str, int],
    seed: int,
    method: Method,
) -> Task:
    """Return what makes the forecast of a compiled scenario, to be done beside others.

    Parameters are those of `forecast` and trusted, but for the method; steps are by method.
    """
    given = base.scenario
    base = as_forecast(base)
    is_exact = method != "sample" and not isinstance(base.exact, Reason)
    if method == "order-statistics" and not is_exact:
        requirement = "must be auto or sample, where order-statistics is not exact"
        hint = f"a replica law would be simulated for each of {runs} draws"
        refuse([Problem(path="method", requirement=requirement, value=method, hint=hint)])
    drawn, held, acting = what_is_drawn(base.scenario)
    draws = _Draws(base=base, unknowns=drawn, acting=acting, seed=seed, steps=steps, method=method)
    by_engine = "order-statistics" if is_exact else "sample"

    def finish(found: list[_Outcome]) -> Forecast:
        return Forecast(
            inputs={
                "scenario": to_table(given),
                "stack": forecast_stack(given),
                "seed": seed,
                "runs": runs,
                "steps": steps[by_engine],
                "method": by_engine,
                "version": _core.__version__,
            },
            unknowns=_laws(drawn),
            draws=_numbers(drawn, [one.point for one in found]),
            step_time_s=tuple(one.step_time_s for one in found),
            mfu=tuple(one.mfu for one in found),
            held=held,
            idle=tuple(unknown.path for unknown in drawn if unknown.path not in acting),
            n_redrawn=sum(one.n_refused for one in found),
        )

    items = list(enumerate(stratified(drawn, seed, runs)))
    return Task(items=items, work=draws.outcome, finish=finish)


def _stack_of(scenario: Scenario) -> dict[str, str]:
    """Return the change that names the stack of a forecast, where the scenario names none."""
    name = forecast_stack(scenario)
    return {} if name == (scenario.workload.stack or BEST_STACK) else {"workload.stack": name}


def as_forecast(base: Compiled) -> Compiled:
    """Return a compiled scenario with the stack that a forecast takes."""
    return base.with_changes(_stack_of(base.scenario))


def what_is_drawn(scenario: Scenario) -> tuple[list[Unknown], tuple[str, ...], list[str]]:
    """Return the unknowns that are drawn in forecasts, and the paths of those held and that act.

    Parameters
    ----------
    scenario
        The scenario, with the stack of its forecast.
    """
    unknowns = unknowns_of(scenario)
    held = held_of(scenario, unknowns)
    drawn = [unknown for unknown in unknowns if unknown.path not in held]
    acting, _ = sides(scenario, drawn)
    return drawn, held, acting


def task_beside(result: Result) -> Task:
    """Return what makes the forecast that goes with a result, as ``hindmost run`` prints it.

    It has the seed of the result, 16 runs, and at most 100 steps in each, with ``sample`` 12. Where
    nothing that acts on steps is unknown, it is that of the result's own runs.

    Parameters
    ----------
    result
        What the scenario comes to at its own values.
    """
    inputs, scenario = result.inputs, result.scenario
    drawn, held, acting = what_is_drawn(with_changes(scenario, _stack_of(scenario)))
    if not acting:
        return Task(
            items=(),
            work=lambda item, threads, progress: None,
            finish=lambda _: _of_runs(result, drawn, held),
        )
    is_sampled = inputs["asked"]["method"] == "sample"
    return forecast_task(
        compile(scenario),
        runs=RUNS_BESIDE,
        steps={name: min(steps, inputs["steps"]) for name, steps in STEPS_BESIDE.items()},
        seed=inputs["seed"],
        # A replica law that was asked for would be simulated anew for each draw.
        method="sample" if is_sampled else "auto",
    )


def forecast_beside(result: Result, *, progress: Progress | None = None) -> Forecast:
    """Return the forecast that goes with a result, made on as many threads as that.

    Parameters
    ----------
    result
        What the scenario comes to at its own values.
    progress
        Called with the runs that are done and all of them.
    """
    task = task_beside(result)
    (made,) = all_of([task], threads=result.machine["threads"], progress=progress)
    forecast: Forecast = made
    return forecast


def _of_runs(result: Result, drawn: Sequence[Unknown], held: tuple[str, ...]) -> Forecast:
    """Return the forecast that the runs of a result are by themselves."""
    names = ("scenario", "seed", "runs", "steps", "method", "version")
    stack = {"stack": forecast_stack(result.scenario)}
    step_time_s = result.mean_step_s
    points = stratified(drawn, result.inputs["seed"], result.inputs["runs"])
    return Forecast(
        inputs={**{name: result.inputs[name] for name in names}, **stack},
        unknowns=_laws(drawn),
        draws=_numbers(drawn, points),
        step_time_s=tuple(step_time_s.tolist()),
        mfu=tuple((result.plan.peak_step_s / step_time_s).tolist()),
        held=held,
        idle=tuple(unknown.path for unknown in drawn),
        n_redrawn=0,
    )


def _laws(drawn: Sequence[Unknown]) -> dict[str, dict[str, Any]]:
    return {
        unknown.path: unknown.law.model_dump(mode="json", exclude_none=True) for unknown in drawn
    }


def _numbers(drawn: Sequence[Unknown], points: Sequence[Point]) -> dict[str, tuple[Number, ...]]:
    return {unknown.path: tuple(point[unknown.path] for point in points) for unknown in drawn}


@dataclass(frozen=True, kw_only=True)
class _Outcome:
    """What one run comes to.

    Attributes
    ----------
    point : dict of str to number
        What was drawn.
    n_refused : int
        Points before it that the scenario refuses.
    step_time_s, mfu : float
        Means.
    """

    point: Point
    n_refused: int
    step_time_s: float
    mfu: float


@dataclass(frozen=True, kw_only=True)
class _Draws:
    """How draws are simulated.

    Attributes
    ----------
    base : Compiled
        The scenario.
    unknowns : list of Unknown
        What is drawn.
    acting : list of str
        Key paths of those that act on steps.
    seed : int
        Seed of the forecast.
    steps : dict of str to int
        Steps of a run, by method.
    method : str
        As in `simulate`.
    """

    base: Compiled
    unknowns: list[Unknown]
    acting: list[str]
    seed: int
    steps: dict[str, int]
    method: Method

    def outcome(
        self, item: tuple[int, Point], /, *, threads: int, progress: Progress | None
    ) -> _Outcome:
        """Return what a run comes to, of its number and its first point."""
        run, point = item
        n_refused = 0
        while True:
            try:
                compiled = self.base.with_changes({path: point[path] for path in self.acting})
                break
            except ScenarioError as error:
                n_refused += 1
                if n_refused == MAX_ATTEMPTS:
                    raise self._refusal(run, error) from None
            point = drawn_again(self.unknowns, self.seed, run, n_refused)
        steps_s = compiled.step_time_s(
            steps=self.steps,
            runs=1,
            seed=seed_of_run(self.seed, run),
            method=self.method,
            threads=threads,
            progress=progress,
        )
        step_time_s = float(steps_s.mean())
        return _Outcome(
            point=point,
            n_refused=n_refused,
            step_time_s=step_time_s,
            mfu=compiled.plan.peak_step_s / step_time_s,
        )

    def _refusal(self, run: int, error: ScenarioError) -> ScenarioError:
        last = error.problems[0]
        requirement = f"must leave scenarios that are not refused: {MAX_ATTEMPTS} draws were"
        problem = Problem(
            path="unknowns",
            requirement=f"{requirement} of run {run}",
            hint=f"the last one because {last.path} {last.requirement}",
            source=self.base.scenario.source,
        )
        return ScenarioError([problem])
