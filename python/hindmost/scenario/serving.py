"""Fields of what a cluster serves, and of the requests that come."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hindmost import catalog
from hindmost.catalog import Dtype
from hindmost.catalog.schema import Count, Positive
from hindmost.law import Law, LawModel, domain_error, number_or_law
from hindmost.strict import Strict

MAX_TOKENS = 1e9
"""Tokens of a prompt or an answer, at most."""
MAX_REQUESTS = 1e12
"""Requests at once or a second, at most."""
VARIATIONS = (0.011, 1e3)
"""Coefficients of variation of gaps between requests, at least and at most, but for 0."""
MAX_DOMAINS = 64
"""Domains over which experts may be spread, at most."""

Tokens = Annotated[
    Annotated[float, Field(ge=1, le=MAX_TOKENS), Tag("number")] | Annotated[Law, Tag("law")],
    Discriminator(number_or_law),
]
"""Tokens of a prompt or an answer: a number, or their law, of which the mean counts here."""


Routing = Literal["round-robin", "least-loaded", "speed-aware"]
"""To which of several servers a request goes: one after another, the one with fewest requests, or
the one where a token takes least."""


class Slo(Strict):
    """What a user is to see at most."""

    ttft_s: Positive | None = None
    """Seconds to the first token."""
    tpot_s: Positive | None = None
    """Seconds of each of the others."""
    percentile: Annotated[float, Field(gt=0, lt=100)] = 50.0
    """Share of requests in percent that keep to them, where requests queue: layouts and batches are
    chosen by what requests see on average."""


class Serving(Strict):
    """A model that the pools serve, each replica within a domain."""

    model: str
    """Name of a model of the catalogue or of the scenario."""
    dtype: Dtype = "fp8"
    """Number format of the weights of layers."""
    engine: str = "vllm"
    """Serving engine of the catalogue, which names a fit."""
    layout: Literal["best"] | None = None
    """best: the one with most tokens a second, which is the default where no other key says one."""
    tensor: Count | None = None
    """GPUs of a replica that divide attention among them."""
    attention_dp: Count | None = None
    """Groups of such GPUs, each with requests of its own."""
    expert: Count | None = None
    """Ranks that divide the experts of a layer."""
    wide_domains: Annotated[int, Field(ge=1, le=MAX_DOMAINS)] = 1
    """Whole domains over which the experts of a replica may be spread, at most."""
    prefix_hit: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a prompt whose keys and values are there already."""
    slo: Slo = Field(default_factory=Slo)
    """What a user is to see at most; no limit by default."""

    @field_validator("engine")
    @classmethod
    def _there_is_one(cls, name: str) -> str:
        names = list(catalog.names("engines"))
        if name not in names:
            context = {"value": name, "kind": "engines", "known": names}
            raise PydanticCustomError("catalog", "must be one of the catalogue's {kind}", context)
        return name

    @model_validator(mode="after")
    def _has_one_layout(self) -> Serving:
        if self.layout == "best":
            for key in ("tensor", "attention_dp", "expert"):
                if getattr(self, key) is not None:
                    raise domain_error(key, getattr(self, key), 'absent: layout is "best"')
        return self


class Requests(Strict):
    """Requests that come to all pools together."""

    arrivals_per_s: Annotated[float, Field(gt=0, le=MAX_REQUESTS)] | None = None
    """Requests a second, which queue; with a trace its times are stretched or compressed to it."""
    variation: Annotated[float, Field(ge=0, le=VARIATIONS[1])] = 1.0
    """Coefficient of variation of the gaps between them: 1 for a Poisson process."""
    trace: str | None = None
    """File of requests with their times and tokens, instead of laws; relative to the scenario's."""
    concurrency: Annotated[float, Field(gt=0, le=MAX_REQUESTS)] | None = None
    """Requests that are there at once; as many as limits and memory allow by default."""
    input_tokens: Tokens | None = None
    """Tokens of a prompt; those of a trace are its own."""
    output_tokens: Tokens | None = None
    """Tokens of an answer; those of a trace are its own."""
    routing: Routing = "least-loaded"
    """Which replica a request goes to, where requests queue."""

    @model_validator(mode="after")
    def _comes_one_way(self) -> Requests:
        for key in ("arrivals_per_s", "trace"):
            if getattr(self, key) is not None and self.concurrency is not None:
                requirement = f"absent where {key} is given"
                raise domain_error("concurrency", self.concurrency, requirement)
        if 0 < self.variation < VARIATIONS[0]:
            raise domain_error("variation", self.variation, f"0, or >= {VARIATIONS[0]:g}")
        if self.trace is not None and self.variation != 1:
            raise domain_error("variation", self.variation, "absent where trace is given")
        return self

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Requests:
        if self.arrivals_per_s is not None:
            # Requests that queue have numbers of their own; otherwise means count.
            for key in ("input_tokens", "output_tokens"):
                if isinstance(tokens := getattr(self, key), LawModel):
                    tokens.check_drawable(key)
        return self
