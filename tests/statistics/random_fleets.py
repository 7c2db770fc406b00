"""Small random clusters whose units fail often, for rules that hold whatever they are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from hindmost.law import Constant, Exponential

Fields = dict[str, Any]

SECONDS = 2e5
"""Length of a run."""
HOUR = 3600.0


def a_pool(name: str, n_gpus: int, node: int, domain: int, used: int, tensor: int) -> Fields:
    """Return a pool of which nothing works yet."""
    block = math.lcm(node, tensor)
    groups = used // tensor * tensor
    return {
        "name": name,
        "n_gpus": n_gpus,
        "node_gpus": node,
        "domain_gpus": domain,
        "domain_gpus_used": used,
        "tensor": tensor,
        "block_gpus": groups if groups % block else block,
        "spare_blocks": 0,
        "parts": np.zeros(0, dtype=np.uint32),
        "work_per_s": 1.0,
    }


@st.composite
def pools(draw: st.DrawFn, name: str, n_gpus: int) -> tuple[Fields, int]:
    """Draw a pool of so many GPUs or some more, and how many tensor groups work in it."""
    if draw(st.booleans()):
        node, domain, used = 8, 8, 8
        tensor = draw(st.sampled_from([8, 4, 2, 1, 3]))
    else:
        node, domain = 4, 24
        used = draw(st.sampled_from([16, 20, 24]))
        tensor = draw(st.sampled_from([8, 4, 8, 3]))
    full = max(1, n_gpus // domain)
    rest = draw(st.sampled_from([0, 0, 0, 3, node, domain - 1]))
    pool = a_pool(name, full * domain + rest, node, domain, used, tensor)
    n_blocks = full * (used // pool["block_gpus"])
    pool["spare_blocks"] = draw(st.integers(0, min(3, n_blocks - 1)))
    n_leftover = draw(st.sampled_from([0, 0, 0, 1]))
    n_working = max(1, n_blocks - pool["spare_blocks"] - n_leftover)
    of_block = pool["block_gpus"] // tensor
    n_groups = n_working * of_block - draw(st.integers(0, of_block - 1))
    return pool, n_groups


@st.composite
def kinds(draw: st.DrawFn, of: list[Fields], name: str) -> Fields:
    """Draw failures of one kind, of some units or of the job."""
    place = draw(st.integers(0, len(of) - 1))
    pool = of[place]
    scopes = ["node", "node", "domain", "rack", "job", "gpu", "gpu"]
    scope = draw(st.sampled_from(scopes))
    rack = pool["node_gpus"] * draw(st.sampled_from([2, 3]))
    units = {
        "gpu": 1,
        "node": pool["node_gpus"],
        "domain": pool["domain_gpus"],
        "rack": rack,
        "job": 1,
    }
    n_units = 1 if scope == "job" else -(-pool["n_gpus"] // units[scope])
    hours = draw(st.sampled_from([0.05, 0.5, 3.0, 10.0]))
    laws = [None, Constant(value=hours).core, Exponential(mean=hours).core]
    n_failures = draw(st.sampled_from([5, 20, 60]))
    return {
        "name": name,
        "pool": None if scope == "job" else place,
        "unit_gpus": units[scope],
        "n_units": n_units,
        "per_hour": n_failures / n_units / (SECONDS / HOUR),
        "shape": draw(st.sampled_from([1.0, 1.0, 0.7])),
        "is_new": True,
        "rate_spread": 0.0,
        "repair_hours": draw(st.sampled_from(laws)),
        "keeps_local": draw(st.booleans()),
    }


@st.composite
def checkpoints(draw: st.DrawFn) -> Fields:
    """Draw when checkpoints are written."""
    interval_s = draw(st.sampled_from([311.0, 1777.0, 7013.0]))
    waits = st.sampled_from([0.0, 13.0, 97.0])
    durable = st.sampled_from([0.0, 0.0, 51.0, 3011.0])
    return {
        "interval_s": interval_s,
        "blocking_s": draw(waits),
        "durable_s": draw(durable),
        "global_every": draw(st.sampled_from([None, None, 1, 2, 5])),
        "global_blocking_s": draw(waits),
        "global_durable_s": draw(durable),
    }


@st.composite
def recoveries(draw: st.DrawFn) -> Fields:
    """Draw what happens after a failure."""
    return {
        "detection_s": draw(st.sampled_from([0.0, 67.0, 601.0])),
        "restart_s": draw(st.sampled_from([0.0, 149.0, 1201.0])),
        "global_restart_s": draw(st.sampled_from([0.0, 907.0, 2503.0])),
        "can_fail": draw(st.sampled_from([True, True, False])),
        "swap_s": draw(st.sampled_from([0.0, 331.0])),
        "shrinks": draw(st.booleans()),
        "regrows_at_checkpoint": draw(st.booleans()),
        "replica_stall_s": draw(st.sampled_from([None, None, 0.0, 41.0, 503.0])),
        "rejoin_s": draw(st.sampled_from([0.0, 211.0, 1511.0])),
    }


@st.composite
def fleets(draw: st.DrawFn) -> Fields:
    """Draw a job on one to three pools."""
    n_pools = draw(st.integers(1, 3))
    n_gpus = draw(st.sampled_from([24, 48, 96])) // n_pools
    found = [draw(pools(name, n_gpus)) for name in "abc"[:n_pools]]
    counts = [n_groups for _, n_groups in found]
    of_part = draw(st.integers(1, 4))
    n_parts = max(1, sum(counts) // of_part)
    # The last tensor groups fill no part, and are leftover.
    unused = max(0, sum(counts) - n_parts * of_part)
    counts[-1] -= min(unused, counts[-1] - 1)
    places = range(sum(counts))
    order = draw(st.sampled_from(["neighbours", "apart", "any"]))
    if order == "neighbours":
        parts = [min(place // of_part, n_parts - 1) for place in places]
    else:
        parts = [place % n_parts for place in places]
    if order == "any":
        parts = draw(st.permutations(parts))
    of_pools = np.split(np.asarray(parts, dtype=np.uint32), np.cumsum(counts)[:-1])
    pool_tables = [{**pool, "parts": own} for (pool, _), own in zip(found, of_pools, strict=True)]
    n_kinds = draw(st.integers(1, 4))
    names = [f"kind{place}" for place in range(n_kinds)]
    recovery, checkpoint = draw(recoveries()), draw(st.none() | checkpoints())
    return {
        "pools": pool_tables,
        "n_parts": n_parts,
        "failures": [draw(kinds(pool_tables, name)) for name in names],
        "recovery": recovery,
        "checkpoint": checkpoint,
    }
