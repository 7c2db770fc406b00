"""What a report of a result says of its forecast."""

from __future__ import annotations

from typing import Any

from hindmost.forecasted import FORECAST_METRICS, Forecast
from hindmost.metrics import METRICS
from hindmost.report.content import Table
from hindmost.report.numbers import count, rounded, with_error
from hindmost.result import Result
from hindmost.scenario.models import BEST_STACK, Pool
from hindmost.scenario.stack import classes_not_measured, has_fit

BEST_SOFTWARE = 1.0
"""Software efficiency of a stack that is as good as the kernels that it calls."""


def forecast_lead(result: Result) -> tuple[str, ...]:
    """Return what is to be read first: the forecast, what it draws, and what the values are."""
    found = result.forecast
    if found is None:
        return ()
    by_key = _by_key(found)

    def interval(metric: str) -> str:
        low, middle, high = (
            rounded(*by_key[metric, statistic]) for statistic in ("p5", "p50", "p95")
        )
        unit = f" {METRICS[metric].unit}".rstrip()
        return f"{METRICS[metric].title} {middle}{unit} ({low} to {high})"

    first, second = map(interval, FORECAST_METRICS)
    runs = count(len(found.mfu))
    acting = [path for path in found.unknowns if path not in found.idle]
    of = f"{runs} draws of what is not known" if acting else f"{runs} runs"
    lines = [f"Forecast: {first}, {second}: the median, and p5 to p95, of {of}."]
    named, stack = result.scenario.workload.stack, found.inputs["stack"]
    if named is None and stack != BEST_STACK:
        lines.append(
            f"Its software is as the stack {stack}, because the scenario names none "
            "(workload.stack)."
        )
    elif named is None:
        lines.append(
            "Efficiencies or passes of all pools are given, which is taken for a fit of all that "
            "software loses: name workload.stack if it is none."
        )
    others = classes_not_measured(result.scenario, stack)
    if others:
        lines.append(
            f"Nobody has measured the stack {stack} with {' or '.join(others)}: its law is that of "
            "other classes, and as wide as all of them are apart."
        )
    if acting:
        lines.append(f"Drawn anew in each: {', '.join(acting)}.")
    else:
        lines.append("Nothing that acts on steps is unknown, so these are the runs below.")
    if found.held:
        lines.append(
            f"Held at the scenario's value, since it makes another job: {', '.join(found.held)}."
        )
    if found.idle:
        lines.append(f"Not acting on steps: {', '.join(found.idle)}.")
    if found.n_redrawn:
        lines.append(f"{count(found.n_redrawn)} draws that the scenario refuses were made again.")
    return (*lines, _of_values(result, acting))


def _of_values(result: Result, acting: list[str]) -> str:
    """Return what the scenario's own values come to, and whether that is a ceiling."""
    said = f"At the scenario's own values MFU is {rounded(*_value(result, 'mfu'))}"
    has_runs = bool(result.scenario.enabled_failures)
    if not is_ceiling(result):
        runs = " So are the whole runs below." if has_runs else ""
        return f"{said}.{runs}"
    if any(path.endswith(".software_efficiency") for path in acting):
        runs = " All whole runs below are made there, too." if has_runs else ""
        return f"{said}: a ceiling as far as software goes, which is at its best there.{runs}"
    return (
        f"{said}. Software is at its best in both (software_efficiency 1): as far as that goes, "
        "both are ceilings."
    )


def is_ceiling(result: Result) -> bool:
    """Return whether software is at its best in all pools at the scenario's own values."""
    return all(map(_is_best, result.scenario.pools.values()))


def _is_best(pool: Pool) -> bool:
    """Return whether software is as good as its kernels, and no fit or measurement says less."""
    return pool.software_efficiency >= BEST_SOFTWARE and not has_fit(pool)


def forecast_tables(result: Result) -> tuple[Table, ...]:
    """Return the forecast as a table with its errors, and below it what the values come to."""
    found = result.forecast
    if found is None:
        return ()
    by_key = _by_key(found)
    rows = [
        (statistic, *(with_error(*by_key[metric, statistic]) for metric in FORECAST_METRICS))
        for statistic in ("p5", "p50", "p95")
    ]
    rows.append(
        ("at its values", *(with_error(*_value(result, name)) for name in FORECAST_METRICS))
    )
    headings = (METRICS[metric].heading for metric in FORECAST_METRICS)
    return (Table(("forecast", *headings), tuple(rows)),)


def summary_and_forecast(result: Result) -> list[dict[str, Any]]:
    """Return the rows of a summary, and those of a forecast below them.

    Metrics of these are called as in thresholds, such as ``forecast.mfu``: whoever reads a metric
    of the summary by its name finds the same rows as without a forecast.
    """
    found = result.forecast
    forecast = [] if found is None else found.summary_rows
    return [
        *result.summary_rows,
        *({**row, "metric": f"forecast.{row['metric']}"} for row in forecast),
    ]


def _by_key(found: Forecast) -> dict[tuple[str, str], tuple[float, float | None]]:
    return {
        (row["metric"], row["statistic"]): (row["value"], row["std_error"])
        for row in found.summary_rows
    }


def _value(result: Result, metric: str) -> tuple[float, float | None]:
    """Return the mean of a metric at the scenario's values, with its error."""
    return next(
        (row["value"], row["std_error"])
        for row in result.summary_rows
        if (row["metric"], row["statistic"]) == (metric, "mean")
    )
