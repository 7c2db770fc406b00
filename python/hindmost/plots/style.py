"""How plots look: sizes, and colours that the colour-blind tell apart, in dark and in light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hindmost.plots.plot import VEGA_LITE, Plot, schema

BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
SKY, PINK = "#56b4e9", "#cc79a7"
PALETTE = (BLUE, ORANGE, GREEN, RED, SKY, PINK)
"""Colours that the colour-blind tell apart (Okabe and Ito, Color Universal Design, 2008)."""
INK = "#767676"
"""Grey of texts and axes: with a contrast of 4.5 to white, and of 4.6 to black."""
WIDTH, HEIGHT = 420, 240
"""Points of one panel."""

Spec = dict[str, Any]


def plot(title: str, subtitle: str, body: Mapping[str, Any]) -> Plot:
    """Return a plot of a title, a line below it, and the marks or panels of a specification."""
    lines = {"text": title, "subtitle": subtitle} if subtitle else {"text": title}
    axis = {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": INK,
        "gridOpacity": 0.25,
        "titleFontWeight": "normal",
        # Cut labels would name two things alike.
        "labelLimit": 240,
        # Labels at the ends would be moved towards those beside them.
        "labelFlush": False,
    }
    return Plot(
        spec={
            "$schema": schema(VEGA_LITE),
            # No background of its own, so that it suits a dark page, too.
            "background": None,
            "title": {**lines, "anchor": "start"},
            **body,
            "config": {
                "font": "sans-serif",
                # A label of each mark would be most of a file; whoever embeds a plot describes it.
                "aria": False,
                "axis": axis,
                "legend": {"labelColor": INK, "titleColor": INK},
                "title": {"color": INK, "subtitleColor": INK, "fontSize": 14},
                "view": {"stroke": None},
                "range": {"category": list(PALETTE)},
            },
        }
    )


def values(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Return the data of a panel."""
    return {"values": [dict(row) for row in rows]}


def field(name: str, kind: str, title: str | None = None, **more: Any) -> Spec:
    """Return the encoding of a field: ``Q`` for quantitative, ``N`` for nominal."""
    kinds = {"Q": "quantitative", "N": "nominal"}
    return {"field": name, "type": kinds[kind], "title": title, **more}


def text_of(name: str, *, at: Mapping[str, Any], align: str = "left", dx: int = 4) -> Spec:
    """Return marks that write a field beside a bar."""
    mark = {"type": "text", "align": align, "dx": dx, "color": INK}
    return {"mark": mark, "encoding": {**at, "text": {"field": name, "type": "nominal"}}}
