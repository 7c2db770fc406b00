"""Prices: what an hour of a GPU costs, by whose account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from hindmost.catalog.schema import Basis, Named, Positive
from hindmost.law import domain_error
from hindmost.strict import Strict

Whose = Literal["own cost", "rental", "analyst", "filing"]
"""Own cost: of an owner, all in. Rental: what one is offered. Analyst: an estimate for one cluster.
Filing: derived from a contract in a filing."""


class Range(Strict):
    """A price that its source gives as a range."""

    low: Positive
    """Least of it."""
    high: Positive
    """Greatest of it."""

    @model_validator(mode="after")
    def _is_in_order(self) -> Range:
        if self.low > self.high:
            raise domain_error("high", self.high, f">= low ({self.low:g})")
        return self

    @property
    def middle(self) -> float:
        """The price between both."""
        return (self.low + self.high) / 2


Price = Annotated[float, Field(gt=0)] | Range
"""A price, or a range of prices."""


def as_range(price: float | Range) -> Range:
    """Return a price as a range."""
    return price if isinstance(price, Range) else Range(low=float(price), high=float(price))


class Prices(Named):
    """Prices of one source."""

    whose: Whose
    """Whose price it is."""
    date: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")]
    """Year and month that it holds for."""
    usd_per_gpu_hour: dict[str, Price] = Field(default_factory=dict)
    """US dollars for an hour of a GPU, by type."""
    blended_usd_per_gpu_hour: Price | None = None
    """US dollars for an hour of a GPU of one whole cluster, whatever its types."""
    basis: Basis
    """Where all of them come from."""

    @model_validator(mode="after")
    def _has_prices(self) -> Prices:
        if bool(self.usd_per_gpu_hour) == (self.blended_usd_per_gpu_hour is not None):
            requirement = "given, or else blended_usd_per_gpu_hour"
            raise domain_error("usd_per_gpu_hour", None, requirement)
        return self


class Ownership(Named):
    """What owning GPUs takes, beside software and staff."""

    usd_per_gpu: dict[str, Positive] = Field(default_factory=dict)
    """US dollars for a GPU with its share of host, network and storage, by type."""
    watts_per_gpu: dict[str, Positive] = Field(default_factory=dict)
    """Watts of a GPU with its share of all that is in the hall, by type."""
    basis: dict[str, Basis]
    """Basis of both, by key."""
