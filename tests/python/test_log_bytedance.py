"""Jobs of ByteDance's StragglerAnalysis: steps and what they consist of, on every rank."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm
from hindmost.logs import bytedance

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "traces"
needs_traces = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the traces of StragglerAnalysis are not in ../shared/data/traces"
)

OPERATIONS = [
    # rank, step, optype, start_ts, duration, stage, seq_id
    (0, 7, "params-all-gather", 0.0, 2.0, 0, 0),
    (0, 7, "forward-compute", 1.0, 4.0, 0, 0),
    (0, 7, "forward-send", 6.0, 1.0, 0, 0),
    (0, 7, "forward-send", 6.5, 1.0, 0, 1),
    (4, 7, "params-all-gather", 1.5, 0.5, 0, 0),
    (4, 7, "optimizer", 4.0, 6.0, 0, 0),
    (0, 9, "forward-compute", 0.5, 1.0, 0, 0),
]
"""Rank 0 computes 4 s, hides 1 s, exposes 1 + 1.5 s and idles 3.5 s of the 10 s of step 7."""


def written(path: Path, rows: list[tuple[Any, ...]]) -> Path:
    pl.DataFrame(rows, schema=list(bytedance.COLUMNS), orient="row").write_parquet(path)
    return path


def test_a_step_is_that_of_all_ranks_and_consists_of_shares(tmp_path: Path) -> None:
    frame = hm.read_log(written(tmp_path / "trace", OPERATIONS))
    assert frame.filter(kind="step").select("rank", "step", "seconds").rows() == [
        (None, 7, 10.0),
        (None, 9, 1.0),
    ]
    of_rank = dict(frame.filter(rank=0, step=7).select("kind", "seconds").iter_rows())
    assert of_rank == pytest.approx(
        {"compute": 4, "exposed": 2.5, "hidden": 1, "idle": 3.5, "wait": 1.5}
    )
    assert frame.filter(rank=4, step=7, kind="wait")["seconds"].to_list() == [0]


def test_steps_are_read_some_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "trace", OPERATIONS)
    together = hm.read_log(path).sort("step", "rank", "kind")
    monkeypatch.setattr(bytedance, "ROWS_AT_ONCE", 1)
    assert hm.read_log(path).sort("step", "rank", "kind").equals(together)


def test_unknown_operations_compute_and_are_told(tmp_path: Path) -> None:
    frame = hm.read_log(written(tmp_path / "trace", [(0, 1, "a new one", 0.0, 1.0, 0, 0)]))
    assert frame.filter(kind="compute")["seconds"].to_list() == [1]
    note = "operations a new one are not known, and count as computing"
    assert frame.filter(kind="unread")["note"].to_list() == [note]


def test_operations_without_a_time_are_left_out(tmp_path: Path) -> None:
    wrong = [
        (0, 7, "optimizer", start, duration, 0, 9)
        for start, duration in [(0.0, None), (None, 1.0), (0.0, float("nan")), (0.0, -1.0)]
    ]
    frame = hm.read_log(written(tmp_path / "wrong", OPERATIONS + wrong))
    assert frame.equals(hm.read_log(written(tmp_path / "right", OPERATIONS)))
    with pytest.raises(hm.ScenarioError, match="must hold steps of bytedance"):
        hm.read_log(written(tmp_path / "none", wrong))


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "trace", OPERATIONS)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(hm.ScenarioError):
            hm.read_log(path)


def test_of_two_jobs_in_a_folder_one_is_read(tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        written(tmp_path / name, OPERATIONS)
    frame = hm.read_log(tmp_path)
    assert len(frame.filter(kind="step")) == 2
    assert frame.filter(kind="unread")["note"].to_list() == ["b.parquet is another job"]


@needs_traces
@pytest.mark.parametrize("job", ["AR", "ST"])
def test_steps_are_those_that_stragglers_were_published_for(job: str) -> None:
    frame = hm.read_log(SHARED / f"trace-{job}.parquet")
    published = json.loads((SHARED / f"result-{job}.json").read_text())["step_t_base"]
    found = {str(step): time for step, time in frame.filter(kind="step")["step", "seconds"].rows()}
    # Times are in single precision: 4 us at 46 s.
    assert found == pytest.approx(published, abs=4e-6)
    ranks = frame.filter(pl.col("rank").is_not_null(), pl.col("kind") != "wait")
    shares = ranks.filter(pl.col("kind") != "hidden").group_by("rank", "step")
    for _, step, total in shares.agg(pl.col("seconds").sum()).iter_rows():
        assert total == pytest.approx(found[str(step)], abs=1e-9)


@needs_traces
def test_the_slow_worker_computes_most_and_waits_least() -> None:
    frame = hm.read_log(SHARED / "trace-AR.parquet")
    by_rank = frame.filter(pl.col("rank").is_not_null()).pivot(
        on="kind", index="rank", values="seconds", aggregate_function="mean"
    )
    assert by_rank.sort("compute")["rank"][-1] == 0
    assert by_rank.sort("wait")["rank"][0] == 0
