"""Pipeline schedules against worked values, closed forms and a simulation of events.

The four orders below are written from their sources, not from the core: GPipe (Huang et
al. 2019; backward in ascending microbatches, as pipelines run it today), 1F1B with a flush
(Narayanan et al. 2021), its interleaved form (Megatron-LM) and ZB-H1 (Qi et al. 2023,
figure 3: 1F1B's forwards and input gradients; on stage i the weight gradient of a microbatch
follows the input gradient of the i-th microbatch after it).
"""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hindmost import _core

Pass = tuple[str, int, int]
Seconds = NDArray[np.float64]

F, B, W = "forward", "backward", "weight"
KINDS = ("gpipe", "1f1b", "interleaved", "zero-bubble")
RELATIVE_TOLERANCE = 1e-12
SEED = 20230403
N_CASES = 25  # of each kind


@dataclass(frozen=True)
class Shape:
    kind: str
    p: int
    m: int
    v: int = 1

    @property
    def schedule(self) -> _core.Schedule:
        return _core.Schedule(kind=self.kind, stages=self.p, chunks=self.v, microbatches=self.m)

    @property
    def orders(self) -> list[list[Pass]]:
        """The literature's order of each stage."""
        return [ORDERS[self.kind](stage, self.p, self.m, self.v) for stage in range(self.p)]


@dataclass(frozen=True)
class Times:
    """Seconds of each pass, and of each transfer."""

    forward: Seconds
    backward: Seconds
    weight: Seconds | None = None
    transfer: float = 0.0

    def of(self, pass_: Pass, stage: int, p: int) -> float:
        name, microbatch, chunk = pass_
        rows = {F: self.forward, B: self.backward, W: self.weight}[name]
        assert rows is not None
        return float(rows[chunk * p + stage, microbatch])

    def scaled(self, factor: float) -> "Times":
        weight = None if self.weight is None else self.weight * factor
        return Times(self.forward * factor, self.backward * factor, weight, self.transfer * factor)


def gpipe(stage: int, p: int, m: int, v: int) -> list[Pass]:
    return [(F, j, 0) for j in range(m)] + [(B, j, 0) for j in range(m)]


def one_forward_one_backward(
    n_warm_up: int, forward: list[Pass], backward: list[Pass]
) -> list[Pass]:
    n_warm_up = min(n_warm_up, len(forward))
    pairs = zip(forward[n_warm_up:], backward, strict=False)
    n_pairs = len(forward) - n_warm_up
    return [*forward[:n_warm_up], *itertools.chain.from_iterable(pairs), *backward[n_pairs:]]


def flushed(stage: int, p: int, m: int, v: int) -> list[Pass]:
    forward: list[Pass] = [(F, j, 0) for j in range(m)]
    backward: list[Pass] = [(B, j, 0) for j in range(m)]
    return one_forward_one_backward(p - stage - 1, forward, backward)


