"""Logs of Megatron-LM: what its lines mean, by version."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import hindmost as hm

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ARGUMENTS = """\
------------------------ arguments ------------------------
  log_interval .................................... 10
  seq_length ...................................... 4096
-------------------- end of arguments ---------------------
"""


def stamp_of(seconds: float, *, core: int) -> str:
    time = (BEGIN + timedelta(seconds=seconds)).strftime("%Y-%m-%d %H:%M:%S.%f")
    return time if core >= 16 else time[:-7]


def line_of(
    step: int,
    mean_s: float,
    *,
    at: float = 0.0,
    core: int = 19,
    skipped: int = 0,
    loss: str = "5.0E+00",
) -> str:
    """Return a line as megatron-core 0.`core` prints it; without a stamp before 0.7."""
    stamp = f" [{stamp_of(at, core=core)}]" if core >= 7 else ""
    return (
        f"{stamp} iteration {step:8d}/   50000 | consumed samples: {512 * step:12d} |"
        f" elapsed time per iteration (ms): {1000 * mean_s:.1f} | learning rate: 1.0E-04 |"
        f" global batch size: {512:5d} | lm loss: {loss} | loss scale: 1.0 | grad norm: 1.500 |"
        f" number of skipped iterations: {skipped:3d} | number of nan iterations:   0 |\n"
    )


def process_of(
    times: Sequence[float], *, after: int = 0, at: float = 0.0, interval: int = 10, core: int = 19
) -> str:
    """Return what a process prints whose iterations take `times`, from `at` on."""
    text = f"[before the start of training step] datetime: {stamp_of(at, core=core)} \n"
    held: list[float] = []
    for step, seconds in enumerate(times, start=after + 1):
        at += seconds
        held.append(seconds)
        is_first = core >= 16 and step == after + 1
        if is_first or step % interval == 0:
            text += line_of(step, sum(held) / len(held), at=at, core=core)
            if not is_first:
                held = []
    return text


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def read(path: Path, text: str) -> pl.DataFrame:
    return hm.read_log(written(path / "log", text))


def test_the_first_iteration_is_masked_and_taken_out_of_the_next_mean(tmp_path: Path) -> None:
    times = [60.0] + 9 * [5.0] + 10 * [5.2]
    text = process_of(times)
    assert "elapsed time per iteration (ms): 10500.0" in text
    frame = read(tmp_path, ARGUMENTS + text)
    assert frame.select("step", "kind", "seconds", "steps", "start").rows() == [
        (1, "masked", 60.0, 1, 0.0),
        (10, "step", 5.0, 9, 60.0),
        (20, "step", 5.2, 10, pytest.approx(105.0)),
    ]
    assert frame["note"].to_list() == [
        "first iteration of a process",
        "the first iteration is taken out of the mean",
        None,
    ]
    assert frame["tokens"].to_list() == 3 * [512 * 4096]


def test_all_seconds_of_a_process_are_in_the_frame_once(tmp_path: Path) -> None:
    times = [31.0] + [1 + 0.01 * n for n in range(59)]
    frame = read(tmp_path, process_of(times))
    assert (frame["seconds"] * frame["steps"]).sum() == pytest.approx(sum(times), abs=1e-2)
    assert frame["steps"].sum() == len(times)


def test_a_line_each_iteration_holds_the_first_one_in_the_second_only(tmp_path: Path) -> None:
    frame = read(tmp_path, process_of([60.0, 5.0, 5.1, 5.2], interval=1))
    assert frame.filter(kind="step").select("step", "seconds").rows() == [
        (2, pytest.approx(5.0)),
        (3, pytest.approx(5.1)),
        (4, pytest.approx(5.2)),
    ]


@pytest.mark.parametrize("core", [5, 8, 15])
def test_before_core_16_the_first_line_is_masked_and_the_next_one_taken_as_it_is(
    tmp_path: Path, core: int
) -> None:
    frame = read(tmp_path, process_of([60.0] + 19 * [5.0], core=core))
    assert frame.select("step", "kind", "seconds").rows() == [
        (10, "masked", 10.5),
        (20, "step", 5.0),
    ]
    assert frame["note"][0] == "the first iteration of a process is in the mean"
    assert frame["start"].is_null().all() == (core < 7)


def test_two_restarts_are_found_with_the_time_they_cost(tmp_path: Path) -> None:
    first = process_of([60.0] + 29 * [5.0])
    second = process_of([50.0] + 19 * [5.0], after=20, at=300.0)
    third = process_of([50.0] + 19 * [5.0], after=40, at=500.0)
    frame = read(tmp_path, first + second + third)
    assert frame.filter(kind="restart").select("step", "start", "seconds").rows() == [
        (21, 205.0, pytest.approx(95.0)),
        (41, 445.0, pytest.approx(55.0)),
    ]
    assert frame.filter(kind="step")["seconds"].unique().to_list() == [5.0]
    assert frame.filter(kind="masked")["step"].to_list() == [1, 21, 41]


def test_a_restart_is_told_without_what_a_process_prints_first(tmp_path: Path) -> None:
    # The last rank prints the iterations, and the first one when a process begins.
    text = process_of([60.0] + 39 * [5.0]) + process_of([50.0] + 19 * [5.0], after=20, at=400.0)
    text += process_of([50.0] + 19 * [5.0], after=40, at=600.0)
    lines = text.splitlines(keepends=True)
    frame = read(tmp_path, "".join(line for line in lines if "before the start" not in line))
    assert frame.filter(kind="masked")["step"].to_list() == [1, 21, 41]
    assert frame.filter(kind="step")["seconds"].unique().to_list() == [5.0]


def test_a_log_that_begins_amid_a_process_loses_its_first_two_lines(tmp_path: Path) -> None:
    lines = process_of([60.0] + 49 * [5.0]).splitlines(keepends=True)
    frame = read(tmp_path, "".join(lines[2:]))
    assert frame.select("step", "kind").rows() == [
        (10, "masked"),
        (20, "masked"),
        (30, "step"),
        (40, "step"),
        (50, "step"),
    ]


def test_a_missing_line_does_not_stretch_the_next_one(tmp_path: Path) -> None:
    lines = process_of([60.0] + 49 * [5.0]).splitlines(keepends=True)
    frame = read(tmp_path, ARGUMENTS + "".join(lines[:2] + lines[3:4] + lines[5:]))
    assert frame.filter(kind="step").select("step", "seconds", "steps").rows() == [
        (20, 5.0, 10),
        (40, 5.0, 10),
        (50, 5.0, 10),
    ]


def test_skipped_iterations_mask_a_mean(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0]) + line_of(30, 4.5, at=200.0, skipped=2)
    frame = read(tmp_path, text)
    last = frame.row(-1, named=True)
    assert (last["kind"], last["note"]) == ("masked", "skipped iterations are in the mean")


TIMERS = """\
saving checkpoint at iteration      20 to /ckpt in torch_dist format
  successfully saved checkpoint from iteration      20 to /ckpt
