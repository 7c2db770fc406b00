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
    ends_s = [one.end_s for one in found.computing["h100"]]
    np.testing.assert_allclose(ends_s, np.sort(by_replica), rtol=1e-6)
    # All of it hides, so that a step is shorter by what a replica computes less.
    assert found.mean_wait_s == pytest.approx(by_replica.max() - by_replica.mean(), rel=1e-4)


def test_causes_make_up_what_slows_and_stalls_a_gpu(case: tuple[hm.Scenario, Timeline]) -> None:
    _, found = case
    for one in found.replicas:
        for stage, passes in zip(one.stages, one.by_stage, strict=True):
            product = float(np.prod([each.slowdown for each in stage.effects]))
            assert stage.slowdown == pytest.approx(product, rel=2e-3)
            stalled_s = passes[0].begins_s - passes[0].ready_s
            assert stage.stall_s == pytest.approx(sum(each.stall_s for each in stage.stalls))
            if not stage.pass_stalls:
                assert stalled_s == pytest.approx(stage.stall_s, rel=1e-6)
        whole_s = sum(each.stall_s for each in one.whole_stalls)
        assert one.whole_stall_s == pytest.approx(whole_s, rel=1e-6)


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
    slowest, fastest = found.replicas
    assert (slowest.stages[0].gpu, slowest.stages[0].why) == (77, "slow 1.25, pause 0.125 s")
    assert slowest.stall_s == pytest.approx(0.125, rel=1e-6)
    assert fastest.why == ""
    [stall] = [event for event in spans(found.trace()) if event["cat"] == "stall"]
    assert (stall["name"], stall["args"]) == ("stall: pause", {"by": "pause 0.125 s"})
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
    assert {event["name"] for event in stalls} == {"stall of all stages: pause"}
    assert [event["tid"] - event["pid"] for event in stalls] == [1, 2, 3, 4]


def cause(effect: str, scope: str, span: str, value: float, **more: Any) -> dict[str, Any]:
    law = {"name": "constant", "value": value}
    return {
        "affects": "compute",
        "effect": effect,
        "scope": scope,
        "span": span,
        "law": law,
        **more,
    }


@pytest.mark.parametrize("span", ["microbatch", "layer"])
@pytest.mark.parametrize("pipeline", [1, 4])
def test_what_is_slow_within_a_step_is_named(span: str, pipeline: int) -> None:
    causes = {
        "speed": cause("slowdown", "gpu", "run", 1.01, units=[9]),
        "busy": cause("slowdown", "gpu", span, 1.5, units=[3]),
    }
    stages = STAGES if pipeline > 1 else {"workload.n_microbatches": 2}
    found = hm.timeline(calm("h100-1k", {**SMALL, **stages}, **causes), seed=1)
    slowest = found.replicas[0]
    stage = slowest.stages[slowest.busiest]
    assert (stage.gpu, stage.why) == (3, "busy 1.5")
    assert stage.slowdown == pytest.approx(1.5, rel=1e-6)
    of_pass = next(event for event in spans(found.trace()) if event["cat"] == "forward")
    assert of_pass["args"]["by"] == "busy 1.5"


def test_each_stall_has_the_names_of_its_own_causes() -> None:
    causes = {
        "whole": cause("stall", "replica", "step", 0.5, units=[3]),
        "own": cause("stall", "gpu", "step", 0.25, units=[24]),
        "batch": cause("stall", "gpu", "microbatch", 0.125, units=[24]),
        "all": cause("stall", "cluster", "microbatch", 0.0625),
        "slow": cause("slowdown", "gpu", "microbatch", 1.001, units=[24]),
    }
    found = hm.timeline(calm("h100-1k", {**SMALL, **STAGES}, **causes), seed=1)
    slowest = found.replicas[0]
    assert slowest.first == 3
    assert [str(one) for one in slowest.whole_stalls] == ["whole 0.5 s", "all 0.5 s"]
    assert slowest.whole_stall_s == pytest.approx(0.5 + 8 * 0.0625)
    assert [str(one) for one in slowest.stages[0].stalls] == ["own 0.25 s"]
    assert [one.stalls for one in slowest.stages[1:]] == [()] * 3
    stalls: dict[str, list[float]] = {}
    trace = spans(found.trace())
    process = min(event["pid"] for event in trace if event["cat"] == "forward")
    for event in trace:
        if event["cat"] == "stall" and event["pid"] == process:
            stalls.setdefault(event["name"], []).append(event["dur"] / 1e6)
    assert stalls.pop("stall of all stages: whole and all") == pytest.approx([1.0] * 4)
    assert stalls.pop("stall: own") == pytest.approx([0.25], rel=1e-6)
    assert stalls.pop("stall: batch") == pytest.approx([0.125] * 8, rel=1e-6)
    assert not stalls


def test_who_computes_longer_than_the_slowest_never_waits() -> None:
    """While a replica stalls nothing hides, so that a step may wait for one that is done sooner."""
    changes = {"fabric.bandwidth_efficiency": 0.3}
    for step in (35, 36):
        found = hm.timeline("colossus-1", seed=1, step=step, changes=changes)
        assert all(one.wait_s >= 0 for one in found.replicas)
        assert 0 <= found.mean_wait_s < found.step_time_s
        ends_s = [one.end_s for pool in found.computing.values() for one in pool]
        counters = [event for event in found.trace()["traceEvents"] if event["ph"] == "C"]
        times_us = [event["ts"] for event in counters]
        assert times_us == sorted(times_us)
        n_done = sum(end_s < found.compute_s for end_s in ends_s)
        assert sum(counters[-2]["args"].values()) == n_done
        assert sum(counters[-1]["args"].values()) == 0


