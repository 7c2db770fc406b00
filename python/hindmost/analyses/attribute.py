"""What each mechanism costs, whatever else is removed: exact Shapley values of MFU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

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
from hindmost.compiled import Compiled, compile
from hindmost.engines import Method, Progress, Reason
from hindmost.errors import Problem, ScenarioError, UnknownNameError, did_you_mean
from hindmost.notebook import Cells, shown
from hindmost.plots.bars import Fall, waterfall
from hindmost.plots.plot import Plot
from hindmost.scenario import Changes, Scenario
from hindmost.scenario.ideal import MECHANISMS, SIDES, in_words
from hindmost.statistics import jackknife

if TYPE_CHECKING:
    import polars as pl

ATTRIBUTION_SIZES = {"order-statistics": (8, 1000), "sample": (4, 20)}
"""Runs, and steps of each run, by method: of each coalition, so fewer than of one simulation."""
MOST_SAMPLED = 64
"""Simulations of all ranks above which mechanisms are grouped."""
MOST_SIMULATIONS = 2**14
"""Simulations of an attribution, at most."""
MOST_PLAYERS = 20
"""Mechanisms, or causes of them, at most: there are two to their power of coalitions."""

Metric = Literal["mfu", "fleet_mfu"]

SHOWN = 5e-5
"""Costs below it are written as 0 in plots."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one mechanism costs of one metric.

    Attributes
    ----------
    metric : str
        ``mfu`` or ``fleet_mfu``.
    mechanism : str
        The mechanism, its key in ``[ideal]``; or ``MECHANISM: CAUSE``, or a group of mechanisms.
    shapley : float
        Its Shapley value: what making it ideal gains, on average over all orders in which
        mechanisms can be made ideal. Below 0 where it hides others.
    std_error : float or None
        Standard error, by leaving out each run of all coalitions; None for one run.
    alone, last : float
        What making it ideal gains with all else as it is, and with all else ideal.
    alone_std_error, last_std_error : float or None
        Standard errors of these.
    """

    metric: str
    mechanism: str
    shapley: float
    std_error: float | None
    alone: float
    alone_std_error: float | None
    last: float
    last_std_error: float | None


@dataclass(frozen=True, kw_only=True)
class Interaction:
    """What two mechanisms cost together beyond what each of them does.

    Attributes
    ----------
    metric : str
        ``mfu`` or ``fleet_mfu``.
    first, second : str
        The mechanisms.
    value : float
        Their Shapley interaction: above 0 where removing both gains more than removing each.
    std_error : float or None
        Standard error; None for one run.
    """

    metric: str
    first: str
    second: str
    value: float
    std_error: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution:
    """What each mechanism of a scenario costs.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    lattice : Lattice
        MFU of all coalitions.
    inputs : dict
        seed, runs, steps, method, days and by.
    why : str
        Why the method was chosen.
    grouped : str
        Why mechanisms were grouped; empty if they were not.
    """

    scenario: Scenario
    lattice: Lattice
    inputs: dict[str, Any]
    why: str
    grouped: str

    @property
    def metrics(self) -> dict[str, tuple[tuple[Player, ...], shapley.Values]]:
        """Players and values of coalitions by metric: that of whole runs only with failures."""
        found = {"mfu": (self.lattice.step_players, self.lattice.mfu)}
        if self.lattice.fleet_mfu is not None:
            everyone = (*self.lattice.step_players, *self.lattice.run_players)
            found["fleet_mfu"] = (everyone, self.lattice.fleet_mfu)
        return found

    @cached_property
    def shares(self) -> tuple[Share, ...]:
        """What each mechanism costs of each metric. They add up to ``ideal - value``.

        Mechanisms that the scenario does not have come last, and cost exactly nothing.
        """
        error = 0.0 if self.inputs["runs"] > 1 else None
        return (
            *self._shares,
            *(_nothing(metric, name, error) for metric in self.metrics for name in self.absent),
        )

    @property
    def absent(self) -> tuple[str, ...]:
        """Mechanisms that the scenario does not have; none are told where they are grouped."""
        if self.inputs["by"] == "group":
            return ()
        everyone = (*self.lattice.step_players, *self.lattice.run_players)
        there = {player.mechanism for player in everyone}
        sides = ("compute", "network") if self.lattice.fleet_mfu is None else SIDES
        return tuple(one.name for one in MECHANISMS if one.name not in there and one.side in sides)

    @property
    def ideal_already(self) -> tuple[str, ...]:
        """Mechanisms among those that are not there because the scenario makes them ideal."""
        ideal = self.scenario.ideals
        return tuple(one.name for one in MECHANISMS if getattr(ideal, one.name))

    @property
    def _shares(self) -> tuple[Share, ...]:
        return tuple(
            Share(
                metric=metric,
                mechanism=player.name,
                shapley=float(value[0]),
                std_error=_error(value),
                alone=float(alone[0]),
                alone_std_error=_error(alone),
                last=float(last[0]),
                last_std_error=_error(last),
            )
            for metric, (found, values) in self.metrics.items()
            for player, value, alone, last in zip(
                found,
                shapley.shapley(values),
                shapley.alone(values),
                shapley.last(values),
                strict=True,
            )
        )

    @cached_property
    def interactions(self) -> tuple[Interaction, ...]:
        """Interactions of all pairs of mechanisms, of each metric."""
        return tuple(
            Interaction(
                metric=metric,
                first=found[first].name,
                second=found[second].name,
                value=float(value[0]),
                std_error=_error(value),
            )
            for metric, (found, values) in self.metrics.items()
            for (first, second), value in shapley.interactions(values).items()
        )

    @property
    def frame(self) -> pl.DataFrame:
        """`shares` as a table, one row each."""
        return _frame(self.shares, ("std_error", "alone_std_error", "last_std_error"))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows of `frame`, made without Polars."""
        return [asdict(share) for share in self.shares]

    def _repr_html_(self) -> str:
        """Return what a notebook shows: what each mechanism costs, most first."""
        keys = ("metric", "mechanism", "shapley", "std_error", "alone", "last")
        shares = sorted(self.shares, key=lambda one: (one.metric != "mfu", -one.shapley))
        rows = [[getattr(one, key) for key in keys] for one in shares if one.shapley != 0]
        return shown(f"What each mechanism costs, {self.scenario.name}", Cells(keys, rows))

    def plot(self, metric: str = "mfu") -> Plot:
        """Return a waterfall from the metric of the scenario to that of its ideal.

        Parameters
        ----------
        metric
            ``mfu`` or, with failures, ``fleet_mfu``.

        Raises
        ------
        ScenarioError
            If there is no such metric.
        """
        if metric not in self.metrics:
            requirement = f"must be one of {', '.join(self.metrics)}"
            raise ScenarioError([Problem(path="metric", requirement=requirement, value=metric)])
        shares = [one for one in self.shares if one.metric == metric and one.shapley != 0]
        shares.sort(key=lambda one: -one.shapley)
        (value, _), (ideal, _) = self.ends(metric)
        names = {"mfu": "MFU", "fleet_mfu": "fleet MFU"}
        rows, at = [Fall(names[metric], 0.0, value, f"{value:.4f}", "total")], value
        for one in shares:
            low, high = sorted((at, at + one.shapley))
            kind = "gain" if one.shapley > 0 else "loss"
            text = f"{one.shapley:+.4f}" if abs(one.shapley) >= SHOWN else "0"
            rows.append(Fall(one.mechanism, low, high, text, kind))
            at += one.shapley
        rows.append(Fall("with all of them ideal", 0.0, ideal, f"{ideal:.4f}", "total"))
        return waterfall(
            rows,
            title=f"What each mechanism costs, {self.scenario.name}",
            subtitle="Shapley values: gained where it costs nothing, on average over all orders",
            axis=names[metric],
        )

    @property
    def interaction_frame(self) -> pl.DataFrame:
        """`interactions` as a table, one row each."""
        return _frame(self.interactions, ("std_error",))

    def share(self, name: str, metric: str = "mfu") -> Share:
        """Return the share of one mechanism, a cause or a group.

        By its key or as reports write it.

        Raises
        ------
        ScenarioError
            If there is none. It is a KeyError, too.
        """
        for one in self.shares:
            if one.metric == metric and name in (one.mechanism, in_words(one.mechanism)):
                return one
        names = [one.mechanism for one in self.shares if one.metric == metric]
        if not names:
            requirement = f"must be one of {', '.join(self.metrics)}"
            raise UnknownNameError([Problem(path="metric", requirement=requirement, value=metric)])
        hint = did_you_mean(name, names)
        requirement = "must be the name of a share"
        raise UnknownNameError(
            [Problem(path="name", requirement=requirement, value=name, hint=hint)]
        )

    def ends(self, metric: str) -> tuple[tuple[float, float | None], tuple[float, float | None]]:
        """Return a metric as it is and with all ideal, each with its standard error."""
        _, values = self.metrics[metric]
        flat = values.reshape(-1, values.shape[-1])
        nobody, everybody = flat[0], flat[-1]
        return (float(nobody[0]), _error(nobody)), (float(everybody[0]), _error(everybody))

    @property
    def groups(self) -> dict[str, list[str]]:
        """Mechanisms of each group, where they are grouped."""
        if self.inputs["by"] != "group":
            return {}
        everyone = (*self.lattice.step_players, *self.lattice.run_players)
        return {player.name: list(player.flags) for player in everyone}

    @property
    def n_simulations(self) -> int:
        """Simulations of steps that it took."""
        return n_simulations(self.lattice.step_players)

    def document(self, *, interactions: bool = False) -> dict[str, Any]:
        """Return the attribution as plain tables, as ``attribute --format json`` prints it."""
        of_metric = {
            metric: self._of_metric(metric, interactions=interactions) for metric in self.metrics
        }
        return {
            "inputs": self.inputs,
            "scenario": self.scenario.name,
            "why": self.why,
            "grouped": self.grouped,
            "groups": self.groups,
            **of_metric["mfu"],
            "fleet_mfu": of_metric.get("fleet_mfu"),
        }

    def _of_metric(self, metric: str, *, interactions: bool) -> dict[str, Any]:
        """Return what mechanisms cost of one metric as plain tables."""
        (value, error), (ideal, ideal_error) = self.ends(metric)
        pairs = self.interactions if interactions else ()
        return {
            "from": value,
            "from_std_error": error,
            "to": ideal,
            "to_std_error": ideal_error,
            "mechanisms": _rows_of(metric, self.shares),
            "interactions": _rows_of(metric, pairs),
        }


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
    return Attribution(
        scenario=base.scenario, lattice=values, inputs=inputs, why=why, grouped=grouped
    )


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


def _rows_of(metric: str, rows: Sequence[Share] | Sequence[Interaction]) -> list[dict[str, Any]]:
    """Return the rows of one metric without its name."""
    found = (asdict(row) for row in rows if row.metric == metric)
    return [{key: value for key, value in row.items() if key != "metric"} for row in found]


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


def _frame(rows: Sequence[Any], floats: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    # Without this, a column of nulls only would have no type.
    schema = dict.fromkeys(floats, pl.Float64)
    return pl.DataFrame([asdict(row) for row in rows], schema_overrides=schema)
