"""A result in each of the formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hindmost.analyses.caps import MovedCap
from hindmost.report import csv, json, markdown, table
from hindmost.report.brief_content import brief_content
from hindmost.report.content import Content
from hindmost.report.forecast_content import summary_and_forecast
from hindmost.report.result_content import result_content
from hindmost.result import Result

if TYPE_CHECKING:
    import polars as pl

    from hindmost.analyses.collectives import CollectiveCosts
    from hindmost.analyses.compare import Comparison
    from hindmost.analyses.convention import ConvertedMfu
    from hindmost.analyses.economics import Worth
    from hindmost.analyses.explain import Explanation
    from hindmost.analyses.model_summary import ModelSummary
    from hindmost.analyses.placed_slices import PlacedSlices
    from hindmost.analyses.sensitivity import Sensitivity
    from hindmost.analyses.serve import Served
    from hindmost.attributed import Attribution
    from hindmost.fitting.against_log import LogComparison
    from hindmost.fitting.fit import Fit
    from hindmost.stragglers.ideal import Ideal
    from hindmost.stragglers.what_if import WhatIf
    from hindmost.sweeps.layouts import Layouts
    from hindmost.timelines.timeline import Timeline

FORMATS = ("table", "json", "csv", "markdown")
"""Formats of a report; CSV holds the summary, and the forecast below it, alone."""


def render(
    result: Result,
    style: str,
    *,
    caps: Sequence[MovedCap] | None = None,
    wide: bool = False,
    whole: bool = True,
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
    whole
        Whether ``table`` says all, or what is to be known first.
    """
    moved = None if caps is None else [asdict(row) for row in caps]
    text = _in_style(
        style,
        document=lambda: result.document(caps=moved),
        rows=lambda: summary_and_forecast(result),
        # Only what is read in a terminal has to fit into its width.
        content=lambda: (
            brief_content(result)
            if style == "table" and not whole
            else result_content(result, caps=caps or (), wide=wide or style != "table")
        ),
    )
    if result.attribution is not None and style in ("table", "markdown"):
        text += f"\n{render_attribution(result.attribution, style)}"
    return text


def render_comparison(comparison: Comparison, style: str) -> str:
    """Return a comparison in one of `FORMATS`."""
    from hindmost.report.comparison_content import comparison_content

    return _in_style(
        style,
        document=comparison.document,
        rows=lambda: comparison.document()["differences"],
        content=lambda: comparison_content(comparison),
    )


def render_log_comparison(found: LogComparison, style: str) -> str:
    """Return a scenario beside a log in one of `FORMATS`; CSV holds the statistics alone."""
    from hindmost.report.log_comparison_content import log_comparison_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: log_comparison_content(found),
    )


def render_fit(found: Fit, style: str) -> str:
    """Return a fit in one of `FORMATS`; CSV holds the numbers that were fitted alone."""
    from hindmost.report.fit_content import fit_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: fit_content(found),
    )


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

    return _in_style(
        style,
        document=lambda: found.document(interactions=interactions),
        rows=lambda: found.rows,
        content=lambda: attribution_content(found, interactions=interactions),
    )


def render_model(found: ModelSummary, style: str) -> str:
    """Return what a model is in one of `FORMATS`; CSV holds the parts of its FLOPs alone."""
    from hindmost.report.model_content import model_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: model_content(found),
    )


def render_convention(found: ConvertedMfu, style: str) -> str:
    """Return the MFU of another tool in one of `FORMATS`; CSV holds the FLOPs by part alone."""
    from hindmost.report.convention_content import convention_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: convention_content(found),
    )


def render_explanation(found: Explanation, style: str) -> str:
    """Return an explanation in one of `FORMATS`; CSV holds the posterior alone."""
    from hindmost.report.explanation_content import explanation_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: explanation_content(found),
    )


def render_collectives(found: CollectiveCosts, style: str) -> str:
    """Return what collectives cost in one of `FORMATS`."""
    from hindmost.report.collective_content import collective_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: collective_content(found),
    )


def render_worth(found: Worth, style: str) -> str:
    """Return what a cluster is worth in one of `FORMATS`; CSV holds prices by source alone."""
    from hindmost.report.worth_content import worth_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: worth_content(found),
    )


