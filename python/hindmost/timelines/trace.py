"""Traces in the event format of Chrome, which Perfetto and chrome://tracing open."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hindmost import files
from hindmost.errors import Problem, ScenarioError

SUFFIXES = (".json", ".json.gz")
"""What names of files end in that a trace is written to."""

MICROSECONDS = 1e6
"""Microseconds of a second: the unit of times in the format."""

NANOSECONDS = 10**9
"""Nanoseconds of a second: viewers round times to them."""


class Trace:
    """A trace in the making: processes with threads, on which there are spans.

    Times are seconds from the beginning of the trace. They are rounded down to nanoseconds, so that
    spans of a thread that follow each other do not overlap after a viewer has rounded them.

    Parameters
    ----------
    metadata
        What is to be known of the whole trace.

    Notes
    -----
    The format is described in *Trace Event Format* (Google, 2016): complete events ``X``, metadata
    ``M``, counters ``C`` and flows ``s`` and ``f``.

    Examples
    --------
    >>> trace = Trace({"seed": 1})
    >>> trace.process(10, "replica", place=0)
    >>> trace.thread(10, 11, "stage 0")
    >>> trace.span("forward 0", "forward", (10, 11), begins_s=0.0, ends_s=2e-6)
    >>> trace.document()["traceEvents"][-1]["dur"]
    2.0
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = dict(metadata)
        self._events: list[dict[str, Any]] = []
        self._n_flows = 0

    def process(self, process: int, name: str, *, place: int) -> None:
        """Name a process and say at which place it stands.

        No thread has the number of a process: viewers take such a one for its main thread, and put
        it before all others.
        """
        self._say("process_name", (process, 0), {"name": name})
        self._say("process_sort_index", (process, 0), {"sort_index": place})

    def thread(self, process: int, thread: int, name: str) -> None:
        """Name a thread; threads of a process stand in the order of their numbers."""
        self._say("thread_name", (process, thread), {"name": name})
        self._say("thread_sort_index", (process, thread), {"sort_index": thread})

    def span(
        self,
        name: str,
        kind: str,
        thread: tuple[int, int],
        *,
        begins_s: float,
        ends_s: float,
        args: Mapping[str, Any] | None = None,
        is_exact: bool = False,
    ) -> None:
        """Add a span of a thread, unless it lasts no nanosecond.

        Parameters
        ----------
        name
            What is done.
        kind
            Its category.
        thread
            Numbers of the process and its thread.
        begins_s, ends_s
            When.
        args
            What else is to be known of it.
        is_exact
            Whether its times are not rounded.
        """
        begins_us, lasts_us = (_exact if is_exact else _floored)(begins_s, ends_s)
        if lasts_us == 0:
            # Nothing to see, and viewers mistake what belongs to it.
            return
        event: dict[str, Any] = {"ph": "X", "name": name, "cat": kind}
        event |= {"ts": begins_us, "dur": lasts_us, "pid": thread[0], "tid": thread[1]}
        if args:
            event["args"] = dict(args)
        self._events.append(event)

    def flow(
        self, name: str, *, begins: tuple[int, int, float], ends: tuple[int, int, float]
    ) -> None:
        """Add an arrow from a span to a later one, each given by a thread and a time within it."""
        number = self._n_flows
        self._n_flows += 1
        for phase, (process, thread, at_s) in (("s", begins), ("f", ends)):
            event: dict[str, Any] = {"ph": phase, "name": name, "cat": "transfer", "id": number}
            event |= {"ts": _floored(at_s, at_s)[0], "pid": process, "tid": thread}
            if phase == "f":
                # The arrow ends at the span around that time, not at the next one.
                event["bp"] = "e"
            self._events.append(event)

    def counter(self, name: str, process: int, *, at_s: float, values: Mapping[str, float]) -> None:
        """Say how much there is of something from a time on, by series."""
        event: dict[str, Any] = {"ph": "C", "name": name, "ts": _floored(at_s, at_s)[0]}
        self._events.append({**event, "pid": process, "args": dict(values)})

    def document(self) -> dict[str, Any]:
        """Return the trace as plain dictionaries and lists."""
        return {
            "traceEvents": self._events,
            "displayTimeUnit": "ms",
            "otherData": self._metadata,
        }

    def text(self) -> str:
        """Return the trace as JSON, one event a line."""
        found = self.document()
        events = found.pop("traceEvents")
        compact = (",", ":")
        lines = ",\n".join(json.dumps(event, separators=compact) for event in events)
        rest = json.dumps(found, separators=compact)
        return f'{{"traceEvents":[\n{lines}\n],{rest[1:]}\n'

    def write(self, path: Path) -> None:
        """Write the trace to a file that `check_path` takes, compressed if its name ends in .gz.

        Raises
        ------
        OutputError
            If writing fails.
        """
        data = self.text().encode()
        if path.suffix == ".gz":
            # Without a time, so that equal traces make equal files.
            data = gzip.compress(data, mtime=0)
        files.replace(path, memoryview(data))

    def _say(self, name: str, thread: tuple[int, int], args: Mapping[str, Any]) -> None:
        event: dict[str, Any] = {"ph": "M", "name": name, "pid": thread[0], "tid": thread[1]}
        self._events.append({**event, "args": dict(args)})


def check_path(path: Path, *, name: str = "path") -> None:
    """Refuse a path to which no trace could be written.

    Raises
    ------
    ScenarioError
        If it ends in another suffix than .json or .json.gz, or could not be written.
    """
    if not path.name.endswith(SUFFIXES):
        requirement = f"must end in {' or '.join(SUFFIXES)}"
        raise ScenarioError([Problem(path=name, requirement=requirement, value=str(path))])
    files.check_writable(path, (".json", ".gz"), name=name)


def _exact(begins_s: float, ends_s: float) -> tuple[float, float]:
    """Return the begin of a span and its duration, in microseconds."""
    return MICROSECONDS * begins_s, MICROSECONDS * (ends_s - begins_s)


def _floored(begins_s: float, ends_s: float) -> tuple[float, float]:
    """Return the begin of a span and its duration, in microseconds and whole nanoseconds."""
    begins, ends = (math.floor(NANOSECONDS * at_s) for at_s in (begins_s, ends_s))
    return begins / 1000, (ends - begins) / 1000
