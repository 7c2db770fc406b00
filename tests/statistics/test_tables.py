"""The table contract of docs/model.md, checked against scipy.stats and numpy.quantile.

For a tail probability q the table must lie between the quantiles of q changed by
1e-5, themselves changed by 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy import integrate, stats

from hindmost import _core
from hindmost.law import Law

DEVIATION = 1e-5
SEED = 20_240_611
POINTS_PER_OCTAVE = 97
OCTAVES = 65
REFINED_BELOW = 2**16

Floats = NDArray[np.float64]
Words = NDArray[np.uint32]
Quantile = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Tails:
    """Quantiles from both ends: of p, and of one minus q."""

    lower: Quantile
    upper: Quantile

    def capped(self, cap: float) -> Tails:
        return Tails(
            lambda p: np.minimum(self.lower(p), cap), lambda q: np.minimum(self.upper(q), cap)
        )


@dataclass(frozen=True)
class Case:
    """A law of ours, the same law of scipy, and how closely they must agree."""

    parameters: dict[str, Any]
    oracle: Any
    rtol: float = 1e-11
    from_zero: bool = True
    """Whether the support starts at 0, so that even the far lower tail is well conditioned."""

    @property
    def tails(self) -> Tails:
        return Tails(self.oracle.ppf, self.oracle.isf)

    def __str__(self) -> str:
        return " ".join(f"{value}" for value in self.parameters.values())


def lognormal(sigma: float, median: float = 1.0) -> Case:
    oracle = stats.lognorm(sigma, scale=median)
    return Case({"name": "lognormal", "sigma": sigma, "median": median}, oracle)


def exponential(mean: float, shift: float) -> Case:
    oracle = stats.expon(loc=shift, scale=mean)
    parameters = {"name": "exponential", "mean": mean, "shift": shift}
    return Case(parameters, oracle, from_zero=shift == 0)


def gamma(shape: float, scale: float) -> Case:
    oracle = stats.gamma(shape, scale=scale)
    return Case({"name": "gamma", "shape": shape, "scale": scale}, oracle, rtol=1e-9)


def pareto(alpha: float, minimum: float) -> Case:
    oracle = stats.pareto(alpha, scale=minimum)
    parameters = {"name": "pareto", "alpha": alpha, "minimum": minimum}
    return Case(parameters, oracle, from_zero=False)


def bounded_pareto(alpha: float, minimum: float, maximum: float) -> Case:
    oracle = stats.truncpareto(alpha, maximum / minimum, scale=minimum)
    parameters = {"name": "pareto", "alpha": alpha, "minimum": minimum, "maximum": maximum}
    return Case(parameters, oracle, rtol=1e-9, from_zero=False)


def weibull(shape: float, scale: float) -> Case:
    oracle = stats.weibull_min(shape, scale=scale)
    return Case({"name": "weibull", "shape": shape, "scale": scale}, oracle)


def uniform(low: float, high: float) -> Case:
    oracle = stats.uniform(low, high - low)
    parameters = {"name": "uniform", "low": low, "high": high}
    return Case(parameters, oracle, from_zero=low == 0)


def log_uniform(low: float, high: float) -> Case:
    oracle = stats.loguniform(low, high)
    return Case({"name": "log-uniform", "low": low, "high": high}, oracle, from_zero=False)


CASES = [
    *(lognormal(sigma) for sigma in (0.002, 0.003, 0.0172, 0.3, 1.2, 3.0, 9.5)),
    lognormal(0.061, median=1e-3),
    lognormal(1.2, median=0.6),
    exponential(1.0, 0.0),
    exponential(0.0075, 0.02),
    exponential(3600.0, 60.0),
    *(gamma(shape, 1.0) for shape in (0.52, 1.0, 2.5, 40.0, 1_000.0, 10_000.0)),
    gamma(0.75, 0.02),
    *(pareto(alpha, 1.0) for alpha in (2.1, 3.0, 10.0, 200.0)),
    pareto(2.5, 0.02),
    bounded_pareto(0.5, 1.0, 100.0),
    bounded_pareto(3.5, 0.02, 0.05),
    *(weibull(shape, 1.0) for shape in (0.55, 1.0, 1.7, 40.0)),
    weibull(0.8, 0.02),
    uniform(0.0, 1.0),
    uniform(0.9, 1.1),
    uniform(1e-3, 1e3),
    log_uniform(0.5, 2.0),
    log_uniform(1e-6, 1e6),
    log_uniform(1.0, 1.001),
    log_uniform(1.0, 1e34),
]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)

CAPPED = [
    (lognormal(0.0172), 1.062),
    (lognormal(1.2, median=0.6), 10.0),
    (lognormal(1.0), 0.25),
    (exponential(0.0075, 0.02), 0.05),
    (gamma(2.5, 1.0), 9.0),
    (pareto(0.8, 1.0), 1e4),
    (pareto(1.5, 1.0), 10.0),
]
EVERY_CAPPED = pytest.mark.parametrize(("case", "cap"), CAPPED, ids=str)

FROZEN = {
    "weibull_min 0.7": stats.weibull_min(0.7),
    "weibull_min 1.5": stats.weibull_min(1.5, scale=0.02),
    "weibull_min 30": stats.weibull_min(30.0),
    "gengamma": stats.gengamma(2.0, 1.5),
    "fisk": stats.fisk(5.0),
    "norm": stats.norm(1.0, 0.02),
    "triang": stats.triang(0.3, loc=1.0),
    "beta": stats.beta(2.0, 3.0, loc=1.0),
    "invweibull": stats.invweibull(6.0),
    "invgamma": stats.invgamma(4.0),
    "shifted lognorm": stats.lognorm(0.8, loc=0.5),
    "genpareto": stats.genpareto(0.1, loc=1.0, scale=0.05),
}
EVERY_FROZEN = pytest.mark.parametrize("name", FROZEN)

SAMPLES: dict[str, Floats] = {
    "two": np.array([1.0, 2.0]),
    "three": np.array([1.0, 1.1, 2.0]),
    "five": np.array([1.08, 1.0, 1.03, 1.01, 1.02]),
    "ties": np.array([1.0, 1.0, 1.0, 5.0, 5.0, 7.0]),
    "decades": np.array([1e-3, 1.0, 1e3]),
    "thousand": np.random.default_rng(SEED).lognormal(0.0, 0.5, 1_000),
}
EVERY_SAMPLE = pytest.mark.parametrize("name", SAMPLES)


def magnitudes() -> tuple[Words, Words, Floats]:
    """Return magnitudes, refine bits and their tail probabilities, 1/2 down to 2^-65."""
    rng = np.random.default_rng(SEED)
    within = rng.random((OCTAVES - 1, POINTS_PER_OCTAVE))
    octaves = np.arange(OCTAVES - 1)[:, np.newaxis]
    edges = 2.0 ** -np.arange(1.0, 65.0)
    wanted = np.concatenate([(2.0 ** -(octaves + 1 + within)).ravel(), edges, edges * (1 - 1e-9)])
    whole = np.floor(wanted * 2.0**64 * (1 - 2.0**-53)).astype(np.uint64)
    whole = np.concatenate([whole, np.array([0, 1, 2**48 - 1], dtype=np.uint64)])
    magnitude, bits = whole >> np.uint64(32), whole & np.uint64(2**32 - 1)
    refined = (whole.astype(np.float64) + 0.5) / 2.0**64
    tail = np.where(magnitude < REFINED_BELOW, refined, (magnitude + 0.5) / 2.0**32)
    return magnitude.astype(np.uint32), bits.astype(np.uint32), tail


MAGNITUDE, BITS, TAIL = magnitudes()


def check_contract(law: _core.Law, tails: Tails) -> None:
    """Assert the contract on both sides, with a rounding of the oracle's last bits."""
    slack = 1e-12
    less, more = 1 - DEVIATION, 1 + DEVIATION
    low = law.values(MAGNITUDE, BITS).astype(np.float64)
    below = tails.lower(TAIL * less) * less * (1 - slack)
    above = tails.lower(TAIL * more) * more * (1 + slack)
    assert_between(below, low, above)
    high = law.values(~MAGNITUDE, BITS).astype(np.float64)
    below = tails.upper(TAIL * more) * less * (1 - slack)
    above = tails.upper(TAIL * less) * more * (1 + slack)
    assert_between(below, high, above)


