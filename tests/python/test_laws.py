"""Laws against those of scipy into both tails, their refusals, and their schema."""

from __future__ import annotations

import itertools
import json
import pickle
import re
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, ValidationError
from scipy import integrate, optimize, stats

from hindmost import law as laws
from hindmost.cli import cli
from hindmost.scenario import Scenario

TAILS = [0.5, 0.3, 0.1, 1e-2, 1e-3, 1e-6, 1e-9, 1e-12, 1e-15]


def weibull(shape: float, scale: float) -> tuple[laws.LawModel, Any]:
    return laws.Weibull(shape=shape, scale=scale), stats.weibull_min(shape, scale=scale)


class TruncatedNormal:
    """scipy's normal law given a positive number.

    `stats.truncnorm` takes differences of probabilities, and so loses the tails
    next to zero and of `isf`: it judges the middle, integrals judge the rest.
    """

    def __init__(self, mean: float, sigma: float) -> None:
        self.free = stats.norm(mean, sigma)
        self.scipys = stats.truncnorm(-mean / sigma, np.inf, loc=mean, scale=sigma)

    def cdf(self, x: float) -> float:
        options: dict[str, Any] = {"epsabs": 0, "epsrel": 1e-12, "limit": 200}
        start = max(0.0, x - 3 * float(self.free.std()))
        steps = [max(0.0, x - 40 * float(self.free.std())), start, x]
        parts = [
            integrate.quad(self.free.pdf, low, high, **options)[0]
            for low, high in itertools.pairwise(steps)
            if high > low
        ]
        return float(sum(parts) / self.free.sf(0))

    def sf(self, x: float) -> float:
        return float(self.free.sf(x) / self.free.sf(0))

    def ppf(self, p: float) -> float:
        near = float(self.scipys.ppf(p))
        if p >= 1e-3 or self.free.cdf(0) < 1e-30:
            return near
        return float(
            optimize.brentq(lambda x: self.cdf(x) / p - 1, near / 2, near * 2, xtol=1e-300)
        )

    def isf(self, q: float) -> float:
        return float(self.free.isf(q * self.free.sf(0)))

    def stats(self, moments: str) -> Any:
        return self.scipys.stats(moments)


def normal(mean: float, sigma: float) -> tuple[laws.LawModel, Any]:
    return laws.Normal(mean=mean, sigma=sigma), TruncatedNormal(mean, sigma)


def bounded_pareto(alpha: float, minimum: float, maximum: float) -> tuple[laws.LawModel, Any]:
    oracle = stats.truncpareto(alpha, maximum / minimum, scale=minimum)
    return laws.Pareto(alpha=alpha, minimum=minimum, maximum=maximum), oracle


CASES = [
    *(weibull(shape, 1.0) for shape in (0.6, 1.0, 1.7, 30.0)),
    weibull(2.5, 0.02),
    *(normal(1.0, sigma) for sigma in (0.01, 0.1, 0.25, 0.5, 1.0, 30.0)),
    normal(0.02, 0.003),
    *(bounded_pareto(alpha, 1.0, 100.0) for alpha in (0.3, 1.0, 2.0, 3.5)),
    bounded_pareto(1.5, 0.02, 0.05),
]
NAMES = [str(law) for law, _ in CASES]
EVERY_CASE = pytest.mark.parametrize(("law", "oracle"), CASES, ids=NAMES)
EVERY_LAW = pytest.mark.parametrize("law", [law for law, _ in CASES], ids=NAMES)


def close(ours: float, exact: float) -> bool:
    """Return whether two numbers agree to nine digits."""
    return abs(ours / exact - 1) <= 1e-9


def rest_of_ends(law: laws.LawModel) -> tuple[float, float]:
    """Return numbers beyond which rounding of a number moves a far tail by 1e-9."""
    if isinstance(law, laws.Pareto):
        assert law.maximum is not None
        return law.minimum * (1 + 1e-5), law.maximum * (1 - 1e-5)
    return 0.0, np.inf


@EVERY_CASE
def test_quantiles_agree_with_scipy_into_both_tails(law: laws.LawModel, oracle: Any) -> None:
    for tail in TAILS:
        assert close(law.ppf(tail), float(oracle.ppf(tail))), tail
        assert close(law.isf(tail), float(oracle.isf(tail))), tail


@EVERY_CASE
def test_cdf_and_sf_agree_with_scipy_into_both_tails(law: laws.LawModel, oracle: Any) -> None:
    low, high = rest_of_ends(law)
    for tail in TAILS:
        x = law.ppf(tail)
        if x > low:
            assert close(law.cdf(x), float(oracle.cdf(x))), tail
        x = law.isf(tail)
        if x < high:
            assert close(law.sf(x), float(oracle.sf(x))), tail


@EVERY_LAW
def test_a_law_gives_back_the_probability_of_its_quantile(law: laws.LawModel) -> None:
    low, high = rest_of_ends(law)
    for tail in TAILS:
        if law.ppf(tail) > low:
            assert close(law.cdf(law.ppf(tail)), tail), tail
        if law.isf(tail) < high:
            assert close(law.sf(law.isf(tail)), tail), tail


@EVERY_CASE
def test_mean_and_variance_agree_with_scipy(law: laws.LawModel, oracle: Any) -> None:
    mean, variance = (float(moment) for moment in oracle.stats("mv"))
    assert close(law.core.mean(), mean)
    assert abs(law.core.variance() / variance - 1) <= 1e-8


