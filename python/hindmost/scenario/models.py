"""Fields of a scenario: a cluster, a job on it, and what disturbs them."""

from __future__ import annotations

from copy import copy
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hindmost import catalog
from hindmost.catalog.schema import (
    Accelerator,
    Basis,
    Count,
    Dtype,
    Network,
    NoneOrMore,
    NotNegative,
    Positive,
    Share,
)
from hindmost.catalog.transformer import Transformer
from hindmost.cause import Cause, Name
from hindmost.law import Law
from hindmost.notebook import Cells, shown
from hindmost.scenario.economics import Economics
from hindmost.scenario.hardware import OwnFabric, OwnGpu, known, own, own_of
from hindmost.scenario.ideal import FABRIC_NOISE, HOP_NOISE, NOTHING, Ideal
from hindmost.scenario.merge import merged
from hindmost.scenario.numbering import DIMENSIONS
from hindmost.scenario.reliability import Checkpoint, Recovery, UnitFailures
from hindmost.scenario.serving import Requests, Serving
from hindmost.scenario.slices import SlicesTable
from hindmost.scenario.smoothing import Smoothing
from hindmost.strict import Strict

__all__ = ["BEST_STACK", "Collective", "Fabric", "Layout", "Pool", "Scenario", "Workload"]

MAX_GPUS = 2**31
"""Number that the GPUs of a pool stay below."""
PoolSize = Annotated[int, Field(ge=1, lt=MAX_GPUS)]


Figure = Literal["scale_up_latency_s", "nic_bytes_per_s", "peak_power_w", "idle_power_w"]
"""Figure of a GPU that a pool can override."""

FabricFigure = Literal["bandwidth_efficiency", "latency_s"]
"""Figure of a catalogue fabric that a scenario can override."""


RecomputedModule = Literal["norms", "activations", "attention", "feed_forward"]
"""Part of a layer that can be computed again by itself."""


BEST_STACK = "best"
"""Name of the stack of scenarios that name none."""


class Product(Strict):
    """A matrix product of (rows, inner) and (inner, columns), measured on one GPU."""

    rows: Count
    """Rows of the result, which are mostly tokens."""
    columns: Count
    """Columns of the result."""
    inner: Count
    """Width that is summed over."""
    efficiency: Share
    """Share of the dense peak of the workload's number format that was reached."""


