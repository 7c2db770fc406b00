"""Small random scenarios, for properties that hold whatever a scenario is made of.

All of them are admissible: laws, sizes and layouts are drawn such that hindmost must
accept them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats

from hindmost import _core
from hindmost.law import Law
from tests.statistics.panel import BASE, Table, pool

DOMAIN_GPUS = {
    "h100-sxm": 8,
    "h200-sxm": 8,
    "b200-sxm": 8,
    "mi250x": 4,
    "gh200": 1,
    "trainium2": 16,
    "gb200-nvl72": 72,
}
MAX_DOMAINS = 16
MAX_DOMAINS_OF_NVL72 = 2
SCOPES = ("gpu", "node", "domain", "rack", "replica", "pool", "cluster")

SLOWDOWN_SPREAD = 0.2
"""Spread of a slowdown's law around 1, at most."""
STALL_SPREAD = 1.0
"""Spread of a stall's law around its scale, at most."""
PROBABILITIES = (1.0, 1.0, 0.5, 0.1, 0.01)
CAPPED_TAILS = (0.5, 0.1, 1e-3, 1e-6)
"""Probabilities of a number beyond a cap."""


def table_of(frozen: Any) -> Table:
    """Return the table of a distribution of scipy."""
    law: Table = TypeAdapter[Any](Law).validate_python(frozen).model_dump(exclude_none=True)
    return law


TABULATED = [table_of(stats.fisk(30.0)), table_of(stats.invgamma(200.0, scale=199.0))]


@st.composite
def plain_laws(draw: st.DrawFn, spread: float) -> Table:
    """Draw a law of one piece with numbers around 1."""
    width = draw(st.floats(1e-3, spread))
    middle = draw(st.floats(0.9, 1.1))
    low, high = middle * (1 - width / 2), middle * (1 + width)
    samples = st.lists(st.floats(low, high), min_size=2, max_size=8)
    laws: dict[str, Table] = {
        "constant": {"value": middle},
        "lognormal": {"sigma": width, "median": middle},
        "exponential": {"mean": width, "shift": low},
        "gamma": {"shape": 1 / width, "scale": width},
        "weibull": {"shape": 1 / width, "scale": middle},
        # Nine deviations above zero or more, for slowdowns: their product stays within f32.
        "normal": {"mean": middle, "sigma": width / 2},
        "pareto": {"alpha": 2.0 + 1 / width, "minimum": low},
        "uniform": {"low": low, "high": high},
        "log-uniform": {"low": low, "high": high},
        "empirical": {"samples": [low, high]},
        "tabulated": {},
    }
    name = draw(st.sampled_from(sorted(laws)))
    if name == "tabulated":
        return draw(st.sampled_from(TABULATED))
    law = {"name": name, **laws[name]}
    if name == "pareto" and draw(st.booleans()):
        law["maximum"] = high
    if name == "empirical":
        law["samples"] = draw(samples)
        if draw(st.booleans()):
            law |= {"tail_alpha": 2 / width, "cap": 2 * high}
    return law


@st.composite
def laws(draw: st.DrawFn, spread: float) -> Table:
    """Draw a law with numbers around 1, of one piece or two, sometimes with a cap."""
    law = draw(plain_laws(spread))
    if "tail_alpha" not in law and draw(st.integers(0, 4)) == 0:
        # Samples with a tail are a mixture themselves, which cannot be a part of another one.
        other = draw(plain_laws(spread).filter(lambda law: "tail_alpha" not in law))
        weight = draw(st.floats(0.05, 0.95))
        parts = [(weight, law), (1 - weight, other)]
        components = [{"weight": weight, "law": law} for weight, law in parts]
        law = {"name": "mixture", "components": components}
    if law["name"] != "constant" and "cap" not in law and draw(st.integers(0, 3)) == 0:
        core = _core.Law(law)
        cap = core.upper_quantile(draw(st.sampled_from(CAPPED_TAILS)))
        # A cap at the least number, as of samples that are all alike, would leave no law.
        if cap > core.quantile(0.25) * (1 + 1e-6):
            law = {**law, "cap": cap}
    return law


def scaled(law: Table, factor: float) -> Table:
    """Return the law of so many times a law's numbers."""
    if law["name"] == "mixture":
        components = [{**part, "law": scaled(part["law"], factor)} for part in law["components"]]
        law = {**law, "components": components}
    sizes = ["value", "median", "mean", "shift", "scale", "minimum", "maximum", "low", "high"]
    sizes += ["cap", "samples", "lower", "upper", *(["sigma"] if law["name"] == "normal" else [])]
    return {
        key: (np.asarray(value) * factor).tolist() if key in sizes else value
        for key, value in law.items()
    }


