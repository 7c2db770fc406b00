"""What is kept of one Kineto trace: numbers of its kernels, its launches and its steps."""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hindmost.logs.communication import is_communication
from hindmost.logs.intervals import Times
from hindmost.logs.json_items import JsonItems
from hindmost.logs.source import Source

MOST_RANKS = 1 << 20
"""Ranks from which a number of ranks is taken as damaged."""
LAST_NS = 1 << 61
"""Time after which, or as long before 0, no event is: differences and sums fit into 64 bits."""
EVENT_BEGINS = r'\{\s*"(?:ph|name|cat)"\s*:'
"""How an event begins: the first key differs by the version of Kineto, and by the sort of event."""
# The names with a capital are those before Kineto's "Trace Formatting Alignment" of May 2022.
KERNELS = ("kernel", "Kernel")
COPIES = ("gpu_memcpy", "gpu_memset", "Memcpy", "Memset")
LAUNCHES = ("cuda_runtime", "cuda_driver", "xpu_runtime", "xpu_driver", "Runtime")
ANNOTATIONS = ("user_annotation", "Operator")
"""Categories of events."""
COLUMNS = ("begin", "end", "name", "lane", "meeting", "seq", "correlation", "copy")
"""Numbers of each kernel, copy and fill."""
T = TypeVar("T", bound=Hashable)
_STEP = re.compile(r"ProfilerStep#(\d{1,18})")
_ON_CPU = re.compile(r"(?:gloo|mpi|ucc):\w+")


