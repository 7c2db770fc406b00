"""Runs with failures against closed forms, figures worked out by hand, and a plain simulation.

Standard errors are from the runs themselves; seeds and limits were fixed before the first run.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import hindmost as hm
from hindmost.renewal.runs import NAMES

SEED = 20_261_129
MINUTE = 60.0
RUNS = 32

DOWN_S = 600.0
SHARES_LOST = (0.02, 0.2, 0.7, 1.7, 3.0)
"""Failures in the seconds of a restart."""
INTERVALS = ((60.0, 5.0), (300.0, 30.0), (1200.0, 5.0))
"""Seconds between checkpoints and those for which one stops the job."""
MAX_FAILURES = 8e7


def job(lost: float, interval_s: float, blocking_s: float, can_fail: bool) -> hm.Renewal:
    return hm.Renewal(
        failures={"job": hm.Failures(per_hour=3600 * lost / DOWN_S)},
        detection_s=60.0,
        restart_s=DOWN_S - 60.0,
        interval_s=interval_s,
        blocking_s=blocking_s,
        restart_can_fail=can_fail,
    )


def agrees(runs: hm.RenewalRuns, expected: float | None) -> bool:
    assert runs.std_error is not None
    assert expected is not None
    return abs(runs.kept - expected) <= 4 * runs.std_error


@pytest.mark.parametrize("can_fail", [False, True])
@pytest.mark.parametrize(("interval_s", "blocking_s"), INTERVALS)
@pytest.mark.parametrize("lost", SHARES_LOST)
def test_the_share_kept_is_that_of_the_closed_form(
    lost: float, interval_s: float, blocking_s: float, can_fail: bool
) -> None:
    one = job(lost, interval_s, blocking_s, can_fail)
    expected = one.exact
    assert expected is not None
    # As many interruptions as bring the error to 0.1%, found with a thousandth of them.
    first = one.simulate(seed=SEED, runs=RUNS, interruptions=3000)
    assert first.std_error is not None
    wanted = 3000 * (first.std_error / first.kept / 0.5e-3) ** 2
    per_failure = float(first.failures.sum() / first.interruptions.sum())
    interruptions = int(min(max(wanted, 3000), MAX_FAILURES / RUNS / per_failure))
    runs = one.simulate(seed=SEED + 1, runs=RUNS, interruptions=interruptions)
    assert agrees(runs, expected)
    assert runs.std_error is not None
    assert (
        runs.std_error <= 1e-3 * expected or interruptions >= MAX_FAILURES / RUNS / per_failure - 1
    )


@pytest.mark.parametrize(("can_fail", "expected"), [(False, 0.4294), (True, 0.3590)])
def test_metas_hundred_thousand(can_fail: bool, expected: float) -> None:
    one = hm.Renewal(
        failures={"node": hm.Failures(per_hour=27_500 * 3.789e-3 / 24)},
        restart_s=10 * MINUTE,
        interval_s=5 * MINUTE,
        blocking_s=0.5 * MINUTE,
        restart_can_fail=can_fail,
    )
    assert one.exact == pytest.approx(expected, abs=5e-5)
    assert agrees(one.simulate(seed=SEED, runs=RUNS, interruptions=50_000), one.exact)


@pytest.mark.parametrize(("can_fail", "expected"), [(False, 0.242576), (True, 0.122178)])
def test_more_failures_than_restarts_have_time_for(can_fail: bool, expected: float) -> None:
    one = hm.Renewal(
        failures={"job": hm.Failures(per_hour=10.0)},
        restart_s=10 * MINUTE,
        interval_s=4 * MINUTE,
        blocking_s=0.25 * MINUTE,
        restart_can_fail=can_fail,
    )
    assert one.exact == pytest.approx(expected, abs=5e-7)


@pytest.mark.parametrize("durable_s", [0.0, 120.0, 500.0, 2000.0])
@pytest.mark.parametrize("can_fail", [False, True])
def test_writes_that_go_on_beside_the_job(durable_s: float, can_fail: bool) -> None:
    one = hm.Renewal(
        failures={"job": hm.Failures(per_hour=3600 / 829.2)},
        restart_s=600.0,
        interval_s=300.0,
        blocking_s=5.0,
        durable_s=durable_s,
        restart_can_fail=can_fail,
    )
    if durable_s == 120.0:
        assert one.exact == pytest.approx(0.341510 if can_fail else 0.408526, abs=5e-7)
    assert agrees(one.simulate(seed=SEED, runs=RUNS, interruptions=40_000), one.exact)


TWO_LEVELS = hm.Renewal(
    failures={
        "node": hm.Failures(per_hour=0.05 * 60),
        "rack": hm.Failures(per_hour=0.01 * 60, keeps_local=False),
    },
    restart_s=2 * MINUTE,
    interval_s=MINUTE,
    blocking_s=0.02 * MINUTE,
    restart_can_fail=False,
    global_level=hm.GlobalLevel(every=20, blocking_s=MINUTE, restart_s=15 * MINUTE),
)


def test_two_levels() -> None:
    assert TWO_LEVELS.exact == pytest.approx(0.650743, abs=5e-7)
    assert agrees(TWO_LEVELS.simulate(seed=SEED, runs=RUNS, interruptions=40_000), TWO_LEVELS.exact)


def test_a_global_level_for_all_is_one_level() -> None:
    only = replace(
        TWO_LEVELS,
        failures={"rack": hm.Failures(per_hour=3.6, keeps_local=False)},
        global_level=hm.GlobalLevel(every=1, blocking_s=MINUTE),
    )
    flat = replace(only, blocking_s=MINUTE, global_level=None)
    assert only.exact == pytest.approx(flat.exact)
    ends = {"seed": SEED, "runs": 4, "interruptions": 1000}
    np.testing.assert_array_equal(only.simulate(**ends).rows, flat.simulate(**ends).rows)


WEIBULL = hm.Renewal(
    failures={"job": hm.Failures(per_hour=60 / 13.8, shape=0.7)},
    restart_s=10 * MINUTE,
    interval_s=5 * MINUTE,
    blocking_s=0.5 * MINUTE,
    restart_can_fail=False,
)


def test_a_clock_that_a_restart_begins_anew() -> None:
    assert WEIBULL.exact == pytest.approx(0.439736, abs=5e-7)
    assert agrees(WEIBULL.simulate(seed=SEED, runs=RUNS, interruptions=40_000), WEIBULL.exact)
    nearly = replace(WEIBULL, failures={"job": hm.Failures(per_hour=60 / 13.8, shape=1 + 1e-12)})
    constant = replace(WEIBULL, failures={"job": hm.Failures(per_hour=60 / 13.8)})
    assert nearly.exact == pytest.approx(constant.exact)


def test_time_to_finish() -> None:
    one = hm.Renewal(
        failures={"job": hm.Failures(per_hour=0.0724 * 60)},
        restart_s=10 * MINUTE,
        interval_s=5 * MINUTE,
        blocking_s=0.5 * MINUTE,
        restart_can_fail=False,
    )
    runs = one.simulate(seed=SEED, runs=2000, checkpoints=10_000)
    minutes = runs.seconds / MINUTE
    assert abs(minutes.mean() - 116_475.2) < 4 * 1078.3 / math.sqrt(2000)
    assert abs(minutes.std(ddof=1) - 1078.3) < 4 * 1078.3 / math.sqrt(2 * 2000)
    assert runs.rows[:, 0] == pytest.approx(np.full(2000, 10_000 * 300.0))


def plain(one: hm.Renewal, n: int, seed: int) -> dict[str, float]:
    """Return the shares of a job with a constant rate that goes segment by segment."""
    rng = np.random.default_rng(seed)
    assert one.interval_s is not None
    sums = dict.fromkeys(NAMES, 0.0)
    down_s = one.detection_s + one.restart_s
    for _ in range(n):
        left_s = rng.exponential(1 / one.rate)
        while left_s >= one.interval_s + one.blocking_s:
            left_s -= one.interval_s + one.blocking_s
            sums["kept"] += one.interval_s
            sums["checkpoint"] += one.blocking_s
        sums["redone"] += min(left_s, one.interval_s)
        sums["checkpoint"] += max(0.0, left_s - one.interval_s)
        while True:
            next_s = rng.exponential(1 / one.rate) if one.restart_can_fail else math.inf
            spent_s = min(next_s, down_s)
            sums["detection"] += min(spent_s, one.detection_s)
            sums["restart"] += max(0.0, spent_s - one.detection_s)
            if spent_s == down_s:
                break
    return sums


@pytest.mark.parametrize("can_fail", [False, True])
def test_every_second_has_a_name(can_fail: bool) -> None:
    one = job(0.7, 300.0, 30.0, can_fail)
    runs = one.simulate(seed=SEED, runs=RUNS, interruptions=10_000)
    assert sum(runs.shares.values()) == pytest.approx(1.0, abs=1e-12)
    sums = plain(one, 100_000, SEED)
    total = sum(sums.values())
    for name, share in runs.shares.items():
        of_runs = runs.rows[:, NAMES.index(name)] / runs.seconds
        error = of_runs.std(ddof=1) / math.sqrt(RUNS)
        assert abs(share - sums[name] / total) < 4 * error * math.sqrt(1 + RUNS * 10_000 / 100_000)


@pytest.mark.parametrize("can_fail", [False, True])
@pytest.mark.parametrize("days", [0.01, 1.0, 30.0])
def test_runs_of_some_days_last_that_long(can_fail: bool, days: float) -> None:
    runs = job(1.7, 300.0, 30.0, can_fail).simulate(seed=SEED, runs=200, days=days)
    assert runs.seconds == pytest.approx(np.full(200, days * 86_400), rel=1e-12)
    assert (runs.rows >= -1e-6).all()
    assert (runs.failures >= runs.interruptions).all()
    assert runs.frame.columns[-2:] == ["n_interruptions", "n_failures"]


def test_the_same_seed_gives_the_same_runs_on_any_number_of_threads() -> None:
    one = job(0.7, 300.0, 30.0, True)
    found = [
        one.simulate(seed=SEED, runs=7, interruptions=500, threads=threads) for threads in (1, 2, 5)
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].rows, other.rows)
    # More runs leave the first ones as they are.
    more = one.simulate(seed=SEED, runs=9, interruptions=500)
    np.testing.assert_array_equal(found[0].rows, more.rows[:7])


@pytest.mark.parametrize(("blocking_s", "expected_s"), [(40.0, 231.6), (300.0, 521.2)])
def test_the_best_interval_of_a_constant_rate(blocking_s: float, expected_s: float) -> None:
    one = hm.Renewal(
        failures={"job": hm.Failures(per_hour=3600 / 829.2)},
        restart_s=600.0,
        blocking_s=blocking_s,
    )
    assert one.best_interval_s == pytest.approx(expected_s, abs=0.05)
    best = one.exact
    assert best is not None
    for factor in (0.8, 0.99, 1.01, 1.25):
        other = replace(one, interval_s=factor * one.best_interval_s).exact
        assert other is not None
        assert other < best


def test_the_best_interval_by_search() -> None:
    # In closed form for a constant rate, and of the same rate by search.
    exactly = replace(WEIBULL, failures={"job": hm.Failures(per_hour=60 / 13.8)}, interval_s=None)
    split = hm.GlobalLevel(every=1, blocking_s=0.5 * MINUTE)
    by_sum = replace(exactly, global_level=split)
    assert by_sum.best_interval_s == pytest.approx(exactly.best_interval_s, rel=1e-4)
    simulated = replace(by_sum, restart_can_fail=True)
    assert simulated.exact is None
    assert simulated.best_interval_s == pytest.approx(exactly.best_interval_s, rel=0.05)
    # A hazard that falls with age is long in coming once it has not come.
    young = replace(WEIBULL, interval_s=None)
    assert young.exact is not None
    for factor in (0.7, 1.4):
        other = replace(young, interval_s=factor * young.best_interval_s).exact
        assert other is not None
        assert other < young.exact


@pytest.mark.parametrize("every", [1000, 10_000, 100_000])
def test_the_best_interval_of_a_rare_global_level(every: int) -> None:
    # Local checkpoints cost nothing: as one level whose interval is `every` times as long.
    one = hm.Renewal(
        failures={"a": hm.Failures(per_hour=1e-3, keeps_local=False)},
        restart_s=60.0,
        blocking_s=0.0,
        restart_can_fail=False,
        global_level=hm.GlobalLevel(every=every, blocking_s=60.0),
    )
    flat = replace(one, blocking_s=60.0, global_level=None)
    assert one.best_interval_s * every == pytest.approx(flat.best_interval_s, rel=1e-4)
    assert one.exact == pytest.approx(flat.exact, rel=1e-9)


@pytest.mark.parametrize("shape", [0.5, 2.0, 8.0, 20.0])
def test_the_best_interval_of_an_aging_job_among_several_good_ones(shape: float) -> None:
    one = hm.Renewal(
        failures={"a": hm.Failures(per_hour=10.0, shape=shape)},
        restart_s=600.0,
        blocking_s=15.0,
        restart_can_fail=False,
    )
    best = one.exact
    assert best is not None
    for interval_s in np.geomspace(5.0, 1000.0, 400).tolist():
        other = replace(one, interval_s=interval_s).exact
        assert other is not None
        assert other <= best * (1 + 1e-3)
