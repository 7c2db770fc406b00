"""Laws by maximum likelihood, held against values that they were not fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hindmost import _core
from hindmost.law import compiled_law

Vector = NDArray[np.float64]
Parameters = dict[str, Any]
"""A law as scenarios write it: a name and its parameters."""

HELD_OUT = 5
"""One value of so many is held out: a fifth."""
FEWEST = 10
"""Values from which on a fifth is held out."""
MOST = 50_000
"""Values that laws are fitted to, at most: evenly chosen ones of more."""
CLEAR = 2.0
"""Errors by which another law must be more likely than the first one to take its place."""
KS_LIMIT = 1.36
"""Kolmogorov-Smirnov distance times the root of the number that 5% of samples of a law exceed."""
HALVINGS = 80


@dataclass(frozen=True, kw_only=True)
class LawFit:
    """A law, fitted to four fifths of a sample.

    Attributes
    ----------
    law : dict
        Name and parameters.
    log_likelihood : float
        Mean logarithm of the density over the values that it was fitted to.
    held_out : float or None
        Mean over the values that were held out; None if there were too few, or the law has no
        density at one of them.
    ks : float or None
        Greatest distance between its CDF and that of the values held out.
    """

    law: Parameters
    log_likelihood: float
    held_out: float | None
    ks: float | None


@dataclass(frozen=True, kw_only=True)
class LawChoice:
    """The law of a sample, and how others compare with it.

    Attributes
    ----------
    name : str
        What the values are.
    n, n_held_out : int
        Values, and those of them that were held out.
    law : dict
        Name and parameters of the law that is taken, fitted to all values.
    fits : tuple of LawFit
        All laws, the one that is taken first where nothing is clearly better.
    above : float or None
        Value below which there are none in the sample, whatever the law; None if there is no such.
    """

    name: str
    n: int
    n_held_out: int
    law: Parameters
    fits: tuple[LawFit, ...]
    above: float | None = None

    @property
    def chosen(self) -> LawFit:
        """The fit of the law that is taken."""
        return next(fit for fit in self.fits if fit.law["name"] == self.law["name"])

    @property
    def ks_limit(self) -> float | None:
        """Distance that 5% of samples of the law itself would exceed; None without any held out."""
        return KS_LIMIT / math.sqrt(self.n_held_out) if self.n_held_out else None

    @property
    def share_above(self) -> float:
        """Probability of a value that the sample can hold."""
        return 1.0 if self.above is None else compiled_law(self.law).sf(self.above)


def choose_law(
    name: str, values: Vector, candidates: Sequence[str], *, above: float | None = None
) -> LawChoice:
    """Return the law of a sample.

    Parameters
    ----------
    name
        What the values are.
    values : array of shape (n,)
        The sample, in the order in which it was measured; all > 0.
    candidates
        Names of laws. The first one is taken unless another one is clearly better.
    above
        Value below which there are none in the sample: likelihoods are conditional on it.

    Notes
    -----
    Each law has its maximum likelihood on four fifths of the values. Another law than the first
    one is taken if the logarithms of its densities at all values exceed those of the first one by
    more than two errors of their sum (Vuong, Likelihood ratio tests for model selection, 1989), and
    if those at the values that were held out do so by anything. Bins do not occur anywhere.
    """
    values = values[:: math.ceil(len(values) / MOST)]
    is_held = np.arange(len(values)) % HELD_OUT == HELD_OUT - 1
    is_held &= len(values) >= FEWEST
    train, held = values[~is_held], values[is_held]
    fits: list[LawFit] = []
    best, best_likelihoods = 0, np.array([])
    for candidate in candidates:
        law = _fitted(candidate, train, above)
        if law is None:
            continue
        likelihoods = conditional(law, values, above)
        fit = LawFit(
            law=law,
            log_likelihood=float(likelihoods[~is_held].mean()),
            held_out=_finite(float(likelihoods[is_held].mean())) if len(held) else None,
            ks=ks_distance(law, held, above) if len(held) else None,
        )
        fits.append(fit)
        if len(fits) == 1:
            best_likelihoods = likelihoods
        elif _is_better(fit, fits[best], likelihoods, best_likelihoods):
            best, best_likelihoods = len(fits) - 1, likelihoods
    taken = str(fits[best].law["name"])
    return LawChoice(
        name=name,
        n=len(values),
        n_held_out=len(held),
        law=_fitted(taken, values, above) or fits[best].law,
        fits=tuple(fits),
        above=above,
    )


def log_density(law: Mapping[str, Any], x: Vector) -> Vector:
    """Return the logarithm of a law's density; minus infinity where it has none."""
    log_x = np.log(x)
    density: Vector
    match law["name"]:
        case "lognormal":
            density = _normal((log_x - math.log(law["median"])) / law["sigma"])
            return density - math.log(law["sigma"]) - log_x
        case "normal":
            return _normal((x - law["mean"]) / law["sigma"]) - math.log(law["sigma"])
        case "gamma":
            shape, scaled = law["shape"], x / law["scale"]
            constant = math.lgamma(shape) + math.log(law["scale"])
            density = (shape - 1) * np.log(scaled) - scaled - constant
            return density
        case "weibull":
            shape, log_scaled = law["shape"], log_x - math.log(law["scale"])
            density = math.log(shape) + (shape - 1) * log_scaled - np.exp(shape * log_scaled)
            return density - math.log(law["scale"])
        case "exponential":
            over = x - law["shift"]
            density = -math.log(law["mean"]) - over / law["mean"]
            return np.where(over >= 0, density, -np.inf)
        case "pareto":
            log_least = math.log(law["minimum"])
            density = math.log(law["alpha"]) + law["alpha"] * log_least - (law["alpha"] + 1) * log_x
            return np.where(x >= law["minimum"], density, -np.inf)
    raise ValueError(f"no density of {law['name']}")


