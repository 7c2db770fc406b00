"""Presets in which nothing varies but for the causes that a test adds."""

from __future__ import annotations

from typing import Any

import hindmost as hm
from hindmost.scenario import from_table, to_table

Fields = dict[str, Any]

ANY: Fields = {
    "law": {"name": "constant", "value": 0.2},
    "affects": "compute",
    "effect": "stall",
    "scope": "gpu",
    "span": "step",
}
"""Any whole cause, which can be switched off."""


def calm(name: str = "h100-1k", changes: Fields | None = None, **causes: Fields) -> hm.Scenario:
    """Return a preset with these causes alone, and without noise of its fabric."""
    table = to_table(hm.load(name, changes))
    table["causes"], table["unknowns"], table["basis"] = causes, {}, {}
    table["fabric"]["noise"] = {**table["fabric"].get("noise", ANY), "enabled": False}
    return from_table(table)
