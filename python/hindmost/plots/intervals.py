"""Intervals of numbers: draws of a forecast, and what is believed before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hindmost.plots.plot import Plot
from hindmost.plots.style import INK, PALETTE, WIDTH, Spec, field, plot, values

ROW = 34
"""Points of one interval and what is around it."""


class Interval(NamedTuple):
    """A number with its interval."""

    name: str
    """What it is of."""
    kind: str
    """Whose: several of one name are drawn below each other."""
    low: float
    middle: float
    high: float
    points: tuple[float, ...] = ()
    """Single values that are drawn, too."""


def intervals(
    panels: Sequence[tuple[str, Sequence[Interval]]], *, title: str, subtitle: str
) -> Plot:
    """Return panels of intervals, one below another, each with an axis of its own.

    Parameters
    ----------
    panels
        The title of each axis, with its unit, and its intervals.
    title, subtitle
        Texts.
    """
    found = [_panel(axis, rows) for axis, rows in panels]
    return plot(title, subtitle, {"vconcat": found, "spacing": 16})


def _panel(axis: str, rows: Sequence[Interval]) -> Spec:
    kinds = list(dict.fromkeys(one.kind for one in rows))
    table = [
        {"kind": one.kind, "low": one.low, "middle": one.middle, "high": one.high} for one in rows
    ]
    points = [{"kind": one.kind, "value": value} for one in rows for value in one.points]
    scale = {"zero": False}
    y = field("kind", "N", None, sort=kinds)
    domain = {"domain": kinds, "range": list(PALETTE[: len(kinds)])}
    colour = {**field("kind", "N", None, scale=domain), "legend": None}
    layers: list[dict[str, Any]] = [
        {
            "data": values(table),
            "mark": {"type": "rule", "strokeWidth": 5, "strokeCap": "round", "opacity": 0.5},
            "encoding": {
                "y": y,
                "x": field("low", "Q", axis, scale=scale),
                "x2": {"field": "high"},
                "color": colour,
            },
        },
        {
            "data": values(table),
            "mark": {"type": "point", "filled": True, "size": 110, "opacity": 1},
            "encoding": {"y": y, "x": field("middle", "Q", axis, scale=scale), "color": colour},
        },
    ]
    if points:
        layers.append(
            {
                "data": values(points),
                "mark": {"type": "tick", "color": INK, "thickness": 1.5, "size": 14},
                "encoding": {"y": y, "x": field("value", "Q", axis, scale=scale)},
            }
        )
    return {"width": WIDTH, "height": ROW * len(kinds), "layer": layers}
