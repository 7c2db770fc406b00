"""Results of nccl-tests, as text and as JSON."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm

NOW = """\
# nccl-tests version 2.18.0 nccl-headers=22800 nccl-library=22800
# Collective test starting: all_reduce_perf
# nThread 1 nGpus 2 minBytes 1024 maxBytes 2048 step: 2(factor) warmup iters: 1 iters: 20 agg iters: 1 validation: 1 graph: 0 unalign: 0
#
# Using devices
#  Rank  0 Group  0 Pid   4711 on       host device  0 [0000:07:00] NVIDIA H100
#  Rank  1 Group  0 Pid   4711 on       host device  1 [0000:0a:00] NVIDIA H100
#
#                                                              out-of-place                       in-place          
#       size         count      type   redop    root     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)             (us)  (GB/s)  (GB/s)        
        1024           256     float     sum      -1    10.50    0.10    0.10       0    10.25    0.10    0.10       0
  4294967296    1073741824     float     sum      -1   1.2e+04  357.91  357.91       0    11999  357.94  357.94     N/A
# Out of bounds values : 0 OK
# Avg bus bandwidth    : 179.0 
#
# Collective test concluded: all_reduce_perf
"""  # noqa: E501, W291
V2_0 = """\
# nThread 1 nGpus 8 minBytes 1024 maxBytes 1024 step: 2(factor) warmup iters: 5 iters: 20 validation: 1
#   Rank  0 Pid   4711 on       host device  0 [0x07] A100
#
#                                                      out-of-place                       in-place
#       size         count    type    root     time   algbw   busbw  error     time   algbw   busbw  error
#        (B)    (elements)                     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
        1024           256   float       0    30.50    0.03    0.06  1e-07    30.25    0.03    0.06    N/A
