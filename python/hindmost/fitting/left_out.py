"""What is left out of the steps of a log, in words."""

from __future__ import annotations


def left_out(
    *, n_warmup: int = 0, n_fast: int = 0, has_drift: bool = True, resolution: float = 0.0
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
    resolution
        Steps in which times come, as a share of their median; 0 where they are not rounded.
    """
    notes = []
    if n_warmup:
        notes.append(f"{n_warmup} slow steps at the begin of a stretch were left out as a warm-up")
    if n_fast:
        notes.append(
            f"{n_fast} times far below their neighbours' were left out: no cause is faster"
        )
    if not has_drift:
        notes.append("no drift is told from white noise, so there is none")
    if resolution:
        notes.append(
            f"times are rounded to {resolution:.2%} of a step: noise of less is not told from none"
        )
    return notes
