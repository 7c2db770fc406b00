"""What one slow GPU of 384 costs, by the stage that it is in."""

from __future__ import annotations

import pytest

from tests.validation.slow_gpu import BENCHMARK_S, STAGES, positions
from tests.validation.typed import BLOOM_STEP_S

RISE = BLOOM_STEP_S[1] / BLOOM_STEP_S[0] - 1
"""The published one, 5.7%."""


def test_a_step_rises_by_no_more_than_its_slow_stage() -> None:
    benchmarked = BENCHMARK_S[1] / BENCHMARK_S[0] - 1
    assert [one.stage for one in positions()] == list(range(STAGES))
    assert all(0 <= one.rise <= benchmarked for one in positions())


def test_the_benchmarks_slowdown_does_not_explain_the_rise() -> None:
    assert all(one.rise < RISE / 2 for one in positions())


def test_the_last_stage_needs_the_smallest_slowdown() -> None:
    # It has the output layer; the step waits for it, and the others have slack.
    needed = [one.needed - 1 for one in positions()]
    assert needed == sorted(needed, reverse=True)
    assert needed[-1] == pytest.approx(0.061, abs=5e-4)
    assert all(0.12 < slowdown < 0.14 for slowdown in needed[1:-1])