class Pool(Strict):
    """GPUs of one type."""

    gpu: str
    """Name of a GPU of the catalogue or of the scenario, which has the sizes of node and domain."""
    n_gpus: PoolSize
    """GPUs of the pool, spares included."""
    domain_gpus_used: Count | None = None
    """GPUs of each domain that the pool has, such as 64 of the 72 of a rack; all by default. The
    others work for nobody and do not count in n_gpus; with failures their nodes stand in for those
    that are down, and count in the account of whole runs. A pool of fewer GPUs than this is one
    part of a domain."""
    software_efficiency: Share = 1.0
    """Share of the kernel efficiency, and of attention_efficiency and memory_efficiency, that the
    job's software reaches on these GPUs."""
    kernel_efficiency: Share | None = None
    """Share of the peak that matrix products reach; the catalogue's by default."""
    products: list[Product] | None = None
    """Measured matrix products. A product of a layer reaches the share of the peak of the
    measured product with the nearest shape; kernel_efficiency applies to all else."""
    microbatch_seqs: Count | None = None
    """Sequences of one microbatch of a replica here; the workload's by default. Faster GPUs may
    take more of them."""
    n_microbatches: Count | None = None
    """Microbatches of a replica here in a step; as many as the other replicas have by default.
    Those with fewer join the collectives of the others' last ones without tokens."""
    host_bytes_per_s: Positive | None = None
    """Rate between a GPU and its host's memory, one direction, in B/s; needed where anything is
    offloaded."""
    attention_efficiency: Share | None = None
    """Share of the peak in BF16 that attention scores reach; by default what the stack says: the
    kernel efficiency, or what was measured of the GPU."""
    memory_efficiency: Share | None = None
    """Share of its memory's rate that a GPU reaches where it is bound by that: in norms, sums,
    activation functions, casts, the writing of what products give, and the optimizer; the stack's
    by default. Without any all of this takes no time, which no software reaches."""
    rack_gpus: Count | None = None
    """GPUs of one rack, for causes and failures of scope rack."""
    spares: NoneOrMore | None = None
    """GPUs that are held back to take the place of failed ones; recovery.spares by default."""
    scale_up_latency_s: NotNegative | None = None
    """Latency of one hop within a domain, in seconds; the catalogue's by default."""
    nic_bytes_per_s: Positive | None = None
    """Line rate of one GPU's network port, one direction, in B/s; the catalogue's by default."""
    peak_power_w: Positive | None = None
    """Greatest power of one GPU at work, in watts; the catalogue's by default."""
    idle_power_w: NotNegative | None = None
    """Power of one idle GPU, in watts; the catalogue's by default."""
    power_cap_w: Positive | None = None
    """Watts that a GPU does not exceed, because its clock is lowered; needs clock_exponent."""
    clock_exponent: NotNegative | None = None
    """Exponent of the law of that clock: products and scores run at (power_cap_w / peak_power_w) **
    clock_exponent of their rate without a cap."""
    smoothing: Smoothing | None = None
    """How the power of its GPUs is smoothed; not at all by default."""
    power_aware: bool = False
    """Whether the software keeps the power of its GPUs up by itself, so that transitions cost
    neither seconds nor failures."""
    forward_s: Positive | None = None
    """Measured seconds of a microbatch's forward pass in one replica, all stages together and
    the exchange of tensor groups included; instead of computed ones."""
    backward_s: Positive | None = None
    """Measured seconds of its backward pass, recomputation included; needs forward_s."""

    _own: Accelerator | None = PrivateAttr(default=None)

    @field_validator("gpu")
    @classmethod
    def _there_is_one(cls, name: str, info: ValidationInfo) -> str:
        return known("gpus", name, info.context)

    @model_validator(mode="after")
    def _keeps_its_own_gpu(self, info: ValidationInfo) -> Pool:
        self._own = own("gpus", self.gpu, info)
        return self

    @property
    def accelerator(self) -> Accelerator:
        """The GPU: the scenario's own, or the catalogue's."""
        # A plan asks a hundred times, and by its name a private attribute takes 2 us.
        own: Accelerator | None = (self.__pydantic_private__ or {}).get("_own")
        return own or catalog.gpu(self.gpu)

    @property
    def clock(self) -> float:
        """Its clock under a cap of power over that without one; 1 without a cap."""
        peak_w = self.figure("peak_power_w")
        if self.power_cap_w is None or self.clock_exponent is None or peak_w is None:
            return 1.0
        share: float = (self.power_cap_w / peak_w) ** self.clock_exponent
        return share

    def efficiency(self, dtype: Dtype) -> float | None:
        """Return the kernel efficiency of a number format: the pool's own, or the catalogue's."""
        if self.kernel_efficiency is not None:
            return self.kernel_efficiency
        return self.accelerator.kernel_efficiency_of(dtype)

    def figure(self, name: Figure) -> float | None:
        """Return a figure of the GPU: the pool's own, or the catalogue's."""
        own: float | None = getattr(self, name)
        catalogues: float | None = getattr(self.accelerator, name)
        return catalogues if own is None else own


class Fabric(Strict):
    """The network between nodes."""

    name: str
    """Name of a fabric of the catalogue or of the scenario."""
    bandwidth_efficiency: Share | None = None
    """Share of the line rate that large transfers reach; the catalogue's by default."""
    latency_s: NotNegative | None = None
    """Latency of one hop, in seconds; the catalogue's by default."""
    noise: Cause | None = None
    """Cause that slows a port for a whole collective; the catalogue's by default."""
    hop_noise: Law | None = None
    """Law of one hop's latency over its nominal latency; the catalogue's by default. Without
    one, hops take their nominal latency."""
    shape: list[Count] | None = None
    """Ranks along each dimension of a torus."""

    @model_validator(mode="before")
    @classmethod
    def _noise_lies_over_the_catalogues(cls, table: Any, info: ValidationInfo) -> Any:
        if not isinstance(table, dict) or not isinstance(table.get("noise"), dict):
            return table
        name = table.get("name")
        network = own("fabrics", name, info) if isinstance(name, str) else None
        if network is None and name in catalog.names("fabrics"):
            network = catalog.fabric(name)
        if network is None or network.noise is None:
            return table
        base = network.noise.model_dump(exclude_none=True)
        return {**table, "noise": merged(base, table["noise"])}

    _own: Network | None = PrivateAttr(default=None)

    @field_validator("name")
    @classmethod
    def _there_is_one(cls, name: str, info: ValidationInfo) -> str:
        return known("fabrics", name, info.context)

    @model_validator(mode="after")
    def _keeps_its_own_network(self, info: ValidationInfo) -> Fabric:
        self._own = own("fabrics", self.name, info)
        return self

    @property
    def network(self) -> Network:
        """The network: the scenario's own, or the catalogue's."""
        # As of a pool's GPU.
        own: Network | None = (self.__pydantic_private__ or {}).get("_own")
        return own or catalog.fabric(self.name)

    @model_validator(mode="after")
    def _hops_can_be_drawn(self) -> Fabric:
        if self.hop_noise is not None:
            self.hop_noise.check_drawable("hop_noise")
        return self

    def figure(self, name: FabricFigure) -> float:
        """Return a figure of the fabric: the scenario's own, or the catalogue's."""
        own: float | None = getattr(self, name)
        catalogues: float = getattr(self.network, name)
        return catalogues if own is None else own

    @property
    def enabled_noise(self) -> Cause | None:
        """The noise, the scenario's own or the catalogue's, unless it is switched off."""
        noise = self.noise or self.network.noise
        return noise if noise is not None and noise.enabled else None

    @property
    def hop_law(self) -> Law | None:
        """The law of one hop's latency over its nominal latency, if hops are random."""
        return self.hop_noise or self.network.hop_noise


