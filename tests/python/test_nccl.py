"""NCCL's latencies against worked values and its own rules."""

import csv
from pathlib import Path

import pytest

from hindmost.collective import nccl
from hindmost.spread import Spread

DATA = Path(__file__).parents[3] / "shared" / "data" / "nccl_tuning_constants.csv"

PROTOCOLS: tuple[nccl.Protocol, ...] = ("LL", "LL128", "Simple")
Table = dict[nccl.Protocol, float]


def of_protocols(*latencies_us: float) -> Table:
    return dict(zip(PROTOCOLS, latencies_us, strict=True))


# NCCL 2.30.7 (commit 5067397c), src/graph/tuning.cc: the default constants of its tuner, in
# microseconds, by protocol: baseLatencies, hwLatencies and getNetOverhead().
BASE_US = {
    "tree": of_protocols(6.8, 14.0, 8.4),
    "ring": of_protocols(6.6, 14.0, 8.4),
    "pat": of_protocols(8.0, 8.0, 8.0),
}
HOP_US = {
    ("nvlink", "tree"): of_protocols(0.6, 1.25, 4.0),
    ("nvlink", "ring"): of_protocols(0.6, 1.9, 3.4),
    ("pci", "tree"): of_protocols(1.0, 1.9, 4.0),
    ("pci", "ring"): of_protocols(1.0, 2.5, 5.7),
}
NET_US: dict[str, Table] = {
    "tree": of_protocols(5.0, 8.5, 14.0),
    "ring": of_protocols(2.7, 4.0, 14.0),
    "pat": {"Simple": 14.0},
}
POSTING_US: dict[nccl.Host, float] = {"intel": 1.0, "amd": 2.0}


def us(seconds: float) -> float:
    return round(1e6 * seconds, 6)


def test_worked_values() -> None:
    assert us(nccl.ring_s("all_reduce", protocol="LL", n=16, n_nodes=2)) == 40.0
    assert us(nccl.ring_s("all_reduce", protocol="LL", n=16, n_nodes=2, host="amd")) == 68.0
    assert us(nccl.tree_s(protocol="Simple", n=16_384, n_nodes=2_048)) == 372.4


def test_a_step_within_a_node_takes_at_least_the_posting_where_nodes_are_several() -> None:
    # 14 steps within nodes at 3.4 us, or at 3 and 6 us of posting; the rest between them at 14 us.
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
    for protocol in PROTOCOLS:
        half = nccl.ring_s("all_gather", protocol=protocol, n=48, n_nodes=6, intra="pci")
        whole = nccl.ring_s("all_reduce", protocol=protocol, n=48, n_nodes=6, intra="pci")
        assert us(whole) == us(2 * half - BASE_US["ring"][protocol] * 1e-6)


def test_the_plateau_begins_at_64_bytes_a_rank_and_channel() -> None:
    threshold = 64 * 16 * 128
    assert nccl.plateau(threshold - 1, n=128, n_nodes=16) == 1.0
    assert nccl.plateau(threshold, n=128, n_nodes=16) == 1.4
    assert nccl.plateau(threshold, n=128, n_nodes=16, compute_capability=70) == 1.9
    assert nccl.plateau(1e9, n=8, n_nodes=1) == 1.0


def test_a_scenario_gets_simple_with_the_plateau() -> None:
    ring = nccl.latency_s("all_reduce", 1e9, algorithm="ring", spread=Spread.of(430, 1))
    assert us(ring) == us(1.4 * (8.4 + 2 * 429 * 14) * 1e-6)
    gather = nccl.latency_s("all_gather", 1e9, algorithm="ring", spread=Spread.of(64, 1))
    assert us(gather) == 8.4 + 63 * 14
    pat = nccl.latency_s("all_gather", 1e9, algorithm="pat", spread=Spread.of(64, 1))
    assert us(pat) == 8 + 6 * 4 + 64 * 2.8
    tree = nccl.latency_s("all_reduce", 1e9, algorithm="tree", spread=Spread.of(16_384, 8))
    assert us(tree) == 372.4


