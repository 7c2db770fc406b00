"""Estimators of fits, each against a closed form, brute force or another library."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from hindmost.fitting.ar1 import Measured, innovations
from hindmost.fitting.bootstrap import block_errors
from hindmost.fitting.drift import fit_drift
from hindmost.fitting.estimate import LOWER, normal, of_draws
from hindmost.fitting.job_model import fit_job
from hindmost.fitting.laws import (
    choose_law,
    conditional,
    ks_distance,
    log_density,
    log_less_digamma,
    with_cap,
)
from hindmost.fitting.left_out import left_out
from hindmost.fitting.log_steps import LogSteps, Stretch, log_steps
from hindmost.fitting.noise import noise_of, resolution, robust_sigma, running_median
from hindmost.fitting.rare import poisson_interval, rare_of
from hindmost.fitting.slow_places import slow_places
from hindmost.fitting.slow_units import slow_units
from hindmost.fitting.stall_pattern import pause_pattern, stall_patterns
from hindmost.fitting.variance_components import components_of, effects_of

Vector = NDArray[np.float64]


def drifting(
    random: np.random.Generator, n: int, *, correlation: float, sigma: float, white: float
) -> Vector:
    """Return a stationary autoregressive series with white noise."""
    kept = math.exp(-1 / correlation)
    fresh = random.normal(size=n)
    drift = np.empty(n)
    drift[0] = fresh[0]
    for step in range(1, n):
        drift[step] = kept * drift[step - 1] + math.sqrt(1 - kept**2) * fresh[step]
    return np.asarray(sigma * drift + white * random.normal(size=n))


def measured(values: Vector) -> Measured:
    n = len(values)
    return Measured(times=np.arange(n, dtype=float), values=values, averaged=np.ones(n))


def test_a_two_error_interval_holds_as_much_as_that_of_a_normal_number() -> None:
    one = normal("x", "", 5.0, 0.5)
    assert (one.low, one.high, one.std_error) == (4.0, 6.0, 0.5)
    draws = np.random.default_rng(1).normal(5.0, 0.5, 200_000)
    assert of_draws("x", "", draws, 5.0).std_error == pytest.approx(0.5, rel=0.01)
    assert pytest.approx(stats.norm.cdf(-2)) == LOWER


def test_the_filter_has_the_likelihood_of_the_whole_covariance() -> None:
    random = np.random.default_rng(7)
    correlation, ratio, variance, mean = 7.0, 3.0, 0.5, 1.2
    stretches, dense, n = [], 0.0, 0
    for size in (60, 25):
        averaged = random.integers(1, 5, size)
        first = np.cumsum(averaged + random.integers(0, 3, size)) - averaged
        times = first + (averaged - 1) / 2
        steps = np.arange(first[-1] + averaged[-1])
        is_of = (steps >= first[:, np.newaxis]) & (steps < (first + averaged)[:, np.newaxis])
        apart = np.abs(steps[:, np.newaxis] - steps)
        of_steps = variance * (ratio * np.exp(-apart / correlation) + np.eye(len(steps)))
        means = is_of / averaged[:, np.newaxis]
        covariance = means @ of_steps @ means.T
        values = random.multivariate_normal(np.full(size, mean), covariance)
        stretches.append(Measured(times=times, values=values, averaged=averaged.astype(float)))
        dense += float(stats.multivariate_normal(np.full(size, mean), covariance).logpdf(values))
        n += size
    found = innovations(stretches, np.array([correlation]), np.array([ratio]))
    assert found.likelihood(mean, variance)[0] == pytest.approx(dense, rel=1e-9)
    assert found.n == n


def test_the_restricted_likelihood_is_that_of_contrasts() -> None:
    random = np.random.default_rng(8)
    n, correlation, ratio = 40, 5.0, 2.0
    values = drifting(random, n, correlation=correlation, sigma=1.0, white=0.7)
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    shape = ratio * np.exp(-apart / correlation) + np.eye(n)
    # Contrasts: an orthonormal basis of what is orthogonal to the mean.
    basis = np.linalg.svd(np.ones((1, n)))[2][1:]
    of_contrasts = basis @ shape @ basis.T
    contrasts = basis @ values
    variance = contrasts @ np.linalg.solve(of_contrasts, contrasts) / (n - 1)
    dense = stats.multivariate_normal(np.zeros(n - 1), variance * of_contrasts).logpdf(contrasts)
    found = innovations([measured(values)], np.array([correlation]), np.array([ratio]))
    assert found.white_variance[0] == pytest.approx(variance, rel=1e-9)
    # Both differ by the Jacobian of the basis, the same for all parameters.
    assert found.restricted[0] - dense == pytest.approx(-0.5 * math.log(n), abs=1e-9)


def test_white_noise_has_no_drift_and_its_interval_is_that_of_chi_square() -> None:
    values = np.random.default_rng(9).normal(0, 0.003, 400)
    found = fit_drift([measured(values)])
    assert not found.is_clear
    ends = np.sqrt(values.var(ddof=1) * 399 / stats.chi2(399).ppf([1 - LOWER, LOWER]))
    assert np.quantile(found.white_alone, [LOWER, 1 - LOWER]) == pytest.approx(ends, rel=0.01)
    assert found.mean_error == pytest.approx(values.std(ddof=1) / 20, rel=1e-6)


def test_a_drift_is_told_from_white_noise() -> None:
    values = drifting(np.random.default_rng(10), 4000, correlation=30, sigma=0.004, white=0.002)
    found = fit_drift([measured(values[:1500]), measured(values[1500:])])
    assert found.is_clear
    for draws, truth in (
        (found.white, 0.002),
        (found.sigma, 0.004),
        (found.correlation_steps, 30.0),
    ):
        low, high = np.quantile(draws, [LOWER, 1 - LOWER])
        assert low < truth < high
        assert high < 2 * low


def test_effects_are_those_of_least_squares() -> None:
    random = np.random.default_rng(11)
    table = random.normal(size=(5, 7))
    table[random.random(table.shape) < 0.2] = np.nan
    rows, columns = np.nonzero(np.isfinite(table))
    design = np.zeros((len(rows), 12))
    design[np.arange(len(rows)), rows] = 1
    design[np.arange(len(rows)), 5 + columns] = 1
    known = table[rows, columns]
    solution = np.linalg.lstsq(design, known, rcond=None)[0]
    found = effects_of(table)
    assert found.residual[rows, columns] == pytest.approx(known - design @ solution, abs=1e-9)
    assert found.mean + found.rank[0] + found.step[0] == pytest.approx(
        solution[0] + solution[5], abs=1e-9
    )


def test_components_are_those_of_the_analysis_of_variance() -> None:
    random = np.random.default_rng(12)
    n_nodes, size, steps = 6, 4, 50
    nodes = np.repeat(np.arange(n_nodes), size)
    table = (
        random.normal(0, 3, n_nodes)[nodes][:, np.newaxis]
        + random.normal(0, 2, n_nodes * size)[:, np.newaxis]
        + random.normal(0, 1, steps)
        + random.normal(0, 0.5, (n_nodes * size, steps))
    )
    effects = effects_of(table)
    found = components_of(effects, nodes, is_used=np.ones(len(nodes), dtype=bool))
    # The mean squares of scipy's one-way analyses of means.
    means = table.mean(axis=1)
    within = steps * np.mean([means[nodes == node].var(ddof=1) for node in range(n_nodes)])
    by_node = [means[nodes == node] for node in range(n_nodes)]
    between = stats.f_oneway(*by_node).statistic * within
    residual = (effects.residual**2).sum() / ((len(nodes) - 1) * (steps - 1))
    assert found.residual == pytest.approx(residual, rel=1e-9)
    assert found.rank == pytest.approx((within - residual) / steps, rel=1e-9)
    assert found.node == pytest.approx((between - within) / steps / size, rel=1e-9)
    assert found.rank_draws is not None
    # Where the residual hardly counts, the interval of the ranks is that of chi-square.
    freedom = n_nodes * (size - 1)
    ends = within / steps * freedom / stats.chi2(freedom).ppf([1 - LOWER, LOWER])
    assert np.quantile(found.rank_draws, [LOWER, 1 - LOWER]) == pytest.approx(ends, rel=0.03)


def test_a_node_variance_takes_several_nodes_of_several_ranks() -> None:
    effects = effects_of(np.random.default_rng(13).normal(size=(8, 40)))
    used = np.ones(8, dtype=bool)
    for nodes in (np.zeros(8, dtype=int), np.arange(8)):
        assert components_of(effects, nodes, is_used=used).node is None


def test_slow_units_are_those_of_rosners_test() -> None:
    random = np.random.default_rng(25)
    for n in (5, 8, 40):
        t = stats.t(n - 2).ppf(1 - 0.01 / n)
        limit = (n - 1) * t / math.sqrt((n - 2 + t**2) * n)
        for _ in range(200):
            means = random.normal(size=n)
            means[2] += random.uniform(0, 12)
            deviates = (means - means.mean()) / means.std(ddof=1)
            is_named = bool(deviates.max() > limit)
            found = [one.unit for one in slow_units(means, "node")]
            if n < 8:
                # One unit at most can be named.
                assert found == ([int(means.argmax())] if is_named else [])
            elif is_named:
                assert int(means.argmax()) in found


def test_one_of_four_nodes_stands_out_where_ranks_say_how_far_nodes_differ() -> None:
    means = np.array([0.0, 0.1, 0.012, -0.01])
    assert slow_units(means, "node") == []
    (slow,) = slow_units(means, "node", expected_variance=0.01**2)
    assert slow.unit == 1
    variance = (2 * means[[0, 2, 3]].var(ddof=1) + 8 * 0.01**2) / 10
    assert slow.excess.std_error == pytest.approx(math.sqrt(variance * 4 / 3))


def test_equal_units_are_hardly_ever_named_and_two_slow_ones_do_not_hide_each_other() -> None:
    random = np.random.default_rng(14)
    named = sum(bool(slow_units(random.normal(size=30), "node")) for _ in range(1000))
    assert named <= 10 + 3 * math.sqrt(10)
    means = random.normal(0, 0.01, 20)
    means[[3, 17]] += [0.2, 0.21]
    found = slow_units(means, "node")
    assert {one.unit for one in found} == {3, 17}
    assert all(one.excess.holds(truth) for one, truth in zip(found, (0.21, 0.2), strict=True))


def test_a_slow_rank_is_told_from_a_slow_node() -> None:
    random = np.random.default_rng(26)
    ranks, nodes = np.arange(64), np.arange(64) // 8
    effects = random.normal(0, 0.01, 64)
    effects[13] += 0.1
    effects[nodes == 5] += 0.12
    found = slow_places(effects, ranks + 100, nodes + 10)
    assert [one.unit for one in found.ranks] == [113]
    assert [one.unit for one in found.nodes] == [15]
    assert found.is_used.sum() == 64 - 1 - 8
    others = effects[(nodes == 1) & (ranks != 13)]
    (slow,) = found.ranks
    assert slow.excess.value == pytest.approx(effects[13] - others.mean())
    # Without nodes it is a rank among all others.
    effects = random.normal(0, 0.01, 64)
    effects[13] += 0.1
    for each in (np.arange(64), np.zeros(64, dtype=int)):
        found = slow_places(effects, ranks, each)
        assert [one.unit for one in found.ranks] == [13]
        assert found.nodes == ()


@pytest.mark.parametrize(
    ("name", "frozen", "fitted"),
    [
        ("lognormal", stats.lognorm(0.3, scale=2.0), lambda x: stats.lognorm.fit(x, floc=0)),
        ("normal", stats.norm(5.0, 0.7), stats.norm.fit),
        ("gamma", stats.gamma(3.0, scale=0.5), lambda x: stats.gamma.fit(x, floc=0)),
        ("weibull", stats.weibull_min(2.0, scale=1.5), lambda x: stats.weibull_min.fit(x, floc=0)),
    ],
)
def test_laws_have_scipys_greatest_likelihood(name: str, frozen, fitted) -> None:  # type: ignore[no-untyped-def]
    sample = frozen.rvs(2000, random_state=15)
    kind = {"lognormal": stats.lognorm, "normal": stats.norm, "gamma": stats.gamma}
    best = kind.get(name, stats.weibull_min)(*fitted(sample))
    choice = choose_law("x", sample, [name])
    assert log_density(choice.law, sample) == pytest.approx(best.logpdf(sample), abs=2e-3)
    assert log_density(choice.law, sample).sum() >= best.logpdf(sample).sum() - 1e-6
    # The fit to four fifths, against the fifth that was held out.
    held = np.arange(2000) % 5 == 4
    (fit,) = choice.fits
    assert fit.ks == pytest.approx(
        stats.ks_1samp(
            sample[held], kind.get(name, stats.weibull_min)(*fitted(sample[~held])).cdf
        ).statistic,
        abs=1e-3,
    )
    # That which one of 1,000 samples exceeds; `ks_limit` is that of one of 20.
    assert fit.ks is not None
    assert fit.ks < 1.95 / math.sqrt(held.sum())
    assert choice.ks_limit == pytest.approx(stats.kstwobign.isf(0.05) / math.sqrt(400), rel=2e-3)


def test_another_law_takes_the_place_of_the_first_one_where_it_is_clearly_better() -> None:
    random = np.random.default_rng(16)
    laws = ("lognormal", "normal", "gamma", "weibull")
    assert choose_law("x", random.weibull(8.0, 4000), laws).law["name"] == "weibull"
    assert choose_law("x", random.gamma(4.0, size=4000), laws).law["name"] == "gamma"
    assert choose_law("x", np.exp(random.normal(0, 0.5, 4000)), laws).law["name"] == "lognormal"
    # These two hardly differ: the first one stays.
    assert choose_law("x", random.normal(1, 0.002, 4000), laws).law["name"] == "lognormal"


def test_what_a_threshold_hides_of_a_lognormal_law_is_taken_into_account() -> None:
    sample = np.exp(np.random.default_rng(17).normal(0, 0.8, 20_000))
    seen = sample[sample > 0.6]
    choice = choose_law("x", seen, ["lognormal"], above=0.6)
    assert choice.law["sigma"] == pytest.approx(0.8, rel=0.03)
    assert choice.law["median"] == pytest.approx(1.0, rel=0.03)
    assert choice.share_above == pytest.approx(len(seen) / len(sample), abs=0.01)
    law = choice.law
    truncated = stats.lognorm(law["sigma"], scale=law["median"])
    expected = truncated.logpdf(seen) - truncated.logsf(0.6)
    assert conditional(law, seen, 0.6) == pytest.approx(expected, abs=1e-6)
    ks = ks_distance(law, seen, 0.6)
    cdf = (truncated.cdf(np.sort(seen)) - truncated.cdf(0.6)) / truncated.sf(0.6)
    assert ks == pytest.approx(stats.ks_1samp(cdf, stats.uniform.cdf).statistic, abs=1e-6)


def test_exponential_and_pareto_laws_of_seconds_are_told_apart() -> None:
    random = np.random.default_rng(18)
    laws = ("exponential", "lognormal", "pareto")
    found = choose_law("x", 0.5 + random.exponential(0.3, 2000), laws, above=0.1).law
    assert found["name"] == "exponential"
    assert found["mean"] == pytest.approx(0.3, rel=0.1)
    assert found["shift"] == pytest.approx(0.5, abs=0.001)
    found = choose_law("x", 0.3 * (1 + random.pareto(1.5, 2000)), laws, above=0.1).law
    assert found["name"] == "pareto"
    assert found["alpha"] == pytest.approx(1.5, rel=0.1)


@pytest.mark.parametrize("k", [0.01, 0.5, 1.0, 3.7, 40.0, 1e4, 1e8])
def test_the_equation_of_a_gamma_shape_is_scipys(k: float) -> None:
    if k < 1e5:
        assert log_less_digamma(k) == pytest.approx(math.log(k) - special.digamma(k), rel=1e-7)
    else:
        assert log_less_digamma(k) == pytest.approx(0.5 / k, rel=1e-7)


def test_a_tail_ends_where_it_is_extrapolated_by_ten_times() -> None:
    law = with_cap({"name": "exponential", "mean": 2.0, "shift": 0.5}, 40)
    assert law["cap"] == pytest.approx(0.5 + 2.0 * math.log(400))


@pytest.mark.parametrize("n", [0, 1, 4, 30, 9_998, 10_050])
def test_intervals_of_rare_events_are_garwoods(n: int) -> None:
    low, high = poisson_interval(n)
    assert low == pytest.approx(stats.chi2(2 * n).ppf(LOWER) / 2 if n else 0, rel=1e-3)
    assert high == pytest.approx(stats.chi2(2 * n + 2).ppf(1 - LOWER) / 2, rel=1e-3)


def test_what_came_once_or_never_has_an_error_too() -> None:
    never = rare_of("stall", np.array([]), chances=1000, threshold_s=0.1)
    assert (never.n, never.law, never.seconds) == (0, None, None)
    assert never.probability.high == pytest.approx(3.78e-3, rel=0.01)
    once = rare_of("stall", np.array([2.0]), chances=1000, threshold_s=0.1)
    assert once.law == {"name": "constant", "value": 2.0}
    assert once.seconds is not None
    assert once.seconds.std_error == 2.0
    assert once.seconds.low == pytest.approx(2 * math.exp(-2))


def test_seconds_of_few_stalls_lie_within_their_interval() -> None:
    random = np.random.default_rng(34)
    for n in (2, 3, 5, 20):
        held = 0
        for _ in range(400):
            found = rare_of(
                "stall", 0.2 + random.exponential(0.6, n), chances=9999, threshold_s=0.1
            )
            assert found.seconds is not None
            assert found.seconds.low > 0
            held += found.seconds.holds(0.8)
        assert held >= 0.88 * 400


def test_errors_of_blocks_are_those_of_a_series_that_is_alike_for_a_while() -> None:
    random = np.random.default_rng(19)
    white = random.normal(size=4000)
    (error,) = block_errors([white], [np.mean])
    assert error == pytest.approx(1 / math.sqrt(4000), rel=0.15)
    correlation = 20.0
    series = drifting(random, 40_000, correlation=correlation, sigma=1.0, white=0.5)
    kept = math.exp(-1 / correlation)
    variance = (0.25 + (1 + kept) / (1 - kept)) / 40_000
    (error,) = block_errors([series], [np.mean])
    assert error == pytest.approx(math.sqrt(variance), rel=0.2)


def test_noise_has_the_statistics_of_published_systems() -> None:
    series = 5 * (
        1 + drifting(np.random.default_rng(20), 60_000, correlation=50, sigma=0.004, white=0.002)
    )
    found = noise_of([series])
    assert found.sigma == pytest.approx(math.hypot(0.004, 0.002), rel=0.1)
    assert found.lag1 == pytest.approx(0.8 * math.exp(-1 / 50), abs=0.05)
    slow = series.copy()
    slow[::100] += 30
    assert noise_of([slow]).sigma == pytest.approx(found.sigma, rel=0.05)
    assert noise_of([np.full(20, 3.0)]).lag1 == 0


def test_a_robust_deviation_is_scipys() -> None:
    values = np.random.default_rng(21).normal(size=501)
    expected = stats.median_abs_deviation(values, scale="normal")
    assert robust_sigma(values) == pytest.approx(expected, rel=1e-4)


def test_a_running_median_is_that_of_neighbours() -> None:
    values = np.random.default_rng(22).normal(size=40)
    found = running_median(values)
    assert found[20] == np.median(values[15:26])
    assert running_median(np.array([3.0])) == [3.0]
    assert len(running_median(values[:4])) == 4


def log_of(rows: Sequence[tuple[int | None, int | None, str, float | None]]) -> pl.DataFrame:
    types = {"rank": pl.Int32, "step": pl.Int64, "kind": pl.String, "seconds": pl.Float64}
    return pl.DataFrame(rows, schema=types, orient="row").with_columns(steps=pl.lit(1))


def test_a_restart_is_a_record_or_a_step_that_goes_back() -> None:
    rows = [
        (None, 1, "step", 5.0),
        (None, 2, "step", 5.1),
        (None, 2, "restart", 60.0),
        (None, 2, "step", 5.2),
        (None, 3, "step", 5.3),
        (None, 3, "masked", 9.0),
        (None, 2, "step", 5.4),
    ]
    found = log_steps(log_of(rows))
    assert [one.seconds.tolist() for one in found.job] == [[5.0, 5.1], [5.2, 5.3], [5.4]]
    assert (found.n_restarts, found.n_masked, found.has_job) == (2, 1, True)


def test_ranks_make_a_table_and_the_slowest_one_a_step() -> None:
    steps = ((0, 5.0), (1, 5.0), (1, 5.5))
    rows = [(rank, step, "step", seconds + rank) for rank in (1, 0) for step, seconds in steps]
    found = log_steps(log_of(rows[:-1]))
    assert found.ranks is not None
    assert found.ranks.ranks.tolist() == [0, 1]
    assert found.ranks.seconds[1].tolist() == [6.0, 6.0, 6.5]
    assert np.isnan(found.ranks.seconds[0, 2])
    assert found.ranks.stretch.tolist() == [0, 0, 1]
    assert [one.seconds.tolist() for one in found.job] == [[6.0, 6.0], [6.5]]
    assert not found.has_job


def rank_rows(n_steps: int = 20, n_ranks: int = 16) -> list[tuple[int | None, int, str, float]]:
    random = np.random.default_rng(30)
    speeds = random.normal(0, 0.01, n_ranks)
    seconds = 5 * np.exp(speeds + random.normal(0, 0.002, (n_steps, n_ranks)))
    return [
        (rank, step, "step", float(seconds[step, rank]))
        for step in range(n_steps)
        for rank in range(n_ranks)
    ]


def test_rows_in_any_order_are_put_into_that_of_steps() -> None:
    rows = rank_rows()
    expected = log_steps(log_of(rows)).ranks
    random = np.random.default_rng(31)
    found = log_steps(log_of([rows[place] for place in random.permutation(len(rows))]))
    assert expected is not None
    assert found.ranks is not None
    assert np.array_equal(found.ranks.seconds, expected.seconds)
    assert found.n_restarts == 0
    assert found.notes == ("records were not in the order of their steps, and were put into it",)
    job = [row for row in rows if row[0] == 0]
    (stretch,) = log_steps(log_of([(None, *row[1:]) for row in job[::-1]])).job
    assert stretch.steps.tolist() == list(range(20))


def test_steps_whose_numbers_do_not_grow_are_counted() -> None:
    found = log_steps(log_of([(None, 7, "step", 5.0 + 0.1 * place) for place in range(20)]))
    (stretch,) = found.job
    assert stretch.steps.tolist() == list(range(20))
    assert found.notes == ("numbers of steps do not grow, so records were counted instead",)
    # In no order it cannot be told which record of a step came first.
    rows = [(None, step, "step", 5.0 + 0.1 * step) for step in range(20)]
    again = [(None, 7, "step", 9.0), *rows[::-1]]
    found = log_steps(log_of(again))
    assert [one.steps.tolist() for one in found.job] == [list(range(20))]
    assert found.notes[0] == "other records of a step were left out: 1"


def test_records_that_are_there_twice_are_no_restarts() -> None:
    rows = rank_rows()
    expected = log_steps(log_of(rows)).ranks
    found = log_steps(log_of([row for row in rows for _ in range(2)]))
    assert expected is not None
    assert found.ranks is not None
    assert np.array_equal(found.ranks.seconds, expected.seconds)
    assert found.notes == ("320 records that repeat the one before them were left out",)
    # A step that is done again takes the same rounded time now and then.
    again = [(rank, step, kind, seconds + (rank != 3)) for rank, step, kind, seconds in rows[-16:]]
    restarted = log_steps(log_of([*rows, *again]))
    assert (restarted.n_restarts, restarted.notes) == (1, ())


def test_ranks_that_count_from_one_are_those_from_zero() -> None:
    rows = rank_rows()
    found = log_steps(log_of(rows).with_columns(pl.col("rank") + 1))
    assert found.ranks is not None
    assert found.ranks.ranks.tolist() == list(range(16))
    assert found.notes == ("ranks 1 to 16 were taken for 0 to 15, as they count from 1",)
    # Without their first rank, ranks keep their numbers.
    without = log_steps(log_of([row for row in rows if row[0] != 0]))
    assert without.ranks is not None
    assert without.ranks.ranks.tolist() == list(range(1, 16))


def test_ranks_that_all_get_slower_are_not_alike_for_that() -> None:
    jump = [(rank, step, kind, t * (1 + (step > 9))) for rank, step, kind, t in rank_rows()]
    found = log_steps(log_of(jump))
    assert found.ranks is not None
    assert found.notes == ()


def test_what_could_not_be_read_is_told() -> None:
    rows = [(None, 0, "unread", 0.0), *((None, step, "step", 5.0) for step in range(9))]
    log = log_of(rows).with_columns(note=pl.lit("the last line of log may be cut off"))
    assert log_steps(log).notes == ("the last line of log may be cut off",)


def test_steps_that_are_means_lie_in_their_middle() -> None:
    log = log_of([(None, 10, "step", 5.0), (None, 20, "step", 5.1)]).with_columns(steps=pl.lit(10))
    (stretch,) = log_steps(log).job
    assert stretch.steps.tolist() == [5.5, 15.5]
    assert log_steps(log).averaged == 10


def test_stalls_that_last_or_strike_nodes_are_told() -> None:
    ranks, nodes = np.arange(16), np.arange(16) // 8
    random = np.random.default_rng(23)
    alone = random.random((16, 500)) < 0.005
    assert stall_patterns(alone, ranks, nodes) == []
    lasting = alone.copy()
    lasting[5, 100:200] = True
    (words,) = stall_patterns(lasting, ranks, nodes)
    assert "of the same rank in the step before, most of them of rank 5" in words
    of_nodes = np.repeat(random.random((2, 500)) < 0.005, 8, axis=0)
    (words,) = stall_patterns(of_nodes, ranks, nodes)
    assert "several ranks of a node" in words


def test_pauses_at_even_distances_are_told() -> None:
    random = np.random.default_rng(35)
    at_random = [np.flatnonzero(random.random(1000) < 0.02).astype(float) for _ in range(2)]
    assert pause_pattern(at_random) == []
    assert pause_pattern([]) == []
    (words,) = pause_pattern([np.arange(100.0, 500.0, 100.0)])
    assert words.startswith("3 of 4 pauses follow another one after 100 steps")
    assert pause_pattern([np.array([100.0, 200.0, 300.0])]) == []
    assert pause_pattern([np.arange(50.0)]) == []


def test_times_that_hold_the_wait_are_steps_of_the_job() -> None:
    random = np.random.default_rng(24)
    seconds = 5 * np.exp(random.normal(0, 0.01, 300) + random.normal(0, 1e-5, (16, 300)))
    rows = [
        (rank, step, "step", float(seconds[rank, step]))
        for step in range(300)
        for rank in range(16)
    ]
    found = log_steps(log_of(rows))
    assert (found.ranks, found.has_job, found.quantity) == (None, True, "step_time_s")
    assert "16 ranks are alike" in found.notes[0]
    assert np.array_equal(found.seconds, seconds.max(axis=0))
    alone = log_steps(log_of([row for row in rows if row[0] == 3]))
    assert alone.notes[0].startswith("times of one rank hold")
    # What a rank computes holds no wait, however alike ranks are.
    computed = [(rank, step, "compute", value) for rank, step, _, value in rows]
    assert log_steps(log_of(computed)).quantity == "compute_s"


def test_times_from_stamps_are_rounded_to_what_stamps_are() -> None:
    random = np.random.default_rng(32)
    rounded = np.round(6 * np.exp(random.normal(0, 0.004, 1500)), 3)
    of_stamps = rounded + random.choice([-1e-7, 0, 1e-7], 1500)
    assert resolution(of_stamps) * 6 == pytest.approx(0.001, rel=0.01)
    assert left_out(resolution=1.7e-5)[0].startswith("times are rounded to 0.0017% of a step")
    # Of a million times many are equal to seven digits, however fine clocks are.
    assert resolution(6 * np.exp(random.normal(0, 0.004, 1_000_000))) == 0


def test_a_long_series_is_fitted_by_a_part_of_it() -> None:
    values = drifting(np.random.default_rng(33), 100_000, correlation=30, sigma=0.004, white=0.002)
    found = fit_drift([measured(values[:60_000]), measured(values[60_000:])])
    assert found.is_clear
    for draws, truth in (
        (found.white, 0.002),
        (found.sigma, 0.004),
        (found.correlation_steps, 30.0),
    ):
        low, high = np.quantile(draws, [LOWER, 1 - LOWER])
        assert low < truth < high
        # A deviation of 20,000 values has an error of one in 200 at best.
        assert 1.02 < high / low < 1.4


@pytest.mark.parametrize("step_s", [0.001, 0.01, 0.05, 0.1])
def test_rounded_times_are_no_pauses(step_s: float) -> None:
    seconds = 5 + np.random.default_rng(27).normal(0, 0.01, 500)
    rounded = np.round(seconds / step_s) * step_s
    assert resolution(seconds) == 0
    found = resolution(rounded) * np.median(rounded)
    assert found == pytest.approx(step_s if len(np.unique(rounded)) > 1 else 0, rel=1e-4)
    rounded[[100, 300]] += 1.0
    stretch = Stretch(steps=np.arange(500.0), seconds=rounded, averaged=np.ones(500))
    parts = fit_job(LogSteps(job=(stretch,), ranks=None, n_restarts=0, n_masked=0, has_job=True))
    assert parts.pause.n == 2
    if step_s <= 0.01:
        assert parts.common.value * 5 == pytest.approx(0.01, rel=0.15)
