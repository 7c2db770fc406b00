"""The helper that all gates of `benches` share, on a clock that only the two sides move."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from benches import gate as gates
from benches.yardstick import Yardstick
from hypothesis import given, settings
from hypothesis import strategies as st

MIN_ROUNDS = 7
MIN_DURATION_S = 3.0


class Recorder:
    """Stands for the fixture of pytest-benchmark."""

    def __init__(self) -> None:
        self.extra_info: dict[str, float] = {}
        self.rounds: list[int] = []

    def pedantic(self, call: Callable[[], object], rounds: int) -> None:
        self.rounds.append(rounds)
        call()


class Bench:
    """A clock, and sides that move it: each call takes the next of its seconds."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def side(self, name: str, *seconds: float) -> Callable[[], None]:
        """Return a call that takes the given seconds in turn, and the last of them from then on."""
        left = list(seconds)

        def call() -> None:
            self.calls.append(name)
            self.now_s += left.pop(0) if len(left) > 1 else left[0]

        return call


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench()
    monkeypatch.setattr(gates, "clock", found.clock)
    return found


def test_the_ratio_is_their_time_over_ours_times_the_work(bench: Bench) -> None:
    recorder = Recorder()
    ours, theirs = bench.side("ours", 0.5), bench.side("theirs", 2.0)
    gates.gate(recorder, ours=ours, theirs=theirs, at_least=8.0, work=2.0)
    assert recorder.extra_info == {"ratio": 8.0, "bar": 8.0}


def test_sides_alternate_and_the_table_gets_one_more_round_of_ours(bench: Bench) -> None:
    recorder = Recorder()
    ours, theirs = bench.side("ours", 1.0), bench.side("theirs", 1.0)
    gates.gate(recorder, ours=ours, theirs=theirs, at_least=0.5)
    assert bench.calls == [*["ours", "theirs"] * MIN_ROUNDS, "ours"]
    assert recorder.rounds == [1]


def test_each_side_counts_by_its_fastest_round(bench: Bench) -> None:
    recorder = Recorder()
    ours = bench.side("ours", 9.0, 9.0, 2.0, 9.0)
    theirs = bench.side("theirs", 7.0, 7.0, 7.0, 7.0, 5.0, 7.0)
    gates.gate(recorder, ours=ours, theirs=theirs, at_least=2.5)
    assert recorder.extra_info["ratio"] == 2.5


def test_rounds_go_on_until_three_seconds_have_passed(bench: Bench) -> None:
    # Powers of two, so that sums of them are exact: 96 rounds of 1/32 s are three seconds.
    recorder = Recorder()
    ours, theirs = bench.side("ours", 1 / 64), bench.side("theirs", 1 / 64)
    gates.gate(recorder, ours=ours, theirs=theirs, at_least=0.5)
    assert bench.calls.count("theirs") == 96


def test_three_seconds_that_pass_in_one_round_leave_the_least_rounds(bench: Bench) -> None:
    recorder = Recorder()
    gates.gate(
        recorder, ours=bench.side("ours", 60.0), theirs=bench.side("theirs", 60.0), at_least=0.5
    )
    assert bench.calls.count("theirs") == MIN_ROUNDS


def test_a_side_that_is_slow_twice_fails_with_what_was_measured(bench: Bench) -> None:
    recorder = Recorder()
    ours, theirs = bench.side("ours", 4.0), bench.side("theirs", 1.0)
    with pytest.raises(AssertionError, match=r"^0\.25x of 1x: 4 s against 1 s in 14 rounds"):
        gates.gate(recorder, ours=ours, theirs=theirs, at_least=1.0)
    # Seven rounds, and once more with twice as many; the table shows it all the same.
    assert bench.calls == [*["ours", "theirs"] * (3 * MIN_ROUNDS), "ours"]
    assert recorder.extra_info == {"ratio": 0.25, "bar": 1.0}
    assert recorder.rounds == [1]


def test_a_side_that_is_slow_once_passes_by_its_second_measurement_alone(bench: Bench) -> None:
    recorder = Recorder()
    ours = bench.side("ours", *[4.0] * MIN_ROUNDS, 1.0)
    # Their fastest round is in the first measurement, which does not count.
    theirs = bench.side("theirs", 0.5, *[1.0] * MIN_ROUNDS)
    gates.gate(recorder, ours=ours, theirs=theirs, at_least=1.0)
    assert recorder.extra_info["ratio"] == 1.0
    assert bench.calls == [*["ours", "theirs"] * (3 * MIN_ROUNDS), "ours"]


