"""Order statistics of rows in runs, without sorting all rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
Counts = NDArray[np.intp]

MOST_BINS = 4096
SAMPLE = 1024


def without_run(per_run: Rows, run: Counts, place: Counts) -> Rows:
    """Return the rows at places of the ascending order of all runs but one.

    Parameters
    ----------
    per_run : array of shape (runs, steps)
        Finite rows.
    run
        The run to leave out, broadcast against `place`; the number of runs leaves out none.
    place
        Places from 0, less than the number of rows that are left.

    Notes
    -----
    Bins that ascend with the rows are counted by run, and only the rows of those bins
    that hold a place are sorted. Rows at the minimum have a bin of their own, as a
    quantity that is mostly zero would else be sorted whole.
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
    """Return bins that ascend with the rows, the first one for the minimum alone."""
    n_steps = per_run.shape[1]
    rows = per_run.ravel()
    lowest = float(rows.min())
    # Of a sample, lest few rows far above leave all others in one bin.
    width = float(rows[:: max(len(rows) // SAMPLE, 1)].max()) - lowest
    n_bins = max(min(n_steps // 2, MOST_BINS), 2)
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
    """Return the last place in a line of a table whose entry is at most a value.

    Lines begin at zero and entries are below the table's greatest plus two.
    """
    shift = int(max(ascending.max(), value.max(initial=0))) + 1
    lines, columns = ascending.shape
    flat = (ascending + np.arange(0, lines * shift, shift)[:, np.newaxis]).ravel()
    found: Counts = np.searchsorted(flat, value + line * shift, side="right")
    found -= 1 + line * columns
    return found


def _without_run(rows: Rows, run_of: Counts, n_runs: int, run: Counts, place: Counts) -> Rows:
    """Return the rows at places of the order of all rows but those of one run, by sorting."""
    order = np.argsort(rows, kind="stable")
    run_of = run_of[order].astype(np.min_scalar_type(n_runs))
    by_run = np.argsort(run_of, kind="stable")
    starts = np.zeros(n_runs + 2, dtype=np.intp)
    np.cumsum(np.bincount(run_of, minlength=n_runs + 1), out=starts[1:])
    # How many rows of other runs are before each row; it ascends in each run.
    shift = len(rows) + 1
    run_of = run_of[by_run].astype(np.intp)
    others = by_run - np.arange(len(rows)) + starts[run_of] + run_of * shift
    own = np.searchsorted(others, place + run * shift, side="right") - starts[run]
    found: Rows = rows[order[place + own]]
    return found
