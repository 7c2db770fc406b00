"""Episodes: against closed forms, what was planted, and the other engine.

Limits and seeds are fixed. Steps take a second here, so that seconds are steps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import hindmost as hm
from hindmost.compiled import compile
from hindmost.engines import Method
from hindmost.scenario import from_table
from tests.statistics.panel import (
    BASE,
    NESTED,
    NOISY,
    RESIDUAL,
    SPEED,
    WAIT,
    Table,
    constant,
    exponential,
    gb200,
    h100,
    halt,
    lognormal,
    mixture,
    pareto,
    scenario,
    slow,
    uniform,
)
from tests.statistics.random_scenarios import one_barrier
from tests.statistics.test_agreement import distance
from tests.statistics.test_random_scenarios import assume_exact, fixed_examples, same_bytes

SEED, OTHER_SEED = 20_261_130, 20_261_131
LEVEL = 1e-3
MAX_ERRORS = 4.0
METHODS: tuple[Method, ...] = ("sample", "order-statistics")
NODE_GPUS = 8


def episodes(
    law: Table,
    scope: str = "node",
    *,
    at_a_time: float,
    duration: Table,
    mean_s: float,
    **fields: Any,
) -> Table:
    """Return a cause with so many episodes of a unit at a time, whose durations have a mean."""
    per_hour = 3600 * at_a_time / mean_s
    of_episodes = {"span": "episode", "per_hour": per_hour, "duration": duration}
    return slow(law, scope, **of_episodes, **fields)


def table_of(*found: Table, pools: Table | None = None, **more: Any) -> Table:
    causes = {f"x{place}": cause for place, cause in enumerate(found)}
    return {"pools": pools or {"a": h100(800)}, "causes": causes, **more}


def greatest(severities: dict[float, float], rate: float, n: int) -> float:
    """Return the mean of the greatest of n products of Poisson(rate) severities."""
    # Products by their logarithms, on a lattice that holds those of all sums.
    unit = 1e-4
    size = 2**17
    masses = np.zeros(size)
    for severity, share in severities.items():
        masses[round(math.log(severity) / unit)] += share
    # A compound Poisson law, exactly: its transform is exp(rate (f - 1)).
    found = np.fft.irfft(np.exp(rate * (np.fft.rfft(masses) - 1)), size).clip(min=0)
    below = np.minimum(np.cumsum(found), 1.0) ** n
    return float(np.exp(unit * np.arange(size)) @ np.diff(below, prepend=0.0))


GOLDEN = {
    1.267075: (100, 0.05, {1.1: 0.7, 1.3: 0.3}),
    1.348986: (2_000, -math.log(1 - 0.005), {1.1: 0.6, 1.35: 0.4}),
}
"""Means of the greatest, each with the nodes, episodes at a time, and severities with shares."""


@pytest.mark.parametrize("expected", GOLDEN)
def test_the_worked_means_are_those_of_the_closed_form(expected: float) -> None:
    n, rate, severities = GOLDEN[expected]
    assert greatest(severities, rate, n) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("expected", GOLDEN)
def test_the_slowest_has_the_worked_mean_in_every_step(expected: float, method: Method) -> None:
    """From the first step on: runs begin in equilibrium, whatever the law of durations."""
    n, rate, severities = GOLDEN[expected]
    law = mixture([(share, constant(value)) for value, share in severities.items()])
    durations = {
        "constant": (constant(7.0), 7.0),
        "exponential": (exponential(50.0, shift=0.0), 50.0),
        "heavy": (pareto(3.0, cap=1e4), 5.0),
    }
    for duration, mean_s in durations.values():
        cause = episodes(law, at_a_time=rate, duration=duration, mean_s=mean_s)
        table = table_of(cause, pools={"a": h100(NODE_GPUS * n)})
        runs = 4_000 if method == "order-statistics" else 1_500
        result = hm.simulate(scenario(table), method=method, seed=SEED, runs=runs, steps=40)
        by_run = result.steps["compute_s"].to_numpy().reshape(runs, 40)
        for step in (0, 13, 39):
            rows = by_run[:, step]
            error = rows.std(ddof=1) / math.sqrt(runs)
            assert abs(rows.mean() - expected) < MAX_ERRORS * error


DURATIONS = {
    "exponential": (exponential(300.0, shift=0.0), lambda d: stats.expon.cdf(d, scale=300.0)),
    "lognormal": (
        lognormal(0.5, median=200.0),
        lambda d: stats.lognorm.cdf(d, 0.5, scale=200.0),
    ),
    "uniform": (uniform(100.0, 500.0), lambda d: np.clip((d - 100) / 400, 0, 1)),
}


@pytest.mark.parametrize("name", DURATIONS)
def test_counts_durations_and_severities_have_their_laws(name: str) -> None:
    """Of episodes that begin and end in a run: those under way at its ends are longer."""
    duration, cdf = DURATIONS[name]
    n_nodes, n_steps = 400, 20_000
    cause = episodes(uniform(1.5, 2.5), at_a_time=0.002, duration=duration, mean_s=_mean(duration))
    table = table_of(cause, pools={"a": h100(NODE_GPUS * n_nodes)})
    times = hm.rank_times(scenario(table), seed=SEED, run=0, steps=range(n_steps))
    of_nodes = times[:, ::NODE_GPUS].T
    assert (times.reshape(n_steps, n_nodes, NODE_GPUS) == of_nodes.T[..., None]).all()
    slow_steps = of_nodes > 1.001
    lengths, severities, n_began = [], [], 0
    for node, is_slow in zip(of_nodes, slow_steps, strict=True):
        edges = np.flatnonzero(np.diff(is_slow.astype(int), prepend=0, append=0))
        for begin, end in edges.reshape(-1, 2):
            n_began += begin > 0
            if begin > 0 and end < n_steps and np.ptp(node[begin:end]) == 0:
                lengths.append(end - begin)
                severities.append(node[begin])
    # Two of a node at once are seen as one: 0.2% of them.
    expected = 0.002 / _mean(duration) * n_nodes * n_steps
    assert abs(n_began - expected) < MAX_ERRORS * math.sqrt(expected) + 0.004 * expected
    n = len(lengths)
    limit = stats.kstwobign.isf(LEVEL) / math.sqrt(n)
    # A length in steps is that in seconds, rounded up or down at random.
    jitter = np.random.default_rng(1).uniform(-0.5, 0.5, n)
    far = stats.kstest(np.array(lengths) + jitter, cdf).statistic
    # Long ones are cut off by the run's end more often.
    assert far < limit + 0.03
    shares = (np.array(severities) - 1.5) / 1.0
    assert stats.kstest(shares, "uniform").statistic < limit


def _mean(law: Table) -> float:
    means = {"exponential": 300.0, "lognormal": 200.0 * math.exp(0.125), "uniform": 300.0}
    return means[law["name"]]


def test_of_episodes_under_way_at_the_start_the_longer_ones_are_more() -> None:
    """Of constants of 1 and 9 seconds, alike in number, nine of ten are long ones."""
    duration = mixture([(0.5, constant(10.0)), (0.5, constant(90.0))])
    cause = episodes(constant(2.0), at_a_time=0.01, duration=duration, mean_s=50.0)
    table = table_of(cause, pools={"a": h100(NODE_GPUS * 40_000)})
    times = hm.rank_times(scenario(table), seed=SEED, run=0, steps=range(0, 120, 2))
    of_nodes = times[:, ::NODE_GPUS] > 1.5
    at_start = of_nodes[:, of_nodes[0]]
    left = np.where(at_start.all(axis=0), at_start.shape[0], at_start.argmin(axis=0))
    # What is left of them is uniform: P(more than 20 s left) is 0.9 x 7/9.
    share = float((left > 10).mean())
    n = left.size
    assert abs(share - 0.7) < MAX_ERRORS * math.sqrt(0.7 * 0.3 / n) + 0.01


TOGETHER: dict[str, Table] = {
    "among equal GPUs": table_of(
        episodes(uniform(1.0, 1.3), at_a_time=0.01, duration=constant(20.0), mean_s=20.0),
        RESIDUAL,
    ),
    "of GPUs among persistent speeds": table_of(
        episodes(uniform(1.0, 1.1), "gpu", at_a_time=0.004, duration=constant(20.0), mean_s=20.0),
        SPEED,
        RESIDUAL,
    ),
    "of nodes among persistent speeds": table_of(
        episodes(lognormal(0.05, median=1.03), at_a_time=0.02, duration=constant(9.0), mean_s=9.0),
        SPEED,
        RESIDUAL,
    ),
    "of GPUs and nodes and domains": table_of(
        episodes(uniform(1.0, 1.1), "gpu", at_a_time=0.02, duration=constant(20.0), mean_s=20.0),
        episodes(uniform(1.0, 1.1), "node", at_a_time=0.05, duration=constant(30.0), mean_s=30.0),
        episodes(uniform(1.0, 1.1), "domain", at_a_time=0.2, duration=constant(5.0), mean_s=5.0),
        RESIDUAL,
        pools={"a": gb200(216)},
    ),
    "of racks, beside rare stalls": table_of(
        episodes(uniform(1.0, 1.2), "rack", at_a_time=0.05, duration=constant(20.0), mean_s=20.0),
        RESIDUAL,
        halt(WAIT, "node", 0.01),
        pools={"a": h100(512, rack_gpus=64)},
    ),
    "that make faster": table_of(
        episodes(uniform(0.7, 1.0), "node", at_a_time=0.4, duration=constant(20.0), mean_s=20.0),
        slow(lognormal(0.03)),
        SPEED,
        pools={"a": h100(64)},
    ),
    "among nested causes": table_of(
        episodes(uniform(1.0, 1.05), "gpu", at_a_time=0.01, duration=constant(20.0), mean_s=20.0),
        *NESTED.values(),
        pools={"a": gb200(144)},
    ),
    "among nested causes and persistent speeds": table_of(
        episodes(uniform(1.0, 1.1), "node", at_a_time=0.05, duration=constant(20.0), mean_s=20.0),
        *NESTED.values(),
        SPEED,
        pools={"a": gb200(144)},
    ),
    "of two pools and their ports": table_of(
        episodes(uniform(1.0, 1.2), "node", at_a_time=0.02, duration=constant(20.0), mean_s=20.0),
        episodes(
            uniform(1.0, 6.0),
            "gpu",
            at_a_time=0.001,
            duration=constant(20.0),
            mean_s=20.0,
            affects="network",
        ),
        RESIDUAL,
        pools={"a": h100(512), "b": gb200(288, 1.02)},
        fabric=NOISY,
        collective={"overlap_fraction": 0.0, "n_buckets": 4},
    ),
    "that most GPUs are in": table_of(
        episodes(uniform(0.9, 1.2), "gpu", at_a_time=0.9, duration=constant(20.0), mean_s=20.0),
        RESIDUAL,
        SPEED,
        pools={"a": h100(64)},
    ),
    "alone with persistent speeds": table_of(
        episodes(uniform(0.95, 1.05), "gpu", at_a_time=0.1, duration=constant(20.0), mean_s=20.0),
        SPEED,
        pools={"a": h100(128)},
    ),
}
METRICS = ("step_time_s", "compute_s", "exposed_comm_s", "stall_s")


@pytest.mark.parametrize("name", TOGETHER)
def test_engines_agree_in_the_law_of_a_step(name: str) -> None:
    runs = 6_000
    found = []
    for method, seed in zip(METHODS, (SEED, OTHER_SEED), strict=True):
        result = hm.simulate(scenario(TOGETHER[name]), method=method, seed=seed, runs=runs, steps=3)
        found.append(result.steps)
    level = LEVEL / (len(METRICS) * len(TOGETHER))
    limit = stats.kstwobign.isf(level) * math.sqrt(2 / runs)
    scale = float(found[0]["compute_s"].to_numpy().mean())
    for metric in METRICS:
        one, other = (rows[metric].to_numpy().reshape(runs, 3)[:, 2] for rows in found)
        assert distance(one, other, scale) <= limit, metric
        error = math.hypot(*(rows.std(ddof=1) / math.sqrt(runs) for rows in (one, other)))
        # Rounding of rows to f32 is no error of means.
        assert abs(one.mean() - other.mean()) <= MAX_ERRORS * error + 1e-6 * scale, metric


def test_the_panel_tells_other_episodes_apart() -> None:
    def rows(at_a_time: float) -> Any:
        cause = episodes(
            uniform(1.0, 1.3), at_a_time=at_a_time, duration=constant(20.0), mean_s=20.0
        )
        result = hm.simulate(
            scenario(table_of(cause, RESIDUAL)), method="sample", seed=SEED, runs=6_000, steps=3
        )
        return result.steps["compute_s"].to_numpy().reshape(-1, 3)[:, 2]

    limit = stats.kstwobign.isf(LEVEL / 44) * math.sqrt(2 / 6_000)
    assert distance(rows(0.01), rows(0.012), 1.0) > limit


LASTING = {
    "of nodes": (SPEED, ["node"]),
    "of GPUs and nodes": (SPEED, ["gpu", "node"]),
    "alone": (None, ["gpu", "domain"]),
}


@pytest.mark.parametrize("name", LASTING)
def test_engines_are_equal_where_nothing_else_changes(name: str) -> None:
    """They draw the same episodes, and so the same rows: step after step of a run."""
    speed, scopes = LASTING[name]
    causes = [
        episodes(
            uniform(1.0, 1.5),
            scope,
            at_a_time=0.03,
            duration=exponential(20.0, shift=0.0),
            mean_s=20.0,
        )
        for scope in scopes
    ]
    found = scenario(table_of(*causes, *([speed] if speed else []), pools={"a": h100(1_024)}))
    one, other = (
        hm.simulate(found, method=method, seed=SEED, runs=3, steps=500).steps["compute_s"]
        for method in METHODS
    )
    np.testing.assert_array_equal(one.to_numpy(), other.to_numpy())
    assert one.n_unique() > 100


@pytest.mark.parametrize("method", METHODS)
def test_a_rate_of_zero_changes_no_byte(method: Method) -> None:
    causes = [SPEED, RESIDUAL, halt(WAIT, "node", 0.01)]
    never = episodes(uniform(1.5, 2.0), at_a_time=0.0, duration=constant(20.0), mean_s=20.0)
    without, with_it = (
        hm.simulate(scenario(table_of(*some)), method=method, seed=SEED, runs=2, steps=50)
        for some in (causes, [*causes, never])
    )
    assert same_bytes(without.columns, with_it.columns)


@pytest.mark.parametrize("method", METHODS)
def test_steps_do_not_depend_on_how_many_are_asked_for(method: Method) -> None:
    found = scenario(TOGETHER["of nodes among persistent speeds"])
    few, many = (
        hm.simulate(found, method=method, seed=SEED, runs=2, steps=n).steps for n in (70, 300)
    )
    kept = many.filter(many["step"] < 70)
    assert kept["compute_s"].equals(few["compute_s"])


def test_one_step_in_the_middle_of_an_episode_is_replayed_alone() -> None:
    found = scenario(TOGETHER["of nodes among persistent speeds"])
    all_of_them = hm.rank_times(found, seed=SEED, run=1, steps=range(400))
    alone = hm.rank_times(found, seed=SEED, run=1, steps=[333])
    np.testing.assert_array_equal(alone[0], all_of_them[333])
    rows = hm.simulate(found, method="sample", seed=SEED, runs=2, steps=400).steps
    of_run = rows.filter(rows["run"] == 1)["compute_s"].to_numpy()
    np.testing.assert_allclose(all_of_them.max(axis=1), of_run, rtol=1e-6)


def test_what_makes_a_gpu_slow_in_a_timeline_are_its_episodes() -> None:
    cause = episodes(constant(1.5), at_a_time=0.3, duration=constant(50.0), mean_s=50.0)
    table = table_of(cause, RESIDUAL, pools={"a": h100(64)})
    products = []
    for step in range(0, 400, 50):
        found = hm.timeline(scenario(table), seed=SEED, step=step)
        slowest = found.replicas[0].stages[0]
        product = math.prod(one.slowdown for one in slowest.effects)
        assert slowest.slowdown == pytest.approx(product, rel=1e-6)
        products += [one.slowdown for one in slowest.effects if one.cause == "x0"]
    assert len(products) > 4
    assert set(products) <= {1.5, 1.5**2, 1.5**3}


def test_ranks_are_busy_for_as_long_as_episodes_make_them() -> None:
    """The expected factor of a unit is exp(rate x (mean severity - 1))."""
    cause = episodes(constant(1.5), at_a_time=0.2, duration=constant(50.0), mean_s=50.0)
    for method in METHODS:
        result = hm.simulate(scenario(table_of(cause)), method=method, seed=SEED, runs=2, steps=100)
        [pool] = result.pool_rows
        step_s = result.value("step_time_s")
        assert pool["busy_frac"] * step_s == pytest.approx(math.exp(0.2 * 0.5), rel=1e-6)
        # It would be one second without them.
        longer_s = pool["busy_for_episodes_frac"] * step_s
        assert longer_s == pytest.approx(math.exp(0.2 * 0.5) - 1, rel=1e-6)


def test_only_some_units_are_busy_for_longer() -> None:
    cause = episodes(constant(1.5), at_a_time=0.2, duration=constant(50.0), mean_s=50.0)
    some = {**cause, "units": {"first": 0, "last": 24}}
    result = hm.simulate(scenario(table_of(some)), seed=SEED, runs=2, steps=100)
    [pool] = result.pool_rows
    longer_s = pool["busy_for_episodes_frac"] * result.value("step_time_s")
    n_nodes = pool["n_gpus"] / 8
    assert longer_s == pytest.approx(25 / n_nodes * (math.exp(0.2 * 0.5) - 1), rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_account_names_what_episodes_take_of_a_run(method: Method) -> None:
    failures = {"failures": {"host": {"scope": "node", "per_hour": 1e-4, "repair_hours": 5.0}}}
    recovery = {"recovery": {"restart_s": 600.0}, "checkpoint": {"blocking_s": 5.0}}
    table = {**table_of(some_are_slow(0.01)), **failures, **recovery}
    result = hm.simulate(scenario(table), method=method, seed=SEED, runs=4, steps=200, days=10)
    account, [pool] = result.account, result.pool_rows
    assert account is not None
    assert account.episodes is not None
    kept = account.shares["kept"]
    assert account.episodes["waiting"] == pytest.approx(kept * pool["wait_for_episodes_frac"])
    assert account.episodes["computing"] == pytest.approx(kept * pool["busy_for_episodes_frac"])
    assert 0 < account.episodes["computing"] < account.episodes["waiting"] < kept
    bare = {key: value for key, value in table.items() if key != "causes"}
    without = hm.simulate(scenario(bare), method="sample", seed=SEED, runs=1, steps=8, days=1)
    assert without.account is not None
    assert without.account.episodes is None


def some_are_slow(share: float) -> Table:
    """Return a cause that makes a unit twice as slow at a time with a probability."""
    rate = -math.log(1 - share)
    return episodes(constant(2.0), at_a_time=rate, duration=constant(50.0), mean_s=50.0)


@pytest.mark.parametrize("method", METHODS)
def test_steps_are_told_that_wait_for_an_episode(method: Method) -> None:
    """Where nothing else acts, these are all in which any unit is in one."""
    found = scenario(table_of(some_are_slow(0.01)))
    runs = 4_000
    result = hm.simulate(found, method=method, seed=SEED, runs=runs, steps=2)
    rows = result.steps
    is_slow = rows["slowest_in_episode"].to_numpy()
    np.testing.assert_array_equal(is_slow, rows["compute_s"].to_numpy() > 1.5)
    share = 1 - 0.99**100
    error = math.sqrt(share * (1 - share) / runs)
    assert abs(is_slow.mean() - share) < MAX_ERRORS * error
    [pool] = result.pool_rows
    assert pool["slowest_frac"] == 1
    assert pool["slowest_in_episode_frac"] == is_slow.mean()
    # A step takes 1 s without one; all that ranks wait, they wait in steps with one.
    compute_s = rows["compute_s"].to_numpy()
    own_s = math.exp(-math.log(0.99))
    waited_s = (compute_s[is_slow] - own_s).sum() / len(compute_s)
    expected = waited_s / result.value("step_time_s")
    assert pool["wait_for_episodes_frac"] == pytest.approx(min(expected, pool["wait_frac"]))


def test_engines_agree_in_how_often_steps_wait_for_an_episode() -> None:
    runs = 6_000
    for name in ("of nodes among persistent speeds", "of racks, beside rare stalls"):
        shares = []
        for method, seed in zip(METHODS, (SEED, OTHER_SEED), strict=True):
            result = hm.simulate(
                scenario(TOGETHER[name]), method=method, seed=seed, runs=runs, steps=3
            )
            rows = result.steps.filter(result.steps["step"] == 2)
            shares.append(float(rows["slowest_in_episode"].to_numpy().mean()))
        one, other = shares
        assert 0.05 < one < 0.95, name
        error = math.sqrt((one * (1 - one) + other * (1 - other)) / runs)
        assert abs(one - other) < MAX_ERRORS * error, name


@pytest.mark.parametrize("method", METHODS)
def test_terms_change_nothing_of_who_is_in_an_episode(method: Method) -> None:
    found = scenario(TOGETHER["of nodes among persistent speeds"])
    size: dict[str, Any] = {"method": method, "seed": SEED, "runs": 2, "steps": 200}
    without, with_them = (hm.simulate(found, terms=terms, **size) for terms in (False, True))
    assert without.steps.equals(with_them.steps)
    assert 0 < without.steps["slowest_in_episode"].to_numpy().mean() < 1


@pytest.mark.parametrize("terms", [False, True])
def test_a_replica_with_stages_is_in_an_episode_if_any_of_its_ranks_is(terms: bool) -> None:
    """Two replicas of two nodes: the step waits for an episode unless all four are in none."""
    layout = {"tensor": 8, "pipeline": 2}
    workload = {**BASE["workload"], "n_microbatches": 4}
    table = table_of(some_are_slow(0.2), pools={"a": h100(32)}, layout=layout, workload=workload)
    runs = 3_000
    result = hm.simulate(
        scenario(table), method="sample", seed=SEED, runs=runs, steps=1, terms=terms
    )
    is_slow = result.steps["slowest_in_episode"].to_numpy()
    compute_s = result.steps["compute_s"].to_numpy()
    np.testing.assert_array_equal(is_slow, compute_s > 1.01 * compute_s.min())
    share = 1 - 0.8**4
    assert abs(is_slow.mean() - share) < MAX_ERRORS * math.sqrt(share * (1 - share) / runs)


@fixed_examples
@given(table=one_barrier(spans=("run", "step", "episode"), min_causes=1), step=st.integers(0, 8))
def test_random_scenarios_keep_their_rows(table: Table, step: int) -> None:
    """Threads change no byte of either engine, and any step is replayed alone."""
    compiled = compile(from_table(table))
    size: dict[str, Any] = {"seed": SEED, "runs": 2, "steps": 9}
    one, other = (compiled.simulate(method="sample", threads=n, **size) for n in (1, 7))
    assert same_bytes(one.columns, other.columns)
    found = hm.timeline(compiled.scenario, seed=SEED, run=1, step=step)
    assert found.compute_s == one.columns["compute_s"][9 + step]
    engine = assume_exact(compiled)
    first, second = (engine.run(threads=n, **size) for n in (1, 2))
    assert same_bytes(first, second)


@fixed_examples
@given(table=one_barrier(spans=("run", "step", "episode"), min_causes=1))
def test_engines_draw_steps_of_one_law_in_random_scenarios(table: Table) -> None:
    found = from_table(table)
    assume_exact(compile(found))
    runs = 500
    sampled, drawn = (
        hm.simulate(found, method=method, seed=seed, runs=runs, steps=2).steps
        for method, seed in zip(METHODS, (SEED, OTHER_SEED), strict=True)
    )
    level = LEVEL / (100 * len(METRICS))
    limit = stats.kstwobign.isf(level) * math.sqrt(2 / runs)
    scale = float(sampled["compute_s"].to_numpy().mean())
    for metric in METRICS:
        one, other = (rows[metric].to_numpy().reshape(runs, 2)[:, 1] for rows in (sampled, drawn))
        assert distance(one, other, scale) <= limit, metric
