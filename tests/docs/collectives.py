"""Renders docs/collectives.md; `python -m tests.docs.collectives` writes it."""

from __future__ import annotations

from functools import cache
from typing import Any

import hindmost as hm
from hindmost import catalog
from hindmost.physics.flops import parameters
from hindmost.units import BF16_BYTES, GIGA, shown_bytes
from tests.docs.markdown import ROOT
from tests.docs.rendered import filled, table_of

PAGE = ROOT / "docs" / "collectives.md"

H100: dict[str, Any] = {"gpu": "h100-sxm", "fabric": "infiniband-ndr"}
GPUS = (1_000, 10_000, 100_000)
SIZES = ("1MiB", "64MiB", "1GiB", "16GiB", "256GiB")
ALGORITHMS = ("ring", "tree", "hierarchical")
TENSOR = 8
"""Ranks of a tensor group, which fills a node in the job that the page asks about."""
SHARD_GROUP = 64
DATA_RANKS = (SHARD_GROUP, 125, 1_250, 12_500)
"""Ranks that have the same part of the model: a shard group, and all of 1,000 to 100,000 GPUs."""
JOB = "h100-1k"
JOBS = (1_024, 10_240, 102_400)


def render() -> str:
    """Return the page."""
    return "\n\n".join([head(), alone(), turn(), buckets(), jobs(), measured(), left_out()]) + "\n"


@cache
def costs(operation: str, **call: Any) -> hm.CollectiveCosts:
    """Return what collectives cost; lists are tuples."""
    return hm.collective_costs(operation, **call)


def one(operation: str, **call: Any) -> hm.CollectiveCost:
    """Return what the only collective of a call costs."""
    (found,) = costs(operation, **call).costs
    return found


def half_bytes(cost: hm.CollectiveCost) -> float:
    """Return the bytes for which latency and bandwidth would take as long, in bytes.

    Seconds of bandwidth are in proportion to bytes, and latency does not depend on them.
    """
    return cost.latency_s / cost.bandwidth_s * cost.bytes


def layer_bytes() -> int:
    """Return the weights of one layer of Llama 3 405B that a rank of a tensor group has."""
    model = catalog.model("llama3-405b")
    return round(BF16_BYTES * parameters(model) / TENSOR / model.n_layers)


@cache
def step_s(n_gpus: int, sharding: str, algorithm: str) -> float:
    """Return the seconds of a step without any cause of variation."""
    changes: dict[str, Any] = {
        "pools.h100.n_gpus": n_gpus,
        "layout.sharding": sharding,
        "collective.algorithm": algorithm,
    }
    result = hm.simulate(JOB, changes=changes, seed=0, runs=1, steps=1)
    return result.plan.noiseless_step_s


def head() -> str:
    """Return the claim, and the answer in short."""
    most, gib = GPUS[-1], "1GiB"
    ring, tree = (
        one("all-reduce", gpus=most, n_bytes=gib, algorithms=name, **H100)
        for name in ("ring", "tree")
    )
    flat, log, groups = (
        step_s(JOBS[-1], *how)
        for how in (("zero3", "ring"), ("zero3", "hierarchical"), ("hybrid", "ring"))
    )
    as_fast = _size(half_bytes(ring))
    return filled(f"""# Collectives from 1,000 to 100,000 GPUs

It is said that rings break at 100,000 GPUs: a ring has as many hops as ranks, so that its latency
grows with them, where that of trees grows with the logarithm. This page checks that with
`hindmost collective` on H100 with InfiniBand NDR: {_link()}. Nothing in it is random, and
`make references` renders it.

**In short.** It is true of one flat ring through all GPUs: an all-reduce of 1 GiB over
{most:,} takes {_ms(ring.time_s)} ms, {ring.latency_s / ring.time_s:.0%} of them latency, and
{_ms(tree.time_s)} ms over trees. It is not true of rings as such: the bandwidth that they reach
does not fall with their length, so that collectives that are large enough are hardly slower; but
here they are if they move far more than {as_fast}, and no job sends so much at once. And a job
need not have such a ring: of
{JOBS[-1]:,} GPUs a step takes {flat:.1f} s where everything is gathered by rings through all
data-parallel ranks, {log:.2f} s with algorithms of logarithmic latency, and {groups:.2f} s with
rings in shard groups. What breaks is flat rings, and jobs of this size can do without them.""")


