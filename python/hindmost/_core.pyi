"""Types of the Rust core, which knows random numbers, barriers and schedules, and no GPUs.

All classes are values: they compare, pickle and copy. What holds floats has no hash.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

__version__: str
KINDS_OF_OPERATIONS: list[str]
MAX_STAGES: int
MAX_PASSES: int
MAX_INDICES: int
MAX_GANG_RANKS: int
MAX_CORRELATION_STEPS: float

class DomainError(ValueError):
    """A field outside of its domain; args are its path, its value and the requirement."""

class StreamsError(ValueError):
    """Two random streams with one hash; args are the texts that were hashed."""

class NotExactError(ValueError):
    """The slowest rank cannot be drawn from its exact law.

    args are the kind of reason, the reason in words, and whether a replica law may be used
    instead.
    """

class ThreadsError(RuntimeError):
    """The operating system does not start threads; the message says how many were asked for."""

class Law:
    """Distribution of a positive random number; equal however it was written."""

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, parameters: dict[str, Any]) -> None: ...
    def cdf(self, x: float) -> float: ...
    def sf(self, x: float) -> float: ...
    def quantile(self, p: float) -> float: ...
    def upper_quantile(self, q: float) -> float: ...
    def mean(self) -> float: ...
    def variance(self) -> float: ...
    def check_drawable(self) -> None: ...
    def weights(self) -> list[float]: ...
    def values(
        self, words: NDArray[np.uint32], refine: NDArray[np.uint32], component: int = 0
    ) -> NDArray[np.float32]: ...

class Plan:
    """A step of a whole job, checked and compiled.

    Plans are equal by their arguments but for the instruction set: all of them give equal bytes.
    A pickle holds the arguments, and unpickling compiles them again.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(
        self,
        *,
        pools: Sequence[dict[str, Any]],
        causes: Sequence[dict[str, Any]],
        terms: Sequence[dict[str, Any]],
        overlap_fraction: float,
        hidden_cost: float = 0.0,
        context: int = 1,
        order: str = "cp-pp-dp",
        pipeline: dict[str, Any] | None = None,
        instructions: str | None = None,
    ) -> None: ...
    @property
    def n_ranks(self) -> list[int]: ...
    @property
    def instructions(self) -> str: ...
    @property
    def draws_per_step(self) -> int: ...

class Curve:
    """The law of a maximum, as exceedances on knots; equal by its knots.

    xs are the knots, which do not fall, and logs the logarithms of their exceedances, which do
    not rise.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, xs: Sequence[float], logs: Sequence[float]) -> None: ...
    def cdf(self, x: float) -> float: ...
    def sf(self, x: float) -> float: ...
    def quantile(self, p: float) -> float: ...
    def upper_quantile(self, q: float) -> float: ...

class Memory:
    """What engines of similar plans share: laws, and persistent effects of runs.

    It changes no number: all memories are equal, and a copy is an empty one.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self) -> None: ...

class OrderStatistics:
    """The engine that draws the slowest rank of each pool from its law.

    Engines are equal by their plan and, where a law is found by simulation, the seed of that. A
    pickle holds these, and unpickling compiles the laws again.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(self, plan: Plan, memory: Memory | None = None) -> None: ...
    @staticmethod
    def simulated(
        plan: Plan,
        *,
        seed: int,
        threads: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> OrderStatistics: ...
    @staticmethod
    def simulated_steps(plan: Plan) -> int: ...
    def run(
        self,
        *,
        seed: int,
        runs: int,
        steps: int,
        threads: int,
        terms: bool = False,
        first_run: int = 0,
        progress: Callable[[int], object] | None = None,
    ) -> Columns: ...
    def seconds(
        self,
        *,
        seed: int,
        runs: int,
        steps: int,
        threads: int,
        progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float64]: ...
    def step_times(
        self,
        networks: Sequence[Network],
        *,
        seed: int,
        runs: int,
        steps: int,
        threads: int,
        progress: Callable[[int], object] | None = None,
    ) -> list[NDArray[np.float64]]: ...
    def law(self, pool: int, seed: int, run: int) -> Curve | None: ...

class Schedule:
    """The order of a pipeline's passes; equal by its kind and shape."""

    def __init__(self, *, kind: str, stages: int, microbatches: int, chunks: int = 1) -> None: ...
    def order(self, stage: int) -> list[tuple[str, int, int]]: ...
    def in_flight(self) -> list[int]: ...
    def seconds(
        self,
        forward_s: NDArray[np.float64],
        backward_s: NDArray[np.float64],
        weight_s: NDArray[np.float64] | None = None,
        *,
        transfer_s: float | Sequence[float] = 0.0,
    ) -> float: ...

