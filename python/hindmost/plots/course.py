"""Lines over time that may jump."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hindmost.plots.plot import Plot
from hindmost.plots.style import HEIGHT, WIDTH, field, plot, values


def course(
    lines: Mapping[str, Sequence[tuple[float, float]]],
    *,
    title: str,
    subtitle: str,
    x: str,
    y: str,
) -> Plot:
    """Return lines through points in the order in which they are given.

    Parameters
    ----------
    lines
        Points of each line, by its name; two at one time are a jump.
    title, subtitle, x, y
        Texts; those of axes have units.
    """
    table = [
        {"x": time, "y": value, "line": name, "place": place}
        for name, points in lines.items()
        for place, (time, value) in enumerate(points)
    ]
    colour = field("line", "N", None, sort=list(lines))
    body = {
        "width": WIDTH,
        "height": HEIGHT,
        "data": values(table),
        "mark": {"type": "line", "strokeJoin": "miter", "tooltip": True},
        "encoding": {
            "x": field("x", "Q", x),
            "y": field("y", "Q", y, scale={"zero": True}, axis={"format": "~s"}),
            "color": colour if len(lines) > 1 else {**colour, "legend": None},
            "order": {"field": "place", "type": "quantitative"},
        },
    }
    return plot(title, subtitle, body)
