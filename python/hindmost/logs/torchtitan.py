"""Logs of torchtitan.

Read in 0.1.0, 0.2.0, 0.2.2 and 0.3.0: ``MetricsProcessor.log`` (torchtitan/components/metrics.py)
prints a line at step 1 and at each step that ``log_freq`` divides. Its ``tps`` are the tokens of
all steps since the line before, a second and a GPU. So a step takes ``global batch size * sequence
length / (tps * GPUs)``, of however many steps the line is. (``time_metrics/end_to_end(s)`` in its
TensorBoard files divides by ``log_freq`` always, which gives 1/10 of step 1 and 9/10 of step 10.)
Where tokens a second are few, so that their rounding is coarse, time stamps tell the time better.

The clock runs on through checkpoints, and in a new process from before its model is built. It
starts anew at each line and at a validation.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from hindmost.logs.places import by_place
from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source
from hindmost.logs.stamps import STAMP, last_stamp, seconds_since

WORDS = (
    *(b"tps: ", b"Training starts at step ", b"Trainer is initialized with "),
    *(b"device mesh with ", b"the checkpoint", b"step checkpoint completed in"),
)
"""Of which a line that counts holds one."""

MARK = "[titan] "
MARKUP = re.compile(r"\x1b\[[\d;]*m|[^ -~]")
"""Colors, and bytes that no line has."""
STEP = re.compile(r"- step: +(\d{1,9})  .*\btps: (\d[\d,]{0,14})  ")
VALIDATION = re.compile(r"- validate step: +(\d{1,9})  ")
BEGINS = re.compile(r"Training starts at step (\d{1,9})")
BATCH = re.compile(r"global batch size (\d{1,9}), .*sequence length (\d{1,9}),")
MESH = re.compile(r"device mesh with (?:parallelism: (.*)|\[.*\], \[([\d, ]*)\])")
DEGREE = re.compile(r"\b(?:pp|dp_replicate|dp_shard|cp|tp)=(\d{1,6})\b")
CHECKPOINT = re.compile(
    r"(?:Finished (?:saving|staging) the checkpoint.*|step checkpoint completed )\bin (\d+\.\d+) ?s"
)
RANK = re.compile(r"\[rank(\d{1,9})\]:\s*$")
"""What torchrun puts before a line."""

STAMP_ERROR_S = 1e-3
"""Resolution of time stamps."""


@dataclass
class _Job:
    """What is known of a job."""

    records: Records
    batch_tokens: int | None = None
    n_gpus: int | None = None
    zero: float | None = None
    latest: float = 0.0
    """The last time stamp that has been read."""
    processes: dict[tuple[int, str], _Process] = field(default_factory=dict)
    """By the place of their file among those of the same time, and by what precedes their lines."""

    def take(self, text: str, place: int) -> bool:
        """Record what a line says, and return whether it could be read."""
        text = MARKUP.sub("", text)
        stamp = last_stamp(text)
        if stamp is not None:
            self.zero = stamp if self.zero is None else self.zero
            self.latest = max(self.latest, stamp)
        if found := BATCH.search(text):
            self.batch_tokens = int(found[1]) * int(found[2])
        elif found := MESH.search(text):
            degrees = (
                DEGREE.findall(found[1]) if found[1] else re.findall(r"\d{1,6}", found[2] or "")
            )
            self.n_gpus = math.prod(map(int, degrees))
        elif MARK in text:
            prefix = STAMP.sub("", text.partition(MARK)[0])
            process = self.processes.get((place, prefix))
            if process is None:
                found = RANK.match(prefix)
                rank = int(found[1]) if found else None
                is_other = any(each.rank == rank for each in self.processes.values())
                process = _Process(self, rank, is_other=is_other)
                self.processes[place, prefix] = process
            return process.take(text, stamp)
        return True


class _Process:
    """A process, and those that follow it in its place."""

    def __init__(self, job: _Job, rank: int | None, *, is_other: bool) -> None:
        self.job = job
        self.rank = rank
        self.is_other = is_other
        """Another process of this rank, which is that within a node, is recorded already."""
        self.last_step: int | None = None
        """The step at which the clock started anew."""
        self.last_stamp: float | None = None
        """When it did."""
        self.begin: int | None = None
        """The step after which a process begins that has not printed a line of steps yet."""
        self.is_interrupted = False
        """A checkpoint came since the clock started."""

    def take(self, text: str, stamp: float | None) -> bool:
        """Record what a line says, and return whether it could be read."""
        if found := STEP.search(text):
            self._take_step(int(found[1]), int(found[2].replace(",", "")), stamp)
        elif found := VALIDATION.search(text):
            self._take_validation(int(found[1]), stamp)
        elif found := BEGINS.search(text):
            self.begin, self.is_interrupted = int(found[1]) - 1, False
        elif found := CHECKPOINT.search(text):
            self._add("checkpoint", step=self.last_step, seconds=float(found[1]))
            self.is_interrupted = True
        return found is not None or "tps: " not in text

    def _take_step(self, step: int, tps: int, stamp: float | None) -> None:
        n: int | None = None
        since = note = None
        if self.begin is not None and step > self.begin:
            n, note = step - self.begin, "the begin of a process is in the mean"
        elif self.last_step is not None and step > self.last_step:
            n, since = step - self.last_step, self.last_stamp
            note = "a checkpoint is in the mean" if self.is_interrupted else None
        else:
            note = "the begin of a process may be in the mean"
        seconds = self._seconds(tps, n, seconds_since(since, stamp))
        taken_s = n * seconds if n is not None and seconds is not None else None
        if self.last_step is not None and (self.begin is not None or step <= self.last_step):
            gap_s = seconds_since(taken_s, seconds_since(self.last_stamp, stamp))
            start = seconds_since(self.job.zero, self.last_stamp)
            self._add("restart", step=step, seconds=gap_s, start=start)
        if not seconds:
            note = "no positive number of seconds"
        self._add(
            "masked" if note else "step",
            step=step,
            seconds=seconds,
            start=seconds_since(taken_s, seconds_since(self.job.zero, stamp)),
            tokens=self.job.batch_tokens,
            steps=n or 1,
            note=note,
        )
        self._start_clock(step, stamp)

    def _seconds(self, tps: int, n: int | None, passed_s: float | None) -> float | None:
        """Return the seconds of a step by what tells them with the smaller relative error."""
        by_error: dict[float, float] = {}
        if tps > 0 and self.job.batch_tokens and self.job.n_gpus:
            by_error[0.5 / tps] = self.job.batch_tokens / (tps * self.job.n_gpus)
        if n and passed_s and passed_s > 0:
            by_error[STAMP_ERROR_S / passed_s] = passed_s / n
        return by_error[min(by_error)] if by_error else None

    def _take_validation(self, step: int, stamp: float | None) -> None:
        is_alone = step == self.last_step and not self.is_interrupted
        seconds = seconds_since(self.last_stamp, stamp) if is_alone else None
        self._add("evaluation", step=step, seconds=seconds)
        self._start_clock(step, stamp)

    def _start_clock(self, step: int, stamp: float | None) -> None:
        self.last_step, self.last_stamp = step, stamp
        self.begin, self.is_interrupted = None, False

    def _add(
        self,
        kind: str,
        *,
        step: int | None,
        seconds: float | None,
        start: float | None = None,
        tokens: int | None = None,
        steps: int = 1,
        note: str | None = None,
    ) -> None:
        if self.is_other:
            kind, note = "masked", "another process tells of the same steps"
        self.job.records.add(
            kind,
            step=step,
            seconds=seconds,
            start=start,
            rank=self.rank,
            tokens=tokens,
            steps=steps,
            note=note,
        )


def _is_torchtitan(source: Source) -> bool:
    return MARK in source.text


def _read_torchtitan(sources: Sequence[Source], records: Records) -> None:
    job = _Job(records)
    for place, source in by_place(sources, _begin, lambda: job.latest):
        n_damaged = sum(not job.take(line, place) for line in source.lines(*WORDS))
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")


def _begin(source: Source) -> float:
    """Return the first time stamp of a file."""
    lines = (line for line in source.text.splitlines() if MARK in line)
    return next((stamp for line in lines if (stamp := last_stamp(line)) is not None), 0.0)


READER = Reader(name="torchtitan", recognises=_is_torchtitan, read=_read_torchtitan)
"""The reader of torchtitan."""
