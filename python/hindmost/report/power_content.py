"""What a report says of power and energy."""

from __future__ import annotations

from collections.abc import Iterator

from hindmost.report.content import Table
from hindmost.report.numbers import mega, rounded
from hindmost.result import Result

JOULES_PER_MWH = 3.6e9
"""Joules of a megawatt-hour."""


def power_tables(result: Result) -> tuple[Table, ...]:
    """Return the table of power by pool and phase; none where no power is known."""
    rows = [row for row in result.power_rows if row["watts"] is not None and row["seconds"] > 0]
    if not rows:
        return ()
    error = _relative_error(result)
    cells = [
        (
            row["pool"] if row["phase"] == "compute" else "",
            row["phase"],
            rounded(row["seconds"], error and error * row["seconds"]),
            mega(row["watts"]),
            mega(row["joules"]),
        )
        for row in rows
    ]
    return (Table(("power of pool", "phase", "s", "MW", "MJ"), tuple(cells)),)


def power_notes(result: Result) -> Iterator[str]:
    """Yield sentences about energy and power of the whole cluster, or what they need."""
    found, error = result.energy, _relative_error(result)
    if found.hint is not None:
        yield f"Energy is not known: {found.hint}."
        return
    if found.token_j is None:
        return
    token = rounded(found.token_j, error and error * found.token_j)
    yield f"Energy: {mega(found.step_j)} MJ a step, {token} J a token.{_swing(result)}"
    if found.run_j is not None and found.run_token_j is not None:
        yield (
            f"Energy of whole runs: {found.run_j / JOULES_PER_MWH:,.0f} MWh a run, "
            f"{rounded(found.run_token_j, None)} J a token kept."
        )


def _swing(result: Result) -> str:
    """Return the power of the cluster over a step, in a sentence."""
    found = result.energy
    if found.swing_w is None:
        return ""
    return (
        f" Power {mega(found.mean_w)} MW on average, from {mega(found.trough_w)} to "
        f"{mega(found.peak_w)} MW in each step, a swing of {mega(found.swing_w)} MW."
    )


def _relative_error(result: Result) -> float | None:
    """Return the standard error of the mean step time over it; None for one run."""
    row = next(
        row
        for row in result.summary_rows
        if (row["metric"], row["statistic"]) == ("step_time_s", "mean")
    )
    return None if row["std_error"] is None else row["std_error"] / row["value"]
