"""Causes of variation, as scenarios write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import PydanticCustomError

from hindmost.law import Law
from hindmost.strict import Strict

Affects = Literal["compute", "network"]
Effect = Literal["slowdown", "stall"]
Scope = Literal["gpu", "node", "domain", "rack", "replica", "pool", "cluster"]
Span = Literal["run", "step", "microbatch", "layer"]

LATER_SPANS = ("episode",)
"""Spans whose names are reserved."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
"""Name of a pool or a cause, which is part of the texts that random streams are hashed from."""


def not_there_yet() -> PydanticCustomError:
    """Return the validation error of a value or key that is reserved."""
    return PydanticCustomError("not_there_yet", "is not there yet")


def _refuse(_: Any) -> None:
    raise not_there_yet()


Later = Annotated[SkipJsonSchema[None], BeforeValidator(_refuse), Field(exclude=True)]
"""A field whose name is reserved."""


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
    """How long one draw lasts."""
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Probability that it occurs, for each draw."""
    pools: list[Name] | None = None
    """Pools in which it acts; all by default."""
    enabled: bool = True
    """false removes the cause."""

    starts_per_node_hour: Later = None
    mean_duration_s: Later = None
    trend_per_hour: Later = None

    @field_validator("span", mode="before")
    @classmethod
    def _no_span_that_is_not_there_yet(cls, span: Any) -> Any:
        if span in LATER_SPANS:
            raise not_there_yet()
        return span

    @model_validator(mode="after")
    def _law_can_be_drawn(self) -> Cause:
        self.law.check_drawable()
        return self
