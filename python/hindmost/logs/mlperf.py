"""Logs of MLPerf Training submissions: lines of ``:::MLLOG`` and a JSON object.

The format is that of mlperf_logging 4.1.68; what a submission puts into it is its own. Read in the
published results of rounds 3.1, 4.1, 5.0 and 5.1:

- Records of ``tracked_stats`` hold the time of a step, or the mean of several, as
  ``train_step_time`` (5.x), ``train_step_timing in s`` (4.1) or ``train_step_timing`` (3.1).
- At the end of a block, rounds 5.x add the mean of the block under the same key: with a
  ``throughput`` beside it (5.0), or without a ``step`` (5.1). In Llama 2 LoRA it is the only time
  of a block. AMD's logs have none, and there the block is timed by its begin and its end.
- ``step`` counts tokens (GPT-3), samples (5.0) or iterations (5.1).
- Steps 0 and 1, and the first record after an evaluation, are slower than the others.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

MARK = ":::MLLOG"
WORDS = tuple(
    f'"{key}"'.encode()
    for key in (
        *("tracked_stats", "block_start", "block_stop", "eval_start", "eval_stop"),
        *("eval_accuracy", "run_start", "global_batch_size", "max_sequence_length"),
    )
)
"""Keys of records that count."""
TIMES = ("train_step_time", "train_step_timing", "train_step_timing in s")
SIZES = ("global_batch_size", "max_sequence_length")
N_FIRST = 2
"""Records at the begin of a run that are none of the usual ones."""
LARGEST = 2**53
"""Whole numbers from here on are not exact, and of no log."""
LARGEST_SIZE = 2**31 - 1


class _Job:
    """The runs of one job, one after another."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.sizes: dict[str, int] = {}
        self.zero: float | None = None
        self.at = 0.0
        """Time of this record, in seconds since 1970."""
        self.before = 0.0
        """Time of the record before."""
        self.is_another = False
        """This file has not begun a run yet, and another one has."""
        self.reset()

    def begin_file(self) -> None:
        """Note that what follows is another run, and not the same one begun anew."""
        self._end_block(is_pure=False)
        self.is_another = True

    def reset(self) -> None:
        """Begin a run."""
        self.n_records = 0
        """Records of steps in the run so far."""
        self.unit: int | None = None
        """What ``step`` grows by in an iteration."""
        self.is_first = False
        """No record of steps has come since the last evaluation."""
        self.eval_start: float | None = None
        self.block: Mapping[str, Any] | None = None
        """What is said of the block at its begin."""
        self.block_start = 0.0
        self.block_mean: float | None = None
        self.last_count: float | None = None
        """``step`` of the last record in this block."""
        self.n_blocks = 0
        self.timed_block: dict[str, Any] | None = None
        """A row about a block that may hold its evaluation: the next record tells."""

    def take(self, text: str) -> bool:
        """Record what a line says, and return whether it could be read."""
        begin = text.find(MARK)
        if begin < 0:
            return True
        try:
            record, _ = json.JSONDecoder().raw_decode(text, text.index("{", begin))
            key, at, value = record["key"], float(record["time_ms"]) / 1000, record["value"]
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return False
        data = record.get("metadata")
        data = data if isinstance(data, dict) else {}
        if not math.isfinite(at):
            return False
        self.at = at
        self.zero = at if self.zero is None else self.zero
        self._end_block(is_pure=key == "eval_start")
        if key in SIZES:
            self.sizes[key] = _whole(value)
        elif key == "run_start":
            self._begin_run()
        elif key == "tracked_stats" and isinstance(value, dict):
            self._take_stats(value, data)
        elif key == "block_start":
            self.block, self.block_start = data, at
            self.block_mean = self.last_count = None
        elif key == "block_stop" and self.block is not None:
            self._stop_block(self.block, data)
        elif key == "eval_start":
            self.eval_start = at
        elif key == "eval_stop" and self.eval_start is not None:
            self._add("evaluation", step=self._iterations(data), seconds=at - self.eval_start)
            self.eval_start, self.is_first = None, True
        elif key == "eval_accuracy" and self.eval_start is None:
            self._add("evaluation", step=self._iterations(data))
            self.is_first = True
        self.before = at
        return True

    @property
    def batch(self) -> int:
        """Samples of a step, or 0 if they are not known."""
        return self.sizes.get("global_batch_size", 0)

    @property
    def batch_tokens(self) -> int:
        """Tokens of a step, or 0 if they are not known."""
        return self.batch * self.sizes.get("max_sequence_length", 0)

    def _begin_run(self) -> None:
        # All processes of a submission may say that the run starts.
        if self.n_records or self.n_blocks:
            if self.is_another:
                self._add("restart", note="another run")
            else:
                self._add("restart", seconds=self.at - self.before, start=self._since(self.before))
            self.reset()
        self.is_another = False

    def _take_stats(self, value: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        seconds = next((_number(value[key]) for key in TIMES if key in value), None)
        if seconds is None or self.eval_start is not None:
            return
        count = _number(data.get("step", data.get("step_num")))
        if "throughput" in value or count is None:
            self.block_mean = seconds
            return
        if self.unit is None:
            self.unit = self._unit_of(count, seconds, data)
        n = self._steps_since(count, seconds)
        note: str | None = None
        if self.n_records < N_FIRST:
            note = "one of the first two records of a run"
        elif self.is_first:
            note = "first record after an evaluation"
        self._add_steps(int(count // self.unit), seconds, n, self.at, note)
        self.last_count, self.is_first = count, False
        self.n_records += 1

    def _unit_of(self, count: float, seconds: float, data: Mapping[str, Any]) -> int:
        """Return what ``step`` grows by in an iteration: 1, or samples, or tokens."""
        if "samples_count" in data:
            return self.batch if data["samples_count"] == count and self.batch else 1
        block = self.block or {}
        before = _number(block.get("samples_count", block.get("first_epoch_num"))) or 0.0
        grown = max(count - before, 1.0) / self._steps_since(count, seconds)
        units = (1, self.batch or 1, self.batch_tokens or 1)
        return min(units, key=lambda unit: abs(math.log(grown / unit)))

    def _steps_since(self, count: float, seconds: float) -> int:
        """Return how many steps a record is the mean of."""
        if self.last_count is not None:
            return _steps((count - self.last_count) / (self.unit or 1))
        # Some submissions count from 0 and some from 1, so time tells more at the begin of a block.
        passed_s = self.at - self.block_start if self.block is not None else 0.0
        return _steps(passed_s / seconds if seconds > 0 else 1.0)

    def _stop_block(self, begin: Mapping[str, Any], end: Mapping[str, Any]) -> None:
        seconds, passed_s = self.block_mean, self.at - self.block_start
        n = self._steps_of_block(begin, end)
        step = self._iterations(end)
        self.block = None
        self.n_blocks += 1
        note = "the begin of a run is in the mean" if self.n_blocks == 1 else None
        if self.last_count is not None:
            if seconds is not None:
                note = "mean of a block whose steps have records of their own"
                self._add_steps(step, seconds, n or 1, self.at, note)
            return
        if seconds is not None and seconds > 0:
            self._add_steps(step, seconds, n or _steps(passed_s / seconds), self.at, note)
        elif n:
            self.timed_block = {"step": step, "seconds": passed_s / n, "n": n, "note": note}

    def _end_block(self, *, is_pure: bool) -> None:
        """Record a block of which no more than its begin and its end are known."""
        row, self.timed_block = self.timed_block, None
        if row is not None:
            if not is_pure:
                row["note"] = "an evaluation may be in the time of the block"
            self._add_steps(**row, end=self.before)

    def _steps_of_block(self, begin: Mapping[str, Any], end: Mapping[str, Any]) -> int | None:
        def grown(key: str) -> float:
            return (_number(end.get(key)) or 0.0) - (_number(begin.get(key)) or 0.0)

        n = None
        if "step" in begin and "step" in end:
            n = grown("step")
        elif self.batch_tokens and "epoch_count" in begin:
            n = (_number(begin["epoch_count"]) or 0.0) / self.batch_tokens
        elif self.batch and "samples_count" in begin:
            n = grown("samples_count") / self.batch
        return _steps(n) if n and n >= 1 else None

    def _iterations(self, data: Mapping[str, Any]) -> int | None:
        """Return the number of the last iteration before a point, if it is told."""
        units = {"step": 1, "samples_count": self.batch, "epoch_num": self.batch_tokens}
        for key, unit in units.items():
            count = _number(data.get(key))
            if count is not None and unit:
                return int(count // unit)
        return None

    def _add_steps(
        self, step: int | None, seconds: float, n: int, end: float, note: str | None
    ) -> None:
        if seconds <= 0:
            note = "no positive number of seconds"
        start = self._since(end) - n * seconds
        kind = "masked" if note else "step"
        self._add(kind, step=step, seconds=seconds, start=start, steps=n, note=note)

    def _add(self, kind: str, **row: Any) -> None:
        tokens = self.batch_tokens if kind in ("step", "masked") else 0
        self.records.add(kind, tokens=tokens or None, **row)

    def _since(self, at: float) -> float:
        return at - (self.zero or 0.0)


def _number(value: object) -> float | None:
    """Return a finite number, or None for what is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < LARGEST else None


def _whole(value: object) -> int:
    """Return a size, or 0 for what is none."""
    number = _number(value)
    return int(number) if number is not None and 0 < number < LARGEST_SIZE else 0


def _steps(n: float) -> int:
    return min(max(round(n), 1), LARGEST_SIZE)


def _is_mlperf(source: Source) -> bool:
    return MARK in source.text


def _read_mlperf(sources: Sequence[Source], records: Records) -> None:
    job = _Job(records)
    for source in sorted(sources, key=_begin):
        job.begin_file()
        n_damaged = sum(not job.take(line) for line in source.lines(*WORDS))
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")


def _begin(source: Source) -> int:
    """Return the first time stamp of a file."""
    found = re.search(r'"time_ms": *(\d{1,15})\b', source.text)
    return int(found[1]) if found else 0


READER = Reader(name="mlperf", recognises=_is_mlperf, read=_read_mlperf)
"""The reader of MLPerf Training logs."""