class Workload(Strict):
    """What one step computes."""

    model: str
    """Name of a model of the catalogue or of the scenario."""
    seq_len: Count
    """Tokens of a sequence."""
    document_tokens: Law | None = None
    """Law of the tokens of documents that are packed into a sequence one after another, the last
    one cut at its end. Attention stays within a document. Without it a sequence is one document."""
    microbatch_seqs: Count
    """Sequences of one microbatch of one replica."""
    n_microbatches: Count | None = None
    """Microbatches of a replica in a step; alternatively give global_batch_seqs."""
    global_batch_seqs: Count | None = None
    """Sequences of all replicas in a step; alternatively give n_microbatches."""
    uneven_batch: Literal["refuse", "microbatches", "sequences"] = "refuse"
    """What becomes of a global batch that replicas cannot share evenly: refuse: it is a problem;
    microbatches: the first replicas have one microbatch more; sequences: replicas have as many
    sequences as each other or one more, and their last microbatch may be smaller."""
    dtype: Dtype = "bf16"
    """Number format of the matrix products."""
    mfu_dtype: Dtype = "bf16"
    """Number format whose dense peak MFU is measured against."""
    attention: Literal["causal", "full"] = "causal"
    """Attention scores that are computed: the causal half of them, or all."""
    mfu_attention: Literal["causal", "full"] | None = None
    """Attention scores that MFU counts, of whole sequences whatever documents they hold; those that
    are computed by default."""
    recompute: Literal["none", "selective", "full"] = "none"
    """Activations that the backward pass computes again instead of keeping them."""
    recompute_layers: Count | None = None
    """Layers of each virtual stage that full recomputation computes again, the others none; all by
    default."""
    recompute_modules: Annotated[tuple[RecomputedModule, ...], Field(strict=False)] = ()
    """Parts of each layer that are computed again, where recompute is not full: norms and
    activations, which take no FLOPs and are what selective computes again, attention,
    feed_forward."""
    offload_layers: Count | None = None
    """First layers of each virtual stage whose activations lie in the host's memory between both
    passes; none by default."""
    offload_optimizer: bool = False
    """Whether the states of the optimizer lie in the host's memory, and gradients and weights move
    there and back in each step."""
    activation_dtype: Literal["bf16", "fp8"] = "bf16"
    """Number format in which inputs of matrix products and of the activation function are kept
    for the backward pass. The residual stream and what attention keeps stay in BF16."""
    trainable: Literal["all", "lora"] = "all"
    """Parameters that are trained: all, or adapters of low rank beside frozen ones."""
    adapter_rank: Count = 32
    """Rank of these adapters, beside the matrices of attention and dense feed-forward networks."""
    gradient_dtype: Literal["bf16", "fp32"] = "bf16"
    """Number format in which gradients are kept and reduced."""
    logit_bytes: NotNegative = 8.0
    """Bytes that each logit takes while the loss is computed: in BF16, in FP32, and its gradient. 0
    where the loss is computed in small parts."""
    moment_dtype: Literal["fp32", "bf16"] = "fp32"
    """Number format of the two moments of Adam."""
    stack: str | None = None
    """Name of a software stack of the catalogue: what holds where nothing else is given of memory,
    attention and hiding, and whose laws forecasts draw. By default best, a ceiling; forecasts of
    scenarios that say nothing of their software take typical."""
    overhead_s: NotNegative = 0.0
    """Seconds of a step for the optimizer, the gradient norm and data."""
    tensor_overlap_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the exchange of tensor groups that hides behind their products, piece by piece; the
    stack's by default."""
    expert_copies: Literal["domain", "expert"] = "domain"
    """Copies of a token that its experts get: domain: one goes to each domain in which it has
    experts, and a rank there passes it on to them; expert: one goes to each expert."""
    expert_dispatch_dtype: Literal["bf16", "fp8"] = "bf16"
    """Number format of tokens on their way to experts; they come back in BF16."""
    expert_overlap_fraction: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of a microbatch's compute that the exchange of its experts can hide behind."""
    expert_bandwidth_share: Share = 1.0
    """Share of the bandwidth that this exchange has while it hides."""

    @model_validator(mode="after")
    def _documents_can_be_drawn(self) -> Workload:
        if self.document_tokens is not None:
            self.document_tokens.check_drawable("document_tokens")
        return self

    @property
    def counted_attention(self) -> Literal["causal", "full"]:
        """Attention scores that MFU counts."""
        return self.mfu_attention or self.attention

    @field_validator("model")
    @classmethod
    def _there_is_one(cls, name: str, info: ValidationInfo) -> str:
        return known("models", name, info.context)

    @field_validator("stack")
    @classmethod
    def _there_is_such_a_stack(cls, name: str | None) -> str | None:
        return name if name is None else known("stacks", name, None)

    @property
    def software(self) -> catalog.Stack:
        """Its software stack."""
        return catalog.stack(self.stack or BEST_STACK)


