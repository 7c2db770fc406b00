"""Logs of the NCCL Inspector plugin: one line of JSON for each collective of each communicator."""

from __future__ import annotations

import json
import re
from array import array
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hindmost.logs.communication import all_wait_for_all
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

if TYPE_CHECKING:
    import polars as pl

# Keys are those of format v4.0, which NCCL 2.28.3 to 2.30.7 write (inspector_json.cc); names of
# communicators, and sends and receives, are there since 2.30.
_LINE = re.compile(r'\{\s*"header"\s*:\s*\{.*"inspector_output_format_version"')
COLUMNS = ("communicator", "process", "place", "operation", "number", "lasted_us", "start_us")
MOST_RANKS = 1 << 20
ROWS_PER_PART = 1 << 18
"""Rows that wait as numbers of 8 bytes before they become columns of smaller ones."""
Process = tuple[str, int]
"""Name of a host, and a process on it."""


class _Log:
    """Numbers of all collectives in the logs of one job."""

    def __init__(self) -> None:
        self.communicators: list[tuple[str, int]] = []
        """Identity and number of ranks of each."""
        self.processes: list[Process] = []
        self.operations: list[tuple[str, str, int]] = []
        """Name of each sort of collective, what is to be said of it, and its bytes."""
        self._rows = array("q")
        self._parts: list[pl.DataFrame] = []
        self._numbers: dict[Any, int] = {}

    def take(self, line: dict[str, Any]) -> None:
        """Keep what is in a line.

        Raises
        ------
        AttributeError, KeyError, OverflowError, TypeError, ValueError
            If it lacks what it needs.
        """
        header, metadata = line["header"], line["metadata"]
        kind = "coll" if "coll_perf" in line else "p2p"
        performed = line[f"{kind}_perf"]
        name, n_bytes = str(performed[kind]), int(performed[f"{kind}_msg_size_bytes"])
        if not (0 <= header["rank"] < header["n_ranks"] <= MOST_RANKS and 0 <= n_bytes < 1 << 62):
            raise OverflowError
        called = header.get("comm_name", "unknown")
        called = str(header["id"]) if called == "unknown" else str(called)
        source = performed.get(f"{kind}_timing_source", "unknown")
        # A size is that of one rank: what it gives to an all-gather, or gets of a reduce-scatter.
        said = f"{name} of {called}, bytes of one rank, timed by {source}"
        communicator = str(header["id"]), int(header["n_ranks"])
        process = str(metadata["hostname"]), int(metadata["pid"])
        row = (
            self._number("communicators", communicator),
            self._number("processes", process),
            int(header["rank"]),
            self._number("operations", (name, said, n_bytes)),
            int(performed[f"{kind}_sn"]),
            int(performed[f"{kind}_exec_time_us"]),
            _start_us(performed, kind),
        )
        self._rows += array("q", row)
        if len(self._rows) == len(COLUMNS) * ROWS_PER_PART:
            self._flush()

    def frame(self) -> pl.DataFrame:
        """Return `COLUMNS` of all lines."""
        import polars as pl

        self._flush()
        return pl.concat(self._parts)

    def _flush(self) -> None:
        import numpy as np
        import polars as pl

        table = np.frombuffer(self._rows, dtype=np.int64).reshape(-1, len(COLUMNS))
        part = pl.DataFrame(table, schema=list(COLUMNS), orient="row")
        small = pl.col("communicator", "process", "place", "operation").cast(pl.Int32)
        self._parts.append(part.with_columns(small))
        self._rows = array("q")

    def _number(self, known: str, value: Any) -> int:
        number = self._numbers.get((known, value))
        if number is None:
            number = self._numbers[known, value] = len(getattr(self, known))
            getattr(self, known).append(value)
        return number


def _start_us(performed: dict[str, Any], kind: str) -> int:
    """Return when the kernels of a collective began, -1 if that is not logged."""
    times = performed.get("event_trace_ts")
    if not times:
        return -1
    starts = [each["kernel_start_ts"] for each in times.get("kernel_events", ())]
    return int(min((each for each in starts if each), default=times[f"{kind}_start_ts"]))


