"""Three numbers fitted on H200 predict what other GPUs serve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hindmost import catalog
from tests.validation import serving
from tests.validation.families import ABSENT, DATA
from tests.validation.serving import LIMITS, TITLES, factor_alone, fitted, pairs, scored

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


@pytest.mark.parametrize("names", LIMITS, ids=" ".join)
def test_rows_of_other_gpus_keep_to_the_limits(names: tuple[str, str, str, str]) -> None:
    median, p90 = LIMITS[names]
    found = scored()[names]
    assert found.median <= median
    assert p90 is None or found.p90 <= p90


def test_a_hundred_and_three_rows_are_fitted_and_three_hundred_and_twenty_eight_judged() -> None:
    shown = ("gpt-oss-20b", "llama4-maverick")
    n_fitted = sum(one.n_rows for one in fitted().fits if one.model not in shown)
    assert n_fitted == 103
    judged = [one for names, one in scored().items() if names in LIMITS]
    assert sum(len(one.errors) for one in judged) == 328
    assert {names[:2] for names in scored()} == set(TITLES)


def test_the_gain_of_b200_over_h200_is_predicted_pair_by_pair() -> None:
    found = pairs("b200-sxm")
    assert len(found) == 60
    assert np.mean(np.abs(found) <= 0.15) >= 0.75


@pytest.mark.parametrize("gpu", ["h100-sxm", "b200-sxm"])
def test_a_factor_alone_fails(gpu: str) -> None:
    found = np.abs(factor_alone("llama3-70b", "vllm", gpu))
    three = scored()["llama3-70b", "vllm", gpu, "fp8"]
    assert np.median(found) > 1.9 * three.median
    assert np.quantile(found, 0.9) > max(0.5, 3 * three.p90)


def test_seconds_of_tokens_are_predicted_and_the_first_ones_roughly() -> None:
    for (model, engine, gpu, _), one in scored().items():
        if engine == "vllm":
            assert np.median(np.abs(one.tpot_errors)) <= 0.10, (model, gpu)
            assert np.median(np.abs(one.ttft_errors)) <= 0.45, (model, gpu)


def test_the_catalogue_has_these_fits() -> None:
    for one in fitted().fits:
        held = catalog.engine(one.engine).fits[one.model]
        for key, value in one.software.model_dump().items():
            assert getattr(held, key) == pytest.approx(value, rel=0.006, abs=1e-12), key


def test_the_page_has_the_table_of_these_rows() -> None:
    assert serving.table() in PAGE.read_text(encoding="utf-8")
