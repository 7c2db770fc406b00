"""Published all-in energy and power beside what GPUs alone are predicted to take.

The program counts GPUs alone. All-in figures hold hosts, switches, cooling and what power supplies
lose, too: the comparison is of GPUs with a share of these figures, and of the seconds of a token
with both of them.
"""

from __future__ import annotations

import pytest

import hindmost as hm
from hindmost import catalog
from hindmost.money.ownership import SOURCE

ALL_IN_J = 8.8
"""Joules of a token of Llama 3 405B in BF16 on 2,304 H100, all in (SemiAnalysis, August 2025)."""
FACILITY_W, FACILITY_GPUS = 150e6, 83_000
"""Power of a facility and its GB200 (Meta, arXiv 2605.24461, abstract)."""
LIMIT = 0.15
"""Greatest error of joules of a token: their layout and their hours of use are not published."""


@pytest.fixture(scope="module")
def tokens_per_s_per_gpu() -> float:
    """Tokens of the published job of 8,192 GPUs, on 2,304 of them with as many sequences each."""
    changes = {"pools.h100.n_gpus": 2304, "workload.global_batch_seqs": 576}
    result = hm.simulate("llama3-405b-8192", changes=changes, seed=7, runs=8, steps=8)
    return result.plan.tokens / result.value("step_time_s") / 2304


def test_joules_of_a_token_all_in_are_all_in_watts_over_predicted_tokens(
    tokens_per_s_per_gpu: float,
) -> None:
    all_in_w = catalog.ownership(SOURCE).watts_per_gpu["h100-sxm"]
    assert all_in_w / tokens_per_s_per_gpu == pytest.approx(ALL_IN_J, rel=LIMIT)


def test_gpus_alone_take_about_half_of_it() -> None:
    # Whatever an idle H100 draws, which nobody has published.
    for idle_w in (0.0, 700.0):
        changes = {
            "pools.h100.n_gpus": 2304,
            "workload.global_batch_seqs": 576,
            "pools.h100.idle_power_w": idle_w,
        }
        found = hm.simulate("llama3-405b-8192", changes=changes, seed=7, runs=8, steps=8).energy
        assert found.token_j is not None
        assert 0.4 < found.token_j / ALL_IN_J < 0.6


def test_gb200_draw_less_at_their_peak_than_they_take_all_in() -> None:
    all_in_w = FACILITY_W / FACILITY_GPUS
    assert all_in_w == pytest.approx(1810, rel=2e-3)
    peak_w = catalog.gpu("gb200-nvl72").peak_power_w
    assert peak_w is not None
    assert 0.6 < peak_w / all_in_w < 0.7
