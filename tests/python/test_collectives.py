"""One collective by itself: closed forms, bus bandwidth, refusals, and the command."""

from __future__ import annotations

import csv
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

import hindmost as hm
from hindmost.collective import torus
from hindmost.collective.cost import Link

HOP_S, PORT, SCALE_UP_HOP_S, SCALE_UP = 14e-6, 0.915 * 50e9, 3.4e-6, 370.8e9
"""Figures of h100-sxm on infiniband-ndr."""
GIB = 2**30


def costs(operation: str = "all-reduce", **call: Any) -> hm.CollectiveCosts:
    """Return what collectives cost, by default on H100 and InfiniBand NDR."""
    where = {"gpus": 1000, "n_bytes": "1GiB", "gpu": "h100-sxm", "fabric": "infiniband-ndr"}
    return hm.collective_costs(operation, **{**where, **call})


def only(operation: str = "all-reduce", **call: Any) -> hm.CollectiveCost:
    """Return what the only collective of a call costs."""
    (one,) = costs(operation, **call).costs
    return one


def refusals(operation: str = "all-reduce", **call: Any) -> list[str]:
    """Return all problems of a call."""
    with pytest.raises(hm.ScenarioError) as refused:
        costs(operation, **call)
    return [str(problem) for problem in refused.value.problems]


@pytest.mark.parametrize("n_bytes", [2**20, GIB])
@pytest.mark.parametrize("n", [16, 1_000, 10_000, 100_000])
def test_a_ring_by_hand(n: int, n_bytes: int) -> None:
    one = only(gpus=n, n_bytes=n_bytes, algorithms="ring")
    domains = n // 8
    latency_s = 2 * ((domains - 1) * HOP_S + (n - domains) * SCALE_UP_HOP_S)
    bandwidth_s = 2 * (n - 1) / n * n_bytes / 8 / PORT
    assert one.latency_s == pytest.approx(latency_s, rel=1e-12)
    assert one.bandwidth_s == pytest.approx(bandwidth_s, rel=1e-12)
    assert one.time_s == one.latency_s + one.bandwidth_s
    assert one.bus_bytes_per_s == pytest.approx(2 * (n - 1) / n * n_bytes / one.time_s, rel=1e-12)


def test_one_rank_a_domain_by_hand() -> None:
    for operation, halves in (("all-reduce", 2), ("reduce-scatter", 1), ("all-gather", 1)):
        one = only(operation, gpus=430, gpus_per_domain=1, algorithms="hierarchical")
        # 430 domains: nine doublings.
        assert one.latency_s == pytest.approx(halves * 9 * HOP_S)
        assert one.bandwidth_s == pytest.approx(halves * 429 / 430 * GIB / PORT)
    pat = only("all-gather", gpus=430, gpus_per_domain=1, algorithms="pat")
    assert (pat.latency_s, pat.bandwidth_s) == (one.latency_s, one.bandwidth_s)
    # The seven other ranks of each domain stand for seven other communicators.
    assert one.bus_bytes_per_s == pytest.approx(429 / 430 * GIB / one.time_s)


def test_without_latency_a_ring_has_the_bus_bandwidth_of_its_ports() -> None:
    idle = {"fabric.latency_s": 0.0, "pools.job.scale_up_latency_s": 0.0}
    for operation in ("all-reduce", "reduce-scatter", "all-gather"):
        found = costs(operation, gpus=[16, 1_000, 100_000], algorithms="ring", changes=idle)
        for one in found.costs:
            assert one.bus_bytes_per_s == pytest.approx(8 * PORT, rel=1e-12)


def test_an_all_to_all_by_hand() -> None:
    one = only("all-to-all", gpus=64)
    assert one.algorithm == "direct"
    assert one.latency_s == HOP_S
    assert one.bandwidth_s == pytest.approx(56 / 64 * GIB / PORT)
    assert one.bus_bytes_per_s == pytest.approx(63 / 64 * GIB / one.time_s)


def test_within_a_domain_no_port_is_used() -> None:
    for n in (2, 3, 8):
        one = only("all-gather", gpus=n, algorithms="ring")
        assert one.latency_s == pytest.approx((n - 1) * SCALE_UP_HOP_S)
        assert one.bandwidth_s == pytest.approx((n - 1) / n * GIB / SCALE_UP)
    alone = only(gpus=1, algorithms="tree")
    assert (alone.time_s, alone.bus_bytes_per_s) == (0.0, None)


