"""What one slow GPU of 384 comes to, by the stage that it is in."""

from __future__ import annotations

import pytest

from tests.validation.families import ABSENT, DATA
from tests.validation.slow_gpu import BENCHMARK_S, STAGES, positions, published_steps_s

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=ABSENT)


def test_the_published_rise_is_that_of_the_chronicles() -> None:
    healthy_s, slow_s = published_steps_s()
    assert slow_s / healthy_s - 1 == pytest.approx(0.0569, abs=5e-5)


def test_a_step_rises_by_no_more_than_its_slow_stage() -> None:
    benchmarked = BENCHMARK_S[1] / BENCHMARK_S[0] - 1
    assert [one.stage for one in positions()] == list(range(STAGES))
    assert all(0 <= one.rise <= benchmarked for one in positions())


def test_the_benchmarks_slowdown_does_not_explain_the_rise() -> None:
    healthy_s, slow_s = published_steps_s()
    assert all(one.rise < (slow_s / healthy_s - 1) / 2 for one in positions())


def test_the_last_stage_needs_the_smallest_slowdown() -> None:
    # It has the output layer; the step waits for it, and the others have slack.
    needed = [one.needed - 1 for one in positions()]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == pytest.approx(0.061, abs=5e-4)
    assert all(0.12 < slowdown < 0.14 for slowdown in needed[1:-1])
