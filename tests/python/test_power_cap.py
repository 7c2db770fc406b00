"""A cap of power lowers the clock by the law that is given, and is the peak power then."""

from __future__ import annotations

from typing import Any

import pytest

import hindmost as hm
from hindmost.plan import make_plan
from hindmost.plan.pool_plan import PoolPlan

EXPONENT = 0.35
CAP: dict[str, Any] = {"pools.h100.power_cap_w": 450.0, "pools.h100.clock_exponent": EXPONENT}
CLOCK = (450.0 / 700.0) ** EXPONENT


def planned(changes: dict[str, Any]) -> PoolPlan:
    return make_plan(hm.load("h100-1k", changes)).pools[0]


def test_compute_slows_as_with_software_that_reaches_as_much() -> None:
    slower = planned({"pools.h100.software_efficiency": CLOCK})
    capped = planned(CAP)
    assert capped.compute == slower.compute
    assert capped.terms == slower.terms
    assert capped.peak_power_w == 450.0
    # What the ranks of a tensor group exchange takes as long as before.
    before = planned({})
    assert capped.compute.tensor_s == before.compute.tensor_s
    products_s = before.compute.step_s - before.compute.tensor_s - before.compute.overhead_s
    by_hand = products_s / CLOCK + before.compute.tensor_s + before.compute.overhead_s
    assert capped.compute.step_s == pytest.approx(by_hand, rel=1e-12)


def test_work_that_memory_bounds_keeps_its_pace() -> None:
    memory = {"pools.h100.memory_efficiency": 0.8}
    before, capped = planned(memory), planned({**memory, **CAP})
    slower = planned({**memory, "pools.h100.software_efficiency": CLOCK})
    assert before.compute.step_s < capped.compute.step_s < slower.compute.step_s
    added_s = planned(CAP).compute.step_s - planned({}).compute.step_s
    assert capped.compute.step_s - before.compute.step_s == pytest.approx(added_s, rel=1e-9)


def test_a_cap_at_the_peak_and_an_exponent_of_nothing_change_no_byte() -> None:
    before = planned({})
    at_peak = {"pools.h100.power_cap_w": 700.0, "pools.h100.clock_exponent": EXPONENT}
    assert planned(at_peak) == before
    free = planned({**CAP, "pools.h100.clock_exponent": 0.0})
    assert free.compute == before.compute


def test_the_cap_is_the_power_of_computing() -> None:
    changes = {**CAP, "pools.h100.idle_power_w": 70.0}
    found = hm.simulate("h100-1k", changes=changes, seed=1, runs=2, steps=10)
    assert found.power_rows[0]["watts"] == pytest.approx(1024 * 450.0, rel=1e-14)
    assert found.energy.peak_w == pytest.approx(1024 * 450.0, rel=1e-12)
    uncapped = hm.simulate(
        "h100-1k", changes={"pools.h100.idle_power_w": 70.0}, seed=1, runs=2, steps=10
    )
    assert found.value("step_time_s") > uncapped.value("step_time_s")
    assert found.energy.token_j is not None
    assert uncapped.energy.token_j is not None
    # 36% less power at 14% less speed.
    assert found.energy.token_j < uncapped.energy.token_j
    # A floor is a share of the power without a cap.
    floor = {**changes, "pools.h100.smoothing": {"floor": 0.5}}
    smoothed = hm.simulate("h100-1k", changes=floor, seed=1, runs=2, steps=10)
    assert smoothed.power_rows[1]["watts"] == pytest.approx(1024 * 350.0, rel=1e-14)


def test_an_ideal_kernel_has_no_cap() -> None:
    ideal = {"ideal.kernel_efficiency": True}
    assert planned({**CAP, **ideal}).compute == planned(ideal).compute


LAW = "; a GPU runs at (power_cap_w / peak_power_w) ** clock_exponent of its rate"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no law": (
        {"pools.h100.power_cap_w": 450.0},
        f"pools.h100.clock_exponent is missing where pools.h100.power_cap_w is given{LAW}",
    ),
    "no cap": (
        {"pools.h100.clock_exponent": EXPONENT},
        f"pools.h100.power_cap_w is missing where pools.h100.clock_exponent is given{LAW}",
    ),
    "above the peak": (
        {**CAP, "pools.h100.power_cap_w": 701.0},
        "pools.h100.power_cap_w must be <= 700, the peak power, got 701",
    ),
    "below idle power": (
        {**CAP, "pools.h100.idle_power_w": 460.0},
        "pools.h100.power_cap_w must be >= 460, the power of an idle GPU or the floor of "
        "smoothing, got 450",
    ),
    "below a floor": (
        {**CAP, "pools.h100.smoothing": {"floor": 0.9}},
        "pools.h100.power_cap_w must be >= 630, the power of an idle GPU",
    ),
    "measured passes": (
        {**CAP, "pools.h100.forward_s": 1.0, "pools.h100.backward_s": 2.0},
        "pools.h100.power_cap_w must be absent where pools.h100.forward_s is given",
    ),
    "no clock at all": (
        {**CAP, "pools.h100.clock_exponent": 9999.0},
        "pools.h100.clock_exponent must leave at least 0.001 of the clock, and leaves 0, got 9999",
    ),
    "no peak power": (
        {"pools.h100.gpu": "tpu-v5e", **CAP},
        "pools.h100.peak_power_w is missing, and pools.h100.power_cap_w is given",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_cap_that_does_not_fit_is_refused(name: str) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", changes)
    assert said in str(refused.value)
