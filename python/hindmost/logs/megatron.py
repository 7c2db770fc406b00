"""Logs of Megatron-LM, and of what prints its lines: Megatron-Bridge and forks.

A line is printed each ``log_interval`` iterations, and holds the mean of those since the last one:
``training_log`` in megatron/training/training.py, read in core 0.5 to 0.19.2; in Megatron-Bridge it
is in megatron/bridge/training/utils/train_utils.py, read in 0.3.1 and 0.6.2. Skipped iterations are
part of the mean. Evaluations and checkpoints are not: the timer is stopped for them, since November
2023.

From core 0.16 a process also prints its first iteration, and does not reset the timer then, so that
the next mean holds it again. Megatron-Bridge and earlier versions do not: there the first line of a
process holds its first iteration, and nothing tells how long that took.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source
from hindmost.logs.stamps import last_stamp

PHRASE = "elapsed time per iteration ("
BEGINS = ("[before the start of training step]", "done with setup ...")
"""What a process prints once, before its first iteration."""
OWN = (PHRASE, *BEGINS, "arguments ------------------------")
"""What no other tool writes."""
WORDS = (
    *(PHRASE.encode(), b"[before the start of training", b"done with setup"),
    *(b" evaluate ....", b" save-checkpoint", b"saving checkpoint at iteration"),
    *(b" loss at iteration ", b"seq_length ...", b"log_interval ..."),
)
"""Of which a line that counts holds one."""

NUMBER = re.compile(r"iteration +(\d{1,9})/ *\d+ \|")
TIME = re.compile(
    re.escape(PHRASE) + r"(ms|s)\): *([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf)) \|", re.IGNORECASE
)
"""A mean, which logs of BigScience's Megatron-DeepSpeed have in seconds."""
BATCH = re.compile(r"global batch size: *(\d{1,9}) \|")
SKIPPED = re.compile(r"number of skipped iterations: *(\d{1,9}) \|")
EXACT = re.compile(r"\d\d:\d\d:\d\d\.\d+\] *$")
"""The end of a stamp with a fraction of a second, which lines have from core 0.16."""
ARGUMENT = re.compile(r"\b(seq_length|log_interval) \.{2,} (\d{1,9})\s*$", re.MULTILINE)
TIMER = re.compile(r"\s(evaluate|save-checkpoint\S*) \.+: (?:\([\d.]+, )?([\d.]+)\)?\s*$")
SAVE = re.compile(r"saving checkpoint at iteration +(\d{1,9}) ")
VALIDATION = re.compile(r"validation\S* loss at iteration +(\d{1,9}) ")


@dataclass(frozen=True)
class _Line:
    """What a line says of iterations."""

    step: int
    mean_s: float
    stamp: float | None
    is_exact: bool
    batch_size: int | None
    n_skipped: int


