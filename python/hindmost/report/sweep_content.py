"""What a report of a sweep says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count

if TYPE_CHECKING:
    import polars as pl

MOST_ROWS = 24
"""Points that are shown, at most."""
MOST_KEYS = 3
"""Key paths above which their values are not shown."""
MOST_REASONS = 5
"""Reasons of refusals that are shown, at most."""
SHOWN = {
    "mfu_mean": "MFU",
    "fleet_mfu_mean": "fleet MFU",
    "step_time_s_mean": "step time, s",
    "step_time_s_p99": "p99, s",
}
"""Columns of numbers that are shown, and their headings."""


def sweep_content(
    frame: pl.DataFrame, *, base: str, runs: int | None, steps: int | None
) -> Content:
    """Return the content of a sweep's report: its points, the best first where they are many.

    Parameters
    ----------
    frame
        What `sweep` returns.
    base
        Name of the scenario that the points change.
    runs, steps
        Of each point; None for those of `simulate`.
    """
    is_done = frame["error"].is_null()
    is_long = frame.height > MOST_ROWS
    shown = frame
    if is_long:
        shown = frame.filter(is_done).sort("mfu_mean", descending=True, maintain_order=True)
    rows = shown.head(MOST_ROWS).to_dicts()
    changed = frame.columns[1 : frame.columns.index("seed")]
    is_wide = len(changed) > MOST_KEYS
    if is_wide:
        changed = []
    numbers = [name for name in SHOWN if name in frame.columns]
    headings = ("point", *changed, *(SHOWN[name] for name in numbers))
    cells = tuple(
        (
            str(row["index"]),
            *(_value(row[path]) for path in changed),
            *(_number(row, name) for name in numbers),
        )
        for row in rows
    )
    reasons = Counter(frame.filter(~is_done)["error"].to_list())
    listings = []
    if reasons:
        lines = [f"{count(n)}: {reason}" for reason, n in reasons.most_common(MOST_REASONS)]
        if len(reasons) > MOST_REASONS:
            lines.append(f"{count(len(reasons) - MOST_REASONS)} more reasons")
        listings.append(Listing("Points without numbers, by reason", tuple(lines)))
    given = {"runs": runs, "steps": steps}
    sizes = [f"{count(n)} {name}" if n else f"{name} as run has them" for name, n in given.items()]
    notes = [f"Seed {frame['seed'][0]}, {', '.join(sizes)}." if frame.height else "No points."]
    if is_wide:
        notes.insert(0, "--output and --format json have the values of points.")
    if is_long:
        notes.insert(0, f"The {count(len(rows))} with the highest MFU; --output keeps all.")
    return Content(
        headline=f"{base}: {count(int(is_done.sum()))} of {count(frame.height)} points",
        tables=(Table(headings, cells),),
        notes=tuple(notes),
        listings=tuple(listings),
    )


def _number(row: dict[str, Any], name: str) -> str:
    value = row[name]
    return "" if value is None else f"{value:.4g}"


def _value(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