def alone() -> str:
    """Return times of all-reduces by GPUs, bytes and algorithm."""
    found = costs("all-reduce", gpus=GPUS, n_bytes=SIZES, algorithms=ALGORITHMS, **H100)
    by_place: dict[tuple[int, int], dict[str, hm.CollectiveCost]] = {}
    for cost in found.costs:
        by_place.setdefault((cost.n_gpus, cost.bytes), {})[cost.algorithm] = cost
    rows = []
    for (n_gpus, n_bytes), of in by_place.items():
        ring = of["ring"]
        rows.append(
            (
                f"{n_gpus:,}",
                shown_bytes(n_bytes),
                *(_ms(of[name].time_s) for name in ALGORITHMS),
                f"{ring.latency_s / ring.time_s:.0%}",
                *(_rate(of[name]) for name in ("ring", "tree")),
            )
        )
    names = [f"{name}, ms" for name in ALGORITHMS]
    table = table_of(
        ["GPUs", "bytes", *names, "latency of the ring", "ring, GB/s", "tree, GB/s"], rows
    )
    text = filled("""## One all-reduce over all GPUs

Time, and bus bandwidth as nccl-tests define it. Each byte goes through a port about as often
with all three, so that they differ by latency: a ring takes `2 (N - 1)` hops between N
nodes and `2 (n - N)` within them, a tree `2 ceil(log2 N)` and 14.""")
    return f"{text}\n\n{table}"


def turn() -> str:
    """Return the bytes from which bandwidth counts more than latency."""
    rows = []
    for n_gpus in GPUS:
        found = costs("all-reduce", gpus=n_gpus, n_bytes="1GiB", algorithms=ALGORITHMS, **H100)
        nccl = costs(
            "all-reduce",
            gpus=n_gpus,
            n_bytes="1GiB",
            algorithms=("ring", "tree"),
            latency="nccl",
            **H100,
        )
        hops = 2 * (n_gpus - 1)
        rows.append(
            (
                f"{n_gpus:,}",
                f"{hops:,}",
                *(_ms(cost.latency_s) for cost in found.costs),
                *(_size(half_bytes(cost)) for cost in found.costs),
                *(_ms(cost.latency_s) for cost in nccl.costs),
            )
        )
    names = ["GPUs", "hops of a ring", *(f"{name}, ms" for name in ALGORITHMS)]
    names += [f"half of a {name}" for name in ALGORITHMS]
    names += [f"NCCL's {name}, ms" for name in ("ring", "tree")]
    ring = one("all-reduce", gpus=GPUS[-1], n_bytes="1GiB", algorithms="ring", **H100)
    text = filled(f"""## When latency counts more than bandwidth

Latency, and the bytes for which it is half of the time. Below these a collective is paid by its
hops. They grow with the number of GPUs in a ring: some {_size(half_bytes(ring) / GPUS[-1])} a
GPU, whatever their number. The last two columns are the latencies that NCCL's own tuner expects,
by which it chooses (`--latency nccl`, rules of NCCL 2.30.7): it comes to the same, and takes
the tree.""")
    return f"{text}\n\n{table_of(names, rows)}"


