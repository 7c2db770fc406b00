"""Dumps of PyTorch's Flight Recorder: collectives of each rank, and who holds up the others."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm

NS = 1_000_000_000


def entry(
    number: int, state: str = "completed", *, group: str = "0", **more: Any
) -> dict[str, Any]:
    return {
        "frames": [{"name": "all_reduce", "filename": "c10d.py", "line": 2696}],
        "record_id": number,
        "pg_id": int(group),
        "process_group": (group, "default_pg"),
        "collective_seq_id": number,
        "p2p_seq_id": 0,
        "op_id": number,
        "profiling_name": "nccl:all_reduce",
        "time_created_ns": 100 * NS + number * NS,
        "state": state,
        "time_discovered_completed_ns": 101 * NS + number * NS if state == "completed" else None,
        "retired": False,
        "timeout_ms": 600_000,
        "is_p2p": False,
    } | more


def dump(entries: list[Any], ranks: str = "[0, 1]", completed: int = -1) -> dict[str, Any]:
    return {
        "version": "2.10",
        "pg_config": {"0": {"name": "0", "desc": "default_pg", "ranks": ranks}},
        "comm_lib_version": "2.29.7",
        "pg_status": {"0": {"last_completed_collective": completed}},
        "entries": entries,
    }


def write(folder: Path, dumps: dict[int, dict[str, Any]], form: str = "pickle") -> Path:
    folder.mkdir(exist_ok=True)
    for rank, each in dumps.items():
        path = folder / f"nccl_trace_rank_{rank}"
        if form == "pickle":
            path.write_bytes(pickle.dumps(each, protocol=2))
        else:
            path.with_suffix(".json").write_text(json.dumps(each, sort_keys=True))
    return folder


def notes(frame: pl.DataFrame, rank: int) -> list[str]:
    return frame.filter(kind="collective", rank=rank)["note"].to_list()


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_collectives_have_a_state_a_start_and_what_was_timed(tmp_path: Path, form: str) -> None:
    entries = [entry(1, duration_ms=2.5), entry(2, "started"), entry(3, "scheduled")]
    frame = hm.read_log(write(tmp_path / "dumps", {0: dump(entries), 1: dump(entries)}, form))
    assert notes(frame, 1) == [
        "nccl:all_reduce 1 of group 0: completed",
        "nccl:all_reduce 2 of group 0: started",
        "nccl:all_reduce 3 of group 0: scheduled",
    ]
    of_rank = frame.filter(kind="collective", rank=0)
    assert of_rank["seconds"].to_list() == [2.5e-3, None, None]
    assert of_rank["start"].to_list() == pytest.approx([0, 1, 2])


def test_ranks_that_have_not_come_are_named(tmp_path: Path) -> None:
    waits = dump([entry(1), entry(2, "started")], "[0, 1, 2, 3]")
    ahead = dump([entry(2, "scheduled")], "[0, 1, 2, 3]")
    behind = dump([entry(1)], "[0, 1, 2, 3]")
    frame = hm.read_log(write(tmp_path / "dumps", {0: waits, 1: behind, 2: ahead}))
    assert notes(frame, 1)[-1] == "has not come to nccl:all_reduce 2 of group 0; ranks [0, 2] have"
    assert notes(frame, 2)[-1] == "has not started nccl:all_reduce 2 of group 0; ranks [0] have"
    assert len(notes(frame, 0)) == 2
    assert frame.filter(kind="missing")["rank"].to_list() == [3]


def test_a_rank_that_never_was_in_its_group_has_not_come(tmp_path: Path) -> None:
    frame = hm.read_log(
        write(tmp_path / "dumps", {0: dump([entry(1, "started")]), 1: dump([entry(1, group="7")])})
    )
    assert notes(frame, 1)[-1] == "has not come to nccl:all_reduce 1 of group 0; ranks [0] have"


def test_what_a_group_has_completed_is_completed_whatever_an_entry_says(tmp_path: Path) -> None:
    """Gloo's entries of PyTorch 2.15 stay "scheduled" when they have completed."""
    entries = [entry(1, "scheduled"), entry(2, "scheduled")]
    frame = hm.read_log(write(tmp_path / "dumps", {0: dump(entries, completed=1)}))
    assert [note.rpartition(" ")[2] for note in notes(frame, 0)] == ["completed", "scheduled"]


def test_the_late_rank_waits_least_whatever_its_clock_says(tmp_path: Path) -> None:
    ahead_ns = {0: 0, 1: 50 * NS, 2: -NS}
    waits_ms = {0: 30.0, 1: 0.0, 2: 10.0}
    dumps = {
        rank: dump(
            [
                entry(
                    number,
                    duration_ms=5 + waits_ms[rank],
                    time_created_ns=(200 + number) * NS + ahead_ns[rank],
                    time_discovered_completed_ns=(201 + number) * NS + ahead_ns[rank],
                )
                for number in range(4)
            ],
            "[0, 1, 2]",
        )
        for rank in range(3)
    }
    frame = hm.read_log(write(tmp_path / "dumps", dumps))
    waits = dict(frame.filter(kind="wait").select("rank", "seconds").iter_rows())
    assert waits == pytest.approx({0: 0.12, 1: 0, 2: 0.04})
    starts = frame.filter(kind="collective").group_by("rank").agg(pl.col("start").min())
    assert starts["start"].to_list() == pytest.approx([0, 0, 0])


def test_sends_and_receives_are_told_and_no_one_waits_for_them(tmp_path: Path) -> None:
    sent = entry(4, "started", is_p2p=True, p2p_seq_id=9, profiling_name="nccl:send 0->1")
    frame = hm.read_log(write(tmp_path / "dumps", {0: dump([sent]), 1: dump([entry(1)])}))
    assert notes(frame, 0) == ["nccl:send 0->1 9 of group 0: started"]
    assert len(notes(frame, 1)) == 1


def test_a_pickle_runs_no_code(tmp_path: Path) -> None:
    touched = tmp_path / "touched"

    class Harmful:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (touched,)

    (tmp_path / "trace_0").write_bytes(pickle.dumps(dump([Harmful()]), protocol=2))
    with pytest.raises(hm.ScenarioError, match="cut off, damaged, or holds more than data"):
        hm.read_log(tmp_path / "trace_0")
    assert not touched.exists()


@pytest.mark.parametrize("form", ["pickle", "json"])
def test_a_dump_cut_anywhere_is_read_in_part_or_refused(tmp_path: Path, form: str) -> None:
    folder = write(tmp_path / "dumps", {0: dump([entry(1), entry(2)])}, form)
    path = next(folder.iterdir())
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            frame = hm.read_log(path)
        except hm.ScenarioError:
            continue
        assert frame.filter(kind="unread").height == 1


def test_entries_that_lack_what_they_need_are_told(tmp_path: Path) -> None:
    wrong: list[Any] = [{}, [], None, entry(1) | {"process_group": []}, entry(1) | {"state": None}]
    frame = hm.read_log(write(tmp_path / "dumps", {0: dump([*wrong, entry(2)])}))
    note = "4 entries of nccl_trace_rank_0 lack what they need"
    assert frame.filter(kind="unread")["note"].to_list() == [note]


def test_a_dump_without_collectives_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "dumps", {0: dump([], "[0]")})
    with pytest.raises(hm.ScenarioError, match="must hold steps of flight recorder"):
        hm.read_log(folder)
