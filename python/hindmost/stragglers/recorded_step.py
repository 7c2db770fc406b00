"""A step of a recorded job in detail, with some of its operations ideal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hindmost.arguments import as_int
from hindmost.errors import Problem, ScenarioError
from hindmost.stragglers.ideal import Ideal, chosen
from hindmost.stragglers.recorded_job import KINDS, RecordedJob
from hindmost.timelines.timeline import PROCESS
from hindmost.timelines.trace import Trace, check_path

if TYPE_CHECKING:
    import polars as pl

STREAMS = ("computing", "forward-send", "forward-recv", "backward-send", "backward-recv")
"""Threads of a worker, on which operations follow each other; collectives have one more."""


class Operation(NamedTuple):
    """One operation of a step, in seconds from the beginning of the step."""

    rank: int
    """Rank of the worker."""
    dp_rank: int
    """Its data-parallel rank."""
    stage: int
    """Its stage."""
    type: str
    """Type, as in the trace."""
    number: int
    """Number among those of its type of the worker."""
    ready_s: float
    """When all that it waits for have ended."""
    begins_s: float
    """When all that it ends together with are ready, too."""
    ends_s: float
    """When it ends."""


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """When the operations of a step would have begun and ended. It is a value.

    Attributes
    ----------
    name : str
        Where the job was read from.
    step : int
        Number of the step.
    operations : tuple of Operation
        All of them, each after what it waits for.
    """

    name: str
    step: int
    operations: tuple[Operation, ...]

    @property
    def step_time_s(self) -> float:
        """Seconds of the step, which ends with its last optimizer."""
        return max(one.ends_s for one in self.operations if one.type == "optimizer")

    @property
    def frame(self) -> pl.DataFrame:
        """One row an operation, with the fields of `Operation`."""
        import polars as pl

        return pl.DataFrame(self.operations, schema=list(Operation._fields), orient="row")

    def trace(self) -> dict[str, Any]:
        """Return the step in the event format of Chrome, as `write` writes it."""
        return self._drawn().document()

    def write(self, path: str | Path) -> None:
        """Write the step as a trace, which Perfetto opens.

        Parameters
        ----------
        path
            A .json file, or .json.gz.

        Raises
        ------
        ScenarioError
            If the path could not be written.
        OutputError
            If writing fails.
        """
        path = Path(path)
        check_path(path)
        self._drawn().write(path)

    def _drawn(self) -> Trace:
        trace = Trace({"trace": self.name, "step": self.step})
        workers = sorted({(one.dp_rank, one.stage, one.rank) for one in self.operations})
        for replica in sorted({replica for replica, _, _ in workers}):
            trace.process(_process(replica), f"data-parallel rank {replica}", place=replica)
        for replica, stage, rank in workers:
            for place, stream in enumerate((*STREAMS, "collectives")):
                thread = _thread(stage, place, replica)
                trace.thread(_process(replica), thread, f"stage {stage}, rank {rank}: {stream}")
        for one in self.operations:
            trace.span(
                f"{one.type} {one.number}",
                one.type,
                (_process(one.dp_rank), _thread(one.stage, _stream(one.type), one.dp_rank)),
                begins_s=one.begins_s,
                # Clocks that differ may have a transfer end before it has begun.
                ends_s=max(one.begins_s, one.ends_s),
                args={"waited_s": one.begins_s - one.ready_s},
            )
        return trace


def recorded_step(job: RecordedJob, step: int | None, ideal: Ideal) -> RecordedStep:
    """Return a step of a job with some operations ideal; the first one where none is named.

    Raises
    ------
    ScenarioError
        If the job has no such step or operations.
    """
    steps = job.core.steps
    step = steps[0] if step is None else as_int(step)
    if step not in steps:
        requirement = f"must be one of those that are recorded, {steps[0]} to {steps[-1]}"
        raise ScenarioError([Problem(path="step", requirement=requirement, value=step)])
    which = chosen(job, ideal)
    columns = job.core.timeline(which.kinds, which.workers.ravel(), step)
    rows = zip(
        columns["replica"].tolist(),
        columns["stage"].tolist(),
        columns["kind"].tolist(),
        columns["number"].tolist(),
        columns["ready_s"].tolist(),
        columns["begins_s"].tolist(),
        columns["ends_s"].tolist(),
        strict=True,
    )
    operations = tuple(
        Operation(job.ranks[stage][replica], replica, stage, KINDS[kind], *rest)
        for replica, stage, kind, *rest in rows
    )
    return RecordedStep(name=job.name, step=step, operations=operations)


def _process(replica: int) -> int:
    return PROCESS * (replica + 1)


def _thread(stage: int, place: int, replica: int) -> int:
    return _process(replica) + 1 + stage * (len(STREAMS) + 1) + place


def _stream(kind: str) -> int:
    """Return the place of the stream that operations of a type are on."""
    if kind in STREAMS:
        return STREAMS.index(kind)
    is_computing = kind in ("forward-compute", "backward-compute", "gc", "optimizer")
    return 0 if is_computing else len(STREAMS)
