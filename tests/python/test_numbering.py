"""Ranks are numbered as Megatron-LM numbers them: worked rows, and a count through all indices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hindmost.scenario.numbering import DIMENSIONS, Numbering, numberings

ORDER = "tp-cp-ep-dp-pp"


def domains(ranks: Any, domain_gpus: int = 8) -> list[int]:
    return [int(rank) // domain_gpus for rank in ranks]


def test_sixteen_gpus_in_megatrons_order() -> None:
    dense = numberings(ORDER, tensor=2, context=1, pipeline=4, data=2).dense
    assert dense.group(5, "tp").tolist() == [4, 5]
    assert dense.group(5, "dp").tolist() == [5, 7]
    assert domains(dense.group(5, "dp")) == [0, 0]
    assert dense.group(5, "pp").tolist() == [1, 5, 9, 13]
    assert domains(dense.group(5, "pp")) == [0, 0, 1, 1]


def test_sixteen_gpus_with_stages_inside() -> None:
    dense = numberings("tp-cp-pp-dp", tensor=2, context=1, pipeline=4, data=2).dense
    assert dense.group(5, "dp").tolist() == [5, 13]
    assert domains(dense.group(5, "dp")) == [0, 1]
    assert dense.group(5, "pp").tolist() == [1, 3, 5, 7]
    assert set(domains(dense.group(5, "pp"))) == {0}


SIXTEEN: dict[str, Any] = {"tensor": 2, "context": 1, "pipeline": 2, "data": 4, "expert": 4}


def test_experts_have_a_numbering_of_their_own() -> None:
    both = numberings(ORDER, **SIXTEEN)
    assert both.agree
    assert both.dense.group(5, "cp", "dp").tolist() == [1, 3, 5, 7]
    assert both.dense.group(5, "pp").tolist() == [5, 13]
    assert both.experts.group(5, "ep").tolist() == [1, 3, 5, 7]
    assert both.experts.group(5, "dp").tolist() == [5]
    divided = numberings(ORDER, **SIXTEEN, expert_tensor=1)
    assert divided.agree
    assert divided.experts.group(5, "ep").tolist() == [4, 5, 6, 7]
    assert divided.experts.group(5, "dp").tolist() == [1, 5]


def test_pipelines_of_both_numberings_must_agree() -> None:
    both = numberings("tp-cp-pp-ep-dp", **SIXTEEN)
    assert both.agree
    assert both.experts.group(5, "ep").tolist() == [1, 5, 9, 13]
    assert domains(both.experts.group(5, "ep")) == [0, 0, 1, 1]
    assert both.dense.group(5, "pp").tolist() == [5, 7]
    assert not numberings("tp-cp-pp-ep-dp", **SIXTEEN, expert_tensor=1).agree


CASE_10: dict[str, Any] = {"tensor": 1, "context": 1, "pipeline": 8, "data": 32, "expert": 8}


def test_case_10_in_megatrons_order() -> None:
    both = numberings(ORDER, **CASE_10)
    assert 77 // 8 == 9
    assert both.experts.group(77, "ep").tolist() == list(range(72, 80))
    assert both.experts.group(77, "dp").tolist() == [69, 77, 85, 93]
    assert domains(both.experts.group(77, "dp")) == [8, 9, 10, 11]
    assert both.dense.group(77, "cp", "dp").tolist() == list(range(64, 96))
    assert np.bincount(domains(both.dense.group(77, "dp")))[8:].tolist() == [8] * 4
    assert both.dense.group(77, "pp").tolist()[:4] == [13, 45, 77, 109]
    assert domains(both.dense.group(77, "pp"))[:4] == [1, 5, 9, 13]


def test_case_10_with_stages_inside() -> None:
    both = numberings("tp-cp-pp-ep-dp", **CASE_10)
    assert both.experts.group(77, "ep").tolist() == list(range(69, 126, 8))
    assert domains(both.experts.group(77, "ep")) == list(range(8, 16))
    assert both.dense.group(77, "pp").tolist() == list(range(72, 80))
    assert both.dense.group(77, "dp").tolist() == list(range(5, 254, 8))


def test_experts_over_tensor_context_and_data_ranks() -> None:
    sizes: dict[str, Any] = {"tensor": 4, "context": 2, "pipeline": 4, "data": 8, "expert": 8}
    both = numberings(ORDER, **sizes)
    gradients = both.dense.group(77, "cp", "dp")
    assert gradients.tolist() == list(range(65, 126, 4))
    assert np.bincount(domains(gradients))[8:].tolist() == [2] * 8
    assert both.experts.group(77, "ep").tolist() == list(range(65, 94, 4))
    assert np.bincount(domains(both.experts.group(77, "ep")))[8:].tolist() == [2] * 4
    assert both.experts.group(77, "dp").tolist() == [77, 109]
    divided = numberings(ORDER, **sizes, expert_tensor=1)
    assert divided.experts.group(77, "ep").tolist() == list(range(72, 80))
    assert divided.experts.group(77, "dp").tolist() == list(range(69, 126, 8))


@given(
    order=st.permutations(DIMENSIONS),
    sizes=st.lists(st.integers(1, 4), min_size=5, max_size=5),
    names=st.sets(st.sampled_from(DIMENSIONS)),
    data=st.data(),
)
def test_a_group_is_what_counting_through_all_indices_finds(
    order: list[str], sizes: list[int], names: set[str], data: st.DataObject
) -> None:
    numbering = Numbering(names=tuple(order), sizes=tuple(sizes))
    # The last index of a product runs fastest.
    indices = [
        dict(zip(reversed(order), each, strict=True))
        for each in itertools.product(*(range(size) for size in reversed(sizes)))
    ]
    assert len(indices) == numbering.n_ranks
    rank = data.draw(st.integers(0, numbering.n_ranks - 1))
    for name in DIMENSIONS:
        assert numbering.index(np.array([rank]), name) == indices[rank][name]
    others = [name for name in order if name not in names]
    expected = [
        other
        for other in range(numbering.n_ranks)
        if all(indices[other][name] == indices[rank][name] for name in others)
    ]
    assert numbering.group(rank, *names).tolist() == expected


@pytest.mark.parametrize("order", ["tp-cp-dp-pp", "tp-cp-pp-dp"])
def test_experts_may_be_left_out_of_an_order(order: str) -> None:
    both = numberings(order, tensor=2, context=2, pipeline=2, data=3)
    assert both.agree
    assert both.experts.group(5, "ep").tolist() == [5]
    assert both.dense.n_ranks == 24
