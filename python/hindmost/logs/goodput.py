"""Records of ml-goodput-measurement, as they are exported from Cloud Logging.

``GoodputRecorder`` (ml_goodput_measurement/src/goodput.py, read in 0.2.3) writes when a job, its
parts and each step begin. Here a step lasts until the next one begins. The job begins anew where it
is said to start or to initialise between two steps, where the number of a step does not grow, and
where the time between two steps is that of many. (The package itself takes a repeated number for
the only sign: a job that goes on right after its last step counts as never interrupted, and the
time that it was away as training.)

A step begins when the host dispatches it. So the first ones of a process are about compilation and
dispatch, and after what the host waits for, such as an evaluation, one is about dispatch only.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hindmost.logs.reader import Reader
from hindmost.logs.records import Records
from hindmost.logs.source import Source

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

STEP, BEGIN, END, EVENT, EVENT_END, SAVE = range(6)
"""What a record is of, in the order in which records of the same time come."""
KINDS = {
    "step_start_time": STEP,
    "job_start_time": BEGIN,
    "tpu_init_start_time": BEGIN,
    "training_prep_start_time": BEGIN,
    "job_end_time": END,
    "custom_badput_event_start_time": EVENT,
    "custom_badput_event_end_time": EVENT_END,
    "checkpoint_manager_blocking_start_time": SAVE,
}
FIELD = re.compile(rf"""\b({"|".join(KINDS)}|step_count|job_name)["']?\s*:\s*["']?([^"',}}\s]+)""")
"""A field in JSON, in YAML and in what Python prints of a dictionary."""
WORDS = (*(key.encode() for key in KINDS), b"step_count", b"job_name")
N_FIRST = 3
"""Steps of a process that are about compilation and dispatch."""
FIRST = "one of the first three steps of a process"
GAP_STEPS, GAP_S = 20, 60.0
"""Median steps, and seconds, from which on the time between two steps is no step's."""
LARGEST_STEP = 2**53


class _Events:
    """Times of what happened, in columns."""

    def __init__(self) -> None:
        self.times = array("d")
        self.kinds = array("b")
        self.steps = array("q")
        self.jobs: dict[str, None] = {}
        self.step: int | None = None
        """The step whose time comes next."""

    def take(self, text: str) -> bool:
        """Note what a line says, and return whether it could be read."""
        is_whole = True
        for key, value in FIELD.findall(text):
            if key == "job_name":
                self.jobs[value] = None
                continue
            number = _number(value)
            if key == "step_count":
                self.step = int(number) if number is not None else None
            elif number is None or (key == "step_start_time" and self.step is None):
                is_whole = False
            else:
                kind = KINDS[key]
                self.times.append(number)
                self.kinds.append(kind)
                self.steps.append(self.step if kind == STEP and self.step is not None else 0)
                self.step = None
        return is_whole

    def columns(
        self,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8], npt.NDArray[np.int64]]:
        """Return times, kinds and steps in the order of time, whatever that of the records is."""
        import numpy as np

        times = np.frombuffer(self.times, dtype=np.float64)
        kinds = np.frombuffer(self.kinds, dtype=np.int8)
        order = np.lexsort((kinds, times))
        return times[order], kinds[order], np.frombuffer(self.steps, dtype=np.int64)[order]


def _record(events: _Events, records: Records) -> None:
    import numpy as np

    times, kinds, steps = events.columns()
    at = np.flatnonzero(kinds == STEP)
    if not len(at):
        return
    zero = float(times[0])
    # A step ends when the next one begins, and the last one when the job does.
    ends = np.append(times[at[1:]], np.nan)
    later = np.flatnonzero(kinds[at[-1] :] == END)
    if len(later):
        ends[-1] = times[at[-1] + later[-1]]
    lengths_s = ends - times[at]
    typical_s = float(np.nanmedian(lengths_s)) if len(at) > 1 else float("nan")
    limit_s = max(GAP_STEPS * typical_s, GAP_S)
    marks = kinds.tobytes()
    n_before, after_event = 0, False
    for n, begin in enumerate(at.tolist()):
        begin_s, step, seconds = float(times[begin]), int(steps[begin]), float(lengths_s[n])
        until = int(at[n + 1]) if n + 1 < len(at) else len(marks)
        between = marks[begin + 1 : until]
        is_last = n + 1 == len(at)
        falls_back = not is_last and steps[until] <= step
        is_gap = seconds > limit_s
        has_event = EVENT in between or SAVE in between
        ends_process = BEGIN in between or falls_back or (is_gap and not has_event)
        reasons = {
            FIRST: n_before < N_FIRST,
            "the job begins anew before the next step": ends_process,
            "an event that is recorded is in the time": has_event,
            "dispatch only, after an event": after_event,
            "the next step is not recorded": not is_last and steps[until] != step + 1,
            "no positive number of seconds": seconds <= 0,
        }
        note = next((reason for reason, holds in reasons.items() if holds), None)
        # The last step has no end unless the job has one.
        if not math.isnan(seconds):
            kind = "masked" if note else "step"
            records.add(kind, step=step, seconds=seconds, start=begin_s - zero, note=note)
        for index in range(begin + 1, until):
            if marks[index] == SAVE:
                records.add("checkpoint", step=step, start=float(times[index]) - zero)
        n_before, after_event = n_before + 1, has_event
        if ends_process and not is_last:
            is_said = BEGIN in between
            anew = begin + 1 + between.index(BEGIN) if is_said else until
            how = "the number of the step" if falls_back else "the time without a step"
            records.add(
                "restart",
                step=int(steps[until]),
                seconds=float(times[anew]) - begin_s,
                start=begin_s - zero,
                note=None if is_said else f"told by {how}",
            )
            n_before, after_event = 0, False


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < LARGEST_STEP else None


def _is_goodput(source: Source) -> bool:
    keys = {key for key, _ in FIELD.findall(source.text)}
    return "job_name" in keys and not keys.isdisjoint(KINDS)


def _read_goodput(sources: Sequence[Source], records: Records) -> None:
    events = _Events()
    for source in sources:
        n_damaged = sum(not events.take(line) for line in source.lines(*WORDS))
        if n_damaged:
            source.unread.append(f"{n_damaged} lines of {source.path.name} are damaged")
    if len(events.jobs) > 1:
        sources[0].unread.append(f"there are records of {len(events.jobs)} jobs: give those of one")
    else:
        _record(events, records)


READER = Reader(name="goodput", recognises=_is_goodput, read=_read_goodput)
"""The reader of records of ml-goodput-measurement."""
