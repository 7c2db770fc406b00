"""Execution traces of Chakra: what operations of a rank take, and when, where that is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hindmost as hm

ALL_REDUCE = "ncclDevKernel_AllReduce_Sum_f32_RING_LL"


def node(
    number: int, kind: str, lasted_us: int, start_us: int = 0, name: str = "gemm", **attr: Any
) -> dict[str, Any]:
    """Return a node as ``MessageToJson`` writes it: numbers of 64 bits are texts, zeros are not."""
    given = {"is_cpu_op": False} | attr
    found: dict[str, Any] = {
        "id": str(number),
        "name": name,
        "type": kind,
        "attr": [
            {"name": key, "boolVal" if isinstance(value, bool) else "stringVal": value}
            for key, value in given.items()
        ],
    }
    if start_us:
        found["startTimeMicros"] = str(start_us)
    if lasted_us:
        found["durationMicros"] = str(lasted_us)
    return found


def write(path: Path, nodes: list[dict[str, Any]]) -> Path:
    """Write nodes as ``chakra_jsonizer`` does: one after another, without anything in between."""
    objects = [{"version": "0.0.4"}, *nodes]
    path.write_text("".join(json.dumps(each, indent=2) for each in objects))
    return path


NODES = [
    node(1, "COMP_NODE", 318, name="aten::mm", is_cpu_op=True),
    node(2, "COMP_NODE", 40),
    node(3, "COMM_COLL_NODE", 30, name=ALL_REDUCE),
    node(4, "COMP_NODE", 0, name="Memcpy DtoD (Device -> Device)"),
    node(5, "COMP_NODE", 5),
]


def test_without_start_times_overlap_is_not_known(tmp_path: Path) -> None:
    frame = hm.read_log(write(tmp_path / "chakra.3.json", NODES))
    assert frame["rank"].unique().to_list() == [3]
    found = dict(frame.select("kind", "seconds").iter_rows())
    assert found == {
        "compute": pytest.approx(45e-6),
        "exposed": None,
        "hidden": None,
        "collective": pytest.approx(30e-6),
    }
    assert "there are no start times" in frame["note"][0]


def test_with_start_times_there_is_a_step_and_its_shares(tmp_path: Path) -> None:
    nodes = [
        node(2, "COMP_NODE", 40, 1000),
        node(3, "COMM_COLL_NODE", 30, 1030, name=ALL_REDUCE),
        node(5, "COMP_NODE", 20, 1080),
    ]
    frame = hm.read_log(write(tmp_path / "trace", nodes))
    found = dict(frame.select("kind", "seconds").iter_rows())
    assert found["step"] == pytest.approx(100e-6)
    assert found["compute"] == pytest.approx(60e-6)
    assert found["exposed"] == pytest.approx(20e-6)
    assert found["hidden"] == pytest.approx(10e-6)
    assert found["idle"] == pytest.approx(20e-6)


def test_the_graph_of_the_feeder_is_read_alike(tmp_path: Path) -> None:
    numbers = {"COMP_NODE": 4, "COMM_COLL_NODE": 7}
    graph = [
        {
            "Id": int(each["id"]),
            "Name": each["name"],
            "NodeType": numbers[each["type"]],
            "is_cpu_op": each["attr"][0]["boolVal"],
            "runtime": int(each.get("durationMicros", 0)),
        }
        for each in NODES
    ]
    (tmp_path / "graph.0.json").write_text(json.dumps({"workload_graph": graph}))
    write(tmp_path / "nodes.0.json", NODES)
    graphed = hm.read_log(tmp_path / "graph.0.json")
    assert graphed.equals(hm.read_log(tmp_path / "nodes.0.json"))


def test_ranks_of_a_folder_wait_in_collectives_of_a_named_group(tmp_path: Path) -> None:
    for rank, lasted_us in enumerate([90, 30, 50]):
        reduce = node(1, "COMM_COLL_NODE", lasted_us, name=ALL_REDUCE, pg_name="0")
        write(tmp_path / f"chakra.{rank}.json", [reduce, node(2, "COMP_NODE", 5)])
    waits = hm.read_log(tmp_path).filter(kind="wait").select("rank", "seconds").rows()
    assert waits == [(0, pytest.approx(60e-6)), (1, 0), (2, pytest.approx(20e-6))]


def test_a_trace_of_the_host_alone_is_refused(tmp_path: Path) -> None:
    trace = {"schema": "1.0.2-chakra.0.0.4", "nodes": [{"id": 2, "name": "aten::to", "attrs": []}]}
    (tmp_path / "trace").write_text(json.dumps(trace))
    with pytest.raises(hm.ScenarioError, match="no times of operations on a GPU"):
        hm.read_log(tmp_path / "trace")


def test_a_trace_cut_anywhere_gives_what_came_before(tmp_path: Path) -> None:
    path = write(tmp_path / "trace", NODES)
    whole = path.read_bytes()
    ends = [at + 1 for at in range(len(whole)) if whole[at : at + 2] in (b"}{", b"}")]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        try:
            frame = hm.read_log(path)
        except hm.ScenarioError:
            continue
        assert frame.filter(kind="unread").height == (length not in ends)


def test_nodes_that_lack_what_they_need_are_told(tmp_path: Path) -> None:
    wrong = [
        node(6, "COMP_NODE", 1) | {"durationMicros": "long"},
        {"type": "COMP_NODE", "attr": [1]},
    ]
    frame = hm.read_log(write(tmp_path / "trace", NODES + wrong))
    note = "2 nodes of trace lack what they need"
    assert frame.filter(kind="unread")["note"].to_list() == [note]