def _checked_order(order: Any) -> Any:
    """Refuse an order that does not name each dimension once."""
    names = order.split("-") if isinstance(order, str) else []
    if sorted([*names, *({"ep"} - set(names))]) != sorted(DIMENSIONS):
        raise PydanticCustomError("order", "must name each dimension once")
    return order


Order = Annotated[str, BeforeValidator(_checked_order)]


class Layout(Strict):
    """How ranks divide the work."""

    tensor: Count = 1
    """Ranks of a tensor group, which stays within a domain."""
    pipeline: Count = 1
    """Pipeline stages."""
    context: Count = 1
    """Tensor groups that divide each sequence among them."""
    n_replicas: Count | None = None
    """Replicas of the job, the first ones; as many as fit by default. The GPUs of the others are
    spares."""
    context_split: Literal["zigzag", "contiguous"] = "zigzag"
    """How context ranks divide a sequence: zigzag, so that all have as many scores, or each one
    piece of it, so that the last rank has most of the causal ones."""
    expert: Count = 1
    """Ranks that divide the experts of a layer among them. With expert_tensor and the ranks that
    have the same experts they number the ranks of a stage anew: expert_tensor x expert x those =
    tensor x context x replicas."""
    sharding: Literal["none", "zero1", "zero2", "zero3", "hybrid"] = "none"
    """States that data-parallel ranks divide among them: none, those of the optimizer (zero1),
    gradients too (zero2), weights too (zero3), or all of them within a shard group (hybrid)."""
    shard_group_replicas: Count | None = None
    """Consecutive replicas of a shard group; the last group may be smaller."""
    schedule: Literal["gpipe", "1f1b", "interleaved", "zero-bubble"] = "1f1b"
    """Order of a pipeline's passes."""
    chunks: Count = 1
    """Chunks of the model in each stage; with more than 1 they are interleaved."""
    stage_layers: list[NoneOrMore] | None = None
    """Layers of each virtual stage, where chunk c of stage s is number c * pipeline + s; as
    even as possible by default. The first may hold the input embedding only, and the
    last the output layer only."""
    last_stage_forward: Positive | None = None
    """Time of the last stage's forward pass over the mean of the other stages; by default
    the time of its layers and of the output layer."""
    last_stage_backward: Positive | None = None
    """Time of the last stage's backward pass over the mean of the other stages."""
    placement: Literal["aligned", "mixed"] = "aligned"
    """aligned: a replica stays in a pool, and each pool is numbered by itself; mixed: ranks are
    numbered over the pools one after another, so that with pp last in the order the stages of a
    replica are spread over them. A tensor group stays in a domain."""
    order: Order = "tp-cp-ep-dp-pp"
    """Order in which ranks are numbered, innermost first, in Megatron's names: tensor, context,
    expert, data and pipeline ranks. Rank r of a pool is its r-th working GPU. ep may be left out
    where expert is 1."""
    expert_tensor: Count | None = None
    """Ranks that divide each expert; tensor by default. With 1 the ranks of a tensor group have
    experts of their own."""

    @property
    def shard_group(self) -> int | None:
        """Replicas of a shard group; None where there are no such groups."""
        return self.shard_group_replicas if self.sharding == "hybrid" else None


