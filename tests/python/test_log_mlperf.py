"""MLPerf Training logs: what each round puts into its records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.cut_logs import rows_missing_of_the_longest

import hindmost as hm

BEGIN_MS = 1_759_832_646_000
BATCH, SEQUENCE = 1152, 8192
FIRST_TWO = "one of the first two records of a run"
AFTER = "first record after an evaluation"
OF_BLOCK = "mean of a block whose steps have records of their own"


class Logger:
    """What a submission logs, with a clock in seconds."""

    def __init__(self) -> None:
        self.text = ""
        self.now = 0.0

    def log(self, key: str, value: Any = None, **metadata: Any) -> None:
        record = {
            "namespace": "",
            "time_ms": BEGIN_MS + round(1000 * self.now),
            "event_type": "POINT_IN_TIME",
            "key": key,
            "value": value,
            "metadata": {"file": "callbacks.py", "lineno": 1, **metadata},
        }
        self.text += f":::MLLOG {json.dumps(record)}\n"

    def begin(self) -> None:
        self.log("cache_clear", True)
        self.log("global_batch_size", BATCH)
        self.log("max_sequence_length", SEQUENCE)
        self.now += 300
        self.log("run_start")


def run_of(style: str, blocks: Sequence[Sequence[float]], *, validation_s: float = 20.0) -> str:
    """Return the log of a run of blocks of steps that take given times, each with an evaluation."""
    logger = Logger()
    logger.begin()
    add_run(logger, style, blocks, validation_s=validation_s)
    return logger.text


def add_run(
    logger: Logger, style: str, blocks: Sequence[Sequence[float]], *, validation_s: float = 20.0
) -> None:
    step = 0
    for times in blocks:
        samples, size = step * BATCH, len(times) * BATCH
        begin: Mapping[str, Any] = {
            "tokens": {"first_epoch_num": samples * SEQUENCE, "epoch_count": size * SEQUENCE},
            "samples": {"samples_count": samples},
            "iterations": {"samples_count": size, "step": step},
        }[style]
        logger.log("block_start", **begin)
        for seconds in times:
            step += 1
            logger.now += seconds
            samples = step * BATCH
            if style == "tokens":
                value = {"train_step_timing in s": seconds}
                logger.log("tracked_stats", value, step=samples * SEQUENCE)
            elif style == "samples":
                value = {"train_step_time": seconds, "reduced_train_loss": 5.5}
                logger.log("tracked_stats", value, step=float(samples))
            else:
                value = {"train_step_time": seconds, "reduced_train_loss": 5.5}
                logger.log("tracked_stats", value, step=step - 1.0, samples_count=float(samples))
        mean = {"train_step_time": sum(times) / len(times)}
        if style == "samples":
            logger.log("tracked_stats", {"throughput": 90.0, **mean}, step=samples - size)
        elif style == "iterations":
            logger.log("tracked_stats", mean, samples_count=size)
        end = {**begin, "step": step} if style == "iterations" else begin
        logger.log("block_stop", **end)
        logger.log("eval_start", samples_count=samples)
        for n in range(3):
            logger.now += validation_s / 3
            logger.log("tracked_stats", {"validation_step_time": validation_s / 3}, step=n)
        # Some submissions time an evaluation under the key of the steps.
        logger.log("tracked_stats", {"train_step_time": validation_s}, step=samples)
        logger.log("eval_stop", samples_count=samples)


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


BLOCKS = [[14.0, 13.5, 13.1, 13.2], [13.3, 13.1, 13.2]]


@pytest.mark.parametrize(("style", "first"), [("tokens", 1), ("samples", 1), ("iterations", 0)])
def test_records_of_blocks_and_evaluations_are_told_from_those_of_steps(
    tmp_path: Path, style: str, first: int
) -> None:
    frame = read(tmp_path, run_of(style, BLOCKS)).filter(pl.col("kind").is_in(["step", "masked"]))
    of_block = frame.filter(note=OF_BLOCK)
    assert of_block.height == (0 if style == "tokens" else 2)
    of_steps = frame.filter(pl.col("note").is_null() | (pl.col("note") != OF_BLOCK))
    assert of_steps["step"].to_list() == list(range(first, first + 7))
    assert of_steps["seconds"].to_list() == [*BLOCKS[0], *BLOCKS[1]]
    assert of_steps["note"].to_list() == [FIRST_TWO, FIRST_TWO, None, None, AFTER, None, None]
    assert of_steps["steps"].unique().to_list() == [1]
    assert of_steps["tokens"].unique().to_list() == [BATCH * SEQUENCE]


def test_records_may_be_means_of_several_steps(tmp_path: Path) -> None:
    logger = Logger()
    logger.begin()
    logger.log("block_start", samples_count=128 * BATCH, step=0)
    for n in range(4):
        logger.now += 32 * 0.085
        value = {"train_step_time": 0.085, "reduced_train_loss": 5.0}
        done = 32 * (n + 1)
        logger.log("tracked_stats", value, step=done - 1.0, samples_count=float(done * BATCH))
    frame = read(tmp_path, logger.text)
    assert frame.filter(kind="step").select("step", "steps").rows() == [(95, 32), (127, 32)]
    assert frame["start"].to_list() == pytest.approx([300.0, 302.72, 305.44, 308.16], abs=2e-3)


def test_without_records_of_steps_those_of_blocks_count(tmp_path: Path) -> None:
    logger = Logger()
    logger.begin()
    for n in range(3):
        logger.log("block_start", samples_count=48 * BATCH, step=48 * n)
        logger.now += 48 * 0.2
        logger.log("tracked_stats", {"train_step_time": 0.19}, samples_count=48 * BATCH)
        logger.log("block_stop", samples_count=48 * BATCH, step=48 * (n + 1))
        logger.log("eval_start")
        logger.log("eval_stop", step=48 * (n + 1))
    frame = read(tmp_path, logger.text)
    assert frame.filter(kind="step").select("step", "seconds", "steps").rows() == [
        (96, 0.19, 48),
        (144, 0.19, 48),
    ]
    assert frame.filter(kind="masked")["note"].to_list() == ["the begin of a run is in the mean"]


@pytest.mark.parametrize("has_evaluation", [True, False])
def test_blocks_are_timed_by_their_begin_and_end_if_no_evaluation_is_in_them(
    tmp_path: Path, has_evaluation: bool
) -> None:
    logger = Logger()
    logger.begin()
    for n in range(3):
        logger.log("block_start", samples_count=10 * n * BATCH)
        logger.now += 40.0
        logger.log("tracked_stats", {"throughput": 288.0}, step=10 * (n + 1) * BATCH)
        logger.log("block_stop", samples_count=10 * (n + 1) * BATCH)
        if has_evaluation:
            logger.log("eval_start")
        logger.log("eval_accuracy", 5.5, samples_count=10 * (n + 1) * BATCH)
        if has_evaluation:
            logger.log("eval_stop")
    if has_evaluation:
        frame = read(tmp_path, logger.text)
        assert frame.filter(kind="step").select("step", "seconds", "steps").rows() == [
            (20, 4.0, 10),
            (30, 4.0, 10),
        ]
    else:
        with pytest.raises(hm.ScenarioError, match="must hold steps of mlperf"):
            read(tmp_path, logger.text)


def test_evaluations_have_rows_of_their_own(tmp_path: Path) -> None:
    frame = read(tmp_path, run_of("samples", BLOCKS, validation_s=21.0))
    assert frame.filter(kind="evaluation").select("step", "seconds").rows() == [
        (4, pytest.approx(21.0)),
        (7, pytest.approx(21.0)),
    ]


def test_a_run_that_begins_anew_is_a_restart(tmp_path: Path) -> None:
    logger = Logger()
    logger.begin()
    add_run(logger, "iterations", BLOCKS)
    for _ in range(2):
        logger.now += 60
        logger.log("run_start")
        add_run(logger, "iterations", BLOCKS)
    frame = read(tmp_path, logger.text)
    assert frame.filter(kind="restart")["seconds"].to_list() == [60.0, 60.0]
    assert frame.filter(note=FIRST_TWO).height == 6


def test_files_of_a_folder_are_runs(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"result_{n}.txt").write_text(run_of("iterations", BLOCKS))
    frame = hm.read_log(tmp_path)
    assert frame.filter(kind="restart").select("seconds", "note").rows() == [(None, "another run")]
    assert frame.filter(kind="step").height == 8


def test_all_processes_may_say_that_the_run_starts(tmp_path: Path) -> None:
    text = run_of("iterations", BLOCKS)
    start = next(line for line in text.splitlines(keepends=True) if "run_start" in line)
    assert read(tmp_path, text.replace(start, 8 * start)).equals(read(tmp_path, text))


@pytest.mark.parametrize("prefix", ["  0: ", "[rank0]:", "2026-01-02T03:04:09.1Z stdout F "])
def test_launchers_may_put_something_before_each_line(tmp_path: Path, prefix: str) -> None:
    text = run_of("iterations", BLOCKS)
    prefixed = "".join(prefix + line for line in text.splitlines(keepends=True))
    assert read(tmp_path, prefixed).equals(read(tmp_path, text))


def test_damage_costs_no_more_than_the_lines_it_is_in(tmp_path: Path) -> None:
    lines = run_of("iterations", BLOCKS).splitlines(keepends=True)
    number = next(n for n, line in enumerate(lines) if '"step": 3.0' in line)
    lines[number] = lines[number][:150] + "\x00\xff\r\n"
    frame = read(tmp_path, "".join(lines))
    assert frame.filter(kind="step")["step"].to_list() == [2, 5, 6]
    assert frame.filter(kind="unread")["note"].to_list() == ["1 lines of log are damaged"]


@pytest.mark.parametrize(
    "value",
    ['"fast"', "NaN", "-1e999", "null", "[1]", "{}", "true", "9" * 400],
)
@pytest.mark.parametrize("field", ["train_step_time", "step", "time_ms", "samples_count", "key"])
def test_no_value_of_a_field_does_harm(tmp_path: Path, field: str, value: str) -> None:
    lines = run_of("iterations", BLOCKS).splitlines(keepends=True)
    for number in range(5, len(lines), 3):
        record = json.loads(lines[number].partition(" ")[2])
        for holder in (record, record["metadata"], record["value"]):
            if isinstance(holder, dict) and field in holder:
                holder[field] = "VALUE"
        lines[number] = ":::MLLOG " + json.dumps(record).replace('"VALUE"', value) + "\n"
    with suppress(hm.ScenarioError):
        read(tmp_path, "".join(lines))


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    text = run_of("samples", BLOCKS)
    assert rows_missing_of_the_longest(tmp_path, text, range(0, len(text), 3)) == 1


def test_a_compressed_log_reads_as_a_plain_one(tmp_path: Path) -> None:
    text = run_of("iterations", BLOCKS)
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert hm.read_log(path).equals(read(tmp_path, text))
