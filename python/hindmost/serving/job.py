"""What is to be served, on which GPUs, and within which limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from hindmost import catalog
from hindmost.catalog import Accelerator, Dtype, Software, Transformer
from hindmost.cause import Cause
from hindmost.law import LawModel
from hindmost.queues.trace import RequestTrace
from hindmost.scenario.reliability import Recovery, UnitFailures
from hindmost.scenario.serving import Routing
from hindmost.serving.cycle import Load
from hindmost.serving.replica import Replica
from hindmost.serving.software import software_for
from hindmost.serving.stragglers import pace


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a user is to see at most, in seconds; None for no limit.

    Attributes
    ----------
    ttft_s, tpot_s : float or None
        Time to the first token, and of each of the others.
    percentile : float
        Share of requests in percent that are to see no more, where requests queue.
    """

    ttft_s: float | None = None
    tpot_s: float | None = None
    percentile: float = 50.0


@dataclass(frozen=True, kw_only=True)
class Stream:
    """How requests come, and what each of them asks for.

    Attributes
    ----------
    input_tokens, output_tokens : LawModel
        Laws of the tokens of prompts and answers.
    variation : float
        Coefficient of variation of the gaps between requests.
    trace : RequestTrace or None
        Requests as they came, instead of laws.
    routing : str
        Which replica a request goes to.
    """

    input_tokens: LawModel
    output_tokens: LawModel
    variation: float = 1.0
    trace: RequestTrace | None = None
    routing: Routing = "least-loaded"


@dataclass(frozen=True, kw_only=True)
class ServingPool:
    """GPUs of one type.

    Attributes
    ----------
    name : str
        Name of the pool.
    gpu : str
        Name of the type.
    accelerator : Accelerator
        Its figures.
    n_gpus : int
        How many there are.
    causes : dict of str to Cause
        What slows its GPUs down.
    failures : dict of str to UnitFailures
        What takes replicas out.
    recovery : Recovery or None
        How they come back.
    """

    name: str
    gpu: str
    accelerator: Accelerator
    n_gpus: int
    causes: Mapping[str, Cause] = field(default_factory=dict)
    failures: Mapping[str, UnitFailures] = field(default_factory=dict)
    recovery: Recovery | None = None

    def pace(self, n_gpus: int) -> float:
        """Return what stragglers leave of the pace of a replica of so many GPUs."""
        if n_gpus not in self._paces:
            node_gpus = self.accelerator.node_gpus
            self._paces[n_gpus] = pace(self.causes, n_gpus=n_gpus, node_gpus=node_gpus)
        return self._paces[n_gpus]

    @cached_property
    def _paces(self) -> dict[int, float]:
        return {}


@dataclass(frozen=True, kw_only=True)
class ServingJob:
    """A model that pools serve.

    Attributes
    ----------
    model_name : str
        Name of the model.
    model : Transformer
        The model.
    dtype : str
        Format of the weights of layers.
    engine : str
        The serving engine.
    pools : tuple of ServingPool
        The pools.
    load : Load
        Requests.
    limits : Limits
        What a user is to see at most.
    concurrency : float or None
        Requests at once on all pools together; as many as limits and memory allow by default.
    arrivals_per_s : float or None
        Requests a second on all pools together.
    stream : Stream
        How requests come.
    tensor, attention_dp, expert : int or None
        A given layout; the best one by default.
    wide_domains : int
        Whole domains over which the experts of a replica may be spread, at most.
    """

    model_name: str
    model: Transformer
    dtype: Dtype
    engine: str
    pools: tuple[ServingPool, ...]
    load: Load
    stream: Stream
    limits: Limits = field(default_factory=Limits)
    concurrency: float | None = None
    arrivals_per_s: float | None = None
    tensor: int | None = None
    attention_dp: int | None = None
    expert: int | None = None
    wide_domains: int = 1

    @property
    def software(self) -> tuple[Software, str]:
        """The engine's numbers, and what is assumed of them."""
        return software_for(self.engine, self.model_name, self.model)

    @property
    def memory_share(self) -> float:
        """Share of the memory beside the weights that keys and values may take."""
        return catalog.engine(self.engine).memory_share

    def replica(self, pool: ServingPool, tensor: int, attention_dp: int, expert: int) -> Replica:
        """Return a replica of the model on GPUs of a pool."""
        return Replica(
            model=self.model,
            gpu=pool.accelerator,
            dtype=self.dtype,
            tensor=tensor,
            attention_dp=attention_dp,
            expert=expert,
            kv_bytes=catalog.engine(self.engine).kv_bytes,
        )
