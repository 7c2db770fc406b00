"""A step of a job in detail: who computes what when, and who waits for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hindmost.scenario import Scenario
from hindmost.timelines.trace import NANOSECONDS, Trace, check_path

Role = Literal["slowest", "median", "fastest"]
"""Why a replica is drawn: the step waits for it, or would take the median or least time with it."""


MOST_BYTES = 10_000_000
"""Bytes of a trace, at most, before it is compressed: viewers become slow beyond."""

MOST_PASSES = 80_000
"""Passes of a replica, at most: so many fit into a trace."""

WAITING_POINTS = 200
"""Times at which waiting replicas are counted, about."""

PROCESS = 10_000
"""Distance between the numbers of two processes, whose threads have numbers between these."""

EXCHANGE_STREAM = 1_000_000
"""Stream of exchange between replicas; passes have the number of their stage. Analysers of traces
take spans with a stream for what a GPU does."""

ROUNDING = 1e-9
"""Share of a step below which seconds are those of rounding."""


class Effect(NamedTuple):
    """What a cause does to a GPU in a step."""

    cause: str
    """Its name."""
    slowdown: float
    """Factor on the time of its work, the mean where it changes within the step; 1 for a stall."""
    stall_s: float
    """Seconds for which it stops, in all; 0 for a slowdown."""

    def __str__(self) -> str:
        if self.stall_s:
            return f"{self.cause} {self.stall_s:.3g} s"
        return f"{self.cause} {self.slowdown:.5g}"


class Stage(NamedTuple):
    """A stage of a replica, which goes at the pace of its slowest ranks."""

    pool: str
    """Pool of the rank that works longest."""
    gpu: int
    """Number of its GPU in the pool."""
    node: int
    """Number of its node in the pool."""
    slowdown: float
    """Slowdown of the stage's passes."""
    effects: tuple[Effect, ...]
    """What slows that rank, the greatest first; and waiting for other ranks within the step."""
    stall_s: float
    """Seconds for which the stage stalls before its first pass."""
    stalls: tuple[Effect, ...]
    """What stalls the rank of the stage that is stalled longest there."""
    pass_stalls: tuple[str, ...]
    """Names of causes that may stall the stage before any pass."""
    overhead_s: float
    """Seconds after its last pass: optimizer, gradient norm, data."""

    @property
    def why(self) -> str:
        """What slows and stalls it, in words; empty where nothing does."""
        return ", ".join(map(str, (*self.effects, *self.stalls)))


class Pass(NamedTuple):
    """A pass of one microbatch through one chunk of a stage, in seconds from the first pass on."""

    stage: int
    """Number of the stage."""
    direction: str
    """``forward``, ``backward`` or ``weight``."""
    microbatch: int
    """Number of the microbatch."""
    chunk: int
    """Number of the chunk of the stage."""
    ready_s: float
    """When its stage is free and its data have arrived."""
    begins_s: float
    """When it begins, after stalls."""
    ends_s: float
    """When it ends."""
    slowdown: float
    """Slowdown of its slowest ranks."""

    @property
    def is_empty(self) -> bool:
        """Whether it lasts no nanosecond, as of a stage without layers."""
        return (self.ends_s - self.begins_s) * NANOSECONDS < 1


