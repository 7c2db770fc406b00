"""Laws as scenarios write them: a name and its parameters.

These models have the names, defaults and meanings of parameters. The Rust constructor
that each of them calls checks the values.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hindmost import _core
from hindmost.memo import Memo, digest
from hindmost.strict import Strict

FINE_BINS = 1024
"""Bins per octave of tail probability at which the quantiles of a foreign law are read."""


LEAST_SHARE = 1e-9
"""Probability of values below a limit, under which there are none."""
QUANTILES_BELOW = 1025
"""Quantiles between which a law of values below a limit is linear."""


class LawModel(Strict):
    """Base of all laws: a cap, and the law compiled by the Rust core."""

    # The core refuses numbers that are not finite, with its own requirement.
    model_config = ConfigDict(allow_inf_nan=True)

    cap: float | None = None
    """Greatest value; all probability above it lies on it."""

    @model_validator(mode="after")
    def _checked_by_the_core(self) -> LawModel:
        try:
            _ = self.core
        except _core.DomainError as error:
            field, value, requirement = error.args
            raise domain_error(field, value, requirement) from None
        return self

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Its name and those parameters that have a value; not to be changed."""
        return self.model_dump(exclude_none=True)

    @cached_property
    def core(self) -> _core.Law:
        """The law, compiled."""
        return compiled_law(self.parameters)

    @cached_property
    def _drawable(self) -> bool:
        """True; asking for it raises the error of a law that no table of quantiles can hold."""
        # Equal laws of other scenarios are asked for once, too.
        _DRAWABLE.get(digest(self.parameters), self.core.check_drawable)
        return True

    def __getstate__(self) -> dict[Any, Any]:
        # What is cached repeats the parameters; it is made again when it is needed.
        state = super().__getstate__()
        own = {name: state["__dict__"][name] for name in type(self).model_fields}
        return {**state, "__dict__": own}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        # A law is frozen.
        return self

    def cdf(self, x: float) -> float:
        """Return the probability of values up to `x`."""
        return self.core.cdf(x)

    def sf(self, x: float) -> float:
        """Return the probability of values above `x`, accurate where it is small."""
        return self.core.sf(x)

    def ppf(self, p: float) -> float:
        """Return the value whose CDF is `p`."""
        return self.core.quantile(p)

    def isf(self, q: float) -> float:
        """Return the value whose survival function is `q`, accurate where `q` is small."""
        return self.core.upper_quantile(q)

    def below(self, limit: float) -> LawModel | None:
        """Return the law of those values that are at most `limit`; None if hardly any is.

        It is piecewise linear between quantiles.
        """
        share = self.cdf(limit)
        if self.sf(limit) == 0:
            return self
        if share < LEAST_SHARE:
            return None
        probabilities = share * np.linspace(0, 1, QUANTILES_BELOW)[1:-1]
        inner = [min(limit, self.ppf(p)) for p in probabilities.tolist()]
        least = min(inner[0], max(self.ppf(share / QUANTILES_BELOW**2), limit * LEAST_SHARE))
        return Empirical(samples=[least, *inner, limit])

    def at_most(self, limit: float) -> LawModel:
        """Return the law of the lesser one of its values and a positive number."""
        if self.sf(limit) == 0:
            return self
        if self.cdf(limit) == 0:
            return Constant(value=limit)
        # A copy would keep what is cached of the law without the cap.
        return type(self)(**{**self.parameters, "cap": limit})

    def check_drawable(self, key: str = "law") -> None:
        """Refuse a law that no table of quantiles can hold, such as one of infinite variance.

        Parameters
        ----------
        key
            Key of the law, for the path of what is wrong.
        """
        try:
            # Every change of a scenario asks for all of its laws again.
            _ = self._drawable
        except _core.DomainError as error:
            field, value, requirement = error.args
            raise domain_error(f"{key}.{field}", value, requirement) from None


_COMPILED: Memo[_core.Law] = Memo(256)
"""Laws by their parameters. A law is compiled once, however many scenarios hold it."""


_DRAWABLE: Memo[None] = Memo(256)
"""Laws, by their parameters, that tables of quantiles can hold."""


def compiled_law(parameters: dict[str, Any]) -> _core.Law:
    """Return the law of a name and its parameters, compiled.

    Raises
    ------
    _core.DomainError
        If a parameter is out of its domain.
    """
    return _COMPILED.get(digest(parameters), lambda: _core.Law(parameters))


