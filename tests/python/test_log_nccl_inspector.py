"""Logs of the NCCL Inspector: times of collectives, which include waiting for peers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm


def line(
    rank: int,
    number: int,
    lasted_us: int,
    *,
    communicator: str = "0x7f8c496ae9f661",
    size: int = 2,
    pid: int | None = None,
    name: str = "AllReduce",
    start_us: int | None = None,
) -> dict[str, Any]:
    """Return a line as ``inspector_json.cc`` of NCCL 2.30.7 writes it."""
    performed: dict[str, Any] = {
        "coll": name,
        "coll_sn": number,
        "coll_msg_size_bytes": 1 << 20,
        "coll_exec_time_us": lasted_us,
        "coll_timing_source": "kernel_gpu",
        "coll_algobw_gbs": 277.2,
        "coll_busbw_gbs": "nan",
    }
    if start_us is not None:
        channel = {"channel_id": 0, "kernel_start_ts": start_us, "kernel_stop_ts": start_us + 5}
        performed["event_trace_ts"] = {"coll_start_ts": 1, "kernel_events": [channel]}
    identity = {"id": communicator, "comm_name": "unknown", "rank": rank, "n_ranks": size}
    return {
        "header": identity | {"nnodes": 1},
        "metadata": {
            "inspector_output_format_version": "v4.0",
            "git_rev": "",
            "rec_mechanism": "nccl_profiler_interface",
            "dump_timestamp_us": 1748030377748202,
            "hostname": "host",
            "pid": 100 + rank if pid is None else pid,
        },
        "coll_perf": performed,
    }


def write(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(each, separators=(",", ":")) + "\n" for each in lines))
    return path


def test_a_collective_has_its_time_and_the_size_of_one_rank(tmp_path: Path) -> None:
    frame = hm.read_log(write(tmp_path / "log", [line(0, 7, 1500), line(1, 7, 1000)]))
    found = frame.filter(kind="collective").select("rank", "seconds").rows()
    assert found == [(0, pytest.approx(1.5e-3)), (1, pytest.approx(1e-3))]
    note = "AllReduce of 0x7f8c496ae9f661, bytes of one rank, timed by kernel_gpu"
    assert frame["note"][0] == note
    assert frame["n_bytes"][:2].to_list() == [1 << 20] * 2


def test_the_late_rank_waits_least(tmp_path: Path) -> None:
    for rank, lasted_us in [(0, 900), (1, 300), (2, 500)]:
        lines = [line(rank, number, lasted_us, size=4) for number in range(3)]
        write(tmp_path / f"host-pid{rank}.log", lines)
    frame = hm.read_log(tmp_path)
    waits = dict(frame.filter(kind="wait").select("rank", "seconds").iter_rows())
    assert waits == pytest.approx({0: 1.8e-3, 1: 0, 2: 0.6e-3})
    assert frame.filter(kind="missing")["rank"].to_list() == [3]


def test_broadcasts_and_single_ranks_tell_no_waits(tmp_path: Path) -> None:
    lines = [line(0, 1, 9, name="Broadcast"), line(1, 1, 5, name="Broadcast"), line(1, 2, 5)]
    assert hm.read_log(write(tmp_path / "log", lines)).filter(kind="wait").is_empty()


def test_ranks_are_places_in_the_communicator_of_all(tmp_path: Path) -> None:
    """Ranks 2 and 3 are places 0 and 1 of a group of their own."""
    lines = [
        *(line(rank, 1, 10, size=4) for rank in range(4)),
        *(line(rank - 2, 1, 20, communicator="0x2", pid=100 + rank) for rank in (2, 3)),
    ]
    frame = hm.read_log(write(tmp_path / "log", lines))
    assert frame.filter(pl.col("seconds") > 15e-6)["rank"].to_list() == [2, 3]
    assert frame.filter(kind="missing").is_empty()


def test_processes_are_counted_where_no_communicator_has_all(tmp_path: Path) -> None:
    lines = [
        line(rank, 1, 10, communicator=communicator, pid=pid)
        for pid, (communicator, rank) in enumerate([("0x1", 0), ("0x1", 1), ("0x2", 0)])
    ]
    frame = hm.read_log(write(tmp_path / "log", lines))
    assert frame.filter(kind="collective")["rank"].to_list() == [0, 1, 2]
    note = "no communicator has all processes: ranks are numbers of processes"
    assert frame.filter(kind="unread")["note"].to_list() == [note]


def test_ranks_of_one_process_are_known_in_the_communicator_of_all(tmp_path: Path) -> None:
    lines = [line(rank, 1, 10, pid=5) for rank in range(2)]
    other = line(0, 1, 20, communicator="0x2", size=1, pid=5)
    frame = hm.read_log(write(tmp_path / "log", [*lines, other]))
    assert frame.filter(kind="collective")["rank"].to_list() == [0, 1, None]


def test_starts_are_there_if_the_log_is_verbose(tmp_path: Path) -> None:
    lines = [line(0, 1, 5, start_us=2_000_000), line(0, 2, 5, start_us=2_000_300), line(0, 3, 5)]
    frame = hm.read_log(write(tmp_path / "log", lines)).filter(kind="collective")
    assert frame["start"].to_list() == [0, pytest.approx(3e-4), None]


def test_sends_are_read_as_they_are_written_since_2_30(tmp_path: Path) -> None:
    send = line(0, 1, 5)
    performed = send.pop("coll_perf")
    send["p2p_perf"] = {key.replace("coll", "p2p"): each for key, each in performed.items()}
    send["p2p_perf"] |= {"p2p": "Send", "p2p_peer": 1}
    frame = hm.read_log(write(tmp_path / "log", [send]))
    assert frame["note"][0].startswith("Send of")


def test_a_log_cut_anywhere_gives_its_whole_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "log", [line(0, 1, 5), line(1, 1, 6), line(0, 2, 7)])
    whole = path.read_bytes()
    ends = {at + 1 for at, byte in enumerate(whole) if byte == ord("\n")}
    for length in sorted({*range(0, len(whole), 5), *ends}):
        path.write_bytes(whole[:length])
        n_lines = sum(end <= length for end in ends)
        if not n_lines:
            with pytest.raises(hm.ScenarioError):
                hm.read_log(path)
            continue
        frame = hm.read_log(path)
        assert frame.filter(kind="collective").height == n_lines
        assert frame.filter(kind="unread").height == (length not in ends)


def test_lines_that_lack_what_they_need_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "log", [line(0, 1, 5), line(0, 2, 2**70), {"header": {}}])
    path.write_text(path.read_text() + "[]\nno json\n\n")
    frame = hm.read_log(path)
    assert frame.filter(kind="unread")["note"].to_list() == ["4 lines of log lack what they need"]
