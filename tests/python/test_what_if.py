"""What recorded jobs would have been without stragglers."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.traced_jobs import Shape, random_draw, traced_job, wavy_draw
from tests.walk_by_hand import WalkByHand

import hindmost as hm
from hindmost.cli import cli

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "traces"
needs_traces = pytest.mark.skipif(
    not SHARED.is_dir(), reason="the traces of StragglerAnalysis are not in ../shared/data/traces"
)

JOB = Shape(stages=3, replicas=2, microbatches=4, steps=3)


def job(shape: Shape = JOB, **slow: Any) -> pl.DataFrame:
    return traced_job(shape, wavy_draw(**slow))


@needs_traces
@pytest.mark.parametrize("name", ["AR", "ST"])
def test_answers_are_those_of_the_tool_that_recorded_the_jobs(name: str) -> None:
    found = hm.what_if(SHARED / f"trace-{name}.parquet")
    result = json.loads((SHARED / f"result-{name}.json").read_text())

    def by_step(seconds: tuple[float, ...]) -> dict[str, float]:
        return {str(step): one for step, one in zip(found.job.core.steps, seconds, strict=True)}

    def by_text(slowdowns: Any) -> dict[str, float]:
        return {str(key): slowdown for key, slowdown in slowdowns.items()}

    alike = partial(pytest.approx, rel=1e-9)
    assert by_step(found.job.recorded_s) == alike(result["step_t_base"])
    assert by_step(found.times_s) == alike(result["step_t_nodelay"])
    for ideal_s in result["step_t_noblk"].values():
        assert ideal_s == alike(found.T_ideal_s)
    assert alike(result["blocking_slowdown"]) == found.S
    slowdowns = [one / found.T_ideal_s for one in found.times_s]
    assert by_step(tuple(slowdowns)) == alike(result["blocking_step_slowdown"])
    assert dict(found.S_t) == alike(result["blocking_decompose_by_optype"])
    assert by_text(found.S_dp_rank) == alike(result["blocking_decompose_by_dp_rank"])
    assert by_text(found.S_stage) == alike(result["blocking_decompose_by_stage"])
    # Mean recorded times are in single precision there.
    assert found.T_recorded_s / found.T_s == pytest.approx(result["launch_slowdown"], rel=1e-6)
    for share, file in (("M_W", "mw"), ("M_S", "ms")):
        answer = json.loads((SHARED / f"{file}-{name}.json").read_text())
        assert getattr(found, share) == alike(answer["rem"])
        assert found.T_s == alike(answer["tori"])


PINNED = [
    # What StragglerAnalysis at 8efcd7f prints, under pandas 2.3.3, for jobs of `wavy_draw` whose
    # worker of the last stage and replica 0 is 1.4 times as slow: T, T ideal, S, M_W, M_S; S_t of
    # forward passes, of forward transfers and of scatters; S of replica 0 and of the last stage.
    (
        Shape(stages=3, replicas=3, microbatches=5),
        (3.2252883529872634, 2.68127115605813, 1.202895255744637),
        (1.0809503200407946, 1.0106574125284258),
        (1.0588162153481173, 1.0002685291367162, 1.0001442101466147),
        (1.2028703919292496, 1.2205117748435759),
    ),
    (
        Shape(schedule="interleaved", stages=4, chunks=2, microbatches=8, empty_transfers=True),
        (9.101443280815147, 7.098105036064226, 1.282235643819345),
        (0.9899352906400694, 0.9882508492538253),
        (1.099848132121895, 1.0002620414353594, 1.0001324297027303),
        (1.2821755338919614, 1.2881554210402382),
    ),
    (
        Shape(
            schedule="interleaved",
            chunks=3,
            replicas=3,
            steps=9,
            overlapped=True,
            empty_transfers=True,
        ),
        (6.316131844081813, 4.960932535294695, 1.2731743072790274),
        (1.0073268699489322, 0.9855717523440309),
        (1.094180880962879, 1.0004951277691736, 1.000057486176971),
        (1.2730668006568004, 1.2790112093755417),
    ),
    (
        Shape(stages=1, replicas=3, microbatches=3),
        (1.6153123361291364, 1.2938663314174241, 1.2484383408907238),
        (0.999087456229809, 1.0),
        (1.0718604193229098, 1.0, 1.0004018964104866),
        (1.2482219352004424, 1.2484383408907238),
    ),
]


@pytest.mark.parametrize(("shape", "times", "shares", "by_type", "by_place"), PINNED)
def test_answers_for_jobs_with_chunks_and_overlap_are_those_of_the_tool(
    shape: Shape, times: Any, shares: Any, by_type: Any, by_place: Any
) -> None:
    found = hm.what_if(job(shape, slow={(0, shape.stages - 1): 1.4}))
    types = ("forward-compute", "forward-pp-comm", "grads-reduce-scatter")
    assert (found.T_s, found.T_ideal_s, found.S) == pytest.approx(times, rel=1e-9)
    assert pytest.approx(shares, rel=1e-8) == (found.M_W, found.M_S)
    assert [found.S_t.get(kind, 1.0) for kind in types] == pytest.approx(list(by_type), rel=1e-9)
    places = (found.S_dp_rank[0], found.S_stage[shape.stages - 1])
    assert places == pytest.approx(by_place, rel=1e-9)


SHAPES = st.builds(
    Shape,
    stages=st.integers(1, 4),
    replicas=st.integers(1, 3),
    microbatches=st.integers(1, 5),
    schedule=st.sampled_from(["gpipe", "1f1b"]),
    steps=st.integers(1, 10),
    overlapped=st.booleans(),
    empty_transfers=st.booleans(),
) | st.builds(
    Shape,
    stages=st.integers(2, 3),
    chunks=st.integers(2, 3),
    replicas=st.integers(1, 2),
    microbatches=st.sampled_from([6, 12]),
    schedule=st.just("interleaved"),
    overlapped=st.booleans(),
    empty_transfers=st.just(True),
)


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1), data=st.data())
def test_steps_are_those_of_a_walk_by_hand(shape: Shape, seed: int, data: st.DataObject) -> None:
    trace = traced_job(shape, random_draw(seed))
    found = hm.what_if(trace, threads=1)
    by_hand = WalkByHand(shape, trace)
    kinds = data.draw(st.sets(st.sampled_from(sorted(by_hand.ideal_s)), min_size=1))
    stages = data.draw(st.sets(st.integers(0, shape.stages - 1), min_size=1))
    replicas = data.draw(st.sets(st.integers(0, shape.replicas - 1), min_size=1))
    ideal = {"type": sorted(kinds), "stage": sorted(stages), "dp_rank": sorted(replicas)}
    frame = found.step_times(ideal)  # type: ignore[arg-type]
    expected = [
        by_hand.step_time_s(
            step,
            lambda op: op.kind in kinds and op.stage in stages and op.replica in replicas,
        )
        for step in by_hand.steps
    ]
    assert frame["ideal_s"].to_list() == pytest.approx(expected, rel=1e-12)
    plain = [by_hand.step_time_s(step, lambda _: False) for step in by_hand.steps]
    assert frame["seconds"].to_list() == pytest.approx(plain, rel=1e-12)
    ideal_s = by_hand.step_time_s(by_hand.steps[0], lambda _: True)
    assert found.T_ideal_s == pytest.approx(ideal_s, rel=1e-12)


@pytest.mark.parametrize("schedule", ["gpipe", "1f1b"])
@pytest.mark.parametrize(("stages", "microbatches"), [(1, 3), (4, 4), (3, 8)])
def test_equal_passes_take_the_time_of_a_pipeline_with_its_bubble(
    schedule: str, stages: int, microbatches: int
) -> None:
    seconds = {"forward-compute": 1.0, "backward-compute": 2.0, "optimizer": 0.5}
    shape = Shape(stages=stages, microbatches=microbatches, schedule=schedule)
    found = hm.what_if(traced_job(shape, lambda kind, *_: seconds.get(kind, 0.0)))
    expected = 3.0 * (microbatches + stages - 1) + 0.5
    assert found.T_s == pytest.approx(expected, rel=1e-6)
    assert pytest.approx(1, rel=1e-6) == found.S


def test_one_slow_worker_is_the_slowdown() -> None:
    """Without stages: n replicas, of which one takes k times as long, have the mean of all."""

    def draw(kind: str, replica: int, stage: int) -> float:
        seconds = {"forward-compute": 1.0, "backward-compute": 2.0}.get(kind, 0.0)
        return seconds * (1.5 if replica == 2 else 1.0)

    n, slow = 4, 1.5
    found = hm.what_if(traced_job(Shape(stages=1, replicas=n, microbatches=6), draw))
    assert found.T_s == pytest.approx(18 * slow)
    assert found.T_ideal_s == pytest.approx(18 * (n - 1 + slow) / n)
    assert found.slowest_ranks == (2,)
    assert pytest.approx(1) == found.M_W
    assert found.S_dp_rank[2] == pytest.approx(found.S)
    assert found.S_w[0] == pytest.approx(1)
    # The type alone: the rest of the slow worker is ideal.
    assert found.S_t["forward-compute"] == pytest.approx(1 + (found.S - 1) / 3)


def test_a_rank_a_stage_or_a_type_is_made_ideal() -> None:
    found = hm.what_if(job(slow={(1, 2): 1.5}))
    [slow] = found.slowest_ranks
    assert slow == found.job.ranks[2][1]
    assert found.T_with_s({"rank": slow}) == found.T_without_slowest_s
    assert found.T_with_s({"stage": 2}) == found.T_without_last_stage_s
    assert found.T_with_s({"rank": slow}) == found.T_with_s({"dp_rank": 1, "stage": 2})
    assert found.T_with_s({"rank": 0}) > found.T_with_s({"rank": slow})
    assert found.T_with_s("all") == found.T_ideal_s
    assert found.T_with_s(None) == found.T_s
    pairs = {"type": "forward-pp-comm"}, {"type": ["forward-send", "forward-recv"]}
    assert found.step_times(pairs[0]).equals(found.step_times(pairs[1]))


def test_the_result_does_not_depend_on_threads_or_on_the_order_of_rows() -> None:
    trace = job(replace(JOB, steps=17))
    found = [hm.what_if(trace, threads=threads) for threads in (1, 2, 7)]
    assert found[0] == found[1] == found[2]
    shuffled = hm.what_if(trace.sample(fraction=1, shuffle=True, seed=5))
    # Columns in another order are another trace; what is found is equal.
    assert replace(shuffled, job=found[0].job) == found[0]


def test_what_is_found_is_a_value() -> None:
    found = hm.what_if(job())
    assert pickle.loads(pickle.dumps(found)) == found
    step = found.timeline(ideal={"rank": 0})
    assert pickle.loads(pickle.dumps(step)) == step
    assert json.loads(json.dumps(found.document()))["S"] == found.S


def test_ranks_and_chunks_follow_from_the_trace() -> None:
    trace = job()
    plain = trace.drop("dp_rank", "mc", "gmc", "mb_id")
    assert hm.what_if(plain).rows == hm.what_if(trace).rows


def test_a_file_is_read_as_its_frame(tmp_path: Path) -> None:
    trace = job().with_columns(pl.col("optype").cast(pl.Categorical))
    trace.write_parquet(tmp_path / "job.parquet")
    found = hm.what_if(tmp_path / "job.parquet")
    assert found.job.name == "job.parquet"
    assert found.rows == hm.what_if(trace).rows


@pytest.mark.parametrize("ideal", [None, "all", {"stage": 1}, {"type": "backward-compute"}])
def test_operations_of_a_timeline_begin_after_what_they_wait_for(ideal: Any) -> None:
    found = hm.what_if(job(replace(JOB, steps=11)))
    times = dict(found.step_times(ideal)["step", "ideal_s"].iter_rows())
    for step in (10, 20):
        one = found.timeline(step=step, ideal=ideal)
        assert one.step_time_s == times[step]
        frame = one.frame
        assert len(frame) == len(job(replace(JOB, steps=1)))
        assert (frame["ready_s"] <= frame["begins_s"]).all()
        passes = frame.filter(pl.col("type").str.ends_with("-compute"))
        for _, of_rank in passes.sort("begins_s").group_by("rank", maintain_order=True):
            begins_s, ends_s = of_rank["begins_s"].to_numpy(), of_rank["ends_s"].to_numpy()
            assert (ends_s[:-1] <= begins_s[1:]).all()
        met = frame.filter(type="optimizer-clip-main-grad")["begins_s"]
        assert met.n_unique() == 1


def test_a_written_step_has_spans_that_do_not_overlap(tmp_path: Path) -> None:
    found = hm.what_if(job(Shape(overlapped=True, stages=3)))
    found.timeline().write(tmp_path / "step.json.gz")
    found.timeline().write(tmp_path / "step.json")
    events = json.loads((tmp_path / "step.json").read_text())["traceEvents"]
    threads: dict[Any, list[tuple[float, float]]] = {}
    for event in events:
        if event["ph"] == "X":
            span = event["ts"], event["ts"] + event["dur"]
            threads.setdefault((event["pid"], event["tid"]), []).append(span)
    for spans in threads.values():
        ends = np.array(sorted(spans))
        assert (ends[:-1, 1] <= ends[1:, 0] + 1e-3).all()


def without(kind: str, **where: int) -> pl.DataFrame:
    left_out = pl.col("optype") == kind
    for column, number in where.items():
        left_out &= pl.col(column) == number
    return job().filter(~left_out)


REFUSED = {
    "no rows": (job().clear(), "operations must be > 0, got 0"),
    "a pass": (
        without("forward-compute", dp_rank=1, stage=2, step=11, seq_id=3),
        "forward-compute 3 of dp_rank 1, stage 2 in step 11 is missing",
    ),
    "a pass of the first replica": (
        without("forward-compute", dp_rank=0, stage=2, step=10, seq_id=3),
        "forward-compute 3 of dp_rank 0, stage 2 in step 10 is missing",
    ),
    "all optimizers": (without("optimizer"), "optimizer of stage 0 is missing"),
    "a receive of all": (
        without("forward-recv", stage=1, seq_id=3),
        "number of forward-recv of stage 1 must be 4, as many as forward-compute, got 3",
    ),
    "a worker": (
        job().filter(~((pl.col("dp_rank") == 1) & (pl.col("stage") == 1))),
        "of dp_rank 1, stage 1 in step 10 is missing",
    ),
    "twice": (
        pl.concat([job(), job()[:1]]),
        "number of params-all-gather 0 of dp_rank 0, stage 0 in step 10 must be 1, got 2",
    ),
    "another type": (
        job().with_columns(optype=pl.col("optype").str.replace("gc", "data-load")),
        'optype must be a type whose place in a step is known, got "data-load"; known are',
    ),
    "two optimizers": (
        job().with_columns(seq_id=pl.when(optype="optimizer").then(1).otherwise(pl.col("seq_id"))),
        "seq_id of optimizer must be < 1, got 1",
    ),
    "a time": (
        job().with_columns(start_ts=pl.lit(float("nan"))),
        "start_ts must be finite, got nan",
    ),
    "no time": (
        job().with_columns(duration=pl.lit(None, pl.Float64)),
        "duration must be given for all operations",
    ),
    "a negative time": (
        job().with_columns(duration=pl.lit(-1.0)),
        "duration must be finite and >= 0, got -1",
    ),
    "a negative stage": (job().with_columns(stage=pl.lit(-1)), "columns must hold plain numbers"),
    "two ranks": (
        job().with_columns(rank=pl.int_range(pl.len())),
        "rank must be one of each dp_rank and stage",
    ),
    "a column": (job().drop("stage"), "stage is missing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_trace_that_is_not_whole_is_refused(name: str) -> None:
    trace, message = REFUSED[name]
    with pytest.raises(hm.ScenarioError) as error:
        hm.what_if(trace)
    assert str(error.value).startswith("trace: ")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("ideal", "message"),
    [
        ({"rank": 99}, "ideal.rank must be one of those that are recorded: 0, 1, 2, 3, 4, 5"),
        ({"rank": [0, "1"]}, "ideal.rank must be one of those"),
        ({"stage": 3}, "ideal.stage must be one of those that are recorded: 0, 1, 2, got 3"),
        ({"type": "forward-comput"}, 'did you mean "forward-compute"?'),
        ({"ranks": 3}, 'ideal must be one of rank, dp_rank, stage, type, got "ranks"'),
        ({}, "ideal must say what is made ideal"),
        ("rank", "ideal must say what is made ideal"),
    ],
)
def test_what_the_job_does_not_have_is_refused(ideal: Any, message: str) -> None:
    found = hm.what_if(job())
    with pytest.raises(hm.ScenarioError) as error:
        found.step_times(ideal)
    assert message in str(error.value)
    with pytest.raises(hm.ScenarioError, match="step must be one of those that are recorded"):
        found.timeline(step=9)


def test_what_is_no_job_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text('{"traceEvents": []}')
    with pytest.raises(hm.ScenarioError, match="must be a Parquet file of StragglerAnalysis"):
        hm.what_if(path)
    job().write_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(hm.ScenarioError):
        hm.what_if(path)
    with pytest.raises(hm.ScenarioError, match="threads must be an integer from 1"):
        hm.what_if(job(), threads=0)


@pytest.fixture(name="path")
def written(tmp_path: Path) -> Path:
    path = tmp_path / "job.parquet"
    job(slow={(1, 2): 1.5}).write_parquet(path)
    return path


def test_the_command_says_how_much_slower_and_why(path: Path) -> None:
    call = ["what-if", str(path), "--ideal", "rank=5", "--ideal", "stage=2,type=gc"]
    done = CliRunner().invoke(cli, call, catch_exceptions=False)
    assert done.exit_code == 0
    assert "job.parquet: 3 steps, 3 stages x 2 replicas" in done.stdout
    assert "The slowest 3% of workers (rank 5) explain" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_formats_and_files_of_the_command(path: Path) -> None:
    found = hm.what_if(path)
    output = path.with_name("step.json")
    call = ["what-if", str(path), "--format", "json", "--ideal", "rank=5", "-o", str(output)]
    done = CliRunner().invoke(cli, call, catch_exceptions=False)
    ideals = [{"ideal": "rank=5", "T_s": found.T_with_s({"rank": 5})}]
    assert json.loads(done.stdout) == {**found.document(), "ideals": ideals}
    expected = found.timeline(ideal={"rank": 5}).trace()
    assert json.loads(output.read_text()) == expected
    done = CliRunner().invoke(cli, ["what-if", str(path), "--format", "csv"])
    assert pl.read_csv(done.stdout.encode()).height == len(found.rows)


@pytest.mark.parametrize(
    "options",
    [
        ["--ideal", "rank"],
        ["--ideal", "rank=1,rank=2"],
        ["--step", "10"],
        ["--ideal", "rank=0", "--ideal", "rank=1", "-o", "x.json"],
    ],
)
def test_wrong_options_are_refused(path: Path, options: list[str]) -> None:
    done = CliRunner().invoke(cli, ["what-if", str(path), *options])
    assert done.exit_code == 2
