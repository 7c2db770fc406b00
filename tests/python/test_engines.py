"""Choice of an engine, and what a result says of an approximate one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from tests.statistics.panel import BASE, Table, h100, scenario, slow

import hindmost as hm
from hindmost import _core
from hindmost.cli import cli
from hindmost.engines import Reason, counting

SIZES: dict[str, Any] = {"seed": 3, "runs": 2, "steps": 40}
LAYOUT: Table = {"tensor": 2, "pipeline": 2}
CAUSES: Table = {
    "speed": slow({"name": "lognormal", "sigma": 0.02}, span="run"),
    "residual": slow({"name": "lognormal", "sigma": 0.01}, span="microbatch"),
}
STAGED: Table = {
    "pools": {"h100": h100(256)},
    "layout": LAYOUT,
    "workload": {**BASE["workload"], "n_microbatches": 4},
    "causes": CAUSES,
}


@pytest.fixture(scope="module")
def staged() -> hm.Scenario:
    return scenario(STAGED)


@pytest.fixture(scope="module")
def drawn(staged: hm.Scenario) -> hm.Result:
    return hm.simulate(staged, method="order-statistics", **SIZES)


def test_nothing_approximate_is_chosen_silently(staged: hm.Scenario) -> None:
    result = hm.simulate(staged, **SIZES)
    assert (result.inputs["method"], result.deviation) == ("sample", None)
    assert result.why.startswith("pipeline: ")


def test_what_is_exact_has_no_deviation() -> None:
    result = hm.simulate("h100-1k", method="order-statistics", **SIZES)
    assert (result.why, result.deviation) == ("as asked", None)


def test_an_approximate_result_says_how_far_off_it_is(drawn: hm.Result) -> None:
    assert drawn.inputs["method"] == "order-statistics"
    assert drawn.deviation is not None
    assert drawn.why.startswith("approximate, as asked, by a replica law of sampled replicas: ")
    assert drawn.why.endswith(str(drawn.deviation))
    assert abs(drawn.deviation.mean) < 0.005
    assert 0 < drawn.deviation.std_error < 0.005


def test_rows_do_not_depend_on_threads_or_on_how_many_there_are(
    staged: hm.Scenario, drawn: hm.Result
) -> None:
    longer: dict[str, Any] = {**SIZES, "steps": 60, "threads": 3}
    again = hm.simulate(staged, method="order-statistics", **longer)
    assert again.steps.filter(pl.col("step") < 40).equals(drawn.steps)
    assert again.why == drawn.why


def test_another_seed_finds_another_law(staged: hm.Scenario, drawn: hm.Result) -> None:
    other = hm.simulate(staged, method="order-statistics", **{**SIZES, "seed": 4})
    assert other.deviation != drawn.deviation


SHARED_BY_SEVERAL = {"domain": slow({"name": "lognormal", "sigma": 0.01}, "domain")}
STALLED_TOGETHER = {
    "stop": slow({"name": "constant", "value": 0.1}, "pool", effect="stall", span="microbatch")
}
REFUSALS = {
    "a stall of all within a step": ({"causes": {**CAUSES, **STALLED_TOGETHER}}, "stop stalls all"),
    "a cause that several replicas share": (
        {"causes": {**CAUSES, **SHARED_BY_SEVERAL}},
        "share domain",
    ),
    "stalls of too many": (
        {
            "pools": {"h100": h100(80_000)},
            "causes": {
                "stop": slow({"name": "constant", "value": 0.1}, effect="stall", probability=0.5)
            },
        },
        "one of the causes stalls 1.8",
    ),
    "replicas in several pools": ({"layout": {**LAYOUT, "placement": "mixed"}}, "several pools"),
}


@pytest.mark.parametrize(("changed", "said"), REFUSALS.values(), ids=REFUSALS)
def test_what_sampled_replicas_cannot_show_is_refused(changed: Table, said: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.simulate(scenario({**STAGED, **changed}), method="order-statistics", **SIZES)
    (problem,) = refused.value.problems
    assert problem.path == "method"
    assert problem.requirement.startswith("cannot be exact, nor approximate: ")
    assert said in problem.requirement
    assert problem.hint == "method = 'sample' draws every rank"


def test_a_reason_is_told_by_its_type_and_not_by_a_name_that_looks_like_one() -> None:
    stalls = slow({"name": "constant", "value": 0.1}, effect="stall", probability=0.5)
    job = {"pools": {"h100": h100(80_000)}, "causes": {"pipeline-hiccup": stalls}}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.simulate(scenario(job), method="order-statistics", **SIZES)
    (problem,) = refused.value.problems
    assert problem.requirement.startswith("cannot be exact: pipeline-hiccup stalls 4")
    with pytest.raises(_core.NotExactError) as raised:
        _core.OrderStatistics(hm.compile(scenario(job)).core)
    reason = Reason(*raised.value.args)
    assert (reason.kind, reason.allows_replica_law) == ("too-many-stalls", False)


APART: Table = {
    "pools.h100.n_gpus": 256,
    "workload.model": "llama3-8b",
    "layout.tensor": 1,
    "layout.context": 2,
    "layout.order": "tp-dp-cp-ep-pp",
    "causes": {"own": slow({"name": "lognormal", "sigma": 0.1}, scope="replica")},
}
"""A replica is two ranks that are 128 apart, and share a cause."""


def test_ranks_of_a_replica_that_lie_apart_share_what_their_replica_does() -> None:
    call: Table = {"seed": 3, "changes": APART}
    result = hm.simulate("h100-1k", runs=1, steps=8, **call)
    assert result.inputs["method"] == "sample"
    assert result.why == "ranks of a replica of pool h100 do not follow each other and share own"
    times = hm.rank_times("h100-1k", run=0, steps=range(8), **call)
    own = times.reshape(8, 2, 128)
    # Each GPU has a speed of its own, too, which differs by some 2%.
    np.testing.assert_allclose(own[:, 0], own[:, 1], rtol=0.12)
    assert (own.max(axis=2) / own.min(axis=2) > 1.3).all()
    replicas = hm.slowest_replicas("h100-1k", k=2, runs=1, steps=8, **call)
    for step in range(8):
        slowest = own[step].max(axis=0).argsort()[::-1][:2]
        found = replicas.filter(step=step)["replica"].to_list()
        assert found == slowest.tolist()


def test_rows_beyond_memory_are_refused_before_anything_is_sampled(staged: hm.Scenario) -> None:
    told: list[tuple[int, int]] = []
    with pytest.raises(hm.ScenarioError, match="rows"):
        hm.simulate(
            staged,
            method="order-statistics",
            runs=60_000,
            steps=60_000,
            progress=lambda *draws: told.append(draws),
        )
    assert not told


def test_progress_of_the_check_goes_on_where_that_of_the_law_ended() -> None:
    told: list[tuple[int, int]] = []
    tell = counting(lambda *draws: told.append(draws), 100, done_before=60)
    assert tell is not None
    tell(10)
    assert told == [(70, 100)]
    assert counting(None, 100) is None


def test_the_command_line_prints_the_deviation(tmp_path: Path) -> None:
    changes = ["pools.h100.n_gpus=256", "layout.pipeline=2", "workload.n_microbatches=2"]
    words = ["run", "h100-1k", *(word for change in changes for word in ("--set", change))]
    words += ["--method", "order-statistics", "--seed", "3", "--runs", "2", "--steps", "40"]
    stored = tmp_path / "run.parquet"
    printed = CliRunner().invoke(cli, [*words, "-o", str(stored)])
    assert printed.exit_code == 0, printed.output
    repeated = json.loads(CliRunner().invoke(cli, ["run", str(stored), "--format", "json"]).stdout)
    assert repeated["why"].startswith("approximate, as asked")
    assert repeated["why"] in " ".join(printed.output.split())
    written = json.loads(pl.read_parquet_metadata(stored)["hindmost"])
    assert repeated["summary"] == written["summary"]


def test_the_sampler_needs_no_compiling(staged: hm.Scenario) -> None:
    compiled = hm.compile(staged)
    result = compiled.simulate(method="sample", **SIZES)
    assert (result.inputs["method"], result.why) == ("sample", "as asked")
    assert "exact" not in vars(compiled)
