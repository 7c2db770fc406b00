"""One step as a timeline: against sampled rows, rank times, schedules by hand and its format."""

from __future__ import annotations

import gzip
import itertools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tests.calm import calm

import hindmost as hm
from hindmost import Timeline
from hindmost.cli.app import cli
from hindmost.compiled import Compiled
from hindmost.errors import ScenarioError
from hindmost.timelines import timeline as timelines
from hindmost.timelines.trace import Trace

SMALL = {"pools.h100.n_gpus": 256}
STALL = {"affects": "compute", "effect": "stall", "probability": 0.3}
LONG = {"name": "constant", "value": 0.5}
STAGES = {
    "layout.pipeline": 4,
    "layout.sharding": "zero1",
    "layout.shard_group_replicas": None,
    "workload.n_microbatches": 8,
}
CASES: dict[str, hm.Scenario] = {
    "one barrier": hm.load("h100-1k"),
    "one barrier of three pools": hm.load("colossus-1"),
    "one barrier with stalls": hm.load(
        "h100-1k",
        {**SMALL, "causes.pause": {**STALL, "law": LONG, "scope": "node", "span": "step"}},
    ),
    "stages": hm.load("llama3-405b-8192"),
    "stages of three pools": hm.load("colossus-1-pp16"),
    "stages with stalls of some and of all": hm.load(
        "h100-1k",
        {
            **SMALL,
            **STAGES,
            "layout.order": "tp-cp-pp-dp",
            "causes.gpu-pause": {**STALL, "law": LONG, "scope": "gpu", "span": "step"},
            "causes.rack-pause": {**STALL, "law": LONG, "scope": "replica", "span": "step"},
            "causes.batch-pause": {**STALL, "law": LONG, "scope": "cluster", "span": "microbatch"},
        },
    ),
    "three kinds of passes": hm.load(
        "h100-1k", {**SMALL, **STAGES, "layout.schedule": "zero-bubble"}
    ),
    "chunks": hm.load(
        "h100-1k", {**SMALL, **STAGES, "layout.schedule": "interleaved", "layout.chunks": 2}
    ),
    "barriers in every layer": hm.load(
        "h100-1k",
        {
            **SMALL,
            "causes.residual.span": "layer",
            "layout.shard_group_replicas": 12,
            "workload.n_microbatches": 1,
        },
    ),
    "replicas with other sequences": hm.load(
        "h100-1k", {**SMALL, "workload.document_tokens": {"name": "exponential", "mean": 2000.0}}
    ),
}
"""Scenarios in which a replica's time has another form."""

SEED, RUN, STEP = 11, 1, 6


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[hm.Scenario, Timeline]:
    scenario = CASES[request.param]
    return scenario, hm.timeline(scenario, seed=SEED, run=RUN, step=STEP)


def spans(trace: dict[str, Any]) -> list[dict[str, Any]]:
    return [event for event in trace["traceEvents"] if event["ph"] == "X"]


def test_it_ends_when_the_sampled_step_does(case: tuple[hm.Scenario, Timeline]) -> None:
    scenario, found = case
    result = hm.simulate(scenario, seed=SEED, runs=RUN + 1, steps=STEP + 1, method="sample")
    row = result.steps.row(RUN * (STEP + 1) + STEP, named=True)
    assert found.compute_s == row["compute_s"]
    assert found.stall_s == row["stall_s"]
    assert found.exposed_comm_s == pytest.approx(row["exposed_comm_s"], rel=1e-12, abs=1e-15)
    assert found.step_time_s == pytest.approx(row["step_time_s"], rel=1e-12)
    assert found.replicas[0].pool == row["slowest_pool"]
    last_us = max(event["ts"] + event["dur"] for event in spans(found.trace()))
    assert last_us / 1e6 == pytest.approx(row["step_time_s"], rel=1e-9)


def test_a_replica_ends_when_its_last_stage_does(case: tuple[hm.Scenario, Timeline]) -> None:
    _, found = case
    for one in found.replicas:
        ends_s = [
            passes[-1].ends_s + stage.overhead_s
            for stage, passes in zip(one.stages, one.by_stage, strict=True)
        ]
        assert one.whole_stall_s + max(ends_s) == pytest.approx(one.compute_s, rel=1e-12)


