"""What can be plotted of a result: names alone, which commands load before anything else."""

from __future__ import annotations

STEPS = {"mfu": "mfu", "step_time": "step_time_s"}
"""Kinds that are distributions over steps, and their metrics."""
KINDS = (*STEPS, "forecast", "waiting", "slowest", "account", "power")
"""All kinds."""
