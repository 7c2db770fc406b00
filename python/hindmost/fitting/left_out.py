"""What is left out of the steps of a log, in words."""

from __future__ import annotations

from hindmost.fitting.drift import MOST


def left_out(
    *,
    n_warmup: int = 0,
    n_fast: int = 0,
    has_drift: bool = True,
    resolution: float = 0.0,
    n_steps: int = 0,
) -> list[str]:
    """Return what was left out of a log, and what it does not show.

    Parameters
    ----------
    n_warmup
        Slow steps at the begin of a stretch.
    n_fast
        Times far below what is expected of them.
    has_drift
        Whether a drift is told from white noise.
    n_steps
        Usual steps.
    resolution
        Steps in which times come, as a share of their median; 0 where they are not rounded.
    """
    notes = []
    if n_warmup:
        steps = "slow step" if n_warmup == 1 else "slow steps"
        were = "was" if n_warmup == 1 else "were"
        notes.append(f"{n_warmup} {steps} at the begin of a stretch {were} left out as a warm-up")
    if n_fast:
        times = (
            "time far below its neighbours' was"
            if n_fast == 1
            else ("times far below their neighbours' were")
        )
        notes.append(f"{n_fast} {times} left out: no cause is faster")
    if not has_drift:
        notes.append("no drift is told from white noise, so there is none")
    if n_steps > MOST:
        notes.append(
            f"white noise and drift are those of {MOST:,} of {n_steps:,} steps, spread evenly"
        )
    if resolution:
        notes.append(
            f"times are rounded to {100 * resolution:.2g}% of a step: noise of less is not told "
            f"from none"
        )
    return notes
