"""NCCL's latencies against worked values and its own rules."""

import csv
from pathlib import Path

import pytest

from hindmost.collective import nccl

DATA = Path(__file__).parents[3] / "shared" / "data" / "nccl_tuning_constants.csv"


def us(seconds: float) -> float:
    return round(1e6 * seconds, 6)


def test_worked_values() -> None:
    assert us(nccl.ring_s("all_reduce", protocol="LL", n=16, n_nodes=2)) == 40.0
    assert us(nccl.ring_s("all_reduce", protocol="LL", n=16, n_nodes=2, host="amd")) == 68.0
    assert us(nccl.tree_s(protocol="Simple", n=16_384, n_nodes=2_048)) == 372.4


def test_a_hop_within_a_node_takes_at_least_the_posting_where_nodes_are_several() -> None:
    # 14 hops within nodes at 3.4 us, or at 3 and 6 us of posting; 2 between at 14 us.
    alone = nccl.ring_s("all_reduce", protocol="Simple", n=8, n_nodes=1, host="amd")
    assert us(alone) == us((8.4 + 14 * 3.4) * 1e-6)
    intel = nccl.ring_s("reduce_scatter", protocol="Simple", n=16, n_nodes=2)
    amd = nccl.ring_s("reduce_scatter", protocol="Simple", n=16, n_nodes=2, host="amd")
    assert us(intel) == us((8.4 + 14 * 3.4 + 14) * 1e-6)
    assert us(amd) == us((8.4 + 14 * 6.0 + 14) * 1e-6)


def test_one_rank_a_node_takes_the_network_constant_of_the_tree() -> None:
    assert us(nccl.ring_s("all_gather", protocol="LL", n=64, n_nodes=64)) == 6.6 + 63 * 5.0
    assert us(nccl.ring_s("all_gather", protocol="LL128", n=64, n_nodes=64)) == 14 + 63 * 8.5
    two = nccl.ring_s("all_gather", protocol="LL", n=128, n_nodes=64)
    assert us(two) == us((6.6 + 64 * 1.0 + 63 * 2.7) * 1e-6)


def test_logarithms_are_rounded_down() -> None:
    for shorter, longer in ((64, 127), (256, 511)):
        short, long = (nccl.tree_s(protocol="LL", n=n, n_nodes=n) for n in (shorter, longer))
        assert short == long < nccl.tree_s(protocol="LL", n=longer + 1, n_nodes=longer + 1)
    assert us(nccl.pat_s(n=127) - nccl.pat_s(n=64)) == us(63 * 2.8e-6)


def test_an_all_reduce_takes_twice_the_steps_of_half_of_it() -> None:
    for protocol in ("LL", "LL128", "Simple"):
        half = nccl.ring_s("all_gather", protocol=protocol, n=48, n_nodes=6, intra="pci")
        whole = nccl.ring_s("all_reduce", protocol=protocol, n=48, n_nodes=6, intra="pci")
        base = nccl._BASE["ring"][protocol]
        assert us(whole) == us(2 * half - base * 1e-6)


def test_the_plateau_begins_at_64_bytes_a_rank_and_channel() -> None:
    threshold = 64 * 16 * 128
    assert nccl.plateau(threshold - 1, n=128, n_nodes=16) == 1.0
    assert nccl.plateau(threshold, n=128, n_nodes=16) == 1.4
    assert nccl.plateau(threshold, n=128, n_nodes=16, compute_capability=70) == 1.9
    assert nccl.plateau(1e9, n=8, n_nodes=1) == 1.0


def test_a_scenario_gets_simple_with_the_plateau() -> None:
    ring = nccl.latency_s("all_reduce", 1e9, algorithm="ring", n=430, per_domain=1)
    assert us(ring) == us(1.4 * (8.4 + 2 * 429 * 14) * 1e-6)
    gather = nccl.latency_s("all_gather", 1e9, algorithm="ring", n=64, per_domain=1)
    assert us(gather) == 8.4 + 63 * 14
    pat = nccl.latency_s("all_gather", 1e9, algorithm="pat", n=64, per_domain=1)
    assert us(pat) == 8 + 6 * 4 + 64 * 2.8
    tree = nccl.latency_s("all_reduce", 1e9, algorithm="tree", n=16_384, per_domain=8)
    assert us(tree) == 372.4


def test_one_rank_waits_for_nobody() -> None:
    for collective in ("all_gather", "reduce_scatter", "all_reduce"):
        assert nccl.latency_s(collective, 1e9, algorithm="ring", n=1, per_domain=8) == 0
    assert nccl.latency_s("all_reduce", 1e9, algorithm="tree", n=1, per_domain=1) == 0
    assert nccl.latency_s("all_gather", 1e9, algorithm="pat", n=1, per_domain=1) == 0


def test_what_nccl_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no tree for all_gather"):
        nccl.latency_s("all_gather", 1e9, algorithm="tree", n=64, per_domain=8)
    with pytest.raises(ValueError, match="no pat for all_reduce"):
        nccl.latency_s("all_reduce", 1e9, algorithm="pat", n=64, per_domain=1)
    with pytest.raises(ValueError, match="at 8 ranks a node"):
        nccl.latency_s("all_gather", 1e9, algorithm="pat", n=64, per_domain=8)


@pytest.mark.skipif(not DATA.is_file(), reason="the published data are not beside the project")
def test_constants_are_the_published_ones() -> None:
    named = {"Tree": "tree", "Ring": "ring", "PAT": "pat"}
    n_compared = 0
    with DATA.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            algorithm = named.get(row["algo_or_nodes"], "")
            table = {
                "baseLatency": nccl._BASE,
                "hwLatency": nccl._HOP.get(row["hw_or_gen"].lower(), {}),
            }.get(row["constant"], {})
            if row["protocol"] in table.get(algorithm, {}):
                assert table[algorithm][row["protocol"]] == float(row["value"]), row
                n_compared += 1
    assert n_compared == 9 + 18 + 1
