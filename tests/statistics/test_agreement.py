"""Both engines follow one law: the slowest rank drawn from its law, and of all ranks drawn.

Distances and shares are judged together, so that all comparisons of the panel raise
one false alarm in a thousand. What differs by some roundings of float32 is the same.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import hindmost as hm
from hindmost import _core
from hindmost.engines import Method
from tests.statistics.panel import (
    NESTED,
    PANEL,
    PERSISTENT,
    RESIDUAL,
    SPEED,
    WAIT,
    Table,
    constant,
    exponential,
    gb200,
    gh200,
    h100,
    h200,
    halt,
    lognormal,
    pareto,
    scenario,
    slow,
)
from tests.statistics.test_slowest import SLOWEST_220K, assert_mean, assert_share

Column = NDArray[Any]
Rows = dict[str, Column]

SAMPLE_SEED, ORDER_SEED, OTHER_SEED = 20_240_701, 20_240_702, 20_240_703
RUNS, MANY_GPUS, RUNS_OF_MANY = 20_000, 100_000, 1_500
FALSE_ALARMS = 1e-3
ROUNDING = 1e-6
SELF_CHECK = 10
LEAST_SHARE = 0.02

PERSISTENT_RUNS, PERSISTENT_STEPS, PERSISTENT_SEED, MAX_ERRORS = 16, 2_000, 20_240_704, 4.5
FIXED_RUNS, FIXED_STEPS, FIXED_SEED = 400, 3, 20_240_705

TAILS = (1e-2, 1e-3, 1e-4)
MAX_CURVE_ERROR = 1e-5
"""Relative error of a compiled law's tail probabilities, as docs/model.md has it."""
COUNT_STEPS, COVERAGE = 1_000_000, 0.999
COUNT_SEEDS = {8: range(40, 50), 64: range(40, 50), 1_024: range(40, 43)}
"""Seeds of a million steps each, by GPUs."""
GOLDEN_STEPS, GOLDEN_SEED = 1_000_000, 20_240_706

METRICS = ("step_time_s", "compute_s", "stall_s")
ALL = ("run", "step", *METRICS, "exposed_comm_s", "slowest_pool", "mfu")

FIXED: dict[str, Table] = {
    "GPUs": {"pools": {"a": h100(64), "b": gb200(72, 1.003)}, "causes": {"speed": SPEED}},
    "nested slowdowns": {
        "pools": {"a": gb200(144)},
        "causes": {name: {**each, "span": "run"} for name, each in NESTED.items()},
    },
    "stalls of each scope": {
        "pools": {"a": h100(64, rack_gpus=16), "b": gb200(72, 0.97, rack_gpus=24)},
        "layout": {"tensor": 2},
        "causes": {
            f"{scope}-late": halt(WAIT, scope, probability, span="run")
            for scope, probability in {
                "gpu": 0.01,
                "node": 0.05,
                "domain": 0.1,
                "rack": 0.1,
                "replica": 0.02,
                "pool": 0.3,
                "cluster": 0.3,
            }.items()
        },
    },
    "slowdowns and stalls that may tie": {
        "pools": {"a": h100(64), "b": h200(32), "c": gh200(7)},
        "causes": {
            "x": slow(constant(1.1), span="run", probability=0.01),
            "y": slow(lognormal(0.05), "domain", span="run", probability=0.1),
            "late": halt(WAIT, "gpu", 0.01, span="run"),
            "pool": slow(lognormal(0.02), "pool", span="run", probability=0.5),
        },
    },
    "spares": {
        "pools": {"a": h100(68), "b": gb200(150, 0.98)},
        "layout": {"tensor": 8},
        "causes": {"speed": SPEED, "late": halt(WAIT, "node", 0.03, span="run")},
    },
    "stalls of every GPU": {
        "pools": {"a": h100(64), "b": h200(64)},
        "causes": {"speed": SPEED, "late": halt(WAIT, span="run")},
    },
}
COUNTED = {
    "lognormal": lognormal(0.1),
    "exponential": exponential(0.1),
    "pareto": pareto(),
}


def rows(table: Table, method: Method, seed: int, **counts: Any) -> Rows:
    """Return the columns of a simulation's steps by one engine."""
    result = hm.simulate(scenario(table), method=method, seed=seed, **counts)
    assert result.inputs["method"] == method
    return {name: result.steps[name].to_numpy() for name in ALL}


def n_runs(table: Table) -> int:
    total = sum(pool["n_gpus"] for pool in table["pools"].values())
    return RUNS if total < MANY_GPUS else RUNS_OF_MANY


def stalls(table: Table) -> bool:
    """Return whether any cause stalls what ranks compute."""
    kinds = {(cause["affects"], cause["effect"]) for cause in table["causes"].values()}
    return ("compute", "stall") in kinds


