"""Reports: what a result says, as content without a format, and one file a format."""

from hindmost.report.formats import (
    FORMATS,
    render,
    render_attribution,
    render_collectives,
    render_comparison,
    render_explanation,
    render_layouts,
    render_model,
    render_sensitivity,
    render_served,
    render_slices,
    render_stragglers,
    render_sweep,
    render_timeline,
    render_worth,
)

__all__ = [
    "FORMATS",
    "render",
    "render_attribution",
    "render_collectives",
    "render_comparison",
    "render_explanation",
    "render_layouts",
    "render_model",
    "render_sensitivity",
    "render_served",
    "render_slices",
    "render_stragglers",
    "render_sweep",
    "render_timeline",
    "render_worth",
]