def test_one_rank_waits_for_nobody() -> None:
    for collective in ("all_gather", "reduce_scatter", "all_reduce"):
        assert nccl.latency_s(collective, 1e9, algorithm="ring", spread=Spread.of(1, 8)) == 0
    assert nccl.latency_s("all_reduce", 1e9, algorithm="tree", spread=Spread.of(1, 1)) == 0
    assert nccl.latency_s("all_gather", 1e9, algorithm="pat", spread=Spread.of(1, 1)) == 0


def test_what_nccl_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no tree for all_gather"):
        nccl.latency_s("all_gather", 1e9, algorithm="tree", spread=Spread.of(64, 8))
    with pytest.raises(ValueError, match="no pat for all_reduce"):
        nccl.latency_s("all_reduce", 1e9, algorithm="pat", spread=Spread.of(64, 1))
    with pytest.raises(ValueError, match="at 8 ranks a node"):
        nccl.latency_s("all_gather", 1e9, algorithm="pat", spread=Spread.of(64, 8))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("host", POSTING_US)
@pytest.mark.parametrize("intra", ["nvlink", "pci"])
def test_a_ring_takes_the_constants_of_the_tuner(
    intra: nccl.Intra, host: nccl.Host, protocol: nccl.Protocol
) -> None:
    base, within, between, alone = (
        table[protocol]
        for table in (BASE_US["ring"], HOP_US[intra, "ring"], NET_US["ring"], NET_US["tree"])
    )
    postings = 3 if protocol == "Simple" else 1
    expected_us = {
        # 16 ranks on one node, on two, and one on each of 16.
        1: base + 15 * within,
        2: base + 14 * max(within, postings * POSTING_US[host]) + between,
        16: base + 15 * alone,
    }
    for n_nodes, latency_us in expected_us.items():
        found = nccl.ring_s(
            "all_gather", protocol=protocol, n=16, n_nodes=n_nodes, host=host, intra=intra
        )
        assert us(found) == pytest.approx(latency_us, rel=1e-6)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("intra", ["nvlink", "pci"])
def test_a_tree_takes_the_constants_of_the_tuner(
    intra: nccl.Intra, protocol: nccl.Protocol
) -> None:
    found = nccl.tree_s(protocol=protocol, n=64, n_nodes=8, intra=intra)
    steps_us = 7 * HOP_US[intra, "tree"][protocol] + 3 * NET_US["tree"][protocol]
    assert us(found) == pytest.approx(BASE_US["tree"][protocol] + 2 * steps_us, rel=1e-6)


def test_pat_takes_the_constants_of_the_tuner() -> None:
    expected_us = BASE_US["pat"]["Simple"] + 6 * NET_US["pat"]["Simple"] / 3.5 + 2.8 * 64
    assert us(nccl.pat_s(n=64)) == pytest.approx(expected_us, rel=1e-6)


@pytest.mark.skipif(not DATA.is_file(), reason="the published data are not beside the project")
def test_typed_constants_and_ours_are_those_of_the_data() -> None:
    hops = {**HOP_US, **{("net", algorithm): table for algorithm, table in NET_US.items()}}
    n_compared = 0
    with DATA.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            link, protocol = row["hw_or_gen"].lower(), row["protocol"]
            algorithm = row["algo_or_nodes"].lower()
            typed, ours = {
                "baseLatency": (BASE_US.get(algorithm), nccl._BASE.get(algorithm)),
                "hwLatency": (
                    hops.get((link, algorithm)),
                    nccl._HOP.get(link, {}).get(algorithm),
                ),
            }.get(row["constant"], (None, None))
            if typed and ours and protocol in typed:
                assert typed[protocol] == ours[protocol] == float(row["value"]), row
                n_compared += 1
    assert n_compared == 9 + 12 + 7
