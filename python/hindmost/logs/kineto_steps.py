"""Steps of a Kineto trace: which kernels are of which one, and where each begins and ends."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hindmost.logs.intervals import Times
from hindmost.logs.kineto_trace import Trace


@dataclass(frozen=True)
class Steps:
    """Steps of one GPU, in order.

    A step begins with the first of its kernels and ends where the next one begins, so that waiting
    for data between steps is a part of them; the last one ends with the last of its kernels.

    Attributes
    ----------
    number : list of int or None
        As the profiler counts; None for a trace that has no steps, all of which is one.
    begin_ns, end_ns : array of int
        From when to when they are.
    step : array of int
        Place of each kernel's step in the list, -1 for kernels of none.
    """

    number: list[int | None]
    begin_ns: Times
    end_ns: Times
    step: NDArray[np.int64]

    def covers(self, time_ns: Times) -> NDArray[np.bool_]:
        """Return which times lie in a step."""
        place = np.searchsorted(self.begin_ns, time_ns, side="right") - 1
        ends_ns = np.append(self.end_ns, np.iinfo(np.int64).min)
        return time_ns < ends_ns[place]


def steps_of(trace: Trace, device: Hashable, chosen: NDArray[np.bool_]) -> Steps:
    """Return the steps of a GPU, whose kernels are `chosen`.

    Annotations on the GPU tell them best: Kineto makes these from what each annotation on the CPU
    has launched. Where there are none, as in the trace that DeepSeek published, launches tell it
    here. Kernels run long after they are launched, so that time alone is the last resort.
    """
    begin, end = trace.column("begin")[chosen], trace.column("end")[chosen]
    on_gpu = {number: span for (on, number), span in trace.gpu_steps.items() if on == device}
    launched = trace.launched_ns() if not on_gpu and trace.cpu_steps else None
    if on_gpu:
        # Annotations begin a nanosecond before their first kernel, and end one after the last.
        step, numbers = _placed(begin, on_gpu)
    elif launched is not None:
        step, numbers = _placed(launched[chosen], trace.cpu_steps)
    elif trace.cpu_steps:
        step, numbers = _placed(begin, trace.cpu_steps)
    else:
        whole = np.array([begin.min()]), np.array([end.max()])
        return Steps([None], *whole, step=np.zeros(len(begin), dtype=np.int64))
    filled = [place for place in range(len(numbers)) if (step == place).any()]
    spans = sorted(
        (int(begin[step == place].min()), int(end[step == place].max()), place) for place in filled
    )
    # The last place is that of kernels of no step, whose number is -1.
    renumbered = np.full(len(numbers) + 1, -1, dtype=np.int64)
    renumbered[[place for *_, place in spans]] = np.arange(len(spans))
    return Steps(
        [numbers[place] for *_, place in spans],
        np.array([first for first, *_ in spans], dtype=np.int64),
        np.array(_ends([(numbers[at], first, last) for first, last, at in spans]), dtype=np.int64),
        step=renumbered[step],
    )


def _placed(
    time_ns: Times, spans: Mapping[int, tuple[int, int]]
) -> tuple[NDArray[np.int64], list[int]]:
    """Return the place of the span that each time lies in, or -1, and the numbers in order."""
    ordered = sorted((span, number) for number, span in spans.items())
    first = np.array([span[0] for span, _ in ordered], dtype=np.int64)
    last = np.array([span[1] for span, _ in ordered], dtype=np.int64)
    place = np.searchsorted(first, time_ns, side="right") - 1
    inside = (place >= 0) & (time_ns < last[place])
    return np.where(inside, place, -1), [number for _, number in ordered]


def _ends(spans: list[tuple[int, int, int]]) -> list[int]:
    """Return where steps end, given the number, first begin and last end of each."""
    ends = [end for _, _, end in spans]
    for place, ((number, _, _), (following, begin, _)) in enumerate(pairwise(spans)):
        # A step between may not have been recorded; kernels of one may run into the next.
        ends[place] = begin if following == number + 1 else min(ends[place], begin)
    return ends
