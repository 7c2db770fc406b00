"""Straggler reports of nvidia-resiliency-ext."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median

import polars as pl
import pytest

import hindmost as hm


def summary_of(times: Sequence[float]) -> str:
    return (
        f"{{Statistic.MIN: {min(times)}, Statistic.MAX: {max(times)},"
        f" Statistic.MED: {median(times)}, Statistic.AVG: {mean(times)}, Statistic.STD: nan,"
        f" Statistic.NUM: {len(times)}}}"
    )


def summaries_of(times: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{name!r}: {summary_of(each)}" for name, each in times.items())


def report_of(
    rank: int,
    sections: Mapping[str, Sequence[float]],
    kernels: Mapping[str, Sequence[float]] | None = None,
    *,
    score: float = 1.0,
) -> str:
    """Return what Python prints of a report of nvidia-resiliency-ext 0.4.1 on a rank."""
    return (
        f"Report(gpu_relative_perf_scores={{{rank}: {score}}},"
        f" section_relative_perf_scores={{'step': {{{rank}: {score}}}}},"
        f" gpu_individual_perf_scores={{{rank}: nan}}, section_individual_perf_scores={{}},"
        f" rank_to_node={{{rank}: 'node-{rank}'}},"
        f" local_section_summaries={{{summaries_of(sections)}}},"
        f" local_kernel_summaries={{{summaries_of(kernels or {})}}},"
        f" generate_report_elapsed_time=0.52, gather_on_rank0=False, rank={rank})\n"
    )


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


def test_averages_are_read_and_scores_are_not(tmp_path: Path) -> None:
    # Four of ten steps take 12 s: the median does not move, and the score stays 1.0.
    slow = 6 * [1000.0] + 4 * [12000.0]
    text = report_of(0, {"step": 10 * [1000.0]}) + report_of(1, {"step": slow})
    frame = read(tmp_path, text)
    assert frame.select("kind", "rank", "seconds", "steps").rows() == [
        ("compute", 0, 1.0, 10),
        ("compute", 1, pytest.approx(5.4), 10),
    ]
    assert frame["note"].unique().to_list() == ["host in section step"]


def test_kernels_tell_the_time_that_a_rank_computes(tmp_path: Path) -> None:
    # 5 steps with 4 kernels of 2,000 us and one of 500 us each.
    kernels = {"gemm<a, b>(int)_grid_1": 20 * [2000.0], "it's": 5 * [500.0]}
    frame = read(tmp_path, report_of(3, {"step": 5 * [40.0]}, kernels))
    assert frame.select("rank", "seconds", "steps", "note").rows() == [
        (3, pytest.approx(8.5e-3), 5, "kernels of the GPU in section step")
    ]


def test_with_several_sections_each_has_a_row(tmp_path: Path) -> None:
    sections = {"forward": [10.0, 12.0], "backward": [20.0, 24.0]}
    frame = read(tmp_path, report_of(0, sections, {"gemm": [5.0]}))
    assert frame.select("seconds", "note").rows() == [
        (0.011, "host in section forward"),
        (0.022, "host in section backward"),
    ]


def test_a_report_too_long_to_be_read_tells_its_sections(tmp_path: Path) -> None:
    kernels = {f"{'k' * 200}{n}": [1.0] for n in range(1000)}
    frame = read(tmp_path, report_of(7, {"step": [10.0]}, kernels))
    assert frame.select("rank", "seconds").rows() == [(7, 0.01)]


def test_scores_alone_are_refused(tmp_path: Path) -> None:
    text = (
        "GPU relative performance:\n  Rank=76 Node=h100-1 Score=0.94\n  Rank=3 Node=a Score=1.00\n"
    )
    with pytest.raises(hm.ScenarioError, match="must hold steps of resiliency"):
        read(tmp_path, text)
    frame = read(tmp_path, text + report_of(0, {"step": [10.0]}))
    assert frame.filter(kind="unread")["note"].to_list() == [
        "2 scores in log compare medians, and are no times"
    ]


@pytest.mark.parametrize("prefix", ["  0: ", "[rank0]:", "2026-01-02 03:04:05,6 INFO "])
def test_launchers_may_put_something_before_each_line(tmp_path: Path, prefix: str) -> None:
    text = report_of(0, {"step": [10.0]})
    assert read(tmp_path, prefix + text).equals(read(tmp_path, text))


def test_a_log_that_is_cut_anywhere_gives_the_rows_before_the_cut(tmp_path: Path) -> None:
    text = report_of(0, {"step": [10.0]}) + report_of(1, {"step": [12.0]}, {"gemm": [500.0]})
    rows = read(tmp_path, text).rows()
    last = 0
    for length in range(len(text)):
        # A cut within a line, which another process then goes on with.
        (tmp_path / "log").write_text(text[:length] + "\nTraceback:\n")
        try:
            frame = hm.read_log(tmp_path / "log").filter(kind="compute")
        except hm.ScenarioError:
            continue
        assert frame.rows()[:1] == rows[:1] or length < text.index("\n")
        last = frame.height
    assert last == len(rows)


@pytest.mark.parametrize("value", ["nan", "inf", "-1.0", "None", "1e999"])
def test_what_is_no_time_does_no_harm(tmp_path: Path, value: str) -> None:
    text = report_of(0, {"step": [10.0]})
    damaged = text.replace("Statistic.AVG: 10.0", f"Statistic.AVG: {value}")
    frame = read(tmp_path, damaged + text)
    assert frame.filter(kind="compute")["seconds"].to_list() == [0.01]
