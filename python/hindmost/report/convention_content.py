"""What a report of another tool's MFU says."""

from __future__ import annotations

from hindmost.analyses.convention import ConvertedMfu
from hindmost.report.content import Content, Listing, Table
from hindmost.units import GIGA, TERA

NONE = "-"


def convention_content(found: ConvertedMfu) -> Content:
    """Return the content of a report: MFU by both, what each counts, and why they differ."""
    mfu = Table(
        ("MFU", "", f"{found.title} over it"),
        (
            (f"{found.title} {found.version}", _mfu(found.printed), ""),
            ("here, causal scores", _mfu(found.causal), _ratio(found.ratio)),
            ("here, all scores", _mfu(found.full), _ratio(found.ratio_to_full)),
        ),
    )
    of = found.title
    counted = Table(
        ("counted", of, "here, causal"),
        (
            (
                "GFLOP a token",
                NONE if found.flops_per_token is None else f"{found.flops_per_token / GIGA:.3f}",
                f"{found.causal_flops_per_token / GIGA:.3f}",
            ),
            (
                "peak of a GPU, TFLOP/s",
                NONE if found.peak_flop_per_s is None else f"{found.peak_flop_per_s / TERA:,.6g}",
                f"{found.catalogue_peak_flop_per_s / TERA:,.6g}",
            ),
        ),
    )
    return Content(
        headline=f"{found.scenario}: what {found.title} prints, and what it is here",
        tables=(mfu, counted),
        notes=(
            f"It follows that a GPU trains {found.tokens_per_s_per_gpu:,.1f} tokens/s, and that a "
            f"step takes {found.step_time_s:.4g} s.",
            f"MFU here is over the dense {found.peak_dtype} peak of the GPUs in the job.",
        ),
        listings=(Listing("Why", found.why),),
    )


def _mfu(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _ratio(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"
