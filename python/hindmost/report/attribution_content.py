"""What a report of an attribution says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hindmost.attributed import Attribution, Interaction, Share
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count
from hindmost.scenario.ideal import in_words

TITLES = {"mfu": "MFU", "fleet_mfu": "fleet MFU"}
PLACES = 4
"""Decimals of what is gained."""
MOST_INTERACTIONS = 10
"""Pairs of mechanisms in the table of interactions: those that interact most."""


def attribution_content(found: Attribution, *, interactions: bool = False) -> Content:
    """Return the content of an attribution's report: a table a metric, and sentences."""
    inputs = found.inputs
    tables = [_shares(found, metric) for metric in found.metrics]
    if interactions and found.interactions:
        tables += [_interactions(found, metric) for metric in found.metrics]
    one_run = "One run: values are given this cluster, and have no errors."
    notes = [
        "Shapley: what making it ideal gains, on average over all orders of making things ideal; "
        "they add up. Alone: with all else as it is. Last: with all else ideal.",
        "± is the standard error by leaving out runs, where it reaches the last decimal."
        if inputs["runs"] > 1
        else one_run,
        f"Seed {inputs['seed']}, {each_size(inputs)} for each coalition, method "
        f"{inputs['method']} ({found.why}).",
    ]
    absent = [name for name in found.absent if name not in found.ideal_already]
    if absent:
        notes.append(f"Not there, so that they cost nothing: {_listed(absent)}.")
    if found.ideal_already:
        notes.append(f"Ideal in this scenario already: {_listed(found.ideal_already)}.")
    workload = found.scenario.workload
    if workload.dtype != workload.mfu_dtype:
        notes.append(
            f"MFU is against the dense {workload.mfu_dtype} peak, and the job computes in "
            f"{workload.dtype}: all ideal is not 1."
        )
    if workload.counted_attention != workload.attention:
        notes.append(
            f"MFU counts {workload.counted_attention} attention, and the job computes "
            f"{workload.attention} attention: all ideal is not 1."
        )
    if found.grouped:
        notes.append(f"{found.grouped[0].upper()}{found.grouped[1:]}; --exact tells them apart.")
    if "fleet_mfu" not in found.metrics:
        notes.append("Without [failures] there are no whole runs, and no fleet MFU.")
    return Content(
        headline=f"{found.scenario.name}: what keeps it from its peak",
        tables=tuple(tables),
        notes=tuple(notes),
        listings=(
            *(
                [
                    Listing(
                        "Groups",
                        tuple(
                            f"{group}: {_listed(all_of)}" for group, all_of in found.groups.items()
                        ),
                    )
                ]
                if found.groups
                else []
            ),
            Listing("In words", tuple(words(found))),
        ),
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(in_words, names))


def each_size(inputs: Mapping[str, Any]) -> str:
    """Return how much was simulated each time, in words."""
    runs, steps = inputs["runs"], inputs["steps"]
    days = "" if inputs["days"] is None else f" and {inputs['days']:g} days"
    each = f"{count(steps)} step{'s' * (steps > 1)}{days}"
    return f"{runs} run{'s' * (runs > 1)} of {each}{' each' * (runs > 1)}"


def words(found: Attribution) -> list[str]:
    """Return a few sentences for each metric."""
    return [sentence for metric in found.metrics for sentence in _sentences(found, metric)]


def _of(found: Attribution, metric: str) -> list[Share]:
    shares = (
        one for one in found.shares if one.metric == metric and one.mechanism not in found.absent
    )
    return sorted(shares, key=lambda one: -one.shapley)


def _shares(found: Attribution, metric: str) -> Table:
    (value, error), (ideal, _) = found.ends(metric)
    lost = ideal - value
    rows = [
        (
            in_words(one.mechanism),
            _value(one.shapley, one.std_error),
            f"{one.shapley / lost:.1%}" if lost else "",
            _value(one.alone, one.alone_std_error),
            _value(one.last, one.last_std_error),
        )
        for one in _of(found, metric)
    ]
    title = f"{TITLES[metric]} {value:.4f}, all ideal {ideal:.4f}"
    rows.append(("sum", _value(lost, error), "100.0%" if lost else "", "", ""))
    return Table((title, "Shapley", "loss", "alone", "last"), tuple(rows))


def _value(value: float, std_error: float | None) -> str:
    """Return a value in four decimals, with its error where that is one of them."""
    # Without the sign of what is rounded to nothing.
    text = f"{round(value, PLACES) + 0.0:.{PLACES}f}"
    if std_error is None or round(std_error, PLACES) == 0:
        return text
    return f"{text} ± {std_error:.{PLACES}f}"


def _interactions(found: Attribution, metric: str) -> Table:
    pairs = (one for one in found.interactions if one.metric == metric)
    most: list[Interaction] = sorted(pairs, key=lambda one: -abs(one.value))[:MOST_INTERACTIONS]
    rows = tuple(
        (f"{in_words(one.first)} and {in_words(one.second)}", _value(one.value, one.std_error))
        for one in most
    )
    return Table((f"{TITLES[metric]}, together beyond each", "interaction"), rows)


def _sentences(found: Attribution, metric: str) -> list[str]:
    shares = _of(found, metric)
    (value, _), (ideal, _) = found.ends(metric)
    lost = ideal - value
    if not shares or lost <= 0:
        return [f"{TITLES[metric]}: nothing is lost that making things ideal would gain."]
    first = shares[0]
    said = [
        f"{TITLES[metric]}: {in_words(first.mechanism)} costs most, {first.shapley / lost:.0%} of "
        f"the loss: removed alone it gains {first.alone:.3f}, removed last {first.last:.3f}."
    ]
    hidden = max(shares, key=lambda one: one.last - one.alone)
    if hidden is not first and hidden.last > 10 * max(hidden.alone, 0) and hidden.last > 0.01:
        said.append(
            f"{TITLES[metric]}: {in_words(hidden.mechanism)} hides behind the rest: removed alone "
            f"it gains {hidden.alone:.3f}, removed last {hidden.last:.3f}."
        )
    return said
