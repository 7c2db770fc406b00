"""What a report of a fit says."""

from __future__ import annotations

from hindmost.fitting.estimate import Estimate
from hindmost.fitting.fit import Fit
from hindmost.fitting.laws import LawChoice, LawFit
from hindmost.report.content import Content, Listing, Table
from hindmost.report.log_comparison_content import log_comparison_tables, log_words
from hindmost.report.numbers import count, rounded, with_error

_PERCENT = 100


def fit_content(found: Fit) -> Content:
    """Return the content of a fit's report: numbers, laws, and the scenario beside the log."""
    of = f"{count(found.n_steps)} steps"
    if found.n_ranks:
        of += f" of {count(found.n_ranks)} ranks"
    numbers = (*found.estimates, *found.adjusted)
    tables = [Table(("fitted", "value", "two errors reach"), tuple(map(_cells, numbers)))]
    notes = []
    rows = tuple(_law_cells(choice, fit) for choice in found.laws for fit in choice.fits)
    if rows:
        tables.append(Table(("law", "", "likelihood", "held out", "KS", "limit"), rows))
        notes.append(
            "Likelihoods are mean logarithms of densities, KS the distance to the fifth that was "
            "held out, the limit one that 5% of samples exceed; * is taken."
        )
    said = []
    if found.comparison is not None:
        tables += log_comparison_tables(found.comparison)
        notes.append(
            "± is the standard error of the difference, * a difference of more than two of them."
        )
        said = log_words(found.comparison)
    listings = [Listing("To be known", found.notes)] if found.notes else []
    if said:
        listings.append(Listing("In words", tuple(said)))
    return Content(
        headline=f"Causes of {found.origin}: {of}",
        tables=tuple(tables),
        notes=tuple(notes),
        listings=tuple(listings),
    )


def _cells(one: Estimate) -> tuple[str, str, str]:
    is_percent = one.unit in ("share", "probability")
    scale, unit = (_PERCENT, "%") if is_percent else (1.0, f" {one.unit}".rstrip())
    low, high = (rounded(end * scale, one.std_error * scale) for end in (one.low, one.high))
    return (
        one.name,
        f"{with_error(one.value * scale, one.std_error * scale)}{unit}",
        f"{low} to {high}{unit}",
    )


def _law_cells(choice: LawChoice, fit: LawFit) -> tuple[str, ...]:
    limit = choice.ks_limit
    is_taken = fit.law["name"] == choice.law["name"]
    return (
        choice.name,
        f"{fit.law['name']}{'*' * is_taken}",
        rounded(fit.log_likelihood, None),
        "" if fit.held_out is None else rounded(fit.held_out, None),
        "" if fit.ks is None else f"{fit.ks:.3f}",
        "" if limit is None else f"{limit:.3f}",
    )