def test_a_ratio_at_its_bar_passes_and_one_just_below_does_not(bench: Bench) -> None:
    ours = bench.side("ours", 1.0)
    gates.gate(Recorder(), ours=ours, theirs=bench.side("theirs", 2.0), at_least=2.0)
    with pytest.raises(AssertionError, match=r"^2\.00x of 2x"):
        gates.gate(Recorder(), ours=ours, theirs=bench.side("theirs", 1.999), at_least=2.0)


def held(bench: Bench, yardstick_s: float, at_least_per_s: float) -> Recorder:
    """Hold a hundred in 2 s to a rate, on a core whose yardstick, 10 at 5 a second, takes so long.

    Each side takes one call to be measured; its second call shows that the fastest one counts.
    """
    recorder = Recorder()
    gates.gate_of_a_count(
        recorder,
        ours=bench.side("ours", 3.0, 2.0),
        count=100,
        at_least_per_s=at_least_per_s,
        yardstick=Yardstick(bench.side("yardstick", 9.0, yardstick_s), 10, 5.0),
    )
    return recorder


def test_a_count_is_held_to_a_rate(bench: Bench) -> None:
    recorder = held(bench, yardstick_s=2.0, at_least_per_s=25)
    assert recorder.extra_info == {"per_s": 25, "share": 1.0, "ratio": 2.0, "bar": 1.0}
    assert bench.calls.count("yardstick") == MIN_ROUNDS
    with pytest.raises(AssertionError, match=r"^0\.83x of 1x: 2 s against 1\.667 s in 14 rounds"):
        held(bench, yardstick_s=2.0, at_least_per_s=60)


def test_a_slower_core_is_asked_for_less_and_a_faster_one_for_no_more(bench: Bench) -> None:
    slow = held(bench, yardstick_s=4.0, at_least_per_s=60).extra_info
    assert (slow["share"], slow["ratio"]) == (0.5, 1.67)
    fast = held(bench, yardstick_s=0.5, at_least_per_s=25).extra_info
    assert (fast["share"], fast["ratio"]) == (1.0, 2.0)


# Seconds in whole 64ths, so that sums of them are exact.
some_seconds = st.lists(
    st.integers(1, 640).map(lambda n: n / 64), min_size=3 * MIN_ROUNDS, max_size=3 * MIN_ROUNDS
)


def expected(ours_s: list[float], theirs_s: list[float], at_least: float) -> tuple[int, float]:
    """Return how many rounds all measurements take, and the ratio of the last one."""
    done, ratio = 0, 0.0
    for fewest in (MIN_ROUNDS, 2 * MIN_ROUNDS):
        begin, passed_s = done, 0.0
        while done - begin < fewest or passed_s < MIN_DURATION_S:
            passed_s += of_round(ours_s, done) + of_round(theirs_s, done)
            done += 1
        ours, theirs = (
            min(of_round(side, each) for each in range(begin, done)) for side in (ours_s, theirs_s)
        )
        ratio = theirs / ours
        if ratio >= at_least:
            break
    return done, ratio


def of_round(seconds: list[float], place: int) -> float:
    return seconds[min(place, len(seconds) - 1)]


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(ours_s=some_seconds, theirs_s=some_seconds, at_least=st.sampled_from([0.1, 0.5, 1.0, 2.0]))
def test_whatever_rounds_take_a_gate_measures_and_decides_by_its_rules(
    ours_s: list[float], theirs_s: list[float], at_least: float
) -> None:
    bench, recorder = Bench(), Recorder()
    rounds, ratio = expected(ours_s, theirs_s, at_least)
    ours, theirs = bench.side("ours", *ours_s), bench.side("theirs", *theirs_s)
    failing = pytest.raises(AssertionError) if ratio < at_least else contextlib.nullcontext()
    with pytest.MonkeyPatch.context() as patch, failing:
        patch.setattr(gates, "clock", bench.clock)
        gates.gate(recorder, ours=ours, theirs=theirs, at_least=at_least)
    assert bench.calls == [*["ours", "theirs"] * rounds, "ours"]
    assert recorder.extra_info == {"ratio": round(ratio, 2), "bar": at_least}