@EVERY_LAW
def test_a_table_holds_the_law(law: laws.LawModel) -> None:
    law.check_drawable()


def test_the_schema_tells_what_stands_below_a_key() -> None:
    schema = Scenario.model_json_schema()
    assert schema["properties"]["pools"]["description"] == "Pools by name, in order."
    law = schema["$defs"]["LogNormal"]["properties"]
    assert law["sigma"]["description"] == "Standard deviation of the logarithm, >= 0."
    # One that it has in common with all laws.
    assert law["cap"]["description"] == "Greatest value; all probability above it lies on it."


def test_the_schema_knows_every_law_and_its_fields() -> None:
    printed = CliRunner().invoke(cli, ["schema"])
    assert printed.exit_code == 0
    schema = json.loads(printed.output)
    known = {
        definition["properties"]["name"]["const"]: set(definition["properties"])
        for definition in schema["$defs"].values()
        if "const" in definition.get("properties", {}).get("name", {})
    }
    assert known["weibull"] == {"name", "shape", "scale", "cap"}
    assert known["normal"] == {"name", "mean", "sigma", "cap"}
    assert known["pareto"] == {"name", "alpha", "minimum", "maximum", "cap"}
    assert known["empirical"] == {"name", "samples", "tail_alpha", "cap"}


@pytest.mark.parametrize(
    ("model", "fields", "words"),
    [
        (laws.Weibull, {"shape": 0.0}, "shape must be finite and > 0"),
        (laws.Weibull, {"shape": 1.0, "scale": float("nan")}, "scale must be finite and > 0"),
        (laws.Normal, {"mean": 0.0, "sigma": 1.0}, "mean must be finite and > 0"),
        (laws.Normal, {"mean": 1.0, "sigma": float("nan")}, "sigma must be finite and > 0"),
        (
            laws.Pareto,
            {"alpha": 1.0, "maximum": 1.0},
            r"maximum must be finite and > minimum \(1\)",
        ),
        (
            laws.Empirical,
            {"samples": [1.0, 2.0], "tail_alpha": 2.0},
            "tail_alpha must be absent, or the law must have a cap",
        ),
        (
            laws.Empirical,
            {"samples": [1.0, 2.0], "tail_alpha": 2.0, "cap": 1.9},
            "cap must be finite and >= 2, the greatest sample",
        ),
        (
            laws.Empirical,
            {"samples": [1.0, 2.0], "tail_alpha": 0.0, "cap": 3.0},
            "tail_alpha must be >= 0.05 and <= 1e6",
        ),
        (
            laws.Empirical,
            {"samples": [1.0, 2.0], "tail_alpha": float("nan"), "cap": 3.0},
            "tail_alpha must be >= 0.05 and <= 1e6",
        ),
    ],
)
def test_a_parameter_that_would_not_do_is_refused(
    model: type[BaseModel], fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        model(**fields)


@pytest.mark.parametrize("shape", [0.3, 1e-3])
def test_a_weibull_law_beyond_f32_is_refused_with_the_shape_that_works(shape: float) -> None:
    with pytest.raises(ValueError, match="shape must be >= ") as refusal:
        laws.Weibull(shape=shape).check_drawable()
    least = re.search(r">= (\S+),", str(refusal.value))
    assert least is not None
    laws.Weibull(shape=float(least.group(1))).check_drawable()


def test_a_maximum_takes_the_place_of_a_cap() -> None:
    with pytest.raises(ValueError, match="alpha must be > 2, or the law must have a cap"):
        laws.Pareto(alpha=1.0).check_drawable()
    laws.Pareto(alpha=1.0, maximum=100.0).check_drawable()


def test_a_tail_reaches_ten_times_beyond_its_sample_and_the_rest_lies_on_the_cap() -> None:
    samples = [1.0 + i / 100 for i in range(100)]
    plain = laws.Empirical(samples=samples)
    law = laws.Empirical(samples=samples, tail_alpha=2.0, cap=50.0)
    greatest = samples[-1]
    assert law.cdf(1.5) == pytest.approx(0.99 * plain.cdf(1.5), rel=1e-12)
    assert law.sf(greatest) == pytest.approx(0.01, rel=1e-12)
    for x in (2.5, 4.0, 6.0):
        assert law.sf(x) == pytest.approx(0.01 * (greatest / x) ** 2, rel=1e-12)
    end = greatest * 10**0.5
    for x in (end * 1.0001, 49.9):
        assert law.sf(x) == pytest.approx(0.001, rel=1e-12)
    assert (law.sf(50.0), law.isf(0.0009)) == (0.0, 50.0)
    law.check_drawable()


def test_a_law_of_lesser_values_is_compiled_anew() -> None:
    law = laws.LogNormal(sigma=0.5)
    capped = law.at_most(1.5)
    assert law.isf(1e-6) > 1.5
    assert (capped.cap, capped.isf(1e-6)) == (1.5, 1.5)
    assert capped == laws.LogNormal(sigma=0.5, cap=1.5)


def test_what_a_law_caches_is_not_pickled_and_makes_no_difference() -> None:
    asked, fresh = laws.LogNormal(sigma=0.5, cap=2.0), laws.LogNormal(sigma=0.5, cap=2.0)
    asked.check_drawable()
    assert asked.parameters == {"name": "lognormal", "sigma": 0.5, "median": 1.0, "cap": 2.0}
    assert asked == fresh
    assert pickle.dumps(asked) == pickle.dumps(fresh)
    assert pickle.loads(pickle.dumps(asked)).isf(0.1) == fresh.isf(0.1)
