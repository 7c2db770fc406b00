"""Order statistics of all rows but those of one run, without sorting all rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Counts = NDArray[np.intp]

MAX_BINS = 4096
"""Bins that rows are counted in, at most."""
MAX_SAMPLED_ROWS = 1024
"""Rows that the width of the bins is taken from, at most, about."""


def without_run(per_run: Rows, run: Counts, place: Counts) -> Rows:
    """Return the rows at some places in ascending order, of all runs but one.

    Parameters
    ----------
    per_run : array of shape (runs, steps)
        Finite rows.
    run
        The run to leave out, broadcast against `place`; the number of runs leaves none out.
    place
        Places in ascending order, counted from 0, below the number of rows that are left.

    Notes
    -----
    Rows are counted by run in ascending bins, and only the rows of bins that hold a
    wanted place are sorted. Rows at the minimum have a bin of their own, because a
    quantity that is mostly zero would otherwise be sorted in full.
    """
    n_runs, n_steps = per_run.shape
    run, place = np.broadcast_arrays(run, place)
    bins = _bins(per_run)
    n_bins = int(bins.max()) + 1
    of_run = bins + np.arange(0, n_runs * n_bins, n_bins)[:, np.newaxis]
    counts = np.bincount(of_run.ravel(), minlength=(n_runs + 1) * n_bins).reshape(-1, n_bins)
    rest = counts.sum(axis=0) - counts
    before = rest.cumsum(axis=1) - rest
    bin_ = _last_at_most(before, run, place)
    needed = np.zeros(n_bins, dtype=np.bool_)
    needed[bin_] = True
    needed[0] = False
    rest[:, ~needed] = 0
    kept_before = rest.cumsum(axis=1) - rest
    found: Rows = np.full(place.shape, per_run.min())
    at = bin_ > 0
    run, bin_ = run[at], bin_[at]
    place = place[at] - before[run, bin_] + kept_before[run, bin_]
    kept = np.flatnonzero(needed[bins])
    found[at] = _without_run(per_run.ravel()[kept], kept // n_steps, n_runs, run, place)
    return found


def _bins(per_run: Rows) -> Counts:
    """Return the bin of each row; bins ascend, and the first one holds the minimum alone."""
    n_steps = per_run.shape[1]
    rows = per_run.ravel()
    lowest = float(rows.min())
    # From a sample, because few rows far above the others would put these into one bin.
    width = float(rows[:: max(len(rows) // MAX_SAMPLED_ROWS, 1)].max()) - lowest
    n_bins = max(min(n_steps // 2, MAX_BINS), 2)
    scale = (n_bins - 1) / width if width > 0 else 0.0
    if not math.isfinite(scale):
        scale = 0.0
    scaled = per_run - lowest
    scaled *= scale
    np.minimum(scaled, n_bins - 2, out=scaled)
    bins = scaled.astype(np.intp)
    bins += per_run > lowest
    return bins


def _last_at_most(ascending: Counts, line: Counts, value: Counts) -> Counts:
    """Return the last column of a line of a table whose entry is at most a value.

    Parameters
    ----------
    ascending : array of shape (lines, columns)
        Table whose lines ascend from zero.
    line, value
        Line and value of each answer.
    """
    shift = int(max(ascending.max(), value.max(initial=0))) + 1
    lines, columns = ascending.shape
    flat = (ascending + np.arange(0, lines * shift, shift)[:, np.newaxis]).ravel()
    found: Counts = np.searchsorted(flat, value + line * shift, side="right")
    found -= 1 + line * columns
    return found


def _without_run(rows: Rows, run_of: Counts, n_runs: int, run: Counts, place: Counts) -> Rows:
    """Return the rows at some places in ascending order, of all runs but one, by sorting."""
    order = np.argsort(rows, kind="stable")
    run_of = run_of[order].astype(np.min_scalar_type(n_runs))
    by_run = np.argsort(run_of, kind="stable")
    starts = np.zeros(n_runs + 2, dtype=np.intp)
    np.cumsum(np.bincount(run_of, minlength=n_runs + 1), out=starts[1:])
    # Rows of other runs before each row; this ascends within each run.
    shift = len(rows) + 1
    run_of = run_of[by_run].astype(np.intp)
    others = by_run - np.arange(len(rows)) + starts[run_of] + run_of * shift
    own = np.searchsorted(others, place + run * shift, side="right") - starts[run]
    found: Rows = rows[order[place + own]]
    return found
