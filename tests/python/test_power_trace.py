"""Power over a step: hand calculations, and its rules followed in small steps of time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hindmost.physics.power import GpuPower, Piece, joules, ramps, scaled, step_trace, together

PEAK_W, IDLE_W = 1000.0, 100.0
BUSY_S, STEP_S = 6.0, 10.0


def gpu(**figures: float) -> GpuPower:
    return GpuPower(peak_w=PEAK_W, idle_w=IDLE_W, **figures)


def numerically(one: GpuPower, busy_s: float, step_s: float, parts: int) -> NDArray[np.float64]:
    """Return the power in the middles of a step's parts, followed in time from the floor on.

    In steps enough to forget how they began: power rises by its rate while the GPU computes, stays
    for the hysteresis, and falls by its rate then, all of it within its limits.
    """
    each_s = step_s / parts
    middles = (np.arange(parts) + 0.5) * each_s
    up, down = one.up_w_per_s * each_s, one.down_w_per_s * each_s
    power, trace = one.lowest_w, np.empty(parts)
    for _ in range(40):
        for part, time_s in enumerate(middles):
            before = power
            if time_s < busy_s:
                power = min(one.peak_w, power + up)
            elif time_s >= busy_s + one.hysteresis_s:
                power = max(one.lowest_w, power - down)
            is_jump = math.isinf(up) or math.isinf(down)
            trace[part] = power if is_jump else (before + power) / 2
    return trace


GPUS = {
    "a rectangle": gpu(),
    "a floor": gpu(floor_w=400.0),
    "a floor below idle": gpu(floor_w=50.0),
    "hysteresis": gpu(floor_w=400.0, hysteresis_s=1.5),
    "hysteresis without end": gpu(floor_w=400.0, hysteresis_s=5.0),
    "ramps to the floor": gpu(floor_w=400.0, up_w_per_s=300.0, down_w_per_s=250.0),
    "ramps that do not reach it": gpu(floor_w=400.0, up_w_per_s=300.0, down_w_per_s=40.0),
    "ramps that do not reach the peak": gpu(floor_w=400.0, up_w_per_s=50.0, down_w_per_s=250.0),
    "ramps and hysteresis": gpu(up_w_per_s=500.0, down_w_per_s=300.0, hysteresis_s=0.75),
}


@pytest.mark.parametrize("name", GPUS)
@pytest.mark.parametrize("busy_s", [BUSY_S, 1.0, 9.5])
def test_a_trace_is_what_following_the_rules_in_small_steps_gives(name: str, busy_s: float) -> None:
    one, parts = GPUS[name], 4000
    trace = step_trace(one, busy_s=busy_s, step_s=STEP_S)
    followed = numerically(one, busy_s, STEP_S, parts)
    each_s = STEP_S / parts
    # A part is off by at most what power changes in it, or by a jump within two of them.
    assert joules(trace, 0.0, STEP_S) == pytest.approx(
        followed.sum() * each_s, abs=2 * PEAK_W * each_s
    )
    for first_s, last_s in ((0.0, busy_s), (busy_s, STEP_S), (2.0, 9.0)):
        inside = followed[round(first_s / each_s) : round(last_s / each_s)]
        found = joules(trace, first_s, last_s)
        assert found == pytest.approx(inside.sum() * each_s, abs=2 * PEAK_W * each_s)


@pytest.mark.parametrize("name", GPUS)
def test_a_trace_is_of_a_step_that_comes_again(name: str) -> None:
    trace = step_trace(GPUS[name], busy_s=BUSY_S, step_s=STEP_S)
    assert trace[0].start_s == 0
    assert trace[-1].end_s == STEP_S
    one = GPUS[name]
    for piece, following in zip(trace, (*trace[1:], trace[0]), strict=True):
        assert piece.end_s == following.start_s or following is trace[0]
        # Only what has no rate jumps.
        rises = following.start_w > piece.end_w
        rate = one.up_w_per_s if rises else one.down_w_per_s
        assert following.start_w == pytest.approx(piece.end_w, rel=1e-14) or math.isinf(rate)


def test_a_rectangle_is_peak_and_idle() -> None:
    trace = step_trace(gpu(), busy_s=BUSY_S, step_s=STEP_S)
    assert trace == (Piece(0, 6, PEAK_W, PEAK_W), Piece(6, 10, IDLE_W, IDLE_W))
    assert joules(trace, 0, STEP_S) == 6 * PEAK_W + 4 * IDLE_W


def test_ramps_by_hand() -> None:
    # Down from 1,000 W at 7.5 s by 300 W/s for 2.5 s to 250 W, up from there by 500 W/s in 1.5 s.
    one = gpu(up_w_per_s=500.0, down_w_per_s=300.0, hysteresis_s=1.5)
    trace = step_trace(one, busy_s=BUSY_S, step_s=STEP_S)
    assert [piece.start_w for piece in trace] == [250.0, 1000.0, 1000.0, 1000.0]
    by_hand = 1.5 * 625 + 6 * 1000 + 2.5 * 625
    assert joules(trace, 0, STEP_S) == pytest.approx(by_hand, rel=1e-14)
    # By less than the floor a step falls, it stays where it begins to.
    slow = gpu(up_w_per_s=10.0, down_w_per_s=300.0)
    trace = step_trace(slow, busy_s=BUSY_S, step_s=STEP_S)
    assert max(piece.end_w for piece in trace) == IDLE_W + 60
    fall_s = 60 / 300
    assert joules(trace, 0, STEP_S) == pytest.approx(
        STEP_S * IDLE_W + 60 / 2 * (BUSY_S + fall_s), rel=1e-14
    )


def test_a_gpu_that_computes_nothing_stays_at_its_lowest() -> None:
    for one in GPUS.values():
        trace = step_trace(one, busy_s=0.0, step_s=STEP_S)
        assert joules(trace, 0, STEP_S) == STEP_S * one.lowest_w


def test_traces_add_up_at_every_time() -> None:
    traces = [
        scaled(step_trace(one, busy_s=busy_s, step_s=STEP_S), times=n, less_w=IDLE_W)
        for n, (one, busy_s) in enumerate(zip(GPUS.values(), np.linspace(1, 9, 9), strict=True))
    ]
    total = together(traces)
    for first_s, last_s in ((0.0, STEP_S), (0.3, 5.1), (7.7, 7.8)):
        each = sum(joules(one, first_s, last_s) for one in traces)
        assert joules(total, first_s, last_s) == pytest.approx(each, rel=1e-12)
    assert [piece.end_s for piece in total[:-1]] == [piece.start_s for piece in total[1:]]


def test_ramps_are_the_steepest_of_a_step_that_comes_again() -> None:
    both = gpu(floor_w=400.0, up_w_per_s=300.0, down_w_per_s=250.0)
    assert ramps(step_trace(both, busy_s=BUSY_S, step_s=STEP_S)) == pytest.approx((300.0, 250.0))
    only_down = gpu(floor_w=400.0, down_w_per_s=250.0)
    found = ramps(step_trace(only_down, busy_s=BUSY_S, step_s=STEP_S))
    assert found == pytest.approx((math.inf, 250.0))
    assert ramps(step_trace(gpu(), busy_s=BUSY_S, step_s=STEP_S)) == (math.inf, math.inf)
    assert ramps(step_trace(gpu(floor_w=PEAK_W), busy_s=BUSY_S, step_s=STEP_S)) == (0.0, 0.0)
    # Two pools fall at once for a while.
    other = scaled(step_trace(both, busy_s=BUSY_S - 0.5, step_s=STEP_S), times=2.0, less_w=0.0)
    summed = together([step_trace(both, busy_s=BUSY_S, step_s=STEP_S), other])
    assert ramps(summed) == pytest.approx((900.0, 750.0))