def interleaved(stage: int, p: int, m: int, v: int) -> list[Pass]:
    # p microbatches go through all chunks of a stage before the next p come.
    places = [
        (round_ * p + place, chunk)
        for round_ in range(m // p)
        for chunk in range(v)
        for place in range(p)
    ]
    forward: list[Pass] = [(F, microbatch, chunk) for microbatch, chunk in places]
    backward: list[Pass] = [(B, microbatch, v - 1 - chunk) for microbatch, chunk in places]
    return one_forward_one_backward((p - stage - 1) * 2 + (v - 1) * p, forward, backward)


def zero_bubble(stage: int, p: int, m: int, v: int) -> list[Pass]:
    order: list[Pass] = []
    for name, j, chunk in flushed(stage, p, m, v):
        order.append((name, j, chunk))
        if name == B and j >= stage:
            order.append((W, j - stage, chunk))
    return order + [(W, j, 0) for j in range(max(m - stage, 0), m)]


ORDERS: dict[str, Callable[[int, int, int, int], list[Pass]]] = {
    "gpipe": gpipe,
    "1f1b": flushed,
    "interleaved": interleaved,
    "zero-bubble": zero_bubble,
}


def simulated(shape: Shape, times: Times) -> float:
    """Return the makespan by simulated events: a pass ends, data arrive."""
    p, last = shape.p, shape.p * shape.v - 1
    waiting = [iter(order) for order in shape.orders]
    head = [next(order, None) for order in waiting]
    busy = [False] * p
    come: set[tuple[str, int, int]] = {(F, 0, j) for j in range(shape.m)}
    ticket = itertools.count()
    # (time, ticket, stage that ends its pass or None, what has come)
    events: list[tuple[float, int, int | None, tuple[str, int, int] | None]] = []
    n_left = sum(len(order) for order in shape.orders)

    def start(stage: int, now: float) -> None:
        pass_ = head[stage]
        if pass_ is None or busy[stage] or (pass_[0], pass_[2] * p + stage, pass_[1]) not in come:
            return
        busy[stage] = True
        heapq.heappush(events, (now + times.of(pass_, stage, p), next(ticket), stage, None))

    def send(now: float, *items: tuple[str, int, int], far: bool) -> None:
        after = times.transfer if far and p > 1 else 0.0
        for item in items:
            heapq.heappush(events, (now + after, next(ticket), None, item))

    for stage in range(p):
        start(stage, 0.0)
    end = 0.0
    while events:
        now, _, ended, item = heapq.heappop(events)
        if item is not None:
            come.add(item)
            start(item[1] % p, now)
        if ended is not None:
            pass_ = head[ended]
            assert pass_ is not None
            name, j, chunk = pass_
            k, n_left, end = chunk * p + ended, n_left - 1, now
            busy[ended], head[ended] = False, next(waiting[ended], None)
            if name == F:
                send(now, (F, k + 1, j) if k < last else (B, k, j), far=k < last)
            elif name == B:
                send(now, (W, k, j), far=False)
                if k > 0:
                    send(now, (B, k - 1, j), far=True)
            start(ended, now)
    assert n_left == 0, f"{shape} waits for itself"
    return end


def uniform(shape: Shape, f: float, b: float, w: float = 0.0, transfer: float = 0.0) -> Times:
    """Passes of equal times, those of all chunks of a stage together."""
    ones = np.full((shape.p * shape.v, shape.m), 1 / shape.v)
    weight = w * ones if shape.kind == "zero-bubble" else None
    return Times(f * ones, b * ones, weight, transfer)


def seconds(shape: Shape, times: Times) -> float:
    """Return the seconds that the core computes."""
    return shape.schedule.seconds(
        times.forward, times.backward, times.weight, transfer_s=times.transfer
    )


def both(shape: Shape, times: Times) -> list[float]:
    return [simulated(shape, times), seconds(shape, times)]


def about(value: float) -> Any:
    return pytest.approx(value, rel=RELATIVE_TOLERANCE, abs=0)


def random_case(kind: str, index: int) -> tuple[Shape, Times]:
    rng = np.random.default_rng([SEED, KINDS.index(kind), index])
    p, m, v = (int(rng.integers(1, high, endpoint=True)) for high in (9, 20, 4))
    shape = Shape(kind, p, m)
    if kind == "interleaved":
        shape = Shape(kind, p, p * (1 + m % 4), v)
    size = (shape.p * shape.v, shape.m)
    forward, backward, weight = (rng.lognormal(0.0, 0.8, size) for _ in range(3))
    transfer = float(rng.lognormal(-1.0, 1.0)) if index % 2 else 0.0
    return shape, Times(forward, backward, weight if kind == "zero-bubble" else None, transfer)


CASES = [random_case(kind, index) for kind in KINDS for index in range(N_CASES)]
each_case = pytest.mark.parametrize(("shape", "times"), CASES, ids=[str(c[0]) for c in CASES])
SMALL = [
    *(Shape(kind, p, m) for kind in KINDS if kind != "interleaved" for p in range(1, 7)
      for m in (1, 2, 3, 4, 5, 6, 7, 12, 17)),
    *(Shape("interleaved", p, p * n, v) for p in range(1, 7) for n in (1, 2, 3)
      for v in (1, 2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "f", "b", "w", "transfer", "expected"),
    [
        (Shape("1f1b", 4, 8), 1, 2, 0, 0, 33),
        (Shape("interleaved", 4, 8, 2), 1, 2, 0, 0, 28.5),
        (Shape("zero-bubble", 4, 8), 1, 1, 1, 0, 27),
        (Shape("1f1b", 16, 16), 1, 2, 0, 0, 93),
        (Shape("1f1b", 4, 8), 1, 2, 0, 0.1, 34.6),
        (Shape("gpipe", 4, 8), 1, 2, 0, 0.1, 33.6),
    ],
    ids=str,
)
def test_uniform_stages_take_the_worked_time(
    shape: Shape, f: float, b: float, w: float, transfer: float, expected: float
) -> None:
    assert both(shape, uniform(shape, f, b, w, transfer)) == [about(expected)] * 2


def test_two_unequal_stages_take_the_worked_time() -> None:
    times = Times(np.ones((2, 2)), np.array([[2.0, 2.0], [1.0, 1.0]]))
    assert both(Shape("1f1b", 2, 2), times) == [7.0, 7.0]


@pytest.mark.parametrize(("stage", "expected"), [(0, 93.3), (8, 95.7), (15, 97.8)])
def test_a_late_slow_stage_costs_more_than_an_early_one(stage: int, expected: float) -> None:
    rows = np.ones((16, 16))
    rows[stage] = 1.1
    shape, times = Shape("1f1b", 16, 16), Times(rows, 2 * rows)
    assert both(shape, times) == [about(expected)] * 2


@pytest.mark.parametrize("p", range(1, 10))
@pytest.mark.parametrize(("f", "b"), [(1.0, 2.0), (1.0, 1.0), (0.7, 0.3)])
def test_gpipe_and_1f1b_idle_for_one_microbatch_a_stage_further(p: int, f: float, b: float) -> None:
    for m in (1, 2, 3, 5, 8, 13, 40):
        for shape in (Shape("gpipe", p, m), Shape("1f1b", p, m)):
            expected = about((m + p - 1) * (f + b))
            assert both(shape, uniform(shape, f, b)) == [expected] * 2


@pytest.mark.parametrize("p", range(1, 10))
def test_gpipe_pays_for_the_transfers_of_one_microbatch(p: int) -> None:
    for m in (1, 4, 9):
        shape = Shape("gpipe", p, m)
        expected = about((m + p - 1) * 3.0 + 2 * (p - 1) * 0.4)
        assert both(shape, uniform(shape, 1, 2, transfer=0.4)) == [expected] * 2


@pytest.mark.parametrize("p", range(1, 9))
@pytest.mark.parametrize("v", range(1, 6))
def test_chunks_divide_the_bubble(p: int, v: int) -> None:
    for m in (p, 2 * p, 3 * p, 7 * p):
        shape = Shape("interleaved", p, m, v)
        expected = about((m + (p - 1) / v) * 3.0)
        assert both(shape, uniform(shape, 1, 2)) == [expected] * 2


@pytest.mark.parametrize("p", range(1, 10))
def test_zero_bubble_idles_for_a_forward_and_a_backward_less_a_weight_gradient(p: int) -> None:
    for m in (1, 2, 3, 5, 8, 13, 40):
        shape = Shape("zero-bubble", p, m)
        # From p microbatches on; a missing one leaves a gap longer by one pass.
        expected = about(3.0 * m + (p - 1) + max(p - m, 0))
        assert both(shape, uniform(shape, 1, 1, 1)) == [expected] * 2
        if m >= p:
            # Table 2 of the paper, for its W < F < B.
            expected = about(3.0 * m + (p - 1) * (1.0 + 1.2 - 0.8))
            assert both(shape, uniform(shape, 1, 1.2, 0.8)) == [expected] * 2


@each_case
def test_seconds_are_those_of_the_simulated_events(shape: Shape, times: Times) -> None:
    assert seconds(shape, times) == about(simulated(shape, times))


@pytest.mark.parametrize("shape", [*SMALL, *(case[0] for case in CASES)], ids=str)
def test_each_stage_works_in_the_order_of_the_literature(shape: Shape) -> None:
    schedule = shape.schedule
    assert [schedule.order(stage) for stage in range(shape.p)] == shape.orders


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_a_stage_does_each_pass_once_and_none_before_its_input(shape: Shape) -> None:
    names = [F, B, W] if shape.kind == "zero-bubble" else [F, B]
    every = set(itertools.product(names, range(shape.m), range(shape.v)))
    for orders in (shape.orders, [shape.schedule.order(i) for i in range(shape.p)]):
        for order in orders:
            assert len(order) == len(every)
            assert set(order) == every
            done = {pass_: place for place, pass_ in enumerate(order)}
            for j, chunk in itertools.product(range(shape.m), range(shape.v)):
                places = [done[name, j, chunk] for name in names]
                assert places == sorted(places)


def peak(order: list[Pass], until: str) -> int:
    """Most microbatch-chunks between their forward and `until`."""
    return max(itertools.accumulate((pass_[0] == F) - (pass_[0] == until) for pass_ in order))


@pytest.mark.parametrize("shape", SMALL, ids=str)
def test_microbatches_in_flight_are_those_of_the_order(shape: Shape) -> None:
    schedule, p, m, v = shape.schedule, shape.p, shape.m, shape.v
    for stage in range(p):
        expected = {
            "gpipe": m,
            "1f1b": min(m, p - stage),
            "interleaved": min(m * v, 2 * (p - stage - 1) + (v - 1) * p + 1),
            "zero-bubble": min(m, p - stage),
        }[shape.kind]
        assert peak(shape.orders[stage], B) == expected
        assert schedule.in_flight()[stage] == expected


@pytest.mark.parametrize("p", range(1, 10))
def test_zero_bubble_keeps_no_more_than_the_first_stage_of_1f1b(p: int) -> None:
    for m in (1, 2, 5, 9, 20):
        zero, other = (Shape(kind, p, m).schedule for kind in ("zero-bubble", "1f1b"))
        for stage in range(p):
            order = zero.order(stage)
            assert zero.in_flight()[stage] <= other.in_flight()[stage]
            assert peak(order, W) == other.in_flight()[0]
            assert [pass_ for pass_ in order if pass_[0] != W] == other.order(stage)


@each_case
def test_a_slower_pass_never_makes_the_step_faster(shape: Shape, times: Times) -> None:
    rng = np.random.default_rng([SEED, shape.p, shape.m])
    before = seconds(shape, times)
    for field in ("forward", "backward", "weight"):
        rows = getattr(times, field)
        if rows is None:
            continue
        for _ in range(8):
            slower = rows.copy()
            place = tuple(rng.integers(0, rows.shape))
            slower[place] *= 1.5
            after = seconds(shape, replace(times, **{field: slower}))
            # Nor does it cost more than the time that it lost.
            assert before <= after <= (before + 0.5 * rows[place]) * (1 + RELATIVE_TOLERANCE)
    assert before <= seconds(shape, replace(times, transfer=times.transfer + 0.3))


@each_case
def test_times_scale(shape: Shape, times: Times) -> None:
    assert seconds(shape, times.scaled(4.0)) == 4.0 * seconds(shape, times)
    assert seconds(shape, times.scaled(0.3)) == about(0.3 * seconds(shape, times))
    assert seconds(shape, times.scaled(0.0)) == 0.0


@each_case
def test_a_late_first_pass_shifts_the_whole_step(shape: Shape, times: Times) -> None:
    first = np.zeros_like(times.forward)
    first[0, 0] = 7.5
    late = replace(times, forward=times.forward + first)
    assert seconds(shape, late) == about(seconds(shape, times) + 7.5)
    if shape.kind != "zero-bubble":
        # All work comes before the last gradient of the first stage.
        last = np.zeros_like(times.backward)
        last[0, -1] = 7.5
        late = replace(times, backward=times.backward + last)
        assert seconds(shape, late) == about(seconds(shape, times) + 7.5)


@pytest.mark.parametrize("kind", KINDS)
def test_one_stage_works_without_a_gap(kind: str) -> None:
    rng = np.random.default_rng(SEED)
    shape = Shape(kind, 1, 11, 3 if kind == "interleaved" else 1)
    forward, backward, weight = rng.lognormal(0.0, 0.8, (3, shape.v, shape.m))
    times = Times(forward, backward, weight if kind == "zero-bubble" else None, transfer=5.0)
    expected = forward.sum() + backward.sum() + (weight.sum() if kind == "zero-bubble" else 0)
    assert seconds(shape, times) == about(float(expected))


@each_case
def test_no_step_is_shorter_than_a_stage_or_a_path(shape: Shape, times: Times) -> None:
    weight = np.zeros_like(times.forward) if times.weight is None else times.weight
    by_stage = (times.forward + times.backward + weight).reshape(shape.v, shape.p, shape.m)
    n_transfers = 2 * (shape.p * shape.v - 1) if shape.p > 1 else 0
    path = (times.forward + times.backward).sum(axis=0) + weight[0]
    bounds = [*by_stage.sum(axis=(0, 2)), *(path + n_transfers * times.transfer)]
    assert seconds(shape, times) >= max(bounds) * (1 - RELATIVE_TOLERANCE)


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda rows: rows.repeat(2, axis=1)[:, ::2]])
def test_the_layout_of_an_array_in_memory_changes_nothing(
    layout: Callable[[Seconds], Seconds],
) -> None:
    shape, times = next(case for case in CASES if case[0].kind == "1f1b" and case[0].p > 4)
    other = replace(times, forward=layout(times.forward), backward=layout(times.backward))
    assert seconds(shape, other) == seconds(shape, times)