@dataclass(frozen=True, kw_only=True)
class ReplicaTimeline:
    """One replica in one step, or replicas that wait for each other within it.

    Attributes
    ----------
    role : str
        ``slowest``, ``median`` or ``fastest``.
    pool : str
        Pool; of stages in several pools, that of the busiest stage.
    first, last : int
        Number of the replica in its pool, or in the job where stages are spread over pools; of
        those that wait for each other the first and the last.
    compute_s : float
        Seconds that it computes, stalls included.
    stall_s : float
        Seconds of these that stalls cost.
    wait_s : float
        Seconds by which the step would be shorter if it waited for this replica instead.
    whole_stall_s : float
        Seconds for which all of its stages stop at once, before the first pass.
    whole_stalls : tuple of Effect
        What stops them.
    stages : tuple of Stage
        Its stages, in the order in which data flow.
    passes : tuple of Pass
        All passes, each after what it waits for.
    """

    role: Role
    pool: str
    first: int
    last: int
    compute_s: float
    stall_s: float
    wait_s: float
    whole_stall_s: float
    whole_stalls: tuple[Effect, ...]
    stages: tuple[Stage, ...]
    passes: tuple[Pass, ...]

    @property
    def name(self) -> str:
        """Its number or numbers, in words."""
        if self.first == self.last:
            return f"replica {self.first:,}"
        return f"replicas {self.first:,} to {self.last:,}"

    @cached_property
    def by_stage(self) -> tuple[tuple[Pass, ...], ...]:
        """The passes of each stage, in order."""
        found: list[list[Pass]] = [[] for _ in self.stages]
        for one in self.passes:
            found[one.stage].append(one)
        return tuple(map(tuple, found))

    @property
    def busiest(self) -> int:
        """Number of the stage that works and stalls longest."""
        busy = [
            stage.overhead_s + sum(one.ends_s - one.ready_s for one in passes)
            for stage, passes in zip(self.stages, self.by_stage, strict=True)
        ]
        return busy.index(max(busy))

    @property
    def why(self) -> str:
        """What stops all stages, and what slows and stalls the busiest one, in words."""
        whole = (f"{one} (all stages)" for one in self.whole_stalls)
        return ", ".join(filter(None, (*whole, self.stages[self.busiest].why)))


class Exchange(NamedTuple):
    """The collectives between replicas in one phase of the step."""

    name: str
    """What is exchanged."""
    is_forward: bool
    """Whether they come with the forward passes."""
    waiting_s: float
    """Seconds for which compute waits."""
    hidden_s: float
    """Seconds behind compute."""
    cost_s: float
    """Seconds that compute takes longer for these."""

    @property
    def exposed_s(self) -> float:
        """Seconds of the step."""
        return self.waiting_s + self.cost_s


