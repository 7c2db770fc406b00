"""Fields of power smoothing: hardware that keeps the power of GPUs from jumping."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from hindmost.catalog.schema import NotNegative
from hindmost.law import domain_error
from hindmost.strict import Strict

SMOOTHING = "power-smoothing"
"""Name of what smoothing does to steps, with the pool's behind it, and of failures by it."""


TRANSITION_S = (1e-9, 1e6)
"""Seconds of a transition that takes some, at least and at most."""


class Smoothing(Strict):
    """How the power of a pool's GPUs is smoothed, and what it costs."""

    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the peak power below which a GPU of the job does not fall within steps; drivers
    count it in percent."""
    up_w_per_s: NotNegative = 0.0
    """Watts a second by which the power of a GPU rises at most; 0 is unlimited."""
    down_w_per_s: NotNegative = 0.0
    """Watts a second by which it falls at most; 0 is unlimited."""
    hysteresis_s: NotNegative = 0.0
    """Seconds for which power stays where it is before it falls."""
    seconds_per_transition: NotNegative = 0.0
    """Seconds that the ranks of the pool lose when they go from waiting to work: once a step, and
    once more for each restart and each checkpoint that stops the job."""
    failures_per_transition: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Failures of the job each time that the ranks of the pool begin a step, on average."""

    @model_validator(mode="after")
    def _a_transition_can_be_drawn(self) -> Smoothing:
        # Within these the core draws every number; to try it out takes long in a forecast.
        low, high = TRANSITION_S
        seconds = self.seconds_per_transition
        if seconds and not low <= seconds <= high:
            raise domain_error("seconds_per_transition", seconds, f"0, or from {low:g} to {high:g}")
        return self
