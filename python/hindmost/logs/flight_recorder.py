"""Dumps of PyTorch's Flight Recorder: the last collectives of each rank, and who is missing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hindmost.logs import clocks
from hindmost.logs.clocks import Attendance
from hindmost.logs.communication import all_wait_for_all, leave_together
from hindmost.logs.json_items import JsonItems
from hindmost.logs.plain_pickle import load_plain
from hindmost.logs.rank_names import last_number
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

# Keys are those of version 2.10 of the format, of PyTorch 2.15 (FlightRecorderDetail.hpp).
ENTRY_BEGINS = r'\{\s*"(?:collective_seq_id|duration_ms|frames|record_id)"\s*:'
_PICKLED = re.compile(rb"pg_config|pg_status|collective_seq_id")
_JSON = re.compile(r'"(?:collective_seq_id|pg_status)"\s*:')
MOST_RANKS = 1 << 20
LAST_NS = 1 << 62
"""Nanoseconds, and milliseconds of a duration, that are no time any more."""

Group = tuple[str, tuple[int, ...]]
"""Name of a process group, and its ranks, which are none if they are not said."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """One collective, or one send or receive, of one rank."""

    group: Group
    number: int
    name: str
    state: str
    created_ns: int
    completed_ns: int | None
    seconds: float | None
    is_p2p: bool

    @property
    def is_done(self) -> bool:
        return self.state == "completed"

    @property
    def said(self) -> str:
        return f"{self.name} {self.number} of group {self.group[0]}"


def _is_dump(source: Source) -> bool:
    if source.head.startswith(b"\x80"):
        return bool(_PICKLED.search(source.head))
    text = source.text
    return text.lstrip().startswith("{") and bool(_JSON.search(text))


def _read(sources: Sequence[Source], records: Records) -> None:
    dumps: dict[int, list[_Entry]] = {}
    members: set[int] = set()
    for place, source in enumerate(sources):
        # A dump does not say of which rank it is; PyTorch ends the name of its file with it.
        named = last_number(source.path)
        rank = place if named is None else named
        if rank in dumps:
            source.unread.append(f"{source.path.name} is another dump of rank {rank}")
            continue
        dump = _dump(source)
        if dump is not None:
            groups = _groups(dump)
            members.update(*groups.values())
            dumps[rank] = _entries(source, dump, groups)
    waits, ahead_ns = _waits(dumps)
    zero_ns = min(
        (one.created_ns - ahead_ns.get(rank, 0) for rank, all_ in dumps.items() for one in all_),
        default=0,
    )
    for rank, entries in sorted(dumps.items()):
        for entry in entries:
            records.add(
                "collective",
                rank=rank,
                start=(entry.created_ns - ahead_ns.get(rank, 0) - zero_ns) * 1e-9,
                seconds=entry.seconds,
                note=f"{entry.said}: {entry.state}",
            )
        if rank in waits:
            records.add("wait", rank=rank, seconds=sum(waits[rank].values()) * 1e-9)
    for rank, note in _absent(dumps):
        records.add("collective", rank=rank, note=note)
    for rank in sorted(members - dumps.keys()):
        records.add("missing", rank=rank, note="a member of a process group")


def _dump(source: Source) -> dict[str, Any] | None:
    if not source.head.startswith(b"\x80"):
        items = JsonItems(source, "entries", begins=ENTRY_BEGINS)
        entries = list(items)
        return items.others | {"entries": entries}
    try:
        dump = load_plain(source.pieces())
    except ValueError:
        source.unread.append(f"{source.path.name} is cut off, damaged, or holds more than data")
        return None
    return dump if isinstance(dump, dict) else None


def _groups(dump: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the ranks of each process group: ``"[0, 1]"`` in the dump."""
    configured = dump.get("pg_config")
    found = {}
    for name, each in configured.items() if isinstance(configured, dict) else ():
        ranks = re.findall(r"\d{1,7}", str(each.get("ranks", ""))) if isinstance(each, dict) else ()
        found[str(name)] = tuple(int(rank) for rank in ranks if int(rank) < MOST_RANKS)
    return found