(min, max) time across ranks (ms):
    save-checkpoint ................................: (11997.10, 12000.50)
(min, max) time across ranks (ms):
    evaluate .......................................: (29997.10, 30000.00)
-----------------------------------------
 validation loss at iteration 20 | lm loss value: 5.0E+00 | lm loss PPL: 1.4E+02 |
-----------------------------------------
"""


def test_evaluations_and_checkpoints_have_rows_of_their_own(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0]) + TIMERS + line_of(30, 5.0, at=250.0)
    frame = read(tmp_path, text)
    assert frame.select("kind", "step", "seconds").rows()[-3:] == [
        ("checkpoint", 20, 12.0005),
        ("evaluation", 20, 30.0),
        ("step", 30, 5.0),
    ]


def test_without_timers_they_have_no_seconds(tmp_path: Path) -> None:
    lines = [line for line in TIMERS.splitlines(keepends=True) if "...." not in line]
    text = process_of([60.0] + 19 * [5.0]) + "".join(lines) + line_of(30, 5.0, at=250.0)
    frame = read(tmp_path, text)
    assert sorted(frame.select("kind", "step", "seconds").rows()[-3:-1]) == [
        ("checkpoint", 20, None),
        ("evaluation", 20, None),
    ]


def test_lines_without_stamps_may_hold_them(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0], core=5) + TIMERS + line_of(30, 9.2, core=5)
    text += line_of(40, 5.0, core=5)
    frame = read(tmp_path, text)
    assert frame.select("kind", "step").rows()[-2:] == [("masked", 30), ("step", 40)]
    assert frame["note"][-2] == "an evaluation or a checkpoint may be in the mean"


@pytest.mark.parametrize("prefix", ["  7: ", "[rank7]:", "2026-01-02T03:04:09.1Z stdout F "])
def test_launchers_may_put_something_before_each_line(tmp_path: Path, prefix: str) -> None:
    text = ARGUMENTS + process_of([60.0] + 19 * [5.0]) + TIMERS + line_of(30, 5.0, at=250.0)
    prefixed = "".join(prefix + line for line in text.splitlines(keepends=True))
    assert read(tmp_path, prefixed).equals(read(tmp_path, text))


def test_forks_may_print_seconds(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0], core=5)
    seconds = text.replace("(ms): 10500.0", "(s): 10.50").replace("(ms): 5000.0", "(s): 5.00")
    assert "(s): 5.00 |" in seconds
    assert read(tmp_path, seconds).equals(read(tmp_path, text))


@pytest.mark.parametrize("core", [5, 8, 19])
def test_lines_of_another_rank_are_masked(tmp_path: Path, core: int) -> None:
    first, *lines = process_of([60.0] + 39 * [5.0], core=core).splitlines(keepends=True)
    frame = read(tmp_path, first + "".join(line + "[rank1]:" + line for line in lines))
    others = frame.filter(note="another process tells of the same iteration")
    assert others.height == len(lines)
    assert frame.filter(kind="restart").is_empty()
    assert frame.filter(kind="step")["seconds"].unique().to_list() == [5.0]


def test_files_of_ranks_are_one_log(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0])
    first, *rest = text.splitlines(keepends=True)
    written(tmp_path / "rank_7.log", "".join(rest))
    written(tmp_path / "rank_0.log", ARGUMENTS + first)
    frame = hm.read_log(tmp_path)
    assert frame["seconds"].to_list() == [60.0, 5.0, 5.0]
    assert frame["tokens"].to_list() == 3 * [512 * 4096]


def test_files_of_jobs_follow_each_other_by_time(tmp_path: Path) -> None:
    written(tmp_path / "slurm-9.out", process_of([60.0] + 19 * [5.0]))
    written(tmp_path / "slurm-10.out", process_of([60.0] + 19 * [5.0], after=20, at=200.0))
    frame = hm.read_log(tmp_path)
    assert frame["step"].to_list() == [1, 10, 20, 21, 21, 30, 40]
    assert frame.filter(kind="restart")["seconds"].to_list() == pytest.approx([45.0])


def test_damage_costs_no_more_than_the_lines_it_is_in(tmp_path: Path) -> None:
    begin = process_of([60.0] + 19 * [5.0])
    whole = line_of(30, 5.1, at=200.0, loss="nan") + line_of(40, 5.2, at=250.0)
    killed = line_of(50, 5.3, at=300.0)
    # From the end of the time on the killed line is one of iterations itself.
    for length in range(killed.index(" | learning rate")):
        text = begin + "\x00\x1b[31m\xff\r\n" + killed[:length] + whole
        frame = read(tmp_path, text).filter(pl.col("kind") != "unread")
        assert frame.filter(pl.col("step").is_in([30, 40]))["seconds"].to_list() == [5.1, 5.2]
    cut = read(tmp_path, begin + line_of(30, 5.0)[:80] + "\n" + line_of(40, 5.2)[50:])
    assert cut.filter(kind="unread")["note"].to_list() == ["1 lines of log are damaged"]


@pytest.mark.parametrize("mean", ["nan", "inf", "-5.0", "0.0", "1e+400"])
def test_what_is_no_time_is_masked(tmp_path: Path, mean: str) -> None:
    text = process_of([60.0] + 19 * [5.0]) + line_of(30, 5.0).replace("5000.0", mean)
    assert read(tmp_path, text)["note"][-1] == "no positive number of seconds"


def test_numbers_too_large_to_be_true_do_no_harm(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0]) + line_of(10**30, 5.0).replace("  512", "9" * 40)
    assert read(tmp_path, text).filter(kind="step").height == 2


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0]) + TIMERS
    text += process_of([50.0] + 9 * [5.0], after=20, at=300.0)
    rows = read(tmp_path, text).rows()
    path = tmp_path / "log"
    n_rows = []
    for length in range(len(text)):
        path.write_text(text[:length])
        try:
            frame = hm.read_log(path).filter(pl.col("kind") != "unread")
        except hm.ScenarioError:
            continue
        assert frame.rows() == rows[: frame.height]
        n_rows.append(frame.height)
    assert n_rows == sorted(n_rows)
    assert n_rows[0] == 2
    assert n_rows[-1] == len(rows) - 1


def test_a_compressed_log_reads_as_a_plain_one(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0])
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert hm.read_log(path).equals(read(tmp_path, text))