def assert_between(below: Floats, values: Floats, above: Floats) -> None:
    wrong = ~((below <= values) & (values <= above))
    excess = np.maximum(below / values, values / above) - 1
    worst = int(np.argmax(excess))
    assert not wrong.any(), (
        f"{wrong.sum()} of {wrong.size} out of bounds, worst by {excess[worst]:.2e} at tail "
        f"{TAIL[worst]:.6e}: {below[worst]:.9g} <= {values[worst]:.9g} <= {above[worst]:.9g}"
    )


def numpy_quantiles(samples: Floats) -> Tails:
    # The least of the negated samples is the greatest: no 1 - q is ever rounded.
    return Tails(
        lambda p: np.asarray(np.quantile(samples, p)),
        lambda q: np.asarray(-np.quantile(-samples, q)),
    )


def law_of(frozen: Any) -> _core.Law:
    law = TypeAdapter[Any](Law).validate_python(frozen)
    core: _core.Law = law.core
    return core


def mean_and_variance_below(oracle: Any, cap: float) -> tuple[float, float]:
    """Return the moments of the smaller of a law and a cap, from its tail."""
    low = float(oracle.support()[0])
    points = [float(p) for p in oracle.ppf([0.01, 0.5, 0.99]) if low < p < cap]
    options: dict[str, Any] = {"points": points, "epsabs": 0, "epsrel": 1e-12, "limit": 400}
    first = integrate.quad(oracle.sf, low, cap, **options)[0]
    second = integrate.quad(lambda x: 2 * (x - low) * oracle.sf(x), low, cap, **options)[0]
    return low + first, second - first**2


