"""What a report of an explanation says."""

from __future__ import annotations

from hindmost.analyses.explain import ENOUGH, FAR, Explanation
from hindmost.analyses.posterior import Spread
from hindmost.analyses.reach import Lever
from hindmost.report.attribution_content import each_size
from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count

TITLES = {"mfu": "MFU", "fleet_mfu": "fleet MFU"}
NARROWER = 0.8
"""Standard deviation over that of the prior, below which an observation says something."""


def explanation_content(found: Explanation) -> Content:
    """Return the content of an explanation's report."""
    observed, inputs = found.observed, found.inputs
    tail = ""
    if observed.tail is not None:
        tail = f", p95 over p50 of steps {observed.tail:g} ± {observed.tail_tolerance:g}"
    tables = [_levers(found)]
    if found.beliefs:
        tables.append(_beliefs(found))
    notes = [
        "Alone: all else as in the scenario. A range is from p0.1 to p99.9 of what is known of the "
        "value.",
        f"Seed {inputs['seed']}, {each_size(inputs)} for each point, method {inputs['method']}.",
    ]
    if found.by_tool is not None:
        by = found.by_tool
        notes.append(
            f"{by.title} {by.version} printed {by.printed:g}, which is "
            f"{_seen(found, observed.value)} here; the tolerance is converted alike. Why: hindmost "
            "convention."
        )
    if found.n_refused:
        notes.append(f"{count(found.n_refused)} of {count(found.n_points)} points are refused.")
    if found.idle:
        notes.append(f"Not acting on {TITLES[found.metric]}: {', '.join(found.idle)}.")
    return Content(
        headline=(
            f"{found.scenario.name}: what {TITLES[found.metric]} {_seen(found, observed.value)} ± "
            f"{_seen(found, observed.tolerance)}{tail} takes"
        ),
        tables=tuple(tables),
        notes=tuple(notes),
        listings=(Listing("In words", tuple(words(found))),),
    )


def _seen(found: Explanation, number: float) -> str:
    """Return what was observed as it was given, or rounded where it was converted."""
    return f"{number:g}" if found.by_tool is None else f"{number:.4g}"


def words(found: Explanation) -> list[str]:
    """Return what an explanation comes to, as sentences."""
    title, observed = TITLES[found.metric], found.observed
    reach = (
        f"the scenario comes to {found.given:.4g}, and the ranges of its unknowns to "
        f"{found.lowest:.4g} to {found.highest:.4g}"
    )
    if found.reachable is False:
        tail = "" if observed.tail is None else f" and p95 over p50 of {observed.tail:g}"
        said = [
            f"Not reached: {reach}. No point comes within {FAR:g} tolerances of "
            f"{_seen(found, observed.value)}{tail}, so that there is no posterior.",
            _nearest_words(found),
        ]
        return [*said, *(_lever_words(lever, title) for lever in found.levers)]
    if found.reachable is None:
        assert found.ess is not None
        return [
            f"Hardly reached: {reach}. {count(found.n_points)} points have an effective sample "
            f"size of {found.ess:.0f}, and {ENOUGH:.0f} are enough: the posterior is not to be "
            "trusted."
        ]
    said = [
        f"Reached: {reach}. {count(found.n_points)} points, an effective sample size of "
        f"{found.ess:.0f}."
    ]
    narrower = [
        belief.path for belief in found.beliefs if belief.posterior.sd < NARROWER * belief.prior.sd
    ]
    if narrower:
        said.append(f"What was observed says something of {', '.join(narrower)}.")
    else:
        said.append(f"The observed {title} says next to nothing of any single unknown.")
    return said


def _nearest_words(found: Explanation) -> str:
    comes = f"The nearest comes to {found.nearest_value:.4g}"
    if found.nearest_tail is not None:
        return f"{comes}, with p95 over p50 of {found.nearest_tail:.4g}."
    if found.lowest <= found.observed.value <= found.highest:
        return f"{comes}: what lies between is left out."
    if found.unexplained_factor is None:
        return f"{comes}."
    return (
        f"{comes}: what was observed is {found.unexplained_factor:.3g} times that, a factor that "
        "is left unexplained."
    )


def _levers(found: Explanation) -> Table:
    rows = tuple(
        (
            lever.path,
            f"{lever.low:.4g} to {lever.high:.4g}",
            _reached(lever),
            "none" if lever.would_do is None else f"{lever.would_do:.4g}",
            "" if lever.is_inside is None else "inside" if lever.is_inside else "outside",
        )
        for lever in found.levers
    )
    return Table(("alone", "range", "comes to", "would do", "range"), rows)


def _reached(lever: Lever) -> str:
    ends = (lever.at_low, lever.at_high)
    return " to ".join("refused" if end is None else f"{end:.4f}" for end in ends)


def _beliefs(found: Explanation) -> Table:
    rows = tuple(
        (
            belief.path,
            _interval(belief.prior),
            _interval(belief.posterior),
            f"{belief.posterior.mean:.3g} ± {belief.posterior.sd:.2g}",
        )
        for belief in found.beliefs
    )
    return Table(("p5 to p95", "before", "after", "mean ± sd"), rows)


def _interval(one: Spread) -> str:
    return f"{one.p5:.3g} to {one.p95:.3g}"


def _lever_words(lever: Lever, title: str) -> str:
    if lever.would_do is None:
        return f"{lever.path}: no value was found that would do alone for the {title}."
    would_do = f"{lever.path}: {lever.would_do:.4g} would do alone for the {title}"
    if lever.is_inside:
        return f"{would_do}, inside its range."
    return f"{would_do}, outside its range of {lever.low:.4g} to {lever.high:.4g}."