def domain_error(field: str, value: Any, requirement: str) -> PydanticCustomError:
    """Return the validation error of a number outside of its domain."""
    context = {"field": field, "value": value, "requirement": requirement}
    return PydanticCustomError("domain", "{field} must be {requirement}", context)


class Constant(LawModel):
    """One value with probability one."""

    name: Literal["constant"] = "constant"
    value: float
    """The value, > 0."""


class LogNormal(LawModel):
    """Log-normal: the logarithm is normal."""

    name: Literal["lognormal"] = "lognormal"
    sigma: float
    """Standard deviation of the logarithm, >= 0."""
    median: float = 1.0
    """Median, > 0; the mean is ``median * exp(sigma**2 / 2)``."""


class Exponential(LawModel):
    """Exponential above a shift."""

    name: Literal["exponential"] = "exponential"
    mean: float
    """Mean above the shift, > 0."""
    shift: float = 0.0
    """Least value, >= 0."""


class Gamma(LawModel):
    """Gamma: the sum of `shape` exponential times, where that is a whole number."""

    name: Literal["gamma"] = "gamma"
    shape: float
    """Shape, > 0 and <= 10,000."""
    scale: float = 1.0
    """Scale, > 0; the mean is ``shape * scale``."""


class Weibull(LawModel):
    """Weibull: a time to failure whose rate changes with age."""

    name: Literal["weibull"] = "weibull"
    shape: float
    """Shape, > 0; below 1 the rate falls with age, at 1 the law is exponential."""
    scale: float = 1.0
    """Scale, > 0; the probability of values above it is 1/e."""


class Normal(LawModel):
    """Normal, truncated at 0."""

    name: Literal["normal"] = "normal"
    mean: float
    """Mean before the truncation, > 0."""
    sigma: float
    """Standard deviation before the truncation, > 0."""


class Pareto(LawModel):
    """Pareto, a power-law tail; needs a cap or a maximum for ``alpha <= 2``."""

    name: Literal["pareto"] = "pareto"
    alpha: float
    """Exponent of the tail, > 0."""
    minimum: float = 1.0
    """Least value, > 0."""
    maximum: float | None = None
    """Greatest value, > minimum; the law is conditional on not exceeding it."""


class Uniform(LawModel):
    """Uniform on an interval."""

    name: Literal["uniform"] = "uniform"
    low: float
    """Least value, >= 0."""
    high: float
    """Greatest value, > low."""


class LogUniform(LawModel):
    """Log-uniform: the logarithm is uniform on an interval."""

    name: Literal["log-uniform"] = "log-uniform"
    low: float
    """Least value, > 0."""
    high: float
    """Greatest value, > low."""


class Empirical(LawModel):
    """Piecewise-linear quantile function of samples, clipped at their extremes.

    Notes
    -----
    With `tail_alpha`, m samples describe all but 1/m of the probability. Nine
    tenths of the rest follow a Pareto tail from the greatest sample to
    ``10**(1 / tail_alpha)`` times it, so the tail is extrapolated to probabilities
    ten times below those of the samples. The last tenth lies on the cap.
    """

    name: Literal["empirical"] = "empirical"
    samples: list[float]
    """At least two samples, all > 0."""
    tail_alpha: float | None = None
    """Exponent of a tail beyond the samples, 0.05 to 1e6; needs a cap, >= the greatest sample."""


class Tabulated(LawModel):
    """Quantiles on a grid of tail probabilities; made from a Python object."""

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
    """One of several laws, chosen by its weight at each draw."""

    name: Literal["mixture"] = "mixture"
    components: list[Component]
    """Laws, whose weights must add up to 1."""


def _from_object(value: Any) -> Any:
    """Turn a frozen distribution of scipy, or an object with its methods, into a table."""
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
    # Both sides have the median, and may differ there by rounding.
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
"""Any law: a table with a name, or an object with the methods cdf, sf, ppf and isf."""


def number_or_law(value: Any) -> str:
    """Return what a value is to be taken for that may be a number or a law."""
    return "number" if isinstance(value, int | float) else "law"


PositiveOrLaw = Annotated[
    Annotated[float, Field(gt=0), Tag("number")] | Annotated[Law, Tag("law")],
    Discriminator(number_or_law),
]
"""A number > 0, or the law of such numbers."""


Component.model_rebuild()
Mixture.model_rebuild()