def conditional(law: Parameters, x: Vector, above: float | None) -> Vector:
    """Return the logarithm of a law's density among values above a limit."""
    density = log_density(law, x)
    return density if above is None else density - math.log(compiled_law(law).sf(above))


def ks_distance(law: Parameters, sample: Vector, above: float | None = None) -> float:
    """Return the greatest distance between the CDF of a law and that of a sample."""
    core, n = compiled_law(law), len(sample)
    below = np.array([core.cdf(x) for x in np.sort(sample).tolist()])
    if above is not None:
        least = core.cdf(above)
        below = (below - least) / (1 - least)
    places = np.arange(n)
    return float(max((below - places / n).max(), ((places + 1) / n - below).max()))


def with_cap(law: Parameters, n: int) -> Parameters:
    """Return a law with a cap where its tail is extrapolated by ten times.

    Parameters
    ----------
    law
        The law.
    n
        Values of the sample, whose tail it describes to a probability of 1/n: it goes on to a tenth
        of that.
    """
    return {**law, "cap": compiled_law(law).upper_quantile(1 / (10 * n))}


def _is_better(fit: LawFit, best: LawFit, ours: Vector, theirs: Vector) -> bool:
    if not np.isfinite(ours).all():
        # It has no density at a value that was held out.
        return False
    # What the other law holds impossible is worth no more than the rest.
    gains = (ours - theirs)[np.isfinite(theirs)]
    spread = float(gains.std(ddof=1)) if len(gains) > 1 else math.inf
    if not gains.sum() > CLEAR * spread * math.sqrt(len(gains)):
        return False
    if fit.held_out is None or best.held_out is None:
        return True
    return fit.held_out > best.held_out


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _fitted(name: str, x: Vector, above: float | None) -> Parameters | None:
    """Return a law of the greatest likelihood; None if the sample has none that can be drawn."""
    law = (
        _truncated_lognormal(x, above)
        if name == "lognormal" and above is not None
        else _BY_NAME[name](x)
    )
    if law is None:
        return None
    try:
        compiled_law(law)
    except _core.DomainError:
        return None
    return law


def _lognormal(x: Vector) -> Parameters | None:
    logs = np.log(x)
    sigma = float(logs.std())
    median = math.exp(float(logs.mean()))
    return {"name": "lognormal", "sigma": sigma, "median": median} if sigma > 0 else None


def _normal_law(x: Vector) -> Parameters | None:
    sigma = float(x.std())
    return {"name": "normal", "mean": float(x.mean()), "sigma": sigma} if sigma > 0 else None


def _gamma(x: Vector) -> Parameters | None:
    mean = float(x.mean())
    # ln k - digamma(k) of the shape k.
    goal = -float(np.log(x / mean).mean())
    if not goal > 0:
        return None
    shape = _root(lambda k: goal - log_less_digamma(k), 1e-3, 1e9)
    return {"name": "gamma", "shape": shape, "scale": mean / shape}


