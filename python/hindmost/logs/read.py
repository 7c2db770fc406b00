"""Logs of any tool that is known, told by what is in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hindmost.errors import Problem, ScenarioError
from hindmost.logs import (
    bytedance,
    chakra,
    flight_recorder,
    goodput,
    kineto,
    maxtext,
    megatron,
    mlperf,
    nccl_inspector,
    nccl_tests,
    nemo,
    resiliency,
    table,
    torchtitan,
)
from hindmost.logs.communication import Communication
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Progress, Source

if TYPE_CHECKING:
    import polars as pl

READERS: tuple[Reader, ...] = (
    mlperf.READER,
    megatron.READER,
    nemo.READER,
    torchtitan.READER,
    maxtext.READER,
    nccl_tests.READER,
    goodput.READER,
    resiliency.READER,
    bytedance.READER,
    chakra.READER,
    flight_recorder.READER,
    kineto.READER,
    nccl_inspector.READER,
    table.READER,
)
"""Readers in the order in which they are asked whether a file is theirs."""
MOST_NAMES = 8
"""Columns of a table that a refusal names."""
MEASURED = ("step", "compute", "exposed", "hidden", "idle", "collective")
"""Kinds of records of which a log has at least one."""


def read_log(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    communication: Communication | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    r"""Return the records of a log, one row each.

    Parameters
    ----------
    path
        A file, plain or compressed by gzip, or a folder with the files of one job, such as one of
        each rank. What wrote it is told by its content.
    columns
        Of tables: which of their columns are ``step``, ``seconds``, ``rank``, ``start`` and
        ``tokens``, where they have other names.
    communication
        Of traces: whether kernels that communicate are told by ``"name"`` or by ``"stream"``. By
        default it is by name, and by stream for a rank of several that has none by name.
    progress
        Called with the bytes that are read, and those of all files.

    Returns
    -------
    polars.DataFrame
        ``source``, ``rank`` (null where a record is of the whole job), ``step``, ``kind``,
        ``start`` (seconds from the first time stamp), ``seconds``, ``tokens`` (of one step, of the
        whole job), ``note``, ``steps`` that the seconds are the mean of, and ``n_bytes`` of a
        collective. Rows of kind ``step`` are what one would call a step time; what each tool mixes
        into its records otherwise is ``masked``, with the reason as its note. What could not be
        read is ``unread``.

    Raises
    ------
    ScenarioError
        If a file cannot be read or is empty, no reader knows it, or no step is found in it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "steps.csv")
    ...     _ = path.write_text("step,step_time_s\n1,9.5\n2,5.1\n3,5.2\n")
    ...     read_log(path)["seconds"].to_list()
    [9.5, 5.1, 5.2]
    """
    path = Path(path)
    readers = READERS if columns is None else (table.reader_of(columns),)
    if communication is not None:
        readers = (kineto.reader_of(communication), *readers)
    paths = _files(path)
    told = _told(paths, progress)
    known: dict[str, list[Source]] = {}
    unknown: list[Source] = []
    unreadable: list[ScenarioError] = []
    for each in paths:
        try:
            source = Source.of(each, told)
        except ScenarioError as error:
            unreadable.append(error)
            continue
        reader = next((one for one in readers if one.recognises(source)), None)
        (known.setdefault(reader.name, []) if reader else unknown).append(source)
    if len(unreadable) == len(paths):
        raise unreadable[0]
    name = _only(path, known, unknown, readers)
    records = Records(name)
    next(reader for reader in readers if reader.name == name).read(known[name], records)
    for refusal in unreadable:
        records.add("unread", note=str(refusal))
    for source in unknown:
        records.add("unread", note=f"{source.path.name} holds nothing of {name}")
    for source in known[name]:
        for note in source.unread:
            records.add("unread", note=note)
    if not any(records.counts[kind] for kind in MEASURED):
        found = ", ".join(f"{count} of {kind}" for kind, count in records.counts.items() if count)
        unread = [note for source in known[name] for note in source.unread]
        records_of = f"there are records: {found}" if found else "there are no records"
        hint = "; ".join([records_of, *unread[:2]])
        raise _refused(path, f"must hold steps of {name}", hint=hint)
    return records.frame()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.is_file() and each.stat().st_size)
    if not found:
        raise _refused(path, "must hold a file that is not empty")
    return found


def _told(paths: Sequence[Path], progress: Progress | None) -> Callable[[int], object]:
    total = sum(each.stat().st_size for each in paths if each.is_file())
    done = 0

    def told(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        if progress:
            progress(min(done, total), total)

    return told


def _only(
    path: Path,
    known: Mapping[str, object],
    unknown: Sequence[Source],
    readers: Sequence[Reader],
) -> str:
    """Return the one tool that the files of a log are of."""
    names = list(known)
    if len(names) == 1:
        return names[0]
    if names:
        raise _refused(path, f"must hold logs of one tool, not of {' and '.join(names)}")
    hint = f"there are readers of {', '.join(reader.name for reader in readers)}"
    requirement = "must be a log of a tool that is known: nothing in it is recognised"
    if columns := next(filter(None, map(table.column_names, unknown)), ()):
        shown = ", ".join(columns[:MOST_NAMES]) + (", ..." if len(columns) > MOST_NAMES else "")
        hint = f"of a table with columns {shown}, say which one holds seconds"
    raise _refused(path, requirement, hint=hint)


def _refused(path: Path, requirement: str, *, hint: str = "") -> ScenarioError:
    return ScenarioError([Problem(path=str(path), requirement=requirement, hint=hint)])
