"""Collectives and terms against closed forms and worked values."""

from pathlib import Path

import pytest
from tests.plans import compute_time, pool_plan
from tests.scenarios import COLOSSUS_1_BARE

import hindmost as hm
from hindmost.collective import Cost, Link, all_gather, all_reduce, reduce_scatter, ring
from hindmost.physics.terms import Term
from hindmost.scenario import Changes
from hindmost.spread import Spread

PORT = Link(latency_s=0.0, bytes_per_s=45e9)
SCALE_UP = Link(latency_s=0.0, bytes_per_s=370.8e9)


def test_one_rank_a_node_moves_each_byte_through_its_port_once() -> None:
    # Worked value 2.21951 s for n = N = 64 and the weights of Llama-3-405B over 8.
    n_bytes = 2 * 405_853_388_800 / 8
    for collective in (all_gather, reduce_scatter):
        cost = collective(n_bytes, spread=Spread.of(64, 1), scale_up=SCALE_UP, port=PORT)
        assert round(cost.total_s, 5) == 2.21951


def test_a_ring_takes_n_minus_1_rounds() -> None:
    link = Link(latency_s=2e-6, bytes_per_s=1e9)
    cost = ring.all_gather(8e9, n=8, link=link)
    assert cost.latency_s == pytest.approx(7 * 2e-6)
    assert cost.transfer_s == pytest.approx(7.0)
    assert ring.all_gather(8e9, n=1, link=link).total_s == 0


def test_ranks_of_one_domain_divide_the_data_among_their_ports() -> None:
    port = Link(latency_s=1e-5, bytes_per_s=45e9)
    scale_up = Link(latency_s=1e-6, bytes_per_s=360e9)
    cost = all_gather(72e9, spread=Spread.of(72, 9), scale_up=scale_up, port=port)
    # Eight domains: three doublings, 7/8 of the data through nine ports, and a ring of nine at
    # the same time, which takes longer.
    assert cost.transfer_s == pytest.approx(7 / 8 * 72e9 / 9 / 45e9)
    assert cost.transfer_s + cost.scale_up_s == pytest.approx(8 / 9 * 72e9 / 360e9)
    assert cost.latency_s == pytest.approx(3e-5 + 8e-6)
    # With links of twice the rate the ports take longer, and hide all of the ring.
    fast = Link(latency_s=1e-6, bytes_per_s=720e9)
    hidden = all_gather(72e9, spread=Spread.of(72, 9), scale_up=fast, port=port)
    assert (hidden.transfer_s, hidden.scale_up_s) == (cost.transfer_s, 0.0)


def test_the_domain_with_the_fewest_ranks_sets_the_pace() -> None:
    cost = all_gather(64e9, spread=Spread.of(64, 9), scale_up=SCALE_UP, port=PORT)
    # Seven domains of nine, and one rank whose port carries all of its data.
    assert cost.transfer_s == pytest.approx(7 / 8 * 64e9 / 45e9)


def test_a_communicator_within_one_domain_uses_no_port() -> None:
    cost = all_gather(1e9, spread=Spread.of(8, 9), scale_up=SCALE_UP, port=PORT)
    assert cost.transfer_s == 0
    assert cost.scale_up_s == pytest.approx(7 / 8 * 1e9 / 370.8e9)


def test_an_all_reduce_is_a_scatter_and_a_gather() -> None:
    port = Link(latency_s=1e-5, bytes_per_s=45e9)
    half = all_gather(1e9, spread=Spread.of(430, 1), scale_up=SCALE_UP, port=port)
    whole = all_reduce(1e9, spread=Spread.of(430, 1), scale_up=SCALE_UP, port=port)
    assert whole == half + half
    assert whole.latency_s == pytest.approx(2 * 9 * 1e-5)


def test_pieces_pay_latency_each_and_share_the_transfer() -> None:
    cost = Cost(latency_s=1e-5, scale_up_s=0.5, transfer_s=2.0)
    assert cost.in_pieces(126) == Cost(latency_s=126e-5, scale_up_s=0.5, transfer_s=2.0)