@st.composite
def causes(
    draw: st.DrawFn, pools: list[str], spans: tuple[str, ...], is_mixed: bool = False
) -> Table:
    """Draw a cause that a scenario accepts, also one whose replicas spread over pools."""
    effect = draw(st.sampled_from(["slowdown", "slowdown", "stall"]))
    affects = draw(st.sampled_from(["compute", "compute", "compute", "network"]))
    span = draw(st.sampled_from(spans))
    scope = draw(st.sampled_from(SCOPES))
    if span in ("microbatch", "layer"):
        affects = "compute"
        if effect == "stall":
            span = "microbatch"
            scope = draw(st.sampled_from(["gpu", "replica", "cluster"]))
    if is_mixed and scope == "replica":
        affects, span = "compute", "microbatch"
    law = draw(laws(SLOWDOWN_SPREAD if effect == "slowdown" else STALL_SPREAD))
    if effect == "stall":
        law = scaled(law, draw(st.floats(0.01, 0.5)))
    cause: Table = {"law": law, "affects": affects, "effect": effect}
    cause |= {"scope": scope, "span": span}
    cause["probability"] = draw(st.sampled_from(PROBABILITIES))
    everywhere = is_mixed and span == "microbatch" and scope in ("replica", "cluster")
    if span == "episode":
        duration = scaled(draw(laws(SLOWDOWN_SPREAD)), draw(st.floats(1.0, 100.0)))
        at_a_time = draw(st.sampled_from([0.001, 0.01, 0.1, 0.9]))
        per_hour = 3600 * at_a_time / _core.Law(duration).mean()
        severity = draw(laws(SLOWDOWN_SPREAD))
        cause |= {"effect": "slowdown", "law": severity, "duration": duration}
        cause |= {"per_hour": per_hour, "scope": draw(st.sampled_from(SCOPES[:4]))}
        del cause["probability"]
    if len(pools) > 1 and not everywhere and draw(st.booleans()):
        cause["pools"] = draw(st.lists(st.sampled_from(pools), min_size=1, unique=True))
    return cause


