"""What a report of collectives by themselves says."""

from __future__ import annotations

from hindmost.analyses.collectives import CollectiveCost, CollectiveCosts
from hindmost.collective import Link
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count, rounded
from hindmost.units import GIGA, shown_bytes

_MICRO = 1e-6
_MILLI = 1e-3


def collective_content(found: CollectiveCosts) -> Content:
    """Return the content of a report of collectives: one table, and what it rests on."""
    inputs = found.inputs
    factor = "2 (n - 1) / n" if inputs["operation"] == "all-reduce" else "(n - 1) / n"
    where = f"{inputs['gpu']} on {inputs['fabric']}"
    if inputs["shape"] is None:
        where += f", {inputs['gpus_per_domain']} GPUs a domain"
    else:
        where += f", {' x '.join(map(str, inputs['shape']))}"
    latency = (
        "Latency is that of hops over the links below."
        if inputs["latency"] == "hops"
        else f"Latency is what NCCL's tuner expects ({inputs['host']} hosts, protocol Simple)."
    )
    return Content(
        headline=f"{inputs['operation']}: {where}",
        tables=(
            Table(
                ("algorithm", "GPUs", "bytes", "ms", "latency", "bandwidth", "bus GB/s"),
                tuple(map(_cells, found.costs)),
            ),
        ),
        notes=(
            "Milliseconds of latency and of bandwidth add up to the time, without any noise.",
            latency,
            f"Bus bandwidth is that of nccl-tests: {factor} of the bytes over the time.",
        ),
        listings=(
            Listing("Links of a GPU", tuple(_link(*each) for each in found.links.items())),
            *([Listing("Changed", _changes(found))] if inputs["changes"] else []),
        ),
    )


def _cells(one: CollectiveCost) -> tuple[str, ...]:
    bus = one.bus_bytes_per_s
    return (
        one.algorithm,
        count(one.n_gpus),
        shown_bytes(one.bytes),
        *(rounded(s / _MILLI, None) for s in (one.time_s, one.latency_s, one.bandwidth_s)),
        "" if bus is None else rounded(bus / GIGA, None),
    )


def _link(name: str, link: Link) -> str:
    rate = f"{link.bytes_per_s / GIGA:.4g} GB/s"
    return f"{name.replace('_', ' ')}: {rate}, {link.latency_s / _MICRO:.4g} us a hop"


def _changes(found: CollectiveCosts) -> tuple[str, ...]:
    return tuple(f"{path} = {value}" for path, value in found.inputs["changes"].items())