def test_the_last_passes_hide_what_hides_of_gradients() -> None:
    changes = {**SMALL, **STAGES, "workload.overhead_s": 0.5}
    found = hm.timeline(calm("h100-1k", changes), seed=1)
    passes_end_us = 1e6 * (found.begins_s + max(one.ends_s for one in found.replicas[0].passes))
    hidden = [event for event in spans(found.trace()) if event["cat"] == "hidden exchange"]
    assert hidden[-1]["name"].startswith("reduce-scatter")
    assert hidden[-1]["ts"] + hidden[-1]["dur"] == pytest.approx(passes_end_us, abs=0.01)


def test_ports_are_named_by_their_causes() -> None:
    causes = {
        "stuck": cause("stall", "gpu", "step", 0.7, units=[5]) | {"affects": "network"},
        "narrow": cause("slowdown", "gpu", "run", 1.5, units=[5]) | {"affects": "network"},
    }
    found = hm.timeline(calm("h100-1k", SMALL, **causes), seed=1)
    assert found.slow_port == "a port of h100 1.5 x slower (narrow)"
    assert found.stalled_port == "a port of h100 stalls 0.7 s (stuck)"
    exchange = [event for event in spans(found.trace()) if "exchange" in event["cat"]]
    stalled = [event for event in exchange if "stuck" in event["args"].get("port", "")]
    assert [event["name"] for event in stalled] == [f"{found.exchanges[-1].name}, exposed"]


@pytest.mark.parametrize(
    ("n_gpus", "roles"),
    [(8, ["slowest"]), (16, ["slowest", "fastest"]), (24, ["slowest", "median", "fastest"])],
)
def test_roles_are_those_of_different_times(n_gpus: int, roles: list[str]) -> None:
    small = {"pools.h100.n_gpus": n_gpus, "workload.model": "llama3-8b"}
    found = hm.timeline("h100-1k", seed=1, changes=small)
    assert [one.role for one in found.replicas] == roles
    same = hm.timeline(calm("h100-1k", small), seed=1)
    assert [one.role for one in same.replicas] == ["slowest"]


def test_gangs_are_named_by_their_replicas() -> None:
    found = hm.timeline(CASES["barriers in every layer"], seed=1)
    named = {(one.first, one.last) for one in found.replicas}
    assert named == {(0, 11), (12, 23), (24, 31)}
    assert sorted(one.n_replicas for one in found.computing["h100"]) == [8, 12, 12]
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
    assert 2 < len(counters) <= 2 * timelines.WAITING_POINTS
    assert all(set(event["args"]) == set(found.computing) for event in counters)
    waiting = [sum(event["args"].values()) for event in counters]
    assert waiting[0] == waiting[-1] == 0
    assert waiting[:-1] == sorted(waiting[:-1])
    of_all = [one for pool in found.computing.values() for one in pool]
    slowest = found.replicas[0]
    assert waiting[-2] == found.n_replicas - (slowest.last - slowest.first + 1)
    for event, n in zip(counters[1:-1], waiting[1:-1], strict=True):
        at_s = event["ts"] / 1e6 - found.begins_s
        before, upto = (
            sum(one.n_replicas for one in of_all if one.end_s <= at_s + some_s)
            for some_s in (-2e-9, 2e-9)
        )
        assert before <= n <= upto


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
    path = tmp_path / "step.json"

    def size(detail: timelines.Detail) -> int:
        return len(timelines._Drawing(found, detail).trace().text())

    sizes = [size(detail) for detail in timelines.DETAILS]
    assert sizes == sorted(sizes, reverse=True)
    for most, detail in zip(sizes, timelines.DETAILS, strict=True):
        monkeypatch.setattr(timelines, "MOST_BYTES", most)
        assert found.write(path) == detail.left_out
        trace = json.loads(path.read_text())
        events = trace["traceEvents"]
        arrows = {event["pid"] for event in events if event["ph"] == "s"}
        assert len(arrows) == detail.n_with_arrows
        assert len({event["pid"] for event in events}) == 1 + detail.n_replicas
        assert trace["otherData"]["left out"] == detail.left_out


def test_more_passes_than_fit_are_refused_at_once() -> None:
    changes = {**SMALL, **STAGES, "workload.n_microbatches": 20_000}
    with pytest.raises(ScenarioError, match=r"workload.n_microbatches makes 160,000 passes"):
        hm.timeline("h100-1k", changes=changes)
    changes = {**SMALL, **STAGES, "workload.n_microbatches": 10_000}
    found = hm.timeline("h100-1k", changes=changes, seed=1)
    assert len(found.replicas[0].passes) == timelines.MOST_PASSES
    assert len(timelines._Drawing(found, timelines.DETAILS[-1]).trace().text()) < 10e6


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
        (["-o", "step.txt"], "--output must end in .json or .json.gz"),
        (["-o", "step.txt", "--step", "-1"], "step must be an integer from 0"),
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
