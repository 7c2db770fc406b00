"""Collectives in a Kineto trace, under keys that tell the same one in the traces of other ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hindmost.logs.clocks import Attendance
from hindmost.logs.communication import all_wait_for_all, is_communication, leave_together
from hindmost.logs.kineto_steps import Steps
from hindmost.logs.kineto_trace import Trace


@dataclass(frozen=True)
class Attended:
    """The collectives of one rank that all ranks of a group wait for.

    Attributes
    ----------
    at : dict
        When the rank was in each. A key has the group, the name, the number that the process group
        has given (``Seq``) or else the step, and an ordinal among those that are alike in all this.
    place : dict
        Place of the step of each.
    """

    at: dict[Hashable, Attendance] = field(default_factory=dict)
    place: dict[Hashable, int] = field(default_factory=dict)


def on_gpu(trace: Trace, steps: Steps, chosen: NDArray[np.bool_]) -> Attended:
    """Return the collectives of a GPU, whose kernels are `chosen`."""
    begin, end, name, meeting, seq = (
        trace.column(each)[chosen] for each in ("begin", "end", "name", "meeting", "seq")
    )
    by_name = [is_communication(each) and all_wait_for_all(each) for each in trace.names]
    # The last one is for kernels that say nothing of a collective, whose meeting is -1.
    by_meeting = [*(all_wait_for_all(each) for *_, each in trace.meetings), False]
    wanted = np.array(by_name, dtype=bool)[name] & (meeting < 0)
    wanted |= np.array(by_meeting, dtype=bool)[meeting]
    found = np.flatnonzero(wanted & (steps.step >= 0))
    found = found[np.argsort(begin[found], kind="stable")]

    def rows() -> Iterator[_Row]:
        for at in found:
            place = int(steps.step[at])
            group: Hashable = None
            called = trace.names[name[at]]
            if meeting[at] >= 0:
                *group_and_ranks, called = trace.meetings[meeting[at]]
                group = tuple(group_and_ranks)
            number = int(seq[at]) if seq[at] >= 0 else ("step", steps.number[place])
            yield _Row(group, called, number, place, (int(begin[at]), int(end[at])))

    return _numbered(trace, rows())


def on_cpu(trace: Trace, numbers: Sequence[int], spans: Sequence[tuple[int, int]]) -> Attended:
    """Return the collectives of a trace without kernels, such as those of Gloo.

    Parameters
    ----------
    trace
        The trace.
    numbers, spans
        Of its steps.
    """

    def rows() -> Iterator[_Row]:
        for name, begin, end in sorted(trace.cpu_collectives, key=lambda each: each[1]):
            place = next(
                (at for at, (first, last) in enumerate(spans) if first <= begin < last), -1
            )
            if place >= 0 and all_wait_for_all(name):
                yield _Row(None, name, ("step", numbers[place]), place, (begin, end))

    return _numbered(trace, rows())


@dataclass(frozen=True, slots=True)
class _Row:
    group: Hashable
    name: str
    number: Hashable
    place: int
    span: tuple[int, int]


def _numbered(trace: Trace, rows: Iterator[_Row]) -> Attended:
    attended = Attended()
    counts: Counter[Hashable] = Counter()
    for row in rows:
        alike = row.group, row.name, row.number
        key = *alike, counts[alike]
        counts[alike] += 1
        begin_ns, end_ns = row.span
        attended.at[key] = Attendance(
            trace.base_ns + begin_ns,
            trace.base_ns + end_ns,
            leave_together(row.name),
            names_group=row.group is not None or trace.has_one_group,
        )
        attended.place[key] = row.place
    return attended