def test_passes_follow_each_other_and_their_data(case: tuple[hm.Scenario, Timeline]) -> None:
    """Each begins once its stage is free and its data are there, and takes its time."""
    scenario, found = case
    plan = Compiled(scenario).plan
    names = [pool.name for pool in plan.pools]
    transfers_s = plan.arguments["pipeline"]["times"] if plan.arguments["pipeline"] else None
    for one in found.replicas:
        n_stages, n_chunks = len(one.stages), scenario.layout.chunks
        done: dict[tuple[str, int, int], float] = {}
        for stage, passes in enumerate(one.by_stage):
            assert [each.stage for each in passes] == [stage] * len(passes)
            kinds = 3 if any(each.direction == "weight" for each in passes) else 2
            assert len(passes) == len(set(passes)) == kinds * n_chunks * plan.n_microbatches
        free_s = [0.0] * n_stages
        for each in one.passes:
            pool = plan.pools[names.index(one.stages[each.stage].pool)]
            virtual = each.chunk * n_stages + each.stage
            base = pool.compute.stages[virtual]
            seconds = {"forward": base.forward_s, "weight": base.weight_s}
            seconds["backward"] = base.backward_s
            before = {"forward": virtual - 1, "backward": virtual + 1}.get(each.direction, -1)
            arrives_s = done.get((each.direction, before, each.microbatch), -1.0)
            if arrives_s >= 0 and transfers_s is not None:
                link = (each.stage - 1) % n_stages if each.direction == "forward" else each.stage
                arrives_s += transfers_s[names.index(one.pool)]["transfer_s"][link]
            ready_s = max(free_s[each.stage], arrives_s)
            assert each.ready_s == pytest.approx(ready_s, rel=1e-12, abs=1e-12)
            assert each.begins_s >= each.ready_s
            took_s = each.ends_s - each.begins_s
            assert took_s == pytest.approx(seconds[each.direction] * each.slowdown, rel=1e-6)
            free_s[each.stage] = done[each.direction, virtual, each.microbatch] = each.ends_s


