"""Execution traces of Chakra (MLCommons), as JSON: operations of one rank, and what they take."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hindmost.logs import clocks
from hindmost.logs.clocks import Attendance
from hindmost.logs.communication import all_wait_for_all
from hindmost.logs.json_items import JsonItems
from hindmost.logs.rank_names import last_number
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

# Forms are those of mlcommons/chakra at 21585d8: nodes one after another, as chakra_jsonizer writes
# them; "workload_graph", which its feeder reads; and the host's trace of PyTorch, whose nodes have
# no times. The binary form needs protobuf, which is no dependency: chakra_jsonizer converts it.
_FIRST_NODE = re.compile(r'"type"\s*:\s*"[A-Z_]+_NODE"')
_HOST = re.compile(r'\s*\{\s*"schema"\s*:\s*"[\d.]+-chakra')
NODE_BEGINS = r'\{\s*"(?:id|Id)"\s*:'
LAST_US = 1 << 52
"""Microseconds whose nanoseconds fit into 64 bits."""
COMPUTE = ("COMP_NODE", 4)
COMMUNICATION = ("COMM_SEND_NODE", "COMM_RECV_NODE", "COMM_COLL_NODE", 5, 6, 7)
"""Types of nodes, by their names and numbers (et_def.proto)."""


@dataclass(frozen=True, kw_only=True)
class _Node:
    """An operation on a GPU; times are in microseconds."""

    name: str
    group: str
    is_communication: bool
    start_us: int
    lasted_us: int


def _is_trace(source: Source) -> bool:
    text = source.text
    if not text.lstrip().startswith("{"):
        return False
    named = '"workload_graph"' in text or _HOST.match(text)
    return bool(named or (_FIRST_NODE.search(text) and '"durationMicros"' in text))


def _read(sources: Sequence[Source], records: Records) -> None:
    attended: dict[int, dict[Hashable, Attendance]] = {}
    for place, source in enumerate(sources):
        named = last_number(source.path)
        rank = place if named is None else named
        nodes = list(_nodes(source))
        if not nodes:
            source.unread.append(f"{source.path.name} has no times of operations on a GPU")
            continue
        _add(nodes, rank, records)
        counts: Counter[Hashable] = Counter()
        attended[rank] = {}
        for node in nodes:
            if node.group and node.is_communication and all_wait_for_all(node.name):
                alike = node.group, node.name
                attended[rank][*alike, counts[alike]] = Attendance(0, node.lasted_us * 1000)
                counts[alike] += 1
    for rank, waits in sorted(clocks.waits_ns(clocks.meetings(attended)).items()):
        records.add("wait", rank=rank, seconds=sum(waits.values()) * 1e-9)


def _nodes(source: Source) -> Iterator[_Node]:
    """Yield the operations on GPUs that have a time."""
    key = None
    if '"workload_graph"' in source.text:
        key = "workload_graph"
    elif _HOST.match(source.text):
        key = "nodes"
    n_odd = 0
    for node in JsonItems(source, key, begins=NODE_BEGINS):
        if "type" not in node and "NodeType" not in node:
            continue
        try:
            found = _node(node)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            n_odd += 1
            continue
        if found is not None and found.lasted_us > 0:
            yield found
    if n_odd:
        source.unread.append(f"{n_odd} nodes of {source.path.name} lack what they need")


def _node(node: dict[str, Any]) -> _Node | None:
    given = {each["name"]: each for each in node.get("attr", ())}
    on_cpu = given.get("is_cpu_op", {}).get("boolVal", node.get("is_cpu_op", False))
    kind = node.get("type", node.get("NodeType"))
    if on_cpu or kind not in (*COMPUTE, *COMMUNICATION):
        return None
    # Numbers of 64 bits are texts in the JSON of protobuf.
    start_us = int(node.get("startTimeMicros", 0))
    lasted_us = int(node.get("durationMicros", node.get("runtime", 0)))
    if not (0 <= start_us < LAST_US and 0 <= lasted_us < LAST_US):
        raise OverflowError
    return _Node(
        name=str(node.get("name", node.get("Name", ""))),
        group=str(given.get("pg_name", {}).get("stringVal", "")),
        is_communication=kind in COMMUNICATION,
        start_us=start_us,
        lasted_us=lasted_us,
    )


def _add(nodes: Sequence[_Node], rank: int, records: Records) -> None:
    if all(node.start_us for node in nodes):
        _add_shares(nodes, rank, records)
    else:
        # PyTorch's converter keeps no start times, without which no overlap is known.
        computed_us = sum(node.lasted_us for node in nodes if not node.is_communication)
        note = "sum over operations: there are no start times"
        records.add("compute", rank=rank, seconds=computed_us * 1e-6, note=note)
        for kind in ("exposed", "hidden"):
            records.add(kind, rank=rank, note="there are no start times")
    first_us = min(node.start_us for node in nodes)
    for node in nodes:
        if node.is_communication:
            start = (node.start_us - first_us) * 1e-6 if node.start_us else None
            seconds = node.lasted_us * 1e-6
            records.add("collective", rank=rank, start=start, seconds=seconds, note=node.name)


def _add_shares(nodes: Sequence[_Node], rank: int, records: Records) -> None:
    import numpy as np

    from hindmost.logs.intervals import Shares

    begin_ns = np.array([node.start_us for node in nodes]) * 1000
    end_ns = begin_ns + np.array([node.lasted_us for node in nodes]) * 1000
    spans = np.array([begin_ns.min()]), np.array([end_ns.max()])
    is_communication = np.array([node.is_communication for node in nodes])
    shares = Shares.of(begin_ns, end_ns, is_communication, spans=spans)
    records.add("step", rank=rank, start=0.0, seconds=float(spans[1][0] - spans[0][0]) * 1e-9)
    for kind, time_ns in (
        ("compute", shares.compute_ns),
        ("exposed", shares.exposed_ns),
        ("hidden", shares.hidden_ns),
        ("idle", shares.idle_ns),
    ):
        note = None if kind == "idle" else "communication by type of node"
        records.add(kind, rank=rank, start=0.0, seconds=float(time_ns[0]) * 1e-9, note=note)


READER = Reader(name="chakra", recognises=_is_trace, read=_read)
"""The reader of Chakra's execution traces."""