class _Job:
    """One job, whose processes may come one after another."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.seq_length: int | None = None
        self.interval: int | None = None
        self.zero: float | None = None
        self.last: _Line | None = None
        self.held: _Line | None = None
        """The first line of a process, if the mean of the next one may hold it again."""
        self.is_amid = False
        """The log lacks the begin of this process."""
        self.begins = False
        """A process has begun since the last line of iterations."""
        self.is_interrupted = False
        """An evaluation or a checkpoint came after the last line of iterations."""
        self.is_evaluated = False
        """The evaluation whose result comes next has been recorded with its seconds."""
        self.saved_step: int | None = None
        """The step whose checkpoint is being written."""

    def take_arguments(self, text: str) -> None:
        """Note arguments among those that a process prints at its begin."""
        for name, value in ARGUMENT.findall(text):
            if name == "seq_length":
                self.seq_length = int(value)
            else:
                self.interval = int(value) or None

    def take(self, text: str) -> bool:
        """Record what a line of text says, and return whether all of it could be read."""
        if PHRASE in text:
            lines = list(_lines_in(text))
            for line in lines:
                if line is not None:
                    self._take_line(line)
            return None not in lines
        if any(words in text for words in BEGINS):
            self.begins = True
            self._see(last_stamp(text))
        elif found := TIMER.search(text):
            self._take_timer(found[1], float(found[2]) / 1000)
        elif found := SAVE.search(text):
            self.end_save()
            self.saved_step = int(found[1])
            self.is_interrupted = True
        elif found := VALIDATION.search(text):
            self.is_interrupted = True
            if not self.is_evaluated:
                self.records.add("evaluation", step=int(found[1]))
            self.is_evaluated = False
        else:
            self.take_arguments(text)
        return True

    def end_save(self) -> None:
        """Record a checkpoint whose seconds have not been printed, if there is one."""
        if self.saved_step is not None:
            self.records.add("checkpoint", step=self.saved_step)
        self.saved_step = None

    def _take_timer(self, name: str, seconds: float) -> None:
        self.is_interrupted = True
        step = self.last.step if self.last else None
        if name == "evaluate":
            self.records.add("evaluation", step=step, seconds=seconds)
            self.is_evaluated = True
        else:
            step = step if self.saved_step is None else self.saved_step
            self.records.add("checkpoint", step=step, seconds=seconds)
            self.saved_step = None

    def _take_line(self, line: _Line) -> None:
        self.end_save()
        self._see(line.stamp)
        last = self.last
        if last is not None and not self.begins and _is_of_another(line, last):
            note = "another process tells of the same iteration"
            self._add("masked", line, line.mean_s, steps=1, note=note)
            return
        is_first = (
            self.begins
            or (line.step == 1 if last is None else line.step <= last.step)
            # Nothing but the first iteration of a process is printed off the schedule.
            or (line.is_exact and self.interval is not None and line.step % self.interval > 0)
        )
        if last is None or is_first:
            self._take_first(line, last, is_amid=not is_first)
        else:
            self._take_next(line, last)
        self.last, self.begins, self.is_interrupted = line, False, False

    def _take_first(self, line: _Line, last: _Line | None, *, is_amid: bool) -> None:
        n: int | None
        if is_amid:
            n, note = 1, "the log begins amid a process, and this may hold its first iteration"
        elif line.is_exact:
            n, note = 1, "first iteration of a process"
        else:
            n, note = self.interval, "the first iteration of a process is in the mean"
        if last is not None:
            seconds = start = None
            if line.stamp is not None and last.stamp is not None and n is not None:
                seconds = line.stamp - last.stamp - n * line.mean_s
                start = last.stamp - (self.zero or 0.0)
            self.records.add("restart", step=line.step, seconds=seconds, start=start)
        self._add("masked", line, line.mean_s, steps=n or 1, note=note)
        self.held = line if line.is_exact else None
        self.is_amid = is_amid

    def _take_next(self, line: _Line, last: _Line) -> None:
        held, self.held = self.held, None
        n = line.step - last.step
        if self.interval is not None and n > self.interval:
            # Lines between are missing. The mean is over the last interval, and the first
            # iteration was taken back into an earlier one.
            n, held = self.interval, None
        elif held is None:
            self.interval = n
        kind, seconds, note = "step", line.mean_s, None
        if held is not None and self.is_amid:
            kind, note = "masked", "the first iteration of a process may be in the mean"
        elif held is not None:
            # The mean is over the first iteration and the n after it: (n + 1) mean = first + rest.
            seconds = ((n + 1) * line.mean_s - held.mean_s) / n
            note = "the first iteration is taken out of the mean"
        if line.n_skipped:
            kind, note = "masked", "skipped iterations are in the mean"
        elif self.is_interrupted and line.stamp is None:
            # Lines have stamps from March 2024 only.
            kind, note = "masked", "an evaluation or a checkpoint may be in the mean"
        self._add(kind, line, seconds, steps=n, note=note)

    def _add(self, kind: str, line: _Line, seconds: float, *, steps: int, note: str | None) -> None:
        if not (math.isfinite(seconds) and seconds > 0):
            kind, note = "masked", "no positive number of seconds"
        start = None
        if line.stamp is not None and math.isfinite(seconds):
            start = line.stamp - (self.zero or 0.0) - steps * seconds
        self.records.add(
            kind,
            step=line.step,
            seconds=seconds,
            start=start,
            tokens=line.batch_size * self.seq_length
            if line.batch_size and self.seq_length
            else None,
            steps=steps,
            note=note,
        )

    def _see(self, stamp: float | None) -> None:
        if self.zero is None:
            self.zero = stamp


def _is_of_another(line: _Line, last: _Line) -> bool:
    """Return true for the line of another rank: a new process has to take its time first."""
    if line.step != last.step:
        return False
    if line.stamp is None or last.stamp is None:
        return line.mean_s == last.mean_s
    return line.stamp - last.stamp < line.mean_s


def _is_megatron(source: Source) -> bool:
    text = source.text
    return any(words in text for words in OWN)


def _read_megatron(sources: Sequence[Source], records: Records) -> None:
    job = _Job(records)
    for source in sources:
        # Rank 0 prints the arguments and the last rank the iterations, maybe to another file.
        job.take_arguments(source.text)
    for source in sorted(sources, key=_begin):
        n_damaged = sum(not job.take(line) for line in source.lines(*WORDS))
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")


def _begin(source: Source) -> float:
    """Return the first time stamp of a file, by which the files of a job follow each other."""
    for line in source.text.splitlines():
        if any(words in line for words in OWN) and (stamp := last_stamp(line)) is not None:
            return stamp
    return 0.0


def _lines_in(text: str) -> Iterator[_Line | None]:
    """Yield what a line of text says of iterations, and None for what is damaged.

    Where a process is killed amid a line, the output of the next one follows on the same line.
    """
    begin = 0
    while (at := text.find(PHRASE, begin)) >= 0:
        after = at + len(PHRASE)
        following = text.find(PHRASE, after)
        end = following if following >= 0 else len(text)
        numbers = list(NUMBER.finditer(text, begin, at))
        mean = TIME.match(text, at)
        if numbers and mean:
            before = text[begin : numbers[-1].start()]
            batch, skipped = BATCH.search(text, after, end), SKIPPED.search(text, after, end)
            yield _Line(
                step=int(numbers[-1][1]),
                mean_s=float(mean[2]) / (1000 if mean[1] == "ms" else 1),
                stamp=last_stamp(before),
                is_exact=EXACT.search(before) is not None,
                batch_size=int(batch[1]) if batch else None,
                n_skipped=int(skipped[1]) if skipped else 0,
            )
        else:
            yield None
        begin = after


READER = Reader(name="megatron", recognises=_is_megatron, read=_read_megatron)
"""The reader of Megatron-LM and Megatron-Bridge."""
