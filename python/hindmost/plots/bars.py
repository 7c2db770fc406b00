"""Bars by name, and waterfalls from one value to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hindmost.plots.plot import Plot
from hindmost.plots.style import BLUE, GREEN, ORANGE, RED, WIDTH, field, plot, text_of, values

ROW = 26
"""Points of one bar and what is around it."""


class Bar(NamedTuple):
    """One bar."""

    name: str
    value: float
    text: str
    """What stands beside it."""
    error: float | None = None
    """Standard error of the value, which is drawn over it."""


class Fall(NamedTuple):
    """One bar of a waterfall."""

    name: str
    low: float
    high: float
    text: str
    kind: str
    """``total``, ``loss`` or ``gain``."""


COLOURS = {"total": BLUE, "loss": RED, "gain": GREEN}


def bars(
    rows: Sequence[Bar], *, title: str, subtitle: str, axis: str, as_percent: bool = False
) -> Plot:
    """Return horizontal bars in the order of their rows.

    Parameters
    ----------
    rows
        The bars.
    title, subtitle, axis
        Texts; that of the axis has the unit.
    as_percent
        Whether values are shares.
    """
    table = [
        {
            "name": one.name,
            "value": one.value,
            "text": one.text,
            "low": one.value - (one.error or 0.0),
            "high": one.value + (one.error or 0.0),
        }
        for one in rows
    ]
    format_ = {"format": "~%"} if as_percent else {}
    y = field("name", "N", None, sort=None)
    x = field("value", "Q", axis, axis=format_)
    layers: list[dict[str, Any]] = [
        {"mark": {"type": "bar", "color": BLUE}, "encoding": {"y": y, "x": x}},
        text_of("text", at={"y": y, "x": field("high", "Q", axis, axis=format_)}),
    ]
    if any(one.error for one in rows):
        ends = {"x": field("low", "Q", axis), "x2": {"field": "high"}}
        rule = {"mark": {"type": "rule", "color": ORANGE, "strokeWidth": 2}}
        layers.insert(1, {**rule, "encoding": {"y": y, **ends}})
    body = {"width": WIDTH, "height": {"step": ROW}, "data": values(table), "layer": layers}
    return plot(title, subtitle, body)


def waterfall(
    rows: Sequence[Fall], *, title: str, subtitle: str, axis: str, as_percent: bool = False
) -> Plot:
    """Return a waterfall: totals, and what is lost or gained between them.

    Parameters are those of `bars`.
    """
    table = [
        {"name": one.name, "low": one.low, "high": one.high, "text": one.text, "kind": one.kind}
        for one in rows
    ]
    format_ = {"format": "~%"} if as_percent else {}
    y = field("name", "N", None, sort=None)
    kinds = [kind for kind in COLOURS if any(one.kind == kind for one in rows)]
    colour = field(
        "kind", "N", None, scale={"domain": kinds, "range": [COLOURS[kind] for kind in kinds]}
    )
    body = {
        "width": WIDTH,
        "height": {"step": ROW},
        "data": values(table),
        "layer": [
            {
                "mark": {"type": "bar"},
                "encoding": {
                    "y": y,
                    "x": field("low", "Q", axis, axis=format_),
                    "x2": {"field": "high"},
                    "color": {**colour, "legend": None},
                },
            },
            text_of("text", at={"y": y, "x": field("high", "Q", axis, axis=format_)}),
        ],
    }
    return plot(title, subtitle, body)