def test_five_nodes_with_four_ports_each() -> None:
    """Measured at 1 GiB: rings 190 GB/s, trees 150 GB/s (nccl issue 1368)."""
    found = costs(gpus=40, changes={"pools.job.nic_bytes_per_s": 25e9})
    bus = {one.algorithm: round((one.bus_bytes_per_s or 0) / 1e9) for one in found.costs}
    assert (bus["ring"], bus["tree"]) == (178, 176)
    # Four fifths of the data cross the ports of a node instead of 39 in 40.
    assert bus["hierarchical"] == 220 >= 178
    # Two nodes: trees beat rings nearly twofold (nccl issues 812 and 946).
    two = costs(gpus=16, algorithms=["ring", "tree"], changes={"pools.job.nic_bytes_per_s": 25e9})
    assert [round((one.bus_bytes_per_s or 0) / 1e9) for one in two.costs] == [181, 339]


def test_domains_that_are_used_in_part() -> None:
    call: dict[str, Any] = {"gpu": "gb200-nvl72", "gpus": 1024, "algorithms": "ring"}
    found = costs(**call, changes={"pools.job.domain_gpus_used": 64})
    (one,) = found.costs
    # 64 ports are faster than the links of one GPU to the others.
    sent_bytes = 2 * 1023 / 1024 * GIB
    within_s = sent_bytes * 63 / 64 / found.links["scale_up"].bytes_per_s
    assert one.bandwidth_s == pytest.approx(within_s)
    assert within_s > sent_bytes / 64 / PORT
    # Two of eight GPUs, four such communicators in each domain.
    for n, domains in ((1, 1), (2, 1), (16, 8)):
        one = only("all-gather", gpus=n, gpus_per_domain=2, algorithms="ring")
        hops_s = (domains - 1) * HOP_S + (n - domains) * SCALE_UP_HOP_S
        assert one.latency_s == pytest.approx(hops_s)
    assert one.bandwidth_s == pytest.approx(15 / 16 * GIB / 2 / PORT)


def test_a_torus_by_its_shape() -> None:
    for operation in ("all-reduce", "all-gather"):
        call = {"gpus": 64, "gpu": "tpu-v4", "fabric": "tpu-ici-v4", "shape": [4, 4, 4]}
        found = costs(operation, **call)
        (one,) = found.costs
        link = found.links["torus"]
        assert isinstance(link, Link)
        by_hand = getattr(torus, operation.replace("-", "_"))(GIB, shape=(4, 4, 4), link=link)
        assert one.time_s == pytest.approx(by_hand.total_s)


def test_tiers_slow_what_crosses_them() -> None:
    sites = {"extends": "infiniband-ndr", "oversubscription": 4.0, "tier_domains": 4}
    call: dict[str, Any] = {"gpus": 64, "algorithms": "ring", "fabric": "sites"}
    found = costs(**call, changes={"fabrics.sites": sites})
    (one,) = found.costs
    assert list(found.links) == ["scale_up", "port", "tier_1"]
    # A ring leaves each group of four domains once, over the links that 32 GPUs have.
    through_ports = 2 * 63 / 64 * GIB / 8 / PORT
    over_tier = 2 * 63 / 64 * GIB / 32 / (PORT / 4)
    assert one.bandwidth_s == pytest.approx(max(through_ports, over_tier))
    alone = only(**call | {"gpus": 32}, changes={"fabrics.sites": sites})
    assert alone.bandwidth_s == pytest.approx(2 * 31 / 32 * GIB / 8 / PORT)


def test_nccls_latency_replaces_that_of_hops() -> None:
    hops, nccl = (
        only(gpus=[16_384], algorithms="tree", latency=latency) for latency in ("hops", "nccl")
    )
    assert round(1e6 * nccl.latency_s, 1) == 372.4
    assert nccl.bandwidth_s == hops.bandwidth_s
    by_host = [
        only(gpus=64, algorithms="ring", latency="nccl", host=host).latency_s
        for host in ("intel", "amd")
    ]
    assert by_host[0] < by_host[1]


def test_costs_come_by_gpus_then_bytes_then_algorithms_each_once() -> None:
    found = costs(gpus=[80, 16, 80], n_bytes=["1MiB", 2**20, "2MB"], algorithms=["tree", "ring"])
    rows = [(one.n_gpus, one.bytes, one.algorithm) for one in found.costs]
    sizes, algorithms = (2**20, 2_000_000), ("tree", "ring")
    assert rows == [(n, size, name) for n in (80, 16) for size in sizes for name in algorithms]
    assert found.frame.rows(named=True) == found.rows