def metrics(table: Table) -> list[str]:
    """Return the columns in which two engines are compared: those that vary."""
    affected = {cause["affects"] for cause in table["causes"].values()}
    varies = {
        "stall_s": stalls(table),
        "exposed_comm_s": "network" in affected or "fabric" in table,
    }
    return [name for name in (*METRICS, "exposed_comm_s") if varies.get(name, True)]


N_COMPARISONS = sum(len(metrics(each)) + (len(each["pools"]) > 1) for each in PANEL.values())
LEVEL = FALSE_ALARMS / N_COMPARISONS


def distance(first: Column, second: Column, scale: float) -> float:
    """Return the Kolmogorov-Smirnov distance that no rounding explains.

    Of two samples, ties included: where one jumps, the other may do so a little later.
    """
    first, second = np.sort(first), np.sort(second)
    gaps = [
        np.searchsorted(one, one, "right") / one.size
        - np.searchsorted(other, one + ROUNDING * (np.abs(one) + scale), "right") / other.size
        for one, other in ((first, second), (second, first))
    ]
    return float(max(gap.max() for gap in gaps))


def disagreements(table: Table, first: Rows, second: Rows) -> list[str]:
    """Return what tells two engines' rows apart, at the panel's level."""
    limit = stats.kstwobign.isf(LEVEL) * np.sqrt(2 / first["compute_s"].size)
    scale = float(np.median(first["compute_s"]))
    found = []
    for name in metrics(table):
        far = distance(first[name], second[name], scale)
        if not far <= limit:
            found.append(f"{name}: {far:.4f} apart, at most {limit:.4f}")
    if not stalls(table) and any(rows["stall_s"].any() for rows in (first, second)):
        found.append("stall_s: stalls without a cause")
    counts = np.array(
        [
            [(each["slowest_pool"] == pool).sum() for pool in table["pools"]]
            for each in (first, second)
        ]
    )
    met = counts[:, counts.sum(axis=0) > 0]
    # One pool alone is always the slowest.
    if len(table["pools"]) > 1 and not (
        stats.chi2_contingency(met, correction=False).pvalue >= LEVEL
    ):
        found.append(f"slowest_pool: {counts.tolist()}")
    return found


@pytest.mark.parametrize("name", PANEL)
def test_engines_agree_in_the_law_of_a_step(name: str) -> None:
    table = PANEL[name]
    runs = n_runs(table)
    drawn = rows(table, "sample", SAMPLE_SEED, runs=runs, steps=1)
    direct = rows(table, "order-statistics", ORDER_SEED, runs=runs, steps=1)
    assert disagreements(table, drawn, direct) == []