class Collective(Strict):
    """How collectives between replicas are done, and how much of them compute hides."""

    algorithm: Literal["hierarchical", "ring", "tree", "pat", "torus"] = "hierarchical"
    """hierarchical: within domains first, then between them; ring: rings; tree: double binary
    trees for all-reduces and rings for the rest; pat: PAT, where all that is done are
    all-gathers and reduce-scatters; torus: all dimensions of a torus at once."""
    latency: Literal["hops", "nccl"] = "hops"
    """Latency of a collective: that of its hops over the fabric, or the one that NCCL's
    tuner expects of a ring, a tree or PAT."""
    host: Literal["intel", "amd"] = "intel"
    """Processor of the hosts, whose overhead is part of NCCL's latency."""
    n_buckets: Count | None = None
    """Pieces that a collective is sent in; by default one for each layer of a stage, as
    FSDP wraps layers."""
    overlap_fraction: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of a phase's compute that its collectives can hide behind."""
    hidden_cost: Annotated[float, Field(ge=0, le=1)] | None = None
    """Seconds that compute takes longer for each second of a collective that hides behind it, for
    what it takes of compute units and memory bandwidth; the stack's by default."""


class Scenario(Strict):
    """A cluster, a job on it, and what disturbs them."""

    name: str = Field(min_length=1, max_length=200)
    """Name of the scenario."""
    pools: dict[Name, Pool]
    """Pools by name, in order."""
    fabric: Fabric
    gpus: dict[Name, OwnGpu] = Field(default_factory=dict)
    """GPUs of the scenario, beside those of the catalogue, by name."""
    fabrics: dict[Name, OwnFabric] = Field(default_factory=dict)
    """Fabrics of the scenario, beside those of the catalogue, by name."""
    models: dict[Name, Transformer] = Field(default_factory=dict)
    """Models of the scenario, beside those of the catalogue, by name."""
    workload: Workload
    layout: Layout = Field(default_factory=Layout)
    collective: Collective = Field(default_factory=Collective)
    serving: Serving | None = None
    """What the cluster serves when it does not train."""
    requests: Requests | None = None
    """Requests for it."""
    economics: Economics | None = None
    """What it is worth: prices, what is outside, and what it would serve."""
    causes: dict[Name, Cause] = Field(default_factory=dict)
    """Causes by name."""
    failures: dict[Name, UnitFailures] = Field(default_factory=dict)
    """Failures by name."""
    recovery: Recovery | None = None
    """What happens when units of the job fail."""
    checkpoint: Checkpoint | None = None
    """How the state of the job is saved; without it, only as it is when a run begins."""
    ideal: Ideal | None = None
    """Mechanisms that cost nothing."""
    slices: SlicesTable | None = None
    """Cubes that slices of the pool are made of, and the slices of the job."""
    unknowns: dict[str, Law] = Field(default_factory=dict)
    """Values that data do not determine: the law of each value, by key path."""
    basis: dict[str, Basis] = Field(default_factory=dict)
    """Where numbers come from, by key path."""
    not_modelled: list[str] = Field(default_factory=list)
    """Effects that matter in this scenario and are not modelled, beside those that every run
    lists."""

    _source: str = PrivateAttr(default="")
    _judged: dict[str, Any] | None = PrivateAttr(default=None)
    """The fields as they were when they were found to fit together."""

    def _repr_html_(self) -> str:
        """Return what a notebook shows: pools and job."""
        pools = [[name, pool.gpu, pool.n_gpus] for name, pool in self.pools.items()]
        workload, layout = self.workload, self.layout
        job = {
            "fabric": self.fabric.name,
            "model": workload.model,
            "tokens of a sequence": workload.seq_len,
            "number format": workload.dtype,
            "layout": f"tensor {layout.tensor}, pipeline {layout.pipeline}, {layout.sharding}",
            "causes": ", ".join(self.enabled_causes),
            "failures": ", ".join(self.enabled_failures),
        }
        return shown(
            self.name,
            Cells(["pool", "gpu", "GPUs"], pools),
            Cells(["job", ""], list(map(list, job.items()))),
        )

    @property
    def source(self) -> str:
        """Name of the scenario in problems: its file, or else its name."""
        return self._source or str(self.__dict__.get("name", "scenario"))

    @property
    def is_judged(self) -> bool:
        """Whether all fields are as they were when they were found to fit together.

        Copies with other values, and objects that were made without `load`, are not judged.
        """
        return self._judged == self.__dict__

    def mark_judged(self) -> None:
        """Remember that the fields fit together as they are."""
        # Tables and lists can change in place, so these are copied.
        self._judged = {key: copy(value) for key, value in self.__dict__.items()}

    def __eq__(self, other: object) -> bool:
        """Return whether scenarios hold equal values, whatever files they come from.

        Pools, causes and failures have an order: pools are numbered by it, and causes are applied
        in it.
        """
        if not (isinstance(other, Scenario) and self.__dict__ == other.__dict__):
            return False
        orders = ([*each.pools, *each.causes, *each.failures] for each in (self, other))
        return next(orders) == next(orders)

    @classmethod
    def of(
        cls, table: dict[str, Any], source: str, *, parts: dict[str, Any] | None = None
    ) -> Scenario:
        """Return the scenario of a table, or of its validated parts; raises ValidationError."""
        scenario = cls.model_validate(table if parts is None else parts, context=own_of(table))
        scenario._source = source
        return scenario

    @property
    def model(self) -> Transformer:
        """The model of the workload: the scenario's own, or the catalogue's."""
        name = self.workload.model
        return self.models[name] if name in self.models else catalog.model(name)

    @property
    def hidden_cost(self) -> float:
        """Cost of a second that hides: the scenario's own, or its stack's."""
        own = self.collective.hidden_cost
        return self.workload.software.hidden_cost if own is None else own

    @property
    def enabled_causes(self) -> dict[str, Cause]:
        """Causes that are not switched off, by name."""
        return {name: cause for name, cause in self.causes.items() if cause.enabled}

    @property
    def ideals(self) -> Ideal:
        """Mechanisms that cost nothing; by default none."""
        return self.ideal or NOTHING

    @property
    def acting_causes(self) -> dict[str, Cause]:
        """Enabled causes that no ideal takes away, by name."""
        ideal = self.ideals
        return {
            name: cause for name, cause in self.enabled_causes.items() if not ideal.has(name, cause)
        }

    @property
    def acting_noise(self) -> Cause | None:
        """The fabric's noise, unless it is switched off or ideal."""
        noise = self.noise
        return None if noise is None or self.ideals.has(FABRIC_NOISE, noise) else noise

    @property
    def acting_hop_noise(self) -> Law | None:
        """The law of one hop's latency over its nominal latency, if it acts and is not ideal."""
        ideal = self.ideals
        return None if ideal.network_noise or HOP_NOISE in ideal.causes else self.hop_noise

    @property
    def acting_smoothing(self) -> dict[str, Smoothing]:
        """Smoothing of pools whose software is not aware of power, by name; none if it is ideal."""
        if self.ideals.power_smoothing:
            return {}
        return {
            name: pool.smoothing
            for name, pool in self.pools.items()
            if pool.smoothing is not None and not pool.power_aware
        }

    @property
    def enabled_failures(self) -> dict[str, UnitFailures]:
        """Failures that are not switched off, by name."""
        return {name: failures for name, failures in self.failures.items() if failures.enabled}

    @property
    def enabled_checkpoint(self) -> Checkpoint | None:
        """Its checkpoints, unless they are switched off."""
        if self.checkpoint is None or not self.checkpoint.enabled:
            return None
        return self.checkpoint

    @property
    def spares(self) -> dict[str, int]:
        """GPUs of each pool that are held back to take the place of failed ones, by its name."""
        of_all = 0 if self.recovery is None else self.recovery.spares
        return {
            name: of_all if pool.spares is None else pool.spares
            for name, pool in self.pools.items()
        }

    @property
    def watchdog_s(self) -> float | None:
        """Seconds of a stall above which it is a failure of the job, where failures count."""
        if self.recovery is None or not self.enabled_failures:
            return None
        return self.recovery.watchdog_s

    @property
    def evict_after_s(self) -> float | None:
        """Seconds after which a unit in an episode is replaced, where failures count."""
        if self.recovery is None or not self.enabled_failures:
            return None
        return self.recovery.evict_after_s

    @property
    def noise(self) -> Cause | None:
        """The fabric's noise, unless it is switched off."""
        return self.fabric.enabled_noise

    @property
    def hop_noise(self) -> Law | None:
        """The law of one hop's latency over its nominal latency, if hops are random."""
        return self.fabric.hop_law
