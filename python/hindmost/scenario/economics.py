"""Fields of what a cluster is worth: prices, what is outside, and what it would serve."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from hindmost import catalog
from hindmost.catalog import Kind
from hindmost.strict import Strict

MAX_USD = 1e6
"""US dollars for an hour of a GPU, at most."""
MAX_YEARS = 100.0
"""Years over which capital is written off, at most."""
Usd = Annotated[float, Field(ge=1e-6, le=MAX_USD)]


class Economics(Strict):
    """Prices of the cluster and of others' GPUs.

    What is not given is read from the catalogue's prices, all of which count.
    """

    lease_usd_per_gpu_hour: Usd | None = None
    """US dollars that an hour of one of the cluster's GPUs is let for, all types together."""
    leases: tuple[str, ...] = Field(default=(), strict=False)
    """Prices of the catalogue for the cluster as a whole, where the one above is not given; by
    default those that the catalogue has for all of its types of GPU."""
    outside_gpu: str = "h100-sxm"
    """Type of GPU that is rented: of the catalogue, or of the scenario."""
    outside_usd_per_gpu_hour: Usd | None = None
    """US dollars for an hour of it; by default all rentals of the catalogue."""
    outside_mfu: Annotated[float, Field(ge=1e-6, le=1)] | None = None
    """MFU of training on rented GPUs."""
    models: Annotated[tuple[str, ...], Field(strict=False)] | None = None
    """Models of the catalogue that the cluster would serve; some of each kind by default."""
    capital_years: Annotated[float, Field(gt=0.01, le=MAX_YEARS)] | None = None
    """Years over which capital is written off."""
    power_usd_per_kwh: Annotated[float, Field(ge=0, le=MAX_USD)] | None = None
    """US dollars for a kWh."""
    hosting_usd_per_gpu_hour: Annotated[float, Field(ge=0, le=MAX_USD)] | None = None
    """US dollars for the place of a GPU in a hall for an hour, power aside."""

    @field_validator("leases")
    @classmethod
    def _are_prices(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            _check(name, "prices", list(catalog.names("prices")))
        return names

    @field_validator("models")
    @classmethod
    def _are_models(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in names or ():
            _check(name, "models", [*catalog.names("models"), *catalog.ALIASES])
        # Naming one twice says nothing more.
        return names if names is None else tuple(dict.fromkeys(names))


def _check(name: str, kind: Kind, known: list[str]) -> None:
    if name not in known:
        context = {"value": name, "kind": kind, "known": known}
        raise PydanticCustomError("catalog", "must be one of the catalogue's {kind}", context)
