"""Logs of torchtitan: step times from tokens a second, and what is mixed into them."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tests.cut_logs import rows_missing_of_the_longest

import hindmost as hm

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOCAL, SEQUENCE = 2, 2048
NO_TIMES: Mapping[int, float] = {}


class Printer:
    """What torchtitan prints, with a clock that starts at `BEGIN`."""

    def __init__(
        self, *, prefix: str = "[rank0]:", dp: int = 8, tp: int = 1, freq: int = 10
    ) -> None:
        self.text = ""
        self.now = 0.0
        self.prefix, self.dp, self.tp, self.freq = prefix, dp, tp, freq

    def say(self, message: str) -> None:
        time = BEGIN + timedelta(seconds=self.now)
        stamp = time.strftime("%Y-%m-%d %H:%M:%S,%f")[:-3]
        self.text += f"{self.prefix}[titan] {stamp} - root - INFO - {message}\n"

    def process(
        self,
        times: Sequence[float],
        *,
        after: int = 0,
        setup: float = 30.0,
        saves: Mapping[int, float] = NO_TIMES,
        validations: Mapping[int, float] = NO_TIMES,
    ) -> str:
        """Return all text so far, with that of a process whose steps take `times` at its end."""
        self.say(
            f"Building device mesh with parallelism: pp=1, dp_replicate=1, dp_shard={self.dp},"
            f" cp=1, tp={self.tp}, ep=1"
        )
        clock, tokens = self.now, 0
        self.say(
            f"Trainer is initialized with local batch size {LOCAL}, global batch size"
            f" {LOCAL * self.dp}, gradient accumulation steps 1, sequence length {SEQUENCE}, total"
            " steps 1000 (warmup 20)"
        )
        self.now += setup
        self.say(f"Training starts at step {after + 1}")
        for step, seconds in enumerate(times, start=after + 1):
            self.now += seconds
            tokens += LOCAL * SEQUENCE
            if step == 1 or step % self.freq == 0:
                tps = tokens / ((self.now - clock) * self.tp)
                self.say(
                    f"\x1b[31mstep: {step:2}  \x1b[32mloss:  5.00000  \x1b[38;2;180;60;0mgrad_norm:"
                    f"  1.2500  \x1b[38;2;54;234;195mmemory: 40.00GiB(50.00%)  \x1b[34mtps:"
                    f" {round(tps):,}  \x1b[36mtflops: 20.48  \x1b[35mmfu: 2.05%\x1b[39m"
                )
                clock, tokens = self.now, 0
            if step in saves:
                self.say("Saving the checkpoint.")
                self.now += saves[step]
                self.say(f"Finished saving the checkpoint in {saves[step]:.2f} seconds.")
            if step in validations:
                self.now += validations[step]
                self.say(
                    f"\x1b[33mvalidate step: {step:2}  \x1b[32mloss:  5.0000  memory: 40.00GiB"
                    "(50.00%)  \x1b[34mtps: 100\x1b[39m"
                )
                clock, tokens = self.now, 0
        return self.text


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


def test_a_step_takes_its_tokens_over_tokens_a_second_of_all_gpus(tmp_path: Path) -> None:
    # Step 1 is a line of one step, step 10 one of nine: a tenth of each interval is neither's time.
    text = Printer(dp=4, tp=2).process([20.0] + 9 * [2.0] + 10 * [4.0])
    assert "tps: 1,024" in text
    frame = read(tmp_path, text)
    assert frame.select("step", "kind", "seconds", "steps").rows()[1:] == [
        (10, "step", 2.0, 9),
        (20, "step", 4.0, 10),
    ]
    assert frame["tokens"].to_list() == 3 * [LOCAL * 4 * SEQUENCE]
    assert frame["rank"].unique().to_list() == [0]


def test_the_first_line_of_a_process_holds_its_begin(tmp_path: Path) -> None:
    frame = read(tmp_path, Printer().process([20.0] + 19 * [2.0]))
    first = frame.row(0, named=True)
    assert first["kind"] == "masked"
    assert first["note"] == "the begin of a process is in the mean"
    assert first["seconds"] == pytest.approx(50.0, rel=1e-2)


def test_two_restarts_are_found_though_no_number_falls_back(tmp_path: Path) -> None:
    printer = Printer()
    printer.process([20.0] + 29 * [2.0])
    printer.now += 100
    printer.process([20.0] + 19 * [2.0], after=20)
    printer.now += 50
    frame = read(tmp_path, printer.process([20.0] + 19 * [2.0], after=40))
    restarts = frame.filter(kind="restart")
    assert restarts["step"].to_list() == [30, 50]
    assert restarts["seconds"].to_list() == pytest.approx([100.0, 50.0], abs=0.2)
    assert frame.filter(kind="masked")["step"].to_list() == [1, 30, 50]
    assert frame.filter(kind="step")["seconds"].to_list() == 5 * [2.0]


def test_a_checkpoint_is_in_the_next_mean_and_masks_it(tmp_path: Path) -> None:
    frame = read(tmp_path, Printer().process([20.0] + 39 * [2.0], saves={20: 7.0}))
    assert frame.select("step", "kind", "seconds").rows()[2:] == [
        (20, "step", 2.0),
        (20, "checkpoint", 7.0),
        (30, "masked", pytest.approx(2.7, rel=1e-3)),
        (40, "step", 2.0),
    ]


def test_earlier_versions_have_no_space_before_the_seconds_of_a_checkpoint(tmp_path: Path) -> None:
    text = Printer().process([20.0] + 39 * [2.0], saves={20: 7.0})
    old = text.replace("checkpoint in", "checkpoint (or staging if async is enabled)in")
    mesh = "parallelism: pp=1, dp_replicate=1, dp_shard=8, cp=1, tp=1, ep=1"
    old = old.replace("Building device", "Building 1-D device").replace(mesh, "['dp_shard'], [8]")
    assert read(tmp_path, old).equals(read(tmp_path, text))


def test_a_validation_starts_the_clock_anew(tmp_path: Path) -> None:
    times = [20.0] + 14 * [2.0] + 5 * [4.0] + 10 * [2.0]
    frame = read(tmp_path, Printer().process(times, validations={15: 9.0, 20: 8.0}))
    assert frame.select("step", "kind", "seconds", "steps").rows()[2:] == [
        (15, "evaluation", None, 1),
        (20, "step", 4.0, 5),
        (20, "evaluation", 8.0, 1),
        (30, "step", 2.0, 10),
    ]


def test_time_stamps_tell_the_time_where_tokens_a_second_are_few(tmp_path: Path) -> None:
    text = Printer(dp=1, tp=512).process([600.0] + 9 * [33.0] + 10 * [30.0])
    assert "tps: 0  " in text
    frame = read(tmp_path, text)
    assert frame.filter(kind="step")["seconds"].to_list() == [33.0, 30.0]
    assert frame["note"][0] == "no positive number of seconds"


def test_time_stamps_tell_the_time_where_sizes_are_unknown(tmp_path: Path) -> None:
    lines = Printer().process([20.0] + 19 * [2.0]).splitlines(keepends=True)
    frame = read(tmp_path, "".join(lines[2:]))
    assert frame.filter(kind="step")["seconds"].to_list() == [2.0, 2.0]
    assert frame["tokens"].is_null().all()


def test_ranks_have_rows_of_their_own(tmp_path: Path) -> None:
    texts = [Printer(prefix=f"[rank{n}]:").process([20.0] + 19 * [2.0]) for n in (0, 1)]
    pairs = zip(*(text.splitlines(keepends=True) for text in texts), strict=True)
    frame = read(tmp_path, "".join(line for pair in pairs for line in pair))
    assert frame.filter(kind="step").select("rank", "step").rows() == [
        (0, 10),
        (1, 10),
        (0, 20),
        (1, 20),
    ]


def test_the_same_rank_of_another_node_is_masked(tmp_path: Path) -> None:
    for node in range(2):
        (tmp_path / f"node{node}").write_text(Printer().process([20.0] + 19 * [2.0]))
    frame = hm.read_log(tmp_path)
    assert frame.filter(kind="step").select("rank", "step").rows() == [(0, 10), (0, 20)]


def test_files_of_one_time_are_of_ranks_and_others_of_restarts(tmp_path: Path) -> None:
    printer = Printer(prefix="")
    (tmp_path / "b").write_text(printer.process([20.0] + 19 * [2.0]))
    (tmp_path / "c").write_text(printer.text)
    printer.text, printer.now = "", printer.now + 100
    (tmp_path / "a").write_text(printer.process([20.0] + 19 * [2.0], after=20))
    frame = hm.read_log(tmp_path)
    assert frame.filter(kind="step")["step"].to_list() == [10, 20, 40]
    assert frame.filter(kind="restart")["step"].to_list() == [30]
    others = frame.filter(note="another process tells of the same steps")
    assert others["step"].to_list() == [1, 10, 20]


@pytest.mark.parametrize("prefix", ["", "  0: ", "0: [rank0]:", "2026-01-02T03:04:09.1Z stdout F "])
def test_launchers_may_put_something_before_each_line(tmp_path: Path, prefix: str) -> None:
    frame = read(tmp_path, Printer(prefix=prefix).process([20.0] + 19 * [2.0]))
    assert frame.filter(kind="step").select("rank", "seconds").rows() == 2 * [(None, 2.0)]


def test_lines_of_others_about_checkpoints_are_none_of_its_own(tmp_path: Path) -> None:
    text = Printer(prefix="").process([20.0] + 19 * [2.0])
    other = "a hook: Finished saving the checkpoint in 3.00 seconds\n"
    lines = text.splitlines(keepends=True)
    assert read(tmp_path, other + other.join(lines)).equals(read(tmp_path, text))


def test_color_is_no_part_of_a_number(tmp_path: Path) -> None:
    text = Printer().process([20.0] + 19 * [2.0])
    plain = text
    for part in text.split("\x1b")[1:]:
        plain = plain.replace("\x1b" + part[: part.index("m") + 1], "")
    assert "\x1b" not in plain
    assert read(tmp_path, plain).equals(read(tmp_path, text))


def test_damage_costs_no_more_than_the_lines_it_is_in(tmp_path: Path) -> None:
    lines = Printer().process([20.0] + 39 * [2.0]).splitlines(keepends=True)
    lines[4] = "\x00\xff" + lines[4].replace("\n", "\r\n")
    lines[5] = lines[5].replace("tps: 2,048", "tps: n/a")
    frame = read(tmp_path, "".join(lines))
    assert frame.filter(kind="step").select("step", "seconds", "steps").rows() == [
        (10, 2.0, 9),
        (30, 2.0, 20),
        (40, 2.0, 10),
    ]
    assert frame.filter(kind="unread")["note"].to_list() == ["1 lines of log are damaged"]


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    printer = Printer()
    printer.process([20.0] + 19 * [2.0], saves={10: 3.0}, validations={20: 5.0})
    text = printer.process([20.0] + 9 * [2.0], after=10)
    lengths = range(text.index("step:  1"), len(text))
    assert rows_missing_of_the_longest(tmp_path, text, lengths) == 2


def test_a_compressed_log_reads_as_a_plain_one(tmp_path: Path) -> None:
    text = Printer().process([20.0] + 19 * [2.0])
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert hm.read_log(path).equals(read(tmp_path, text))
