"""Exchange of tokens: copies and bytes against enumeration and figures worked out by hand.

Worked figures: DeepSeek-V3's hidden width of 7,168 and 8 of 256 experts for a token, on 8 nodes of
8 GPUs; 4,096 tokens, ports of 45 GB/s and scale-up links of 164.8 GB/s, no latency.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations
from typing import Any

import pytest
from tests.plans import compute_time, job

import hindmost as hm
from hindmost import catalog
from hindmost.catalog import Experts
from hindmost.collective import Link, relayed_all_to_all
from hindmost.physics.compute import ComputeTime
from hindmost.physics.experts import domains_met, pass_s
from hindmost.physics.formats import value_bytes
from hindmost.physics.links import Links
from hindmost.spread import Spread

Changes = dict[str, Any]

PORT = Link(latency_s=0.0, bytes_per_s=45e9)
SCALE_UP = Link(latency_s=0.0, bytes_per_s=164.8e9)
TOKENS = 4096
NODES = Spread.of(64, 8)

DEEPSEEK: Changes = {
    "pools.h100.n_gpus": 64,
    "layout.sharding": "none",
    "layout.tensor": 1,
    "layout.expert": 64,
    "workload.n_microbatches": 1,
    "workload.microbatch_seqs": 1,
    "workload.seq_len": TOKENS,
    "workload.recompute": "none",
    "workload.model": "deepseek-v3",
}


def of_8_nodes(dtype: str, *, scale_up: Link = SCALE_UP, port: Link = PORT) -> float:
    """Return the seconds of sending the tokens of a rank to their experts."""
    return relayed_all_to_all(
        TOKENS * 7168 * value_bytes(dtype),
        to_domains=4,
        to_ranks=8,
        spread=NODES,
        scale_up=scale_up,
        port=port,
    ).total_s


@pytest.mark.parametrize(("dtype", "n_bytes"), [("fp8", 25_872), ("bf16", 50_176)])
def test_bytes_out_of_a_port_for_a_token_and_layer(dtype: str, n_bytes: int) -> None:
    slow = Link(latency_s=0.0, bytes_per_s=1.0)
    assert of_8_nodes(dtype, port=slow) / TOKENS == pytest.approx(n_bytes)


def test_seconds_of_dispatch_and_combine() -> None:
    dispatch_s, combine_s = of_8_nodes("fp8"), of_8_nodes("bf16")
    assert round(1e3 * dispatch_s, 3) == 2.355
    assert round(1e3 * combine_s, 3) == 4.567
    layer_s = 2 * (dispatch_s + combine_s)
    assert round(1e3 * layer_s, 2) == 13.84
    assert round(1e3 * 4 * layer_s, 1) == 55.4
    assert round(58 / 16 * 120 * layer_s, 2) == 6.02


def test_seconds_within_nodes() -> None:
    fast = Link(latency_s=0.0, bytes_per_s=1e30)
    assert round(1e3 * of_8_nodes("fp8", port=fast), 2) == 1.29
    assert round(1e3 * of_8_nodes("bf16", port=fast), 2) == 2.49


LINKS = Links(scale_up=SCALE_UP, port=PORT)


def test_a_pass_of_a_layer_is_one_dispatch_and_one_combine() -> None:
    fp8: Changes = {"workload.expert_dispatch_dtype": "fp8"}
    of_rank = job(hm.load("h100-1k", DEEPSEEK | fp8))
    assert pass_s(of_rank, LINKS, NODES) == pytest.approx(of_8_nodes("fp8") + of_8_nodes("bf16"))
    in_bf16 = job(hm.load("h100-1k", DEEPSEEK))
    assert pass_s(in_bf16, LINKS, NODES) == pytest.approx(2 * of_8_nodes("bf16"))


def test_one_copy_an_expert() -> None:
    copies = job(hm.load("h100-1k", DEEPSEEK | {"workload.expert_copies": "expert"}))
    assert round(1e3 * pass_s(copies, LINKS, NODES) / 2, 2) == 9.13


def deepseeks() -> Experts:
    found = catalog.model("deepseek-v3").experts
    assert found is not None
    return found


def experts(n: int, per_token: int, groups: int | None = None, limit: int | None = None) -> Experts:
    return Experts(
        n_experts=n, per_token=per_token, ffn_hidden=1, n_groups=groups, node_limit=limit
    )


def test_nodes_that_eight_of_256_experts_lie_in() -> None:
    assert round(domains_met(experts(256, 8), 8), 3) == 5.295
    # In four nodes that are chosen beforehand.
    assert round(domains_met(experts(128, 8), 4), 3) == 3.629
    assert domains_met(deepseeks(), 8) == pytest.approx(4)
    assert domains_met(experts(256, 8), 1) == 1


@pytest.mark.parametrize(("n", "domains", "per_token"), [(8, 4, 2), (12, 3, 5), (12, 6, 1)])
def test_domains_met_by_enumeration(n: int, domains: int, per_token: int) -> None:
    picked = list(combinations(range(n), per_token))
    met = sum(len({e * domains // n for e in some}) for some in picked) / len(picked)
    assert domains_met(experts(n, per_token), domains) == pytest.approx(met)


@pytest.mark.parametrize(("domains", "groups", "limit"), [(4, 8, 4), (3, 12, 5), (6, 6, 2)])
def test_a_limited_router_by_enumeration_of_its_groups(
    domains: int, groups: int, limit: int
) -> None:
    picked = list(combinations(range(groups), limit))
    met = sum(len({g * domains // groups for g in some}) for some in picked) / len(picked)
    limited = experts(10 * groups, 8, groups, limit)
    unlimited = domains_met(experts(10 * groups, 8), domains)
    assert domains_met(limited, domains) == pytest.approx(min(met, unlimited))


def test_a_limited_router_meets_domains_of_its_groups_only() -> None:
    # Two of 32 experts in each of four groups, which have two domains each.
    in_group = 2 * (1 - (16 * 15) / (32 * 31))
    assert domains_met(deepseeks(), 16) == pytest.approx(4 * in_group)
    # Without groups of the router those of a domain are one.
    assert domains_met(experts(256, 8, None, 3), 8) == pytest.approx(3)
    # A limit that never binds changes nothing.
    assert domains_met(experts(256, 8, 8, 8), 8) == domains_met(experts(256, 8), 8)
    # Two experts a domain: eight experts lie in four domains at least.
    assert domains_met(experts(64, 8, None, 1), 32) == 4


@pytest.mark.parametrize(("groups", "limit"), [(8, 4), (8, 3), (4, 2), (8, 1)])
def test_more_domains_are_met_the_more_there_are(groups: int, limit: int) -> None:
    router = experts(256, 8, groups, limit)
    met = [domains_met(router, n) for n in range(1, 257)]
    assert met == sorted(met)
    assert met[0] == 1
    assert met[-1] <= 8


@pytest.mark.parametrize(("n", "per_domain"), [(4, 2), (8, 4), (12, 4), (9, 3), (3, 3), (4, 1)])
def test_relayed_copies_message_by_message(n: int, per_domain: int) -> None:
    """Every rank sends every pair of ranks one piece, which the rank of its number relays."""
    sent: dict[tuple[str, int], float] = defaultdict(float)
    pairs = list(combinations(range(n), 2))
    met = sum(len({rank // per_domain for rank in pair}) for pair in pairs) / len(pairs)
    for source in range(n):
        for pair in pairs:
            for domain in {rank // per_domain for rank in pair}:
                relay = domain * per_domain + source % per_domain
                if domain != source // per_domain:
                    sent["port", source] += 1 / len(pairs)
                for rank in pair:
                    if rank // per_domain == domain and rank != relay:
                        sent["scale_up", relay] += 1 / len(pairs)
    port = max((v for (kind, _), v in sent.items() if kind == "port"), default=0.0)
    scale_up = max((v for (kind, _), v in sent.items() if kind == "scale_up"), default=0.0)
    cost = relayed_all_to_all(
        1.0,
        to_domains=met,
        to_ranks=2,
        spread=Spread.of(n, per_domain),
        scale_up=Link(latency_s=0.1, bytes_per_s=1.0),
        port=Link(latency_s=0.01, bytes_per_s=1.0),
    )
    assert cost.transfer_s == pytest.approx(port)
    assert cost.total_s - cost.latency_s == pytest.approx(max(port, scale_up))
    hops = 0.01 * (n > per_domain) + 0.1 * (per_domain > 1)
    assert cost.latency_s == pytest.approx(hops)


def passes(*changes: Changes) -> ComputeTime:
    table = {key: value for one in changes for key, value in one.items()}
    return compute_time(hm.load("h100-1k", DEEPSEEK | table), "h100")


@pytest.mark.parametrize("recompute", ["none", "full"])
def test_compute_hides_the_exchange_of_its_microbatch(recompute: str) -> None:
    again: Changes = {"workload.recompute": recompute}
    n = 3 if recompute == "full" else 2
    alone = passes(again, {"layout.expert": 1})
    compute_s = alone.forward_s + alone.backward_s
    exposed = passes(again)
    each_s = exposed.forward_s - alone.forward_s
    assert exposed.backward_s - alone.backward_s == pytest.approx((n - 1) * each_s)
    fraction, share = 0.2, 0.6
    behind: Changes = {
        "workload.expert_overlap_fraction": fraction,
        "workload.expert_bandwidth_share": share,
    }
    partly = passes(again, behind)
    left_s = n * each_s - fraction * share * compute_s
    assert left_s > 0
    total_s = partly.forward_s + partly.backward_s
    assert total_s == pytest.approx(compute_s + left_s)
    assert partly.forward_s - alone.forward_s == pytest.approx(left_s / n)


def test_compute_that_lasts_longer_hides_all_of_it() -> None:
    of_node: Changes = {"layout.expert": 8}
    alone, exposed = passes({"layout.expert": 1}), passes(of_node)
    exchange_s = exposed.step_s - alone.step_s
    assert 0 < exchange_s < 0.9 * alone.step_s
    hidden = passes(of_node, {"workload.expert_overlap_fraction": 0.9})
    assert hidden.step_s == pytest.approx(alone.step_s)


def test_deepseeks_preset_exposes_what_its_trace_does() -> None:
    """118.2 ms of compute, 55.4 ms of bytes, of which 104.7 ms hide: 10.4 ms are exposed."""
    compute_s, bytes_s, hidden_s, exposed_s = 118.2e-3, 55.36e-3, 0.91 * 115.1e-3, 0.09 * 115.1e-3
    workload = hm.load("deepseek-v3-2048").workload
    fraction, share = workload.expert_overlap_fraction, workload.expert_bandwidth_share
    assert fraction == pytest.approx(hidden_s / compute_s, abs=5e-4)
    assert share == pytest.approx((bytes_s - exposed_s) / hidden_s, abs=5e-3)
    assert bytes_s - fraction * share * compute_s == pytest.approx(exposed_s, abs=1e-4)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("expert_overlap_fraction", 0.5, "0.0"),
        ("expert_bandwidth_share", 0.5, "1.0"),
        ("expert_copies", "expert", "domain"),
        ("expert_dispatch_dtype", "fp8", "bf16"),
    ],
)
def test_a_model_without_experts_exchanges_no_tokens(key: str, value: Any, expected: str) -> None:
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", {f"workload.{key}": value})
    assert f"workload.{key} must be {expected}: llama3-70b has no experts" in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_groups": 3}, "n_groups must be a divisor of n_experts (8), got 3"),
        ({"n_groups": 4}, "node_limit must be given where n_groups is"),
        ({"n_groups": 4, "node_limit": 5}, "node_limit must be <= n_groups (4), got 5"),
        ({"n_groups": 8, "node_limit": 1}, "node_limit must be such that so many groups have"),
        ({"node_limit": 0}, "node_limit"),
    ],
)
def test_groups_that_no_router_has_are_refused(changes: Changes, words: str) -> None:
    model = catalog.model("mixtral-8x7b").model_dump(exclude_none=True)
    model["experts"] |= changes
    table = {"models.mine": {k: v for k, v in model.items() if k not in ("name", "title", "basis")}}
    with pytest.raises(hm.ScenarioError) as refused:
        hm.load("h100-1k", table | {"workload.model": "mine"})
    assert words in str(refused.value)