class TracedJob:
    """Operations of some steps on all recorded workers of a job; equal by its columns.

    One row an operation: its step, the replica and the stage of its worker, its number in
    `KINDS_OF_OPERATIONS`, its number among those of its kind of the worker in the step, its chunk
    of the stage and of the model (negative: none), when it begins and ends, and how long it takes.
    """

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __init__(
        self,
        *,
        step: NDArray[np.int64],
        replica: NDArray[np.uint32],
        stage: NDArray[np.uint32],
        kind: NDArray[np.uint8],
        number: NDArray[np.uint32],
        chunk: NDArray[np.int32],
        virtual_stage: NDArray[np.int32],
        start_s: NDArray[np.float64],
        end_s: NDArray[np.float64],
        duration_s: NDArray[np.float32],
    ) -> None: ...
    @property
    def steps(self) -> list[int]: ...
    @property
    def n_replicas(self) -> int: ...
    @property
    def n_stages(self) -> int: ...
    @property
    def recorded_s(self) -> list[float]: ...
    @property
    def ideal_s(self) -> dict[str, float]: ...
    def step_times_s(
        self, kinds: NDArray[np.bool_], workers: NDArray[np.bool_], *, threads: int
    ) -> NDArray[np.float64]: ...
    def timeline(
        self, kinds: NDArray[np.bool_], workers: NDArray[np.bool_], step: int
    ) -> TracedStep: ...

class TracedStep(TypedDict):
    """Operations of a step by column, each after what it waits for.

    They are ready when all that they wait for have ended, and begin when all that end with them
    are ready, in seconds from the beginning of the step.
    """

    replica: NDArray[np.uint32]
    stage: NDArray[np.uint32]
    kind: NDArray[np.uint32]
    number: NDArray[np.uint32]
    ready_s: NDArray[np.float64]
    begins_s: NDArray[np.float64]
    ends_s: NDArray[np.float64]

class Columns(TypedDict):
    """Rows of a simulation by column, runs one after another.

    One row a step, but busy_s and own_stall_s have one row a run and pool: the expected seconds
    of a step in which a rank computes, and those of its own stalls. With terms there is what each
    step is made of: frontier_times is how many rows of frontier_pool, frontier_compute_s (stalls
    excluded) and frontier_stall_s belong to it; port_slowdown and port_stall_s have one row a step
    and pool, hop_factor one a step and communication term. Where computing may be slow in episodes
    there is in_episode: whether any rank of the slowest replica is, or its only rank that matters;
    and episode_s, by run and pool: the seconds of busy_s that are because of episodes.
    """

    step_time_s: NDArray[np.float64]
    compute_s: NDArray[np.float64]
    exposed_comm_s: NDArray[np.float64]
    stall_s: NDArray[np.float64]
    slowest: NDArray[np.uint32]
    in_episode: NotRequired[NDArray[np.bool_]]
    busy_s: NDArray[np.float64]
    own_stall_s: NDArray[np.float64]
    episode_s: NotRequired[NDArray[np.float64]]
    frontier_times: NotRequired[NDArray[np.uint32]]
    frontier_pool: NotRequired[NDArray[np.uint32]]
    frontier_compute_s: NotRequired[NDArray[np.float64]]
    frontier_stall_s: NotRequired[NDArray[np.float64]]
    port_slowdown: NotRequired[NDArray[np.float64]]
    port_stall_s: NotRequired[NDArray[np.float64]]
    hop_factor: NotRequired[NDArray[np.float64]]

class Network(TypedDict):
    """The network of a plan, and what it was drawn to be in each step, runs one after another.

    As the columns of a simulation with terms: port_slowdown and port_stall_s by step and pool,
    hop_factor by step and communication term.
    """

    plan: Plan
    port_slowdown: NDArray[np.float64]
    port_stall_s: NDArray[np.float64]
    hop_factor: NDArray[np.float64]