class Computing(NamedTuple):
    """When a replica has computed, or replicas that wait for each other within a step."""

    end_s: float
    """Seconds after which its last rank has."""
    wait_s: float
    """Seconds by which the step would be shorter if it waited for it."""
    n_replicas: int
    """How many replicas it is."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One step of a job, drawn by ``sample``, with up to three of its replicas in detail.

    It is a value: it compares, pickles and is written.

    Attributes
    ----------
    scenario : Scenario
        The scenario.
    seed, run, step : int
        Which step it is: that of `simulate` with ``method="sample"`` under this seed.
    step_time_s, compute_s, exposed_comm_s, stall_s : float
        That step's row.
    n_replicas : int
        Replicas of the job.
    replicas : tuple of ReplicaTimeline
        The slowest replica, one with the median time, and the fastest one; fewer where there are
        no others, or where all take as long.
    exchanges : tuple of Exchange
        What replicas exchange, in order of time.
    slow_port, stalled_port : str
        What the worst ports do to it, in words; empty where no cause acts on them.
    computing : dict of str to tuple of Computing
        When the replicas of each pool have computed, in ascending order; where stages are spread
        over pools, of those whose busiest stage is there.
    has_transfers : bool
        Whether stages wait for data of each other.
    """

    scenario: Scenario
    seed: int
    run: int
    step: int
    step_time_s: float
    compute_s: float
    exposed_comm_s: float
    stall_s: float
    n_replicas: int
    replicas: tuple[ReplicaTimeline, ...]
    exchanges: tuple[Exchange, ...]
    slow_port: str
    stalled_port: str
    computing: dict[str, tuple[Computing, ...]]
    has_transfers: bool

    @property
    def begins_s(self) -> float:
        """Seconds of the step before replicas compute: exchange that comes with forward passes."""
        return sum(one.exposed_s for one in self.exchanges if one.is_forward)

    @property
    def mean_wait_s(self) -> float:
        """Mean `ReplicaTimeline.wait_s` of all replicas."""
        of_all = [one for pool in self.computing.values() for one in pool]
        return sum(one.n_replicas * one.wait_s for one in of_all) / self.n_replicas

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each replica that is drawn."""
        return [
            {
                "role": one.role,
                "pool": one.pool,
                "replica": one.first,
                "last_replica": one.last,
                "compute_s": one.compute_s,
                "stall_s": one.stall_s,
                "wait_s": one.wait_s,
                "stage": one.busiest,
                "gpu_pool": one.stages[one.busiest].pool,
                "gpu": one.stages[one.busiest].gpu,
                "node": one.stages[one.busiest].node,
                "slowdown": one.stages[one.busiest].slowdown,
                "why": one.why,
            }
            for one in self.replicas
        ]

    def document(self) -> dict[str, Any]:
        """Return all but the single passes, for JSON."""
        return {
            "inputs": {"scenario": self.scenario.name, "seed": self.seed, "run": self.run},
            "step": self.step,
            "step_time_s": self.step_time_s,
            "compute_s": self.compute_s,
            "exposed_comm_s": self.exposed_comm_s,
            "stall_s": self.stall_s,
            "n_replicas": self.n_replicas,
            "mean_wait_s": self.mean_wait_s,
            "replicas": self.rows,
            "exchanges": [
                {
                    "name": one.name,
                    "waiting_s": one.waiting_s,
                    "hidden_s": one.hidden_s,
                    "cost_s": one.cost_s,
                }
                for one in self.exchanges
            ],
        }

    def trace(self) -> dict[str, Any]:
        """Return the timeline in the event format of Chrome, as `write` writes it."""
        return self._smaller_trace()[0].document()

    def write(self, path: str | Path) -> str:
        """Write the timeline as a trace, which Perfetto opens, and return what is left out.

        Parameters
        ----------
        path
            A .json file, or .json.gz.

        Returns
        -------
        str
            What had no place within 10 MB, in words; empty if nothing is left out.

        Raises
        ------
        ScenarioError
            If the path could not be written.
        OutputError
            If writing fails.
        """
        path = Path(path)
        check_path(path)
        trace, left_out = self._smaller_trace()
        trace.write(path)
        return left_out

    def _smaller_trace(self) -> tuple[Trace, str]:
        """Return the first trace that fits into `MOST_BYTES`, and what it leaves out."""
        for detail in DETAILS:
            trace = _Drawing(self, detail).trace()
            if len(trace.text()) <= MOST_BYTES:
                break
        return trace, detail.left_out


class Detail(NamedTuple):
    """How much of a timeline is drawn."""

    n_replicas: int
    """Replicas, at most."""
    n_with_arrows: int
    """Those of them with arrows, at most."""
    has_args: bool
    """Whether passes say what slows them."""
    left_out: str
    """What is left out, in words."""


DETAILS = (
    Detail(3, 3, True, ""),
    Detail(3, 1, True, "arrows of all replicas but the slowest"),
    Detail(3, 0, True, "arrows"),
    Detail(3, 0, False, "arrows, and what slows single passes"),
    Detail(1, 0, True, "arrows, and all replicas but the slowest"),
    Detail(1, 0, False, "arrows, what slows single passes, and all replicas but the slowest"),
)
"""In how much detail a timeline may be drawn, from all of it to as little as always fits."""


class _Drawing:
    """A trace that is made of a timeline."""

    def __init__(self, found: Timeline, detail: Detail) -> None:
        self._found = found
        self._detail = detail
        self._trace = Trace(
            {
                "scenario": found.scenario.name,
                "seed": found.seed,
                "run": found.run,
                "step": found.step,
                "step_time_s": found.step_time_s,
                "left out": detail.left_out,
                "note": "What is exposed of exchange stands before or after all that computes.",
            }
        )

    def trace(self) -> Trace:
        self._draw_job()
        for number, one in enumerate(self._found.replicas[: self._detail.n_replicas]):
            process = PROCESS * (number + 2)
            self._draw_replica(process, one)
            if self._found.has_transfers and number < self._detail.n_with_arrows:
                self._draw_arrows(process, one)
        return self._trace

    def _draw_job(self) -> None:
        """Draw the whole step, what replicas exchange and how many of them wait."""
        found, trace, job = self._found, self._trace, PROCESS
        step, exchange = (job, job + 1), (job, job + 2)
        trace.process(job, f"job: {found.scenario.name}, {found.n_replicas:,} replicas", place=0)
        trace.thread(*step, "step")
        trace.span(
            f"step {found.step}",
            "step",
            step,
            begins_s=0.0,
            ends_s=found.step_time_s,
            args={
                "compute_s": found.compute_s,
                "exposed_comm_s": found.exposed_comm_s,
                "stall_s": found.stall_s,
                "mean_wait_s": found.mean_wait_s,
            },
            is_exact=True,
        )
        if found.exchanges:
            trace.thread(*exchange, "exchange between replicas")
        for name, kind, port, begins_s, ends_s in self._exchange_spans():
            args: dict[str, Any] = {"stream": EXCHANGE_STREAM}
            if port:
                args["port"] = port
            trace.span(name, kind, exchange, begins_s=begins_s, ends_s=ends_s, args=args)
        for at_s, waiting in self._waiting():
            trace.counter("replicas that wait", job, at_s=at_s, values=waiting)

    def _exchange_spans(self) -> Iterator[tuple[str, str, str, float, float]]:
        """Yield name, kind, worst port, begin and end of all parts of exchange."""
        found = self._found
        slowest = found.replicas[0]
        first_s = found.begins_s + slowest.whole_stall_s
        passes_end_s = first_s + max(one.ends_s for one in slowest.passes)
        first_s += min(one.begins_s for one in slowest.passes)
        forward = [one for one in found.exchanges if one.is_forward]
        backward = [one for one in found.exchanges if not one.is_forward]
        hidden_s = sum(one.hidden_s for one in backward)
        at_s = 0.0
        # Each group begins at its time, or where the one before it ends.
        for since_s, group in (
            (0.0, [part for one in forward for part in self._exposed_parts(one)]),
            (first_s, [self._hidden_part(one) for one in forward]),
            (passes_end_s - hidden_s, [self._hidden_part(one) for one in backward]),
            (
                found.begins_s + found.compute_s,
                [part for one in backward for part in self._exposed_parts(one)],
            ),
        ):
            at_s = max(at_s, since_s)
            for name, kind, port, seconds in group:
                yield name, kind, port, at_s, at_s + seconds
                at_s += seconds

    def _exposed_parts(self, one: Exchange) -> list[tuple[str, str, str, float]]:
        """Return name, kind, worst port and seconds of what a step sees of an exchange."""
        # A stall of a port holds the last exchange of a step.
        is_last = one is self._found.exchanges[-1]
        ports = (self._found.slow_port, self._found.stalled_port if is_last else "")
        port = ", ".join(filter(None, ports))
        return [
            (f"{one.name}, exposed", "exposed exchange", port, one.waiting_s),
            (f"{one.name}, what hides slows compute", "cost of hidden exchange", "", one.cost_s),
        ]

    def _hidden_part(self, one: Exchange) -> tuple[str, str, str, float]:
        """Return name, kind, worst port and seconds of what a step does not see of an exchange."""
        return f"{one.name}, hidden", "hidden exchange", self._found.slow_port, one.hidden_s

    def _waiting(self) -> Iterator[tuple[float, dict[str, int]]]:
        """Yield times, and how many replicas of each pool wait for the slowest from then on.

        A replica that computes longer than the one that the step waits for, because that one is
        stalled and hides less exchange meanwhile, never waits.
        """
        found = self._found
        done = sorted(
            (one.end_s, pool, one.n_replicas)
            for pool, of_pool in found.computing.items()
            for one in of_pool
            if one.end_s < found.compute_s
        )
        every = max(1, len(done) // WAITING_POINTS)
        waiting = dict.fromkeys(found.computing, 0)
        yield 0.0, dict(waiting)
        for number, (at_s, pool, n_replicas) in enumerate(done):
            waiting[pool] += n_replicas
            if number % every == every - 1 or number == len(done) - 1:
                yield found.begins_s + at_s, dict(waiting)
        yield found.begins_s + found.compute_s, dict.fromkeys(found.computing, 0)

    def _draw_replica(self, process: int, one: ReplicaTimeline) -> None:
        """Draw the stages of a replica: passes, stalls, overhead and waiting for the slowest."""
        found, trace = self._found, self._trace
        place = process // PROCESS
        trace.process(process, f"{one.role}: {one.pool}, {one.name}", place=place)
        begins_s = found.begins_s + one.whole_stall_s
        slowest_ends_s = found.begins_s + found.compute_s
        for number, (stage, passes) in enumerate(zip(one.stages, one.by_stage, strict=True)):
            thread = process, process + 1 + number
            trace.thread(*thread, f"stage {number} ({stage.pool} GPU {stage.gpu:,})")
            names = " and ".join(each.cause for each in one.whole_stalls)
            trace.span(
                f"stall of all stages: {names}",
                "stall",
                thread,
                begins_s=found.begins_s,
                ends_s=begins_s,
                args={"by": ", ".join(map(str, one.whole_stalls))},
            )
            args = {"gpu": stage.gpu, "by": ", ".join(map(str, stage.effects)), "stream": number}
            for each in passes:
                self._draw_stalls(thread, begins_s, stage, each)
                of_pass: dict[str, Any] = {"microbatch": each.microbatch}
                if each.chunk:
                    of_pass["chunk"] = each.chunk
                of_pass["slowdown"] = round(each.slowdown, 6)
                trace.span(
                    _pass_name(each),
                    each.direction,
                    thread,
                    begins_s=begins_s + each.begins_s,
                    ends_s=begins_s + each.ends_s,
                    args={**of_pass, **args} if self._detail.has_args else None,
                )
            done_s = begins_s + passes[-1].ends_s
            spent_s = done_s + stage.overhead_s
            name = "overhead: optimizer, gradient norm, data"
            trace.span(name, "overhead", thread, begins_s=done_s, ends_s=spent_s)
            ends_s = found.begins_s + one.compute_s
            if one.role != "slowest" and ends_s < slowest_ends_s:
                slowest = found.replicas[0]
                name = f"waits for the slowest: {slowest.pool}, {slowest.name}"
                trace.span(name, "wait", thread, begins_s=ends_s, ends_s=slowest_ends_s)

    def _draw_stalls(
        self, thread: tuple[int, int], begins_s: float, stage: Stage, one: Pass
    ) -> None:
        """Draw what stops a stage before a pass: causes of the whole step, then of the pass."""
        if one.begins_s <= one.ready_s:
            return
        of_step_s = 0.0
        if one.microbatch == 0 and one.chunk == 0 and one.direction == "forward":
            of_step_s = min(stage.stall_s, one.begins_s - one.ready_s)
        middle_s = one.ready_s + of_step_s
        # What is left by rounding is no stall.
        if one.begins_s - middle_s < ROUNDING * one.begins_s or not stage.pass_stalls:
            middle_s = one.begins_s
        for names, by, first_s, last_s in (
            (
                [each.cause for each in stage.stalls],
                ", ".join(map(str, stage.stalls)),
                one.ready_s,
                middle_s,
            ),
            (stage.pass_stalls, ", ".join(stage.pass_stalls), middle_s, one.begins_s),
        ):
            self._trace.span(
                f"stall: {' and '.join(names)}",
                "stall",
                thread,
                begins_s=begins_s + first_s,
                ends_s=begins_s + last_s,
                args={"by": by},
            )

    def _draw_arrows(self, process: int, one: ReplicaTimeline) -> None:
        """Draw an arrow from each pass to the one of the next stage that needs its data."""
        n_stages = len(one.stages)
        begins_s = self._found.begins_s + one.whole_stall_s
        done: dict[tuple[str, int, int], Pass] = {}
        for each in one.passes:
            if each.direction == "weight":
                continue
            virtual = each.chunk * n_stages + each.stage
            before = virtual - 1 if each.direction == "forward" else virtual + 1
            source = done.get((each.direction, before, each.microbatch))
            done[each.direction, virtual, each.microbatch] = each
            if source is None or source.is_empty or each.is_empty:
                continue
            self._trace.flow(
                "activations" if each.direction == "forward" else "gradients",
                begins=(process, process + 1 + source.stage, _middle(begins_s, source)),
                ends=(process, process + 1 + each.stage, _middle(begins_s, each)),
            )


def _pass_name(one: Pass) -> str:
    """Return the name of a pass: its direction, microbatch and, of several, its chunk."""
    chunk = f".{one.chunk}" if one.chunk else ""
    return f"{one.direction} {one.microbatch}{chunk}"


def _middle(begins_s: float, one: Pass) -> float:
    """Return a time in the middle of a pass, which is within it after rounding, too."""
    return begins_s + (one.begins_s + one.ends_s) / 2
