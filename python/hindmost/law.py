"""Laws as scenarios write them: a name and its parameters.

Parameters are judged by the Rust constructor that the model calls; what stands
here is their names, their defaults and what they mean.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from hindmost import _core
from hindmost.strict import Strict

FINE_BINS = 1024
"""Bins per octave at which a law that is not ours is looked at."""


class LawModel(Strict):
    """What all laws have in common."""

    # The core says of a number that is not finite what it must be besides.
    model_config = ConfigDict(allow_inf_nan=True)

    cap: float | None = None
    """Greatest number; all weight above it lies on it."""

    @model_validator(mode="after")
    def _judged_by_the_core(self) -> LawModel:
        try:
            _ = self.core
        except _core.DomainError as error:
            field, value, requirement = error.args
            raise domain_error(field, value, requirement) from None
        return self

    @cached_property
    def core(self) -> _core.Law:
        """The law itself."""
        return _core.Law(self.model_dump(exclude_none=True))

    def __getstate__(self) -> dict[Any, Any]:
        # The compiled law does not pickle, and is made again where it is asked for.
        state = super().__getstate__()
        own = {name: value for name, value in state["__dict__"].items() if name != "core"}
        return {**state, "__dict__": own}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # A law is frozen.
        return self

    def cdf(self, x: float) -> float:
        """Return the probability of a number of at most `x`."""
        return self.core.cdf(x)

    def sf(self, x: float) -> float:
        """Return the probability of a number above `x`, accurate where it is small."""
        return self.core.sf(x)

    def ppf(self, p: float) -> float:
        """Return the number whose CDF is `p`."""
        return self.core.quantile(p)

    def isf(self, q: float) -> float:
        """Return the number whose survival function is `q`, accurate where it is small."""
        return self.core.upper_quantile(q)

    def check_drawable(self) -> None:
        """Refuse a law that no table can hold, such as one of infinite variance."""
        try:
            self.core.check_drawable()
        except _core.DomainError as error:
            field, value, requirement = error.args
            raise domain_error(f"law.{field}", value, requirement) from None


def domain_error(field: str, value: Any, requirement: str) -> PydanticCustomError:
    """Return the validation error of a number out of its domain."""
    context = {"field": field, "value": value, "requirement": requirement}
    return PydanticCustomError("domain", "{field} must be {requirement}", context)


class Constant(LawModel):
    """Always the same number."""

    name: Literal["constant"] = "constant"
    value: float
    """The number, > 0."""


class LogNormal(LawModel):
    """The logarithm is normal."""

    name: Literal["lognormal"] = "lognormal"
    sigma: float
    """Standard deviation of the logarithm, >= 0."""
    median: float = 1.0
    """Median, > 0; the mean is ``median * exp(sigma**2 / 2)``."""


class Exponential(LawModel):
    """A waiting time without memory."""

    name: Literal["exponential"] = "exponential"
    mean: float
    """Mean above the shift, > 0."""
    shift: float = 0.0
    """Least number, >= 0."""


class Gamma(LawModel):
    """A sum of waiting times."""

    name: Literal["gamma"] = "gamma"
    shape: float
    """Shape, > 0 and <= 10,000."""
    scale: float = 1.0
    """Scale, > 0; the mean is ``shape * scale``."""


class Weibull(LawModel):
    """A waiting time whose end depends on its age."""

    name: Literal["weibull"] = "weibull"
    shape: float
    """Shape, > 0; below 1 what has lasted goes on to last, at 1 the law is exponential."""
    scale: float = 1.0
    """Scale, > 0; a share of 1/e lies above it."""


class Normal(LawModel):
    """A normal number that is known to be positive: truncated at 0."""

    name: Literal["normal"] = "normal"
    mean: float
    """Mean before the truncation, > 0."""
    sigma: float
    """Standard deviation before the truncation, > 0."""


class Pareto(LawModel):
    """A power-law tail; needs a cap or a maximum for ``alpha <= 2``."""

    name: Literal["pareto"] = "pareto"
    alpha: float
    """Exponent of the tail, > 0."""
    minimum: float = 1.0
    """Least number, > 0."""
    maximum: float | None = None
    """Greatest number, > minimum: the law is the one given that it is not exceeded."""


class Uniform(LawModel):
    """Every number of an interval alike."""

    name: Literal["uniform"] = "uniform"
    low: float
    """Least number, >= 0."""
    high: float
    """Greatest number, > low."""


class LogUniform(LawModel):
    """Every order of magnitude of an interval alike."""

    name: Literal["log-uniform"] = "log-uniform"
    low: float
    """Least number, > 0."""
    high: float
    """Greatest number, > low."""


class Empirical(LawModel):
    """Piecewise-linear quantile function of samples, clipped at their extremes.

    Notes
    -----
    With `tail_alpha`, m samples speak for all but 1/m of the numbers. Nine
    tenths of the rest follow a Pareto tail from the greatest sample to
    ``10**(1 / tail_alpha)`` times it, where a tenth of the tail is left: a tail
    is believed ten times beyond its sample. What is rarer lies on the cap.
    """

    name: Literal["empirical"] = "empirical"
    samples: list[float]
    """At least two numbers, all > 0."""
    tail_alpha: float | None = None
    """Exponent of a tail beyond the samples, 0.05 to 1e6; needs a cap, >= the greatest sample."""


class Tabulated(LawModel):
    """Quantiles on the grid of tail probabilities; made from a Python object."""

    name: Literal["tabulated"] = "tabulated"
    lower: list[float]
    """Quantiles at the tail probabilities, 2^-65 to 1/2."""
    upper: list[float]
    """Quantiles at one minus the tail probabilities."""


class Component(Strict):
    """One law of a mixture."""

    model_config = ConfigDict(allow_inf_nan=True)

    weight: float
    law: Law


class Mixture(LawModel):
    """One of several laws, chosen anew at each draw."""

    name: Literal["mixture"] = "mixture"
    components: list[Component]
    """Laws with weights that add up to 1."""


def _from_object(value: Any) -> Any:
    """Turn a frozen distribution of scipy, or what looks like one, into a table."""
    if isinstance(value, BaseModel | dict) or not all(
        callable(getattr(value, method, None)) for method in ("cdf", "sf", "ppf", "isf")
    ):
        return value
    grid = _core.tail_probabilities(FINE_BINS)
    try:
        lower, upper = (
            np.asarray(quantile(grid), dtype=np.float64) for quantile in (value.ppf, value.isf)
        )
        variance = float(value.var()) if hasattr(value, "var") else 0.0
    except TypeError as error:
        raise domain_error("ppf", None, f"that of a frozen distribution: {error}") from None
    if not math.isfinite(variance):
        raise domain_error("var", variance, "finite; give the law by its name, with a cap")
    if lower.shape != grid.shape or upper.shape != grid.shape:
        raise domain_error("ppf", None, "a function of arrays, as in scipy.stats")
    # Each side came to the median by a way of its own.
    upper[-1] = lower[-1]
    upper = np.maximum(upper, lower[-1])
    try:
        coarse_lower, coarse_upper = _core.fit_tabulated(lower.tolist(), upper.tolist())
    except _core.DomainError as error:
        field, wrong, requirement = error.args
        raise domain_error(field, wrong, requirement) from None
    return {"name": "tabulated", "lower": coarse_lower, "upper": coarse_upper}


Law = Annotated[
    Annotated[
        Constant
        | LogNormal
        | Exponential
        | Gamma
        | Weibull
        | Normal
        | Pareto
        | Uniform
        | LogUniform
        | Empirical
        | Tabulated
        | Mixture,
        Field(discriminator="name"),
    ],
    BeforeValidator(_from_object),
]
"""Any law: a table with a name, or an object with cdf, sf, ppf and isf."""

Component.model_rebuild()
Mixture.model_rebuild()
