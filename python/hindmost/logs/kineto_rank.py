"""Steps of the ranks in one Kineto trace, and what they consist of."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hindmost.logs.communication import Communication
from hindmost.logs.intervals import Shares, Union
from hindmost.logs.kineto_collectives import Attended, on_cpu, on_gpu
from hindmost.logs.kineto_steps import steps_of
from hindmost.logs.kineto_trace import Trace
from hindmost.logs.source import Source

UNKNOWN = "no kernel is known as communication"
"""What is said of shares where neither names nor streams tell communication."""


@dataclass(kw_only=True)
class RankSteps:
    """Steps of one rank in one file.

    Attributes
    ----------
    rank : int or None
        As the file says.
    number : list of int or None
        Numbers of the steps.
    begin_ns, span_ns : list of int
        When they begin by the clock of the host, and how long they last.
    note : str or None
        What is to be known of the steps.
    shares : Shares or None
        What the steps consist of, if there are kernels.
    rule : str
        How communication is told, or `UNKNOWN`.
    outside : tuple or None
        Nanoseconds of what ran in none of the steps, and what it is.
    attended : Attended
        Collectives in the steps.
    """

    rank: int | None
    number: list[int | None]
    begin_ns: list[int]
    span_ns: list[int]
    note: str | None = None
    shares: Shares | None = None
    rule: str = ""
    outside: tuple[int, str] | None = None
    attended: Attended = field(default_factory=Attended)


def ranks_of(
    source: Source, communication: Communication | None, *, n_files: int
) -> tuple[list[RankSteps], int]:
    """Return the steps of the ranks in a file, and the number of ranks that it names, or 0."""
    trace = Trace(source)
    world_size = trace.world_size or 0
    is_distributed = world_size > 1 or n_files > 1
    if not len(trace.column("lane")):
        return _without_kernels(source, trace), world_size
    devices = list(dict.fromkeys(device for device, _ in trace.lanes))
    of_lane = np.array([devices.index(device) for device, _ in trace.lanes])
    of_kernel = of_lane[trace.column("lane")]
    places = np.unique(of_kernel).tolist()
    if is_distributed or trace.rank is not None:
        # A rank has one GPU: what runs on others is stray copies, and contexts made by mistake.
        busy_ns = np.bincount(of_kernel, weights=trace.column("end") - trace.column("begin"))
        places = [int(busy_ns.argmax())]
        if n_stray := int((of_kernel != places[0]).sum()):
            said = f"{n_stray} kernels of {source.path.name} are on another GPU than most"
            source.unread.append(said)
    found = []
    for place in places:
        chosen = of_kernel == place
        one = _on_gpu(trace, devices[place], chosen, communication, distributed=is_distributed)
        if len(places) > 1:
            # One process that is not distributed has several GPUs: each is a rank.
            one.rank = place
        found.append(one)
    return found, world_size


def _on_gpu(
    trace: Trace,
    device: Hashable,
    chosen: NDArray[np.bool_],
    communication: Communication | None,
    *,
    distributed: bool,
) -> RankSteps:
    begin, end = trace.column("begin")[chosen], trace.column("end")[chosen]
    steps = steps_of(trace, device, chosen)
    known = trace.is_known_communication()[chosen]
    is_communication, rule = known, "communication by name"
    if communication == "stream" or (communication is None and distributed and not known.any()):
        is_communication, rule = _by_stream(trace, chosen, known)
    if not is_communication.any() and trace.world_size != 1:
        # No time of communication is a wrong answer, if its kernels have names of their own.
        rule = UNKNOWN
    outside = None
    if n_outside := int((loose := ~steps.covers(begin)).sum()):
        union = Union.of(begin[loose], end[loose])
        said = f"{n_outside} kernels are of no step that was profiled"
        outside = int((union.end_ns - union.begin_ns).sum()), said
    return RankSteps(
        rank=trace.rank,
        number=steps.number,
        begin_ns=[trace.base_ns + int(first) for first in steps.begin_ns],
        span_ns=(steps.end_ns - steps.begin_ns).tolist(),
        shares=Shares.of(begin, end, is_communication, spans=(steps.begin_ns, steps.end_ns)),
        rule=rule,
        outside=outside,
        attended=on_gpu(trace, steps, chosen) if distributed else Attended(),
    )


def _by_stream(
    trace: Trace, chosen: NDArray[np.bool_], known: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], str]:
    """Return which kernels are on other streams than the one that computes.

    That is the stream with most kernels, since computing is many of them and communication few.
    Their time does not tell: collectives last while they wait.
    """
    lane, is_copy = trace.column("lane")[chosen], trace.column("copy")[chosen].astype(bool)
    counts = np.bincount(lane[~is_copy & ~known], minlength=len(trace.lanes))
    if not counts.any():
        counts = np.bincount(lane, minlength=len(trace.lanes))
    computing = int(counts.argmax())
    is_communication = (lane != computing) & (~is_copy | known)
    return is_communication, f"communication by stream: {trace.lanes[computing][1]} computes"


def _without_kernels(source: Source, trace: Trace) -> list[RankSteps]:
    if not trace.cpu_steps:
        source.unread.append(f"{source.path.name} has neither kernels nor steps")
        return []
    steps = sorted((span, number) for number, span in trace.cpu_steps.items())
    spans, numbers = [span for span, _ in steps], [number for _, number in steps]
    return [
        RankSteps(
            rank=trace.rank,
            number=list(numbers),
            begin_ns=[trace.base_ns + first for first, _ in spans],
            span_ns=[last - first for first, last in spans],
            note="there are no kernels of a GPU: time on the CPU",
            attended=on_cpu(trace, numbers, spans),
        )
    ]