def test_the_chosen_words_reach_from_the_median_to_the_last_tail() -> None:
    assert TAIL.max() == pytest.approx(0.5, rel=1e-9)
    assert TAIL.min() == 2.0**-65


@EVERY_CASE
def test_a_table_stays_within_its_contract(case: Case) -> None:
    check_contract(_core.Law(case.parameters), case.tails)


@EVERY_CAPPED
def test_a_capped_table_stays_within_its_contract(case: Case, cap: float) -> None:
    check_contract(_core.Law({**case.parameters, "cap": cap}), case.tails.capped(cap))


@EVERY_FROZEN
def test_the_table_of_a_scipy_distribution_stays_within_its_contract(name: str) -> None:
    frozen = FROZEN[name]
    check_contract(law_of(frozen), Tails(frozen.ppf, frozen.isf))


@EVERY_SAMPLE
def test_an_empirical_table_stays_within_its_contract_of_numpy_quantiles(name: str) -> None:
    law = _core.Law({"name": "empirical", "samples": SAMPLES[name].tolist()})
    check_contract(law, numpy_quantiles(SAMPLES[name]))


def test_a_constant_is_the_same_for_every_word() -> None:
    law = _core.Law({"name": "constant", "value": 1.3})
    values = law.values(np.concatenate([MAGNITUDE, ~MAGNITUDE]), np.concatenate([BITS, BITS]))
    assert (values == np.float32(1.3)).all()
    assert (law.mean(), law.variance()) == (1.3, 0.0)


@EVERY_CASE
def test_a_table_rises_with_its_words(case: Case) -> None:
    law = _core.Law(case.parameters)
    around = 2 ** np.arange(1, 32, dtype=np.int64)
    words = (around[:, np.newaxis] + np.arange(-300, 300)).ravel()
    words = np.unique(words[(words >= REFINED_BELOW) & (words < 2**31)]).astype(np.uint32)
    fine = np.unique((MAGNITUDE.astype(np.uint64) << np.uint64(32)) | BITS)
    fine = fine[fine < REFINED_BELOW * 2**32]
    magnitude = np.concatenate([(fine >> np.uint64(32)).astype(np.uint32), words])
    bits = np.concatenate([(fine & np.uint64(2**32 - 1)).astype(np.uint32), np.zeros_like(words)])
    lower = law.values(magnitude, bits)
    upper = law.values(~magnitude, bits)[::-1]
    assert (np.diff(np.concatenate([lower, upper])) >= 0).all()


def test_refine_bits_count_only_below_two_to_the_sixteen() -> None:
    law = _core.Law(lognormal(1.0).parameters)
    magnitude = np.array([REFINED_BELOW - 1, REFINED_BELOW], dtype=np.uint32)
    for words in (magnitude, ~magnitude):
        first, last = (law.values(words, np.full(2, bits, np.uint32)) for bits in (0, 2**32 - 1))
        assert first[0] != last[0]
        assert first[1] == last[1]


@EVERY_CASE
def test_cdf_and_sf_agree_with_scipy_into_the_far_tails(case: Case) -> None:
    law = _core.Law(case.parameters)
    tails = 2.0 ** -np.arange(1.0, 66.0, 4.0)
    for x in map(float, np.concatenate([case.oracle.ppf(tails), case.oracle.isf(tails)])):
        floor = 0.0 if case.from_zero else 1e-12
        assert law.cdf(x) == pytest.approx(case.oracle.cdf(x), rel=case.rtol, abs=floor)
        # An upper tail that ends, and a distance to its end, are rounded together.
        ends = np.isfinite(case.oracle.support()[1])
        assert law.sf(x) == pytest.approx(case.oracle.sf(x), rel=case.rtol, abs=1e-12 * ends)


