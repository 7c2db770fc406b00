"""Logs of NeMo: what its lines are the means of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from tests.cut_logs import rows_missing_of_the_longest

import hindmost as hm

BEGIN = "[NeMo I 2026-01-02 03:04:05 nemo_logger:145] Experiments will be logged at /results\n"


def process_of(times: Sequence[float], *, after: int = 0, interval: int = 10) -> str:
    """Return what a process prints, as the progress printer of NeMo 2.7.3 does."""
    text, total = BEGIN, 0.0
    for n, seconds in enumerate(times, start=after + 1):
        total += seconds
        if n % interval == 0:
            text += (
                f"Training epoch 0, iteration {n - 1}/99 | lr: 1e-05 | global_batch_size: 512 |"
                f" global_step: {n - 1} | reduced_train_loss: 10.3 |"
                f" train_step_timing in s: {total / interval:.4} | consumed_samples: 512\n"
            )
            total = 0.0
    return text


def bar_of(times: Sequence[float]) -> str:
    return BEGIN + "".join(
        f"\rEpoch 0: :  {n}%|█| {n}/99 [00:05<00:05, 0.2it/s, v_num=1, reduced_train_loss=10.3,"
        f" global_step={n:.3f}, consumed_samples=512.0, train_step_timing in s={seconds:.3f}]"
        for n, seconds in enumerate(times)
        for _ in range(3)
    )


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


def test_a_line_is_the_mean_since_the_line_before(tmp_path: Path) -> None:
    frame = read(tmp_path, process_of([60.0] + 19 * [5.0] + 10 * [5.5]))
    assert frame.select("step", "kind", "seconds").rows() == [
        (9, "masked", 10.5),
        (19, "step", 5.0),
        (29, "step", 5.5),
    ]
    assert frame["steps"].to_list()[1:] == [10, 10]
    assert frame["note"][0] == "the first iteration of a process is in the mean"


def test_a_process_that_goes_on_amid_an_interval_prints_less_than_a_mean(tmp_path: Path) -> None:
    first, second = process_of([60.0] + 29 * [5.0]), process_of([9.0] + 14 * [5.0], after=25)
    third = process_of(15 * [5.0], after=45)
    assert "train_step_timing in s: 2.9 |" in second
    frame = read(tmp_path, first + second + third)
    assert frame.filter(kind="step")["seconds"].unique().to_list() == [5.0]
    assert frame.filter(kind="masked")["step"].to_list() == [9, 29, 49]
    assert frame.filter(kind="restart")["step"].to_list() == [29, 49]


def test_a_progress_bar_shows_each_step_many_times(tmp_path: Path) -> None:
    frame = read(tmp_path, bar_of([60.0, 5.0, 5.1, 5.2]) + "\n")
    assert frame.filter(kind="step").select("step", "seconds").rows() == [
        (1, 5.0),
        (2, 5.1),
        (3, 5.2),
    ]


def test_an_evaluation_has_one_row(tmp_path: Path) -> None:
    validation = "".join(f"Validation: iteration {n}/32\n" for n in range(1, 33))
    text = process_of([60.0] + 19 * [5.0]) + validation
    text += process_of(10 * [5.0], after=20).removeprefix(BEGIN) + validation
    frame = read(tmp_path, text)
    assert frame.filter(kind="evaluation").select("step", "seconds").rows() == [
        (19, None),
        (29, None),
    ]


@pytest.mark.parametrize("value", ["nan", "inf", "0", "-5.0", "1.2e+400"])
def test_what_is_no_time_is_masked(tmp_path: Path, value: str) -> None:
    text = process_of([60.0] + 29 * [5.0])
    at = text.rindex("5.0")
    frame = read(tmp_path, text[:at] + value + text[at + 3 :])
    assert frame["note"].to_list()[-1] == "no positive number of seconds"


@pytest.mark.parametrize("prefix", ["  0: ", "[rank0]:", "2026-01-02T03:04:09.1Z stdout F "])
def test_launchers_may_put_something_before_each_line(tmp_path: Path, prefix: str) -> None:
    text = process_of([60.0] + 19 * [5.0])
    prefixed = "".join(prefix + line for line in text.splitlines(keepends=True))
    assert read(tmp_path, prefixed).equals(read(tmp_path, text))


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    text = process_of([60.0] + 19 * [5.0]) + process_of(20 * [5.0], after=20)
    assert rows_missing_of_the_longest(tmp_path, text, range(len(text))) == 1