class Trace:
    """What is kept of one Kineto trace.

    Events are those that libkineto of PyTorch 2.15 writes (``output_json.cpp``); older ones differ
    in the order of keys and in whether times begin at ``baseTimeNanoseconds``.

    Parameters
    ----------
    source
        The file, which is read to its end.

    Attributes
    ----------
    rank, world_size : int or None
        As ``distributedInfo`` says.
    has_one_group : bool
        Whether there is no other group than that of all ranks, as far as is said.
    base_ns : int
        Time since 1970 to which all others are relative, or 0.
    names, lanes, meetings : list
        Names of kernels; the device and stream of each lane; the group of each sort of collective,
        its ranks and its name.
    cpu_steps : dict
        First begin and last end of the annotation of each step on the CPU, by its number.
    gpu_steps : dict
        The same by device and number, on the GPU: from the first kernel to the last.
    cpu_collectives : list
        Name, begin and end of collectives without kernels.
    """

    def __init__(self, source: Source) -> None:
        self.names: list[str] = []
        self.lanes: list[tuple[Hashable, Hashable]] = []
        self.meetings: list[tuple[str, str, str]] = []
        self.cpu_steps: dict[int, tuple[int, int]] = {}
        self.gpu_steps: dict[tuple[Hashable, int], tuple[int, int]] = {}
        self.cpu_collectives: list[tuple[str, int, int]] = []
        self._numbers: dict[Hashable, int] = {}
        self._kernels = array("q")
        self._launches = array("q")
        takers: dict[object, Callable[[dict[str, Any], int, int], None]] = (
            dict.fromkeys((*KERNELS, *COPIES), self._take_kernel)
            | dict.fromkeys(LAUNCHES, self._take_launch)
            | dict.fromkeys(ANNOTATIONS, self._take_annotation)
            | {"gpu_user_annotation": self._take_gpu_annotation}
        )
        items = JsonItems(source, "traceEvents", begins=EVENT_BEGINS)
        n_odd = 0
        for event in items:
            category = event.get("cat")
            taker = takers.get(category) if isinstance(category, str) else None
            if taker is None or event.get("ph") != "X":
                continue
            try:
                # Microseconds with three digits after the point, or whole ones in older versions.
                begin_ns = round(event["ts"] * 1000)
                end_ns = begin_ns + max(round(event["dur"] * 1000), 0)
                if max(-begin_ns, end_ns) > LAST_NS:
                    raise OverflowError
                taker(event, begin_ns, end_ns)
            except (KeyError, TypeError, ValueError, OverflowError, AttributeError):
                n_odd += 1
        if n_odd:
            source.unread.append(
                f"{n_odd} events of {source.path.name} lack numbers that they need"
            )
        others = items.others
        info = others.get("distributedInfo")
        info = info if isinstance(info, dict) else {}
        self.rank = _count(info.get("rank"))
        self.world_size = _count(info.get("world_size"))
        # With one group only, it is the group of every collective.
        self.has_one_group = info.get("pg_count") == 1
        base_ns = others.get("baseTimeNanoseconds")
        self.base_ns = base_ns if isinstance(base_ns, int) and 0 <= base_ns <= LAST_NS else 0

    def column(self, name: str) -> NDArray[np.int64]:
        """Return one of `COLUMNS`, where ``begin`` and ``end`` are nanoseconds."""
        return _table(self._kernels, len(COLUMNS))[:, COLUMNS.index(name)]

    def launched_ns(self) -> Times | None:
        """Return when each kernel was launched, -1 if that is not known; None if none is."""
        if not self._launches:
            return None
        correlation, launched = _table(self._launches, 2).T
        order = np.argsort(correlation, kind="stable")
        correlation, launched = correlation[order], launched[order]
        wanted = self.column("correlation")
        place = np.minimum(np.searchsorted(correlation, wanted), len(correlation) - 1)
        found = (correlation[place] == wanted) & (wanted >= 0)
        return np.where(found, launched[place], -1) if found.any() else None

    def is_known_communication(self) -> NDArray[np.bool_]:
        """Return which kernels are known as communication: by name, or as what they say of it."""
        by_name = np.array([is_communication(name) for name in self.names], dtype=bool)
        return by_name[self.column("name")] | (self.column("meeting") >= 0)

    def _take_kernel(self, event: dict[str, Any], begin_ns: int, end_ns: int) -> None:
        args = event.get("args") or {}
        name = event["name"]
        lane = (args.get("device", event.get("pid")), args.get("stream", event.get("tid")))
        meeting = -1
        if "Collective name" in args or "Process Group Name" in args:
            group = (
                str(args.get("Process Group Name", "")),
                str(args.get("Process Group Ranks", "")),
                str(args.get("Collective name", name)),
            )
            meeting = self._number(self.meetings, group)
        row = (
            begin_ns,
            end_ns,
            self._number(self.names, str(name)),
            self._number(self.lanes, lane),
            meeting,
            int(args.get("Seq", -1)),
            int(args.get("correlation", -1)),
            event["cat"] in COPIES,
        )
        # A number that is too large for its row fails here, before any of it is kept.
        self._kernels += array("q", row)

    def _take_launch(self, event: dict[str, Any], begin_ns: int, _: int) -> None:
        correlation = (event.get("args") or {}).get("correlation")
        if correlation is not None:
            self._launches += array("q", (correlation, begin_ns))

    def _take_annotation(self, event: dict[str, Any], begin_ns: int, end_ns: int) -> None:
        name = event["name"]
        if step := _STEP.fullmatch(name):
            number = int(step[1])
            first, last = self.cpu_steps.get(number, (begin_ns, end_ns))
            self.cpu_steps[number] = min(first, begin_ns), max(last, end_ns)
        elif _ON_CPU.fullmatch(name):
            self.cpu_collectives.append((name, begin_ns, end_ns))

    def _take_gpu_annotation(self, event: dict[str, Any], begin_ns: int, end_ns: int) -> None:
        if step := _STEP.fullmatch(event["name"]):
            device = (event.get("args") or {}).get("device", event.get("pid"))
            key = device, int(step[1])
            # There is one for each stream with kernels of the step.
            first, last = self.gpu_steps.get(key, (begin_ns, end_ns))
            self.gpu_steps[key] = min(first, begin_ns), max(last, end_ns)

    def _number(self, known: list[T], value: T) -> int:
        number = self._numbers.get((id(known), value))
        if number is None:
            number = self._numbers[id(known), value] = len(known)
            known.append(value)
        return number


def _table(numbers: array[int], n_columns: int) -> NDArray[np.int64]:
    return np.frombuffer(numbers, dtype=np.int64).reshape(-1, n_columns)


def _count(value: object) -> int | None:
    """Return a rank, or a number of ranks, if it is one."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_RANKS:
        return value
    return None
