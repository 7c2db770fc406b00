"""The helper of all gates: a slow side is seen, measured once more, and told."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from benches import gate as gates


class Recorder:
    """Stands for the fixture of pytest-benchmark."""

    def __init__(self) -> None:
        self.extra_info: dict[str, float] = {}

    def pedantic(self, call: Callable[[], object], rounds: int) -> None:
        assert rounds == 1
        call()


class Side:
    """Sleeps, and counts how often."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        time.sleep(self.seconds)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "LEAST_SECONDS", 0.0)


def test_a_ratio_is_their_time_over_ours_times_the_work() -> None:
    benchmark, ours, theirs = Recorder(), Side(0.002), Side(0.008)
    gates.gate(benchmark, ours=ours, theirs=theirs, at_least=1.0, work=2.0)
    assert 5.0 < benchmark.extra_info["ratio"] <= 8.0
    # Seven rounds of each, and one of ours for the table.
    assert (ours.calls, theirs.calls) == (8, 7)


def test_a_red_ratio_is_measured_once_more_and_fails() -> None:
    benchmark, ours, theirs = Recorder(), Side(0.004), Side(0.001)
    with pytest.raises(AssertionError, match=r"0\.\d\dx of 1x"):
        gates.gate(benchmark, ours=ours, theirs=theirs, at_least=1.0)
    assert (ours.calls, theirs.calls) == (7 + 14 + 1, 7 + 14)