def sample_step_times(
    plan: Plan,
    networks: Sequence[Network],
    *,
    seed: int,
    runs: int,
    steps: int,
    threads: int,
    progress: Callable[[int], object] | None = None,
) -> list[NDArray[np.float64]]: ...
def sample(
    plan: Plan,
    *,
    seed: int,
    runs: int,
    steps: int,
    threads: int,
    terms: bool = False,
    first_run: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Columns: ...

class ReplicaColumns(TypedDict):
    """The slowest replicas of each step by column, runs one after another."""

    pool: NDArray[np.uint32]
    replica: NDArray[np.uint32]
    compute_s: NDArray[np.float64]

def slowest_replicas(
    plan: Plan,
    *,
    k: int,
    seed: int,
    runs: int,
    steps: int,
    threads: int,
    progress: Callable[[int], object] | None = None,
) -> ReplicaColumns: ...
def rank_times(
    plan: Plan,
    *,
    seed: int,
    run: int,
    steps: Sequence[int],
    times: NDArray[np.float32],
    threads: int,
    progress: Callable[[int], object] | None = None,
) -> None: ...

GpuPlace = tuple[int, int]
"""Index of a pool, and the number of a GPU in it."""

class OneStep(TypedDict):
    """All replicas, or gangs, of one sampled step by column, and the network."""

    pool: NDArray[np.uint32]
    replica: NDArray[np.uint32]
    compute_s: NDArray[np.float64]
    stall_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    end_s: NDArray[np.float64]
    gpu: NDArray[np.uint32]
    slowest: int
    waiting_s: NDArray[np.float64]
    hidden_s: NDArray[np.float64]
    cost_s: NDArray[np.float64]
    port_slowdown: NDArray[np.float64]
    port_stall_s: NDArray[np.float64]
    hop_factor: NDArray[np.float64]

class GangPasses(TypedDict):
    """All passes of one gang in one sampled step.

    A pass is its stage, direction, microbatch and chunk; when it is ready, begins and ends; and its
    slowdown. A stage is the GPU that works longest, its stall and most stalled GPU, and its
    overhead.
    """

    passes: list[tuple[tuple[int, str, int, int], float, float, float, float]]
    stages: list[tuple[GpuPlace, tuple[float, GpuPlace], float]]
    step_stall: tuple[float, GpuPlace]
    microbatch_stall_s: float

def one_step(
    plan: Plan,
    *,
    seed: int,
    run: int,
    step: int,
    threads: int,
    progress: Callable[[int], object] | None = None,
) -> OneStep: ...
def gang_passes(
    plan: Plan,
    *,
    seed: int,
    run: int,
    step: int,
    gangs: Sequence[tuple[int, int]],
    threads: int,
) -> list[GangPasses]: ...
def gpu_effects(
    plan: Plan, *, seed: int, run: int, step: int, pool: int, gpu: int
) -> list[tuple[str, float, bool, bool, bool]]: ...
def queue_runs(
    queue: dict[str, Any],
    *,
    seed: int,
    runs: int,
    requests: int,
    threads: int,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]: ...
def renewal(
    job: Mapping[str, Any],
    *,
    seed: int,
    runs: int,
    threads: int,
    interruptions: int | None = None,
    seconds: float | None = None,
    checkpoints: int | None = None,
) -> list[tuple[float, float, float, float, float, int, int]]: ...
def fleet_runs(
    fleet: Mapping[str, Any],
    *,
    seed: int,
    runs: tuple[int, int],
    seconds: float,
    threads: int,
    work: Sequence[float] | None = None,
    interruptions: int | None = None,
    keeps_log: bool = False,
    progress: Callable[[int], object] | None = None,
) -> dict[str, Any]: ...
def kept_of_stretches(
    checkpoint: Mapping[str, Any], stretch_s: NDArray[np.float64], stretch_end: NDArray[np.uint8]
) -> float: ...
def tail_probabilities(bins: int) -> NDArray[np.float64]: ...
def fit_tabulated(
    lower: Sequence[float], upper: Sequence[float]
) -> tuple[list[float], list[float]]: ...
def philox(seed: int, counter: Sequence[int]) -> list[int]: ...
def instruction_sets() -> list[str]: ...
def probe_words(n_tiles: int, instructions: str) -> int: ...
def probe_walks(stages: int, microbatches: int, n_walks: int, instructions: str) -> float: ...