def buckets() -> str:
    """Return what a training job sends at once, and how long that takes."""
    n_bytes = layer_bytes()
    rows = []
    for n in DATA_RANKS:
        call: dict[str, Any] = {"gpus": n, "n_bytes": n_bytes, "gpus_per_domain": 1, **H100}
        ring, pat = (
            one("all-gather", **call, algorithms=name, latency=latency)
            for name, latency in (("ring", "hops"), ("pat", "hops"))
        )
        tuned = one("all-gather", **call, algorithms="pat", latency="nccl")
        of = "a shard group" if n == SHARD_GROUP else f"all of {n * TENSOR:,} GPUs"
        rows.append(
            (
                of,
                f"{n:,}",
                _ms(ring.time_s),
                f"{ring.latency_s / ring.time_s:.0%}",
                _size(half_bytes(ring)),
                _ms(pat.time_s),
                _ms(tuned.time_s),
            )
        )
    head = ["ranks", "number", "ring, ms", "its latency", "half of the ring"]
    table = table_of([*head, "PAT, ms", "PAT by NCCL's tuner, ms"], rows, left=(0,))
    most = DATA_RANKS[-1]
    text = filled(f"""## What a training job sends at once

Not 1 MiB, and not over all GPUs. Where tensor groups fill nodes of {TENSOR}, the ranks that
have the same part of the model are one a node. Sharded weights are gathered layer by layer: one
layer of Llama 3 405B is {_size(n_bytes)} for a rank, a gather without an all-reduce's second
half. PyTorch's DDP sends gradients in buckets of 25 MiB by default, and Megatron-LM in
buckets of 40 million parameters or of one million for each data-parallel rank, whichever is more,
so that latency does not set the pace of NCCL's rings
(megatron/core/distributed/distributed_data_parallel.py).

A gather of that layer:""")
    after = filled(f"""Among the {SHARD_GROUP} replicas of a shard group, latency is a few
percent of a ring. Among {most:,} ranks it is most of it, with layers of this size; buckets that
grow with the ranks, as Megatron-LM's do, stay above the half. PAT takes no longer than in the
smallest group if its latency is that of its rounds. NCCL's tuner expects 2.8 us a rank
besides, which is not of hops; no measurement at this size was found. NCCL has PAT since 2.23, for
one rank a node; its gathers and scatters over many nodes were rings before, and are elsewhere.""")
    return f"{text}\n\n{table}\n\n{after}"


def jobs() -> str:
    """Return steps of whole jobs by sharding and algorithm."""
    ways = {
        "rings, `zero3`": ("zero3", "ring"),
        "PAT, `zero3`": ("zero3", "pat"),
        "`hierarchical`, `zero3`": ("zero3", "hierarchical"),
        "rings, `hybrid`": ("hybrid", "ring"),
        "`hierarchical`, `hybrid`": ("hybrid", "hierarchical"),
    }
    rows = [(name, *(f"{step_s(n, *how):.3f}" for n in JOBS)) for name, how in ways.items()]
    table = table_of(["seconds of a step", *(f"{n:,} GPUs" for n in JOBS)], rows, left=(0,))
    text = filled(f"""## What it does to a job

`{JOB}` (Llama 3 70B, 16,384 tokens a replica and microbatch, two microbatches, one bucket a
layer) on more and more GPUs, without any variation. `zero3` gathers weights from all replicas,
`hybrid` from shard groups of 16 and reduces between these once a step. Up to 90% of the compute
of a phase hides its collectives.""")
    ring = [step_s(n, "zero3", "ring") for n in JOBS]
    most = JOBS[-1]
    of_groups = step_s(most, "hybrid", "ring") / step_s(most, "hybrid", "hierarchical") - 1
    after = filled(f"""At {JOBS[0]:,} GPUs no choice matters: all of it hides. Rings through
all replicas take {ring[1] / ring[0]:.1f} times as long at {JOBS[1]:,} and
{ring[2] / ring[0]:.0f} times at {JOBS[2]:,}. With shard groups, only the all-reduce between them
has so many ranks, once a step, and rings make a step {of_groups:.0%} longer. With logarithmic
latency the number of GPUs costs next to nothing.""")
    return f"{text}\n\n{table}\n\n{after}"


