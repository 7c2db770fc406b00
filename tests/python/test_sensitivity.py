"""Sobol indices: estimators against closed forms, and what a scenario's unknowns explain."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from scipy import stats

import hindmost as hm
from hindmost.analyses.sobol_indices import sobol_indices
from hindmost.cli import cli
from hindmost.report.sensitivity_content import words
from hindmost.scenario import from_table, to_table

Floats = NDArray[np.float64]
SEED = 20_261_201
MAX_ERRORS = 4.0


def ishigami(x: Floats) -> Floats:
    """Sobol's standard example, of three angles."""
    found: Floats = np.sin(x[0]) + 7 * np.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * np.sin(x[0])
    return found


def of_ishigami() -> tuple[list[float], list[float]]:
    """Return its indices in closed form (Ishigami and Homma, 1990)."""
    a, b = 7.0, 0.1
    one = 0.5 * (1 + b * math.pi**4 / 5) ** 2
    two, both = a**2 / 8, 8 * b**2 * math.pi**8 / 225
    variance = one + two + both
    return (
        [one / variance, two / variance, 0.0],
        [(one + both) / variance, two / variance, both / variance],
    )


def product(x: Floats) -> Floats:
    """Sobol's g function, with a = 0, 1, 4.5 and 9."""
    weights = np.array([0.0, 1.0, 4.5, 9.0])[:, None]
    found: Floats = ((np.abs(4 * x - 2) + weights) / (1 + weights)).prod(axis=0)
    return found


def of_product() -> tuple[list[float], list[float]]:
    alone = np.array([1 / (3 * (1 + weight) ** 2) for weight in (0.0, 1.0, 4.5, 9.0)])
    variance = np.prod(1 + alone) - 1
    totals = alone * np.prod(1 + alone) / (1 + alone)
    return (alone / variance).tolist(), (totals / variance).tolist()


CLOSED: dict[str, tuple[Any, Any, tuple[float, float], int]] = {
    "ishigami": (ishigami, of_ishigami(), (-math.pi, math.pi), 3),
    "g function": (product, of_product(), (0.0, 1.0), 4),
}


def estimated(of: Any, ends: tuple[float, float], k: int, n: int, seed: int) -> Any:
    a, b = np.random.default_rng(seed).uniform(*ends, (2, k, n))
    rows = np.arange(k)[:, None]
    ab = np.stack([of(np.where(rows == place, b, a)) for place in range(k)])
    return sobol_indices(of(a), of(b), ab)


@pytest.mark.parametrize("name", CLOSED)
def test_indices_are_those_of_the_closed_form(name: str) -> None:
    of, (firsts, totals), ends, k = CLOSED[name]
    found = estimated(of, ends, k, 100_000, SEED)
    for one, first, total in zip(found, firsts, totals, strict=True):
        assert abs(one.first - first) < MAX_ERRORS * one.first_error
        assert abs(one.total - total) < MAX_ERRORS * one.total_error + 1e-12
        assert one.first_error < 0.02


@pytest.mark.parametrize("name", CLOSED)
def test_errors_are_as_large_as_estimates_are_off(name: str) -> None:
    """Over many seeds the estimate less the closed form has the standard deviation that is said."""
    of, (firsts, totals), ends, k = CLOSED[name]
    n_seeds = 200
    found = [estimated(of, ends, k, 512, seed) for seed in range(n_seeds)]
    for place in range(k):
        for key, expected in (("first", firsts[place]), ("total", totals[place])):
            values = np.array([getattr(one[place], key) for one in found])
            errors = np.array([getattr(one[place], f"{key}_error") for one in found])
            if expected == 0 and key == "total":
                continue
            # Of 200 values the deviation is known to 5%, and that of a jackknife is itself noisy.
            assert 0.75 < values.std() / math.sqrt((errors**2).mean()) < 1.3, (place, key)
            miss = abs(values.mean() - expected) / (values.std() / math.sqrt(n_seeds))
            assert miss < MAX_ERRORS, (place, key)


def test_what_changes_nothing_explains_nothing() -> None:
    same = np.full(64, 0.25)
    [index] = sobol_indices(same, same, np.stack([same]))
    assert (index.first, index.first_error, index.total, index.total_error) == (0, 0, 0, 0)
    values = np.random.default_rng(1).random((2, 64))
    [index] = sobol_indices(values[0], values[1], np.stack([values[0]]))
    assert index.total == 0
    assert abs(index.first) < 1e-12


def job(**unknowns: Any) -> hm.Scenario:
    """Return a small job whose software has losses of its own, with some unknowns alone."""
    table = to_table(hm.load("h100-1k"))
    table["unknowns"] = {key.replace("__", "."): law for key, law in unknowns.items()}
    table["basis"] = {}
    table["pools"]["h100"] |= {"forward_s": 0.5, "backward_s": 1.0}
    table["causes"] = {
        name: {
            "law": {"name": "constant", "value": 1.0},
            "affects": "compute",
            "effect": "slowdown",
            "scope": "cluster",
            "span": "run",
        }
        for name in ("one", "two")
    }
    table["collective"]["overlap_fraction"] = 1.0
    return from_table(table)


CALL: dict[str, Any] = {"seed": SEED, "runs": 1, "steps": 1, "n": 2048}


