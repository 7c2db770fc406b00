"""A step of a job in detail: who computes what when, and who waits for whom."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hindmost import files
from hindmost.errors import Problem, ScenarioError
from hindmost.scenario import Scenario
from hindmost.timelines.trace import Trace

Role = Literal["slowest", "median", "fastest"]
"""Why a replica is drawn: the step waits for it, or it computes for the median or least time."""

SUFFIXES = (".json", ".gz")
"""Suffixes of files that a timeline is written to."""

MOST_BYTES = 10_000_000
"""Bytes of a trace, at most, before it is compressed: viewers become slow beyond."""

WAITING_POINTS = 200
"""Times at which waiting replicas are counted, about."""

JOB = 0
"""Number of the process that stands for the whole job."""


EXCHANGE_STREAM = 1_000_000
"""Stream of exchange between replicas; passes have the number of their stage. Analysers of traces
take spans with a stream for what a GPU does."""


class Effect(NamedTuple):
    """What a cause does to a GPU for a whole step."""

    cause: str
    """Its name."""
    slowdown: float
    """Factor on the time of its work; 1 for a stall."""
    stall_s: float
    """Seconds for which it stops; 0 for a slowdown."""

    def __str__(self) -> str:
        if self.stall_s:
            return f"{self.cause} {self.stall_s:.3g} s"
        return f"{self.cause} {self.slowdown:.5g}"


class Stage(NamedTuple):
    """A stage of a replica, which goes at the pace of its slowest rank."""

    pool: str
    """Pool of that rank."""
    gpu: int
    """Number of its GPU in the pool."""
    node: int
    """Number of its node in the pool."""
    slowdown: float
    """Its slowdown in the whole step."""
    effects: tuple[Effect, ...]
    """What slows it, the greatest first."""
    stalls: tuple[Effect, ...]
    """What stalls the rank of the stage that is stalled longest."""
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


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One step of a job, drawn by ``sample``, with three of its replicas in detail.

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
        The slowest replica, one with the median time, and the fastest one.
    exchanges : tuple of Exchange
        What replicas exchange, in order of time.
    port : str
        What the worst port does to it, in words; empty where no cause acts on the network.
    within_step : tuple of str
        Names of causes that change within a step, and so from pass to pass.
    computing : dict of str to tuple of float
        Seconds that the replicas of each pool compute, stalls included, in ascending order.
    replicas_of_time : int
        Replicas of each of these times: above 1 where they wait for each other within a step.
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
    port: str
    within_step: tuple[str, ...]
    computing: dict[str, tuple[float, ...]]
    replicas_of_time: int
    has_transfers: bool

    @property
    def begins_s(self) -> float:
        """Seconds of the step before replicas compute: exchange that comes with forward passes."""
        return sum(one.exposed_s for one in self.exchanges if one.is_forward)

    @property
    def mean_wait_s(self) -> float:
        """Seconds that the average replica waits for the slowest one."""
        times = [seconds for pool in self.computing.values() for seconds in pool]
        return self.compute_s - sum(times) / len(times)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dictionary for each replica that is drawn."""
        return [self._row(one) for one in self.replicas]

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
        """Return the timeline in the event format of Chrome, as `write` writes it.

        Raises
        ------
        ScenarioError
            If even the slowest replica alone has more passes than fit into 10 MB.
        """
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
            If the path could not be written, or as `trace`.
        OutputError
            If writing fails.
        """
        path = Path(path)
        check_path(path)
        trace, left_out = self._smaller_trace()
        data = trace.text().encode()
        if path.suffix == ".gz":
            # Without a time, so that equal timelines make equal files.
            data = gzip.compress(data, mtime=0)
        files.replace(path, memoryview(data))
        return left_out

    def _row(self, one: ReplicaTimeline) -> dict[str, Any]:
        stage = one.stages[one.busiest]
        whole = ", ".join(map(str, one.whole_stalls))
        return {
            "role": one.role,
            "pool": one.pool,
            "replica": one.first,
            "compute_s": one.compute_s,
            "stall_s": one.stall_s,
            "wait_s": self.compute_s - one.compute_s,
            "stage": one.busiest,
            "gpu": stage.gpu,
            "node": stage.node,
            "slowdown": stage.slowdown,
            "why": ", ".join(filter(None, (whole, stage.why))),
        }

    def _smaller_trace(self) -> tuple[Trace, str]:
        """Return the first trace that fits into `MOST_BYTES`, and what it leaves out."""
        for n_replicas, has_arrows, left_out in (
            (len(self.replicas), True, ""),
            (len(self.replicas), False, "the arrows of transfers"),
            (1, False, "the arrows of transfers, and all replicas but the slowest"),
        ):
            trace = self._trace(self.replicas[:n_replicas], has_arrows=has_arrows)
            if len(trace.text()) <= MOST_BYTES:
                return trace, left_out
        n_passes = len(self.replicas[0].passes)
        requirement = (
            f"makes {n_passes:,} passes of a replica in a step, more than fit into a trace of "
            f"{MOST_BYTES // 10**6} MB"
        )
        problem = Problem(
            path="workload.n_microbatches",
            requirement=requirement,
            hint="fewer microbatches show the same schedule",
        )
        raise ScenarioError([problem])

    def _trace(self, replicas: Sequence[ReplicaTimeline], *, has_arrows: bool) -> Trace:
        trace = Trace(
            {
                "scenario": self.scenario.name,
                "seed": self.seed,
                "run": self.run,
                "step": self.step,
                "step_time_s": self.step_time_s,
                "note": "What is exposed of exchange stands before or after all passes.",
            }
        )
        self._draw_job(trace)
        for number, one in enumerate(replicas, 1):
            self._draw_replica(trace, number, one)
            if has_arrows and self.has_transfers:
                self._draw_arrows(trace, number, one)
        return trace

    def _draw_job(self, trace: Trace) -> None:
        """Draw the whole step, what replicas exchange and how many of them wait."""
        trace.process(JOB, f"job: {self.scenario.name}, {self.n_replicas:,} replicas", place=0)
        trace.thread(JOB, 1, "step")
        trace.span(
            f"step {self.step}",
            "step",
            (JOB, 1),
            begins_s=0.0,
            ends_s=self.step_time_s,
            args={
                "compute_s": self.compute_s,
                "exposed_comm_s": self.exposed_comm_s,
                "stall_s": self.stall_s,
                "mean_wait_s": self.mean_wait_s,
            },
            is_exact=True,
        )
        if self.exchanges:
            trace.thread(JOB, 2, "exchange between replicas")
        for name, kind, begins_s, ends_s in self._exchange_spans():
            args: dict[str, Any] = {"stream": EXCHANGE_STREAM}
            if self.port:
                args["port"] = self.port
            trace.span(name, kind, (JOB, 2), begins_s=begins_s, ends_s=ends_s, args=args)
        for at_s, waiting in self._waiting():
            trace.counter("replicas that wait", JOB, at_s=at_s, values=waiting)

    def _exchange_spans(self) -> Iterator[tuple[str, str, float, float]]:
        """Yield name, kind, begin and end of all parts of exchange that take any time."""
        forward = [one for one in self.exchanges if one.is_forward]
        backward = [one for one in self.exchanges if not one.is_forward]
        hidden_s = sum(one.hidden_s for one in backward)
        ends_s = self.begins_s + self.compute_s
        at_s = 0.0
        # Each group begins at its time, or where the one before it ends.
        for since_s, group in (
            (0.0, [part for one in forward for part in _exposed_parts(one)]),
            (self.begins_s, [_hidden_part(one) for one in forward]),
            (ends_s - hidden_s, [_hidden_part(one) for one in backward]),
            (ends_s, [part for one in backward for part in _exposed_parts(one)]),
        ):
            at_s = max(at_s, since_s)
            for name, kind, seconds in group:
                if seconds > 0:
                    yield name, kind, at_s, at_s + seconds
                at_s += seconds

    def _waiting(self) -> Iterator[tuple[float, dict[str, int]]]:
        """Yield times, and how many replicas of each pool wait for the slowest from then on."""
        done = sorted((at_s, pool) for pool, times in self.computing.items() for at_s in times)
        every = max(1, len(done) // WAITING_POINTS)
        waiting = dict.fromkeys(self.computing, 0)
        yield 0.0, dict(waiting)
        # Who is done last waits for nobody.
        for number, (at_s, pool) in enumerate(done[:-1]):
            waiting[pool] += self.replicas_of_time
            if number % every == every - 1 or number == len(done) - 2:
                yield self.begins_s + at_s, dict(waiting)
        yield self.begins_s + self.compute_s, dict.fromkeys(self.computing, 0)

    def _draw_replica(self, trace: Trace, process: int, one: ReplicaTimeline) -> None:
        """Draw the stages of a replica: passes, stalls, overhead and waiting for the slowest."""
        trace.process(process, f"{one.role}: {one.pool}, {one.name}", place=process)
        begins_s = self.begins_s + one.whole_stall_s
        ends_s = self.begins_s + one.compute_s
        for number, (stage, passes) in enumerate(zip(one.stages, one.by_stage, strict=True)):
            thread = process, number + 1
            trace.thread(*thread, f"stage {number} ({stage.pool} GPU {stage.gpu:,})")
            if one.whole_stall_s:
                name = " and ".join(each.cause for each in one.whole_stalls) or "microbatches"
                trace.span(
                    f"stall: {name}", "stall", thread, begins_s=self.begins_s, ends_s=begins_s
                )
            by = {"gpu": stage.gpu, "by": ", ".join(map(str, stage.effects))}
            for each in passes:
                if each.begins_s > each.ready_s:
                    trace.span(
                        self._stall_name(stage, each),
                        "stall",
                        thread,
                        begins_s=begins_s + each.ready_s,
                        ends_s=begins_s + each.begins_s,
                    )
                args = {"microbatch": each.microbatch, "slowdown": each.slowdown, **by}
                args["stream"] = number
                if each.slowdown != stage.slowdown and self.within_step:
                    args["within the step"] = ", ".join(self.within_step)
                trace.span(
                    _pass_name(each),
                    each.direction,
                    thread,
                    begins_s=begins_s + each.begins_s,
                    ends_s=begins_s + each.ends_s,
                    args=args,
                )
            done_s = begins_s + passes[-1].ends_s
            if stage.overhead_s:
                name = "overhead: optimizer, gradient norm, data"
                spent_s = done_s + stage.overhead_s
                trace.span(name, "overhead", thread, begins_s=done_s, ends_s=spent_s)
            if one.role != "slowest" and one.compute_s < self.compute_s:
                name = f"waits for the slowest: {self.replicas[0].pool}, {self.replicas[0].name}"
                slowest_s = self.begins_s + self.compute_s
                trace.span(name, "wait", thread, begins_s=ends_s, ends_s=slowest_s)

    def _stall_name(self, stage: Stage, one: Pass) -> str:
        """Name the causes that stop a stage before a pass."""
        names = [each.cause for each in stage.stalls] if one.microbatch == 0 else []
        return f"stall: {' and '.join(names or self.within_step)}"

    def _draw_arrows(self, trace: Trace, process: int, one: ReplicaTimeline) -> None:
        """Draw an arrow from each pass to the one of the next stage that needs its data."""
        n_stages = len(one.stages)
        begins_s = self.begins_s + one.whole_stall_s
        done: dict[tuple[str, int, int], Pass] = {}
        for each in one.passes:
            virtual = each.chunk * n_stages + each.stage
            before = virtual - 1 if each.direction == "forward" else virtual + 1
            source = done.get((each.direction, before, each.microbatch))
            done[each.direction, virtual, each.microbatch] = each
            if source is None or each.direction == "weight" or source.ends_s > each.begins_s:
                continue
            trace.flow(
                "activations" if each.direction == "forward" else "gradients",
                begins=(process, source.stage + 1, _within(begins_s, source)),
                ends=(process, each.stage + 1, _within(begins_s, each)),
            )


def check_path(path: Path, *, name: str = "path") -> None:
    """Refuse a path to which no timeline could be written.

    Raises
    ------
    ScenarioError
        If it ends in another suffix than .json or .json.gz, or could not be written.
    """
    files.check_writable(path, SUFFIXES, name=name)
    if path.suffix == ".gz" and not path.name.endswith(".json.gz"):
        requirement = "must end in .json or .json.gz"
        raise ScenarioError([Problem(path=name, requirement=requirement, value=str(path))])


def _exposed_parts(one: Exchange) -> list[tuple[str, str, float]]:
    """Return name, kind and seconds of what a step sees of an exchange."""
    return [
        (f"{one.name}, exposed", "exposed exchange", one.waiting_s),
        (f"{one.name}, what hides slows compute", "cost of hidden exchange", one.cost_s),
    ]


def _hidden_part(one: Exchange) -> tuple[str, str, float]:
    """Return name, kind and seconds of what a step does not see of an exchange."""
    return f"{one.name}, hidden", "hidden exchange", one.hidden_s


def _pass_name(one: Pass) -> str:
    """Return the name of a pass: its direction, microbatch and, of several, its chunk."""
    chunk = f".{one.chunk}" if one.chunk else ""
    return f"{one.direction} {one.microbatch}{chunk}"


def _within(begins_s: float, one: Pass) -> float:
    """Return a time in the middle of a pass, which is within it after rounding, too."""
    return begins_s + (one.begins_s + one.ends_s) / 2
