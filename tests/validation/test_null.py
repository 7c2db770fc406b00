"""Models that know next to nothing, and that fitted numbers predict better than they do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.validation import null
from tests.validation.families import ABSENT, DATA, Family, gated, typed_families
from tests.validation.fitting import figure, scenario


@pytest.mark.parametrize("family", typed_families(), ids=lambda family: family.name)
def test_half_of_the_peak_is_right_where_it_was_published(family: Family) -> None:
    """A figure that is made from an MFU of a half by hand has no error."""
    row = family.rows[-1]
    job = scenario(row, null.ANY)
    (pool,) = job.pools.values()
    peak = pool.accelerator.peak_flop_per_s("bf16")
    assert peak is not None
    # FLOPs that one GPU does in a second if a step takes one, in units of 1e12.
    step_s = figure(job, "TFLOP/s", 1.0) * 1e12 / (0.5 * peak)
    made = replace(row, published=figure(job, family.unit, step_s))
    assert null.constant(family, made) == pytest.approx(0, abs=1e-12)
    slower = replace(made, published=2 * made.published)
    assert null.constant(family, slower) == pytest.approx(-0.5, abs=1e-12)


@pytest.mark.parametrize("family", typed_families(), ids=lambda family: family.name)
def test_the_first_scale_is_as_it_was_published(family: Family) -> None:
    assert null.unchanged(family, family.fitted[0]) == pytest.approx(0, abs=1e-12)


@pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)
@pytest.mark.parametrize("model", ["MFU 0.50", "unchanged by scale"])
def test_fitted_numbers_predict_more_than_twice_as_well(model: str) -> None:
    assert 2 * null.errors_of("fitted", gated()).mean < null.errors_of(model, gated()).mean