def test_two_slowdowns_explain_what_their_laws_say() -> None:
    """MFU is 1 / (x y): of logarithms that are normal, all is known in closed form."""
    laws = {"one": 0.02, "two": 0.05}
    unknowns = {
        f"causes__{name}__law__value": {"name": "lognormal", "sigma": sigma}
        for name, sigma in laws.items()
    }
    found = hm.sensitivity(job(**unknowns), **CALL)
    alone = {name: math.expm1(sigma**2) for name, sigma in laws.items()}
    whole = math.prod(1 + one for one in alone.values()) - 1
    by_path = {share.paths[0].split(".")[1]: share for share in found.shares}
    for name, variance in alone.items():
        other = next(value for key, value in alone.items() if key != name)
        index = by_path[name].index
        assert abs(index.first - variance / whole) < MAX_ERRORS * index.first_error
        assert abs(index.total - variance * (1 + other) / whole) < MAX_ERRORS * index.total_error
        assert by_path[name].left == pytest.approx(math.sqrt(1 - index.first))
    assert found.sd / found.mean == pytest.approx(math.sqrt(whole), rel=0.05)
    assert [share.paths for share in found.shares] == [
        ("causes.two.law.value",),
        ("causes.one.law.value",),
    ]
    assert words(found)[0].startswith("Measure causes.two.law.value: to know it takes 8")
    assert found.n_points == 4 * 2048


def test_what_a_forecast_draws_is_what_is_unknown() -> None:
    """A scenario without a stack has that of its forecast, whose efficiencies are one."""
    found = hm.sensitivity("colossus-1", seed=1, n=16, runs=1, steps=5)
    forecast = hm.forecast("colossus-1", seed=1, runs=4, steps=5)
    paths = {path for share in found.shares for path in share.paths}
    assert paths | set(found.idle) == set(forecast.draws)
    assert set(found.held) == set(forecast.held)
    together = [share for share in found.shares if len(share.paths) > 1]
    assert [share.name for share in together] == ["pools.*.software_efficiency"]


def test_fleet_mfu_has_the_unknowns_of_whole_runs() -> None:
    call: dict[str, Any] = {"seed": 1, "n": 16, "runs": 1, "steps": 5, "days": 5}
    of_steps = hm.sensitivity("colossus-1", **call)
    of_runs = hm.sensitivity("colossus-1", metric="fleet_mfu", **call)
    assert "recovery.restart_s" in of_steps.idle
    assert not of_runs.idle
    assert of_runs.mean < of_steps.mean


def test_points_that_are_refused_are_left_out() -> None:
    """Of an overlap that cannot be above 1, with all that were drawn with them."""
    laws = {
        "collective__overlap_fraction": {"name": "uniform", "low": 0.5, "high": 1.5},
        "causes__one__law__value": {"name": "uniform", "low": 1.0, "high": 1.2},
    }
    found = hm.sensitivity(job(**laws), seed=1, n=256, runs=1, steps=1)
    assert 0.45 < found.n_refused / found.n_points < 0.55
    assert found.sd > 0
    assert all(0 < share.index.total < 1 for share in found.shares)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"metric": "speed"}, "metric must be one of mfu, fleet_mfu"),
        ({"metric": "fleet_mfu"}, "metric must be mfu: fleet_mfu needs whole runs"),
        ({"n": 8}, "n must be an integer from 16 to 32768, got 8"),
        ({"seed": -1}, "seed must be an integer"),
        ({"days": 3}, "days must be left out"),
    ],
)
def test_wrong_calls_are_refused(call: dict[str, Any], said: str) -> None:
    law = {"name": "lognormal", "sigma": 0.1}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.sensitivity(job(causes__one__law__value=law), **call)
    assert said in str(refused.value)


def test_problems_of_the_scenario_and_the_call_are_told_together() -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.sensitivity("h100-1k", changes={"layout.tenor": 4}, n=3, steps=0, days=-1.0)
    said = [problem.path for problem in refused.value.problems]
    assert said == ["layout.tenor", "n", "steps", "days"]


def test_a_scenario_of_which_all_is_known_is_refused() -> None:
    with pytest.raises(hm.ScenarioError, match="unknowns must name at least one value"):
        hm.sensitivity(job(), seed=1)


def test_threads_change_no_number() -> None:
    call: dict[str, Any] = {"seed": 3, "n": 16, "runs": 1, "steps": 5}
    one, other = (hm.sensitivity("h100-1k", threads=n, **call) for n in (1, 3))
    assert one.rows == other.rows


def test_the_command_says_which_measurement_to_take_next() -> None:
    options = ["sensitivity", "h100-1k", "--n", "32", "--runs", "1", "--steps", "5", "--seed", "3"]

    def printed(*more: str) -> str:
        done = CliRunner().invoke(cli, [*options, *more])
        assert done.exit_code == 0, done.output
        return done.stdout

    table = printed()
    assert "Measure pools.h100.software_efficiency: to know it takes" in table
    assert max(map(len, table.splitlines())) <= 80
    found = hm.sensitivity("h100-1k", n=32, runs=1, steps=5, seed=3)
    assert json.loads(printed("--format", "json")) == json.loads(json.dumps(found.document()))
    rows = pl.read_csv(printed("--format", "csv").encode())
    assert rows["path"].to_list() == found.frame["path"].to_list()
    assert "| unknown " in printed("--format", "markdown")


def test_a_uniform_law_of_one_unknown_is_all_of_the_variance() -> None:
    law = {"name": "uniform", "low": 1.0, "high": 1.2}
    found = hm.sensitivity(job(causes__one__law__value=law), **CALL)
    [share] = found.shares
    assert abs(share.index.first - 1) < MAX_ERRORS * share.index.first_error
    assert abs(share.index.total - 1) < MAX_ERRORS * share.index.total_error
    mfu = hm.simulate(job(), seed=1, runs=1, steps=1).value("mfu")
    expected = mfu * stats.uniform(1.0, 0.2).expect(lambda x: 1 / x)
    assert found.mean == pytest.approx(expected, rel=2e-3)
