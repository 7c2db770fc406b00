"""Causes of variation, as scenarios write them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hindmost.law import Law, LawModel, domain_error, number_or_law
from hindmost.strict import Strict

Affects = Literal["compute", "network"]
Effect = Literal["slowdown", "stall"]
Scope = Literal["gpu", "node", "domain", "rack", "replica", "pool", "cluster"]
Span = Literal["run", "drift", "episode", "step", "microbatch", "layer"]

MAX_UNITS = 2**31
"""Number that those of units stay below."""

MAX_DRAWN_STEPS = 2**24
"""Greatest number of a law of phases: above it the core does not tell whole numbers apart."""
FEWEST_CORRELATION_STEPS = 1e-300
"""Correlation time in steps that all shorter ones count as: it is none at all."""
SMALLEST_TAIL = 2.0**-65
"""Tail probability of the greatest number that is drawn."""

SECONDS_PER_HOUR = 3600.0
"""Seconds of an hour."""

MAX_STEPS = 2**31
"""Number that periods and phases stay below, in steps."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
"""Name of a pool, a cause or failures, which is part of the texts that random streams are hashed
from."""


UNITS_SCHEMA = {
    "anyOf": [
        {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        {
            "type": "object",
            "properties": {key: {"type": "integer", "minimum": 0} for key in ("first", "last")},
            "required": ["first", "last"],
            "additionalProperties": False,
        },
        {"type": "null"},
    ]
}


def _checked_units(units: Any) -> Any:
    """Refuse what is neither numbers of units nor a first and a last one."""

    def are_numbers(values: Any) -> bool:
        return all(type(value) is int and 0 <= value < MAX_UNITS for value in values)

    match units:
        case None:
            return units
        case list() if units and are_numbers(units):
            return units
        case {"first": first, "last": last} if (
            len(units) == 2 and are_numbers((first, last)) and first <= last
        ):
            return units
    raise PydanticCustomError("units", "must be numbers of units")


MAX_TREND_PER_HOUR = 100.0
"""Growth of a factor in an hour, at most."""

PhaseSteps = Annotated[
    Annotated[int, Field(ge=0, lt=MAX_STEPS), Tag("number")] | Annotated[Law, Tag("law")],
    Discriminator(number_or_law),
]
"""The first step of a period in which a cause comes: a number, or the law of units' numbers."""

Units = Annotated[Any, BeforeValidator(_checked_units), WithJsonSchema(UNITS_SCHEMA)]
"""Numbers of units: a list, or a table of the first and the last one."""


class Cause(Strict):
    """One cause of variation: what makes ranks or ports slower than the median GPU."""

    law: Law
    """Law of its size where it occurs: a factor for a slowdown, seconds for a stall."""
    affects: Affects
    """The compute time of ranks, or the transfers through ports of GPUs."""
    effect: Effect
    """slowdown: a factor on time; stall: added seconds."""
    scope: Scope
    """Who shares one draw: one GPU, all GPUs of a node, and so on."""
    span: Span
    """How long one draw lasts; drift: a draw for each step, alike within a correlation time;
    episode: for some time, from any step of a run on."""
    correlation_s: Annotated[float, Field(gt=0)] | None = None
    """For span drift, seconds in which the correlation of two steps falls to 1/e. A step counts as
    long as it takes without any cause."""
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that it occurs, for each draw; 1 by default."""
    per_hour: Annotated[float, Field(ge=0)] | None = None
    """How often it occurs in an hour to each who shares a draw, instead of a probability: for
    what goes with time. A step counts as long as it takes without any cause. For span episode,
    how many episodes begin."""
    duration: Law | None = None
    """For span episode, law of the seconds that an episode lasts."""
    pools: list[Name] | None = None
    """Pools in which it acts; all by default."""
    units: Units = None
    """The units on which it acts, by their numbers in its pool: a list such as [17], or the first
    and the last one. All by default."""
    period_steps: Annotated[int, Field(ge=1, lt=MAX_STEPS)] | None = None
    """Steps from one time to the next one, for what comes regularly; by default it may occur in
    every step."""
    phase_steps: PhaseSteps | None = None
    """The first step of a run, counted from 0, in which it comes with a period: a number, or the
    law of a number for each who shares a draw, drawn once a run, whose whole steps count modulo
    the period. By default any step of the period with equal probability."""
    trend_per_hour: Annotated[float, Field(ge=0, le=MAX_TREND_PER_HOUR)] | None = None
    """By how much its factor grows in each hour since the run began, as a restart of the job does,
    as a share of what it would be: it is multiplied by 1 + trend_per_hour x hours. A step counts as
    long as it takes without any cause."""
    enabled: bool = True
    """false removes the cause."""

    @model_validator(mode="after")
    def _law_can_be_drawn(self) -> Cause:
        self.law.check_drawable()
        if self.duration is not None:
            self.duration.check_drawable("duration")
        if isinstance(self.phase_steps, LawModel):
            self.phase_steps.check_drawable("phase_steps")
            latest = self.phase_steps.isf(SMALLEST_TAIL)
            if latest > MAX_DRAWN_STEPS:
                requirement = f"a law of numbers <= {MAX_DRAWN_STEPS:,}, or have a cap"
                raise domain_error("phase_steps", latest, requirement)
        return self

    @property
    def unit_ranges(self) -> list[tuple[int, int]] | None:
        """First and last numbers of the units on which it acts; None for all."""
        if self.units is None:
            return None
        if isinstance(self.units, dict):
            return [(self.units["first"], self.units["last"])]
        return [(unit, unit) for unit in self.units]

    def below(self, watchdog_s: float | None, step_s: float) -> tuple[LawModel | None, float]:
        """Return the law and the probability of what a watchdog lets pass.

        Parameters
        ----------
        watchdog_s
            Seconds of a stall above which it is a failure of the job; None for no watchdog.
        step_s
            Seconds of a step without any cause.

        Notes
        -----
        What it lets pass of episodes is a law and a share of them: those with which a step takes no
        longer.
        """
        probability = self.probability_in(step_s)
        limit = self.limit(watchdog_s, step_s)
        if limit is None:
            return self.law, probability
        return self.law.below(limit), probability * self.law.cdf(limit)

    def limit(self, watchdog_s: float | None, step_s: float) -> float | None:
        """Return the value of its law above which a watchdog stops the job; None if it never does.

        Parameters
        ----------
        watchdog_s, step_s
            As in `below`.
        """
        if watchdog_s is None:
            return None
        if self.effect == "stall":
            return watchdog_s
        return watchdog_s / step_s if self.span == "episode" else None

    def correlation_steps_in(self, step_s: float) -> float | None:
        """Return the steps in which a correlation falls to 1/e; None where each has its own draw.

        Parameters
        ----------
        step_s
            Seconds of a step without any cause.
        """
        if self.correlation_s is None:
            return None
        # A quotient may be too small for a number; steps are independent long before.
        return max(self.correlation_s / step_s, FEWEST_CORRELATION_STEPS)

    def trend_in(self, step_s: float) -> float:
        """Return by how much its factor grows from a step to the next one; 0 if it does not.

        Parameters
        ----------
        step_s
            Seconds of a step without any cause.
        """
        return (self.trend_per_hour or 0.0) * step_s / SECONDS_PER_HOUR

    @property
    def episodes_at_a_time(self) -> float:
        """Episodes of a unit at a time, on average; 0 for causes of other spans."""
        if self.duration is None or self.per_hour is None:
            return 0.0
        return self.per_hour / SECONDS_PER_HOUR * self.duration.core.mean()

    def probability_in(self, step_s: float) -> float:
        """Return the probability that it occurs, for each draw.

        Parameters
        ----------
        step_s
            Seconds of a step without any cause. What occurs with a rate does so as a Poisson
            process; once or more often in a step is the same. Episodes have none.
        """
        if self.span == "episode":
            return 1.0
        if self.per_hour is not None:
            return -math.expm1(-self.per_hour * step_s / SECONDS_PER_HOUR)
        return 1.0 if self.probability is None else self.probability


# Built once here, and not again for each field that holds a cause.
Cause.model_rebuild()