def _weibull(x: Vector) -> Parameters | None:
    top = float(x.max())
    logs = np.log(x / top)
    mean = float(logs.mean())
    if not mean < 0:
        return None

    def slope(shape: float) -> float:
        weights = np.exp(shape * logs)
        return float((weights * logs).sum() / weights.sum()) - 1 / shape - mean

    shape = _root(slope, 1e-2, 1e7)
    return {
        "name": "weibull",
        "shape": shape,
        "scale": top * float(np.exp(shape * logs).mean()) ** (1 / shape),
    }


def _exponential(x: Vector) -> Parameters | None:
    n, least = len(x), float(x.min())
    # The least value lies above the shift by mean / n.
    mean = float((x - least).sum()) / max(n - 1, 1)
    if not mean > 0:
        return None
    return {"name": "exponential", "mean": mean, "shift": max(0.0, least - mean / n)}


def _pareto(x: Vector) -> Parameters | None:
    n, least = len(x), float(x.min())
    total = float(np.log(x / least).sum())
    if n < 3 or not total > 0:
        return None
    alpha = (n - 2) / total
    return {"name": "pareto", "alpha": alpha, "minimum": least}


def _truncated_lognormal(x: Vector, above: float) -> Parameters | None:
    """Return the log-normal law of values of which those up to a limit are not seen."""
    logs = np.log(x)
    start = _lognormal(x)
    if start is None:
        return None
    n, mean, square = len(logs), float(logs.mean()), float((logs**2).mean())
    low = math.log(above)
    spread = start["sigma"]
    middle, log_sigma = math.log(start["median"]), math.log(spread)
    wide_middle, wide_sigma = 4 * spread, 1.5
    for _ in range(12):
        middles = middle + np.linspace(-wide_middle, wide_middle, 17)[:, np.newaxis]
        sigmas = np.exp(log_sigma + np.linspace(-wide_sigma, wide_sigma, 17))
        seen = _upper((low - middles) / sigmas)
        squares = (square - 2 * middles * mean + middles**2) / sigmas**2
        likelihood = n * (-np.log(sigmas) - squares / 2 - np.log(np.maximum(seen, 1e-300)))
        row, column = np.unravel_index(int(likelihood.argmax()), likelihood.shape)
        middle, log_sigma = float(middles[row, 0]), math.log(float(sigmas[column]))
        wide_middle, wide_sigma = wide_middle / 2, wide_sigma / 2
    seen_share = float(_upper(np.array((low - middle) / math.exp(log_sigma))))
    # Where more lie below the limit than above it the sample says too little of the law.
    if seen_share < 0.5:
        return None
    return {"name": "lognormal", "sigma": math.exp(log_sigma), "median": math.exp(middle)}


_BY_NAME: dict[str, Callable[[Vector], Parameters | None]] = {
    "lognormal": _lognormal,
    "normal": _normal_law,
    "gamma": _gamma,
    "weibull": _weibull,
    "exponential": _exponential,
    "pareto": _pareto,
}


def log_less_digamma(k: float) -> float:
    """Return ``ln k - digamma(k)``, accurate for large k, where both are almost equal.

    Examples
    --------
    >>> round(log_less_digamma(1.0), 6)
    0.577216
    """
    found = 0.0
    while k < 16:
        # digamma(k) = digamma(k + 1) - 1 / k
        found += 1 / k - math.log1p(1 / k)
        k += 1
    inverse = 1 / k**2
    return found + 0.5 / k + inverse / 12 * (1 - inverse / 10 * (1 - inverse * 10 / 21))


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function of a positive number is 0, by halving of its logarithm."""
    first, last = math.log(low), math.log(high)
    for _ in range(HALVINGS):
        middle = (first + last) / 2
        first, last = (middle, last) if function(math.exp(middle)) < 0 else (first, middle)
    return math.exp((first + last) / 2)


def _normal(z: Vector) -> Vector:
    return -0.5 * z * z - 0.5 * math.log(2 * math.pi)


def _upper(z: Vector) -> Vector:
    """Return the probability of normal numbers above each of some numbers."""
    flat = [0.5 * math.erfc(each / math.sqrt(2)) for each in np.ravel(z).tolist()]
    return np.array(flat).reshape(np.shape(z))
