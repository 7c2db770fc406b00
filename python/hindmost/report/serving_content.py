"""What a report of serving says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hindmost.analyses.serve import Served
from hindmost.queues.runs import STATISTICS
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count, rounded, with_error

FRONTIER_ROWS = 8
"""Points of the frontier that are shown."""
_MILLI = 1e-3
SEEN = {
    "ttft_s": ("TTFT ms", _MILLI),
    "tpot_s": ("TPOT ms", _MILLI),
    "wait_s": ("wait ms", _MILLI),
    "response_s": ("response s", 1.0),
}
"""What requests see under load, in which unit."""
ROUTED = {
    "least-loaded": "the replica with the fewest requests",
    "round-robin": "the next replica",
    "speed-aware": "the replica where a token takes least",
}
"""Where each request goes."""


def serving_content(found: Served) -> Content:
    """Return the content of a report of serving: the best configurations, and what pools give."""
    inputs, total = found.inputs, found.total
    n_gpus = count(total["n_gpus"])
    rate = rounded(total["output_tokens_per_s_per_gpu"], None)
    needed = inputs["arrivals_per_s"] is not None
    lead = (
        f"{inputs['model']} in {inputs['dtype']} by {inputs['engine']} on {n_gpus} GPUs: "
        f"{rate} tokens/s a GPU, {rounded(total['requests_per_s'], None)} requests/s in all"
    )
    if needed:
        lead += f" of {rounded(total['most_requests_per_s'], None)} at most"
    notes = [
        f"Prompts of {inputs['input_tokens']:,.0f} tokens, answers of "
        f"{inputs['output_tokens']:,.0f}. Tokens of answers a second: a GPU (of all that take "
        "part) and a user. TP: GPUs that divide attention; DP: groups of them with requests of "
        "their own.",
        "Steady load: every sequence is replaced when it ends, and no bursts come.",
        *_of_split(found),
        *_of_queue(found),
    ]
    notes += found.notes
    if needed and not total["is_enough"]:
        notes.append(f"That is less than the {inputs['arrivals_per_s']:g} requests/s that come.")
    return Content(
        headline=lead,
        tables=(
            _configurations(found, needed=needed),
            Table(
                ("pool", "GPUs", "replicas", "a GPU", "a user", "TTFT ms", "pace", "there"),
                tuple(map(_pool, found.pools)),
            ),
            Table(("a user", "a GPU", "layout", "batch"), _frontier(found)),
            *_under_load(found),
        ),
        notes=tuple(notes),
        listings=tuple(
            [Listing("Assumed", found.assumed)] if found.assumed else [],
        ),
    )


def _of_split(found: Served) -> list[str]:
    """Return how GPUs divide among both kinds of replicas of the split, if there is one."""
    return [
        f"{layout(one)}: {one['prefill']['gpu_share']:.0%} of the GPUs take prompts and hand keys "
        "and values to the others, which decode."
        for one in found.configurations
        if one["kind"] == "split"
    ]


def _of_queue(found: Served) -> list[str]:
    """Return what is to be known of the table of what requests see."""
    queue, inputs = found.queue, found.inputs
    if queue is None:
        return []
    comes = "by the trace" if inputs["trace"] else "at random"
    if inputs["variation"] != 1:
        comes = f"with gaps that vary by {inputs['variation']:g} times their mean"
    notes = [
        f"Under load: {rounded(inputs['arrivals_per_s'], None)} requests/s come {comes}, "
        f"{queue['used']:.1%} of what replicas can take, each to {ROUTED[queue['routing']]}."
    ]
    if queue["slo"] is not None:
        slo = queue["slo"]
        share = with_error(100 * slo["share_within"], _percent(slo["std_error"]))
        verdict = "as" if slo["keeps_limits"] else "not as"
        most = slo["most_requests_per_s"]
        at_most = "at no rate" if most is None else f"at up to {rounded(most, None)} requests/s"
        notes.append(
            f"{share}% of requests keep to the limits, {verdict} {slo['percentile']:g}% are to; "
            f"that many do {at_most}."
        )
    return notes


def _under_load(found: Served) -> list[Table]:
    """Return the table of what requests see that queue."""
    if found.queue is None:
        return []
    cells: dict[str, dict[str, str]] = {}
    for row in found.queue["summary"]:
        if row["metric"] in SEEN:
            unit = SEEN[row["metric"]][1]
            error = None if row["std_error"] is None else row["std_error"] / unit
            text = with_error(row["value"] / unit, error)
            cells.setdefault(row["metric"], {})[row["statistic"]] = text
    rows = tuple(
        (SEEN[metric][0], *(by_statistic.get(name, "") for name in STATISTICS))
        for metric, by_statistic in cells.items()
    )
    return [Table(("under load", *STATISTICS), rows)]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _configurations(found: Served, *, needed: bool) -> Table:
    headings = (
        "layout",
        "GPU",
        "batch",
        "a GPU",
        "a user",
        "TTFT ms",
        "TPOT ms",
        *(("GPUs for it",) if needed else ("mostly",)),
    )
    rows = []
    for one in found.configurations:
        last = count(one["gpus_needed"]) if needed else _mostly(one["shares"])
        rows.append(
            (
                layout(one),
                one["gpu"] if one["kind"] == "aggregated" else _both(one),
                rounded(one["batch"], None),
                rounded(one["output_tokens_per_s_per_gpu"], None),
                rounded(one["tokens_per_s_per_user"], None),
                rounded(one["ttft_s"] / _MILLI, None),
                rounded(one["tpot_s"] / _MILLI, None),
                last,
            )
        )
    return Table(headings, tuple(rows))


def layout(one: Mapping[str, Any]) -> str:
    """Return the layout of a configuration in a few letters, as engines name them."""
    parts = [f"TP{one['tensor']}"]
    if one["attention_dp"] > 1:
        parts.append(f"DP{one['attention_dp']}")
    name = " ".join(parts)
    if one["kind"] == "split":
        return f"{layout({**one['prefill'], 'kind': 'aggregated'})} > {name}"
    return name


def _both(one: Mapping[str, Any]) -> str:
    first = one["prefill"]["gpu"]
    return first if first == one["gpu"] else f"{first} > {one['gpu']}"


def _mostly(shares: Mapping[str, float]) -> str:
    """Return the greatest term of a cycle, as a share of it."""
    terms = {name: share for name, share in shares.items() if name != "prefill"}
    name = max(terms, key=lambda each: terms[each])
    return f"{name} {terms[name]:.0%}"


def _pool(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["pool"],
        count(row["n_gpus"]),
        f"{count(row['replicas'])} x {count(row['replica_gpus'])}",
        rounded(row["output_tokens_per_s_per_gpu"], None),
        rounded(row["tokens_per_s_per_user"], None),
        rounded(row["ttft_s"] / _MILLI, None),
        f"{row['pace']:.4f}",
        f"{row['availability']:.2%}",
    )


def _frontier(found: Served) -> tuple[tuple[str, ...], ...]:
    points = found.frontier
    n = min(FRONTIER_ROWS, len(points))
    places = [round(k * (len(points) - 1) / max(n - 1, 1)) for k in range(n)]
    return tuple(
        (
            rounded(points[place]["tokens_per_s_per_user"], None),
            rounded(points[place]["output_tokens_per_s_per_gpu"], None),
            f"{layout(points[place])} {points[place]['gpu']}",
            rounded(points[place]["batch"], None),
        )
        for place in dict.fromkeys(places)
    )
