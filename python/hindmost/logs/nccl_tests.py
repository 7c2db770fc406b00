"""Results of nccl-tests, and of rccl-tests, which prints the same: times of collectives by size.

Text is read as versions 2.0.0, 2.13.4, 2.17.0 and the repository of July 2026 print it
(src/common.cu, src/util.cu): by the names of columns, since versions differ in them. JSON is read
as the latter writes it, in version 3 of its format.

A time is the mean of all iterations and, unless ``-a`` says otherwise, of all ranks, where a
training step waits for the slowest.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source
from hindmost.logs.stamps import STAMP

PLACES = ("out-of-place", "in-place")
TIMES = {"time": True, "cputime": False}
"""Columns of times, and whether the collective is over then."""
HEADER = re.compile(r"#\s+size\s+count\s+type\s.*\b((?:cpu)?time\s+algbw\s+busbw\s.*)")
"""The names of columns, and among them those of the last place."""
STARTS = re.compile(r"# Collective test starting: (\S+)")
RUN = re.compile(r"# nThread \d+ nGpus \d+ .*(?<!warmup )(?<!agg )\biters: (\d{1,9}) ")
RANK = re.compile(r"#\s+Rank\s+\d+ ")
ROW = re.compile(r"(?:^|\s)(\d+\s+\d+\s+[a-z]\w*\s+.*)")
JSON_HEAD = re.compile(r'\s*\{\s*"version"\s*:\s*\d+\s*,\s*"start_time"\s*:')
LARGEST_JSON = 1 << 28
"""Bytes of a JSON file that are read."""
LARGEST_SIZE = 2**62
LARGEST_COUNT = 2**31


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What is said of a run of the test."""

    operation: str | None
    n_ranks: int
    n_iterations: int


def _add(
    records: Records,
    run: _Run,
    *,
    n_bytes: int,
    seconds: float,
    place: str,
    identity: Sequence[str],
    is_over: bool,
    n_wrong: float,
) -> None:
    what = [run.operation, *identity, place, f"{run.n_ranks} ranks" if run.n_ranks else None]
    kind, note = "collective", ", ".join(word for word in what if word)
    if not (math.isfinite(seconds) and seconds > 0):
        kind, note = "masked", f"no positive number of seconds: {note}"
    elif not is_over:
        kind, note = "masked", f"the host's time until all are launched: {note}"
    elif n_wrong:
        kind, note = "masked", f"some results are wrong: {note}"
    records.add(kind, seconds=seconds, steps=run.n_iterations, note=note, n_bytes=n_bytes)


class _Text:
    """Tables as text, each with its header."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.operation: str | None = None
        self.n_ranks = 0
        self.n_iterations = 1
        self.names: list[str] = []
        """Names of the columns of one place."""

    def take(self, text: str) -> bool:
        """Record what a line says, and return whether it could be read."""
        if "#" in text:
            self._take_comment(text)
            return True
        row = ROW.search(STAMP.sub("", text))
        return not self.names or row is None or self._take_row(row[1].split())

    def _take_comment(self, text: str) -> None:
        if found := STARTS.search(text):
            self.operation = _operation(found[1])
        elif found := RUN.search(text):
            self.n_iterations, self.n_ranks, self.names = int(found[1]), 0, []
        elif RANK.search(text):
            self.n_ranks += 1
        elif found := HEADER.search(text):
            self.names = [name for name in found[1].split() if name != "timestamp"]

    def _take_row(self, words: Sequence[str]) -> bool:
        width = len(self.names)
        # Size, count and type come first, then an operation or a root where there is one. A replay
        # of traces leaves the place of the first times empty.
        n_first = (len(words) - 3) // width
        if n_first not in (1, 2):
            return False
        begin = len(words) - n_first * width
        identity = [word for word in words[2:begin] if word != "none" and not _is_number(word)]
        run = _Run(
            operation=self.operation, n_ranks=self.n_ranks, n_iterations=max(self.n_iterations, 1)
        )
        for n, place in enumerate(PLACES[-n_first:]):
            values = dict(zip(self.names, words[begin + n * width :], strict=False))
            name = next(name for name in TIMES if name in values)
            wrong = values.get("#wrong", "0").replace("N/A", "0")
            if not (_is_number(values[name]) and _is_number(wrong)):
                return False
            _add(
                self.records,
                run,
                n_bytes=min(int(words[0]), LARGEST_SIZE),
                seconds=float(values[name]) / 1e6,
                place=place,
                identity=identity,
                is_over=TIMES[name],
                n_wrong=float(wrong),
            )
        return True


def _read_json(text: str, records: Records) -> bool:
    """Record the results in a JSON file, and return whether they are all there."""
    arguments = _member(text, "args")
    config = _member(text, "config")
    devices = config.get("devices") if isinstance(config, dict) else None
    is_named = isinstance(arguments, list) and arguments and isinstance(arguments[0], str)
    for result in _results(text):
        n_bytes, n = result.get("size"), result.get("actual_iterations")
        if not isinstance(n_bytes, int):
            return False
        run = _Run(
            operation=_operation(arguments[0]) if is_named else None,
            n_ranks=len(devices) if isinstance(devices, list) else 0,
            n_iterations=n if isinstance(n, int) and 0 < n < LARGEST_COUNT else 1,
        )
        identity = [str(result.get(key)) for key in ("type", "redop")]
        for place in PLACES:
            values = result.get(place.replace("-", "_"))
            if not isinstance(values, dict):
                continue
            is_over = "time" in values
            time_us, n_wrong = values.get("time" if is_over else "cpu_time"), values.get("nwrong")
            _add(
                records,
                run,
                n_bytes=min(n_bytes, LARGEST_SIZE),
                seconds=time_us / 1e6 if isinstance(time_us, int | float) else math.nan,
                place=place,
                identity=[word for word in identity if word not in ("none", "None")],
                is_over=is_over,
                n_wrong=n_wrong if isinstance(n_wrong, int | float) else 0.0,
            )
    return '"end_time"' in text[-1000:]


def _results(text: str) -> Iterator[Mapping[str, Any]]:
    """Yield the results that are whole."""
    found = re.search(r'"results"\s*:\s*\[', text)
    decoder = json.JSONDecoder()
    at = found.end() if found else len(text)
    while (begin := text.find("{", at)) >= 0 and "]" not in text[at:begin]:
        try:
            result, at = decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            return
        yield result


def _member(text: str, key: str) -> Any:
    """Return the value of the first member of a name, or None if it is not whole."""
    found = re.search(rf'"{key}"\s*:\s*', text)
    try:
        return json.JSONDecoder().raw_decode(text, found.end())[0] if found else None
    except (ValueError, RecursionError):
        return None


def _operation(program: str) -> str:
    return PurePath(program).name.removesuffix("_perf")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_nccl_tests(source: Source) -> bool:
    text = source.text
    return HEADER.search(text) is not None or JSON_HEAD.match(text) is not None


def _read_nccl_tests(sources: Sequence[Source], records: Records) -> None:
    for source in sources:
        if JSON_HEAD.match(source.text):
            data = bytearray()
            for piece in source.pieces():
                data += piece[: LARGEST_JSON - len(data)]
            if not _read_json(data.decode("utf-8", errors="replace"), records):
                source.unread.append(f"{source.path.name} is cut off or damaged")
        else:
            table = _Text(records)
            n_damaged = sum(not table.take(line) for line in source.lines())
            if n_damaged:
                source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")


READER = Reader(name="nccl-tests", recognises=_is_nccl_tests, read=_read_nccl_tests)
"""The reader of results of nccl-tests."""