"""  # noqa: E501


def read(path: Path, text: str) -> pl.DataFrame:
    (path / "log").write_text(text)
    return hm.read_log(path / "log")


def test_a_size_has_a_row_for_each_place(tmp_path: Path) -> None:
    frame = read(tmp_path, NOW)
    assert frame["kind"].unique().to_list() == ["collective"]
    assert frame.select("n_bytes", "seconds", "note", "steps").rows() == [
        (1024, 10.5e-6, "all_reduce, float, sum, out-of-place, 2 ranks", 20),
        (1024, 10.25e-6, "all_reduce, float, sum, in-place, 2 ranks", 20),
        (2**32, 12e-3, "all_reduce, float, sum, out-of-place, 2 ranks", 20),
        (2**32, 11.999e-3, "all_reduce, float, sum, in-place, 2 ranks", 20),
    ]


def test_columns_are_told_by_their_names(tmp_path: Path) -> None:
    frame = read(tmp_path, V2_0)
    assert frame.select("seconds", "note").rows() == [
        (30.5e-6, "float, out-of-place, 1 ranks"),
        (30.25e-6, "float, in-place, 1 ranks"),
    ]


def test_times_of_iterations_and_time_stamps_are_other_columns(tmp_path: Path) -> None:
    more = "   i_min   i_max   i_p99   i_cv%"
    text = NOW.replace("#wrong", "#wrong" + more)
    text = text.replace("0.10       0", "0.10       0    9.00   12.00   11.90    3.00")
    text = text.replace("in-place          \n", "in-place\n").replace(
        "i_cv%\n", "i_cv% timestamp\n"
    )
    lines = [
        line + "  2026-01-02 03:04:05" if line.startswith("        1024") else line
        for line in text.splitlines()
        if "4294967296" not in line
    ]
    frame = read(tmp_path, "\n".join(lines) + "\n")
    assert frame.filter(kind="collective")["seconds"].to_list() == [10.5e-6, 10.25e-6]


def test_a_replay_has_times_in_place_only(tmp_path: Path) -> None:
    text = NOW.replace("    10.50    0.10    0.10       0", 32 * " ")
    frame = read(tmp_path, text)
    assert frame["seconds"].to_list() == [10.25e-6, 12e-3, 11.999e-3]
    assert "in-place" in frame["note"][0]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (" time ", " cputime ", "the host's time until all are launched: all_reduce"),
        ("       0    10.25", "       3    10.25", "some results are wrong: all_reduce"),
        ("    10.50", "      nan", "no positive number of seconds: all_reduce"),
    ],
)
def test_what_is_no_time_of_a_collective_is_masked(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = NOW.replace(old, new) + V2_0
    masked = read(tmp_path, text).filter(kind="masked")
    assert masked.height == (4 if "time" in old else 1)
    assert masked["note"][0].startswith(reason)


def json_of(**changes: Any) -> str:
    times = {"time": 10.5, "alg_bw": 0.1, "bus_bw": 0.1, "nwrong": 0.0}
    result = {
        "size": 1024,
        "count": 256,
        "type": "float",
        "redop": "sum",
        "root": "-1",
        "out_of_place": times,
        "in_place": {**times, "time": 10.25, "nwrong": None},
        "actual_iterations": 20,
        "experiment_name": "",
        **changes,
    }
    file = {
        "version": 3,
        "start_time": "2026-01-02 03:04:05",
        "args": ["./build/all_reduce_perf", "-b", "1K"],
        "env": ["A={[\\"],
        "nccl_version": 22800,
        "config": {"nthreads": 1, "iterations": 20, "devices": [{"rank": 0}, {"rank": 1}]},
        "results": [result, {**result, "size": 2048}],
        "out_of_bounds": {"count": 0, "okay": "true"},
        "errors": [],
        "end_time": "2026-01-02 03:05:05",
    }
    return json.dumps(file)


def test_a_json_file_reads_as_the_text(tmp_path: Path) -> None:
    columns = ["kind", "n_bytes", "seconds", "note", "steps"]
    frame = read(tmp_path, json_of())
    assert frame.select(columns).rows()[:2] == read(tmp_path, NOW).select(columns).rows()[:2]
    assert frame["n_bytes"].to_list() == [1024, 1024, 2048, 2048]


def test_json_without_times_out_of_place_has_those_in_place(tmp_path: Path) -> None:
    frame = read(tmp_path, json_of(out_of_place=None))
    assert frame["seconds"].to_list() == [10.25e-6, 10.25e-6]


def test_json_of_the_host_s_time_is_masked(tmp_path: Path) -> None:
    with pytest.raises(hm.ScenarioError, match="there are records: 4 of masked"):
        read(tmp_path, json_of(out_of_place={"cpu_time": 2.0}, in_place={"cpu_time": 2.0}))


@pytest.mark.parametrize("value", [None, "nan", [], {}, -1, 10**400, True])
@pytest.mark.parametrize("key", ["size", "in_place", "actual_iterations", "type"])
def test_no_value_of_a_member_does_harm(tmp_path: Path, key: str, value: Any) -> None:
    text = json_of(**{key: value})
    (tmp_path / "log").write_text(text)
    try:
        hm.read_log(tmp_path / "log")
    except hm.ScenarioError:
        assert key == "size"


@pytest.mark.parametrize("text", [NOW, json_of()], ids=["text", "json"])
def test_a_file_that_is_cut_anywhere_gives_the_rows_before_the_cut(
    tmp_path: Path, text: str
) -> None:
    rows = read(tmp_path, text).rows()
    last = 0
    for length in range(len(text)):
        (tmp_path / "log").write_text(text[:length])
        try:
            frame = hm.read_log(tmp_path / "log")
        except hm.ScenarioError:
            continue
        whole = frame.filter(pl.col("kind") != "unread")
        assert whole.rows() == rows[: whole.height]
        assert whole.height >= last
        last = whole.height
        if text is not NOW and '"end_time"' not in text[:length]:
            assert frame.height > whole.height
    assert last == len(rows)


def test_launchers_may_put_something_before_each_line(tmp_path: Path) -> None:
    prefixed = "".join(f"[1,0]<stdout>: {line}" for line in NOW.splitlines(keepends=True))
    assert read(tmp_path, prefixed).equals(read(tmp_path, NOW))


def test_a_compressed_file_reads_as_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(NOW.encode()))
    assert hm.read_log(path).equals(read(tmp_path, NOW))
