"""Refusals of a pipeline schedule: impossible shapes, and times that are not finite."""

import math
from typing import Any

import numpy as np
import pytest

from hindmost import _core

KINDS = ("gpipe", "1f1b", "interleaved", "zero-bubble")
STAGES, MICROBATCHES = 3, 5


def seconds(**others: Any) -> float:
    """Return the seconds of zero-bubble with passes of a second, but for other arguments."""
    ones = np.ones((STAGES, MICROBATCHES))
    arguments = {"forward_s": ones, "backward_s": ones, "weight_s": ones, **others}
    schedule = _core.Schedule(
        kind="zero-bubble", stages=STAGES, chunks=1, microbatches=MICROBATCHES
    )
    return schedule.seconds(**arguments)


@pytest.mark.parametrize(
    ("kind", "stages", "chunks", "microbatches", "field"),
    [
        *((kind, 0, 1, 4, "stages") for kind in KINDS),
        *((kind, 4, 0, 4, "chunks") for kind in KINDS),
        *((kind, 4, 1, 0, "microbatches") for kind in KINDS),
        *((kind, 4, 2, 8, "chunks") for kind in KINDS if kind != "interleaved"),
        ("interleaved", 4, 2, 6, "microbatches"),
        ("interleaved", 4, 1, 3, "microbatches"),
    ],
)
def test_an_impossible_shape_is_refused(
    kind: str, stages: int, chunks: int, microbatches: int, field: str
) -> None:
    with pytest.raises(_core.DomainError) as refusal:
        _core.Schedule(kind=kind, stages=stages, chunks=chunks, microbatches=microbatches)
    name, value, requirement = refusal.value.args
    assert name == field
    assert value == {"stages": stages, "chunks": chunks, "microbatches": microbatches}[field]
    assert requirement


@pytest.mark.parametrize("kind", ["", "1F1B", "zb-h1", "zero_bubble"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match=r"kind|gpipe"):
        _core.Schedule(kind=kind, stages=4, chunks=1, microbatches=8)


@pytest.mark.parametrize("field", ["forward_s", "backward_s", "weight_s"])
@pytest.mark.parametrize("bad", [math.nan, -1e-9, math.inf, -math.inf])
def test_a_time_of_a_pass_must_be_finite_and_not_negative(field: str, bad: float) -> None:
    rows = np.ones((STAGES, MICROBATCHES))
    rows[2, 3] = bad
    with pytest.raises(_core.DomainError) as refusal:
        seconds(**{field: rows})
    name, _, requirement = refusal.value.args
    assert name.startswith(field)
    assert requirement


@pytest.mark.parametrize("bad", [math.nan, -1e-9, math.inf, -math.inf])
def test_a_time_of_a_transfer_must_be_finite_and_not_negative(bad: float) -> None:
    with pytest.raises(_core.DomainError) as refusal:
        seconds(transfer_s=bad)
    assert refusal.value.args[0] == "transfer_s"


def test_no_time_at_all_is_a_time() -> None:
    zeros = np.zeros((STAGES, MICROBATCHES))
    assert seconds(forward_s=zeros, backward_s=zeros, weight_s=-zeros, transfer_s=0.0) == 0.0


@pytest.mark.parametrize("field", ["forward_s", "backward_s", "weight_s"])
@pytest.mark.parametrize("size", [(3, 4), (2, 5), (5, 3), (4, 5), (6, 5), (0, 0)])
def test_an_array_of_another_shape_is_refused(field: str, size: tuple[int, int]) -> None:
    with pytest.raises(_core.DomainError) as refusal:
        seconds(**{field: np.ones(size)})
    assert refusal.value.args[0].startswith(field)


def test_zero_bubble_needs_times_of_weight_gradients() -> None:
    with pytest.raises(_core.DomainError) as refusal:
        seconds(weight_s=None)
    assert refusal.value.args[0] == "weight_s"
