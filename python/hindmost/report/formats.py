"""A result in each of the formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from hindmost.analyses.caps import MovedCap
from hindmost.report import csv, json, markdown, table
from hindmost.report.result_content import result_content
from hindmost.result import Result

if TYPE_CHECKING:
    from hindmost.analyses.attribute import Attribution
    from hindmost.analyses.collectives import CollectiveCosts
    from hindmost.analyses.compare import Comparison
    from hindmost.analyses.explain import Explanation
    from hindmost.analyses.model_summary import ModelSummary

FORMATS = ("table", "json", "csv", "markdown")
"""Formats of a report; CSV holds the summary alone."""


def render(
    result: Result,
    style: str,
    *,
    caps: Sequence[MovedCap] | None = None,
    wide: bool = False,
) -> str:
    """Return a result in one of `FORMATS`.

    Parameters
    ----------
    result
        The result.
    style
        The format.
    caps
        What the analysis of caps found, for all formats but CSV.
    wide
        Whether the summary of ``table`` has all percentiles, or those that fit into 80 columns.
    """
    match style:
        case "json":
            rows = None if caps is None else [asdict(row) for row in caps]
            return json.text(result.document(caps=rows))
        case "csv":
            return csv.text(result.summary_rows)
        case "markdown":
            return markdown.text(result_content(result, caps=caps or ()))
        case "table":
            return table.text(result_content(result, caps=caps or (), wide=wide))
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")


def render_comparison(comparison: Comparison, style: str) -> str:
    """Return a comparison in one of `FORMATS`."""
    from hindmost.report.comparison_content import comparison_content

    document = comparison.document()
    match style:
        case "json":
            return json.text(document)
        case "csv":
            return csv.text(document["differences"])
        case "markdown":
            return markdown.text(comparison_content(comparison))
        case "table":
            return table.text(comparison_content(comparison))
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")


def render_attribution(found: Attribution, style: str, *, interactions: bool = False) -> str:
    """Return an attribution in one of `FORMATS`.

    Parameters
    ----------
    found
        The attribution.
    style
        The format.
    interactions
        Whether pairs of mechanisms are shown, in all formats but CSV.
    """
    from hindmost.report.attribution_content import attribution_content

    match style:
        case "json":
            return json.text(found.document(interactions=interactions))
        case "csv":
            return csv.text(found.rows)
        case "markdown":
            return markdown.text(attribution_content(found, interactions=interactions))
        case "table":
            return table.text(attribution_content(found, interactions=interactions))
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")


def render_model(found: ModelSummary, style: str) -> str:
    """Return what a model is in one of `FORMATS`; CSV holds the parts of its FLOPs alone."""
    from hindmost.report.model_content import model_content

    match style:
        case "json":
            return json.text(found.document())
        case "csv":
            return csv.text(found.rows)
        case "markdown":
            return markdown.text(model_content(found))
        case "table":
            return table.text(model_content(found))
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")


def render_explanation(found: Explanation, style: str) -> str:
    """Return an explanation in one of `FORMATS`; CSV holds the posterior alone."""
    from hindmost.report.explanation_content import explanation_content

    match style:
        case "json":
            return json.text(found.document())
        case "csv":
            return csv.text(found.rows)
        case "markdown":
            return markdown.text(explanation_content(found))
        case "table":
            return table.text(explanation_content(found))
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")


def render_collectives(found: CollectiveCosts, style: str) -> str:
    """Return what collectives cost in one of `FORMATS`."""
    from hindmost.report.collective_content import collective_content

    match style:
        case "json":
            return json.text(found.document())
        case "csv":
            return csv.text(found.rows)
        case "markdown":
            return markdown.text(collective_content(found))
        case "table":
            return table.text(collective_content(found))
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")