def render_served(found: Served, style: str) -> str:
    """Return what pools give at inference in one of `FORMATS`; CSV holds configurations alone."""
    from hindmost.report.serving_content import layout, serving_content

    def rows() -> list[dict[str, Any]]:
        plain = ("shares", "prefill")
        return [
            {"layout": layout(one), **{key: each for key, each in one.items() if key not in plain}}
            for one in found.configurations
        ]

    return _in_style(
        style, document=found.document, rows=rows, content=lambda: serving_content(found)
    )


def render_sensitivity(found: Sensitivity, style: str) -> str:
    """Return a sensitivity in one of `FORMATS`."""
    from hindmost.report.sensitivity_content import sensitivity_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: sensitivity_content(found),
    )


def render_layouts(found: Layouts, style: str, *, base: str) -> str:
    """Return layouts in one of `FORMATS`; ``table`` and ``markdown`` show the fastest.

    Parameters
    ----------
    found
        The layouts.
    style
        The format.
    base
        Name of the scenario.
    """
    from hindmost.report.layouts_content import layouts_content

    return _in_style(
        style,
        document=lambda: {
            "inputs": {
                "base": base,
                "seed": found.seed,
                "global_batch_seqs": found.global_batch_seqs,
            },
            "layouts": found.frame.to_dicts(),
            "n_refused": found.n_refused,
            "reasons": found.reasons,
        },
        rows=found.frame.to_dicts,
        content=lambda: layouts_content(found, base=base),
    )


def render_slices(found: PlacedSlices, style: str) -> str:
    """Return what slices take in one of `FORMATS`; CSV holds sizes and placements alone."""
    from hindmost.report.slices_content import slices_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: slices_content(found),
    )


def render_stragglers(found: WhatIf, style: str, *, ideals: Mapping[str, Ideal]) -> str:
    """Return a job without stragglers in one of `FORMATS`; CSV holds slowdowns alone.

    Parameters
    ----------
    found
        The job.
    style
        The format.
    ideals
        What else is to be made ideal, by its name.
    """
    from hindmost.report.stragglers_content import stragglers_content

    def document() -> dict[str, Any]:
        times_s = {name: found.T_with_s(ideal) for name, ideal in ideals.items()}
        rows = [{"ideal": name, "T_s": seconds} for name, seconds in times_s.items()]
        return {**found.document(), **({"ideals": rows} if rows else {})}

    return _in_style(
        style,
        document=document,
        rows=lambda: found.rows,
        content=lambda: stragglers_content(found, ideals),
    )


def render_sweep(
    frame: pl.DataFrame, style: str, *, base: str, runs: int | None, steps: int | None
) -> str:
    """Return a sweep in one of `FORMATS`; ``table`` and ``markdown`` show the best of many points.

    Parameters
    ----------
    frame
        What `sweep` returns.
    style
        The format.
    base
        Name of the scenario that the points change.
    runs, steps
        Of each point; None for those of `simulate`.
    """
    from hindmost.report.sweep_content import sweep_content

    return _in_style(
        style,
        document=lambda: {
            "inputs": {"base": base, "runs": runs, "steps": steps},
            "points": frame.to_dicts(),
        },
        rows=frame.to_dicts,
        content=lambda: sweep_content(frame, base=base, runs=runs, steps=steps),
    )


def render_timeline(found: Timeline, style: str) -> str:
    """Return a step in one of `FORMATS`; CSV holds the replicas that are drawn alone."""
    from hindmost.report.timeline_content import timeline_content

    return _in_style(
        style,
        document=found.document,
        rows=lambda: found.rows,
        content=lambda: timeline_content(found),
    )


def _in_style(
    style: str,
    *,
    document: Callable[[], Any],
    rows: Callable[[], Sequence[Mapping[str, Any]]],
    content: Callable[[], Content],
) -> str:
    """Return something in one of `FORMATS`, of which only that one is made."""
    match style:
        case "json":
            return json.text(document())
        case "csv":
            return csv.text(rows())
        case "markdown":
            return markdown.text(content())
        case "table":
            return table.text(content(), table.terminal_width())
        case _:
            raise ValueError(f"style must be one of {', '.join(FORMATS)}, got {style!r}")
