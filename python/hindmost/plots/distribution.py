"""The distribution of a number over steps: where most of them lie, and how far a few go."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hindmost.plots.plot import Plot
from hindmost.plots.style import BLUE, HEIGHT, INK, ORANGE, WIDTH, Spec, field, plot, values

Numbers = NDArray[np.float64]

BINS = 60
"""Bars of a histogram."""
SHOWN = (0.001, 0.99)
"""Shares of steps between which the histogram lies."""
POINTS = 160
"""Points of the curve of those beyond."""
MARKED = (0.5, 0.95, 0.99)
"""Shares of steps that are marked."""


def distribution(
    rows: Numbers, *, title: str, subtitle: str, axis: str, is_better_high: bool = False
) -> Plot:
    """Return a histogram of most steps beside the share of steps beyond each value.

    Parameters
    ----------
    rows : array
        The number of each step.
    title, subtitle, axis
        Texts; that of the axis has the unit.
    is_better_high
        Whether the bad end is below, as of MFU.

    Notes
    -----
    A plain histogram of all steps would be some three bars: a few steps are far from the others.
    """
    ordered = np.sort(np.asarray(rows, dtype=np.float64))
    shares = (1 - SHOWN[1], 1 - SHOWN[0]) if is_better_high else SHOWN
    low, high = np.quantile(ordered, shares)
    if low == high:
        low, high = _around(float(low))
    panels = [_histogram(ordered, float(low), float(high), axis)]
    panels.append(_beyond(ordered, axis, is_better_high=is_better_high))
    return plot(title, subtitle, {"hconcat": panels, "spacing": 40})


def _around(value: float) -> tuple[float, float]:
    """Return a range around a number that all steps have."""
    half = max(abs(value) * 1e-6, 1e-300)
    return value - half, value + half


def _histogram(ordered: Numbers, low: float, high: float, axis: str) -> Spec:
    counts, edges = np.histogram(ordered, bins=BINS, range=(low, high))
    share = counts / len(ordered)
    rows = [
        {"low": float(edges[k]), "high": float(edges[k + 1]), "share": float(share[k])}
        for k in range(BINS)
    ]
    scale = {"zero": False, "nice": False}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "data": values(rows),
        "mark": {"type": "bar", "color": BLUE, "binSpacing": 0},
        "encoding": {
            "x": field("low", "Q", axis, scale=scale, bin={"binned": True}),
            "x2": {"field": "high"},
            "y": field("share", "Q", "share of steps", axis={"format": "%"}),
        },
    }


def _beyond(ordered: Numbers, axis: str, *, is_better_high: bool) -> Spec:
    """Return the curve of the share of steps that are worse than each value, on a log scale."""
    n = len(ordered)
    places = np.unique(np.round(np.geomspace(1, n, POINTS)).astype(int))
    worst = ordered if is_better_high else ordered[::-1]
    rows = [{"value": float(worst[k - 1]), "share": k / n} for k in places.tolist()]
    marks = []
    for share in MARKED:
        at = 1 - share if is_better_high else share
        value = float(np.quantile(ordered, at))
        marks.append({"value": value, "share": 1 - share, "name": f"p{100 * at:g}"})
    word = "below" if is_better_high else "above"
    encoding = {
        "x": field("value", "Q", axis, scale={"zero": False}),
        "y": field(
            "share",
            "Q",
            f"share of steps {word}",
            scale={"type": "log"},
            axis={"format": "~%", "tickCount": 5},
        ),
    }
    text = {"type": "text", "align": "left", "dx": 6, "dy": -6, "color": INK}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "layer": [
            {
                "data": values(rows),
                "mark": {"type": "line", "color": BLUE, "interpolate": "step-before"},
                "encoding": encoding,
            },
            {
                "data": values(marks),
                "mark": {"type": "point", "color": ORANGE, "filled": True, "size": 60},
                "encoding": encoding,
            },
            {
                "data": values(marks),
                "mark": text,
                "encoding": {**encoding, "text": {"field": "name", "type": "nominal"}},
            },
        ],
    }