@pytest.mark.parametrize(
    ("operation", "per_domain", "expected"),
    [
        ("all-reduce", None, ["hierarchical", "ring", "tree"]),
        ("all-reduce", 1, ["hierarchical", "ring", "tree"]),
        ("all-gather", None, ["hierarchical", "ring"]),
        ("reduce-scatter", 1, ["hierarchical", "ring", "pat"]),
        ("all-to-all", None, ["direct"]),
    ],
)
def test_by_default_all_algorithms_that_do_it(
    operation: str, per_domain: int | None, expected: list[str]
) -> None:
    found = costs(operation, gpus=64, gpus_per_domain=per_domain)
    assert [one.algorithm for one in found.costs] == expected


def test_what_is_found_is_a_value() -> None:
    found = costs(gpus=[8, 16])
    assert pickle.loads(pickle.dumps(found)) == found == costs(gpus=[8, 16])
    inputs = {key: value for key, value in found.inputs.items() if key != "operation"}
    again = hm.collective_costs(found.inputs["operation"], gpus=[8, 16], n_bytes="1GiB", **inputs)
    assert again == found


WHOLE = "gpus must be whole domains of {} GPUs, or at most one of them, got {}; {} would do"
REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a part of a node": ("all-reduce", {"gpus": 1001}, WHOLE.format(8, "1,001", "1,000 or 1,008")),
    "a part of a rack": (
        "all-reduce",
        {"gpus": 1000, "gpu": "gb200-nvl72"},
        WHOLE.format(72, "1,000", "936 or 1,008"),
    ),
    "no GPUs": ("all-reduce", {"gpus": 0}, "gpus must be integers from 1 to 2,147,483,647, got 0"),
    "no list of GPUs": ("all-reduce", {"gpus": []}, "gpus must name at least one number"),
    "a prefix without B": (
        "all-reduce",
        {"n_bytes": "1M"},
        'bytes must be whole numbers of bytes from 1 B to 1 EiB, got "1M"; such as 4096, 1MiB '
        "(2^20) or 1MB (10^6)",
    ),
    "an operation": (
        "allreduce",
        {},
        "operation must be all-reduce, reduce-scatter, all-gather or all-to-all, got "
        '"allreduce"; did you mean "all-reduce"?',
    ),
    "an algorithm": (
        "all-reduce",
        {"algorithms": "rings"},
        'algorithm must be names of algorithms, got "rings"; did you mean "ring"?',
    ),
    "a GPU": (
        "all-reduce",
        {"gpu": "gb200"},
        'gpu must be one of the catalogue\'s gpus, got "gb200"; did you mean "gb200-nvl72"?',
    ),
    "PAT for an all-reduce": (
        "all-reduce",
        {"algorithms": "pat", "gpus_per_domain": 1},
        "algorithm must not be pat for all-reduce: it does reduce-scatter and all-gather only, got "
        '"pat"; hierarchical, ring or tree would do',
    ),
    "PAT with whole nodes": (
        "all-gather",
        {"algorithms": "pat"},
        'algorithm must not be pat with 8 GPUs in a domain: NCCL\'s takes one, got "pat"; '
        "gpus_per_domain = 1 would do",
    ),
    "a tree for a gather": (
        "all-gather",
        {"algorithms": "tree"},
        'algorithm must not be tree for all-gather: it does all-reduce only, got "tree"; '
        "hierarchical, ring or pat would do",
    ),
    "a torus of switches": (
        "all-reduce",
        {"algorithms": "torus"},
        'algorithm must not be torus: infiniband-ndr has switches, got "torus"',
    ),
    "a shape of switches": (
        "all-reduce",
        {"shape": [10, 100]},
        "shape must be absent: infiniband-ndr is no torus, got [10, 100]",
    ),
    "rings of a torus": (
        "all-reduce",
        {"gpus": 64, "gpu": "tpu-v4", "fabric": "tpu-ici-v4", "shape": [4, 4, 4]}
        | {"algorithms": "ring"},
        'algorithm must be torus on tpu-ici-v4, which is one, got "ring"',
    ),
    "a torus without a shape": (
        "all-reduce",
        {"gpus": 64, "gpu": "tpu-v4", "fabric": "tpu-ici-v4"},
        "shape is missing: tpu-ici-v4 is a torus; the ranks along each dimension, such as 4x4x8",
    ),
    "a torus of other ranks": (
        "all-reduce",
        {"gpus": 65, "gpu": "tpu-v4", "fabric": "tpu-ici-v4", "shape": [4, 4, 4]},
        "gpus must be 64, the ranks of the torus, got 65",
    ),
    "an all-to-all of a torus": (
        "all-to-all",
        {"gpus": 64, "gpu": "tpu-v4", "fabric": "tpu-ici-v4", "shape": [4, 4, 4]},
        'operation must be one that is modelled on tpu-ici-v4, got "all-to-all"',
    ),
    "NCCL's hierarchy": (
        "all-reduce",
        {"algorithms": "hierarchical", "latency": "nccl"},
        'algorithm must be ring, tree or pat where latency is "nccl", got "hierarchical"',
    ),
    "a share of a domain": (
        "all-reduce",
        {"gpus_per_domain": 3},
        "gpus_per_domain must divide the 8 GPUs of a domain of h100-sxm, got 3; 1, 2, 4 or 8 "
        "would do",
    ),
    "a figure that nobody published": (
        "all-reduce",
        {"gpu": "mi300x"},
        "pools.job.scale_up_latency_s is missing: the catalogue has none for mi300x; give what "
        "yours has",
    ),
    "a job's key": (
        "all-reduce",
        {"changes": {"workload.seq_len": 1}},
        "changes: workload.seq_len is not a known key; there is pools, fabric, gpus, fabrics",
    ),
    "a figure of something else": (
        "all-reduce",
        {"changes": {"pools.job.nic_byte_per_s": 1}},
        "changes: pools.job.nic_byte_per_s is no figure of a collective; did you mean "
        '"pools.job.nic_bytes_per_s"?',
    ),
    "a fabric that hardly moves": (
        "all-reduce",
        {"changes": {"fabric.bandwidth_efficiency": 1e-315}},
        "bytes must be moved in a finite number of seconds, got 1073741824",
    ),
    "a port that the fabric does not carry": (
        "all-reduce",
        {"changes": {"pools.job.nic_bytes_per_s": 100e9}},
        "changes: pools.job.nic_bytes_per_s must be <= 5e+10, the line rate of infiniband-ndr, got "
        "100000000000; [fabrics.NAME] with extends and port_bytes_per_s is a faster fabric",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_would_do(name: str) -> None:
    operation, call, expected = REFUSED[name]
    assert refusals(operation, **call) == [expected]


def test_all_problems_are_named_at_once() -> None:
    said = refusals(
        "reduce",
        gpus=[0, 1.5],
        n_bytes=["-1", True],
        gpu="h100",
        fabric="infiniband",
        algorithms=["rings", "pats"],
        latency="nccls",
        host="arm",
        changes={"layout.tensor": 8, "fabric.latency_s": -1},
    )
    paths = [line.removeprefix("changes: ").split()[0] for line in said]
    assert sorted(paths) == sorted(
        ["operation", "latency", "host", "gpu", "fabric", "layout.tensor", "fabric.latency_s"]
        + ["gpus", "bytes", "algorithm"] * 2
    )


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run `hindmost collective` on H100 and InfiniBand NDR."""
    where = ("--gpu", "h100-sxm", "--fabric", "infiniband-ndr")
    return subprocess.run(
        [sys.executable, "-m", "hindmost", "collective", *words, *where],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=20,
        check=False,
    )


ASKED = ("--gpus", "1000,10000", "--bytes", "1MiB,1GiB", "--algorithm", "ring,tree")


def test_json_and_csv_are_the_rows_of_the_function() -> None:
    found = costs(gpus=[1000, 10000], n_bytes=["1MiB", "1GiB"], algorithms=["ring", "tree"])
    done = call("all-reduce", *ASKED, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document == json.loads(json.dumps(found.document()))
    assert document["inputs"]["operation"] == "all-reduce"
    keys = ["algorithm", "n_gpus", "bytes", "time_s", "latency_s", "bandwidth_s", "bus_bytes_per_s"]
    assert [list(row) for row in document["collectives"]] == [keys] * 8
    done = call("all-reduce", *ASKED, "--format", "csv")
    head, *rows = csv.reader(done.stdout.splitlines())
    assert head == keys
    assert [[name, *map(float, numbers)] for name, *numbers in rows] == [
        list(row.values()) for row in found.rows
    ]


def test_a_table_has_each_row_and_what_it_rests_on() -> None:
    done = call("all-reduce", *ASKED, "--set", "fabric.latency_s=20e-6")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("all-reduce: h100-sxm on infiniband-ndr, 8 GPUs a domain\n")
    assert done.stdout.count("\nring ") == done.stdout.count("\ntree ") == 4
    assert "\n  port: 45.75 GB/s, 20 us a hop\n" in done.stdout
    assert "\n  fabric.latency_s = 2e-05\n" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    markdown = call("all-reduce", *ASKED, "--format", "markdown").stdout
    assert markdown.count("| ring ") == 4


def test_a_wrong_call_exits_with_2_and_names_every_problem() -> None:
    done = call("all-reduce", "--gpus", "1001,x", "--bytes", "1M", "--algorithm", "pat")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.split()[1] for line in done.stderr.splitlines()] == [
        "gpus",
        "bytes",
        "gpus",
        "algorithm",
    ]
