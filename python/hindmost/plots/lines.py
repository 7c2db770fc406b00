"""Lines over a number: costs over GPUs, rates over rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hindmost.plots.plot import Plot
from hindmost.plots.style import HEIGHT, WIDTH, field, plot, values

DECADES = 4
"""Labels of a logarithmic axis, about."""
MOST_POINTS = 60
"""Points that are marked on lines, at most."""


class Point(NamedTuple):
    """A point of a line."""

    x: float
    y: float
    line: str
    """Name of the line."""
    text: str = ""
    """What it is, where one points at it."""


def lines(
    rows: Sequence[Point],
    *,
    title: str,
    subtitle: str,
    x: str,
    y: str,
    legend: str | None = None,
    is_log: tuple[bool, bool] = (False, False),
) -> Plot:
    """Return lines with their points.

    Parameters
    ----------
    rows
        Points, line by line.
    title, subtitle, x, y, legend
        Texts; those of axes have units.
    is_log
        Whether each axis is logarithmic.
    """

    def axis(log: bool) -> dict[str, Any]:
        if log:
            # A tick a decade: Vega would label and rule every digit.
            return {"scale": {"type": "log"}, "axis": {"tickCount": DECADES, "format": "~g"}}
        return {"scale": {"zero": False}}

    table = [{"x": one.x, "y": one.y, "line": one.line, "text": one.text} for one in rows]
    names = list(dict.fromkeys(one.line for one in rows))
    colour = field("line", "N", legend, sort=names)
    body = {
        "width": WIDTH,
        "height": HEIGHT,
        "data": values(table),
        "mark": {"type": "line", "point": len(rows) <= MOST_POINTS, "tooltip": True},
        "encoding": {
            "x": field("x", "Q", x, **axis(is_log[0])),
            "y": field("y", "Q", y, **axis(is_log[1])),
            "color": colour if len(names) > 1 else {**colour, "legend": None},
            "order": {"field": "x", "type": "quantitative"},
        },
    }
    return plot(title, subtitle, body)