def test_three_replicas_are_those_of_all_rank_times() -> None:
    scenario = hm.load("h100-1k", SMALL)
    found = hm.timeline(scenario, seed=SEED, run=RUN, step=STEP)
    times = hm.rank_times(scenario, seed=SEED, run=RUN, steps=[STEP])[0].reshape(-1, 8)
    by_replica = times.max(axis=1)
    order = np.argsort(by_replica, kind="stable")
    expected = {"slowest": order[-1], "median": order[(len(order) - 1) // 2], "fastest": order[0]}
    assert {one.role: one.first for one in found.replicas} == expected
    for one in found.replicas:
        assert one.compute_s == pytest.approx(by_replica[one.first], rel=1e-6)
        assert one.stages[0].gpu == 8 * one.first + times[one.first].argmax()
        assert one.stages[0].node == one.first
    np.testing.assert_allclose(found.computing["h100"], np.sort(by_replica), rtol=1e-6)
    assert found.mean_wait_s == pytest.approx(by_replica.max() - by_replica.mean(), rel=1e-4)


def test_causes_make_up_what_slows_and_stalls_a_gpu(case: tuple[hm.Scenario, Timeline]) -> None:
    _, found = case
    for one in found.replicas:
        for stage, passes in zip(one.stages, one.by_stage, strict=True):
            product = float(np.prod([each.slowdown for each in stage.effects]))
            assert stage.slowdown == pytest.approx(product, rel=1e-5)
            stalled_s = passes[0].begins_s - passes[0].ready_s
            if passes[0].microbatch == 0 and not found.within_step:
                assert stalled_s == pytest.approx(sum(each.stall_s for each in stage.stalls))


def test_a_planted_slow_gpu_and_a_stalled_node_are_named() -> None:
    slow: dict[str, Any] = {
        "affects": "compute",
        "effect": "slowdown",
        "scope": "gpu",
        "span": "run",
    }
    slow |= {"law": {"name": "constant", "value": 1.25}, "units": [77]}
    pause: dict[str, Any] = {
        "affects": "compute",
        "effect": "stall",
        "scope": "node",
        "span": "step",
    }
    pause |= {"law": {"name": "constant", "value": 0.125}, "units": [9]}
    found = hm.timeline(calm("h100-1k", None, slow=slow, pause=pause), seed=1)
    slowest, median, _ = found.replicas
    assert (slowest.stages[0].gpu, slowest.stages[0].why) == (77, "slow 1.25, pause 0.125 s")
    assert slowest.stall_s == pytest.approx(0.125, rel=1e-6)
    assert median.stages[0].why == ""
    [stall] = [event for event in spans(found.trace()) if event["cat"] == "stall"]
    assert stall["name"] == "stall: pause"
    assert stall["dur"] == pytest.approx(125_000, rel=1e-6)


def test_a_stall_of_all_stages_stands_before_their_passes() -> None:
    pause: dict[str, Any] = {
        "affects": "compute",
        "effect": "stall",
        "scope": "replica",
        "span": "step",
    }
    pause |= {"law": {"name": "constant", "value": 0.125}, "units": [3]}
    scenario = calm("h100-1k", {**SMALL, **STAGES}, pause=pause)
    slowest = hm.timeline(scenario, seed=1).replicas[0]
    assert slowest.first == 3
    assert slowest.whole_stall_s == pytest.approx(0.125, rel=1e-6)
    assert [str(each) for each in slowest.whole_stalls] == ["pause 0.125 s"]
    trace = hm.timeline(scenario, seed=1).trace()
    stalls = [event for event in spans(trace) if event["cat"] == "stall"]
    assert [event["tid"] for event in stalls] == [1, 2, 3, 4]


def test_gangs_are_named_by_their_replicas() -> None:
    found = hm.timeline(CASES["barriers in every layer"], seed=1)
    named = {(one.first, one.last) for one in found.replicas}
    assert named <= {(0, 11), (12, 23), (24, 31)}
    assert found.replicas_of_time == 12
    assert "replicas " in found.replicas[0].name


def test_the_trace_keeps_to_its_format(case: tuple[hm.Scenario, Timeline]) -> None:
    trace = case[1].trace()
    events = trace["traceEvents"]
    assert set(trace) == {"traceEvents", "displayTimeUnit", "otherData"}
    named = {(event["name"], event["pid"], event["tid"]) for event in events if event["ph"] == "M"}
    flows: dict[int, dict[str, Any]] = {}
    for event in events:
        assert event["ph"] in "XMCsf"
        assert isinstance(event["name"], str)
        assert event["name"]
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
            assert event["cat"]
            assert ("thread_name", event["pid"], event["tid"]) in named
            assert ("thread_sort_index", event["pid"], event["tid"]) in named
            assert ("process_name", event["pid"], 0) in named
        if event["ph"] in "sf":
            flows.setdefault(event["id"], {})[event["ph"]] = event
    threads = itertools.groupby(
        sorted(spans(trace), key=lambda event: (event["pid"], event["tid"], event["ts"])),
        key=lambda event: (event["pid"], event["tid"]),
    )
    by_thread = {thread: list(of_thread) for thread, of_thread in threads}
    for of_thread in by_thread.values():
        for one, other in itertools.pairwise(of_thread):
            # In whole nanoseconds, as viewers have them.
            assert round(1000 * (one["ts"] + one["dur"])) <= round(1000 * other["ts"])
    for ends in flows.values():
        begin, end = ends["s"], ends["f"]
        assert begin["ts"] <= end["ts"]
        assert end["bp"] == "e"
        for each in (begin, end):
            around = [
                event
                for event in by_thread[each["pid"], each["tid"]]
                if event["ts"] <= each["ts"] <= event["ts"] + event["dur"]
            ]
            assert around


def test_each_transfer_has_an_arrow() -> None:
    scenario = hm.load("h100-1k", {**SMALL, **STAGES})
    events = hm.timeline(scenario, seed=1).trace()["traceEvents"]
    # Three links, both ways, eight microbatches, three replicas.
    assert sum(event["ph"] == "s" for event in events) == 3 * 2 * 8 * 3
    assert not any(event["ph"] == "s" for event in hm.timeline("h100-1k").trace()["traceEvents"])


def test_exchange_that_hides_lies_beside_passes_and_the_rest_outside() -> None:
    found = hm.timeline("llama3-405b-8192", seed=2)
    by_kind: dict[str, float] = {}
    begins_us = 1e6 * found.begins_s
    ends_us = begins_us + 1e6 * found.compute_s
    for event in spans(found.trace()):
        if "exchange" not in event["cat"]:
            continue
        by_kind[event["cat"]] = by_kind.get(event["cat"], 0.0) + event["dur"] / 1e6
        is_inside = begins_us - 1 <= event["ts"] and event["ts"] + event["dur"] <= ends_us + 1
        assert is_inside == (event["cat"] == "hidden exchange")
    assert by_kind["hidden exchange"] == pytest.approx(
        sum(one.hidden_s for one in found.exchanges), rel=1e-6
    )
    exposed_s = by_kind["exposed exchange"] + by_kind["cost of hidden exchange"]
    assert exposed_s == pytest.approx(found.exposed_comm_s, rel=1e-6)


@pytest.mark.parametrize("name", ["one barrier of three pools", "barriers in every layer"])
def test_the_counter_says_how_many_replicas_wait(name: str) -> None:
    found = hm.timeline(CASES[name], seed=3)
    counters = [event for event in found.trace()["traceEvents"] if event["ph"] == "C"]
    assert 2 < len(counters) <= timelines.WAITING_POINTS + 3 or len(found.computing) == 1
    assert all(set(event["args"]) == set(found.computing) for event in counters)
    waiting = [sum(event["args"].values()) for event in counters]
    assert waiting[0] == waiting[-1] == 0
    assert waiting[:-1] == sorted(waiting[:-1])
    n_times = sum(map(len, found.computing.values()))
    assert waiting[-2] == (n_times - 1) * found.replicas_of_time
    for event, n in zip(counters[1:-1], waiting[1:-1], strict=True):
        at_s = event["ts"] / 1e6 - found.begins_s + 1e-9
        done = sum(sum(s <= at_s for s in times) for times in found.computing.values())
        assert n == pytest.approx(done * found.replicas_of_time, abs=found.replicas_of_time)


@pytest.mark.parametrize("threads", [1, 7])
def test_threads_change_nothing(threads: int) -> None:
    for name in ("one barrier of three pools", "stages with stalls of some and of all"):
        one, other = (
            hm.timeline(CASES[name], seed=SEED, step=STEP, threads=n) for n in (2, threads)
        )
        assert one == other


def test_it_is_a_value() -> None:
    found = hm.timeline("h100-1k", seed=1, changes=SMALL)
    assert pickle.loads(pickle.dumps(found)) == found
    assert found != hm.timeline("h100-1k", seed=2, changes=SMALL)


def test_what_is_too_much_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = hm.timeline("h100-1k", seed=1, changes={**SMALL, **STAGES})
    whole = len(Trace.text(found._trace(found.replicas, has_arrows=True)))
    path = tmp_path / "step.json"
    for most, arrows, n_processes, said in (
        (whole, True, 4, ""),
        (whole - 1, False, 4, "arrows"),
        (whole // 3, False, 2, "all replicas but the slowest"),
    ):
        monkeypatch.setattr(timelines, "MOST_BYTES", most)
        left_out = found.write(path)
        events = json.loads(path.read_text())["traceEvents"]
        assert said in left_out
        assert bool(said) == bool(left_out)
        assert any(event["ph"] == "s" for event in events) == arrows
        assert len({event["pid"] for event in events}) == n_processes
    monkeypatch.setattr(timelines, "MOST_BYTES", 1000)
    with pytest.raises(ScenarioError, match=r"workload.n_microbatches makes 64 passes"):
        found.write(path)


def test_the_command_writes_a_trace_and_prints_three_replicas(tmp_path: Path) -> None:
    path = tmp_path / "step.json.gz"
    call = ["timeline", "h100-1k", "--step", "17", "--seed", "4", "-o", str(path)]
    ran = CliRunner().invoke(cli, call)
    assert ran.exit_code == 0
    for word in ("step 17 of run 0, seed 4", "slowest", "median", "fastest", "What slows them"):
        assert word in ran.stdout
    assert max(map(len, ran.stdout.splitlines())) <= 80
    trace = json.loads(gzip.decompress(path.read_bytes()))
    assert trace == hm.timeline("h100-1k", step=17, seed=4).trace()
    ran = CliRunner().invoke(cli, [*call, "--format", "json"])
    document = json.loads(ran.stdout)
    assert document["step_time_s"] == trace["otherData"]["step_time_s"]
    assert [row["role"] for row in document["replicas"]] == ["slowest", "median", "fastest"]


def test_names_that_are_no_words_stay_texts(tmp_path: Path) -> None:
    scenario = hm.load("h100-1k", {**SMALL, "name": '</script>"\n\\'})
    path = tmp_path / "step.json"
    hm.timeline(scenario, seed=1).write(path)
    trace = json.loads(path.read_text())
    assert trace["otherData"]["scenario"] == '</script>"\n\\'


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"step": -1}, "step must be an integer from 0"),
        ({"step": 2**32}, "step must be an integer from 0"),
        ({"step": "17"}, "step must be an integer from 0"),
        ({"run": 65_536}, "run must be an integer from 0 to 65535"),
        ({"seed": -1}, "seed must be an integer"),
        ({"threads": 0}, "threads must be an integer"),
    ],
)
def test_wrong_calls_are_refused(call: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        hm.timeline("h100-1k", **call)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "step.txt"], "--output must end in .json, .gz"),
        (["-o", "step.gz"], "--output must end in .json or .json.gz"),
        (["-o", "none/step.json"], "--output must lie in a folder that exists"),
        (["-o", "step.json", "--step", "-3"], "step must be an integer from 0"),
        (["-o", "step.json", "--set", "layout.tensor=5"], "layout.tensor"),
        ([], "Missing option"),
    ],
)
def test_wrong_commands_are_refused(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli, ["timeline", "h100-1k", *arguments])
    told = str(ran.exception) + ran.output
    assert said in told
    assert not list(tmp_path.iterdir())
