"""Traces of torch.profiler: steps, what they consist of, and what is told of what is missing."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import hindmost as hm

ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)"
GEMM = "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64"
DEEPSEEK = os.environ.get("HINDMOST_DEEPSEEK_TRACE", "")
"""``train.json`` of github.com/deepseek-ai/profile-data, which has no licence to be copied here."""
EVENT = {"ph": "X", "pid": 0}


def kernel(
    name: str, begin_us: float, end_us: float, stream: int = 7, **args: object
) -> dict[str, Any]:
    return EVENT | {
        "cat": "kernel",
        "name": name,
        "tid": stream,
        "ts": begin_us,
        "dur": end_us - begin_us,
        "args": {"device": 0, "stream": stream} | args,
    }


def annotation(number: int, begin_us: float, end_us: float, *, gpu: bool = False) -> dict[str, Any]:
    return EVENT | {
        "cat": "gpu_user_annotation" if gpu else "user_annotation",
        "name": f"ProfilerStep#{number}",
        "tid": 7 if gpu else 4711,
        "ts": begin_us,
        "dur": end_us - begin_us,
        "args": {"External id": 1, **({"device": 0, "stream": 7} if gpu else {})},
    }


def launch(begin_us: float, correlation: int) -> dict[str, Any]:
    return EVENT | {
        "cat": "cuda_runtime",
        "name": "cudaLaunchKernel",
        "tid": 4711,
        "ts": begin_us,
        "dur": 2,
        "args": {"correlation": correlation},
    }


def group(seq: int | None = None, name: str = "allreduce", ranks: str = "[0, 1]") -> dict[str, Any]:
    said: dict[str, Any] = {
        "Collective name": name,
        "Process Group Name": "3",
        "Process Group Ranks": ranks,
    }
    return said if seq is None else said | {"Seq": seq}


def text(events: Sequence[dict[str, Any]], rank: int | None = None, size: int = 2) -> str:
    info = {"backend": "nccl", "rank": rank, "world_size": size, "pg_count": 2}
    head: dict[str, Any] = {"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "H100"}]}
    if rank is not None:
        head["distributedInfo"] = info
    tail = {"displayTimeUnit": "ms", "baseTimeNanoseconds": 10**18, "traceEvents": list(events)}
    return json.dumps(head | tail | {"traceName": "trace.json"}, indent=1)


def read(path: Path, *args: Any, **options: Any) -> pl.DataFrame:
    path.write_text(text(*args))
    return hm.read_log(path, **options)


def seconds(frame: pl.DataFrame, kind: str, column: str = "seconds") -> list[Any]:
    return frame.filter(kind=kind)[column].to_list()


STEP = [
    kernel(GEMM, 0, 40),
    kernel(ALL_REDUCE, 30, 60, 20),
    kernel(GEMM, 50, 55),
    kernel(GEMM, 80, 100),
]
"""Computes 65 us, hides 15 us, exposes 15 us and idles 20 us of 100 us."""


def test_a_trace_without_steps_is_one(tmp_path: Path) -> None:
    frame = read(tmp_path / "trace", STEP, 0, 1)
    assert frame["step"].to_list() == [None] * 5
    assert frame["kind"].to_list() == ["step", "compute", "exposed", "hidden", "idle"]
    assert frame["seconds"].to_list() == pytest.approx([100e-6, 65e-6, 15e-6, 15e-6, 20e-6])
    assert set(seconds(frame, "exposed", "note")) == {"communication by name"}


def test_compute_exposed_and_idle_add_up_to_the_step(tmp_path: Path) -> None:
    events = [*STEP, *(kernel(GEMM, 100 + 7.3 * n, 104.123 + 7.3 * n) for n in range(50))]
    frame = read(tmp_path / "trace", events, 0)
    total = sum(seconds(frame, kind)[0] for kind in ("compute", "exposed", "idle"))
    assert total == pytest.approx(seconds(frame, "step")[0], abs=1e-12)


def test_one_stream_computes_and_others_communicate(tmp_path: Path) -> None:
    events = [
        *(kernel(f"kernel_{n}", 10 * n, 10 * n + 5) for n in range(10)),
        kernel("of another name", 0, 200, 27),
    ]
    frame = read(tmp_path / "trace", events, 0, communication="stream")
    assert seconds(frame, "compute") == pytest.approx([50e-6])
    assert seconds(frame, "hidden") == pytest.approx([50e-6])
    assert seconds(frame, "exposed") == pytest.approx([150e-6])
    assert seconds(frame, "compute", "note") == ["communication by stream: 7 computes"]


def test_renamed_kernels_of_a_rank_are_told_by_stream(tmp_path: Path) -> None:
    events = [*(kernel(GEMM, 10 * n, 10 * n + 5) for n in range(4)), kernel("secret", 0, 50, 20)]
    frame = read(tmp_path / "trace", events, 0)
    assert seconds(frame, "exposed") == pytest.approx([30e-6])
    assert seconds(frame, "exposed", "note") == ["communication by stream: 7 computes"]


@pytest.mark.parametrize("rank", [None, 0])
def test_no_known_communication_is_not_none_of_it(tmp_path: Path, rank: int | None) -> None:
    frame = read(tmp_path / "trace", [kernel(GEMM, 0, 40), kernel("secret", 40, 50)], rank)
    assert seconds(frame, "exposed") == seconds(frame, "hidden") == [None]
    assert seconds(frame, "exposed", "note") == ["no kernel is known as communication"]
    assert seconds(frame, "compute") == pytest.approx([50e-6])


def test_a_single_rank_communicates_nothing(tmp_path: Path) -> None:
    frame = read(tmp_path / "trace", [kernel(GEMM, 0, 40)], 0, 1)
    assert seconds(frame, "exposed") == [0]


def test_a_kernel_that_says_its_collective_communicates_by_any_name(tmp_path: Path) -> None:
    frame = read(tmp_path / "trace", [kernel(GEMM, 0, 40), kernel("secret", 40, 50, **group(1))], 0)
    assert seconds(frame, "exposed") == pytest.approx([10e-6])


def test_copies_between_gpus_communicate_and_others_do_not(tmp_path: Path) -> None:
    peer = kernel("Memcpy PtoP (Device -> Device)", 40, 50) | {"cat": "gpu_memcpy"}
    host = kernel("Memcpy HtoD (Pinned -> Device)", 50, 70, 9) | {"cat": "gpu_memcpy"}
    for rule in ("name", "stream"):
        frame = read(tmp_path / "trace", [kernel(GEMM, 0, 40), peer, host], 0, communication=rule)
        assert seconds(frame, "compute") == pytest.approx([70e-6 if rule == "stream" else 60e-6])


@pytest.mark.parametrize("by", ["gpu", "launches", "time"])
def test_a_step_lasts_until_the_next_one_begins(tmp_path: Path, by: str) -> None:
    kernels = [
        kernel(GEMM, 110, 140, correlation=1),
        kernel(ALL_REDUCE, 130, 180, 20, correlation=2),
        kernel(GEMM, 210, 250, correlation=3),
        kernel(GEMM, 410, 450, correlation=4),
    ]
    on_cpu = [annotation(5, 100, 200), annotation(6, 200, 300), annotation(8, 400, 500)]
    on_gpu = [
        annotation(5, 109.999, 140.001, gpu=True),
        annotation(5, 129.999, 180.001, gpu=True),
        annotation(6, 209.999, 250.001, gpu=True),
        annotation(8, 409.999, 450.001, gpu=True),
    ]
    launches = [launch(at, n + 1) for n, at in enumerate([101, 102, 201, 401])]
    events = kernels + {"gpu": on_cpu + on_gpu, "launches": on_cpu + launches, "time": on_cpu}[by]
    frame = read(tmp_path / "trace", events[::-1], 0)
    assert seconds(frame, "step", "step") == [5, 6, 8]
    # The next of step 6 was not profiled, so that this ends with its own last kernel.
    assert seconds(frame, "step") == pytest.approx([100e-6, 40e-6, 40e-6])
    assert seconds(frame, "step", "start") == pytest.approx([0, 100e-6, 300e-6])
    assert seconds(frame, "idle") == pytest.approx([30e-6, 0, 0])


def test_kernels_belong_to_the_step_that_launches_them(tmp_path: Path) -> None:
    """The CPU is a step ahead: by time, all would be of the next step."""
    events = [
        annotation(1, 0, 100),
        annotation(2, 100, 200),
        *(launch(10 + 100 * n, n) for n in range(2)),
        *(kernel(GEMM, 150 + 100 * n, 200 + 100 * n, correlation=n) for n in range(2)),
    ]
    frame = read(tmp_path / "trace", events, 0, 1)
    assert seconds(frame, "step", "step") == [1, 2]
    assert seconds(frame, "step") == pytest.approx([100e-6, 50e-6])


def test_kernels_of_no_step_are_masked(tmp_path: Path) -> None:
    events = [
        annotation(1, 0, 100, gpu=True),
        kernel(GEMM, 1, 50),
        kernel(GEMM, 200, 230),
        kernel(GEMM, 210, 240),
    ]
    frame = read(tmp_path / "trace", events, 0, 1)
    assert seconds(frame, "step") == pytest.approx([49e-6])
    assert seconds(frame, "masked") == pytest.approx([40e-6])
    assert seconds(frame, "masked", "note") == ["2 kernels are of no step that was profiled"]


def test_kernels_between_steps_are_of_the_step_before(tmp_path: Path) -> None:
    events = [
        annotation(1, 0, 50, gpu=True),
        annotation(2, 100, 150, gpu=True),
        *(kernel(GEMM, 1 + at, 11 + at) for at in (0, 40, 70, 100, 140)),
    ]
    frame = read(tmp_path / "trace", events, 0, 1)
    assert seconds(frame, "compute") == pytest.approx([30e-6, 20e-6])
    assert not seconds(frame, "masked")


def test_files_without_a_rank_are_not_taken_for_another(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text([annotation(1, 0, 100, gpu=True), *STEP]))
    for rank in (0, 1):
        path = tmp_path / f"trace{rank}.json"
        path.write_text(text([annotation(1, 0, 100, gpu=True), *STEP], rank))
    frame = hm.read_log(tmp_path)
    assert seconds(frame, "step", "rank") == [None, 0, 1]
    assert seconds(frame, "unread", "note") == ["a.json names no rank"]


def test_steps_without_kernels_are_left_out(tmp_path: Path) -> None:
    events = [annotation(n, 100 * n, 100 * n + 100) for n in range(5)]
    frame = read(tmp_path / "trace", [*events, kernel(GEMM, 110, 120), kernel(GEMM, 310, 330)], 0)
    assert seconds(frame, "step", "step") == [1, 3]
    assert seconds(frame, "step") == pytest.approx([10e-6, 20e-6])


def test_a_trace_of_the_cpu_has_steps_and_no_shares(tmp_path: Path) -> None:
    frame = read(tmp_path / "trace", [annotation(3, 0, 90), annotation(4, 95, 200)], 1, 2)
    assert seconds(frame, "step") == pytest.approx([90e-6, 105e-6])
    assert seconds(frame, "step", "note") == ["there are no kernels of a GPU: time on the CPU"] * 2
    assert seconds(frame, "missing", "rank") == [0]
    assert not seconds(frame, "compute")


def test_a_folder_is_one_job_and_names_missing_ranks(tmp_path: Path) -> None:
    for rank in (0, 3):
        (tmp_path / f"{rank}.json").write_text(text(STEP, rank, 5))
    frame = hm.read_log(tmp_path)
    assert seconds(frame, "step", "rank") == [0, 3]
    assert seconds(frame, "missing", "rank") == [1, 2, 4]


def test_ranks_are_told_by_names_of_files_or_their_order(tmp_path: Path) -> None:
    for name in ("a_rank12.json", "z_rank-3.json"):
        (tmp_path / name).write_text(text(STEP))
    assert seconds(hm.read_log(tmp_path), "step", "rank") == [3, 12]
    for path in tmp_path.iterdir():
        path.rename(path.with_name(path.name.replace("rank", "")))
    frame = hm.read_log(tmp_path)
    assert seconds(frame, "step", "rank") == [0, 1]
    assert seconds(frame, "unread", "note") == [
        "a_12.json names no rank",
        "z_-3.json names no rank",
    ]


def test_a_process_of_several_gpus_is_several_ranks(tmp_path: Path) -> None:
    events = [kernel(GEMM, 0, 10), kernel(GEMM, 0, 30, 7, device=1)]
    frame = read(tmp_path / "trace", events)
    assert frame.filter(kind="compute").select("rank", "seconds").rows() == [
        (0, pytest.approx(10e-6)),
        (1, pytest.approx(30e-6)),
    ]


def test_a_rank_is_on_the_gpu_that_it_uses_most(tmp_path: Path) -> None:
    frame = read(tmp_path / "trace", [kernel(GEMM, 0, 10), kernel(GEMM, 0, 30, 7, device=1)], 1, 1)
    assert seconds(frame, "compute") == pytest.approx([30e-6])
    assert seconds(frame, "unread", "note") == ["1 kernels of trace are on another GPU than most"]


def test_a_step_of_two_files_counts_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(text([annotation(1, 0, 100, gpu=True), *STEP], 0, 1))
    frame = hm.read_log(tmp_path)
    assert len(seconds(frame, "step")) == 1
    assert seconds(frame, "masked", "note")[0] == "another file has this step of the rank"


def job(
    folder: Path,
    computes_us: Sequence[Sequence[float]],
    ahead_us: Sequence[float],
    said: dict[str, Any] | None,
) -> pl.DataFrame:
    """Write a job whose steps end with an all-reduce of 20 us after the last rank has come."""
    folder.mkdir(exist_ok=True)
    n_steps = len(computes_us[0])
    for rank, computes in enumerate(computes_us):
        now, events = 0.0, []
        for step in range(n_steps):
            end = now + max(each[step] for each in computes_us) + 20
            at = now + ahead_us[rank]
            leaves = end + ahead_us[rank]
            events += [
                kernel(GEMM, at, at + computes[step]),
                kernel(ALL_REDUCE, at + computes[step], leaves, 20, **(said or {})),
                annotation(step, at, leaves, gpu=True),
            ]
            now = end
        (folder / f"{rank}.json").write_text(text(events, rank, len(computes_us)))
    return hm.read_log(folder)


COMPUTES = [[100, 110, 104, 99], [100, 101, 103, 100], [140, 150, 139, 148], [90, 95, 99, 97]]
AHEAD = [0, 5e6, 0, -3e3]


@pytest.mark.parametrize("said", [None, group(ranks="[0, 1, 2, 3]")])
def test_the_slow_rank_waits_least_and_the_fast_clock_is_set(
    tmp_path: Path, said: dict[str, Any] | None
) -> None:
    frame = job(tmp_path / "job", COMPUTES, AHEAD, said)
    waits = frame.filter(kind="wait").group_by("rank").agg(pl.col("seconds").sum())
    by_rank = dict(waits.iter_rows())
    assert by_rank[2] == pytest.approx(0, abs=1e-12)
    for rank in (0, 1, 3):
        expected = sum(max(each) - each[rank] for each in zip(*COMPUTES, strict=True))
        assert by_rank[rank] == pytest.approx(expected * 1e-6)
    remark = "collectives that name no group are taken as those of all ranks"
    assert set(seconds(frame, "wait", "note")) == {None if said else remark}
    starts = frame.filter(kind="step", step=2)["start"].to_list()
    assert starts == pytest.approx([starts[0]] * 4)


def test_records_that_do_not_end_together_are_not_taken_as_one_collective(tmp_path: Path) -> None:
    """Two groups of two ranks each, which are not named and end when they like."""
    computes = [[100, 900, 400, 800], [100, 900, 400, 800]], [[700, 100, 600, 300]] * 2
    for at, pair in enumerate(computes):
        job(tmp_path / str(at), pair, [0, 0], None)
    for rank in range(2):
        path = tmp_path / "1" / f"{rank}.json"
        path.write_text(path.read_text().replace(f'"rank": {rank}', f'"rank": {rank + 2}'))
    frame = hm.read_log(tmp_path)
    assert seconds(frame, "wait") == [None]
    assert "name no group and do not end together" in seconds(frame, "wait", "note")[0]


def test_groups_are_told_apart_by_name_and_number(tmp_path: Path) -> None:
    """A rank lacks the first collective of the group, so that ordinals do not fit."""
    first = [kernel(ALL_REDUCE, 0, 30, 20, **group(7)), kernel(ALL_REDUCE, 40, 90, 20, **group(8))]
    (tmp_path / "0").write_text(text([kernel(GEMM, 0, 5), *first], 0))
    (tmp_path / "1").write_text(
        text([kernel(GEMM, 0, 5), kernel(ALL_REDUCE, 60, 90, 20, **group(8))], 1)
    )
    frame = hm.read_log(tmp_path)
    assert seconds(frame, "wait") == pytest.approx([20e-6, 0])


def test_a_compressed_trace_reads_as_a_plain_one(tmp_path: Path) -> None:
    plain = read(tmp_path / "trace", STEP, 0)
    path = tmp_path / "trace.gz"
    path.write_bytes(gzip.compress(text(STEP, 0).encode()))
    assert hm.read_log(path).equals(plain)


def test_older_traces_have_other_categories(tmp_path: Path) -> None:
    old = {"kernel": "Kernel", "user_annotation": "Operator", "cuda_runtime": "Runtime"}
    events = [annotation(1, 0, 10), launch(1, 5), kernel(GEMM, 20, 30, correlation=5)]
    frame = read(tmp_path / "trace", [each | {"cat": old[each["cat"]]} for each in events], 0, 1)
    assert frame.filter(kind="compute").select("step", "seconds").rows() == [
        (1, pytest.approx(10e-6))
    ]


def test_what_follows_damage_is_read(tmp_path: Path) -> None:
    good = text([*STEP, kernel("after", 100, 110)], 0, 1)
    infinite = good.replace('"name": "H100"', '"name": "H100", "bytes": inf')
    odd = good.replace('"ts": 80', '"bandwidth": -nan, "ts": 80')
    broken = good.replace('"ts": 80', '"ts": 8"0')
    path = tmp_path / "trace"
    for damaged, compute_us, n_unread in [(infinite, 75, 1), (odd, 75, 0), (broken, 55, 1)]:
        path.write_text(damaged)
        frame = hm.read_log(path)
        assert seconds(frame, "compute") == pytest.approx([compute_us * 1e-6])
        assert len(seconds(frame, "unread")) == n_unread


def test_events_that_lack_numbers_are_told(tmp_path: Path) -> None:
    wrong: list[Any] = [
        kernel(GEMM, 0, 1) | {"ts": "late"},
        kernel(GEMM, 0, 1) | {"dur": float("nan")},
        kernel(GEMM, 0, 1) | {"ts": 1e300},
        kernel(GEMM, 0, 1, correlation=2**70),
        EVENT | {"cat": "kernel", "name": "no time"},
        kernel(GEMM, 0, 1) | {"args": [1]},
        kernel(GEMM, 0, 1) | {"tid": {}, "args": {"stream": []}},
        EVENT | {"cat": ["kernel"]},
        "text",
        [7],
    ]
    frame = read(tmp_path / "trace", [*wrong, *STEP], 0, 1)
    assert seconds(frame, "compute") == pytest.approx([65e-6])
    assert seconds(frame, "unread", "note") == ["7 events of trace lack numbers that they need"]


def test_keys_may_come_in_any_order_and_twice(tmp_path: Path) -> None:
    events = json.dumps(STEP)[:-1].replace('"ph"', '"args": {"device": 9}, "ph"')
    path = tmp_path / "trace"
    path.write_text(
        f'{{"traceEvents": {events}], "schemaVersion": 1, "distributedInfo": '
        '{"rank": 1, "rank": 0, "world_size": 1}}'
    )
    frame = hm.read_log(path)
    assert frame["rank"].unique().to_list() == [0]
    assert seconds(frame, "compute") == pytest.approx([65e-6])


def test_a_trace_cut_anywhere_gives_what_came_before(tmp_path: Path) -> None:
    whole = text(STEP, 0, 1).encode()
    path = tmp_path / "trace"
    read_of: set[float] = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            frame = hm.read_log(path)
        except hm.ScenarioError:
            continue
        assert seconds(frame, "unread", "note") == ["trace is cut off or damaged"]
        read_of.add(round(seconds(frame, "step")[0] * 1e6))
    assert read_of == {40, 60, 100}


def test_a_compressed_trace_cut_anywhere_is_read_or_refused(tmp_path: Path) -> None:
    whole = gzip.compress(text(STEP * 3, 0, 1).encode())
    path = tmp_path / "trace"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            frame = hm.read_log(path)
        except hm.ScenarioError:
            continue
        assert seconds(frame, "unread")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"traceEvents": [{"name": "fusion.1", "ph": "X", "ts": 1, "dur": 2}]}', "recognised"),
        ('{"displayTimeUnit": "ns", "traceEvents": []}', "nothing in it is recognised"),
        (text([]), "neither kernels nor steps"),
        (text([EVENT | {"cat": "cpu_op", "name": "aten::mm", "ts": 0, "dur": 9}]), "neither"),
        ('{"schemaVersion": 1, "deviceProperties": [', "neither kernels nor steps"),
    ],
)
def test_a_trace_in_which_nothing_is_recognised_is_refused(
    tmp_path: Path, content: str, said: str
) -> None:
    path = tmp_path / "trace"
    path.write_text(content)
    with pytest.raises(hm.ScenarioError, match=said):
        hm.read_log(path)


def test_an_unknown_rule_is_refused(tmp_path: Path) -> None:
    wrong: Any = "names"
    with pytest.raises(hm.ScenarioError, match="communication must be one of name, stream"):
        read(tmp_path / "trace", STEP, 0, communication=wrong)


def test_long_traces_are_read_piece_by_piece(tmp_path: Path) -> None:
    """Pieces end anywhere in events, and progress comes to the size of the file."""
    told: list[tuple[int, int]] = []
    path = tmp_path / "trace"
    n = 12_000
    path.write_text(text([kernel(GEMM, 10 * at, 10 * at + 5) for at in range(n)], 0, 1))
    size = path.stat().st_size
    frame = hm.read_log(path, progress=lambda done, total: told.append((done, total)))
    assert seconds(frame, "compute") == pytest.approx([5e-6 * n])
    assert told[-1] == (size, size)
    assert len(told) > size >> 20


@pytest.mark.skipif(not DEEPSEEK, reason="HINDMOST_DEEPSEEK_TRACE is not the path of train.json")
@pytest.mark.parametrize(
    ("rule", "compute_ms", "communication_ms", "hidden"),
    [("stream", 118.2, 115.1, 0.910), ("name", 124.3, 113.4, 0.963), (None, 124.3, 113.4, 0.963)],
)
def test_a_training_step_of_deepseek_is_read_to_a_tenth_of_a_millisecond(
    rule: Any, compute_ms: float, communication_ms: float, hidden: float
) -> None:
    frame = hm.read_log(DEEPSEEK, communication=rule)
    milliseconds = {
        kind: 1e3 * seconds(frame, kind)[0]
        for kind in ("step", "compute", "exposed", "hidden", "idle")
    }
    communication = milliseconds["exposed"] + milliseconds["hidden"]
    assert milliseconds["compute"] == pytest.approx(compute_ms, abs=0.05)
    assert communication == pytest.approx(communication_ms, abs=0.05)
    assert milliseconds["hidden"] / communication == pytest.approx(hidden, abs=5e-4)
    assert milliseconds["step"] == pytest.approx(129.0, abs=0.05)
    assert milliseconds["step"] - milliseconds["idle"] == pytest.approx(128.5, abs=0.05)
    assert seconds(frame, "step", "step") == [1]
    assert seconds(frame, "missing", "rank") == list(range(1, 64))
