"""Causes of a scenario from what a log says of them, with a basis for each number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from hindmost.cause import SECONDS_PER_HOUR
from hindmost.fitting.digits import rounded
from hindmost.fitting.estimate import Estimate
from hindmost.fitting.laws import LawChoice, with_cap
from hindmost.fitting.parts import Parts
from hindmost.fitting.rare import LEAST, Rare
from hindmost.law import compiled_law

Table = dict[str, Any]

BEYOND = 10
"""How many times beyond its sample a tail is extrapolated, at most."""


@dataclass(frozen=True, kw_only=True)
class CauseTables:
    """Tables of causes, and the basis of their numbers.

    Attributes
    ----------
    causes : dict
        Causes by name.
    basis : dict
        Kind and source, by key path.
    """

    causes: Table = field(default_factory=dict)
    basis: Table = field(default_factory=dict)


def causes_of(parts: Parts, *, step_s: float, origin: str) -> CauseTables:
    """Return the causes that a log says something of.

    Parameters
    ----------
    parts
        What the log says.
    step_s
        Seconds of a step without any cause, by which rates and correlation times go.
    origin
        What the numbers were fitted to, as their basis names it.
    """
    found = CauseTables()
    writer = _Writer(found, origin, step_s)
    has_nodes = parts.node is not None and parts.node.is_clear
    writer.spread("gpu-speed", parts.rank if has_nodes else parts.rank_alone, "gpu", parts.n_ranks)
    if has_nodes:
        writer.spread("node-speed", parts.node, "node", parts.n_nodes)
    for scope, units in (("node", parts.slow_nodes), ("gpu", parts.slow_ranks)):
        for slow in units:
            writer.slow_unit(scope, slow.unit, slow.excess)
    writer.residual(parts.residual, parts.residual_law)
    writer.each_step("step-common", parts.common, "cluster", parts.n_steps)
    if parts.drift is not None:
        writer.drift(parts.drift.sigma, parts.drift.correlation_steps)
    writer.rare("stall", parts.stall, "gpu")
    writer.rare("pause", parts.pause, "cluster")
    return found


@dataclass(frozen=True)
class _Writer:
    """Writes causes into tables."""

    found: CauseTables
    origin: str
    step_s: float

    def spread(self, name: str, sigma: Estimate | None, scope: str, n: int) -> None:
        """Write what units keep for a whole run."""
        if sigma is not None and sigma.value > LEAST:
            law = _lognormal(sigma.value, n)
            self._slowdown(name, law, scope, "run")
            self._number(name, "law.sigma", sigma)
            self._cap(name, n)

    def each_step(self, name: str, sigma: Estimate, scope: str, n: int) -> None:
        """Write what is new in each step."""
        if sigma.value > LEAST:
            self._slowdown(name, _lognormal(sigma.value, n), scope, "step")
            self._number(name, "law.sigma", sigma)
            self._cap(name, n)

    def residual(self, sigma: Estimate | None, choice: LawChoice | None) -> None:
        """Write what is left of a rank in each step."""
        if sigma is None or choice is None or not sigma.value > LEAST:
            return
        name = "residual"
        if choice.law["name"] == "lognormal":
            law = _lognormal(sigma.value, choice.n)
        else:
            law = with_cap(_of_median_one(choice.law), choice.n)
        self._slowdown(name, law, "gpu", "step")
        for key in law:
            if key not in ("name", "cap"):
                self._number(name, f"law.{key}", sigma)
        self._cap(name, choice.n)

    def drift(self, sigma: Estimate, correlation_steps: Estimate) -> None:
        """Write what drifts, whose tail a log bounds by nothing: it has no cap."""
        law = {"name": "lognormal", "sigma": rounded(sigma.value)}
        self._slowdown("drift", law, "cluster", "drift")
        self.found.causes["drift"]["correlation_s"] = rounded(correlation_steps.value * self.step_s)
        self._number("drift", "law.sigma", sigma)
        self._number("drift", "correlation_s", correlation_steps)

    def slow_unit(self, scope: str, unit: int, excess: Estimate) -> None:
        """Write a unit that is slow."""
        name = f"slow-{scope}-{unit}"
        law = {"name": "constant", "value": rounded(math.exp(excess.value))}
        self._slowdown(name, law, scope, "run")
        self.found.causes[name]["units"] = [unit]
        self._number(name, "law.value", excess)

    def rare(self, name: str, rare: Rare | None, scope: str) -> None:
        """Write what comes rarely and adds seconds."""
        if rare is None or rare.law is None or rare.seconds is None:
            return
        law = {
            key: rounded(value) if isinstance(value, float) else value
            for key, value in rare.law.items()
        }
        per_step = -math.log1p(-min(rare.drawn_probability, 1 - 1e-12))
        self.found.causes[name] = {
            "affects": "compute",
            "effect": "stall",
            "scope": scope,
            "span": "step",
            "law": law,
            "per_hour": rounded(per_step * SECONDS_PER_HOUR / self.step_s),
        }
        for key in law:
            if key not in ("name", "cap"):
                self._number(name, f"law.{key}", rare.seconds)
        if "cap" in law:
            self._cap(name, rare.n)
        self._number(name, "per_hour", rare.probability)

    def _slowdown(self, name: str, law: Mapping[str, Any], scope: str, span: str) -> None:
        self.found.causes[name] = {
            "affects": "compute",
            "effect": "slowdown",
            "scope": scope,
            "span": span,
            "law": {
                key: rounded(value) if isinstance(value, float) else value
                for key, value in law.items()
            },
        }

    def _number(self, name: str, key: str, estimate: Estimate) -> None:
        low, high = (f"{end:.3g}" for end in (estimate.low, estimate.high))
        unit = f" {estimate.unit}" if estimate.unit in ("s", "steps") else ""
        self.found.basis[f"causes.{name}.{key}"] = {
            "kind": "measured",
            "where": f"{self.origin}: {estimate.name} {estimate.value:.4g}{unit}, "
            f"two errors reach from {low} to {high}",
        }

    def _cap(self, name: str, n: int) -> None:
        self.found.basis[f"causes.{name}.law.cap"] = {
            "kind": "computed",
            "where": f"the tail of {n:,} values of {self.origin} extrapolated by {BEYOND} times",
        }


def _lognormal(sigma: float, n: int) -> Table:
    cap = math.exp(sigma * NormalDist().inv_cdf(1 - 1 / (BEYOND * n)))
    return {"name": "lognormal", "sigma": sigma, "cap": cap}


def _of_median_one(law: Table) -> Table:
    """Return a law of factors with median one, as that of an ideal GPU is."""
    median = compiled_law(law).quantile(0.5)
    scales = {"normal": ("mean", "sigma"), "gamma": ("scale",), "weibull": ("scale",)}
    return {**law, **{key: law[key] / median for key in scales[str(law["name"])]}}
