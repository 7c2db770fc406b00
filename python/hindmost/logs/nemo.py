"""Logs of NeMo.

Read in 2.7.3. ``ProgressPrinter`` (nemo/lightning/pytorch/callbacks/progress_printer.py) prints a
line each ``log_interval`` iterations, whose values are sums since the line before over
``log_interval``. So the first line of a process holds its first iteration; and where a process goes
on amid an interval, it is the sum of fewer iterations than it is divided by. A progress bar shows
the last value instead, and each of its changes is a line in a log.

``train_step_timing in s`` (``TimingCallback`` in nemo/utils/exp_manager.py) holds neither
evaluations nor checkpoints, and is printed to 4 digits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

TIME = "train_step_timing in s"
BEGINS = "Experiments will be logged at"
WORDS = (TIME.encode(), BEGINS.encode(), b"Validation: iteration ")
"""Of which a line that counts holds one."""

NUMBER = r"([-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|nan|inf))"
PRINTED = re.compile(
    rf"Training epoch \d+, iteration (\d{{1,9}})/.* \| {TIME}: {NUMBER}(?= \||\s*$)"
)
SHOWN = re.compile(rf"\bglobal_step=(\d{{1,9}})(?:\.0*)?,.*\b{TIME}={NUMBER}[,\]]")
VALIDATION = re.compile(r"Validation: iteration (\d{1,9})/")


class _Job:
    """One job, whose processes may come one after another."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.last: int | None = None
        """The iteration of the last line."""
        self.interval: int | None = None
        self.begins = True
        """A process has begun since the last line."""
        self.is_validated = False
        """The evaluation that goes on has a row."""

    def take(self, text: str) -> bool:
        """Record what a line says, and return whether it could be read."""
        if found := PRINTED.search(text) or SHOWN.search(text):
            self._take_step(int(found[1]), float(found[2]))
        elif BEGINS in text:
            self.begins = True
        elif VALIDATION.search(text):
            if not self.is_validated:
                self.records.add("evaluation", step=self.last)
            self.is_validated = True
        else:
            return TIME not in text
        return True

    def _take_step(self, step: int, seconds: float) -> None:
        last = self.last
        if step == last and not self.begins:
            # A progress bar shows a step until the next one.
            return
        is_first = self.begins or last is None or step < last
        if is_first and last is not None:
            self.records.add("restart", step=step)
        note = "the first iteration of a process is in the mean" if is_first else None
        n = 1
        if is_first or last is None:
            n = self.interval or 1
        else:
            n = self.interval = min(step - last, self.interval or step - last)
        if not 0 < seconds < float("inf"):
            note = "no positive number of seconds"
        kind = "masked" if note else "step"
        self.records.add(kind, step=step, seconds=seconds, steps=n, note=note)
        self.last, self.begins, self.is_validated = step, False, False


def _is_nemo(source: Source) -> bool:
    text = source.text
    return TIME in text or "[NeMo I " in text


def _read_nemo(sources: Sequence[Source], records: Records) -> None:
    job = _Job(records)
    for source in sources:
        job.begins = True
        n_damaged = sum(not job.take(line) for line in source.lines(*WORDS))
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")


READER = Reader(name="nemo", recognises=_is_nemo, read=_read_nemo)
"""The reader of NeMo."""
