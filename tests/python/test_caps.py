"""Moved caps, and the step time and MFU that they give."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost import catalog, cli
from hindmost.analyses import caps as analysis
from hindmost.engines import Method
from hindmost.report import render
from hindmost.scenario import from_table

Table = dict[str, Any]

STEP_S = 1.0
N_GPUS = 1024
WIDE: Table = {"name": "uniform", "low": 1.0, "high": 3.0, "cap": 1.1}
"""Some of so many GPUs are at its cap, wherever that is moved."""


def slowdown(law: Table, **fields: Any) -> Table:
    default = {"affects": "compute", "effect": "slowdown", "scope": "gpu", "span": "run"}
    return {"law": law, **default, **fields}


def stall(law: Table, **fields: Any) -> Table:
    return slowdown(law, **{"effect": "stall", "span": "step", **fields})


def scenario(**causes: Table) -> hm.Scenario:
    """Return a job whose step is a second of computing and some exchange, and its causes."""
    passes = {"forward_s": STEP_S / 4, "backward_s": STEP_S * 3 / 4}
    model = {"n_layers": 4, "hidden": 1536, "n_heads": 48, "n_kv_heads": 48, "head_dim": 32}
    return from_table(
        {
            "name": "capped",
            "pools": {"h100": {"gpu": "h100-sxm", "n_gpus": N_GPUS, **passes}},
            "models": {"small": {**model, "ffn_hidden": 4096, "vocabulary": 32_000}},
            "workload": {
                "model": "small",
                "seq_len": 2048,
                "microbatch_seqs": 1,
                "n_microbatches": 1,
            },
            "fabric": {"name": "infiniband-ndr", "noise": {"enabled": False}},
            "causes": causes,
        }
    )


def result_of(
    runs: int = 3, steps: int = 40, method: Method = "order-statistics", **causes: Table
) -> hm.Result:
    return hm.simulate(scenario(**causes), seed=7, runs=runs, steps=steps, method=method)


def moved_to(result: hm.Result) -> list[tuple[str, float]]:
    return hm.caps(result).select("path", "moved_to").rows()


def test_without_caps_there_are_no_rows_and_no_block() -> None:
    result = result_of(speed=slowdown({"name": "lognormal", "sigma": 0.02}))
    assert hm.caps(result).is_empty()
    assert hm.caps(result).columns == list(analysis.COLUMNS)
    assert result.document(caps=analysis.caps(result).to_dicts())["caps"] == []
    for style in ("table", "markdown"):
        assert "Caps" not in render(result, style, caps=[])


def test_where_some_gpu_is_at_the_cap_the_step_moves_with_it() -> None:
    result = result_of(speed=slowdown(WIDE))
    half, double = hm.caps(result).iter_rows(named=True)
    for row, cap in ((half, 1.05), (double, 1.2)):
        assert (row["cause"], row["path"]) == ("speed", "causes.speed.law.cap")
        assert (row["cap"], row["moved_to"]) == (1.1, cap)
        assert row["step_time_change_s"] == pytest.approx(STEP_S * (cap - 1.1), abs=1e-6)
        assert row["std_error"] == pytest.approx(0.0, abs=1e-6)
        assert row["step_time_s"] == result.value("step_time_s") + row["step_time_change_s"]
        assert row["mfu"] == result.value("mfu") + row["mfu_change"]
        assert row["mfu"] * row["step_time_s"] == pytest.approx(
            result.value("mfu") * result.value("step_time_s"), rel=1e-6
        )


def test_a_stalls_cap_is_moved_about_zero() -> None:
    law = {"name": "uniform", "low": 0.01, "high": 9.0, "cap": 0.4}
    result = result_of(stall=stall(law))
    assert hm.caps(result)["moved_to"].to_list() == [0.2, 0.8]
    assert hm.caps(result)["step_time_change_s"].to_list() == pytest.approx([-0.2, 0.4], abs=1e-5)


def test_a_row_is_what_the_change_gives_in_the_same_steps() -> None:
    law = {"name": "lognormal", "sigma": 0.02, "cap": 1.05}
    residual = slowdown({"name": "lognormal", "sigma": 0.003}, span="step")
    result = result_of(speed=slowdown(law), residual=residual, runs=4, steps=300)
    n_steps = analysis.MIN_STEPS
    for row in hm.caps(result).iter_rows(named=True):
        changed = hm.simulate(
            scenario(speed=slowdown(law), residual=residual),
            seed=7,
            runs=4,
            steps=300,
            changes={row["path"]: row["moved_to"]},
        )
        moved, given = (
            one.steps["step_time_s"].to_numpy().reshape(4, 300)[:, :n_steps]
            for one in (changed, result)
        )
        assert row["step_time_change_s"] == pytest.approx((moved - given).mean(), rel=1e-9)
        left_out = [np.delete(moved - given, run, axis=0).mean() for run in range(4)]
        error = np.sqrt(3 / 4 * np.sum((left_out - np.mean(left_out)) ** 2))
        assert row["std_error"] == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("sigma", [0.005, 0.02, 0.05])
@pytest.mark.parametrize("span", ["run", "step"])
def test_a_greater_cap_makes_nothing_faster(sigma: float, span: str) -> None:
    law = {"name": "lognormal", "sigma": sigma, "cap": 1.03}
    result = result_of(speed=slowdown(law, span=span))
    for row in hm.caps(result).iter_rows(named=True):
        assert (row["moved_to"] > row["cap"]) == (row["step_time_change_s"] > 0)
        assert (row["moved_to"] > row["cap"]) == (row["mfu_change"] < 0)


def test_one_run_has_no_error() -> None:
    result = result_of(speed=slowdown(WIDE), runs=1)
    assert hm.caps(result)["std_error"].to_list() == [None, None]
    assert "at 1.05 step time" in render(result, "table", caps=analysis.moved_caps(result))


def test_a_cap_that_no_number_reaches_is_left_out() -> None:
    law = {"name": "lognormal", "sigma": 0.001, "cap": 1.5}
    assert hm.caps(result_of(speed=slowdown(law))).is_empty()


def test_a_cap_of_what_hardly_ever_occurs_is_left_out() -> None:
    law = {"name": "lognormal", "median": 0.6, "sigma": 1.2, "cap": 10.0}
    often, seldom = (
        result_of(pause=stall(law, scope="cluster", probability=probability))
        for probability in (0.5, 1e-4)
    )
    assert not hm.caps(often).is_empty()
    assert hm.caps(seldom).is_empty()


def test_a_cause_that_is_switched_off_has_no_caps() -> None:
    assert hm.caps(result_of(speed=slowdown(WIDE, enabled=False))).is_empty()


def test_a_cap_below_the_least_number_is_left_out() -> None:
    law = {**WIDE, "low": 1.08}
    assert moved_to(result_of(speed=slowdown(law))) == [("causes.speed.law.cap", 1.2)]


def test_the_cap_of_a_tail_is_moved_as_far_as_the_samples_allow() -> None:
    tail = {"name": "empirical", "samples": [1.0, 1.01, 1.02], "tail_alpha": 20.0}
    high, low = (result_of(speed=slowdown({**tail, "cap": cap})) for cap in (1.2, 1.03))
    assert [cap for _, cap in moved_to(high)] == [1.1, 1.4]
    assert hm.caps(high)["step_time_change_s"].to_list() == pytest.approx([-0.1, 0.2], abs=1e-6)
    assert [cap for _, cap in moved_to(low)] == [1.06]


def test_the_caps_of_a_mixtures_components_are_moved_one_by_one() -> None:
    narrow = {"name": "uniform", "low": 1.0, "high": 1.02}
    components = [{"weight": 0.5, "law": narrow}, {"weight": 0.5, "law": WIDE}]
    result = result_of(speed=slowdown({"name": "mixture", "components": components}))
    path = "causes.speed.law.components.1.law.cap"
    assert moved_to(result) == [(path, 1.05), (path, 1.2)]
    assert hm.caps(result)["step_time_change_s"].to_list() == pytest.approx([-0.05, 0.1], abs=1e-6)


def test_the_cap_of_a_mixture_itself_is_moved_too() -> None:
    components = [{"weight": 1.0, "law": {"name": "uniform", "low": 1.0, "high": 3.0}}]
    law = {"name": "mixture", "components": components, "cap": 1.1}
    assert moved_to(result_of(speed=slowdown(law))) == [
        ("causes.speed.law.cap", 1.05),
        ("causes.speed.law.cap", 1.2),
    ]


def test_the_fabrics_noise_has_a_cap_as_well() -> None:
    noise = {"enabled": True, "law": {**WIDE, "cap": 2.0, "high": 9.0}}
    changes = {"fabric.noise": noise, "collective.overlap_fraction": 0.0}
    result = hm.simulate(scenario(), seed=7, runs=2, steps=20, changes=changes)
    assert result.inputs["method"] == "order-statistics"
    assert hm.caps(result)["cause"].to_list() == ["fabric.noise", "fabric.noise"]
    assert hm.caps(result)["path"].to_list() == ["fabric.noise.law.cap", "fabric.noise.law.cap"]
    assert hm.caps(result)["step_time_change_s"][0] < 0 < hm.caps(result)["step_time_change_s"][1]


def test_the_four_caps_that_can_matter_most_are_moved() -> None:
    causes = {
        f"stall-{index}": stall({"name": "uniform", "low": 1e-3, "high": 99.0, "cap": cap})
        for index, cap in enumerate([0.3, 0.1, 0.5, 0.2, 0.6])
    }
    result = hm.simulate(scenario(**causes), seed=7, runs=3, steps=40)
    assert hm.caps(result)["cause"].unique(maintain_order=True).to_list() == [
        "stall-0",
        "stall-2",
        "stall-3",
        "stall-4",
    ]


@pytest.mark.parametrize("runs", [2, 16])
def test_caps_of_a_large_job_are_what_a_rerun_gives(runs: int) -> None:
    sizes: dict[str, Any] = {"seed": 1, "runs": runs, "steps": analysis.MIN_STEPS}
    result = hm.simulate("colossus-1", **sizes)
    found = hm.caps(result)
    assert len(found) == 2
    for row in found.iter_rows(named=True):
        again = hm.simulate("colossus-1", **sizes, changes={row["path"]: row["moved_to"]})
        for metric in ("step_time_s", "mfu"):
            assert row[metric] == pytest.approx(again.value(metric), rel=1e-12)


def test_every_run_is_simulated_again_and_the_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    result = result_of(speed=slowdown(WIDE), runs=5, steps=2000)
    calls = []

    class Changed:
        def step_time_s(self, *, runs: int, steps: dict[str, int], **_: Any) -> Any:
            n_steps = steps["order-statistics"]
            calls.append((runs, n_steps))
            changed = result_of(speed=slowdown({**WIDE, "cap": 1.2}), runs=runs, steps=n_steps)
            return changed.columns["step_time_s"]

    class Base:
        def with_changes(self, _: hm.Scenario) -> Changed:
            return Changed()

    monkeypatch.setattr(analysis, "Compiled", lambda _: Base())
    assert len(analysis.moved_caps(result)) == 2
    assert calls == [(5, 250), (5, 250)]


def test_what_seldom_occurs_gets_more_steps() -> None:
    assert analysis._n_steps(16.0, 10_000) == 250
    assert analysis._n_steps(0.2, 10_000) == 500
    assert analysis._n_steps(0.0, 10_000) == 1000
    assert analysis._n_steps(0.2, 60) == 60


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(hm.ScenarioError) as caught:
        call()
    (problem,) = caught.value.problems
    assert problem.path == "method"
    assert problem.requirement == "must be order-statistics, and exact, where caps are moved"
    return str(problem)


STAGES: Table = {"layout.pipeline": 2, "workload.n_microbatches": 2, "layout.tensor": 2}
"""What changes from step to step makes stages wait for each other: sampled, or approximate."""
RESIDUAL = slowdown({"name": "lognormal", "sigma": 0.01}, span="step")


def test_a_sampled_result_has_none_and_says_so() -> None:
    result = result_of(speed=slowdown(WIDE), method="sample", steps=4)
    assert not analysis.can_move_caps(result)
    assert refusal(lambda: hm.caps(result)).endswith('got "sample"; why it was chosen: as asked')


def test_a_result_that_had_to_be_sampled_says_why_it_was() -> None:
    result = hm.simulate(scenario(residual=RESIDUAL), seed=7, runs=1, steps=1, changes=STAGES)
    assert "why it was chosen: pipeline: " in refusal(lambda: hm.caps(result))


def test_an_approximate_result_has_none_and_says_so() -> None:
    changes = {**STAGES, "causes.residual": slowdown({"name": "lognormal", "sigma": 0.01})}
    changes["causes.residual"]["span"] = "microbatch"
    job = scenario(speed=slowdown(WIDE))
    result = hm.simulate(job, seed=7, runs=2, steps=2, method="order-statistics", changes=changes)
    assert not analysis.can_move_caps(result)
    assert "approximate, as asked" in refusal(lambda: hm.caps(result))


def test_a_method_is_judged_before_anything_is_simulated() -> None:
    speed = scenario(speed=slowdown(WIDE))
    for method in ("auto", "order-statistics"):
        analysis.check_method(speed, method)
    assert "every rank is to be sampled" in refusal(lambda: analysis.check_method(speed, "sample"))
    staged = hm.with_changes(scenario(residual=RESIDUAL), STAGES)
    for method in ("auto", "order-statistics"):
        said = refusal(lambda method=method: analysis.check_method(staged, method))  # type: ignore[misc]
        assert "order-statistics cannot be exact here: pipeline: " in said


def test_no_simulation_follows_from_a_result_but_in_an_analysis() -> None:
    result = result_of(speed=slowdown(WIDE))
    assert not hasattr(result, "caps")
    assert not any(callable(value) for value in vars(result).values())


def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> tuple[int, str, str]:
    """Return status, stdout and stderr of a small run with some more words."""
    call = ["hindmost", "run", "h100-1k", "--steps", "60", "--runs", "4", "--seed", "4", *words]
    monkeypatch.setattr(sys, "argv", call)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert isinstance(caught.value.code, int)
    return caught.value.code, *capsys.readouterr()


def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    status, out, _ = invoke(monkeypatch, capsys, *words)
    assert status == 0
    return out


@pytest.fixture(scope="module")
def small() -> hm.Result:
    """Return what the command simulates."""
    return hm.simulate("h100-1k", steps=60, runs=4, seed=4)


def test_the_command_prints_them(
    small: hm.Result, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    half, double = hm.caps(small).iter_rows(named=True)
    monkeypatch.setenv("COLUMNS", "200")
    text = printed(monkeypatch, capsys, "--format", "table", "--assumed")
    (block,) = [block for block in text.split("\n\n") if block.startswith("Caps (mean step time")]
    _, line = block.splitlines()
    assert line.startswith("  causes.gpu-speed.law.cap 1.062: at 1.031 step time 4.5")
    shown = re.findall(r"at (\S+) step time (\S+) s \(([+-]\S+)%\), MFU ([\d.]+)", line)
    assert len(shown) == 2
    for row, numbers in zip((half, double), shown, strict=True):
        cap, step_time_s, percent, mfu = map(float, numbers)
        assert cap == row["moved_to"]
        assert step_time_s == pytest.approx(row["step_time_s"], rel=1e-3)
        assert mfu == pytest.approx(row["mfu"], rel=1e-3)
        given_s = row["step_time_s"] - row["step_time_change_s"]
        assert percent == pytest.approx(100 * row["step_time_change_s"] / given_s, abs=0.06)
    markdown = printed(monkeypatch, capsys, "--format", "markdown")
    assert f"- {line.strip()}\n" in markdown
    assert "\n**Caps (mean step time " in markdown
    assert "cap" not in printed(monkeypatch, capsys, "--format", "csv")


def test_documents_hold_them_where_they_are_asked_for(
    small: hm.Result,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = hm.caps(small).to_dicts()
    plain = json.loads(printed(monkeypatch, capsys, "--format", "json"))
    assert "caps" not in plain
    asked = json.loads(printed(monkeypatch, capsys, "--format", "json", "--caps"))
    assert asked["caps"] == rows
    for words, held in (((), None), (("--caps",), rows)):
        for style in ("table", "csv"):
            stored = tmp_path / "out.json"
            printed(monkeypatch, capsys, "--format", style, "-o", str(stored), *words)
            assert json.loads(stored.read_text()).get("caps") == held
        stored = tmp_path / "out.parquet"
        printed(monkeypatch, capsys, "-o", str(stored), *words)
        metadata = json.loads(pl.read_parquet_metadata(stored)["hindmost"])
        assert metadata.get("caps") == held


def test_the_command_refuses_before_it_simulates(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        pytest.fail("simulated")

    monkeypatch.setattr("hindmost.simulation.simulate", fail)
    for words in (
        ("--caps", "--method", "sample"),
        ("--caps", "--set", "layout.pipeline=2", "--set", "layout.shard_group_replicas=8"),
    ):
        status, out, told = invoke(monkeypatch, capsys, *words)
        assert (status, out) == (2, "")
        assert told.startswith("hindmost: method must be order-statistics, and exact")
    status, out, told = invoke(monkeypatch, capsys, "--caps", "--format", "csv", "-o", "x.csv")
    assert (status, out) == (2, "")
    assert told.startswith("hindmost: --caps must come with a format that can hold caps")


def test_a_table_of_a_sampled_run_has_no_block(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Caps" not in printed(monkeypatch, capsys, "--method", "sample")


def test_the_cap_of_a_severity_decides_where_many_nodes_may_be_slow() -> None:
    preset = tomllib.loads(catalog.text("presets", "fail-slow"))
    slow = {**preset["causes"]["fail-slow"], "per_hour": 0.03}
    result = hm.simulate(
        COLOSSUS_1_BARE,
        changes={"causes.fail-slow": slow},
        seed=2,
        runs=4,
        steps=1_000,
    )
    moved = hm.caps(result).filter(pl.col("cause") == "fail-slow")
    assert moved["path"].unique().to_list() == ["causes.fail-slow.law.cap"]
    down, up = moved.sort("moved_to").iter_rows(named=True)
    # Some of 27,500 nodes always have the greatest severity, so steps move as it does.
    step_s = result.value("step_time_s")
    assert down["step_time_change_s"] == pytest.approx(-step_s * 0.138 / 1.276, rel=0.2)
    assert up["step_time_change_s"] > 0.05 * step_s
