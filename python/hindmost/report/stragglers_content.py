"""What a report of a job without stragglers says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hindmost.report.content import Content, Table
from hindmost.report.numbers import count
from hindmost.stragglers.ideal import Ideal
from hindmost.stragglers.what_if import WhatIf

MOST_ROWS = 8
"""Ranks and replicas that are listed, at most."""


def stragglers_content(found: WhatIf, ideals: Mapping[str, Ideal]) -> Content:
    """Return the content of a report of a job without stragglers.

    Parameters
    ----------
    found
        The job.
    ideals
        What else is to be made ideal, by its name.
    """
    job = found.job
    return Content(
        headline=(
            f"{job.name}: {count(len(found.times_s))} steps, {count(job.n_stages)} "
            f"stages x {count(job.n_replicas)} replicas"
        ),
        lead=(
            f"A step takes {_seconds(found.T_s)}, and {_seconds(found.T_ideal_s)} without "
            f"stragglers: it is {found.S:.4g} times as long (S).",
            *_shares(found),
        ),
        tables=tuple(_tables(found, ideals)),
        notes=(
            "Slowdown: of a step against the ideal one when these operations alone are as "
            "recorded (S_t by type); of a rank the smaller one of its replica's and its stage's "
            "(S_w).",
            "Ideal is the mean of a type for computing, and the median of transfers. Delays "
            f"before launches are left out: with them a step took {_seconds(found.T_recorded_s)}.",
        ),
    )


def _shares(found: WhatIf) -> Iterator[str]:
    if found.M_W is None or found.M_S is None:
        yield "There is no slowdown to explain."
        return
    ranks = found.slowest_ranks
    listed = ", ".join(map(str, ranks[:MOST_ROWS])) + (", ..." if len(ranks) > MOST_ROWS else "")
    whose = f"rank {listed}" if len(ranks) == 1 else f"ranks {listed}"
    yield (
        f"The slowest 3% of workers ({whose}) explain {found.M_W:.1%} of the slowdown (M_W), "
        f"and the last stage {found.M_S:.1%} (M_S)."
    )


def _tables(found: WhatIf, ideals: Mapping[str, Ideal]) -> Iterator[Table]:
    yield _slowdowns("type of operation", found.S_t)
    yield _slowdowns("stage", found.S_stage)
    yield _slowdowns("data-parallel rank", found.S_dp_rank)
    yield _slowdowns("rank", found.S_w)
    if ideals:
        rows = [(name, found.T_with_s(ideal)) for name, ideal in ideals.items()]
        yield Table(
            ("ideal", "step s", "slowdown", "explains"),
            tuple(
                (name, f"{seconds:.4f}", f"{seconds / found.T_ideal_s:.4f}", _share(found, seconds))
                for name, seconds in rows
            ),
        )


def _share(found: WhatIf, seconds: float) -> str:
    """Return in words which share of the slowdown is gone when a step takes some seconds."""
    lost_s = found.T_s - found.T_ideal_s
    return f"{(found.T_s - seconds) / lost_s:.1%}" if lost_s > 0 else "nothing"


def _slowdowns(heading: str, slowdowns: Mapping[Any, float]) -> Table:
    """Return the greatest slowdowns, the greatest first."""
    rows: Sequence[tuple[Any, float]] = sorted(slowdowns.items(), key=lambda one: -one[1])
    cells = [(str(name), f"{slowdown:.4f}") for name, slowdown in rows]
    shown = cells if heading == "type of operation" else cells[:MOST_ROWS]
    if len(shown) < len(cells):
        heading = f"{heading}, {len(shown)} of {len(cells):,}"
    return Table((heading, "slowdown"), tuple(shown))


def _seconds(seconds: float) -> str:
    return f"{seconds:.4g} s"
