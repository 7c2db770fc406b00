"""Power of a GPU over a step: peak while it computes, and then idle, a floor or a ramp."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

JUMP = 1e-9
"""Share of the greatest power below which two powers are one that was rounded."""


class Piece(NamedTuple):
    """Some seconds in which power changes evenly."""

    start_s: float
    end_s: float
    start_w: float
    end_w: float

    def at(self, time_s: float) -> float:
        """Return the watts at some time within it."""
        share = (time_s - self.start_s) / (self.end_s - self.start_s)
        return self.start_w + share * (self.end_w - self.start_w)


@dataclass(frozen=True, kw_only=True)
class GpuPower:
    """What one GPU draws, and how fast that may change.

    Attributes
    ----------
    peak_w, idle_w : float
        Watts while it computes, and of an idle GPU.
    floor_w : float
        Watts below which it does not fall within steps; no floor by default.
    up_w_per_s, down_w_per_s : float
        Rates at which power rises and falls at most; unlimited by default.
    hysteresis_s : float
        Seconds after computing for which power stays where it is.
    """

    peak_w: float
    idle_w: float
    floor_w: float = 0.0
    up_w_per_s: float = math.inf
    down_w_per_s: float = math.inf
    hysteresis_s: float = 0.0

    @property
    def lowest_w(self) -> float:
        """Watts that it falls to within steps: the floor, or those of an idle GPU."""
        return max(self.idle_w, self.floor_w)


def step_trace(gpu: GpuPower, *, busy_s: float, step_s: float) -> tuple[Piece, ...]:
    """Return the power of a GPU over a step that comes again and again.

    Parameters
    ----------
    gpu
        The GPU, with ``floor_w <= peak_w`` and ``idle_w <= peak_w``.
    busy_s
        Seconds in which it computes, from the beginning of the step on.
    step_s
        Seconds of the step, >= `busy_s`.

    Returns
    -------
    tuple of Piece
        Pieces of some length each, from 0 to `step_s`.

    Notes
    -----
    With L the power when a step begins, P the peak and F the lowest, it rises to ``min(P, L + a)``
    and falls to ``max(F, that - b)``: a is the rise while it computes and b the fall after the
    hysteresis. Where steps are all alike, ``L = max(F, P - b)`` if a > b, and F otherwise. (For
    a = b any L from F to P - a stays; F is the one that a job comes to which begins there.)
    """
    peak_w, lowest_w = gpu.peak_w, gpu.lowest_w
    from_s = min(step_s, busy_s + gpu.hysteresis_s)
    rise_w = _change(gpu.up_w_per_s, busy_s)
    fall_w = _change(gpu.down_w_per_s, step_s - from_s)
    start_w = max(lowest_w, peak_w - fall_w) if rise_w > fall_w else lowest_w
    highest_w = min(peak_w, start_w + rise_w)
    end_w = max(lowest_w, highest_w - fall_w)
    risen_s = min(busy_s, (highest_w - start_w) / gpu.up_w_per_s)
    fallen_s = min(step_s, from_s + (highest_w - end_w) / gpu.down_w_per_s)
    pieces = (
        Piece(0.0, risen_s, start_w, highest_w),
        Piece(risen_s, busy_s, highest_w, highest_w),
        Piece(busy_s, from_s, highest_w, highest_w),
        Piece(from_s, fallen_s, highest_w, end_w),
        Piece(fallen_s, step_s, end_w, end_w),
    )
    return tuple(piece for piece in pieces if piece.end_s > piece.start_s)


def _change(w_per_s: float, seconds: float) -> float:
    """Return by how much power changes, at most; nothing in no time, however fast it may."""
    return w_per_s * seconds if seconds else 0.0


def scaled(pieces: Sequence[Piece], *, times: float, less_w: float) -> tuple[Piece, ...]:
    """Return `times` the watts of pieces above `less_w`."""
    return tuple(
        Piece(
            piece.start_s,
            piece.end_s,
            times * (piece.start_w - less_w),
            times * (piece.end_w - less_w),
        )
        for piece in pieces
    )


def together(traces: Sequence[Sequence[Piece]]) -> tuple[Piece, ...]:
    """Return the sum of traces over the same seconds."""
    times = np.unique([time_s for pieces in traces for piece in pieces for time_s in piece[:2]])
    starts_s, ends_s = times[:-1], times[1:]
    starts_w, ends_w = np.zeros(len(starts_s)), np.zeros(len(ends_s))
    for pieces in traces:
        own = np.array(pieces)
        # The piece that each part of the sum lies in.
        from_s, to_s, from_w, to_w = own[np.searchsorted(own[:, 1], ends_s)].T
        slope = (to_w - from_w) / (to_s - from_s)
        starts_w += from_w + (starts_s - from_s) * slope
        ends_w += from_w + (ends_s - from_s) * slope
    columns = (one.tolist() for one in (starts_s, ends_s, starts_w, ends_w))
    return tuple(Piece(*row) for row in zip(*columns, strict=True))


def ramps(pieces: Sequence[Piece]) -> tuple[float, float]:
    """Return the watts a second by which power rises and falls at most; infinite where it jumps.

    Parameters
    ----------
    pieces
        Power over a step that comes again: the last piece is followed by the first.
    """
    up = down = 0.0
    greatest = max(max(piece.start_w, piece.end_w) for piece in pieces)
    for piece, after in zip(pieces, [*pieces[1:], pieces[0]], strict=True):
        slopes = [(piece.end_w - piece.start_w) / (piece.end_s - piece.start_s)]
        jump = after.start_w - piece.end_w
        if abs(jump) > JUMP * greatest:
            slopes.append(math.copysign(math.inf, jump))
        up, down = max(up, *slopes), max(down, *(-slope for slope in slopes))
    return up, down


def joules(pieces: Sequence[Piece], first_s: float, last_s: float) -> float:
    """Return the energy between two times, exactly."""
    total = 0.0
    for piece in pieces:
        start_s, end_s = max(piece.start_s, first_s), min(piece.end_s, last_s)
        if end_s > start_s:
            total += (piece.at(start_s) + piece.at(end_s)) / 2 * (end_s - start_s)
    return total


def mean_w(pieces: Sequence[Piece], first_s: float, last_s: float) -> float:
    """Return the mean power between two times; that of the time where both are one."""
    inside = [one for one in pieces if one.end_s > first_s and one.start_s < last_s]
    if last_s > first_s and len(inside) > 1:
        return joules(pieces, first_s, last_s) / (last_s - first_s)
    # Of one piece, without rounding by its seconds.
    piece = inside[0] if inside else next(one for one in pieces if one.end_s >= first_s)
    return (piece.at(max(first_s, piece.start_s)) + piece.at(min(last_s, piece.end_s))) / 2