@pytest.mark.parametrize("name", PANEL)
def test_the_panel_is_fair(name: str) -> None:
    """One engine agrees with itself at another seed, and every pool counts."""
    table = PANEL[name]
    first, second = (
        rows(table, "sample", seed, runs=n_runs(table) // SELF_CHECK, steps=1)
        for seed in (SAMPLE_SEED, OTHER_SEED)
    )
    assert disagreements(table, first, second) == []
    shares = {pool: float((first["slowest_pool"] == pool).mean()) for pool in table["pools"]}
    assert min(shares.values()) >= LEAST_SHARE, shares


@pytest.mark.parametrize(
    ("name", "cause", "changed"),
    [
        ("lognormal of 1,024", "x", slow(lognormal(0.0033))),
        ("rare slowdowns and stalls of GPUs", "z", halt(WAIT, probability=1.2e-4)),
        ("rare nodes and domains", "node-halt", halt(WAIT, "domain", 2e-3)),
        ("nested", "node", slow(lognormal(0.005), "domain")),
        ("rare domains that are faster", "y", slow(constant(1.0))),
        ("two pools", "x", slow(lognormal(0.0027))),
    ],
)
def test_the_panel_tells_another_cause_apart(name: str, cause: str, changed: Table) -> None:
    table = PANEL[name]
    other = {**table, "causes": {**table["causes"], cause: changed}}
    first, second = (
        rows(each, "sample", seed, runs=RUNS, steps=1)
        for each, seed in ((table, SAMPLE_SEED), (other, OTHER_SEED))
    )
    assert disagreements(table, first, second) != []


@pytest.mark.parametrize("name", PERSISTENT)
def test_engines_agree_in_persistent_causes(name: str) -> None:
    counts = {"runs": PERSISTENT_RUNS, "steps": PERSISTENT_STEPS}
    drawn, direct = (
        rows(PANEL[name], method, PERSISTENT_SEED, **counts)
        for method in ("sample", "order-statistics")
    )
    for metric in metrics(PANEL[name]):
        by_run = [
            each[metric].reshape(PERSISTENT_RUNS, PERSISTENT_STEPS) for each in (drawn, direct)
        ]
        means = [each.mean(axis=1) for each in by_run]
        errors = [each.std(axis=1, ddof=1) / np.sqrt(PERSISTENT_STEPS) for each in by_run]
        within = MAX_ERRORS * np.hypot(*errors) + ROUNDING * means[0]
        difference = np.abs(means[0] - means[1])
        assert (difference <= within).all(), f"{metric}: {difference / within}"


@pytest.mark.parametrize("name", PERSISTENT)
def test_persistent_causes_make_runs_unequal(name: str) -> None:
    drawn = rows(
        PANEL[name], "sample", PERSISTENT_SEED, runs=PERSISTENT_RUNS, steps=PERSISTENT_STEPS
    )
    by_run = drawn["compute_s"].reshape(PERSISTENT_RUNS, PERSISTENT_STEPS)
    errors = np.sqrt(2.0) * by_run.std(axis=1, ddof=1) / np.sqrt(PERSISTENT_STEPS)
    assert by_run.mean(axis=1).std(ddof=1) > MAX_ERRORS * errors.mean()


@pytest.mark.parametrize("name", FIXED)
def test_engines_are_equal_where_steps_draw_nothing(name: str) -> None:
    counts = {"runs": FIXED_RUNS, "steps": FIXED_STEPS}
    drawn = rows(FIXED[name], "sample", FIXED_SEED, **counts)
    assert np.unique(drawn["compute_s"]).size > FIXED_RUNS // 2
    assert set(drawn["slowest_pool"]) == set(FIXED[name]["pools"])
    direct = rows(FIXED[name], "order-statistics", FIXED_SEED, **counts)
    for metric in (*METRICS, "slowest_pool"):
        np.testing.assert_array_equal(direct[metric], drawn[metric])


def slowest_of(law: str, n_gpus: int) -> tuple[Table, _core.Curve]:
    """Return a pool with one cause, and the compiled law of its slowest rank."""
    table = {"pools": {"a": h100(n_gpus)}, "causes": {"x": slow(COUNTED[law])}}
    compiled = _core.OrderStatistics(hm.compile(scenario(table)).core).law(0, COUNT_SEEDS[8][0], 0)
    assert compiled is not None
    return table, compiled


@pytest.mark.parametrize("n_gpus", [8, 64, 1_024, 1_000_000])
@pytest.mark.parametrize("law", COUNTED)
def test_a_compiled_law_is_the_nth_power_of_its_law(law: str, n_gpus: int) -> None:
    _, compiled = slowest_of(law, n_gpus)
    one = _core.Law(COUNTED[law])
    for tail in (0.9, 0.5, *TAILS, 1e-9):
        factor = compiled.upper_quantile(tail)
        exact = -np.expm1(n_gpus * np.log1p(-one.sf(factor)))
        assert exact == pytest.approx(tail, rel=MAX_CURVE_ERROR)
        assert compiled.sf(factor) == pytest.approx(tail, rel=MAX_CURVE_ERROR)
        assert compiled.cdf(factor) == pytest.approx(1 - tail, rel=MAX_CURVE_ERROR)
        assert compiled.quantile(1 - tail) == pytest.approx(factor, rel=MAX_CURVE_ERROR)


# Of 10^7 steps those beyond the 99.99th percentile are counted to 10% at this coverage, of
# 3 x 10^6 to 20%; errors of the compiled laws that are 10^4 times smaller are found above. Tiles
# of 64 ranks are skipped where none of them can be the slowest, which does not depend on the law:
# so one law is enough where a pool has several tiles.
@pytest.mark.parametrize(
    ("law", "n_gpus"), [*itertools.product(COUNTED, [8, 64]), ("lognormal", 1_024)]
)
def test_what_exceeds_a_compiled_percentile_is_as_rare_as_it_says(law: str, n_gpus: int) -> None:
    table, compiled = slowest_of(law, n_gpus)
    at = {tail: compiled.upper_quantile(tail) for tail in TAILS}
    noiseless_s = rows({**table, "causes": {}}, "sample", 0, runs=1, steps=1)["compute_s"][0]
    beyond = dict.fromkeys(TAILS, 0)
    seeds = COUNT_SEEDS[n_gpus]
    for seed in seeds:
        result = hm.simulate(scenario(table), method="sample", seed=seed, runs=1, steps=COUNT_STEPS)
        slowest = result.steps["compute_s"].to_numpy() / noiseless_s
        for tail, factor in at.items():
            beyond[tail] += int((slowest > factor).sum())
    for tail, count in beyond.items():
        low, high = stats.binom(len(seeds) * COUNT_STEPS, tail).interval(COVERAGE)
        assert low <= count <= high, f"{count} beyond {tail:g}, expected {low:.0f} to {high:.0f}"


def golden(table: Table) -> Rows:
    return rows(table, "order-statistics", GOLDEN_SEED, runs=1, steps=GOLDEN_STEPS)


def test_the_slowest_of_220_000_drawn_at_once_has_the_worked_mean_and_percentiles() -> None:
    slowest = golden({"pools": {"a": h100(220_000)}, "causes": {"x": RESIDUAL}})["compute_s"]
    assert_mean(slowest, SLOWEST_220K["mean"])
    for statistic, above in (("median", 0.5), ("p99.9", 0.001)):
        assert_share(int((slowest > SLOWEST_220K[statistic]).sum()), GOLDEN_STEPS, above)


@pytest.mark.parametrize("by", ["time", "cause"])
def test_three_single_gpus_drawn_at_once_have_the_worked_mean_and_shares(by: str) -> None:
    speeds = {"a": 1.00, "b": 1.02, "c": 1.05}
    pools = {name: gh200(1, speed if by == "time" else 1.0) for name, speed in speeds.items()}
    causes = {"x": slow(lognormal(0.01))}
    if by == "cause":
        causes |= {
            f"speed-{name}": slow(constant(speed), span="run", pools=[name])
            for name, speed in speeds.items()
        }
    drawn = golden({"pools": pools, "causes": causes})
    assert_mean(drawn["compute_s"], 1.0501618)
    for name, share in zip(speeds, (0.000195, 0.020165, 0.979639), strict=True):
        assert_share(int((drawn["slowest_pool"] == name).sum()), GOLDEN_STEPS, share)


def test_many_short_and_few_long_waits_drawn_at_once_have_the_worked_mean_and_shares() -> None:
    pools = {"many": gh200(1_000), "few": gh200(10)}
    waits = {"many": 1.0, "few": 2.0}
    causes = {
        name: slow(exponential(mean, shift=0.0), pools=[name]) for name, mean in waits.items()
    }
    drawn = golden({"pools": pools, "causes": causes})
    assert_mean(drawn["compute_s"], 8.00396)
    assert_share(int((drawn["slowest_pool"] == "few").sum()), GOLDEN_STEPS, 0.23983)


REPEATED = (
    "four pools with causes of their own",
    "rare nodes and domains, with persistent speeds",
    "slow and late ports",
    "spares in nodes",
)


@pytest.mark.parametrize("name", REPEATED)
def test_any_number_of_threads_draws_the_same_bytes(name: str) -> None:
    results = [
        hm.simulate(
            scenario(PANEL[name]),
            method="order-statistics",
            seed=ORDER_SEED,
            runs=5,
            steps=1_001,
            threads=threads,
        )
        for threads in (1, 2, 7, 2)
    ]
    for table in ("steps", "pools", "runs", "summary"):
        first, *others = (getattr(result, table) for result in results)
        assert all(first.equals(other) for other in others)
    for metric in ("step_time_s", "compute_s", "exposed_comm_s", "stall_s"):
        assert len({result.steps[metric].to_numpy().tobytes() for result in results}) == 1


@pytest.mark.parametrize("name", REPEATED)
def test_another_seed_draws_other_steps(name: str) -> None:
    first, second = (
        rows(PANEL[name], "order-statistics", seed, runs=2, steps=1_000)["compute_s"]
        for seed in (ORDER_SEED, OTHER_SEED)
    )
    assert (first != second).mean() > 0.9


@pytest.mark.parametrize(
    "changed",
    [
        {"own": slow(lognormal(0.02), pools=["b"])},
        {"own": slow(exponential(0.01), pools=["b"], probability=0.5)},
        {"more": slow(lognormal(0.01), "node", pools=["b"])},
        {"more": halt(WAIT, "node", 1e-3, pools=["b"])},
        {"more": slow(lognormal(0.01), span="run", pools=["b"])},
        {"more": slow(lognormal(0.1), affects="network")},
    ],
    ids=["another law", "sometimes", "another scope", "rare stalls", "persistent speeds", "ports"],
)
def test_a_change_in_one_pool_keeps_the_draws_of_another(changed: Table) -> None:
    causes = {
        "x": slow(lognormal(0.01), pools=["a"]),
        "speed": slow(lognormal(0.01), span="run", pools=["a"]),
        "halt": halt(WAIT, probability=1e-3, pools=["a"]),
        "own": slow(lognormal(0.01), pools=["b"]),
    }
    table = {"pools": {"a": h100(64), "b": gb200(72)}, "causes": causes}
    before, after = (
        rows({**table, "causes": each}, "order-statistics", ORDER_SEED, runs=4, steps=2_000)
        for each in (causes, {**causes, **changed})
    )
    both = (before["slowest_pool"] == "a") & (after["slowest_pool"] == "a")
    assert both.mean() > LEAST_SHARE
    for metric in ("compute_s", "stall_s"):
        np.testing.assert_array_equal(before[metric][both], after[metric][both])
