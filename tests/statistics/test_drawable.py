"""Laws that no table can hold are refused, with what would do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import TypeAdapter
from scipy import stats

from hindmost import _core
from hindmost.law import Law


def law_of(frozen: object) -> object:
    """Return the law that a scipy distribution becomes."""
    return TypeAdapter[Any](Law).validate_python(frozen)


def test_a_scipy_distribution_whose_quantiles_reach_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lower\.0 must be finite and > 0"):
        law_of(stats.halfnorm())


def test_a_law_that_bends_more_than_a_table_can_is_refused_by_its_parameter() -> None:
    law = _core.Law({"name": "log-uniform", "low": 1e-30, "high": 1e30})
    with pytest.raises(_core.DomainError) as refusal:
        law.check_drawable()
    assert refusal.value.args[:2] == ("high", 1e30)
    assert "512 bins per octave" in refusal.value.args[2]


@pytest.mark.parametrize(
    "parameters",
    [
        {"name": "lognormal", "sigma": 20.0, "median": 1.0},
        {"name": "lognormal", "sigma": 0.1, "median": 1e-38},
        {"name": "gamma", "shape": 0.3, "scale": 1.0},
        {"name": "exponential", "mean": 1e-30, "shift": 0.0},
        {"name": "uniform", "low": 0.0, "high": 1e-30},
        {"name": "pareto", "alpha": 3.0, "minimum": 1e-46},
    ],
    ids=lambda parameters: str(list(parameters.values())),
)
def test_a_law_beyond_f32_is_refused_with_the_least_parameter_that_works(
    parameters: dict[str, Any],
) -> None:
    with pytest.raises(_core.DomainError) as refusal:
        _core.Law(parameters).check_drawable()
    field, _, requirement = refusal.value.args
    assert field in parameters
    bound = re.search(r"[<>]= (\S+?),", requirement)
    assert bound is not None, requirement
    _core.Law({**parameters, field: float(bound.group(1))}).check_drawable()


def test_a_scipy_distribution_of_infinite_variance_is_refused() -> None:
    with pytest.raises(ValueError, match="var must be finite; give the law by its name"):
        law_of(stats.pareto(1.5))


def test_a_scipy_distribution_that_is_not_frozen_is_refused() -> None:
    with pytest.raises(ValueError, match="ppf must be that of a frozen distribution"):
        law_of(stats.gamma)
