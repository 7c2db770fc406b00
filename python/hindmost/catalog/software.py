"""Software stacks: how far a job's software stays behind what the hardware can do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field

from hindmost.catalog.schema import Entry, Positive, Share
from hindmost.law import Law
from hindmost.strict import Strict

Class = Literal["dense", "experts", "bf16", "fp8", "fp4", "ampere", "hopper", "blackwell"]
"""What may make a stack better or worse: the kind of model, the number format, the generation."""


class Efficiency(Strict):
    """What is known of a stack's software efficiency: a lognormal law, capped at 1."""

    median: Positive
    """Median of all classes together."""
    sigma: Positive
    """Scatter of single jobs of measured classes: standard deviation of the logarithm."""
    classes: list[Class]
    """Classes of the families that were measured."""
    sigma_elsewhere: Positive
    """Scatter of jobs that are of another class, too."""
    factors: dict[Class, Positive] = Field(default_factory=dict)
    """Factor on the median of each class that enough families were measured of. Others have 1."""

    def median_of(self, classes: Collection[str]) -> float:
        """Return the median of a job of some classes; above 1 the law is at its cap more often."""
        found = self.median
        for name, factor in self.factors.items():
            found *= factor if name in classes else 1.0
        return found

    def law(self, classes: Collection[str]) -> dict[str, str | float]:
        """Return the law of a job of some classes, as a scenario writes it."""
        sigma = self.sigma if set(classes) <= {*self.classes} else self.sigma_elsewhere
        median = self.median_of(classes)
        return {"name": "lognormal", "median": median, "sigma": sigma, "cap": 1.0}


class Stack(Entry):
    """A software stack: a bound, or what a kind of software was measured to reach.

    Numbers hold where a scenario gives none of its own; laws are unknowns of its forecasts.
    """

    memory_efficiency: Share | None = None
    """Share of the memory's rate; without it work that memory bounds takes no time."""
    attention: Literal["products", "measured"] = "products"
    """Share of the peak in attention scores: that of products, or what was measured of a GPU."""
    tensor_overlap_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the exchange of tensor groups that hides."""
    hidden_cost: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Seconds that compute takes longer for each second of a collective that it hides."""
    software_efficiency: Efficiency | None = None
    """Law of the software efficiency of all pools; without it 1."""
    unknowns: dict[str, Law] = Field(default_factory=dict)
    """Laws of other values, by key path."""
