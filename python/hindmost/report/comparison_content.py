"""What a report of a comparison says."""

from __future__ import annotations

from hindmost.analyses.compare import Comparison, Difference
from hindmost.metrics import METRICS, RUN_METRICS
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count, rounded, signed_percent, with_error

SHOWN = (
    ("step_time_s", "mean"),
    ("step_time_s", "p99"),
    ("mfu", "mean"),
    ("exposed_comm_s", "mean"),
    ("goodput", "mean"),
    ("tokens_per_day", "mean"),
    ("fleet_mfu", "mean"),
)
"""Metrics and statistics of the table, and of the sentences."""


def comparison_content(comparison: Comparison) -> Content:
    """Return the content of a comparison's report: a table a side, and sentences."""
    inputs = comparison.base.inputs
    sides = ", ".join(comparison.sides)
    notes = [
        f"± is the standard error of the paired difference, * a difference that a 95% interval of "
        f"Student's t with {inputs['runs'] - 1} degrees of freedom tells from none."
        if inputs["runs"] > 1
        else "One run of each: the difference is given this cluster, and has no error.",
        f"Seed {inputs['seed']}, {inputs['runs']} runs of {count(inputs['steps'])} steps, method "
        f"{inputs['method']} ({comparison.why}).",
    ]
    return Content(
        headline=f"{comparison.base.scenario.name} against {sides}",
        tables=tuple(_table(comparison, name) for name in comparison.sides),
        notes=tuple(notes),
        listings=(Listing("In words", tuple(words(comparison))),),
    )


def words(comparison: Comparison) -> list[str]:
    """Return a sentence for each side."""
    return [_sentence(comparison, name) for name in comparison.sides]


def _shown(comparison: Comparison, side: str) -> list[Difference]:
    by_key = {
        (one.metric, one.statistic): one for one in comparison.differences if one.side == side
    }
    return [by_key[key] for key in SHOWN if key in by_key]


def _table(comparison: Comparison, side: str) -> Table:
    rows = []
    for one in _shown(comparison, side):
        statistic = "" if one.statistic == "mean" else f", {one.statistic}"
        change = "" if one.base == 0 else _percent(one)
        rows.append(
            (
                f"{_heading(one.metric)}{statistic}",
                rounded(one.base, one.std_error),
                rounded(one.value, one.std_error),
                with_error(one.difference, one.std_error) + "*" * bool(one.is_clear),
                change,
            )
        )
    return Table((side, "base", "side", "difference", "change"), tuple(rows))


def _percent(one: Difference) -> str:
    scale = 100 / abs(one.base)
    error = None if one.std_error is None else scale * one.std_error
    return signed_percent(scale * one.difference, error)


def _title(metric: str) -> str:
    return (METRICS.get(metric) or RUN_METRICS[metric]).title


def _heading(metric: str) -> str:
    known = METRICS.get(metric)
    return _title(metric) if known is None else known.heading


def _sentence(comparison: Comparison, side: str) -> str:
    if side in comparison.unchanged:
        return f"{side}: changes nothing; its plan and its failures are those of the base."
    found = _shown(comparison, side)
    clear = [one for one in found if one.is_clear or (one.is_clear is None and one.difference)]
    if not clear:
        titles = dict.fromkeys(_title(one.metric) for one in found)
        return f"{side}: no clear difference in {', '.join(titles)}."
    return f"{side}: {'; '.join(map(_clause, clear))}."


def _clause(one: Difference) -> str:
    verb = "rises" if one.difference > 0 else "falls"
    statistic = "" if one.statistic == "mean" else f" ({one.statistic})"
    by = with_error(abs(one.difference), one.std_error)
    percent = "" if one.base == 0 else f" ({_percent(one)})"
    return f"{_title(one.metric)}{statistic} {verb} by {by}{percent}"
