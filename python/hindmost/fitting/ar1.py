"""Likelihood of a drift and white noise: an autoregressive process of first order, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """Values at some times, from one restart to the next one.

    Attributes
    ----------
    times : array of shape (n,)
        Times in steps, ascending; of a mean of several steps, that of their middle. What is missing
        between them is bridged.
    values : array of shape (n,)
        The values.
    averaged : array of shape (n,)
        Steps that each value is the mean of, one after another: its white noise has so much less
        variance, and its drift is the mean of theirs.
    """

    times: Vector
    values: Vector
    averaged: Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Innovations:
    """Sums over the innovations of a Kalman filter, for several pairs of parameters at once.

    Attributes
    ----------
    n : int
        Values.
    log_det : array of shape (pairs,)
        Logarithm of the determinant of the covariance, in units of the white variance.
    squares, products, ones : array of shape (pairs,)
        ``y' V^-1 y``, ``y' V^-1 1`` and ``1' V^-1 1`` with V that covariance.
    """

    n: int
    log_det: Vector
    squares: Vector
    products: Vector
    ones: Vector

    @property
    def mean(self) -> Vector:
        """The mean by generalised least squares."""
        return self.products / self.ones

    @property
    def white_variance(self) -> Vector:
        """The white variance of the greatest restricted likelihood."""
        about_mean = self.squares - self.products**2 / self.ones
        return np.maximum(about_mean, np.finfo(np.float64).tiny) / (self.n - 1)

    @property
    def restricted(self) -> Vector:
        """The restricted log-likelihood at that variance.

        The likelihood of all contrasts, in which the mean does not occur (Patterson and Thompson,
        Recovery of inter-block information when block sizes are unequal, 1971).
        """
        freedom = self.n - 1
        log_variance = np.log(2 * np.pi * self.white_variance)
        return -0.5 * (freedom * (log_variance + 1) + self.log_det + np.log(self.ones))

    def likelihood(self, mean: float, white_variance: float) -> Vector:
        """Return the log-likelihood at a mean and a white variance."""
        about_mean = self.squares - 2 * mean * self.products + mean**2 * self.ones
        scale = self.n * np.log(2 * np.pi * white_variance)
        found: Vector = -0.5 * (scale + self.log_det + about_mean / white_variance)
        return found


def innovations(
    stretches: Sequence[Measured], correlation_steps: Vector, ratio: Vector
) -> Innovations:
    """Return the sums over innovations, from which follow likelihoods.

    Parameters
    ----------
    stretches
        Values, which are independent from one stretch to the next one but for their mean.
    correlation_steps : array of shape (pairs,)
        Steps in which the correlation of the drift falls to 1/e, > 0.
    ratio : array of shape (pairs,)
        Variance of the drift over that of the white noise of one step, >= 0.

    Notes
    -----
    With x the drift and w white noise, ``y_t = mean + x_t + w_t``. x is stationary, and times that
    are d apart have the correlation ``exp(-d / correlation_steps)``. The filter takes one pass
    through the values, where the covariance would take the cube of their number. Its state is the
    drift of the last step that a value is of: means of steps that were taken for their middle would
    make a drift too smooth, and leave too little white noise.
    """
    windows: dict[float, _Window] = {}
    shape = np.shape(correlation_steps)
    log_det, squares, products, ones = (np.zeros(shape) for _ in range(4))
    for stretch in stretches:
        before = None
        drift, unit = np.zeros(shape), np.zeros(shape)
        variance = np.array(ratio, dtype=np.float64)
        kept, kept_gap = np.zeros(shape), np.nan
        for time, value, averaged in zip(
            stretch.times.tolist(),
            stretch.values.tolist(),
            stretch.averaged.tolist(),
            strict=True,
        ):
            if averaged not in windows:
                windows[averaged] = _Window.of(averaged, correlation_steps, ratio)
            window = windows[averaged]
            reach = (averaged - 1) / 2
            # From the last step of the value before to the one before the first step of this one.
            gap = 0.0 if before is None else max(time - reach - before - 1, 0.0)
            before = time + reach
            if gap > 0:
                if gap != kept_gap:
                    kept, kept_gap = np.exp(-gap / correlation_steps), gap
                drift *= kept
                unit *= kept
                variance = ratio + kept**2 * (variance - ratio)
            total = window.mean**2 * variance + window.mean_variance + 1 / averaged
            surprise, of_one = value - window.mean * drift, 1 - window.mean * unit
            log_det += np.log(total)
            squares += surprise**2 / total
            products += surprise * of_one / total
            ones += of_one**2 / total
            shared = window.mean * window.last * variance + window.covariance
            gain = shared / total
            drift = window.last * drift + gain * surprise
            unit = window.last * unit + gain * of_one
            variance = window.last**2 * variance + window.last_variance - gain * shared
    n = sum(len(stretch.values) for stretch in stretches)
    return Innovations(n=n, log_det=log_det, squares=squares, products=products, ones=ones)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """Steps one after another, given the drift of the step before them, for each pair.

    Attributes
    ----------
    mean, last : array of shape (pairs,)
        What the mean of their drift, and that of the last one, is expected to be over that before.
    mean_variance, last_variance, covariance : array of shape (pairs,)
        Variances of both about that, and their covariance.
    """

    mean: Vector
    last: Vector
    mean_variance: Vector
    last_variance: Vector
    covariance: Vector

    @classmethod
    def of(cls, steps: float, correlation_steps: Vector, ratio: Vector) -> _Window:
        """Return the window of a number of steps, a drift's correlation and variance."""
        n = max(round(steps), 1)
        apart = np.arange(1, n).reshape(-1, *([1] * np.ndim(correlation_steps)))
        correlations = np.exp(-apart / correlation_steps)
        to_last = (1 + correlations.sum(axis=0)) / n
        of_mean = (n + 2 * ((n - apart) * correlations).sum(axis=0)) / n**2
        mean = np.exp(-1 / correlation_steps) * to_last
        last = np.exp(-n / correlation_steps)
        return cls(
            mean=mean,
            last=last,
            mean_variance=ratio * (of_mean - mean**2),
            last_variance=-ratio * np.expm1(-2 * n / correlation_steps),
            covariance=ratio * (to_last - mean * last),
        )