def _entries(
    source: Source, dump: Mapping[str, Any], groups: Mapping[str, tuple[int, ...]]
) -> list[_Entry]:
    status = dump.get("pg_status")
    status = status if isinstance(status, dict) else {}
    found = []
    n_odd = 0
    given = dump.get("entries")
    for each in given if isinstance(given, list) else ():
        try:
            found.append(_entry(each, groups, status))
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError):
            n_odd += 1
    if n_odd:
        source.unread.append(f"{n_odd} entries of {source.path.name} lack what they need")
    return found


def _entry(
    each: Mapping[str, Any], groups: Mapping[str, tuple[int, ...]], status: Mapping[str, Any]
) -> _Entry:
    name = str(each["process_group"][0])
    is_p2p = bool(each.get("is_p2p", False))
    number = int(each["p2p_seq_id" if is_p2p else "collective_seq_id"])
    state = str(each["state"])
    if not is_p2p:
        # Gloo's entries stay "scheduled" for ever; the state of their group has how far it came.
        last = status.get(str(each.get("pg_id")), {}).get("last_completed_collective", -1)
        state = "completed" if number <= int(last) else state
    created_ns = int(each["time_created_ns"])
    duration_ms = float(each.get("duration_ms", -1))
    if not (0 <= created_ns < LAST_NS and duration_ms < LAST_NS):
        raise OverflowError
    # None in a pickle and 0 in JSON, if it has not completed.
    completed_ns = each.get("time_discovered_completed_ns") or None
    return _Entry(
        group=(name, groups.get(name, ())),
        number=number,
        name=str(each["profiling_name"]),
        state=state,
        created_ns=created_ns,
        completed_ns=None if completed_ns is None else int(completed_ns),
        seconds=duration_ms * 1e-3 if duration_ms >= 0 else None,
        is_p2p=is_p2p,
    )


def _waits(
    dumps: Mapping[int, Iterable[_Entry]],
) -> tuple[Mapping[int, Mapping[Hashable, int]], Mapping[int, int]]:
    """Return how long ranks waited in collectives, and how far their clocks are ahead.

    Durations are there if ``TORCH_NCCL_ENABLE_TIMING`` was set. The end of a collective is when the
    watchdog has seen it, which is late by as much on all ranks but for chance.
    """
    attended: dict[int, dict[Hashable, Attendance]] = defaultdict(dict)
    for rank, entries in dumps.items():
        for one in entries:
            timed = one.seconds is not None and one.completed_ns is not None
            if timed and not one.is_p2p and all_wait_for_all(one.name):
                end_ns, lasted_ns = one.completed_ns or 0, round((one.seconds or 0) * 1e9)
                key = one.group, one.number, one.name
                together = leave_together(one.name)
                attended[rank][key] = Attendance(end_ns - lasted_ns, end_ns, together)
    met = clocks.meetings(attended)
    return clocks.waits_ns(met), clocks.offsets_ns(met, dumps) if met else {}


def _absent(dumps: Mapping[int, Sequence[_Entry]]) -> list[tuple[int, str]]:
    """Return who has not come to the first collective of a group in which others wait.

    A rank that has scheduled it and not started it has come on the CPU, and not on the GPU.

    A dump holds the last entries only, so that an early one may lack on a rank which is ahead.
    """
    of_group: dict[Group, dict[int, list[_Entry]]] = defaultdict(lambda: defaultdict(list))
    for rank, entries in dumps.items():
        for one in entries:
            if not one.is_p2p:
                of_group[one.group][rank].append(one)
    found = []
    for (_, ranks), entered in of_group.items():
        waiting = [one for each in entered.values() for one in each if not one.is_done]
        if not waiting:
            continue
        stuck = min(waiting, key=lambda one: one.number)
        states = {
            rank: one.state
            for rank, each in entered.items()
            for one in each
            if one.number == stuck.number
        }
        started = sorted(rank for rank, state in states.items() if state != "scheduled")
        for rank in sorted({*entered, *(rank for rank in ranks if rank in dumps)}):
            last = max((one.number for one in entered.get(rank, ())), default=-1)
            if last < stuck.number:
                found.append((rank, f"has not come to {stuck.said}; ranks {sorted(states)} have"))
            elif states.get(rank) == "scheduled" and started:
                found.append((rank, f"has not started {stuck.said}; ranks {started} have"))
    return found


READER = Reader(name="flight recorder", recognises=_is_dump, read=_read)
"""The reader of dumps of the Flight Recorder."""
