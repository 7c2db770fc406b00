"""Attributions: what each mechanism of a scenario costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hindmost.errors import Problem, ScenarioError, UnknownNameError, did_you_mean
from hindmost.notebook import Cells, shown
from hindmost.plots.bars import Fall, waterfall
from hindmost.plots.plot import Plot
from hindmost.scenario import Scenario, from_table
from hindmost.scenario.ideal import MECHANISMS, in_words

if TYPE_CHECKING:
    import polars as pl

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


@dataclass(frozen=True, kw_only=True)
class Total:
    """A metric as it is, and with all mechanisms ideal.

    Attributes
    ----------
    value, ideal : float
        Both values.
    std_error, ideal_std_error : float or None
        Their standard errors, by leaving out each run; None for one run.
    """

    value: float
    std_error: float | None
    ideal: float
    ideal_std_error: float | None


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What each mechanism of a scenario costs.

    An attribution is a value: plain data that compares and pickles.

    Attributes
    ----------
    inputs : dict
        scenario, seed, runs, steps, method, days and by: everything that a repetition needs.
    why : str
        Why the method was chosen.
    grouped : str
        Why mechanisms were grouped; empty if they were not.
    totals : dict of str to Total
        Both ends by metric: ``mfu``, and ``fleet_mfu`` with failures.
    shares : tuple of Share
        What each mechanism costs of each metric. They add up to ``ideal - value``. Mechanisms that
        the scenario does not have come last, and cost exactly nothing.
    interactions : tuple of Interaction
        Interactions of all pairs of mechanisms, of each metric.
    absent : tuple of str
        Mechanisms that the scenario does not have; none are told where they are grouped.
    groups : dict of str to list of str
        Mechanisms of each group, where they are grouped.
    n_simulations : int
        Simulations of steps that it took.
    """

    inputs: dict[str, Any]
    why: str
    grouped: str
    totals: dict[str, Total]
    shares: tuple[Share, ...]
    interactions: tuple[Interaction, ...]
    absent: tuple[str, ...]
    groups: dict[str, list[str]]
    n_simulations: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics: that of whole runs only with failures."""
        return tuple(self.totals)

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario."""
        return from_table(self.inputs["scenario"])

    @property
    def ideal_already(self) -> tuple[str, ...]:
        """Mechanisms among those that are not there because the scenario makes them ideal."""
        ideal = self.scenario.ideals
        return tuple(one.name for one in MECHANISMS if getattr(ideal, one.name))

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
        return shown(
            f"What each mechanism costs, {self.inputs['scenario']['name']}", Cells(keys, rows)
        )

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
            title=f"What each mechanism costs, {self.inputs['scenario']['name']}",
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
        total = self.totals[metric]
        return (total.value, total.std_error), (total.ideal, total.ideal_std_error)

    def document(self, *, interactions: bool = False) -> dict[str, Any]:
        """Return the attribution as plain tables, as ``attribute --format json`` prints it."""
        of_metric = {
            metric: self._of_metric(metric, interactions=interactions) for metric in self.metrics
        }
        return {
            "inputs": self.without_scenario().inputs,
            "scenario": self.inputs["scenario"]["name"],
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

    def with_scenario(self, scenario: Mapping[str, Any]) -> Attribution:
        """Return the attribution with the table of its scenario among its inputs."""
        return replace(self, inputs={"scenario": dict(scenario), **self.inputs})

    def without_scenario(self) -> Attribution:
        """Return the attribution without its scenario, to be kept where that is kept already."""
        inputs = {key: value for key, value in self.inputs.items() if key != "scenario"}
        return replace(self, inputs=inputs)


def _rows_of(metric: str, rows: Sequence[Share] | Sequence[Interaction]) -> list[dict[str, Any]]:
    """Return the rows of one metric without its name."""
    found = (asdict(row) for row in rows if row.metric == metric)
    return [{key: value for key, value in row.items() if key != "metric"} for row in found]


def _frame(rows: Sequence[Any], floats: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    # Without this, a column of nulls only would have no type.
    schema = dict.fromkeys(floats, pl.Float64)
    return pl.DataFrame([asdict(row) for row in rows], schema_overrides=schema)