def _is_log(source: Source) -> bool:
    return bool(_LINE.match(source.text.lstrip()))


def _read(sources: Sequence[Source], records: Records) -> None:
    log = _Log()
    for source in sources:
        n_odd = 0
        for line in source.lines():
            try:
                log.take(json.loads(line))
            except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
                n_odd += bool(line.strip())
        if n_odd:
            source.unread.append(f"{n_odd} lines of {source.path.name} lack what they need")
    rows = log.frame()
    if rows.is_empty():
        return
    rows, world_size = _ranked(log, rows, sources)
    _add(log, rows, records)
    for rank in sorted(set(range(world_size)) - set(rows["rank"].unique().to_list())):
        records.add("missing", rank=rank, note=f"one of {world_size} ranks")


def _ranked(log: _Log, rows: pl.DataFrame, sources: Sequence[Source]) -> tuple[pl.DataFrame, int]:
    """Return the rows with their ranks, and the number of ranks, or 0 if it is not known.

    A log has the place in each communicator only. Where one communicator has all processes, as that
    of a whole job has, the place in it is the rank; else processes are counted.
    """
    import polars as pl

    most = max(size for _, size in log.communicators)
    largest = [at for at, (_, size) in enumerate(log.communicators) if size == most]
    whole = rows.filter(pl.col("communicator").is_in(largest)).select("process", "place").unique()
    places: dict[int, list[int]] = defaultdict(list)
    for process, place in whole.iter_rows():
        places[process].append(place)
    if len(largest) > 1 or len(places) < len(log.processes):
        said = "no communicator has all processes: ranks are numbers of processes"
        sources[0].unread.append(said)
        return rows.with_columns(rank="process"), 0
    one = {process: each[0] for process, each in places.items() if len(each) == 1}
    of_process = pl.col("process").replace_strict(one, default=None, return_dtype=pl.Int32)
    # Of a process with several GPUs it is known only in the communicator of all.
    in_whole = pl.when(pl.col("communicator") == largest[0]).then("place")
    return rows.with_columns(rank=pl.coalesce(of_process, in_whole)), most


def _add(log: _Log, rows: pl.DataFrame, records: Records) -> None:
    """Add the collectives, and how long each rank waits in them for the last one to come."""
    import polars as pl

    said = pl.DataFrame(
        {
            "operation": range(len(log.operations)),
            "note": [said for _, said, _ in log.operations],
            "n_bytes": [n_bytes for *_, n_bytes in log.operations],
        },
        schema_overrides={"operation": pl.Int32, "note": pl.Categorical},
    )
    zero_us = rows["start_us"].filter(rows["start_us"] >= 0).min()
    start_us = pl.when(pl.col("start_us") >= 0).then("start_us") - pl.lit(zero_us, pl.Int64)
    for part in rows.iter_slices(ROWS_PER_PART):
        records.extend(
            part.join(said, on="operation", how="left", maintain_order="left").select(
                "rank",
                "note",
                "n_bytes",
                kind=pl.lit("collective"),
                start=start_us * 1e-6,
                seconds=pl.col("lasted_us") * 1e-6,
            )
        )
    names = list(dict.fromkeys(name for name, *_ in log.operations if all_wait_for_all(name)))
    of_name = {
        at: names.index(name) for at, (name, *_) in enumerate(log.operations) if name in names
    }
    called = pl.col("operation").replace_strict(of_name, default=None, return_dtype=pl.Int32)
    attended = rows.select("rank", "communicator", "number", "lasted_us", called=called)
    one = "communicator", "called", "number"
    met = attended.drop_nulls("called").filter(pl.len().over(one) > 1)
    waits = met.select("rank", wait=pl.col("lasted_us") - pl.col("lasted_us").min().over(one))
    records.extend(
        waits.group_by("rank")
        .agg(pl.col("wait").sum() * 1e-6)
        .select("rank", kind=pl.lit("wait"), seconds="wait")
        .sort("rank")
    )


READER = Reader(name="nccl inspector", recognises=_is_log, read=_read)
"""The reader of logs of the NCCL Inspector."""