@st.composite
def clusters(draw: st.DrawFn, tensor: int, replica_groups: int = 1) -> dict[str, Table]:
    """Draw one to three pools, each with a replica of some tensor groups at least."""
    gpus = [gpu for gpu, size in DOMAIN_GPUS.items() if size >= tensor]
    pace_s = draw(st.floats(0.05, 2.0))
    pools = {}
    for name in "abc"[: draw(st.integers(1, 3))]:
        gpu = draw(st.sampled_from(gpus))
        domain = DOMAIN_GPUS[gpu]
        most = MAX_DOMAINS_OF_NVL72 if domain == 72 else MAX_DOMAINS
        least = -(-replica_groups // (domain // tensor))
        n_gpus = domain * draw(st.integers(least, max(least, most)))
        # Spares fill no domain.
        n_gpus += draw(st.integers(0, domain - 1)) if draw(st.booleans()) else 0
        rack_gpus = draw(st.integers(1, 2 * domain))
        step_s = pace_s * draw(st.floats(0.95, 1.05))
        pools[name] = pool(gpu, n_gpus, step_s, rack_gpus=rack_gpus, scale_up_latency_s=3e-6)
    return pools


@st.composite
def collectives(draw: st.DrawFn) -> Table:
    """Draw how much of the communication is exposed."""
    overlap_fraction = draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    return {"overlap_fraction": overlap_fraction, "n_buckets": draw(st.integers(1, 8))}


def named(found: list[Table]) -> Table:
    return {f"x{place}": cause for place, cause in enumerate(found)}


@st.composite
def one_barrier(
    draw: st.DrawFn, spans: tuple[str, ...] = ("run", "step"), min_causes: int = 0
) -> Table:
    """Draw a scenario whose step is one barrier."""
    layout: Table = {"tensor": draw(st.sampled_from([1, 2, 4, 8]))}
    layout["sharding"] = draw(st.sampled_from(["none", "zero1", "zero2", "zero3", "hybrid"]))
    if layout["sharding"] == "hybrid":
        layout["shard_group_replicas"] = draw(st.integers(1, 16))
    pools = draw(clusters(layout["tensor"]))
    one = causes(list(pools), spans)
    n_microbatches = draw(st.integers(1, 3))
    return {
        **BASE,
        "pools": pools,
        "layout": layout,
        "workload": {**BASE["workload"], "n_microbatches": n_microbatches},
        "collective": draw(collectives()),
        "causes": named(draw(st.lists(one, min_size=min_causes, max_size=4))),
    }


@st.composite
def with_waits(draw: st.DrawFn) -> Table:
    """Draw a scenario whose ranks wait for each other within a step: in stages or layers."""
    kind = draw(st.sampled_from(["1f1b", "gpipe", "zero-bubble", "interleaved"]))
    tensor, context = draw(st.sampled_from([1, 2, 4])), draw(st.sampled_from([1, 1, 2]))
    stages = draw(st.integers(1, 4))
    chunks = draw(st.integers(1, 6 // stages)) if kind == "interleaved" and stages > 1 else 1
    rounds = draw(st.integers(1, 4))
    layout: Table = {"tensor": tensor, "context": context, "pipeline": stages, "chunks": chunks}
    is_mixed = stages > 1 and draw(st.booleans())
    layout |= {"schedule": kind, "placement": "mixed" if is_mixed else "aligned"}
    if stages == 1:
        layout["sharding"] = draw(st.sampled_from(["none", "zero3"]))
    spans = ("run", "step", "microbatch", "layer")
    pools = draw(clusters(tensor, stages * context))
    one = causes(list(pools), spans, is_mixed)
    n_microbatches = rounds * (stages if kind == "interleaved" else 1)
    return {
        **BASE,
        "pools": pools,
        "layout": layout,
        "workload": {**BASE["workload"], "n_microbatches": n_microbatches},
        "collective": draw(collectives()),
        "causes": named(draw(st.lists(one, min_size=1, max_size=4))),
    }


INADMISSIBLE: dict[str, list[Any]] = {
    "pools.a.gpu": ["h100", 8],
    "pools.a.n_gpus": [0, -8, 0.5, 2**31, "8"],
    "pools.a.forward_s": [0.0, -1.0, math.nan, math.inf, 1e300],
    "pools.a.nic_bytes_per_s": [0.0, -1.0],
    "workload.n_microbatches": [0, 2**31],
    "layout.tensor": [0, 5, 144, 2.0],
    "layout.pipeline": [0, 7, 2**20],
    "layout.context": [0, 2**20],
    "layout.expert": [2],
    "layout.sharding": ["zero4"],
    "layout.chunks": [2],
    "collective.algorithm": ["torus", "rings"],
    "collective.n_buckets": [0, 1.5],
    "collective.overlap_fraction": [-0.1, 1.5, math.nan],
    "causes.x0.probability": [-0.1, 1.5, math.nan],
    "causes.x0.scope": ["galaxy"],
    "causes.x0.span": ["episode", "year"],
    "causes.x0.pools": [[], ["z"]],
    "causes.x0.law": [
        {"name": "lognormal", "sigma": -0.2},
        {"name": "lognormal", "sigma": math.nan},
        {"name": "lognormal", "sigma": 20.0},
        {"name": "lognormal", "sigma": 0.1, "cap": 1e-30},
        {"name": "constant", "value": 0.0},
        {"name": "constant", "value": 1e300},
        {"name": "exponential", "mean": -1.0},
        {"name": "exponential", "mean": 1e-40},
        {"name": "gamma", "shape": 1e-300},
        {"name": "weibull", "shape": 0.01},
        {"name": "normal", "mean": 1.0, "sigma": 0.0},
        {"name": "pareto", "alpha": 1.5},
        {"name": "pareto", "alpha": 3.0, "maximum": 1.0},
        {"name": "uniform", "low": 2.0, "high": 1.0},
        {"name": "log-uniform", "low": 1e-30, "high": 1e30},
        {"name": "empirical", "samples": [1.0]},
        {"name": "empirical", "samples": [1.0, 2.0], "tail_alpha": 2.0},
        {"name": "mixture", "components": []},
        {"name": "none"},
    ],
}
"""Values that no scenario of one barrier can have, whatever else it holds."""


@st.composite
def inadmissible_changes(draw: st.DrawFn) -> dict[str, Any]:
    """Draw changes after which a scenario must be refused."""
    paths = draw(
        st.lists(st.sampled_from(sorted(INADMISSIBLE)), min_size=1, max_size=3, unique=True)
    )
    return {path: draw(st.sampled_from(INADMISSIBLE[path])) for path in paths}


ODD_VALUES: list[Any] = [0, 1, 2, 3, 7, -1, True, "x", [], [1.0, 2.0], {"name": "constant"}]
ODD_VALUES += [0.0, 0.5, 1.0, 1.5, 1e-300, 1e-30, 1e-9, 1e9, 1e30, 1e300, math.nan, math.inf]


def numbers(table: Table, prefix: str = "") -> list[str]:
    """Return the key paths of a table's numbers."""
    found = []
    for key, value in table.items():
        if isinstance(value, dict):
            found += numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            found.append(f"{prefix}{key}")
    return found


@st.composite
def odd_changes(draw: st.DrawFn, table: Table) -> dict[str, Any]:
    """Draw changes of some numbers to odd values, with which a scenario may do or not."""
    paths = [path for path in numbers(table) if not path.startswith(("models.", "fabric."))]
    chosen = draw(st.lists(st.sampled_from(paths), min_size=1, max_size=3, unique=True))
    return {path: draw(st.sampled_from(ODD_VALUES)) for path in chosen}