@EVERY_CASE
def test_quantiles_agree_with_scipy_into_the_far_tails(case: Case) -> None:
    law = _core.Law(case.parameters)
    for tail in (0.9, 0.5, 0.1, 1e-3, 1e-6, 1e-9, 1e-12, 2.0**-65, 1e-30, 1e-60):
        assert law.quantile(tail) == pytest.approx(case.oracle.ppf(tail), rel=case.rtol, abs=0)
        assert law.upper_quantile(tail) == pytest.approx(
            case.oracle.isf(tail), rel=case.rtol, abs=0
        )


@EVERY_CASE
def test_mean_and_variance_agree_with_scipy(case: Case) -> None:
    law = _core.Law(case.parameters)
    mean, variance = case.oracle.stats("mv")
    assert law.mean() == pytest.approx(float(mean), rel=1e-12)
    # scipy's own variance of a narrow law loses half of its digits.
    assert law.variance() == pytest.approx(float(variance), rel=1e-9)


@EVERY_CAPPED
def test_a_cap_gathers_the_weight_above_it(case: Case, cap: float) -> None:
    law = _core.Law({**case.parameters, "cap": cap})
    below = float(np.nextafter(cap, 0))
    mean, variance = mean_and_variance_below(case.oracle, cap)
    assert (law.cdf(cap), law.sf(cap)) == (1.0, 0.0)
    assert law.sf(below) == pytest.approx(case.oracle.sf(below), rel=1e-9)
    assert law.upper_quantile(1e-30) == cap
    assert law.mean() == pytest.approx(mean, rel=1e-9)
    assert law.variance() == pytest.approx(variance, rel=1e-7)


def test_a_mixture_is_the_weighted_sum_of_its_components() -> None:
    weights, cases = np.array([0.7, 0.3]), (lognormal(0.3), gamma(2.5, 1.0))
    components = [
        {"weight": float(weight), "law": case.parameters}
        for weight, case in zip(weights, cases, strict=True)
    ]
    law = _core.Law({"name": "mixture", "components": components})
    for x in (1e-6, 0.1, 0.5, 1.0, 2.0, 8.0, 30.0):
        cdf, sf = (weights @ [[c.oracle.cdf(x), c.oracle.sf(x)] for c in cases]).tolist()
        assert law.cdf(x) == pytest.approx(cdf, rel=1e-10)
        assert law.sf(x) == pytest.approx(sf, rel=1e-10)
    mean, second = weights @ [[c.oracle.mean(), c.oracle.moment(2)] for c in cases]
    assert law.mean() == pytest.approx(float(mean), rel=1e-12)
    assert law.variance() == pytest.approx(float(second - mean**2), rel=1e-10)
    for tail in (0.5, 1e-2, 1e-6, 1e-12):
        assert law.cdf(law.quantile(tail)) == pytest.approx(tail, rel=1e-9)
        assert law.sf(law.upper_quantile(tail)) == pytest.approx(tail, rel=1e-9)


@EVERY_FROZEN
def test_moments_of_a_scipy_distribution_survive_its_table(name: str) -> None:
    frozen, law = FROZEN[name], law_of(FROZEN[name])
    assert law.mean() == pytest.approx(float(frozen.mean()), rel=1e-4)
    assert law.variance() == pytest.approx(float(frozen.var()), rel=1e-3)


@EVERY_SAMPLE
def test_an_empirical_law_has_the_moments_of_its_quantile_function(name: str) -> None:
    ordered = np.sort(SAMPLES[name])
    law = _core.Law({"name": "empirical", "samples": SAMPLES[name].tolist()})
    # Uniform between neighbours, each pair with the same weight.
    low, high = ordered[:-1], ordered[1:]
    mean = float(((low + high) / 2).mean())
    second = float(((low**2 + low * high + high**2) / 3).mean())
    assert law.mean() == pytest.approx(mean, rel=1e-12)
    assert law.variance() == pytest.approx(second - mean**2, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.8, 1.5, 2.0])
def test_an_infinite_variance_needs_a_cap(alpha: float) -> None:
    law = _core.Law({"name": "pareto", "alpha": alpha, "minimum": 1.0})
    assert law.variance() == np.inf
    with pytest.raises(_core.DomainError, match="cap"):
        law.check_drawable()
