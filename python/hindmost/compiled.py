"""Scenarios that are planned and compiled once, and simulated as often as one likes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.arguments import (
    DEFAULT_DAYS,
    MAX_ROWS,
    MAX_RUNS,
    as_float,
    as_int,
    available_threads,
    drawn_seed,
    method_problems,
    refuse,
    row_problems,
    seed_problems,
    size_problems,
    terms_problems,
    thread_problems,
    whole_run_problems,
)
from hindmost.engines import Choice, Method, Progress, Reason, choose, counting, exact_engine
from hindmost.errors import Problem, ScenarioError, plain
from hindmost.law import compiled_law
from hindmost.memo import Memo, digest
from hindmost.parallel import in_parallel
from hindmost.plan import Plan, make_plan
from hindmost.precise import FIRST_RUNS, STEPS, precise_columns, precision_problems
from hindmost.result import Result
from hindmost.scenario import Changes, Scenario, to_table, with_changes
from hindmost.scenario.change import as_changes
from hindmost.scenario.load import judged, load

if TYPE_CHECKING:
    from hindmost.whole_run.hours import RunHours

Kept = TypeVar("Kept")

MOST_HOURS = 32
"""Whole runs that are kept for changes of a scenario, at most."""

DEFAULT_SIZES = {"order-statistics": (16, 10_000), "sample": (8, 250)}
"""Runs, and steps of each run, by method."""

INSTRUCTIONS_VARIABLE = "HINDMOST_INSTRUCTIONS"
"""Environment variable that forces an instruction set; all of them give equal bytes."""


class Compiled:
    """A scenario with its plan, compiled for the engines.

    Made by `compile`. The scenario is judged, unless `load` or `with_changes` has made it and it is
    as it was then. It is a value: equal scenarios make equal objects, and it pickles as its
    scenario, which is compiled again.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    plan : Plan
        The scenario as plain numbers.
    core : _core.Plan
        The plan, compiled by the Rust core.
    """

    scenario: Scenario
    plan: Plan
    core: _core.Plan
    _memory: _core.Memory | None

    def __init__(
        self,
        scenario: Scenario,
        *,
        memory: _core.Memory | None = None,
        like: Compiled | None = None,
    ) -> None:
        self._memory = memory if like is None else like._memory
        self._replica_laws: Memo[Choice] = Memo(2)
        self._hours: Memo[Any] = Memo(MOST_HOURS) if like is None else like._hours
        known = None if like is None else (like.scenario, like.plan)
        self.scenario = scenario = judged(scenario)
        self.plan = make_plan(scenario, known=known)
        self.core = _compiled(self.plan, scenario.source)
        assert self.core.n_ranks == self.plan.ranks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Compiled) and self.scenario == other.scenario

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Compiled {plain(self.scenario.name)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return compile, (self.scenario,)

    @cached_property
    def exact(self) -> _core.OrderStatistics | Reason:
        """The engine that draws the slowest rank from its exact law, or why there is none."""
        return exact_engine(self.core, self._memory)

    def with_changes(self, changes: Changes) -> Compiled:
        """Return the scenario with changed values at some key paths, compiled.

        Raises
        ------
        ScenarioError
            As `compile`.
        """
        if not as_changes(changes):
            return self
        return Compiled(with_changes(self.scenario, changes), like=self)

    def simulate(
        self,
        *,
        steps: int | None = None,
        runs: int | None = None,
        seed: int | None = None,
        method: Method = "auto",
        threads: int | None = None,
        changes: Changes | None = None,
        terms: bool = False,
        days: float | None = None,
        tokens: float | None = None,
        precision: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Return the distribution of the scenario's step time and MFU.

        Parameters, result and errors are those of `simulate`.
        """
        started = time.monotonic()
        days, tokens = as_float(days), as_float(tokens)
        compiled = self.with_changes(as_changes(changes))
        has_failures = bool(compiled.scenario.enabled_failures)
        refuse(whole_run_problems(days=days, tokens=tokens, has_failures=has_failures))
        result = compiled.simulate_steps(
            steps=steps,
            runs=runs,
            seed=seed,
            method=method,
            threads=threads,
            terms=terms,
            precision=precision,
            progress=progress,
        )
        if not has_failures:
            return result
        # Imported where they are needed, for a quick start without failures.
        from hindmost.whole_run.budget import with_budget
        from hindmost.whole_run.fleet import Fleet
        from hindmost.whole_run.hours import run_hours

        asked = {**result.inputs["asked"], "days": days, "tokens": tokens}
        days = DEFAULT_DAYS if days is None else days
        inputs = {**result.inputs, "days": days, "tokens": tokens, "asked": asked}
        seed, threads = inputs["seed"], result.machine["threads"]
        fleet = Fleet(scenario=compiled.scenario, plan=compiled.plan)
        size = {"seed": seed, "runs": inputs["runs"], "days": days}

        def simulated() -> RunHours:
            return run_hours(fleet, **size, threads=threads, progress=progress)

        # Most changes of a scenario leave its failures as they are.
        hours = compiled._hours.get(digest((fleet.identity, size)), simulated)
        if tokens is not None:
            hours = with_budget(
                hours, fleet, result.mean_step_s, tokens=tokens, seed=seed, threads=threads
            )
        machine = {**result.machine, "wall_time_s": round(time.monotonic() - started, 3)}
        return replace(result, hours=hours, inputs=inputs, machine=machine)

    def many(
        self,
        changes: Sequence[Changes],
        *,
        keep: Callable[[Result], Kept] | None = None,
        steps: int | None = None,
        runs: int | None = None,
        seed: int | None = None,
        method: Method = "auto",
        threads: int | None = None,
        days: float | None = None,
        progress: Progress | None = None,
    ) -> list[Any]:
        """Return the results of many changes of the scenario, on common random numbers.

        They are simulated side by side on all threads, each one as `simulate` does it.

        Parameters
        ----------
        changes
            Key paths and their new values, of each.
        keep
            What is kept of each result, such as one value of it; by default the result, whose rows
            take 48 bytes a step.
        steps, runs, seed, method, threads, days
            As in `simulate`, the same for all; days only count for those with failures.
        progress
            Called with the changes that are done and all of them; of a single one as `simulate`
            calls it.

        Raises
        ------
        ScenarioError
            As `simulate`, with the problems of all changes, each named by its place.

        Examples
        --------
        >>> import hindmost as hm
        >>> compiled = hm.compile("h100-1k")
        >>> software = [{"pools.h100.software_efficiency": share} for share in (1.0, 0.9)]
        >>> better, worse = compiled.many(software, seed=1, runs=2, steps=50)
        >>> better.value("mfu") > worse.value("mfu")
        True
        """
        # Drawn once, for common random numbers.
        seed = drawn_seed() if seed is None else seed
        threads = available_threads() if threads is None else as_int(threads)
        refuse(
            [
                *thread_problems(threads),
                *whole_run_problems(days=as_float(days), tokens=None, has_failures=True),
            ]
        )

        def simulated(changed: Scenario, *, threads: int, progress: Progress | None) -> Any:
            compiled = self if changed is self.scenario else Compiled(changed, like=self)
            result = compiled.simulate(
                steps=steps,
                runs=runs,
                seed=seed,
                method=method,
                threads=threads,
                days=days if changed.enabled_failures else None,
                progress=progress,
            )
            return result if keep is None else keep(result)

        changed = self._changed(changes)
        return in_parallel(changed, simulated, threads=threads, progress=progress)

    def _changed(self, changes: Sequence[Changes]) -> list[Scenario]:
        """Return the scenario with each of some changes, or raise the problems of all of them."""
        if isinstance(changes, Mapping | str) or not isinstance(changes, Iterable):
            requirement = "must be a list of changes, each a mapping of key paths to values"
            refuse([Problem(path="changes", requirement=requirement)])
        scenarios: list[Scenario] = []
        found: list[Problem] = []
        for number, change in enumerate(changes):
            source = f"changes {number}"
            try:
                scenarios.append(
                    with_changes(self.scenario, as_changes(change, source), changes_from=source)
                )
            except ScenarioError as error:
                found += error.problems
        refuse(found)
        return scenarios

    def simulate_steps(
        self,
        *,
        steps: int | None = None,
        runs: int | None = None,
        seed: int | None = None,
        method: Method = "auto",
        threads: int | None = None,
        terms: bool = False,
        precision: float | None = None,
        progress: Progress | None = None,
    ) -> Result:
        """Return the same without the account of whole runs, whether or not there are failures.

        Parameters and errors are those of `simulate`.
        """
        started = time.monotonic()
        steps, runs, seed, threads = (as_int(each) for each in (steps, runs, seed, threads))
        precision = as_float(precision)
        asked = {"method": method, "runs": runs, "steps": steps, "terms": terms}
        asked |= {} if precision is None else {"precision": precision}
        seed = drawn_seed() if seed is None else seed
        threads = available_threads() if threads is None else threads
        refuse(
            [
                *size_problems(steps=steps, runs=runs),
                *seed_problems(seed),
                *thread_problems(threads),
                *method_problems(method),
                *terms_problems(terms),
                *precision_problems(precision, runs=runs),
            ]
        )
        refuse(row_problems(1 if runs is None else runs, 1 if steps is None else steps))
        choice = self._choice(method, seed=seed, threads=threads, progress=progress)
        default_runs, default_steps = DEFAULT_SIZES[choice.method]
        if precision is None:
            steps = default_steps if steps is None else steps
            runs = default_runs if runs is None else runs
            refuse(row_problems(runs, steps))
        else:
            steps = STEPS[choice.method] if steps is None else steps
            refuse(row_problems(FIRST_RUNS, steps))
        core, plan = self.core, self.plan

        def draw(first_run: int, n_runs: int) -> _core.Columns:
            size: dict[str, Any] = {"seed": seed, "runs": n_runs, "steps": steps}
            size |= {"threads": threads, "first_run": first_run, "terms": terms}
            if choice.engine is None:
                tell = counting(progress, core.draws_per_step * n_runs * steps)
                return _core.sample(core, **size, progress=tell)
            tell = counting(progress, n_runs * (plan.n_ranks + steps))
            return choice.engine.run(**size, progress=tell)

        if precision is None:
            assert runs is not None
            columns = draw(0, runs)
        else:
            most_runs = min(MAX_RUNS, MAX_ROWS // steps)
            columns, runs = precise_columns(draw, precision=precision, most_runs=most_runs)
        inputs = {
            "scenario": to_table(self.scenario),
            "seed": seed,
            "runs": runs,
            "steps": steps,
            "method": choice.method,
            "version": _core.__version__,
            "asked": asked,
        }
        machine = {
            "threads": threads,
            "instruction_set": core.instructions,
            "wall_time_s": round(time.monotonic() - started, 3),
        }
        return Result(
            scenario=self.scenario,
            plan=plan,
            columns=columns,
            inputs=inputs,
            machine=machine,
            why=choice.why,
            deviation=choice.deviation,
        )

    def step_time_s(
        self,
        *,
        steps: Mapping[str, int],
        runs: int,
        seed: int,
        method: Method,
        threads: int,
        progress: Progress | None,
    ) -> NDArray[np.float64]:
        """Return the seconds of the steps that `simulate` would draw, and nothing else of them.

        Arguments are those of `simulate` and trusted; steps are by method, since `auto` chooses.
        What the runs fix is not kept: these are for a scenario that is simulated once.

        Returns
        -------
        array of shape (runs x steps,)
            Seconds, runs one after another.
        """
        choice = self._choice(method, seed=seed, threads=threads, progress=progress)
        n_steps = steps[choice.method]
        size: dict[str, Any] = {"seed": seed, "runs": runs, "steps": n_steps, "threads": threads}
        if choice.engine is None:
            tell = counting(progress, self.core.draws_per_step * runs * n_steps)
            return _core.sample(self.core, **size, progress=tell)["step_time_s"]
        tell = counting(progress, runs * (self.plan.n_ranks + n_steps))
        return choice.engine.seconds(**size, progress=tell)

    def _choice(
        self, method: Method, *, seed: int, threads: int, progress: Progress | None
    ) -> Choice:
        """Return the engine for a method; the sampler needs no laws to be compiled."""
        if method == "sample":
            return Choice(engine=None, why="as asked")

        def chosen() -> Choice:
            return choose(
                self.core, self.exact, method, seed=seed, threads=threads, progress=progress
            )

        if method == "auto" or not isinstance(self.exact, Reason):
            return chosen()
        # Replicas that are sampled for their law take long.
        return self._replica_laws.get(seed, chosen)


def compile(scenario: Scenario | str | Path, changes: Changes | None = None) -> Compiled:
    """Return a scenario, planned and compiled, so that simulations of it cost no planning.

    What its simulations find is kept, and found again after a change that leaves it as it is: the
    persistent effects of GPUs under a seed (up to 256 MiB of them), seconds and bytes of the pools,
    and, of replicas that are sampled for their law, the laws under the last two seeds.

    Parameters
    ----------
    scenario
        A scenario, or a name or path that `load` takes.
    changes
        Key paths and their new values, laid over the scenario.

    Raises
    ------
    ScenarioError
        With every problem of the scenario, or if the job does not fit into memory, or two causes
        would share random numbers.

    Examples
    --------
    >>> import hindmost as hm
    >>> compiled = hm.compile("h100-1k")
    >>> one, other = (compiled.simulate(seed=seed, runs=2, steps=100) for seed in (1, 2))
    >>> one == hm.simulate("h100-1k", seed=1, runs=2, steps=100)
    True
    """
    return Compiled(scenario_of(scenario, changes), memory=_core.Memory())


def scenario_of(scenario: Scenario | str | Path, changes: Changes | None) -> Scenario:
    """Return a scenario with changes laid over it, whatever it was given as."""
    if isinstance(scenario, Scenario):
        return with_changes(scenario, as_changes(changes))
    return load(scenario, changes)


def _compiled(plan: Plan, source: str) -> _core.Plan:
    """Compile a plan, and turn what the core refuses into problems of the scenario."""
    try:
        return _core.Plan(**_with_laws(plan.arguments), instructions=_instructions())
    except _core.StreamsError as error:
        first, second = error.args
        requirement = f"must not hold both {first} and {second}: their random numbers are the same"
        hint = "rename one of the causes or pools"
        problem = Problem(path="causes", requirement=requirement, hint=hint, source=source)
        raise ScenarioError([problem]) from None
    except _core.DomainError as error:
        # Only what several laws come to together; each law was checked before.
        path, value, requirement = error.args
        if path != "causes":
            raise
        requirement = f"must be {requirement}"
        problem = Problem(path=path, requirement=requirement, value=value, source=source)
        raise ScenarioError([problem]) from None


def _with_laws(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments of a plan with the laws in them compiled, each one once."""
    causes = [{**cause, "law": compiled_law(cause["law"])} for cause in arguments["causes"]]
    terms = [
        {**term, "hops": None if term["hops"] is None else compiled_law(term["hops"])}
        for term in arguments["terms"]
    ]
    return {**arguments, "causes": causes, "terms": terms}


def _instructions() -> str | None:
    """Return the instruction set that the environment asks for, if any."""
    wanted = os.environ.get(INSTRUCTIONS_VARIABLE)
    available = _core.instruction_sets()
    if not wanted or wanted in available:
        return wanted or None
    requirement = f"must be one of {', '.join(available)} on this processor"
    raise ScenarioError(
        [Problem(path=INSTRUCTIONS_VARIABLE, requirement=requirement, value=wanted)]
    )
