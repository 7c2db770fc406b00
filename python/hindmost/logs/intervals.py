"""Lengths of unions of intervals, and what of a span is computing, communication and neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
"""Whole nanoseconds, so that lengths add up without rounding."""


@dataclass(frozen=True)
class Union:
    """A union of intervals: begins and ends in nanoseconds, disjoint and in order."""

    begin_ns: Times
    end_ns: Times

    @classmethod
    def of(cls, begin_ns: Times, end_ns: Times) -> Self:
        """Return the union of intervals, which may overlap and come in any order."""
        order = np.argsort(begin_ns, kind="stable")
        begin_ns, reached_ns = begin_ns[order], np.maximum.accumulate(end_ns[order])
        opens = np.ones(len(order), dtype=bool)
        opens[1:] = begin_ns[1:] > reached_ns[:-1]
        # An interval ends where the next one opens, at the latest end that came before.
        closes = np.append(np.flatnonzero(opens)[1:] - 1, len(order) - 1)[: opens.sum()]
        return cls(begin_ns[opens], reached_ns[closes])

    def within(self, begin_ns: Times, end_ns: Times) -> Times:
        """Return the length of the union that lies in each of some spans."""
        return self._before(end_ns) - self._before(begin_ns)

    def _before(self, time_ns: Times) -> Times:
        """Return the length of the union before each time."""
        if not len(self.begin_ns):
            return np.zeros_like(time_ns)
        lengths = self.end_ns - self.begin_ns
        whole = np.cumsum(lengths) - lengths
        last = np.searchsorted(self.begin_ns, time_ns, side="right") - 1
        part = np.minimum(time_ns, self.end_ns[last]) - self.begin_ns[last]
        return np.where(last < 0, 0, whole[last] + part)


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What spans of time consist of: ``compute + exposed + idle`` is the span, to the nanosecond.

    Attributes
    ----------
    compute_ns : array of int
        Time in which something computes.
    exposed_ns : array of int
        Time of communication in which nothing computes.
    hidden_ns : array of int
        Time of communication in which something computes; it is a part of ``compute_ns``.
    idle_ns : array of int
        Time of neither.
    """

    compute_ns: Times
    exposed_ns: Times
    hidden_ns: Times
    idle_ns: Times

    @classmethod
    def of(
        cls,
        begin_ns: Times,
        end_ns: Times,
        is_communication: NDArray[np.bool_],
        *,
        spans: tuple[Times, Times],
    ) -> Self:
        """Return the shares of spans, given what ran from when to when.

        Parameters
        ----------
        begin_ns, end_ns
            Of all that ran.
        is_communication
            Which of it is communication; all else computes.
        spans
            Begins and ends of the spans.
        """
        is_compute = ~is_communication
        compute = Union.of(begin_ns[is_compute], end_ns[is_compute]).within(*spans)
        communication = Union.of(begin_ns[is_communication], end_ns[is_communication])
        busy = Union.of(begin_ns, end_ns).within(*spans)
        exposed = busy - compute
        return cls(
            compute_ns=compute,
            exposed_ns=exposed,
            hidden_ns=communication.within(*spans) - exposed,
            idle_ns=spans[1] - spans[0] - busy,
        )
