"""Published steps of jobs with experts, predicted with the number of another job."""

from __future__ import annotations

import pytest

import hindmost as hm
from tests.plans import compute_time
from tests.validation.experts import (
    DEEPSEEK_BUBBLE_S,
    DEEPSEEK_STEP_S,
    PRESET,
    TRACE_BUSY_S,
    Prediction,
    as_published,
    bounds,
    bubble_s,
    predictions,
    software_efficiency_of_trace,
)


def title(one: Prediction) -> str:
    return one.published.title


@pytest.mark.parametrize("one", bounds(), ids=title)
def test_nothing_is_faster_than_the_best_that_the_hardware_can_do(one: Prediction) -> None:
    assert one.step_s <= one.published.step_s


@pytest.mark.parametrize("one", predictions(), ids=title)
def test_the_number_of_one_job_predicts_another_one(one: Prediction) -> None:
    assert abs(one.error) <= one.limit


def test_the_preset_computes_as_fast_as_deepseeks_profile() -> None:
    found = software_efficiency_of_trace()
    assert hm.load(PRESET).pools["h800"].software_efficiency == pytest.approx(found, abs=5e-5)


def test_four_layers_take_as_long_as_in_the_profile() -> None:
    # Compute and the exchange that it does not hide, forward and backward, by stream.
    stage = compute_time(hm.load(PRESET), "h800").stages[2]
    assert stage.total_s == pytest.approx(TRACE_BUSY_S, rel=0.01)


def test_the_profile_predicts_the_step_of_2048_gpus() -> None:
    assert as_published().value("step_time_s") == pytest.approx(DEEPSEEK_STEP_S, rel=0.15)
    assert bubble_s() == pytest.approx(DEEPSEEK_BUBBLE_S, rel=0.25)


def test_a_data_rank_of_deepseek_v3() -> None:
    plan = as_published().plan
    assert plan.n_replicas == 128
    assert plan.tokens / plan.n_replicas == 491_520 == 120 * 4096
    # 180,000 GPU hours for 1e12 tokens (DeepSeek-V3 Technical Report, table 1).
    assert 180_000 * 3600 / 2048 / 1e12 * plan.tokens == pytest.approx(19.907, abs=5e-4)
