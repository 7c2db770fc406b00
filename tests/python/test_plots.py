"""Plots: what they draw is what results hold, and every one of them can be drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner

import hindmost as hm
from hindmost.analyses.forecast import forecast_beside
from hindmost.cli.app import cli
from hindmost.plots import plot as plot_module
from hindmost.plots.bars import Bar, bars
from hindmost.plots.distribution import distribution
from hindmost.plots.kinds import KINDS
from hindmost.plots.lines import Point, lines
from hindmost.plots.plot import Plot

SIZE: dict[str, Any] = {"seed": 3, "runs": 4, "steps": 200}
NAME = '<script>alert("1")</script> & "more"'


@pytest.fixture(scope="module")
def result() -> hm.Result:
    from dataclasses import replace

    idle = {f"pools.{name}.idle_power_w": 80.0 for name in ("h100", "h200", "gb200")}
    made = hm.simulate("colossus-1", changes=idle, days=3, **SIZE)
    return replace(made, forecast=forecast_beside(made))


def rows_of(spec: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec["data"]["values"]
    return found


def texts(svg: str) -> str:
    return " ".join("".join(ElementTree.fromstring(svg).itertext()).split())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_drawn(result: hm.Result, kind: str) -> None:
    drawn = result.plot(kind)
    json.dumps(drawn.spec, allow_nan=False)
    svg = drawn.svg()
    assert "colossus-1" in texts(svg)
    assert drawn.png().startswith(b"\x89PNG")
    assert len(svg) < 150_000
    # Nothing is drawn below, so that it suits a dark page.
    assert drawn.spec["background"] is None
    assert result.plot(kind) == drawn


def test_a_distribution_holds_all_steps_and_the_few_beyond(result: hm.Result) -> None:
    steps = result.steps["step_time_s"].to_numpy()
    histogram, curve = result.plot("step_time").spec["hconcat"]
    bins = rows_of(histogram)
    low, high = np.quantile(steps, [0.001, 0.99])
    assert bins[0]["low"] == pytest.approx(low)
    assert bins[-1]["high"] == pytest.approx(high)
    inside = ((steps >= low) & (steps <= high)).mean()
    assert sum(one["share"] for one in bins) == pytest.approx(inside, abs=2 / len(steps))
    beyond, marks, _ = curve["layer"]
    for one in rows_of(beyond):
        assert (steps >= one["value"]).mean() == pytest.approx(one["share"], abs=1e-12)
    assert rows_of(beyond)[0]["value"] == steps.max()
    assert {one["name"]: one["value"] for one in rows_of(marks)} == pytest.approx(
        {f"p{p}": np.percentile(steps, p) for p in (50, 95, 99)}
    )


def test_the_bad_end_of_mfu_is_below(result: hm.Result) -> None:
    mfu = result.steps["mfu"].to_numpy()
    _, curve = result.plot("mfu").spec["hconcat"]
    beyond, marks, _ = curve["layer"]
    for one in rows_of(beyond):
        assert (mfu <= one["value"]).mean() == pytest.approx(one["share"], abs=1e-12)
    assert {one["name"]: one["value"] for one in rows_of(marks)} == pytest.approx(
        {f"p{p}": np.percentile(mfu, p) for p in (50, 5, 1)}
    )


def test_steps_that_are_all_alike_can_be_drawn() -> None:
    drawn = distribution(np.full(50, 3.0), title="t", subtitle="s", axis="a")
    assert sum(one["share"] for one in rows_of(drawn.spec["hconcat"][0])) == 1.0
    drawn.svg()


def test_lost_time_leads_from_the_peak_to_the_fleet_mfu(result: hm.Result) -> None:
    account = result.account
    assert account is not None
    falls = rows_of(result.plot("account").spec)
    left = 1.0
    for one in falls:
        if one["kind"] == "loss":
            assert one["high"] == pytest.approx(left, abs=1e-9)
            left = one["low"]
        else:
            assert one["low"] == 0
            assert one["high"] == pytest.approx(left, abs=1e-9)
    assert left == pytest.approx(account.fleet_mfu)


def test_pools_have_their_shares(result: hm.Result) -> None:
    for kind, column in (("waiting", "wait_frac"), ("slowest", "slowest_frac")):
        table = {one["name"]: one["value"] for one in rows_of(result.plot(kind).spec)}
        assert table == {row["pool"]: row[column] for row in result.pool_rows}


def test_an_attribution_leads_to_the_ideal() -> None:
    found = hm.attribute("h100-1k", seed=1, runs=2, steps=20)
    falls = rows_of(found.plot().spec)
    (value, _), (ideal, _) = found.ends("mfu")
    assert falls[0]["high"] == value
    assert falls[-1]["high"] == ideal
    gains = sum(one["high"] - one["low"] for one in falls[1:-1] if one["kind"] == "gain")
    losses = sum(one["high"] - one["low"] for one in falls[1:-1] if one["kind"] == "loss")
    assert value + gains - losses == pytest.approx(ideal)
    assert "residual" in texts(found.plot().svg())
    with pytest.raises(hm.ScenarioError, match="metric must be one of mfu"):
        found.plot("fleet_mfu")


def test_frontiers_and_costs_can_be_drawn() -> None:
    served = hm.serve(model="llama3-8b", gpus={"h100-sxm": 8, "b200-sxm": 8})
    points = rows_of(served.plot().spec)
    assert [one["x"] for one in points] == [one["tokens_per_s_per_user"] for one in served.frontier]
    assert "llama3-8b" in texts(served.plot().svg())
    costs = hm.collective_costs(
        "all-reduce", gpus=[64, 1024], n_bytes="1GiB", gpu="h100-sxm", fabric="infiniband-ndr"
    )
    table = rows_of(costs.plot().spec)
    assert [one["y"] for one in table] == [one.time_s for one in costs.costs]
    assert "1 GiB" in texts(costs.plot().svg()) or "1GiB" in texts(costs.plot().svg())


def test_an_explanation_shows_what_is_believed() -> None:
    found = hm.explain("h100-1k", mfu=0.4, tolerance=0.02, seed=1)
    panels = found.plot().spec["vconcat"]
    assert len(panels) == len(found.beliefs)
    first = rows_of(panels[0]["layer"][0])
    assert [one["kind"] for one in first] == ["before", "after"]
    assert first[1]["middle"] == found.beliefs[0].posterior.p50
    found.plot().svg()


def test_names_stay_texts() -> None:
    for drawn in (
        bars([Bar(NAME, 0.5, "50%")], title=NAME, subtitle=NAME, axis=NAME),
        lines(
            [Point(1.0, 2.0, NAME), Point(2.0, 1.0, NAME)], title=NAME, subtitle="", x="x", y="y"
        ),
    ):
        svg = drawn.svg()
        assert "<script" not in svg
        assert NAME in texts(svg)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("mfuu", "kind must be one of mfu, step_time, forecast, waiting, slowest, account"),
        (None, "kind must be one of"),
        ("forecast", "kind must be of a result with a forecast"),
        ("account", "kind must be of whole runs"),
    ],
)
def test_what_cannot_be_plotted_is_refused(kind: Any, said: str) -> None:
    plain = hm.simulate("h100-1k", seed=1, runs=2, steps=5)
    with pytest.raises(hm.ScenarioError) as refused:
        plain.plot(kind)
    assert said in str(refused.value)


def test_plots_are_written_whole_or_refused(tmp_path: Path, result: hm.Result) -> None:
    drawn = result.plot()
    for name in ("a.svg", "a.png", "a.json"):
        drawn.write(tmp_path / name)
    assert (tmp_path / "a.svg").read_text() == drawn.svg()
    assert (tmp_path / "a.png").read_bytes() == drawn.png()
    assert json.loads((tmp_path / "a.json").read_text()) == drawn.spec
    for name, said in (
        ("a.pdf", "path must end in .svg, .png, .json"),
        ("none/a.svg", "path must lie in a folder that exists"),
    ):
        with pytest.raises(hm.ScenarioError) as refused:
            drawn.write(tmp_path / name)
        assert said in str(refused.value)


def test_without_what_draws_them_plots_are_specifications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = bars([Bar("a", 1.0, "1")], title="t", subtitle="s", axis="a")
    assert "image/svg+xml" in drawn._repr_mimebundle_()
    monkeypatch.setattr(plot_module, "is_drawable", lambda: False)
    assert list(drawn._repr_mimebundle_()) == ["application/vnd.vegalite.v5+json"]
    drawn.write(tmp_path / "a.json")
    for call in (drawn.svg, drawn.png, lambda: drawn.write(tmp_path / "a.svg")):
        with pytest.raises(hm.ScenarioError, match="needs vl-convert"):
            call()
    assert not (tmp_path / "a.svg").exists()


def test_commands_draw_what_they_print(tmp_path: Path) -> None:
    def run(*words: str) -> Any:
        return CliRunner().invoke(cli, [*words])

    first, second = tmp_path / "mfu.svg", tmp_path / "waiting.png"
    small = ("h100-1k", "--seed", "1", "--runs", "2", "--steps", "10")
    done = run("run", *small, "--plot", str(first), "--plot", f"waiting={second}")
    assert done.exit_code == 0, done.output
    assert f"wrote {first}" in done.stderr
    assert "MFU of h100-1k" in texts(first.read_text())
    assert second.read_bytes().startswith(b"\x89PNG")
    frontier = tmp_path / "frontier.svg"
    done = run("serve", "--model", "llama3-8b", "--gpus", "8xh100-sxm", "--plot", str(frontier))
    assert done.exit_code == 0, done.output
    assert frontier.is_file()
    wrong = ("nope=a.svg", "a.pdf", f"{tmp_path}/none/a.svg")
    refused = run("run", *small, *(word for text in wrong for word in ("--plot", text)))
    assert isinstance(refused.exception, hm.ScenarioError)
    for said in (
        "--plot must be KIND=FILE with one of mfu, ",
        "--plot must end in .svg, .png, .json",
        "--plot must lie in a folder that exists",
    ):
        assert said in str(refused.exception), str(refused.exception)
    # Before the simulation.
    account = tmp_path / "account.svg"
    refused = run("run", *small, "--plot", f"account={account}")
    assert "--plot must be of whole runs" in str(refused.exception)
    refused = run("run", *small, "--at-values", "--plot", f"forecast={account}")
    assert "--plot must be of a result with a forecast" in str(refused.exception)
    assert not account.exists()


def test_a_plot_is_a_value() -> None:
    first = bars([Bar("a", 1.0, "1", error=0.1)], title="t", subtitle="s", axis="a")
    assert first == bars([Bar("a", 1.0, "1", error=0.1)], title="t", subtitle="s", axis="a")
    assert isinstance(first, Plot)
    low = next(one for one in rows_of(first.spec))
    assert (low["low"], low["high"]) == (0.9, 1.1)