def measured() -> str:
    """Return what was measured, beside what is computed here."""
    nodes: dict[str, Any] = {"gpus": 40, "n_bytes": "1GiB", **H100}
    ports = {"pools.job.nic_bytes_per_s": 25e9}
    five = {
        name: hm.collective_costs("all-reduce", algorithms=name, changes=ports, **nodes).costs[0]
        for name in ALGORITHMS
    }
    b200: dict[str, Any] = {"gpu": "b200-sxm", "fabric": "infiniband-ndr", "gpus": 32}
    large = {
        name: one("all-reduce", n_bytes="16GiB", algorithms=name, **b200) for name in ALGORITHMS
    }
    small = {
        name: one("all-reduce", n_bytes="1MiB", algorithms=name, **b200) for name in ALGORITHMS
    }
    rows = [
        (
            "5 nodes of 8 H100, 4 ports of 400 Gb/s each, 1 GiB: NCCL's ring 190, its tree 150",
            *(_rate(five[name]) for name in ALGORITHMS),
        ),
        (
            "4 nodes of 8 B200, 8 ports of 400 Gb/s each, 16 GiB: 381.80",
            *(_rate(large[name]) for name in ALGORITHMS),
        ),
        ("the same, 1 MiB: 5.37", *(_rate(small[name]) for name in ALGORITHMS)),
    ]
    table = table_of(["measured, GB/s", *ALGORITHMS], rows, left=(0,))
    text = filled("""## What was measured

Bus bandwidth, all of few nodes: no published times of one collective by its number of ranks were
found for 10,000 GPUs and more.""")
    after = filled("""Sources: nccl issue 1368; S. Bekman, Machine Learning Engineering, 32 ranks
on four AWS P6-B200 (with EFA, computed here with the figures of InfiniBand NDR). `hierarchical`
stands for an all-reduce that reduces within a node first, so that `(N - 1) / N` of the data go
through ports and not `(n - 1) / n` as in rings: with few nodes that is much less, with many it
is the same. At 1 MiB what was measured is below a ring's figure, though the 14 us of a hop are
NCCL's constant for large messages and it has protocols with shorter hops for small ones: with
few nodes there is more to latency than hops.""")
    return f"{text}\n\n{table}\n\n{after}"


def left_out() -> str:
    """Return what the page does not say."""
    return filled("""## What is left out

- Hops of more than one latency. On a network of more than 100,000 GPUs those across racks, zones
and buildings are reported to be 7, 15 and 30 times as long as within a rack (NCCLX, arXiv
2510.20171, figure 7), and Llama 3's took tens of microseconds (section 3.3.3). A ring has most of
its hops within racks if ranks are numbered so, but each of its rounds waits for its longest hop.
- Noise. A ring waits for the slowest of all hops in each round: hops of random length make its
latency longer than the sum of their means (`hop_noise` in [the model](model.md)).
- Reduction in switches (SHARP, NVLS), which needs fewer hops and moves fewer bytes.""")


def _link() -> str:
    found = costs("all-reduce", gpus=GPUS, n_bytes=SIZES, algorithms=ALGORITHMS, **H100)
    port, within = found.links["port"], found.links["scale_up"]
    return (
        f"{port.bytes_per_s / GIGA:.2f} GB/s and {1e6 * port.latency_s:.0f} us a hop through the "
        f"port of each GPU, {within.bytes_per_s / GIGA:.1f} GB/s and "
        f"{1e6 * within.latency_s:.1f} us within a node of 8"
    )


def _ms(seconds: float) -> str:
    """Return milliseconds to three digits."""
    milliseconds = 1e3 * seconds
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def _rate(cost: hm.CollectiveCost) -> str:
    """Return a bus bandwidth in GB/s to three digits."""
    assert cost.bus_bytes_per_s is not None
    rate = cost.bus_bytes_per_s / GIGA
    return f"{rate:.0f}" if rate >= 100 else f"{rate:.3g}" if rate >= 0.01 else f"{rate:.4f}"


def _size(n_bytes: float) -> str:
    """Return bytes in kB, MB or GB to two digits, or more where these are before the point."""
    unit, name = next(
        (unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")) if n_bytes >= unit
    )
    number = n_bytes / unit
    return f"{number:.0f} {name}" if number >= 10 else f"{number:.2g} {name}"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
