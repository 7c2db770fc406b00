"""Which presets are scenarios, and which complete others."""

from __future__ import annotations

from hindmost import catalog

PARTS = (
    "measured",
    "measured-pipeline",
    "measured-drift",
    "sequence-imbalance",
    "heavy-last-stage",
    "unplanned-gc",
    "fail-slow",
    "llama3-failures",
)
"""Presets that only complete others and are no scenarios by themselves."""

WHOLE = [name for name in catalog.names("presets") if name not in PARTS]
"""Presets that are scenarios."""
