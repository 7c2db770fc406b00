"""Logs of MaxText.

Read in 0.2.5, and in its repository as of October 2024 and August 2025: ``training_loop_iteration``
(maxtext/trainers/pre_train/train.py) takes the time when it has dispatched step k, and only then
waits for the result of step k - 1, to print it. So the line of step k tells how long it took until
the result of step k - 2 was there. Once the device is busy that is the time of a step. But

- the first line of a process is about compilation and dispatch, the second about dispatch only, and
  the third waits for the first step;
- what the host does after step k, an evaluation or the begin of a checkpoint, is in the line of
  step k + 1. Both wait for step k, so that the line of step k + 2 is about dispatch only.

A line is printed when the next step is done, so that the record of step k begins when the line of
step k - 3 is printed.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Sequence

from hindmost.logs.places import by_place
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source
from hindmost.logs.stamps import SHORT, STAMP, last_stamp, seconds_since

WORDS = (
    *(b"completed step: ", b"System Information: Jax Version", b"checkpoint at step "),
    *(b"checkpoint save for step ", b"after train step ", b"eval metrics after step: "),
    *(b"average loss after step=", b"Config param global_batch_size_to_train_on:"),
    b"Config param max_target_length:",
)
"""Of which a line that counts holds one."""

STEP = re.compile(r"completed step: (\d{1,9}), seconds: (\d+\.\d{3}), ")
SIZE = re.compile(r"Config param (global_batch_size_to_train_on|max_target_length): (\d{1,9})\s*$")
CHECKPOINT = re.compile(
    r"[Ss]aved a checkpoint at step (\d{1,9})"
    r"|Started an asynchronous checkpoint save for step (\d{1,9})"
)
EVALUATION_BEGINS = re.compile(r"Starting eval after train step (\d{1,9})")
EVALUATION_ENDS = re.compile(
    r"Completed eval after train step (\d{1,9}),|eval metrics after step: (\d{1,9}),"
    r"|average loss after step=(\d{1,9}):"
)
LAUNCHER = re.compile(r"\s*(?:\d+:|\[[^\]]*\]:)\s*")
"""What srun and torchrun put before a line."""
BEGIN = "System Information: Jax Version"
FIRST = (
    "compilation or dispatch of the first step of a process",
    "dispatch only",
    "wait for the first step of a process",
)
"""What the first lines of a process are about."""
AFTER = ("an evaluation or a checkpoint is in the time", "dispatch only")
"""What the lines after an evaluation or a checkpoint are about."""
LAG = 3
"""Lines between the begin of a record and its own line."""


class _Process:
    """A process, and those that follow it in its place."""

    def __init__(self, job: _Job, *, is_other: bool) -> None:
        self.job = job
        self.is_other = is_other
        """Another process tells of the same steps."""
        self.notes: dict[int, str] = {}
        """Why steps that come are masked."""
        self.last_step: int | None = None
        self.stamps: deque[tuple[int, float | None]] = deque(maxlen=LAG)
        """Steps and time stamps of the last lines."""
        self.begins_at: float | None = None
        self.begins = True
        """A process has begun that has not completed a step yet."""
        self.evaluation_start: float | None = None

    def take(self, text: str, stamp: float | None) -> bool:
        """Record what a line says, and return whether it could be read."""
        if found := STEP.search(text):
            self._take_step(int(found[1]), float(found[2]), stamp)
        elif BEGIN in text:
            self.begins, self.begins_at = True, stamp
            self.notes.clear()
        elif found := CHECKPOINT.search(text):
            self._interrupt("checkpoint", _number_in(found))
        elif EVALUATION_BEGINS.search(text):
            self.evaluation_start = stamp
        elif found := EVALUATION_ENDS.search(text):
            seconds = seconds_since(self.evaluation_start, stamp)
            self._interrupt("evaluation", _number_in(found), seconds)
            self.evaluation_start = None
        else:
            return "completed step: " not in text
        return True

    def _take_step(self, step: int, seconds: float, stamp: float | None) -> None:
        falls_back = self.last_step is not None and step <= self.last_step
        if falls_back and not self.begins:
            self.notes.clear()
        if falls_back or self.begins:
            if self.last_step is not None:
                self._restart(step)
            self.notes |= {step + n: note for n, note in enumerate(FIRST)}
            self.stamps.clear()
        note = self.notes.pop(step, None)
        if seconds == 0:
            note = "no positive number of seconds"
        is_next = len(self.stamps) == LAG and self.stamps[0][0] == step - LAG
        self._add(
            "masked" if note else "step",
            step=step,
            seconds=seconds,
            start=seconds_since(self.job.zero, self.stamps[0][1]) if is_next else None,
            tokens=self.job.batch_tokens,
            note=note,
        )
        self.stamps.append((step, stamp))
        self.last_step, self.begins, self.begins_at = step, False, None

    def _interrupt(self, kind: str, step: int, seconds: float | None = None) -> None:
        note = None if seconds is None else "steps that the device was behind are in the time"
        self._add(kind, step=step, seconds=seconds, note=note)
        for n, note in enumerate(AFTER, start=1):
            self.notes.setdefault(step + n, note)

    def _restart(self, step: int) -> None:
        last = self.stamps[-1][1] if self.stamps else None
        seconds, start = seconds_since(last, self.begins_at), seconds_since(self.job.zero, last)
        self._add("restart", step=step, seconds=seconds, start=start)

    def _add(
        self,
        kind: str,
        *,
        step: int,
        seconds: float | None,
        start: float | None = None,
        tokens: int | None = None,
        note: str | None = None,
    ) -> None:
        if self.is_other:
            kind, note = "masked", "another process tells of the same steps"
        self.job.records.add(
            kind, step=step, seconds=seconds, start=start, tokens=tokens, note=note
        )


class _Job:
    """What is known of a job."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.zero: float | None = None
        self.latest = 0.0
        """The last time stamp that has been read."""
        self.sizes: dict[str, int] = {}
        self.processes: dict[tuple[int, str], _Process] = {}

    @property
    def batch_tokens(self) -> int | None:
        """Tokens of a step, if both of its sizes are known."""
        return math.prod(self.sizes.values()) if len(self.sizes) == 2 else None

    def take(self, text: str, place: int) -> bool:
        """Record what a line says, and return whether it could be read."""
        if found := SIZE.search(text):
            self.sizes[found[1]] = int(found[2])
            return True
        stamp = last_stamp(text)
        if stamp is not None:
            self.zero = stamp if self.zero is None else self.zero
            self.latest = max(self.latest, stamp)
        key = place, _prefix(text)
        if key not in self.processes:
            self.processes[key] = _Process(self, is_other=bool(self.processes))
        return self.processes[key].take(text, stamp)


def _number_in(found: re.Match[str]) -> int:
    """Return the number that one of the alternatives of a pattern has found."""
    return int(found[found.lastindex or 0])


def _prefix(text: str) -> str:
    """Return what a launcher puts before a line, without what changes from line to line."""
    logger = SHORT.search(text)
    if logger is None:
        launcher = LAUNCHER.match(text)
        return launcher[0] if launcher else ""
    return STAMP.sub("", "".join(filter(str.isprintable, text[: logger.start()])))


def _is_maxtext(source: Source) -> bool:
    text = source.text
    return "System Information: Jax Version" in text or STEP.search(text) is not None


def _read_maxtext(sources: Sequence[Source], records: Records) -> None:
    job = _Job(records)
    for place, source in by_place(sources, _begin, lambda: job.latest):
        n_damaged = sum(not job.take(line, place) for line in source.lines(*WORDS))
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")


def _begin(source: Source) -> float:
    """Return the first time stamp of a file."""
    lines = (line for line in source.text.splitlines() if BEGIN in line or STEP.search(line))
    return next((stamp for line in lines if (stamp := last_stamp(line)) is not None), 0.0)


READER = Reader(name="maxtext", recognises=_is_maxtext, read=_read_maxtext)
"""The reader of MaxText."""