def terms(preset: str | Path, pool: str, changes: Changes) -> dict[str, Term]:
    return {term.phase: term for term in pool_plan(hm.load(preset, changes), pool).terms}


def test_hybrid_sharding_gathers_twice_and_scatters_once_a_microbatch() -> None:
    idle = {"fabric.latency_s": 0.0}
    port_bytes_per_s = 0.915 * 50e9
    gather_s = 63 / 64 * 2 * 405_853_388_800 / 8 / port_bytes_per_s
    # 430 shard groups, and the shards of the smallest one of 37 replicas.
    between_s = 2 * 429 / 430 * 2 * 405_853_388_800 / 8 / 37 / port_bytes_per_s
    for count in (1, 4):
        found = terms(COLOSSUS_1_BARE, "h100", {**idle, "workload.n_microbatches": count})
        assert found["forward"].cost.transfer_s == pytest.approx(count * gather_s)
        assert found["last backward"].cost.transfer_s == pytest.approx(2 * gather_s + between_s)
        early = found["early backward"].cost.transfer_s if count > 1 else 0.0
        assert early == pytest.approx((count - 1) * 2 * gather_s)


def test_groups_smaller_than_a_domain_meet_within_it_too() -> None:
    changes = {"layout.shard_group_replicas": 2, "layout.tensor": 2, "fabric.latency_s": 0.0}
    found = terms("h100-1k", "h100", {**changes, "pools.h100.gpu": "b200-sxm"})
    # Four replicas a domain are two groups: between groups, two ranks a domain.
    shard_bytes = 2 * 70_553_706_496 / 2 / 2
    between_s = 2 * 127 / 128 * shard_bytes / 2 / (0.915 * 50e9)
    assert found["last backward"].cost.transfer_s == pytest.approx(between_s)


def test_terms_hide_behind_their_own_phase_of_the_step() -> None:
    scenario = hm.load(COLOSSUS_1_BARE, {"workload.n_microbatches": 4, "workload.overhead_s": 1.0})
    time = compute_time(scenario, "h100")
    found = {term.phase: term for term in pool_plan(scenario, "h100").terms}
    assert found["forward"].window_s == 4 * time.forward_s
    assert found["early backward"].window_s == 3 * time.backward_s
    assert found["last backward"].window_s == time.backward_s
    assert sum(term.window_s for term in found.values()) == pytest.approx(time.step_s - 1.0)


def test_without_sharding_gradients_are_reduced_once_a_step() -> None:
    changes = {
        "layout.sharding": "none",
        "layout.shard_group_replicas": None,
        "pools.h100.gpu": "b200-sxm",
        "workload.model": "llama3-70b",
        "fabric.latency_s": 0.0,
    }
    found = terms("h100-1k", "h100", changes)
    gradient_bytes = 2 * 70_553_706_496 / 8
    assert list(found) == ["last backward"]
    expected = 2 * 127 / 128 * gradient_bytes / (0.915 * 50e9)
    assert found["last backward"].cost.transfer_s == pytest.approx(expected)


def test_a_single_replica_has_no_terms() -> None:
    changes = {"pools.h100.n_gpus": 8, "pools.h100.gpu": "b200-sxm"}
    alone = {**changes, "layout.shard_group_replicas": 1}
    small = {"pools.h100.gpu": "b200-sxm", "pools.h100.n_gpus": 16}
    assert len(terms("h100-1k", "h100", {**small, "layout.shard_group_replicas": 2})) == 3
    try:
        assert terms("h100-1k", "h100", alone) == {}
    except hm.ScenarioError as error:
        pytest.fail(str(error))


def test_a_port_is_as_fast_as_the_slower_of_card_and_fabric() -> None:
    fast = terms("h100-1k", "h100", {})["forward"].cost.transfer_s
    slow = terms("h100-1k", "h100", {"pools.h100.gpu": "a100-sxm"})["forward"].cost.transfer_s
    assert slow == pytest.approx(2 * fast)
