"""What a report of layouts says."""

from __future__ import annotations

from hindmost.report.content import Content, Listing, Table
from hindmost.report.numbers import count
from hindmost.sweeps.layouts import Layouts
from hindmost.units import GIGA

MOST_ROWS = 20
"""Layouts that are shown, at most."""
MOST_REASONS = 5
"""Reasons of refusals that are shown, at most."""


def layouts_content(found: Layouts, *, base: str) -> Content:
    """Return the content of a report of layouts: the fastest ones, and why others are none.

    Parameters
    ----------
    found
        The layouts.
    base
        Name of the scenario.
    """
    rows = found.frame.head(MOST_ROWS).to_dicts()
    has_steps = found.frame["step_time_s_p95"].count() > 0
    cells = tuple(
        (
            *(str(row[key]) for key in ("tensor", "pipeline", "context", "expert", "sharding")),
            f"{row['memory_bytes'] / GIGA:.1f}",
            f"{row['noiseless_step_s']:.4g}",
            *((_number(row["step_time_s_p95"]), _number(row["mfu_mean"])) if has_steps else ()),
        )
        for row in rows
    )
    headings = ["tensor", "stages", "context", "experts", "sharding", "GB", "noiseless, s"]
    headings += ["p95, s", "MFU"] if has_steps else []
    reasons = sorted(found.reasons.items(), key=lambda pair: -pair[1])
    listings = []
    if reasons:
        lines = [f"{count(n)}: {path}" for path, n in reasons[:MOST_REASONS]]
        listings.append(Listing("Refused, by key path (layout: memory)", tuple(lines)))
    return Content(
        headline=(
            f"{base}: {count(found.frame.height)} of "
            f"{count(found.frame.height + found.n_refused)} layouts fit"
        ),
        tables=(Table(tuple(headings), cells),),
        notes=(
            f"All train on {count(found.global_batch_seqs)} sequences in a step, ranked by a step "
            "without any cause. --output keeps all.",
            f"Seed {found.seed}.",
        ),
        listings=tuple(listings),
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
