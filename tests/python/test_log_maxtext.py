"""Logs of MaxText: whose time a line tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.cut_logs import rows_missing_of_the_longest

import hindmost as hm

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NO_TIMES: Mapping[int, float] = {}
DISPATCH = 0.01


class Host:
    """A host that dispatches steps to a device, and the log it writes, as MaxText 0.2.5 does."""

    def __init__(self, *, prefix: str = "", has_stamps: bool = True) -> None:
        self.prefix, self.has_stamps = prefix, has_stamps
        self.text = ""
        self.now = 0.0
        self.device_free = 0.0
        """When the device has done all that was dispatched."""
        self.say("Config param global_batch_size_to_train_on: 32")
        self.say("Config param max_target_length: 2048")

    def say(self, message: str) -> None:
        time = (BEGIN + timedelta(seconds=self.now)).strftime("%m%d %H:%M:%S.%f")
        stamp = f"I{time} 140072 metric_logger.py:233] " if self.has_stamps else ""
        self.text += f"{self.prefix}{stamp}{message}\n"

    def dispatch(self, seconds: float) -> float:
        """Hand work to the device, and return when it is done."""
        self.now += DISPATCH
        self.device_free = max(self.device_free, self.now) + seconds
        return self.device_free

    def wait(self, until: float) -> None:
        self.now = max(self.now, until)

    def run(
        self,
        times: Sequence[float],
        *,
        first: int = 0,
        setup: float = 30.0,
        compilation: float = 40.0,
        saves: Mapping[int, float] = NO_TIMES,
        evaluations: Mapping[int, float] = NO_TIMES,
    ) -> str:
        """Return all text so far, with that of a process whose steps take `times` at its end."""
        self.say("System Information: Jax Version: 0.7.0")
        self.now += setup
        last, buffered = self.now, None
        for step, seconds in enumerate(times, start=first):
            if step == first:
                self.now += compilation
            done = self.dispatch(seconds)
            delta, last = self.now - last, self.now
            if step in saves:
                # The copy to the host waits for the state that it copies.
                self.wait(done)
                self.now += saves[step]
                self.say(f"Started an asynchronous checkpoint save for step {step}")
            is_evaluated = step in evaluations
            if is_evaluated:
                self.say(f"Starting eval after train step {step}")
                self.wait(self.dispatch(evaluations[step]))
            if buffered:
                self.complete(*buffered)
            buffered = (step, delta, done)
            if is_evaluated:
                self.complete(*buffered)
                buffered = None
                self.say(f"Completed eval after train step {step}, loss=5.000, perplexity=148.4")
        if buffered:
            self.complete(*buffered)
        return self.text

    def complete(self, step: int, delta: float, done: float) -> None:
        self.wait(done)
        self.say(
            f"completed step: {step}, seconds: {delta:.3f}, TFLOP/s/device: 100.000,"
            f" Tokens/s/device: 1000.000, total_weights: 65536, loss: 5.000, lm_loss: 5.000"
        )


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


def test_a_line_waits_for_the_step_before_the_last(tmp_path: Path) -> None:
    times = [9.0, 3.0, 2.0, 2.1, 2.2, 2.3, 2.4, 2.5]
    frame = read(tmp_path, Host().run(times))
    assert frame["step"].to_list() == list(range(8))
    # Compilation and dispatch, dispatch, and the first step.
    assert frame["seconds"].to_list()[:3] == pytest.approx([40.01, 0.01, 9.0], abs=2e-3)
    assert frame["kind"].to_list()[:3] == ["masked"] * 3
    assert frame["seconds"].to_list()[3:] == pytest.approx(times[1:6], abs=2e-2)
    assert frame["kind"].to_list()[3:] == ["step"] * 5
    assert frame["tokens"].unique().to_list() == [32 * 2048]


@pytest.mark.parametrize(("evaluations", "saves"), [({6: 30.0}, NO_TIMES), (NO_TIMES, {6: 30.0})])
def test_an_evaluation_or_a_checkpoint_spoils_two_lines(
    tmp_path: Path, evaluations: Mapping[int, float], saves: Mapping[int, float]
) -> None:
    text = Host().run([2.0] * 12, evaluations=evaluations, saves=saves)
    frame = read(tmp_path, text)
    masked = frame.filter(kind="masked").select("step", "seconds", "note").rows()[3:]
    assert masked == [
        (7, pytest.approx(34.0, abs=0.1), "an evaluation or a checkpoint is in the time"),
        (8, pytest.approx(0.01, abs=1e-3), "dispatch only"),
    ]
    steps = frame.filter(kind="step")
    assert steps["step"].to_list() == [3, 4, 5, 6, 9, 10, 11]
    assert steps["seconds"].to_list() == pytest.approx([2.0] * 7, abs=2e-2)


def test_evaluations_and_checkpoints_have_rows_of_their_own(tmp_path: Path) -> None:
    text = Host().run([2.0] * 12, evaluations={6: 30.0}, saves={9: 1.0})
    frame = read(tmp_path, text)
    assert frame.filter(kind="evaluation").select("step", "seconds").rows() == [
        (6, pytest.approx(34.0, abs=0.1))
    ]
    assert "device was behind" in frame.filter(kind="evaluation")["note"][0]
    assert frame.filter(kind="checkpoint").select("step", "seconds").rows() == [(9, None)]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        ("Completed eval after train step 6,", "eval metrics after step: 6,"),
        ("Completed eval after train step 6,", "average loss after step=6: eval_step_count=1,"),
    ],
)
def test_earlier_versions_say_otherwise_that_they_evaluated(
    tmp_path: Path, now: str, before: str
) -> None:
    text = Host().run([2.0] * 12, evaluations={6: 30.0})
    kinds = read(tmp_path, text)["kind"].to_list()
    assert read(tmp_path, text.replace(now, before))["kind"].to_list() == kinds


def test_a_record_begins_three_lines_before_its_own(tmp_path: Path) -> None:
    frame = read(tmp_path, Host().run([2.0] * 8))
    start = frame["start"].to_list()
    assert start[:3] == [None, None, None]
    # 30 s of setup and 40 s of compilation come before the device has work for 2 s a step.
    assert start[3:] == pytest.approx([72.01 + 2 * n for n in range(5)], abs=0.05)


def test_two_restarts_are_found(tmp_path: Path) -> None:
    host = Host()
    host.run([2.0] * 10)
    host.now += 100
    host.run([2.0] * 10, first=10)
    host.now += 50
    frame = read(tmp_path, host.run([2.0] * 10, first=15))
    assert frame.filter(kind="restart").select("step", "seconds").rows() == [
        (10, pytest.approx(100.0)),
        (15, pytest.approx(50.0)),
    ]
    assert frame.filter(kind="masked")["step"].to_list() == [0, 1, 2, 10, 11, 12, 15, 16, 17]
    assert frame.filter(kind="step")["seconds"].to_list() == pytest.approx([2.0] * 21, abs=2e-2)


def test_logs_without_stamps_have_no_times_but_those_of_steps(tmp_path: Path) -> None:
    frame = read(tmp_path, Host(has_stamps=False).run([2.0] * 8))
    assert frame["start"].is_null().all()
    assert frame.filter(kind="step").height == 5


@pytest.mark.parametrize("has_stamps", [True, False])
def test_lines_of_another_host_are_masked(tmp_path: Path, has_stamps: bool) -> None:
    texts = [Host(prefix=f"{n}: ", has_stamps=has_stamps).run([2.0] * 8) for n in (0, 1)]
    pairs = zip(*(text.splitlines(keepends=True) for text in texts), strict=True)
    frame = read(tmp_path, "".join(line for pair in pairs for line in pair))
    assert frame.filter(kind="step")["step"].to_list() == [3, 4, 5, 6, 7]
    assert frame.filter(note="another process tells of the same steps").height == 8


def test_hosts_have_files_of_their_own(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"host{n}").write_text(Host().run([2.0] * 8))
    frame = hm.read_log(tmp_path)
    assert frame.filter(kind="step")["step"].to_list() == [3, 4, 5, 6, 7]


def test_damage_costs_no_more_than_the_lines_it_is_in(tmp_path: Path) -> None:
    lines = Host().run([2.0] * 8).splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if "completed step: 5" in line)
    at = lines[number].index("TFLOP")
    lines[number] = "\x00\xff" + lines[number][: at - 4] + "\r\n"
    frame = read(tmp_path, "".join(lines))
    assert frame.filter(kind="step")["step"].to_list() == [3, 4, 6, 7]
    assert frame.filter(kind="unread")["note"].to_list() == ["1 lines of log are damaged"]


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    host = Host()
    host.run([2.0] * 6, evaluations={3: 5.0})
    text = host.run([2.0] * 5, first=4, saves={4: 1.0})
    lengths = range(text.index("completed step: 2"), len(text))
    assert rows_missing_of_the_longest(tmp_path, text, lengths) == 1
