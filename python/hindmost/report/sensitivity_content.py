"""What a report of a sensitivity says."""

from __future__ import annotations

from hindmost.analyses.sensitivity import Sensitivity
from hindmost.report.attribution_content import each_size
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count

TITLES = {"mfu": "MFU", "fleet_mfu": "fleet MFU"}
CLEAR = 2.0
"""Standard errors by which an index must exceed 0 to be told from nothing."""
MOST_WORDS = 3
"""Unknowns that are recommended for a measurement, at most."""
TOGETHER = 0.1
"""Total less first-order index above which an unknown acts by way of others, too."""


def sensitivity_content(found: Sensitivity) -> Content:
    """Return the content of a sensitivity's report."""
    inputs, title = found.inputs, TITLES[found.metric]
    rows = tuple(
        (
            share.name,
            f"{share.index.first:.3f} ± {share.index.first_error:.3f}",
            f"{share.index.total:.3f} ± {share.index.total_error:.3f}",
            f"{share.left:.0%}",
        )
        for share in found.shares
    )
    notes = [
        "First-order: by how much the variance falls on average once the value is known. Total: "
        "what it takes part in, with others too. Left: the standard deviation then.",
        f"Seed {inputs['seed']}, n {count(inputs['n'])}: {count(found.n_points)} points of "
        f"{each_size(inputs)}, method {inputs['method']}.",
    ]
    if found.n_refused:
        notes.append(
            f"{count(found.n_refused)} points are refused, and left out with those that were drawn "
            "with them."
        )
    if found.held:
        notes.append(f"Held, because others make another job: {', '.join(found.held)}.")
    if found.idle:
        notes.append(f"Not acting on {title}: {', '.join(found.idle)}.")
    return Content(
        headline=f"{found.scenario.name}: {title} {found.mean:.4g}, standard deviation "
        f"{found.sd:.2g} by what is unknown",
        tables=(Table(("unknown", "first-order", "total", "left"), rows),),
        notes=tuple(notes),
        listings=(Listing("In words", tuple(words(found))),),
    )


def words(found: Sensitivity) -> list[str]:
    """Return which measurement to take next, as sentences."""
    title = TITLES[found.metric]
    if found.sd == 0:
        return [f"Nothing that is unknown changes {title}."]
    by_first = sorted(found.shares, key=lambda share: -share.index.first)
    clear = [one for one in by_first if one.index.first > CLEAR * one.index.first_error]
    if not clear:
        return ["No unknown can be told from nothing: take more points, such as --n 1024."]
    said = []
    for place, share in enumerate(clear[:MOST_WORDS]):
        what = "Measure" if place == 0 else "Then"
        said.append(
            f"{what} {share.name}: to know it takes {share.index.first:.0%} of the variance of "
            f"{title}, and leaves a standard deviation of {share.left * found.sd:.2g} of "
            f"{found.sd:.2g}."
        )
    together = [
        one
        for one in found.shares
        if one.index.total - one.index.first
        > TOGETHER + CLEAR * (one.index.total_error + one.index.first_error)
    ]
    if together:
        names = ", ".join(one.name for one in together)
        said.append(f"More by way of others than alone: {names}.")
    return said
